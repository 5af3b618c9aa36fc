//! From an element that a FHIR server finds fault with back to the field that made it.
//!
//! Told only where it is certain: a wrong place in an ERR segment costs its reader more than none.

use crate::fhir::Converted;
use crate::hl7::path::Path;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

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
    entries: Vec<Made<'c>>,
    /// The one entry of a type; none where there are several.
    alone: HashMap<String, Option<usize>>,
}

/// An entry of the bundle.
#[derive(Default)]
struct Made<'c> {
    /// By element, so that what is in one stands behind it: `Patient.name`, `Patient.name.family`.
    elements: BTreeMap<&'c str, Vec<Path>>,
    /// The type of the resource that it is, or that it changes.
    kind: String,
}

impl<'c> Places<'c> {
    pub(super) fn new(converted: &'c Converted, bundle: &[u8]) -> Self {
        let Bundle { entry } = serde_json::from_slice(bundle).unwrap_or_default();
        let made = entry.into_iter().map(|entry| Made {
            kind: entry.resource.kind,
            ..Made::default()
        });
        let mut entries: Vec<Made<'c>> = made.collect();
        for row in &converted.explained {
            let made = row.entry.and_then(|entry| entries.get_mut(entry));
            if let (Some(made), Ok(path)) = (made, row.path.parse()) {
                made.elements.entry(&row.element).or_default().push(path);
            }
        }
        let mut alone = HashMap::new();
        for (number, made) in entries.iter_mut().enumerate() {
            // What is only changed is an entry of another type, Parameters.
            let first = made.elements.keys().next();
            if let Some((kind, _)) = first.and_then(|element| element.split_once('.')) {
                kind.clone_into(&mut made.kind);
            }
            let one = alone.entry(made.kind.clone());
            one.and_modify(|one| *one = None).or_insert(Some(number));
        }
        Self { entries, alone }
    }

    /// The field that made an element.
    pub(super) fn find(&self, blame: &Blame) -> Option<Path> {
        let (kind, mut path, entry) = blame.element()?;
        let entry = entry.or_else(|| self.alone.get(&kind).copied().flatten())?;
        let made = self.entries.get(entry)?;
        if !kind.is_empty() && kind != made.kind {
            return None;
        }
        // The element itself or what is in it; else what holds it, made as a whole.
        let mut exact = true;
        while !path.is_empty() {
            let element = format!("{}.{}", made.kind, path.join("."));
            let inside = |name: &str| match name.strip_prefix(&element) {
                Some(rest) => rest.is_empty() || exact && rest.starts_with('.'),
                None => false,
            };
            let behind = made.elements.range(element.as_str()..);
            let all = behind.take_while(|(name, _)| name.starts_with(&element));
            let rows = all.filter(|(name, _)| inside(name));
            let mut rows = rows.flat_map(|(_, rows)| rows).peekable();
            if rows.peek().is_some() {
                return one(rows);
            }
            path.pop();
            exact = false;
        }
        None
    }
}

/// The one place that all of these are in; none where it is not one segment.
fn one<'p>(mut rows: impl Iterator<Item = &'p Path>) -> Option<Path> {
    let mut place = rows.next()?.clone();
    for row in rows {
        if (&row.segment, row.occurrence) != (&place.segment, place.occurrence) {
            return None;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::Explained;

    fn converted(rows: &[(usize, &str, &str)]) -> Converted {
        Converted {
            bundle: Vec::new(),
            entries: 0,
            structure: String::new(),
            ledger: crate::fhir::Ledger::default(),
            counted: crate::fhir::Counted::default(),
            explained: rows
                .iter()
                .map(|(entry, element, path)| Explained {
                    element: (*element).to_owned(),
                    path: (*path).to_owned(),
                    rows: String::new(),
                    entry: Some(*entry),
                })
                .collect(),
        }
    }

    #[test]
    fn an_element_in_every_spelling_is_found() {
        let converted = converted(&[
            (1, "Patient.name.family", "PID-5.1"),
            (1, "Patient.name.given", "PID-5.2"),
            (1, "Patient.birthDate", "PID-7"),
            (1, "Patient.identifier.value", "PID-3.1"),
            (1, "Patient.identifier.value", "PID-3[2].1"),
            (2, "Observation.valueQuantity.value", "OBX-5"),
            (3, "Observation.valueQuantity.value", "OBX[2]-5"),
            (2, "Observation.status", "OBX-11"),
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
            // Which of the two it is about is not said.
            (None, "Observation.status", None),
            (Some(2), "Observation.status", Some("OBX-11")),
            (Some(3), "Observation.status", None),
            (Some(1), "Observation.status", None),
            (None, "Bundle.type", None),
            (None, "/f:Patient/f:birthDate", None),
            (None, "", None),
            (None, "Patient.ofType(", None),
        ] {
            assert_eq!(find(entry, expression).as_deref(), expected, "{expression}");
        }
    }
}
