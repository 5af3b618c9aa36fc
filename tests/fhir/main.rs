//! Other people's FHIR software, for tests of what the bridge makes of HL7 v2: three validators and a server. What they are worth is
//! tested here: [`cases`] has good resources and broken ones, and the table of who sees what.
//!
//! `make fhir` installs them and lets nothing be skipped; README.md beside this file says more.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod bridge;
mod cases;
mod corpus;
mod elements;
mod feed;
mod identity;
mod judged;
mod overrides;
mod parts;
mod programs;
mod secured;
mod stored;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod tokens;
