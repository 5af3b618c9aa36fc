//! Which metrics an expression uses, and which ones there are.

use std::collections::BTreeSet;

use crate::helm::read;

/// Metrics of the injector.
const INJECTOR: &[&str] = &[
    "mllp_bridge_injector_reviews_total",
    "mllp_bridge_injector_review_duration_seconds",
    "mllp_bridge_injector_certificate_expiry_timestamp_seconds",
    "mllp_bridge_injector_bundle_matches",
    "mllp_bridge_injector_leader",
    "mllp_bridge_injector_rotations_total",
];

/// Every metric that may be asked for.
pub(crate) fn known() -> BTreeSet<String> {
    let page = read("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut names: BTreeSet<String> = rows
        .filter_map(|row| row.split('`').next())
        .filter(|name| name.starts_with("mllp_bridge_"))
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 15, "only {names:?}");
    names.extend(INJECTOR.iter().map(|name| (*name).to_owned()));
    names
}

/// Names of metrics in an expression, without what a histogram adds to its own.
pub(crate) fn used(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("mllp_bridge_"))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned())
        .collect()
}

/// Why an expression cannot be right: no metric in it, or one that does not exist.
pub(crate) fn fault(expression: &str, known: &BTreeSet<String>) -> Option<String> {
    let used = used(expression);
    if used.is_empty() {
        return Some(format!("no metric of ours: {expression}"));
    }
    let unknown: Vec<_> = used.difference(known).collect();
    (!unknown.is_empty()).then(|| format!("{unknown:?} in {expression}"))
}

#[test]
fn an_unknown_metric_is_found() {
    let known = known();
    assert_eq!(
        fault(
            "rate(mllp_bridge_exchange_duration_seconds_bucket[5m]) and mllp_bridge_app_up",
            &known
        ),
        None
    );
    assert!(fault("mllp_bridge_app_down == 0", &known).is_some());
    assert!(fault("up == 0", &known).is_some());
}
