//! Vocabularies: each published v2 code, looked up by a map of a Z segment that has a field for each vocabulary.

use crate::kept::repository;
use crate::table;
use mllp_bridge::fhir::{Mapper, Options};
use mllp_bridge::hl7::{Payload, peek};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::OnceLock;

const MESSAGE: &str = "ZVO_Z01:\n  events: [ZVO^Z01]\n  body:\n    - segment: MSH\n    - segment: ZVO\n      maps: [{map: 'ZVO[Basic]', into: it}]\n  links: []\n";

const DONE: usize = 2297;

/// What a code becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coded {
    pub system: String,
    pub code: String,
    pub display: String,
}

impl Coded {
    /// Whether this published coding is what was made. Where the guide has no display, ours may.
    fn is(&self, made: &Self) -> bool {
        let display = self.display.is_empty() || self.display == made.display;
        self.system == made.system && self.code == made.code && display
    }
}

/// A row of the guide's concept maps.
pub struct Row {
    pub map: String,
    pub code: String,
    pub becomes: Coded,
    pub prose: bool,
}

/// What our maps do otherwise, and why.
pub struct Differs {
    pub map: String,
    pub code: String,
    /// What the guide says, since it has some codes twice.
    pub becomes: String,
    /// What our vocabulary says, or nothing.
    pub made: Option<Coded>,
    pub why: String,
}

pub enum State {
    Done,
    Differs(&'static Differs),
    Not(Option<Coded>),
}

pub fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let rows = table::<8>(include_str!("vocabularies.tsv")).into_iter();
        rows.map(|[map, _, code, _, becomes, system, display, class]| Row {
            map,
            code,
            becomes: Coded {
                system,
                code: becomes,
                display,
            },
            prose: class == "prose",
        })
        .collect()
    })
}

pub fn differs() -> &'static [Differs] {
    static DIFFERS: OnceLock<Vec<Differs>> = OnceLock::new();
    DIFFERS.get_or_init(|| {
        let rows = table::<7>(include_str!("differs.tsv")).into_iter();
        rows.map(|[map, code, becomes, system, made, display, why]| Differs {
            map,
            code,
            becomes,
            made: (!made.is_empty()).then_some(Coded {
                system,
                code: made,
                display,
            }),
            why,
        })
        .collect()
    })
}

/// The number of the vocabulary's field.
fn fields() -> BTreeMap<&'static str, usize> {
    let names: BTreeSet<&str> = rows().iter().map(|row| row.map.as_str()).collect();
    names.into_iter().zip(1..).collect()
}

/// The vocabularies as they are on disk, and a map that asks them.
fn mapper() -> Mapper {
    let mut asks = "ZVO[Basic]:\n  resource: Basic\n  rows:\n".to_owned();
    for (name, field) in fields() {
        writeln!(
            asks,
            "    - {{to: f{field}, from: ZVO-{field}, as: \"CWE[CodeableConcept]\", vocabulary: \"{name}\"}}"
        )
        .unwrap();
    }
    let mut files = vec![
        ("messages/ZVO_Z01.yaml".to_owned(), MESSAGE.to_owned()),
        ("segments/ZVO.yaml".to_owned(), asks),
    ];
    let read = |name: &str| {
        let text = std::fs::read_to_string(repository("mappings").join(name)).expect("a file");
        (name.to_owned(), text)
    };
    files.push(read("datatypes/CWE.yaml"));
    for entry in std::fs::read_dir(repository("mappings/vocabularies")).expect("a folder") {
        let name = entry.expect("a file").file_name();
        files.push(read(&format!("vocabularies/{}", name.to_string_lossy())));
    }
    files.sort();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    Mapper::of_any_elements(&files).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn escaped(code: &str) -> String {
    let mut text = String::new();
    for c in code.chars() {
        match c {
            '\\' => text.push_str("\\E\\"),
            '|' => text.push_str("\\F\\"),
            '^' => text.push_str("\\S\\"),
            '&' => text.push_str("\\T\\"),
            '~' => text.push_str("\\R\\"),
            c => text.push(c),
        }
    }
    text
}

/// The coding that a code becomes first; nothing where it stays the bare code of the message.
fn look_up(mapper: &Mapper, field: usize, code: &str) -> Option<Coded> {
    let before = "|".repeat(field);
    let message = format!(
        "MSH|^~\\&|A|B|||20260101||ZVO^Z01|1|P|2.5|||||||UNICODE UTF-8\rZVO{before}{}\r",
        escaped(code)
    );
    let Payload::V2(header) = peek(message.as_bytes()) else {
        panic!("no header: {message}")
    };
    let made = mapper
        .convert(message.as_bytes(), &header, true, &Options::default())
        .unwrap_or_else(|error| panic!("{code}: {error:?}"));
    let bundle: Value = serde_json::from_slice(&made.bundle).expect("JSON");
    let coding = &bundle["entry"][0]["resource"][format!("f{field}")]["coding"][0];
    let text = |element: &str| coding[element].as_str().unwrap_or_default().to_owned();
    let made = Coded {
        system: text("system"),
        code: text("code"),
        display: text("display"),
    };
    let found = !made.system.is_empty() || !made.display.is_empty() || made.code != code;
    (found && !made.code.is_empty()).then_some(made)
}

/// What became of each row.
pub fn states() -> &'static [State] {
    static STATES: OnceLock<Vec<State>> = OnceLock::new();
    STATES.get_or_init(|| {
        let (mapper, fields) = (mapper(), fields());
        let state = |row: &Row| {
            let made = look_up(&mapper, fields[row.map.as_str()], &row.code);
            if made.as_ref().is_some_and(|made| row.becomes.is(made)) {
                return State::Done;
            }
            let known = differs().iter().find(|one| {
                one.map == row.map && one.code == row.code && one.becomes == row.becomes.code
            });
            match known {
                Some(known) if known.made == made => State::Differs(known),
                _ => State::Not(made),
            }
        };
        rows().iter().map(state).collect()
    })
}

pub fn name(row: &Row) -> String {
    format!("{} {}", row.map, row.code)
}

#[test]
fn each_published_code_becomes_what_the_guide_says() {
    let mut wrong = Vec::new();
    for (row, state) in rows().iter().zip(states()) {
        if let State::Not(made) = state {
            wrong.push(format!(
                "{}:\n  published: {:?}\n  made: {made:?}",
                name(row),
                row.becomes
            ));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), wrong.len());
}

#[test]
fn each_difference_is_one_and_has_a_reason() {
    for one in differs() {
        let at = format!("differs.tsv, {} {}", one.map, one.code);
        assert!(!one.why.is_empty(), "{at}: no reason");
        let used = states()
            .iter()
            .filter(|state| matches!(state, State::Differs(used) if std::ptr::eq(*used, one)));
        assert_eq!(
            used.count(),
            1,
            "{at}: no row of the guide differs like this"
        );
    }
}

/// Whoever makes more rows differ has to say so here.
#[test]
fn the_share_that_is_done_does_not_fall() {
    let done = states()
        .iter()
        .filter(|state| matches!(state, State::Done))
        .count();
    assert!(done >= DONE, "{done} rows are done, {DONE} were");
}

/// The guide has that many; a table that the importer no longer reads would be missed.
#[test]
fn all_rows_are_there() {
    assert_eq!(rows().len(), 2324, "rows in vocabularies.tsv");
    let made_up = look_up(&mapper(), fields()["AdministrativeSex"], "NOSUCHCODE");
    assert_eq!(made_up, None, "a code that is in no table");
}
