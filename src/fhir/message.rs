//! A message as the engine reads it: values at places, as spans of its bytes, and their text.

use super::place::Place;
use crate::hl7::escape::{Token, next_token, unhex};
use crate::hl7::index::Segment;
use crate::hl7::{Delimiters, Header, Index};

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

    /// Its segments.
    pub(super) fn segments(&self) -> impl ExactSizeIterator<Item = Segment<'_, 'a>> {
        self.index.segments()
    }

    /// One of them.
    pub(super) fn segment(&self, number: usize) -> Segment<'_, 'a> {
        self.index.segment(number)
    }

    fn span(&self, slice: &[u8], level: Level) -> Span {
        // Both are parts of one buffer, so that this is where the slice begins.
        let start = slice.as_ptr() as usize - self.bytes.as_ptr() as usize;
        Span {
            start: start as u32,
            end: (start + slice.len()) as u32,
            level,
        }
    }

    /// The bytes of a value.
    pub(super) fn raw(&self, span: Span) -> &'a [u8] {
        self.bytes
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// Each repetition of a field.
    pub(super) fn repetitions(&self, segment: Segment<'_, 'a>, field: usize) -> Vec<Span> {
        let Some(value) = segment.field(field).filter(|value| !value.is_empty()) else {
            return Vec::new();
        };
        let whole = segment.is_header() && field <= 2;
        match self.delimiters.repetition.filter(|_| !whole) {
            None => vec![self.span(value, Level::Field)],
            Some(delimiter) => value
                .split(|byte| *byte == delimiter)
                .map(|repetition| self.span(repetition, Level::Field))
                .collect(),
        }
    }

    /// The parts of a value one level down; itself where there is none.
    pub(super) fn parts(&self, span: Span) -> Vec<Span> {
        let (delimiter, level) = match span.level {
            Level::Field => (self.delimiters.component, Level::Component),
            Level::Component => (self.delimiters.subcomponent, Level::Subcomponent),
            Level::Subcomponent => (None, Level::Subcomponent),
        };
        match delimiter {
            None => vec![Span { level, ..span }],
            Some(delimiter) => self
                .raw(span)
                .split(|byte| *byte == delimiter)
                .map(|part| self.span(part, level))
                .collect(),
        }
    }

    /// Part *n* of a value, one level down. The first part of a subcomponent is itself.
    pub(super) fn part(&self, span: Span, number: u16) -> Option<Span> {
        let (delimiter, level) = match span.level {
            Level::Field => (self.delimiters.component, Level::Component),
            Level::Component => (self.delimiters.subcomponent, Level::Subcomponent),
            Level::Subcomponent => (None, Level::Subcomponent),
        };
        let Some(delimiter) = delimiter else {
            return (number == 1).then_some(Span { level, ..span });
        };
        let part = self
            .raw(span)
            .split(|byte| *byte == delimiter)
            .nth(usize::from(number).checked_sub(1)?)?;
        Some(self.span(part, level))
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
    pub(super) fn at(&self, segment: Segment<'_, 'a>, place: Place) -> Vec<Span> {
        let Place::Segment {
            field,
            repetition,
            component,
            subcomponent,
            ..
        } = place
        else {
            return Vec::new();
        };
        let all = self.repetitions(segment, usize::from(field));
        let skipped = usize::from(repetition.saturating_sub(1));
        let taken = if repetition == 0 { all.len() } else { 1 };
        all.into_iter()
            .skip(skipped)
            .take(taken)
            .filter_map(|span| self.down(span, component, subcomponent))
            .collect()
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
        raw.split(|byte| delimiter(*byte))
            .any(|leaf| !matches!(leaf.trim_ascii(), b"" | NULL))
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
                self.leaves(self.span(part, Level::Subcomponent), found);
            }
        }
    }

    /// A leaf's text without escapes and blanks around it; empty for HL7's null.
    pub(super) fn text(&self, span: Span) -> String {
        let raw = self.raw(span).trim_ascii();
        match raw {
            NULL => String::new(),
            _ => self.decode(raw),
        }
    }

    fn decode(&self, mut raw: &[u8]) -> String {
        let plain = |byte: &u8| *byte >= 0x20 && Some(*byte) != self.delimiters.escape;
        if raw.iter().all(|byte| plain(byte) && byte.is_ascii()) {
            return String::from_utf8_lossy(raw).into_owned();
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
        text.trim().to_owned()
    }

    /// The path to a position.
    pub(super) fn path(&self, at: u32) -> String {
        let spans = |segment: &Segment<'_, 'a>| self.span(segment.raw(), Level::Field);
        let holds = |segment: &Segment<'_, 'a>| {
            let span = spans(segment);
            span.start <= at && at <= span.end
        };
        let Some(segment) = self.segments().find(holds) else {
            return String::new();
        };
        let before = self
            .segments()
            .take_while(|other| spans(other).start < spans(&segment).start)
            .filter(|other| other.id() == segment.id())
            .count();
        let mut found = String::from_utf8_lossy(segment.id()).into_owned();
        if before > 0 {
            found.push_str(&format!("[{}]", before + 1));
        }
        self.inside(segment, at, &mut found);
        found
    }

    fn inside(&self, segment: Segment<'_, 'a>, at: u32, found: &mut String) {
        for field in 1..=segment.last_field() {
            let all = self.repetitions(segment, field);
            for (repetition, span) in all.iter().enumerate() {
                if !(span.start <= at && at <= span.end) {
                    continue;
                }
                found.push_str(&format!("-{field}"));
                if all.len() > 1 {
                    found.push_str(&format!("[{}]", repetition + 1));
                }
                let mut span = *span;
                for _ in 0..2 {
                    let parts = self.parts(span);
                    let inner = parts
                        .iter()
                        .enumerate()
                        .find(|(_, part)| part.start <= at && at <= part.end);
                    let Some((number, part)) = inner else { return };
                    if parts.len() > 1 || span.level == Level::Component && number > 0 {
                        found.push_str(&format!(".{}", number + 1));
                    }
                    span = *part;
                }
                return;
            }
        }
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
            let get = |place: &str| -> Vec<String> {
                message
                    .at(pid, Place::in_segment(place).unwrap())
                    .into_iter()
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
            let note = message.at(message.segment(2), Place::in_segment("NTE-3").unwrap());
            assert_eq!(message.text(note[0]), "a\nb&c d");
            let empty = message.at(message.segment(3), Place::in_segment("NTE-3").unwrap());
            assert!(!message.valued(empty[0]));
        });
    }

    #[test]
    fn a_position_has_its_path() {
        with(MESSAGE, |message| {
            for (word, path) in [
                ("1.2", "PID-3[1].4.2"),
                ("22", "PID-3[2]"),
                ("DOE", "PID-5.1"),
                ("^&\r", "NTE[2]-3.1"),
            ] {
                let at = MESSAGE.find(word).unwrap() as u32;
                assert_eq!(message.path(at), path, "{word}");
            }
        });
    }
}
