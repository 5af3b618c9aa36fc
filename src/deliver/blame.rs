//! From an element that a FHIR server finds fault with back to the field that made it.
//!
//! Told only where it is certain: a wrong place in an ERR segment costs its reader more than none.

use crate::fhir::{Converted, Explained};
use crate::hl7::path::Path;
use serde::Deserialize;
use serde_json::Value;

/// What an issue is about.
#[derive(Default)]
pub(super) struct Blame {
    /// The entry of the bundle, from 0.
    entry: Option<usize>,
    /// FHIRPath of the element, in one of the spellings that servers have for it.
    expression: Option<String>,
}

impl Blame {
    /// Of an issue; one inside of an entry's answer is about that entry.
    pub(super) fn of(issue: &Value, entry: Option<usize>) -> Self {
        let first = |key: &str| {
            let list = issue.get(key).and_then(|list| list.get(0));
            list.and_then(Value::as_str).map(str::to_owned)
        };
        Self {
            entry,
            expression: first("expression").or_else(|| first("location")),
        }
    }

    /// Of an entry as a whole.
    pub(super) fn entry(entry: usize) -> Self {
        Self {
            entry: Some(entry),
            expression: None,
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.expression.is_none()
    }

    /// Type of the resource (empty if only its entry is known) and path in it: `Patient`, `name.family`; and its entry.
    fn element(&self) -> Option<(String, Vec<String>, Option<usize>)> {
        let text = without_comments(self.expression.as_deref()?);
        let mut steps = steps(&text).into_iter();
        let mut entry = self.entry;
        let mut first = steps.next()?;
        if first.0 == "Bundle" {
            let step = steps.next().filter(|step| step.0 == "entry")?;
            entry = step.1.or(entry);
            steps.next().filter(|step| step.0 == "resource")?;
            first = (String::new(), None);
        }
        let mut path: Vec<String> = Vec::new();
        let mut kind = first.0;
        for (name, _) in steps {
            match name
                .strip_prefix("ofType(")
                .and_then(|rest| rest.strip_suffix(')'))
            {
                None => path.push(name),
                Some(of) => match path.last_mut() {
                    // value.ofType(Quantity) is valueQuantity in JSON.
                    Some(last) => {
                        let (head, tail) = of.split_at_checked(1)?;
                        last.push_str(&head.to_ascii_uppercase());
                        last.push_str(tail);
                    }
                    None => kind = of.to_owned(),
                },
            }
        }
        Some((kind, path, entry))
    }
}

/// HAPI writes `Bundle.entry[0].resource/*Patient/1*/.birthDate`.
fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        out.push_str(before);
        rest = after.split_once("*/").map_or("", |split| split.1);
    }
    out + rest
}

/// Names and the index behind each. A point in parentheses separates nothing.
fn steps(text: &str) -> Vec<(String, Option<usize>)> {
    let mut depth = 0;
    let pieces = text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == '.' && depth == 0
    });
    pieces
        .map(|piece| match piece.split_once('[') {
            Some((name, index)) => {
                let index = index.trim_end_matches(']').parse().ok();
                (name.to_owned(), index)
            }
            None => (piece.to_owned(), None),
        })
        .collect()
}

#[derive(Deserialize, Default)]
struct Bundle {
    #[serde(default)]
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    resource: Resource,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "resourceType")]
    kind: String,
}

/// Which place of the message made which element.
pub(super) struct Places<'c> {
    explained: &'c [Explained],
    /// Types of the bundle's entries.
    kinds: Vec<String>,
}

impl<'c> Places<'c> {
    pub(super) fn new(converted: &'c Converted, bundle: &[u8]) -> Self {
        let Bundle { entry } = serde_json::from_slice(bundle).unwrap_or_default();
        Self {
            explained: &converted.explained,
            kinds: entry.into_iter().map(|entry| entry.resource.kind).collect(),
        }
    }

    /// The field that made an element.
    pub(super) fn find(&self, blame: &Blame) -> Option<Path> {
        let (mut kind, mut path, entry) = blame.element()?;
        if let Some(of_entry) = entry.and_then(|entry| self.kinds.get(entry)) {
            kind.clone_from(of_entry);
        }
        // The element itself or what is in it; else what holds it, made as a whole.
        let mut exact = true;
        while !path.is_empty() {
            let element = format!("{kind}.{}", path.join("."));
            let inside = |row: &&Explained| {
                let rest = row.element.strip_prefix(&element);
                rest.is_some_and(|rest| rest.is_empty() || exact && rest.starts_with('.'))
            };
            let rows: Vec<Path> = self
                .explained
                .iter()
                .filter(inside)
                .filter_map(|row| row.path.parse().ok())
                .collect();
            if !rows.is_empty() {
                return self.one(rows, &kind, entry);
            }
            path.pop();
            exact = false;
        }
        None
    }

    /// The one place among these. Where each resource of a type has its own segment, the entry says which.
    fn one(&self, mut rows: Vec<Path>, kind: &str, entry: Option<usize>) -> Option<Path> {
        let segment = |path: &Path| (path.segment.clone(), path.occurrence);
        let mut segments: Vec<_> = Vec::new();
        for row in &rows {
            if !segments.contains(&segment(row)) {
                segments.push(segment(row));
            }
        }
        if segments.len() > 1 {
            let entry = entry?;
            let before = |upto: usize| {
                let kinds = self.kinds.iter().take(upto);
                kinds.filter(|other| *other == kind).count()
            };
            if segments.len() != before(self.kinds.len()) {
                return None;
            }
            let wanted = segments.get(before(entry))?.clone();
            rows.retain(|row| segment(row) == wanted);
        }
        let mut rows = rows.into_iter();
        let mut place = rows.next()?;
        for row in rows {
            if row.field != place.field {
                place.field = None;
            }
            if place.field.is_none() || row.repetition != place.repetition {
                place.repetition = None;
            }
            let same = place.field.is_some() && row.repetition == place.repetition;
            if !same || row.component != place.component {
                place.component = None;
            }
            if place.component.is_none() || row.subcomponent != place.subcomponent {
                place.subcomponent = None;
            }
        }
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(rows: &[(&str, &str)]) -> Converted {
        Converted {
            bundle: Vec::new(),
            entries: 0,
            structure: String::new(),
            ledger: crate::fhir::Ledger::default(),
            counted: crate::fhir::Counted::default(),
            explained: rows
                .iter()
                .map(|(element, path)| Explained {
                    element: (*element).to_owned(),
                    path: (*path).to_owned(),
                    rows: String::new(),
                })
                .collect(),
        }
    }

    #[test]
    fn an_element_in_every_spelling_is_found() {
        let converted = converted(&[
            ("Patient.name.family", "PID-5.1"),
            ("Patient.name.given", "PID-5.2"),
            ("Patient.birthDate", "PID-7"),
            ("Patient.identifier.value", "PID-3.1"),
            ("Patient.identifier.value", "PID-3[2].1"),
            ("Observation.valueQuantity.value", "OBX-5"),
            ("Observation.valueQuantity.value", "OBX[2]-5"),
            ("Observation.status", "OBX-11"),
        ]);
        let kinds = ["MessageHeader", "Patient", "Observation", "Observation"];
        let entries: Vec<String> = kinds
            .iter()
            .map(|kind| format!("{{\"resource\":{{\"resourceType\":\"{kind}\"}}}}"))
            .collect();
        let bundle = format!("{{\"entry\":[{}]}}", entries.join(","));
        let places = Places::new(&converted, bundle.as_bytes());
        let find = |entry, expression: &str| {
            let expression = Some(expression.to_owned());
            let found = places.find(&Blame { entry, expression });
            found.map(|path| path.to_string())
        };
        for (entry, expression, expected) in [
            (None, "Patient.birthDate", Some("PID-7")),
            (Some(1), "Patient.birthDate", Some("PID-7")),
            (None, "Bundle.entry[1].resource.birthDate", Some("PID-7")),
            (
                None,
                "Bundle.entry[1].resource.ofType(Patient).birthDate",
                Some("PID-7"),
            ),
            (
                None,
                "Bundle.entry[1].resource/*Patient/a.b*/.birthDate",
                Some("PID-7"),
            ),
            (None, "Patient.name[0].family", Some("PID-5.1")),
            (None, "Patient.name[0]", Some("PID-5")),
            (
                None,
                "Patient.name[0].given[1].extension[0]",
                Some("PID-5.2"),
            ),
            (None, "Patient.identifier[1].value", Some("PID-3")),
            (None, "Patient.contact[0].name", None),
            (None, "Patient", None),
            (None, "Observation.value.ofType(Quantity).value", None),
            (
                None,
                "Bundle.entry[3].resource.value.ofType(Quantity)",
                Some("OBX[2]-5"),
            ),
            (Some(2), "Observation.value.ofType(Quantity)", Some("OBX-5")),
            (None, "Observation.status", Some("OBX-11")),
            (None, "Bundle.type", None),
            (None, "/f:Patient/f:birthDate", None),
            (None, "", None),
            (None, "Patient.ofType(", None),
        ] {
            assert_eq!(find(entry, expression).as_deref(), expected, "{expression}");
        }
    }
}
