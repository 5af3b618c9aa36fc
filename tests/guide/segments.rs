//! Segment maps.

use crate::condition::{self, Condition};
use crate::convert::{Made, convert};
use crate::differs::{self, Differs, How};
use crate::draft::{Context, Draft, Place};
use crate::element::{Way, referred, says};
use crate::kept::repository;
use crate::sample::{observed, sample};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::OnceLock;

/// A row of the guide.
#[derive(Debug, Clone)]
pub struct Row {
    pub map: String,
    pub place: String,
    pub kind: String,
    pub when: String,
    pub to: String,
    pub conversion: String,
    pub code: String,
    pub becomes: String,
    pub value: String,
    pub prose: bool,
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Done,
    /// Another element has the value.
    Elsewhere(String),
    /// None has.
    Nowhere(String),
    Not(String),
    Prose,
}

pub fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        table("tests/guide/segments.tsv")
            .map(|cells| {
                let [
                    map,
                    place,
                    kind,
                    when,
                    to,
                    _,
                    conversion,
                    _,
                    code,
                    becomes,
                    value,
                    class,
                ] = &cells[..]
                else {
                    panic!("a row of {} cells: {cells:?}", cells.len())
                };
                Row {
                    map: map.clone(),
                    place: place.clone(),
                    kind: kind.clone(),
                    when: when.clone(),
                    to: to.clone(),
                    conversion: conversion.clone(),
                    code: code.clone(),
                    becomes: becomes.clone(),
                    // Some elements have their constant behind them.
                    value: match to.split_once('=') {
                        Some((_, constant)) if value.is_empty() => constant.to_owned(),
                        _ => value.clone(),
                    },
                    prose: class == "prose",
                }
            })
            .collect()
    })
}

pub fn table(file: &str) -> std::vec::IntoIter<Vec<String>> {
    let text = std::fs::read_to_string(repository(file)).expect(file);
    let lines = text.lines().skip(1).filter(|line| !line.is_empty());
    let rows: Vec<Vec<String>> = lines
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect();
    rows.into_iter()
}

pub fn target(map: &str) -> String {
    let inner = map.split_once('[').unwrap().1.trim_end_matches(']');
    inner.split('-').next().unwrap().to_owned()
}

fn differs() -> &'static [Differs] {
    static FOUND: OnceLock<Vec<Differs>> = OnceLock::new();
    FOUND.get_or_init(|| differs::read("tests/guide/differs.tsv"))
}

/// What is said of this row.
fn said(row: &Row) -> Option<&'static Differs> {
    differs::said(differs(), &row.map, &row.place, &row.to, &row.when)
}

const ADT: Context = Context {
    event: "ADT^A01",
    order: "MSH SFT EVN PID PD1 PRT NK1 PV1 PV2 ROL OBX NTE AL1 IAM DG1 PR1 GT1 IN1 IN2 IN3",
    there: "MSH PID PV1",
};
const EVENT: Context = Context {
    there: "MSH EVN PID PV1",
    ..ADT
};
const CHANGE: Context = Context {
    event: "ADT^A06",
    order: "MSH SFT EVN PID PD1 MRG NK1 PV1 PV2 ROL AL1 DG1 PR1 GT1 IN1 IN2 IN3",
    there: "MSH PID PV1",
};
const RESULT: Context = Context {
    event: "ORU^R01",
    order: "MSH SFT PID PD1 PV1 PV2 ORC OBR TQ1 OBX PRT NTE SPM",
    there: "MSH PID OBR",
};
const OBSERVED: Context = Context {
    there: "MSH PID OBR OBX",
    ..RESULT
};
const ORDER: Context = Context {
    event: "OML^O21",
    order: "MSH SFT PID PD1 PV1 ORC TQ1 OBR NTE PRT DG1 SPM",
    there: "MSH PID OBR",
};
const GENERAL: Context = Context {
    event: "ORM^O01",
    order: "MSH SFT PID PV1 ORC OBR RXO RXE RXR NTE DG1 OBX",
    there: "MSH PID",
};
const PHARMACY: Context = Context {
    event: "RDE^O11",
    order: "MSH SFT PID PV1 ORC TQ1 RXO RXE TQ1 RXR",
    there: "MSH PID ORC RXE",
};
const MEDICATION: Context = Context {
    event: "OMP^O09",
    order: "MSH SFT PID PV1 ORC TQ1 RXO RXR",
    there: "MSH PID ORC RXO",
};
const GIVEN: Context = Context {
    event: "RAS^O17",
    order: "MSH SFT PID PV1 ORC RXA RXR",
    there: "MSH PID ORC RXA",
};
const VACCINE: Context = Context {
    event: "VXU^V04",
    order: "MSH SFT PID PD1 NK1 PV1 ORC PRT RXA RXR OBX NTE",
    there: "MSH PID RXA",
};
const SCHEDULE: Context = Context {
    event: "SIU^S12",
    order: "MSH SFT SCH TQ1 NTE PID PV1 RGS AIS AIG AIL AIP",
    there: "MSH SCH PID",
};
const DOCUMENT: Context = Context {
    event: "MDM^T02",
    order: "MSH SFT EVN PID PV1 ORC OBR TXA OBX NTE",
    there: "MSH PID TXA",
};
const RESPONSE: Context = Context {
    event: "ORL^O22",
    order: "MSH MSA PID ORC OBR",
    there: "MSH MSA PID",
};

const PARTICIPANT: Context = Context {
    event: "ORU^R01",
    order: "MSH SFT PID PRT PV1 OBR",
    there: "MSH PID OBR",
};
const VISIT: Context = Context {
    event: "ORU^R01",
    order: "MSH SFT PID PV1 PRT OBR",
    there: "MSH PID PV1 OBR",
};
const INSURED: Context = Context {
    there: "MSH PID PV1 IN1",
    ..ADT
};
/// Without a provenance of the source, which would pass for one of the transformation.
const TAKEN_BACK: Context = Context {
    event: "ADT^A11",
    ..ADT
};
const PERSON: Context = Context {
    event: "ADT^A28",
    ..ADT
};

/// Where a map is tried: the first that passes counts.
fn contexts(map: &str) -> &'static [Context] {
    match map {
        "NTE[Appointment-Comment]" | "PID[Appointment]" => &[SCHEDULE],
        "NTE[DocumentReference]" | "OBX[DocumentReference]" => &[DOCUMENT],
        "NTE[Observation]" | "OBX[Observation]" | "OBX[Observation-Component]" => &[OBSERVED],
        "NTE[ServiceRequest]" | "OBR[ServiceRequest]" => &[ORDER, RESULT],
        "ORC[ServiceRequest]" | "ORC[Provenance]" | "TQ1[ServiceRequest]" => {
            &[ORDER, RESULT, GENERAL]
        }
        "ORC[Immunization]" | "RXA[Immunization]" | "RXR[Immunization]" => &[VACCINE],
        "ORC[MedicationAdministration]" => &[GIVEN],
        "RXO[MedicationRequest]" | "RXR[MedicationRequest]" | "TQ1[MedicationRequest]" => {
            &[MEDICATION, PHARMACY, GENERAL]
        }
        "MRG[Account]" => &[CHANGE],
        "MSH[Provenance-Operator]" => &[EVENT],
        "MSH[Provenance-Transformation]" => &[TAKEN_BACK],
        "MSH[Provenance-Source]" | "SFT[MessageHeader]" => &[RESULT],
        "MSA[MessageHeader]" => &[RESPONSE],
        "PRT[Device]" | "PRT[Observation-Location]" => &[OBSERVED],
        "PRT[PractitionerRole]" => &[OBSERVED, VISIT],
        "PRT[RelatedPerson]" => &[PARTICIPANT],
        "IN3[CareTeam]" => &[INSURED],
        "ROL[CareTeam]" => &[PERSON],
        "PRT[Patient-GeneralPractitioner-PractitionerRole]" => &[PERSON],
        _ => match &map[..3] {
            "AIG" | "AIL" | "AIP" | "AIS" | "SCH" => &[SCHEDULE],
            "OBR" | "ORC" | "SPM" => &[RESULT, ORDER],
            "TXA" => &[DOCUMENT],
            _ => &[ADT],
        },
    }
}

/// PRT-4 of a map, so that the message map chooses it.
fn participation(map: &str) -> &'static str {
    match map {
        "PRT[RelatedPerson]" => "EC",
        "PRT[CareTeam]" => "AT",
        _ => "PP",
    }
}

/// Values of places that take no other.
const SAMPLES: &[(&str, &str)] = &[
    ("OBX-29", "RSLT"),
    ("DG1-21", "D"),
    ("AL1-2", "DA"),
    ("IAM-2", "DA"),
    ("IAM-15", "MTH"),
    ("IAM-17", "C"),
    ("MSH-19", "en"),
    ("OBR-53", "ID7^^^AUTH&1.2.3.4.5&ISO"),
    ("ORC-33", "ID7^^^AUTH&1.2.3.4.5&ISO"),
    ("PV1-19", "ID7^^^AUTH&1.2.3.4.5&ISO"),
    ("PV2-22", "Y"),
    ("TXA-17", "AU"),
    ("RXO-4", "mL^milliliter^UCUM"),
    ("RXO-12", "mL^milliliter^UCUM"),
    ("RXO-19", "mg^milligram^UCUM"),
    ("RXO-26", "mL^milliliter^UCUM"),
    ("TQ1-6", "7^d&day&UCUM"),
    ("TQ1-13", "7^d&day&UCUM"),
];

type Settings = &'static [(&'static str, &'static str)];

/// What stands beside a value so that FHIR has room for it: map, place, and what is set.
const BESIDE: &[(&str, &str, Settings)] = &[
    (
        "MSH[Encounter]",
        "MSH-9",
        &[("PV1-2", ""), ("PV1-44", "20260101")],
    ),
    ("NK1[Patient]", "NK1-3", &[("NK1-13", "ORG1")]),
    (
        "TXA[Provenance]",
        "TXA-",
        &[("TXA-8", "20260101030405"), ("TXA-9", "X1^FAMILY^GIVEN")],
    ),
    ("PRT[PractitionerRole]", "PRT-7", &[("PRT-8", "CLINIC")]),
    (
        "PRT[PractitionerRole]",
        "PRT-23",
        &[("PRT-15", "^WPN^PH^^^^5551234")],
    ),
    (
        "PRT[RelatedPerson]",
        "PRT-23",
        &[("PRT-15", "^WPN^PH^^^^5551234")],
    ),
    (
        "MSH[Provenance-Transformation]",
        "MSH",
        &[("PV1-19", "V1^^^AUTH&1.2.3.4.5&ISO")],
    ),
    ("MRG[Account]", "MRG", &[("MRG-3", "ID1")]),
    ("PRT[Device]", "PRT-1", &[("PRT-10", "DEV1")]),
    ("PRT[Device]", "PRT-2", &[("PRT-10", "DEV1")]),
    ("PRT[CareTeam]", "PRT-14", &[("PRT-8", "CLINIC")]),
    ("PRT[CareTeam]", "PRT-15", &[("PRT-8", "CLINIC")]),
    ("SFT[Device]", "SFT-6", &[("SFT-2", "1.0")]),
    (
        "RXA[Immunization]",
        "RXA-28",
        &[("RXA-27", "WARD^ROOM^BED^SITE")],
    ),
    ("OBR[ServiceRequest]", "OBR-46", &[("OBR-4", "TEST1")]),
    ("IN1[Coverage]", "IN1-16", &[("IN1-4", "COMPANY")]),
    (
        "AIG[Appointment]",
        "AIG-",
        &[("AIG-10", "min"), ("AIG-12", "min")],
    ),
    (
        "AIL[Appointment]",
        "AIL-",
        &[("AIL-8", "min"), ("AIL-10", "min")],
    ),
    (
        "AIP[Appointment]",
        "AIP-",
        &[("AIP-8", "min"), ("AIP-10", "min")],
    ),
    (
        "AIS[Appointment]",
        "AIS-",
        &[("AIS-6", "min"), ("AIS-8", "min")],
    ),
    ("ORC[Provenance]", "ORC-", &[("ORC-10", "X1^FAMILY^GIVEN")]),
    (
        "PID[Provenance-Patient]",
        "PID",
        &[("PID-33", "20260101"), ("PID-34", "NAME1")],
    ),
    ("PID[Account]", "PID", &[("PID-18", "ID1")]),
    ("OBX[Observation]", "OBX-11", &[("OBX-5", "")]),
    ("OBX[", "OBX-24", &[("OBX-23", "ORG1")]),
    ("OBR[Specimen]", "OBR-", &[("OBR-14", "20260101030405")]),
    ("OBR[", "OBR-8", &[("OBR-7", "20260101030405")]),
    ("IN1[", "IN1-5", &[("IN1-4", "COMPANY")]),
    ("EVN[Provenance]", "EVN", &[("EVN-5", "X1^FAMILY^GIVEN")]),
    ("ORC[Provenance]", "ORC-22", &[("ORC-21", "ORG1")]),
    ("ORC[Provenance]", "ORC-23", &[("ORC-21", "ORG1")]),
    (
        "ORC[Provenance]",
        "ORC-24",
        &[("ORC-12", "X1^FAMILY^GIVEN")],
    ),
    (
        "ORC[ServiceRequest]",
        "ORC-21",
        &[("ORC-12", "X1^FAMILY^GIVEN")],
    ),
    (
        "ORC[ServiceRequest]",
        "ORC-22",
        &[("ORC-21", "ORG1"), ("ORC-12", "X1^FAMILY^GIVEN")],
    ),
    (
        "ORC[ServiceRequest]",
        "ORC-23",
        &[("ORC-21", "ORG1"), ("ORC-12", "X1^FAMILY^GIVEN")],
    ),
    (
        "ORC[ServiceRequest]",
        "ORC-24",
        &[("ORC-12", "X1^FAMILY^GIVEN")],
    ),
    ("AL1[AllergyIntolerance]", "AL1-4", &[("AL1-5", "RASH")]),
    ("RXA[Immunization]", "RXA-7", &[("RXA-6", "7")]),
    (
        "IAM[AllergyIntolerance]",
        "IAM-15",
        &[("IAM-14", "FAMILY^GIVEN")],
    ),
    ("RXO[", "RXO-2", &[("RXO-3", "9")]),
    ("RXO[", "RXO-4", &[("RXO-2", "7"), ("RXO-3", "9")]),
    ("RXO[", "RXO-12", &[("RXO-11", "7")]),
    ("RXO[", "RXO-19", &[("RXO-18", "7")]),
    ("RXO[", "RXO-25", &[("RXO-18", "7")]),
    ("RXO[", "RXO-26", &[("RXO-18", "7"), ("RXO-25", "7")]),
    ("ROL[Patient", "ROL-", &[("ROL-3", "=PP")]),
    (
        "ROL[Patient-GeneralPractitioner]",
        "ROL-11",
        &[("ROL-14", "ORG1")],
    ),
    ("PV1[Encounter]", "PV1-53", &[("PV1-54", "EPISODE1")]),
    (
        "AIS[",
        "AIS-4",
        &[("SCH-11", ""), ("AIS-7", "30"), ("AIS-8", "min")],
    ),
    ("PID[Patient]", "PID-36", &[("PID-35", "SPECIES")]),
    ("DG1[Encounter]", "DG1-", &[("DG1-6", "A")]),
];

fn kinds() -> &'static HashMap<String, String> {
    static KINDS: OnceLock<HashMap<String, String>> = OnceLock::new();
    KINDS.get_or_init(|| {
        rows()
            .iter()
            .map(|row| (row.place.clone(), row.kind.clone()))
            .collect()
    })
}

/// A value for a place that a condition asks for.
pub fn at(place: &Place) -> String {
    let kind = kinds().get(&place.whole().to_string());
    match (kind, place.component) {
        (Some(kind), 0) => sample(kind, "").replace('7', "6"),
        (Some(kind), _) if kind == "EIP" => "E7&NS&1.2.3.4.6&ISO".to_owned(),
        (Some(kind), _) if kind == "DR" || kind == "DTM" => "20260108030405+0000".to_owned(),
        _ => "V7".to_owned(),
    }
}

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strict {
    /// All that the row says.
    Row,
    /// Not where the value is not there: for what is there in any case.
    Always,
    /// Not where the condition does not hold: for elements that are not the row's.
    Other,
}

struct Trial<'r> {
    row: &'r Row,
    place: Place,
    condition: Option<Condition>,
}

impl<'r> Trial<'r> {
    fn of(row: &'r Row) -> Self {
        let place = Place::parse(&row.place).unwrap_or_else(|| panic!("{} is no place", row.place));
        let condition = (!row.when.is_empty()).then(|| {
            condition::parse(&row.when, &place, &row.kind)
                .unwrap_or_else(|why| panic!("{}: {why}", row.when))
        });
        Self {
            row,
            place,
            condition,
        }
    }

    /// The message of the row, with its condition as wanted.
    fn draft(&self, context: &Context, want: bool) -> Draft {
        let mut draft = Draft::new(context);
        draft.add(&self.row.map[..3]);
        self.fill(&mut draft, want);
        // The value may depend on what the condition has set.
        self.fill(&mut draft, want);
        draft
    }

    fn fill(&self, draft: &mut Draft, want: bool) {
        let row = self.row;
        for (map, place, settings) in BESIDE {
            if row.map.starts_with(map) && row.place.starts_with(place) {
                for (other, text) in *settings {
                    let other = Place::parse(other).unwrap();
                    if let Some(text) = text.strip_prefix('=') {
                        draft.set(&other, text);
                    } else if text.is_empty() {
                        draft.clear(&other);
                    } else if !draft.valued(&other) {
                        draft.set(&other, text);
                    }
                }
            }
        }
        let own = match row.place.as_str() {
            "OBX-5" => observed(draft),
            "MSH-9" => draft.get(&self.place),
            "ROL-3" if row.map.starts_with("ROL[Patient") => "PP".to_owned(),
            "PRT-4" => participation(&row.map).to_owned(),
            place => match SAMPLES.iter().find(|own| own.0 == place) {
                Some((_, text)) => (*text).to_owned(),
                None => sample(&row.kind, &row.code),
            },
        };
        draft.set(&self.place, &own);
        // A message map reads a PRT by its role, and one without a person is nobody's.
        if row.map.starts_with("PRT[") {
            let person = match &*row.map {
                "PRT[Device]" | "PRT[Observation-Location]" => None,
                _ => Some(("PRT-5", "X1^FAMILY^GIVEN")),
            };
            let role = ("PRT-4", participation(&row.map));
            for (place, value) in person.into_iter().chain([role]) {
                let place = Place::parse(place).unwrap();
                if draft.get(&place).is_empty() {
                    draft.set(&place, value);
                }
            }
        }
        let observed = Place::parse("OBX-5").unwrap();
        let numeric = draft.code(&Place::parse("OBX-2").unwrap()) == "SN";
        if row.place == "OBX-6" {
            let value = crate::sample::observed(draft);
            draft.set(&observed, &value);
        }
        if let Some(condition) = &self.condition {
            condition.make(want, draft, &self.place, &at);
        }
        if numeric && draft.get(&observed).split('^').count() == 3 {
            draft.set(&Place::parse("OBX-5.4").unwrap(), "20");
        }
        if row.map == "OBX[Observation-Component]" {
            let text = draft.get(&observed);
            draft.repeat(&observed, &[&text, &text]);
        }
    }

    /// Whether the bundle of the row's message has the element, made of the row's value.
    fn passes(&self, context: &Context, way: &Way, strict: Strict) -> Result<(), String> {
        let row = self.row;
        let draft = self.draft(context, true);
        if !draft.takes(&self.place.segment) {
            return Err(format!(
                "{} is not in the message of this test",
                self.place.segment
            ));
        }
        if self
            .condition
            .as_ref()
            .is_some_and(|condition| !condition.holds(&draft))
        {
            return Err("the test cannot make its condition hold".into());
        }
        let made = convert(&draft.text()).ok_or(format!("no map covers {}", context.event))?;
        let there = way.walk(&made.bundle);
        if there.is_empty() {
            return Err("not there".into());
        }
        let constant = row
            .value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let constant = constant.filter(|text| !text.contains('"') && !text.is_empty());
        if let Some(constant) = constant
            && !says(&there, constant)
        {
            return Err(format!("is not {constant}"));
        }
        let sampled = draft.code(&self.place) == row.code;
        if constant.is_none() && sampled && !row.becomes.is_empty() && !says(&there, &row.becomes) {
            return Err(format!("{} does not become {}", row.code, row.becomes));
        }
        let traced = |made: &Made| traced(made, &self.place, way);
        let without = self.without(&draft);
        let without = convert(&without.text()).map(|made| way.walk(&made.bundle));
        let differs = without.is_none_or(|without| !all_in(&there, &without));
        let whole = self.place.field == 0;
        let header = whole && self.place.segment == "MSH";
        let needless = strict == Strict::Always || header || differs;
        if !needless && draft.valued(&self.place) {
            return Err(format!("is there without {} as well", row.place));
        }
        // A reference alone has no value of the place in it.
        let bare = row.conversion.is_empty()
            && way.0.len() > 1
            && way.0.last().is_some_and(|last| last.1.is_empty());
        if constant.is_none()
            && !whole
            && !bare
            && draft.valued(&self.place)
            && way.0[0].0 != "Bundle"
            && strict != Strict::Always
            && !traced(&made)
        {
            return Err(format!("is not made of {}", row.place));
        }
        match strict {
            Strict::Row => self.other_way(context, way, constant),
            _ => Ok(()),
        }
    }

    /// With the condition turned round the element must not be made by this row.
    fn other_way(
        &self,
        context: &Context,
        way: &Way,
        constant: Option<&str>,
    ) -> Result<(), String> {
        let Some(condition) = &self.condition else {
            return Ok(());
        };
        let draft = self.draft(context, false);
        if condition.holds(&draft) {
            return Ok(());
        }
        // Another row of the same element may hold then.
        let same = |other: &&Row| {
            other.map == self.row.map
                && Way::parse(&target(&other.map), &other.to)
                    == Way::parse(&target(&self.row.map), &self.row.to)
        };
        let holds = |other: &Row| {
            let trial = Trial::of(other);
            trial
                .condition
                .as_ref()
                .is_none_or(|condition| condition.holds(&draft))
        };
        if rows().iter().filter(same).any(holds) {
            return Ok(());
        }
        let Some(made) = convert(&draft.text()) else {
            return Ok(());
        };
        let there = way.walk(&made.bundle);
        let wrong = match constant {
            Some(constant) => says(&there, constant),
            None => !there.is_empty() && self.place.field > 0 && traced(&made, &self.place, way),
        };
        match wrong {
            true => Err("is made as well where the condition does not hold".into()),
            false => Ok(()),
        }
    }

    fn without(&self, draft: &Draft) -> Draft {
        let mut without = draft.clone();
        without.clear(&self.place);
        without
    }
}

/// Whether nothing of the first is missing in the second.
pub fn all_in(first: &[Value], second: &[Value]) -> bool {
    let count = |all: &[Value], one: &Value| all.iter().filter(|other| *other == one).count();
    first
        .iter()
        .all(|one| count(second, one) >= count(first, one))
}

fn traced(made: &Made, place: &Place, way: &Way) -> bool {
    traced_from(made, &place.whole().to_string(), way)
}

/// Whether an element of this way is made of what is at a place.
pub fn traced_from(made: &Made, place: &str, way: &Way) -> bool {
    let elements = made.of(place);
    let under = |element: &str, of: &str| {
        let rest = element.strip_prefix(of);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let mut wanted = way.traces();
    wanted.extend(referred(&way.walk(&made.bundle), &made.bundle));
    elements
        .iter()
        .any(|element| wanted.iter().any(|of| under(element, of)))
}

/// The best that a context gives.
fn tried(row: &Row, way: &Way, strict: Strict) -> Result<(), String> {
    let trial = Trial::of(row);
    let mut worst = None;
    for context in contexts(&row.map) {
        match trial.passes(context, way, strict) {
            Ok(()) => return Ok(()),
            Err(why) => worst = worst.or(Some(why)),
        }
    }
    Err(worst.unwrap_or_default())
}

/// The messages by which a row is tried: its condition holds in one, and does not in the other.
pub fn messages(row: &Row) -> Vec<String> {
    let trial = Trial::of(row);
    let both = |context: &Context| [true, false].map(|want| trial.draft(context, want).text());
    contexts(&row.map).iter().flat_map(both).collect()
}

/// What becomes of a row, and what is wrong with what is said of it.
pub fn state(row: &Row) -> (State, Option<String>) {
    if row.prose {
        return (State::Prose, None);
    }
    let own = tried(row, &Way::parse(&target(&row.map), &row.to), Strict::Row);
    let Some(said) = said(row) else {
        return match own {
            Ok(()) => (State::Done, None),
            Err(why) => (State::Not(why), None),
        };
    };
    let name = format!("{} {} {} {}", row.map, row.place, row.to, row.when);
    if own.is_ok() {
        return (
            State::Done,
            Some(format!(
                "{name}: passes, and is in differs.tsv all the same"
            )),
        );
    }
    let why = said.why.clone();
    match &said.how {
        How::Nowhere => (State::Nowhere(why), None),
        How::Prose => (State::Prose, None),
        How::Always => match tried(row, &Way::parse(&target(&row.map), &row.to), Strict::Always) {
            Ok(()) => (State::Done, None),
            Err(wrong) => (State::Not(wrong.clone()), Some(format!("{name}: {wrong}"))),
        },
        How::Spelt(way, constant) | How::At(way, constant) => {
            let mut row = row.clone();
            if matches!(said.how, How::At(..)) {
                // Another element has another constant, and a code of its own.
                row.value = String::new();
                row.becomes = String::new();
            }
            if let Some(constant) = constant {
                row.value.clone_from(constant);
            }
            let strict = match said.how {
                How::Spelt(..) => Strict::Row,
                _ => Strict::Other,
            };
            let way = match way.split_once(':') {
                Some((kind, rest)) => Way::parse(kind, rest),
                None => Way::parse(&target(&row.map), way),
            };
            match (tried(&row, &way, strict), &said.how) {
                (Ok(()), How::Spelt(..)) => (State::Done, None),
                (Ok(()), _) => (State::Elsewhere(why), None),
                (Err(wrong), _) => (
                    State::Not(wrong.clone()),
                    Some(format!("{name}: our own element {wrong}")),
                ),
            }
        }
    }
}

/// Of all rows.
pub fn states() -> &'static [(State, Option<String>)] {
    static STATES: OnceLock<Vec<(State, Option<String>)>> = OnceLock::new();
    STATES.get_or_init(|| rows().iter().map(state).collect())
}

#[test]
fn each_row_is_implemented_or_differs_for_a_reason() {
    let missing: Vec<String> = rows()
        .iter()
        .zip(states())
        .filter_map(|(row, (state, _))| match state {
            State::Not(why) => Some(format!(
                "{} {} {} {:?} {} {}: {why}",
                row.map, row.place, row.when, row.to, row.conversion, row.value
            )),
            _ => None,
        })
        .collect();
    assert!(
        missing.is_empty(),
        "{} rows of the guide's segment maps are not implemented:\n{}",
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
    let unused: Vec<String> = differs()
        .iter()
        .filter(|one| {
            !rows()
                .iter()
                .any(|row| !row.prose && said(row).is_some_and(|own| std::ptr::eq(own, *one)))
        })
        .map(|one| format!("{} {} {}", one.map, one.place, one.to))
        .collect();
    assert!(
        unused.is_empty(),
        "differs.tsv has rows that are of no row of the guide:\n{}",
        unused.join("\n")
    );
}

#[test]
fn every_condition_can_be_read() {
    for row in rows() {
        let _ = Trial::of(row);
    }
}
