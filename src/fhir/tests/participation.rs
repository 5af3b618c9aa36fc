//! PRT: who takes part in what, by the segment that it stands behind and by PRT-4.

use super::orders::message;
use super::segment;

const PID: &str = "PID|1||77^^^H&1.2.276.0.76.3.1.1&ISO||DOE^JANE\n";

fn prt(action: &str, role: &str, person: &str, more: &[(usize, &str)]) -> String {
    let mut fields = vec![(1, "I"), (2, action), (4, role), (5, person)];
    fields.extend(more);
    segment("PRT", &fields)
}

#[test]
fn a_result_has_who_took_part_in_it() {
    let practice = prt(
        "A",
        "PP^Primary care^HL70443",
        "8^DOC^DORA",
        &[
            (6, "GP^General^L"),
            (8, "CLINIC"),
            (11, "20260101"),
            (14, "1 Street^^Town"),
            (15, "^WPN^PH^^^^5551234"),
            (23, "O"),
        ],
    );
    let relation = prt("A", "EC^Emergency contact^HL70131", "9^KIN^KATE", &[]);
    let orderer = prt("A", "OP", "10^ORD^OLGA", &[]);
    let interpreter = prt("A", "PRI", "11^INT^IDA", &[]);
    let gone = prt("D", "TR", "12^GONE^GUS", &[]);
    let device = prt(
        "A",
        "EQUIP",
        "",
        &[(10, "DEV1^LAB"), (19, "LOT7"), (20, "SER9")],
    );
    let observer = prt("A", "OBS", "13^OBS^OTTO", &[(9, "L1^R9")]);
    let bundle = message(
        "ORU^R01^ORU_R01",
        &format!(
            "{PID}{practice}{relation}OBR|1|O1^CL|F1^LAB|K^Potassium^L\n{orderer}{interpreter}{gone}\
            OBX|1|NM|K^Potassium^L||4.1|mmol/L^^UCUM||N|||F\n{device}{observer}"
        ),
    );
    let family = |role: &serde_json::Value| {
        let role = bundle.at(role);
        bundle.at(&role["practitioner"])["name"][0]["family"].clone()
    };
    let patient = bundle.one("Patient");
    let practice = bundle.at(&patient["generalPractitioner"][0]);
    assert_eq!(family(&patient["generalPractitioner"][0]), "DOC");
    assert_eq!(practice["specialty"][0]["text"], "General");
    assert_eq!(practice["period"]["start"], "2026-01-01");
    assert_eq!(bundle.at(&practice["organization"])["name"], "CLINIC");
    let telecom = &practice["telecom"][0];
    assert_eq!(telecom["extension"][0]["valueBoolean"], true, "PRT-23");
    let doctor = bundle.at(&practice["practitioner"]);
    assert_eq!(doctor["address"][0]["city"], "Town");
    let relation = bundle.one("RelatedPerson");
    assert_eq!(relation["name"][0]["family"], "KIN");
    assert_eq!(bundle.at(&relation["patient"]), patient);
    let report = bundle.one("DiagnosticReport");
    assert_eq!(family(&report["resultsInterpreter"][0]), "INT");
    assert_eq!(family(&bundle.one("ServiceRequest")["requester"]), "ORD");
    assert!(!bundle.0.to_string().contains("GONE"), "PRT-2 is D");
    let observation = bundle.one("Observation");
    assert_eq!(family(&observation["performer"][0]), "OBS");
    let device = bundle.at(&observation["device"]);
    assert_eq!(device["serialNumber"], "SER9");
    assert_eq!(device["lotNumber"], "LOT7");
    let location = &observation["extension"][0];
    assert_eq!(
        location["url"],
        "http://hl7.org/fhir/StructureDefinition/event-location"
    );
    assert_eq!(
        bundle.at(&location["valueReference"])["resourceType"],
        "Location"
    );
}

#[test]
fn a_visit_and_a_vaccination_have_theirs() {
    let attending = prt("A", "AT^Attending^HL70443", "8^DOC^DORA", &[]);
    let nurse = prt("A", "AP^Administering^HL70443", "9^NURSE^NINA", &[]);
    let bundle = message(
        "VXU^V04^VXU_V04",
        &format!(
            "{PID}PV1|1|O\n{attending}ORC|RE||F1^REG\n{nurse}RXA|0|1|20260301|20260301|207^COVID-19^CVX|0.5|mL^^UCUM\n"
        ),
    );
    let family = |role: &serde_json::Value| {
        let role = bundle.at(role);
        bundle.at(&role["practitioner"])["name"][0]["family"].clone()
    };
    let participant = &bundle.one("Encounter")["participant"][0];
    assert_eq!(family(&participant["individual"]), "DOC");
    assert_eq!(participant["type"][0]["text"], "Attending");
    let performer = &bundle.one("Immunization")["performer"][0];
    assert_eq!(family(&performer["actor"]), "NURSE");
    assert_eq!(performer["function"]["coding"][0]["code"], "AP");
}

#[test]
fn a_patient_has_a_practice_and_a_care_team() {
    let practice = prt("A", "PP^Primary care^HL70443", "8^DOC^DORA", &[]);
    let other = prt(
        "A",
        "CP^Consulting^HL70443",
        "9^CON^CORA",
        &[(6, "CARD"), (1, "J")],
    );
    let gone = prt("D", "AP", "12^GONE^GUS", &[]);
    for (event, general) in [("A01", "Practitioner"), ("A28", "PractitionerRole")] {
        let bundle = message(
            &format!("ADT^{event}^ADT_{event}"),
            &format!("{PID}{practice}{other}{gone}PV1|1|I\n"),
        );
        let patient = bundle.one("Patient");
        let found = bundle.at(&patient["generalPractitioner"][0]);
        assert_eq!(found["resourceType"], general, "{event}");
        let teams = bundle.all("CareTeam");
        assert_eq!(teams.len(), 2, "{event}: one for each PRT-1");
        let members: Vec<_> = teams
            .iter()
            .map(|team| {
                assert_eq!(bundle.at(&team["subject"]), patient);
                bundle.at(&team["participant"][0]["member"])["resourceType"].clone()
            })
            .collect();
        assert_eq!(members, ["Practitioner", "PractitionerRole"], "PRT-6");
        assert!(!bundle.0.to_string().contains("GONE"), "PRT-2 is D");
    }
}
