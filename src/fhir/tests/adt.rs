//! Patients, their visits, and who and what is around them.

use super::{MSH, adt, ledger};
use serde_json::{Value, json};

fn patient(pid: &str) -> Value {
    adt(&format!("PID|{pid}\n")).one("Patient").clone()
}

/// A field of PID at its number.
fn field(number: usize, value: &str) -> Value {
    patient(&format!("{}{value}", "|".repeat(number - 1)))
}

#[test]
fn identifiers_say_whose_they_are() {
    let v2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203";
    for (cx, expected) in [
        (
            "77^^^H&2.16.840.1.113883.19.4.6&ISO^MR",
            json!({
                "type": {"coding": [{"system": v2_0203, "code": "MR", "display": "Medical record number"}]},
                "system": "urn:oid:2.16.840.1.113883.19.4.6",
                "value": "77",
                "assigner": {"display": "H"},
            }),
        ),
        (
            // Too short for an OID that a validator takes.
            "77^^^H&1.2.3&ISO",
            json!({"system": "urn:hl7-v2:namespace:CLINIC:H", "value": "77", "assigner": {"display": "H"}}),
        ),
        (
            "77^^^&550E8400-e29b-41d4-a716-446655440000&UUID",
            json!({"system": "urn:uuid:550e8400-e29b-41d4-a716-446655440000", "value": "77"}),
        ),
        (
            "77^^^MY CLINIC",
            json!({
                "system": "urn:hl7-v2:namespace:CLINIC:MY%20CLINIC", "value": "77",
                "assigner": {"display": "MY CLINIC"},
            }),
        ),
        (
            "77^4^M11^^^^20200102^20301231",
            json!({
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/identifier-checkDigit",
                        "valueString": "4",
                    },
                    {"url": "urn:hl7-v2:CX-3", "valueString": "M11"},
                ],
                "value": "77",
                "period": {"start": "2020-01-02", "end": "2030-12-31"},
            }),
        ),
    ] {
        assert_eq!(field(3, cx)["identifier"][0], expected, "{cx}");
    }
    let all = &patient("|A^^^S1|B^^^S2~C^^^S3|D^^^S4")["identifier"];
    let values: Vec<&Value> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["value"])
        .collect();
    assert_eq!(
        values,
        ["B", "C", "A", "D"],
        "PID-3 first: an update asks by it"
    );
    assert_eq!(
        field(19, "123-45-6789")["identifier"][0]["system"],
        "http://hl7.org/fhir/sid/us-ssn"
    );
    let licence = &field(20, "L99^CA^20301231")["identifier"][0];
    assert_eq!(licence["type"]["coding"][0]["code"], "DL");
    assert_eq!(licence["period"], json!({"end": "2030-12-31"}));
}

#[test]
fn names_addresses_and_telephones() {
    let name = &field(
        5,
        "de Doe&de&Doe^Jane^Q^JR^DR^^L^^^^G^20200101^20210101^PhD",
    )["name"][0];
    assert_eq!(
        name,
        &json!({
            "extension": [{
                "url": "http://hl7.org/fhir/StructureDefinition/humanname-assembly-order",
                "valueCode": "G",
            }],
            "use": "official",
            "family": "de Doe",
            "_family": {"extension": [
                {"url": "http://hl7.org/fhir/StructureDefinition/humanname-own-prefix", "valueString": "de"},
                {"url": "http://hl7.org/fhir/StructureDefinition/humanname-own-name", "valueString": "Doe"},
            ]},
            "given": ["Jane", "Q"],
            "prefix": ["DR"],
            "suffix": ["JR", "PhD"],
            "period": {"start": "2020-01-01", "end": "2021-01-01"},
        })
    );
    let address = &field(11, "1 High St^Flat 2^Town^ST^12345^USA^H^^County")["address"][0];
    assert_eq!(
        address,
        &json!({
            "use": "home", "line": ["1 High St", "Flat 2"], "city": "Town", "district": "County",
            "state": "ST", "postalCode": "12345", "country": "USA",
        })
    );
    assert_eq!(field(12, "Kent")["address"], json!([{"district": "Kent"}]));
    for (number, xtn, expected) in [
        (
            13,
            "555-1234",
            json!({"system": "phone", "value": "555-1234", "use": "home"}),
        ),
        (
            14,
            "555-1234",
            json!({"system": "phone", "value": "555-1234", "use": "work"}),
        ),
        (
            13,
            "^WPN^Internet^a@b.example",
            json!({"system": "email", "value": "a@b.example", "use": "work"}),
        ),
        (
            13,
            "^^CP^^^^^^^^^+1 555",
            json!({"system": "phone", "value": "+1 555", "use": "mobile"}),
        ),
    ] {
        assert_eq!(field(number, xtn)["telecom"], json!([expected]), "{xtn}");
    }
    let telecom = &field(13, "^PRN^PH^^1^555^1234^9")["telecom"][0];
    assert_eq!(telecom["value"], "+1 555 1234 X9");
    assert_eq!(
        telecom["extension"].as_array().unwrap().len(),
        4,
        "its parts too"
    );
}

#[test]
fn demographics() {
    assert_eq!(field(8, "F")["gender"], "female");
    assert_eq!(field(8, "A")["gender"], "other");
    assert_eq!(field(8, "Female")["gender"], "female", "the word itself");
    assert_eq!(field(7, "1985")["birthDate"], "1985");
    let born = field(7, "19850412143000");
    assert_eq!(born["birthDate"], "1985-04-12");
    assert_eq!(
        born["_birthDate"]["extension"],
        json!([{
            "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
            "valueDateTime": "1985-04-12T14:30:00+01:00",
        }])
    );
    let married = &field(16, "M^Married^HL70002")["maritalStatus"];
    assert_eq!(
        married["coding"][0]["system"],
        "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"
    );
    assert_eq!(
        married["coding"][1]["system"],
        "http://terminology.hl7.org/CodeSystem/v2-0002"
    );
    assert_eq!(married["text"], "Married");
    assert_eq!(field(24, "Y")["multipleBirthBoolean"], true);
    let twin = patient("||||||||||||||||||||||||Y|2");
    assert_eq!(
        twin.get("multipleBirthInteger"),
        None,
        "PID-24 is one field before"
    );
    let twin = patient(&format!("{}Y|2", "|".repeat(23)));
    assert_eq!(twin["multipleBirthInteger"], 2);
    assert_eq!(twin.get("multipleBirthBoolean"), None, "one choice only");
    let dead = patient(&format!("{}20260102|Y", "|".repeat(28)));
    assert_eq!(dead["deceasedDateTime"], "2026-01-02");
    assert_eq!(dead.get("deceasedBoolean"), None);
    assert_eq!(
        field(23, "Oslo")["extension"][0]["valueAddress"],
        json!({"text": "Oslo"})
    );
}

#[test]
fn a_contact_needs_someone_to_reach() {
    let bundle =
        adt("PID|1||77^^^H\nNK1|1|DOE^JOHN|SPO^Spouse^HL70063|||555\nNK1|2||MTH\nNK1|3|ACME|E\n");
    let contacts = bundle.one("Patient")["contact"].as_array().unwrap();
    assert_eq!(contacts.len(), 2, "pat-1: one has a relationship only");
    assert_eq!(contacts[0]["name"]["family"], "DOE");
    assert_eq!(contacts[0]["relationship"][0]["text"], "Spouse");
    // An employer is no related person.
    let related = bundle.all("RelatedPerson");
    assert_eq!(related.len(), 2);
    assert_eq!(bundle.at(&related[0]["patient"])["resourceType"], "Patient");
}

#[test]
fn a_visit_is_an_encounter() {
    let bundle = adt(
        "PID|1||77^^^H\nPV1|1|I|W^2^B^HOSP||||8^ATT|9^REFER||MED||||7|||10^ADMIT||V1^^^H|||||||||||||||||01||||||||20260301|20260303\n\
        PV2||||||||20260301|||2\n",
    );
    let encounter = bundle.one("Encounter");
    assert_eq!(encounter["status"], "finished", "PV1-45 is valued");
    assert_eq!(encounter["class"]["code"], "IMP");
    assert_eq!(encounter["identifier"][0]["value"], "V1");
    assert_eq!(
        encounter["identifier"][0]["type"]["coding"][0]["code"],
        "VN"
    );
    assert_eq!(
        encounter["period"],
        json!({"start": "2026-03-01", "end": "2026-03-03"})
    );
    assert_eq!(bundle.at(&encounter["subject"])["resourceType"], "Patient");
    let participants = encounter["participant"].as_array().unwrap();
    let roles: Vec<&Value> = participants
        .iter()
        .map(|one| &one["type"][0]["coding"][0]["code"])
        .collect();
    assert_eq!(roles, ["ATND", "REF", "ADM"]);
    assert_eq!(
        bundle.at(&participants[0]["individual"])["name"][0]["family"],
        "ATT"
    );
    assert_eq!(encounter["length"]["value"], 2);
    // Bed in room in ward in hospital.
    let mut location = bundle.at(&encounter["location"][0]["location"]);
    let mut kinds = Vec::new();
    loop {
        kinds.push(
            location["physicalType"]["coding"][0]["code"]
                .as_str()
                .unwrap(),
        );
        match location.get("partOf") {
            Some(outer) => location = bundle.at(outer),
            None => break,
        }
    }
    assert_eq!(kinds, ["bd", "ro", "wa", "si"]);
    assert_eq!(encounter["location"][0]["status"], "active");
}

#[test]
fn what_an_encounter_must_have_is_there_without_a_class_too() {
    let bundle = adt("PID|1||77^^^H\nPV1|1||W\n");
    let encounter = bundle.one("Encounter");
    assert_eq!(
        encounter["class"]["extension"][0]["url"],
        "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    );
    assert!(encounter["status"].is_string());
    let planned = adt("PID|1||77^^^H\nPV1|1|P|W^1\n");
    assert_eq!(planned.one("Encounter")["status"], "planned");
    assert_eq!(planned.one("Encounter")["location"][0]["status"], "planned");
}

#[test]
fn a_period_that_ends_too_early_loses_its_end_and_the_ledger_says_so() {
    let pv1 = format!(
        "PID|1||77^^^H\nPV1|1|I{}20260303|20260301\n",
        "|".repeat(42)
    );
    assert_eq!(
        adt(&pv1).one("Encounter")["period"],
        json!({"start": "2026-03-03"})
    );
    let lost = ledger(&format!("{MSH}{pv1}"));
    assert!(
        lost.contains(&("PV1-45".to_owned(), Some(super::super::Refused::Period))),
        "{lost:?}"
    );
}

#[test]
fn allergies_diagnoses_procedures_and_cover() {
    let bundle = adt(
        "PID|1||77^^^H\nPV1|1|I\nAL1|1|DA|P^Penicillin^L|SV|Rash~Hives|20200101\n\
        DG1|1||I10^Hypertension^I10|high|20260301|A|||||||||1\nPR1|1||44950^Appendectomy^C4||20260301|||8^SURGEON\n\
        IN1|1|GOLD|123^^^PAYER|ACME HEALTH||||GRP||||20250101|||||SEL\n",
    );
    let allergy = bundle.one("AllergyIntolerance");
    assert_eq!(allergy["category"], json!(["medication"]));
    assert_eq!(allergy["type"], "allergy");
    assert_eq!(allergy["clinicalStatus"]["coding"][0]["code"], "active");
    assert_eq!(allergy["code"]["text"], "Penicillin");
    let reaction = &allergy["reaction"][0];
    assert_eq!(
        reaction["manifestation"],
        json!([{"text": "Rash"}, {"text": "Hives"}])
    );
    assert_eq!(reaction["severity"], "severe");
    assert_eq!(allergy["onsetDateTime"], "2020-01-01");
    assert_eq!(bundle.at(&allergy["patient"])["resourceType"], "Patient");

    let condition = bundle.one("Condition");
    assert_eq!(
        condition["code"]["coding"][0]["system"],
        "http://hl7.org/fhir/sid/icd-10"
    );
    assert_eq!(condition["code"]["coding"][0]["display"], "Hypertension");
    assert_eq!(condition["code"]["text"], "high", "DG1-4");
    let encounter = bundle.one("Encounter");
    assert_eq!(bundle.at(&condition["encounter"]), encounter);
    let diagnosis = &encounter["diagnosis"][0];
    assert_eq!(bundle.at(&diagnosis["condition"]), condition);
    assert_eq!(diagnosis["rank"], 1);

    let procedure = bundle.one("Procedure");
    assert_eq!(procedure["status"], "completed");
    assert_eq!(procedure["performedDateTime"], "2026-03-01");
    assert_eq!(
        bundle.at(&procedure["performer"][0]["actor"])["resourceType"],
        "Practitioner"
    );

    let coverage = bundle.one("Coverage");
    assert_eq!(coverage["status"], "active");
    assert_eq!(bundle.at(&coverage["payor"][0])["name"], "ACME HEALTH");
    assert_eq!(
        bundle.at(&coverage["beneficiary"])["resourceType"],
        "Patient"
    );
    assert_eq!(coverage["class"][0]["value"], "GRP");
}

/// The provenances of a kind, by what their activity begins with.
fn provenances<'b>(bundle: &'b super::Bundle, activity: &str) -> Vec<&'b Value> {
    let is_it = |one: &&Value| {
        let coding = &one["activity"]["coding"][0];
        let display = coding["display"].as_str();
        display.is_some_and(|display| display.starts_with(activity))
    };
    bundle.all("Provenance").into_iter().filter(is_it).collect()
}

#[test]
fn the_event_has_a_provenance_if_its_time_is_an_instant() {
    let bundle = adt("EVN||20260301101400|||9^CLERK|202603011000\nPID|1||77^^^H\n");
    let [event] = provenances(&bundle, "event")[..] else {
        panic!("{}", bundle.0)
    };
    assert_eq!(event["recorded"], "2026-03-01T10:14:00+01:00");
    assert_eq!(event["occurredDateTime"], "2026-03-01T10:00:00+01:00");
    assert_eq!(
        bundle.at(&event["agent"][0]["who"])["name"][0]["family"],
        "CLERK"
    );
    assert_eq!(
        bundle.at(&event["target"][0])["resourceType"],
        "MessageHeader"
    );
    // A day is not enough, but MSH-7 has a time.
    let bundle = adt("EVN||20260301\n");
    assert_eq!(provenances(&bundle, "event").len(), 1);
    let no_time = MSH.replace("20260301101500+0100", "20260301");
    let bundle = super::Bundle::of(&format!("{no_time}EVN||20260301\n"));
    assert!(bundle.all("Provenance").is_empty());
}

#[test]
fn the_message_has_a_provenance_of_its_sender() {
    for event in ["A01", "A08", "A03", "A31", "A17"] {
        let message = MSH.replace("ADT^A01", &format!("ADT^{event}"));
        let visit = "|".repeat(17);
        let bundle = super::Bundle::of(&format!("{message}PID|1||77^^^H\nPV1|1|I{visit}V1^^^H\n"));
        let [source] = provenances(&bundle, "message")[..] else {
            panic!("{event}: {}", bundle.0)
        };
        let sender = bundle.at(&source["agent"][0]["who"]);
        assert_eq!(sender["name"], "CLINIC", "{event}");
        assert_eq!(
            bundle.at(&source["target"][0])["resourceType"],
            "MessageHeader"
        );
    }
}

#[test]
fn the_message_header_says_who_sent_what_to_whom() {
    let bundle = adt("PID|1||77^^^H\n");
    let header = bundle.one("MessageHeader");
    assert_eq!(
        header["eventCoding"],
        json!({
            "system": "http://terminology.hl7.org/CodeSystem/v2-0003",
            "code": "A01",
            "display": "ADT^A01^ADT_A01",
        })
    );
    assert_eq!(header["source"]["name"], "REG");
    assert_eq!(
        header["source"]["endpoint"],
        "urn:oid:2.16.840.1.113883.19.3.1"
    );
    assert_eq!(header["destination"][0]["name"], "EHR");
    assert_eq!(bundle.at(&header["sender"])["name"], "CLINIC");
    assert_eq!(
        bundle.at(&header["destination"][0]["receiver"])["name"],
        "WEST"
    );
    assert_eq!(header["meta"]["tag"][0]["code"], "P");
}

#[test]
fn segments_that_come_before_their_encounter_add_to_it() {
    let bundle = adt(
        "PID|1||77^^^H\nROL|1|AD|AT^Attending^HL70443|8^FIRST\nROL|2|AD|CP|9^SECOND\nROL|3|AD|PP|7^OWN\nDG1|1||A^B^L\nPV1|1|I\n",
    );
    let encounter = bundle.one("Encounter");
    assert_eq!(encounter["class"]["code"], "IMP");
    assert_eq!(encounter["participant"].as_array().unwrap().len(), 2);
    assert_eq!(encounter["diagnosis"].as_array().unwrap().len(), 1);
    let own = &bundle.one("Patient")["generalPractitioner"][0];
    let role = bundle.at(own);
    let practitioner = bundle.at(&role["practitioner"]);
    assert_eq!(practitioner["name"][0]["family"], "OWN");
}
