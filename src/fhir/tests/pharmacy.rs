//! Medication: what is ordered, encoded, dispensed, given.

use super::orders::message;
use super::{MSH, ledger, segment};
use serde_json::json;

const PID: &str = "PID|1||77^^^H&1.2.276.0.76.3.1.1&ISO||DOE^JANE\n";

#[test]
fn a_pharmacy_order_is_a_request_with_its_dose_and_its_drug() {
    let bundle = message(
        "OMP^O09^OMP_O09",
        &format!(
            "{PID}ORC|NW|M1^CL||||||202603010800|||8^DOCTOR\n\
            RXO|AMX^Amoxicillin^L|500|1000|mg^milligram^UCUM|CAP^Capsule||1^with water^L||G||20|CAP|1|||||500|mg^^UCUM|J18^Pneumonia^I10\n\
            NTE|1||no milk\nRXR|PO^Oral^HL70162\n"
        ),
    );
    let request = bundle.one("MedicationRequest");
    assert_eq!(request["status"], "active");
    assert_eq!(
        request["intent"], "original-order",
        "the guide's row of RXO"
    );
    assert_eq!(
        bundle.at(&request["subject"])["name"][0]["family"],
        "DOE",
        "{request}"
    );
    let dosage = &request["dosageInstruction"];
    assert_eq!(
        dosage.as_array().map(Vec::len),
        Some(1),
        "one instruction: {dosage}"
    );
    let range = &dosage[0]["doseAndRate"][0]["doseRange"];
    assert_eq!(range["low"]["value"], 500);
    assert_eq!(range["high"]["value"], 1000);
    assert_eq!(range["high"]["code"], "mg");
    assert_eq!(dosage[0]["route"]["coding"][0]["code"], "PO");
    assert_eq!(dosage[0]["additionalInstruction"][0]["text"], "with water");
    assert_eq!(request["dispenseRequest"]["quantity"]["value"], 20);
    assert_eq!(request["dispenseRequest"]["numberOfRepeatsAllowed"], 1);
    assert_eq!(
        request["substitution"]["allowedCodeableConcept"]["coding"][0]["code"],
        "G"
    );
    assert_eq!(request["reasonCode"][0]["coding"][0]["code"], "J18");
    assert_eq!(request["note"], json!([{"text": "no milk"}]));
    let drug = bundle.at(&request["medicationReference"]);
    assert_eq!(drug["code"]["text"], "Amoxicillin");
    assert_eq!(drug["form"]["text"], "Capsule");
    let strength = &drug["ingredient"][0]["strength"];
    assert_eq!(strength["numerator"]["value"], 500);
    assert_eq!(strength["denominator"]["value"], 1);
}

/// What the pharmacy gives is not what was asked for, and one message has both.
#[test]
fn where_the_pharmacy_says_what_is_given_that_is_the_drug_and_the_dose() {
    let encoded = segment(
        "RXE",
        &[
            (2, "AMX5^Amoxicillin 500^NDC"),
            (3, "500"),
            (5, "mg^^UCUM"),
            (6, "CAP^Capsule"),
            (10, "20"),
            (11, "CAP"),
            (12, "2"),
            (19, "1000^mg"),
        ],
    );
    let bundle = message(
        "RDE^O11^RDE_O11",
        &format!(
            "{PID}ORC|NW|M1^CL|P1^PH\nRXO|AMX^Amoxicillin^L|250||mg^^UCUM\n{encoded}RXR|PO^Oral^HL70162\n"
        ),
    );
    let request = bundle.one("MedicationRequest");
    let drug = bundle.one("Medication");
    assert_eq!(bundle.at(&request["medicationReference"]), drug);
    assert_eq!(drug["code"]["coding"][0]["code"], "AMX5");
    let dosage = request["dosageInstruction"].as_array().unwrap();
    assert_eq!(dosage.len(), 1, "{request}");
    assert_eq!(
        dosage[0]["doseAndRate"][0]["doseQuantity"]["value"], 500,
        "RXE-3 and not RXO-2"
    );
    assert_eq!(dosage[0]["maxDosePerPeriod"]["numerator"]["value"], 1000);
    let asked = request["extension"].as_array().unwrap().iter();
    let asked: Vec<_> = asked
        .filter(|extension| extension["url"] == "urn:hl7-v2:RXO-1")
        .collect();
    assert_eq!(asked[0]["valueCodeableConcept"]["coding"][0]["code"], "AMX");
    assert_eq!(request.get("intent"), Some(&json!("order")));
}

#[test]
fn each_timing_is_an_instruction_with_its_own_dose() {
    let bundle = message(
        "RDE^O11^RDE_O11",
        &format!(
            "{PID}ORC|NW|M1^CL\nRXE||AMX5^Amoxicillin^NDC|500||mg^^UCUM\n\
            TQ1|1|1^CAP|BID||||20260301|20260310|R||in the morning\nTQ1|2|2^CAP|QHS||||20260311|20260320\nRXR|PO\n"
        ),
    );
    let request = bundle.one("MedicationRequest");
    let dosage = request["dosageInstruction"].as_array().unwrap();
    assert_eq!(dosage.len(), 2, "{request}");
    for (at, (start, tablets)) in [("2026-03-01", 1), ("2026-03-11", 2)].iter().enumerate() {
        let one = &dosage[at];
        assert_eq!(one["sequence"], at + 1);
        assert_eq!(one["timing"]["repeat"]["boundsPeriod"]["start"], *start);
        let dose = &one["doseAndRate"][0]["doseQuantity"];
        assert_eq!(dose["value"], *tablets, "TQ1-2 has a unit");
        assert_eq!(dose["unit"], "CAP");
        assert_eq!(one["route"]["coding"][0]["code"], "PO");
        assert_eq!(one["extension"][0]["url"], "urn:hl7-v2:RXE-3");
        assert_eq!(one["extension"][0]["valueQuantity"]["value"], 500);
    }
    assert_eq!(dosage[0]["text"], "in the morning");
    assert_eq!(request["priority"], "routine");
}

/// ORC-5 may lag behind: a cancellation is one.
#[test]
fn a_cancelled_order_is_never_active() {
    for (control, status, expected) in [
        ("CA", "IP", "cancelled"),
        ("OC", "", "cancelled"),
        ("DC", "A", "stopped"),
        ("HD", "IP", "on-hold"),
        ("DE", "IP", "entered-in-error"),
        ("RQ", "IP", "stopped"),
        ("RP", "IP", "stopped"),
        ("UA", "IP", "cancelled"),
        ("NW", "CA", "cancelled"),
        ("NW", "", "active"),
        ("SC", "CM", "completed"),
        ("ZZ", "", "unknown"),
    ] {
        let bundle = message(
            "RDE^O11^RDE_O11",
            &format!("{PID}ORC|{control}|M1^CL|||{status}\nRXE||A^Drug^L|1||mg\n"),
        );
        let is = bundle.status("MedicationRequest");
        assert_eq!(is, expected, "ORC-1 {control}, ORC-5 {status}");
    }
}

#[test]
fn what_was_dispensed_refers_to_its_prescription() {
    let bundle = message(
        "RDS^O13^RDS_O13",
        &format!(
            "{PID}ORC|RE|M1^CL|P1^PH\nRXO|AMX^Amoxicillin^L|500||mg\n\
            RXD|1|AMX5^Amoxicillin 500^NDC|202603011200|20|CAP||RX99||careful|9^PHARM||||||||LOT1|20270101|ACME^Acme\nRXR|PO\n\
            RXD|2|IBU^Ibuprofen^NDC|202603011200|10|TAB||RX99\n"
        ),
    );
    let all = bundle.all("MedicationDispense");
    assert_eq!(all.len(), 2, "RXD-1 tells them apart");
    let first = all[0];
    assert_eq!(first["status"], "completed");
    assert_eq!(first["whenHandedOver"], "2026-03-01T12:00:00+01:00");
    assert_eq!(first["quantity"]["value"], 20);
    assert_eq!(first["identifier"][0]["value"], "RX99");
    let request = bundle.one("MedicationRequest");
    assert_eq!(bundle.at(&first["authorizingPrescription"][0]), request);
    let drug = bundle.at(&first["medicationReference"]);
    assert_eq!(drug["code"]["coding"][0]["code"], "AMX5");
    assert_eq!(drug["batch"]["lotNumber"], "LOT1");
    let second = bundle.at(&all[1]["medicationReference"]);
    assert_eq!(second["code"]["coding"][0]["code"], "IBU");
}

#[test]
fn what_was_given_and_what_was_refused() {
    let administration = |number: &str, time: &str, more: &[(usize, &str)]| {
        let drug = "AMX5^Amoxicillin^NDC";
        let mut fields = vec![(1, "0"), (2, number), (3, time), (5, drug), (21, "A")];
        fields.extend(more);
        segment("RXA", &fields)
    };
    let first = administration(
        "1",
        "202603010800",
        &[
            (4, "202603010810"),
            (6, "1"),
            (7, "CAP"),
            (10, "9^NURSE"),
            (20, "CP"),
        ],
    );
    let second = administration(
        "2",
        "202603012000",
        &[(6, "999"), (18, "00^sick^L"), (20, "RE")],
    );
    let third = administration("3", "202603020800", &[(6, "1"), (20, "CP"), (21, "D")]);
    let bundle = message(
        "RAS^O17^RAS_O17",
        &format!(
            "{PID}ORC|RE|M1^CL|P1^PH\nRXO|AMX^Amoxicillin^L|500||mg\n{first}RXR|PO\n{second}{third}"
        ),
    );
    let all = bundle.all("MedicationAdministration");
    let statuses: Vec<_> = all.iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, ["completed", "not-done", "entered-in-error"]);
    assert_eq!(
        all[0]["effectivePeriod"]["end"],
        "2026-03-01T08:10:00+01:00"
    );
    assert_eq!(all[0]["dosage"]["dose"]["value"], 1);
    assert_eq!(all[0]["dosage"]["route"]["coding"][0]["code"], "PO");
    assert_eq!(all[1].get("dosage"), None, "999 is no amount");
    assert_eq!(all[1]["statusReason"][0]["text"], "sick");
    let request = bundle.one("MedicationRequest");
    assert_eq!(bundle.at(&all[0]["request"]), request);
    assert_eq!(
        bundle.all("Medication").len(),
        2,
        "one asked for, one given three times"
    );
}

/// ORC-5 that ORC-1 has overruled is told.
#[test]
fn the_status_that_was_overruled_is_in_the_ledger() {
    let header = MSH.replace("ADT^A01^ADT_A01", "RDE^O11^RDE_O11");
    let lost = ledger(&format!(
        "{header}{PID}ORC|CA|M1^CL|||IP\nRXE||A^Drug^L|1||mg\n"
    ));
    let places: Vec<_> = lost.iter().map(|lost| lost.0.as_str()).collect();
    assert!(places.contains(&"ORC-5"), "{places:?}");
    assert!(
        places.contains(&"RXE-3"),
        "only the status is written: {places:?}"
    );
}
