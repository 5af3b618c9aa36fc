//! An acknowledgement as it came from a server: whose it is (MSA-2), what it says (MSA-1), and what it finds fault with (ERR).

use super::error::{BadAnswer, ControlId};
use crate::hl7::charset::{AS_IT_SAYS, as_text};
use crate::hl7::escape;
use crate::hl7::index::Segment;
use crate::hl7::path::Path;
use crate::hl7::{Delimiters, Header, Index, Payload};
use crate::mllp::Deviation;
use crate::xml::{self, own_ack};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

/// MLLP Release 2 commit blocks hold one byte.
const COMMIT_ACK: u8 = 0x06;
const COMMIT_NAK: u8 = 0x15;
/// Of a text that a server wrote, as much as is shown.
const TEXT: usize = 200;

/// MSA-1 (table 0008).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Code {
    /// Application accept.
    Aa,
    /// Commit accept (enhanced mode): in safe storage.
    Ca,
    /// Application error: the content is at fault, or the application is.
    Ae,
    /// Commit error.
    Ce,
    /// Application reject: a kind of message that is not taken.
    Ar,
    /// Commit reject.
    Cr,
}

impl Code {
    /// Reads MSA-1.
    pub fn new(field: &[u8]) -> Option<Self> {
        Some(match field {
            b"AA" => Self::Aa,
            b"CA" => Self::Ca,
            b"AE" => Self::Ae,
            b"CE" => Self::Ce,
            b"AR" => Self::Ar,
            b"CR" => Self::Cr,
            _ => return None,
        })
    }

    /// As in the message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aa => "AA",
            Self::Ca => "CA",
            Self::Ae => "AE",
            Self::Ce => "CE",
            Self::Ar => "AR",
            Self::Cr => "CR",
        }
    }

    /// Whether it is an accept acknowledgement, the first of enhanced mode.
    pub fn is_accept(self) -> bool {
        matches!(self, Self::Ca | Self::Ce | Self::Cr)
    }

    fn gravity(self) -> u8 {
        match self {
            Self::Aa | Self::Ca => 0,
            Self::Ae | Self::Ce => 1,
            Self::Ar | Self::Cr => 2,
        }
    }

    /// Whether the server has taken the message.
    pub fn is_positive(self) -> bool {
        matches!(self, Self::Aa | Self::Ca)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The acknowledgement of one message. `Debug` prints its length only.
#[derive(Clone)]
pub struct Answer {
    bytes: Vec<u8>,
    code: Code,
    /// The accept acknowledgement that came before it (enhanced mode).
    pub accept: Option<Box<Answer>>,
    /// Of the batch that it answers, messages that have no acknowledgement in it. That may be in order: not every server writes one for
    /// what it has accepted, and a message may want none.
    pub unacknowledged: usize,
    /// What the server did that the standard does not say.
    pub deviations: Vec<(Deviation, u32)>,
}

/// What an acknowledgement finds fault with: its first ERR segment, or MSA-3 where there is none.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Fault {
    /// `PID-3`; empty where the server names no place.
    pub location: String,
    /// `101 Required field missing` (table 0357); empty where there is none.
    pub condition: String,
    /// A sentence of the server's.
    pub text: String,
}

impl Answer {
    /// Reads the answer to the message with this MSH-10.
    ///
    /// # Errors
    /// If it is not an acknowledgement of that message.
    pub fn read(bytes: Vec<u8>, control_id: &[u8]) -> Result<Self, BadAnswer> {
        let code = read(&bytes, control_id)?;
        Ok(Self {
            bytes,
            code,
            accept: None,
            unacknowledged: 0,
            deviations: Vec::new(),
        })
    }

    /// The same for a batch whose messages have these control IDs: whose acknowledgements are in it.
    ///
    /// # Errors
    /// If one is of none of them. An answer that is no batch is to the whole, and stands for each.
    pub(super) fn of_batch(mut self, messages: &[Box<[u8]>]) -> Result<Self, BadAnswer> {
        if messages.is_empty() {
            return Ok(self);
        }
        let transcoded = OnceLock::new();
        let (text, Payload::Batch(header)) = as_text(&self.bytes, AS_IT_SAYS, &transcoded) else {
            return Ok(self);
        };
        let index = Index::new(text, &header);
        let mut left: HashMap<&[u8], bool> = messages.iter().map(|id| (&**id, false)).collect();
        for msa in index.segments().filter(|segment| segment.id() == b"MSA") {
            let answered = msa.field(2).unwrap_or_default();
            let Some(seen) = left.get_mut(answered) else {
                return Err(BadAnswer::NotInBatch(ControlId::new(answered)));
            };
            *seen = true;
        }
        let ids = messages.iter().map(|id| &**id);
        let unseen = |id: &[u8]| left.get(id) == Some(&false);
        self.unacknowledged = ids.filter(|id| unseen(id)).count();
        Ok(self)
    }

    /// MSA-1.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Everything between the block characters.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the bytes away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What is wrong, as far as the server says: the first fault.
    pub fn fault(&self) -> Option<Fault> {
        faults(&self.bytes).into_iter().next()
    }
}

/// What an acknowledgement finds fault with: each ERR segment, and before 2.5 each repetition of its ERR-1; or MSA-3 where there is no
/// ERR.
pub fn faults(acknowledgement: &[u8]) -> Vec<Fault> {
    let transcoded = OnceLock::new();
    let (message, header) = match as_text(acknowledgement, AS_IT_SAYS, &transcoded) {
        (message, Payload::V2(header) | Payload::Batch(header)) => (message, header),
        (message, Payload::Xml) => return xml_fault(message).into_iter().collect(),
        _ => return Vec::new(),
    };
    let index = Index::new(message, &header);
    let delimiters = header.delimiters;
    let msa3 = index.first(b"MSA").and_then(|msa| msa.field(3));
    let msa3 = text(msa3.unwrap_or_default(), &delimiters);
    let mut faults = Vec::new();
    for err in index.segments().filter(|segment| segment.id() == b"ERR") {
        match err.field(1) {
            Some(old) if !old.is_empty() => {
                let places = split(old, delimiters.repetition);
                faults.extend(places.map(|place| before_2_5(place, &delimiters)));
            }
            _ => faults.push(since_2_5(err, &delimiters)),
        }
    }
    if faults.is_empty() && !msa3.is_empty() {
        faults.push(Fault::default());
    }
    for fault in &mut faults {
        if fault.text.is_empty() {
            fault.text.clone_from(&msa3);
        }
    }
    faults
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("code", &self.code)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Fault {
    /// Without its text, which may quote the message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("location", &self.location)
            .field("condition", &self.condition.len())
            .field("text_bytes", &self.text.len())
            .finish()
    }
}

/// `PID-3: 101 Required field missing: …`, as much of it as there is.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [&self.location, &self.condition, &self.text];
        for (place, part) in parts.iter().filter(|part| !part.is_empty()).enumerate() {
            if place > 0 {
                f.write_str(": ")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

fn text(field: &[u8], delimiters: &Delimiters) -> String {
    escape::shown(field, delimiters, TEXT)
}

fn read(bytes: &[u8], control_id: &[u8]) -> Result<Code, BadAnswer> {
    let transcoded = OnceLock::new();
    let (text, payload) = as_text(bytes, AS_IT_SAYS, &transcoded);
    let header = match (bytes, payload) {
        (_, Payload::V2(header)) => header,
        ([COMMIT_ACK], _) => return Err(BadAnswer::Commit("ACK")),
        ([COMMIT_NAK], _) => return Err(BadAnswer::Commit("NAK")),
        (_, Payload::Xml) => return read_xml(bytes, control_id),
        (_, Payload::Batch(header)) => return read_batch(text, &header, control_id),
        _ => return Err(BadAnswer::NotHl7),
    };
    let index = Index::new(text, &header);
    let msa = index.first(b"MSA").ok_or(BadAnswer::NoMsa)?;
    let answered = msa.field(2).unwrap_or_default();
    code(msa.field(1).unwrap_or_default(), answered, control_id)
}

/// The answer to a batch or a file names it in BHS-12 or FHS-12. What is worst among its acknowledgements stands for all of them.
fn read_batch(text: &[u8], header: &Header<'_>, control_id: &[u8]) -> Result<Code, BadAnswer> {
    let index = Index::new(text, header);
    let first = index.segments().next();
    let answered = first.and_then(|first| first.field(12)).unwrap_or_default();
    if answered != control_id {
        return Err(BadAnswer::Mismatch {
            sent: ControlId::new(control_id),
            answered: ControlId::new(answered),
        });
    }
    let mut worst = Code::Aa;
    for msa in index.segments().filter(|segment| segment.id() == b"MSA") {
        let code = msa.field(1).unwrap_or_default();
        let code = Code::new(code).ok_or_else(|| BadAnswer::Code(ControlId::new(code)))?;
        if code.gravity() > worst.gravity() {
            worst = code;
        }
    }
    Ok(worst)
}

/// v2.xml or v3.
fn read_xml(bytes: &[u8], control_id: &[u8]) -> Result<Code, BadAnswer> {
    let answer = xml::Message::read(bytes).map_err(|_| BadAnswer::NotHl7)?;
    if answer.flaw.is_some() {
        return Err(BadAnswer::NotHl7);
    }
    let (said, answered) = own_ack::acknowledged(&answer).ok_or(BadAnswer::NoMsa)?;
    code(said.as_bytes(), answered.as_bytes(), control_id)
}

/// Whose answer it is comes first: what it says is of interest only to the message that it answers.
fn code(code: &[u8], answered: &[u8], control_id: &[u8]) -> Result<Code, BadAnswer> {
    if answered != control_id {
        return Err(BadAnswer::Mismatch {
            sent: ControlId::new(control_id),
            answered: ControlId::new(answered),
        });
    }
    Code::new(code).ok_or_else(|| BadAnswer::Code(ControlId::new(code)))
}

/// The condition and the text; the place is not looked for.
fn xml_fault(bytes: &[u8]) -> Option<Fault> {
    let answer = xml::Message::read(bytes).ok()?;
    let complaint = own_ack::complaint(&answer);
    let printable = |text: &str| {
        let shown = text.chars().take(TEXT);
        shown
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    };
    let fault = Fault {
        location: String::new(),
        condition: printable(&complaint.condition),
        text: printable(&complaint.text),
    };
    (fault != Fault::default()).then_some(fault)
}

/// A repetition of ERR-1: `PID^1^3^101&Required field missing&HL70357`.
fn before_2_5(place: &[u8], delimiters: &Delimiters) -> Fault {
    let parts = components(place, delimiters);
    let condition: Vec<_> = split(part(&parts, 3), delimiters.subcomponent).collect();
    Fault {
        location: location(&parts[..parts.len().min(3)]),
        condition: condition_of(&condition, delimiters),
        text: String::new(),
    }
}

/// ERR-2 place, ERR-3 condition, ERR-7 and ERR-8 text.
fn since_2_5(err: Segment<'_, '_>, delimiters: &Delimiters) -> Fault {
    let field = |number| err.field(number).unwrap_or_default();
    let said = [8, 7].map(|number| text(field(number), delimiters));
    Fault {
        location: location(&components(field(2), delimiters)),
        condition: condition_of(&components(field(3), delimiters), delimiters),
        text: said
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default(),
    }
}

/// Of the first repetition.
fn components<'a>(field: &'a [u8], delimiters: &Delimiters) -> Vec<&'a [u8]> {
    let first = split(field, delimiters.repetition)
        .next()
        .unwrap_or_default();
    split(first, delimiters.component).collect()
}

fn split(value: &[u8], delimiter: Option<u8>) -> impl Iterator<Item = &[u8]> {
    value.split(move |byte| Some(*byte) == delimiter)
}

fn part<'a>(parts: &[&'a [u8]], number: usize) -> &'a [u8] {
    parts.get(number).copied().unwrap_or_default()
}

/// `PID^1^3^1^1` as `PID-3.1`.
fn location(parts: &[&[u8]]) -> String {
    let number = |place| {
        let number: Option<usize> = std::str::from_utf8(part(parts, place)).ok()?.parse().ok();
        number.filter(|number| *number > 0)
    };
    let segment = part(parts, 0);
    if segment.is_empty() || !segment.iter().all(u8::is_ascii_alphanumeric) {
        return String::new();
    }
    let path = Path {
        segment: String::from_utf8_lossy(segment).into_owned(),
        occurrence: number(1).unwrap_or(1),
        field: number(2),
        repetition: number(3).filter(|repetition| *repetition > 1),
        component: number(4),
        subcomponent: number(5),
    };
    path.to_string()
}

fn condition_of(parts: &[&[u8]], delimiters: &Delimiters) -> String {
    let words = [0, 1].map(|number| text(part(parts, number), delimiters));
    words.join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSH: &str = "MSH|^~\\&|A|B|C|D|2026||ACK^A01^ACK|1|P|2.5.1\r";

    fn answer(rest: &str) -> Result<Answer, BadAnswer> {
        Answer::read(format!("{MSH}{rest}").into_bytes(), b"7 ")
    }

    #[test]
    fn only_the_acknowledgement_of_this_message_is_read() {
        assert_eq!(answer("MSA|CA|7 \r").unwrap().code(), Code::Ca);
        assert!(matches!(
            answer("MSA|AA|7\r").unwrap_err(),
            BadAnswer::Mismatch { .. }
        ));
        assert!(matches!(
            answer("MSA|OK|7 \r").unwrap_err(),
            BadAnswer::Code(_)
        ));
        assert_eq!(answer("QAK|AA|7 \r").unwrap_err(), BadAnswer::NoMsa);
        let read = |bytes: &[u8]| Answer::read(bytes.to_vec(), b"7").unwrap_err();
        assert_eq!(read(b"\x15"), BadAnswer::Commit("NAK"));
        assert_eq!(read(b"\x06"), BadAnswer::Commit("ACK"));
        assert_eq!(read(b"thanks"), BadAnswer::NotHl7);
        assert_eq!(read(b""), BadAnswer::NotHl7);
    }

    #[test]
    fn the_worst_of_a_batchs_acknowledgements_is_its_answer() {
        let read =
            |text: String| Answer::read(text.into_bytes(), b"B7").map(|answer| answer.code());
        let batch = |id: &str, codes: &[&str]| {
            let acks: String = codes
                .iter()
                .map(|code| format!("{MSH}MSA|{code}|1\r"))
                .collect();
            let count = codes.len();
            format!("BHS|^~\\&|A|B|C|D|2026||||1|{id}\r{acks}BTS|{count}\r")
        };
        assert_eq!(read(batch("B7", &["AA", "CA"])), Ok(Code::Aa));
        assert_eq!(read(batch("B7", &[])), Ok(Code::Aa));
        assert_eq!(read(batch("B7", &["AA", "AR", "AE"])), Ok(Code::Ar));
        assert_eq!(read(batch("B7", &["AA", "CE"])), Ok(Code::Ce));
        assert!(matches!(
            read(batch("B8", &["AA"])),
            Err(BadAnswer::Mismatch { .. })
        ));
        assert!(matches!(
            read(batch("B7", &["OK"])),
            Err(BadAnswer::Code(_))
        ));
    }

    #[test]
    fn a_batchs_acknowledgements_are_those_of_its_messages() {
        let messages: Vec<Box<[u8]>> = [&b"1"[..], b"2", b"3", b"3"].map(Into::into).into();
        let read = |ids: &[&str], messages: &[Box<[u8]>]| {
            let acks = ids.iter().map(|id| format!("{MSH}MSA|AA|{id}\r"));
            let acks: String = acks.collect();
            let text = format!("BHS|^~\\&|A|B|C|D|2026||||1|B7\r{acks}BTS\r");
            let answer = Answer::read(text.into_bytes(), b"B7").unwrap();
            let answer = answer.of_batch(messages);
            answer.map(|answer| answer.unacknowledged)
        };
        assert_eq!(read(&["1", "2", "3", "3"], &messages), Ok(0));
        assert_eq!(read(&["3", "1", "1", "2"], &messages), Ok(0), "both of 1");
        assert_eq!(read(&["2"], &messages), Ok(3));
        assert_eq!(read(&[], &messages), Ok(4));
        assert_eq!(read(&["9"], &[]), Ok(0), "nothing is known of them");
        for foreign in ["9", "B7", "1 ", ""] {
            let expected = BadAnswer::NotInBatch(ControlId::new(foreign.as_bytes()));
            assert_eq!(read(&["1", foreign], &messages), Err(expected));
        }
        // One acknowledgement of the whole.
        let whole = answer("MSA|AE|7 \r").unwrap().of_batch(&messages);
        assert_eq!(whole.map(|answer| answer.unacknowledged), Ok(0));
    }

    #[test]
    fn the_first_fault_in_either_shape() {
        let fault = |rest: &str| {
            answer(rest)
                .unwrap()
                .fault()
                .unwrap_or_default()
                .to_string()
        };
        assert_eq!(
            fault(
                "MSA|AE|7 \rERR||PID^1^3^1^4|101^Required field missing^HL70357|E|X1|||no \\T\\ id\rERR||x\r"
            ),
            "PID-3.4: 101 Required field missing: no & id"
        );
        assert_eq!(
            fault("MSA|AE|7 |no id\rERR|OBX^2^5^102~PID^1^3^101\r"),
            "OBX[2]-5: 102: no id"
        );
        assert_eq!(
            fault("MSA|AE|7 |no id\rERR|OBX^2^5^102&Data type error&HL70357\r"),
            "OBX[2]-5: 102 Data type error: no id"
        );
        assert_eq!(fault("MSA|AR|7 |not \x1b[31mtoday\r"), "not  [31mtoday");
        assert_eq!(fault("MSA|AE|7 \r"), "");
        assert_eq!(fault("MSA|AE|7 \rERR\r"), "");
        assert_eq!(fault("MSA|AE|7 \rERR||||E||||down\r"), "down");
    }

    #[test]
    fn answers_in_xml() {
        let read = |text: &str, id: &[u8]| Answer::read(text.as_bytes().to_vec(), id);
        let v2 = "<ACK xmlns='urn:hl7-org:v2xml'><MSA><MSA.1>AE</MSA.1><MSA.2>7 </MSA.2></MSA><ERR><ERR.3><CWE.1>101</CWE.1></ERR.3>\
                  <ERR.8>no &lt;id&gt;\n</ERR.8></ERR></ACK>";
        let answer = read(v2, b"7 ").unwrap();
        assert_eq!(answer.code(), Code::Ae);
        assert_eq!(answer.fault().unwrap().to_string(), "101: no <id>");
        assert!(matches!(
            read(v2, b"7").unwrap_err(),
            BadAnswer::Mismatch { .. }
        ));
        let v3 = "<MCCI_IN000002UV01 xmlns='urn:hl7-org:v3'><acknowledgement><typeCode code='CR'/><targetMessage><id root='1' \
                  extension='2'/></targetMessage><acknowledgementDetail><code code='NS200'/><text>not here</text>\
                  </acknowledgementDetail></acknowledgement></MCCI_IN000002UV01>";
        let answer = read(v3, b"1^2").unwrap();
        assert_eq!(answer.code(), Code::Cr);
        assert_eq!(answer.fault().unwrap().to_string(), "NS200: not here");
        assert!(matches!(
            read(v3, b"1").unwrap_err(),
            BadAnswer::Mismatch { .. }
        ));
        assert_eq!(
            read(v3.trim_end_matches('>'), b"1^2").unwrap_err(),
            BadAnswer::NotHl7
        );
        assert_eq!(read("<html/>", b"7").unwrap_err(), BadAnswer::NotHl7);
        assert_eq!(
            read("<A xmlns='urn:hl7-org:v3'/>", b"7").unwrap_err(),
            BadAnswer::NoMsa
        );
    }

    #[test]
    fn debug_shows_no_text() {
        let answer = answer("MSA|AE|7 |Muster^Erika\r").unwrap();
        assert!(!format!("{answer:?}").contains("Erika"));
    }
}
