//! The result for programs.

use super::load::Settings;
use super::plan::Plan;
use super::tally::{PERCENTILES, Tally, percentile};
use crate::outbound::{Code, Kind};
use serde_json::{Map, Value, json};

/// One document. Every count is there, also where it is 0, so that a reader needs no defaults.
pub(super) fn document(plan: &Plan, settings: &Settings, tally: &Tally) -> Value {
    let codes = [Code::Aa, Code::Ca, Code::Ae, Code::Ce, Code::Ar, Code::Cr];
    let answers: Map<_, _> = codes
        .iter()
        .map(|code| {
            let count = tally.answers.get(code).copied().unwrap_or_default();
            (code.as_str().to_owned(), json!(count))
        })
        .collect();
    let mut failures: Map<_, _> = Kind::ALL
        .iter()
        .map(|kind| {
            let count = tally.failures.get(kind).copied().unwrap_or_default();
            (kind.label().to_owned(), json!(count))
        })
        .collect();
    failures.insert("not_sent".into(), json!(tally.not_sent()));
    let latency: Map<_, _> = PERCENTILES
        .iter()
        .map(|(name, place)| {
            let micros = percentile(&tally.latency, *place);
            ((*name).to_owned(), json!(micros as f64 / 1e3))
        })
        .collect();
    let listed = tally.listed.iter().filter_map(|listed| {
        let entry = plan.entries.get(listed.entry)?;
        Some(json!({
            "file": plan.file(entry),
            "message": entry.number,
            "control_id": entry.control_id.as_str(),
            "outcome": listed.outcome,
            "detail": listed.detail,
            "times": listed.times,
        }))
    });
    let mut document = json!({
        "address": settings.address,
        "accepted": tally.all_accepted(),
        "messages": {
            "planned": tally.planned,
            "answered": tally.answered(),
            "accepted": tally.accepted(),
            "no_answer_wanted": tally.unanswered,
        },
        "answers": answers,
        "failures": failures,
        "connections": { "opened": tally.opened, "reopened": tally.reopened },
        "seconds": tally.elapsed.as_micros() as f64 / 1e6,
        "messages_per_second": tally.throughput().round(),
        "latency_ms": if tally.latency.is_empty() { Value::Null } else { Value::Object(latency) },
        "not_accepted": listed.collect::<Vec<_>>(),
        "not_accepted_unlisted": tally.unlisted,
        "unasked_answers": tally.unasked,
        "unacknowledged_in_batches": tally.unacknowledged,
        "answer_deviations": tally.deviations,
        "notes": plan.notes,
        "ended_early": tally.ended_early,
    });
    if let (Some(each), Some(document)) = (&tally.each, document.as_object_mut()) {
        document.insert("each".into(), json!(each));
    }
    document
}
