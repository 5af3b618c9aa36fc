//! Each value of a message is in its bundle as often as it was said, or in the ledger.

use super::orders::message;
use super::{MSH, ledger};
use serde_json::{Value, json};

const PID: &str = "PID|1||77^^^H^MR||DOE^JANE\n";

fn lost(event: &str, segments: &str) -> Vec<String> {
    let header = MSH.replace("ADT^A01^ADT_A01", event);
    let lost = ledger(&format!("{header}{segments}")).into_iter();
    lost.map(|(path, _)| path).collect()
}

/// Both pressures are 120; a name that somebody has twice is theirs.
#[test]
fn equal_values_beside_each_other_are_all_there() {
    let result = format!(
        "{PID}OBR|1||F1|BP^Pressure^L\nOBX|1|NM|BP^Pressure^L||120~120|mm[Hg]^^UCUM|||||F\n"
    );
    let bundle = message("ORU^R01^ORU_R01", &result);
    let components = bundle.one("Observation")["component"].as_array();
    let values = components.into_iter().flatten();
    let values: Vec<&Value> = values.map(|one| &one["valueQuantity"]["value"]).collect();
    assert_eq!(values, [120, 120]);
    let bundle = message("ADT^A04^ADT_A01", "PID|1||77^^^H^MR||DOE^JOHN^JOHN\n");
    assert_eq!(
        bundle.one("Patient")["name"][0]["given"],
        json!(["JOHN", "JOHN"])
    );
}

/// A taper that goes up again.
#[test]
fn equal_steps_of_a_dose_are_all_there() {
    let steps = "TQ1|1|40^mg|QD\nTQ1|2|20^mg|QD\nTQ1|3|40^mg|QD\n";
    let order = format!("{PID}ORC|NW|M1^CL\nRXE||PRED^Prednisone^L|40||mg\n{steps}");
    let bundle = message("RDE^O11^RDE_O11", &order);
    let all = bundle.one("MedicationRequest")["dosageInstruction"].as_array();
    assert_eq!(all.map(Vec::len), Some(3));
}

#[test]
fn the_same_identifier_twice_is_one() {
    let pid = "PID|1|77^^^H^MR|77^^^H^MR~77^^^H^MR||DOE^JANE\n";
    let bundle = message("ADT^A04^ADT_A01", pid);
    let all = bundle.one("Patient")["identifier"].as_array();
    assert_eq!(all.map(Vec::len), Some(1));
}

/// Who entered an order of which nobody knows the time: their Provenance is not written, and they are in no bundle for nothing.
#[test]
fn what_is_taken_out_takes_with_it_who_was_mentioned_there_alone() {
    let header = "MSH|^~\\&|LAB|GEN|B|C|||ORU^R01|M1|P|2.5\n";
    let order = |orderer: &str| {
        let orc = format!("ORC|RE|P1^H|F1^L|||||||77^ENTERER^EVA^^^^^^NPI||{orderer}\n");
        format!("{header}{PID}{orc}OBR|1|P1^H|F1^L|GLU^Glucose^L\n")
    };
    let bundle = super::Bundle::of(&order(""));
    assert!(bundle.all("Practitioner").is_empty(), "{}", bundle.0);
    let paths = |message: &str| -> Vec<String> {
        ledger(message).into_iter().map(|(path, _)| path).collect()
    };
    assert!(paths(&order("")).contains(&"ORC-10.1".to_owned()));
    // Who is meant elsewhere stays.
    let both = order("77^ENTERER^EVA^^^^^^NPI");
    assert_eq!(super::Bundle::of(&both).all("Practitioner").len(), 1);
    assert!(!paths(&both).contains(&"ORC-12.1".to_owned()));
}

/// Of a second order of the same number only what there is no room for is lost.
#[test]
fn what_was_in_the_way_is_lost_and_nothing_beside_it() {
    let order = |set: u8, filler: &str, priority: &str| {
        format!(
            "ORC|RE|P1^H|{filler}^L\nOBR|{set}|P1^H|{filler}^L|K^K^L\nTQ1|1||||||||{priority}\n"
        )
    };
    let all = format!("{PID}{}{}", order(1, "F1", "S"), order(2, "F2", "R"));
    let lost = lost("ORU^R01^ORU_R01", &all);
    assert!(lost.contains(&"TQ1[2]-9".to_owned()), "{lost:?}");
    assert!(!lost.contains(&"TQ1[2]-1".to_owned()), "{lost:?}");
}

#[test]
fn the_number_by_which_somebody_is_changed_is_not_lost() {
    let pid = "PID|1||77^^^&2.16.840.1.113883.19.4.6&ISO^MR||DOE^JANE\n";
    let lost = lost("ADT^A29^ADT_A21", &format!("EVN||20260301\n{pid}"));
    assert!(!lost.contains(&"PID-3.1".to_owned()), "{lost:?}");
    assert!(lost.contains(&"PID-5.1".to_owned()), "{lost:?}");
}

/// Both numbers are of one authority, and one of them is left out.
#[test]
fn of_what_is_left_out_only_what_is_nowhere_else_is_lost() {
    let merge = "PID|1||77^^^H^MR~78^^^H^PI||DOE^JANE\nMRG|78^^^H^PI\n";
    let lost = lost("ADT^A40^ADT_A39", merge);
    assert!(!lost.contains(&"PID-3[1].4".to_owned()), "{lost:?}");
}

/// A comma in a search is `or`: it would ask for the other patient, too.
#[test]
fn nobody_is_asked_for_by_a_system_that_is_two() {
    let pid = "PID|1||222^^^&http://a.example,urn:b&URI^MR||DOE^JANE\n";
    let bundle = message("ADT^A08^ADT_A01", pid);
    let url = bundle.request("Patient")["url"].as_str().unwrap();
    assert!(!url.contains("%2C"), "{url}");
}

#[test]
fn the_zone_of_msh_7_is_found_whatever_the_separators() {
    let message = "MSH|!~\\&|REG|GEN|||20260101120000+0100!S||ADT!A01|M1|P|2.5\n\
                   PID|1||77!!!H!MR||DOE!JANE||19700131120000\n";
    let bundle = super::Bundle::of(message);
    assert_eq!(bundle.0["timestamp"], "2026-01-01T12:00:00+01:00");
}
