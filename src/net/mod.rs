//! Sockets: how they are opened and what is set on them.
//!
//! Must not know: MLLP, HL7, HTTP.

pub mod socket;
pub mod stream;
pub mod tls;
