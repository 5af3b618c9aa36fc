//! Sizes: of one message, of all messages together, of an app's answer.

use std::thread;
use std::time::Duration;

use crate::support::PATIENCE;
use crate::support::app::{Reply, TestApp};
use crate::support::messages::{adt, adt_of_size, frame};
use crate::support::peer::Ending;
use crate::{bridge, peer, wait_closed};

const MIB: usize = 1024 * 1024;

#[test]
fn a_message_of_max_message_bytes_is_accepted_and_of_one_byte_more_refused() {
    for max in [1024, 4096, 16 * 1024, 65_536, 100_000] {
        let app = TestApp::start();
        let bridge = bridge(&app, &format!("max_message_bytes: {max}"), "", "");
        let mut peer = peer(&bridge);
        for chunk in [usize::MAX, max + 1, max, 1000] {
            let send = |peer: &mut crate::RawPeer, bytes| {
                for piece in frame(adt_of_size("EXACT", bytes)).chunks(chunk) {
                    peer.send(piece);
                }
            };
            println!("{max} bytes at most, in pieces of {chunk}");
            send(&mut peer, max);
            peer.ack().expect("AA", "EXACT");
            send(&mut peer, max + 1);
            peer.ack().expect("AR", "EXACT");
            send(&mut peer, max - 1);
            peer.ack().expect("AA", "EXACT");
        }
        assert_eq!(app.requests().len(), 8);
        let oversized = [("kind", "oversized")];
        bridge.wait_for_metric("mllp_bridge_deviations_total", &oversized, 4.0);
    }
}

#[test]
fn a_message_of_the_largest_size_passes_through_the_smallest_budget() {
    let app = TestApp::start();
    let limits = "max_message_bytes: 8MiB, frame_timeout: 15s";
    let bridge = bridge(&app, limits, "", "limits: { max_buffered_bytes: 12MiB }");
    let mut peer = peer(&bridge);
    for _ in 0..2 {
        peer.exchange(adt_of_size("FULL", 8 * MIB))
            .expect("AA", "FULL");
    }
}

#[test]
fn a_large_message_that_would_go_over_the_budget_waits_and_is_answered() {
    let app = TestApp::start();
    app.script([Reply::ok().hold()]);
    let limits = "max_message_bytes: 2MiB";
    let bridge = bridge(&app, limits, "", "limits: { max_buffered_bytes: 6MiB }");
    let (mut first, mut second) = (peer(&bridge), peer(&bridge));
    first.send(frame(adt_of_size("FIRST", 2 * MIB)));
    app.wait_for(1, PATIENCE);
    let sender = thread::spawn(move || {
        second.send(frame(adt_of_size("SECOND", 2 * MIB)));
        second
    });
    first.expect_silence(Duration::from_millis(300));
    assert_eq!(
        app.requests().len(),
        1,
        "the second is read beyond the budget"
    );
    // Small messages do not need the budget.
    peer(&bridge).exchange(adt("SMALL")).expect("AA", "SMALL");
    app.release();
    first.ack().expect("AA", "FIRST");
    let mut second = sender.join().expect("the sender");
    second.ack().expect("AA", "SECOND");
}

#[test]
fn large_messages_that_grow_at_the_same_time_do_not_wait_for_each_other_for_ever() {
    // Each holds a part of the budget, and none could have all that it needs.
    let app = TestApp::start();
    let limits = "max_message_bytes: 2MiB, frame_timeout: 8s";
    let bridge = bridge(&app, limits, "", "limits: { max_buffered_bytes: 7MiB }");
    let framed = frame(adt_of_size("GROW", 2 * MIB));
    let half = 700_000;
    let mut peers: Vec<_> = (0..8).map(|_| peer(&bridge)).collect();
    let senders: Vec<_> = peers
        .drain(..)
        .map(|mut peer| {
            let framed = framed.clone();
            thread::spawn(move || {
                peer.send(&framed[..half]);
                thread::sleep(Duration::from_millis(300)); // until all of them are in the middle
                peer.send(&framed[half..]);
                peer.ack().expect("AA", "GROW");
            })
        })
        .collect();
    for sender in senders {
        sender.join().expect("every sender gets its answer");
    }
}

#[test]
fn a_stalled_large_sender_is_closed_at_frame_timeout_and_frees_the_budget() {
    let app = TestApp::start();
    let limits = "max_message_bytes: 2MiB, frame_timeout: 1s";
    let bridge = bridge(&app, limits, "", "limits: { max_buffered_bytes: 6MiB }");
    let mut stalled = peer(&bridge);
    stalled.send(&frame(adt_of_size("STALLED", 2 * MIB))[..2 * MIB - 500]);
    let mut waiting = peer(&bridge);
    let sender = thread::spawn(move || {
        waiting.send(frame(adt_of_size("WAITING", 2 * MIB)));
        waiting.ack().expect("AA", "WAITING");
    });
    stalled.expect_close();
    sender.join().expect("the one that waited is answered");
    wait_closed(&bridge, "frame_timeout", 1);
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn the_budget_is_given_back_when_a_connection_begins_another_message() {
    // Behind its large message each has begun a small one, and stays in the middle of it.
    let app = TestApp::start();
    let limits = "max_message_bytes: 2MiB";
    let bridge = bridge(&app, limits, "", "limits: { max_buffered_bytes: 6MiB }");
    let mut peers = Vec::new();
    for _ in 0..6 {
        let mut peer = peer(&bridge);
        let mut bytes = frame(adt_of_size("LARGE", 2 * MIB));
        bytes.extend_from_slice(&frame(adt("BEGUN"))[..100]);
        peer.send(bytes);
        peer.ack().expect("AA", "LARGE");
        peers.push(peer);
    }
    for peer in &mut peers {
        peer.send(&frame(adt("BEGUN"))[100..]);
        peer.ack().expect("AA", "BEGUN");
    }
}

#[test]
fn an_answer_of_the_app_larger_than_the_bound_is_not_passed_on() {
    let app = TestApp::start();
    let bridge = bridge(&app, "", "max_response_bytes: 64KiB", "");
    let own = |bytes: usize| {
        let head = "MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\rMSA|AA|BOUND\rNTE|1||";
        let body = format!("{head}{}\r", "x".repeat(bytes - head.len() - 1));
        Reply::ok()
            .header("Content-Type", "application/hl7-v2")
            .body(body)
    };
    let mut peer = peer(&bridge);
    app.script([
        own(64 * 1024),
        own(64 * 1024 + 1),
        own(3 * MIB),
        own(3 * MIB).chunked(9999),
    ]);
    let ack = peer.exchange(adt("BOUND"));
    ack.expect("AA", "BOUND");
    assert_eq!(ack.bytes.len(), 64 * 1024);
    for _ in 0..3 {
        peer.exchange(adt("BOUND")).expect("AE", "BOUND");
    }
    // Of an answer that says nothing more than its status, the status counts.
    app.script([
        Reply::ok().huge_body(3 * MIB),
        Reply::status(422).huge_body(3 * MIB),
    ]);
    peer.exchange(adt("PLAIN")).expect("AA", "PLAIN");
    peer.exchange(adt("PLAIN")).expect("AE", "PLAIN");
}

#[test]
fn a_json_answer_too_large_to_be_read_is_not_taken_for_a_yes() {
    let app = TestApp::start();
    let bridge = bridge(&app, "", "max_response_bytes: 4KiB", "");
    let errors = vec!["no"; 2000];
    let answer = serde_json::json!({"ack": {"code": "AE", "errors": errors}});
    app.always(Reply::ok().json(&answer));
    peer(&bridge).exchange(adt("JSON")).expect("AE", "JSON");
}

#[test]
fn a_peer_that_never_reads_is_closed_at_write_timeout_and_counted() {
    let app = TestApp::start();
    let bridge = bridge(&app, "write_timeout: 500ms", "max_response_bytes: 8MiB", "");
    let head = "MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\rMSA|AA|DEAF\rNTE|1||";
    let body = format!("{head}{}\r", "x".repeat(4 * MIB));
    app.always(
        Reply::ok()
            .header("Content-Type", "application/hl7-v2")
            .body(body),
    );
    let mut deaf = peer(&bridge);
    deaf.send(frame(adt("DEAF")).repeat(20));
    wait_closed(&bridge, "write_timeout", 1);
    assert_eq!(
        bridge.metric_sum("mllp_bridge_ack_unwritten_total", &[]),
        1.0
    );
    assert_eq!(
        bridge.metric_sum("mllp_bridge_exchanges_in_flight", &[]),
        0.0
    );
    let delivered = app.requests().len();
    assert!(delivered < 20, "back-pressure: {delivered} were delivered");
    drop(deaf);
}

#[test]
fn a_message_of_16_mib_goes_through_without_three_times_its_memory() {
    let app = TestApp::start();
    let bridge = bridge(&app, "", "timeout: 20s", "");
    let mut peer = peer(&bridge);
    let bytes = 16 * MIB;
    peer.exchange(adt_of_size("HUGE", bytes))
        .expect("AA", "HUGE");
    let body = &app.last().body;
    assert!(
        body.len() > 2 * bytes,
        "raw and segments: {} bytes",
        body.len()
    );
    let status = std::fs::read_to_string(format!("/proc/{}/status", bridge.pid()));
    let peak = status.ok().and_then(|status| {
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))?
            .to_owned();
        line.split_whitespace().nth(1)?.parse::<usize>().ok()
    });
    println!("peak: {peak:?} KiB");
    if let (Some(peak), false) = (peak, cfg!(debug_assertions)) {
        assert!(peak * 1024 < 3 * bytes, "peak {peak} KiB");
    }
}

#[test]
fn one_byte_too_many_in_a_later_message_does_not_end_the_connection() {
    let app = TestApp::start();
    let bridge = bridge(&app, "max_message_bytes: 1KiB", "", "");
    let mut peer = peer(&bridge);
    for round in 0..50 {
        let (bytes, code) = if round % 2 == 0 {
            (1024, "AA")
        } else {
            (1025 + round * 100, "AR")
        };
        peer.exchange(adt_of_size("ROUND", bytes))
            .expect(code, "ROUND");
    }
    peer.half_close();
    assert_eq!(peer.expect_close(), Ending::Closed);
}
