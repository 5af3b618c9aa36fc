//! A YAML tree to a type of raw keys, with every key that cannot be read and not only the first.
//!
//! serde stops at the first error. So the node it stopped at is cut out of the tree and the rest is
//! read again, until what is left can be read: one pass per error, and a configuration has few.
//!
//! Must not do: anything with a value that can be read; `check` does.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::error::{Problems, shown};
use super::overlay::{Step, path_text};

/// Beyond this many unreadable keys the file is not a configuration of this program.
const MOST_PROBLEMS: usize = 100;

/// Reads what can be read of `tree`; the rest becomes problems.
pub(super) fn decode<Raw: DeserializeOwned + Default>(
    mut tree: Value,
    problems: &mut Problems,
) -> Raw {
    drop_nulls(&mut tree);
    while problems.len() < MOST_PROBLEMS {
        let error = match serde_path_to_error::deserialize::<_, Raw>(&tree) {
            Ok(config) => return config,
            Err(error) => error,
        };
        let steps: Vec<Step> = error.path().iter().filter_map(step).collect();
        let node = find(&tree, &steps);
        let message = explain(&error.inner().to_string(), &steps, node);
        problems.add(&path_text(&steps), message);
        if !cut(&mut tree, &steps) {
            break;
        }
    }
    // What has been found is reported; the rules would be checked on defaults that nobody chose.
    problems.stop();
    Raw::default()
}

/// A key without a value is the same as no key.
fn drop_nulls(tree: &mut Value) {
    match tree {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        // An enum's variant is the value itself.
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

fn find<'a>(tree: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    steps.iter().try_fold(tree, |node, step| match step {
        Step::Key(key) => node.get(key),
        Step::Index(at) => node.get(at),
    })
}

/// Takes one node out of the tree. `false` if there is nothing to take.
fn cut(tree: &mut Value, steps: &[Step]) -> bool {
    let Some((last, parents)) = steps.split_last() else {
        return false;
    };
    let parent = parents.iter().try_fold(tree, |node, step| match step {
        Step::Key(key) => node.get_mut(key),
        Step::Index(at) => node.get_mut(at),
    });
    match (parent, last) {
        (Some(Value::Object(map)), Step::Key(key)) => map.shift_remove(key).is_some(),
        // The items after it keep their numbers. An item that is empty already cannot be read
        // at all, which would never end.
        (Some(Value::Array(list)), Step::Index(at)) => match list.get_mut(*at) {
            Some(item) if !item.as_object().is_some_and(serde_json::Map::is_empty) => {
                *item = Value::Object(serde_json::Map::new());
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// serde's message in words for someone who has never seen Rust.
fn explain(message: &str, steps: &[Step], node: Option<&Value>) -> String {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let known = quoted_names(rest.rsplit_once(", expected ").map_or("", |split| split.1));
        let key = match steps.last() {
            Some(Step::Key(key)) => key.as_str(),
            _ => "",
        };
        return unknown("key", key, &known);
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let known = quoted_names(rest.rsplit_once(", expected ").map_or("", |split| split.1));
        let value = node.and_then(Value::as_str).unwrap_or_default();
        return format!("{}: {}", shown(value), unknown("value", value, &known));
    }
    let serde = message.starts_with("invalid type: ") || message.starts_with("invalid value: ");
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if serde => {
            let expected = match expected {
                "usize" | "u64" | "u32" | "u16" => "a whole number",
                "a boolean" => "true or false",
                "a sequence" => "a list",
                "a map" => "a mapping of keys",
                "string or map" => "one of its names as text",
                other => other,
            };
            format!("expected {expected}, not {}", describe(node))
        }
        _ => message.to_owned(),
    }
}

fn describe(node: Option<&Value>) -> String {
    match node {
        None | Some(Value::Null) => "nothing".into(),
        Some(Value::Object(_)) => "a mapping".into(),
        Some(Value::Array(_)) => "a list".into(),
        Some(Value::String(text)) => shown(text),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
    }
}

/// The names between back-ticks in serde's list of what it knows.
fn quoted_names(list: &str) -> Vec<&str> {
    list.split('`').skip(1).step_by(2).collect()
}

/// What to say of a name that is not among the known ones.
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min_by_key(|near| near.0);
    match near {
        Some((_, near)) => format!("unknown {what}, did you mean {near}?"),
        None if known.is_empty() => format!("unknown {what}"),
        None => format!("unknown {what}, expected one of {}", known.join(", ")),
    }
}

/// Letters to insert, remove, replace or swap with their neighbour to get from `a` to `b`, whatever
/// their case (Damerau-Levenshtein, optimal string alignment). Long names are not compared.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let lower = |text: &str| {
        text.to_lowercase()
            .chars()
            .take(LONGEST + 1)
            .collect::<Vec<_>>()
    };
    let (a, b) = (lower(a), lower(b));
    if a.len() > LONGEST || b.len() > LONGEST {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i];
        for j in 1..=b.len() {
            let same = a[i - 1] == b[j - 1];
            let mut best = (row[j - 1] + usize::from(!same))
                .min(row[j] + 1)
                .min(next[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}
