//! Larger than `max_message_bytes`: refused with an answer that its sender can match, on a connection that lives on.

use crate::lab::{Lab, expect_acks, join};
use crate::support::messages::{CR, FS, VT, adt, adt_of_size, adt_version, frame};

const LIMITS: &str = "limits: { max_message_bytes: 8KiB }\nframing: { end_idle: 10s }";

#[test]
fn larger_than_the_cap_is_answered_ar_104_and_the_same_connection_keeps_working() {
    for chunk in [usize::MAX, 1000] {
        let lab = Lab::with(LIMITS);
        let mut peer = lab.peer();
        peer.exchange(adt("O1")).expect("AA", "O1");
        for (id, bytes) in [("O2", 8193), ("O3", 20_000), ("O4", 1_000_000)] {
            let framed = frame(adt_of_size(id, bytes));
            if framed.len() < 100_000 {
                peer.send_chunks(framed, &[chunk]);
            } else {
                peer.send(framed);
            }
            let ack = expect_acks(&mut peer, &[("AR", id)]).remove(0);
            let errors = ack.err();
            assert_eq!(errors.len(), 1, "{ack}");
            assert_eq!(errors[0].component(3, 1), "104", "{ack}");
            assert_eq!(errors[0].component(3, 3), "HL70357", "{ack}");
        }
        peer.exchange(adt("O5")).expect("AA", "O5");
        drop(peer);
        lab.assert_received(&[adt("O1"), adt("O5")]);
        lab.assert_ended(&[("peer", 1)], &[("oversized", 3)]);
        lab.assert_refused(&[("too_large", 3)]);
    }
}

#[test]
fn an_oversized_message_before_2_5_gets_the_old_err_segment() {
    let lab = Lab::with(LIMITS);
    let mut peer = lab.peer();
    let message = adt_version("2.3", "O6") + "NTE|1|L|" + &"x".repeat(9000) + "\r";
    let ack = peer.exchange(message);
    ack.expect("AR", "O6");
    assert!(ack.err()[0].field(1).starts_with("^^^104&"), "{ack}");
    assert!(!ack.msa3().is_empty(), "{ack}");
}

#[test]
fn oversized_frames_and_others_in_one_write_are_answered_in_order() {
    let lab = Lab::with(LIMITS);
    let mut peer = lab.peer();
    peer.send(join(&[
        &frame(adt("A1")),
        &frame(adt_of_size("A2", 9000)),
        &frame(adt("A3")),
        &frame(adt_of_size("A4", 90_000)),
        &frame(adt_of_size("A5", 9000)),
        &frame(adt("A6")),
    ]));
    let expected = [
        ("AA", "A1"),
        ("AR", "A2"),
        ("AA", "A3"),
        ("AR", "A4"),
        ("AR", "A5"),
        ("AA", "A6"),
    ];
    expect_acks(&mut peer, &expected);
    drop(peer);
    lab.assert_received(&[adt("A1"), adt("A3"), adt("A6")]);
    lab.assert_ended(&[("peer", 1)], &[("oversized", 3)]);
}

#[test]
fn an_oversized_frame_with_fs_inside_and_an_odd_end_is_one_frame() {
    for (end, kind) in [(&[FS, b'\n'][..], "end_lf"), (&[FS], "end_without_cr")] {
        for chunk in [usize::MAX, 1] {
            let lab = Lab::with(LIMITS);
            let mut peer = lab.peer();
            let mut big = adt_of_size("F1", 9000);
            big.push_str("NTE|2||\u{1c}x\u{1c}\u{1c}y\r");
            peer.send(join(&[&[VT], &big.as_bytes()[..8990]]));
            let rest = join(&[&big.as_bytes()[8990..], end, &frame(adt("F2"))[..2]]);
            peer.send_chunks(rest, &[chunk]);
            peer.send(&frame(adt("F2"))[2..]);
            expect_acks(&mut peer, &[("AR", "F1"), ("AA", "F2")]);
            drop(peer);
            lab.assert_received(&[adt("F2")]);
            println!("{kind}, chunks of {chunk}");
            lab.assert_ended(&[("peer", 1)], &[(kind, 1), ("oversized", 1)]);
        }
    }
}

#[test]
fn vt_inside_an_oversized_frame_never_lets_its_remnant_be_acked() {
    let lab = Lab::with(LIMITS);
    let mut peer = lab.peer();
    let big = adt_of_size("R1", 20_000);
    let (before, after) = big.as_bytes().split_at(15_000);
    peer.send(join(&[&[VT], before, &[VT], after, &[FS, CR]]));
    peer.expect_close();
    lab.assert_received::<&[u8]>(&[]);
    lab.assert_ended(&[("not_hl7", 1)], &[("restarted", 1)]);
}

#[test]
fn eof_inside_an_oversized_frame_is_counted_truncated_and_not_answered() {
    let lab = Lab::with(LIMITS);
    let mut peer = lab.peer();
    peer.send(&frame(adt_of_size("R2", 20_000))[..15_000]);
    peer.half_close();
    peer.expect_close();
    lab.assert_ended(&[("peer", 1)], &[("truncated", 1)]);
}

#[test]
fn an_oversized_frame_whose_msh_goes_on_for_ever_is_not_answered_with_a_part_of_its_control_id() {
    let lab = Lab::with(LIMITS);
    let mut peer = lab.peer();
    let id = "7".repeat(9000);
    let message = format!("MSH|^~\\&|A|B|C|D|2026||ADT^A01|{id}|P|2.5\r");
    let ack = peer.exchange(message);
    assert_ne!(ack.msa1(), "AA");
    assert_eq!(
        ack.msa2(),
        "",
        "a part of MSH-10 is another message's MSH-10"
    );
    peer.exchange(adt("R3")).expect("AA", "R3");
}

#[test]
fn an_oversized_frame_that_is_not_hl7_is_closed_and_counted() {
    let lab = Lab::with(LIMITS);
    let mut peer = lab.peer();
    let _ = peer.try_send(frame(vec![b'x'; 20_000]));
    peer.expect_close();
    lab.assert_ended(&[("not_hl7", 1)], &[("oversized", 1)]);
    lab.assert_refused(&[("not_hl7", 1)]);
}
