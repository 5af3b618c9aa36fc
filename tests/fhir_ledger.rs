//! The ledger is exact: what is not in the bundle is in it.
//!
//! Each leaf of a message has a value that no other has, so that a value that got lost without a word is found: it is in neither.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mllp_bridge::fhir::{Mapper, Options};
use mllp_bridge::hl7::{Payload, peek};
use proptest::prelude::*;
use serde_json::Value;

/// Structures, each with its segments in an order that is valid for it. `+` repeats.
const STRUCTURES: &[(&str, &str)] = &[
    (
        "ADT^A01",
        "EVN PID PD1 ROL+ NK1+ PV1 PV2 ROL+ OBX+ AL1+ DG1+ PR1+ GT1+ IN1+",
    ),
    (
        "ADT^A03",
        "EVN PID PD1 NK1+ PV1 PV2 DG1+ PR1+ OBX+ GT1+ IN1+",
    ),
    ("ADT^A40", "EVN PID PD1 MRG"),
    (
        "ADT^A31",
        "EVN PID PD1 NK1+ PV1 PV2 OBX+ AL1+ IAM+ DG1+ PR1+ GT1+ IN1+",
    ),
    (
        "ORU^R01",
        "PID PD1 NTE+ PV1 PV2 ORC OBR NTE+ TQ1+ OBX NTE+ OBX OBX SPM+ ORC OBR OBX OBX",
    ),
    (
        "ORM^O01",
        "PID PD1 NTE+ PV1 PV2 IN1+ AL1+ ORC OBR NTE+ DG1+ OBX+",
    ),
    (
        "OML^O21",
        "PID PD1 NTE+ NK1+ PV1 PV2 IN1+ AL1+ ORC TQ1+ OBR NTE+ DG1+ OBX+ SPM",
    ),
    ("OMG^O19", "PID PV1 PV2 ORC TQ1+ OBR NTE+ DG1+ OBX+ SPM"),
    ("OUL^R22", "PID PV1 SPM OBX+ OBR ORC NTE+ TQ1+ OBX+"),
    (
        "VXU^V04",
        "PID PD1 NK1+ PV1 ORC RXA RXR OBX+ NTE+ ORC RXA RXR OBX+",
    ),
    (
        "RDE^O11",
        "PID PV1 AL1+ ORC TQ1+ RXO RXR RXE NTE+ TQ1+ RXR OBX+",
    ),
    ("OMP^O09", "PID PV1 AL1+ ORC TQ1+ RXO NTE+ RXR OBX+"),
    (
        "RDS^O13",
        "PID PV1 ORC TQ1+ RXO RXR RXE TQ1+ RXR RXD NTE+ RXR OBX+",
    ),
    (
        "RAS^O17",
        "PID PV1 ORC TQ1+ RXO RXR RXE TQ1+ RXR RXA RXR OBX+",
    ),
    (
        "SIU^S12",
        "SCH TQ1 NTE+ PID PV1 PV2 DG1+ RGS AIS NTE+ AIG NTE+ AIL NTE+ AIP NTE+",
    ),
    ("MDM^T02", "EVN PID PV1 ORC OBR NTE+ TXA OBX+"),
    (
        "DFT^P03",
        "EVN PID PD1 ROL+ PV1 PV2 FT1+ PR1+ DG1+ GT1+ IN1+",
    ),
    (
        "BAR^P01",
        "EVN PID PD1 PV1 PV2 OBX+ AL1+ DG1+ PR1+ GT1+ IN1+",
    ),
    (
        "PPR^PC1",
        "PID PV1 PRB NTE+ ROL+ OBX+ GOL NTE+ OBX+ ORC OBR",
    ),
    (
        "REF^I12",
        "RF1 PRD+ PID NK1+ GT1+ IN1+ AL1+ DG1+ OBR NTE+ OBX+ PV1",
    ),
];

/// What a field is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    Empty,
    /// One word.
    Word,
    /// A word in each of seven components.
    Words,
    /// Two subcomponents in each of four components.
    Deep,
    /// As `Words`, twice.
    Twice,
    /// A number, and its unit.
    Number,
    /// A day.
    Day,
    /// A time.
    Time,
    /// Codes that maps ask for, which are not unique and so not looked for.
    Code(&'static str),
}

fn fill() -> impl Strategy<Value = Fill> {
    let codes = vec![
        "NM", "SN", "ST", "CWE", "DT", "ED", "TX", "DR", "F", "P", "A", "D", "NW", "CA", "PP", "1",
        "<", "HL70001", "AN",
    ];
    prop_oneof![
        2 => Just(Fill::Empty),
        2 => Just(Fill::Word),
        5 => Just(Fill::Words),
        2 => Just(Fill::Deep),
        2 => Just(Fill::Twice),
        2 => Just(Fill::Number),
        2 => Just(Fill::Day),
        2 => Just(Fill::Time),
        1 => prop::sample::select(codes).prop_map(Fill::Code),
    ]
}

/// The values of one message.
#[derive(Default)]
struct Unique {
    count: usize,
    /// Path, and what is there.
    leaves: Vec<(String, String)>,
}

impl Unique {
    fn next(&mut self, fill: Fill, path: String) -> String {
        self.count += 1;
        let number = self.count;
        let value = match fill {
            Fill::Number => format!("{}.25", 700_000 + number),
            Fill::Day => day(number),
            Fill::Time => format!("{}1017", day(number)),
            _ => format!("w{number}x"),
        };
        self.leaves.push((path, value.clone()));
        value
    }

    fn repetition(&mut self, fill: Fill, path: &str) -> String {
        let components = |unique: &mut Self, many: usize| {
            let each = (1..=many).map(|n| unique.next(Fill::Word, format!("{path}.{n}")));
            each.collect::<Vec<_>>().join("^")
        };
        match fill {
            Fill::Empty => String::new(),
            Fill::Code(code) => code.to_owned(),
            Fill::Words | Fill::Twice => components(self, 7),
            Fill::Number => {
                let number = self.next(fill, format!("{path}.1"));
                format!("{number}^{}", self.next(Fill::Word, format!("{path}.2")))
            }
            Fill::Deep => {
                let mut all = Vec::new();
                for n in 1..=4 {
                    let one = self.next(Fill::Word, format!("{path}.{n}.1"));
                    let two = self.next(Fill::Word, format!("{path}.{n}.2"));
                    all.push(format!("{one}&{two}"));
                }
                all.join("^")
            }
            Fill::Word | Fill::Day | Fill::Time => self.next(fill, path.to_owned()),
        }
    }

    fn field(&mut self, fill: Fill, path: &str) -> String {
        match fill {
            Fill::Twice => {
                let one = self.repetition(fill, &format!("{path}[1]"));
                format!("{one}~{}", self.repetition(fill, &format!("{path}[2]")))
            }
            _ => self.repetition(fill, path),
        }
    }
}

/// A day of its own for each number.
fn day(number: usize) -> String {
    let (year, rest) = (1000 + number / 336, number % 336);
    format!("{year}{:02}{:02}", rest / 28 + 1, rest % 28 + 1)
}

/// A message, and its leaves by path.
fn render(event: &str, segments: &[(&str, Vec<Fill>)]) -> (String, Vec<(String, String)>) {
    let mut unique = Unique::default();
    let mut text = format!("MSH|^~\\&|LAB|HOSP|R|H|20260301101500||{event}|C1|P|2.5\r");
    for (at, (id, fills)) in segments.iter().enumerate() {
        let before = segments[..at].iter().filter(|(own, _)| own == id).count();
        let name = match before {
            0 => (*id).to_owned(),
            many => format!("{id}[{}]", many + 1),
        };
        let mut fields = Vec::new();
        for (field, fill) in fills.iter().enumerate() {
            fields.push(unique.field(*fill, &format!("{name}-{}", field + 1)));
        }
        text.push_str(&format!("{id}|{}\r", fields.join("|")));
    }
    (text, unique.leaves)
}

/// Places of the maps that carry nothing, without what is below the field: `PID-1`.
fn skipped() -> &'static BTreeSet<String> {
    static SKIPPED: OnceLock<BTreeSet<String>> = OnceLock::new();
    SKIPPED.get_or_init(|| {
        let mut found = BTreeSet::new();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/segments");
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            for line in text.lines() {
                let Some((_, rest)) = line.split_once("skip: [") else {
                    continue;
                };
                let (places, _) = rest.split_once(']').unwrap();
                found.extend(places.split(',').map(|place| place.trim().to_owned()));
            }
        }
        found
    })
}

/// `PID-1` of `PID[2]-1[3].2`.
fn field_of(path: &str) -> String {
    let (segment, rest) = path.split_once('-').unwrap();
    let field = rest.split(['.', '[']).next().unwrap();
    format!("{}-{field}", segment.split('[').next().unwrap())
}

/// The text of the documents in a bundle, which are in Base64 there.
fn documents(value: &Value, found: &mut String) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| documents(item, found)),
        Value::Object(members) => {
            let data = members.get("data").and_then(Value::as_str);
            let text = data.and_then(|data| STANDARD.decode(data).ok());
            found.push_str(&String::from_utf8_lossy(&text.unwrap_or_default()));
            members.values().for_each(|member| documents(member, found));
        }
        _ => {}
    }
}

/// Whether a bundle has a value: as it is, or as the date that it became.
fn has(bundle: &str, value: &str) -> bool {
    let date = |text: &str| {
        let part = |range| text.get(range).unwrap_or_default();
        format!("{}-{}-{}", part(0..4), part(4..6), part(6..8))
    };
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    bundle.contains(value) || digits && value.len() >= 8 && bundle.contains(&date(value))
}

/// Places that are in neither bundle nor ledger.
fn vanished(text: &str, leaves: &[(String, String)]) -> Vec<String> {
    static MAPPER: OnceLock<Mapper> = OnceLock::new();
    let mapper = MAPPER.get_or_init(|| Mapper::embedded().expect("the maps"));
    let Payload::V2(header) = peek(text.as_bytes()) else {
        panic!("no header")
    };
    let options = Options {
        ledger: true,
        ..Options::default()
    };
    // One that names nobody, or one patient twice, makes no bundle.
    let Ok(made) = mapper.convert(text.as_bytes(), &header, true, &options) else {
        return Vec::new();
    };
    let lost: BTreeSet<&str> = made.ledger.lost.iter().map(|lost| &*lost.path).collect();
    let tree: Value = serde_json::from_slice(&made.bundle).unwrap();
    let mut bundle = String::from_utf8(made.bundle).unwrap();
    documents(&tree, &mut bundle);
    let gone = leaves.iter().filter(|(path, value)| {
        !lost.contains(path.as_str())
            && !has(&bundle, value)
            && !skipped().contains(&field_of(path))
    });
    gone.map(|(path, value)| format!("{path} ({value})"))
        .collect()
}

fn message() -> impl Strategy<Value = (String, Vec<(&'static str, Vec<Fill>)>)> {
    prop::sample::select(STRUCTURES).prop_flat_map(|(event, segments)| {
        let mut all = Vec::new();
        for name in segments.split(' ') {
            let most = if name.ends_with('+') { 2 } else { 1 };
            let id = name.trim_end_matches('+');
            let segment = prop::collection::vec(fill(), 0..40).prop_map(move |fills| (id, fills));
            all.push(prop::collection::vec(segment, 0..=most));
        }
        let event = event.to_owned();
        all.prop_map(move |all| (event.clone(), all.concat()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_in_the_bundle_is_in_the_ledger((event, segments) in message()) {
        let (text, leaves) = render(&event, &segments);
        let gone = vanished(&text, &leaves);
        prop_assert!(gone.is_empty(), "in neither: {}\n{}", gone.join(", "), text.replace('\r', "\n"));
    }
}

#[test]
fn this_test_finds_what_it_looks_for() {
    let text = "MSH|^~\\&|LAB|HOSP|R|H|20260301101500||ADT^A01|C1|P|2.5\rPID|1||w1x||w2x\r";
    let leaf = |path: &str, value: &str| (path.to_owned(), value.to_owned());
    let leaves = [
        leaf("PID-5", "w2x"),
        leaf("PID-5.1", "w9x"),
        leaf("PID-1", "w8x"),
    ];
    assert_eq!(vanished(text, &leaves), ["PID-5.1 (w9x)"]);
}

#[test]
fn a_day_has_a_number_of_its_own() {
    let days: BTreeSet<String> = (0..5000).map(day).collect();
    assert_eq!(days.len(), 5000);
    assert!(has("\"1000-01-02\"", &day(1)));
}
