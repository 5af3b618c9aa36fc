//! HL7 in XML: v2.xml, v3 and CDA, delivered byte for byte and answered in kind.

use crate::lab::{Lab, SHORT};
use crate::support::PATIENCE;
use crate::support::app::Reply;
use crate::support::messages::{adt, frame};
use crate::support::peer::RawPeer;

fn v2(id: &str, conditions: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ADT_A01 xmlns=\"urn:hl7-org:v2xml\">\n<MSH>\
         <MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.3><HD.1>REG</HD.1></MSH.3><MSH.4><HD.1>GEN</HD.1></MSH.4>\
         <MSH.9><MSG.1>ADT</MSG.1><MSG.2>A01</MSG.2></MSH.9><MSH.10>{id}</MSH.10><MSH.11><PT.1>P</PT.1></MSH.11>\
         <MSH.12><VID.1>2.5</VID.1></MSH.12>{conditions}</MSH><PID><PID.5>Müster</PID.5></PID></ADT_A01>\n"
    )
}

fn enhanced(id: &str, accept: &str, application: &str) -> String {
    v2(
        id,
        &format!("<MSH.15>{accept}</MSH.15><MSH.16>{application}</MSH.16>"),
    )
}

fn v3(extension: &str, accept: &str) -> String {
    format!(
        "<PRPA_IN201301UV02 xmlns=\"urn:hl7-org:v3\" ITSVersion=\"XML_1.0\"><id root=\"1.2.3\" extension=\"{extension}\"/>\
         <interactionId root=\"2.16.840.1.113883.1.6\" extension=\"PRPA_IN201301UV02\"/><processingCode code=\"P\"/>\
         <processingModeCode code=\"T\"/><acceptAckCode code=\"{accept}\"/><receiver typeCode=\"RCV\"><device><id root=\"1.2.4\"/>\
         </device></receiver><sender typeCode=\"SND\"><device><id root=\"1.2.5\"/></device></sender><controlActProcess/>\
         </PRPA_IN201301UV02>"
    )
}

fn cda(extension: &str) -> String {
    format!(
        "<ClinicalDocument xmlns=\"urn:hl7-org:v3\"><id root=\"1.2.6\" extension=\"{extension}\"/></ClinicalDocument>"
    )
}

#[track_caller]
fn answer(peer: &mut RawPeer) -> String {
    let data = peer.read_frame().unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8(data).expect("UTF-8")
}

#[track_caller]
fn exchange(peer: &mut RawPeer, message: &str) -> String {
    peer.send(frame(message));
    answer(peer)
}

/// The codes of what is answered before the answer to a message of ER7 that is sent behind.
#[track_caller]
fn codes(peer: &mut RawPeer, message: &str, id: &str) -> String {
    peer.send([frame(message), frame(adt("BEHIND"))].concat());
    let mut codes = Vec::new();
    loop {
        let text = answer(peer);
        if text.contains("|BEHIND\r") {
            return codes.join(" ");
        }
        assert!(text.contains(id), "{id}: {text}");
        let code = between(&text, "<MSA.1>", "<").or(between(&text, "<typeCode code=\"", "\""));
        codes.push(code.unwrap_or_else(|| panic!("no code: {text}")).to_owned());
    }
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?
        .1
        .split_once(after)
        .map(|(inner, _)| inner)
}

#[test]
fn a_message_in_v2_xml_is_delivered_and_answered_in_v2_xml() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let message = v2("X&lt;1&gt;", "");
    let ack = exchange(&mut peer, &message);
    let msa = "<MSA><MSA.1>AA</MSA.1><MSA.2>X&lt;1&gt;</MSA.2></MSA></ACK>";
    assert!(
        ack.starts_with(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ACK xmlns=\"urn:hl7-org:v2xml\"><MSH>"
        ),
        "{ack}"
    );
    assert!(ack.ends_with(msa), "{ack}");
    assert!(
        ack.contains("<MSH.5><HD.1>REG</HD.1></MSH.5><MSH.6><HD.1>GEN</HD.1></MSH.6>"),
        "{ack}"
    );
    lab.assert_received(&[&message]);
    let event = lab.app.last().json();
    assert_eq!(event["type"], "org.hl7.v2.ADT.A01");
    assert_eq!(event["source"], "/mllp/adt/REG/GEN");
    assert_eq!(event["hl7controlid"], "X<1>");
    assert_eq!(event["hl7version"], "2.5");
    assert_eq!(event["data"]["encoding"], "v2.xml");
    assert_eq!(event["data"]["structure"], "ADT_A01");
    assert_eq!(event["data"].get("segments"), None);
    assert_eq!(lab.app.last().header("X-HL7-Control-Id"), Some("X<1>"));
}

#[test]
fn what_the_app_finds_wrong_becomes_err_segments() {
    let lab = Lab::new();
    let problem = serde_json::json!({"title": "bad", "errors": [{"detail": "no <id> \u{e9}", "location": "PID-3", "condition": 101}]});
    lab.app.always(Reply::problem(422, &problem));
    let ack = exchange(&mut lab.peer(), &v2("X2", ""));
    assert!(
        ack.contains("<MSA><MSA.1>AE</MSA.1><MSA.2>X2</MSA.2></MSA><ERR><ERR.2><ERL.1>PID</ERL.1>"),
        "{ack}"
    );
    assert!(
        ack.contains("<ERR.8>no &lt;id&gt; \u{e9}</ERR.8></ERR></ACK>"),
        "{ack}"
    );
    let ack = exchange(&mut lab.peer(), &v3("X3", "AL"));
    let target = "<typeCode code=\"CE\"/><targetMessage><id root=\"1.2.3\" extension=\"X3\"/></targetMessage>";
    let detail = "<acknowledgementDetail typeCode=\"E\"><code code=\"SYN101\" codeSystem=\"2.16.840.1.113883.5.1100\"/>\
                  <text>no &lt;id&gt; \u{e9}</text><location>PID-3</location></acknowledgementDetail></acknowledgement>";
    assert!(ack.contains(&format!("{target}{detail}")), "{ack}");
}

#[test]
fn enhanced_mode_of_v2_xml_is_that_of_er7() {
    for (status, expected) in [
        (204, ["CA AA", "CA", "AA", "", ""]),
        (422, ["CE", "CE", "AE", "AE", "CE"]),
        (415, ["CR", "CR", "AR", "AR", "CR"]),
    ] {
        let lab = Lab::new();
        lab.app.always(Reply::status(status));
        let mut peer = lab.peer();
        let conditions = [
            ("AL", "AL"),
            ("AL", "NE"),
            ("NE", "AL"),
            ("NE", "ER"),
            ("ER", "NE"),
        ];
        for ((accept, application), expected) in conditions.into_iter().zip(expected) {
            let id = format!("{accept}{application}");
            let found = codes(&mut peer, &enhanced(&id, accept, application), &id);
            assert_eq!(
                found, expected,
                "MSH-15 {accept}, MSH-16 {application}, HTTP {status}"
            );
        }
    }
}

#[test]
fn accept_ack_code_says_when_v3_is_answered() {
    for (status, expected) in [
        (204, ["CA", "", ""]),
        (422, ["CE", "CE", ""]),
        (415, ["CR", "CR", ""]),
    ] {
        let lab = Lab::new();
        lab.app.always(Reply::status(status));
        let mut peer = lab.peer();
        for (accept, expected) in ["AL", "ER", "NE"].into_iter().zip(expected) {
            let id = format!("V{accept}");
            let found = codes(&mut peer, &v3(&id, accept), &id);
            assert_eq!(found, expected, "acceptAckCode {accept}, HTTP {status}");
        }
    }
}

#[test]
fn v3_is_delivered_with_its_interaction_as_type() {
    let lab = Lab::new();
    let message = v3("7", "AL");
    let ack = exchange(&mut lab.peer(), &message);
    assert!(
        ack.contains(
            "<interactionId root=\"2.16.840.1.113883.1.6\" extension=\"MCCI_IN000002UV01\"/>"
        ),
        "{ack}"
    );
    assert!(ack.contains("<receiver typeCode=\"RCV\"><device classCode=\"DEV\" determinerCode=\"INSTANCE\"><id root=\"1.2.5\"/>"), "{ack}");
    lab.assert_received(&[&message]);
    let event = lab.app.last().json();
    assert_eq!(event["type"], "org.hl7.v3.PRPA_IN201301UV02");
    assert_eq!(event["source"], "/mllp/adt/1.2.5/");
    assert_eq!(event["hl7controlid"], "1.2.3^7");
    assert_eq!(event["data"]["encoding"], "v3");
}

#[test]
fn two_systems_do_not_acknowledge_each_other_for_ever() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let ack = exchange(&mut peer, &v3("8", "AL"));
    assert_eq!(
        codes(&mut peer, &ack, ""),
        "",
        "an acknowledgement is not answered"
    );
    let accept = exchange(&mut peer, &enhanced("8", "AL", "NE"));
    assert_eq!(codes(&mut peer, &accept, ""), "");
    drop(peer);
    lab.assert_ended(&[("peer", 1)], &[("accept_ack", 2)]);
    assert_eq!(
        lab.app.requests().len(),
        4,
        "two messages, and one behind each acknowledgement"
    );
}

#[test]
fn a_document_is_taken_in_silence_and_refused_by_the_end_of_the_connection() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    assert_eq!(codes(&mut peer, &cda("7"), ""), "");
    let event = lab.app.requests()[0].json();
    assert_eq!(event["type"], "org.hl7.v3.ClinicalDocument");
    assert_eq!(event["data"]["encoding"], "cda");
    assert_eq!(event["hl7controlid"], "1.2.6^7");
    lab.app.script([Reply::status(422)]);
    peer.send(frame(cda("8")));
    peer.expect_close();
    lab.assert_ended(&[("unanswerable", 1)], &[]);
    let rejected = [("outcome", "rejected")];
    assert_eq!(
        lab.bridge
            .metric_sum("mllp_bridge_messages_total", &rejected),
        1.0
    );
    assert_eq!(
        lab.bridge
            .metric_sum("mllp_bridge_acks_total", &[("code", "unwanted")]),
        1.0
    );
}

#[test]
fn an_apps_own_answer_is_checked_and_passed_on_byte_for_byte() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let xml = |body: &str, kind: &str| Reply::status(200).header("Content-Type", kind).body(body);
    let response = "<PRPA_IN201306UV02 xmlns=\"urn:hl7-org:v3\">\n<acknowledgement><typeCode code=\"AA\"/><targetMessage>\
                    <id root=\"1.2.3\" extension=\"Q1\"/></targetMessage></acknowledgement><controlActProcess/></PRPA_IN201306UV02>";
    for (kind, accept) in [
        ("application/xml", "AL"),
        ("", "NE"),
        ("application/hl7-v3+xml", "ER"),
    ] {
        lab.app.script([xml(response, kind)]);
        assert_eq!(
            exchange(&mut peer, &v3("Q1", accept)),
            response,
            "{kind} {accept}"
        );
    }
    let own = "<ACK xmlns='urn:hl7-org:v2xml'><MSA><MSA.1>AR</MSA.1><MSA.2>Q2</MSA.2></MSA></ACK>";
    lab.app.script([
        xml(own, "application/hl7-v2+xml"),
        Reply::status(422).body(own),
    ]);
    assert_eq!(exchange(&mut peer, &v2("Q2", "")), own);
    assert_eq!(exchange(&mut peer, &v2("Q2", "")), own, "with its 4xx");
    for (body, kind) in [
        (own, ""),
        (response, ""),
        ("<ACK xmlns='urn:hl7-org:v2xml'><MSA>", ""),
        ("<html/>", "application/hl7-v2+xml"),
        ("<ACK xmlns='urn:hl7-org:v2xml'", ""),
        ("MSH|^~\\&|A\rMSA|AA|Q3\r", ""),
    ] {
        lab.app.script([xml(body, kind)]);
        assert_eq!(codes(&mut peer, &v2("Q3", ""), "Q3"), "AE", "{body}");
    }
    let large = format!(
        "<?xml version='1.0'?><ACK xmlns='urn:hl7-org:v2xml'>{}",
        " ".repeat(2 << 20)
    );
    lab.app.script([xml(&large, "")]);
    assert_eq!(
        codes(&mut peer, &v2("Q3", ""), "Q3"),
        "AE",
        "too large to be known"
    );
    for page in [
        "<html>thanks</html>",
        "<!DOCTYPE html><html>thanks<br></html>",
    ] {
        lab.app.script([xml(page, "text/html")]);
        assert_eq!(
            codes(&mut peer, &v2("Q4", ""), "Q4"),
            "AA",
            "no answer of HL7's"
        );
    }
    lab.app
        .script([xml("{\"ack\":{\"code\":\"AE\",\"text\":\"no\"}}", "")]);
    assert_eq!(codes(&mut peer, &v3("Q5", "AL"), "Q5"), "CE");
}

#[test]
fn format_raw_is_the_document_with_its_media_type() {
    let lab = Lab::with_deliver("framing: { end_idle: 10s }", "format: raw");
    let mut peer = lab.peer();
    for (message, expected) in [
        (v2("R1", ""), "application/hl7-v2+xml; charset=UTF-8"),
        (v3("R2", "AL"), "application/hl7-v3+xml; charset=UTF-8"),
    ] {
        exchange(&mut peer, &message);
        let request = lab.app.last();
        assert_eq!(request.header("Content-Type"), Some(expected));
        assert_eq!(request.body, message.as_bytes());
    }
    let latin1 = v2("R\u{fc}", "").replace("UTF-8", "ISO-8859-1");
    let latin1: Vec<u8> = latin1.chars().map(|c| c as u8).collect();
    peer.send(frame(&latin1));
    let ack = peer.read_frame().unwrap();
    assert!(
        ack.windows(16).any(|part| part == b"<MSA.2>R\xfc</MSA.2"),
        "{}",
        ack.escape_ascii()
    );
    assert!(ack.starts_with(b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>"));
    let request = lab.app.last();
    assert_eq!(request.body, latin1);
    assert_eq!(request.header("X-HL7-Control-Id"), Some("R%C3%BC"));
}

#[test]
fn the_attributes_are_headers_in_binary_mode() {
    let lab = Lab::with_deliver("framing: { end_idle: 10s }", "format: cloudevents-binary");
    let mut peer = lab.peer();
    let latin1 = v2("\u{fc} 1", "").replace("UTF-8", "ISO-8859-1");
    let latin1: Vec<u8> = latin1.chars().map(|c| c as u8).collect();
    peer.send(frame(&latin1));
    peer.read_frame().unwrap();
    let request = lab.app.last();
    for (name, value) in [
        ("ce-type", "org.hl7.v2.ADT.A01"),
        ("ce-source", "/mllp/adt/REG/GEN"),
        ("ce-hl7controlid", "%C3%BC%201"),
        ("ce-hl7version", "2.5"),
        ("Content-Type", "application/json"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    assert_eq!(request.json()["encoding"], "v2.xml");
    peer.send(frame(v3("8", "AL")));
    peer.read_frame().unwrap();
    let request = lab.app.last();
    assert_eq!(
        request.header("ce-type"),
        Some("org.hl7.v3.PRPA_IN201301UV02")
    );
    assert_eq!(request.header("ce-hl7controlid"), Some("1.2.3^8"));
    assert_eq!(request.header("ce-hl7version"), None);
}

#[test]
fn what_is_broken_behind_its_header_is_answered_and_not_delivered() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let bomb = v2("B2", "").replace("M\u{fc}ster", "&lol;");
    for (message, id, code, reason) in [
        (v2("B1", "").replace("</ADT_A01>", ""), "B1", "AR", "xml"),
        (bomb, "B2", "AR", "xml"),
        (v3("B3", "AL") + "<x/>", "B3", "CR", "xml"),
        (
            v2("B4", "").replace("UTF-8", "windows-1250"),
            "B4",
            "AR",
            "charset",
        ),
        (v2("", ""), "", "AE", "no_control_id"),
        (v2("A&#9;B", ""), "", "AE", "bad_control_id"),
    ] {
        let before = lab
            .bridge
            .metric_sum("mllp_bridge_refused_total", &[("reason", reason)]);
        assert_eq!(codes(&mut peer, &message, id), code, "{message}");
        lab.bridge.wait_for_metric(
            "mllp_bridge_refused_total",
            &[("reason", reason)],
            before + 1.0,
        );
    }
    let doctype = format!("<!DOCTYPE x [<!ENTITY a \"b\">]>{}", v3("B5", "AL"));
    peer.send(frame(doctype));
    peer.expect_close();
    assert!(
        lab.received()
            .iter()
            .all(|message| message.starts_with(b"MSH"))
    );
}

#[test]
fn one_that_is_too_large_is_answered_by_its_id() {
    let lab = Lab::with("limits: { max_message_bytes: 2KiB }\nframing: { end_idle: 10s }");
    let mut peer = lab.peer();
    let large = v2("LARGE", "").replace("M\u{fc}ster", &"x".repeat(5000));
    assert_eq!(codes(&mut peer, &large, "LARGE"), "AR");
    lab.assert_refused(&[("too_large", 1)]);
}

#[test]
fn a_resend_is_answered_as_the_first_was() {
    let lab = Lab::with("duplicates: {}");
    let mut peer = lab.peer();
    let first = exchange(&mut peer, &v3("D1", "AL"));
    assert_eq!(
        exchange(&mut peer, &v3("D1", "AL")),
        first,
        "the same ID and time"
    );
    peer.send(frame(cda("D2")));
    peer.send(frame(cda("D2")));
    lab.bridge.wait_for_metric(
        "mllp_bridge_messages_total",
        &[("outcome", "duplicate")],
        2.0,
    );
    lab.assert_received(&[v3("D1", "AL"), cda("D2")]);
    peer.expect_silence(SHORT);
}

#[test]
fn what_nobody_answers_is_tried_again_and_then_told() {
    let lab = Lab::with("ack: { deadline: 1s }\nframing: { end_idle: 10s }");
    lab.app.always(Reply::status(503));
    let mut peer = lab.peer();
    let ack = exchange(&mut peer, &v2("U1", ""));
    assert!(ack.contains("<MSA.1>AE</MSA.1><MSA.2>U1</MSA.2>"), "{ack}");
    assert!(lab.app.wait_for(2, PATIENCE).len() > 1, "attempts");
}
