//! What must be refused, or must not be overwritten, because somebody would be treated by it.

use super::{Bundle, Options, refused_with};
use crate::fhir::NotCovered;

fn text(event: &str, segments: &str) -> String {
    format!("MSH|^~\\&|REG|NORTH|X|Y|20260301101500+0100||{event}|M1|P|2.5.1\n{segments}")
}

fn of(event: &str, segments: &str) -> Bundle {
    Bundle::of(&text(event, segments))
}

fn refused(event: &str, segments: &str) -> Option<NotCovered> {
    refused_with(&text(event, segments))
}

fn asked(bundle: &Bundle, kind: &str) -> String {
    let request = bundle.request(kind);
    let asked = request.get("ifNoneExist").unwrap_or(&request["url"]);
    let asked = asked.as_str().unwrap();
    asked.rsplit('?').next().unwrap().to_owned()
}

/// A newborn is admitted under the number of its mother's visit, and charged to her account.
#[test]
fn a_mother_and_her_newborn_with_one_number_have_each_their_own_visit_and_account() {
    let admitted = |number: &str, visit: &str, account: &str| {
        let segments = format!(
            "PID|1||{number}^^^H^MR||DOE|||||||||||||{account}\nPV1|1|I|||||||||||||||||{visit}\n"
        );
        of("ADT^A01", &segments)
    };
    let authority = "H&2.16.840.1.113883.19.4.6&ISO";
    for number in ["77", &format!("77^^^{authority}^VN")] {
        let [mother, child] = ["1", "2"].map(|patient| admitted(patient, number, number));
        for kind in ["Encounter", "Account"] {
            assert_ne!(asked(&mother, kind), asked(&child, kind), "{kind} {number}");
            let again = admitted("1", number, number);
            assert_eq!(asked(&mother, kind), asked(&again, kind), "{kind} {number}");
            let plain = &child.one(kind)["identifier"][0]["value"];
            assert_eq!(plain, "77", "the number is there to be searched by");
        }
    }
}

/// Both numbers name their authority, so that it is the same visit whoever speaks of it.
#[test]
fn a_visit_is_the_same_for_all_applications_of_a_hospital() {
    let of = |application: &str, event: &str| {
        let text = format!(
            "MSH|^~\\&|{application}|NORTH|X|Y|20260301101500||{event}|M1|P|2.5.1\n\
             PID|1||1^^^H^MR||DOE\nPV1|1|I|||||||||||||||||77^^^H^VN\n"
        );
        asked(&Bundle::of(&text), "Encounter")
    };
    assert_eq!(of("REG", "ADT^A01"), of("LAB", "ORU^R01"));
}

/// It would be a new patient, and another visit of that number.
#[test]
fn an_update_that_does_not_say_whose_it_is_is_refused() {
    let visit = "PV1|1|I|||||||||||||||||77^^^H^VN\n";
    for event in ["ADT^A01", "ADT^A02", "ADT^A03", "ADT^A08", "ADT^A31"] {
        for pid in ["PID|1||||DOE\n", "PID|1||999999999^^^SSA^SS||DOE\n"] {
            let why = refused(event, &format!("{pid}{visit}"));
            assert_eq!(why, Some(NotCovered::Lacks("patient".into())), "{event}");
        }
    }
}

const PID: &str = "PID|1||1^^^H^MR||DOE\n";

#[test]
fn what_is_nobodys_is_refused_by_its_place() {
    let nobodys = |at: &str| Some(NotCovered::Nobodys(at.to_owned()));
    let result = "OBR|1||F1|K\nOBX|1|NM|K||5||||||F\n";
    let second = result.replace("F1", "F2");
    let visit = "PV1|1|I|||||||||||||||||77^^^H^VN\n";
    for (event, segments, at) in [
        ("ORU^R01", result.to_owned(), "OBR"),
        ("ORU^R01", format!("{result}{PID}"), "OBR"),
        ("ORU^R01", format!("PID|1\n{result}"), "OBR"),
        (
            "ORU^R01",
            format!("{PID}{visit}{result}{visit}{second}"),
            "PV1[2]",
        ),
        ("OUL^R22", format!("SPM|1|S1\n{result}"), "SPM"),
        ("ORM^O01", "ORC|NW|P1\nOBR|1|P1||K\n".to_owned(), "ORC"),
        ("OML^O21", "ORC|NW|P1\nOBR|1|P1||K\n".to_owned(), "ORC"),
        ("OMG^O19", "ORC|NW|P1\nOBR|1|P1||K\n".to_owned(), "ORC"),
        (
            "RDE^O11",
            "ORC|NW|P1\nRXE||A^Drug^L|1||mg\n".to_owned(),
            "ORC",
        ),
        (
            "VXU^V04",
            "ORC|RE||1\nRXA|0|1|20260301||207\n".to_owned(),
            "ORC",
        ),
        ("MDM^T02", "TXA|1|DS|TX||||||||D1\n".to_owned(), "TXA"),
        ("ADT^A01", "PV1|1|I\n".to_owned(), "PV1"),
    ] {
        assert_eq!(refused(event, &segments), nobodys(at), "{event} {segments}");
        let whole = format!("{PID}{result}");
        assert_eq!(refused("ORU^R01", &whole), None);
    }
    // An appointment may be of a room alone.
    let appointment = "SCH|P1|F1|||||||||^^^202603020900^202603020930||||||||||||||Booked\n";
    assert_eq!(refused("SIU^S12", appointment), None);
}

#[test]
fn a_medication_without_an_order_around_it_is_refused() {
    let at = |event: &str, segments: &str| match refused(event, &format!("{PID}{segments}")) {
        Some(NotCovered::Refused(at, _)) => at,
        other => panic!("{other:?}"),
    };
    let two = "ORC|NW|M1^CL\nRXE||A^DrugA^L|1||mg\nRXE||B^DrugB^L|2||mg\n";
    assert_eq!(at("RDE^O11", "RXE||A^Drug^L|1||mg\n"), "ORC-1");
    assert_eq!(at("RDE^O11", two), "ORC-1");
    assert_eq!(at("OMP^O09", "RXO|A^Drug^L|1||mg\n"), "ORC-1");
}

#[test]
fn a_merge_retires_all_that_it_names_or_is_refused() {
    let segments = format!("{PID}MRG|2^^^H^MR\nMRG|3^^^H^MR~93^^^MPI^PI\n");
    let bundle = Bundle::collection(&text("ADT^A40", &segments));
    let retired = bundle.all("Patient").into_iter();
    let retired: Vec<_> = retired.filter(|one| one["active"] == false).collect();
    assert_eq!(retired.len(), 2, "{}", bundle.0);
    let remains = bundle.all("Patient").into_iter();
    let remains: Vec<_> = remains.filter(|one| one["active"] != false).collect();
    assert_eq!(remains.len(), 1);
    assert_eq!(remains[0]["link"].as_array().unwrap().len(), 2);
    for one in retired {
        assert_eq!(bundle.at(&one["link"][0]["other"]), remains[0]);
    }
    for mrg in [
        "2^^^H^MR~3^^^H^MR",
        "2~3",
        "2^^^H^MR~3^^^H",
        "2^^^H~3^^^H^PI",
    ] {
        let why = refused("ADT^A40", &format!("{PID}MRG|{mrg}\n"));
        assert!(
            matches!(&why, Some(NotCovered::Refused(at, _)) if at == "MRG-1"),
            "{mrg}: {why:?}"
        );
    }
    // Of two pairs one has two, and the other nobody.
    let lame = format!("{PID}MRG|2^^^H^MR\nMRG|3^^^H^MR\nPID|2||4^^^H^MR||ROE\n");
    assert_eq!(
        refused("ADT^A40", &lame),
        Some(NotCovered::Lacks("prior".into()))
    );
}

#[test]
fn the_account_of_who_is_merged_is_the_one_that_they_had() {
    let pid = "PID|1||1^^^H^MR||DOE|||||||||||||A1^^^H\n";
    let had = "PID|1||2^^^H^MR||DOE|||||||||||||A2^^^H\n";
    let admitted = asked(&of("ADT^A01", had), "Account");
    let merged = of("ADT^A36", &format!("{pid}MRG|2^^^H^MR||A2^^^H\n"));
    let patch = url(merged.patch("Account").unwrap());
    assert_eq!(patch.rsplit('?').next().unwrap(), admitted);
}

/// Half of a range is another dose.
#[test]
fn a_range_that_is_half_a_number_is_no_dose() {
    for doses in ["1|two", "one|2"] {
        let segments = format!("{PID}ORC|NW|M1^CL\nRXE||A^Drug^L|{doses}|mg\n");
        let bundle = of("RDE^O11", &segments);
        let request = bundle.one("MedicationRequest");
        let dosage = &request["dosageInstruction"][0];
        assert_eq!(dosage.get("doseAndRate"), None, "{doses}: {request}");
    }
}

fn url(entry: &serde_json::Value) -> &str {
    entry["request"]["url"].as_str().unwrap()
}

/// It may carry no more than a number, and must not empty what it takes back.
#[test]
fn a_cancellation_changes_the_status_of_what_is_there_and_nothing_else() {
    let visit = "PV1|1|I|W^1||||||||||||||||77^^^H^VN\n";
    let admitted = of("ADT^A01", &format!("{PID}{visit}"));
    let thin = of(
        "ADT^A11",
        "PID|1||1^^^H^MR\nPV1|1||||||||||||||||||77^^^H^VN\n",
    );
    assert!(thin.all("Encounter").is_empty());
    let patch = thin.patch("Encounter").unwrap();
    assert_eq!(
        url(patch),
        format!("Encounter?{}", asked(&admitted, "Encounter"))
    );
    assert_eq!(thin.status("Encounter"), "cancelled");

    let order = of("ORM^O01", &format!("{PID}ORC|NW|P1\nOBR|1|P1||K\n"));
    let thin = of("ORM^O01", &format!("{PID}ORC|CA|P1||||||||9^CLERK\n"));
    let patch = thin.patch("ServiceRequest").unwrap();
    let address = format!("ServiceRequest?{}", asked(&order, "ServiceRequest"));
    assert_eq!(url(patch), address);
    let entered = thin.all("Provenance");
    let refers = entered
        .iter()
        .any(|one| one["target"][0]["reference"] == address);
    assert!(refers, "by what it is asked for: {}", thin.0);

    let order = of("RDE^O11", &format!("{PID}ORC|NW|M1\nRXE||A^Drug^L|1||mg\n"));
    let thin = of("RDE^O11", &format!("{PID}ORC|DC|M1\n"));
    let id = order.one("MedicationRequest")["id"].as_str().unwrap();
    let patch = thin.patch("MedicationRequest").unwrap();
    assert_eq!(url(patch), format!("MedicationRequest/{id}"));

    let time = "^^^202603020900^202603020930";
    let booked = of("SIU^S12", &format!("SCH|P1|F1|||||||||{time}\n{PID}"));
    let thin = of("SIU^S15", "SCH|P1|F1\n");
    let id = booked.one("Appointment")["id"].as_str().unwrap();
    assert_eq!(
        url(thin.patch("Appointment").unwrap()),
        format!("Appointment/{id}")
    );
    assert_eq!(thin.status("Appointment"), "cancelled");
}

/// Without requests there is nothing to be changed: a collection and a FHIR message have what the message says.
#[test]
fn a_bundle_without_requests_has_the_resource_itself() {
    let options = Options {
        kind: crate::config::BundleType::Collection,
        ..Options::default()
    };
    let text = text(
        "ADT^A11",
        &format!("{PID}PV1|1|I|||||||||||||||||77^^^H^VN\n"),
    );
    let made = super::convert_with(&text, options);
    let bundle = Bundle(serde_json::from_slice(&made.bundle).unwrap());
    let visit = bundle.one("Encounter");
    assert_eq!(visit["status"], "cancelled");
    assert_eq!(bundle.at(&visit["subject"])["resourceType"], "Patient");
}

/// Nothing says where the patient is, who was somewhere else.
#[test]
fn a_transfer_and_a_discharge_are_not_taken_back_without_a_place() {
    for event in ["ADT^A12", "ADT^A13"] {
        let why = refused(event, &format!("{PID}PV1|1|I|||||||||||||||||77^^^H^VN\n"));
        let at = matches!(&why, Some(NotCovered::Refused(at, _)) if at == "PV1-3");
        assert!(at, "{event}: {why:?}");
    }
}

/// A number of two orders is told apart by code. Alone it is nobody's, and must not become another order.
#[test]
fn a_cancellation_of_one_of_several_is_for_what_is_there_only() {
    let two = |control: &str| {
        let segments =
            format!("{PID}ORC|{control}|P1\nOBR|1|P1||A\nORC|{control}|P1\nOBR|2|P1||B\n");
        of("OML^O21", &segments)
    };
    let addresses = |bundle: &Bundle| -> Vec<String> {
        let entries = bundle.entries().iter();
        let orders = entries.filter(|entry| url(entry).starts_with("ServiceRequest?"));
        orders.map(|entry| url(entry).to_owned()).collect()
    };
    let (ordered, cancelled) = (two("NW"), two("CA"));
    assert_eq!(addresses(&ordered).len(), 2);
    assert_eq!(addresses(&ordered), addresses(&cancelled));
    assert!(cancelled.all("ServiceRequest").is_empty());
    let alone = of("OML^O21", &format!("{PID}ORC|CA|P1\nOBR|1|P1||A\n"));
    assert!(alone.all("ServiceRequest").is_empty());
    assert_eq!(
        alone.patch("ServiceRequest").unwrap()["request"]["method"],
        "PATCH"
    );
}

#[test]
fn what_was_not_handed_out_is_not_completed() {
    for (orc, status) in [
        ("UA|M1", "declined"),
        ("RP|M1", "stopped"),
        ("RE|M1|||CA", "cancelled"),
        ("RE|M1|||RP", "stopped"),
        ("RE|M1", "completed"),
    ] {
        let rxd = "RXD|1|A^Drug^NDC|202603011200|20|CAP||RX99\n";
        let bundle = of("RDS^O13", &format!("{PID}ORC|{orc}\n{rxd}"));
        assert_eq!(bundle.one("MedicationDispense")["status"], status, "{orc}");
    }
}

/// A validator takes the entry of a patch for what a reference by its id means, and the server may have nothing of that id.
#[test]
fn nothing_refers_by_its_id_to_what_is_only_changed() {
    let sch = |event: &str| {
        let text = format!("SCH|A1^PLAC|||||||||||||||||||7^CLERK\n{PID}");
        of(event, &text)
    };
    let booked = sch("SIU^S12");
    let [.., entry] = booked.all("Provenance")[..] else {
        panic!("who entered it")
    };
    assert_eq!(booked.at(&entry["target"][0]), booked.one("Appointment"));
    let cancelled = sch("SIU^S15");
    let patch = cancelled.patch("Appointment").unwrap();
    let url = patch["request"]["url"].as_str().unwrap();
    let whole = cancelled.0.to_string();
    assert_eq!(whole.matches(url).count(), 1, "{whole}");
}
