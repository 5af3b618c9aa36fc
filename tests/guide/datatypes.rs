//! Data type maps: a value with the row's component in it, given to the map by a field of a Z segment.

use crate::condition::{self, Condition};
use crate::convert::{Made, convert};
use crate::differs::{self, Differs, How, like};
use crate::draft::{Context, Draft, Place};
use crate::element::{Way, says};
use crate::sample::sample;
use crate::segments::{State, Strict, all_in, table, traced_from};
use std::fmt::Write as _;
use std::sync::OnceLock;

/// A row of the guide.
#[derive(Debug, Clone)]
pub struct Row {
    pub map: String,
    pub place: String,
    pub kind: String,
    pub when: String,
    pub to: String,
    vocabulary: String,
    value: String,
    prose: bool,
}

pub fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        table("tests/guide/datatypes.tsv")
            .map(|cells| {
                let [map, place, kind, when, to, _, _, vocabulary, value, class] = &cells[..]
                else {
                    panic!("a row of {} cells: {cells:?}", cells.len())
                };
                Row {
                    map: map.clone(),
                    place: place.clone(),
                    kind: kind.clone(),
                    when: when.clone(),
                    to: to.clone(),
                    vocabulary: vocabulary.clone(),
                    value: value.clone(),
                    prose: class == "prose",
                }
            })
            .collect()
    })
}

fn differs() -> &'static [Differs] {
    static FOUND: OnceLock<Vec<Differs>> = OnceLock::new();
    FOUND.get_or_init(|| differs::read("tests/guide/differs-datatypes.tsv"))
}

fn said(row: &Row) -> Option<&'static Differs> {
    differs::said(differs(), &row.map, &row.place, &row.to, &row.when)
}

/// The maps of the guide, each of which reads the field of its number (from 1) of the segment.
fn maps() -> &'static [&'static str] {
    static MAPS: OnceLock<Vec<&'static str>> = OnceLock::new();
    MAPS.get_or_init(|| {
        let mut maps: Vec<&str> = rows().iter().map(|row| &*row.map).collect();
        maps.dedup();
        maps
    })
}

fn field(map: &str) -> usize {
    let at = maps().iter().position(|own| *own == map);
    at.expect("a map of a row") + 1
}

/// Maps under another name here, and conversions that the language has of itself.
const OURS: &[(&str, &str)] = &[
    ("ID[boolean]", "boolean, vocabulary: YesNoIndicator"),
    ("ID[code]", "code"),
    ("IS[code]", "code"),
    ("ID[string]", "string"),
    ("IS[string]", "string"),
    ("CX[string]", "string"),
    ("CQ[decimal]", "decimal"),
    ("NM[Quantity]", "decimal"),
    ("NM[positiveInt]", "positiveInt"),
    ("DR[dateTime]", "dateTime"),
    ("DTM[dateTime]", "dateTime"),
    ("TS[dateTime]", "dateTime"),
    ("HD[uri]", "system"),
    ("ID[CodeableConcept]", "'CWE[CodeableConcept]'"),
    ("IS[CodeableConcept]", "'CWE[CodeableConcept]'"),
    ("EI[Identifier-DefaultAssigner]", "'EI[Identifier]'"),
    ("EI[Identifier-Extension]", "'EI[Identifier]'"),
    ("EI[Identifier-Organization]", "'EI[Identifier]'"),
    ("EI[Identifier-System]", "'EI[Identifier]'"),
    (
        "HD[Identifier]",
        "'HD[Identifier]' + 'HD[Identifier-Universal]'",
    ),
    (
        "CWE[Identifier]",
        "'CWE[Identifier]' + 'CWE[Identifier-Alternate]' + 'CWE[Identifier-SecondAlternate]'",
    ),
    ("ID[Coding]", "'CWE[Coding]'"),
];

/// What `as` has for a map of the guide: the maps of CWE read CE, CF and CNE as well.
fn ours(map: &str) -> String {
    if let Some((_, ours)) = OURS.iter().find(|own| own.0 == map) {
        return (*ours).to_owned();
    }
    match map.split_once('[') {
        Some(("CE" | "CF" | "CNE", rest)) => format!("'CWE[{rest}'"),
        _ => format!("'{map}'"),
    }
}

/// The files of a site whose message has the segment of all maps that are there.
pub fn site(there: &dyn Fn(&str) -> bool) -> [(String, String); 2] {
    let mut asks = "ZDT[Basic]:\n  resource: Basic\n  rows:\n".to_owned();
    for map in maps() {
        let ours = ours(map);
        let number = field(map);
        let list = if ours.contains(" + ") { "[]" } else { "" };
        for ours in ours.split(" + ") {
            let own = ours.trim_matches('\'');
            if !own.contains('[') || there(own) {
                let to = format!("'m{number}{list}'");
                writeln!(asks, "    - {{to: {to}, from: ZDT-{number}, as: {ours}}}").unwrap();
            }
        }
    }
    let message = "ZDT_Z01:\n  events: [ZDT^Z01]\n  body:\n    - segment: MSH\n    - segment: ZDT\n      maps: [{map: 'ZDT[Basic]', into: it}]\n";
    [
        ("messages/ZDT.yaml".to_owned(), message.to_owned()),
        ("segments/ZDT.yaml".to_owned(), asks),
    ]
}

const CONTEXT: Context = Context {
    event: "ZDT^Z01",
    order: "MSH ZDT",
    there: "MSH ZDT",
};

/// Components that stand beside a row's so that there is an element at all: map, place, component and its text.
const BESIDE: &[(&str, &str, usize, &str)] = &[
    ("C*", "C*", 1, "C1"),
    ("C*", "C*", 4, "C4"),
    ("C*", "C*", 10, "C10"),
    ("CQ[Quantity]", "CQ.2", 1, "7"),
    ("CX[*", "*", 1, "ID7"),
    ("DLN[*", "*", 1, "D7"),
    ("ED[*", "*", 5, "aGVsbG8="),
    ("ED[*", "*", 4, "Base64"),
    ("EI[*", "*", 1, "E7"),
    ("EI[*", "EI.3", 4, "ISO"),
    ("EI[*", "EI.4", 3, "1.2.3.4.6"),
    ("HD[*", "HD.3", 2, "1.2.3.4.7"),
    ("MSG[Coding]", "MSG.2", 1, "ADT"),
    ("NDL[*", "*", 1, "X7&FAMILY&GIVEN"),
    ("NDL[*", "NDL.5", 4, "WARD"),
    ("NDL[*", "NDL.6", 5, "ROOM"),
    ("NDL[*", "NDL.10", 7, "SITE"),
    ("NDL[*", "NDL.11", 10, "HOUSE"),
    ("NDL[*", "NDL.4", 11, "FLOOR"),
    ("PLN[*", "*", 1, "P7"),
    ("PL[*", "PL.1", 4, "SITE"),
    ("PL[*", "PL.2", 8, "FLOOR"),
    ("PL[*", "PL.3", 2, "ROOM"),
    ("PL[*", "PL.7", 4, "SITE"),
    ("PL[*", "PL.8", 7, "HOUSE"),
    ("PL[*", "PL.9", 3, "BED"),
    ("PL[*", "PL.11", 3, "BED"),
    ("PL[*", "PL.11", 10, "E7"),
    ("RPT[*", "RPT.6", 5, "4"),
    ("RPT[*", "RPT.5", 6, "h"),
    ("RPT[*", "RPT.9", 8, "ACM"),
    ("RP[*", "*", 1, "https://example.org/a.pdf"),
    ("RP[*", "RP.3", 4, "x-thing"),
    ("SN[Ratio]", "*", 2, "1"),
    ("SN[Ratio]", "*", 4, "2"),
    ("TQ[Appointment]", "TQ.5", 4, "20260106030405+0000"),
    ("XAD[*", "*", 3, "CITY"),
    ("XCN[*", "*", 1, "X7"),
    ("XCN[*", "*", 2, "FAMILY"),
    ("XON[*", "*", 1, "CLINIC"),
    ("XON[*", "*", 10, "O7"),
    ("XPN[HumanName]", "*", 1, "FAMILY"),
    ("XTN[*", "XTN.2", 12, "5551237"),
    ("XTN[*", "XTN.3", 12, "5551237"),
    ("XTN[*", "XTN.5", 12, "5551237"),
    ("XTN[*", "XTN.6", 12, "5551237"),
    ("XTN[*", "XTN.8", 12, "5551237"),
    ("XTN[*", "XTN.13", 12, "5551237"),
    ("XTN[*", "XTN.14", 12, "5551237"),
    ("XTN[*", "XTN.18", 12, "5551237"),
];

/// Texts of components that take no other: map, place and element (with `*`), and the text.
const SAMPLES: &[(&str, &str, &str, &str)] = &[
    ("C*", "*", "*system", "LN"),
    ("CWE[uri]", "*", "*", "https://example.org/c"),
    ("CWE[Timing*", "*", "*", "h"),
    ("ED[*", "ED.2", "*", "IM"),
    ("ED[*", "ED.3", "*", "PDF"),
    ("ED[*", "ED.5", "*", "aGVsbG8="),
    ("EI[*", "EI.3", "*", "1.2.3.4.6"),
    ("EI[*", "EI.4", "*", "ISO"),
    ("HD[Location]", "HD.2", "*", "1.2.3.4.7"),
    (
        "HD[MessageHeader.source-endpoint]",
        "HD.2",
        "endpoint*",
        "1.2.3.4.7",
    ),
    ("HD[Message*", "HD.2", "endpoint", "1.2.3.4.7"),
    ("HD[uri]", "HD.2", "*", "1.2.3.4.7"),
    ("ID[boolean]", "*", "*", "Y"),
    ("ID[CodeableConcept-UniversalID]", "*", "*", "ISO"),
    ("MSG[*", "MSG.2", "*system", "A01"),
    ("MSG[*", "MSG", "*", "ADT^A01^ADT_A01"),
    ("PT[*", "PT.1", "*system", "P"),
    ("PT[*", "PT.2", "*system", "T"),
    ("RI[*", "RI-2", "*", "083000"),
    ("RPT[*", "RPT.6", "*", "h"),
    ("RP[*", "RP.1", "*", "https://example.org/b.pdf"),
    ("RP[*", "RP.3", "*", "text"),
    ("SN[*", "SN.1", "*", "<"),
    ("XAD[*", "XAD.7", "extension[2]*", "L"),
    ("XCN[*", "XCN.18", "*url*", "G"),
    ("XON[*", "XON.7", "*system", "XX"),
    ("XPN[*", "XPN.11", "*url", "G"),
    ("XTN[*", "XTN.3", "system", "FX"),
];

/// What is written in a component, and what the guide wants of it if a text can say that.
fn own(row: &Row, component: usize) -> (String, Option<String>) {
    let known = SAMPLES.iter().find(|(map, place, to, _)| {
        like(map, &row.map) && like(place, &row.place) && like(to, &row.to)
    });
    if let Some((.., text)) = known {
        let meant = (*text == "LN").then(|| "http://loinc.org".to_owned());
        return ((*text).to_owned(), meant);
    }
    let code = vocabulary(&row.vocabulary);
    let plain = format!("V{component}");
    let kind = match (row.kind.as_str(), row.map.split('[').next()) {
        _ if row.place == "XCN.17" => "DR",
        (_, Some(kind @ ("DTM" | "TS" | "NM"))) => kind,
        (kind, _) => kind,
    };
    match kind {
        _ if !code.0.is_empty() => (code.0.to_owned(), Some(code.1.to_owned())),
        "NM" | "SI" => (component.to_string(), Some(component.to_string())),
        "DTM" | "TS" | "DT" | "DR" | "CWE" | "CE" | "HD" | "EI" | "CNN" | "CQ" | "RI" => {
            (sample(kind, "").replace('^', "&"), None)
        }
        "FN" => ("FAMILY&OWN".to_owned(), Some("FAMILY".to_owned())),
        "SAD" => ("LINE1&LINE2&LINE3".to_owned(), Some("LINE1".to_owned())),
        _ => (plain.clone(), Some(plain)),
    }
}

/// The rows of all vocabularies.
fn vocabularies() -> &'static [Vec<String>] {
    static ROWS: OnceLock<Vec<Vec<String>>> = OnceLock::new();
    ROWS.get_or_init(|| table("tests/guide_vocabularies/vocabularies.tsv").collect())
}

/// A code of a vocabulary, and what it becomes.
fn vocabulary(name: &str) -> (&'static str, &'static str) {
    let first = vocabularies().iter().find(|cells| cells[0] == name);
    first.map_or(("", ""), |cells| (&cells[2], &cells[4]))
}

/// What a code of a vocabulary becomes.
fn becomes(name: &str, code: &str) -> Option<String> {
    let row = vocabularies()
        .iter()
        .find(|cells| cells[0] == name && cells[2] == code);
    row.map(|cells| cells[4].clone())
}

struct Trial<'r> {
    row: &'r Row,
    place: Place,
    condition: Option<Condition>,
}

impl<'r> Trial<'r> {
    fn of(row: &'r Row) -> Result<Self, String> {
        let component = row.place.split(['.', '-']).nth(1);
        let place = Place {
            segment: "ZDT".to_owned(),
            field: field(&row.map),
            component: component
                .map_or(Ok(0), str::parse)
                .map_err(|_| "no component")?,
        };
        let kind = row.map.split('[').next().unwrap_or_default();
        // Slips of the pen, and other words for the same.
        let when = row.when.replace(&format!("{kind}-"), &format!("{kind}."));
        let when = when.replace("DOES NOT EXIST", "NOT VALUED");
        let when = when.replace("NOT VALUED XCN", "NOT VALUED AND XCN");
        let when = when
            .replace("EQUAL TO", "EQUAL")
            .replace("PL3.NOT", "PL.3 NOT");
        // One of the names that are in FHIR's registry.
        let when = match when.split_once(" IN http") {
            Some((place, _)) => format!("{place} IN (\"NPI\")"),
            None => when,
        };
        let condition = match when.as_str() {
            "" => None,
            when => Some(condition::parse(when, &place, kind)?),
        };
        Ok(Self {
            row,
            place,
            condition,
        })
    }

    /// The message of the row, with its condition as wanted.
    fn draft(&self, want: bool) -> Draft {
        let mut draft = Draft::new(&CONTEXT);
        let at = |component| Place {
            component,
            ..self.place.clone()
        };
        for (map, place, component, text) in BESIDE {
            let coded = *map == "C*" && !self.row.map.starts_with("CNN");
            if like(map, &self.row.map) && like(place, &self.row.place) && (coded || *map != "C*") {
                draft.set(&at(*component), text);
            }
        }
        draft.set(&self.place, &own(self.row, self.place.component).0);
        if let Some(condition) = &self.condition {
            let kind = |place: &Place| {
                let of_map = rows().iter().filter(|row| row.map == self.row.map);
                let mut there = of_map.filter(|row| {
                    let component = row.place.split(['.', '-']).nth(1);
                    component == Some(&place.component.to_string())
                });
                there.next().map(|row| row.kind.clone()).unwrap_or_default()
            };
            let text = |place: &Place| match sample(&kind(place), "").as_str() {
                "TEXT7" => format!("W{}", place.component),
                text => text.replace('^', "&"),
            };
            condition.make(want, &mut draft, &self.place, &text);
        }
        draft
    }

    /// Whether the bundle has the element, made of the row's component.
    fn passes(&self, to: &str, strict: Strict) -> Result<(), String> {
        let row = self.row;
        let draft = self.draft(true);
        let condition = self.condition.as_ref();
        if condition.is_some_and(|condition| !condition.holds(&draft)) {
            return Err("the test cannot make its condition hold".into());
        }
        let made = convert(&draft.text()).ok_or("is refused")?;
        let way = self.way(to, &made);
        let there = way.walk(&made.bundle);
        if there.is_empty() {
            return Err("not there".into());
        }
        let constant = constant(row);
        if let Some(constant) = constant
            && !says(&there, constant)
        {
            return Err(format!("is not {constant}"));
        }
        let valued = draft.valued(&self.place);
        let coded = becomes(&row.vocabulary, &draft.get(&self.place));
        let meant = match (own(row, self.place.component), coded) {
            (_, Some(coded)) => Some(coded),
            ((text, meant), None) if text == draft.get(&self.place) => meant,
            _ => None,
        };
        // A reference alone has no value in it.
        let bare = way.0.last().is_some_and(|last| last.1.is_empty()) && way.0.len() > 1;
        let meant = meant.filter(|_| valued && !bare && constant.is_none() && row.value.is_empty());
        if let Some(meant) = &meant
            && !says(&there, meant)
        {
            return Err(format!("is not {meant}"));
        }
        if strict != Strict::Always && valued {
            let mut without = draft.clone();
            without.clear(&self.place);
            let without = convert(&without.text());
            let without = without.map(|made| self.way(to, &made).walk(&made.bundle));
            if without.is_some_and(|without| all_in(&there, &without)) {
                return Err(format!("is there without {} as well", row.place));
            }
            let said = constant.is_some() || row.value == "…" || bare;
            if !said && !self.traced(&draft, &made, &way) {
                return Err(format!("is not made of {}", row.place));
            }
        }
        match strict {
            Strict::Row => self.other_way(to),
            _ => Ok(()),
        }
    }

    /// With the condition turned round the element must not be made by this row.
    fn other_way(&self, to: &str) -> Result<(), String> {
        let Some(condition) = &self.condition else {
            return Ok(());
        };
        let draft = self.draft(false);
        if condition.holds(&draft) {
            return Err("the test cannot make its condition not hold".into());
        }
        // Another row of the same element may hold then.
        let others = rows()
            .iter()
            .filter(|other| other.map == self.row.map && plain(&other.to) == plain(&self.row.to));
        let holds = |other: &Row| {
            let trial = Trial::of(other).ok();
            trial.is_some_and(|trial| trial.condition.is_none_or(|own| own.holds(&draft)))
        };
        if others.clone().any(holds) {
            return Ok(());
        }
        let Some(made) = convert(&draft.text()) else {
            return Ok(());
        };
        let way = self.way(to, &made);
        let there = way.walk(&made.bundle);
        let wrong = match constant(self.row) {
            Some(constant) => says(&there, constant),
            None => !there.is_empty() && self.traced(&draft, &made, &way),
        };
        match wrong {
            true => Err("is made as well where the condition does not hold".into()),
            false => Ok(()),
        }
    }

    /// A trace says `ZDT-1` of a value that has no components.
    fn traced(&self, draft: &Draft, made: &Made, way: &Way) -> bool {
        let whole = self.place.whole();
        let place = match (self.place.component, draft.get(&whole).contains('^')) {
            (1, false) => &whole,
            _ => &self.place,
        };
        traced_from(made, &place.to_string(), way)
    }

    /// From the element that the map made, or from the resource that it refers to.
    fn way(&self, to: &str, made: &Made) -> Way {
        if let Some((kind, rest)) = to.split_once(':') {
            return Way::parse(kind, rest);
        }
        let member = format!("m{}", self.place.field);
        let at = Way::parse("Basic", &member).walk(&made.bundle);
        let to = plain(to);
        let url = at.first().and_then(|value| value.get("reference"));
        let entries = made.bundle["entry"].as_array();
        let entry = url.and_then(|url| entries?.iter().find(|entry| entry["fullUrl"] == *url));
        match entry.and_then(|entry| entry["resource"]["resourceType"].as_str()) {
            Some(kind) => Way::parse(kind, &to),
            None => Way::parse("Basic", &format!("{member}.{to}")),
        }
    }
}

/// An element as the guide's tables have it, without their slips of the pen.
fn plain(to: &str) -> String {
    let to = to.replace("$value", "$this").replace("[3.", "[3].");
    to.trim_start_matches("Quantity.").to_owned()
}

/// The row's constant.
fn constant(row: &Row) -> Option<&str> {
    let value = row.value.strip_prefix('"')?.strip_suffix('"')?;
    Some(value).filter(|text| !text.is_empty() && !text.contains('"'))
}

fn tried(row: &Row, to: &str, strict: Strict) -> Result<(), String> {
    Trial::of(row)?.passes(to, strict)
}

/// What becomes of a row, and what is wrong with what is said of it.
fn state(row: &Row) -> (State, Option<String>) {
    if row.prose {
        return (State::Prose, None);
    }
    let own = tried(row, &row.to, Strict::Row);
    let Some(said) = said(row) else {
        return match own {
            Ok(()) => (State::Done, None),
            Err(why) => (State::Not(why), None),
        };
    };
    let name = name(row);
    if own.is_ok() {
        let wrong = format!("{name}: passes, and is in differs-datatypes.tsv all the same");
        return (State::Done, Some(wrong));
    }
    let (tried, passed) = match &said.how {
        How::Nowhere => return (State::Nowhere(said.why.clone()), None),
        How::Prose => return (State::Prose, None),
        How::Always => (tried(row, &row.to, Strict::Always), State::Done),
        How::Spelt(to, constant) => {
            let mut row = row.clone();
            if let Some(constant) = constant {
                row.value.clone_from(constant);
            }
            (tried(&row, to, Strict::Row), State::Done)
        }
        How::At(to, constant) => {
            let mut row = row.clone();
            row.value = constant.clone().unwrap_or("…".to_owned());
            (
                tried(&row, to, Strict::Other),
                State::Elsewhere(said.why.clone()),
            )
        }
    };
    match tried {
        Ok(()) => (passed, None),
        Err(wrong) => (
            State::Not(wrong.clone()),
            Some(format!("{name}: our own element {wrong}")),
        ),
    }
}

pub fn name(row: &Row) -> String {
    let name = format!("{} {} {} {}", row.map, row.place, row.to, row.when);
    name.trim_end().to_owned()
}

/// Of all rows.
pub fn states() -> &'static [(State, Option<String>)] {
    static STATES: OnceLock<Vec<(State, Option<String>)>> = OnceLock::new();
    STATES.get_or_init(|| rows().iter().map(state).collect())
}

#[test]
fn each_row_is_implemented_or_differs_for_a_reason() {
    assert_eq!(rows().len(), 606, "rows in datatypes.tsv");
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
        "{} rows of the guide's data type maps are not implemented and not said to differ:\n{}",
        missing.len(),
        missing.join("\n")
    );
}

#[test]
fn what_is_said_to_differ_does() {
    let wrong = states().iter().filter_map(|(_, wrong)| wrong.as_deref());
    let wrong: Vec<&str> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for one in differs() {
        let used = rows()
            .iter()
            .any(|row| !row.prose && said(row).is_some_and(|own| std::ptr::eq(own, one)));
        assert!(
            used && !one.why.is_empty(),
            "differs-datatypes.tsv: {} {} {} is of no row of the guide, or without a reason",
            one.map,
            one.place,
            one.to
        );
    }
}
