//! Tools of the integration tests: the real binary ([`bridge`]), a sender ([`peer`]), a client of the API ([`api`]), an app ([`app`]) and messages
//! ([`messages`]). They are themselves tested in `tests/support_selftest.rs`.
//!
//! Ports are always 0, waits are for events and end with a report of what was seen instead, and the limit of a wait
//! is [`PATIENCE`]: long enough for a busy machine, because a passing test never uses it up.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(unreachable_pub, reason = "shared by test binaries, exported by none")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that unwraps fails with a line number"
)]
#![allow(
    clippy::disallowed_types,
    reason = "blocking threads without a runtime: std's clock is theirs"
)]

pub mod api;
pub mod api_server;
pub mod app;
pub mod bridge;
pub mod corpus;
pub mod fhir_messages;
pub mod kept;
pub mod messages;
pub mod peer;
pub mod pki;
pub mod tls_client;

use std::fmt;
use std::time::Duration;

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes as they appear in a failure: control characters escaped, and not more than a screen of them.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 600;
        let head = &self.0[..self.0.len().min(MOST)];
        write!(f, "{} bytes \"{}\"", self.0.len(), head.escape_ascii())?;
        if self.0.len() > MOST {
            f.write_str("…")
        } else {
            Ok(())
        }
    }
}
