//! What must not become one: patients, visits, doses, units.

use super::Bundle;
use super::orders::message;
use serde_json::Value;

fn url(bundle: &Bundle, kind: &str) -> String {
    let request = bundle.request(kind);
    let asked = request.get("ifNoneExist").unwrap_or(&request["url"]);
    asked.as_str().unwrap().to_owned()
}

/// CX.6 says whose number it is where CX.4 says nothing.
#[test]
fn a_number_is_the_assigning_facilitys_where_there_is_no_authority() {
    let patient = |facility: &str| {
        let pid = format!("PID|1||4711^^^^MR^{facility}||DOE^JANE\n");
        url(&message("ADT^A08^ADT_A01", &pid), "Patient")
    };
    assert_ne!(patient("HOSPA"), patient("HOSPB"));
    assert_eq!(patient("HOSPA"), patient("HOSPA"));
    assert!(patient("HOSPA").contains("HOSPA"), "{}", patient("HOSPA"));
}

/// A patient that nobody can be asked for by leaves nothing that another one's could be put over.
#[test]
fn what_two_unidentified_patients_have_is_not_one() {
    let shot = |pid: &str| {
        let segments = format!("{pid}\nORC|RE||9999\nRXA|0|1|20260101||141^Flu^CVX|0.5|mL^^UCUM\n");
        url(&message("VXU^V04^VXU_V04", &segments), "Immunization")
    };
    let result = |pid: &str| {
        let segments =
            format!("{pid}\nOBR|1||1|GLU^Glucose^L\nOBX|1|NM|GLU^Glucose^L||5.4||||||F\n");
        url(&message("ORU^R01^ORU_R01", &segments), "Observation")
    };
    let one = "PID|1||111111111^^^USSSA^SS||DOE^JANE";
    let other = "PID|1||222222222^^^USSSA^SS||ROE^JOHN";
    assert_ne!(shot(one), shot(other));
    assert_ne!(result(one), result(other));
    assert_eq!(shot(one), shot(one), "a resend");
}

#[test]
fn nobody_is_asked_for_by_what_a_family_has() {
    for cx in [
        "W123^^^AETNA^SN",
        "G77^^^HIS^GI",
        "999999999^^^USSSA",
        "999999999^^^SSA^ss",
    ] {
        let bundle = message("ORU^R01^ORU_R01", &format!("PID|1||{cx}||DOE^JANE\n"));
        let asked = url(&bundle, "Patient");
        assert!(asked.starts_with("Patient/"), "{cx}: {asked}");
    }
}

/// A visit of a charge is the one that ADT has stored.
#[test]
fn a_charge_and_an_account_refer_to_the_visit_that_is_there() {
    let visit = "PV1|1|I|W3^12^A||||||||||||||||55^^^GENERAL^VN";
    let pid = "PID|1||1^^^GENERAL^MR||DOE^JANE";
    let asked = |event: &str, more: &str| {
        let bundle = message(event, &format!("{pid}\nROL|1|AD|AT|8^DOC\n{visit}\n{more}"));
        url(&bundle, "Encounter")
    };
    let stored = asked("ADT^A01^ADT_A01", "");
    let number = stored.split_once('?').unwrap().1;
    assert_eq!(
        asked("DFT^P03^DFT_P03", "FT1|1|T1||20260101||CG|K^Kit^L\n"),
        number
    );
    assert_eq!(asked("BAR^P01^BAR_P01", ""), number);
}

/// Two orders of one number, each with its result: nobody's glucose is an HIV test.
#[test]
fn two_tests_of_one_order_number_are_two_orders_of_a_result_too() {
    let pid = "PID|1||1^^^GENERAL^MR||DOE^JANE\n";
    let orders = |event: &str, control: &str| {
        let one = |code: &str, filler: &str, value: &str| {
            let order = format!("ORC|{control}|P1|{filler}\nOBR|1|P1|{filler}|{code}^{code}^L\n");
            match event {
                "ORU^R01^ORU_R01" => format!("{order}OBX|1|NM|{code}^{code}^L||{value}||||||F\n"),
                _ => order,
            }
        };
        message(
            event,
            &format!("{pid}{}{}", one("GLU", "F1", "5"), one("HIV", "F2", "0")),
        )
    };
    let (result, ordered) = (
        orders("ORU^R01^ORU_R01", "RE"),
        orders("ORM^O01^ORM_O01", "NW"),
    );
    let codes = |bundle: &Bundle| -> Vec<(Value, String)> {
        let all = bundle.entries().iter();
        let all = all.filter(|entry| entry["resource"]["resourceType"] == "ServiceRequest");
        let code = |entry: &Value| entry["resource"]["code"]["coding"].clone();
        all.map(|entry| (code(entry), entry["fullUrl"].to_string()))
            .collect()
    };
    assert_eq!(codes(&result).len(), 2, "{}", result.0);
    assert_eq!(
        codes(&result),
        codes(&ordered),
        "the result finds its order"
    );
    for report in result.all("DiagnosticReport") {
        let order = result.at(&report["basedOn"][0]);
        assert_eq!(order["code"], report["code"]);
    }
    // The same test twice is one order, as it was when it was placed.
    let of = |second: &str| {
        let segments = format!("{pid}OBR|1|P1|F1|GLU^Glu^L\n{second}");
        message("ORU^R01^ORU_R01", &segments)
    };
    let (once, twice) = (of(""), of("OBR|2|P1|F2|GLU^Glu^L\n"));
    assert_eq!(codes(&once), codes(&twice));
}

/// The second has a unit and the first none: 5 is not 5 mg.
#[test]
fn of_two_that_are_one_the_first_keeps_its_values_whole() {
    let segments = "PID|1||1^^^GENERAL^MR||DOE^JANE\nORC|RE|P1\nOBR|1|P1|F1|GLU^Glu^L\nTQ1|1|5\n\
                    ORC|RE|P1\nOBR|2|P1|F2|GLU^Glu^L\nTQ1|1|10^mg&milligram&UCUM\n";
    let bundle = message("ORU^R01^ORU_R01", segments);
    let order = bundle.one("ServiceRequest");
    assert_eq!(order["quantityQuantity"], serde_json::json!({"value": 5}));
    let lost: Vec<String> = super::ledger(&format!(
        "{}{segments}",
        super::MSH.replace("ADT^A01^ADT_A01", "ORU^R01^ORU_R01")
    ))
    .into_iter()
    .map(|(path, _)| path)
    .collect();
    assert!(lost.contains(&"TQ1[2]-2.1".to_owned()), "{lost:?}");
    assert!(lost.contains(&"TQ1[2]-2.2.1".to_owned()), "{lost:?}");
}

fn dosages(segments: &str) -> (Bundle, Vec<Value>) {
    let pid = "PID|1||1^^^GENERAL^MR||DOE^JANE\n";
    let bundle = message("RDE^O11^RDE_O11", &format!("{pid}{segments}"));
    let request = bundle.one("MedicationRequest");
    let all = request["dosageInstruction"].as_array().unwrap().clone();
    (bundle, all)
}

#[test]
fn each_step_of_a_taper_has_its_dose() {
    let (_, all) = dosages(
        "ORC|NW|M1^CL\nRXE||PRED^Prednisone^L|40||mg\nTQ1|1|40^mg|QD||||20260101|20260103||||S\nTQ1|2|20^mg|QD||||20260104|20260106\n",
    );
    let doses: Vec<_> = all
        .iter()
        .map(|one| one["doseAndRate"][0]["doseQuantity"]["value"].clone())
        .collect();
    assert_eq!(doses, [40, 20]);
}

#[test]
fn the_dose_of_the_drug_that_was_asked_for_is_not_that_of_the_one_given() {
    let (bundle, all) = dosages(
        "ORC|NW|M1^CL\nRXO|A^DrugA 500 mg tablet^L|500||mg\nRXE||B^DrugB solution^L|||||||1|5|mL\nTQ1|1||BID\n",
    );
    assert_eq!(bundle.one("Medication")["code"]["text"], "DrugB solution");
    assert_eq!(all[0].get("doseAndRate"), None, "{}", all[0]);
}

#[test]
fn a_unit_with_a_power_of_ten_stays_whole() {
    for (units, expected) in [
        ("10^9/L", "10^9/L"),
        ("x10^3/uL", "x10^3/uL"),
        ("10\\S\\9/L", "10^9/L"),
        ("mmol/L^millimole per litre^UCUM", "millimole per litre"),
    ] {
        let segments = format!(
            "PID|1||1^^^GENERAL^MR\nOBR|1||F1^LAB|WBC^WBC^L\nOBX|1|NM|WBC^WBC^L||7.1|{units}|4-10||||F\n"
        );
        let bundle = message("ORU^R01^ORU_R01", &segments);
        let value = &bundle.one("Observation")["valueQuantity"];
        assert_eq!(value["value"], 7.1);
        assert_eq!(value["unit"], expected, "OBX-6 {units}");
    }
}

#[test]
fn two_code_systems_allergies_of_one_code_are_two() {
    let allergy = |code: &str| {
        let segments = format!("PID|1||1^^^GENERAL^MR\nAL1|1|DA|{code}\n");
        url(&message("ADT^A01^ADT_A01", &segments), "AllergyIntolerance")
    };
    assert_ne!(allergy("100^Penicillin^DRUGS"), allergy("100^Peanut^FOODS"));
}
