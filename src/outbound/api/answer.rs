//! The response to a request: a report in JSON, as HL7, or as a problem (RFC 9457).

use super::problem::{BASE, Kind, Refused};
use super::report::{Ack, Report};
use crate::outbound::answer::{Fault, faults};
use crate::outbound::destination::{Snapshot, State};
use crate::xml;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::SystemTime;

pub(super) type Answered = Response<Full<Bytes>>;

/// In which form a client wants an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON about it.
    Json,
    /// Its bytes.
    Hl7,
}

/// What a destination answered: `200`.
#[derive(Serialize, JsonSchema)]
pub(super) struct Acknowledged<'a> {
    /// The destination's name.
    destination: &'a str,
    /// MSA-1. Null where no acknowledgement was asked for.
    code: Option<&'static str>,
    /// MSH-10 of the message, which MSA-2 repeats.
    control_id: &'a str,
    #[serde(flatten)]
    raw: Raw,
    /// In enhanced mode the accept acknowledgement, where an application acknowledgement followed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    accept: Option<Accept>,
    /// Fields that were filled in, and with what: `{"MSH-7": "20261122101500+0000"}`.
    filled: serde_json::Map<String, serde_json::Value>,
    /// What else was done to the message, or is odd about it.
    warnings: &'a [String],
    /// Whether this is the answer to an earlier request with the same `Idempotency-Key`.
    replayed: bool,
    /// Whether the message was sent once more after a loss (`ack.resend`).
    resent: bool,
    /// From the request to the acknowledgement.
    duration_ms: u64,
}

/// The accept acknowledgement.
#[derive(Serialize, JsonSchema)]
struct Accept {
    /// MSA-1.
    code: &'static str,
    #[serde(flatten)]
    raw: Raw,
}

/// An acknowledgement's bytes.
#[derive(Serialize, JsonSchema)]
struct Raw {
    /// The acknowledgement, where it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    /// Its bytes, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    rawbase64: Option<String>,
}

/// Why there is no acknowledgement, or a negative one.
#[derive(Serialize, JsonSchema)]
pub(super) struct Problem<'a> {
    /// `urn:mllp-bridge:problem:` and the kind.
    r#type: String,
    /// The kind in words.
    title: &'static str,
    /// The response's status.
    status: u16,
    /// What happened.
    detail: &'a str,
    /// The destination's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<&'a str>,
    /// MSH-10 of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    control_id: Option<&'a str>,
    /// Whether the destination may have got the message. Where it has not, sending it again duplicates nothing.
    may_have_arrived: bool,
    /// MSA-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(flatten)]
    raw: Raw,
    /// What the acknowledgement finds fault with: its ERR segments, or MSA-3.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Error>,
    /// Whether this is the answer to an earlier request with the same `Idempotency-Key`.
    replayed: bool,
}

/// One fault.
#[derive(Serialize, JsonSchema)]
struct Error {
    /// `PID-3.1`; empty where none is named.
    location: String,
    /// `101 Required field missing`.
    condition: String,
    /// The server's words.
    text: String,
}

/// A destination as it is now.
#[derive(Serialize, JsonSchema)]
pub(super) struct Status<'a> {
    /// As configured.
    name: &'a str,
    /// The first address, as configured.
    address: String,
    /// `connected`: at least one connection is open. `idle`: none is, and nothing is known against the server. `unreachable`: the last
    /// attempt to connect failed.
    state: State,
    /// Connections that are open.
    connections: usize,
    /// Messages that wait for their acknowledgement.
    in_flight: usize,
    /// Messages that wait for a connection.
    waiting: usize,
    /// When the last acknowledgement came (RFC 3339).
    last_success: Option<String>,
    /// When a message, or an attempt to connect, last failed.
    last_failure: Option<Failed>,
    /// How long until the next attempt to connect is due, in milliseconds.
    retry_in_ms: Option<u64>,
}

/// A failure.
#[derive(Serialize, JsonSchema)]
struct Failed {
    /// RFC 3339.
    at: String,
    /// `unreachable`, `closed`, `timeout`, `mismatch`, `bad_answer`, `unframable` or `refused`.
    kind: &'static str,
}

/// All destinations.
#[derive(Serialize, JsonSchema)]
pub(super) struct Statuses<'a> {
    /// In the order of the configuration.
    pub(super) destinations: Vec<Status<'a>>,
}

impl Raw {
    const NONE: Self = Self {
        raw: None,
        rawbase64: None,
    };

    fn of(ack: Option<&Ack>) -> Self {
        let Some(Ack { bytes, .. }) = ack else {
            return Self::NONE;
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => Self {
                raw: Some(text.to_owned()),
                rawbase64: None,
            },
            Err(_) => Self {
                raw: None,
                rawbase64: Some(STANDARD.encode(bytes)),
            },
        }
    }
}

impl Error {
    fn of(fault: Fault) -> Self {
        Self {
            location: fault.location,
            condition: fault.condition,
            text: fault.text,
        }
    }
}

impl<'a> Status<'a> {
    pub(super) fn new(name: &'a str, address: String, snapshot: Snapshot) -> Self {
        let failed = |(at, kind): (SystemTime, crate::outbound::Kind)| Failed {
            at: rfc3339(at),
            kind: kind.label(),
        };
        Self {
            name,
            address,
            state: snapshot.state,
            connections: snapshot.connections,
            in_flight: snapshot.in_flight,
            waiting: snapshot.waiting,
            last_success: snapshot.last_success.map(rfc3339),
            last_failure: snapshot.last_failure.map(failed),
            retry_in_ms: snapshot
                .retry_in
                .map(|wait| wait.as_millis().try_into().unwrap_or(u64::MAX)),
        }
    }
}

fn rfc3339(at: SystemTime) -> String {
    Timestamp::try_from(at)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// A report as the client wants it.
pub(super) fn response(destination: &str, report: &Report, form: Form, replayed: bool) -> Answered {
    let status = report.problem.map_or(StatusCode::OK, Kind::status);
    if let (Form::Hl7, Some(answer)) = (form, &report.answer) {
        let document = xml::Message::read(&answer.bytes);
        let media_type = document.map_or("application/hl7-v2", |document| {
            document.dialect.media_type()
        });
        let mut response = plain(status, media_type, answer.bytes.clone());
        mark(&mut response, replayed);
        return response;
    }
    let mut response = match report.problem {
        None => json(
            status,
            "application/json",
            &acknowledged(destination, report, replayed),
        ),
        Some(kind) => problem(destination, report, kind, replayed),
    };
    mark(&mut response, replayed);
    response
}

/// For clients that look at headers only, and for those that asked for HL7.
fn mark(response: &mut Answered, replayed: bool) {
    if replayed {
        let yes = HeaderValue::from_static("true");
        response.headers_mut().insert("idempotency-replayed", yes);
    }
}

fn acknowledged<'a>(destination: &'a str, report: &'a Report, replayed: bool) -> Acknowledged<'a> {
    let filled = report.filled.iter();
    Acknowledged {
        destination,
        code: report.answer.as_ref().map(|answer| answer.code.as_str()),
        control_id: &report.control_id,
        raw: Raw::of(report.answer.as_ref()),
        accept: report.accept.as_ref().map(|accept| Accept {
            code: accept.code.as_str(),
            raw: Raw::of(Some(accept)),
        }),
        filled: filled
            .map(|(field, value)| (format!("MSH-{field}"), value.as_str().into()))
            .collect(),
        warnings: &report.warnings,
        replayed,
        resent: report.resent,
        duration_ms: report.duration_ms,
    }
}

fn problem(destination: &str, report: &Report, kind: Kind, replayed: bool) -> Answered {
    let faults = report.answer.as_ref().map(|answer| faults(&answer.bytes));
    let body = Problem {
        r#type: format!("{BASE}{}", kind.slug()),
        title: kind.title(),
        status: kind.status().as_u16(),
        detail: &report.detail,
        destination: Some(destination),
        control_id: Some(&report.control_id),
        may_have_arrived: report.may_have_arrived,
        code: report.answer.as_ref().map(|answer| answer.code.as_str()),
        raw: Raw::of(report.answer.as_ref()),
        errors: faults
            .unwrap_or_default()
            .into_iter()
            .map(Error::of)
            .collect(),
        replayed,
    };
    let mut response = json(kind.status(), "application/problem+json", &body);
    if kind.is_for_later() {
        let seconds = HeaderValue::from(report.retry_after.unwrap_or(1));
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

/// A request that was refused before it was sent.
pub(super) fn refused(refused: &Refused, destination: Option<&str>) -> Answered {
    let kind = refused.kind;
    let body = Problem {
        r#type: format!("{BASE}{}", kind.slug()),
        title: kind.title(),
        status: kind.status().as_u16(),
        detail: &refused.detail,
        destination,
        control_id: None,
        // Of an earlier request, or of a task that failed: nobody knows the end of it.
        may_have_arrived: matches!(kind, Kind::OutcomeUnknown | Kind::Internal),
        code: None,
        raw: Raw::NONE,
        errors: Vec::new(),
        replayed: false,
    };
    let mut response = json(kind.status(), "application/problem+json", &body);
    let headers = response.headers_mut();
    if kind == Kind::Draining {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(allow) = refused.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// A body in JSON.
pub(super) fn json(
    status: StatusCode,
    media_type: &'static str,
    body: &impl Serialize,
) -> Answered {
    // These types cannot fail to be written.
    let body = serde_json::to_vec(body).unwrap_or_default();
    plain(status, media_type, body)
}

fn plain(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Answered {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
