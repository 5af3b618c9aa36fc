//! HL7's v2-to-FHIR guide, row by row: its vocabulary maps.
//!
//! `vocabularies.tsv` is the guide's tables without its sentences (`import.py` writes it). What becomes of each row is in
//! docs/guide-vocabularies.md, which is made by these tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "helpers of tests"
)]

#[path = "../support/kept.rs"]
mod kept;
mod page;
mod vocabularies;

/// The rows of a table of tab-separated values, without its header.
pub fn table<const N: usize>(text: &str) -> Vec<[String; N]> {
    let lines = text.lines().skip(1);
    lines
        .map(|line| {
            let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
            cells
                .try_into()
                .unwrap_or_else(|cells: Vec<String>| panic!("{} cells: {line}", cells.len()))
        })
        .collect()
}
