//! HLLP: the count, the checksum, and what is refused and sent again.

use crate::blocks::{Check, hllp, open};
use crate::lab::{Lab, SHORT};
use crate::support::app::Reply;
use crate::support::messages::{adt, adt_enhanced, adt_of_size, frame};
use crate::support::peer::{Ack, RawPeer};

const HLLP: &str = "framing: { kind: hllp, end_idle: 10s }";

#[track_caller]
fn answer(peer: &mut RawPeer, check: Check) -> Ack {
    let block = peer.read_frame().expect("an answer");
    Ack::parse(open(b'D', &block, check))
}

/// The letter of a refusal.
#[track_caller]
fn refusal(peer: &mut RawPeer) -> char {
    let block = peer.read_frame().expect("a refusal");
    let data = open(b'N', &block, Check::Xor);
    assert_eq!(data.len(), 1, "{}", data.escape_ascii());
    char::from(data[0])
}

#[track_caller]
fn exchange(peer: &mut RawPeer, message: impl AsRef<[u8]>) -> Ack {
    peer.send(hllp('D', message, Check::Xor));
    answer(peer, Check::Xor)
}

#[test]
fn a_message_and_its_answer_are_data_blocks() {
    let lab = Lab::with(HLLP);
    let mut peer = lab.peer();
    for id in ["A1", "A2"] {
        exchange(&mut peer, adt(id)).expect("AA", id);
    }
    peer.send_chunks(hllp('D', adt("A3"), Check::Xor), &[5]);
    answer(&mut peer, Check::Xor).expect("AA", "A3");
    lab.assert_received(&[adt("A1"), adt("A2"), adt("A3")]);
    peer.half_close();
    peer.expect_close();
    lab.assert_ended(&[("peer", 1)], &[]);
}

#[test]
fn each_kind_of_checksum() {
    for (key, check) in [
        ("xor", Check::Xor),
        ("sum", Check::Sum),
        ("none", Check::None),
    ] {
        let lab = Lab::with(&format!(
            "framing: {{ kind: hllp, hllp: {{ checksum: {key} }}, end_idle: 10s }}"
        ));
        let mut peer = lab.peer();
        peer.send(hllp('D', adt("K1"), check));
        answer(&mut peer, check).expect("AA", "K1");
        // 999 is always "not checked".
        peer.send(hllp('D', adt("K2"), Check::None));
        answer(&mut peer, check).expect("AA", "K2");
        lab.assert_received(&[adt("K1"), adt("K2")]);
    }
}

/// A block whose digits were changed: count and checksum.
fn with_digits(message: &str, at: usize) -> Vec<u8> {
    let mut block = hllp('D', message, Check::Xor);
    let place = block.len() - 10 + at;
    block[place] = if block[place] == b'7' { b'8' } else { b'7' };
    block
}

#[test]
fn a_damaged_block_is_refused_with_its_reason_and_delivered_when_it_comes_again() {
    let lab = Lab::with(&format!("limits: {{ max_message_bytes: 8KiB }}\n{HLLP}"));
    let mut peer = lab.peer();
    let long = hllp('D', adt_of_size("L1", 9000), Check::Xor);
    let cases = [
        (with_digits(&adt("B1"), 4), 'C', "bad_count"),
        (with_digits(&adt("B1"), 7), 'X', "bad_checksum"),
        (hllp('D', adt("B1"), Check::Sum), 'X', "bad_checksum"),
        (long, 'B', "too_large"),
        (frame(adt("B1")), 'G', "bad_block"),
        (frame(""), 'G', "bad_block"),
        (hllp('Q', adt("B1"), Check::Xor), 'G', "bad_block"),
        (hllp('D', "hello", Check::Xor), 'G', "not_hl7"),
        (hllp('D', "", Check::Xor), 'G', "not_hl7"),
    ];
    for (block, letter, reason) in cases {
        let refused = || {
            let reason = [("reason", reason)];
            lab.bridge.metric_sum("mllp_bridge_refused_total", &reason)
        };
        let before = refused();
        peer.send(&block);
        assert_eq!(refusal(&mut peer), letter, "{}", block.escape_ascii());
        assert_eq!(refused(), before + 1.0, "{reason}");
    }
    assert!(lab.received().is_empty());
    exchange(&mut peer, adt("B1")).expect("AA", "B1");
    lab.assert_received(&[adt("B1")]);
}

/// Whatever `max_message_bytes` allows, the count has five digits.
#[test]
fn what_hllp_cannot_count_is_refused() {
    let lab = Lab::with(HLLP);
    let mut peer = lab.peer();
    exchange(&mut peer, adt_of_size("M1", 99_994)).expect("AA", "M1");
    peer.send(hllp('D', adt_of_size("M2", 99_995), Check::Xor));
    assert_eq!(refusal(&mut peer), 'B');
    exchange(&mut peer, adt("M3")).expect("AA", "M3");
    assert_eq!(lab.app.requests().len(), 2);
}

#[test]
fn a_refused_answer_is_sent_again_and_then_given_up() {
    let lab = Lab::with("framing: { kind: hllp, resends: 2, end_idle: 10s }");
    let mut peer = lab.peer();
    let refused = hllp('N', "X", Check::Xor);
    // Nothing was sent yet.
    peer.send(&refused);
    exchange(&mut peer, adt("N1")).expect("AA", "N1");
    for _ in 0..2 {
        peer.send(&refused);
        answer(&mut peer, Check::Xor).expect("AA", "N1");
    }
    // Each answer has its own count.
    exchange(&mut peer, adt("N2")).expect("AA", "N2");
    for _ in 0..2 {
        peer.send(&refused);
        answer(&mut peer, Check::Xor).expect("AA", "N2");
    }
    peer.send(&refused);
    peer.expect_close();
    lab.assert_received(&[adt("N1"), adt("N2")]);
    lab.assert_ended(
        &[("not_committed", 1)],
        &[("answer_refused", 5), ("unasked_commit", 1)],
    );
}

#[test]
fn both_acknowledgements_of_enhanced_mode_are_sent_again() {
    let lab = Lab::with(HLLP);
    let mut peer = lab.peer();
    peer.send(hllp('D', adt_enhanced("E1", "AL", "AL"), Check::Xor));
    for _ in 0..2 {
        answer(&mut peer, Check::Xor).expect("CA", "E1");
        answer(&mut peer, Check::Xor).expect("AA", "E1");
        peer.send(hllp('N', "C", Check::Xor));
    }
    assert_eq!(lab.app.requests().len(), 1);
}

/// Two ends that disagree about the checksum would otherwise refuse each other's refusals for ever.
#[test]
fn a_refusal_is_never_refused() {
    let lab = Lab::with(HLLP);
    let mut peer = lab.peer();
    exchange(&mut peer, adt("F1")).expect("AA", "F1");
    peer.send(hllp('N', "X", Check::Sum));
    peer.expect_silence(SHORT);
    // Nor is one answered by the answer before last: this refusal was about the bridge's own.
    peer.send(with_digits(&adt("F2"), 7));
    assert_eq!(refusal(&mut peer), 'X');
    peer.send(hllp('N', "X", Check::Xor));
    peer.expect_silence(SHORT);
    exchange(&mut peer, adt("F3")).expect("AA", "F3");
    assert_eq!(lab.deviations().get("unasked_commit"), Some(&2));
}

#[test]
fn an_answer_that_hllp_cannot_count_is_not_sent() {
    let lab = Lab::with(HLLP);
    let own = format!(
        "MSH|^~\\&|B|A|||2026||ACK|1|P|2.5.1\rMSA|AA|O1\rNTE|1||{}\r",
        "x".repeat(100_000)
    );
    lab.app.script([Reply::ok()
        .header("Content-Type", "x-application/hl7-v2+er7")
        .body(own)]);
    let mut peer = lab.peer();
    exchange(&mut peer, adt("O1")).expect("AE", "O1");
    // As many faults as make an acknowledgement too long.
    let error = serde_json::json!({"detail": "x".repeat(200)});
    let errors: Vec<_> = (0..600).map(|_| error.clone()).collect();
    lab.app.script([Reply::problem(
        422,
        &serde_json::json!({ "errors": errors }),
    )]);
    exchange(&mut peer, adt("O2")).expect("AE", "O2");
}
