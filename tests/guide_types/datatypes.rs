//! Data type maps: a value that has each of a type's components, given to the map by a Z segment.
//!
//! So far of plain rows only: those that put a component's text, or a constant, somewhere, with no condition.

use crate::kept::repository;
use crate::table;
use mllp_bridge::fhir::{Mapper, Options};
use mllp_bridge::hl7::{Payload, peek};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

const MESSAGE: &str = "ZDT_Z01:\n  events: [ZDT^Z01]\n  body:\n    - segment: MSH\n    - segment: ZDT\n      maps: [{map: 'ZDT[Basic]', into: it}]\n  links: []\n";

/// Whoever makes fewer rows pass has to say so here.
const DONE: usize = 108;

/// A row of the guide's data type maps.
pub struct Row {
    pub map: String,
    component: usize,
    kind: String,
    pub to: String,
    pub prose: bool,
    /// What is put there instead of the component.
    constant: Option<String>,
    /// Whether it only puts the component or the constant somewhere.
    plain: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    Done,
    /// Not implemented, or not shown by a test yet.
    Open,
    Prose,
}

pub fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let rows = table::<10>(include_str!("datatypes.tsv")).into_iter();
        rows.map(
            |[
                map,
                place,
                kind,
                when,
                to,
                _,
                conversion,
                vocabulary,
                value,
                class,
            ]| {
                let component = place
                    .split_once('.')
                    .and_then(|(_, number)| number.parse().ok());
                let constant = value
                    .strip_prefix('"')
                    .and_then(|rest| rest.strip_suffix('"'));
                Row {
                    plain: when.is_empty()
                        && conversion.is_empty()
                        && vocabulary.is_empty()
                        && (value.is_empty() || constant.is_some())
                        && component.is_some()
                        && to
                            .chars()
                            .all(|c| c.is_ascii_alphanumeric() || "[].".contains(c)),
                    constant: constant.map(str::to_owned),
                    map,
                    component: component.unwrap_or_default(),
                    kind,
                    to,
                    prose: class == "prose",
                }
            },
        )
        .collect()
    })
}

fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["datatypes", "vocabularies"] {
        for entry in std::fs::read_dir(repository("mappings").join(folder)).expect("a folder") {
            let path = entry.expect("a file").path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("a file");
            files.push((format!("{folder}/{name}"), text));
        }
    }
    files
}

/// Ours for a map of the guide: the maps of CWE read CE, CF and CNE as well.
fn ours(map: &str) -> String {
    match map.split_once('[') {
        Some(("CE" | "CF" | "CNE", rest)) => format!("CWE[{rest}"),
        _ => map.to_owned(),
    }
}

/// What stands in a component, and what is to come of it.
fn sample(kind: &str, component: usize, to: &str) -> (String, Value) {
    match kind {
        "NM" | "SI" => (component.to_string(), Value::from(component)),
        "DTM" | "TS" | "DT" => (
            format!("202601{component:02}"),
            Value::from(format!("2026-01-{component:02}")),
        ),
        "ID" if to.ends_with("system") => {
            let (name, system) = match component {
                3 => ("LN", "http://loinc.org"),
                6 => ("SCT", "http://snomed.info/sct"),
                _ => ("CVX", "http://hl7.org/fhir/sid/cvx"),
            };
            (name.to_owned(), Value::from(system))
        }
        _ => (
            format!("V{component}"),
            Value::from(format!("V{component}")),
        ),
    }
}

/// What stands at a path; a list without a number means any of its items.
fn at<'v>(value: &'v Value, steps: &[&str]) -> Vec<&'v Value> {
    let Some((step, rest)) = steps.split_first() else {
        return vec![value];
    };
    let (name, number) = match step.split_once('[') {
        Some((name, number)) => (name, number.trim_end_matches(']').parse::<usize>().ok()),
        None => (*step, None),
    };
    match &value[name] {
        Value::Null => Vec::new(),
        Value::Array(items) => match number {
            Some(number) => {
                let item = number.checked_sub(1).and_then(|number| items.get(number));
                item.map(|item| at(item, rest)).unwrap_or_default()
            }
            None => items.iter().flat_map(|item| at(item, rest)).collect(),
        },
        one => at(one, rest),
    }
}

/// What a map makes of a value: the resource of its name, or the element.
fn made(files: &[(String, String)], map: &str, value: &str) -> Value {
    let asks = format!(
        "ZDT[Basic]:\n  resource: Basic\n  rows:\n    - {{to: it, from: ZDT-1, as: \"{map}\"}}\n"
    );
    let site = [
        ("messages/ZDT.yaml", MESSAGE),
        ("segments/ZDT.yaml", asks.as_str()),
    ];
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .chain(site)
        .collect();
    let mapper = Mapper::new(&files).unwrap_or_else(|errors| panic!("{map}: {errors:?}"));
    let message = format!("MSH|^~\\&|A|B|||20260101||ZDT^Z01|1|P|2.5\rZDT|{value}\r");
    let Payload::V2(header) = peek(message.as_bytes()) else {
        panic!("no header: {message}")
    };
    let bundle = mapper
        .convert(message.as_bytes(), &header, true, &Options::default())
        .unwrap_or_else(|error| panic!("{map}: {error:?}"));
    let bundle: Value = serde_json::from_slice(&bundle.bundle).expect("JSON");
    let kind = map.split(['[', '-', ']']).nth(1).unwrap_or_default();
    let resources: Vec<&Value> = bundle["entry"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| &entry["resource"])
        .collect();
    let named = resources
        .iter()
        .find(|resource| resource["resourceType"] == kind);
    let basic = resources
        .iter()
        .find(|resource| resource["resourceType"] == "Basic");
    match (named, basic) {
        (Some(named), _) => (*named).clone(),
        (None, Some(basic)) => basic["it"].clone(),
        (None, None) => Value::Null,
    }
}

/// What became of each row.
pub fn states() -> &'static [State] {
    static STATES: OnceLock<Vec<State>> = OnceLock::new();
    STATES.get_or_init(|| {
        let files = files();
        let there = |map: &str| {
            let starts = |text: &str| text.lines().any(|line| line == format!("{map}:"));
            files.iter().any(|(_, text)| starts(text))
        };
        let maps: BTreeSet<&str> = rows().iter().map(|row| row.map.as_str()).collect();
        let mut results: BTreeMap<&str, Value> = BTreeMap::new();
        for map in maps.into_iter().filter(|map| there(&ours(map))) {
            let mut parts = vec![String::new(); 30];
            // The rows of a component's own text last: theirs is the sample that is looked for.
            for own in [false, true] {
                let these = |row: &&Row| row.map == map && row.plain;
                let mut these: Vec<&Row> = rows().iter().filter(these).collect();
                these.retain(|row| row.constant.is_none() == own);
                for row in these {
                    parts[row.component - 1] = sample(&row.kind, row.component, &row.to).0;
                }
            }
            let value = parts.join("^");
            results.insert(map, made(&files, &ours(map), value.trim_end_matches('^')));
        }
        let state = |row: &Row| {
            if row.prose {
                return State::Prose;
            }
            let steps: Vec<&str> = row.to.split('.').collect();
            let expected = match &row.constant {
                Some(constant) => Value::from(constant.as_str()),
                None => sample(&row.kind, row.component, &row.to).1,
            };
            let result = results.get(row.map.as_str()).filter(|_| row.plain);
            let found = result.is_some_and(|made| at(made, &steps).contains(&&expected));
            match found {
                true => State::Done,
                false => State::Open,
            }
        };
        rows().iter().map(state).collect()
    })
}

#[test]
fn as_many_rows_pass_as_did() {
    assert_eq!(rows().len(), 606, "rows in datatypes.tsv");
    let pass = states().iter().filter(|state| **state == State::Done);
    let pass = pass.count();
    assert!(
        pass >= DONE,
        "{pass} rows of data type maps pass, {DONE} did"
    );
}
