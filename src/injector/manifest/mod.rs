//! Manifest files: documents in, the same documents with sidecars out.
//!
//! ```text
//! file ──documents──► text of each ──yaml──► Value ──objects──► pod templates ──inject──► operations
//!                        └──────────────────── edit ◄──────────────────────────────────────┘
//! ```
//!
//! What is not touched is given back byte for byte, and what is touched is edited as text: comments, order and quoting
//! stay. Each edit is read back and compared with what the operations mean; where it differs, the document is written anew.
//!
//! Must not do: read files or print.

mod edit;
mod emit;
mod objects;
mod tree;

use super::inject::{Namespace, Outcome, inject};
use super::patch::{Add, apply};
use super::settings::Settings;
use objects::{Object, find};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;

/// Where objects go that do not say it.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Namespace of objects without one.
    pub namespace: String,
    /// Labels of every namespace whose own object is not among the documents.
    pub labels: BTreeMap<String, String>,
    /// Labels of namespaces whose objects are.
    pub known: BTreeMap<String, BTreeMap<String, String>>,
}

impl Target {
    /// Learns the labels of the Namespace objects in a file. What cannot be read is left for [`run`] to complain of.
    pub fn learn(&mut self, text: &str) {
        for range in documents(text) {
            if let Ok(value) = read(slice(text, &range)) {
                objects::namespaces(&value, &mut self.known);
            }
        }
    }

    fn of(&self, name: &str) -> Namespace {
        let name = if name.is_empty() {
            &self.namespace
        } else {
            name
        };
        Namespace {
            name: name.to_owned(),
            labels: self.known.get(name).unwrap_or(&self.labels).clone(),
        }
    }
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Injected {
    /// The whole file.
    pub text: String,
    /// What was decided about each object, in their order.
    pub reports: Vec<Report>,
}

/// What was decided about one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// `Deployment`
    pub kind: String,
    /// Its namespace, or the one it would go to; may be empty.
    pub namespace: String,
    /// Its name, or what its name will begin with.
    pub name: String,
    /// Skip, Patch or Deny; a patch's paths begin at the pod template.
    pub outcome: Outcome,
    /// The document could not be edited as text, and was written anew: its comments are lost.
    pub rewritten: bool,
}

/// Puts sidecars into a file's objects.
///
/// # Errors
///
/// Where in the file (`line:column`) and why it cannot be read. An object that is denied stays as it is.
pub fn run(text: &str, target: &Target, settings: &Settings) -> Result<Injected, String> {
    let mut out = String::with_capacity(text.len());
    let mut reports = Vec::new();
    let mut done = 0;
    for range in documents(text) {
        let document = slice(text, &range);
        let before = text.get(..range.start).unwrap_or_default();
        let value = read(document).map_err(|(line, column, why)| {
            let line = before.matches('\n').count() as u64 + line;
            format!("{line}:{column}: {why}")
        })?;
        out.push_str(text.get(done..range.start).unwrap_or_default());
        done = range.end;
        let mut changes = Vec::new();
        let first = reports.len();
        for object in find(&value) {
            let outcome = decide(&object, target, settings);
            if let Outcome::Patch { ops, .. } = &outcome {
                changes.extend(ops.iter().map(|op| under(&object.template, op)));
            }
            reports.push(Report {
                namespace: match object.pod {
                    Some(_) => target.of(&object.namespace).name,
                    // It may be of a kind that is in no namespace.
                    None => object.namespace.clone(),
                },
                kind: object.kind,
                name: object.name,
                outcome,
                rewritten: false,
            });
        }
        let (edited, rewritten) = change(document, value, &changes)?;
        out.push_str(&edited);
        for report in reports.iter_mut().skip(first) {
            report.rewritten = rewritten && matches!(report.outcome, Outcome::Patch { .. });
        }
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Ok(Injected { text: out, reports })
}

fn decide(object: &Object<'_>, target: &Target, settings: &Settings) -> Outcome {
    match object.pod {
        Some(pod) => inject(pod, &target.of(&object.namespace), settings),
        None => Outcome::Skip("not a kind that has pods".into()),
    }
}

fn under(template: &[String], op: &Add) -> Add {
    Add::new(template.iter().chain(&op.path), op.value.clone())
}

/// The document with every operation done, and whether it had to be written anew.
fn change(document: &str, mut value: Value, ops: &[Add]) -> Result<(String, bool), String> {
    if ops.is_empty() {
        return Ok((document.to_owned(), false));
    }
    apply(&mut value, ops).map_err(|pointer| format!("nothing is at {pointer}"))?;
    let edited = edit::edit(document, ops);
    let same = |text: &String| read(text).is_ok_and(|read| read == value);
    Ok(match edited.filter(same) {
        Some(text) => (text, false),
        None => (emit::document(&value), true),
    })
}

/// The ranges of the documents of a file: what is between the lines that begin with `---` or `...`. Such a line is a
/// marker wherever it stands, even in a text of many lines.
fn documents(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        let marker = ["---", "..."]
            .iter()
            .find_map(|mark| line.strip_prefix(mark));
        if marker.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) {
            found.push(start..at);
            // What follows the marker on its own line belongs to the document.
            start = at + 3;
        }
        at += line.len();
    }
    found.push(start..at);
    let is_there = |range: &Range<usize>| {
        let directive = |line: &str| line.starts_with(['#', '%']);
        let text = slice(text, range);
        text.lines()
            .any(|line| !line.trim().is_empty() && !directive(line.trim_start()))
    };
    found.retain(is_there);
    found
}

fn slice<'a>(text: &'a str, range: &Range<usize>) -> &'a str {
    text.get(range.clone()).unwrap_or_default()
}

/// A document's value; or line, column and reason.
fn read(document: &str) -> Result<Value, (u64, u64, String)> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(document, options).map_err(|error| {
        let at = error.location();
        let why = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
        let why = why
            .rsplit_once(" at line ")
            .map_or(why.as_str(), |split| split.0)
            .to_owned();
        at.map_or((1, 1, why.clone()), |at| (at.line(), at.column(), why))
    })
}

#[cfg(test)]
mod tests;
