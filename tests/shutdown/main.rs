//! The end of the process, in order (SIGTERM, `drain`) and not (SIGKILL): what the app took is acknowledged, and
//! what is acknowledged was taken by the app.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "helpers of tests, on blocking threads"
)]

use std::time::{Duration, Instant};

use support::PATIENCE;
use support::app::{Reply, TestApp};
use support::bridge::Bridge;
use support::messages::{self, frame};
use support::peer::{NoFrame, RawPeer};

#[path = "../support/mod.rs"]
mod support;

mod command;
mod in_flight;
mod load;

/// One listener in front of this app, and this much time to end.
fn config(url: &str, deadline: &str) -> String {
    format!(
        "shutdown: {{deadline: {deadline}}}\nlisteners:\n- name: adt\n  bind: 127.0.0.1:0\n  \
         deliver: {{url: '{url}', retry: {{initial: 5ms, max: 40ms}}}}\n"
    )
}

/// Connects until that is refused: the moment comes soon after a drain has begun, and no event tells it.
#[track_caller]
fn wait_until_refused(bridge: &Bridge) {
    let start = Instant::now();
    while let Ok(peer) = RawPeer::try_connect(bridge.address()) {
        drop(peer);
        assert!(
            start.elapsed() < PATIENCE,
            "connections are still accepted after {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

const SECOND: Duration = Duration::from_secs(1);
