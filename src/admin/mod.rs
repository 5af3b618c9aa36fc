//! The admin server: metrics, health, drain.
//!
//! Must not know: MLLP, messages. Probes and scrapes come here, so nothing here waits for an app.

pub mod readiness;
pub mod server;

pub use readiness::{Readiness, Sidecar};
pub use server::{Server, Subject};
