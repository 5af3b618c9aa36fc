//! What the app's HTTP answer means: the status table first, then what the body adds.
//!
//! | body | adds |
//! | --- | --- |
//! | HL7 on a 2xx | the app's own acknowledgement, checked |
//! | `{"ack": {"code": "AE", "text": …, "errors": […]}}` on a 2xx | its code instead of the table's |
//! | `application/problem+json` (RFC 9457) | one fault for the problem, or one for each of its `errors` |
//! | FHIR `OperationOutcome` | one fault for each issue |

use super::outcome::{Answer, Failure, Outcome, Own, Rejection};
use super::response::{Content, Response};
use crate::config::status::is_fault_condition;
use crate::config::{Answer as Row, Charset, Framing, Verdict as RowVerdict};
use crate::envelope::Head;
use crate::hl7::ack::{Fault, Kind, MAX_ERRORS, Severity, Verdict};
use crate::hl7::path::Path;
use crate::hl7::{encoding, own_ack};
use crate::mllp::wrap;
use crate::telemetry::labels::Attempt;
use crate::xml::{self, Flaw};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What an answer is judged against.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The message's header.
    pub head: &'a Head<'a>,
    /// The block characters of the peer's connection.
    pub framing: Framing,
}

/// The outcome of one answer. An [`Outcome::Unavailable`] is for the caller to try again.
pub fn judge(response: &Response, body: &[u8], row: Row, asked: Asked<'_>) -> Outcome {
    let like_json = begins_with(body, b"{");
    let json: Option<Value> = match response.content {
        Content::Json => parse(body),
        Content::Other if like_json => parse(body),
        Content::Hl7 | Content::Other => None,
    };
    if row.verdict == RowVerdict::Accept {
        if is_own(response, body, asked) {
            return own(response, body, asked);
        }
        if response.cut && (like_json || response.content == Content::Json) {
            return too_large(response.status);
        }
        if like_json && json.is_none() {
            let text = "the application's answer begins like JSON and cannot be read";
            return app_fault(text, response.status);
        }
        return match json.as_ref().and_then(|json| json.get("ack")) {
            Some(ack) => built(ack, response.status),
            None => Outcome::Accepted(Answer::default()),
        };
    }
    let mut faults = json
        .as_ref()
        .map(|json| faults(json, row.condition))
        .unwrap_or_default();
    if faults.is_empty() {
        let text = format!("the application answered HTTP {}", response.status);
        faults.push(Fault {
            condition: row.condition,
            text,
            ..Fault::default()
        });
    }
    // Apps that speak HL7 over HTTP send their AE and AR with a 4xx or 5xx. A positive one is not believed here.
    let settled = matches!(row.verdict, RowVerdict::Error | RowVerdict::Reject);
    if settled
        && is_own(response, body, asked)
        && let refused @ Outcome::Rejected(Rejection { own: Some(_), .. }) =
            own(response, body, asked)
    {
        return refused;
    }
    match row.verdict {
        RowVerdict::Unavailable => Outcome::Unavailable(Failure {
            reason: Attempt::Status,
            status: Some(response.status),
            faults,
            attempts: 1,
        }),
        RowVerdict::Reject => rejected(true, faults, response.status),
        RowVerdict::Error | RowVerdict::Accept => rejected(false, faults, response.status),
    }
}

/// JSON, with the byte order mark that some writers put before it.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let begin = body.iter().position(|byte| *byte > b' ')?;
    serde_json::from_slice(&body[begin..]).ok()
}

fn rejected(unsupported: bool, faults: Vec<Fault>, status: u16) -> Outcome {
    Outcome::Rejected(Rejection {
        unsupported,
        faults,
        own: None,
        status,
    })
}

/// The app did something that it should not have; its message stays unacknowledged.
pub(super) fn app_fault(text: &str, status: u16) -> Outcome {
    rejected(false, vec![Fault::application(text)], status)
}

/// What it says cannot be known, so it is not taken for a yes.
fn too_large(status: u16) -> Outcome {
    app_fault(
        "the application's answer is larger than max_response_bytes",
        status,
    )
}

/// Whether a body is of a kind, whatever its type was said to be: apps forget the type, and some put a line break, a byte order
/// mark or MLLP's own start before it. A refusal in such a body must not be taken for a plain 2xx.
fn begins_with(body: &[u8], kind: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let begin = body.iter().position(|byte| *byte > b' ');
    begin.is_some_and(|begin| body[begin..].starts_with(kind))
}

fn own(response: &Response, body: &[u8], asked: Asked<'_>) -> Outcome {
    if response.cut {
        return too_large(response.status);
    }
    if wrap::most(&asked.framing).is_some_and(|most| body.len() > most) {
        let text = "the application's HL7 answer is longer than HLLP can carry";
        return app_fault(text, response.status);
    }
    let own = |kind| {
        let bytes = body.to_vec();
        Some(Own { bytes, kind })
    };
    if let Head::Xml(message) = asked.head
        && message.dialect == xml::Dialect::Cda
    {
        return rejected(false, vec![own_ack::fault(body)], response.status);
    }
    match check(body, asked) {
        Ok((Verdict::Accepted, kind, _)) => Outcome::Accepted(Answer {
            own: own(kind),
            text: None,
        }),
        Ok((verdict @ (Verdict::Error | Verdict::Rejected), kind, fault)) => {
            Outcome::Rejected(Rejection {
                unsupported: verdict == Verdict::Rejected,
                faults: vec![fault],
                own: own(kind),
                status: response.status,
            })
        }
        Err(error) => app_fault(&error, response.status),
    }
}

/// Whether a body is meant as the app's own acknowledgement: HL7 by its type or its beginning. To a message in XML that is XML of
/// HL7's, or what cannot be told from it; a page of HTML is none, and a CDA document has no acknowledgement.
fn is_own(response: &Response, body: &[u8], asked: Asked<'_>) -> bool {
    let said = response.content == Content::Hl7 && (response.cut || !body.is_empty());
    let wide = encoding::looks_like_utf16(body)
        .then(|| encoding::decode(Charset::Utf16, body))
        .flatten();
    let text = wide.as_deref().map_or(body, str::as_bytes);
    let is_hl7 = said || begins_with(text, b"MSH") || own_ack::is_er7(text);
    let is_named = begins_with(text, b"<") && is_named_like_hl7(text);
    match asked.head {
        Head::Er7(_) => is_hl7 || is_named,
        // There is no acknowledgement that could be passed on, but a no is a no.
        Head::Xml(message) if message.dialect == xml::Dialect::Cda => {
            own_ack::is_negative(body) || is_named && xml::own_ack::is_negative(text)
        }
        Head::Xml(_) if is_hl7 || is_named => true,
        Head::Xml(_) if !begins_with(text, b"<") => false,
        Head::Xml(_) => {
            response.cut || !matches!(xml::Message::read(body), Err(Flaw::NotHl7 | Flaw::Doctype))
        }
    }
}

/// Whether the root of a document in XML is called as messages are, `ACK` or `MCCI_IN000002UV01`: one in no namespace, or behind a
/// document type, is one that cannot be read.
fn is_named_like_hl7(body: &[u8]) -> bool {
    let mut rest = body;
    while let Some(at) = memchr::memchr(b'<', rest) {
        rest = &rest[at + 1..];
        if matches!(rest.first(), Some(b'?' | b'!')) {
            continue;
        }
        let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-:".contains(byte);
        let end = rest.iter().position(|byte| !of_name(byte));
        let name = &rest[..end.unwrap_or(rest.len())];
        let local = name.rsplit(|byte| *byte == b':').next().unwrap_or(name);
        let usual = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
        return local == b"ACK" || local.contains(&b'_') && local.iter().take(8).all(usual);
    }
    false
}

/// What the app's own acknowledgement says, and what it finds fault with; or what is wrong with it.
fn check(body: &[u8], asked: Asked<'_>) -> Result<(Verdict, Kind, Fault), String> {
    let Framing { start, end, .. } = asked.framing;
    match asked.head {
        Head::Er7(header) => {
            let said = own_ack::check(body, header.control_id(), start, end);
            let (verdict, kind) = said.map_err(|error| error.to_string())?;
            Ok((verdict, kind, own_ack::fault(body)))
        }
        Head::Xml(message) => {
            let answer = xml::Message::read(body);
            let answer = answer.map_err(|_| xml::own_ack::BadAck::Flawed.to_string())?;
            let said = xml::own_ack::check(body, &answer, message, start, end);
            let (verdict, kind) = said.map_err(|error| error.to_string())?;
            Ok((verdict, kind, xml::own_ack::fault(&answer)))
        }
    }
}

/// `{"ack": {…}}`
fn built(ack: &Value, status: u16) -> Outcome {
    let text = ack.get("text").and_then(Value::as_str).map(str::to_owned);
    let errors = told(ack.get("errors")).into_iter();
    let mut faults: Vec<Fault> = errors.map(|error| fault(error, 207)).collect();
    let unsupported = match ack.get("code").and_then(Value::as_str) {
        Some("AA" | "CA") => return Outcome::Accepted(Answer { own: None, text }),
        Some("AE" | "CE") => false,
        Some("AR" | "CR") => true,
        _ => {
            return app_fault(
                "ack.code of the application's answer is not an acknowledgement code",
                status,
            );
        }
    };
    if faults.is_empty() {
        faults.push(text.map_or_else(Fault::unnamed, Fault::application));
    }
    rejected(unsupported, faults, status)
}

/// What is told of all that an answer finds fault with: no more than an acknowledgement has room for. Its order is the app's; only where
/// there is more, errors come before warnings.
fn told(all: Option<&Value>) -> Vec<&Value> {
    let all = all.and_then(Value::as_array);
    let mut all: Vec<&Value> = all.into_iter().flatten().collect();
    if all.len() > MAX_ERRORS {
        all.sort_by_key(|one| severity(one.get("severity").and_then(Value::as_str)) as u8);
        all.truncate(MAX_ERRORS);
    }
    all
}

/// The issues of an OperationOutcome that are told.
pub(super) fn issues(json: &Value) -> Vec<&Value> {
    match json.get("resourceType").and_then(Value::as_str) {
        Some("OperationOutcome") => told(json.get("issue")),
        _ => Vec::new(),
    }
}

/// The faults that a problem or an OperationOutcome names.
fn faults(json: &Value, condition: u16) -> Vec<Fault> {
    if json.get("resourceType").and_then(Value::as_str) == Some("OperationOutcome") {
        let issues = issues(json).into_iter();
        return issues.map(|issue| from_issue(issue, condition)).collect();
    }
    let errors = told(json.get("errors"));
    if errors.is_empty() {
        let text = ["detail", "title"]
            .into_iter()
            .any(|key| json.get(key).is_some_and(Value::is_string));
        return if text {
            vec![fault(json, condition)]
        } else {
            Vec::new()
        };
    }
    let errors = errors.into_iter();
    errors.map(|error| fault(error, condition)).collect()
}

/// A problem, or an entry of one: a string, or an object with `detail`, `location`, `condition`, `code`, `severity`.
fn fault(value: &Value, condition: u16) -> Fault {
    if let Some(text) = value.as_str() {
        return Fault {
            condition,
            text: text.to_owned(),
            ..Fault::default()
        };
    }
    let text = |keys: &[&str]| {
        keys.iter()
            .find_map(|key| value.get(key).and_then(Value::as_str))
    };
    let own_condition = value
        .get("condition")
        .and_then(Value::as_u64)
        .and_then(|code| u16::try_from(code).ok());
    Fault {
        location: text(&["location", "pointer", "field", "path"]).and_then(location),
        condition: own_condition
            .filter(|code| is_fault_condition(*code))
            .unwrap_or(condition),
        text: text(&["detail", "text", "message", "title"])
            .unwrap_or_default()
            .to_owned(),
        app_code: code(value.get("code")),
        severity: severity(text(&["severity"])),
    }
}

pub(super) fn from_issue(issue: &Value, condition: u16) -> Fault {
    let first = |key: &str| {
        issue
            .get(key)
            .and_then(|list| list.get(0))
            .and_then(Value::as_str)
    };
    let text = issue
        .get("diagnostics")
        .or_else(|| issue.get("details").and_then(|details| details.get("text")));
    Fault {
        location: first("expression")
            .or_else(|| first("location"))
            .and_then(location),
        condition,
        text: text.and_then(Value::as_str).unwrap_or_default().to_owned(),
        app_code: code(issue.get("code")),
        severity: severity(issue.get("severity").and_then(Value::as_str)),
    }
}

fn code(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(code)) => code.clone(),
        Some(Value::Number(code)) => code.to_string(),
        _ => String::new(),
    }
}

fn severity(text: Option<&str>) -> Severity {
    match text {
        Some("warning" | "W") => Severity::Warning,
        Some("information" | "I") => Severity::Information,
        _ => Severity::Error,
    }
}

fn location(text: &str) -> Option<Path> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StatusTable;

    fn head() -> Head<'static> {
        match crate::hl7::peek(b"MSH|^~\\&|||||||ADT|7|P|2.5\r") {
            crate::hl7::Payload::V2(header) => header.into(),
            other => panic!("{other:?}"),
        }
    }

    fn judge_body(status: u16, content: Content, body: &str) -> Outcome {
        let response = Response {
            status,
            content,
            retry_after: None,
            reusable: true,
            cut: false,
        };
        let asked = Asked {
            head: &head(),
            framing: Framing::default(),
        };
        judge(
            &response,
            body.as_bytes(),
            StatusTable::default().get(status),
            asked,
        )
    }

    fn judge_of(message: &str, body: &[u8]) -> Outcome {
        let head = match message.starts_with('<') {
            true => Head::Xml(xml::Message::read(message.as_bytes()).unwrap().into()),
            false => head(),
        };
        let response = Response {
            status: 200,
            content: Content::Other,
            retry_after: None,
            reusable: true,
            cut: false,
        };
        let asked = Asked {
            head: &head,
            framing: Framing::default(),
        };
        judge(&response, body, StatusTable::default().get(200), asked)
    }

    /// Whatever the type and the character set are said to be.
    #[test]
    fn a_no_is_never_taken_for_a_plain_2xx() {
        let er7 = "MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\rMSA|AE|7\r";
        let wide: Vec<u8> = er7.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16 = |text: &str| -> Vec<u8> {
            let units = text.encode_utf16().flat_map(u16::to_le_bytes);
            [0xFF, 0xFE].into_iter().chain(units).collect()
        };
        let v2 = "<ADT_A01 xmlns=\"urn:hl7-org:v2xml\"><MSH><MSH.10>7</MSH.10></MSH></ADT_A01>";
        let cda = "<ClinicalDocument xmlns=\"urn:hl7-org:v3\"><id root=\"7\"/></ClinicalDocument>";
        let ack = "<ACK><MSA><MSA.1>AE</MSA.1><MSA.2>7</MSA.2></MSA></ACK>";
        for (message, body) in [
            ("MSH", wide.as_slice()),
            (v2, ack.as_bytes()),
            (v2, format!("<!DOCTYPE ACK SYSTEM \"x\">{ack}").as_bytes()),
            (v2, er7.as_bytes()),
            (cda, er7.as_bytes()),
            (
                cda,
                ack.replace("<ACK>", "<ACK xmlns=\"urn:hl7-org:v2xml\">")
                    .as_bytes(),
            ),
            ("MSH", ack.as_bytes()),
            (
                "MSH",
                ack.replace("<ACK>", "<h:ACK xmlns:h=\"urn:hl7-org:v2xml\">")
                    .as_bytes(),
            ),
            ("MSH", format!("BHS|^~\\&|A\r{er7}").as_bytes()),
            (v2, &utf16(ack)),
            (v2, &utf16(ack)[2..]),
        ] {
            let outcome = judge_of(message, body);
            assert!(
                matches!(outcome, Outcome::Rejected(_)),
                "{}: {outcome:?}",
                String::from_utf8_lossy(body)
            );
        }
        for (message, body) in [
            (v2, &b"<!DOCTYPE html><html>ok</html>"[..]),
            (v2, b"<status>ok</status>"),
            (cda, er7.replace("AE", "AA").as_bytes()),
            ("MSH", b"O\0K\0"),
        ] {
            let outcome = judge_of(message, body);
            let Outcome::Accepted(Answer { own: None, .. }) = outcome else {
                panic!("{}: {outcome:?}", String::from_utf8_lossy(body));
            };
        }
        let yes = er7.replace("AE", "AA");
        let wide: Vec<u8> = yes.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let Outcome::Accepted(Answer { own: Some(own), .. }) = judge_of("MSH", &wide) else {
            panic!("an answer in UTF-16");
        };
        assert_eq!(own.bytes, wide);
    }

    fn faults_of(outcome: Outcome) -> Vec<String> {
        let (Outcome::Rejected(Rejection { faults, .. })
        | Outcome::Unavailable(Failure { faults, .. })) = outcome
        else {
            panic!("not refused: {outcome:?}")
        };
        let place = |fault: &Fault| {
            fault
                .location
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        faults
            .iter()
            .map(|fault| {
                format!(
                    "{} {} {} {}",
                    place(fault),
                    fault.condition,
                    fault.app_code,
                    fault.text
                )
            })
            .collect()
    }

    #[test]
    fn bodies_that_say_what_is_wrong() {
        for (status, body, expected) in [
            (
                422,
                r#"{"title":"Invalid","detail":"no patient"}"#,
                vec![" 102  no patient"],
            ),
            (
                422,
                r#"{"title":"Invalid","errors":[{"detail":"empty","location":"PID.3.1","code":"E1","condition":101},"x"]}"#,
                vec!["PID-3.1 101 E1 empty", " 102  x"],
            ),
            (
                400,
                r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"required","diagnostics":"no id","expression":["PID-3"]},{"severity":"warning","code":"value","details":{"text":"odd"},"location":["Patient.id"]}]}"#,
                vec!["PID-3 102 required no id", " 102 value odd"],
            ),
            (503, r#"{"detail":"busy"}"#, vec![" 207  busy"]),
            (
                500,
                "not json",
                vec![" 207  the application answered HTTP 500"],
            ),
            (409, "[]", vec![" 205  the application answered HTTP 409"]),
            (
                404,
                r#"{"detail":7}"#,
                vec![" 200  the application answered HTTP 404"],
            ),
            (
                422,
                r#"{"errors":[{"detail":"x","condition":9,"location":"/data/x"}]}"#,
                vec![" 102  x"],
            ),
        ] {
            assert_eq!(
                faults_of(judge_body(status, Content::Json, body)),
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn an_answer_that_is_an_acknowledgement() {
        let ack = "MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\rMSA|AE|7\r";
        match judge_body(200, Content::Hl7, ack) {
            Outcome::Rejected(Rejection {
                own: Some(own),
                unsupported: false,
                ..
            }) => {
                assert_eq!(own.bytes, ack.as_bytes());
            }
            other => panic!("{other:?}"),
        }
        let positive = ack.replace("AE", "AA");
        assert!(matches!(
            judge_body(200, Content::Other, &positive),
            Outcome::Accepted(Answer { own: Some(_), .. })
        ));
        let foreign = positive.replace("|7", "|8");
        assert_eq!(
            faults_of(judge_body(200, Content::Hl7, &foreign)),
            [" 207  MSA-2 of the application's answer is not the message's control ID"]
        );
        let framed = format!("\x0b{ack}\x1c\r");
        assert_eq!(
            faults_of(judge_body(200, Content::Other, &framed)),
            [" 207  the application's answer holds a byte that MLLP uses to mark a block"]
        );
        assert!(matches!(
            judge_body(200, Content::Hl7, ""),
            Outcome::Accepted(Answer { own: None, .. })
        ));
    }

    #[test]
    fn a_refusal_that_cannot_be_read_is_not_a_yes() {
        let marked = "\u{feff}{\"ack\":{\"code\":\"AE\"}}";
        for content in [Content::Json, Content::Other] {
            assert!(matches!(
                judge_body(200, content, marked),
                Outcome::Rejected(_)
            ));
            let faults = faults_of(judge_body(200, content, "{\"ack\":{\"code\":\"A"));
            assert_eq!(
                faults,
                [" 207  the application's answer begins like JSON and cannot be read"]
            );
        }
        assert!(matches!(
            judge_body(200, Content::Json, "OK"),
            Outcome::Accepted(_)
        ));
    }

    #[test]
    fn a_negative_acknowledgement_on_an_error_status_is_the_apps_own() {
        let negative = "MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\rMSA|AR|7\r";
        match judge_body(500, Content::Hl7, negative) {
            Outcome::Rejected(Rejection {
                own: Some(own),
                unsupported: true,
                ..
            }) => {
                assert_eq!(own.bytes, negative.as_bytes());
            }
            other => panic!("{other:?}"),
        }
        let positive = negative.replace("AR", "AA");
        let text = " 207  the application answered HTTP 500";
        assert_eq!(faults_of(judge_body(500, Content::Hl7, &positive)), [text]);
        assert_eq!(
            faults_of(judge_body(500, Content::Hl7, &negative.replace("|7", "|8"))),
            [text]
        );
        assert!(matches!(
            judge_body(503, Content::Hl7, negative),
            Outcome::Unavailable(_)
        ));
    }

    #[test]
    fn an_answer_that_says_how_to_acknowledge() {
        let built = |body| judge_body(200, Content::Json, body);
        assert!(matches!(built("{}"), Outcome::Accepted(_)));
        let untyped = judge_body(200, Content::Other, "\n {\"ack\":{\"code\":\"AE\"}}");
        assert_eq!(
            faults_of(untyped),
            [" 207  the application refused the message"]
        );
        match built(r#"{"ack":{"code":"AA","text":"filed"}}"#) {
            Outcome::Accepted(Answer { text, .. }) => assert_eq!(text.as_deref(), Some("filed")),
            other => panic!("{other:?}"),
        }
        let refused = built(
            r#"{"ack":{"code":"AR","text":"no","errors":[{"detail":"bad","location":"PV1-2"}]}}"#,
        );
        assert!(matches!(
            refused,
            Outcome::Rejected(Rejection {
                unsupported: true,
                ..
            })
        ));
        assert_eq!(faults_of(refused), ["PV1-2 207  bad"]);
        assert_eq!(
            faults_of(built(r#"{"ack":{"code":"yes"}}"#)),
            [" 207  ack.code of the application's answer is not an acknowledgement code"]
        );
    }
}
