//! Messages on their way out: the API's answers, servers that misbehave, many messages at once, TLS, answers that come back on a
//! listener, keys over the end of the process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that unwraps fails with a line number"
)]
#![allow(
    clippy::disallowed_types,
    reason = "blocking threads without a runtime: std's clock is theirs"
)]

#[path = "../support/mod.rs"]
mod support;

mod crowd;
mod hostile;
mod keys;
mod replies;
mod rows;
mod server;
mod tls;

use server::Server;
use support::api::{self, post};
use support::bridge::Bridge;

/// A message with this control ID, whose MSH-15 and MSH-16 are these.
fn message(control_id: &str, conditions: &str) -> String {
    format!(
        "MSH|^~\\&|APP|CLINIC|LIS|LAB|20261122||ORM^O01|{control_id}|P|2.5|||{conditions}\rPID|1||4711||MUSTER^ERIKA\r"
    )
}

/// The acknowledgement of a message, as the server that the message was for writes it.
fn ack(code: &str, control_id: &str) -> String {
    format!(
        "MSH|^~\\&|LIS|LAB|APP|CLINIC|20261122||ACK|a{control_id}|P|2.5\rMSA|{code}|{control_id}\r"
    )
}

fn control_id(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message).into_owned();
    text.split('|').nth(9).unwrap_or_default().to_owned()
}
