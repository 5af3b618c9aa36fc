//! What messages become: each test states rows of HL7's v2-to-FHIR guide, or a rule of FHIR, and holds the maps against it.

use super::{Converted, Mapper, NotCovered, Options, Zone};
use crate::config::BundleType;
use crate::hl7::{Payload, peek};
use serde_json::{Value, json};
use std::sync::OnceLock;

mod adt;
mod apart;
mod beside;
mod charges;
mod clinical;
mod events;
mod exact;
mod identity;
mod kept;
mod language;
mod mixtures;
mod orders;
mod participation;
mod pharmacy;
mod problems;
mod results;
mod safety;
mod sites;
mod specimens;
mod work;

fn mapper() -> &'static Mapper {
    static MAPPER: OnceLock<Mapper> = OnceLock::new();
    MAPPER.get_or_init(|| Mapper::embedded().unwrap())
}

fn convert(message: &str, options: &Options) -> Result<Converted, NotCovered> {
    let message = message.replace('\n', "\r");
    let Payload::V2(header) = peek(message.as_bytes()) else {
        panic!("no header")
    };
    mapper().convert(message.as_bytes(), &header, true, options)
}

fn convert_with(message: &str, options: Options) -> Converted {
    convert(message, &options).unwrap()
}

/// Whose a segment is must be certain.
#[test]
fn of_a_message_about_two_patients_no_bundle_is_made() {
    let message = "MSH|^~\\&|A|B|||20260101101500||ORU^R01|1|P|2.5\rPID|1||1^^^H^MR||ONE^A\rOBR|1|||K\r\
                   PID|2||2^^^H^MR||TWO^B\rOBR|1|||K\r";
    assert_eq!(refused_with(message), Some(NotCovered::Patients));
}

/// An insurance number is a family's, and a social security number is made up where it is not known.
#[test]
fn a_patient_is_not_asked_for_by_what_others_have_too() {
    for pid in [
        "PID|1||77^^^AETNA^MB||ONE^A",
        "PID|1||999999999^^^SSA^SS||ONE^A",
        "PID|1||||ONE^A||||||||||||||999999999",
    ] {
        let message = format!("MSH|^~\\&|A|B|||20260101101500||ORU^R01|1|P|2.5\n{pid}\n");
        let bundle = Bundle::of(&message);
        let patient = bundle
            .entries()
            .iter()
            .find(|entry| entry["resource"]["resourceType"] == "Patient");
        let url = patient.unwrap()["request"]["url"].as_str().unwrap();
        assert!(url.starts_with("Patient/"), "{pid}: {url}");
    }
}

/// A counter of control IDs may begin anew; a resend has the same bytes.
#[test]
fn two_messages_with_one_control_id_share_no_resource() {
    let message = |value: &str| {
        format!(
            "MSH|^~\\&|A|B|||||ORU^R01|1|P|2.5\nPID|1||{value}^^^H^MR\nOBR|1|||K\nOBX|1|NM|K||{value}\n"
        )
    };
    let ids = |value: &str| -> std::collections::BTreeSet<String> {
        let bundle = Bundle::of(&message(value));
        let entries = bundle.entries().iter();
        let reports = entries.filter(|entry| {
            let kind = entry["resource"]["resourceType"].as_str();
            matches!(kind, Some("Observation" | "DiagnosticReport"))
        });
        reports.map(|entry| entry["fullUrl"].to_string()).collect()
    };
    assert_eq!(ids("4").len(), 2);
    assert_eq!(ids("4"), ids("4"));
    assert!(ids("4").is_disjoint(&ids("9")));
}

/// Why no bundle is made of a message, if none is.
fn refused_with(message: &str) -> Option<NotCovered> {
    convert(message, &Options::default()).err()
}

fn ledger(message: &str) -> Vec<(String, Option<super::Refused>)> {
    let options = Options {
        ledger: true,
        ..Options::default()
    };
    let lost = convert_with(message, options).ledger.lost;
    lost.into_iter().map(|lost| (lost.path, lost.why)).collect()
}

/// A bundle and its resources.
struct Bundle(Value);

impl Bundle {
    fn of(message: &str) -> Self {
        Self(serde_json::from_slice(&convert_with(message, Options::default()).bundle).unwrap())
    }

    /// Without requests, so that what is only changed on a server is there as the message has it.
    fn collection(message: &str) -> Self {
        let options = Options {
            kind: BundleType::Collection,
            ..Options::default()
        };
        Self(serde_json::from_slice(&convert_with(message, options).bundle).unwrap())
    }

    /// What is to be changed of the resource with this number: by their paths what is taken out, and by their names what is added.
    #[track_caller]
    fn changes(&self, number: &str) -> (String, Vec<Value>) {
        let of = |entry: &&Value| {
            let url = entry["request"]["url"].as_str().unwrap_or_default();
            entry["request"]["method"] == "PATCH"
                && url
                    .split('&')
                    .next()
                    .unwrap()
                    .ends_with(&format!("%7C{number}"))
        };
        let mut all = self.entries().iter().filter(of);
        let entry = all
            .next()
            .unwrap_or_else(|| panic!("no patch of {number} in {}", self.0));
        assert!(all.next().is_none(), "two patches of {number}");
        let operations = entry["resource"]["parameter"].as_array().unwrap();
        let url = entry["request"]["url"].as_str().unwrap().to_owned();
        (
            url,
            operations.iter().map(|one| one["part"].clone()).collect(),
        )
    }

    fn entries(&self) -> &[Value] {
        self.0["entry"].as_array().map_or(&[], Vec::as_slice)
    }

    fn all(&self, kind: &str) -> Vec<&Value> {
        let resources = self.entries().iter().map(|entry| &entry["resource"]);
        resources
            .filter(|resource| resource["resourceType"] == kind)
            .collect()
    }

    /// The entry that only changes a resource of this type.
    fn patch(&self, kind: &str) -> Option<&Value> {
        self.entries().iter().find(|entry| {
            let request = &entry["request"];
            let url = request["url"].as_str().unwrap_or_default();
            request["method"] == "PATCH" && url.split(['?', '/']).next() == Some(kind)
        })
    }

    /// What becomes of `status`, whether the resource is written whole or only changed.
    #[track_caller]
    fn status(&self, kind: &str) -> Value {
        match self.patch(kind) {
            Some(patch) => {
                let operations = patch["resource"]["parameter"].as_array().unwrap();
                assert_eq!(operations.len(), 1, "{patch}");
                let parts = &operations[0]["part"];
                assert_eq!(parts[1]["valueString"], format!("{kind}.status"), "{patch}");
                parts[2]["valueCode"].clone()
            }
            None => self.one(kind)["status"].clone(),
        }
    }

    #[track_caller]
    fn one(&self, kind: &str) -> &Value {
        let all = self.all(kind);
        assert_eq!(all.len(), 1, "{kind} in {}", self.0);
        all[0]
    }

    #[track_caller]
    fn request(&self, kind: &str) -> &Value {
        let entry = self
            .entries()
            .iter()
            .find(|entry| entry["resource"]["resourceType"] == kind);
        &entry.unwrap()["request"]
    }

    /// What a reference refers to.
    #[track_caller]
    fn at<'b>(&'b self, reference: &'b Value) -> &'b Value {
        let entry = self
            .entries()
            .iter()
            .find(|entry| entry["fullUrl"] == reference["reference"]);
        &entry.unwrap_or_else(|| panic!("nobody is {reference}"))["resource"]
    }
}

const MSH: &str = "MSH|^~\\&|REG^2.16.840.1.113883.19.3.1^ISO|CLINIC|EHR|WEST|20260301101500+0100||ADT^A01^ADT_A01|M1|P|2.5.1\n";

/// A segment with these fields.
fn segment(id: &str, fields: &[(usize, &str)]) -> String {
    let last = fields.iter().map(|field| field.0).max().unwrap_or(0);
    let mut all = vec![""; last];
    for (number, value) in fields {
        all[number - 1] = value;
    }
    format!("{id}|{}\n", all.join("|"))
}

fn adt(segments: &str) -> Bundle {
    Bundle::of(&format!("{MSH}{segments}"))
}

fn oru(segments: &str) -> Bundle {
    let header = MSH.replace("ADT^A01^ADT_A01", "ORU^R01^ORU_R01");
    Bundle::of(&format!("{header}{segments}"))
}

#[test]
fn the_same_message_makes_the_same_bytes_whatever_it_is_asked_beside() {
    let message = format!("{MSH}PID|1||77^^^H^MR||DOE^JANE\nPV1|1|I|W^1^2|||||8^SMITH^A\n");
    let first = convert_with(&message, Options::default()).bundle;
    let explaining = Options {
        explain: true,
        ledger: true,
        ..Options::default()
    };
    assert_eq!(first, convert_with(&message, explaining).bundle);
    let again = Mapper::embedded().unwrap();
    let text = message.replace('\n', "\r");
    let Payload::V2(header) = peek(text.as_bytes()) else {
        panic!("no header")
    };
    let second = again.convert(text.as_bytes(), &header, true, &Options::default());
    assert_eq!(first, second.unwrap().bundle, "compiled anew");
}

#[test]
fn bundle_types_differ_in_their_requests_only() {
    let message = format!("{MSH}EVN||20260301101400\nPID|1||77^^^H^MR||DOE^JANE\n");
    for (kind, name, requests) in [
        (BundleType::Transaction, "transaction", true),
        (BundleType::Batch, "batch", true),
        (BundleType::Message, "message", false),
        (BundleType::Collection, "collection", false),
    ] {
        let options = Options {
            kind,
            ..Options::default()
        };
        let bundle = convert_with(&message, options).bundle;
        let bundle: Value = serde_json::from_slice(&bundle).unwrap();
        assert_eq!(bundle["type"], name);
        assert_eq!(bundle["timestamp"], "2026-03-01T10:15:00+01:00");
        assert_eq!(bundle["identifier"]["value"], "M1");
        let entries = bundle["entry"].as_array().unwrap();
        assert_eq!(
            entries[0]["resource"]["resourceType"], "MessageHeader",
            "bdl-12"
        );
        for entry in entries {
            assert_eq!(entry.get("request").is_some(), requests, "{name}: {entry}");
        }
    }
}

#[test]
fn a_time_without_a_zone_has_msh_7s_else_the_configured_one() {
    let pid = "PID|1||77||DOE||202601020304\n";
    let born = |bundle: &Value| bundle["_birthDate"]["extension"][0]["valueDateTime"].clone();
    assert_eq!(
        born(adt(pid).one("Patient")),
        "2026-01-02T03:04:00+01:00",
        "of MSH-7"
    );
    let message = format!("{}{pid}", MSH.replace("+0100", ""));
    assert_eq!(
        born(Bundle::of(&message).one("Patient")),
        "2026-01-02T03:04:00+00:00",
        "the default"
    );
    let options = Options {
        zone: Zone::parse("-05:00").unwrap(),
        ..Options::default()
    };
    let bundle = convert_with(&message, options).bundle;
    let bundle = Bundle(serde_json::from_slice(&bundle).unwrap());
    assert_eq!(born(bundle.one("Patient")), "2026-01-02T03:04:00-05:00");
}

#[test]
fn what_no_map_covers_is_said_by_its_event() {
    for (event, said) in [
        (
            "MFN^M02",
            "there is no FHIR map for MFN^M02; docs/fhir.md lists what is covered",
        ),
        (
            "",
            "MSH-9 names no message type, so that no FHIR map can be chosen",
        ),
    ] {
        let message = MSH.replace("ADT^A01^ADT_A01", event);
        let Payload::V2(header) = peek(message.as_bytes()) else {
            panic!("no header")
        };
        let error = mapper()
            .convert(message.as_bytes(), &header, true, &Options::default())
            .unwrap_err();
        assert_eq!(error.to_string(), said);
    }
}

#[test]
fn the_ledger_names_what_is_in_no_resource_and_why() {
    let message = format!("{MSH}PID|1||77^^^H^MR||DOE^JANE||19991301|X\nZPI|own^thing\n");
    let lost = ledger(&message);
    let why = |path: &str| {
        let found = lost.iter().find(|lost| lost.0 == path);
        found
            .unwrap_or_else(|| panic!("{path} is not in {lost:?}"))
            .1
    };
    assert_eq!(why("PID-7"), Some(super::Refused::Date));
    assert_eq!(why("PID-8"), Some(super::Refused::Vocabulary));
    assert_eq!(why("ZPI-1.2"), None, "no map reads the segment");
    assert!(!lost.iter().any(|lost| lost.0.starts_with("PID-5")));
    assert!(
        !lost.iter().any(|lost| lost.0 == "PID-1"),
        "a set ID is skipped"
    );
}

#[test]
fn each_value_is_explained_by_its_rows() {
    let message = format!("{MSH}PID|1||77^^^H^MR||DOE^JANE\n");
    let options = Options {
        explain: true,
        ..Options::default()
    };
    let explained = convert_with(&message, options).explained;
    let family = explained.iter().find(|one| one.path == "PID-5.1").unwrap();
    assert_eq!(family.element, "Patient.name.family");
    let mut rows = family.rows.split(' ');
    assert!(rows.next().unwrap().starts_with("segments/PID.yaml:"));
    assert!(rows.next().unwrap().starts_with("datatypes/names.yaml:"));
}

/// Nothing that FHIR forbids in every resource, however little a message says.
#[test]
fn empty_values_leave_nothing_behind() {
    fn check(value: &Value, at: &str) {
        match value {
            Value::Null => panic!("null at {at}"),
            Value::String(text) => assert!(!text.trim().is_empty(), "empty text at {at}"),
            Value::Array(items) => {
                assert!(!items.is_empty(), "empty list at {at}");
                items.iter().for_each(|item| check(item, at));
            }
            Value::Object(members) => {
                assert!(!members.is_empty(), "empty object at {at}");
                members
                    .iter()
                    .for_each(|(name, value)| check(value, &format!("{at}.{name}")));
            }
            _ => {}
        }
    }
    for segments in [
        "",
        "PID|\n",
        "PID|1||^^^&&|| \nPV1||\"\"\nNK1|1|^\nAL1|1\nDG1|1\nIN1|1\n",
        "PID|1||\"\"||\"\"^\"\"\nPV1|1||^^^\"\"\n",
        "PID|1||  ^^^H||\t^ \n",
    ] {
        let bundle = adt(segments);
        check(&bundle.0, "Bundle");
        assert!(bundle.all("Patient").is_empty(), "{segments}");
    }
}

#[test]
fn a_patient_is_updated_by_its_identifier_and_who_is_mentioned_is_created_once() {
    let bundle =
        adt("PID|1||77^^^H^MR||DOE^JANE\nPV1|1|I||||||8^SMITH^A^^^^^^NPI|8^SMITH^A^^^^^^NPI\n");
    assert_eq!(
        bundle.request("Patient"),
        &json!({"method": "PUT", "url": "Patient?identifier=urn%3Ahl7%2Dv2%3Anamespace%3ACLINIC%3AH%7C77"})
    );
    let practitioner = bundle.one("Practitioner");
    assert_eq!(practitioner.get("id"), None, "the server gives it");
    assert_eq!(
        bundle.request("Practitioner"),
        &json!({
            "method": "POST",
            "url": "Practitioner",
            "ifNoneExist": "identifier=http%3A%2F%2Fhl7%2Eorg%2Ffhir%2Fsid%2Fus%2Dnpi%7C8",
        })
    );
    // A number that is not the sender's own does not stand in for one that names no system.
    let bundle = adt("PID|1||77||DOE^JANE||||||||||||||123-45-6789\n");
    let url = bundle.request("Patient")["url"].as_str().unwrap();
    assert!(
        url.starts_with("Patient?identifier=urn%3Ahl7%2Dv2%3Akey%7C"),
        "{url}"
    );
}
