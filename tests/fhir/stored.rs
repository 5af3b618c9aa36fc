//! The server itself: it does a transaction once however often it comes, and refuses what is broken.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cases::BROKEN;
use crate::parts;
use crate::parts::server::{Response, server};

/// A patient by conditional update, a visit by conditional create that refers to them.
fn admission(number: &str) -> Value {
    let patient = format!("http://hospital.example.org/mrn|{number}");
    let visit = format!("http://hospital.example.org/visit|{number}");
    let identifier = |of: &str| {
        let (system, value) = of.split_once('|').expect("a token");
        json!([{ "system": system, "value": value }])
    };
    json!({
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9",
                "resource": {
                    "resourceType": "Patient",
                    "identifier": identifier(&patient),
                    "name": [{ "family": "Müller", "given": ["Anna"] }],
                    "gender": "female",
                },
                "request": { "method": "PUT", "url": format!("Patient?identifier={patient}") },
            },
            {
                "fullUrl": "urn:uuid:8b0f7a80-12b2-4d4d-9d1e-0d7c3a1f4a11",
                "resource": {
                    "resourceType": "Encounter",
                    "identifier": identifier(&visit),
                    "status": "in-progress",
                    "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP" },
                    "subject": { "reference": "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9" },
                },
                "request": { "method": "POST", "url": "Encounter", "ifNoneExist": format!("identifier={visit}") },
            },
        ],
    })
}

/// `response.status` of each entry, without its words.
fn statuses(response: &Response) -> Vec<&str> {
    assert_eq!(response.status, 200, "{}", response.body);
    let entries = response.body["entry"].as_array().expect("entries");
    entries
        .iter()
        .map(|entry| entry["response"]["status"].as_str().unwrap_or_default())
        .map(|status| status.split(' ').next().unwrap_or_default())
        .collect()
}

/// The patient and the visits that are found by the number.
fn found(number: &str) -> [Vec<Value>; 2] {
    [("Patient", "mrn"), ("Encounter", "visit")].map(|(kind, system)| {
        server().search(&format!(
            "{kind}?identifier=http://hospital.example.org/{system}%7C{number}"
        ))
    })
}

#[test]
fn a_transaction_that_comes_twice_is_done_once() {
    if !parts::installed() {
        return;
    }
    let bundle = admission("A1");
    assert_eq!(statuses(&server().post("", &bundle)), ["201", "201"]);
    let first = found("A1");
    let [patients, visits] = &first;
    assert_eq!((patients.len(), visits.len()), (1, 1));
    let subject = visits[0]["subject"]["reference"].as_str().expect("subject");
    let id = patients[0]["id"].as_str().expect("an id");
    assert_eq!(subject, format!("Patient/{id}"));

    assert_eq!(statuses(&server().post("", &bundle)), ["200", "200"]);
    assert_eq!(found("A1"), first, "with their versions");
}

#[test]
fn a_change_is_a_new_version_of_the_same_patient() {
    if !parts::installed() {
        return;
    }
    let mut bundle = admission("A2");
    assert_eq!(statuses(&server().post("", &bundle)), ["201", "201"]);
    bundle["entry"][0]["resource"]["name"][0]["family"] = json!("Meier");
    assert_eq!(statuses(&server().post("", &bundle)), ["200", "200"]);
    let [patients, visits] = found("A2");
    assert_eq!((patients.len(), visits.len()), (1, 1));
    assert_eq!(patients[0]["meta"]["versionId"], "2");
    assert_eq!(patients[0]["name"][0]["family"], "Meier");
    assert_eq!(visits[0]["meta"]["versionId"], "1");
}

/// A transaction is done as a whole or not at all.
#[test]
fn of_a_transaction_with_something_broken_nothing_is_stored() {
    if !parts::installed() {
        return;
    }
    let mut bundle = admission("A3");
    bundle["entry"][1]["resource"]["subject"]["reference"] =
        json!("urn:uuid:00000000-0000-4000-8000-000000000000");
    let response = server().post("", &bundle);
    assert_eq!(response.status, 400, "{}", response.body);
    assert!(found("A3").iter().all(Vec::is_empty));
}

/// What refers to a patient by their number finds them.
#[test]
fn a_conditional_reference_is_resolved() {
    if !parts::installed() {
        return;
    }
    assert_eq!(
        statuses(&server().post("", &admission("A4"))),
        ["201", "201"]
    );
    let [patients, _] = found("A4");
    let observation = json!({
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{
            "fullUrl": "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9",
            "resource": {
                "resourceType": "Observation",
                "status": "final",
                "code": { "text": "Hb" },
                "subject": { "reference": "Patient?identifier=http%3A%2F%2Fhospital.example.org%2Fmrn%7CA4" },
            },
            "request": { "method": "POST", "url": "Observation" },
        }],
    });
    assert_eq!(statuses(&server().post("", &observation)), ["201"]);
    let patient = format!("Patient/{}", patients[0]["id"].as_str().expect("an id"));
    let observations = server().search(&format!("Observation?subject={patient}"));
    assert_eq!(observations.len(), 1);
    assert_eq!(observations[0]["subject"]["reference"], patient);
}

/// The server does not guess which of two it is.
#[test]
fn a_conditional_update_that_two_patients_match_is_refused() {
    if !parts::installed() {
        return;
    }
    let bundle = admission("A5");
    for _ in 0..2 {
        let patient = &bundle["entry"][0]["resource"];
        assert_eq!(server().post("Patient", patient).status, 201);
    }
    let response = server().post("", &bundle);
    assert_eq!(response.status, 412, "{}", response.body);
    assert_eq!(response.body["resourceType"], "OperationOutcome");
    let [patients, visits] = found("A5");
    assert_eq!((patients.len(), visits.len()), (2, 0));
}

#[test]
fn what_is_broken_is_refused_with_an_operation_outcome() {
    if !parts::installed() {
        return;
    }
    let mut wrong = String::new();
    for broken in &BROKEN {
        let resource: Value = serde_json::from_str(broken.resource).expect("JSON");
        let path = match resource["resourceType"].as_str() {
            Some("Bundle") | None => "",
            Some(kind) => kind,
        };
        let Response { status, body, .. } = server().post(path, &resource);
        let outcome = body["resourceType"] == "OperationOutcome"
            && body["issue"].to_string().contains("\"severity\":\"error\"");
        if (status, outcome) != (broken.status, status >= 400) {
            wrong.push_str(&format!("{}: {status} {body}\n", broken.what));
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn it_says_what_it_is() {
    if !parts::installed() {
        return;
    }
    let Response { status, body, .. } = server().get("metadata");
    assert_eq!((status, &body["fhirVersion"]), (200, &json!("4.0.1")));
    let interactions: BTreeSet<&str> = body["rest"][0]["interaction"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|interaction| interaction["code"].as_str())
        .collect();
    assert!(interactions.contains("transaction"), "{interactions:?}");
}
