//! MLLP Release 2: what is committed, when, and what is not.

use std::time::Duration;

use crate::blocks::{ACK, NAK};
use crate::lab::{Lab, SHORT};
use crate::support::PATIENCE;
use crate::support::app::{Reply, TestApp};
use crate::support::bridge::Bridge;
use crate::support::messages::{adt, adt_enhanced, adt_of_size, frame};
use crate::support::peer::{Ack, NoFrame, RawPeer};

const MLLP2: &str = "framing: { kind: mllp2, end_idle: 10s }";

/// The next block's only byte.
#[track_caller]
fn commit(peer: &mut RawPeer) -> u8 {
    match peer.read_frame() {
        Ok(block) if block.len() == 1 => block[0],
        other => panic!("expected a commit block, got {other:?}"),
    }
}

#[track_caller]
fn expect_ack(peer: &mut RawPeer) {
    assert_eq!(commit(peer), 0x06, "expected ACK");
}

#[track_caller]
fn expect_nak(peer: &mut RawPeer) {
    assert_eq!(commit(peer), 0x15, "expected NAK");
}

/// Sends a message, and commits its answer.
#[track_caller]
fn exchange(peer: &mut RawPeer, message: impl AsRef<[u8]>) -> Ack {
    peer.send(frame(message));
    expect_ack(peer);
    let ack = peer.ack();
    peer.send(ACK);
    ack
}

#[test]
fn a_message_is_committed_and_then_answered_by_a_block_of_its_own() {
    let lab = Lab::with(MLLP2);
    let mut peer = lab.peer();
    for id in ["A1", "A2", "A3"] {
        exchange(&mut peer, adt(id)).expect("AA", id);
    }
    lab.assert_received(&[adt("A1"), adt("A2"), adt("A3")]);
    peer.half_close();
    peer.expect_close();
    lab.assert_ended(&[("peer", 1)], &[]);
    assert_eq!(
        lab.bridge
            .metric_sum("mllp_bridge_acks_total", &[("code", "AA")]),
        3.0
    );
}

/// The bridge keeps nothing: its commit says that the app has the message.
#[test]
fn nothing_is_committed_while_the_app_is_at_work() {
    let lab = Lab::with(MLLP2);
    lab.app.script([Reply::ok().hold()]);
    let mut peer = lab.peer();
    peer.send(frame(adt("H1")));
    lab.app.wait_for(1, PATIENCE);
    peer.expect_silence(SHORT);
    lab.app.release();
    expect_ack(&mut peer);
    peer.ack().expect("AA", "H1");
}

#[test]
fn both_acknowledgements_of_enhanced_mode_are_committed_one_after_the_other() {
    let lab = Lab::with(MLLP2);
    let mut peer = lab.peer();
    peer.send(frame(adt_enhanced("E1", "AL", "AL")));
    expect_ack(&mut peer);
    peer.ack().expect("CA", "E1");
    peer.expect_silence(SHORT);
    peer.send(ACK);
    peer.ack().expect("AA", "E1");
    peer.send(ACK);
    exchange(&mut peer, adt("E2")).expect("AA", "E2");
}

#[test]
fn a_commit_block_may_come_in_pieces() {
    let lab = Lab::with(MLLP2);
    let mut peer = lab.peer();
    peer.send_chunks(frame(adt("P1")), &[7]);
    expect_ack(&mut peer);
    peer.ack().expect("AA", "P1");
    peer.send_chunks(ACK, &[1]);
    exchange(&mut peer, adt("P2")).expect("AA", "P2");
}

/// What the app refuses is committed, because an answer behind it says so; where none is wanted it is not, or its sender would take
/// the lone commit block for a yes.
#[test]
fn a_refusal_is_committed_if_it_is_told_and_not_otherwise() {
    let lab = Lab::with(MLLP2);
    lab.app.always(Reply::status(422));
    let mut peer = lab.peer();
    exchange(&mut peer, adt("R1")).expect("AE", "R1");
    exchange(&mut peer, adt_enhanced("R2", "ER", "NE")).expect("CE", "R2");
    peer.send(frame(adt_enhanced("R3", "NE", "NE")));
    expect_nak(&mut peer);
    lab.app.always(Reply::ok());
    peer.send(frame(adt_enhanced("R3", "NE", "NE")));
    expect_ack(&mut peer);
    exchange(&mut peer, adt("R4")).expect("AA", "R4");
    let nak = [("code", "NAK")];
    assert_eq!(lab.bridge.metric_sum("mllp_bridge_acks_total", &nak), 1.0);
}

#[test]
fn what_the_app_did_not_get_is_not_committed() {
    let app = TestApp::down();
    let bridge = Bridge::start(&format!(
        "listeners:\n  - name: adt\n    bind: 127.0.0.1:0\n    deliver: {{ url: '{}' }}\n    ack: {{ deadline: 200ms }}\n    {MLLP2}\n",
        app.url()
    ));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(adt("U1")));
    expect_nak(&mut peer);
    let app = app.up();
    // The sender's resend.
    exchange(&mut peer, adt("U1")).expect("AA", "U1");
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn what_cannot_be_taken_is_refused_and_the_connection_stays() {
    let limits = format!("limits: {{ max_message_bytes: 8KiB }}\n{MLLP2}");
    let lab = Lab::with(&limits);
    let mut peer = lab.peer();
    let wide: Vec<u8> = adt("W1").bytes().flat_map(|byte| [byte, 0]).collect();
    let long = adt_of_size("L1", 9000);
    let cases: [(&[u8], &str); 6] = [
        (long.as_bytes(), "too_large"),
        (b"\xff\xfeM\0S\0H\0", "wide"),
        (&wide, "wide"),
        (b"hello", "not_hl7"),
        (b"", "not_hl7"),
        // Begins with the byte of a commit block: content.
        (b"\x06MSH|^~\\&|A", "not_hl7"),
    ];
    for (place, (block, reason)) in cases.into_iter().enumerate() {
        let refused = || {
            let reason = [("reason", reason)];
            lab.bridge.metric_sum("mllp_bridge_refused_total", &reason)
        };
        let before = refused();
        peer.send(frame(block));
        expect_nak(&mut peer);
        assert_eq!(refused(), before + 1.0, "{reason}");
        let id = format!("G{place}");
        exchange(&mut peer, adt(&id)).expect("AA", &id);
    }
}

#[test]
fn a_commit_block_that_nobody_waits_for_is_dropped() {
    let lab = Lab::with(MLLP2);
    let mut peer = lab.peer();
    peer.send([&ACK[..], &NAK[..]].concat());
    exchange(&mut peer, adt("C1")).expect("AA", "C1");
    peer.send(NAK);
    exchange(&mut peer, adt("C2")).expect("AA", "C2");
    peer.half_close();
    peer.expect_close();
    lab.assert_ended(&[("peer", 1)], &[("unasked_commit", 3)]);
    lab.assert_received(&[adt("C1"), adt("C2")]);
}

#[test]
fn an_answer_that_is_refused_is_sent_again_and_then_given_up() {
    let lab = Lab::with("duplicates: {}\nframing: { kind: mllp2, resends: 2, end_idle: 10s }");
    let mut peer = lab.peer();
    peer.send(frame(adt("N1")));
    expect_ack(&mut peer);
    peer.ack().expect("AA", "N1");
    peer.send(NAK);
    peer.ack().expect("AA", "N1");
    peer.send(ACK);
    exchange(&mut peer, adt("N2")).expect("AA", "N2");

    peer.send(frame(adt("N3")));
    expect_ack(&mut peer);
    for _ in 0..3 {
        peer.ack().expect("AA", "N3");
        peer.send(NAK);
    }
    peer.expect_close();
    lab.assert_ended(&[("not_committed", 1)], &[("answer_refused", 4)]);
    let unwritten = lab
        .bridge
        .metric_sum("mllp_bridge_ack_unwritten_total", &[]);
    assert_eq!(unwritten, 1.0);
    // On another connection the resend gets the same answer, and the app is not asked again.
    let mut peer = lab.peer();
    exchange(&mut peer, adt("N3")).expect("AA", "N3");
    lab.assert_received(&[adt("N1"), adt("N2"), adt("N3")]);
}

#[test]
fn an_answer_that_is_not_committed_in_time_is_sent_again_and_then_given_up() {
    let lab =
        Lab::with("framing: { kind: mllp2, resends: 1, commit_timeout: 100ms, end_idle: 10s }");
    let mut peer = lab.peer();
    peer.send(frame(adt("T1")));
    expect_ack(&mut peer);
    peer.ack().expect("AA", "T1");
    peer.ack().expect("AA", "T1");
    peer.expect_close();
    lab.assert_ended(&[("not_committed", 1)], &[("commit_timeout", 2)]);
}

/// Its sender's timer ran out while the app was at work. One commit block answers both, or the next message would be committed by
/// the second one before the app has it.
#[test]
fn a_resend_while_the_app_is_at_work_is_answered_once() {
    let lab = Lab::with(&format!("duplicates: {{ window: off }}\n{MLLP2}"));
    lab.app.script([Reply::ok().hold()]);
    let mut peer = lab.peer();
    peer.send(frame(adt("S1")));
    lab.app.wait_for(1, PATIENCE);
    peer.send(frame(adt("S1")));
    peer.send(frame(adt("S1")));
    lab.app.release();
    expect_ack(&mut peer);
    peer.ack().expect("AA", "S1");
    peer.send(ACK);
    peer.expect_silence(SHORT);
    // Nothing of it is left for the next one.
    exchange(&mut peer, adt("S2")).expect("AA", "S2");
    lab.assert_received(&[adt("S1"), adt("S2")]);
    assert_eq!(lab.deviations().get("resent"), Some(&2));
}

#[test]
fn a_resend_that_crosses_a_lone_commit_block_is_dropped() {
    let lab = Lab::with(MLLP2);
    lab.app.script([Reply::ok().hold()]);
    let silent = adt_enhanced("X1", "NE", "NE");
    let mut peer = lab.peer();
    peer.send(frame(&silent));
    lab.app.wait_for(1, PATIENCE);
    peer.send(frame(&silent));
    lab.app.release();
    expect_ack(&mut peer);
    peer.expect_silence(SHORT);
    exchange(&mut peer, adt("X2")).expect("AA", "X2");
    lab.assert_received(&[silent, adt("X2")]);
}

/// Not a resend: its sender had the answer. It is answered like any message that comes again.
#[test]
fn a_message_that_is_sent_again_after_its_answer_was_committed_is_answered() {
    let lab = Lab::with(&format!("duplicates: {{}}\n{MLLP2}"));
    let mut peer = lab.peer();
    exchange(&mut peer, adt("D1")).expect("AA", "D1");
    exchange(&mut peer, adt("D1")).expect("AA", "D1");
    lab.assert_received(&[adt("D1")]);
    let duplicate = [("outcome", "duplicate")];
    assert_eq!(
        lab.bridge
            .metric_sum("mllp_bridge_messages_total", &duplicate),
        1.0
    );
}

/// The peer may send as soon as it has our commit block, and our answer is then still on its way.
#[test]
fn a_message_that_comes_before_the_commit_is_kept_until_then() {
    let lab = Lab::with(MLLP2);
    let mut peer = lab.peer();
    peer.send(frame(adt("K1")));
    expect_ack(&mut peer);
    peer.ack().expect("AA", "K1");
    peer.send([frame(adt("K2")), ACK.to_vec()].concat());
    expect_ack(&mut peer);
    peer.ack().expect("AA", "K2");
    // Longer than what the bridge has read at once.
    let long = adt_of_size("K3", 300_000);
    peer.send_chunks([frame(&long), ACK.to_vec()].concat(), &[100_000]);
    expect_ack(&mut peer);
    peer.ack().expect("AA", "K3");
    peer.send(ACK);
    lab.assert_received(&[adt("K1"), adt("K2"), long]);
    peer.half_close();
    peer.expect_close();
    lab.assert_ended(&[("peer", 1)], &[]);
}

#[test]
fn who_sends_two_messages_before_the_commit_does_not_keep_to_the_protocol() {
    let lab = Lab::with(MLLP2);
    let mut peer = lab.peer();
    peer.send(frame(adt("V1")));
    expect_ack(&mut peer);
    peer.ack().expect("AA", "V1");
    peer.send([frame(adt("V2")), frame(adt("V3"))].concat());
    peer.expect_close();
    lab.assert_received(&[adt("V1")]);
    lab.assert_ended(&[("not_committed", 1)], &[]);
}

/// A sender that has given up on one message and sends the next on the same connection. A commit block for the first would tell it
/// that the bridge has the second, which nobody has.
#[test]
fn a_commit_block_that_would_be_taken_for_another_messages_is_not_sent() {
    let others = [
        frame(adt("W2")),
        frame(adt("W2"))[..200].to_vec(),
        // As far as it goes it is the same, and then it ends.
        [&frame(adt("W1"))[..100], &[0x1C][..]].concat(),
        [frame(adt("W1")), frame(adt("W2"))].concat(),
        frame(""),
        vec![0x0B, 0x00],
        // Too long to be kept, with and without an end.
        frame(adt_of_size("W2", 20_000)),
        frame(adt_of_size("W2", 20_000))[..19_000].to_vec(),
    ];
    for other in others {
        let keys = "duplicates: {}\nlimits: { max_message_bytes: 8KiB }\n";
        let lab = Lab::with(&format!("{keys}{MLLP2}"));
        lab.app.script([Reply::ok().hold()]);
        let mut peer = lab.peer();
        peer.send(frame(adt("W1")));
        lab.app.wait_for(1, PATIENCE);
        peer.send(&other);
        lab.app.release();
        peer.expect_close();
        // Nothing is lost by it: both come again.
        let mut peer = lab.peer();
        exchange(&mut peer, adt("W1")).expect("AA", "W1");
        exchange(&mut peer, adt("W2")).expect("AA", "W2");
        lab.assert_received(&[adt("W1"), adt("W2")]);
    }
}

/// A copy that has not come to its end is still one, and so is a long one.
/// A copy that lies behind a NAK would be a message again, and its ACK be taken for one of whatever the sender has gone on to.
#[test]
fn behind_a_nak_no_copy_is_taken_for_a_new_message() {
    let ack = "ack: { deadline: 300ms }";
    let lab = Lab::with(&format!("{ack}\n{MLLP2}"));
    lab.app.script([Reply::ok().hold()]);
    let mut peer = lab.peer();
    peer.send(frame(adt("N1")));
    lab.app.wait_for(1, PATIENCE);
    peer.send(frame(adt("N1")));
    expect_nak(&mut peer);
    // The sender gives up on it and goes on: nothing commits what nobody has taken.
    peer.send(frame(adt("N2")));
    peer.expect_close();
    lab.app.release();
    lab.assert_received(&[adt("N1")]);
    lab.assert_ended(&[("not_committed", 1)], &[("resent", 1)]);
}

/// A lone commit block, or an answer that names some, would be a yes to all.
#[test]
fn a_batch_with_a_no_that_nobody_is_told_is_not_committed() {
    let asked =
        |id: &str, pair: &str| adt(id).replacen("|P|2.5.1\r", &format!("|P|2.5.1|||{pair}\r"), 1);
    for (first, second) in [("NE|NE", "NE|NE"), ("AL|NE", "NE|NE")] {
        let lab = Lab::with(&format!("duplicates: {{}}\n{MLLP2}"));
        lab.app.script([Reply::ok(), Reply::status(422)]);
        let mut peer = lab.peer();
        let both = asked("B1", first) + &asked("B2", second);
        peer.send(frame(&both));
        expect_nak(&mut peer);
        // It comes again; what was accepted is known.
        lab.app.script([Reply::ok()]);
        peer.send(frame(&both));
        expect_ack(&mut peer);
        lab.assert_received(&[asked("B1", first), asked("B2", second), asked("B2", second)]);
    }
}

#[test]
fn a_resend_that_is_under_way_is_answered_once() {
    let lab = Lab::with(MLLP2);
    let mut delivered = 0;
    for (id, size, cut) in [
        ("Y1", 2_000, 700),
        ("Y2", 300_000, 299_999),
        ("Y3", 2_000, 1),
    ] {
        let message = adt_of_size(id, size);
        let block = frame(&message);
        lab.app.script([Reply::ok().hold()]);
        let mut peer = lab.peer();
        peer.send(&block);
        lab.app.wait_for(delivered + 1, PATIENCE);
        peer.send(&block);
        peer.send(&block[..cut]);
        lab.app.release();
        expect_ack(&mut peer);
        peer.ack().expect("AA", id);
        peer.send([&block[cut..], &ACK].concat());
        exchange(&mut peer, adt(&format!("{id}B"))).expect("AA", &format!("{id}B"));
        delivered += 2;
        assert_eq!(lab.app.requests().len(), delivered, "{id}");
    }
}

#[test]
fn a_block_that_does_not_end_in_time_is_refused_before_the_connection_closes() {
    let lab = Lab::with(&format!("limits: {{ frame_timeout: 200ms }}\n{MLLP2}"));
    let mut peer = lab.peer();
    peer.send(b"\x0bMSH|^~\\&|A");
    expect_nak(&mut peer);
    peer.expect_close();
    lab.assert_ended(&[("frame_timeout", 1)], &[]);
}

/// What is under way is finished, its commit included.
#[test]
fn the_drain_waits_for_the_commit() {
    let lab = Lab::with(MLLP2);
    let mut peer = lab.peer();
    peer.send(frame(adt("Z1")));
    expect_ack(&mut peer);
    peer.ack().expect("AA", "Z1");
    lab.bridge.terminate();
    lab.bridge.wait_for_log("draining");
    peer.expect_silence(SHORT);
    peer.send(ACK);
    peer.expect_close();
    lab.bridge.stop_within(Duration::from_secs(5));
}

#[test]
fn a_sender_that_goes_without_committing_has_its_message_delivered_once() {
    let lab = Lab::with(MLLP2);
    let mut peer = lab.peer();
    peer.send(frame(adt("Q1")));
    peer.half_close();
    expect_ack(&mut peer);
    peer.ack().expect("AA", "Q1");
    assert!(matches!(peer.read_frame(), Err(NoFrame::Closed { .. })));
    lab.assert_received(&[adt("Q1")]);
    let unwritten = lab
        .bridge
        .wait_for_metric("mllp_bridge_ack_unwritten_total", &[], 1.0);
    assert_eq!(unwritten, 1.0);
}
