//! What the bridge can tell of a message before the app is asked: whether it can be answered, delivered whole and read as text.

use super::frame::{Frame, Place};
use crate::config::{AckMode, Charset, Session};
use crate::envelope::{Head, Warning};
use crate::hl7::ack::{Fault, Verdict, can_echo};
use crate::hl7::batch::{self, Part, Unsplit};
use crate::hl7::charset::{self, Reading, Transcoded};
use crate::hl7::encoding;
use crate::hl7::{Header, Mode, Payload, Terminator, mode};
use crate::telemetry::labels::{Deviation, Refusal};
use crate::xml::{self, Flaw};

/// What a header is the header of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One message.
    Message,
    /// A batch or file.
    Batch,
    /// Several messages that cannot be taken apart.
    Unsplit(Refusal),
    /// A message that cannot be taken apart.
    BadDelimiters,
}

/// The mode in which a message is acknowledged.
pub fn mode(head: &Head<'_>, session: &Session, deviations: &mut Vec<Deviation>) -> Mode {
    let (asked, odd) = match head {
        Head::Er7(header) => Mode::of(header),
        Head::Xml(message) => message.mode(),
    };
    // v3's wrapper always says when it wants an answer.
    if let Mode::Once(_) = asked {
        return asked;
    }
    if session.ack.mode == AckMode::Original {
        if asked != Mode::Original || odd.is_some() {
            deviations.push(Deviation::EnhancedMode);
        }
        return Mode::Original;
    }
    deviations.extend(odd);
    asked
}

/// Whether a whole message is an accept acknowledgement and nothing else: to one of our application acknowledgements, or to
/// nothing. It is never answered, or two systems could go on acknowledging each other for ever. Where everything is answered in
/// original mode there are none, but in v3, which has no such mode.
pub fn is_accept_ack(message: &[u8], head: &Head<'_>, frame: &Frame, session: &Session) -> bool {
    let whole = matches!(frame, Frame::Whole(_));
    let auto = session.ack.mode == AckMode::Auto;
    match head {
        Head::Er7(header) => auto && whole && mode::is_accept_ack(message, header),
        Head::Xml(message) => {
            let applies = auto || message.dialect == xml::Dialect::V3;
            applies && whole && message.flaw.is_none() && message.is_accept_ack()
        }
    }
}

/// Looks at a message whose header could be read.
///
/// # Errors
/// Why the app is not asked.
pub fn admit(
    message: &[u8],
    head: &Head<'_>,
    frame: &Frame,
    kind: Kind,
    transcoded: Option<&Transcoded>,
    session: &Session,
    deviations: &mut Vec<Deviation>,
) -> Result<Reading, Refusal> {
    if let Head::Er7(header) = head {
        note(header, deviations);
    }
    if head.control_id().is_empty() {
        return Err(Refusal::NoControlId);
    }
    let control_id = head.control_id();
    if !can_echo(control_id) || transcoded.is_some_and(|text| !text.can_echo(control_id)) {
        return Err(Refusal::BadControlId);
    }
    if matches!(frame, Frame::Oversized(_)) {
        return Err(Refusal::TooLarge);
    }
    let header = match head {
        Head::Er7(header) => header,
        Head::Xml(document) => return admit_xml(document),
    };
    if kind == Kind::BadDelimiters {
        return Err(Refusal::BadDelimiters);
    }
    match kind {
        Kind::Unsplit(reason) => return Err(reason),
        Kind::Batch => return Err(Refusal::Batch),
        Kind::Message | Kind::BadDelimiters => {}
    }
    let reading = charset::read(message, header, session.charset, transcoded)
        .map_err(|_| Refusal::Charset)?;
    if reading.mismatch {
        deviations.push(Deviation::CharsetMismatch);
    }
    if reading.alias {
        deviations.push(Deviation::CharsetAlias);
    }
    Ok(reading)
}

/// A document says itself what its characters are, and has nothing to fall back on.
fn admit_xml(document: &xml::Message) -> Result<Reading, Refusal> {
    match document.flaw {
        None => Ok(Reading {
            charset: document.charset,
            is_utf8: document.charset != Charset::Latin1,
            mismatch: false,
            alias: false,
            named: false,
            needs_bytes: false,
        }),
        Some(Flaw::Encoding) => Err(Refusal::Charset),
        Some(_) => Err(Refusal::Xml),
    }
}

fn note(header: &Header<'_>, deviations: &mut Vec<Deviation>) {
    match header.terminator {
        Terminator::Cr => {}
        Terminator::CrLf => deviations.push(Deviation::CrLfTerminator),
        Terminator::Lf => deviations.push(Deviation::LfTerminator),
    }
    if header.leading > 0 {
        deviations.push(Deviation::LeadingBytes);
    }
    if header.field(2).len() < 4 {
        deviations.push(Deviation::ShortMsh2);
    }
}

/// Looks whether a block holds several messages: then where they are. Else what it is. To deliver two as one would mix two
/// patients.
///
/// # Errors
/// The parts of a batch, a file, or messages under each other.
pub fn take_apart(
    frame: &Frame,
    (bytes, message): (&[u8], &[u8]),
    head: &Head<'_>,
    kind: Kind,
    place: Place,
) -> Result<Kind, Vec<Part>> {
    let (Head::Er7(header), Frame::Whole(_)) = (head, frame) else {
        return Ok(kind);
    };
    if kind == Kind::BadDelimiters || kind == Kind::Message && !batch::is_several(message, header) {
        return Ok(kind);
    }
    // Of two bytes a character, nothing would be found in the bytes.
    if encoding::looks_like_utf16(bytes) || place != Place::Alone {
        return Ok(Kind::Unsplit(Refusal::Batch));
    }
    let is_message = |part: &&Part| matches!(part, Part::Message(_));
    match batch::split(bytes, header) {
        Ok(parts) if kind == Kind::Batch || parts.iter().filter(is_message).count() > 1 => {
            Err(parts)
        }
        Ok(_) | Err(Unsplit::Structure) => Ok(Kind::Unsplit(Refusal::Batch)),
        Err(Unsplit::Messages) => Ok(Kind::Unsplit(Refusal::MessageCount)),
        Err(Unsplit::Batches) => Ok(Kind::Unsplit(Refusal::BatchCount)),
    }
}

/// The header that a block is answered by, and what it is the header of.
///
/// # Errors
/// Why the block cannot even be answered.
pub fn head_of<'a>(message: &'a [u8], payload: Payload<'a>) -> Result<(Head<'a>, Kind), Refusal> {
    match payload {
        Payload::V2(header) => Ok((header.into(), Kind::Message)),
        Payload::Batch(header) => Ok((header.into(), Kind::Batch)),
        Payload::BadDelimiters(header) => Ok((header.into(), Kind::BadDelimiters)),
        Payload::Xml => match xml::Message::read(message) {
            // Where there is nothing to refer to, nothing can be answered.
            Ok(document) if document.is_identified() => {
                Ok((Head::Xml(document.into()), Kind::Message))
            }
            _ => Err(Refusal::Xml),
        },
        Payload::Other => Err(Refusal::NotHl7),
    }
}

/// How a message is to be answered that the app was not asked about.
pub fn answer(refusal: Refusal) -> (Verdict, Fault) {
    let (verdict, location, condition, text) = match refusal {
        Refusal::TooLarge => (
            Verdict::Rejected,
            None,
            104,
            "the message is larger than this receiver takes",
        ),
        Refusal::BadDelimiters => (
            Verdict::Rejected,
            Some("MSH-2"),
            102,
            "MSH-2 is not four or five different delimiters",
        ),
        Refusal::NoControlId => (Verdict::Error, Some("MSH-10"), 101, "MSH-10 is empty"),
        Refusal::BadControlId => (
            Verdict::Error,
            Some("MSH-10"),
            102,
            "MSH-10 holds characters that cannot be sent back",
        ),
        Refusal::Batch => (
            Verdict::Rejected,
            None,
            200,
            "several messages in one block that are not a batch as chapter 2 has it",
        ),
        Refusal::MessageCount => (
            Verdict::Error,
            Some("BTS-1"),
            102,
            "BTS-1 is not the number of messages in the batch",
        ),
        Refusal::BatchCount => (
            Verdict::Error,
            Some("FTS-1"),
            102,
            "FTS-1 is not the number of batches in the file",
        ),
        Refusal::Charset => (
            Verdict::Rejected,
            Some("MSH-18"),
            103,
            "the character set is not supported, or the bytes are not in it",
        ),
        Refusal::NotHl7 => (Verdict::Rejected, None, 200, "not an HL7 message"),
        Refusal::Xml => (
            Verdict::Rejected,
            None,
            102,
            "not well-formed XML of HL7's, or with what is not read: a DTD, entities, too deep",
        ),
        Refusal::NoMap => (
            Verdict::Rejected,
            Some("MSH-9"),
            200,
            "this receiver has no FHIR map for messages of this type",
        ),
        Refusal::Unidentified => (
            Verdict::Error,
            None,
            101,
            "the message does not identify what it is about",
        ),
        // 100 is about segments that are out of order, or missing.
        Refusal::NoPatient => (
            Verdict::Error,
            None,
            100,
            "there is no patient to whom a segment of the message belongs",
        ),
        Refusal::SeveralPatients => (
            Verdict::Error,
            Some("PID[2]"),
            100,
            "the message has more than one PID",
        ),
        Refusal::OneIdentity => (
            Verdict::Error,
            None,
            205,
            "two things that the message tells apart have one identifier",
        ),
        // What a map forbids can be anything: no other condition is always true.
        Refusal::MapRule => (
            Verdict::Error,
            None,
            207,
            "the message cannot be stored without harm",
        ),
        Refusal::Sequence => (
            Verdict::Error,
            Some("MSH-13"),
            207,
            "MSH-13 is not the expected sequence number, which is in MSA-4",
        ),
        Refusal::BadSequence => (
            Verdict::Error,
            Some("MSH-13"),
            102,
            "MSH-13 is not a sequence number, or is 0 or -1 in a message with content",
        ),
        // A block that never became a message: the link refuses it.
        Refusal::BadBlock | Refusal::BadCount | Refusal::BadChecksum | Refusal::Wide => {
            (Verdict::Rejected, None, 207, "the block is damaged")
        }
    };
    let location = location.and_then(|path| path.parse().ok());
    (
        verdict,
        Fault {
            location,
            condition,
            text: text.into(),
            ..Fault::default()
        },
    )
}

/// What the app is told of the deviations.
pub fn warnings(deviations: &[Deviation]) -> Vec<Warning> {
    let warning = |kind: &Deviation| match kind {
        Deviation::CharsetMismatch => Some(Warning::CharsetMismatch),
        Deviation::LfTerminator | Deviation::CrLfTerminator => Some(Warning::Terminator),
        Deviation::LeadingBytes => Some(Warning::LeadingBytes),
        Deviation::EnhancedMode => Some(Warning::EnhancedMode),
        _ => None,
    };
    deviations.iter().filter_map(warning).collect()
}

/// The charset of an answer, also to a message that was refused.
pub fn answer_charset(
    admitted: Result<Reading, Refusal>,
    transcoded: Option<&Transcoded>,
) -> Charset {
    let refused = transcoded.map_or(Charset::Ascii, Transcoded::charset);
    admitted.map_or(refused, |reading| reading.charset)
}
