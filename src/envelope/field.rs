//! One field that is more than a plain value: repetitions, components, subcomponents, escapes.
//!
//! ```text
//! 11^^^A&1.2~22    "3":[{"1":"11","4":{"1":"A","2":"1.2"}},{"1":"22"}]
//! ```
//!
//! What is empty is left out, so brackets are opened only when a value comes; an empty repetition before a filled one is
//! `{}` and keeps its place.

use super::json::Text;
use super::sink::Sink;
use crate::config::Charset;
use crate::hl7::encoding;
use crate::hl7::escape::{Token, next_token, unhex};
use crate::hl7::scan::{Fields, Needles, Scanner};
use crate::hl7::switch::Switch;
use crate::hl7::{Delimiters, Header, Terminator};

/// Values are written in pieces of this size, so that the buffer's limit is kept.
pub(super) const PIECE: usize = 32 * 1024;

/// How a message's bytes are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) delimiters: Delimiters,
    pub(super) text: Text,
    /// LF ends segments; otherwise only CR does.
    pub(super) lf_ends: bool,
    /// Bytes that mean something inside a field, and those that end it.
    stops: Needles<7>,
    /// What each byte is at which one stops.
    meaning: [Stop; 256],
}

impl Rules {
    /// For one message.
    pub(super) fn new(header: &Header<'_>, text: Text) -> Self {
        let delimiters = header.delimiters;
        Self {
            delimiters,
            text,
            lf_ends: header.terminator == Terminator::Lf,
            stops: Needles::new(delimiters.field, inner(&delimiters))
                .control()
                .high(!text.is_utf8()),
            meaning: meaning(&delimiters, header.terminator == Terminator::Lf),
        }
    }

    /// What the byte at which one stops is; the end of the bytes ends the field.
    #[inline(always)]
    fn stop(&self, byte: Option<u8>) -> Stop {
        byte.map_or(Stop::FieldEnd, |byte| self.meaning[usize::from(byte)])
    }

    /// Whether this byte ends a field.
    pub(super) fn ends_field(&self, byte: u8) -> bool {
        byte == self.delimiters.field || byte == b'\r' || (byte == b'\n' && self.lf_ends)
    }

    /// The fields of a message.
    pub(super) fn fields<'a>(&self, bytes: &'a [u8]) -> Fields<'a> {
        let terminators = Needles::new(b'\r', self.lf_ends.then_some(b'\n'));
        let inner = Needles::new(b'"', inner(&self.delimiters))
            .control()
            .high(!self.text.is_utf8());
        Fields::new(bytes, self.delimiters.field, terminators, inner)
    }
}

/// What each byte is. Where a byte is two of these, as in a header that names one twice, the first of them counts.
fn meaning(delimiters: &Delimiters, lf_ends: bool) -> [Stop; 256] {
    let mut meaning = [Stop::Special; 256];
    let in_reverse = [
        (lf_ends.then_some(b'\n'), Stop::FieldEnd),
        (delimiters.subcomponent, Stop::Subcomponent),
        (delimiters.repetition, Stop::Repetition),
        (delimiters.component, Stop::Component),
        (Some(delimiters.field), Stop::FieldEnd),
        (Some(b'\r'), Stop::FieldEnd),
    ];
    for (byte, stop) in in_reverse {
        if let Some(byte) = byte {
            meaning[usize::from(byte)] = stop;
        }
    }
    meaning
}

/// Bytes inside a field that do not stand for themselves in JSON, but for control bytes and those over 0x7F.
fn inner(delimiters: &Delimiters) -> impl Iterator<Item = u8> {
    let all = [
        delimiters.component,
        delimiters.repetition,
        delimiters.subcomponent,
        delimiters.escape,
        Some(b'\\'),
        Some(b'"'),
    ];
    all.into_iter().flatten()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Stands for itself, but not in JSON or not in UTF-8, or begins an escape sequence.
    Special,
    Component,
    Repetition,
    Subcomponent,
    FieldEnd,
}

/// A value that is being written.
#[derive(Debug, Clone, Copy)]
struct Pending {
    from: usize,
    to: usize,
    special: bool,
}

/// A field, and how far it is written.
#[derive(Debug, Clone)]
pub(super) struct Field<'a, P> {
    bytes: &'a [u8],
    /// Positions of the bytes that mean something.
    stops: P,
    number: usize,
    /// No field of this segment has been written before it.
    first: bool,
    /// Where the value that is being read begins, and whether it has special bytes.
    start: usize,
    special: bool,
    pending: Option<Pending>,
    repetition: usize,
    component: usize,
    subcomponent: usize,
    /// Repetitions written, the open one included. At 0 the field itself is not open.
    repetitions: usize,
    in_repetition: bool,
    /// The component is an object of subcomponents.
    as_object: bool,
    in_object: bool,
}

/// A field whose stops are looked for while it is written.
pub(super) type Scanned<'a> = Field<'a, Scanner<'a, 7>>;

impl<'a> Scanned<'a> {
    /// The field that begins at `start`, and ends at the first delimiter.
    pub(super) fn scanned(
        bytes: &'a [u8],
        rules: &Rules,
        start: usize,
        number: usize,
        first: bool,
    ) -> Self {
        let stops = Scanner::new(bytes, rules.stops, start);
        Self::new(bytes, stops, start, number, first)
    }
}

impl<'a, P: Iterator<Item = usize>> Field<'a, P> {
    /// The field that begins at `start`, and ends at a delimiter among `stops` or with `bytes`.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], stops: P, start: usize, number: usize, first: bool) -> Self {
        Self {
            bytes,
            stops,
            number,
            first,
            start,
            special: false,
            pending: None,
            repetition: 1,
            component: 1,
            subcomponent: 1,
            repetitions: 0,
            in_repetition: false,
            as_object: false,
            in_object: false,
        }
    }

    /// Whether anything of it has been written.
    pub(super) fn any(&self) -> bool {
        self.repetitions > 0
    }

    /// Appends to `sink` until that holds `limit` bytes or a little more, or the field is written: then where it ends.
    pub(super) fn fill(&mut self, sink: &mut Sink, limit: usize, rules: &Rules) -> Option<usize> {
        loop {
            let at = match self.pending {
                Some(pending) => {
                    if !self.write_piece(sink, pending, rules) {
                        if sink.len() >= limit {
                            return None;
                        }
                        continue;
                    }
                    pending.to
                }
                None if sink.len() >= limit => return None,
                None => {
                    let at = self.stops.next().unwrap_or(self.bytes.len());
                    if !self.end_value(sink, at, rules) {
                        continue;
                    }
                    at
                }
            };
            self.start = at + 1;
            self.special = false;
            if self.delimiter(sink, at, rules) {
                return Some(at);
            }
        }
    }

    #[inline(always)]
    fn stop(&self, at: usize, rules: &Rules) -> Stop {
        rules.stop(self.bytes.get(at).copied())
    }

    /// A value ends at `at`; `false` if it does not after all, or cannot be written at once.
    #[inline(always)]
    fn end_value(&mut self, sink: &mut Sink, at: usize, rules: &Rules) -> bool {
        let stop = self.stop(at, rules);
        if stop == Stop::Special {
            self.special = true;
            return false;
        }
        if stop == Stop::Subcomponent && self.subcomponent == 1 {
            self.as_object = self.more_subcomponents(at, rules);
        }
        if at == self.start {
            return true;
        }
        self.open_value(sink);
        if self.special || at - self.start > PIECE {
            self.pending = Some(Pending {
                from: self.start,
                to: at,
                special: self.special,
            });
            return false;
        }
        sink.push_range(self.bytes, self.start, at);
        sink.put(b"\"");
        true
    }

    /// Whether a subcomponent after the first holds something, seen from the delimiter at `at`.
    fn more_subcomponents(&self, at: usize, rules: &Rules) -> bool {
        let subcomponent = rules.delimiters.subcomponent;
        let rest = &self.bytes[at..];
        let other = rest.iter().position(|byte| Some(*byte) != subcomponent);
        // The scanner stops at what ends the value and at some of what does not.
        other.is_some_and(|other| {
            !matches!(
                self.stop(at + other, rules),
                Stop::FieldEnd | Stop::Component | Stop::Repetition
            )
        })
    }

    /// `true` once the value is whole.
    #[inline(never)]
    fn write_piece(&mut self, sink: &mut Sink, pending: Pending, rules: &Rules) -> bool {
        let value = &self.bytes[pending.from..pending.to];
        let used = if pending.special {
            sink.with_buffer(|out| unescape_some(out, value, rules))
        } else {
            let used = value.len().min(PIECE);
            sink.push(&value[..used]);
            used
        };
        let from = pending.from + used;
        if from < pending.to {
            self.pending = Some(Pending { from, ..pending });
            return false;
        }
        self.pending = None;
        sink.put(b"\"");
        true
    }

    /// `true` at the field's end.
    #[inline(always)]
    fn delimiter(&mut self, sink: &mut Sink, at: usize, rules: &Rules) -> bool {
        let stop = self.stop(at, rules);
        if stop == Stop::Subcomponent {
            self.subcomponent += 1;
            return false;
        }
        if std::mem::take(&mut self.in_object) {
            sink.put(b"}");
        }
        self.as_object = false;
        self.subcomponent = 1;
        if stop == Stop::Component {
            self.component += 1;
            return false;
        }
        if std::mem::take(&mut self.in_repetition) {
            sink.put(b"}");
        }
        self.component = 1;
        self.repetition += 1;
        if stop == Stop::Repetition {
            return false;
        }
        if self.any() {
            sink.put(b"]");
        }
        true
    }

    /// Opens every bracket that the value at this place needs, up to its quotation mark.
    #[inline(always)]
    fn open_value(&mut self, sink: &mut Sink) {
        let first = !self.in_repetition;
        if first {
            self.open_repetition(sink);
        }
        if !self.as_object {
            return sink.put_component(self.component, first);
        }
        let begins = !std::mem::replace(&mut self.in_object, true);
        if begins {
            sink.put_subcomponents(self.component, first);
        }
        sink.put_component(self.subcomponent, begins);
    }

    /// Everything before the repetition's own bracket.
    #[inline(always)]
    fn open_repetition(&mut self, sink: &mut Sink) {
        self.in_repetition = true;
        if self.any() {
            sink.put(b",");
        } else {
            sink.put_repetitions(self.number, self.first);
        }
        for _ in self.repetitions + 1..self.repetition {
            sink.put(b"{},");
        }
        self.repetitions = self.repetition;
    }
}

/// Appends the value, unescaped, and says how many of its bytes that took: all, or at least one piece of it.
fn unescape_some(out: &mut Vec<u8>, value: &[u8], rules: &Rules) -> usize {
    let Rules {
        delimiters, text, ..
    } = rules;
    let mut rest = value;
    while let Some((token, after)) = next_token(rest, delimiters) {
        let done = value.len() - rest.len();
        if done >= PIECE {
            return done;
        }
        match token {
            Token::Text(plain) if plain.len() > PIECE => {
                text.push(out, &plain[..PIECE]);
                return done + PIECE;
            }
            Token::Text(plain) => text.push(out, plain),
            Token::Delimiter(byte) => text.push_byte(out, byte),
            Token::Kept(sequence) => {
                // Only where a value is short enough to be read at once.
                let switch = Switch::of(sequence).filter(|_| value.len() <= PIECE);
                if let Some((characters, after)) =
                    switch.and_then(|switch| switched(after, switch, rules))
                {
                    Text::new(Charset::Utf8).push(out, characters.as_bytes());
                    rest = after;
                    continue;
                }
                text.push(out, sequence);
            }
            Token::Hex(digits) => push_hex(out, digits, &rest[..rest.len() - after.len()], *text),
        }
        rest = after;
    }
    value.len()
}

/// What is behind a switch to another set, in UTF-8, up to the next switch, and what is left of the value. `None` where it cannot be
/// read: then all of it stays as it is written.
fn switched<'a>(mut rest: &'a [u8], switch: Switch, rules: &Rules) -> Option<(String, &'a [u8])> {
    let mut read = String::new();
    let mut coded = Vec::new();
    while let Some((token, after)) = next_token(rest, &rules.delimiters) {
        match token {
            Token::Text(plain) => push_as_it_came(&mut coded, plain, rules.text)?,
            // Where each byte below 0x7F is half of a character, a delimiter is none.
            Token::Delimiter(_) if !switch.keeps_ascii() => return None,
            Token::Delimiter(byte) => {
                read += &switch.decode(&std::mem::take(&mut coded))?;
                read.push(char::from(byte));
            }
            Token::Hex(digits) => coded.extend(unhex(digits)),
            Token::Kept(next) if Switch::is_back(next) => {
                rest = after;
                break;
            }
            Token::Kept(next) if Switch::of(next).is_some() => break,
            Token::Kept(command) if !command.is_ascii() => return None,
            Token::Kept(command) => {
                read += &switch.decode(&std::mem::take(&mut coded))?;
                read += std::str::from_utf8(command).ok()?;
            }
        }
        rest = after;
    }
    read += &switch.decode(&coded)?;
    (!read.is_empty()).then_some((read, rest))
}

/// The bytes that a piece of text had in the message.
fn push_as_it_came(coded: &mut Vec<u8>, plain: &[u8], text: Text) -> Option<()> {
    if plain.is_ascii() || !text.is_utf8() {
        coded.extend_from_slice(plain);
        return Some(());
    }
    let plain = std::str::from_utf8(plain).ok()?;
    // In UTF-16 and behind ISO 2022's own sequences, bytes are no characters by themselves.
    let is_of_bytes = encoding::is_foreign(text.charset())
        && !matches!(text.charset(), Charset::Utf16 | Charset::Iso2022Jp);
    (is_of_bytes && encoding::encode_into(coded, text.charset(), plain)).then_some(())
}

/// `\X..\`: the characters that the bytes are, or the sequence itself where they are none.
fn push_hex(out: &mut Vec<u8>, digits: &[u8], sequence: &[u8], text: Text) {
    let bytes: Vec<u8> = unhex(digits).collect();
    if !text.push_coded(out, &bytes) {
        text.push(out, sequence);
    }
}
