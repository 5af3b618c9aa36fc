//! The way in: MLLP connections, and the exchange of one message.
//!
//! Owns accepting, the bounds on connections, the loop of one connection and the order of its replies. Must not know: HTTP
//! statuses, how a request looks.
//!
//! ```text
//! listener ── accept ──► connection ── frame ──► exchange ── peek → envelope → deliver → ack ──► reply
//! ```
//!
//! On one connection there is one message at a time, answered in order; concurrency comes from connections. While a message
//! is with the app nothing is read from its peer: that is the back-pressure. All acknowledgements of a message are written before
//! the next one is read.

pub mod admit;
pub mod answered;
mod batch;
pub mod connection;
pub mod duplicates;
pub mod exchange;
pub mod frame;
pub mod input;
pub mod listener;
pub mod memory;
pub mod numbers;
pub mod parts;
pub mod reply;
pub mod shared;
pub mod told;

pub use listener::Listener;
pub use shared::{Common, Live, Shared};
