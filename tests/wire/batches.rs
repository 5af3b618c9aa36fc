//! Several messages in one block: each is delivered for itself, and one block answers them all.

use serde_json::json;

use crate::lab::Lab;
use crate::support::app::Reply;
use crate::support::messages::{adt, adt_enhanced, frame, oru};
use crate::support::peer::RawPeer;

/// BHS or FHS with a control ID in field 11.
fn header(name: &str, id: &str) -> String {
    format!("{name}|^~\\&|LAB|GENHOSP|BRIDGE|CLOUD|20261122111500||night|comment|{id}\r")
}

/// The answer's block: each segment as text, without what differs each time.
#[track_caller]
fn answer(peer: &mut RawPeer, block: &str) -> Vec<String> {
    peer.send(frame(block));
    let data = peer.read_frame().unwrap_or_else(|error| panic!("{error}"));
    let text = String::from_utf8(data).expect("text");
    let lines = text.split_terminator('\r').map(|line| {
        let mut fields: Vec<&str> = line.split('|').collect();
        let new = match fields[0] {
            "MSH" => &[6, 9][..],
            "BHS" | "FHS" => &[6, 10],
            _ => &[],
        };
        for place in new {
            assert!(!fields[*place].is_empty(), "{line}");
            fields[*place] = "*";
        }
        fields.join("|")
    });
    lines.collect()
}

const MSH_OF_ORU: &str = r"MSH|^~\&|BRIDGE|CLOUD|LAB|GENHOSP|*||ACK^R01^ACK|*|P|2.5.1";

#[test]
fn a_batch_is_answered_by_a_batch_that_names_it() {
    let lab = Lab::new();
    let batch = header("BHS", "BATCH7") + &oru("IN1") + &oru("IN2") + "BTS|2\r";
    let answered = answer(&mut lab.peer(), &batch);
    assert_eq!(
        answered,
        [
            r"BHS|^~\&|BRIDGE|CLOUD|LAB|GENHOSP|*||||*|BATCH7",
            MSH_OF_ORU,
            "MSA|AA|IN1",
            MSH_OF_ORU,
            "MSA|AA|IN2",
            "BTS|2"
        ]
    );
    lab.assert_received(&[oru("IN1"), oru("IN2")]);
    let labels = [("outcome", "accepted")];
    lab.bridge
        .wait_for_metric("mllp_bridge_messages_total", &labels, 2.0);
    let acks = |code| {
        lab.bridge
            .metric_sum("mllp_bridge_acks_total", &[("code", code)])
    };
    assert_eq!((acks("AA"), acks("batch")), (2.0, 1.0));
    lab.bridge
        .wait_for_metric("mllp_bridge_exchanges_in_flight", &[], 0.0);
    lab.assert_still_serves();
}

#[test]
fn a_file_of_batches_is_answered_by_a_file_of_batches() {
    let lab = Lab::new();
    let file = header("FHS", "FILE7")
        + &header("BHS", "B1")
        + &oru("IN1")
        + "BTS|1\r"
        + &header("BHS", "B2")
        + "BTS|0\r"
        + "FTS|2\r";
    let answered = answer(&mut lab.peer(), &file);
    assert_eq!(
        answered,
        [
            r"FHS|^~\&|BRIDGE|CLOUD|LAB|GENHOSP|*||||*|FILE7",
            r"BHS|^~\&|BRIDGE|CLOUD|LAB|GENHOSP|*||||*|B1",
            MSH_OF_ORU,
            "MSA|AA|IN1",
            "BTS|1",
            r"BHS|^~\&|BRIDGE|CLOUD|LAB|GENHOSP|*||||*|B2",
            "BTS|0",
            "FTS|2"
        ]
    );
}

#[test]
fn messages_under_each_other_are_answered_by_acknowledgements_under_each_other() {
    // Delivered as one, the second patient's results would be the first one's.
    let expected = [MSH_OF_ORU, "MSA|AA|TWO1", MSH_OF_ORU, "MSA|AA|TWO2"];
    for between in ["", "\r", "\n", "\r\n", "\r\n\r\n", "\n\n"] {
        for terminator in ["\r", "\n", "\r\n"] {
            let (one, two) = (oru("TWO1"), oru("TWO2"));
            let [one, two] = [one, two].map(|message| message.replace('\r', terminator));
            println!("segments end in {terminator:?}, between {between:?}");
            let lab = Lab::new();
            let answered = answer(&mut lab.peer(), &format!("{one}{between}{two}"));
            assert_eq!(answered, expected);
            let received = lab.received();
            assert_eq!(received.len(), 2);
            assert_eq!(String::from_utf8_lossy(&received[1]), two);
        }
    }
    for (first, second) in [("\r", "\n"), ("\n", "\r"), ("\r\n", "\r"), ("\r\n", "\n")] {
        println!("the first's segments end in {first:?}, the second's in {second:?}");
        let both = oru("TWO1").replace('\r', first) + &oru("TWO2").replace('\r', second);
        let lab = Lab::new();
        assert_eq!(answer(&mut lab.peer(), &both), expected);
        assert_eq!(lab.received().len(), 2);
    }
}

/// Where a line end that ends no segment stands before MSH, nobody can say whether it is a message or a text that quotes one.
#[test]
fn a_second_msh_that_may_be_a_quotation_is_refused() {
    let lab = Lab::new();
    let block = oru("ONE") + "NTE|1|L|he wrote:\nMSH|^~\\&|A|B\r";
    lab.peer().exchange(&block).expect("AR", "ONE");
    lab.assert_refused(&[("batch", 1)]);
    lab.assert_received::<&[u8]>(&[]);
}

/// Whatever stands before, between and behind: no message has bytes that are not its own, and none is lost.
#[test]
fn what_stands_between_messages_belongs_to_none() {
    for block in [
        format!("\r\n{}{}", adt("M1"), adt("M2")),
        format!("\u{feff}{}\r\n\u{feff}{}\r\n\r\n", adt("M1"), adt("M2")),
        format!("\r{}\u{0c}{}", adt("M1"), adt("M2")),
        format!(
            "\n{}{}\r\n{}BTS|2\r\n",
            header("BHS", "B"),
            adt("M1"),
            adt("M2")
        ),
    ] {
        let lab = Lab::new();
        let mut peer = lab.peer();
        peer.send(frame(&block));
        let answered = String::from_utf8(peer.read_frame().expect("an answer")).expect("text");
        assert!(
            answered.contains("MSA|AA|M1") && answered.contains("MSA|AA|M2"),
            "{block:?}: {answered}"
        );
        let received = lab.received();
        let shown: Vec<_> = received
            .iter()
            .map(|message| String::from_utf8_lossy(message).into_owned())
            .collect();
        assert_eq!(shown.len(), 2, "{block:?}");
        assert!(shown[0].ends_with(&adt("M1")), "{block:?}: {shown:?}");
        assert_eq!(shown[1], adt("M2"), "{block:?}");
    }
}

#[test]
fn a_batch_that_is_too_large_is_refused_by_its_own_control_id() {
    for block in [
        header("BHS", "LARGE") + &adt("M1") + &adt("M2").repeat(40),
        header("FHS", "LARGE") + &header("BHS", "B") + &adt("M1").repeat(40),
        adt("LARGE") + &adt("M2").repeat(40),
    ] {
        let lab = Lab::with("limits: { max_message_bytes: 8KiB }");
        let mut peer = lab.peer();
        peer.exchange(&block).expect("AR", "LARGE");
        lab.assert_refused(&[("too_large", 1)]);
        lab.assert_received::<&[u8]>(&[]);
        peer.exchange(adt("NEXT")).expect("AA", "NEXT");
    }
}

/// An answer of the app's that ends without a CR, or holds more than one message, must not run into the next one.
#[test]
fn an_apps_own_answers_do_not_run_into_each_other() {
    let own = |id: &str| format!("MSH|^~\\&|APP|X|LAB|Y|2026||ACK|OWN{id}|P|2.5.1\rMSA|AA|{id}");
    for (first, is_own) in [
        (own("M1"), true),
        (own("M1").replace('\r', "\n") + "\n", false),
        (own("M1") + "\r" + &own("M9"), false),
        (format!("\u{feff}{}", own("M1")), false),
    ] {
        let lab = Lab::new();
        let reply = |text: &str| {
            Reply::ok()
                .header("Content-Type", "application/hl7-v2")
                .body(text)
        };
        lab.app.script([reply(&first), reply(&own("M2"))]);
        let batch = header("BHS", "B") + &adt("M1") + &adt("M2") + "BTS|2\r";
        let answered = answer(&mut lab.peer(), &batch);
        let msa: Vec<_> = answered
            .iter()
            .filter(|line| line.starts_with("MSA"))
            .collect();
        assert_eq!(msa, ["MSA|AA|M1", "MSA|AA|M2"], "{first:?}");
        assert_eq!(answered.last().map(String::as_str), Some("BTS|2"));
        let owns = answered
            .iter()
            .filter(|line| line.starts_with("MSH|^~\\&|APP|"));
        assert_eq!(
            owns.count(),
            1 + usize::from(is_own),
            "{first:?}: {answered:?}"
        );
    }
}

/// What is odd about one message is not told of the next.
#[test]
fn warnings_are_each_messages_own() {
    let lab = Lab::new();
    let odd = adt("M1")
        .replacen("|P|2.5.1\r", "|P|2.5.1||||||ASCII\r", 1)
        .replacen("ERIKA", "ÉRIKA", 1);
    let answered = answer(&mut lab.peer(), &(odd + &adt("M2"))).join("\r");
    assert!(
        answered.contains("MSA|AA|M1") && answered.contains("MSA|AA|M2"),
        "{answered}"
    );
    let warnings: Vec<_> = lab
        .app
        .requests()
        .iter()
        .map(|request| request.json()["data"]["warnings"].as_array().map(Vec::len))
        .collect();
    assert_eq!(warnings, [Some(1), Some(0)]);
}

/// As HAPI's reader of files leaves it, that cuts only where messages begin.
#[test]
fn a_trailer_behind_a_lone_message_is_passed_on_with_it() {
    let lab = Lab::new();
    let last = adt("M1") + "BTS|2\r";
    lab.peer().exchange(&last).expect("AA", "M1");
    lab.assert_received(&[last]);
    let two = adt("M1") + &adt("M2") + "BTS|2\r";
    lab.peer().exchange(two).expect("AR", "M1");
}

#[test]
fn one_that_fails_takes_no_other_with_it() {
    let lab = Lab::with("duplicates: {}");
    let refusal = json!({"title": "no", "status": 422, "detail": "unknown ward"});
    lab.app
        .script([Reply::ok(), Reply::problem(422, &refusal), Reply::ok()]);
    let batch = header("BHS", "B") + &adt("M1") + &adt("M2") + &adt("M3") + "BTS|3\r";
    let mut peer = lab.peer();
    let codes = |answered: &[String]| -> Vec<String> {
        let msa = answered.iter().filter(|line| line.starts_with("MSA"));
        msa.cloned().collect()
    };
    let answered = answer(&mut peer, &batch);
    assert_eq!(codes(&answered), ["MSA|AA|M1", "MSA|AE|M2", "MSA|AA|M3"]);
    assert!(
        answered
            .iter()
            .any(|line| line.starts_with("ERR|") && line.contains("unknown ward")),
        "{answered:?}"
    );
    // What was accepted is known when the batch comes again; what was not is delivered again.
    let again = answer(&mut peer, &batch);
    assert_eq!(codes(&again), ["MSA|AA|M1", "MSA|AA|M2", "MSA|AA|M3"]);
    lab.assert_received(&[adt("M1"), adt("M2"), adt("M3"), adt("M2")]);
    // And alone, too.
    peer.exchange(adt("M3")).expect("AA", "M3");
    assert_eq!(lab.received().len(), 4);
}

#[test]
fn behind_one_that_could_not_be_delivered_none_is_tried() {
    let lab = Lab::with_deliver(
        "ack: {deadline: 60ms}\nduplicates: {}",
        "retry: {initial: 50ms, max: 50ms}",
    );
    let mut peer = lab.peer();
    peer.exchange(adt("M3")).expect("AA", "M3");
    lab.app.always(Reply::status(503));
    let batch = header("BHS", "B") + &adt("M1") + &adt("M2") + &adt("M3") + "BTS|3\r";
    let answered = answer(&mut peer, &batch).join("\r");
    assert!(answered.contains("MSA|AE|M1"), "{answered}");
    assert!(answered.contains("MSA|AE|M2"), "{answered}");
    assert!(answered.contains("not tried"), "{answered}");
    // Known from before, so that nobody need be asked.
    assert!(answered.contains("MSA|AA|M3"), "{answered}");
    let tried: Vec<_> = lab.received();
    assert!(!tried.contains(&adt("M2").into_bytes()), "M2 was tried");
}

#[test]
fn unavailable_close_leaves_the_whole_block_unanswered() {
    let lab = Lab::with_deliver(
        "ack: {deadline: 60ms, unavailable: close}\nduplicates: {}",
        "retry: {initial: 50ms, max: 50ms}",
    );
    lab.app.script([Reply::ok()]);
    lab.app.always(Reply::status(503));
    let both = adt("M1") + &adt("M2");
    let mut peer = lab.peer();
    peer.send(frame(&both));
    peer.expect_close();
    lab.app.always(Reply::ok());
    let answered = answer(&mut lab.peer(), &both).join("\r");
    assert!(
        answered.contains("MSA|AA|M1") && answered.contains("MSA|AA|M2"),
        "{answered}"
    );
    let firsts = lab.received();
    let firsts = firsts
        .iter()
        .filter(|message| **message == adt("M1").into_bytes());
    assert_eq!(firsts.count(), 1, "M1 was accepted before");
}

#[test]
fn a_count_that_is_wrong_refuses_the_whole_before_anything_is_delivered() {
    for (block, id, reason, location) in [
        (
            header("BHS", "B") + &oru("IN1") + "BTS|2\r",
            "B",
            "message_count",
            "BTS^1^1",
        ),
        (
            header("BHS", "B") + &oru("IN1") + "BTS|many\r",
            "B",
            "message_count",
            "BTS^1^1",
        ),
        (
            header("FHS", "F") + &header("BHS", "B") + "BTS|0\rFTS|2\r",
            "F",
            "batch_count",
            "FTS^1^1",
        ),
    ] {
        let lab = Lab::new();
        let ack = lab.peer().exchange(&block);
        ack.expect("AE", id);
        assert_eq!(ack.err()[0].component(3, 1), "102", "{ack}");
        assert_eq!(ack.err()[0].field(2), location, "{ack}");
        lab.assert_refused(&[(reason, 1)]);
        lab.assert_received::<&[u8]>(&[]);
    }
}

#[test]
fn what_is_no_batch_is_refused_before_anything_is_delivered() {
    for block in [
        header("BHS", "B") + "NTE|1\r" + &oru("IN1"),
        header("BHS", "B") + &oru("IN1") + "FTS|1\r",
        header("BHS", "B") + &oru("IN1") + "BTS|1\r" + &oru("IN2"),
    ] {
        let lab = Lab::new();
        lab.peer().exchange(&block).expect("AR", "B");
        lab.assert_refused(&[("batch", 1)]);
        lab.assert_received::<&[u8]>(&[]);
    }
}

#[test]
fn errors_alone_or_nothing_at_all_are_answered_as_configured() {
    let refusal = json!({"title": "no", "status": 422, "detail": "no"});
    let batch = header("BHS", "B") + &adt("M1") + &adt("M2") + "BTS|2\r";
    let lab = Lab::with("ack: { batch: errors }");
    lab.app.script([Reply::ok(), Reply::problem(422, &refusal)]);
    let mut peer = lab.peer();
    let answered = answer(&mut peer, &batch).join("\r");
    assert!(
        !answered.contains("M1") && answered.contains("MSA|AE|M2"),
        "{answered}"
    );
    assert!(answered.ends_with("BTS|1"), "{answered}");
    let answered = answer(&mut peer, &batch);
    assert_eq!(answered.len(), 2, "{answered:?}");
    assert_eq!(answered[1], "BTS|0");

    let lab = Lab::with("ack: { batch: none }");
    let mut peer = lab.peer();
    peer.send(frame(&batch));
    peer.exchange(adt("NEXT")).expect("AA", "NEXT");
    lab.assert_received(&[adt("M1"), adt("M2"), adt("NEXT")]);
}

/// Each message asks for its own acknowledgements.
#[test]
fn enhanced_mode_is_each_messages_own() {
    let lab = Lab::new();
    let batch = header("BHS", "B")
        + &adt_enhanced("M1", "AL", "AL")
        + &adt_enhanced("M2", "NE", "NE")
        + &adt_enhanced("M3", "NE", "AL")
        + "BTS|3\r";
    let answered = answer(&mut lab.peer(), &batch);
    let msa = answered.iter().filter(|line| line.starts_with("MSA"));
    let msa: Vec<_> = msa.collect();
    assert_eq!(msa, ["MSA|CA|M1", "MSA|AA|M1", "MSA|AA|M3"]);
    assert_eq!(answered.last().map(String::as_str), Some("BTS|3"));
}

/// Each in its own set, also where a byte of a character looks like a delimiter.
#[test]
fn each_message_has_its_own_character_set() {
    let lab = Lab::new();
    let with = |id: &str, msh18: &str, name: &[u8]| {
        let text = adt(id).replacen("|P|2.5.1\r", &format!("|P|2.5.1||||||{msh18}\r"), 1);
        let (before, after) = text.split_once("MUSTER^ERIKA").expect("the name");
        [before.as_bytes(), name, after.as_bytes()].concat()
    };
    let one = with("M1", "BIG-5", b"\xb3\x5c\xa4\x7c");
    let two = with("M2", "8859/5", b"\xb8\xd2\xd0\xdd");
    let mut peer = lab.peer();
    peer.send(frame([&one[..], &two].concat()));
    let answered = peer.read_frame().expect("an answer");
    let text = String::from_utf8_lossy(&answered);
    assert!(
        text.contains("MSA|AA|M1") && text.contains("MSA|AA|M2"),
        "{text}"
    );
    lab.assert_received(&[one, two]);
    let charsets: Vec<_> = lab
        .app
        .requests()
        .iter()
        .map(|request| request.json()["data"]["charset"].clone())
        .collect();
    assert_eq!(charsets, ["Big5", "ISO-8859-5"]);
}
