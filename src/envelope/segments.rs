//! `"segments"`: the whole message as JSON, in one walk over its structural bytes.
//!
//! ```text
//! PID|1||11^^^A&1.2~22||DOE^JANE
//! {"id":"PID","fields":{"1":[{"1":"1"}],"3":[{"1":"11","4":{"1":"A","2":"1.2"}},{"1":"22"}],"5":[{"1":"DOE","2":"JANE"}]}}
//! ```
//!
//! A field is a list of repetitions, a repetition an object of components, a component a string or, where a second
//! subcomponent holds something, an object of those. What is empty is left out, so brackets are opened only when a value comes;
//! an empty repetition before a filled one is `{}` and keeps its place.

use super::json::Text;
use super::sink::Sink;
use crate::hl7::escape::{Token, next_token, unhex};
use crate::hl7::scan::{Needles, Scanner};
use crate::hl7::{Delimiters, Header, Terminator};

const CR: u8 = b'\r';
const LF: u8 = b'\n';
/// Values are written in pieces of this size, so that the buffer's limit is kept.
const PIECE: usize = 32 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Class {
    /// Stands for itself, but not in JSON or not in UTF-8, or begins an escape sequence.
    Special,
    Field,
    Repetition,
    Component,
    Subcomponent,
    Terminator,
}

/// A value that is being written.
#[derive(Debug, Clone, Copy)]
struct Pending {
    from: usize,
    to: usize,
    special: bool,
}

/// Writes the segments of one message.
#[derive(Debug, Clone)]
pub struct Walker<'a> {
    bytes: &'a [u8],
    delimiters: Delimiters,
    text: Text,
    lf_ends: bool,
    classes: [Class; 256],
    needles: Needles<7>,
    scanner: Scanner<'a, 7>,
    /// Where the value that is being read begins, and whether it has special bytes.
    start: usize,
    special: bool,
    pending: Option<Pending>,
    done: bool,
    any_segment: bool,
    place: Place,
    open: Open,
}

/// Where in the segment the walk is: HL7's own numbers. Field 0 is the segment ID.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    field: usize,
    repetition: usize,
    component: usize,
    subcomponent: usize,
}

/// Which brackets are open, and whether something stands in them already.
#[derive(Debug, Clone, Copy, Default)]
struct Open {
    segment: bool,
    any_field: bool,
    field: bool,
    /// Repetitions written, the open one included.
    repetitions: usize,
    repetition: bool,
    any_component: bool,
    /// The component is an object of subcomponents.
    as_object: bool,
    component: bool,
    any_subcomponent: bool,
}

impl<'a> Walker<'a> {
    /// For a message whose header was read from the same bytes.
    pub fn new(message: &'a [u8], header: &Header<'_>, text: Text) -> Self {
        let bytes = message.get(header.leading..).unwrap_or_default();
        let delimiters = header.delimiters;
        let lf_ends = header.terminator == Terminator::Lf;
        let mut classes = [Class::Special; 256];
        let mut class = |byte: Option<u8>, class| {
            if let Some(byte) = byte {
                classes[usize::from(byte)] = class;
            }
        };
        class(delimiters.subcomponent, Class::Subcomponent);
        class(delimiters.repetition, Class::Repetition);
        class(delimiters.component, Class::Component);
        class(Some(delimiters.field), Class::Field);
        class(Some(CR), Class::Terminator);
        if lf_ends {
            class(Some(LF), Class::Terminator);
        }
        let structural = [
            delimiters.component,
            delimiters.repetition,
            delimiters.subcomponent,
            delimiters.escape,
            Some(b'"'),
            Some(b'\\'),
        ];
        let needles = Needles::new(delimiters.field, structural.into_iter().flatten())
            .control()
            .high(!text.is_utf8());
        Self {
            bytes,
            delimiters,
            text,
            lf_ends,
            classes,
            needles,
            scanner: Scanner::new(bytes, needles, 0),
            start: 0,
            special: false,
            pending: None,
            done: false,
            any_segment: false,
            place: Place::default(),
            open: Open::default(),
        }
    }

    /// Appends to `out` until it holds `limit` bytes or a little more, or everything is written: then `true`.
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: usize) -> bool {
        let mut sink = Sink::new(out);
        while !self.done && sink.len() < limit {
            match self.pending {
                Some(pending) => self.write_piece(&mut sink, pending),
                None => self.step(&mut sink),
            }
        }
        self.done
    }

    /// Goes on to the next byte that means something.
    ///
    /// What to do is decided once per byte, and each arm is inlined: a second look at the class would be a second
    /// jump that the processor cannot predict, and those are what this function's time goes into.
    #[inline(always)]
    fn step(&mut self, sink: &mut Sink<'_>) {
        let at = self.scanner.next().unwrap_or(self.bytes.len());
        let class = match self.bytes.get(at) {
            Some(byte) => self.classes[usize::from(*byte)],
            None => Class::Terminator,
        };
        match class {
            // One of several separators in a row: an empty field.
            Class::Field if at == self.start && !self.open.field && self.place.field > 0 => {
                self.next_field(self.place.field + 1);
                self.start = at + 1;
            }
            Class::Field => self.end_value(sink, at, Class::Field),
            Class::Special => self.note_special(at),
            // In the segment ID, only a field separator or the end means something.
            Class::Repetition | Class::Component | Class::Subcomponent if self.place.field == 0 => {
                self.special = true;
            }
            Class::Component => self.end_value(sink, at, Class::Component),
            Class::Repetition => self.end_value(sink, at, Class::Repetition),
            Class::Subcomponent => self.end_value(sink, at, Class::Subcomponent),
            Class::Terminator => self.end_value(sink, at, Class::Terminator),
        }
    }

    fn note_special(&mut self, at: usize) {
        // LF after CR belongs to the terminator.
        if self.place.field == 0 && at == self.start && self.bytes[at] == LF && !self.lf_ends {
            self.start = at + 1;
        } else {
            self.special = true;
        }
    }

    /// A value ends at `at`, by a delimiter of this class.
    #[inline(always)]
    fn end_value(&mut self, sink: &mut Sink<'_>, at: usize, class: Class) {
        let first_of_several = class == Class::Subcomponent && self.place.subcomponent <= 1;
        if first_of_several {
            self.open.as_object = self.more_subcomponents(at);
        }
        if at > self.start {
            self.open_value(sink);
            if at - self.start > PIECE || self.special {
                let special = self.special;
                self.pending = Some(Pending {
                    from: self.start,
                    to: at,
                    special,
                });
                return;
            }
            sink.push(self.bytes, self.start, at);
            sink.put(b"\"");
        }
        self.delimiter(sink, at, class);
    }

    /// Whether a subcomponent after the first holds something, seen from the delimiter at `at`.
    fn more_subcomponents(&self, at: usize) -> bool {
        let class = |byte: &u8| self.classes[usize::from(*byte)];
        let rest = &self.bytes[at..];
        let next = rest.iter().find(|byte| class(byte) != Class::Subcomponent);
        next.is_some_and(|byte| {
            Some(*byte) == self.delimiters.escape || class(byte) == Class::Special
        })
    }

    #[inline(never)]
    fn write_piece(&mut self, sink: &mut Sink<'_>, pending: Pending) {
        let value = &self.bytes[pending.from..pending.to];
        let used = if !pending.special {
            let used = value.len().min(PIECE);
            sink.push(value, 0, used);
            used
        } else if self.place.field == 0 {
            let used = value.len().min(PIECE);
            self.text.push(sink.buffer(), &value[..used]);
            used
        } else {
            unescape_some(sink.buffer(), value, &self.delimiters, self.text)
        };
        let from = pending.from + used;
        if from < pending.to {
            self.pending = Some(Pending { from, ..pending });
            return;
        }
        self.pending = None;
        sink.put(b"\"");
        let class = self
            .bytes
            .get(pending.to)
            .map(|byte| self.classes[usize::from(*byte)]);
        self.delimiter(sink, pending.to, class.unwrap_or(Class::Terminator));
    }

    #[inline(always)]
    fn delimiter(&mut self, sink: &mut Sink<'_>, at: usize, class: Class) {
        self.start = at + 1;
        self.special = false;
        match class {
            Class::Subcomponent => self.place.subcomponent += 1,
            Class::Component => {
                self.close_component(sink);
                self.place.component += 1;
            }
            Class::Repetition => {
                self.close_repetition(sink);
                self.place.repetition += 1;
                self.place.component = 1;
            }
            Class::Field => {
                if self.place.field == 0 {
                    self.begin_fields(sink, at);
                } else {
                    self.close_field(sink);
                    self.next_field(self.place.field + 1);
                }
            }
            Class::Terminator | Class::Special => {
                self.close_segment(sink);
                self.done = at >= self.bytes.len();
            }
        }
    }

    fn next_field(&mut self, field: usize) {
        self.place = Place {
            field,
            repetition: 1,
            component: 1,
            subcomponent: 1,
        };
    }

    /// The separator after a segment ID. In MSH it is itself field 1, and field 2 has no delimiters in it.
    #[inline(never)]
    fn begin_fields(&mut self, sink: &mut Sink<'_>, at: usize) {
        if !self.open.segment {
            // A line that begins with a separator: a segment without an ID.
            self.open_segment(sink);
            sink.put(b"\"");
        }
        sink.put(b",\"fields\":{");
        let (before, id) = self.bytes[..at].split_at(at.saturating_sub(3));
        // An LF before the ID is a part of it, unless it ends segments or follows a CR.
        let line_end = before.iter().rposition(|byte| *byte != LF || self.lf_ends);
        let begins_line = line_end.is_none_or(|end| matches!(before[end], CR | LF));
        if !begins_line || !matches!(id, b"MSH" | b"BHS" | b"FHS") {
            self.next_field(1);
            return;
        }
        let rest = &self.bytes[at + 1..];
        let ends = |byte: &u8| {
            matches!(
                self.classes[usize::from(*byte)],
                Class::Field | Class::Terminator
            )
        };
        let msh2 = &rest[..rest.iter().position(ends).unwrap_or(rest.len())];
        sink.put(b"\"1\":[{\"1\":\"");
        self.text.push_byte(sink.buffer(), self.delimiters.field);
        sink.put(b"\"}]");
        self.open.any_field = true;
        if !msh2.is_empty() {
            sink.put(b",\"2\":[{\"1\":\"");
            self.text.push(sink.buffer(), msh2);
            sink.put(b"\"}]");
        }
        self.next_field(2);
        self.start = at + 1 + msh2.len();
        self.scanner = Scanner::new(self.bytes, self.needles, self.start);
    }

    fn open_segment(&mut self, sink: &mut Sink<'_>) {
        if std::mem::replace(&mut self.any_segment, true) {
            sink.put(b",");
        }
        sink.put(b"{\"id\":\"");
        self.open = Open {
            segment: true,
            ..Open::default()
        };
    }

    /// Opens every bracket that the value at this place needs, up to its quotation mark.
    #[inline(always)]
    fn open_value(&mut self, sink: &mut Sink<'_>) {
        let Place {
            field,
            repetition,
            component,
            ..
        } = self.place;
        let open = &mut self.open;
        // By far the most values are a field's first or another component of an open repetition.
        if !open.as_object {
            let first = component == 1 && repetition == 1 && open.any_field && field > 0;
            if first && !open.field && sink.put_field(field) {
                open.field = true;
                open.repetitions = 1;
                open.repetition = true;
                open.any_component = true;
                return;
            }
            if open.repetition && open.any_component && sink.put_component(component) {
                return;
            }
        }
        self.open_rare(sink);
    }

    /// The same, for every case.
    #[inline(never)]
    fn open_rare(&mut self, sink: &mut Sink<'_>) {
        let Place {
            field,
            repetition,
            component,
            subcomponent,
        } = self.place;
        if field == 0 {
            return self.open_segment(sink);
        }
        let open = &mut self.open;
        if !open.field {
            open.field = true;
            open.repetitions = 0;
            if std::mem::replace(&mut open.any_field, true) {
                sink.put(b",");
            }
            sink.put_key(field);
            sink.put(b"[");
        }
        if !open.repetition {
            while open.repetitions + 1 < repetition {
                if open.repetitions > 0 {
                    sink.put(b",");
                }
                sink.put(b"{}");
                open.repetitions += 1;
            }
            if open.repetitions > 0 {
                sink.put(b",");
            }
            sink.put(b"{");
            open.repetitions += 1;
            open.repetition = true;
            open.any_component = false;
        }
        if !open.component {
            if std::mem::replace(&mut open.any_component, true) {
                sink.put(b",");
            }
            sink.put_key(component);
            if open.as_object {
                sink.put(b"{");
                open.component = true;
                open.any_subcomponent = false;
            }
        }
        if open.as_object {
            if std::mem::replace(&mut open.any_subcomponent, true) {
                sink.put(b",");
            }
            sink.put_key(subcomponent);
        }
        sink.put(b"\"");
    }

    #[inline(always)]
    fn close_component(&mut self, sink: &mut Sink<'_>) {
        if self.open.component {
            sink.put(b"}");
        }
        self.open.component = false;
        self.open.as_object = false;
        self.place.subcomponent = 1;
    }

    #[inline(always)]
    fn close_repetition(&mut self, sink: &mut Sink<'_>) {
        self.close_component(sink);
        if std::mem::take(&mut self.open.repetition) {
            sink.put(b"}");
        }
    }

    #[inline(always)]
    fn close_field(&mut self, sink: &mut Sink<'_>) {
        self.close_repetition(sink);
        if std::mem::take(&mut self.open.field) {
            sink.put(b"]");
        }
    }

    #[inline(never)]
    fn close_segment(&mut self, sink: &mut Sink<'_>) {
        self.close_field(sink);
        if self.open.segment {
            if self.place.field == 0 {
                sink.put(b",\"fields\":{");
            }
            sink.put(b"}}");
        }
        self.open = Open::default();
        self.place = Place::default();
    }
}

/// Appends the value, unescaped, and says how many of its bytes that took: all, or at least one piece of it.
fn unescape_some(out: &mut Vec<u8>, value: &[u8], delimiters: &Delimiters, text: Text) -> usize {
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
            Token::Kept(sequence) => text.push(out, sequence),
            Token::Hex(digits) => push_hex(out, digits, &rest[..rest.len() - after.len()], text),
        }
        rest = after;
    }
    value.len()
}

/// `\X..\`: the characters that the bytes are, or the sequence itself where they are none.
fn push_hex(out: &mut Vec<u8>, digits: &[u8], sequence: &[u8], text: Text) {
    let bytes: Vec<u8> = unhex(digits).collect();
    if text.is_utf8() && std::str::from_utf8(&bytes).is_err() {
        text.push(out, sequence);
    } else {
        text.push(out, &bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hl7::{Payload, peek};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    pub(super) fn segments(message: &[u8], utf8: bool, limit: usize) -> Value {
        let Payload::V2(header) = peek(message) else {
            panic!("not v2")
        };
        let mut walker = Walker::new(message, &header, Text::new(utf8));
        let mut all = vec![b'['];
        let mut piece = Vec::new();
        loop {
            let done = walker.fill(&mut piece, limit);
            all.append(&mut piece);
            if done {
                break;
            }
        }
        all.push(b']');
        serde_json::from_slice(&all)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&all)))
    }

    fn fields(segment: &str) -> Value {
        let message = format!("MSH|^~\\&|A\r{segment}");
        segments(message.as_bytes(), true, usize::MAX)[1].clone()
    }

    #[test]
    fn every_level_and_what_is_empty() {
        for (segment, expected) in [
            (
                "PID|1||11^^^A&1.2^MR~22",
                json!({"1":[{"1":"1"}],"3":[{"1":"11","4":{"1":"A","2":"1.2"},"5":"MR"},{"1":"22"}]}),
            ),
            ("PID", json!({})),
            ("PID|||", json!({})),
            ("PID|^^^|~~|&&", json!({})),
            ("PID|~~x~", json!({"1":[{},{},{"1":"x"}]})),
            (
                "PID|a&|b&&c|&d^e|&&",
                json!({"1":[{"1":"a"}],"2":[{"1":{"1":"b","3":"c"}}],"3":[{"1":{"2":"d"},"2":"e"}]}),
            ),
            ("PID|\"\"|x", json!({"1":[{"1":"\"\""}],"2":[{"1":"x"}]})),
            (
                "PID|a\\T\\b&\\S\\|\\X41\\\\XFF\\|\\.br\\",
                json!({"1":[{"1":{"1":"a&b","2":"^"}}],"2":[{"1":"A\\XFF\\"}],"3":[{"1":"\\.br\\"}]}),
            ),
            ("PID|||||||||||x|", json!({"11":[{"1":"x"}]})),
        ] {
            assert_eq!(fields(segment)["fields"], expected, "{segment}");
        }
        let long = format!("ZZZ{}x", "|".repeat(123));
        assert_eq!(fields(&long)["fields"], json!({"123":[{"1":"x"}]}));
    }

    #[test]
    fn the_header_counts_its_separator_as_field_1() {
        let message = b"MSH|^~\\&#|APP^x||\r";
        let expected = json!([{"id":"MSH","fields":{"1":[{"1":"|"}],"2":[{"1":"^~\\&#"}],"3":[{"1":"APP","2":"x"}]}}]);
        assert_eq!(segments(message, true, usize::MAX), expected);
    }

    #[test]
    fn odd_lines_are_kept() {
        let message = b"MSH|^~\\&|A\r\nPI\"D^1|a\nb\r\r\n|x\rJUNK\r";
        let expected = json!([
            {"id":"MSH","fields":{"1":[{"1":"|"}],"2":[{"1":"^~\\&"}],"3":[{"1":"A"}]}},
            {"id":"PI\"D^1","fields":{"1":[{"1":"a\nb"}]}},
            {"id":"","fields":{"1":[{"1":"x"}]}},
            {"id":"JUNK","fields":{}},
        ]);
        assert_eq!(segments(message, true, usize::MAX), expected);
    }

    #[test]
    fn latin_1_becomes_utf_8() {
        let message = b"MSH|^~\\&|A\rPID|\xe9\\XE8\\|\xff\r";
        assert_eq!(
            segments(message, false, usize::MAX)[1]["fields"],
            json!({"1":[{"1":"éè"}],"2":[{"1":"ÿ"}]})
        );
    }

    #[test]
    fn a_long_value_is_written_in_pieces() {
        for value in [
            "x".repeat(3 * PIECE),
            "\"é".repeat(PIECE),
            "\\T\\".repeat(PIECE),
        ] {
            let message = format!("MSH|^~\\&|A\rOBX|{value}|1\r");
            let whole = segments(message.as_bytes(), true, usize::MAX);
            assert_eq!(segments(message.as_bytes(), true, 1), whole);
            let expected = value.replace("\\T\\", "&");
            assert!(
                whole[1]["fields"]["1"][0]["1"] == json!(expected),
                "the long value changed"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_bytes_make_json_that_does_not_depend_on_the_pieces(
            body in prop::collection::vec(prop::sample::select(&b"||^^~&\\\\\r\r\n\"AXF0\x01\xe9\xc3\xa9"[..]), 0..120),
            limit in 1usize..40,
        ) {
            let message = [b"MSH|^~\\&|", body.as_slice()].concat();
            let utf8 = std::str::from_utf8(&message).is_ok();
            prop_assert_eq!(segments(&message, utf8, limit), segments(&message, utf8, usize::MAX));
        }
    }
}
