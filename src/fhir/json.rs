//! Writes resources as JSON. Numbers keep the digits that they came with (`1.50`), which FHIR counts as meaning.

use serde_json::{Map, Value};
use std::borrow::Cow;

/// Stands before a number's digits in a string of the tree. No value of a message begins with it: control characters are not
/// kept.
const NUMBER: char = '\u{1}';

/// A number in its own digits.
pub(super) fn number(digits: &str) -> Value {
    Value::String(format!("{NUMBER}{digits}"))
}

/// Appends `value`. Strings go through `resolve`, which puts a reference's address in the place of its number.
pub(super) fn write(out: &mut Vec<u8>, value: &Value, resolve: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => match text.strip_prefix(NUMBER) {
            Some(digits) => out.extend_from_slice(digits.as_bytes()),
            None => {
                let text = resolve(text).map_or(Cow::Borrowed(text.as_str()), Cow::Owned);
                write_text(out, &text);
            }
        },
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(out, item, resolve);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            write_members(out, members, resolve);
            out.push(b'}');
        }
    }
}

/// The members of an object without its braces.
pub(super) fn write_members(
    out: &mut Vec<u8>,
    members: &Map<String, Value>,
    resolve: &dyn Fn(&str) -> Option<String>,
) {
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(out, name);
        out.push(b':');
        write(out, value, resolve);
    }
}

/// A JSON string.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => b" ",
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..at]);
        out.extend_from_slice(escape);
        start = at + 1;
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_tree_is_written_and_numbers_keep_their_digits() {
        let value = json!({"a": [1, true, null, "x\"\\\n"], "n": number("1.50"), "r": "@1"});
        let mut out = Vec::new();
        write(&mut out, &value, &|text| {
            (text == "@1").then(|| "urn:uuid:1".into())
        });
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a":[1,true,null,"x\"\\\n"],"n":1.50,"r":"urn:uuid:1"}"#
        );
    }
}
