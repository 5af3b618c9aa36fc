//! Enhanced mode: MSH-15 and MSH-16, the two acknowledgements, and their order on the wire.

use crate::lab::{Lab, SHORT};
use crate::support::PATIENCE;
use crate::support::app::Reply;
use crate::support::messages::{adt, adt_enhanced, frame};
use crate::support::peer::{Ack, RawPeer};

/// What is read until the answer to a message of original mode, which is sent behind: nothing more can be on its way then.
#[track_caller]
fn answers(peer: &mut RawPeer, message: impl AsRef<[u8]>) -> Vec<Ack> {
    peer.send(frame(message));
    peer.send(frame(adt("BEHIND")));
    let mut answers = Vec::new();
    loop {
        let ack = peer.ack();
        if ack.msa2() == "BEHIND" {
            return answers;
        }
        answers.push(ack);
    }
}

#[track_caller]
fn codes(answers: &[Ack], control_id: &str) -> Vec<String> {
    for ack in answers {
        assert_eq!(ack.msa2(), control_id, "{ack}");
    }
    answers.iter().map(|ack| ack.msa1().to_owned()).collect()
}

const CONDITIONS: [&str; 4] = ["AL", "NE", "ER", "SU"];

/// Sends every pair of conditions to an app that answers this status, and compares with the table: MSH-15 down, MSH-16 across.
#[track_caller]
fn table(status: u16, expected: [[&str; 4]; 4]) {
    let lab = Lab::new();
    lab.app.always(Reply::status(status));
    let mut peer = lab.peer();
    for (row, accept) in CONDITIONS.iter().enumerate() {
        for (column, application) in CONDITIONS.iter().enumerate() {
            let id = format!("{accept}{application}");
            let answers = answers(&mut peer, adt_enhanced(&id, accept, application));
            assert_eq!(
                codes(&answers, &id).join(" "),
                expected[row][column],
                "MSH-15 {accept}, MSH-16 {application}, HTTP {status}"
            );
        }
    }
}

#[test]
fn each_pair_of_conditions_when_the_app_takes_the_message() {
    table(
        204,
        [
            ["CA AA", "CA", "CA", "CA AA"],
            ["AA", "", "", "AA"],
            ["AA", "", "", "AA"],
            ["CA AA", "CA", "CA", "CA AA"],
        ],
    );
}

#[test]
fn each_pair_of_conditions_when_the_app_finds_an_error() {
    table(
        422,
        [
            ["CE", "CE", "CE", "CE"],
            ["AE", "", "AE", ""],
            ["CE", "CE", "CE", "CE"],
            ["AE", "", "AE", ""],
        ],
    );
}

#[test]
fn each_pair_of_conditions_when_the_app_does_not_take_such_messages() {
    table(
        415,
        [
            ["CR", "CR", "CR", "CR"],
            ["AR", "", "AR", ""],
            ["CR", "CR", "CR", "CR"],
            ["AR", "", "AR", ""],
        ],
    );
}

#[test]
fn an_answer_that_nobody_wants_is_counted_as_such() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    assert!(answers(&mut peer, adt_enhanced("NO1", "NE", "NE")).is_empty());
    drop(peer);
    lab.assert_received(&[adt_enhanced("NO1", "NE", "NE"), adt("BEHIND")]);
    let acks = |code| {
        lab.bridge
            .metric_sum("mllp_bridge_acks_total", &[("code", code)])
    };
    assert_eq!((acks("unwanted"), acks("AA")), (1.0, 1.0));
}

#[test]
fn the_two_acknowledgements_have_their_own_control_ids_and_only_the_second_speaks_of_acknowledging()
{
    let lab = Lab::new();
    let mut peer = lab.peer();
    let both = answers(&mut peer, adt_enhanced("TWO", "AL", "AL"));
    assert_eq!(codes(&both, "TWO"), ["CA", "AA"]);
    assert_ne!(both[0].msh(10), both[1].msh(10));
    let conditions = |ack: &Ack| (ack.msh(15).to_owned(), ack.msh(16).to_owned());
    assert_eq!(conditions(&both[0]), (String::new(), String::new()));
    assert_eq!(conditions(&both[1]), ("NE".into(), "NE".into()));
}

#[test]
fn one_that_is_missing_reads_as_never_and_one_that_is_unknown_as_missing() {
    for (accept, application, expected, kind) in [
        ("AL", "", "CA", "half_enhanced"),
        ("", "AL", "AA", "half_enhanced"),
        ("AL", "YES", "CA", "ack_condition"),
        ("Y", "N", "AA", "ack_condition"),
    ] {
        let lab = Lab::new();
        let mut peer = lab.peer();
        let answers = answers(&mut peer, adt_enhanced("HALF", accept, application));
        assert_eq!(
            codes(&answers, "HALF"),
            [expected],
            "{accept} {application}"
        );
        drop(peer);
        lab.assert_ended(&[("peer", 1)], &[(kind, 1)]);
    }
}

#[test]
fn messages_sent_ahead_are_answered_one_after_the_other_each_with_both_of_its_own() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let ids: Vec<String> = (0..20).map(|number| format!("AHEAD{number}")).collect();
    let all: Vec<u8> = ids
        .iter()
        .flat_map(|id| frame(adt_enhanced(id, "AL", "AL")))
        .collect();
    peer.send(all);
    for id in &ids {
        peer.ack().expect("CA", id);
        peer.ack().expect("AA", id);
    }
}

#[test]
fn the_accept_acknowledgement_waits_for_the_apps_word() {
    let lab = Lab::new();
    lab.app.always(Reply::ok().hold());
    let mut peer = lab.peer();
    peer.send(frame(adt_enhanced("WAIT", "AL", "AL")));
    lab.app.wait_for(1, PATIENCE);
    peer.expect_silence(SHORT);
    lab.app.release();
    peer.ack().expect("CA", "WAIT");
    peer.ack().expect("AA", "WAIT");
}

#[test]
fn a_message_that_the_bridge_refuses_is_told_as_its_msh_15_wants() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let refused = |id: &str, accept: &str, application: &str| {
        let asked = format!("|P|2.5.1|||{accept}|{application}\r");
        let in_ebcdic = format!("|P|2.5.1|||{accept}|{application}||EBCDIC\r");
        adt_enhanced(id, accept, application).replacen(&asked, &in_ebcdic, 1)
    };
    let answer = answers(&mut peer, refused("B1", "AL", "AL"));
    assert_eq!(codes(&answer, "B1"), ["CR"]);
    assert_eq!(answer[0].err()[0].component(3, 1), "103", "{}", answer[0]);
    let answer = answers(&mut peer, refused("B2", "NE", "ER"));
    assert_eq!(codes(&answer, "B2"), ["AR"]);
    assert!(answers(&mut peer, refused("B3", "SU", "NE")).is_empty());
    lab.assert_received(&[adt("BEHIND"), adt("BEHIND"), adt("BEHIND")]);
}

#[test]
fn mode_original_answers_everybody_in_original_mode_and_counts_who_asked_for_more() {
    let lab = Lab::with("ack: {mode: original}");
    let mut peer = lab.peer();
    let answer = answers(&mut peer, adt_enhanced("OLD", "AL", "NE"));
    assert_eq!(codes(&answer, "OLD"), ["AA"]);
    drop(peer);
    lab.assert_ended(&[("peer", 1)], &[("enhanced_mode", 1)]);
}

#[test]
fn a_suppressed_application_acknowledgement_is_not_sent() {
    let lab = Lab::with("ack: {application: suppressed}");
    let mut peer = lab.peer();
    let answer = answers(&mut peer, adt_enhanced("SUP", "AL", "AL"));
    assert_eq!(codes(&answer, "SUP"), ["CA"]);
    assert!(answers(&mut peer, adt_enhanced("SUP2", "NE", "AL")).is_empty());
}

/// An app that answers with this HL7.
fn answering(body: String) -> Lab {
    let lab = Lab::new();
    let reply = Reply::status(200).header("Content-Type", "application/hl7-v2");
    lab.app.always(reply.body(body));
    lab
}

fn own(code: &str, control_id: &str) -> String {
    format!(
        "MSH|^~\\&|BRIDGE|CLOUD|REGADT|GENHOSP|20261122101501||RSP^K22^RSP_K21|OWN9|P|2.5.1|||AL|NE\r\
         MSA|{code}|{control_id}\rERR|||204^Unknown key identifier^HL70357|E||||no such ward\rQAK|Q1|OK\r"
    )
}

#[test]
fn the_apps_own_answer_comes_second_byte_for_byte() {
    let lab = answering(own("AA", "QRY"));
    let mut peer = lab.peer();
    peer.send(frame(adt_enhanced("QRY", "AL", "AL")));
    peer.ack().expect("CA", "QRY");
    let second = peer.read_frame().expect("the app's answer");
    assert_eq!(String::from_utf8_lossy(&second), own("AA", "QRY"));
    // It asked for an accept acknowledgement. That is not answered, or both would go on for ever.
    let commit = "MSH|^~\\&|REGADT|GENHOSP|BRIDGE|CLOUD|20261122101502||ACK^K22^ACK|C1|P|2.5.1\rMSA|CA|OWN9\r";
    peer.send(frame(commit));
    peer.expect_silence(SHORT);
    drop(peer);
    lab.assert_received(&[adt_enhanced("QRY", "AL", "AL")]);
    lab.assert_ended(&[("peer", 1)], &[("accept_ack", 1)]);
}

#[test]
fn an_app_that_refuses_in_its_own_words_is_told_as_ce() {
    let lab = answering(own("AE", "NO"));
    let mut peer = lab.peer();
    peer.send(frame(adt_enhanced("NO", "AL", "AL")));
    let ack = peer.ack();
    ack.expect("CE", "NO");
    assert_eq!(ack.err()[0].component(3, 1), "204", "{ack}");
    assert_eq!(ack.err()[0].field(8), "no such ward", "{ack}");
    // Where MSH-15 wants none, the app's own words are the answer.
    peer.send(frame(adt_enhanced("NO", "NE", "AL")));
    let own_words = peer.read_frame().expect("the app's answer");
    assert_eq!(String::from_utf8_lossy(&own_words), own("AE", "NO"));
}

#[test]
fn an_app_that_answers_with_an_accept_acknowledgement_has_it_sent_as_one() {
    let lab = answering(own("CA", "LATER"));
    let mut peer = lab.peer();
    peer.send(frame(adt_enhanced("LATER", "AL", "AL")));
    let first = peer.read_frame().expect("the app's answer");
    assert_eq!(String::from_utf8_lossy(&first), own("CA", "LATER"));
    peer.expect_silence(SHORT);
}

#[test]
fn an_app_that_refuses_with_an_accept_acknowledgement_is_heard_where_msh_15_wants_none() {
    let lab = answering(own("CE", "NOT"));
    let mut peer = lab.peer();
    let ack = peer.exchange(adt_enhanced("NOT", "NE", "AL"));
    ack.expect("AE", "NOT");
    assert_eq!(ack.err()[0].field(8), "no such ward", "{ack}");
    peer.send(frame(adt_enhanced("NOT", "AL", "AL")));
    let first = peer.read_frame().expect("the app's answer");
    assert_eq!(String::from_utf8_lossy(&first), own("CE", "NOT"));
    peer.expect_silence(SHORT);
}

#[test]
fn an_app_that_is_away_is_told_as_the_configuration_says() {
    for (unavailable, expected) in [("error", ["CE", "AE"]), ("reject", ["CR", "AR"])] {
        let ack = format!("ack: {{deadline: 60ms, unavailable: {unavailable}}}");
        let lab = Lab::with_deliver(&ack, "retry: {initial: 50ms, max: 50ms}");
        lab.app.always(Reply::status(503));
        let mut peer = lab.peer();
        peer.exchange(adt_enhanced("AWAY", "AL", "AL"))
            .expect(expected[0], "AWAY");
        peer.exchange(adt_enhanced("AWAY", "NE", "AL"))
            .expect(expected[1], "AWAY");
    }
    let ack = "ack: {deadline: 60ms, unavailable: close}";
    let lab = Lab::with_deliver(ack, "retry: {initial: 50ms, max: 50ms}");
    lab.app.always(Reply::status(503));
    let mut peer = lab.peer();
    peer.send(frame(adt_enhanced("AWAY", "AL", "AL")));
    peer.expect_close();
}

#[test]
fn a_message_behind_an_accept_acknowledgement_in_one_block_is_not_swallowed() {
    let lab = Lab::new();
    let commit = "MSH|^~\\&|REGADT|GENHOSP|BRIDGE|CLOUD|2026||ACK|C1|P|2.5.1\rMSA|CA|OWN9\r";
    let mut peer = lab.peer();
    peer.exchange(commit.to_owned() + &adt("BEHIND"))
        .expect("AA", "BEHIND");
    lab.assert_received(&[adt("BEHIND")]);
}

#[test]
fn in_mode_original_an_accept_acknowledgement_is_a_message_like_any_other() {
    let lab = Lab::with("ack: {mode: original}");
    let commit = "MSH|^~\\&|REGADT|GENHOSP|BRIDGE|CLOUD|2026||ACK|C1|P|2.5.1\rMSA|CA|OWN9\r";
    lab.peer().exchange(commit).expect("AA", "C1");
    lab.assert_received(&[commit]);
}

#[test]
fn what_is_suppressed_is_not_counted_as_unwanted() {
    let lab = Lab::with("ack: {application: suppressed}");
    let mut peer = lab.peer();
    for (id, accept, application) in [("S", "NE", "AL"), ("U", "NE", "NE"), ("C", "AL", "AL")] {
        answers(&mut peer, adt_enhanced(id, accept, application));
    }
    lab.bridge
        .wait_for_metric("mllp_bridge_acks_total", &[("code", "CA")], 1.0);
    let acks = |code| {
        lab.bridge
            .metric_sum("mllp_bridge_acks_total", &[("code", code)])
    };
    assert_eq!((acks("suppressed"), acks("unwanted")), (1.0, 1.0));
}
