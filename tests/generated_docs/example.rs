//! `examples/config/full.yaml`: every key at its default, with its description as a comment.

use serde_json::Value;

use crate::schema::{properties, schema};

const WIDTH: usize = 98;

const HEAD: &str = "\
# Every key of mllp-bridge at its default. Generated from src/config/raw.rs by `make docs`.
# A configuration needs only the keys that differ; see docs/config.md.
# yaml-language-server: $schema=../../docs/config.schema.json
";

/// The file's text.
pub(crate) fn example() -> String {
    let schema = schema();
    let mut out = String::from(HEAD);
    mapping(&schema, &schema, 0, &mut out);
    out
}

fn mapping(root: &Value, schema: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for (name, property, inner) in properties(root, schema) {
        if depth == 0 {
            out.push('\n');
        }
        comment(
            property["description"].as_str().unwrap_or_default(),
            &indent,
            out,
        );
        match inner {
            Some(inner) if property["items"].is_null() => {
                let nothing = if is_unset(root, inner) { " {}" } else { "" };
                out.push_str(&format!("{indent}{name}:{nothing}\n"));
                mapping(root, inner, depth + 1, out);
            }
            // A list of listeners or destinations: one, at its defaults.
            Some(inner) => {
                let about = inner["description"].as_str().unwrap_or_default();
                out.push_str(&format!("{indent}{name}:\n{indent}  - # {about}\n"));
                mapping(root, inner, depth + 2, out);
            }
            // What has no default and must be given has an example.
            None => match property.get("default").or(property["examples"].get(0)) {
                Some(value) => out.push_str(&format!("{indent}{name}: {}\n", scalar(value))),
                None => out.push_str(&format!("{indent}# {name}: (not set)\n")),
            },
        }
    }
}

/// Whether a section has no key with a default: with nothing but comments it would be null.
fn is_unset(root: &Value, schema: &Value) -> bool {
    properties(root, schema)
        .into_iter()
        .all(|(_, property, inner)| inner.is_none() && property.get("default").is_none())
}

fn comment(text: &str, indent: &str, out: &mut String) {
    let mut line = format!("{indent}#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = format!("{indent}#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

/// A default as YAML. Text that YAML would take for a number is quoted; `0x0B` may be one.
pub(crate) fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if text.parse::<f64>().is_ok() => format!("\"{text}\""),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
