//! What each connection sees of a drain, by what it is doing when the drain begins.

use super::*;

#[test]
fn the_message_that_is_with_the_app_is_finished_and_answered_while_new_connections_are_refused() {
    let app = TestApp::start();
    app.always(Reply::ok().hold());
    let mut bridge = Bridge::start(&config(&app.url(), "15s"));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    app.wait_for(1, PATIENCE);
    bridge.terminate();
    bridge.wait_for_log("draining");
    wait_until_refused(&bridge);

    // The admin server lives as long as there is something to tell.
    assert_eq!(bridge.get("/livez").status, 200);
    let ready = bridge.get("/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("draining"), "{}", ready.body);
    let metrics = bridge.metrics();
    assert_eq!(metrics.sum("mllp_bridge_draining", &[]), 1.0);
    assert_eq!(metrics.sum("mllp_bridge_exchanges_in_flight", &[]), 1.0);

    app.release();
    peer.ack().expect("AA", "MSG1");
    peer.expect_close();
    assert_eq!(bridge.wait_exit(5 * SECOND).code(), Some(0));
}

#[test]
fn messages_behind_the_one_that_is_with_the_app_are_neither_delivered_nor_acked() {
    let app = TestApp::start();
    app.always(Reply::ok().hold());
    let mut bridge = Bridge::start(&config(&app.url(), "15s"));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(
        [
            frame(messages::adt("MSG1")),
            frame(messages::adt("MSG2")),
            frame(messages::adt("MSG3")),
        ]
        .concat(),
    );
    app.wait_for(1, PATIENCE);
    bridge.terminate();
    bridge.wait_for_log("draining");
    app.release();
    peer.ack().expect("AA", "MSG1");
    peer.expect_close();
    assert_eq!(bridge.wait_exit(5 * SECOND).code(), Some(0));
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn a_hanging_app_is_cut_off_at_the_deadline_and_the_exit_is_clean() {
    let app = TestApp::start();
    app.always(Reply::hang());
    let mut bridge = Bridge::start(&config(&app.url(), "400ms"));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    app.wait_for(1, PATIENCE);
    let begun = Instant::now();
    bridge.terminate();
    assert_eq!(bridge.wait_exit(3 * SECOND).code(), Some(0));
    let took = begun.elapsed();
    assert!(
        (Duration::from_millis(380)..2 * SECOND).contains(&took),
        "the deadline is 400ms, the exit came after {took:?}"
    );
    match peer.read_frame() {
        Ok(data) => {
            let ack = support::peer::Ack::parse(data);
            assert_ne!(ack.msa1(), "AA", "{ack}");
        }
        Err(NoFrame::Closed { got } | NoFrame::Reset { got }) => assert!(got.is_empty()),
        Err(error) => panic!("{error}"),
    }
}

/// How long after SIGTERM a message is answered AE that waits for an app that is not there; the end is clean.
#[track_caller]
fn answered_ae_without_an_app(deadline: &str) -> Duration {
    let down = TestApp::down();
    let mut bridge = Bridge::start(&config(&down.url(), deadline));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    bridge.wait_for_metric(
        "mllp_bridge_delivery_failures_total",
        &[("reason", "refused")],
        2.0,
    );
    let begun = Instant::now();
    bridge.terminate();
    peer.ack().expect("AE", "MSG1");
    let took = begun.elapsed();
    peer.expect_close();
    assert_eq!(bridge.wait_exit(3 * SECOND).code(), Some(0));
    took
}

/// The app was faster in ending than the bridge: its messages get their AE in time, so that they are sent to another pod.
#[test]
fn a_message_that_waits_for_an_app_that_is_down_is_answered_ae_before_the_cut() {
    let took = answered_ae_without_an_app("1s");
    assert!(took < SECOND, "answered after {took:?}");
}

/// The same with as much time as a pod has: nobody waits until the acknowledgement is due for an app that has left.
#[test]
fn an_app_that_has_gone_before_the_drain_does_not_hold_its_messages_until_the_deadline() {
    let took = answered_ae_without_an_app("25s");
    assert!(
        (SECOND..5 * SECOND).contains(&took),
        "answered after {took:?}, not soon after a second"
    );
}

#[test]
fn a_message_that_waits_for_a_retry_after_is_answered_when_the_drain_leaves_no_time_for_it() {
    let app = TestApp::start();
    app.always(Reply::status(503).header("Retry-After", "10"));
    let mut bridge = Bridge::start(&config(&app.url(), "3s"));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    bridge.wait_for_metric("mllp_bridge_delivery_failures_total", &[], 1.0);
    let begun = Instant::now();
    bridge.terminate();
    peer.ack().expect("AE", "MSG1");
    assert!(
        begun.elapsed() < SECOND,
        "answered after {:?}",
        begun.elapsed()
    );
    assert_eq!(bridge.wait_exit(2 * SECOND).code(), Some(0));
}

#[test]
fn a_half_frame_that_is_completed_during_the_drain_is_delivered_and_acked() {
    let app = TestApp::start();
    let mut bridge = Bridge::start(&config(&app.url(), "15s"));
    let mut peer = RawPeer::connect(bridge.address());
    let message = frame(messages::adt("MSG1"));
    let (first, rest) = message.split_at(200);
    peer.send(first);
    bridge.wait_for_metric("mllp_bridge_received_bytes_total", &[], 200.0);
    bridge.terminate();
    bridge.wait_for_log("draining");
    wait_until_refused(&bridge);
    peer.send(rest);
    peer.ack().expect("AA", "MSG1");
    peer.expect_close();
    assert_eq!(bridge.wait_exit(5 * SECOND).code(), Some(0));
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn a_half_frame_that_is_never_completed_is_cut_at_the_deadline_and_never_delivered() {
    let app = TestApp::start();
    let mut bridge = Bridge::start(&config(&app.url(), "300ms"));
    let mut peer = RawPeer::connect(bridge.address());
    let message = frame(messages::adt("MSG1"));
    // All but the end: a message by the look of it.
    peer.send(&message[..message.len() - 2]);
    bridge.wait_for_metric("mllp_bridge_received_bytes_total", &[], 200.0);
    bridge.terminate();
    assert_eq!(bridge.wait_exit(3 * SECOND).code(), Some(0));
    let answer = peer.read_frame();
    assert!(
        matches!(&answer, Err(NoFrame::Closed { got } | NoFrame::Reset { got }) if got.is_empty()),
        "{answer:?}"
    );
    assert!(app.requests().is_empty());
}

#[test]
fn idle_connections_are_closed_at_once_and_hold_nothing_up() {
    let app = TestApp::start();
    let mut bridge = Bridge::start(&config(&app.url(), "15s"));
    let mut peers: Vec<RawPeer> = (0..30)
        .map(|_| RawPeer::connect(bridge.address()))
        .collect();
    // Half of them have spoken before; none closes its own end.
    for peer in peers.iter_mut().step_by(2) {
        peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    }
    bridge.wait_for_metric("mllp_bridge_connections_accepted_total", &[], 30.0);
    let begun = Instant::now();
    bridge.terminate();
    for peer in &mut peers {
        assert_eq!(
            peer.expect_close_within(SECOND),
            support::peer::Ending::Closed
        );
    }
    assert_eq!(bridge.wait_exit(2 * SECOND).code(), Some(0));
    assert!(
        begun.elapsed() < 2 * SECOND,
        "took {:?} of 15s",
        begun.elapsed()
    );
}

#[test]
fn sigint_ends_it_as_sigterm_does() {
    let app = TestApp::start();
    let mut bridge = Bridge::start(&config(&app.url(), "15s"));
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    bridge.signal("INT");
    peer.expect_close();
    assert_eq!(bridge.wait_exit(2 * SECOND).code(), Some(0));
    let messages: Vec<_> = bridge
        .logs()
        .iter()
        .filter_map(|line| line.message().map(str::to_owned))
        .collect();
    assert!(messages.contains(&"drained".to_owned()), "{messages:?}");
}
