//! Segments that stand beside what a message is about: IN2, IN3, SAC, ACC, VAR, MRG of a change, ROL without a visit.

use super::orders::message;
use super::{Bundle, segment};
use serde_json::{Value, json};

const PID: &str = "PID|1||77^^^H&1.2.276.0.76.3.1.1&ISO||DOE^JANE|||||||||||||A9^^^ACC\n";

pub(super) fn extension<'v>(of: &'v Value, place: &str) -> &'v Value {
    let url = format!("urn:hl7-v2:{place}");
    let all = of["extension"].as_array().map_or(&[][..], Vec::as_slice);
    let found = all.iter().find(|one| one["url"] == *url);
    found.unwrap_or_else(|| panic!("no {url} in {of}"))
}

fn insured(relation: &str) -> Bundle {
    let in1 = segment(
        "IN1",
        &[
            (1, "1"),
            (2, "PLAN"),
            (3, "C1"),
            (4, "ACME"),
            (16, "ROE^RITA"),
            (17, relation),
            (36, "POL1"),
        ],
    );
    let in2 = segment(
        "IN2",
        &[
            (1, "E5"),
            (2, "123456789"),
            (6, "MC7"),
            (26, "SUB8"),
            (61, "MEM9"),
            (63, "^PRN^PH^^^555^1234567"),
            (72, "02^Spouse"),
        ],
    );
    let in3 = segment("IN3", &[(1, "1"), (21, "CASEY MANAGER")]);
    message(
        "OML^O21^OML_O21",
        &format!("{PID}{in1}{in2}{in3}ORC|NW|O1^CL\nOBR|1|O1^CL||K\n"),
    )
}

#[test]
fn a_policy_has_the_numbers_of_its_member_and_who_the_patient_is_to_the_subscriber() {
    let bundle = insured("");
    let coverage = bundle.one("Coverage");
    let numbers: Vec<(&Value, &Value)> = coverage["identifier"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["type"]["coding"].is_array())
        .map(|one| (&one["type"]["coding"][0]["code"], &one["value"]))
        .collect();
    assert_eq!(
        numbers,
        [
            (&json!("MB"), &json!("MEM9")),
            (&json!("SN"), &json!("SUB8")),
            (&json!("MC"), &json!("MC7"))
        ]
    );
    assert_eq!(coverage["subscriberId"], "SUB8");
    let coding = &coverage["relationship"]["coding"][0];
    assert_eq!(coding["code"], "02");
    assert_eq!(
        coding["system"],
        "http://terminology.hl7.org/CodeSystem/v2-0344"
    );
    let subscriber = bundle.at(&coverage["subscriber"]);
    assert_eq!(subscriber["name"][0]["family"], "ROE");
    let numbers: Vec<&Value> = subscriber["identifier"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["value"])
        .collect();
    assert_eq!(numbers, ["E5", "123456789"]);
    assert_eq!(subscriber["telecom"][0]["use"], "home");
    let team = bundle.one("CareTeam");
    assert_eq!(team["participant"][0]["member"]["display"], "CASEY MANAGER");
    assert_eq!(bundle.at(&team["subject"])["resourceType"], "Patient");
}

/// The guide's row of IN1-17 stays; and the patient is not given the numbers of an employee by a policy.
#[test]
fn of_a_patient_who_is_the_subscriber_the_policy_has_all() {
    let bundle = insured("SEL");
    let coverage = bundle.one("Coverage");
    assert_eq!(
        bundle.at(&coverage["subscriber"])["resourceType"],
        "Patient"
    );
    assert!(bundle.all("RelatedPerson").is_empty());
    assert_eq!(coverage["relationship"]["coding"][0]["code"], "ONESELF");
    let other = &extension(coverage, "IN2-72")["valueCodeableConcept"];
    assert_eq!(other["coding"][0]["code"], "02");
    assert_eq!(
        extension(coverage, "IN2-1")["valueIdentifier"]["value"],
        "E5"
    );
    assert_eq!(
        extension(coverage, "IN2-2")["valueIdentifier"]["value"],
        "123456789"
    );
    let patient = bundle.one("Patient").to_string();
    assert!(!patient.contains("123456789"), "{patient}");
}

#[test]
fn a_specimen_is_in_the_containers_that_sac_tells_of() {
    let sac = |number: &str, volume: &str| {
        segment(
            "SAC",
            &[
                (3, &format!("{number}^LAB")),
                (8, "R^Process completed^HL70370"),
                (21, volume),
                (22, "3"),
                (24, "mL^^UCUM"),
            ],
        )
    };
    let spm = "SPM|1|S1&CL||SER||EDTK\n";
    let (first, second) = (sac("T1", "5"), sac("T2", "10"));
    for (event, rest) in [
        ("OML^O33^OML_O33", "ORC|NW|O1^CL\nOBR|1|O1^CL||K\n"),
        ("OML^O35^OML_O35", "ORC|NW|O1^CL\nOBR|1|O1^CL||K\n"),
        ("OUL^R22^OUL_R22", "OBR|1|O1^CL|F1|K\n"),
    ] {
        let bundle = message(event, &format!("{PID}{spm}{first}{second}{rest}"));
        let specimen = bundle.one("Specimen");
        let containers = specimen["container"].as_array().unwrap();
        let numbers: Vec<&Value> = containers
            .iter()
            .map(|one| &one["identifier"][0]["value"])
            .collect();
        assert_eq!(numbers, ["T1", "T2"], "{event}");
        assert_eq!(containers[1]["capacity"]["value"], 10);
        assert_eq!(containers[0]["specimenQuantity"]["value"], 3);
        assert_eq!(containers[0]["specimenQuantity"]["code"], "mL");
        assert!(containers[0]["additiveCodeableConcept"].is_object());
        let status = &extension(&containers[0], "SAC-8")["valueCodeableConcept"];
        assert_eq!(status["coding"][0]["code"], "R");
    }
    // Without SAC what SPM says of it is all.
    let bundle = message("OUL^R22^OUL_R22", &format!("{PID}{spm}OBR|1|O1^CL|F1|K\n"));
    let containers = &bundle.one("Specimen")["container"];
    assert_eq!(containers.as_array().unwrap().len(), 1);
}

#[test]
fn an_accident_is_why_the_visit_is() {
    let acc = "ACC|202602282300|MVA^Car accident^L|Main Street|||N||hit by a car\n";
    for event in ["ADT^A01^ADT_A01", "BAR^P01^BAR_P01", "DFT^P03^DFT_P03"] {
        let bundle = message(event, &format!("{PID}PV1|1|I\n{acc}"));
        let visit = bundle.one("Encounter");
        assert_eq!(visit["reasonCode"][0]["text"], "Car accident", "{event}");
        assert_eq!(
            extension(visit, "ACC-1")["valueDateTime"],
            "2026-02-28T23:00:00+01:00"
        );
        assert_eq!(extension(visit, "ACC-8")["valueString"], "hit by a car");
    }
    // Without a visit there is nothing that it could be of.
    let bundle = message("BAR^P01^BAR_P01", &format!("{PID}{acc}"));
    assert!(bundle.all("Encounter").is_empty());
}

#[test]
fn a_variance_is_a_note_on_the_problem_or_the_goal() {
    let bundle = message(
        "PPR^PC1^PPR_PC1",
        &format!(
            "{PID}PRB|AD|20260301|J45^Asthma^I10|PB1^CL\nVAR|V1^CL|202603011000||8^DOC||late~again late\nGOL|AD|20260301|G1^Breathe^L|GI1^CL\nVAR|V2^CL|202603011100||||not met\n"
        ),
    );
    let note = &bundle.one("Condition")["note"][0];
    assert_eq!(note["text"], "late\nagain late");
    assert_eq!(note["time"], "2026-03-01T10:00:00+01:00");
    let author = bundle.at(&note["authorReference"]);
    assert_eq!(author["name"][0]["family"], "DOC");
    assert_eq!(bundle.one("Goal")["note"][0]["text"], "not met");
}

/// A06 and A07 name the account that the visit had before: nothing is said of whether it is still used.
#[test]
fn a_change_of_class_names_the_account_before_and_ends_none() {
    for event in ["ADT^A06^ADT_A06", "ADT^A07^ADT_A06"] {
        let bundle = message(event, &format!("{PID}MRG|77^^^H||A8^^^ACC\nPV1|1|I\n"));
        let found: Vec<(&Value, &Value)> = bundle
            .all("Account")
            .into_iter()
            .map(|one| (&one["identifier"][0]["value"], &one["status"]))
            .collect();
        assert_eq!(
            found,
            [
                (&json!("A9"), &json!("active")),
                (&json!("A8"), &json!("unknown"))
            ],
            "{event}"
        );
        for entry in bundle.entries() {
            if entry["resource"]["resourceType"] == "Account" {
                assert_eq!(entry["request"]["method"], "POST");
            }
        }
        assert_eq!(bundle.all("Patient").len(), 1, "{event}: nobody is merged");
        // The account that it still has is no other one.
        let bundle = message(event, &format!("{PID}MRG|77^^^H||A9^^^ACC\nPV1|1|I\n"));
        assert_eq!(bundle.one("Account")["status"], "active");
    }
    let bundle = message(
        "ADT^A08^ADT_A01",
        &format!("{PID}MRG|77^^^H||A8^^^ACC\nPV1|1|I\n"),
    );
    assert_eq!(bundle.all("Account").len(), 1, "MRG is no part of A08");
}

/// Of a person without a visit.
#[test]
fn a_role_without_a_visit_is_one_in_a_care_team() {
    let role = segment(
        "ROL",
        &[
            (1, "R1^REG"),
            (2, "AD"),
            (3, "CP^Consulting^HL70443"),
            (4, "9^CON^CORA~10^SUB^SAM"),
            (5, "20260101"),
            (14, "CLINIC"),
        ],
    );
    let group = segment(
        "ROL",
        &[(1, "R2^REG"), (2, "AD"), (3, "RP"), (14, "WARD TEAM")],
    );
    let bundle = message("ADT^A28^ADT_A05", &format!("{PID}{role}{group}PV1|1|N\n"));
    let [team, other] = bundle.all("CareTeam")[..] else {
        panic!("{}", bundle.0)
    };
    let members: Vec<&Value> = team["participant"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &bundle.at(&one["member"])["name"][0]["family"])
        .collect();
    assert_eq!(members, ["CON", "SUB"]);
    let first = &team["participant"][0];
    assert_eq!(bundle.at(&first["onBehalfOf"])["name"], "CLINIC");
    assert_eq!(first["period"]["start"], "2026-01-01");
    assert_eq!(bundle.at(&team["subject"]), bundle.one("Patient"));
    let member = bundle.at(&other["participant"][0]["member"]);
    assert_eq!(member["name"], "WARD TEAM");
    // With a visit it is one in that.
    let visit = format!("PV1|1|I{}V1^^^H\n", "|".repeat(17));
    let bundle = message("ADT^A28^ADT_A05", &format!("{PID}{role}{visit}"));
    assert!(bundle.all("CareTeam").is_empty());
    assert!(bundle.one("Encounter")["participant"].is_array());
}

/// R4 has who took a specimen in the specimen, which stands in another group than PRT.
#[test]
fn whoever_took_the_specimen_is_its_collector() {
    let collector = segment("PRT", &[(1, "I"), (2, "A"), (4, "SC"), (5, "12^TAKER^TOM")]);
    let order = |number: &str, more: &str| {
        format!(
            "ORC|NW|{number}^CL\nOBR|1|{number}^CL|F{number}|K\n{more}SPM|1|S{number}&CL||SER\n"
        )
    };
    for event in ["OML^O21^OML_O21", "ORU^R01^ORU_R01", "OMG^O19^OMG_O19"] {
        let bundle = message(
            event,
            &format!("{PID}{}{}", order("1", &collector), order("2", "")),
        );
        let [first, second] = bundle.all("Specimen")[..] else {
            panic!("{event}: {}", bundle.0)
        };
        let role = bundle.at(&first["collection"]["collector"]);
        let taker = bundle.at(&role["practitioner"]);
        assert_eq!(taker["name"][0]["family"], "TAKER", "{event}");
        assert_eq!(second.get("collection"), None, "{event}: of another order");
    }
}
