//! Reports and observations.

use super::{Bundle, oru};
use serde_json::{Value, json};

fn with_obx(obx: &str) -> Bundle {
    oru(&format!(
        "PID|1||77^^^H\nORC|RE|P1^PLAC|F1^LAB\nOBR|1|P1^PLAC|F1^LAB|24323-8^Panel^LN|||202603010900|||||||||||||||202603011000||CH|F\nOBX|1|{obx}\n"
    ))
}

fn observation(obx: &str) -> Value {
    with_obx(obx).one("Observation").clone()
}

#[test]
fn a_value_is_of_the_type_that_obx_2_says() {
    for (obx, name, value) in [
        (
            "NM|X||7.50|mmol/L^^UCUM",
            "valueQuantity",
            json!({"value": 7.5, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}),
        ),
        (
            "NM|X||7|bananas^^UCUM",
            "valueQuantity",
            json!({"value": 7, "unit": "bananas"}),
        ),
        (
            "NM|X||7|mg",
            "valueQuantity",
            json!({"value": 7, "unit": "mg"}),
        ),
        ("NM|X||>90|mL", "valueString", json!(">90")),
        (
            "SN|X||>^90|mL",
            "valueQuantity",
            json!({"comparator": ">", "value": 90, "unit": "mL"}),
        ),
        (
            "SN|X||^1^:^128",
            "valueRatio",
            json!({"numerator": {"value": 1}, "denominator": {"value": 128}}),
        ),
        (
            "SN|X||^10^-^20|mg",
            "valueRange",
            json!({"low": {"value": 10, "unit": "mg"}, "high": {"value": 20, "unit": "mg"}}),
        ),
        ("ST|X||positive", "valueString", json!("positive")),
        (
            "TX|X||line one~line two",
            "valueString",
            json!("line one\nline two"),
        ),
        ("FT|X||one\\.br\\two", "valueString", json!("one\ntwo")),
        (
            "CWE|X||A^Alpha^L",
            "valueCodeableConcept",
            json!({"coding": [{"system": "urn:hl7-v2:coding-system:L", "code": "A", "display": "Alpha"}], "text": "Alpha"}),
        ),
        (
            "CE|X||260385009^Negative^SCT",
            "valueCodeableConcept",
            json!({"coding": [{"system": "http://snomed.info/sct", "code": "260385009", "display": "Negative"}], "text": "Negative"}),
        ),
        ("DT|X||20260102", "valueDateTime", json!("2026-01-02")),
        ("TM|X||1405", "valueTime", json!("14:05:00")),
        (
            "DR|X||20260102^20260103",
            "valuePeriod",
            json!({"start": "2026-01-02", "end": "2026-01-03"}),
        ),
        (
            "NR|X||1^2",
            "valueRange",
            json!({"low": {"value": 1}, "high": {"value": 2}}),
        ),
    ] {
        let observation = observation(obx);
        assert_eq!(observation.get(name), Some(&value), "{obx}");
        let values = observation.as_object().unwrap().keys();
        assert_eq!(
            values.filter(|key| key.starts_with("value")).count(),
            1,
            "{obx}"
        );
    }
}

#[test]
fn numbers_keep_the_digits_that_they_came_with() {
    let message =
        "MSH|^~\\&|L|L|||20260301||ORU^R01|1|P|2.5\nPID|1||77^^^H\nOBR|1\nOBX|1|NM|X||7.50\n";
    let converted = super::convert_with(message, super::Options::default());
    let text = String::from_utf8(converted.bundle).unwrap();
    assert!(text.contains("\"value\":7.50"), "{text}");
}

#[test]
fn status_interpretation_and_the_rest() {
    let observation = observation("NM|718-7^Hb^LN||7|g/dL|12-16|L|||F||||LAB1|8^TECH");
    assert_eq!(observation["status"], "final");
    assert_eq!(
        observation["code"]["coding"][0]["system"],
        "http://loinc.org"
    );
    assert_eq!(observation["interpretation"][0]["coding"][0]["code"], "L");
    assert_eq!(observation["referenceRange"], json!([{"text": "12-16"}]));
    assert_eq!(
        observation["effectiveDateTime"], "2026-03-01T09:00:00+01:00",
        "OBR-7"
    );
    assert_eq!(observation["performer"].as_array().unwrap().len(), 2);
    // What FHIR requires and the message lacks.
    let bare = observation_of_nothing();
    assert_eq!(bare["status"], "unknown");
    assert_eq!(bare["code"], json!({"text": "unknown"}));
    let not_asked = self::observation("ST|X||||||||N");
    assert_eq!(
        not_asked["dataAbsentReason"]["coding"][0]["code"],
        "not-asked"
    );
    let asked = self::observation("ST|X||yes||||||N");
    assert_eq!(asked.get("dataAbsentReason"), None, "obs-6");
}

fn observation_of_nothing() -> Value {
    observation("ST|||only a value")
}

#[test]
fn a_report_has_its_request_its_results_and_its_specimen() {
    let bundle = oru("PID|1||77^^^H\nPV1|1|O|||||||||||||||||V9^^^H\n\
        ORC|RE|P1^PLAC|F1^LAB|||||||||8^DOCTOR\nOBR|1|P1^PLAC|F1^LAB|1^One^L|||20260301|||||||||||||||||CH|F\n\
        OBX|1|NM|A||1||||||F\nNTE|1||a note\nOBX|2|NM|B||2||||||P\nSPM|1|S1&LAB^S2&LAB||BLD^Blood^HL70487\n\
        OBR|2|P2^PLAC|F2^LAB|2^Two^L|||20260301|||||||||||||||||CH|C\nOBX|1|NM|A||3||||||C\n");
    let reports = bundle.all("DiagnosticReport");
    assert_eq!(reports.len(), 2);
    assert_eq!(bundle.all("Observation").len(), 3);
    let results = |report: &Value| report["result"].as_array().unwrap().len();
    assert_eq!((results(reports[0]), results(reports[1])), (2, 1));
    assert_eq!(reports[0]["status"], "final");
    assert_eq!(reports[1]["status"], "corrected");
    assert_eq!(
        reports[0]["identifier"][0]["type"]["coding"][0]["code"],
        "PLAC"
    );
    assert_eq!(reports[0]["identifier"][1]["value"], "F1");
    let request = bundle.at(&reports[0]["basedOn"][0]);
    assert_eq!(request["resourceType"], "ServiceRequest");
    assert_eq!(request["intent"], "order");
    let requester = bundle.at(&request["requester"]);
    assert_eq!(
        bundle.at(&requester["practitioner"])["name"][0]["family"],
        "DOCTOR"
    );
    let specimen = bundle.at(&reports[0]["specimen"][0]);
    assert_eq!(specimen["type"]["text"], "Blood");
    assert_eq!(reports[1].get("specimen"), None, "the other order's");
    let first = bundle.at(&reports[0]["result"][0]);
    assert_eq!(first["note"], json!([{"text": "a note"}]));
    assert_eq!(bundle.at(&first["encounter"])["resourceType"], "Encounter");
}

#[test]
fn orders_without_orc_and_with_it_are_told_apart() {
    let bundle = oru(
        "PID|1||77^^^H\nOBR|1||F1|A\nOBX|1|ST|X||1\nORC|RE\nOBR|2||F2|B\nOBX|1|ST|X||2\nOBX|2|ST|Y||3\n",
    );
    let reports = bundle.all("DiagnosticReport");
    let results: Vec<usize> = reports
        .iter()
        .map(|report| report["result"].as_array().unwrap().len())
        .collect();
    assert_eq!(results, [1, 2]);
}

#[test]
fn a_corrected_result_has_the_first_ones_id() {
    let first = with_obx("NM|A||1||||||P");
    let second = with_obx("NM|A||2||||||C");
    assert_eq!(
        first.one("Observation")["id"],
        second.one("Observation")["id"]
    );
    assert_ne!(
        first.one("Observation")["id"],
        with_obx("NM|B||1||||||P").one("Observation")["id"]
    );
}

/// A number with half of its comparator is another number.
#[test]
fn a_structured_number_that_fhir_cannot_say_stays_text() {
    for (value, text) in [
        ("<>^5", "<>^5"),
        ("about^5", "about^5"),
        ("^2^+", "^2^+"),
        (">^2^-^4", ">^2^-^4"),
    ] {
        let observation = observation(&format!("SN|X||{value}|mg"));
        assert_eq!(observation["valueString"], text);
        let unit = &observation["extension"][0]["valueCodeableConcept"];
        assert_eq!(unit["text"], Value::Null, "a code says it all: {unit}");
        assert_eq!(unit["coding"][0]["code"], "mg", "the unit of {value}");
    }
    let plain = observation("SN|X||=^5|mg");
    assert_eq!(plain["valueQuantity"], json!({"value": 5, "unit": "mg"}));
}

#[test]
fn a_document_is_read_however_its_encoding_is_spelled() {
    for (encoding, data) in [
        ("Base64", "aGk="),
        ("base64", "aGk"),
        ("BASE64", "aGk="),
        ("Hex", "6869"),
        ("HEX", "6869"),
        ("A", "hi"),
    ] {
        let observation = observation(&format!("ED|X||^TEXT^plain^{encoding}^{data}"));
        let attachment = &observation["extension"][0]["valueAttachment"];
        assert_eq!(attachment["data"], "aGk=", "{encoding}: {attachment}");
    }
    // att-1: data has a type, be it the one of which nothing is known.
    for (kind, becomes) in [
        ("^TEXT^", "application/octet-stream"),
        ("^AP^PDF", "application/pdf"),
    ] {
        let observation = observation(&format!("ED|X||{kind}^Base64^aGk="));
        let attachment = &observation["extension"][0]["valueAttachment"];
        assert_eq!(attachment["contentType"], becomes, "{kind}: {attachment}");
    }
}
