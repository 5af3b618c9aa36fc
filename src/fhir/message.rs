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
        let mut text = String::with_capacity(raw.len());
        // Hexadecimal data is bytes of its own: what it is not, the text around it still is. One character may be in several sequences.
        let mut data = Vec::new();
        while let Some((token, rest)) = next_token(raw, &self.delimiters) {
            match token {
                Token::Hex(digits) => data.extend(unhex(digits)),
                Token::Text(bytes) => {
                    self.push(&mut text, &mut data, bytes);
                }
                Token::Delimiter(byte) => {
                    self.push(&mut text, &mut data, &[]);
                    text.push(char::from(byte));
                }
                Token::Kept(sequence) => {
                    self.push(&mut text, &mut data, &[]);
                    match Shown::of(sequence) {
                        Shown::Nothing => {}
                        Shown::Line => text.push('\n'),
                        Shown::Blanks(count) => text.extend(std::iter::repeat_n(' ', count)),
                        Shown::Apart if text.ends_with(|last: char| !last.is_whitespace()) => {
                            text.push(' ');
                        }
                        Shown::Apart => {}
                        Shown::Itself => self.push(&mut text, &mut data, sequence),
                    }
                }
            }
            raw = rest;
        }
        self.push(&mut text, &mut data, &[]);
        // A byte order mark is no character of a text, and JavaScript's servers take it for a blank.
        let kept = |c: &char| {
            let blank = matches!(c, '\n' | '\t');
            (!c.is_control() || blank) && *c != '\u{feff}'
        };
        let text: String = text.replace("\r\n", "\n").replace('\r', "\n");
        let text: String = text.chars().filter(kept).collect();
        Cow::Owned(text.trim().to_owned())
    }

    /// Adds what was found as data, and then these bytes.
    fn push(&self, text: &mut String, data: &mut Vec<u8>, bytes: &[u8]) {
        for bytes in [data.as_slice(), bytes] {
            match std::str::from_utf8(bytes) {
                Ok(read) if self.utf8 => text.push_str(read),
                _ => text.extend(bytes.iter().copied().map(char::from)),
            }
        }
        data.clear();
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

/// A line of a report is no longer.
const WIDEST: usize = 132;

/// What a command (section 2.7) looks like in plain text.
enum Shown {
    /// Highlighting.
    Nothing,
    /// The line ends.
    Line,
    /// So many blanks, between two numbers perhaps.
    Blanks(usize),
    /// How lines are filled and indented: what is before and behind it is never one word.
    Apart,
    /// It is no command of the standard.
    Itself,
}

impl Shown {
    fn of(sequence: &[u8]) -> Self {
        let body = sequence.get(1..sequence.len().saturating_sub(1));
        let (name, number) = match body.unwrap_or_default() {
            b"H" | b"N" => return Self::Nothing,
            [b'.', name @ ..] => name.split_at(name.len().min(2)),
            _ => return Self::Itself,
        };
        let (sign, digits) = match number {
            [sign @ (b'+' | b'-'), digits @ ..] => (Some(*sign), digits),
            digits => (None, digits),
        };
        let number = std::str::from_utf8(digits).unwrap_or("?").parse::<usize>();
        match (name, digits.is_empty() && sign.is_none(), number) {
            (b"br" | b"ce" | b"sp", true, _) | (b"sp", _, Ok(_)) => Self::Line,
            (b"sk", true, _) => Self::Blanks(1),
            (b"sk", _, Ok(count)) if sign != Some(b'-') => Self::Blanks(count.clamp(1, WIDEST)),
            (b"fi" | b"nf" | b"in" | b"ti", true, _) | (b"in" | b"ti", _, Ok(_)) => Self::Apart,
            _ => Self::Itself,
        }
    }
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

    fn shown(text: &str) -> String {
        let message = format!("MSH|^~\\&|A|B\rNTE|1||{text}\r");
        with(&message, |message| {
            let place = Place::in_segment("NTE-3").unwrap();
            let first = message.at(message.segment(1), place).next();
            message.text(first.unwrap()).into_owned()
        })
    }

    /// Two numbers that become one are another dose.
    #[test]
    fn blanks_that_are_skipped_are_blanks() {
        for (text, expected) in [
            ("dose 1\\.sk1\\5 mg", "dose 1 5 mg"),
            ("1\\.sk\\5", "1 5"),
            ("Na\\.sk6\\140", "Na      140"),
            ("Na\\.sk+2\\140", "Na  140"),
            ("1\\.ti+4\\5", "1 5"),
            ("1\\.nf\\5", "1 5"),
            ("a\\.br\\\\.in+4\\b", "a\nb"),
            ("a\\.sp3\\b\\.sp\\c\\.ce\\d", "a\nb\nc\nd"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_only_begins_like_a_command_is_text() {
        for text in [
            "see \\.inadequate sample\\",
            "C:\\.ssh\\keys",
            "a\\.br5\\b",
            "a\\.sk-2\\b",
            "a\\.sk2x\\b",
            "a\\.\\b",
            "a\\Zlocal\\b",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn hexadecimal_data_leaves_the_text_around_it_as_it_is() {
        for (text, expected) in [
            ("MÜLLER \\XE9\\", "MÜLLER é"),
            ("M\\XC39C\\LLER", "MÜLLER"),
            ("M\\XC3\\\\X9C\\LLER", "MÜLLER"),
            ("MÜ\\T\\\\XC3\\ü", "MÜ&Ãü"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
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
