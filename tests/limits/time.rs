//! Time-outs, and the peers that they are for.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::app::{Reply, TestApp};
use crate::support::messages::{FS, VT, adt, adt_of_size, frame};
use crate::support::peer::RawPeer;
use crate::{bridge, peer, wait_closed};

#[test]
fn idle_timeout_closes_a_connection_on_which_nothing_comes() {
    let app = TestApp::start();
    let bridge = bridge(&app, "idle_timeout: 500ms", "", "");
    let (mut silent, mut busy) = (peer(&bridge), peer(&bridge));
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(900) {
        busy.exchange(adt("BUSY")).expect("AA", "BUSY");
        thread::sleep(Duration::from_millis(50)); // the test's own pace
    }
    silent.expect_close();
    wait_closed(&bridge, "idle_timeout", 1);
    busy.exchange(adt("BUSY")).expect("AA", "BUSY");
    let start = Instant::now();
    busy.expect_close();
    assert!(
        start.elapsed() >= Duration::from_millis(450),
        "{:?}",
        start.elapsed()
    );
    wait_closed(&bridge, "idle_timeout", 2);
}

/// Sends pieces until the bridge closes, which it must do in time; how long it took.
#[track_caller]
fn until_closed(peer: &mut RawPeer, piece: &[u8], pause: Duration) -> Duration {
    let start = Instant::now();
    while peer.try_send(piece).is_ok() {
        assert!(
            start.elapsed() < PATIENCE,
            "still open after {:?}",
            start.elapsed()
        );
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }
    peer.expect_close();
    start.elapsed()
}

#[test]
fn frame_timeout_closes_a_slow_loris_that_sends_byte_by_byte() {
    let app = TestApp::start();
    let bridge = bridge(&app, "frame_timeout: 600ms", "", "");
    let mut slow = peer(&bridge);
    slow.exchange(adt("BEFORE")).expect("AA", "BEFORE");
    slow.send(frame(adt("SLOW")).split_at(50).0);
    let took = until_closed(&mut slow, b"x", Duration::from_millis(20));
    assert!(took > Duration::from_millis(400), "closed after {took:?}");
    wait_closed(&bridge, "frame_timeout", 1);
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn frame_timeout_closes_a_slow_loris_that_hides_behind_end_bytes() {
    // After each FS the bridge waits for a CR, and for that it has another clock.
    let app = TestApp::start();
    let bridge = bridge(&app, "frame_timeout: 600ms", "", "");
    let mut slow = peer(&bridge);
    slow.send(frame(adt("SLOW")).split_at(50).0);
    until_closed(&mut slow, &[b'x', FS], Duration::from_millis(20));
    wait_closed(&bridge, "frame_timeout", 1);
    assert_eq!(app.requests().len(), 0);
}

#[test]
fn frame_timeout_closes_a_sender_whose_block_never_ends_at_full_speed() {
    let app = TestApp::start();
    let limits = "frame_timeout: 600ms, max_message_bytes: 64KiB";
    let bridge = bridge(&app, limits, "", "");
    for piece in [vec![b'x'; 16 * 1024], vec![VT; 4096]] {
        let mut endless = peer(&bridge);
        endless.send(frame(adt("ENDLESS")).split_at(50).0);
        until_closed(&mut endless, &piece, Duration::ZERO);
    }
    wait_closed(&bridge, "frame_timeout", 2);
    assert_eq!(app.requests().len(), 0);
    peer(&bridge).exchange(adt("NEXT")).expect("AA", "NEXT");
}

#[test]
fn frame_timeout_does_not_count_the_time_that_the_app_takes() {
    let app = TestApp::start();
    app.always(Reply::ok().delay(Duration::from_millis(500)));
    let bridge = bridge(&app, "frame_timeout: 400ms", "", "");
    let mut peer = peer(&bridge);
    // The second one's bytes lie there in part while the first is with the app.
    let second = frame(adt("SECOND"));
    peer.send([&frame(adt("FIRST")), &second[..100]].concat());
    peer.ack().expect("AA", "FIRST");
    peer.send(&second[100..]);
    peer.ack().expect("AA", "SECOND");
}

#[test]
fn a_stalled_sender_does_not_hold_up_a_drain_for_longer_than_its_frame_timeout() {
    let app = TestApp::start();
    let bridge = bridge(
        &app,
        "frame_timeout: 500ms",
        "",
        "shutdown: { deadline: 20s }",
    );
    let mut stalled = peer(&bridge);
    stalled.send_chunks(&frame(adt_of_size("STALLED", 5000))[..3000], &[2999]);
    let start = Instant::now();
    bridge.stop();
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    stalled.expect_close();
}

#[test]
fn bytes_that_are_no_frame_yet_do_not_hold_up_a_drain() {
    // A lone FS after a block, and the first byte of what could become another protocol.
    for bytes in [[&frame(adt("DONE"))[..], &[FS]].concat(), b"P".to_vec()] {
        let app = TestApp::start();
        let bridge = bridge(&app, "", "", "shutdown: { deadline: 20s }");
        let mut odd = peer(&bridge);
        odd.send_chunks(&bytes, &[bytes.len() - 1, 1]);
        if bytes.len() > 1 {
            odd.ack().expect("AA", "DONE");
        }
        let received = bytes.len() as f64;
        bridge.wait_for_metric("mllp_bridge_received_bytes_total", &[], received);
        let start = Instant::now();
        bridge.stop();
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
        odd.expect_close();
    }
}
