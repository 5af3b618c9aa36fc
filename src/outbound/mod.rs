//! The way out: messages to an MLLP server, and its acknowledgements back.
//!
//! ```text
//! message ──Block──► VT data FS CR ──► server
//!                                        │
//! Answer ◄── MSA-2 = MSH-10? ◄── VT ACK FS CR
//! ```
//!
//! Owns the connection to a server, and the rule that an answer belongs to the message whose control ID it repeats. A
//! connection that broke that rule, or on which an answer did not come in time, is closed: what comes late
//! must not answer the next message.
//!
//! Must not know: how messages come in, and what the codes of an answer mean to an HTTP client.

pub mod answer;
pub mod api;
pub mod client;
pub mod destination;
pub mod error;
pub mod expect;
pub mod fill;
pub mod idempotency;

pub use answer::{Answer, Code, Fault};
pub use client::{Block, Connection, Options, control_id};
pub use destination::{Destination, Exchanged, Failure};
pub use error::{BadAnswer, ControlId, Error, Kind, Stage};
