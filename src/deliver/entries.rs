//! What a FHIR server's answer means.
//!
//! | answer | means |
//! | --- | --- |
//! | a Bundle on a 2xx | each entry has a status of its own, and all of them must be a yes |
//! | an OperationOutcome with an error on a 2xx | no |
//! | the answer to a FHIR message on a 2xx | as its MessageHeader has it |
//! | anything on another status | as for any app: [`super::answer`] |
//!
//! What a server finds fault with is an element of the bundle; the sender is told the field that it was made of, where that is known.

use super::answer::{self, Asked};
use super::blame::{Blame, Places};
use super::bundles::Bundles;
use super::outcome::{Answer, Failure, Outcome, Rejection};
use super::response::Response;
use crate::config::{self, BundleType, StatusTable, Verdict};
use crate::envelope::Source;
use crate::hl7::ack::Fault;
use crate::telemetry::labels::Attempt;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// For a no that has no status of its own.
const ERROR: config::Answer = config::Answer {
    verdict: Verdict::Error,
    condition: 207,
};
const UNAVAILABLE: config::Answer = config::Answer {
    verdict: Verdict::Unavailable,
    condition: 207,
};

/// What is asked, and of whom.
#[derive(Clone, Copy)]
pub(super) struct Question<'q> {
    pub table: &'q StatusTable,
    pub asked: Asked<'q>,
    pub source: &'q Source<'q>,
    pub bundle: &'q [u8],
}

/// A no, and what it is about.
struct No {
    row: config::Answer,
    fault: Fault,
    blame: Blame,
}

#[derive(Deserialize)]
struct Entries {
    #[serde(default)]
    entry: Vec<IgnoredAny>,
}

impl Bundles {
    /// The outcome of one answer.
    pub(super) fn judge(
        &self,
        response: &Response,
        body: &[u8],
        question: &Question<'_>,
    ) -> Outcome {
        let row = question.table.get(response.status);
        if row.verdict != Verdict::Accept {
            return match answer::judge(response, body, row, question.asked) {
                Outcome::Rejected(mut rejection) => {
                    let json = answer::parse(body).unwrap_or_default();
                    let blames = issues(&json).map(|issue| Blame::of(issue, None));
                    self.locate(&mut rejection.faults, blames, question);
                    Outcome::Rejected(rejection)
                }
                other => other,
            };
        }
        let nos = match self.nos(response, body, question) {
            Ok(nos) => nos,
            Err(text) => return answer::app_fault(text, response.status),
        };
        let Some(worst) = worst(&nos) else {
            return Outcome::Accepted(Answer::default());
        };
        let (mut faults, mut blames) = (Vec::new(), Vec::new());
        for no in nos {
            faults.push(no.fault);
            blames.push(no.blame);
        }
        if worst == Verdict::Unavailable {
            return Outcome::Unavailable(Failure {
                reason: Attempt::Status,
                status: Some(response.status),
                faults,
                attempts: 1,
            });
        }
        self.locate(&mut faults, blames.into_iter(), question);
        Outcome::Rejected(Rejection {
            unsupported: worst == Verdict::Reject,
            faults,
            own: None,
            status: response.status,
        })
    }

    /// Every no in an answer that came with a yes. An error says why the answer cannot be taken for a yes at all.
    fn nos(
        &self,
        response: &Response,
        body: &[u8],
        question: &Question<'_>,
    ) -> Result<Vec<No>, &'static str> {
        if response.cut {
            return Err("the FHIR server's answer is larger than max_response_bytes");
        }
        let json = answer::parse(body);
        let is_batch = self.options.kind == BundleType::Batch;
        let Some(json) = json else {
            // A transaction is done as a whole, and its status says so. Of a batch only its entries do.
            return match is_batch {
                true => Err(
                    "the FHIR server's answer to a batch does not say what became of its entries",
                ),
                false if body.trim_ascii_start().starts_with(b"{") => {
                    Err("the FHIR server's answer begins like JSON and cannot be read")
                }
                false => Ok(Vec::new()),
            };
        };
        let kind = json.get("resourceType").and_then(Value::as_str);
        let entries = json.get("entry").and_then(Value::as_array);
        let entries = entries.map(Vec::as_slice).unwrap_or_default();
        if is_batch {
            let sent = serde_json::from_slice(question.bundle);
            let sent = sent.map_or(0, |Entries { entry }| entry.len());
            if kind != Some("Bundle") || entries.len() != sent {
                return Err(
                    "the FHIR server's answer to a batch does not have an entry for each of its entries",
                );
            }
        }
        let mut nos = Vec::new();
        if kind == Some("OperationOutcome") {
            push_errors(&json, ERROR, None, &mut nos);
        }
        if kind == Some("Bundle") {
            message_response(entries, &mut nos);
            for (at, entry) in entries.iter().enumerate() {
                if let Some(response) = entry.get("response") {
                    entry_response(response, at, question.table, &mut nos);
                } else if is_batch {
                    nos.push(No::of_entry(at, "no status", ERROR));
                }
            }
        }
        Ok(nos)
    }

    /// Says where in the message the faults are.
    fn locate(
        &self,
        faults: &mut [Fault],
        blames: impl Iterator<Item = Blame>,
        question: &Question<'_>,
    ) {
        let blames: Vec<Blame> = blames.collect();
        if blames.len() != faults.len() || blames.iter().all(Blame::is_nothing) {
            return;
        }
        let Some(converted) = self.explain(question.source) else {
            return;
        };
        let places = Places::new(&converted, question.bundle);
        for (fault, blame) in faults.iter_mut().zip(&blames) {
            if fault.location.is_none() {
                fault.location = places.find(blame);
            }
        }
    }
}

impl No {
    fn of_entry(at: usize, status: &str, row: config::Answer) -> Self {
        Self {
            row,
            fault: Fault {
                condition: row.condition,
                text: format!(
                    "the FHIR server answered {status} for entry {} of the bundle",
                    at + 1
                ),
                ..Fault::default()
            },
            blame: Blame::entry(at),
        }
    }
}

fn issues(outcome: &Value) -> impl Iterator<Item = &Value> {
    let all = outcome.get("issue").and_then(Value::as_array);
    all.into_iter().flatten()
}

/// The issues of an OperationOutcome that are errors.
fn push_errors(outcome: &Value, row: config::Answer, entry: Option<usize>, nos: &mut Vec<No>) {
    let is_error = |issue: &&Value| {
        let severity = issue.get("severity").and_then(Value::as_str);
        matches!(severity, Some("error" | "fatal"))
    };
    nos.extend(issues(outcome).filter(is_error).map(|issue| No {
        row,
        fault: answer::from_issue(issue, row.condition),
        blame: Blame::of(issue, entry),
    }));
}

/// `Bundle.entry.response`
fn entry_response(response: &Value, at: usize, table: &StatusTable, nos: &mut Vec<No>) {
    let before = nos.len();
    let text = response
        .get("status")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let status = text.get(..3).and_then(|status| status.parse::<u16>().ok());
    let row = status.map_or(ERROR, |status| table.get(status));
    let said_yes = row.verdict == Verdict::Accept;
    if let Some(outcome) = response.get("outcome") {
        push_errors(outcome, if said_yes { ERROR } else { row }, Some(at), nos);
    }
    if !said_yes && nos.len() == before {
        let status = status.map_or("no status".to_owned(), |status| format!("HTTP {status}"));
        nos.push(No::of_entry(at, &status, row));
    }
}

/// `MessageHeader.response`, in what answers a FHIR message.
fn message_response(entries: &[Value], nos: &mut Vec<No>) {
    let resource = entries.first().and_then(|entry| entry.get("resource"));
    let header = resource.filter(|resource| {
        resource.get("resourceType").and_then(Value::as_str) == Some("MessageHeader")
    });
    let code = header
        .and_then(|header| header.pointer("/response/code"))
        .and_then(Value::as_str);
    let row = match code {
        Some("transient-error") => UNAVAILABLE,
        Some("fatal-error") => ERROR,
        _ => return,
    };
    let before = nos.len();
    for entry in entries {
        let resource = entry.get("resource");
        if let Some(outcome) = resource.filter(|resource| {
            resource.get("resourceType").and_then(Value::as_str) == Some("OperationOutcome")
        }) {
            push_errors(outcome, row, None, nos);
        }
    }
    if nos.len() == before {
        nos.push(No {
            row,
            fault: Fault::application("the FHIR server's answer says that the message failed"),
            blame: Blame::default(),
        });
    }
}

/// What cannot be mended by another attempt wins.
fn worst(nos: &[No]) -> Option<Verdict> {
    let has = |verdict| nos.iter().any(|no| no.row.verdict == verdict);
    [Verdict::Reject, Verdict::Error, Verdict::Unavailable]
        .into_iter()
        .find(|verdict| has(*verdict))
}
