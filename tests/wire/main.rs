//! On the wire: what senders really put there, against the real binary over real sockets.
//!
//! Each row of the design's table of deviations is a test named after the row, checked at three places: the bytes that
//! are answered, the bytes that the app received, and the metrics. [`framing`] has the blocks, [`foreign`] what is no MLLP,
//! [`oversized`] what is too large, [`content`] and [`charsets`] what is inside a block, [`continuation`] what
//! is cut into fragments, [`acks`] and [`enhanced`] the answers, [`xml`] HL7 in
//! XML, and [`reports`] what users of other bridges have reported.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "helpers of tests, on blocking threads"
)]

#[path = "../support/mod.rs"]
mod support;

mod acks;
mod batches;
mod charsets;
mod content;
mod continuation;
mod duplicates;
mod enhanced;
mod foreign;
mod framing;
mod lab;
mod oversized;
mod reports;
mod xml;
