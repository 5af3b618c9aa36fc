//! Orders, vaccinations, appointments, documents.

use super::{Bundle, MSH};
use serde_json::json;

pub(super) fn message(event: &str, segments: &str) -> Bundle {
    let header = MSH.replace("ADT^A01^ADT_A01", event);
    Bundle::of(&format!("{header}{segments}"))
}

#[test]
fn an_order_is_a_service_request() {
    let bundle = message(
        "OML^O21^OML_O21",
        "PID|1||77^^^H\nORC|NW|P1^PLAC|||IP||||202603010800|7^CLERK||8^DOCTOR\n\
        OBR|1|P1^PLAC||4^Glucose^L|||||||G|||||8^DOCTOR\nNTE|1||fasting\nDG1|1||E11^Diabetes^I10\n",
    );
    let request = bundle.one("ServiceRequest");
    assert_eq!(request["status"], "active", "ORC-5 before ORC-1");
    assert_eq!(request["intent"], "reflex-order", "OBR-11 is G");
    assert_eq!(request["authoredOn"], "2026-03-01T08:00:00+01:00");
    assert_eq!(request["note"], json!([{"text": "fasting"}]));
    assert_eq!(
        bundle.at(&request["reasonReference"][0])["resourceType"],
        "Condition"
    );
    let [sent, made, entry] = bundle.all("Provenance")[..] else {
        panic!("who sent it, what made a bundle of it, and who entered it")
    };
    for of_message in [sent, made] {
        let target = bundle.at(&of_message["target"][0]);
        assert_eq!(target["resourceType"], "MessageHeader");
        let source = &of_message["entity"][0];
        assert_eq!(source["role"], "source");
        assert_eq!(source["what"]["identifier"]["value"], "M1");
    }
    assert_eq!(made["agent"][0]["who"]["display"], "mllp-bridge");
    assert_eq!(bundle.at(&entry["target"][0]), request);
    assert_eq!(entry["agent"][0]["type"]["coding"][0]["code"], "enterer");
}

/// OBR-13: a corrected order has the same Observation, and a place of another name with the same universal ID is another one.
#[test]
fn what_is_worth_knowing_is_an_observation_of_the_order() {
    let order = |ward: &str, info: &str| {
        message(
            "OML^O21",
            &format!(
                "PID|1||77^^^H\nPV1|1|I|{ward}&1.2.3.4.5&ISO\nORC|NW|P1^PLAC\nOBR|1|P1^PLAC||4^Glucose^L|||||||||{info}\n"
            ),
        )
    };
    let (first, second) = (order("WARD", "fever"), order("OTHER", "no fever"));
    let info = first.one("Observation");
    assert_eq!(info["code"]["coding"][0]["code"], "55752-0");
    assert_eq!(info["valueCodeableConcept"]["coding"][0]["code"], "fever");
    let supports = &first.one("ServiceRequest")["supportingInfo"][0];
    assert_eq!(first.at(supports), info);
    assert_eq!(
        first.request("Observation")["url"],
        second.request("Observation")["url"]
    );
    let asked = |bundle: &Bundle| bundle.request("Location").clone();
    assert_ne!(asked(&first), json!(null));
    for bundle in [&first, &second] {
        let query = asked(bundle)["ifNoneExist"].clone();
        assert_eq!(query, json!(null), "the hospital's ID is no ward's");
    }
}

#[test]
fn a_vaccination_is_an_immunization() {
    let bundle = message(
        "VXU^V04^VXU_V04",
        "PID|1||77^^^H\nORC|RE||F1^REG\nRXA|0|1|20260301|20260301|207^COVID-19^CVX|0.5|mL^^UCUM||00^New^NIP001|8^NURSE|^^^CLINIC||||LOT7|20270101|PFR^Pfizer^MVX|||CP|A\n\
        RXR|IM^Intramuscular^HL70162|LD^Left Deltoid^HL70163\nOBX|1|CE|64994-7^Eligibility^LN||V02^X^HL70064||||||F\n\
        ORC|RE||F2^REG\nRXA|0|1|20260302||998^none^CVX|999||||||||||||||CP|D\n",
    );
    let all = bundle.all("Immunization");
    assert_eq!(all.len(), 2);
    let first = all[0];
    assert_eq!(first["status"], "completed");
    assert_eq!(first["occurrenceDateTime"], "2026-03-01");
    assert_eq!(
        first["vaccineCode"]["coding"][0]["system"],
        "http://hl7.org/fhir/sid/cvx"
    );
    assert_eq!(first["doseQuantity"]["value"], 0.5);
    assert_eq!(first["lotNumber"], "LOT7");
    assert_eq!(first["expirationDate"], "2027-01-01");
    assert_eq!(bundle.at(&first["manufacturer"])["name"], "Pfizer");
    assert_eq!(
        bundle.at(&first["performer"][0]["actor"])["resourceType"],
        "Practitioner"
    );
    assert_eq!(bundle.at(&first["location"])["name"], "CLINIC");
    assert_eq!(first["route"]["coding"][0]["code"], "IM");
    assert_eq!(first["site"]["text"], "Left Deltoid");
    assert_eq!(bundle.at(&bundle.one("Observation")["partOf"][0]), first);
    assert_eq!(all[1]["status"], "entered-in-error", "RXA-21 is D");
    assert_eq!(all[1].get("doseQuantity"), None, "999 is unknown");
}

#[test]
fn an_appointment_has_those_who_take_part() {
    let bundle = message(
        "SIU^S12^SIU_S12",
        "SCH|P1|F1||||CHK^Checkup^L||ROUTINE|30|min|^^30^202603020900^202603020930|||||9^FILLER||||||||Booked\nNTE|1||bring card\n\
        PID|1||77^^^H\nRGS|1\nAIS|1||XRAY^X-ray^L\nAIL|1||R^101\nAIP|1||8^DOCTOR\n",
    );
    let appointment = bundle.one("Appointment");
    assert_eq!(appointment["status"], "booked");
    assert_eq!(appointment["start"], "2026-03-02T09:00:00+01:00");
    assert_eq!(appointment["end"], "2026-03-02T09:30:00+01:00");
    assert_eq!(appointment["minutesDuration"], 30);
    assert_eq!(appointment["comment"], "bring card");
    assert_eq!(appointment["serviceType"][0]["text"], "X-ray");
    let mut kinds: Vec<&str> = appointment["participant"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| bundle.at(&one["actor"])["resourceType"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        ["Location", "Patient", "Practitioner", "Practitioner"]
    );
}

#[test]
fn a_document_has_its_text() {
    let bundle = message(
        "MDM^T02^MDM_T02",
        "EVN||20260301101400\nPID|1||77^^^H\nPV1|1|O\nTXA|1|CN^Consult^L|TX|202603010900|||||8^AUTHOR|||D1^DOC|||||AU||AV\n\
        OBX|1|TX|1||Hello\nOBX|2|ED|2||^^PDF^Base64^aGk=\n",
    );
    let document = bundle.one("DocumentReference");
    assert_eq!(document["status"], "current");
    assert_eq!(document["docStatus"], "final");
    assert_eq!(document["masterIdentifier"]["value"], "D1");
    assert_eq!(document["date"], "2026-03-01T09:00:00+01:00");
    let attachments: Vec<_> = document["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|content| content["attachment"].clone())
        .collect();
    assert_eq!(attachments[0]["data"], "SGVsbG8=");
    assert_eq!(attachments[0]["contentType"], "text/plain");
    assert_eq!(attachments[1]["data"], "aGk=");
    assert_eq!(attachments[1]["contentType"], "application/pdf");
    assert_eq!(bundle.at(&document["subject"])["resourceType"], "Patient");
}

/// A number of one with the unit of another is a dose that nobody has ordered.
#[test]
fn two_quantities_of_one_order_are_never_mixed() {
    for (first, second, kept) in [
        ("5", "7^mg", json!({"value": 5})),
        ("5", "5^mg", json!({"value": 5})),
        ("5^mg", "7^mL", json!({"value": 5, "unit": "mg"})),
    ] {
        let message = format!(
            "MSH|^~\\&|A|B|||20260101101500||OML^O21|1|P|2.5\nPID|1||77^^^H^MR\nORC|NW|P1^PLAC\n\
             TQ1|1|{first}\nTQ1|2|{second}\nOBR|1|P1^PLAC||4^Glucose^L\n"
        );
        let request = Bundle::of(&message).one("ServiceRequest").clone();
        assert_eq!(request["quantityQuantity"], kept, "{first} and {second}");
        let lost = super::ledger(&message);
        let unit = lost.iter().find(|lost| lost.0.starts_with("TQ1[2]-2"));
        assert_eq!(
            unit.map(|lost| lost.1),
            Some(Some(super::super::Refused::Taken)),
            "{second} is in no resource: {lost:?}"
        );
    }
}
