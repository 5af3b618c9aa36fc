//! CloudEvents 1.0: the attributes, and the `data` object, in structured and in binary mode.

use super::Warning;
use super::head::Head;
use super::json::{Text, push_base64};
use super::segments::Walker;
use crate::config::Charset;
use crate::hl7::charset::Reading;
use crate::xml::Dialect;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode};
use twox_hash::XxHash3_128;

/// `dataschema`: which shape `data` has. A change that readers could trip over gets a new number.
pub const SCHEMA: &str = "urn:mllp-bridge:envelope:1";

/// Pieces in which the raw text is written; a multiple of 3 for base64.
const PIECE: usize = 48 * 1024;

/// What a URI path segment may not hold, and then some.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// CloudEvents' HTTP binding, section 3.1.3.2.
const HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// Which halves of `data` are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// CloudEvents' structured mode: attributes and data in one object. Otherwise `data` alone.
    pub structured: bool,
    /// `raw` or `rawbase64`.
    pub raw: bool,
    /// `segments`.
    pub parsed: bool,
}

/// What identifies a message: MSH-10 and a hash of every byte, so that a resend has the same ID and another message under the
/// same MSH-10 has not.
#[derive(Clone, Copy)]
pub struct EventId<'a> {
    control_id: &'a [u8],
    hash: u128,
}

impl<'a> EventId<'a> {
    /// The ID of a message.
    pub fn new(message: &[u8], control_id: &'a [u8]) -> Self {
        Self {
            control_id,
            hash: XxHash3_128::oneshot(message),
        }
    }

    /// The hash of the message's bytes (XXH3, 128 bits).
    pub fn hash(&self) -> u128 {
        self.hash
    }

    fn hash_hex(&self) -> [u8; 32] {
        let mut hex = [0; 32];
        for (at, digit) in hex.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(self.hash >> (124 - 4 * at)) as usize & 15];
        }
        hex
    }

    /// Appends the ID as an HTTP field value: what a field cannot hold is percent-encoded.
    pub fn push_header(&self, out: &mut Vec<u8>, is_utf8: bool) {
        push_header_value(out, self.control_id, is_utf8);
        out.push(b'-');
        out.extend_from_slice(&self.hash_hex());
    }
}

impl std::fmt::Debug for EventId<'_> {
    /// The hash alone: a control ID is the sender's to choose.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EventId({:032x})", self.hash)
    }
}

/// One message, and what is known of it beside its bytes.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The frame's data.
    pub bytes: &'a [u8],
    /// The message in a set that can be taken apart: the frame's data, or UTF-8 for most character sets.
    pub message: &'a [u8],
    /// Its header.
    pub header: &'a Head<'a>,
    /// How its bytes are text.
    pub reading: Reading,
    /// Its ID.
    pub id: EventId<'a>,
    /// When it was received, RFC 3339.
    pub received: &'a str,
    /// The listener's name.
    pub listener: &'a str,
    /// The peer's IP address.
    pub peer: &'a str,
    /// What was odd.
    pub warnings: &'a [Warning],
}

impl std::fmt::Debug for Source<'_> {
    /// Its ID alone, and how long it is.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("id", &self.id)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl Source<'_> {
    /// Appends `org.hl7.v2.ADT.A01`.
    pub fn push_type(&self, out: &mut Vec<u8>, mut push: impl FnMut(&mut Vec<u8>, &[u8])) {
        let (version, values): (&[u8], _) = match self.header {
            Head::Er7(header) => (
                b"org.hl7.v2",
                [1, 2].map(|number| header.component(9, number)),
            ),
            Head::Xml(message) if message.dialect == Dialect::V2 => {
                (b"org.hl7.v2", message.kind().map(str::as_bytes))
            }
            Head::Xml(message) => (b"org.hl7.v3", message.kind().map(str::as_bytes)),
        };
        out.extend_from_slice(version);
        for value in values {
            if !value.is_empty() {
                out.push(b'.');
                push(out, value);
            }
        }
    }

    /// Appends `/mllp/<listener>/<MSH-3.1>/<MSH-4.1>`.
    pub fn push_source(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"/mllp/");
        out.extend_from_slice(self.listener.as_bytes());
        match self.header {
            Head::Er7(header) => {
                for field in [3, 4] {
                    out.push(b'/');
                    let value = header.component(field, 1);
                    push_encoded(out, value, self.reading.is_utf8, SEGMENT);
                }
            }
            Head::Xml(message) => {
                for value in message.sender() {
                    out.push(b'/');
                    push_encoded(out, value.as_bytes(), true, SEGMENT);
                }
            }
        }
    }

    /// Whether the header's values are UTF-8; otherwise they are ISO 8859-1.
    pub fn is_utf8(&self) -> bool {
        self.header.is_utf8(self.reading.is_utf8)
    }

    /// Appends the `ce-*` headers of binary mode, each line ended.
    pub fn push_headers(&self, out: &mut Vec<u8>) {
        let is_utf8 = self.is_utf8();
        out.extend_from_slice(b"ce-specversion: 1.0\r\nce-id: ");
        self.id.push_header(out, is_utf8);
        out.extend_from_slice(b"\r\nce-type: ");
        self.push_type(out, |out, value| push_header_value(out, value, is_utf8));
        out.extend_from_slice(b"\r\nce-source: ");
        self.push_source(out);
        out.extend_from_slice(b"\r\nce-time: ");
        out.extend_from_slice(self.received.as_bytes());
        out.extend_from_slice(b"\r\nce-dataschema: ");
        out.extend_from_slice(SCHEMA.as_bytes());
        if !self.header.version().is_empty() {
            out.extend_from_slice(b"\r\nce-hl7version: ");
            push_header_value(out, self.header.version(), is_utf8);
        }
        out.extend_from_slice(b"\r\nce-hl7controlid: ");
        push_header_value(out, self.header.control_id(), is_utf8);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends bytes of a message, which are UTF-8 or else ISO 8859-1, as an HTTP field value.
pub fn push_header_value(out: &mut Vec<u8>, value: &[u8], is_utf8: bool) {
    push_encoded(out, value, is_utf8, HEADER);
}

/// What is encoded are the bytes of UTF-8, whatever the message's are, so that what is decoded is the same text as in JSON.
fn push_encoded(out: &mut Vec<u8>, value: &[u8], is_utf8: bool, set: &'static AsciiSet) {
    let transcoded: String;
    let value = if is_utf8 || value.is_ascii() {
        value
    } else {
        transcoded = value.iter().copied().map(char::from).collect();
        transcoded.as_bytes()
    };
    for piece in percent_encode(value, set) {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Writes the body of one request.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    source: Source<'a>,
    shape: Shape,
    /// For the message's bytes.
    text: Text,
    stage: Stage,
    /// Of the segments, once they are begun.
    walker: Option<Walker<'a>>,
}

/// What is written next.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Attributes,
    Raw { at: usize },
    Middle,
    Segments,
    Tail,
    Done,
}

impl<'a> Envelope<'a> {
    /// Begins a body.
    pub fn new(source: Source<'a>, shape: Shape) -> Self {
        Self {
            source,
            shape,
            text: Text::new(source.reading.charset),
            stage: Stage::Attributes,
            walker: None,
        }
    }

    /// Appends to `out` until it holds `limit` bytes or a little more (one piece of 48 KiB and what it expands to), or the body
    /// is whole: then `true`.
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: usize) -> bool {
        loop {
            self.stage = match self.stage {
                Stage::Attributes => self.attributes(out),
                Stage::Raw { at } => self.raw(out, at),
                Stage::Middle => self.middle(out),
                Stage::Segments => {
                    if self
                        .walker
                        .as_mut()
                        .is_some_and(|walker| !walker.fill(out, limit))
                    {
                        return false;
                    }
                    out.push(b']');
                    Stage::Tail
                }
                Stage::Tail => self.tail(out),
                Stage::Done => return true,
            };
            if out.len() >= limit && !matches!(self.stage, Stage::Done) {
                return false;
            }
        }
    }

    /// For the header's values.
    fn header_text(&self) -> Text {
        match self.source.is_utf8() == self.text.is_utf8() {
            true => self.text,
            false => Text::new(Charset::Utf8),
        }
    }

    fn attributes(&self, out: &mut Vec<u8>) -> Stage {
        let source = &self.source;
        let text = self.header_text();
        if self.shape.structured {
            out.extend_from_slice(b"{\"specversion\":\"1.0\",\"id\":\"");
            text.push(out, source.id.control_id);
            out.push(b'-');
            out.extend_from_slice(&source.id.hash_hex());
            out.extend_from_slice(b"\",\"type\":\"");
            source.push_type(out, |out, value| text.push(out, value));
            out.extend_from_slice(b"\",\"source\":\"");
            source.push_source(out);
            out.extend_from_slice(b"\",\"time\":\"");
            out.extend_from_slice(source.received.as_bytes());
            out.extend_from_slice(b"\",\"datacontenttype\":\"application/json\",\"dataschema\":\"");
            out.extend_from_slice(SCHEMA.as_bytes());
            if !source.header.version().is_empty() {
                out.extend_from_slice(b"\",\"hl7version\":\"");
                text.push(out, source.header.version());
            }
            out.extend_from_slice(b"\",\"hl7controlid\":\"");
            text.push(out, source.header.control_id());
            out.extend_from_slice(b"\",\"data\":");
        }
        out.push(b'{');
        if !self.shape.raw {
            return Stage::Middle;
        }
        out.extend_from_slice(if source.reading.needs_bytes {
            b"\"rawbase64\":\""
        } else {
            b"\"raw\":\""
        });
        Stage::Raw { at: 0 }
    }

    fn raw(&self, out: &mut Vec<u8>, at: usize) -> Stage {
        let as_bytes = self.source.reading.needs_bytes;
        let message = if as_bytes {
            self.source.bytes
        } else {
            self.source.message
        };
        let end = message.len().min(at + PIECE);
        if as_bytes {
            push_base64(out, &message[at..end]);
        } else {
            self.text.push(out, &message[at..end]);
        }
        if end < message.len() {
            return Stage::Raw { at: end };
        }
        out.extend_from_slice(b"\",");
        Stage::Middle
    }

    fn middle(&mut self, out: &mut Vec<u8>) -> Stage {
        let header = self.source.header;
        out.extend_from_slice(b"\"charset\":\"");
        out.extend_from_slice(self.source.reading.charset.name().as_bytes());
        let structure = header.structure();
        if !structure.is_empty() {
            out.extend_from_slice(b"\",\"structure\":\"");
            self.header_text().push(out, structure);
        }
        let header = match header {
            Head::Er7(header) => header,
            Head::Xml(message) => {
                out.extend_from_slice(b"\",\"encoding\":\"");
                out.extend_from_slice(message.dialect.name().as_bytes());
                out.push(b'"');
                return Stage::Tail;
            }
        };
        out.extend_from_slice(b"\",\"delimiters\":\"");
        for delimiter in header.delimiters.iter() {
            self.text.push_byte(out, delimiter);
        }
        out.push(b'"');
        if !self.shape.parsed {
            return Stage::Tail;
        }
        out.extend_from_slice(b",\"segments\":[");
        self.walker = Some(Walker::new(self.source.message, header, self.text));
        Stage::Segments
    }

    fn tail(&self, out: &mut Vec<u8>) -> Stage {
        out.extend_from_slice(b",\"peer\":{\"address\":\"");
        out.extend_from_slice(self.source.peer.as_bytes());
        out.extend_from_slice(b"\"},\"warnings\":[");
        for (at, warning) in self.source.warnings.iter().enumerate() {
            out.extend_from_slice(if at > 0 { b",\"" } else { b"\"" });
            out.extend_from_slice(warning.text().as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b"]}");
        if self.shape.structured {
            out.push(b'}');
        }
        Stage::Done
    }
}
