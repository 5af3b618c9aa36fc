//! Bundles made of other people's messages and of random ones: always FHIR as far as that can be told without its definitions,
//! and always the same.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use mllp_bridge::fhir::{Mapper, NotCovered, Options};
use mllp_bridge::hl7::charset::{AS_IT_SAYS, as_text};
use mllp_bridge::hl7::{Payload, peek};
use proptest::prelude::*;
use serde_json::Value;

use support::corpus::corpus;
use support::fhir_messages::{events, messages, segments};
use support::kept;

mod support;

/// What FHIR R4 requires of the resources that the maps make; `x*` is a choice of types.
const REQUIRED: &[(&str, &[&str])] = &[
    ("Account", &["status"]),
    ("AllergyIntolerance", &["patient"]),
    ("Appointment", &["status", "participant"]),
    ("Basic", &["code"]),
    ("CareTeam", &[]),
    ("ChargeItem", &["status", "code", "subject"]),
    ("Condition", &["subject"]),
    ("Coverage", &["status", "beneficiary", "payor"]),
    ("Device", &[]),
    ("DiagnosticReport", &["status", "code"]),
    ("DocumentReference", &["status", "content"]),
    ("Encounter", &["status", "class"]),
    ("Goal", &["lifecycleStatus", "description", "subject"]),
    (
        "Immunization",
        &["status", "vaccineCode", "patient", "occurrence*"],
    ),
    ("Location", &[]),
    ("Medication", &[]),
    (
        "MedicationAdministration",
        &["status", "medication*", "subject", "effective*"],
    ),
    ("MedicationDispense", &["status", "medication*"]),
    (
        "MedicationRequest",
        &["status", "intent", "medication*", "subject"],
    ),
    ("MessageHeader", &["event*", "source"]),
    ("Observation", &["status", "code"]),
    ("Organization", &[]),
    // A change of what is there.
    ("Parameters", &["parameter"]),
    ("Patient", &[]),
    ("Practitioner", &[]),
    ("PractitionerRole", &[]),
    ("Procedure", &["status", "subject"]),
    ("Provenance", &["target", "recorded", "agent"]),
    ("RelatedPerson", &["patient"]),
    ("ServiceRequest", &["status", "intent", "subject"]),
    ("Specimen", &[]),
];

fn mapper() -> &'static Mapper {
    static MAPPER: OnceLock<Mapper> = OnceLock::new();
    MAPPER.get_or_init(|| Mapper::embedded().expect("the maps"))
}

/// What is wrong with a bundle.
fn faults(bundle: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let none = Vec::new();
    let entries = bundle["entry"].as_array().unwrap_or(&none);
    let mut urls = BTreeSet::new();
    let mut requests = BTreeSet::new();
    for entry in entries {
        if !urls.insert(entry["fullUrl"].as_str().unwrap_or_default()) {
            faults.push(format!("{} is there twice", entry["fullUrl"]));
        }
        let request = &entry["request"];
        let writes = request["method"] == "PUT" || request["method"] == "PATCH";
        if writes && !requests.insert(request["url"].to_string()) {
            faults.push(format!("{} is written twice", request["url"]));
        }
        // What is only changed is referred to by what it is asked for.
        if request["method"] == "PATCH" {
            let url = request["url"].as_str().unwrap_or_default();
            // Whose it must not be is no part of what it is known by.
            urls.insert(url.split("&identifier:not=").next().unwrap_or_default());
        }
    }
    empty(bundle, "Bundle", &mut faults);
    references(bundle, &urls, &mut faults);
    for entry in entries {
        let resource = &entry["resource"];
        let kind = resource["resourceType"].as_str().unwrap_or_default();
        let Some((_, required)) = REQUIRED.iter().find(|row| row.0 == kind) else {
            faults.push(format!("{kind} has no row in this test"));
            continue;
        };
        for name in *required {
            let there = match name.strip_suffix('*') {
                Some(start) => resource
                    .as_object()
                    .is_some_and(|all| all.keys().any(|key| key.starts_with(start))),
                None => resource.get(name).is_some(),
            };
            if !there {
                faults.push(format!("{kind} without {name}"));
            }
        }
    }
    faults
}

fn empty(value: &Value, at: &str, faults: &mut Vec<String>) {
    match value {
        Value::Null => faults.push(format!("null at {at}")),
        Value::String(text) if text.trim().is_empty() => faults.push(format!("empty text at {at}")),
        Value::String(text) if text.chars().any(|c| c < ' ' && !"\t\n\r".contains(c)) => {
            faults.push(format!("a control character at {at}"));
        }
        Value::Array(items) => {
            if items.is_empty() {
                faults.push(format!("an empty list at {at}"));
            }
            items.iter().for_each(|item| empty(item, at, faults));
        }
        Value::Object(members) => {
            if members.is_empty() {
                faults.push(format!("an empty object at {at}"));
            }
            for (name, value) in members {
                empty(value, &format!("{at}.{name}"), faults);
            }
        }
        _ => {}
    }
}

fn references(value: &Value, urls: &BTreeSet<&str>, faults: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, urls, faults)),
        Value::Object(members) => {
            if let Some(Value::String(url)) = members.get("reference")
                && !urls.contains(url.as_str())
            {
                faults.push(format!("nobody is {url}"));
            }
            members
                .values()
                .for_each(|value| references(value, urls, faults));
        }
        _ => {}
    }
}

/// A message's bundle, how many values it has, the places of those that are lost, and its structure; `None` where no map covers it.
fn convert(bytes: &[u8]) -> Option<(Vec<u8>, usize, Vec<String>, String)> {
    let transcoded = OnceLock::new();
    let (message, payload) = as_text(bytes, AS_IT_SAYS, &transcoded);
    let Payload::V2(header) = payload else {
        return None;
    };
    let options = Options {
        ledger: true,
        ..Options::default()
    };
    let utf8 = std::str::from_utf8(message).is_ok();
    let made = mapper().convert(message, &header, utf8, &options).ok()?;
    let lost = made.ledger.lost.into_iter().map(|lost| lost.path).collect();
    Some((made.bundle, made.ledger.values, lost, made.structure))
}

/// What becomes of the values of a structure's messages.
#[derive(Default)]
struct Share {
    messages: usize,
    values: usize,
    lost: usize,
    /// How often each field is among the lost.
    places: BTreeMap<String, usize>,
}

impl Share {
    /// In per mille, so that nothing is rounded twice.
    fn used(&self) -> usize {
        (self.values - self.lost) * 1000 / self.values.max(1)
    }

    /// The fields that are lost most often.
    fn most(&self) -> String {
        let mut fields = BTreeMap::<String, usize>::new();
        for (place, count) in &self.places {
            // `OBX[2]-5[1].1` without the numbers of what repeats.
            let plain = place.split('[').enumerate().map(|(at, part)| match at {
                0 => part,
                _ => part.split_once(']').map_or("", |(_, rest)| rest),
            });
            let plain: String = plain.collect();
            let field = plain.split('.').next().unwrap_or_default();
            *fields.entry(field.to_owned()).or_default() += count;
        }
        let mut fields: Vec<(String, usize)> = fields.into_iter().collect();
        fields.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let first = fields.iter().take(5);
        let named = first.map(|(field, count)| format!("{field} ({count})"));
        named.collect::<Vec<_>>().join(", ")
    }
}

/// The page of the shares; what is committed is what they must not fall below. Without the corpus nobody can make it anew.
const PAGE: &str = "docs/fhir-shares.md";

fn no_share_falls(shares: &BTreeMap<String, Share>) {
    let mut page = String::from(
        "# How much of a message is in its bundle\n\n\
        The values of public messages by structure, and how many of them are in a resource, as the ledger of `convert --to fhir --ledger` counts. `make docs` writes this page\n\
        where the corpus lies beside the repository, and a test fails where a share has fallen.\n\n\
        | structure | messages | values | used | most often in no resource |\n| --- | --- | --- | --- | --- |\n",
    );
    for (structure, share) in shares {
        let used = share.used();
        page.push_str(&format!(
            "| {structure} | {} | {} | {}.{} % | {} |\n",
            share.messages,
            share.values,
            used / 10,
            used % 10,
            share.most()
        ));
    }
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        kept::compare(PAGE, &page);
        return;
    }
    let committed = std::fs::read_to_string(kept::repository(PAGE)).unwrap_or_default();
    for line in committed.lines() {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (Some(structure), Some(used)) = (cells.next(), cells.nth(2)) else {
            continue;
        };
        let digits: String = used.chars().filter(char::is_ascii_digit).collect();
        if let (Some(share), Ok(before)) = (shares.get(structure), digits.parse::<usize>()) {
            assert!(
                share.used() + 1 >= before,
                "{structure}: {used} of the values were in a resource, now {} per mille are",
                share.used()
            );
        }
    }
}

#[test]
fn every_covered_message_of_the_corpus_makes_a_bundle() {
    let Some(samples) = corpus() else {
        return;
    };
    let mut shares = BTreeMap::<String, Share>::new();
    let mut wrong = Vec::new();
    for sample in &samples {
        let Some((bundle, values, lost, structure)) = convert(&sample.bytes) else {
            continue;
        };
        let again = convert(&sample.bytes).map(|made| made.0);
        assert_eq!(again.as_ref(), Some(&bundle), "{}", sample.name);
        let value: Value = serde_json::from_slice(&bundle).expect("JSON");
        for fault in faults(&value) {
            wrong.push(format!("{}: {fault}", sample.name));
        }
        let share = shares.entry(structure).or_default();
        share.messages += 1;
        share.values += values;
        for place in lost {
            share.lost += 1;
            *share.places.entry(place).or_default() += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    no_share_falls(&shares);
    let converted: usize = shares.values().map(|share| share.messages).sum();
    assert!(converted > 300, "only {converted} of {}", samples.len());
}

/// Fields as senders fill them, and as they should not.
fn field() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => Just(String::new()),
        2 => prop::sample::select(vec![
            "20260301", "20260301101500", "2026", "20269999", "F", "M", "I", "P", "N", "Y", "D", "A", "NM", "SN",
            "CWE", "ST", "ED", "DT", "TM", "RP", "1", "0", "-3", "1.50", "LN", "HL70001", "HL79999", "UCUM", "mg",
            "ISO", "1.2.3", "2.16.840.1.113883.19", "UUID", "\"\"", "Base64", "aGk=", "final", "U", "NW", "CA",
        ]).prop_map(str::to_owned),
        1 => "[ -~]{0,12}".prop_map(|text| text.replace(['|', '\r', '\n'], " ")),
        1 => "[\\x00-\\x09\\x0e-\\x1f\u{80}-\u{2ff}]{0,4}",
    ];
    let component = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("&"));
    let repetition = prop::collection::vec(component, 1..6).prop_map(|parts| parts.join("^"));
    prop::collection::vec(repetition, 1..3).prop_map(|parts| parts.join("~"))
}

fn message() -> impl Strategy<Value = String> {
    let segment = (
        prop::sample::select(segments()),
        prop::collection::vec(prop_oneof![2 => Just(String::new()), 3 => field()], 0..28),
    )
        .prop_map(|(id, fields)| format!("{id}|{}\r", fields.join("|")));
    (
        prop::sample::select(events()),
        field(),
        prop::collection::vec(segment, 0..10),
        prop::bool::weighted(0.05),
    )
        .prop_map(|(event, sender, mut segments, several)| {
            let mut patients = 0;
            segments.retain(|segment| {
                patients += usize::from(segment.starts_with("PID"));
                several || patients < 2 || !segment.starts_with("PID")
            });
            format!(
                "MSH|^~\\&|{sender}|F|R||20260301101500||{event}|1|P|2.5\r{}",
                segments.concat()
            )
        })
}

/// What is wrong with what becomes of a message: a bundle with faults, or a refusal without its reason.
fn judged(message: &str) -> Option<String> {
    let Payload::V2(header) = peek(message.as_bytes()) else {
        return Some("no header".into());
    };
    let utf8 = true;
    match mapper().convert(message.as_bytes(), &header, utf8, &Options::default()) {
        Ok(made) => {
            let bundle: Value = serde_json::from_slice(&made.bundle).expect("JSON");
            let faults = faults(&bundle);
            (!faults.is_empty()).then(|| faults.join("; "))
        }
        Err(NotCovered::TooMuch) => Some("a short message is said to become too much".into()),
        // About several patients no bundle is made, where the structure has one.
        Err(NotCovered::Patients) => {
            let pids = message.split('\r').filter(|line| line.starts_with("PID"));
            (pids.count() < 2).then(|| "one patient, and several are said".into())
        }
        // Such structures are of what they change.
        Err(
            NotCovered::Lacks(_)
            | NotCovered::Same(_)
            | NotCovered::Nobodys(_)
            | NotCovered::Refused(..),
        ) => None,
        Err(NotCovered::Event(event)) => Some(format!("{event} is covered")),
    }
}

#[test]
fn a_message_of_every_structure_with_all_its_segments_makes_a_whole_bundle() {
    let messages = messages(12);
    let mut refused = 0;
    for message in &messages {
        let fault = judged(message);
        assert!(
            fault.is_none(),
            "{}\n{message:?}",
            fault.unwrap_or_default()
        );
        refused += usize::from(convert(message.as_bytes()).is_none());
    }
    assert!(
        refused * 3 < messages.len(),
        "{refused} of {} are refused",
        messages.len()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_a_message_says_its_bundle_is_whole(message in message()) {
        let fault = judged(&message);
        prop_assert!(fault.is_none(), "{}\n{message:?}", fault.unwrap_or_default());
    }
}

#[test]
fn the_checks_of_this_test_find_what_they_look_for() {
    let Payload::V2(_) = peek(b"MSH|^~\\&|A") else {
        panic!("no header")
    };
    for (bundle, fault) in [
        (r#"{"entry": []}"#, "an empty list"),
        (
            r#"{"entry": [{"fullUrl": "a", "resource": {"resourceType": "Condition"}}]}"#,
            "Condition without subject",
        ),
        (
            r#"{"entry": [{"fullUrl": "a", "resource": {"resourceType": "Patient", "x": {"reference": "b"}}}]}"#,
            "nobody is b",
        ),
        (
            r#"{"entry": [{"fullUrl": "a", "resource": {"resourceType": "Patient", "x": " "}}]}"#,
            "empty text",
        ),
        (
            r#"{"entry": [{"fullUrl": "a", "resource": {"resourceType": "Patient"}}, {"fullUrl": "a", "resource": {"resourceType": "Patient"}}]}"#,
            "twice",
        ),
    ] {
        let faults = faults(&serde_json::from_str(bundle).unwrap());
        assert!(
            faults.iter().any(|found| found.contains(fault)),
            "{bundle}: {faults:?}"
        );
    }
}
