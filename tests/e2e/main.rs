//! The bridge in a real cluster. `make e2e` prepares one and runs these; without it each test says that it is skipped.
//!
//! A test has a namespace of its own, in which Pod Security's `restricted` is enforced, and shares nothing with another.
//! Where it fails, the namespace's events, descriptions and logs are printed.

#![allow(
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "tests that wait for processes, in real time"
)]

mod cluster;
mod hospital;
mod namespace;
mod pods;
mod pressure;
mod prometheus;

mod admission;
mod crowd;
mod install;
mod lifecycle;
mod manifests;
mod message;
mod release;
mod rolling;
