//! What environment variables and flags put over the file, as changes to its tree.
//!
//! Must not do: read the process's environment; it is handed in.

use std::ffi::OsString;

use serde_json::{Map, Value};

use super::Overrides;
use super::error::{Problems, shown};

/// Every variable that sets a key starts with this.
pub(super) const PREFIX: &str = "MLLP_BRIDGE_";

/// Variables with the prefix that are not keys: they stand for flags.
const RESERVED: [&str; 1] = ["CONFIG"];

/// One step down the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Item of a list.
    Index(usize),
    /// Key of a mapping.
    Key(String),
}

/// `listeners[0].deliver.url`
pub(super) fn path_text(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Index(at) => text.push_str(&format!("[{at}]")),
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                // A key is shown as it stands if it looks like one; anything else may be a value
                // that ended up in the wrong place.
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                if key.len() <= 64 && !key.is_empty() && key.chars().all(plain) {
                    text.push_str(key);
                } else {
                    text.push_str(&shown(key));
                }
            }
        }
    }
    text
}

/// Puts variables over the tree. Their order does not matter.
pub(super) fn environment(
    tree: &mut Value,
    variables: &[(String, OsString)],
    problems: &mut Problems,
) {
    let mut changes = Vec::new();
    for (name, value) in variables {
        let Some(key) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if RESERVED.contains(&key) || is_service_link(key) {
            continue;
        }
        let Some(value) = value.to_str() else {
            problems.add_at(name.as_str(), "the value is not UTF-8");
            continue;
        };
        // Unset and empty are the same to a shell, and to the many who clear a variable that way.
        if value.is_empty() {
            continue;
        }
        match steps_of(key) {
            Ok(steps) => changes.push((steps, name, scalar(value))),
            Err(why) => problems.add_at(name.as_str(), why),
        }
    }
    // In the order of their numbers, so that a list grows from its start.
    changes.sort_by(|a, b| a.0.cmp(&b.0));
    for (steps, name, value) in changes {
        if let Err(why) = set(tree, &steps, value, name, problems) {
            problems.add_at(name.as_str(), why);
        }
    }
}

/// The variables that Kubernetes gives every container for a Service called `mllp-bridge` or
/// `mllp-bridge-…` in its namespace (`MLLP_BRIDGE_SERVICE_HOST`, `MLLP_BRIDGE_PORT_2575_TCP_ADDR`,
/// …). Nobody wrote them, so they are not mistakes; no key of ours looks like one.
fn is_service_link(key: &str) -> bool {
    if key.contains("__") {
        return false;
    }
    if key == "PORT" || key.ends_with("_PORT") {
        return true;
    }
    if key.contains("SERVICE_HOST") || key.contains("SERVICE_PORT_") {
        return true;
    }
    // [name_]PORT_<number>_<protocol>[_PROTO|_PORT|_ADDR]; those in _PORT are gone already.
    let mut words = key.rsplit('_').peekable();
    if matches!(words.peek(), Some(&("PROTO" | "ADDR"))) {
        words.next();
    }
    matches!(words.next(), Some("TCP" | "UDP" | "SCTP"))
        && words
            .next()
            .is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit()))
        && words.next() == Some("PORT")
}

/// Lists of which a variable can set a key, and what they are lists of.
const LISTS: [(&str, &str); 2] = [("listeners", "listener"), ("destinations", "destination")];

/// `LISTENERS__0__DELIVER__URL` to steps.
fn steps_of(key: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    for word in key.split("__") {
        if word.is_empty() {
            return Err("not a key: levels are separated by two underscores".into());
        }
        // Other numbers are keys: rows of the status table.
        let list = match steps.as_slice() {
            [Step::Key(key)] => LISTS.iter().find(|(list, _)| list == key),
            _ => None,
        };
        steps.push(match list {
            Some((list, item)) => Step::Index(word.parse().map_err(|_| {
                let list = list.to_ascii_uppercase();
                format!("expected the {item}'s number: {PREFIX}{list}__0__…")
            })?),
            None => Step::Key(word.to_ascii_lowercase()),
        });
    }
    Ok(steps)
}

/// A variable's text as the file would have it: `24`, `true` and `"24"` are what they are in YAML,
/// and anything that is not a single value there (`[::]:2575`) is text.
fn scalar(text: &str) -> Value {
    let trimmed = text.trim();
    match super::yaml(trimmed) {
        Ok(value @ (Value::Bool(_) | Value::Number(_) | Value::Null)) => value,
        Ok(value @ Value::String(_)) if trimmed.starts_with(['"', '\'']) => value,
        _ => Value::String(trimmed.into()),
    }
}

/// Sets one key, making what is missing on the way to it.
fn set(
    tree: &mut Value,
    steps: &[Step],
    value: Value,
    origin: &str,
    problems: &mut Problems,
) -> Result<(), String> {
    let mut node = tree;
    for (at, step) in steps.iter().enumerate() {
        let here = steps.split_at(at + 1).0;
        match step {
            Step::Key(key) => {
                if node.is_null() {
                    *node = Value::Object(Map::new());
                }
                // Where the file has something else than a mapping, that is the error to report.
                let Value::Object(map) = node else {
                    return Ok(());
                };
                node = map.entry(key.as_str()).or_insert_with(|| {
                    problems.set_origin(path_text(here), origin);
                    Value::Null
                });
            }
            Step::Index(index) => {
                if node.is_null() {
                    *node = Value::Array(Vec::new());
                }
                let Value::Array(list) = node else {
                    return Ok(());
                };
                if *index > list.len() {
                    let (last, list) = (list.len(), path_text(&here[..at]));
                    return Err(format!("there is no {list}[{last}] before {list}[{index}]"));
                }
                if *index == list.len() {
                    list.push(Value::Null);
                }
                let Some(item) = list.get_mut(*index) else {
                    return Ok(());
                };
                node = item;
            }
        }
    }
    problems.set_origin(path_text(steps), origin);
    *node = value;
    Ok(())
}

/// Puts flags over the tree.
pub(super) fn flags(tree: &mut Value, flags: &Overrides, problems: &mut Problems) {
    let text = |value: &Option<String>| value.clone().map(Value::String);
    let listener = |keys: &[&str]| {
        let mut steps = vec![Step::Key("listeners".into()), Step::Index(0)];
        steps.extend(keys.iter().map(|key| Step::Key((*key).into())));
        steps
    };
    let key = |keys: &[&str]| {
        keys.iter()
            .map(|key| Step::Key((*key).into()))
            .collect::<Vec<_>>()
    };
    for (flag, steps, value) in [
        ("--listen", listener(&["bind"]), text(&flags.listen)),
        ("--app", listener(&["deliver", "url"]), text(&flags.app)),
        (
            "--format",
            listener(&["deliver", "format"]),
            text(&flags.format),
        ),
        ("--admin", key(&["admin", "bind"]), text(&flags.admin)),
        (
            "--threads",
            key(&["threads"]),
            flags.threads.map(Value::from),
        ),
        (
            "--log-level",
            key(&["log", "level"]),
            text(&flags.log_level),
        ),
        (
            "--log-format",
            key(&["log", "format"]),
            text(&flags.log_format),
        ),
        (
            "--shutdown-deadline",
            key(&["shutdown", "deadline"]),
            text(&flags.shutdown_deadline),
        ),
    ] {
        let Some(value) = value else { continue };
        if let Err(why) = set(tree, &steps, value, flag, problems) {
            problems.add_at(flag, why);
        }
    }
}
