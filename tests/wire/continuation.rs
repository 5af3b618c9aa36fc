//! Continuation (chapter 2): a message that is cut into fragments. Each has an MSH and a control ID of its own, and is a message
//! like any other here: to put them together is the app's affair.

use serde_json::{Value, json};

use crate::lab::Lab;
use crate::support::app::Reply;
use crate::support::messages::frame;

/// An ORU in three fragments: an OBX is cut in its OBX-5 twice, and goes on in an ADD. DSC-1 is the next fragment's MSH-14.
fn fragments(conditions: &str) -> [String; 3] {
    let msh = |id: &str, pointer: &str| {
        format!(
            "MSH|^~\\&|LAB|GENHOSP|BRIDGE|CLOUD|20261122101500||ORU^R01^ORU_R01|{id}|P|2.5.1||{pointer}|{conditions}\r"
        )
    };
    [
        msh("F1", "")
            + "PID|1||4711^^^GENHOSP||MUSTER^ERIKA\rOBR|1||L7|88304^PATHOLOGY\rOBX|1|TX|R^REPORT||the first part, \rDSC|P7-2|F\r",
        msh("F2", "P7-2") + "ADD|the second part, \rDSC|P7-3|F\r",
        msh("F3", "P7-3") + "ADD|and the last.|||||F\rNTE|1||not cut\r",
    ]
}

/// The fields of the first segment with this ID, as the app had it.
fn segment(envelope: &Value, id: &str) -> Value {
    let segments = envelope["data"]["segments"].as_array().unwrap();
    let of_id = segments.iter().find(|segment| segment["id"] == id);
    of_id.unwrap_or_else(|| panic!("no {id} in {envelope}"))["fields"].clone()
}

fn segment_ids(envelope: &Value) -> Vec<&str> {
    let segments = envelope["data"]["segments"].as_array().unwrap();
    let ids = segments.iter().map(|segment| segment["id"].as_str());
    ids.map(|id| id.unwrap()).collect()
}

/// Sends the fragments in one write, and compares each answer (MSA-1 MSA-2) and each request.
#[track_caller]
fn each_is_answered(conditions: &str, expected: &[(&str, &str)]) -> Lab {
    let lab = Lab::new();
    let fragments = fragments(conditions);
    let mut peer = lab.peer();
    peer.send(fragments.each_ref().map(frame).concat());
    for (code, id) in expected {
        peer.ack().expect(code, id);
    }
    lab.assert_received(&fragments);
    drop(peer);
    lab.assert_ended(&[("peer", 1)], &[]);
    lab
}

#[test]
fn each_fragment_is_delivered_and_acknowledged_for_itself_in_order() {
    let lab = each_is_answered("", &[("AA", "F1"), ("AA", "F2"), ("AA", "F3")]);
    let envelopes: Vec<Value> = lab.app.requests().iter().map(|it| it.json()).collect();
    let ids = envelopes.iter().map(segment_ids).collect::<Vec<_>>();
    assert_eq!(
        ids,
        [
            &["MSH", "PID", "OBR", "OBX", "DSC"][..],
            &["MSH", "ADD", "DSC"],
            &["MSH", "ADD", "NTE"],
        ],
        "DSC and ADD are segments like the others"
    );
    assert_eq!(
        segment(&envelopes[0], "DSC"),
        json!({ "1": [{ "1": "P7-2" }], "2": [{ "1": "F" }] })
    );
    assert_eq!(
        segment(&envelopes[1], "ADD"),
        json!({ "1": [{ "1": "the second part, " }] })
    );
    assert_eq!(
        segment(&envelopes[2], "ADD"),
        json!({ "1": [{ "1": "and the last." }], "6": [{ "1": "F" }] })
    );
    assert_eq!(segment(&envelopes[1], "MSH")["14"][0]["1"], "P7-2");
    assert_eq!(segment(&envelopes[2], "MSH")["14"][0]["1"], "P7-3");
}

#[test]
fn in_enhanced_mode_each_fragment_has_both_of_its_own() {
    let both = ["F1", "F2", "F3"].map(|id| [("CA", id), ("AA", id)]);
    each_is_answered("AL|AL", both.as_flattened());
}

/// The app has the other two: only it can know what they are worth without the one in the middle.
#[test]
fn a_fragment_that_is_refused_takes_no_other_with_it() {
    for (conditions, codes) in [("", ["AA", "AE", "AA"]), ("AL|NE", ["CA", "CE", "CA"])] {
        let lab = Lab::new();
        lab.app
            .respond(|request| match request.json()["hl7controlid"] == "F2" {
                true => Reply::status(422),
                false => Reply::ok(),
            });
        let mut peer = lab.peer();
        for (fragment, (code, id)) in fragments(conditions)
            .iter()
            .zip(codes.iter().zip(["F1", "F2", "F3"]))
        {
            peer.exchange(fragment).expect(code, id);
        }
        lab.assert_received(&fragments(conditions));
    }
}
