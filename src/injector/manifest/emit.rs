//! JSON values as YAML text.

use serde_json::Value;

/// How lists stand under their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// `-` under the key's first letter.
    Flush,
    /// `-` two further in.
    Indented,
}

/// A whole document, after its `---` if it has one.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::from("\n");
    block(value, 0, Lists::Flush, &mut out);
    out
}

/// `key: value` with its first line at `column`, where the text already is. Ends with a line feed.
pub(super) fn entry(key: &str, value: &Value, column: usize, lists: Lists, out: &mut String) {
    out.push_str(&scalar(&Value::String(key.to_owned())));
    out.push(':');
    value_of_key(value, column, lists, out);
}

/// What follows a key's colon.
pub(super) fn value_of_key(value: &Value, column: usize, lists: Lists, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            block(value, column + 2, lists, out);
        }
        Value::Array(list) if !list.is_empty() => {
            // Command lines and the like read better on one line.
            if let Some(line) = short_list(list) {
                out.push_str(&format!(" {line}\n"));
                return;
            }
            out.push('\n');
            let indent = if lists == Lists::Flush { 0 } else { 2 };
            block(value, column + indent, lists, out);
        }
        other => out.push_str(&format!(" {}\n", scalar(other))),
    }
}

/// `- value` with its dash where the text already is, at `column`.
pub(super) fn item(value: &Value, column: usize, lists: Lists, out: &mut String) {
    out.push_str("- ");
    let mut inner = String::new();
    block(value, column + 2, lists, &mut inner);
    out.push_str(inner.trim_start_matches(' '));
}

/// A value in lines that begin at `column`.
fn block(value: &Value, column: usize, lists: Lists, out: &mut String) {
    let indent = " ".repeat(column);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                out.push_str(&indent);
                entry(key, value, column, lists, out);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for value in list {
                out.push_str(&indent);
                item(value, column, lists, out);
            }
        }
        other => out.push_str(&format!("{indent}{}\n", scalar(other))),
    }
}

fn short_list(list: &[Value]) -> Option<String> {
    let texts: Option<Vec<String>> = list
        .iter()
        .map(|value| value.is_string().then(|| scalar(value)))
        .collect();
    let line = format!("[{}]", texts?.join(", "));
    // Inside brackets a comma or a bracket would be read as such.
    let plain = line.matches(['[', ']']).count() == 2;
    (line.len() <= 72 && plain).then_some(line)
}

/// A value on one line. Text stands bare only where no reader could take it for anything else.
fn scalar(value: &Value) -> String {
    let Value::String(text) = value else {
        return value.to_string();
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    let letter = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    let bare = letter && !word && !text.ends_with(':') && text.chars().all(plain);
    if bare || is_quantity(text) {
        return text.clone();
    }
    value.to_string()
}

/// `10m`, `16Mi`: what people do not put into quotes.
fn is_quantity(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < text.len() && matches!(unit, "m" | "Ki" | "Mi" | "Gi" | "KiB" | "MiB" | "GiB")
}
