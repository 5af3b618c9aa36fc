//! What an event takes back, ends or puts together.

use super::{Bundle, refused_with};
use crate::fhir::NotCovered;
use serde_json::{Value, json};

fn message(event: &str, segments: &str) -> String {
    format!("MSH|^~\\&|REG|NORTH|X|Y|20260301101500+0100||{event}|M1|P|2.5.1\n{segments}")
}

fn of(event: &str, segments: &str) -> Bundle {
    Bundle::of(&message(event, segments))
}

fn refused(event: &str, segments: &str) -> NotCovered {
    refused_with(&message(event, segments)).expect("a refusal")
}

const PID: &str = "PID|1||1^^^H^MR||ONE^ANN||19700101|F\n";

#[test]
fn the_event_decides_what_a_visit_is() {
    let visit = format!(
        "{PID}PV1|1|I|W^1^2{}V1^^^H{}\n",
        "|".repeat(16),
        "|".repeat(26) + "20260301"
    );
    for (event, status) in [
        ("A05", "planned"),
        ("A14", "planned"),
        ("A11", "cancelled"),
        ("A12", "in-progress"),
        ("A13", "in-progress"),
        ("A23", "entered-in-error"),
        ("A25", "in-progress"),
        ("A26", "in-progress"),
        ("A27", "cancelled"),
        ("A38", "cancelled"),
        ("A21", "onleave"),
        ("A22", "in-progress"),
        ("A52", "in-progress"),
        ("A53", "onleave"),
        ("A03", "finished"),
    ] {
        let bundle = of(&format!("ADT^{event}"), &visit);
        assert_eq!(bundle.status("Encounter"), status, "{event}");
        let only_changed =
            ["A11", "A23", "A25", "A26", "A27", "A38", "A52", "A53"].contains(&event);
        assert_eq!(bundle.patch("Encounter").is_some(), only_changed, "{event}");
        if only_changed {
            continue;
        }
        assert_eq!(bundle.request("Encounter")["method"], "PUT", "{event}");
        let encounter = bundle.one("Encounter");
        let ends = encounter["period"].get("end");
        assert_eq!(ends.is_none(), event == "A13", "{event}: {encounter}");
    }
    let unnamed = visit.replace("PID|1", "EVN|A13\nPID|1");
    assert_eq!(
        of("ADT^^ADT_A01", &unnamed).one("Encounter")["status"],
        "in-progress"
    );
}

/// What comes with a cancellation may be no more than a number.
#[test]
fn a_cancellation_does_not_touch_the_patient_and_must_say_what_is_cancelled() {
    for event in [
        "ADT^A11", "ADT^A13", "ADT^A23", "ADT^A38", "ADT^A52", "ADT^A53",
    ] {
        let visit = format!("{PID}PV1|1|I|W{}V1^^^H\n", "|".repeat(16));
        assert_eq!(
            of(event, &visit).request("Patient")["method"],
            "POST",
            "{event}"
        );
        let nameless = format!("{PID}PV1|1|I|W\n");
        assert_eq!(
            refused(event, &nameless),
            NotCovered::Lacks("encounter".into())
        );
    }
}

#[test]
fn a_deleted_person_is_no_longer_active_and_stays_there() {
    let bundle = of("ADT^A29", &format!("{PID}PV1|1|N\n"));
    let patch = bundle.patch("Patient").unwrap();
    let operations = &patch["resource"]["parameter"];
    assert_eq!(operations[0]["part"][0]["valueCode"], "delete", "{patch}");
    assert_eq!(operations[1]["part"][0]["valueCode"], "add", "{patch}");
    assert_eq!(operations[1]["part"][3]["valueBoolean"], false, "{patch}");
    assert!(
        !bundle.0.to_string().contains("ONE"),
        "the rest stays as it is"
    );
    assert!(bundle.all("Encounter").is_empty());
    assert_eq!(of("ADT^A31", PID).one("Patient").get("active"), None);
    assert_eq!(
        refused("ADT^A29", "PID|1||||ONE\n"),
        NotCovered::Lacks("patient".into())
    );
}

#[test]
fn an_order_that_is_cancelled_is_revoked() {
    for (orc, status) in [
        ("CA|P1", "revoked"),
        ("CA|P1|||SC", "revoked"),
        ("DC|P1", "revoked"),
        ("CR|P1", "revoked"),
        ("OC|P1|||IP", "revoked"),
        ("OC|P1|||CM", "completed"),
        ("NW|P1", "active"),
        ("UC|P1|||IP", "active"),
        ("SC|P1|||CA", "revoked"),
    ] {
        for event in ["ORM^O01", "OML^O21"] {
            let bundle = of(event, &format!("{PID}ORC|{orc}\nOBR|1|P1||K\n"));
            assert_eq!(bundle.status("ServiceRequest"), status, "{event} {orc}");
        }
    }
    let bundle = of(
        "VXU^V04",
        &format!("{PID}ORC|CA||F1\nRXA|0|1|20260301||207\n"),
    );
    assert_eq!(bundle.one("Immunization")["status"], "not-done");
}

#[test]
fn an_appointment_that_is_cancelled_is_not_booked() {
    let sch = |time: &str| format!("SCH|P1|F1|||||||||{time}||||||||||||||Booked\n{PID}");
    for (event, status, untimed) in [
        ("S12", "booked", "proposed"),
        ("S15", "cancelled", "cancelled"),
        ("S16", "cancelled", "cancelled"),
        ("S17", "entered-in-error", "cancelled"),
        ("S26", "noshow", "cancelled"),
    ] {
        let event = format!("SIU^{event}");
        let with = |time: &str| of(&event, &sch(time)).status("Appointment");
        assert_eq!(with("^^^202603020900^202603020930"), status, "{event}");
        // app-3: of these only a cancelled one may have no time.
        assert_eq!(with(""), untimed, "{event}");
    }
}

#[test]
fn what_is_deleted_by_its_action_code_is_entered_in_error() {
    let bundle = of(
        "ADT^A08",
        &format!(
            "{PID}IAM|1||PEN|||D\nPR1|1||XR{}D\nDG1|1||E11{}D\n",
            "|".repeat(17),
            "|".repeat(18)
        ),
    );
    let allergy = bundle.one("AllergyIntolerance");
    assert_eq!(
        allergy["verificationStatus"]["coding"][0]["code"],
        "entered-in-error"
    );
    assert_eq!(allergy.get("clinicalStatus"), None, "ait-2");
    assert_eq!(bundle.one("Procedure")["status"], "entered-in-error");
    let condition = bundle.one("Condition");
    assert_eq!(
        condition["verificationStatus"]["coding"][0]["code"],
        "entered-in-error"
    );
    let live = of(
        "ADT^A08",
        &format!("{PID}IAM|1||PEN|||A\nPR1|1||XR{}A\n", "|".repeat(17)),
    );
    assert_eq!(live.one("Procedure")["status"], "completed");
    assert_eq!(
        live.one("Procedure").get("id"),
        bundle.one("Procedure").get("id")
    );
    assert_eq!(live.one("AllergyIntolerance")["id"], allergy["id"]);
    let gone = of(
        "ADT^A08",
        &format!("{PID}PV1|1|I\nROL|1|DE|PP|8^SMITH\nROL|1|DE|AT|9^MILLER\n"),
    );
    assert!(
        gone.all("Practitioner").is_empty(),
        "ROL-2 DE takes somebody out"
    );
}

fn by_number<'b>(bundle: &'b Bundle, number: &str) -> &'b Value {
    let all = bundle.all("Patient");
    let found = all
        .into_iter()
        .find(|one| one["identifier"][0]["value"] == number);
    found.unwrap_or_else(|| panic!("no patient {number} in {}", bundle.0))
}

#[test]
fn a_merge_links_who_remains_and_who_is_no_longer_used() {
    for event in ["ADT^A40", "ADT^A18", "ADT^A30", "ADT^A34", "ADT^A36"] {
        let segments = format!("EVN||20260301101400\n{PID}MRG|2^^^H^MR||||||OLD^ANN\n");
        let bundle = Bundle::collection(&message(event, &segments));
        let (new, old) = (by_number(&bundle, "1"), by_number(&bundle, "2"));
        assert_eq!(bundle.all("Patient").len(), 2, "{event}");
        assert_eq!(new["link"][0]["type"], "replaces");
        assert_eq!(bundle.at(&new["link"][0]["other"]), old);
        assert_eq!(new.get("active"), None);
        assert_eq!(old["active"], json!(false), "{event}");
        assert_eq!(old["link"][0]["type"], "replaced-by");
        assert_eq!(bundle.at(&old["link"][0]["other"]), new);
        assert_eq!(old["name"][0]["family"], "OLD");
    }
}

/// MRG is a number and perhaps a name: the birth date and the other numbers of who has it are not to be lost by it.
#[test]
fn who_is_no_longer_used_keeps_all_that_is_known_of_them() {
    let bundle = of("ADT^A40", &format!("{PID}MRG|2^^^H^MR||||||OLD^ANN\n"));
    let [new] = bundle.all("Patient")[..] else {
        panic!("{}", bundle.0)
    };
    assert_eq!(bundle.request("Patient")["method"], "PUT");
    let (url, changes) = bundle.changes("2");
    let path = |part: &Value| (part[0]["valueCode"].clone(), part[1]["valueString"].clone());
    let paths: Vec<_> = changes.iter().map(path).collect();
    let of = |kind: &str, path: &str| (json!(kind), json!(path));
    assert_eq!(
        paths,
        [
            of("delete", "Patient.active"),
            of("add", "Patient"),
            of("delete", "Patient.link.where(type = 'replaced-by')"),
            of("add", "Patient"),
        ]
    );
    assert_eq!(
        (
            &changes[1][2]["valueString"],
            &changes[1][3]["valueBoolean"]
        ),
        (&json!("active"), &json!(false))
    );
    assert_eq!(changes[3][2]["valueString"], "link");
    let link = &changes[3][3]["part"];
    assert_eq!(
        (&link[0]["name"], &link[1]["valueCode"]),
        (&json!("other"), &json!("replaced-by"))
    );
    assert_eq!(bundle.at(&link[0]["valueReference"]), new);
    // One record that has both numbers is not asked for: it would be merged with itself.
    let who_remains = bundle.request("Patient")["url"].as_str().unwrap();
    let number = who_remains.split_once("identifier=").unwrap().1;
    let (_, not) = url.split_once("&identifier:not=").unwrap();
    assert_eq!(not, number);
}

/// The same segment twice, and a second pair of the same who remains whose PID says something else.
#[test]
fn a_merge_that_is_said_twice_is_one() {
    let twice = of("ADT^A40", &format!("{PID}MRG|2^^^H^MR\nMRG|2^^^H^MR\n"));
    let once = of("ADT^A40", &format!("{PID}MRG|2^^^H^MR\n"));
    assert_eq!(twice.changes("2").1, once.changes("2").1);
    let pid = |rest: &str| format!("PID|1||1^^^H^MR||ONE{rest}\n");
    let dead = pid(&format!("{}Y", "|".repeat(25)));
    let died = pid(&format!("{}20260101", "|".repeat(24)));
    let bundle = of(
        "ADT^A40",
        &format!("{dead}MRG|2^^^H^MR\n{died}MRG|3^^^H^MR\n"),
    );
    let [new] = bundle.all("Patient")[..] else {
        panic!("{}", bundle.0)
    };
    assert_eq!(new["deceasedBoolean"], true);
    assert_eq!(
        new.get("deceasedDateTime"),
        None,
        "R4 has one of the two: {new}"
    );
}

/// With both numbers on one record nobody could be asked for by either.
#[test]
fn the_number_that_is_no_longer_used_stays_with_who_had_it() {
    let segments = "PID|1||1^^^H^MR~2^^^H^MR~7^^^MPI^PI||ONE\nMRG|2^^^H^MR\n";
    let bundle = of("ADT^A40", segments);
    let [new] = bundle.all("Patient")[..] else {
        panic!("{}", bundle.0)
    };
    let numbers = new["identifier"].as_array().unwrap().iter();
    let numbers: Vec<_> = numbers.map(|one| &one["value"]).collect();
    assert_eq!(numbers, ["1", "7"]);
    let (url, _) = bundle.changes("2");
    assert!(url.contains("%7C2&"), "{url}");
    let plain = url.split('&').next().unwrap();
    assert_eq!(new["link"][0]["other"]["reference"], *plain);
}

#[test]
fn a_merge_of_several_pairs_keeps_them_apart() {
    let segments = "PID|1||1^^^H^MR||ONE\nMRG|2^^^H^MR\nPID|1||3^^^H^MR||THREE\nMRG|4^^^H^MR\n";
    let bundle = Bundle::collection(&message("ADT^A40", segments));
    assert_eq!(bundle.all("Patient").len(), 4);
    for (new, old) in [("1", "2"), ("3", "4")] {
        let (new, old) = (by_number(&bundle, new), by_number(&bundle, old));
        assert_eq!(new["link"].as_array().unwrap().len(), 1);
        assert_eq!(bundle.at(&new["link"][0]["other"]), old);
        assert_eq!(bundle.at(&old["link"][0]["other"]), new);
    }
}

#[test]
fn a_merge_that_cannot_be_done_safely_is_refused() {
    let lacks = |what: &str| NotCovered::Lacks(what.to_owned());
    let same = || NotCovered::Same("Patient".into());
    let says_not_who = || {
        let because = "does not say who is no longer used".to_owned();
        NotCovered::Refused("MRG-1".into(), because)
    };
    for (segments, why) in [
        ("PID|1||1^^^H^MR||ONE\n", lacks("prior")),
        ("PID|1||1^^^H^MR||ONE\nMRG|\n", says_not_who()),
        (
            "PID|1||1^^^H^MR||ONE\nMRG|2^^^H^MR\nMRG|||||||ROE^J\n",
            says_not_who(),
        ),
        (
            "PID|1||1^^^H^MR||ONE\nMRG|2^^^H^MR\nMRG|\"\"\n",
            says_not_who(),
        ),
        (
            "PID|1||1^^^H^MR||ONE\nMRG|2^^^H^MR\nMRG|^^^H^MR\n",
            says_not_who(),
        ),
        ("PID|1||1^^^H^MR||ONE\nMRG|9^^^SSA^SS\n", lacks("prior")),
        ("PID|1||||ONE\nMRG|2^^^H^MR\n", lacks("patient")),
        (
            "PID|1||1^^^H^MR||ONE\nMRG|2^^^H^MR\nPID|1||3^^^H^MR||THREE\n",
            lacks("prior"),
        ),
        ("PID|1||1^^^H^MR||ONE\nMRG|1^^^H^MR\n", same()),
        (
            "PID|1||1^^^H^MR||ONE\nMRG|2^^^H^MR\nPID|1||3^^^H^MR||THREE\nMRG|1^^^H^MR\n",
            same(),
        ),
        ("MRG|2^^^H^MR\nPID|1||1^^^H^MR||ONE\n", lacks("prior")),
        // Of the second nobody could be asked for.
        (
            "PID|1||1^^^H^MR||ONE\nMRG|2^^^H^MR\nMRG|9^^^SSA^SS\n",
            lacks("prior"),
        ),
        // Whoever follows the links takes ONE for THREE.
        (
            "PID|1||1^^^H^MR||ONE\nMRG|2^^^H^MR\nPID|1||3^^^H^MR||THREE\nMRG|2^^^H^MR\n",
            same(),
        ),
        ("PID|1||2^^^H^MR~1^^^H^MR||ONE\nMRG|2^^^H^MR\n", same()),
    ] {
        assert_eq!(refused("ADT^A40", segments), why, "{segments}");
    }
    for event in ["A24", "A37", "A39", "A42", "A43", "A44", "A45", "A50"] {
        let event = format!("ADT^{event}");
        let segments = "PID|1||1^^^H^MR||ONE\nMRG|2^^^H^MR\n";
        assert_eq!(refused(&event, segments), NotCovered::Event(event.clone()));
    }
}

#[test]
fn a_merge_of_accounts_ends_one_and_leaves_the_patient_alone() {
    for event in ["ADT^A35", "ADT^A41"] {
        let bundle = of(
            event,
            "PID|1||1^^^H^MR||ONE|||||||||||||A1^^^H\nMRG|1^^^H^MR||A2^^^H\n",
        );
        let account = bundle.one("Account");
        assert_eq!(
            (&account["identifier"][0]["value"], &account["status"]),
            (&json!("A1"), &json!("active"))
        );
        // Of the other the status alone: what else it has is not the message's to take away.
        assert_eq!(bundle.status("Account"), "inactive");
        assert_eq!(bundle.request("Patient")["method"], "POST");
    }
}

#[test]
fn two_patients_who_swap_beds_have_each_their_own_visit() {
    let pv1 =
        |bed: &str, number: &str| format!("PV1|1|I|W^1^{bed}{}{number}^^^H\n", "|".repeat(16));
    let segments = format!(
        "{PID}{}PID|2||2^^^H^MR||TWO\n{}",
        pv1("A", "V1"),
        pv1("B", "V2")
    );
    let bundle = of("ADT^A17", &segments);
    let visits = bundle.all("Encounter");
    assert_eq!(visits.len(), 2);
    for (visit, (number, patient, bed)) in visits.iter().zip([("V1", "1", "A"), ("V2", "2", "B")]) {
        assert_eq!(visit["identifier"][0]["value"], number);
        assert_eq!(
            bundle.at(&visit["subject"])["identifier"][0]["value"],
            patient
        );
        assert_eq!(bundle.at(&visit["location"][0]["location"])["name"], bed);
    }
    // Two names, two sexes, one number: whose data would be whose?
    let one = segments.replace("2^^^H^MR||TWO", "1^^^H^MR||TWO");
    assert_eq!(refused("ADT^A17", &one), NotCovered::Same("Patient".into()));
    let half = format!("{PID}{}PID|2||2^^^H^MR||TWO\n", pv1("A", "V1"));
    assert_eq!(
        refused("ADT^A17", &half),
        NotCovered::Lacks("encounter".into())
    );
}

/// What is taken back of a change of doctors (A55, A62) is the visit as it is again.
#[test]
fn a_change_of_doctors_is_the_visit_as_it_is() {
    for event in ["ADT^A54", "ADT^A55", "ADT^A61", "ADT^A62"] {
        let visit = super::segment(
            "PV1",
            &[
                (2, "I"),
                (7, "8^NOW^NORA"),
                (9, "9^CON^CORA"),
                (19, "V1^^^H"),
            ],
        );
        let bundle = of(event, &format!("{PID}{visit}"));
        let encounter = bundle.one("Encounter");
        assert_eq!(encounter["status"], "in-progress", "{event}");
        let first = bundle.at(&encounter["participant"][0]["individual"]);
        assert_eq!(first["name"][0]["family"], "NOW", "{event}: {encounter}");
        assert_eq!(bundle.request("Encounter")["method"], "PUT", "{event}");
    }
}

#[test]
fn an_update_of_allergies_is_of_these_alone() {
    let segments = format!(
        "{PID}IAM|1|DA|PEN^Penicillin^L|SV|rash|A\nNTE|1||since childhood\nIAM|2|FA|NUT^Nuts^L|MO||D\n"
    );
    let bundle = of("ADT^A60", &segments);
    let [one, other] = bundle.all("AllergyIntolerance")[..] else {
        panic!("{}", bundle.0)
    };
    assert_eq!(one["code"]["text"], "Penicillin");
    assert_eq!(one["note"][0]["text"], "since childhood");
    assert_eq!(bundle.at(&one["patient"])["resourceType"], "Patient");
    let status = &other["verificationStatus"]["coding"][0]["code"];
    assert_eq!(*status, "entered-in-error");
    assert_eq!(other.get("note"), None);
    assert_eq!(bundle.request("Patient")["method"], "POST");
    assert!(bundle.all("Encounter").is_empty());
    // The same allergy as of an update of the patient.
    let update = of("ADT^A08", &segments);
    let ids = |bundle: &Bundle| -> Vec<Value> {
        let all = bundle.all("AllergyIntolerance");
        all.iter().map(|one| one["id"].clone()).collect()
    };
    assert_eq!(ids(&bundle), ids(&update));
}

/// R30 to R32 come from the bedside, R40 from a device that raises an alarm.
#[test]
fn results_of_the_bedside_and_alarms_are_results() {
    for event in ["ORU^R30", "ORU^R31", "ORU^R32", "ORU^R40"] {
        let bundle = of(
            event,
            &format!(
                "{PID}PV1|1|I\nORC|NW|||||||20260301\nOBR|1||F1^POC|GLU^Glucose^L\nTQ1|1||||||||S\nOBX|1|NM|GLU^Glucose^L||5.4|mmol/L^^UCUM||N|||F\nNTE|1||by finger\n"
            ),
        );
        let report = bundle.one("DiagnosticReport");
        let result = bundle.at(&report["result"][0]);
        assert_eq!(result["valueQuantity"]["value"], 5.4, "{event}");
        assert_eq!(result["note"][0]["text"], "by finger");
        assert_eq!(bundle.one("ServiceRequest")["priority"], "stat");
    }
}
