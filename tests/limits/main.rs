//! Limits: every buffer, queue and wait has a bound, and a peer that runs into one harms nobody else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "helpers of tests, on blocking threads"
)]

#[path = "../support/mod.rs"]
mod support;

mod buffers;
mod connections;
mod cost;
mod time;

use support::app::TestApp;
use support::bridge::Bridge;
use support::peer::RawPeer;

/// A bridge with one listener with these limits, and further keys of the configuration's top.
#[track_caller]
fn bridge(app: &TestApp, limits: &str, deliver: &str, top: &str) -> Bridge {
    let config = format!(
        "listeners:\n  - bind: 127.0.0.1:0\n    limits: {{ {limits} }}\n    deliver: {{ url: '{}', {deliver} }}\n{top}",
        app.url()
    );
    Bridge::start(&config)
}

#[track_caller]
fn peer(bridge: &Bridge) -> RawPeer {
    RawPeer::connect(bridge.address())
}

/// Waits until so many connections have ended for this reason.
#[track_caller]
fn wait_closed(bridge: &Bridge, reason: &str, count: u32) {
    let name = "mllp_bridge_connections_closed_total";
    let closed = bridge.wait_for_metric(name, &[("reason", reason)], count.into());
    assert_eq!(closed, f64::from(count), "{name}{{reason={reason:?}}}");
}
