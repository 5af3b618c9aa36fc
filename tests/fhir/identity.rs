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
    assert_eq!(
        visits[0]["subject"]["reference"],
        reference(&old[0]),
        "the visit is still the old one's"
    );
    feed.peer.exchange(merge).expect("AA", "I3");
    assert_eq!(both(), first, "with their versions");
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
