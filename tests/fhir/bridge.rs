//! The bridge in front of the real server: messages go in by MLLP, and what they became is read back.

use serde_json::json;

use crate::feed::{Feed, adt, found};
use crate::parts::server::server;
use crate::support::messages::frame;
use crate::support::peer::RawPeer;

#[test]
fn a_message_that_comes_twice_changes_nothing_and_an_update_updates() {
    let Some(mut feed) = Feed::start("") else {
        return;
    };
    feed.peer
        .exchange(adt("A01", "F1", "7101", "MUSTER"))
        .expect("AA", "F1");
    let first = found("7101");
    let [patients, visits] = &first;
    assert_eq!((patients.len(), visits.len()), (1, 1));
    assert_eq!(patients[0]["name"][0]["family"], "MUSTER");
    assert_eq!(patients[0]["birthDate"], "1970-01-31");
    let subject = visits[0]["subject"]["reference"].as_str();
    let id = patients[0]["id"].as_str().expect("an id");
    assert_eq!(subject, Some(format!("Patient/{id}").as_str()));

    feed.peer
        .exchange(adt("A01", "F1", "7101", "MUSTER"))
        .expect("AA", "F1");
    assert_eq!(found("7101"), first, "with their versions");

    feed.peer
        .exchange(adt("A08", "F2", "7101", "MEIER"))
        .expect("AA", "F2");
    let [patients, visits] = found("7101");
    assert_eq!((patients.len(), visits.len()), (1, 1));
    assert_eq!(patients[0]["name"][0]["family"], "MEIER");
    assert_eq!(patients[0]["meta"]["versionId"], "2");
    assert_eq!(feed.tokens.requests(), 1);
}

/// 412: the server does not guess which of two it is.
#[test]
fn what_the_server_refuses_is_refused_and_not_stored() {
    let Some(mut feed) = Feed::start("") else {
        return;
    };
    feed.peer
        .exchange(adt("A01", "F3", "7102", "MUSTER"))
        .expect("AA", "F3");
    let [patients, _] = found("7102");
    // Somebody else's mistake: a second patient under the same number.
    let twin = json!({"resourceType": "Patient", "identifier": patients[0]["identifier"]});
    assert_eq!(server().post("Patient", &twin).status, 201);
    let ack = feed.peer.exchange(adt("A08", "F4", "7102", "MEIER"));
    ack.expect("AE", "F4");
    assert_eq!(ack.err()[0].component(3, 1), "204", "{ack}");
    let [patients, _] = found("7102");
    assert!(
        patients
            .iter()
            .all(|one| one["name"][0]["family"] != "MEIER")
    );
}

/// The server answers 409 to whoever was second, and another attempt settles it.
#[test]
fn senders_that_name_a_new_patient_at_once_make_one() {
    let Some(feed) = Feed::start("") else {
        return;
    };
    let ids: Vec<String> = (0..8).map(|at| format!("F5-{at}")).collect();
    let mut peers: Vec<RawPeer> = ids
        .iter()
        .map(|_| RawPeer::connect(feed.bridge.address()))
        .collect();
    for (peer, id) in peers.iter_mut().zip(&ids) {
        peer.send(frame(adt("A08", id, "7103", "MUSTER")));
    }
    for (peer, id) in peers.iter_mut().zip(&ids) {
        peer.ack().expect("AA", id);
    }
    let [patients, visits] = found("7103");
    assert_eq!((patients.len(), visits.len()), (1, 1));
}

/// A FHIR message is for servers that process one. This one has no such operation of its own, and says so.
#[test]
fn a_fhir_message_is_refused_by_a_server_that_processes_none() {
    let Some(base) = crate::feed::server_base() else {
        return;
    };
    let url = format!("{base}/$process-message");
    let Some(mut feed) = Feed::through(&url, "bundle: message", "") else {
        return;
    };
    let ack = feed.peer.exchange(adt("A01", "F6", "7104", "MUSTER"));
    ack.expect("AE", "F6");
    assert_eq!(ack.err()[0].component(3, 1), "102", "{ack}");
    assert!(found("7104").iter().all(Vec::is_empty));
    let message = json!({"resourceType": "Bundle", "type": "message"});
    let said = server().post("$process-message", &message);
    assert_eq!(said.status, 400, "{}", said.body);
}
