//! What a FHIR server's answer means.
//!
//! | asked for | a yes is |
//! | --- | --- |
//! | a transaction, a batch | a Bundle of the type that answers it on a 2xx, with an entry for each that was sent, each of them a yes |
//! | a FHIR message | a 204, or what says so on a 2xx: a MessageHeader that answers this one, an OperationOutcome |
//! | a collection | a 2xx without an error in it |
//!
//! An OperationOutcome with an error in it is a no, wherever in such an answer it is. Anything on another status means what it means for any app: [`super::answer`]. What a server finds fault with is an element of the
//! bundle; the sender is told the field that it was made of, where that is known.

use super::answer::{self, Asked};
use super::blame::{Blame, Places};
use super::bundles::Bundles;
use super::outcome::{Answer, Failure, Outcome, Rejection};
use super::response::Response;
use crate::config::{self, BundleType, StatusTable, Verdict};
use crate::envelope::Source;
use crate::hl7::ack::{Fault, MAX_ERRORS};
use crate::telemetry::labels::Attempt;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
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

/// Of what a cancellation takes back: the key is unknown.
const NOT_THERE: config::Answer = config::Answer {
    verdict: Verdict::Error,
    condition: 204,
};
/// As the bundle has it where something must be there.
const PATCH: &[u8] = b"\"request\":{\"method\":\"PATCH\"";

/// What is asked, and of whom.
#[derive(Clone, Copy)]
pub(super) struct Question<'q> {
    pub table: &'q StatusTable,
    pub asked: Asked<'q>,
    pub source: &'q Source<'q>,
    pub bundle: &'q [u8],
    /// How many entries it has.
    pub entries: usize,
}

/// What a status means for this bundle. Where it changes what must be there, 404 says that it is not.
fn row(status: u16, question: &Question<'_>) -> config::Answer {
    let row = question.table.get(status);
    let refused = row.verdict == Verdict::Reject && row.condition == 200;
    match status == 404 && refused && memchr::memmem::find(question.bundle, PATCH).is_some() {
        true => NOT_THERE,
        false => row,
    }
}

/// A no, and what it is about.
struct No {
    row: config::Answer,
    fault: Fault,
    blame: Blame,
}

/// The answer to a transaction or a batch: what became of each entry.
#[derive(Deserialize)]
struct Answers {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    entry: Vec<Answered>,
    #[serde(default)]
    issue: Errors,
}

#[derive(Deserialize)]
struct Answered {
    response: Option<EntryResponse>,
    resource: Option<Resource>,
}

/// `Bundle.entry.resource`: only an OperationOutcome says something. What some servers repeat of what was sent is passed over.
#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "resourceType", default)]
    resource_type: String,
    #[serde(default)]
    issue: Errors,
}

impl Answered {
    /// What is said to be wrong, in whichever of two places servers say it.
    fn errors(&self) -> impl Iterator<Item = &Value> {
        let outcome = self.response.as_ref();
        let outcome = outcome.and_then(|response| response.outcome.as_ref());
        let resource = self.resource.as_ref();
        let resource = resource.filter(|one| one.resource_type == "OperationOutcome");
        let outcome = outcome.map(|one| &one.issue.0);
        let resource = resource.map(|one| &one.issue.0);
        outcome.into_iter().chain(resource).flatten()
    }
}

/// `Bundle.entry.response`
#[derive(Deserialize)]
struct EntryResponse {
    #[serde(default)]
    status: String,
    outcome: Option<OperationOutcome>,
}

#[derive(Deserialize)]
struct OperationOutcome {
    #[serde(default)]
    issue: Errors,
}

/// The issues of an OperationOutcome that are errors. A server may say of each of thousands of entries that it went well.
#[derive(Default)]
struct Errors(Vec<Value>);

impl<'de> Deserialize<'de> for Errors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Issues;
        impl<'de> Visitor<'de> for Issues {
            type Value = Errors;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of issues")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut issues: A) -> Result<Errors, A::Error> {
                let mut errors = Vec::new();
                while let Some(issue) = issues.next_element::<Value>()? {
                    if is_error(&issue) {
                        errors.push(issue);
                    }
                }
                Ok(Errors(errors))
            }
        }
        deserializer.deserialize_seq(Issues)
    }
}

impl Bundles {
    /// The outcome of one answer.
    pub(super) fn judge(
        &self,
        response: &Response,
        body: &[u8],
        question: &Question<'_>,
    ) -> Outcome {
        let row = row(response.status, question);
        if row.verdict != Verdict::Accept {
            return match answer::judge(response, body, row, question.asked) {
                Outcome::Rejected(mut rejection) => {
                    let json: Value = answer::parse(body).unwrap_or_default();
                    let blames = answer::issues(&json).into_iter();
                    let blames = blames.map(|issue| Blame::of(issue, None));
                    self.locate(&mut rejection.faults, blames, question);
                    Outcome::Rejected(rejection)
                }
                other => other,
            };
        }
        let mut nos = match self.nos(response, body, question) {
            Ok(nos) => nos,
            Err(what) => {
                let status = response.status;
                let text = format!("the FHIR server answered HTTP {status} {what}");
                return answer::app_fault(&text, status);
            }
        };
        let Some(worst) = worst(&nos) else {
            return Outcome::Accepted(Answer::default());
        };
        // An acknowledgement has no room for more, and to say where each is is work.
        nos.sort_by_key(|no| rank(no.row.verdict));
        nos.truncate(MAX_ERRORS);
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
            return Err("with more than is read of an answer");
        }
        match self.options.kind {
            BundleType::Transaction => of_each(body, "transaction-response", question),
            BundleType::Batch => of_each(body, "batch-response", question),
            BundleType::Message => of_message(response.status, body, question.bundle),
            BundleType::Collection => of_collection(body, question.table),
        }
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

/// Of the entries of a transaction or a batch. A status alone is not believed: a proxy's page and a server that has stored half of it
/// have a 200 as well.
fn of_each(body: &[u8], kind: &str, question: &Question<'_>) -> Result<Vec<No>, &'static str> {
    if body.trim_ascii().is_empty() {
        return Err("and did not say what became of the bundle's entries");
    }
    let answers: Answers = answer::parse(body).ok_or("with what is not a FHIR resource")?;
    let mut nos = Vec::new();
    match answers.resource_type.as_str() {
        "OperationOutcome" => push_errors(answers.issue.0.iter(), ERROR, None, &mut nos),
        "Bundle" if answers.kind == kind && answers.entry.len() == question.entries => {
            for (at, entry) in answers.entry.iter().enumerate() {
                of_entry(entry, at, |status| row(status, question), &mut nos);
            }
            return Ok(nos);
        }
        "Bundle" if answers.kind == kind => {
            return Err("and did not say what became of each of the bundle's entries");
        }
        _ => {}
    }
    // An OperationOutcome without an error says nothing of entries either.
    match nos.is_empty() {
        true => Err("with a resource that does not answer the bundle"),
        false => Ok(nos),
    }
}

/// Of a FHIR message. That there is no answer to it a server can say, by 204. Nothing on another status may come of a proxy, or be
/// said of what is looked at later.
fn of_message(status: u16, body: &[u8], sent: &[u8]) -> Result<Vec<No>, &'static str> {
    if body.trim_ascii().is_empty() {
        return match status {
            204 => Ok(Vec::new()),
            _ => Err("and did not say whether the message was processed"),
        };
    }
    let json: Value = answer::parse(body).ok_or("with what is not a FHIR resource")?;
    let mut nos = Vec::new();
    match resource_type(&json) {
        Some("OperationOutcome") => push_errors(errors(&json), ERROR, None, &mut nos),
        Some("Bundle") => message_response(entries(&json), sent, &mut nos)?,
        _ => return Err("with a resource that does not answer the message"),
    }
    Ok(nos)
}

/// Of a collection, for which FHIR has no answer.
fn of_collection(body: &[u8], table: &StatusTable) -> Result<Vec<No>, &'static str> {
    let Some(json): Option<Value> = answer::parse(body) else {
        return match body.trim_ascii_start().starts_with(b"{") {
            true => Err("with what begins like JSON and cannot be read"),
            false => Ok(Vec::new()),
        };
    };
    let mut nos = Vec::new();
    match resource_type(&json) {
        Some("OperationOutcome") => push_errors(errors(&json), ERROR, None, &mut nos),
        Some("Bundle") => {
            for (at, entry) in entries(&json).iter().enumerate() {
                let entry = Answered::deserialize(entry);
                let entry = entry.map_err(|_| "with an entry that cannot be read")?;
                match entry.response {
                    Some(_) => of_entry(&entry, at, |status| table.get(status), &mut nos),
                    None => push_errors(entry.errors(), ERROR, Some(at), &mut nos),
                }
            }
        }
        _ => {}
    }
    Ok(nos)
}

fn resource_type(resource: &Value) -> Option<&str> {
    resource.get("resourceType").and_then(Value::as_str)
}

fn entries(bundle: &Value) -> &[Value] {
    let entries = bundle.get("entry").and_then(Value::as_array);
    entries.map(Vec::as_slice).unwrap_or_default()
}

fn issues(outcome: &Value) -> impl Iterator<Item = &Value> {
    let all = outcome.get("issue").and_then(Value::as_array);
    all.into_iter().flatten()
}

fn errors(outcome: &Value) -> impl Iterator<Item = &Value> {
    issues(outcome).filter(|issue| is_error(issue))
}

fn is_error(issue: &Value) -> bool {
    let severity = issue.get("severity").and_then(Value::as_str);
    matches!(severity, Some("error" | "fatal"))
}

fn push_errors<'i>(
    errors: impl Iterator<Item = &'i Value>,
    row: config::Answer,
    entry: Option<usize>,
    nos: &mut Vec<No>,
) {
    nos.extend(errors.map(|issue| No {
        row,
        fault: answer::from_issue(issue, row.condition),
        blame: Blame::of(issue, entry),
    }));
}

/// Of one entry of a transaction's or a batch's answer.
fn of_entry(entry: &Answered, at: usize, row: impl Fn(u16) -> config::Answer, nos: &mut Vec<No>) {
    let before = nos.len();
    let status = entry.response.as_ref();
    let status = status.and_then(|response| response.status.get(..3));
    let status = status.and_then(|status| status.parse::<u16>().ok());
    let row = status.map_or(ERROR, row);
    let said_yes = row.verdict == Verdict::Accept;
    let wrong = if said_yes { ERROR } else { row };
    push_errors(entry.errors(), wrong, Some(at), nos);
    if !said_yes && nos.len() == before {
        let status = status.map_or("no status".to_owned(), |status| format!("HTTP {status}"));
        nos.push(No::of_entry(at, &status, row));
    }
}

/// `MessageHeader.response`, in what answers a FHIR message. An error beside it counts, whatever it says.
fn message_response(entries: &[Value], sent: &[u8], nos: &mut Vec<No>) -> Result<(), &'static str> {
    let header = entries.iter().find_map(|entry| entry.get("resource"));
    let header = header.filter(|resource| resource_type(resource) == Some("MessageHeader"));
    let response = header.and_then(|header| header.get("response"));
    let said = |name| response.and_then(|response| response.get(name));
    let row = match said("code").and_then(Value::as_str) {
        Some("ok" | "fatal-error") => ERROR,
        Some("transient-error") => UNAVAILABLE,
        _ => return Err("with a Bundle that does not say whether the message was processed"),
    };
    // R5 has an Identifier where R4 has its value.
    let to = said("identifier").and_then(|to| to.get("value").unwrap_or(to).as_str());
    if to.is_some_and(|to| !Sent::is_named(sent, to)) {
        return Err("with a Bundle that answers another message");
    }
    let before = nos.len();
    for entry in entries {
        let outcomes = [entry.get("resource"), entry.pointer("/response/outcome")];
        let outcomes = outcomes.into_iter().flatten();
        for outcome in outcomes.filter(|one| resource_type(one) == Some("OperationOutcome")) {
            push_errors(errors(outcome), row, None, nos);
        }
    }
    if nos.len() == before && said("code").and_then(Value::as_str) != Some("ok") {
        nos.push(No {
            row,
            fault: Fault::application("the FHIR server's answer says that the message failed"),
            blame: Blame::default(),
        });
    }
    Ok(())
}

/// What a FHIR message that was sent is known by: R4 means the id of its MessageHeader; some servers take the Bundle's identifier, which
/// is MSH-10.
#[derive(Deserialize)]
struct Sent {
    identifier: SentIdentifier,
    entry: Vec<SentEntry>,
}

#[derive(Deserialize)]
struct SentIdentifier {
    value: String,
}

#[derive(Deserialize)]
struct SentEntry {
    #[serde(rename = "fullUrl")]
    full_url: String,
}

impl Sent {
    fn is_named(bundle: &[u8], name: &str) -> bool {
        let Ok(Self { identifier, entry }) = serde_json::from_slice(bundle) else {
            return false;
        };
        let last = |url: &str| {
            url.rsplit([':', '/'])
                .next()
                .unwrap_or_default()
                .to_lowercase()
        };
        let header = entry.first().map(|header| last(&header.full_url));
        name == identifier.value || header == Some(last(name))
    }
}

/// What cannot be mended by another attempt wins.
fn worst(nos: &[No]) -> Option<Verdict> {
    let all = nos.iter().map(|no| no.row.verdict);
    let noes = all.filter(|verdict| *verdict != Verdict::Accept);
    noes.min_by_key(|verdict| rank(*verdict))
}

fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Reject => 0,
        Verdict::Error => 1,
        Verdict::Unavailable => 2,
        Verdict::Accept => 3,
    }
}
