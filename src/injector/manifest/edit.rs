//! Adds to a document's text.
//!
//! After each operation the text is read again, so that an operation may rest on what an earlier one added. A document
//! that cannot be edited, because what is to be changed stands behind an alias for example, gives `None`.

use super::emit::{self, Lists};
use super::tree::{self, Kind, Node};
use crate::injector::patch::Add;
use serde_json::Value;

/// The document with the operations done.
pub(super) fn edit(document: &str, ops: &[Add]) -> Option<String> {
    let crlf = document.contains("\r\n");
    let mut text = if crlf {
        document.replace("\r\n", "\n")
    } else {
        document.to_owned()
    };
    for op in ops {
        let root = tree::read(&text)?;
        let edit = operation(&text, &root, op)?;
        let (before, rest) = text.split_at_checked(edit.at)?;
        let (_, after) = rest.split_at_checked(edit.removed)?;
        text = format!("{before}{}{after}", edit.inserted);
    }
    Some(if crlf {
        text.replace('\n', "\r\n")
    } else {
        text
    })
}

/// A piece of text that is replaced by another.
struct Edit {
    at: usize,
    removed: usize,
    inserted: String,
}

fn operation(text: &str, root: &Node, op: &Add) -> Option<Edit> {
    let (last, parents) = op.path.split_last()?;
    let parent = parents
        .iter()
        .try_fold(root, |node, step| node.child(step))?;
    let lists = lists(text, root).unwrap_or(Lists::Indented);
    match (&parent.kind, parent.entry(last)) {
        (Kind::Mapping(_), Some((key, old))) => replace(text, parent, key, old, op, lists),
        (Kind::Mapping(entries), None) if !parent.flow => {
            let (_, first, _) = entries.first()?;
            let mut lines = String::new();
            emit::entry(last, &op.value, first.column, lists, &mut lines);
            Some(after(text, parent, first.column, &lines))
        }
        (Kind::Sequence(items), _) if last == "-" && !parent.flow && !items.is_empty() => {
            let column = parent.dashes(text)?;
            let mut lines = String::new();
            emit::item(&op.value, column, lists, &mut lines);
            Some(after(text, parent, column, &lines))
        }
        (Kind::Mapping(entries), None) => {
            let key = Value::String(last.clone()).to_string();
            let end = entries
                .last()
                .map(|(_, key, value)| value.range.end.max(key.range.end));
            Some(in_flow(text, parent, end, Some(&key), &op.value))
        }
        (Kind::Sequence(items), _) if last == "-" => {
            let end = items.last().map(|item| item.range.end);
            Some(in_flow(text, parent, end, None, &op.value))
        }
        _ => None,
    }
}

/// How the document's own lists stand under their keys: its first list tells.
fn lists(text: &str, node: &Node) -> Option<Lists> {
    match &node.kind {
        Kind::Mapping(entries) => entries.iter().find_map(|(_, key, value)| {
            if let (Kind::Sequence(_), false) = (&value.kind, value.flow)
                && let Some(column) = value.dashes(text)
            {
                return Some(if column > key.column {
                    Lists::Indented
                } else {
                    Lists::Flush
                });
            }
            lists(text, value)
        }),
        Kind::Sequence(items) => items.iter().find_map(|item| lists(text, item)),
        Kind::Scalar { .. } | Kind::Alias => None,
    }
}

/// Lines after the last line of a block collection, and after the comments that belong to it.
fn after(text: &str, node: &Node, column: usize, lines: &str) -> Edit {
    let line_end = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.find('\n').map_or(text.len(), |at| from + at + 1)
    };
    let mut at = line_end(node.end(text));
    let mut ahead = at;
    while ahead < text.len() {
        let end = line_end(ahead);
        let line = text.get(ahead..end).unwrap_or_default();
        let inner = line.trim_start_matches(' ');
        if inner.starts_with('#') && line.len() - inner.len() >= column.max(1) {
            at = end;
        } else if !line.trim().is_empty() {
            break;
        }
        ahead = end;
    }
    let open = at > 0 && !text.get(..at).unwrap_or_default().ends_with('\n');
    let indent = " ".repeat(column);
    Edit {
        at,
        removed: 0,
        inserted: if open {
            format!("\n{indent}{}", lines.trim_end_matches('\n'))
        } else {
            format!("{indent}{lines}")
        },
    }
}

/// A value where another one stands: nothing, an empty collection, or text that is not ours any more.
fn replace(
    text: &str,
    parent: &Node,
    key: &Node,
    old: &Node,
    op: &Add,
    lists: Lists,
) -> Option<Edit> {
    let empty = match &old.kind {
        Kind::Mapping(entries) => entries.is_empty(),
        Kind::Sequence(items) => items.is_empty(),
        Kind::Scalar { null } => *null || op.value.is_string(),
        Kind::Alias => false,
    };
    if !empty {
        return None;
    }
    let own = text.get(old.range.clone())?;
    if parent.flow || op.value.is_string() && !own.is_empty() {
        return Some(Edit {
            at: old.range.start,
            removed: old.range.len(),
            inserted: op.value.to_string(),
        });
    }
    // From the colon to the line's end there is at most this value and a comment.
    let rest = text.get(key.range.end..)?;
    let colon = key.range.end + rest.find(':')? + 1;
    let line = text.get(colon..)?;
    let line = line.get(..line.find('\n').unwrap_or(line.len()))?;
    let tail = line.trim_start().strip_prefix(own)?.trim();
    if !(tail.is_empty() || tail.starts_with('#')) {
        return None;
    }
    let mut lines = String::new();
    emit::value_of_key(&op.value, key.column, lists, &mut lines);
    let comment = if tail.is_empty() {
        String::new()
    } else {
        format!(" {tail}")
    };
    Some(Edit {
        at: colon,
        removed: line.len(),
        inserted: format!("{comment}{}", lines.trim_end_matches('\n')),
    })
}

/// Into braces or brackets; in lines of its own where what is there already has them.
fn in_flow(
    text: &str,
    parent: &Node,
    end: Option<usize>,
    key: Option<&str>,
    value: &Value,
) -> Edit {
    let key = key.map(|key| format!("{key}: ")).unwrap_or_default();
    let Some(end) = end else {
        return Edit {
            at: parent.range.end.saturating_sub(1),
            removed: 0,
            inserted: format!("{key}{value}"),
        };
    };
    let tail = text.get(end..parent.range.end).unwrap_or_default();
    let inserted = if tail.contains('\n') {
        // As far in as the closing bracket, and one step more.
        let close = text.get(..parent.range.end).unwrap_or_default();
        let line = close.rsplit('\n').next().unwrap_or_default();
        let indent = format!(
            "{}  ",
            line.get(..line.len() - line.trim_start().len())
                .unwrap_or_default()
        );
        let pretty = format!("{value:#}").replace('\n', &format!("\n{indent}"));
        format!(",\n{indent}{key}{pretty}")
    } else {
        format!(", {key}{value}")
    };
    Edit {
        at: end,
        removed: 0,
        inserted,
    }
}
