//! The way back: an envelope that an app kept, changed or made becomes ER7 again.
//!
//! `raw` (or `rawbase64`) gives the exact bytes. Where there is none, the message is built from `segments`: the same
//! values at the same places, in the delimiters that `delimiters` names, with CR after every segment. Delimiters in values are
//! escaped; what reading kept as it stands (`\.br\`, `\H\`, hex that is no text) is written as it stands.

use crate::config::Charset;
use crate::hl7::escape::{self, Token, next_token, unhex};
use crate::hl7::switch::{self, Switch};
use crate::hl7::{Delimiters, encoding};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use thiserror::Error;

/// Why an envelope is not a message. The text names the key, never a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadEnvelope {
    /// Not JSON.
    #[error("not JSON: line {line}, column {column}")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A key is missing.
    #[error("{0}: missing")]
    Missing(&'static str),
    /// A key holds something else than it should.
    #[error("{key}: expected {expected}")]
    Shape {
        /// Where, like `segments[2].fields["3"]`.
        key: String,
        /// What should be there.
        expected: &'static str,
    },
    /// A character that the charset does not have.
    #[error("{key}: holds a character that {charset} does not have")]
    Charset {
        /// Where.
        key: String,
        /// The envelope's charset.
        charset: &'static str,
    },
}

/// Reads an envelope: a CloudEvent in structured mode, or its `data` object alone.
///
/// # Errors
/// If it is not one, naming the key.
pub fn to_er7(json: &[u8]) -> Result<Vec<u8>, BadEnvelope> {
    let value: Value = serde_json::from_slice(json).map_err(|error| BadEnvelope::Json {
        line: error.line(),
        column: error.column(),
    })?;
    let data = value.get("data").unwrap_or(&value);
    let set = data_charset(data)?;
    if let Some(raw) = data.get("rawbase64") {
        let text = string(raw, || "rawbase64".into())?;
        return STANDARD
            .decode(text)
            .map_err(|_| shape("rawbase64", "base64"));
    }
    if let Some(raw) = data.get("raw") {
        return encoded(string(raw, || "raw".into())?, set, || "raw".into());
    }
    let segments = data
        .get("segments")
        .ok_or(BadEnvelope::Missing("raw, rawbase64 or segments"))?;
    let segments = segments
        .as_array()
        .ok_or_else(|| shape("segments", "a list"))?;
    let delimiters = data_delimiters(data)?;
    let writer = Writer { delimiters, set };
    // In UTF-8 as long as there are delimiters to be put between: a byte of another set may look like one.
    let mut out = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        writer.segment(&mut out, segment, number)?;
        out.push(b'\r');
    }
    let text = String::from_utf8(out).map_err(|_| shape("segments", "text"))?;
    encoded(&text, set, || "segments".into())
}

fn data_charset(data: &Value) -> Result<Charset, BadEnvelope> {
    let Some(value) = data.get("charset") else {
        return Ok(Charset::Utf8);
    };
    let named = Charset::all().find(|set| value.as_str() == Some(set.name()));
    named.ok_or_else(|| {
        shape(
            "charset",
            "a character set as an envelope names it, like UTF-8",
        )
    })
}

fn data_delimiters(data: &Value) -> Result<Delimiters, BadEnvelope> {
    let Some(value) = data.get("delimiters") else {
        return Ok(Delimiters::USUAL);
    };
    let bytes = value.as_str().unwrap_or_default().as_bytes();
    let delimiters = bytes
        .split_first()
        .and_then(|(field, msh2)| Delimiters::new(*field, msh2));
    delimiters.ok_or_else(|| shape("delimiters", "up to six different delimiters, like |^~\\&"))
}

fn shape(key: &str, expected: &'static str) -> BadEnvelope {
    BadEnvelope::Shape {
        key: key.to_owned(),
        expected,
    }
}

fn string(value: &Value, key: impl Fn() -> String) -> Result<&str, BadEnvelope> {
    value.as_str().ok_or_else(|| BadEnvelope::Shape {
        key: key(),
        expected: "a string",
    })
}

/// Text in its set; UTF-16 with its high byte first and a mark, so that it can be told.
fn encoded(text: &str, set: Charset, key: impl Fn() -> String) -> Result<Vec<u8>, BadEnvelope> {
    let mut out = Vec::with_capacity(text.len());
    if set == Charset::Utf16 {
        out.extend_from_slice(encoding::UTF16_MARK);
    }
    match encoding::encode_into(&mut out, set, text) {
        true => Ok(out),
        false => Err(BadEnvelope::Charset {
            key: key(),
            charset: set.name(),
        }),
    }
}

struct Writer {
    delimiters: Delimiters,
    set: Charset,
}

impl Writer {
    fn segment(
        &self,
        out: &mut Vec<u8>,
        segment: &Value,
        number: usize,
    ) -> Result<(), BadEnvelope> {
        let key = || format!("segments[{number}]");
        let id = segment.get("id").ok_or_else(|| BadEnvelope::Shape {
            key: key(),
            expected: "an id",
        })?;
        let id = string(id, || format!("{}.id", key()))?;
        if id
            .bytes()
            .any(|byte| byte == b'\r' || byte == self.delimiters.field)
        {
            return Err(shape(
                &format!("{}.id", key()),
                "no CR and no field separator",
            ));
        }
        let start = out.len();
        self.text(out, id, &|| format!("{}.id", key()))?;
        let is_header = matches!(id, "MSH" | "BHS" | "FHS");
        let no_fields = Map::new();
        let fields = match segment.get("fields") {
            Some(fields) => object(fields, || format!("{}.fields", key()))?,
            None => &no_fields,
        };
        let first = if is_header { 3 } else { 1 };
        let all = numbered(fields, first, || format!("{}.fields", key()))?;
        if is_header && number == 0 {
            out.extend(self.delimiters.iter());
        } else if is_header && !fields.is_empty() {
            // Further on, it says nothing of how this message is read: a value like others, but for the escapes.
            let key = || format!("{}.fields[\"2\"]", key());
            out.push(self.delimiters.field);
            let second = fields.get("2").and_then(|field| field.get(0)?.get("1"));
            let second = second.map_or(Ok(""), |value| string(value, key))?;
            if second
                .bytes()
                .any(|byte| byte == b'\r' || byte == self.delimiters.field)
            {
                return Err(shape(&key(), "no CR and no field separator"));
            }
            self.text(out, second, &key)?;
        }
        for (field, value) in all {
            let key = || format!("segments[{number}].fields[\"{field}\"]");
            out.push(self.delimiters.field);
            if let Some(value) = value {
                self.field(out, value, &key)?;
            }
        }
        if out.len() == start {
            // Without an ID and values: an empty line would not be a segment.
            out.push(self.delimiters.field);
        }
        Ok(())
    }

    fn field(
        &self,
        out: &mut Vec<u8>,
        value: &Value,
        key: &dyn Fn() -> String,
    ) -> Result<(), BadEnvelope> {
        let repetitions = value.as_array().ok_or_else(|| BadEnvelope::Shape {
            key: key(),
            expected: "a list of repetitions",
        })?;
        for (at, repetition) in repetitions.iter().enumerate() {
            if at > 0 {
                self.delimiter(out, self.delimiters.repetition, "repetition", key)?;
            }
            let key = || format!("{}[{at}]", key());
            for (number, component) in numbered(object(repetition, key)?, 1, key)? {
                if number > 1 {
                    self.delimiter(out, self.delimiters.component, "component", &key)?;
                }
                match component {
                    None => {}
                    Some(Value::Object(parts)) => {
                        for (number, part) in numbered(parts, 1, key)? {
                            if number > 1 {
                                self.delimiter(
                                    out,
                                    self.delimiters.subcomponent,
                                    "subcomponent",
                                    &key,
                                )?;
                            }
                            part.map_or(Ok(()), |part| self.value(out, part, &key))?;
                        }
                    }
                    Some(value) => self.value(out, value, &key)?,
                }
            }
        }
        Ok(())
    }

    fn value(
        &self,
        out: &mut Vec<u8>,
        value: &Value,
        key: &dyn Fn() -> String,
    ) -> Result<(), BadEnvelope> {
        let text = string(value, key)?;
        let mut plain = Vec::new();
        if self.delimiters.escape.is_some() {
            // What the set does not have is written in digits.
            plain.extend_from_slice(text.as_bytes());
        } else {
            self.text(&mut plain, text, key)?;
        }
        if self.delimiters.escape.is_none() {
            // Nothing can be escaped, so nothing may need it.
            let needs = |byte: &u8| {
                matches!(*byte, b'\r' | b'\n') || self.delimiters.iter().any(|d| d == *byte)
            };
            if plain.iter().any(needs) {
                return Err(BadEnvelope::Shape {
                    key: key(),
                    expected: "no delimiter and no line end in a message that has no escape character",
                });
            }
            out.extend_from_slice(&plain);
            return Ok(());
        }
        let mut rest = plain.as_slice();
        while let Some((token, after)) = next_token(rest, &self.delimiters) {
            let written = &rest[..rest.len() - after.len()];
            let written = std::str::from_utf8(written).unwrap_or_default();
            if self.stands(token, written.as_bytes()) {
                out.extend_from_slice(written.as_bytes());
            } else {
                self.escaped(out, written, key)?;
            }
            rest = after;
        }
        Ok(())
    }

    /// Whether this came from a sequence that reading kept, and not from an escaped escape character.
    fn stands(&self, token: Token<'_>, sequence: &[u8]) -> bool {
        let kept = match token {
            // A switch that reading kept had nothing behind it that it could read: it must not get something now.
            Token::Kept(sequence) => escape::is_command(sequence) && Switch::of(sequence).is_none(),
            Token::Hex(digits) => {
                let bytes: Vec<u8> = unhex(digits).collect();
                match self.set {
                    // Of a set without such bytes, they are taken for UTF-8.
                    Charset::Ascii => encoding::decode(Charset::Utf8, &bytes).is_none(),
                    set => encoding::decode(set, &bytes).is_none(),
                }
            }
            Token::Text(_) | Token::Delimiter(_) => false,
        };
        let body = sequence
            .get(1..sequence.len().saturating_sub(1))
            .unwrap_or_default();
        let plain =
            |byte: &u8| (b' '..0x7F).contains(byte) && !self.delimiters.iter().any(|d| d == *byte);
        kept && body.iter().all(plain)
    }

    /// Text that is no sequence. What the set does not have is written in digits: of UTF-8 in a message of plain ASCII, which is how
    /// an envelope reads it there, else of another set behind a switch to it.
    fn escaped(
        &self,
        out: &mut Vec<u8>,
        text: &str,
        key: &dyn Fn() -> String,
    ) -> Result<(), BadEnvelope> {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let fits = self.has(first);
            let end = rest.find(|c| self.has(c) != fits).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            rest = after;
            match self.delimiters.escape {
                Some(escape) if !fits => self.coded(out, escape, run, key)?,
                _ => escape::escape_into(out, run.as_bytes(), &self.delimiters),
            }
        }
        Ok(())
    }

    fn coded(
        &self,
        out: &mut Vec<u8>,
        escape: u8,
        run: &str,
        key: &dyn Fn() -> String,
    ) -> Result<(), BadEnvelope> {
        if self.set == Charset::Ascii {
            out.extend_from_slice(&[escape, b'X']);
            out.extend(run.bytes().flat_map(escape::hex));
            out.push(escape);
            return Ok(());
        }
        let mut put = |body: &[u8]| {
            out.push(escape);
            out.extend_from_slice(body);
            out.push(escape);
        };
        let mut rest = run;
        while !rest.is_empty() {
            // As much at once as one set has.
            let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8());
            let parts = ends.rev().filter_map(|end| rest.split_at_checked(end));
            let found = parts
                .into_iter()
                .find_map(|(part, after)| Some((Switch::encode(part)?, after)));
            let ((switch, bytes), after) = found.ok_or_else(|| BadEnvelope::Charset {
                key: key(),
                charset: self.set.name(),
            })?;
            put(switch.body);
            let digits: Vec<u8> = bytes.into_iter().flat_map(escape::hex).collect();
            put(&[b"X", &digits[..]].concat());
            rest = after;
        }
        put(switch::BACK);
        Ok(())
    }

    /// Whether the set has a character.
    fn has(&self, c: char) -> bool {
        let mut utf8 = [0; 4];
        c.is_ascii()
            || matches!(self.set, Charset::Utf8 | Charset::Utf16)
            || self.set != Charset::Ascii
                && encoding::encode_into(&mut Vec::new(), self.set, c.encode_utf8(&mut utf8))
    }

    /// Text in which nothing can be escaped.
    fn text(
        &self,
        out: &mut Vec<u8>,
        text: &str,
        key: &dyn Fn() -> String,
    ) -> Result<(), BadEnvelope> {
        if !text.chars().all(|c| self.has(c)) {
            return Err(BadEnvelope::Charset {
                key: key(),
                charset: self.set.name(),
            });
        }
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn delimiter(
        &self,
        out: &mut Vec<u8>,
        delimiter: Option<u8>,
        what: &'static str,
        key: &dyn Fn() -> String,
    ) -> Result<(), BadEnvelope> {
        let expected = match what {
            "repetition" => "one repetition: delimiters names no repetition separator",
            "component" => "one component: delimiters names no component separator",
            _ => "one subcomponent: delimiters names no subcomponent separator",
        };
        out.push(delimiter.ok_or_else(|| BadEnvelope::Shape {
            key: key(),
            expected,
        })?);
        Ok(())
    }
}

fn object(value: &Value, key: impl Fn() -> String) -> Result<&Map<String, Value>, BadEnvelope> {
    value.as_object().ok_or_else(|| BadEnvelope::Shape {
        key: key(),
        expected: "an object",
    })
}

/// The numbers from `first` to the highest key, each with its value if there is one.
fn numbered(
    map: &Map<String, Value>,
    first: usize,
    key: impl Fn() -> String,
) -> Result<Vec<(usize, Option<&Value>)>, BadEnvelope> {
    /// More than any message has; a bound on what `{"999999999": …}` costs.
    const HIGHEST: usize = 10_000;
    let mut last = 0;
    for name in map.keys() {
        match name.parse::<usize>() {
            Ok(number @ 1..=HIGHEST) if !name.starts_with(['0', '+']) => last = last.max(number),
            _ => {
                return Err(BadEnvelope::Shape {
                    key: key(),
                    expected: "keys from 1 to 10000",
                });
            }
        }
    }
    Ok((first..=last)
        .map(|number| (number, map.get(itoa::Buffer::new().format(number))))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn er7(charset: &str, segments: &Value) -> Result<String, String> {
        let data = json!({"charset": charset, "delimiters": "|^~\\&", "segments": segments});
        let er7 = to_er7(data.to_string().as_bytes()).map_err(|error| error.to_string())?;
        Ok(er7.iter().map(|byte| char::from(*byte)).collect())
    }

    fn value(charset: &str, value: &str) -> Result<String, String> {
        er7(
            charset,
            &json!([{"id": "NTE", "fields": {"1": [{"1": value}]}}]),
        )
    }

    #[test]
    fn delimiters_are_escaped_and_commands_are_not() {
        for (text, written) in [
            ("a|b^c&d~e\\f", "a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f"),
            ("one\\.br\\two\\H\\x\\N\\", "one\\.br\\two\\H\\x\\N\\"),
            ("\\F\\", "\\E\\F\\E\\"),
            ("C:\\temp\\x", "C:\\E\\temp\\E\\x"),
            ("\\X41\\", "\\E\\X41\\E\\"),
            ("\\XFF\\", "\\XFF\\"),
            ("\\Z|\\", "\\E\\Z\\F\\\\E\\"),
            ("a\r\nb", "a\\X0D\\\\X0A\\b"),
        ] {
            assert_eq!(
                value("UTF-8", text),
                Ok(format!("NTE|{written}\r")),
                "{text}"
            );
        }
    }

    #[test]
    fn characters_outside_the_charset() {
        assert_eq!(value("ASCII", "caf\u{e9}").unwrap(), "NTE|caf\\XC3A9\\\r");
        assert_eq!(value("ISO-8859-1", "caf\u{e9}").unwrap(), "NTE|caf\u{e9}\r");
        assert_eq!(
            value("ISO-8859-1", "Dr. Иван").unwrap(),
            "NTE|Dr. \\C2D4C\\\\XB8D2D0DD\\\\C2842\\\r"
        );
        assert_eq!(value("Big5", "許|").unwrap(), "NTE|\u{b3}\\\\F\\\r");
        assert_eq!(
            value("ISO-8859-1", "\u{1f600}").unwrap_err(),
            "segments[0].fields[\"1\"][0]: holds a character that ISO-8859-1 does not have"
        );
    }

    #[test]
    fn odd_segments_keep_their_place_and_none_can_be_smuggled_in() {
        let odd = json!([{"id": "", "fields": {}}, {"id": "BHS", "fields": {}},
            {"id": "BHS", "fields": {"1": [{"1": "|"}], "2": [{"1": "xy"}], "4": [{"1": "z"}]}}]);
        assert_eq!(er7("UTF-8", &odd).unwrap(), "|\rBHS\rBHS|xy||z\r");
        let smuggled = json!([{"id": "NTE|1\rPID"}]);
        assert_eq!(
            er7("UTF-8", &smuggled).unwrap_err(),
            "segments[0].id: expected no CR and no field separator"
        );
    }
}
