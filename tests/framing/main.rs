//! The kinds of framing beside MLLP Release 1, against the real binary over real sockets: [`release2`] and [`hllp`] from the
//! sender's side, byte by byte; [`damage`] with bytes that were changed on the way; [`client`] with `send` as the sender; [`corpus`] with many messages in every kind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "helpers of tests, on blocking threads"
)]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "what only the tests of MLLP Release 1 use")]
#[path = "../wire/lab.rs"]
mod lab;

mod blocks;
mod client;
mod corpus;
mod damage;
mod hllp;
mod release2;
