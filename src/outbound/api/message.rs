//! From a request to the message that is to be sent: media types, the body's bound, what the body holds.

use super::answer::Form;
use super::problem::{Kind, Refused};
use crate::envelope;
use crate::hl7::charset::{AS_IT_SAYS, as_text};
use crate::hl7::{Payload, Terminator, split};
use crate::runtime::{Budget, Reserved};
use crate::xml;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE};
use std::sync::OnceLock;

/// Media types of a body that is the message itself.
pub(super) const HL7: [&str; 7] = [
    "application/hl7-v2",
    "x-application/hl7-v2+er7",
    "application/hl7-v2+er7",
    "application/hl7-v2+xml",
    "application/hl7-v3+xml",
    "application/xml",
    "text/xml",
];
/// And of one that is an envelope.
pub(super) const ENVELOPE: [&str; 2] = ["application/cloudevents+json", "application/json"];
/// An envelope's JSON is larger than its message: every byte of it is there twice or three times, with names around it.
const ENVELOPE_FACTOR: usize = 8;
/// As much is read without asking the budget.
const SMALL: usize = 64 * 1024;

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// The message.
    Message,
    /// An envelope with it.
    Envelope,
}

/// What is to be sent. Without `Debug`.
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
    pub(super) warnings: Vec<String>,
}

/// A header's media type, without parameters and in lower case.
fn media_type(value: &str) -> String {
    let kind = value.split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

/// What the request says that its body is.
pub(super) fn content(headers: &HeaderMap) -> Result<Content, Refused> {
    let given = headers
        .get(CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or_default());
    let kind = given.map(media_type).unwrap_or_default();
    if HL7.contains(&kind.as_str()) {
        return Ok(Content::Message);
    }
    if ENVELOPE.contains(&kind.as_str()) {
        return Ok(Content::Envelope);
    }
    let what = match given {
        None => "no Content-Type is given".to_owned(),
        Some(_) => "this Content-Type is not taken".to_owned(),
    };
    let detail = format!(
        "{what}; expected {} or {}",
        HL7.join(", "),
        ENVELOPE.join(", ")
    );
    Err(Refused::new(Kind::UnsupportedMediaType, detail))
}

/// In which form the request wants its answer. What comes first in the list wins; weights are not looked at beyond `q=0`.
pub(super) fn form(headers: &HeaderMap) -> Result<Form, Refused> {
    let mut ranges = headers
        .get_all(ACCEPT)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .filter(|range| !range.trim().is_empty() && !is_refused(range))
        .map(media_type)
        .peekable();
    if ranges.peek().is_none() {
        return match headers.contains_key(ACCEPT) {
            true => Err(not_acceptable()),
            false => Ok(Form::Json),
        };
    }
    let form = ranges.find_map(|range| match range.as_str() {
        "*/*" | "application/*" | "application/json" | "application/problem+json" => {
            Some(Form::Json)
        }
        range if HL7.contains(&range) => Some(Form::Hl7),
        _ => None,
    });
    form.ok_or_else(not_acceptable)
}

fn not_acceptable() -> Refused {
    let detail = "the answer can be application/json or application/hl7-v2";
    Refused::new(Kind::NotAcceptable, detail)
}

/// `;q=0` and its spellings.
fn is_refused(range: &str) -> bool {
    range.split(';').skip(1).any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        let weight = value.trim().parse::<f32>();
        name.trim().eq_ignore_ascii_case("q") && weight.is_ok_and(|weight| weight == 0.0)
    })
}

/// The body, as far as it may be large; its larger part is counted in the budget as long as the second value lives.
pub(super) async fn body(
    mut body: Incoming,
    content: Content,
    most: usize,
    budget: &Budget,
) -> Result<(Vec<u8>, Reserved), Refused> {
    let most = match content {
        Content::Message => most,
        Content::Envelope => most.saturating_mul(ENVELOPE_FACTOR).saturating_add(SMALL),
    };
    let too_large = || {
        let detail = format!("the body is larger than {most} bytes (limits.max_message_bytes)");
        Refused::new(Kind::TooLarge, detail)
    };
    let hint = body.size_hint();
    if hint.lower() > most as u64 {
        return Err(too_large());
    }
    let mut reserved = Reserved::default();
    let expected = usize::try_from(hint.lower()).unwrap_or(most);
    if expected > SMALL {
        budget.reserve(&mut reserved, expected).await;
    }
    let mut bytes = Vec::with_capacity(expected);
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|_| Refused::new(Kind::BodyBroken, "the request ended before its body did"))?;
        let Ok(data) = frame.into_data() else {
            continue; // trailers
        };
        let length = bytes.len() + data.len();
        if length > most {
            return Err(too_large());
        }
        if length > SMALL && length > bytes.capacity() {
            budget
                .reserve(&mut reserved, length.next_power_of_two())
                .await;
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, reserved))
}

/// The message in a body.
pub(super) fn message(body: Vec<u8>, content: Content, most: usize) -> Result<Message, Refused> {
    let bytes = match content {
        Content::Message => body,
        Content::Envelope => envelope::read::to_er7(&body)
            .map_err(|bad| Refused::new(Kind::BadEnvelope, bad.to_string()))?,
    };
    if bytes.len() > most {
        let detail = format!("the message is larger than {most} bytes (limits.max_message_bytes)");
        return Err(Refused::new(Kind::TooLarge, detail));
    }
    let mut warnings = Vec::new();
    let bytes = with_cr(bytes, &mut warnings);
    check(&bytes)?;
    Ok(Message { bytes, warnings })
}

/// Editors and tools end lines in LF, or in CR and LF; HL7 ends segments in CR alone. Where the header's segment does not, no segment
/// does: a line end in the middle of a message in CR is part of a text.
fn with_cr(bytes: Vec<u8>, warnings: &mut Vec<String>) -> Vec<u8> {
    let from: &[u8] = match crate::hl7::header::peek(&bytes)
        .header()
        .map(|header| header.terminator)
    {
        Some(Terminator::Lf) => b"\n",
        Some(Terminator::CrLf) => b"\r\n",
        Some(Terminator::Cr) | None => return bytes,
    };
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = &bytes[..];
    while let Some(at) = memchr::memmem::find(rest, from) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\r');
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    warnings.push("its segments did not end in CR alone, as HL7 has it; they were sent so".into());
    out
}

/// Whether it is one message, or one batch, whose acknowledgement can be known.
fn check(bytes: &[u8]) -> Result<(), Refused> {
    let not_hl7 = |detail: &str| Err(Refused::new(Kind::NotHl7, detail));
    if bytes.is_empty() {
        return not_hl7("the body is empty");
    }
    if let [0x0B, ..] = bytes {
        return not_hl7(
            "the body begins with a block character (VT): send the message without its MLLP block",
        );
    }
    let slot = OnceLock::new();
    match as_text(bytes, AS_IT_SAYS, &slot) {
        (_, Payload::V2(_)) if split::messages(bytes).len() > 1 => Err(Refused::new(
            Kind::SeveralMessages,
            "send each message in a request of its own, or all of them as a batch (BHS … BTS)",
        )),
        (_, Payload::V2(_) | Payload::Batch(_)) => Ok(()),
        (_, Payload::BadDelimiters(_)) => {
            not_hl7("MSH-2 does not hold delimiters that could separate anything")
        }
        (text, Payload::Xml) => match xml::Message::read(text) {
            Ok(document) if document.flaw.is_none() => Ok(()),
            _ => not_hl7("the body is XML, but not an HL7 message that can be read"),
        },
        (_, Payload::Other) => {
            not_hl7("the body does not begin with MSH, BHS or FHS, and is not XML")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(name: &hyper::header::HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn media_types_of_bodies() {
        let kind = |value: &'static str| {
            content(&headers(&CONTENT_TYPE, &[value])).map_err(|refused| refused.kind)
        };
        for value in [
            "application/hl7-v2",
            "application/hl7-v2; charset=ISO-8859-1",
            "X-Application/HL7-v2+er7",
            "text/xml;charset=utf-8",
        ] {
            assert_eq!(kind(value), Ok(Content::Message), "{value}");
        }
        assert_eq!(kind("application/json"), Ok(Content::Envelope));
        assert_eq!(
            kind("application/cloudevents+json; charset=UTF-8"),
            Ok(Content::Envelope)
        );
        for value in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/hl7-v2x",
        ] {
            assert_eq!(kind(value), Err(Kind::UnsupportedMediaType), "{value}");
        }
        assert!(content(&HeaderMap::new()).is_err());
    }

    #[test]
    fn forms_of_answers() {
        let wanted = |values: &[&'static str]| form(&headers(&ACCEPT, values)).ok();
        assert_eq!(wanted(&[]), Some(Form::Json));
        assert_eq!(wanted(&["*/*"]), Some(Form::Json));
        assert_eq!(wanted(&["application/hl7-v2"]), Some(Form::Hl7));
        assert_eq!(
            wanted(&["text/html, application/hl7-v2;q=0.9, */*"]),
            Some(Form::Hl7)
        );
        assert_eq!(wanted(&["text/html", "application/json"]), Some(Form::Json));
        assert_eq!(
            wanted(&["application/hl7-v2;q=0, application/json"]),
            Some(Form::Json)
        );
        assert_eq!(wanted(&["text/html"]), None);
        assert_eq!(wanted(&["*/*;q=0.0"]), None);
    }

    fn kind_of(text: &str) -> Option<Kind> {
        let read = message(text.as_bytes().to_vec(), Content::Message, 1 << 20);
        read.err().map(|refused| refused.kind)
    }

    #[test]
    fn what_a_body_may_hold() {
        const MSH: &str = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5\r";
        assert_eq!(kind_of(MSH), None);
        assert_eq!(
            kind_of(&format!("BHS|^~\\&|A|B|C|D|2026||||1\r{MSH}BTS|1\r")),
            None
        );
        assert_eq!(
            kind_of(&format!("{MSH}PID|1\r{MSH}")),
            Some(Kind::SeveralMessages)
        );
        assert_eq!(kind_of(""), Some(Kind::NotHl7));
        assert_eq!(kind_of("hello"), Some(Kind::NotHl7));
        assert_eq!(kind_of(&format!("\x0b{MSH}\x1c\r")), Some(Kind::NotHl7));
        assert_eq!(kind_of("<html/>"), Some(Kind::NotHl7));
        assert_eq!(kind_of("MSH|ABC|A"), Some(Kind::NotHl7));
    }

    #[test]
    fn segments_end_in_cr_on_the_wire() {
        let read = |text: &str| {
            let message = message(text.as_bytes().to_vec(), Content::Message, 1 << 20);
            let message = message.map_err(|refused| refused.detail).unwrap();
            (
                String::from_utf8(message.bytes).unwrap(),
                message.warnings.len(),
            )
        };
        const CR: &str = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5\rPID|1\r";
        assert_eq!(read(CR), (CR.to_owned(), 0));
        assert_eq!(read(&CR.replace('\r', "\n")), (CR.to_owned(), 1));
        assert_eq!(read(&CR.replace('\r', "\r\n")), (CR.to_owned(), 1));
        let inner = CR.replace("PID|1", "NTE|1||two\nlines");
        assert_eq!(
            read(&inner),
            (inner.clone(), 0),
            "a line end in a text stays"
        );
    }
}
