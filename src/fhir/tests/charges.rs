//! Charges and accounts.

use super::orders::message;
use super::{MSH, ledger};

const PID: &str =
    "PID|1||77^^^H&1.2.276.0.76.3.1.1&ISO||DOE^JANE|||||||||||||A9^^^ACC&1.2.276.0.76.3.1.2&ISO\n";

#[test]
fn a_charge_is_a_charge_item_of_the_account() {
    let bundle = message(
        "DFT^P03^DFT_P03",
        &format!(
            "EVN|P03|202603010900\n{PID}PV1|1|I\nFT1|1|T1||20260301|20260302|CG|99213^Visit^C4|||2||60.50&EUR|D1^Surgery||||||J18^Pneumonia^I10|8^DOCTOR|||F9^LAB\n"
        ),
    );
    let charge = bundle.one("ChargeItem");
    assert_eq!(charge["status"], "billable");
    assert_eq!(charge["code"]["coding"][0]["code"], "99213");
    assert_eq!(charge["quantity"]["value"], 2);
    assert_eq!(charge["occurrenceDateTime"], "2026-03-01");
    assert_eq!(charge["enteredDate"], "2026-03-02");
    assert_eq!(charge["reason"][0]["text"], "Pneumonia");
    let unit = charge["extension"].as_array().unwrap().iter();
    let unit: Vec<_> = unit
        .filter(|extension| extension["url"] == "urn:hl7-v2:FT1-12")
        .collect();
    assert_eq!(unit[0]["valueMoney"]["value"], 60.5);
    assert_eq!(unit[0]["valueMoney"]["currency"], "EUR");
    let account = bundle.at(&charge["account"][0]);
    assert_eq!(account["identifier"][0]["value"], "A9");
    assert_eq!(bundle.at(&charge["context"])["resourceType"], "Encounter");
}

/// A credit is no charge, and stored as one it would double what it takes back.
#[test]
fn credits_payments_and_adjustments_are_not_charges() {
    for kind in ["CD", "PY", "AJ", "CO"] {
        let segments = format!(
            "{PID}FT1|1|T1||20260301||{kind}|99213^Visit^C4\nFT1|2|T2||20260301||CG|K^Kit^L\n"
        );
        let bundle = message("DFT^P03^DFT_P03", &segments);
        let charge = bundle.one("ChargeItem");
        assert_eq!(charge["code"]["coding"][0]["code"], "K", "FT1-6 {kind}");
        let header = MSH.replace("ADT^A01^ADT_A01", "DFT^P03^DFT_P03");
        let lost = ledger(&format!("{header}{segments}"));
        assert!(lost.iter().any(|lost| lost.0 == "FT1-6"), "{lost:?}");
    }
}

#[test]
fn two_charges_of_one_code_are_two() {
    let bundle = message(
        "DFT^P03^DFT_P03",
        &format!(
            "{PID}FT1|1|T1||20260301||CG|K^Kit^L\nFT1|2|T2||20260301||CG|K^Kit^L\nFT1|3|||20260301||CG|K^Kit^L\nFT1|4|||20260301||CG|K^Kit^L\n"
        ),
    );
    assert_eq!(bundle.all("ChargeItem").len(), 4);
}

#[test]
fn an_account_is_open_until_it_ends() {
    for (event, status) in [("P01", "active"), ("P05", "active"), ("P06", "inactive")] {
        let bundle = message(
            &format!("BAR^{event}^BAR_P01"),
            &format!("EVN|{event}|202603010900\n{PID}PV1|1|I\nDG1|1||J18^Pneumonia^I10\n"),
        );
        let account = bundle.one("Account");
        assert_eq!(account["status"], status, "BAR^{event}");
        assert_eq!(account["identifier"][0]["value"], "A9");
        assert_eq!(bundle.at(&account["subject"][0])["resourceType"], "Patient");
        assert_eq!(bundle.one("Condition")["code"]["text"], "Pneumonia");
    }
}
