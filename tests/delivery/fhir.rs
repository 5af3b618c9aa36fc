//! Format `fhir`: a fake FHIR server, every answer that one has, and what the sender is told.

use super::*;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use support::app::TestApp;

/// A server that stores what comes.
fn server() -> TestApp {
    let app = TestApp::start();
    app.respond(stored);
    app
}

fn stored(request: &Recorded) -> Reply {
    match request.json()["type"].as_str().unwrap() {
        kind @ ("transaction" | "batch") => answer(
            request,
            &format!("{kind}-response"),
            |_| json!({"status": "201 Created", "outcome": outcome("information", "")}),
        ),
        "message" => processed(request, "ok"),
        _ => Reply::ok(),
    }
}

/// What answers a FHIR message, by the id of its header.
fn processed(request: &Recorded, code: &str) -> Reply {
    let header = &request.json()["entry"][0]["resource"]["id"];
    processed_with(&json!({"identifier": header, "code": code}), &[])
}

/// A message whose header has this as its response, and these entries behind it.
fn processed_with(response: &Value, behind: &[Value]) -> Reply {
    let header = json!({"resource": {"resourceType": "MessageHeader", "response": response}});
    let mut entries = vec![header];
    entries.extend(behind.iter().cloned());
    Reply::ok().json(&json!({"resourceType": "Bundle", "type": "message", "entry": entries}))
}

/// Answers everything so from now on.
fn always(app: &TestApp, reply: Reply) {
    app.respond(move |_| reply.clone());
}

fn fhir(app: &TestApp, deliver: &str) -> Bridge {
    bridge(app, &format!("format: fhir, {deliver}"))
}

/// A server's answer in which each entry of the request has this response.
fn answer(request: &Recorded, kind: &str, entry: impl Fn(usize) -> Value) -> Reply {
    let count = request.json()["entry"].as_array().unwrap().len();
    let entries: Vec<Value> = (0..count)
        .map(|at| json!({"response": entry(at)}))
        .collect();
    Reply::ok().json(&json!({"resourceType": "Bundle", "type": kind, "entry": entries}))
}

fn outcome(severity: &str, expression: &str) -> Value {
    json!({"resourceType": "OperationOutcome", "issue": [{
        "severity": severity, "code": "invalid", "diagnostics": "not this", "expression": [expression],
    }]})
}

fn types(bundle: &Value) -> Vec<&str> {
    let entries = bundle["entry"].as_array().unwrap().iter();
    let kinds = entries.map(|entry| entry["resource"]["resourceType"].as_str().unwrap());
    kinds.collect()
}

#[test]
fn a_message_becomes_a_bundle_and_the_same_message_the_same_bytes() {
    for kind in ["transaction", "batch", "collection", "message"] {
        let app = server();
        let bridge = fhir(&app, &format!("fhir: {{bundle: {kind}}}"));
        RawPeer::connect(bridge.address())
            .exchange(messages::adt("MSG1"))
            .expect("AA", "MSG1");
        let request = app.last();
        for (header, value) in [
            ("Content-Type", "application/fhir+json"),
            ("Accept", "application/fhir+json"),
            ("X-HL7-Control-Id", "MSG1"),
        ] {
            assert_eq!(request.header(header), Some(value), "{kind}");
        }
        let bundle = request.json();
        assert_eq!(bundle["type"], kind);
        assert!(types(&bundle).contains(&"Patient"), "{bundle}");

        let app = server();
        let replies = [503, 429].map(|status| Reply::status(status).header("Retry-After", "0"));
        app.script(replies);
        let bridge = fhir(&app, &format!("fhir: {{bundle: {kind}}}"));
        let mut peer = RawPeer::connect(bridge.address());
        peer.exchange(messages::adt("MSG1"));
        let requests = app.requests();
        assert_eq!(requests.len(), 3, "429 and 503 are tried again");
        assert!(requests.iter().all(|again| again.body == request.body));
    }
}

#[test]
fn times_without_a_zone_are_in_the_one_that_is_configured() {
    let app = server();
    let bridge = fhir(&app, "fhir: {zone: '+05:30'}");
    RawPeer::connect(bridge.address()).exchange(messages::oru("MSG1"));
    let timestamp = app.last().json()["timestamp"].clone();
    assert!(
        timestamp.as_str().unwrap().ends_with("+05:30"),
        "{timestamp}"
    );
}

#[test]
fn a_message_without_maps_is_refused_and_never_delivered() {
    let app = server();
    let bridge = fhir(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    let uncovered = messages::adt("MSG1").replace("ADT^A01^ADT_A01", "ADT^A99^ADT_A99");
    let xml = "<ADT_A01 xmlns=\"urn:hl7-org:v2xml\"><MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2>\
               <MSH.9><MSG.1>ADT</MSG.1><MSG.2>A01</MSG.2></MSH.9><MSH.10>MSG2</MSH.10>\
               <MSH.11><PT.1>P</PT.1></MSH.11><MSH.12><VID.1>2.5</VID.1></MSH.12></MSH></ADT_A01>";
    let ack = peer.exchange(&uncovered);
    ack.expect("AR", "MSG1");
    assert_eq!(ack.err()[0].field(2), "MSH^1^9");
    assert_eq!(ack.err()[0].component(3, 1), "200");
    peer.send(frame(xml));
    let answer = String::from_utf8(peer.read_frame().unwrap()).unwrap();
    assert!(answer.contains("<MSA.1>AR</MSA.1>"), "{answer}");
    // A tree of so many resources would be too large.
    let ack = peer.exchange(messages::oru("MSG4") + &"NTE|1\r".repeat(4096));
    ack.expect("AR", "MSG4");
    assert_eq!(ack.err()[0].component(3, 1), "104");
    peer.exchange(messages::adt("MSG3")).expect("AA", "MSG3");
    assert_eq!(control_ids(&app.requests()), ["MSG3"]);
    let refused = [("reason", "no_map")];
    assert_eq!(
        bridge.metric_sum("mllp_bridge_refused_total", &refused),
        2.0
    );
}

#[test]
fn every_entry_of_a_batch_has_to_be_a_yes() {
    let app = server();
    let bridge = fhir(&app, "fhir: {bundle: batch}");
    let mut peer = RawPeer::connect(bridge.address());

    app.respond(|request| {
        let bundle = request.json();
        let patient = types(&bundle).iter().position(|kind| *kind == "Patient");
        answer(request, "batch-response", |at| match Some(at) == patient {
            true => json!({"status": "422 Unprocessable", "outcome": outcome("error", "Patient.birthDate")}),
            false => json!({"status": "201 Created"}),
        })
    });
    let ack = peer.exchange(messages::adt("MSG1"));
    ack.expect("AE", "MSG1");
    let [err] = ack.err()[..] else {
        panic!("{ack}")
    };
    assert_eq!(
        (err.field(2), err.component(3, 1)),
        ("PID^1^7", "102"),
        "{ack}"
    );
    assert_eq!(err.field(8), "not this");

    // A no without a word.
    app.respond(|request| {
        answer(
            request,
            "batch-response",
            |at| json!({"status": if at == 1 { "404" } else { "200" }}),
        )
    });
    let ack = peer.exchange(messages::adt("MSG2"));
    ack.expect("AR", "MSG2");
    assert!(
        ack.err()[0].field(8).contains("HTTP 404 for entry 2"),
        "{ack}"
    );

    // A yes with an error in it.
    app.respond(|request| {
        answer(
            request,
            "batch-response",
            |_| json!({"status": "200", "outcome": outcome("fatal", "")}),
        )
    });
    peer.exchange(messages::adt("MSG3")).expect("AE", "MSG3");
    app.respond(|request| {
        answer(
            request,
            "batch-response",
            |_| json!({"status": "200", "outcome": outcome("warning", "")}),
        )
    });
    peer.exchange(messages::adt("MSG4")).expect("AA", "MSG4");

    // Nothing is known of an entry that is not answered.
    app.respond(|_| Reply::ok().body(""));
    peer.exchange(messages::adt("MSG5")).expect("AE", "MSG5");
    app.respond(|_| {
        Reply::ok().json(&json!({"resourceType": "Bundle", "type": "batch-response", "entry": []}))
    });
    peer.exchange(messages::adt("MSG6")).expect("AE", "MSG6");
    app.respond(|request| answer(request, "batch-response", |_| json!({})));
    peer.exchange(messages::adt("MSG7")).expect("AE", "MSG7");
}

#[test]
fn an_entry_that_can_be_tried_again_is() {
    let app = server();
    let asked = AtomicUsize::new(0);
    app.respond(move |request| {
        let status = if asked.fetch_add(1, Ordering::SeqCst) == 0 {
            "503"
        } else {
            "200"
        };
        answer(request, "batch-response", |_| json!({"status": status}))
    });
    let bridge = fhir(&app, "fhir: {bundle: batch}");
    RawPeer::connect(bridge.address())
        .exchange(messages::adt("MSG1"))
        .expect("AA", "MSG1");
    assert_eq!(app.requests().len(), 2);
}

#[test]
fn what_a_server_finds_fault_with_is_told_by_its_field() {
    let app = server();
    let bridge = fhir(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    for (id, status, expression, location) in [
        ("MSG1", 422, "Patient.birthDate", "PID^1^7"),
        (
            "MSG2",
            400,
            "Bundle.entry[N].resource.ofType(Patient).gender",
            "PID^1^8",
        ),
        ("MSG3", 422, "Bundle.type", ""),
    ] {
        app.respond(move |request| {
            let bundle = request.json();
            let at = types(&bundle).iter().position(|kind| *kind == "Patient");
            let expression = expression.replace('N', &at.unwrap().to_string());
            Reply::status(status)
                .header("Content-Type", "application/fhir+json")
                .body(outcome("error", &expression).to_string())
        });
        let ack = peer.exchange(messages::adt(id));
        ack.expect("AE", id);
        assert_eq!(ack.err()[0].field(2), location, "{ack}");
        assert_eq!(ack.err()[0].component(3, 1), "102", "{ack}");
    }
    // Each result has a segment of its own.
    app.respond(|request| {
        let bundle = request.json();
        let last = types(&bundle)
            .iter()
            .rposition(|kind| *kind == "Observation")
            .unwrap();
        let expression =
            format!("Bundle.entry[{last}].resource.ofType(Observation).value.ofType(Quantity)");
        Reply::status(422).json(&outcome("error", &expression))
    });
    let ack = peer.exchange(messages::oru("MSG4"));
    ack.expect("AE", "MSG4");
    assert_eq!(ack.err()[0].component(2, 1), "OBX", "{ack}");
    assert_eq!(ack.err()[0].component(2, 2), "2", "{ack}");
}

/// Two doctors, one of them named in OBR-16 too, and two results of which one has a number and a flag.
#[test]
fn the_field_that_is_told_is_one_of_the_entry_that_the_server_means() {
    const MESSAGE: &str = "MSH|^~\\&|LAB|H|B|C|20260101120000+0100||ORU^R01^ORU_R01|MSG1|P|2.5.1\r\
        PID|1||111^^^H^MR||DOE^JOHN||19700101|M\r\
        PV1|1|I|W1||||7^SMITH^A^^^^^^H|8^JONES^B^^^^^^H|||||||||||V1^^^H\r\
        ORC|RE|P1^PL|F1^FL\r\
        OBR|1|P1^PL|F1^FL|CBC^Blood^L|||20260101110000|||||||||7^SMITH^A^^^^^^H\r\
        OBX|1|NM|HB^Hemo^L||14|g/dL||H|||F|||20260101110000\r\
        OBX|2|ST|CM^Comment^L||text||||||F\r";
    let app = server();
    let bridge = fhir(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    for (of_entry, element, location) in [
        ("JONES", "Practitioner.name[0].family", "PV1^1^8^1^2"),
        ("SMITH", "Practitioner.name[0].family", "PV1^1^7^1^2"),
        ("Hemo", "Observation.interpretation", "OBX^1^8"),
        ("Comment", "Observation.interpretation", ""),
        ("Hemo", "Observation.value.ofType(Quantity)", "OBX^1"),
        ("Comment", "Observation.value.ofType(Quantity)", ""),
        ("Comment", "Observation.value.ofType(string)", "OBX^2^5"),
        // Of which result is not said.
        ("", "Observation.interpretation", ""),
    ] {
        app.respond(move |request| {
            let bundle = request.json();
            let mut entries = bundle["entry"].as_array().unwrap().iter();
            let kind = element.split('.').next().unwrap();
            let is_it = |entry: &Value| {
                let resource = &entry["resource"];
                resource["resourceType"] == kind && resource.to_string().contains(of_entry)
            };
            let at = entries.position(is_it).unwrap();
            let expression = match of_entry {
                "" => element.to_owned(),
                _ => element.replace(kind, &format!("Bundle.entry[{at}].resource")),
            };
            Reply::status(422).json(&outcome("error", &expression))
        });
        let ack = peer.exchange(MESSAGE);
        ack.expect("AE", "MSG1");
        let what = format!("{of_entry} {element}: {ack}");
        assert_eq!(ack.err()[0].field(2), location, "{what}");
    }
}

/// As many are located as are told, and an answer of thousands of notes has its one error among them.
#[test]
fn an_error_behind_more_notes_than_an_answer_has_room_for_is_told() {
    let app = server();
    let bridge = fhir(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    let mut issues: Vec<Value> = (0..110)
        .map(|at| json!({"severity": "information", "code": "informational", "diagnostics": format!("note {at}")}))
        .collect();
    issues.push(json!({"severity": "error", "code": "required", "diagnostics": "birthDate is missing", "expression": ["Patient.birthDate"]}));
    always(
        &app,
        Reply::status(422).json(&json!({"resourceType": "OperationOutcome", "issue": issues})),
    );
    let ack = peer.exchange(messages::adt("MSG1"));
    ack.expect("AE", "MSG1");
    assert_eq!(ack.err().len(), 100, "{ack}");
    assert_eq!(ack.err()[0].field(2), "PID^1^7", "{ack}");
    assert_eq!(ack.err()[0].field(8), "birthDate is missing", "{ack}");

    // Before v2.5 there is room for the first only.
    let ack = peer.exchange(messages::adt_version("2.3", "MSG2"));
    ack.expect("AE", "MSG2");
    assert_eq!(ack.msa3(), "birthDate is missing", "{ack}");
}

/// A status alone is not believed, and neither is a body that speaks of something else.
#[test]
fn a_transaction_is_stored_only_if_each_of_its_entries_is_said_to_be() {
    let app = server();
    let bridge = fhir(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    let bundle = |kind: &str, entries: Value| {
        Reply::ok().json(&json!({"resourceType": "Bundle", "type": kind, "entry": entries}))
    };
    let created = json!({"response": {"status": "201 Created"}});
    for (what, reply) in [
        ("nothing", Reply::ok().body("")),
        ("no content", Reply::status(204)),
        ("accepted, for later", Reply::status(202)),
        ("a proxy's page", Reply::ok().body("<html>Welcome</html>")),
        (
            "JSON that is no resource",
            Reply::ok().json(&json!({"ok": true})),
        ),
        (
            "JSON that is cut off",
            Reply::ok().body("{\"resourceType\""),
        ),
        ("an error", Reply::ok().json(&outcome("error", ""))),
        (
            "an information",
            Reply::ok().json(&outcome("information", "")),
        ),
        ("an ack", Reply::ok().json(&json!({"ack": {"code": "AA"}}))),
        ("no entries", bundle("transaction-response", json!([]))),
        ("too few", bundle("transaction-response", json!([created]))),
        ("another's", bundle("searchset", json!([created]))),
    ] {
        let before = app.requests().len();
        always(&app, reply);
        let ack = peer.exchange(messages::adt("MSG1"));
        ack.expect("AE", "MSG1");
        assert_eq!(ack.err()[0].component(3, 1), "207", "{what}: {ack}");
        assert_eq!(app.requests().len(), before + 1, "{what}: not tried again");
        let text = ack.err()[0].field(8);
        let guilty = text.contains("FHIR server answered HTTP 20");
        assert_eq!(guilty, what != "an error", "{what}: {text}");
    }
    // What was sent, sent back.
    app.respond(|request| Reply::ok().json(&request.json()));
    peer.exchange(messages::adt("MSG1")).expect("AE", "MSG1");
    // One entry that is not a yes.
    for (entry, code) in [
        (json!({"status": "422"}), "AE"),
        (json!({"status": "404 Not Found"}), "AR"),
        (json!({"status": "304"}), "AE"),
        (json!({"status": "soon"}), "AE"),
        (json!({"status": 201}), "AE"),
        (json!({}), "AE"),
        (
            json!({"status": "201", "outcome": outcome("error", "")}),
            "AE",
        ),
    ] {
        let last = entry.clone();
        app.respond(move |request| {
            let count = request.json()["entry"].as_array().unwrap().len();
            answer(request, "transaction-response", |at| {
                match at + 1 == count {
                    true => last.clone(),
                    false => json!({"status": "200"}),
                }
            })
        });
        let ack = peer.exchange(messages::adt("MSG1"));
        assert_eq!(ack.msa1(), code, "{entry}: {ack}");
    }
    app.respond(stored);
    peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    assert_eq!(
        bridge.metric_sum("mllp_bridge_acks_total", &[("code", "AA")]),
        1.0
    );
}

#[test]
fn an_answer_about_thousands_of_entries_is_read_whatever_max_response_bytes_says() {
    let app = TestApp::start();
    app.respond(|request| {
        let words = "x".repeat(700);
        answer(request, "transaction-response", |_| {
            json!({"status": "201", "location": "Observation/1/_history/1", "outcome": {
                "resourceType": "OperationOutcome", "issue": [{
                    "severity": "information", "code": "informational", "diagnostics": words}]}})
        })
    });
    let bridge = fhir(&app, "max_response_bytes: 1KiB");
    let mut peer = RawPeer::connect(bridge.address());
    let results: String = (3..2000)
        .map(|at| format!("OBX|{at}|NM|{at}-1^X^LN||{at}|mmol/L|||||F\r"))
        .collect();
    peer.exchange(messages::oru("MSG1") + &results)
        .expect("AA", "MSG1");
    assert!(app.last().json()["entry"].as_array().unwrap().len() > 1900);
    // What is more than any server says of so many is not held.
    always(&app, Reply::ok().body("{}".to_owned() + &" ".repeat(MIB)));
    let ack = peer.exchange(messages::adt("MSG2"));
    ack.expect("AE", "MSG2");
    assert!(ack.err()[0].field(8).contains("more than is read"), "{ack}");
}

#[test]
fn a_fhir_message_is_processed_if_its_answer_says_so_or_that_there_is_none() {
    let app = server();
    let bridge = fhir(&app, "fhir: {bundle: message}");
    let mut peer = RawPeer::connect(bridge.address());
    for (id, reply, code) in [
        ("MSG1", Reply::status(204), "AA"),
        ("MSG2", Reply::ok().json(&outcome("information", "")), "AA"),
        ("MSG3", Reply::ok().json(&outcome("error", "")), "AE"),
        ("MSG4", Reply::ok().body("{"), "AE"),
        ("MSG5", Reply::ok().body("<html/>"), "AE"),
        // A proxy says so as well, and what is taken for later may come to nothing.
        ("MSG6", Reply::ok().body(""), "AE"),
        ("MSG7", Reply::ok().body("\r\n"), "AE"),
        ("MSG8", Reply::status(202), "AE"),
        // What HAPI's JPA server says, which has no such operation of its own.
        ("MSG9", Reply::status(400).json(&outcome("error", "")), "AE"),
    ] {
        always(&app, reply);
        peer.exchange(messages::adt(id)).expect(code, id);
    }
    for (id, said, code) in [
        ("MSG11", "ok", "AA"),
        ("MSG12", "fatal-error", "AE"),
        ("MSG13", "perhaps", "AE"),
    ] {
        app.respond(move |request| processed(request, said));
        peer.exchange(messages::adt(id)).expect(code, id);
    }
    let asked = AtomicUsize::new(0);
    app.respond(move |request| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => processed(request, "transient-error"),
        _ => processed(request, "ok"),
    });
    let before = app.requests().len();
    peer.exchange(messages::adt("MSG14")).expect("AA", "MSG14");
    assert_eq!(app.requests().len(), before + 2);
}

/// A server that could not store all of a message says `ok` of the message, and the rest beside it.
#[test]
fn an_error_beside_the_ok_of_a_fhir_message_is_a_no() {
    let app = server();
    let bridge = fhir(&app, "fhir: {bundle: message}");
    let mut peer = RawPeer::connect(bridge.address());
    let ok = json!({"code": "ok"});
    for (id, behind, code) in [
        ("MSG1", json!({"resource": outcome("error", "")}), "AE"),
        (
            "MSG2",
            json!({"response": {"outcome": outcome("fatal", "")}}),
            "AE",
        ),
        ("MSG3", json!({"resource": outcome("warning", "")}), "AA"),
    ] {
        always(&app, processed_with(&ok, &[behind]));
        let ack = peer.exchange(messages::adt(id));
        ack.expect(code, id);
        let told = ack.err().first().map(|err| err.field(8).to_owned());
        assert_eq!(told.as_deref(), (code == "AE").then_some("not this"));
    }
}

#[test]
fn an_answer_to_another_fhir_message_is_none() {
    let app = server();
    let bridge = fhir(&app, "fhir: {bundle: message}");
    let mut peer = RawPeer::connect(bridge.address());
    app.respond(|request| {
        let header = &request.json()["entry"][0]["fullUrl"];
        let (control_id, url) = (request.header("X-HL7-Control-Id"), header.as_str().unwrap());
        let identifier = match control_id.unwrap() {
            "BY-CONTROL-ID" => json!("BY-CONTROL-ID"),
            "BY-URL" => json!(url),
            "BY-UPPER-CASE" => json!(url.replace("urn:uuid:", "MessageHeader/").to_uppercase()),
            "R5" => json!({"system": "urn:x", "value": "R5"}),
            "NONE" => Value::Null,
            _ => json!("00000000-0000-4000-8000-000000000000"),
        };
        processed_with(&json!({"identifier": identifier, "code": "ok"}), &[])
    });
    for id in ["BY-CONTROL-ID", "BY-URL", "BY-UPPER-CASE", "R5", "NONE"] {
        peer.exchange(messages::adt(id)).expect("AA", id);
    }
    let ack = peer.exchange(messages::adt("FOREIGN"));
    ack.expect("AE", "FOREIGN");
    assert!(ack.err()[0].field(8).contains("another message"), "{ack}");
}

/// Servers put it there, and not only where FHIR has a place for it.
#[test]
fn an_error_in_the_place_of_an_entrys_resource_is_a_no() {
    for kind in ["transaction", "batch", "collection"] {
        let app = server();
        let bridge = fhir(&app, &format!("fhir: {{bundle: {kind}}}"));
        let mut peer = RawPeer::connect(bridge.address());
        for (id, severity, code) in [("MSG1", "error", "AE"), ("MSG2", "warning", "AA")] {
            app.respond(move |request| {
                let sent = request.json();
                let count = sent["entry"].as_array().unwrap().len();
                let entries: Vec<Value> = (1..=count)
                    .map(|at| {
                        let last = outcome(severity, "");
                        // The others repeat what was sent.
                        let resource = match at == count {
                            true => &last,
                            false => &sent["entry"][at - 1]["resource"],
                        };
                        json!({"resource": resource, "response": {"status": "200 OK"}})
                    })
                    .collect();
                let kind = format!("{}-response", sent["type"].as_str().unwrap());
                Reply::ok().json(&json!({"resourceType": "Bundle", "type": kind, "entry": entries}))
            });
            let ack = peer.exchange(messages::adt(id));
            assert_eq!(ack.msa1(), code, "{kind}: {ack}");
            if code == "AE" {
                assert_eq!(ack.err()[0].field(8), "not this", "{kind}: {ack}");
            }
        }
    }
}

#[test]
fn a_collection_is_taken_with_a_2xx_without_an_error_in_it() {
    let app = server();
    let bridge = fhir(&app, "fhir: {bundle: collection}");
    let mut peer = RawPeer::connect(bridge.address());
    for (id, reply, code) in [
        ("MSG1", Reply::ok().body("stored"), "AA"),
        ("MSG2", Reply::ok().json(&outcome("error", "")), "AE"),
        ("MSG3", Reply::ok().body("{"), "AE"),
    ] {
        always(&app, reply);
        peer.exchange(messages::adt(id)).expect(code, id);
    }
}

#[test]
fn statuses_mean_what_they_mean_for_a_fhir_server() {
    let app = server();
    let bridge = fhir(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    // Somebody else wrote at the same time: once more.
    // A proxy whose server starts anew: once more as well.
    app.script([409, 502].map(Reply::status));
    peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    assert_eq!(app.requests().len(), 3);
    for (id, status, code, condition) in [
        ("MSG2", 412, "AE", "204"),
        ("MSG3", 404, "AR", "200"),
        ("MSG4", 401, "AR", "207"),
        ("MSG5", 500, "AE", "207"),
    ] {
        always(&app, Reply::status(status));
        let ack = peer.exchange(messages::adt(id));
        ack.expect(code, id);
        assert_eq!(ack.err()[0].component(3, 1), condition, "{status}");
    }
    assert_eq!(app.requests().len(), 7, "none of them is tried again");
}

/// The server may still be at work on the first when nobody waits for its answer any more.
#[test]
fn a_bundle_that_may_be_under_way_is_not_sent_again_at_once() {
    let timeout = Duration::from_millis(400);
    for (what, reply, waits) in [
        ("no answer", Reply::hang(), 2),
        ("a connection that ends", Reply::close_unanswered(), 1),
        ("a proxy's 504", Reply::status(504), 1),
    ] {
        let app = server();
        let bridge = fhir(&app, "connect_timeout: 400ms, timeout: 400ms");
        let mut peer = RawPeer::connect(bridge.address());
        // The first on a connection: one that is kept and ends is made anew.
        app.script([reply]);
        peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
        let asked = app.requests();
        assert_eq!(asked.len(), 2, "{what}");
        let between = asked[1].arrived - asked[0].arrived;
        // The bridge's clock and the app's begin at different moments.
        let least = timeout * waits - Duration::from_millis(100);
        assert!(between >= least, "{what}: {between:?}");
    }
    // What was not begun is not waited for.
    let app = server();
    let bridge = fhir(&app, "connect_timeout: 5s, timeout: 5s");
    let mut peer = RawPeer::connect(bridge.address());
    app.script([Reply::status(503)]);
    let started = Instant::now();
    peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    assert!(started.elapsed() < 4 * SECOND);
}

/// A directory of maps with one for PID, and a bridge with it.
struct Site {
    folder: tempfile::TempDir,
    app: TestApp,
    bridge: Bridge,
    peer: RawPeer,
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("segments")).unwrap();
        map(folder.path(), "PID-8");
        let app = server();
        let mappings = format!("fhir: {{mappings: '{}'}}", folder.path().display());
        let bridge = fhir(&app, &mappings);
        let peer = RawPeer::connect(bridge.address());
        Self {
            folder,
            app,
            bridge,
            peer,
        }
    }

    fn patient(&mut self, id: &str) -> Value {
        self.peer.exchange(messages::adt(id)).expect("AA", id);
        let bundle = self.app.last().json();
        let entries = bundle["entry"].as_array().unwrap().clone();
        let mut resources = entries.into_iter().map(|entry| entry["resource"].clone());
        resources
            .find(|resource| resource["resourceType"] == "Patient")
            .unwrap()
    }

    fn reloads(&self, result: &str, number: f64) {
        let labels = [("result", result)];
        self.bridge
            .wait_for_metric("mllp_bridge_config_reloads_total", &labels, number);
    }
}

/// The file that the map is in.
fn map(folder: &std::path::Path, field: &str) -> std::path::PathBuf {
    let file = folder.join("segments/PID.yaml");
    let text = format!(
        "PID[Patient]:\n  resource: Patient\n  rows:\n    - {{to: \"identifier[]\", from: PID-3, as: \"CX[Identifier]\"}}\n    \
         - {{to: language, from: {field}, as: code}}\n"
    );
    // As a whole, as whatever mounts it does.
    let new = folder.join("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, &file).unwrap();
    file
}

/// What a site's own maps change, they change with a reload as well.
#[test]
fn a_sites_own_maps_are_used_and_read_again_with_a_reload() {
    let mut site = Site::start();
    let before = site.patient("MSG1");
    assert_eq!(
        (&before["language"], &before["name"]),
        (&json!("F"), &Value::Null)
    );
    map(site.folder.path(), "PID-1");
    site.bridge.signal("HUP");
    site.bridge.wait_for_log("configuration reloaded");
    assert_eq!(site.patient("MSG2")["language"], "1");
}

/// Nobody has to say so, and what is wrong changes nothing.
#[test]
fn maps_that_change_on_the_disk_are_in_force_within_seconds_if_nothing_is_wrong_with_them() {
    let mut site = Site::start();
    assert_eq!(site.patient("MSG1")["language"], "F");
    map(site.folder.path(), "PID-1");
    site.reloads("applied", 1.0);
    assert_eq!(site.patient("MSG2")["language"], "1");

    let file = map(site.folder.path(), "PID-nonsense");
    site.reloads("failed", 1.0);
    let line = (site.bridge).wait_for_log("the listener's settings were not reloaded");
    let error = line.text_field("error").unwrap();
    assert!(
        error.starts_with(&format!("deliver.fhir.mappings: {}:", file.display())),
        "{error}"
    );
    assert_eq!(
        site.patient("MSG3")["language"],
        "1",
        "what was in force stays"
    );

    map(site.folder.path(), "PID-8");
    site.reloads("applied", 2.0);
    assert_eq!(site.patient("MSG4")["language"], "F");
    let failed = [("result", "failed")];
    let failed = site
        .bridge
        .metric_sum("mllp_bridge_config_reloads_total", &failed);
    assert_eq!(failed, 1.0, "what is wrong is tried once");
}

/// A pipe that nobody writes to would be waited for.
#[test]
fn a_pipe_among_the_maps_is_named_and_holds_nobody_up() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("segments/ZPI.yaml");
    std::fs::create_dir(folder.path().join("segments")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.unwrap().success());
    let config = folder.path().join("bridge.yaml");
    let mappings = format!(
        "format: fhir, fhir: {{mappings: '{}'}}",
        folder.path().display()
    );
    std::fs::write(&config, super::config("http://127.0.0.1:1/", &mappings)).unwrap();
    for command in ["check", "run"] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
            .args([command, "--config"])
            .arg(&config)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if started.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("{command} hangs");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let output = child.wait_with_output().unwrap();
        assert!(!output.status.success(), "{command}");
        let text = String::from_utf8(output.stderr).unwrap();
        let expected = format!("{}: it is not a file", file.display());
        assert!(text.contains(&expected), "{command}: {text}");
    }
}

#[test]
fn what_is_in_no_resource_is_counted_by_why_and_once_for_each_message_that_is_accepted() {
    let app = server();
    let bridge = fhir(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    let lost = |reason: &str| {
        let labels = [("listener", "adt"), ("reason", reason)];
        bridge.metric_sum("mllp_bridge_fhir_values_lost_total", &labels)
    };
    let values = || bridge.metric_sum("mllp_bridge_fhir_values_total", &[("listener", "adt")]);
    assert_eq!((values(), lost("unread"), lost("date")), (0.0, 0.0, 0.0));

    // What is refused, or tried again, is not stored.
    app.script([Reply::status(422)]);
    peer.exchange(messages::adt("MSG1")).expect("AE", "MSG1");
    assert_eq!(values(), 0.0);
    app.script([Reply::status(503)]);
    peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    let (whole, unread) = (values(), lost("unread"));
    assert!(whole > 10.0 && unread < whole, "{unread} of {whole}");

    // Three values of a segment that no map reads, and a day that does not exist.
    let message = messages::adt("MSG1") + "ZPI|1|a^b|c\r";
    let message = message.replace("19700131", "19700231");
    assert!(message.contains("19700231"));
    peer.exchange(&message).expect("AA", "MSG1");
    assert_eq!(values(), 2.0 * whole + 4.0);
    assert_eq!(lost("unread"), 2.0 * unread + 4.0);
    assert_eq!(lost("date"), 1.0);
}

#[test]
fn check_names_file_and_line_of_what_is_wrong_in_a_map() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("segments")).unwrap();
    let file = folder.path().join("segments/PID.yaml");
    std::fs::write(
        &file,
        "PID[Patient]:\n  resource: Patient\n  rows:\n    - {to: a, from: PID-x}\n",
    )
    .unwrap();
    let config = folder.path().join("bridge.yaml");
    let mappings = format!(
        "format: fhir, fhir: {{mappings: '{}'}}",
        folder.path().display()
    );
    std::fs::write(&config, super::config("http://127.0.0.1:1/", &mappings)).unwrap();
    let run = |output: &str| {
        std::process::Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
            .args(["check", "--output", output, "--config"])
            .arg(&config)
            .output()
            .unwrap()
    };
    let found = run("text");
    assert!(!found.status.success());
    let text = String::from_utf8(found.stderr).unwrap();
    let place = format!("listeners[0].deliver.fhir.mappings: {}:4: ", file.display());
    assert!(text.starts_with(&place), "{text}");
    let found: Value = serde_json::from_slice(&run("json").stdout).unwrap();
    assert_eq!(found["valid"], false);
    let message = found["errors"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with(&format!("{}:4: ", file.display())),
        "{message}"
    );
}
