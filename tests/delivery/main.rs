//! Delivery to the app over real sockets: what is sent, on which connection, and that no message ever gets what was
//! meant for another.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "helpers of tests, on blocking threads"
)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use support::PATIENCE;
use support::app::{Recorded, Reply, TestApp};
use support::bridge::Bridge;
use support::messages::{self, frame};
use support::peer::{Ack, RawPeer};

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod auth;
mod fhir;
mod formats;
mod headers;
mod large;
mod own_answer;
mod peers;
mod raw_app;
mod refused;
mod reuse;
mod tls;

/// One listener in front of this app, with quick retries; `deliver` holds further members of that mapping.
fn config(url: &str, deliver: &str) -> String {
    format!(
        "listeners:\n- name: adt\n  bind: 127.0.0.1:0\n  \
         deliver: {{url: '{url}', retry: {{initial: 5ms, max: 40ms}}, {deliver}}}\n  \
         ack: {{deadline: 10s}}\n"
    )
}

fn bridge(app: &TestApp, deliver: &str) -> Bridge {
    Bridge::start(&config(&app.url(), deliver))
}

/// Connections that carried these requests; a probe's carries none.
fn carriers(requests: &[Recorded]) -> BTreeSet<usize> {
    requests.iter().map(|request| request.connection).collect()
}

/// The control IDs of these requests, in order.
fn control_ids(requests: &[Recorded]) -> Vec<String> {
    let id = |request: &Recorded| request.header("X-HL7-Control-Id").unwrap().to_owned();
    requests.iter().map(id).collect()
}

/// The text that an app put into MSA-3.
fn saying(text: &str) -> Reply {
    Reply::ok().json(&serde_json::json!({"ack": {"code": "AA", "text": text}}))
}

const SECOND: Duration = Duration::from_secs(1);
const MIB: usize = 1024 * 1024;
