//! Blocks: what stands around and between them, and how they end.

use crate::lab::{Lab, SHORT, expect_acks, join, send_segments};
use crate::support::messages::{CR, FS, VT, adt, frame, oru};

const LF: u8 = b'\n';

#[test]
fn junk_before_vt_is_skipped_and_counted_once_a_run() {
    for junk in [
        &b"\0"[..],
        b"\0\0\0\0\0\0\0\0",
        b"\n",
        b"\n\n\n",
        b"\r",
        b"\r\n",
        b"\r\n\r\n\r\n",
        b" ",
        b"\x1c\r",
        b"hello\r\n",
        b"P",
        b"\x16",
    ] {
        let lab = Lab::new();
        let mut peer = lab.peer();
        let message = adt("J1");
        peer.send(join(&[junk, &frame(&message)]));
        expect_acks(&mut peer, &[("AA", "J1")]);
        drop(peer);
        lab.assert_received(&[&message]);
        let shown = junk.escape_ascii().to_string();
        println!("junk {shown:?}");
        lab.assert_ended(&[("peer", 1)], &[("junk_before_start", 1)]);
    }
}

#[test]
fn junk_blank_lines_and_nuls_between_frames_are_skipped_and_counted() {
    for (between, deviations) in [
        (&b"\0\0"[..], &[("junk_before_start", 1)][..]),
        (b"\r\n", &[("junk_before_start", 1)]),
        (b"\n\n\n", &[("end_cr_lf", 1), ("junk_before_start", 1)]),
        (b" \t ", &[("junk_before_start", 1)]),
        (b"\x06", &[("junk_before_start", 1)]),
        (
            b"MSH|^~\\&|no block around this\r",
            &[("junk_before_start", 1)],
        ),
    ] {
        for chunk in [usize::MAX, 1] {
            let lab = Lab::new();
            let mut peer = lab.peer();
            let (one, two) = (oru("B1"), oru("B2"));
            peer.send(&frame(&one)[..280]);
            let rest = join(&[&frame(&one)[280..], between, &frame(&two)[..4]]);
            send_segments(&mut peer, &rest, &[chunk]);
            peer.send(&frame(&two)[4..]);
            expect_acks(&mut peer, &[("AA", "B1"), ("AA", "B2")]);
            drop(peer);
            lab.assert_received(&[&one, &two]);
            println!(
                "between {:?}, chunks of {chunk}",
                between.escape_ascii().to_string()
            );
            lab.assert_ended(&[("peer", 1)], deviations);
        }
    }
}

#[test]
fn junk_is_logged_as_control_bytes_only_and_once_a_connection() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    for id in ["L1", "L2", "L3"] {
        peer.send(join(&[b"DOE^JOHN\0\x05", &frame(adt(id))]));
        expect_acks(&mut peer, &[("AA", id)]);
    }
    drop(peer);
    lab.assert_ended(&[("peer", 1)], &[("junk_before_start", 3)]);
    lab.bridge.assert_not_logged("DOE");
    let logs = lab.bridge.stop();
    let of_kind = |line: &&crate::support::bridge::LogLine| {
        line.text_field("kind") == Some("junk_before_start")
    };
    let lines: Vec<_> = logs.iter().filter(of_kind).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].text.contains("[0, 5]"), "{}", lines[0].text);
}

#[test]
fn fs_cr_split_over_tcp_segments_is_one_frame() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let framed = frame(adt("S1"));
    let data_end = framed.len() - 2;
    // The end bytes in segments of their own, and every cut near the end.
    for sizes in [
        vec![data_end, 1, 1],
        vec![data_end, 2],
        vec![data_end + 1, 1],
        vec![data_end - 1, 1, 1, 1],
        vec![1, data_end - 1, 1, 1],
    ] {
        peer.send_chunks(&framed, &sizes);
        expect_acks(&mut peer, &[("AA", "S1")]);
    }
    drop(peer);
    lab.assert_received(&[adt("S1"), adt("S1"), adt("S1"), adt("S1"), adt("S1")]);
    lab.assert_ended(&[("peer", 1)], &[]);
}

#[test]
fn a_frame_in_segments_of_one_byte_is_one_frame() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    send_segments(&mut peer, &frame(oru("S2")), &[1]);
    expect_acks(&mut peer, &[("AA", "S2")]);
    drop(peer);
    lab.assert_received(&[oru("S2")]);
    lab.assert_ended(&[("peer", 1)], &[]);
}

/// Sends two messages with these bytes in place of `FS CR` after the first, in one write and byte by byte.
#[track_caller]
fn ends_with(end: &[u8], deviations: &[(&str, u64)]) {
    for chunk in [usize::MAX, 1] {
        let lab = Lab::new();
        let mut peer = lab.peer();
        let (one, two) = (adt("E1"), adt("E2"));
        peer.send(join(&[&[VT], one.as_bytes()]));
        peer.send_chunks(join(&[end, &[VT], &two.as_bytes()[..8]]), &[chunk]);
        peer.send(join(&[&two.as_bytes()[8..], &[FS, CR]]));
        expect_acks(&mut peer, &[("AA", "E1"), ("AA", "E2")]);
        drop(peer);
        lab.assert_received(&[&one, &two]);
        println!(
            "end {:?}, chunks of {chunk}",
            end.escape_ascii().to_string()
        );
        lab.assert_ended(&[("peer", 1)], deviations);
    }
}

#[test]
fn fs_lf_ends_one_frame_and_the_next_is_unaffected() {
    ends_with(&[FS, LF], &[("end_lf", 1)]);
}

#[test]
fn fs_cr_lf_ends_one_frame_and_the_next_is_unaffected() {
    ends_with(&[FS, CR, LF], &[("end_cr_lf", 1)]);
}

#[test]
fn fs_alone_then_vt_ends_one_frame_and_the_next_is_unaffected() {
    ends_with(&[FS], &[("end_without_cr", 1)]);
}

#[test]
fn doubled_fs_cr_ends_one_frame_and_the_next_is_unaffected() {
    ends_with(&[FS, CR, FS, CR], &[("doubled_end", 1)]);
}

#[test]
fn fs_alone_then_idle_ends_one_frame_and_the_next_is_unaffected() {
    let lab = Lab::with("framing: { end_idle: 100ms }");
    let mut peer = lab.peer();
    let message = adt("I1");
    let without_cr = join(&[&[VT], message.as_bytes(), &[FS]]);
    peer.send(&without_cr);
    expect_acks(&mut peer, &[("AA", "I1")]);
    // The CR that comes late after all is the end's, and no junk.
    peer.send(join(&[&[CR], &frame(adt("I2"))]));
    expect_acks(&mut peer, &[("AA", "I2")]);
    peer.send(&without_cr);
    expect_acks(&mut peer, &[("AA", "I1")]);
    drop(peer);
    lab.assert_received(&[&message, &adt("I2"), &message]);
    lab.assert_ended(&[("peer", 1)], &[("end_without_cr", 2)]);
}

#[test]
fn fs_alone_then_the_end_of_the_connection_ends_one_frame() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let message = adt("F1");
    peer.send(join(&[&[VT], message.as_bytes(), &[FS]]));
    peer.half_close();
    expect_acks(&mut peer, &[("AA", "F1")]);
    peer.expect_close();
    lab.assert_received(&[&message]);
    lab.assert_ended(&[("peer", 1)], &[("end_without_cr", 1)]);
}

#[test]
fn fs_inside_the_payload_is_data() {
    for data in ["a\u{1c}b", "\u{1c}\u{1c}x", "x\u{1c}|y"] {
        for chunk in [usize::MAX, 1] {
            let lab = Lab::new();
            let message = adt("D1") + "NTE|1|L|" + data + "\r";
            let mut peer = lab.peer();
            let framed = frame(&message);
            peer.send_chunks(&framed, &[framed.len() - 20, chunk]);
            expect_acks(&mut peer, &[("AA", "D1")]);
            drop(peer);
            lab.assert_received(&[&message]);
            lab.assert_ended(&[("peer", 1)], &[]);
        }
    }
}

#[test]
fn vt_in_mid_payload_drops_the_partial_and_a_whole_message_after_it_is_answered() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let (partial, whole) = (adt("V1"), adt("V2"));
    peer.send(join(&[&[VT], &partial.as_bytes()[..200], &frame(&whole)]));
    expect_acks(&mut peer, &[("AA", "V2")]);
    peer.expect_silence(SHORT);
    drop(peer);
    lab.assert_received(&[&whole]);
    lab.assert_ended(&[("peer", 1)], &[("restarted", 1)]);
}

#[test]
fn vt_in_mid_payload_the_remnant_is_never_positively_acked_and_not_delivered() {
    // The VT is data of a sender that does not know better: what is left behind it begins in mid-segment.
    for cut in [1, 30, 90, 91, 300] {
        let lab = Lab::new();
        let mut peer = lab.peer();
        let message = adt("V3");
        let (before, after) = message.as_bytes().split_at(cut);
        peer.send(join(&[&[VT], before, &[VT], after, &[FS, CR]]));
        peer.expect_close();
        drop(peer);
        lab.assert_received::<&[u8]>(&[]);
        println!("cut at {cut}");
        lab.assert_ended(&[("not_hl7", 1)], &[("restarted", 1)]);
        lab.assert_refused(&[("not_hl7", 1)]);
        lab.assert_still_serves();
    }
}

#[test]
fn doubled_vt_begins_one_frame() {
    for (starts, count) in [(2, 1), (5, 4)] {
        let lab = Lab::new();
        let mut peer = lab.peer();
        let message = adt("W1");
        peer.send(join(&[
            &vec![VT; starts],
            message.as_bytes(),
            &[FS, CR, FS, CR],
        ]));
        expect_acks(&mut peer, &[("AA", "W1")]);
        peer.expect_silence(SHORT);
        drop(peer);
        lab.assert_received(&[&message]);
        lab.assert_ended(
            &[("peer", 1)],
            &[("doubled_end", 1), ("doubled_start", count)],
        );
    }
}

#[test]
fn several_frames_in_one_write_are_each_answered_in_order() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let messages: Vec<String> = (0..20).map(|number| adt(&format!("M{number}"))).collect();
    let ids: Vec<String> = (0..20).map(|number| format!("M{number}")).collect();
    let expected: Vec<(&str, &str)> = ids.iter().map(|id| ("AA", id.as_str())).collect();
    peer.send(messages.iter().flat_map(frame).collect::<Vec<u8>>());
    expect_acks(&mut peer, &expected);
    drop(peer);
    lab.assert_received(&messages);
    lab.assert_ended(&[("peer", 1)], &[]);
}

#[test]
fn several_frames_and_a_part_in_one_write_are_each_answered_in_order() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let third = frame(adt("P3"));
    peer.send(join(&[&frame(adt("P1")), &frame(adt("P2")), &third[..100]]));
    expect_acks(&mut peer, &[("AA", "P1"), ("AA", "P2")]);
    peer.expect_silence(SHORT);
    peer.send(&third[100..]);
    expect_acks(&mut peer, &[("AA", "P3")]);
    drop(peer);
    lab.assert_received(&[adt("P1"), adt("P2"), adt("P3")]);
    lab.assert_ended(&[("peer", 1)], &[]);
}

#[test]
fn eof_in_mid_frame_delivers_nothing_and_is_counted_truncated() {
    let framed = frame(adt("T1"));
    for sent in [1, 5, 200, framed.len() - 2] {
        let lab = Lab::new();
        let mut peer = lab.peer();
        peer.send(&framed[..sent]);
        peer.half_close();
        peer.expect_close();
        lab.assert_received::<&[u8]>(&[]);
        println!("{sent} bytes");
        lab.assert_ended(&[("peer", 1)], &[("truncated", 1)]);
    }
}

#[test]
fn eof_in_mid_frame_leaves_the_answer_to_the_frame_before_it() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    peer.send(join(&[&frame(adt("T2")), &frame(adt("T3"))[..150]]));
    peer.half_close();
    expect_acks(&mut peer, &[("AA", "T2")]);
    peer.expect_close();
    lab.assert_received(&[adt("T2")]);
    lab.assert_ended(&[("peer", 1)], &[("truncated", 1)]);
}

#[test]
fn reset_in_mid_frame_delivers_nothing_and_is_counted_truncated() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    peer.exchange(adt("T4")).expect("AA", "T4");
    let framed = frame(adt("T5"));
    // The second piece goes out when the first has been read: the bridge is inside the block.
    peer.send_chunks(&framed[..200], &[199, 1]);
    peer.reset();
    lab.assert_ended(&[("error", 1)], &[("truncated", 1)]);
    lab.assert_received(&[adt("T4")]);
}

#[test]
fn custom_start_and_end_bytes_are_read_and_written() {
    let lab = Lab::with("framing: { start: 0x02, end: 0x03, end_idle: 10s }");
    let mut peer = lab.peer();
    // The standard's own block characters mean nothing here.
    let message = adt("C1") + "NTE|1|L|a\u{b}b\u{1c}\r";
    peer.send(join(&[&[0x02], message.as_bytes(), &[0x03, CR]]));
    let got = match peer.read_frame() {
        Err(crate::support::peer::NoFrame::NotAFrame { got }) => got,
        other => panic!("expected the configured block characters, got {other:?}"),
    };
    assert_eq!(got.first(), Some(&0x02), "{}", got.escape_ascii());
    assert!(got.ends_with(&[CR, 0x03, CR]), "{}", got.escape_ascii());
    let ack = crate::support::peer::Ack::parse(got[1..got.len() - 2].to_vec());
    ack.expect("AA", "C1");
    lab.assert_received(&[&message]);
    // A block of the standard's is junk.
    peer.send(frame(adt("C2")));
    drop(peer);
    lab.assert_ended(&[("peer", 1)], &[("junk_before_start", 1)]);
    assert_eq!(lab.app.requests().len(), 1);
}

#[test]
fn any_chunking_gives_the_same_frames_and_counts() {
    let lab = Lab::new();
    let (one, two, three) = (oru("K1"), oru("K2"), oru("K3"));
    let stream = join(&[
        b"\r\n\0",
        &[VT, VT],
        one.as_bytes(),
        &[FS, LF],
        b"\0\0",
        &[VT],
        &two.as_bytes()[..77],
        &[VT],
        two.as_bytes(),
        b"NTE|1||\x1cx\r",
        &[FS, CR, LF, LF],
        &[VT],
        three.as_bytes(),
        &[FS, CR, FS, CR],
        &[VT],
        &one.as_bytes()[..50],
    ]);
    let two = two + "NTE|1||\u{1c}x\r";
    let mut before = Vec::new();
    for (run, sizes) in [&[usize::MAX][..], &[1], &[2], &[3, 5, 7, 11], &[64], &[333]]
        .iter()
        .enumerate()
    {
        let mut peer = lab.peer();
        send_segments(&mut peer, &stream, sizes);
        peer.half_close();
        expect_acks(&mut peer, &[("AA", "K1"), ("AA", "K2"), ("AA", "K3")]);
        peer.expect_close();
        before.extend([one.clone(), two.clone(), three.clone()]);
        lab.assert_received(&before);
        println!("chunks {sizes:?}");
        let runs = run as u64 + 1;
        lab.assert_ended(
            &[("peer", runs)],
            &[
                ("doubled_end", runs),
                ("doubled_start", runs),
                ("end_cr_lf", runs),
                ("end_lf", runs),
                ("junk_before_start", 3 * runs),
                ("restarted", runs),
                ("truncated", runs),
            ],
        );
    }
}

#[test]
fn what_a_sender_does_is_counted_while_it_does_it() {
    // Not only with the next answer or at the end: a sender that never gets a block right would never show.
    let lab = Lab::new();
    let mut peer = lab.peer();
    let count = 500_000;
    peer.send(vec![VT; count]);
    let labels = [("kind", "doubled_start")];
    let counted = (count - 1) as f64;
    lab.bridge
        .wait_for_metric("mllp_bridge_deviations_total", &labels, counted);
    peer.send(join(&[adt("Y1").as_bytes(), &[FS, CR]]));
    expect_acks(&mut peer, &[("AA", "Y1")]);
    peer.send(b"\0\0");
    let labels = [("kind", "junk_before_start")];
    lab.bridge
        .wait_for_metric("mllp_bridge_deviations_total", &labels, 1.0);
    drop(peer);
    lab.assert_ended(
        &[("peer", 1)],
        &[
            ("doubled_start", count as u64 - 1),
            ("junk_before_start", 1),
        ],
    );
}
