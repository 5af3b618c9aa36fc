//! RXC: what a mixture is made of.

use super::orders::message;
use super::{Bundle, ledger, segment};
use serde_json::{Value, json};

const PID: &str = "PID|1||77^^^H&1.2.276.0.76.3.1.1&ISO||DOE^JANE\n";

fn rxc(kind: &str, what: &str, amount: &str, unit: &str) -> String {
    segment("RXC", &[(1, kind), (2, what), (3, amount), (4, unit)])
}

/// The drug of the one request, and the texts of its ingredients.
fn ingredients(bundle: &Bundle) -> Vec<String> {
    let request = bundle.one("MedicationRequest");
    let drug = bundle.at(&request["medicationReference"]);
    let all = drug["ingredient"].as_array().cloned().unwrap_or_default();
    all.iter()
        .map(|one| {
            one["itemCodeableConcept"]["text"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn a_mixture_has_its_components_and_how_much_of_each() {
    let additive = segment(
        "RXC",
        &[
            (1, "A"),
            (2, "KCL^Potassium chloride^L"),
            (3, "20"),
            (4, "meq^^UCUM"),
            (5, "2"),
            (6, "meq^^UCUM"),
            (8, "1"),
            (9, "mL^^UCUM"),
        ],
    );
    let base = rxc("B", "D5W^Dextrose 5 %^L", "1000", "mL^^UCUM");
    for (event, segments) in [
        ("OMP^O09^OMP_O09", "RXO|MIX^Infusion^L\nRXR|IV\n"),
        ("RDE^O11^RDE_O11", "RXE||MIX^Infusion^L\nRXR|IV\n"),
        ("ORM^O01^ORM_O01", "RXO|MIX^Infusion^L\nRXR|IV\n"),
    ] {
        let bundle = message(
            event,
            &format!("{PID}ORC|NW|M1^CL\n{segments}{base}{additive}"),
        );
        let request = bundle.one("MedicationRequest");
        let drug = bundle.at(&request["medicationReference"]);
        assert_eq!(drug["code"]["text"], "Infusion", "{event}");
        assert_eq!(
            ingredients(&bundle),
            ["Dextrose 5 %", "Potassium chloride"],
            "{event}"
        );
        let [base, additive] = &drug["ingredient"].as_array().unwrap()[..] else {
            panic!("{drug}")
        };
        let strength = |one: &Value| one["strength"]["numerator"]["value"].clone();
        assert_eq!(
            (strength(base), strength(additive)),
            (json!(1000), json!(20))
        );
        assert_eq!(base["strength"]["numerator"]["code"], "mL");
        assert_eq!(base["strength"]["denominator"]["value"], 1);
        let beside = |url: &str| {
            let all = additive["extension"].as_array().unwrap();
            let found = all.iter().find(|one| one["url"] == url);
            found.unwrap_or_else(|| panic!("no {url} in {additive}"))
        };
        assert_eq!(beside("urn:hl7-v2:RXC-1")["valueCode"], "A");
        let own = &beside("urn:hl7-v2:RXC-5")["valueRatio"];
        assert_eq!(own["numerator"]["value"], 2, "{event}: 2 meq/mL");
        assert_eq!(own["denominator"]["value"], 1);
    }
}

/// The components that were asked for are none of what the pharmacy gives, nor is the route.
#[test]
fn what_was_asked_for_is_not_mixed_with_what_is_given() {
    let asked = rxc("A", "OLD^Asked for^L", "1", "mL");
    let given = rxc("A", "NEW^Given^L", "2", "mL");
    let segments = format!(
        "{PID}ORC|RE|M1^CL|F1^PH\nRXO|A^Asked mixture^L\nRXR|PO\n{asked}RXE||G^Given mixture^L\nRXR|IV\n{given}"
    );
    let header = super::MSH.replace("ADT^A01^ADT_A01", "RDE^O11^RDE_O11");
    let lost = ledger(&format!("{header}{segments}"));
    for path in ["RXC-2.2", "RXR-1"] {
        assert!(
            lost.iter().any(|(lost, _)| lost == path),
            "{path}: {lost:?}"
        );
    }
    let dispensed = rxc("A", "DIS^Dispensed^L", "3", "mL");
    for event in ["RDE^O11^RDE_O11", "RDS^O13^RDS_O13"] {
        let more = match event.starts_with("RDS") {
            true => format!("RXD|1|D^Dispensed mixture^L|20260301|1\nRXR|IM\n{dispensed}"),
            false => String::new(),
        };
        let bundle = message(event, &format!("{segments}{more}"));
        assert_eq!(ingredients(&bundle), ["Given"], "{event}");
        if let [dispense] = bundle.all("MedicationDispense")[..] {
            let drug = bundle.at(&dispense["medicationReference"]);
            let all = drug["ingredient"].as_array().unwrap();
            assert_eq!(all.len(), 1, "{drug}");
            assert_eq!(all[0]["itemCodeableConcept"]["text"], "Dispensed");
            let route = &dispense["dosageInstruction"][0]["route"]["coding"][0]["code"];
            assert_eq!(*route, "IM");
        }
        let dosage = &bundle.one("MedicationRequest")["dosageInstruction"][0];
        assert_eq!(dosage["route"]["coding"][0]["code"], "IVINJ", "{event}");
    }
}

/// Of a general order: a medication is no service.
#[test]
fn a_general_order_of_a_medication_is_one() {
    let bundle = message(
        "ORM^O01^ORM_O01",
        &format!(
            "{PID}ORC|NW|M1^CL|||||||||||8^DOCTOR\nRXO|AMX^Amoxicillin^L|500||mg^^UCUM\nNTE|1||no milk\nRXR|PO\nDG1|1||J18^Pneumonia^I10\n\
            ORC|NW|O2^CL\nOBR|1|O2^CL||GLU^Glucose^L\nNTE|1||fasting\n"
        ),
    );
    let request = bundle.one("MedicationRequest");
    assert_eq!(request["note"], json!([{"text": "no milk"}]));
    assert_eq!(request["identifier"][0]["value"], "M1");
    assert_eq!(
        request["dosageInstruction"][0]["route"]["coding"][0]["code"],
        "PO"
    );
    let reason = bundle.at(&request["reasonReference"][0]);
    assert_eq!(reason["resourceType"], "Condition");
    let service = bundle.one("ServiceRequest");
    assert_eq!(service["identifier"][0]["value"], "O2");
    assert_eq!(service["note"], json!([{"text": "fasting"}]));
    assert_eq!(service.get("reasonReference"), None);
}
