//! The bridge in front of the real server: messages go in by MLLP, and what they became is read back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::parts;
use crate::parts::server::server;
use crate::parts::token::TokenEndpoint;
use crate::support::bridge::Bridge;
use crate::support::peer::RawPeer;

const SECRET: &str = "a secret";

fn adt(event: &str, control_id: &str, number: &str, family: &str) -> String {
    [
        format!("MSH|^~\\&|REGADT|GENHOSP|BRIDGE|CLOUD|20261122101500+0100||ADT^{event}^ADT_A01|{control_id}|P|2.5.1").as_str(),
        &format!("EVN|{event}|20261122101500+0100"),
        &format!("PID|1||P{number}^^^GENHOSP^MR||{family}^ANNA||19700131|F"),
        &format!("PV1|1|I|WARD1^101^1^GENHOSP{}V{number}^^^GENHOSP^VN", "|".repeat(16)),
    ]
    .join("\r")
        + "\r"
}

/// Every message goes to the server, resends too; each request shows a token.
fn bridge(tokens: &TokenEndpoint, folder: &tempfile::TempDir) -> Bridge {
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).expect("file written");
    // Its first transaction takes it some seconds.
    let warm = json!({"resourceType": "Bundle", "type": "transaction"});
    server().post("", &warm);
    Bridge::start(&format!(
        "listeners:\n- bind: 127.0.0.1:0\n  duplicates: {{window: off}}\n  ack: {{deadline: 60s}}\n  deliver:\n    \
         url: {}\n    format: fhir-preview\n    timeout: 50s\n    auth: {{oauth2: {{token_url: '{}', client_id: bridge, \
         client_secret_file: '{}'}}}}\n",
        server().base(),
        tokens.url(),
        secret.display()
    ))
}

/// The patients and the visits of this number.
fn found(number: &str) -> [Vec<Value>; 2] {
    [("Patient", 'P'), ("Encounter", 'V')]
        .map(|(kind, letter)| server().search(&format!("{kind}?identifier={letter}{number}")))
}

#[test]
fn a_message_that_comes_twice_changes_nothing_and_an_update_updates() {
    if !parts::installed() {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a folder");
    let tokens = TokenEndpoint::start("bridge", SECRET, Duration::from_secs(3600));
    let bridge = bridge(&tokens, &folder);
    let mut peer = RawPeer::connect(bridge.address());

    peer.exchange(adt("A01", "F1", "7101", "MUSTER"))
        .expect("AA", "F1");
    let first = found("7101");
    let [patients, visits] = &first;
    assert_eq!((patients.len(), visits.len()), (1, 1));
    assert_eq!(patients[0]["name"][0]["family"], "MUSTER");
    assert_eq!(patients[0]["birthDate"], "1970-01-31");
    let subject = visits[0]["subject"]["reference"].as_str();
    let id = patients[0]["id"].as_str().expect("an id");
    assert_eq!(subject, Some(format!("Patient/{id}").as_str()));

    peer.exchange(adt("A01", "F1", "7101", "MUSTER"))
        .expect("AA", "F1");
    assert_eq!(found("7101"), first, "with their versions");

    peer.exchange(adt("A08", "F2", "7101", "MEIER"))
        .expect("AA", "F2");
    let [patients, visits] = found("7101");
    assert_eq!((patients.len(), visits.len()), (1, 1));
    assert_eq!(patients[0]["name"][0]["family"], "MEIER");
    assert_eq!(patients[0]["meta"]["versionId"], "2");
    assert_eq!(tokens.requests(), 1);
}

#[test]
fn what_the_server_refuses_is_refused_and_not_stored() {
    if !parts::installed() {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a folder");
    let tokens = TokenEndpoint::start("bridge", SECRET, Duration::from_secs(3600));
    let bridge = bridge(&tokens, &folder);
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(adt("A01", "F3", "7102", "MUSTER"))
        .expect("AA", "F3");
    let [patients, _] = found("7102");
    // Somebody else's mistake: a second patient under the same number.
    let twin = json!({"resourceType": "Patient", "identifier": patients[0]["identifier"]});
    assert_eq!(server().post("Patient", &twin).status, 201);
    let ack = peer.exchange(adt("A08", "F4", "7102", "MEIER"));
    ack.expect("AE", "F4");
    assert_eq!(ack.err()[0].component(3, 1), "204", "{ack}");
    let [patients, _] = found("7102");
    assert!(
        patients
            .iter()
            .all(|one| one["name"][0]["family"] != "MEIER")
    );
}
