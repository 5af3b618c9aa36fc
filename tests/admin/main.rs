//! What the bridge tells of itself: metrics, probes, logs, errors at its start, and reloading.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "helpers of tests, on blocking threads"
)]

use std::thread;
use std::time::{Duration, Instant};

use support::PATIENCE;
use support::app::{Reply, TestApp};
use support::bridge::{Answer, Bridge};
use support::messages::{self, frame};
use support::peer::RawPeer;

#[path = "../support/mod.rs"]
mod support;

mod metrics;
mod privacy;
mod readiness;
mod reload;
mod start;

/// One listener in front of this app; `admin` and `deliver` hold further members of those mappings.
fn config(url: &str, admin: &str, deliver: &str) -> String {
    format!(
        "admin: {{bind: '127.0.0.1:0', {admin}}}\nlisteners:\n- name: adt\n  bind: 127.0.0.1:0\n  \
         deliver: {{url: '{url}', retry: {{initial: 5ms, max: 40ms}}, {deliver}}}\n"
    )
}

/// Asks for `/readyz` until it says this: a gauge raises no event.
#[track_caller]
fn wait_for_readyz(bridge: &Bridge, status: u16) -> Answer {
    let start = Instant::now();
    loop {
        let answer = bridge.get("/readyz");
        if answer.status == status {
            return answer;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "/readyz is still {} after {PATIENCE:?}, expected {status}: {}",
            answer.status,
            answer.body
        );
        thread::sleep(Duration::from_millis(10));
    }
}

const SECOND: Duration = Duration::from_secs(1);
