//! What a message says of somebody's treatment is never turned into its opposite.

use super::identity::with;
use super::{Bundle, Value, ledger, refused_with, segment};
use crate::fhir::NotCovered;

const PID: &str = "PID|1||4711^^^GENERAL^MR||DOE^JOHN||19600131|M\n";

fn text(event: &str, segments: &str) -> String {
    // Of an appointment SCH stands before its patient.
    let schedule = segments.find('\n').filter(|_| segments.starts_with("SCH"));
    let (before, behind) = segments.split_at(schedule.map_or(0, |end| end + 1));
    format!(
        "MSH|^~\\&|LAB|GENERAL|BR|CL|20260101120000+0100||{event}|R1|P|2.5.1\n{before}{PID}{behind}"
    )
}

fn of(event: &str, segments: &str) -> Bundle {
    Bundle::of(&text(event, segments))
}

/// The place that a message is refused at.
#[track_caller]
fn refused_at(event: &str, segments: &str) -> String {
    match refused_with(&text(event, segments)) {
        Some(NotCovered::Refused(at, _)) => at,
        other => panic!("{event} {segments}: {other:?}"),
    }
}

/// A vaccination with this ORC and these fields of RXA beside its date and vaccine.
fn vaccination(orc: &str, fields: &[(usize, &str)]) -> String {
    let mut all = vec![(3, "20260101"), (5, "08^HepB^CVX"), (6, "1")];
    all.extend(fields);
    format!("ORC|{orc}\n{}", segment("RXA", &all))
}

/// The next one would be left out of the patient's plan.
#[test]
fn a_vaccination_that_was_not_given_is_never_completed() {
    let refusal = (18, "00^Parental^NIP002");
    for (orc, fields, status) in [
        ("RE||V1^R", vec![refusal], "not-done"),
        ("RE||V1^R", vec![refusal, (20, "RF")], "not-done"),
        ("RE||V1^R", vec![(20, "re")], "not-done"),
        ("RE||V1^R", vec![(20, "NA")], "not-done"),
        ("RE||V1^R||CA", vec![], "not-done"),
        ("RE||V1^R||HD", vec![], "not-done"),
        ("RE||V1^R||ER", vec![], "entered-in-error"),
        ("CA||V1^R", vec![], "not-done"),
        ("UA||V1^R", vec![], "not-done"),
        ("DE||V1^R", vec![], "entered-in-error"),
        ("RE||V1^R", vec![(5, "998^none^CVX")], "not-done"),
        ("RE||V1^R", vec![(5, "998^none^cvx")], "not-done"),
        (
            "RE||V1^R",
            vec![(5, "NONE^none^L^998^none^CVX")],
            "not-done",
        ),
        // What says that it was given.
        ("RE||V1^R", vec![], "completed"),
        ("RE||V1^R||CM", vec![], "completed"),
        ("RE||V1^R", vec![(20, "CP")], "completed"),
        ("RE||V1^R", vec![(20, "cp")], "completed"),
        ("CA||V1^R", vec![(20, "CP")], "completed"),
        ("RE||V1^R", vec![refusal, (21, "D")], "entered-in-error"),
    ] {
        let bundle = of("VXU^V04", &vaccination(orc, &fields));
        let status_of = &bundle.one("Immunization")["status"];
        assert_eq!(status_of, status, "{orc} {fields:?}");
    }
    let alone = of("VXU^V04", "ORC|RE||V1^R\n");
    assert_eq!(alone.one("Immunization")["status"], "not-done", "no RXA");
}

/// FHIR has three states of a vaccination, and neither is "nobody knows".
#[test]
fn a_vaccination_whose_state_nobody_knows_is_refused() {
    let local = vaccination("RE||V1^R", &[(20, "RF")]);
    assert_eq!(refused_at("VXU^V04", &local), "RXA-20");
    let deleted = vaccination("RE||V1^R", &[(20, "RF"), (21, "D")]);
    let bundle = of("VXU^V04", &deleted);
    assert_eq!(bundle.one("Immunization")["status"], "entered-in-error");
}

/// A site says what its own code means.
#[test]
fn a_code_of_a_site_is_known_where_its_vocabulary_has_it() {
    let own = "CompletionStatus: {extends: true, codes: {RF: not-done}}";
    let message = text("VXU^V04", &vaccination("RE||V1^R", &[(20, "RF")]));
    let bundle = with(&[("vocabularies/site.yaml", own)], &message).unwrap();
    assert_eq!(bundle.one("Immunization")["status"], "not-done");
}

#[test]
fn a_dose_that_was_not_given_is_read_in_small_letters_too() {
    for (code, status) in [("re", "not-done"), ("cp", "completed"), ("RF", "unknown")] {
        let given = vaccination("RE|P1^HIS|F1^RX", &[(20, code)]);
        let bundle = of("RAS^O17", &given);
        assert_eq!(bundle.one("MedicationAdministration")["status"], status);
    }
}

fn result(obr_25: &str, obx: &str) -> String {
    let obr = [
        (2, "P1^HIS"),
        (3, "F1^LAB"),
        (4, "GLU^Glucose^L"),
        (25, obr_25),
    ];
    format!("{}{obx}", segment("OBR", &obr))
}

/// Table 0085: U is the change of a result to final, without the result.
#[test]
fn a_result_that_becomes_final_keeps_the_value_that_is_there() {
    let sent = of(
        "ORU^R01",
        &result("P", "OBX|1|NM|GLU^Glucose^L||5.4|mmol/L|||||P\n"),
    );
    let bundle = of(
        "ORU^R01",
        &result("F", "OBX|1|NM|GLU^Glucose^L|||mmol/L|||||U\n"),
    );
    assert!(bundle.all("Observation").is_empty(), "{}", bundle.0);
    for kind in ["Observation", "DiagnosticReport"] {
        assert_eq!(bundle.status(kind), "final", "{kind}");
        let url = bundle.patch(kind).unwrap()["request"]["url"].as_str();
        let id = sent.one(kind)["id"].as_str().unwrap();
        assert_eq!(url, Some(format!("{kind}/{id}").as_str()));
    }
    // The report would lose its results, and have no status.
    let untold = result("", "OBX|1|NM|GLU^Glucose^L|||mmol/L|||||U\n");
    assert_eq!(refused_at("ORU^R01", &untold), "OBR-25");
    let whole = of(
        "ORU^R01",
        &result("F", "OBX|1|NM|GLU^Glucose^L||5.4|mmol/L|||||U\n"),
    );
    assert_eq!(whole.one("Observation")["status"], "final");
    assert_eq!(whole.one("Observation")["valueQuantity"]["value"], 5.4);
}

/// What no order's number tells of has an id of its own message: it cannot be there, and a server would refuse the whole admission for it.
#[test]
fn a_result_without_an_orders_number_that_becomes_final_is_in_the_ledger_and_refuses_nothing() {
    let obx = "OBX|1|NM|8302-2^Height^LN||||||||U\nNTE|1||as told\n";
    for (event, before) in [
        ("ADT^A01", "PV1|1|I\n"),
        ("ADT^A08", "PV1|1|I\n"),
        ("ADT^A28", ""),
        ("ADT^A17", "PV1|1|I|||||||||||||||||V1^^^GENERAL\n"),
        ("BAR^P01", ""),
        ("DFT^P03", ""),
        ("SIU^S12", ""),
        ("VXU^V04", ""),
        ("VXU^V04", "ORC|RE\nRXA|0|1|20260101||08^HepB^CVX|1\n"),
        ("ORU^R01", ""),
    ] {
        let schedule = match event {
            "SIU^S12" => "SCH|A1^HIS\n",
            _ => "",
        };
        let message = text(event, &format!("{schedule}{before}{obx}"));
        let bundle = Bundle::of(&message);
        assert!(bundle.all("Observation").is_empty(), "{}", bundle.0);
        assert!(bundle.patch("Observation").is_none(), "{}", bundle.0);
        let lost = ledger(&message);
        for at in ["OBX-3.1", "OBX-11", "NTE-3"] {
            let is_lost = lost.iter().any(|(path, _)| path.starts_with(at));
            assert!(is_lost, "{event} {at}: {lost:?}");
        }
    }
    // With one, it may be there.
    let known = of(
        "VXU^V04",
        &format!("ORC|RE||V1^R\nRXA|0|1|20260101||08^HepB^CVX|1\n{obx}"),
    );
    assert_eq!(known.status("Observation"), "final");
}

/// 9999 is what registries of the United States have for no number: what is told of one dose would be that of the next.
#[test]
fn what_is_told_of_two_doses_without_a_number_is_of_two() {
    let told = |day: &str, value: &str| {
        let obx = format!("OBX|1|CE|30963-3^Funding^LN|1|{value}^x^L||||||F\n");
        let rxa = format!("RXA|0|1|{day}||08^HepB^CVX|999\n");
        of("VXU^V04", &format!("ORC|RE||9999^CDC\n{rxa}{obx}"))
    };
    let id = |bundle: &Bundle| bundle.one("Observation")["id"].clone();
    let (first, second) = (told("20200101", "V01"), told("20250101", "V02"));
    assert_ne!(id(&first), id(&second));
    assert_eq!(id(&first), id(&told("20200101", "V01")), "a resend");
    // Nor can one of them be told to be final.
    let final_now = of(
        "VXU^V04",
        "ORC|RE||9999^CDC\nRXA|0|1|20200101||08^HepB^CVX|999\nOBX|1|CE|30963-3^Funding^LN|1|||||||U\n",
    );
    assert!(final_now.patch("Observation").is_none());
}

/// A question that was asked for an order is in no report.
#[test]
fn a_question_that_becomes_final_needs_no_status_of_a_report() {
    for kind in ["QST", "SCI"] {
        let obx = segment(
            "OBX",
            &[(2, "NM"), (3, "FAST^Fasting^L"), (11, "U"), (29, kind)],
        );
        let bundle = of("ORU^R01", &result("", &obx));
        assert_eq!(bundle.status("Observation"), "final", "{kind}");
        assert!(bundle.patch("DiagnosticReport").is_none(), "{kind}");
    }
}

/// What was stopped would be given again.
#[test]
fn a_change_to_a_state_that_nobody_knows_changes_no_order() {
    let drug = "RXE||A^Drug^L|1||mg\n";
    let test = "OBR|1|P1^HIS|F1^LAB|GLU^Glucose^L\n";
    for orc_5 in ["DISC", ""] {
        let orc = format!("ORC|SC|P1^HIS|F1^RX||{orc_5}\n");
        for (event, behind) in [
            ("RDE^O11", ""),
            ("RDE^O11", drug),
            ("OMP^O09", "RXO|A^Drug^L|1||mg\n"),
            ("ORM^O01", "RXO|A^Drug^L|1||mg\n"),
            ("ORM^O01", ""),
            ("ORM^O01", test),
            ("OML^O21", test),
            ("OMG^O19", test),
        ] {
            let at = refused_at(event, &format!("{orc}{behind}"));
            assert_eq!(at, "ORC-5", "{event} {orc_5}");
        }
    }
    // One that is known.
    let bundle = of("RDE^O11", "ORC|SC|P1^HIS|F1^RX||DC\n");
    assert_eq!(bundle.status("MedicationRequest"), "stopped");
    for (orc_5, status) in [("A", "active"), ("CM", "completed"), ("CA", "revoked")] {
        let bundle = of("ORM^O01", &format!("ORC|SC|P1^HIS|F1^LAB||{orc_5}\n"));
        assert_eq!(bundle.status("ServiceRequest"), status, "{orc_5}");
    }
}

/// A drug is not said to be active because it is being changed, where the sender says of it something else.
#[test]
fn a_state_that_nobody_knows_is_not_what_the_message_is_for() {
    for (orc, status) in [
        ("XO|P1^HIS|F1^RX||DISC", "unknown"),
        ("XO|P1^HIS|F1^RX", "active"),
        ("NW|P1^HIS|F1^RX||FRESH", "active"),
    ] {
        let bundle = of("RDE^O11", &format!("ORC|{orc}\nRXE||A^Drug^L|1||mg\n"));
        assert_eq!(bundle.one("MedicationRequest")["status"], status, "{orc}");
    }
    let lost = ledger(&text(
        "RDE^O11",
        "ORC|XO|P1^HIS|F1^RX||DISC\nRXE||A^Drug^L|1||mg\n",
    ));
    let why = lost.iter().find(|lost| lost.0 == "ORC-5").unwrap().1;
    assert_eq!(why, Some(super::super::Refused::Vocabulary));
}

#[test]
fn an_order_that_is_to_be_held_is_on_hold_and_one_that_has_ended_is_not_revived() {
    let status = |event: &str, kind: &str, orc: &str| -> Value {
        of(event, &format!("ORC|{orc}\n")).status(kind)
    };
    for control in ["HD", "OH", "HR"] {
        for (orc_5, held) in [
            ("", true),
            ("IP", true),
            ("LOCAL", true),
            ("CA", false),
            ("CM", false),
        ] {
            let orc = format!("{control}|P1^HIS|F1^LAB||{orc_5}");
            let test = status("OML^O21", "ServiceRequest", &orc);
            let drug = status("RDE^O11", "MedicationRequest", &orc);
            for status in [test, drug] {
                assert_eq!(status == "on-hold", held, "{orc}: {status}");
                assert_ne!(status, "active", "{orc}");
            }
        }
    }
}

const BOOKED: &str = "SCH|A1^PLAC||||||||||||||||||||||||Booked\n";

/// How each of the doctors comes, by their number.
fn coming(bundle: &Bundle) -> Vec<(String, String)> {
    let all = bundle.one("Appointment")["participant"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let doctors = all.iter().filter_map(|one| {
        let actor = bundle.at(&one["actor"]);
        let number = text(&actor["identifier"][0]["value"]);
        (actor["resourceType"] == "Practitioner").then(|| (number, text(&one["status"])))
    });
    doctors.collect()
}

#[test]
fn who_is_taken_out_of_an_appointment_is_not_expected() {
    for event in ["SIU^S14", "SIU^S20", "SIU^S22"] {
        let segments = format!("{BOOKED}RGS|1\nAIP|1|D|8^GONE^D\nAIP|2|X|9^STAYS^D\n");
        let bundle = of(event, &segments);
        assert_eq!(
            coming(&bundle),
            [("9".into(), "accepted".into())],
            "{event}"
        );
        let lost = ledger(&text(event, &segments));
        let named = lost.iter().any(|lost| lost.0 == "AIP-3.1");
        assert!(named, "{event}: the ledger tells of it: {lost:?}");
    }
    let others = "RGS|1\nAIS|1|D|XRAY^X-ray^L\nAIG|1|D|CT^Scanner^L\nAIL|1|D|R^101\n\
                  RGS|2|D\nAIP|1||8^GONE^D\n";
    let bundle = of("SIU^S14", &format!("{BOOKED}{others}"));
    let appointment = bundle.one("Appointment");
    assert_eq!(appointment.get("serviceType"), None);
    let participants = appointment["participant"].as_array().unwrap();
    assert_eq!(participants.len(), 1, "the patient: {appointment}");
}

#[test]
fn a_participant_whose_part_is_cancelled_has_declined() {
    for (state, status) in [
        ("", "accepted"),
        ("Booked", "accepted"),
        ("BOOKED", "accepted"),
        ("Cancelled", "declined"),
        ("Deleted", "declined"),
        ("Pending", "tentative"),
        ("Local", "tentative"),
    ] {
        let aip = format!("{BOOKED}RGS|1\nAIP|1|A|8^DOE^D|||||||||{state}\n");
        let expected = [("8".to_owned(), status.to_owned())];
        assert_eq!(coming(&of("SIU^S14", &aip)), expected, "{state}");
        let ail = format!("{BOOKED}RGS|1\nAIL|1|A|R^101|||||||||{state}\n");
        let bundle = of("SIU^S14", &ail);
        let room = &bundle.one("Appointment")["participant"][1];
        assert_eq!(room["status"], status, "{state}");
    }
}

/// Blocked and opened slots are booked by nobody.
#[test]
fn a_slot_is_no_appointment() {
    for event in ["SIU^S23", "SIU^S24"] {
        let why = refused_with(&text(event, BOOKED));
        assert_eq!(why, Some(NotCovered::Event(event.to_owned())));
    }
}

fn document(event: &str, fields: &[(usize, &str)]) -> Bundle {
    let mut all = vec![(1, "1"), (2, "CN^Consult^L"), (12, "D2^DOC")];
    all.extend(fields);
    of(event, &segment("TXA", &all))
}

#[test]
fn an_addendum_leaves_its_document_in_force() {
    for (event, relation) in [
        ("MDM^T05", Some("appends")),
        ("MDM^T06", Some("appends")),
        ("MDM^T09", Some("replaces")),
        ("MDM^T10", Some("replaces")),
        ("MDM^T01", None),
        ("MDM^T02", None),
        ("MDM^T08", None),
    ] {
        let bundle = document(event, &[(13, "D1^DOC"), (19, "AV")]);
        let made = bundle.one("DocumentReference");
        let code = made["relatesTo"][0]["code"].as_str();
        assert_eq!(code, relation, "{event}: {made}");
        assert!(made.to_string().contains("\"D1\""), "the parent is kept");
    }
}

#[test]
fn a_document_that_is_cancelled_is_in_error() {
    let sent = document("MDM^T02", &[(19, "AV")]);
    for availability in ["AV", "", "CA"] {
        let bundle = document("MDM^T11", &[(19, availability)]);
        assert_eq!(bundle.status("DocumentReference"), "entered-in-error");
        let id = sent.one("DocumentReference")["id"].as_str().unwrap();
        let url = &bundle.patch("DocumentReference").unwrap()["request"]["url"];
        assert_eq!(url, &format!("DocumentReference/{id}"), "{availability}");
    }
    let nameless = refused_with(&text("MDM^T11", "TXA|1|CN^Consult^L\n"));
    assert_eq!(nameless, Some(NotCovered::Lacks("document".into())));
}

#[test]
fn a_problem_that_is_over_is_not_active() {
    for (state, resolved, status) in [
        ("", "", Some("active")),
        ("Active", "", Some("active")),
        ("Resolved", "", Some("resolved")),
        ("^Resolved", "", Some("resolved")),
        ("INACTIVE", "", Some("inactive")),
        ("In Remission", "", Some("remission")),
        ("Active", "20260101", Some("resolved")),
        ("LOCAL", "", None),
    ] {
        let fields = [
            (1, "AD"),
            (2, "20260101"),
            (3, "E11^Diabetes^I10"),
            (4, "PR1^H"),
            (9, resolved),
            (14, state),
        ];
        let bundle = of("PPR^PC1", &segment("PRB", &fields));
        let problem = bundle.one("Condition");
        let made = problem["clinicalStatus"]["coding"][0]["code"].as_str();
        assert_eq!(made, status, "{state} {resolved}: {problem}");
    }
    for (state, status) in [
        ("", "active"),
        ("Cancelled", "cancelled"),
        ("^On Hold", "on-hold"),
    ] {
        let goal = [
            (1, "AD"),
            (2, "20260101"),
            (3, "W^Walk^L"),
            (4, "G1^H"),
            (18, state),
        ];
        let bundle = of("PGL^PC6", &segment("GOL", &goal));
        assert_eq!(bundle.one("Goal")["lifecycleStatus"], status, "{state}");
    }
}

#[test]
fn an_intolerance_is_not_an_allergy() {
    for (sensitivity, kind) in [
        ("", Some("allergy")),
        ("AL", Some("allergy")),
        ("IN^Intolerance^HL70436", Some("intolerance")),
        ("SE", None),
        ("LOCAL", None),
    ] {
        let fields = [
            (1, "1"),
            (2, "DA"),
            (3, "ASP^Aspirin^L"),
            (6, "A"),
            (9, sensitivity),
        ];
        let bundle = of("ADT^A60", &segment("IAM", &fields));
        let made = bundle.one("AllergyIntolerance");
        assert_eq!(made["type"].as_str(), kind, "{sensitivity}: {made}");
    }
}

const VISIT: (usize, &str) = (19, "77^^^GENERAL^VN");

#[test]
fn a_discharge_that_is_to_come_or_was_cancelled_is_none() {
    let fields = [
        (2, "I"),
        (3, "W^1"),
        VISIT,
        (36, "HOM"),
        (37, "NURSING"),
        (45, "202601021000"),
    ];
    let visit = |event: &str| of(event, &segment("PV1", &fields)).one("Encounter").clone();
    for event in ["ADT^A16", "ADT^A13"] {
        let made = visit(event);
        assert_eq!(made["status"], "in-progress", "{event}");
        assert_eq!(made["period"].get("end"), None, "{event}");
    }
    let stay = &visit("ADT^A13")["hospitalization"];
    assert_eq!(stay, &Value::Null, "of a discharge that was not");
    let left = &visit("ADT^A03");
    assert_eq!(left["status"], "finished");
    assert!(
        left["hospitalization"]
            .get("dischargeDisposition")
            .is_some()
    );
    assert!(left["hospitalization"].get("destination").is_some());
}

/// The number's authority is the patient's too, which stays, and says nothing of the visit.
#[test]
fn the_ledger_of_a_cancellation_says_what_it_does_not_change() {
    let visit = segment("PV1", &[(2, "I"), (3, "W^1"), (10, "MED"), VISIT]);
    let appointment = "SCH|A1^PLAC|||||CHK^Checkup^L\n".to_owned();
    for (event, segments, places) in [
        (
            "ADT^A11",
            visit,
            vec!["PV1-2", "PV1-10", "PV1-19.1", "PV1-19.4"],
        ),
        ("SIU^S15", appointment, vec!["SCH-1.1", "SCH-6.1"]),
    ] {
        let lost = ledger(&text(event, &segments));
        for place in places {
            let found = lost.iter().find(|lost| lost.0 == place);
            let why = found.map(|lost| lost.1);
            let unchanged = Some(Some(super::super::Refused::Unchanged));
            assert_eq!(why, unchanged, "{event} {place}: {lost:?}");
        }
    }
}
