//! Who gets which answer.

use super::*;
use crate::hl7::{Payload, peek};
use proptest::prelude::*;

fn listener(name: &str) -> Arc<str> {
    name.into()
}

fn question<'a>(listener: &'a Arc<str>, control_id: &'a str, message: u128) -> Question<'a> {
    Question {
        listener,
        control_id: control_id.as_bytes(),
        partner: [b"LIS", b""],
        message,
    }
}

fn ack(sender: &str, code: &str, answered: &str) -> String {
    format!("MSH|^~\\&|{sender}|LAB|EHR|H|2026||ACK^O01|a1|P|2.5|||AL|NE\rMSA|{code}|{answered}\r")
}

fn offer(awaited: &Awaited, listener: &str, message: &str) -> bool {
    let bytes = message.as_bytes();
    let Payload::V2(header) = peek(bytes) else {
        panic!("{message:?}")
    };
    awaited.offer(&listener.into(), bytes, bytes, &header.into())
}

#[tokio::test(start_paused = true)]
async fn an_answer_goes_to_the_request_whose_control_id_it_repeats() {
    let awaited = Awaited::default();
    let lab = listener("lab");
    assert!(
        !offer(&awaited, "lab", &ack("LIS", "AA", "1")),
        "nobody waits"
    );
    let one = awaited.expect(question(&lab, "1", 1)).unwrap();
    let two = awaited.expect(question(&lab, "2", 2)).unwrap();
    for (what, at, message) in [
        ("another listener's", "adt", ack("LIS", "AA", "1")),
        ("another control ID", "lab", ack("LIS", "AA", "11")),
        ("not verbatim", "lab", ack("LIS", "AA", " 1")),
        ("no control ID", "lab", ack("LIS", "AA", "")),
        ("another partner's", "lab", ack("PACS", "AA", "1")),
        ("an accept acknowledgement", "lab", ack("LIS", "CA", "1")),
        (
            "no acknowledgement",
            "lab",
            "MSH|^~\\&|LIS|||||ADT^A01|1|P|2.5\rPID|1\r".into(),
        ),
    ] {
        assert!(!offer(&awaited, at, &message), "{what}");
    }
    let [second, first] = [ack("LIS", "AE", "2"), ack("", "AA", "1")];
    assert!(offer(&awaited, "lab", &second));
    assert!(
        offer(&awaited, "lab", &first),
        "its sender does not say who it is"
    );
    assert!(!offer(&awaited, "lab", &first), "answered already");
    let soon = Instant::now();
    assert_eq!(one.answer_by(soon).await, Some(first.into_bytes()));
    assert_eq!(two.answer_by(soon).await, Some(second.into_bytes()));
    assert!(!awaited.is_awaited("lab"));
    assert_eq!(awaited.0.waiting.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn what_comes_too_late_is_nobodys() {
    let awaited = Awaited::default();
    let lab = listener("lab");
    let began = Instant::now();
    let expected = awaited.expect(question(&lab, "1", 1)).unwrap();
    let deadline = began + Duration::from_secs(30);
    assert_eq!(expected.answer_by(deadline).await, None);
    assert_eq!(began.elapsed().as_secs(), 30);
    assert!(!offer(&awaited, "lab", &ack("LIS", "AA", "1")));

    // What was taken in the last moment is told.
    let mut expected = awaited.expect(question(&lab, "1", 1)).unwrap();
    assert!(offer(&awaited, "lab", &ack("LIS", "AA", "1")));
    assert!(expected.close().is_some());
    let mut expected = awaited.expect(question(&lab, "2", 1)).unwrap();
    assert_eq!(expected.close(), None);
    assert!(!offer(&awaited, "lab", &ack("LIS", "AA", "2")), "closed");
    drop(expected);
    assert_eq!(awaited.0.waiting.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_control_id_is_of_one_message_until_its_answer_cannot_come_any_more() {
    let awaited = Awaited::default();
    let [lab, adt] = ["lab", "adt"].map(listener);
    let first = awaited.expect(question(&lab, "1", 1)).unwrap();
    let in_use = |at, message| awaited.expect(question(at, "1", message)).map(|_| ());
    assert_eq!(in_use(&lab, 1), Err(InUse), "the same message waits");
    assert_eq!(in_use(&lab, 2), Err(InUse));
    assert_eq!(in_use(&adt, 2), Ok(()), "on another listener");
    drop(first);
    assert_eq!(in_use(&lab, 2), Err(InUse), "a late answer would be its");
    assert_eq!(in_use(&lab, 1), Ok(()), "the same message again");
    tokio::time::advance(USED).await;
    assert_eq!(in_use(&lab, 2), Ok(()));

    awaited
        .expect(question(&lab, "9", 1))
        .unwrap()
        .nothing_sent();
    assert!(
        awaited.expect(question(&lab, "9", 2)).is_ok(),
        "nothing was sent"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_of_control_ids_is_bounded() {
    let awaited = Awaited::default();
    let lab = listener("lab");
    for id in 0..MOST + 5 {
        drop(awaited.expect(question(&lab, &id.to_string(), 1)));
    }
    let state = awaited.lock();
    assert!(state.order.len() <= MOST && state.used.len() <= MOST);
    assert!(state.waiting.is_empty());
    drop(state);
    for _ in 0..3 * MOST {
        awaited
            .expect(question(&lab, "same", 1))
            .unwrap()
            .nothing_sent();
    }
    assert!(awaited.lock().order.len() <= MOST);
}

#[tokio::test(start_paused = true)]
async fn a_listener_can_wait_until_nothing_is_awaited_on_it() {
    let awaited = Awaited::default();
    let [lab, adt] = ["lab", "adt"].map(listener);
    awaited.none("lab").await;
    let first = awaited.expect(question(&lab, "1", 1)).unwrap();
    let _elsewhere = awaited.expect(question(&adt, "1", 1)).unwrap();
    let waiting = tokio::spawn({
        let awaited = awaited.clone();
        async move { awaited.none("lab").await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    assert!(offer(&awaited, "lab", &ack("LIS", "AA", "1")));
    waiting.await.unwrap();
    drop(first);
    assert!(awaited.is_awaited("adt"));
}

#[tokio::test]
async fn an_answer_in_xml_is_one_as_well() {
    let awaited = Awaited::default();
    let lab = listener("lab");
    let expected = awaited.expect(question(&lab, "1", 1)).unwrap();
    let ack = |id: &str, sender: &str| {
        format!(
            "<ACK xmlns=\"urn:hl7-org:v2xml\"><MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.3><HD.1>{sender}</HD.1></MSH.3>\
             <MSH.10>7</MSH.10></MSH><MSA><MSA.1>AA</MSA.1><MSA.2>{id}</MSA.2></MSA></ACK>"
        )
    };
    let offer = |message: &str| {
        let document = crate::xml::Message::read(message.as_bytes()).unwrap();
        let head = Head::Xml(document.into());
        awaited.offer(&lab, message.as_bytes(), message.as_bytes(), &head)
    };
    assert!(!offer(&ack("2", "LIS")) && !offer(&ack("1", "PACS")));
    let right = ack("1", "LIS");
    assert!(offer(&right));
    assert_eq!(
        expected.answer_by(Instant::now()).await,
        Some(right.into_bytes())
    );
}

proptest! {
    /// In whatever order requests and answers come: nobody gets another's.
    #[test]
    fn nobody_gets_anothers_answer(steps in prop::collection::vec((0..4usize, 0..5u8, 0..2u8), 1..60)) {
        let awaited = Awaited::default();
        let lab = listener("lab");
        let mut waiting: Vec<(u8, u8, Expected)> = Vec::new();
        for (kind, id, message) in steps {
            match kind {
                0 | 1 => {
                    let text = id.to_string();
                    let taken = waiting.iter().any(|one| one.0 == id);
                    let result = awaited.expect(question(&lab, &text, message.into()));
                    prop_assert!(!taken || result.is_err());
                    if let Ok(expected) = result {
                        waiting.push((id, message, expected));
                    }
                }
                2 => {
                    let answer = ack("LIS", "AA", &id.to_string());
                    let place = waiting.iter().position(|one| one.0 == id);
                    prop_assert_eq!(offer(&awaited, "lab", &answer), place.is_some());
                    if let Some(place) = place {
                        let (.., mut expected) = waiting.swap_remove(place);
                        prop_assert_eq!(expected.close(), Some(answer.into_bytes()));
                    }
                }
                _ => {
                    waiting.pop();
                }
            }
        }
        prop_assert_eq!(awaited.0.waiting.load(Relaxed), waiting.len());
    }
}

/// The second try was not sent, but the first was: its answer may be late, and is no other message's.
#[tokio::test(start_paused = true)]
async fn a_control_id_stays_its_messages_while_an_answer_may_be_late() {
    let awaited = Awaited::default();
    let lab = listener("lab");
    let first = awaited.expect(question(&lab, "7", 1)).unwrap();
    assert_eq!(first.answer_by(Instant::now()).await, None);
    awaited
        .expect(question(&lab, "7", 1))
        .unwrap()
        .nothing_sent();
    let other = awaited.expect(question(&lab, "7", 2));
    assert!(
        other.is_err(),
        "another message got the late answer's control ID"
    );
    // Of a message that was never sent nothing can be late.
    awaited
        .expect(question(&lab, "8", 1))
        .unwrap()
        .nothing_sent();
    assert!(awaited.expect(question(&lab, "8", 2)).is_ok());
}
