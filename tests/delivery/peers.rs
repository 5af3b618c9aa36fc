//! Peers that are gone by the time their answer is there.

use super::*;

#[test]
fn an_exchange_whose_peer_vanishes_is_finished_and_its_ack_counted_as_unwritten() {
    let app = TestApp::start();
    app.always(Reply::ok().hold());
    let bridge = bridge(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    app.wait_for(1, PATIENCE);
    peer.reset();
    app.release();
    bridge.wait_for_metric("mllp_bridge_ack_unwritten_total", &[], 1.0);
    let metrics = bridge.metrics();
    assert_eq!(
        metrics.sum("mllp_bridge_messages_total", &[("outcome", "accepted")]),
        1.0
    );
    assert_eq!(
        metrics.sum("mllp_bridge_messages_total", &[("outcome", "failed")]),
        0.0
    );
    assert_eq!(metrics.sum("mllp_bridge_acks_total", &[]), 0.0);
    assert_eq!(metrics.sum("mllp_bridge_exchanges_in_flight", &[]), 0.0);
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn a_message_whose_peer_vanishes_while_the_app_is_down_is_still_brought_to_it() {
    let down = TestApp::down();
    let bridge = Bridge::start(&config(&down.url(), ""));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    bridge.wait_for_metric(
        "mllp_bridge_delivery_failures_total",
        &[("reason", "refused")],
        1.0,
    );
    peer.reset();
    let app = down.up();
    app.wait_for(1, PATIENCE);
    bridge.wait_for_metric("mllp_bridge_ack_unwritten_total", &[], 1.0);
}

#[test]
fn a_peer_that_half_closes_after_its_message_gets_its_answer() {
    let app = TestApp::start();
    app.always(Reply::ok().delay(Duration::from_millis(50)));
    let bridge = bridge(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    peer.half_close();
    peer.ack().expect("AA", "MSG1");
    peer.expect_close();
    bridge.wait_for_metric(
        "mllp_bridge_connections_closed_total",
        &[("reason", "peer")],
        1.0,
    );
}

#[test]
fn a_peer_that_takes_no_ack_is_given_up_after_write_timeout() {
    let app = TestApp::start();
    // More than both kernels' buffers hold between them.
    let notes = "NTE|1||x\r".repeat(900_000);
    let own = format!("MSH|^~\\&|B|C|R|G|20261122||ACK^A01^ACK|1|P|2.5.1\rMSA|AA|MSG1\r{notes}");
    app.always(
        Reply::ok()
            .header("Content-Type", "application/hl7-v2")
            .body(own),
    );
    let yaml = config(&app.url(), "max_response_bytes: 16MiB")
        .replace("  ack:", "  limits: {write_timeout: 200ms}\n  ack:");
    let bridge = Bridge::start(&yaml);
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    bridge.wait_for_metric(
        "mllp_bridge_connections_closed_total",
        &[("reason", "write_timeout")],
        1.0,
    );
    let metrics = bridge.metrics();
    assert_eq!(metrics.sum("mllp_bridge_ack_unwritten_total", &[]), 1.0);
    let _: Result<Ack, _> = peer.read_frame().map(Ack::parse);
}
