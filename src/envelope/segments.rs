//! `"segments"`: the whole message as JSON, field by field.
//!
//! ```text
//! PID|1||11^^^A&1.2~22||DOE^JANE
//! {"id":"PID","fields":{"1":[{"1":"1"}],"3":[{"1":"11","4":{"1":"A","2":"1.2"}},{"1":"22"}],"5":[{"1":"DOE","2":"JANE"}]}}
//! ```
//!
//! A field is a list of repetitions, a repetition an object of components, a component a string or, where a second
//! subcomponent holds something, an object of those. What is empty is left out. Most fields are empty or one plain value, and
//! are written here; what is inside the others is `Field`'s.

use super::field::{Field, PIECE, Rules, Scanned};
use super::json::Text;
use super::sink::Sink;
use crate::hl7::Header;
use crate::hl7::scan::{FieldEnd, Fields, Inside};
use std::ops::Range;

const LF: u8 = b'\n';
/// A field of more bytes than this is not looked through for its end first, but written while it is read.
const LONG: usize = 256;
/// Longest segment ID that is written at once; by the standard they have three characters.
const USUAL_ID: usize = 16;

/// Writes the segments of one message.
#[derive(Debug, Clone)]
pub struct Walker<'a> {
    bytes: &'a [u8],
    rules: Rules,
    fields: Fields<'a>,
    /// Where the next field begins, and its number; 0 is the segment ID.
    start: usize,
    number: usize,
    /// Something has been written in `"segments"`, in `"fields"`.
    any_segment: bool,
    any_field: bool,
    /// What is written in pieces.
    open: Open<'a>,
    done: bool,
}

#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack of one exchange"
)]
enum Open<'a> {
    Nothing,
    /// What is left of a segment ID.
    Id(Range<usize>),
    Field(Scanned<'a>),
}

impl<'a> Walker<'a> {
    /// For a message whose header was read from the same bytes.
    pub fn new(message: &'a [u8], header: &Header<'_>, text: Text) -> Self {
        let bytes = message.get(header.leading..).unwrap_or_default();
        let rules = Rules::new(header, text);
        Self {
            bytes,
            rules,
            fields: rules.fields(bytes),
            start: 0,
            number: 0,
            any_segment: false,
            any_field: false,
            open: Open::Nothing,
            done: false,
        }
    }

    /// Appends to `out` until it holds `limit` bytes or a little more, or everything is written: then `true`.
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: usize) -> bool {
        let mut sink = Sink::new(std::mem::take(out));
        while !self.done && sink.len() < limit {
            match std::mem::replace(&mut self.open, Open::Nothing) {
                Open::Nothing if self.number == 0 => self.begin_segment(&mut sink),
                Open::Nothing => self.write_fields(&mut sink, limit),
                Open::Id(rest) => self.write_id(&mut sink, rest),
                Open::Field(field) => self.write_long(&mut sink, limit, field),
            }
        }
        *out = sink.into_buffer();
        self.done
    }

    /// A segment ID, and what a header segment has in place of its first two fields.
    #[inline(never)]
    fn begin_segment(&mut self, sink: &mut Sink) {
        let Some(FieldEnd { at, .. }) = self.fields.next_end(self.start, usize::MAX) else {
            return;
        };
        let mut id = &self.bytes[self.start..at];
        // LF after CR belongs to the terminator.
        while let ([LF, rest @ ..], false) = (id, self.rules.lf_ends) {
            id = rest;
        }
        if id.is_empty() && !self.is_separator(at) {
            return self.segment_ends(at);
        }
        if std::mem::replace(&mut self.any_segment, true) {
            sink.put(b",");
        }
        sink.put(b"{\"id\":\"");
        self.any_field = false;
        if id.len() > USUAL_ID || !id.iter().all(u8::is_ascii_alphanumeric) {
            self.open = Open::Id(at - id.len()..at);
            return;
        }
        sink.push_range(self.bytes, at - id.len(), at);
        self.id_ends(sink, at);
        if self.number > 0 && matches!(id, b"MSH" | b"BHS" | b"FHS") {
            self.header_fields(sink);
        }
    }

    fn write_id(&mut self, sink: &mut Sink, rest: Range<usize>) {
        let end = rest.end.min(rest.start + PIECE);
        let piece = &self.bytes[rest.start..end];
        sink.with_buffer(|out| self.rules.text.push(out, piece));
        if end < rest.end {
            self.open = Open::Id(end..rest.end);
        } else {
            self.id_ends(sink, end);
        }
    }

    fn id_ends(&mut self, sink: &mut Sink, at: usize) {
        sink.put(b"\",\"fields\":{");
        self.field_ends(sink, at, self.is_separator(at));
    }

    /// The separator after MSH is itself field 1, and field 2 has no delimiters in it.
    fn header_fields(&mut self, sink: &mut Sink) {
        let rest = &self.bytes[self.start..];
        let end = rest.iter().position(|byte| self.rules.ends_field(*byte));
        let encoding_characters = &rest[..end.unwrap_or(rest.len())];
        let Rules {
            text, delimiters, ..
        } = self.rules;
        sink.put_field(1, true);
        sink.with_buffer(|out| text.push_byte(out, delimiters.field));
        sink.put(b"\"}]");
        if !encoding_characters.is_empty() {
            sink.put_field(2, false);
            sink.with_buffer(|out| text.push(out, encoding_characters));
            sink.put(b"\"}]");
        }
        self.any_field = true;
        self.number = 2;
        self.start += encoding_characters.len();
        self.fields.seek(self.start);
    }

    /// Writes fields until the segment ends or one turns out to be long.
    fn write_fields(&mut self, sink: &mut Sink, limit: usize) {
        while self.number > 0 && sink.len() < limit {
            let empty = self.fields.skip_empty(self.start);
            self.start += empty;
            self.number += empty;
            let (start, first) = (self.start, !self.any_field);
            match self.fields.next_end(start, LONG) {
                Some(FieldEnd { at, more, .. }) if at == start => self.field_ends(sink, at, more),
                Some(FieldEnd {
                    at,
                    more,
                    inside: Inside::Plain,
                }) => {
                    sink.put_field(self.number, first);
                    sink.push_range(self.bytes, start, at);
                    sink.put(b"\"}]");
                    self.any_field = true;
                    self.field_ends(sink, at, more);
                }
                Some(FieldEnd {
                    at,
                    inside: Inside::Known(stops),
                    ..
                }) => {
                    let bytes = &self.bytes[..at];
                    let field = Field::new(bytes, stops, start, self.number, first);
                    self.write_short(sink, field);
                }
                Some(FieldEnd {
                    inside: Inside::Unknown,
                    ..
                }) => {
                    let (bytes, rules) = (self.bytes, &self.rules);
                    let field = Field::scanned(bytes, rules, start, self.number, first);
                    self.write_short(sink, field);
                }
                None => {
                    let (bytes, rules) = (self.bytes, &self.rules);
                    let field = Field::scanned(bytes, rules, start, self.number, first);
                    self.open = Open::Field(field);
                    return;
                }
            }
        }
    }

    /// Writes a field that is no longer than what may be written over the limit.
    #[inline(always)]
    fn write_short<P: Iterator<Item = usize>>(&mut self, sink: &mut Sink, mut field: Field<'a, P>) {
        if let Some(at) = field.fill(sink, usize::MAX, &self.rules) {
            self.any_field |= field.any();
            self.field_ends(sink, at, self.is_separator(at));
        }
    }

    /// Writes more of a long field.
    fn write_long(&mut self, sink: &mut Sink, limit: usize, mut field: Scanned<'a>) {
        match field.fill(sink, limit, &self.rules) {
            None => self.open = Open::Field(field),
            Some(at) => {
                self.any_field |= field.any();
                self.field_ends(sink, at, self.is_separator(at));
                self.fields.seek(self.start);
            }
        }
    }

    fn is_separator(&self, at: usize) -> bool {
        self.bytes.get(at) == Some(&self.rules.delimiters.field)
    }

    #[inline(always)]
    fn field_ends(&mut self, sink: &mut Sink, at: usize, more: bool) {
        if more {
            self.start = at + 1;
            self.number += 1;
        } else {
            sink.put(b"}}");
            self.segment_ends(at);
        }
    }

    fn segment_ends(&mut self, at: usize) {
        self.start = at + 1;
        self.number = 0;
        self.done = at >= self.bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Charset;
    use crate::hl7::{Payload, peek};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    pub(super) fn segments(message: &[u8], utf8: bool, limit: usize) -> Value {
        let Payload::V2(header) = peek(message) else {
            panic!("not v2")
        };
        let charset = if utf8 { Charset::Utf8 } else { Charset::Latin1 };
        let mut walker = Walker::new(message, &header, Text::new(charset));
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

    /// A switch to another set is read, up to the next; what cannot be read stays as it is written.
    #[test]
    fn another_set_in_a_part_of_a_value() {
        let message = b"MSH|^~\\&|A\rPID|\\C2D46\\\xcd\xdf\\C2842\\ \xe9|\\M2442\\\\X3B33\\ED\\.br\\;3|\\C2D46\\\xd2^\\C2D4C\\|\\C2842\\";
        let latin1 = &segments(message, false, usize::MAX)[1]["fields"];
        assert_eq!(
            latin1,
            &json!({"1":[{"1":"Νί é"}],"2":[{"1":"山田\\.br\\山"}],
                "3":[{"1":"\\C2D46\\\u{d2}","2":"\\C2D4C\\"}],"4":[{"1":"\\C2842\\"}]})
        );
        let utf8 = "MSH|^~\\&|A\rPID|\\C2D46\\\\XCDDF\\|\\C2D46\\é";
        let utf8 = &segments(utf8.as_bytes(), true, usize::MAX)[1]["fields"];
        assert_eq!(utf8, &json!({"1":[{"1":"Νί"}],"2":[{"1":"\\C2D46\\é"}]}));
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

    /// The same by splitting, for messages without escapes.
    fn by_splitting(message: &str) -> Value {
        let numbered = |text: &str, delimiter: char, value: &dyn Fn(&str) -> Option<Value>| {
            let parts = text.split(delimiter).enumerate();
            let filled = parts.filter_map(|(at, part)| Some(((at + 1).to_string(), value(part)?)));
            let map: serde_json::Map<String, Value> = filled.collect();
            (!map.is_empty()).then_some(Value::Object(map))
        };
        let plain = |text: &str| (!text.is_empty()).then(|| json!(text));
        let component = |text: &str| match text.split_once('&') {
            Some((_, more)) if more.contains(|c| c != '&') => numbered(text, '&', &plain),
            Some((first, _)) => plain(first),
            None => plain(text),
        };
        let field = |text: &str| {
            let all = text.split('~').map(|part| numbered(part, '^', &component));
            let mut all: Vec<Option<Value>> = all.collect();
            while let Some(None) = all.last() {
                all.pop();
            }
            let all = all.into_iter().map(|part| part.unwrap_or(json!({})));
            Some(Value::Array(all.collect())).filter(|all| all != &json!([]))
        };
        let segments = message.split('\r').filter(|line| !line.is_empty());
        let segments = segments.map(|line| {
            let (id, fields) = line.split_once('|').unwrap_or((line, ""));
            let fields = match fields.strip_prefix("^~\\&") {
                Some(rest) if id == "MSH" => {
                    let mut all = numbered(&format!("|{rest}"), '|', &field).unwrap_or(json!({}));
                    all["1"] = json!([{"1": "|"}]);
                    all["2"] = json!([{"1": "^~\\&"}]);
                    all
                }
                _ => numbered(fields, '|', &field).unwrap_or(json!({})),
            };
            json!({"id": id, "fields": fields})
        });
        Value::Array(segments.collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn splitting_at_each_delimiter_gives_the_same(
            // Runs, so that fields span several blocks and some are long.
            runs in prop::collection::vec(
                (prop::sample::select(&b"|||^~&\rAZ\"1"[..]), prop_oneof![9 => 1usize..4, 1 => 50usize..400]),
                0..60,
            ),
            limit in prop_oneof![Just(usize::MAX), 1usize..300],
        ) {
            let mut message = "MSH|^~\\&|".to_owned();
            for (byte, count) in runs {
                message.extend(std::iter::repeat_n(char::from(byte), count));
            }
            prop_assert_eq!(segments(message.as_bytes(), true, limit), by_splitting(&message));
        }

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
