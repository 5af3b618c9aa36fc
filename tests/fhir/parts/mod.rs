//! Other people's FHIR software, each a program that is started once for a test run: three [`validators`] and a [`server`]. And a
//! [`token`] endpoint of ours.
//!
//! A test that needs one asks [`installed`] first, and returns where it says no: it has then said what is skipped.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(unreachable_pub, reason = "shared by test binaries, exported by none")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "helpers of tests, on blocking threads"
)]

mod http;
pub mod process;
pub mod server;
pub mod token;
pub mod validators;

use std::path::{Path, PathBuf};

/// Whether `tests/tools/fhir.sh` has put everything under target/fhir; says so where it has not, which fails with `FHIR=required`.
pub fn installed() -> bool {
    let missing: Vec<_> = ["node", "hapi", "server"]
        .into_iter()
        .filter(|part| !root().join(format!("target/fhir/{part}.stamp")).is_file())
        .collect();
    if missing.is_empty() {
        return true;
    }
    let required = std::env::var_os("FHIR").is_some_and(|value| value == "required");
    assert!(!required, "not installed under target/fhir: {missing:?}");
    eprintln!("skipped: not installed under target/fhir: {missing:?} (make fhir does it)");
    false
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn script(name: &str) -> PathBuf {
    root().join("tests/fhir").join(name)
}
