//! HL7's v2-to-FHIR guide, row by row: each of its rows is made into a message, and the bundle must have what the row says.
//!
//! `segments.tsv`, `messages.tsv` and `datatypes.tsv` are the guide's tables without its sentences (`import.py` and `import_types.py` write them). What becomes of
//! each row is in docs/guide-rows.md, which is made by these tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::string_slice,
    unreachable_pub,
    reason = "helpers of tests"
)]

mod condition;
mod convert;
mod datatypes;
mod differs;
mod draft;
mod element;
#[path = "../support/kept.rs"]
mod kept;
mod messages;
mod page;
#[path = "../fhir/parts/mod.rs"]
mod parts;
mod sample;
mod segments;
mod valid;
