//! Other people's MLLP clients send to a running bridge, and what *they* make of the answers is asserted; other people's
//! parsers read every acknowledgement that the bridge makes, with their validation on.
//!
//! [`cases`] has the table of what each client sees, [`acks`] the acknowledgements and what each parser says of them,
//! [`v3`] those of v3 and HL7's schema, [`servers`] is the other direction: other people's servers, [`openssl`] the same with
//! TLS that is not rustls, [`schemathesis`] holds the API
//! against its description, [`peers`] runs the peers, [`page`] makes docs/interop.md of the tables. `make interop` installs the peers and lets
//! nothing be skipped; README.md beside this file says more.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "helpers of tests, on blocking threads"
)]

#[path = "../destinations/server.rs"]
#[allow(dead_code, reason = "what only tests/destinations needs")]
mod server;
#[path = "../support/mod.rs"]
mod support;

mod acks;
mod cases;
mod lab;
mod openssl;
mod page;
mod peers;
mod schemathesis;
mod servers;
mod v3;
