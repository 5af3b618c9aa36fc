//! What R4 has no element for and what stands beside it all the same.

use super::beside::extension;
use super::orders::message;
use super::segment;

const PID: &str = "PID|1||77^^^H&1.2.276.0.76.3.1.1&ISO||DOE^JANE\n";

#[test]
fn a_timing_of_before_tq1_stays_as_it_was_written() {
    let orc = segment(
        "ORC",
        &[
            (1, "NW"),
            (2, "M1^CL"),
            (6, "E"),
            (7, "1^BID^D7^20260301^20260308"),
        ],
    );
    let asked = segment(
        "RXO",
        &[
            (1, "AMX^Amoxicillin^L"),
            (2, "250"),
            (3, "500"),
            (4, "mg^^UCUM"),
        ],
    );
    let given = "RXE|1^BID^^20260301|AMX5^Amoxicillin 500^L|500||mg^^UCUM\n";
    let bundle = message("RDE^O11^RDE_O11", &format!("{PID}{orc}{asked}{given}"));
    let request = bundle.one("MedicationRequest");
    assert_eq!(
        extension(request, "ORC-7")["valueString"],
        "1^BID^D7^20260301^20260308"
    );
    assert_eq!(extension(request, "ORC-6")["valueCode"], "E");
    assert_eq!(extension(request, "RXO-2")["valueQuantity"]["value"], 250);
    let most = &extension(request, "RXO-3")["valueQuantity"];
    assert_eq!((&most["value"], &most["code"]), (&500.into(), &"mg".into()));
    let dose = &request["dosageInstruction"][0]["doseAndRate"][0];
    assert_eq!(dose["doseQuantity"]["value"], 500, "what is given");
    let bundle = message("ORM^O01^ORM_O01", &format!("{PID}{orc}OBR|1|M1^CL||K\n"));
    let request = bundle.one("ServiceRequest");
    assert_eq!(
        extension(request, "ORC-7")["valueString"],
        "1^BID^D7^20260301^20260308"
    );
}

#[test]
fn an_order_without_a_report_has_what_its_report_would_have() {
    let obr = segment(
        "OBR",
        &[
            (2, "O1^CL"),
            (4, "K^Potassium^L"),
            (7, "202603010800"),
            (20, "F20"),
            (25, "F"),
            (32, "8&READER&RITA"),
        ],
    );
    let bundle = message(
        "MDM^T02^MDM_T02",
        &format!(
            "{PID}ORC|RE|O1^CL\n{obr}TXA|1|CN|||||||||||D1\nOBX|1|TX|11^Findings^L||no finding||||||P\n"
        ),
    );
    let order = bundle.one("ServiceRequest");
    assert_eq!(
        extension(order, "OBR-7")["valueDateTime"],
        "2026-03-01T08:00:00+01:00"
    );
    assert_eq!(extension(order, "OBR-20")["valueString"], "F20");
    assert_eq!(extension(order, "OBR-25")["valueCode"], "F");
    let role = bundle.at(&extension(order, "OBR-32")["valueReference"]);
    let reader = bundle.at(&role["practitioner"]);
    assert_eq!(reader["name"][0]["family"], "READER");
    let content = &bundle.one("DocumentReference")["content"][0];
    let part = &extension(content, "OBX-3")["valueCodeableConcept"];
    assert_eq!(part["text"], "Findings");
    assert_eq!(extension(content, "OBX-11")["valueCode"], "P");
    // With a report they are that's.
    let bundle = message("ORU^R01^ORU_R01", &format!("{PID}{obr}"));
    let order = bundle.one("ServiceRequest").to_string();
    assert!(!order.contains("OBR-25"), "{order}");
}

#[test]
fn a_diagnosis_of_an_order_says_which_it_is() {
    let dg1 = segment(
        "DG1",
        &[(1, "1"), (3, "E11^Diabetes^I10"), (6, "W"), (15, "2")],
    );
    let order = "ORC|NW|O1^CL\nOBR|1|O1^CL||K\n";
    let bundle = message("OML^O21^OML_O21", &format!("{PID}{order}{dg1}"));
    let condition = bundle.one("Condition");
    assert!(extension(condition, "DG1-6")["valueCodeableConcept"].is_object());
    assert_eq!(extension(condition, "DG1-15")["valueInteger"], 2);
    let bundle = message("ADT^A01^ADT_A01", &format!("{PID}PV1|1|I\n{dg1}"));
    assert_eq!(bundle.one("Condition").get("extension"), None);
    assert_eq!(bundle.one("Encounter")["diagnosis"][0]["rank"], 2);
}

#[test]
fn a_policy_and_a_charge_keep_what_they_are_called_by_others() {
    let in1 = segment(
        "IN1",
        &[
            (1, "1"),
            (2, "P1^Plan^L^OTHER1^Other plan^99OTH"),
            (3, "C1"),
            (4, "ACME"),
            (6, "ROE^RITA"),
            (46, "OLD1"),
        ],
    );
    let ft1 = segment(
        "FT1",
        &[
            (4, "20260301"),
            (6, "CG"),
            (7, "K^Kit^L"),
            (9, "the other kit"),
            (27, "9^APPROVER^ANN"),
            (29, "1-2-3^Drug^NDC"),
        ],
    );
    let bundle = message("DFT^P03^DFT_P03", &format!("{PID}{ft1}{in1}"));
    let coverage = bundle.one("Coverage");
    let other = &coverage["identifier"][1];
    assert_eq!(other["value"], "OTHER1");
    assert_eq!(other["system"], "urn:hl7-v2:coding-system:99OTH");
    assert_eq!(other["type"]["text"], "Other plan");
    assert_eq!(extension(coverage, "IN1-46")["valueString"], "OLD1");
    assert_eq!(
        extension(coverage, "IN1-6")["valueHumanName"]["family"],
        "ROE"
    );
    let charge = bundle.one("ChargeItem");
    assert_eq!(extension(charge, "FT1-9")["valueString"], "the other kit");
    let approver = bundle.at(&extension(charge, "FT1-27")["valueReference"]);
    assert_eq!(approver["name"][0]["family"], "APPROVER");
    let drug = &extension(charge, "FT1-29")["valueCodeableConcept"];
    assert_eq!(drug["coding"][0]["code"], "1-2-3");
}
