//! Format `fhir`: what the bridge itself refuses, and that it says so: to the sender, in its metrics and in its log.

use super::*;

/// A server that must not be asked, and the bridge before it.
fn unasked() -> (TestApp, Bridge) {
    let app = TestApp::start();
    let bridge = bridge(&app, "format: fhir");
    (app, bridge)
}

fn message(id: &str, event: &str, segments: &str) -> String {
    format!("MSH|^~\\&|REG|GENHOSP|B|C|20260101120000+0100||{event}|{id}|P|2.5.1\r{segments}")
}

const PID: &str = "PID|1||1^^^H^MR||DOE^JOHN\r";

/// AR would make senders by the standard stop their feed, or send again: the type is taken, this message's content is wrong.
#[test]
fn content_that_no_bundle_is_made_of_is_the_messages_fault_and_not_its_types() {
    let (app, bridge) = unasked();
    let mut peer = RawPeer::connect(bridge.address());
    let visit = "PV1|1|I\r";
    for (event, segments, condition, location, reason) in [
        (
            "ADT^A11^ADT_A09",
            format!("{PID}{visit}"),
            "101",
            "PV1^1^19",
            "unidentified",
        ),
        (
            "ADT^A01^ADT_A01",
            "PID|1||||DOE^JOHN\rPV1|1|I|||||||||||||||||V1^^^H\r".to_owned(),
            "101",
            "PID^1^3",
            "unidentified",
        ),
        (
            "ADT^A40^ADT_A39",
            PID.to_owned(),
            "101",
            "MRG^1^1",
            "unidentified",
        ),
        (
            "ADT^A01^ADT_A01",
            format!("{PID}PID|2||2^^^H^MR||DOE^JANE\r"),
            "100",
            "PID^2",
            "several_patients",
        ),
        (
            "ORU^R01^ORU_R01",
            format!("OBR|1|P1|F1|X^Y^L\r{PID}"),
            "100",
            "OBR^1",
            "no_patient",
        ),
        (
            "ADT^A40^ADT_A39",
            format!("{PID}MRG|1^^^H^MR\r"),
            "205",
            "MRG^1^1",
            "one_identity",
        ),
        // Which of the merges it is of is not said.
        (
            "ADT^A40^ADT_A39",
            format!("{PID}MRG|2^^^H^MR\rPID|2||3^^^H^MR||ROE\rMRG|1^^^H^MR\r"),
            "205",
            "",
            "one_identity",
        ),
        (
            "ADT^A40^ADT_A39",
            format!("{PID}MRG|2^^^H^MR~3^^^H^MR\r"),
            "207",
            "MRG^1^1",
            "map_rule",
        ),
    ] {
        let count = |reason: &str| {
            let labels = [("listener", "adt"), ("reason", reason)];
            bridge.metric_sum("mllp_bridge_refused_total", &labels)
        };
        let before = count(reason);
        let ack = peer.exchange(message("MSG1", event, &segments));
        ack.expect("AE", "MSG1");
        let err = &ack.err()[0];
        let (found, at) = (err.component(3, 1), err.field(2));
        assert_eq!((found, at), (condition, location), "{segments}: {ack}");
        assert!(!err.field(8).is_empty(), "{ack}");
        assert_eq!(count(reason), before + 1.0, "{reason}");
    }
    assert!(app.requests().is_empty(), "{:?}", app.requests().len());
}

/// The log names who is to blame: the server was not asked.
#[test]
fn what_the_bridge_refuses_is_not_said_to_be_refused_by_the_application() {
    let (_app, bridge) = unasked();
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(message("MSG1", "ADT^A40^ADT_A39", PID))
        .expect("AE", "MSG1");
    let line = bridge.wait_for_log("message refused");
    assert_eq!(line.text_field("reason"), Some("unidentified"));
    assert_eq!(line.text_field("peer"), Some("127.0.0.1"));
    bridge.assert_not_logged("the application refused a message");
    bridge.assert_not_logged("DOE");
    let rejected = [("listener", "adt"), ("outcome", "rejected")];
    assert_eq!(
        bridge.metric_sum("mllp_bridge_messages_total", &rejected),
        1.0
    );
}

#[test]
fn a_message_of_which_too_much_would_be_made_is_too_large() {
    let (app, bridge) = unasked();
    let mut peer = RawPeer::connect(bridge.address());
    // A long number that each of the results is known by.
    let order = format!("ORC|RE|{0}^PL\rOBR|1|{0}^PL||X^Y^L\r", "7".repeat(60_000));
    let results: String = (1..2000)
        .map(|at| format!("OBX|{at}|NM|{at}^X^L||{at}|g|||||F\r"))
        .collect();
    let segments = format!("{PID}{order}{results}");
    let ack = peer.exchange(message("MSG1", "ORU^R01^ORU_R01", &segments));
    ack.expect("AR", "MSG1");
    assert_eq!(ack.err()[0].component(3, 1), "104", "{ack}");
    assert!(app.requests().is_empty());
    let refused = [("reason", "too_large")];
    assert_eq!(
        bridge.metric_sum("mllp_bridge_refused_total", &refused),
        1.0
    );
}
