//! Who is one and the same on a real server, and who must not be.

use serde_json::Value;

use crate::feed::{Feed, adt, found};
use crate::parts::server::server;

/// A message of this sender and event.
fn message(sender: &str, event: &str, control_id: &str, segments: &[&str]) -> String {
    let head = format!(
        "MSH|^~\\&|{sender}|BRIDGE|CLOUD|20261122101500+0100||{event}|{control_id}|P|2.5.1\r"
    );
    head + &segments.join("\r") + "\r"
}

#[test]
fn a_merge_links_two_patients_and_a_resend_changes_nothing() {
    let Some(mut feed) = Feed::start("") else {
        return;
    };
    for (id, number) in [("I1", "8101"), ("I2", "8102")] {
        feed.peer
            .exchange(adt("A01", id, number, "MUSTER"))
            .expect("AA", id);
    }
    let merge = message(
        "REGADT|GENHOSP",
        "ADT^A40^ADT_A39",
        "I3",
        &[
            "EVN|A40|20261122101500+0100",
            "PID|1||P8101^^^GENHOSP^MR||MUSTER^ANNA||19700131|F",
            "MRG|P8102^^^GENHOSP^MR||||||MUSTER^ANNE",
        ],
    );
    feed.peer.exchange(merge.clone()).expect("AA", "I3");
    let both = || [found("8101"), found("8102")];
    let first = both();
    let [[new, _], [old, visits]] = &first;
    assert_eq!((new.len(), old.len(), visits.len()), (1, 1, 1));
    let reference = |patient: &Value| format!("Patient/{}", patient["id"].as_str().expect("an id"));
    assert_eq!(new[0]["link"][0]["type"], "replaces");
    assert_eq!(new[0]["link"][0]["other"]["reference"], reference(&old[0]));
    assert_eq!(old[0]["link"][0]["type"], "replaced-by");
    assert_eq!(old[0]["link"][0]["other"]["reference"], reference(&new[0]));
    assert_eq!(old[0]["active"], false);
    assert_eq!(old[0]["birthDate"], "1970-01-31", "MRG has none");
    assert_eq!(old[0]["name"][0]["given"][0], "ANNA", "and another name");
    assert_eq!(
        visits[0]["subject"]["reference"],
        reference(&old[0]),
        "the visit is still the old one's"
    );
    feed.peer.exchange(merge).expect("AA", "I3");
    assert_eq!(both(), first, "with their versions");
}

/// Of somebody whom nobody knows, and of a record with itself.
#[test]
fn a_merge_that_would_make_up_or_lose_a_patient_changes_nothing() {
    let Some(mut feed) = Feed::start("") else {
        return;
    };
    let event = |event: &str, id: &str, pid: &str, mrg: &[&str]| {
        let pid = format!("PID|1||{pid}||MUSTER^ANNA||19700131|F");
        let segments = [&["EVN||20261122101500+0100", &pid], mrg].concat();
        message("REGADT|GENHOSP", event, id, &segments)
    };
    let both = "P8121^^^GENHOSP^MR~E8121^^^GENHOSP^PI";
    let known = event("ADT^A28^ADT_A05", "I11", both, &[]);
    feed.peer.exchange(known).expect("AA", "I11");
    let first = found("8121");
    assert_eq!(first[0].len(), 1, "one patient with two numbers");
    for (id, pid, mrg) in [
        ("I12", "P8121^^^GENHOSP^MR", "MRG|P8122^^^GENHOSP^MR"),
        ("I13", "P8121^^^GENHOSP^MR", "MRG|E8121^^^GENHOSP^PI"),
        ("I14", both, "MRG|E8121^^^GENHOSP^PI"),
    ] {
        let merge = event("ADT^A40^ADT_A39", id, pid, &[mrg]);
        let answer = feed.peer.exchange(merge);
        answer.expect("AE", id);
        assert_eq!(found("8121"), first, "{id}: with their versions");
    }
    let nobody = server().search("Patient?identifier=P8122");
    assert!(nobody.is_empty(), "{nobody:?}");
}

#[test]
fn a_results_thin_patient_and_visit_overwrite_nothing() {
    let Some(mut feed) = Feed::start("") else {
        return;
    };
    feed.peer
        .exchange(adt("A01", "I4", "8103", "MUSTER"))
        .expect("AA", "I4");
    let first = found("8103");
    let visit = format!("PV1|1|O{}V8103^^^GENHOSP^VN", "|".repeat(17));
    let result = message(
        "LAB|GENHOSP",
        "ORU^R01^ORU_R01",
        "I5",
        &[
            "PID|1||P8103^^^GENHOSP^MR",
            &visit,
            "OBR|1||F8103^LAB|GLU^Glucose^L|||20261122090000+0100||||||||||||||||||F",
            "OBX|1|NM|GLU^Glucose^L||5|mmol/L^^UCUM|||||F",
        ],
    );
    feed.peer.exchange(result).expect("AA", "I5");
    assert_eq!(found("8103"), first, "with their versions");
    let patient = first[0][0]["id"].as_str().expect("an id");
    let results = server().search(&format!("Observation?subject=Patient/{patient}"));
    assert_eq!(results.len(), 1);
}

#[test]
fn one_number_of_two_hospitals_is_two_patients() {
    let Some(mut feed) = Feed::start("") else {
        return;
    };
    for (id, sender, family) in [("I6", "REG|NORTH", "ONE"), ("I7", "REG|SOUTH", "TWO")] {
        let pid = format!("PID|1||P8104^^^MR^MR||{family}^ANNA");
        let sent = message(sender, "ADT^A08", id, &["EVN|A08|20261122101500", &pid]);
        feed.peer.exchange(sent).expect("AA", id);
    }
    let [patients, _] = found("8104");
    let mut families: Vec<_> = (patients.iter())
        .map(|one| one["name"][0]["family"].as_str())
        .collect();
    families.sort_unstable();
    assert_eq!(families, [Some("ONE"), Some("TWO")]);
}

#[test]
fn a_cancellation_reaches_the_order_and_the_visit() {
    let Some(mut feed) = Feed::start("") else {
        return;
    };
    let order = |control: &str, id: &str, rest: &[&str]| {
        let orc = format!("ORC|{control}|O8105^EHR");
        let segments = [&["PID|1||P8105^^^GENHOSP^MR||MUSTER^ANNA", &orc], rest].concat();
        message("EHR|GENHOSP", "ORM^O01", id, &segments)
    };
    let new = order("NW", "I8", &["OBR|1|O8105^EHR||GLU^Glucose^L"]);
    feed.peer.exchange(new).expect("AA", "I8");
    let found_orders = || server().search("ServiceRequest?identifier=O8105");
    assert_eq!(found_orders()[0]["status"], "active");
    feed.peer
        .exchange(order("CA", "I9", &[]))
        .expect("AA", "I9");
    let orders = found_orders();
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0]["status"], "revoked");

    feed.peer
        .exchange(adt("A01", "I10", "8106", "MUSTER"))
        .expect("AA", "I10");
    let [before, _] = found("8106");
    feed.peer
        .exchange(adt("A11", "I11", "8106", "OTHER"))
        .expect("AA", "I11");
    let [patients, visits] = found("8106");
    assert_eq!(patients, before, "the patient is not touched");
    assert_eq!(visits.len(), 1);
    assert_eq!(visits[0]["status"], "cancelled");
}

/// The newborn is admitted under its mother's number, and on her account.
#[test]
fn a_newborn_with_its_mothers_number_has_a_visit_of_its_own() {
    let Some(mut feed) = Feed::start("") else {
        return;
    };
    let admission = |id: &str, patient: &str, bed: &str| {
        let account = "|".repeat(13) + "A8107^^^GENHOSP^AN";
        let pid = format!("PID|1||{patient}^^^GENHOSP^MR||MUSTER^ANNA{account}");
        let visit = format!("PV1|1|I|{bed}{}V8107^^^GENHOSP^VN", "|".repeat(16));
        message("REGADT|GENHOSP", "ADT^A01", id, &[&pid, &visit])
    };
    for (id, patient, bed) in [
        ("I12", "P8107", "MATERNITY"),
        ("I13", "P8108", "NURSERY"),
        // Each of them again.
        ("I14", "P8107", "MATERNITY"),
        ("I15", "P8108", "NURSERY"),
    ] {
        feed.peer
            .exchange(admission(id, patient, bed))
            .expect("AA", id);
    }
    for (kind, number) in [("Encounter", "V8107"), ("Account", "A8107")] {
        let both = server().search(&format!("{kind}?identifier={number}"));
        assert_eq!(both.len(), 2, "{kind}");
        let whose = |one: &Value| {
            let subject = one["subject"]
                .as_array()
                .map_or(&one["subject"], |all| &all[0]);
            subject["reference"].as_str().expect("whose").to_owned()
        };
        assert_ne!(whose(&both[0]), whose(&both[1]), "{kind}");
        for one in both {
            let of = whose(&one);
            let patient = server().get(&of).body;
            let mother = patient["identifier"][0]["value"] == "P8107";
            if kind == "Encounter" {
                let bed = one["location"][0]["location"]["reference"].as_str();
                let bed = server().get(bed.expect("a place")).body.to_string();
                assert_eq!(bed.contains("MATERNITY"), mother, "{one}");
            }
            assert_eq!(one["meta"]["versionId"], "1", "{kind}");
        }
    }
}

#[test]
fn what_is_nobodys_is_refused_before_it_is_sent() {
    let Some(mut feed) = Feed::start("") else {
        return;
    };
    let result = [
        "OBR|1||F8109^LAB|GLU^Glucose^L|||20261122090000+0100||||||||||||||||||F",
        "OBX|1|NM|GLU^Glucose^L||5|mmol/L^^UCUM|||||F",
        "PID|1||P8109^^^GENHOSP^MR",
    ];
    let sent = message("LAB|GENHOSP", "ORU^R01^ORU_R01", "I16", &result);
    let ack = feed.peer.exchange(sent);
    ack.expect("AE", "I16");
    assert_eq!(ack.err()[0].component(2, 1), "OBR", "{ack}");
    assert!(server().search("Observation?identifier=F8109").is_empty());
    assert!(server().search("Patient?identifier=P8109").is_empty());
}

/// The bridge's own answer to a cancellation of what is not there.
#[track_caller]
fn expect_unknown(feed: &mut Feed, sent: String, id: &str) {
    let ack = feed.peer.exchange(sent);
    ack.expect("AE", id);
    assert_eq!(ack.err()[0].component(3, 1), "204", "{ack}");
}

#[test]
fn a_thin_cancellation_leaves_all_but_the_status_as_it_is() {
    let Some(mut feed) = Feed::start("") else {
        return;
    };
    feed.peer
        .exchange(adt("A01", "I17", "8110", "MUSTER"))
        .expect("AA", "I17");
    let [patients, visits] = found("8110");
    let pid = "PID|1||P8110^^^GENHOSP^MR";
    let pv1 = format!("PV1|1|{}V8110^^^GENHOSP^VN", "|".repeat(17));
    let cancelled = |id: &str| message("REGADT|GENHOSP", "ADT^A11", id, &[pid, &pv1]);
    // Twice: the second changes nothing.
    for id in ["I18", "I19"] {
        feed.peer.exchange(cancelled(id)).expect("AA", id);
    }
    let [same, now] = found("8110");
    assert_eq!(same, patients, "with their versions");
    assert_eq!(now.len(), 1);
    assert_eq!(now[0]["status"], "cancelled");
    for kept in ["class", "location", "subject", "identifier"] {
        assert_eq!(now[0][kept], visits[0][kept], "{kept}");
    }

    for id in ["I20", "I21"] {
        let deleted = message("REGADT|GENHOSP", "ADT^A29", id, &[pid, "PV1|1|N"]);
        feed.peer.exchange(deleted).expect("AA", id);
    }
    let [patients, _] = found("8110");
    assert_eq!(patients[0]["active"], false);
    assert_eq!(patients[0]["name"][0]["family"], "MUSTER");
    assert_eq!(patients[0]["birthDate"], "1970-01-31");

    let unknown = cancelled("I22").replace("V8110", "V8111");
    expect_unknown(&mut feed, unknown, "I22");
    let [_, visits] = found("8111");
    assert!(visits.is_empty());
}

#[test]
fn a_cancelled_order_keeps_what_was_ordered_and_one_that_is_not_there_is_an_error() {
    let Some(mut feed) = Feed::start("") else {
        return;
    };
    let pid = "PID|1||P8112^^^GENHOSP^MR||MUSTER^ANNA";
    let sent = |event: &str, id: &str, rest: &[&str]| {
        message("EHR|GENHOSP", event, id, &[&[pid], rest].concat())
    };
    let (lab, ward) = ("OML^O21^OML_O21", "RDE^O11^RDE_O11");
    let two = |control: &str| {
        [
            format!("ORC|{control}|O8112^EHR||||||||9^CLERK"),
            "OBR|1|O8112^EHR||GLU^Glucose^L".to_owned(),
            format!("ORC|{control}|O8112^EHR||||||||9^CLERK"),
            "OBR|2|O8112^EHR||NA^Sodium^L".to_owned(),
        ]
    };
    let (ordered, cancelled) = (two("NW"), two("CA"));
    let lines = |all: &[String; 4]| all.join("\r");
    feed.peer
        .exchange(sent(lab, "I23", &[&lines(&ordered)]))
        .expect("AA", "I23");
    // One of them alone: which it is cannot be told, and no third one is made.
    let alone = sent(
        lab,
        "I24",
        &["ORC|CA|O8112^EHR", "OBR|1|O8112^EHR||GLU^Glucose^L"],
    );
    expect_unknown(&mut feed, alone, "I24");
    let orders = || server().search("ServiceRequest?identifier=O8112");
    assert!(orders().iter().all(|one| one["status"] == "active"));
    feed.peer
        .exchange(sent(lab, "I25", &[&lines(&cancelled)]))
        .expect("AA", "I25");
    assert_eq!(orders().len(), 2);
    for one in orders() {
        assert_eq!(one["status"], "revoked");
        assert!(one["code"]["text"].is_string(), "{one}");
    }

    let drug = ["ORC|NW|M8112^EHR", "RXE||A^Drug^L|1||mg"];
    feed.peer
        .exchange(sent(ward, "I26", &drug))
        .expect("AA", "I26");
    feed.peer
        .exchange(sent(ward, "I27", &["ORC|DC|M8112^EHR"]))
        .expect("AA", "I27");
    let requests = server().search("MedicationRequest?identifier=M8112");
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["status"], "stopped");
    let dose = &requests[0]["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"];
    assert_eq!(dose["value"], 1);
    expect_unknown(&mut feed, sent(ward, "I28", &["ORC|DC|M8113^EHR"]), "I28");
}
