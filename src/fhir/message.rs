//! A message as the engine reads it: values at places, as spans of its bytes, and their text.

use super::place::Place;
use super::work;
use crate::hl7::escape::{Token, next_token, unhex};
use crate::hl7::index::Segment;
use crate::hl7::{Delimiters, Header, Index};
use std::borrow::Cow;

/// HL7's null: what is there is to be deleted. FHIR's resources cannot say so, and it is read as nothing.
const NULL: &[u8] = b"\"\"";

/// A message with its index. Without `Debug`: it is all values.
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    index: Index<'a>,
    delimiters: Delimiters,
    utf8: bool,
}

/// How deep a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// One repetition of a field.
    Field,
    /// A component.
    Component,
    /// A subcomponent.
    Subcomponent,
}

/// A value: where it is in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
    /// How deep.
    pub level: Level,
}

impl Span {
    /// How many bytes.
    pub(super) fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }
}

impl<'a> Message<'a> {
    /// Of a message whose header was read from the same bytes.
    pub(super) fn new(bytes: &'a [u8], header: &Header<'_>, utf8: bool) -> Self {
        Self {
            bytes,
            index: Index::new(bytes, header),
            delimiters: header.delimiters,
            utf8,
        }
    }

    /// How many bytes it has.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Its segments.
    pub(super) fn segments(&self) -> impl ExactSizeIterator<Item = Segment<'_, 'a>> {
        self.index.segments()
    }

    /// One of them.
    pub(super) fn segment(&self, number: usize) -> Segment<'_, 'a> {
        self.index.segment(number)
    }

    fn split(&self, value: &'a [u8], delimiter: Option<u8>, level: Level) -> Parts<'a> {
        Parts {
            message: self.bytes,
            rest: Some(value),
            delimiter,
            level,
        }
    }

    /// The bytes of a value.
    pub(super) fn raw(&self, span: Span) -> &'a [u8] {
        self.bytes
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// A segment's ID, with its number where others of that ID are before it: `OBR[2]`.
    pub(super) fn name(&self, number: usize) -> String {
        let segment = self.segment(number);
        let before = self.segments().take(number);
        let before = before.filter(|other| other.id() == segment.id()).count();
        let id = String::from_utf8_lossy(segment.id());
        match before {
            0 => id.into_owned(),
            _ => format!("{id}[{}]", before + 1),
        }
    }

    /// Each repetition of a field.
    pub(super) fn repetitions(&self, segment: Segment<'_, 'a>, field: usize) -> Parts<'a> {
        let value = segment.field(field).filter(|value| !value.is_empty());
        let whole = segment.is_header() && field <= 2;
        let delimiter = self.delimiters.repetition.filter(|_| !whole);
        Parts {
            rest: value,
            ..self.split(&[], delimiter, Level::Field)
        }
    }

    /// The parts of a value one level down; itself where there is none.
    pub(super) fn parts(&self, span: Span) -> Parts<'a> {
        let (delimiter, level) = match span.level {
            Level::Field => (self.delimiters.component, Level::Component),
            Level::Component => (self.delimiters.subcomponent, Level::Subcomponent),
            Level::Subcomponent => (None, Level::Subcomponent),
        };
        self.split(self.raw(span), delimiter, level)
    }

    /// Part *n* of a value, one level down. The first part of a subcomponent is itself.
    pub(super) fn part(&self, span: Span, number: u16) -> Option<Span> {
        self.parts(span).nth(usize::from(number).checked_sub(1)?)
    }

    /// Down from a value: 0 stays.
    pub(super) fn down(&self, span: Span, part: u16, of_part: u16) -> Option<Span> {
        let span = match part {
            0 => span,
            number => self.part(span, number)?,
        };
        match of_part {
            0 => Some(span),
            number => self.part(span, number),
        }
    }

    /// The values at a place of a segment, each repetition's.
    pub(super) fn at<'m>(
        &'m self,
        segment: Segment<'_, 'a>,
        place: Place,
    ) -> impl Iterator<Item = Span> + use<'m, 'a> {
        let (field, repetition, component, subcomponent) = match place {
            Place::Segment {
                field,
                repetition,
                component,
                subcomponent,
                ..
            } => (Some(field), repetition, component, subcomponent),
            Place::Value { .. } => (None, 0, 0, 0),
        };
        let all = field.map(|field| self.repetitions(segment, usize::from(field)));
        let all = all.into_iter().flatten();
        let skipped = usize::from(repetition.saturating_sub(1));
        let taken = if repetition == 0 { usize::MAX } else { 1 };
        all.skip(skipped)
            .take(taken)
            .filter_map(move |span| self.down(span, component, subcomponent))
    }

    /// Whether there is anything in a value: more than delimiters, blanks and HL7's null.
    pub(super) fn valued(&self, span: Span) -> bool {
        let raw = self.raw(span);
        if raw.is_empty() {
            return false;
        }
        let delimiter = |byte: u8| {
            let byte = Some(byte);
            byte == self.delimiters.component || byte == self.delimiters.subcomponent
        };
        raw.split(|byte| delimiter(*byte)).any(|leaf| {
            work::done(1 + leaf.len());
            !matches!(leaf.trim_ascii(), b"" | NULL)
        })
    }

    /// The first leaf of a value: what v2 reads where it expects a simple one.
    pub(super) fn leaf(&self, span: Span) -> Span {
        let mut leaf = span;
        while leaf.level != Level::Subcomponent {
            let Some(first) = self.part(leaf, 1) else {
                break;
            };
            leaf = first;
        }
        leaf
    }

    /// The leaves of a value that have something in them.
    pub(super) fn leaves(&self, span: Span, found: &mut Vec<Span>) {
        if span.level == Level::Subcomponent {
            if self.valued(span) {
                found.push(span);
            }
            return;
        }
        let Delimiters {
            component,
            subcomponent,
            ..
        } = self.delimiters;
        let between = |byte: &u8| Some(*byte) == component || Some(*byte) == subcomponent;
        for part in self.raw(span).split(between) {
            if !part.is_empty() {
                self.leaves(span_of(self.bytes, part, Level::Subcomponent), found);
            }
        }
    }

    /// A leaf's text without escapes and blanks around it; empty for HL7's null.
    pub(super) fn text(&self, span: Span) -> Cow<'a, str> {
        let raw = self.raw(span).trim_ascii();
        work::done(1 + raw.len());
        match raw {
            NULL => Cow::Borrowed(""),
            _ => self.decode(raw),
        }
    }

    fn decode(&self, mut raw: &'a [u8]) -> Cow<'a, str> {
        let plain = |byte: &u8| *byte >= 0x20 && Some(*byte) != self.delimiters.escape;
        if raw.iter().all(|byte| plain(byte) && byte.is_ascii())
            && let Ok(text) = std::str::from_utf8(raw)
        {
            return Cow::Borrowed(text);
        }
        let mut bytes = Vec::with_capacity(raw.len());
        while let Some((token, rest)) = next_token(raw, &self.delimiters) {
            match token {
                Token::Text(text) => bytes.extend_from_slice(text),
                Token::Delimiter(byte) => bytes.push(byte),
                Token::Hex(digits) => bytes.extend(unhex(digits)),
                Token::Kept(sequence) => bytes.extend_from_slice(shown(sequence)),
            }
            raw = rest;
        }
        let text = match self.utf8 {
            true => String::from_utf8(bytes).unwrap_or_else(|error| latin1(error.as_bytes())),
            false => latin1(&bytes),
        };
        // A byte order mark is no character of a text, and JavaScript's servers take it for a blank.
        let kept = |c: &char| {
            let blank = matches!(c, '\n' | '\t');
            (!c.is_control() || blank) && *c != '\u{feff}'
        };
        let text: String = text.replace("\r\n", "\n").replace('\r', "\n");
        let text: String = text.chars().filter(kept).collect();
        Cow::Owned(text.trim().to_owned())
    }
}

/// Values beside each other, one after the other.
pub(super) struct Parts<'a> {
    message: &'a [u8],
    /// What is still to be split.
    rest: Option<&'a [u8]>,
    /// None where they are one.
    delimiter: Option<u8>,
    level: Level,
}

impl Iterator for Parts<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        let rest = self.rest.take()?;
        let end = self.delimiter.and_then(|byte| memchr::memchr(byte, rest));
        let part = match end {
            None => rest,
            Some(end) => {
                self.rest = rest.get(end + 1..);
                &rest[..end]
            }
        };
        work::done(1 + part.len());
        Some(span_of(self.message, part, self.level))
    }
}

fn span_of(message: &[u8], part: &[u8], level: Level) -> Span {
    // Both are parts of one buffer, so that this is where the part begins.
    let start = part.as_ptr() as usize - message.as_ptr() as usize;
    Span {
        start: start as u32,
        end: (start + part.len()) as u32,
        level,
    }
}

/// What a formatting command looks like in plain text.
fn shown(sequence: &[u8]) -> &[u8] {
    let body = sequence
        .get(1..sequence.len().saturating_sub(1))
        .unwrap_or_default();
    match body {
        b"H" | b"N" => b"",
        [b'.', b'b', b'r'] | [b'.', b's', b'p', ..] | [b'.', b'c', b'e'] => b"\n",
        [b'.', b'f' | b'n' | b'i' | b't' | b's', ..] => b"",
        _ => sequence,
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hl7::{Payload, peek};

    fn with<T>(text: &str, run: impl FnOnce(&Message<'_>) -> T) -> T {
        let Payload::V2(header) = peek(text.as_bytes()) else {
            panic!("no header")
        };
        run(&Message::new(text.as_bytes(), &header, true))
    }

    const MESSAGE: &str = "MSH|^~\\&|A|B\rPID|1||11^^^H&1.2&ISO~22||DOE^\"\"\rNTE|1||a\\.br\\b\\T\\c \\H\\d\\N\\\rNTE|2||^&\r";

    #[test]
    fn values_are_found_at_every_level() {
        with(MESSAGE, |message| {
            let pid = message.segment(1);
            let get = |place: &str| -> Vec<Cow<'_, str>> {
                message
                    .at(pid, Place::in_segment(place).unwrap())
                    .map(|span| message.text(message.leaf(span)))
                    .collect()
            };
            assert_eq!(get("PID-3"), ["11", "22"]);
            assert_eq!(get("PID-3.4.2"), ["1.2"]);
            assert_eq!(get("PID-3[2]"), ["22"]);
            assert_eq!(get("PID-9"), [""; 0]);
            assert_eq!(get("PID-5.2"), [""], "HL7's null");
        });
    }

    #[test]
    fn commands_become_line_breaks_and_empty_is_empty() {
        with(MESSAGE, |message| {
            let text = Place::in_segment("NTE-3").unwrap();
            let first = |segment| message.at(message.segment(segment), text).next();
            assert_eq!(message.text(first(2).unwrap()), "a\nb&c d");
            assert!(!message.valued(first(3).unwrap()));
        });
    }
}
