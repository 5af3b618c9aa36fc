//! Message maps: which segment becomes which resource, and what refers to what.

use crate::condition::{self, Condition};
use crate::convert::convert;
use crate::differs::like;
use crate::draft::{Context, Draft, Place};
use crate::element::{Way, says};
use crate::sample::sample;
use crate::segments::{self, State, table, target};
use std::sync::OnceLock;

/// A row of the guide.
#[derive(Debug, Clone)]
pub struct Row {
    pub structure: String,
    pub place: String,
    pub when: String,
    pub target: String,
    pub map: String,
    pub reference: String,
    pub prose: bool,
}

/// What is said of a row: structure, place, map or target, reference, how, and why.
struct Differs {
    structure: String,
    place: String,
    map: String,
    reference: String,
    how: How,
    why: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum How {
    /// Another element is made of the segment, or has the reference (`Encounter.location`, `Provenance.target=MessageHeader`).
    At(String),
    /// It is made where the condition does not hold as well.
    Always,
    /// There is none.
    Nowhere,
    /// When there is one, or what it is, the guide says in a sentence only, or not at all.
    Prose,
}

impl How {
    fn parse(text: &str) -> Self {
        match text.split_once(' ') {
            Some(("at", element)) => Self::At(element.to_owned()),
            None if text == "always" => Self::Always,
            None if text == "nowhere" => Self::Nowhere,
            None if text == "prose" => Self::Prose,
            _ => panic!("{text} is no way to differ"),
        }
    }
}

pub fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        table("tests/guide/messages.tsv")
            .map(|cells| {
                let [structure, place, when, target, map, reference, class] = &cells[..] else {
                    panic!("a row of {} cells: {cells:?}", cells.len())
                };
                Row {
                    structure: structure.clone(),
                    place: place.clone(),
                    when: when.clone(),
                    target: target.clone(),
                    map: map.clone(),
                    reference: reference.clone(),
                    prose: class == "prose",
                }
            })
            .collect()
    })
}

fn differs() -> &'static [Differs] {
    static FOUND: OnceLock<Vec<Differs>> = OnceLock::new();
    FOUND.get_or_init(|| {
        table("tests/guide/differs-messages.tsv")
            .map(|cells| {
                let [structure, place, map, reference, how, why] = &cells[..] else {
                    panic!("a row of {} cells: {cells:?}", cells.len())
                };
                Differs {
                    structure: structure.clone(),
                    place: place.clone(),
                    map: map.clone(),
                    reference: reference.clone(),
                    how: How::parse(how),
                    why: why.clone(),
                }
            })
            .collect()
    })
}

fn said(row: &Row) -> Option<&'static Differs> {
    differs().iter().find(|one| {
        like(&one.structure, &row.structure)
            && like(&one.place, &row.place)
            && (like(&one.map, &row.map) || like(&one.map, &row.target))
            && like(&one.reference, &row.reference)
    })
}

const ALWAYS: &str = "is made as well where the condition does not hold";

/// The segment that a group begins with.
const FIRST: &[(&str, &str)] = &[
    ("PATIENT_OBSERVATION", "OBX"),
    ("SPECIMEN_OBSERVATION", "OBX"),
    ("PERSON_OBSERVATION", "OBX"),
    ("PATIENT_VISIT", "PV1"),
    ("VISIT", "PV1"),
    ("NEXT_OF_KIN", "NK1"),
    ("INSURANCE", "IN1"),
    ("PROCEDURE", "PR1"),
    ("OBSERVATION_REQUEST", "OBR"),
    ("ORDER_OBSERVATION", "OBR"),
    ("ORDER_DETAIL", "OBR"),
    ("OBSERVATION", "OBX"),
    ("SPECIMEN", "SPM"),
    ("TIMING", "TQ1"),
    ("RESOURCES", "RGS"),
    ("SERVICE", "AIS"),
    ("GENERAL_RESOURCE", "AIG"),
    ("LOCATION_RESOURCE", "AIL"),
    ("PERSONNEL_RESOURCE", "AIP"),
];

/// Segments before and behind one of a place, in the order of its structure.
fn order(row: &Row) -> (Vec<&'static str>, String) {
    let mut parts = row.place.split('.').skip(1).collect::<Vec<_>>();
    let segment = parts.pop().unwrap_or_default().trim().to_owned();
    let mut order = vec!["MSH", "SFT"];
    order.extend(match &row.structure[..3] {
        "ADT" => vec!["EVN", "PID", "PD1"],
        "SIU" => vec!["SCH", "PID"],
        "MDM" => vec!["EVN", "PID", "PV1"],
        _ => vec!["PID"],
    });
    let last = parts.last().copied().unwrap_or_default();
    let orders = [
        "ORDER",
        "COMMON_ORDER",
        "ORDER_OBSERVATION",
        "OBSERVATION_REQUEST",
        "ORDER_DETAIL",
    ];
    if parts.iter().any(|part| orders.contains(part))
        || row.structure.starts_with("MDM") && segment != "PV1"
    {
        order.extend(["PV1", "ORC"]);
        if row.structure.starts_with("VXU") {
            order.push("RXA");
        } else if segment != "ORC" || last != "COMMON_ORDER" {
            order.push("OBR");
        }
    }
    if row.structure.starts_with("MDM") && parts.is_empty() {
        order.push("TXA");
    }
    for part in &parts {
        if let Some((_, first)) = FIRST.iter().find(|(group, _)| group == part) {
            order.push(first);
        }
    }
    (order, segment)
}

struct Trial<'r> {
    row: &'r Row,
    segment: String,
    order: Vec<String>,
    condition: Option<Condition>,
}

impl<'r> Trial<'r> {
    fn of(row: &'r Row) -> Self {
        let (order, segment) = order(row);
        let own = Place::parse(&segment).unwrap_or_else(|| panic!("{} is no place", row.place));
        let condition = (!row.when.is_empty()).then(|| {
            condition::parse(&row.when, &own, "")
                .unwrap_or_else(|why| panic!("{}: {why}", row.when))
        });
        let mut order: Vec<String> = order.into_iter().map(str::to_owned).collect();
        // Conditions ask segments beside it, and references go to them.
        if names_its_visit(&row.structure) {
            order.push("PV1".to_owned());
        }
        for more in ["PV1", "RXA", "SPM", "DG1"] {
            if segment != more
                && !order.iter().any(|own| own == more)
                && (row.reference.contains(resource(more))
                    || more == "SPM" && row.reference.contains("(Specimen"))
            {
                order.push(more.to_owned());
            }
        }
        order.retain(|own| *own != segment);
        let at = match segment.as_str() {
            "MSH" => 0,
            "SFT" => 1,
            "EVN" | "SCH" => order.iter().position(|own| own == "PID").unwrap_or(1),
            "PID" => order
                .iter()
                .position(|own| own == "PV1" || own == "ORC" || own == "PD1")
                .unwrap_or(order.len()),
            "PRT" if row.place.ends_with("PID.PRT") => order.len(),
            _ => order
                .iter()
                .position(|own| behind(&segment, own))
                .unwrap_or(order.len()),
        };
        order.insert(at, segment.clone());
        Self {
            row,
            segment,
            order,
            condition,
        }
    }

    fn draft(&self, want: bool) -> Draft {
        let event = event(&self.row.structure);
        let there: Vec<&str> = self
            .order
            .iter()
            .map(String::as_str)
            .filter(|own| !["SFT", "PD1", "EVN"].contains(own))
            .collect();
        let order: &'static str = Box::leak(self.order.join(" ").into_boxed_str());
        let there: &'static str = Box::leak(there.join(" ").into_boxed_str());
        let mut draft = Draft::new(&Context {
            event,
            order,
            there,
        });
        draft.add(&self.segment);
        for row in segments::rows()
            .iter()
            .filter(|row| row.map == self.row.map)
        {
            let Some(place) = Place::parse(&row.place) else {
                continue;
            };
            let plain = row.when.is_empty() && place.segment == self.segment && place.field > 0;
            if plain && !draft.valued(&place) {
                draft.set(&place, &sample(&row.kind, &row.code));
            }
        }
        if ["PRT[CareTeam]", "PRT[PractitionerRole]"].contains(&&*self.row.map) {
            // A participation without anybody is nobody's.
            let person = Place::parse("PRT-5").unwrap();
            if !draft.valued(&person) {
                draft.set(&person, "X1^FAMILY^GIVEN");
            }
        }
        if names_its_visit(&self.row.structure) {
            draft.set(&Place::parse("PV1-19").unwrap(), "V1^^^AUTH&1.2.3.4.5&ISO");
        }
        if self.segment == "IN2" {
            draft.set(&Place::parse("IN2-61").unwrap(), "MEMBER1");
        }
        if self.segment == "IN1" {
            draft.set(&Place::parse("IN1-16").unwrap(), "FAMILY^GIVEN");
        }
        if let Some(condition) = &self.condition {
            let own = Place::parse(&self.segment).unwrap();
            condition.make(want, &mut draft, &own, &segments::at);
        }
        draft
    }

    fn passes(&self) -> Result<(), String> {
        let draft = self.draft(true);
        if self
            .condition
            .as_ref()
            .is_some_and(|condition| !condition.holds(&draft))
        {
            return Err("the test cannot make its condition hold".into());
        }
        let own: Vec<bool> = segments::rows()
            .iter()
            .zip(segments::states())
            .filter(|(row, (state, _))| row.map == self.row.map && *state != State::Prose)
            .map(|(_, (state, _))| *state == State::Done)
            .collect();
        if !own.is_empty() && !own.contains(&true) {
            return Err("no row of its map is implemented".into());
        }
        let made = convert(&draft.text())
            .ok_or(format!("no map covers {}", event(&self.row.structure)))?;
        if !self.row.reference.is_empty() {
            return refers(&self.row.reference, &made.bundle);
        }
        let kind = match self.row.map.is_empty() {
            false => target(&self.row.map),
            true => self
                .row
                .target
                .split(['[', '.'])
                .next()
                .unwrap_or_default()
                .to_owned(),
        };
        if kind == "Bundle" {
            return Ok(());
        }
        if let Some((path, constant)) = self.row.target.split_once('=') {
            let way = Way::parse(&kind, path.split_once('.').map_or("", |(_, rest)| rest));
            let constant = constant.trim_matches(['"', '\'']);
            return match says(&way.walk(&made.bundle), constant) {
                true => Ok(()),
                false => Err(format!("is not {constant}")),
            };
        }
        let of = |draft: &Draft| {
            let Some(made) = convert(&draft.text()) else {
                return false;
            };
            let elements = made.of(&self.segment);
            let is = |kind: &str| {
                elements
                    .iter()
                    .any(|element| element.starts_with(&format!("{kind}.")))
            };
            let all = |bundle: &serde_json::Value| Way::parse(&kind, "").walk(bundle);
            let mut without = draft.clone();
            if self.segment != "MSH" {
                without.drop_segment(&self.segment);
            }
            let without = match self.segment == "MSH" {
                true => Vec::new(),
                false => convert(&without.text()).map_or_else(Vec::new, |made| all(&made.bundle)),
            };
            let new: Vec<_> = all(&made.bundle)
                .into_iter()
                .filter(|one| !without.contains(one))
                .collect();
            // Some have nothing of the segment but whom it names.
            is(&kind)
                || crate::element::referred(&new, &made.bundle)
                    .iter()
                    .any(|kind| is(kind))
        };
        if !of(&draft) {
            return Err(format!("no {kind} is made of {}", self.segment));
        }
        let Some(condition) = &self.condition else {
            return Ok(());
        };
        let other = self.draft(false);
        let same = |row: &&Row| {
            row.structure == self.row.structure
                && row.place == self.row.place
                && !row.map.is_empty()
                && target(&row.map) == kind
        };
        let holds = |row: &Row| {
            let trial = Trial::of(row);
            trial
                .condition
                .as_ref()
                .is_none_or(|condition| condition.holds(&other))
        };
        match !condition.holds(&other) && of(&other) && !rows().iter().filter(same).any(holds) {
            true => Err(format!("a {kind} {ALWAYS}")),
            false => Ok(()),
        }
    }

    /// Whether an element is made of the segment, or refers to what it is said to.
    fn has(&self, element: &str) -> Result<(), String> {
        let made = convert(&self.draft(true).text());
        let made = made.ok_or(format!("no map covers {}", event(&self.row.structure)))?;
        if element.contains('=') {
            return refers(element, &made.bundle);
        }
        let of = made.of(&self.segment);
        match of.iter().any(|own| own.starts_with(element)) {
            true => Ok(()),
            false => Err(format!("{element} is not made of {}", self.segment)),
        }
    }
}

/// Whether a reference is there: `Observation.subject=Patient`.
fn refers(reference: &str, bundle: &serde_json::Value) -> Result<(), String> {
    // A slip of the guide's pen.
    let reference = reference.replace("Immunzation", "Immunization");
    let reference = reference.replace(".reference)", ")");
    let (from, to) = reference.split_once('=').ok_or("no reference")?;
    let kind = from.split(['[', '.']).next().unwrap_or_default();
    let rest = from.split_once('.').map_or("", |(_, rest)| rest);
    let rest = rest.trim_end_matches(".reference").trim_end_matches(".id");
    let there = Way::parse(kind, rest).walk(bundle);
    if let Some(constant) = to.strip_prefix('"') {
        let constant = constant.trim_end_matches('"');
        return match says(&there, constant) {
            true => Ok(()),
            false => Err(format!("is not {constant}")),
        };
    }
    let wanted = to.split(['[', '.']).next().unwrap_or_default();
    match crate::element::referred(&there, bundle)
        .iter()
        .any(|kind| kind == wanted)
    {
        true => Ok(()),
        false => Err(format!("refers to no {wanted}")),
    }
}

/// Of a visit that is not named nothing is taken back, and nobody swaps a bed in it.
fn names_its_visit(structure: &str) -> bool {
    ["ADT_A11", "ADT_A17"].contains(&structure)
}

/// Whether a segment of a message stands behind another one wherever both are.
fn behind(segment: &str, other: &str) -> bool {
    const ORDER: &[&str] = &[
        "MSH", "SFT", "EVN", "SCH", "PID", "PD1", "NK1", "PV1", "PV2", "ORC", "OBR", "TXA", "RXA",
        "RXR", "TQ1", "RGS",
    ];
    let at = |id: &str| ORDER.iter().position(|own| *own == id);
    match (at(segment), at(other)) {
        (Some(own), Some(other)) => own < other,
        _ => false,
    }
}

/// What a segment is the first to make.
fn resource(segment: &str) -> &'static str {
    match segment {
        "PV1" => "=Encounter",
        "RXA" => "=Immunization",
        "SPM" => "=Specimen",
        _ => "=Condition",
    }
}

fn event(structure: &str) -> &'static str {
    Box::leak(structure.replace('_', "^").into_boxed_str())
}

/// What becomes of a row that does not pass, which is said to be so.
fn otherwise(row: &Row, why: &str, said: &Differs) -> (State, Option<String>) {
    let there = match &said.how {
        How::Nowhere => return (State::Nowhere(said.why.clone()), None),
        How::Prose => return (State::Prose, None),
        How::Always if why.ends_with(ALWAYS) => Ok(()),
        How::Always => Err(why.to_owned()),
        How::At(element) => Trial::of(row).has(element),
    };
    match there {
        Ok(()) => (State::Elsewhere(said.why.clone()), None),
        Err(wrong) => {
            let told = format!("{}: our own element: {wrong}", name(row));
            (State::Not(wrong), Some(told))
        }
    }
}

pub fn states() -> &'static [(State, Option<String>)] {
    static STATES: OnceLock<Vec<(State, Option<String>)>> = OnceLock::new();
    STATES.get_or_init(|| {
        let state = |row: &Row| {
            if row.prose {
                return (State::Prose, None);
            }
            let own = Trial::of(row).passes();
            match (own, said(row)) {
                (Ok(()), None) => (State::Done, None),
                (Err(why), None) => (State::Not(why), None),
                (Err(why), Some(said)) => otherwise(row, &why, said),
                (Ok(()), Some(_)) => (
                    State::Done,
                    Some(format!(
                        "{}: passes, and is in differs-messages.tsv all the same",
                        name(row)
                    )),
                ),
            }
        };
        rows().iter().map(state).collect()
    })
}

pub fn name(row: &Row) -> String {
    let parts = [&row.place, &row.when, &row.target, &row.map, &row.reference];
    let parts: Vec<&str> = parts
        .iter()
        .map(|part| part.as_str())
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(" ")
}

#[test]
fn each_row_is_implemented_or_differs_for_a_reason() {
    let missing: Vec<String> = rows()
        .iter()
        .zip(states())
        .filter_map(|(row, (state, _))| match state {
            State::Not(why) => Some(format!("{}: {why}", name(row))),
            _ => None,
        })
        .collect();
    assert!(
        missing.is_empty(),
        "{} rows of the guide's message maps are not implemented:\n{}",
        missing.len(),
        missing.join("\n")
    );
}

#[test]
fn what_is_said_to_differ_does() {
    let wrong: Vec<&str> = states()
        .iter()
        .filter_map(|(_, wrong)| wrong.as_deref())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let of_none = |one: &&Differs| {
        !rows()
            .iter()
            .any(|row| !row.prose && said(row).is_some_and(|own| std::ptr::eq(own, *one)))
    };
    let unused: Vec<String> = differs()
        .iter()
        .filter(of_none)
        .map(|one| format!("{} {} {}", one.structure, one.place, one.map))
        .collect();
    assert!(
        unused.is_empty(),
        "differs-messages.tsv has rows that are of no row of the guide:\n{}",
        unused.join("\n")
    );
}
