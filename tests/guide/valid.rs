//! What the rows' messages become is FHIR.

use crate::convert::convert;
use crate::{parts, segments};
use serde_json::Value;
use std::collections::BTreeSet;

#[test]
fn every_rows_bundle_is_valid() {
    if !parts::installed() {
        return;
    }
    let messages: BTreeSet<String> = segments::rows()
        .iter()
        .flat_map(segments::messages)
        .collect();
    let made: Vec<(&String, Value)> = messages
        .iter()
        .filter_map(|message| Some((message, convert(message)?.bundle)))
        .collect();
    let bundles: Vec<Value> = made.iter().map(|(_, bundle)| bundle.clone()).collect();
    let wrong: Vec<String> = made
        .iter()
        .zip(parts::validators::check(&bundles))
        .filter(|(_, verdict)| !verdict.is_valid())
        .map(|((message, _), verdict)| format!("{}\n{verdict}", message.replace('\r', "\n")))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} bundles:\n{}",
        wrong.len(),
        made.len(),
        wrong.join("\n\n")
    );
}
