//! The way back: an envelope that an app kept, changed or made becomes ER7 again.
//!
//! `raw` (or `rawbase64`) gives the exact bytes. Where there is none, the message is built from `segments`: the same
//! values at the same places, in the delimiters that `delimiters` names, with CR after every segment.

use crate::config::Charset;
use crate::hl7::{Delimiters, charset, escape};
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
        let mut out = Vec::new();
        push_text(&mut out, string(raw, || "raw".into())?, set, || {
            "raw".into()
        })?;
        return Ok(out);
    }
    let segments = data
        .get("segments")
        .ok_or(BadEnvelope::Missing("raw, rawbase64 or segments"))?;
    let segments = segments
        .as_array()
        .ok_or_else(|| shape("segments", "a list"))?;
    let delimiters = data_delimiters(data)?;
    let writer = Writer { delimiters, set };
    let mut out = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        writer.segment(&mut out, segment, number)?;
        out.push(b'\r');
    }
    Ok(out)
}

fn data_charset(data: &Value) -> Result<Charset, BadEnvelope> {
    let Some(value) = data.get("charset") else {
        return Ok(Charset::Utf8);
    };
    let all = [Charset::Ascii, Charset::Utf8, Charset::Latin1];
    let named = all
        .into_iter()
        .find(|set| value.as_str() == Some(charset::name(*set)));
    named.ok_or_else(|| shape("charset", "ASCII, UTF-8 or ISO-8859-1"))
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

fn push_text(
    out: &mut Vec<u8>,
    text: &str,
    set: Charset,
    key: impl Fn() -> String,
) -> Result<(), BadEnvelope> {
    if set == Charset::Utf8 || text.is_ascii() {
        out.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    for c in text.chars() {
        match u8::try_from(u32::from(c)) {
            Ok(byte) if set == Charset::Latin1 || byte.is_ascii() => out.push(byte),
            _ => {
                return Err(BadEnvelope::Charset {
                    key: key(),
                    charset: charset::name(set),
                });
            }
        }
    }
    Ok(())
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
        push_text(out, id, self.set, || format!("{}.id", key()))?;
        let is_header = matches!(id, "MSH" | "BHS" | "FHS");
        let no_fields = Map::new();
        let fields = match segment.get("fields") {
            Some(fields) => object(fields, || format!("{}.fields", key()))?,
            None => &no_fields,
        };
        if is_header {
            out.extend(self.delimiters.iter());
        }
        let first = if is_header { 3 } else { 1 };
        for (field, value) in numbered(fields, first, || format!("{}.fields", key()))? {
            let key = || format!("segments[{number}].fields[\"{field}\"]");
            out.push(self.delimiters.field);
            if let Some(value) = value {
                self.field(out, value, &key)?;
            }
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
        let mut plain = Vec::new();
        push_text(&mut plain, string(value, key)?, self.set, key)?;
        if self.delimiters.escape.is_none() {
            // Nothing can be escaped, so nothing may need it.
            let needs = plain
                .iter()
                .any(|byte| matches!(*byte, b'\r') || self.delimiters.iter().any(|d| d == *byte));
            if needs {
                return Err(BadEnvelope::Shape {
                    key: key(),
                    expected: "no delimiter in a message that has no escape character",
                });
            }
            out.extend_from_slice(&plain);
        } else {
            escape::escape_into(out, &plain, &self.delimiters);
        }
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
