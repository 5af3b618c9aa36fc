//! Sequence numbers: MSH-13, MSA-4, and the last one over restarts.

use super::*;
use support::peer::Ack;

const ON: &str = "ack: {sequence_numbers: true}";
const ON_AND_NO_DUPLICATES: &str =
    "ack: {sequence_numbers: true, deadline: 2s}\n  duplicates: {window: off}";

/// A message with this MSH-13, from this application.
fn from(application: &str, number: &str, id: &str) -> String {
    format!(
        "MSH|^~\\&|{application}|FAC|R|G|20260102||ADT^A01|{id}|P|2.5|{number}\rPID|||{id}^^^X||MUSTER^ERIKA\r"
    )
}

fn numbered(number: i64) -> String {
    from("APP", &number.to_string(), &format!("N{number}"))
}

/// A message of the link itself: 0 or -1, and nothing behind its header.
fn link(number: &str) -> String {
    format!("MSH|^~\\&|APP|FAC|R|G|20260102||ADT^A01|LINK|P|2.5|{number}\r")
}

/// MSA-1 and MSA-4 of the answer.
#[track_caller]
fn ask(peer: &mut RawPeer, message: &str) -> (String, String) {
    let ack = peer.exchange(message);
    (ack.msa1().to_owned(), msa4(&ack))
}

fn msa4(ack: &Ack) -> String {
    ack.segment("MSA").field(4).to_owned()
}

#[track_caller]
fn assert_answers(peer: &mut RawPeer, dialogue: &[(String, &str, &str)]) {
    for (at, (message, code, number)) in dialogue.iter().enumerate() {
        let (msa1, msa4) = ask(peer, message);
        let msh = message.split('\r').next().unwrap();
        assert_eq!((&*msa1, &*msa4), (*code, *number), "answer {at}, to {msh}");
    }
}

#[test]
fn a_link_starts_runs_breaks_and_is_synchronised_anew() {
    let lab = Lab::with(ON_AND_NO_DUPLICATES);
    let bridge = lab.start();
    let mut peer = RawPeer::connect(bridge.address());
    assert_answers(
        &mut peer,
        &[
            (link("0"), "AA", "-1"),
            (numbered(41), "AA", "41"),
            (numbered(42), "AA", "42"),
            (link("0"), "AA", "43"),
            // Its acknowledgement was lost, a gap, one from long ago: each is told what is expected.
            (numbered(42), "AE", "43"),
            (numbered(44), "AE", "43"),
            (numbered(1), "AE", "43"),
            (numbered(43), "AA", "43"),
            (link("-1"), "AA", "-1"),
            (link("0"), "AA", "-1"),
            (numbered(7), "AA", "7"),
            (numbered(8), "AA", "8"),
            // Not in the protocol.
            (from("APP", "", "PLAIN"), "AA", ""),
            (from("APP", "\"\"", "NULL"), "AA", ""),
            (numbered(9), "AA", "9"),
        ],
    );
    let expected = ["N41", "N42", "N43", "N7", "N8", "PLAIN", "NULL", "N9"];
    assert_eq!(lab.asked(), expected);
    let ack = peer.exchange(numbered(3));
    let err = ack.err()[0];
    assert_eq!(err.field(2), "MSH^1^13");
    assert_eq!(err.component(3, 1), "207");
    let counted = |name: &str, label| {
        let name = format!("mllp_bridge_{name}");
        bridge.wait_for_metric(&name, &[label], 1.0)
    };
    assert_eq!(counted("messages_total", ("outcome", "link")), 4.0);
    assert_eq!(counted("refused_total", ("reason", "sequence")), 4.0);
    bridge.stop();
}

#[test]
fn only_what_was_accepted_has_a_number() {
    let lab = Lab::with(ON_AND_NO_DUPLICATES);
    let bridge = lab.start();
    let mut peer = RawPeer::connect(bridge.address());
    lab.app.script([
        Reply::ok(),
        Reply::status(422),
        Reply::status(409),
        Reply::ok(),
        Reply::ok(),
    ]);
    assert_answers(
        &mut peer,
        &[
            (numbered(1), "AA", "1"),
            (numbered(2), "AE", "2"),
            (numbered(3), "AE", "2"),
            (numbered(2), "AE", "2"),
            (numbered(2), "AA", "2"),
            (numbered(3), "AA", "3"),
        ],
    );
    assert_eq!(lab.asked(), ["N1", "N2", "N2", "N2", "N3"]);
    bridge.stop();
}

/// Zeros as a filler, and a message that is mistaken for a start: acknowledged without the app they would be lost.
#[test]
fn a_message_with_content_is_never_answered_as_a_start() {
    let lab = Lab::with(ON);
    let bridge = lab.start();
    let mut peer = RawPeer::connect(bridge.address());
    for number in ["0", "-1", "x", "-5", "1.5"] {
        let ack = peer.exchange(from("APP", number, "ID"));
        ack.expect("AE", "ID");
        assert_eq!(msa4(&ack), "", "{number}");
        assert_eq!(ack.err()[0].component(3, 1), "102", "{number}");
    }
    assert_eq!(lab.asked(), [""; 0]);
    let labels = [("reason", "bad_sequence")];
    bridge.wait_for_metric("mllp_bridge_refused_total", &labels, 5.0);
    bridge.stop();
}

#[test]
fn partners_count_for_themselves_and_so_do_listeners_without_the_protocol() {
    let lab = Lab::with(ON);
    let bridge = lab.start();
    let mut peer = RawPeer::connect(bridge.address());
    assert_answers(
        &mut peer,
        &[
            (numbered(10), "AA", "10"),
            (from("OTHER", "500", "O500"), "AA", "500"),
            (numbered(11), "AA", "11"),
            (from("OTHER", "501", "O501"), "AA", "501"),
        ],
    );
    bridge.stop();

    let lab = Lab::new("process");
    let bridge = lab.start();
    let mut peer = RawPeer::connect(bridge.address());
    for number in ["0", "7", "7", "-1", "x"] {
        let id = format!("ID{number}");
        assert_eq!(
            ask(&mut peer, &from("APP", number, &id)),
            ("AA".into(), String::new())
        );
    }
    assert_eq!(lab.asked().len(), 4, "7 and 7 are the same bytes");
    bridge.stop();
}

#[test]
fn a_resend_is_a_duplicate_and_the_same_number_with_other_content_is_an_error() {
    let lab = Lab::with("ack: {sequence_numbers: true}\n  duplicates: {window: 1h}");
    let bridge = lab.start();
    let first = exchange(&bridge, &numbered(5));
    assert!(first.contains("MSA|AA|N5||5\r"), "{first}");
    assert_eq!(exchange(&bridge, &numbered(5)), first);
    let mut peer = RawPeer::connect(bridge.address());
    let other = numbered(5).replace("MUSTER^ERIKA", "BEISPIEL^OTTO");
    assert_answers(&mut peer, &[(other, "AE", "6"), (numbered(6), "AA", "6")]);
    kill(bridge);
    let bridge = lab.start();
    assert_eq!(exchange(&bridge, &numbered(5)), first);
    assert_eq!(lab.asked(), ["N5", "N6"]);
    bridge.stop();
}

#[test]
fn the_last_number_outlives_the_process() {
    for durability in ["power-loss", "process"] {
        let mut lab = Lab::new(durability);
        lab.listener = ON_AND_NO_DUPLICATES;
        let bridge = lab.start();
        exchange(&bridge, &numbered(100));
        exchange(&bridge, &numbered(101));
        exchange(&bridge, &from("OTHER", "7", "O7"));
        kill(bridge);
        let bridge = lab.start();
        let mut peer = RawPeer::connect(bridge.address());
        assert_answers(
            &mut peer,
            &[
                (link("0"), "AA", "102"),
                (numbered(101), "AE", "102"),
                (from("OTHER", "7", "O7"), "AE", "8"),
                (numbered(102), "AA", "102"),
                (link("-1"), "AA", "-1"),
            ],
        );
        kill(bridge);
        let bridge = lab.start();
        let mut peer = RawPeer::connect(bridge.address());
        assert_answers(
            &mut peer,
            &[(link("0"), "AA", "-1"), (numbered(3), "AA", "3")],
        );
        bridge.stop();
    }
}

/// Two connections of one partner, both with the expected number: one of them has it.
#[test]
fn one_number_is_taken_once() {
    let lab = Lab::with(ON_AND_NO_DUPLICATES);
    let bridge = lab.start();
    exchange(&bridge, &numbered(1));
    lab.app.script([Reply::ok().hold()]);
    let mut peers = [0, 1].map(|_| RawPeer::connect(bridge.address()));
    peers[0].send(frame(from("APP", "2", "FIRST")));
    lab.app.wait_for(2, PATIENCE);
    peers[1].send(frame(from("APP", "2", "SECOND")));
    bridge.wait_for_metric("mllp_bridge_exchanges_in_flight", &[], 2.0);
    // Another partner does not wait for them.
    exchange(&bridge, &from("OTHER", "2", "OTHER"));
    lab.app.release();
    let [first, second] = peers.each_mut().map(RawPeer::ack);
    first.expect("AA", "FIRST");
    second.expect("AE", "SECOND");
    assert_eq!([msa4(&first), msa4(&second)], ["2", "3"]);
    assert_eq!(lab.asked(), ["N1", "FIRST", "OTHER"]);
    bridge.stop();
}

#[test]
fn both_acknowledgements_of_enhanced_mode_have_the_number() {
    let lab = Lab::with(ON);
    let bridge = lab.start();
    let mut peer = RawPeer::connect(bridge.address());
    let message = numbered(4).replace("|2.5|4\r", "|2.5|4||AL|AL\r");
    peer.send(frame(message));
    for code in ["CA", "AA"] {
        let ack = peer.ack();
        assert_eq!((ack.msa1(), &*msa4(&ack)), (code, "4"));
    }
    bridge.stop();
}

#[test]
fn killed_before_the_app_has_answered_the_number_is_still_expected() {
    let lab = Lab::with(ON_AND_NO_DUPLICATES);
    let bridge = lab.start();
    exchange(&bridge, &numbered(1));
    lab.app.script([Reply::ok().hold()]);
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(numbered(2)));
    lab.app.wait_for(2, PATIENCE);
    kill(bridge);
    lab.app.release();
    let bridge = lab.start();
    let mut peer = RawPeer::connect(bridge.address());
    assert_answers(
        &mut peer,
        &[(link("0"), "AA", "2"), (numbered(2), "AA", "2")],
    );
    assert_eq!(lab.asked(), ["N1", "N2", "N2"]);
    bridge.stop();
}
