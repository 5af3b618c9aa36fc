//! The three formats, and the identity that a message keeps in all of them.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::*;

/// The request that is made of this message.
#[track_caller]
fn request(message: impl AsRef<[u8]>, deliver: &str) -> Recorded {
    let app = TestApp::start();
    let bridge = bridge(&app, deliver);
    let ack = RawPeer::connect(bridge.address()).exchange(message);
    assert_eq!(ack.msa1(), "AA", "{ack}");
    app.last()
}

#[test]
fn cloudevents_is_one_json_object_with_everything() {
    let message = messages::adt("MSG1");
    let request = request(&message, "format: cloudevents");
    assert_eq!(
        (
            request.method.as_str(),
            request.path.as_str(),
            request.version.as_str()
        ),
        ("POST", "/hl7", "HTTP/1.1")
    );
    assert_eq!(
        request.header("Content-Type"),
        Some("application/cloudevents+json; charset=UTF-8")
    );
    let event = request.json();
    for (member, expected) in [
        ("specversion", "1.0"),
        ("type", "org.hl7.v2.ADT.A01"),
        ("source", "/mllp/adt/REGADT/GENHOSP"),
        ("datacontenttype", "application/json"),
        ("hl7version", "2.5.1"),
        ("hl7controlid", "MSG1"),
    ] {
        assert_eq!(event[member], expected, "{member}");
    }
    let id = event["id"].as_str().unwrap();
    assert!(id.starts_with("MSG1-"), "{id}");
    assert_eq!(request.header("Idempotency-Key"), Some(id));
    let time: jiff::Timestamp = event["time"].as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(time).as_secs() < 60);
    let data = &event["data"];
    assert_eq!(data["raw"], message.as_str());
    assert_eq!(data["charset"], "ASCII");
    assert_eq!(data["structure"], "ADT_A01");
    assert_eq!(data["delimiters"], r"|^~\&");
    assert_eq!(data["peer"]["address"], "127.0.0.1");
    let pid = &data["segments"][2];
    assert_eq!(pid["id"], "PID");
    assert_eq!(pid["fields"]["3"][0]["4"]["1"], "GENHOSP", "PID-3.4.1");
    assert_eq!(pid["fields"]["3"][1]["1"], "99-12", "PID-3[2].1");
    assert!(
        !request
            .headers
            .iter()
            .any(|(name, _)| name.starts_with("ce-")),
        "{:?}",
        request.headers
    );
}

#[test]
fn cloudevents_binary_has_the_attributes_in_headers_and_the_data_as_its_body() {
    let message = messages::adt("MSG1");
    let structured = request(&message, "format: cloudevents");
    let binary = request(&message, "format: cloudevents-binary");
    assert_eq!(binary.header("Content-Type"), Some("application/json"));
    let event = structured.json();
    for attribute in [
        "specversion",
        "id",
        "type",
        "source",
        "dataschema",
        "hl7version",
        "hl7controlid",
    ] {
        assert_eq!(
            binary.header(&format!("ce-{attribute}")),
            event[attribute].as_str(),
            "{attribute}"
        );
    }
    assert!(binary.header("ce-time").is_some());
    assert!(
        binary.header("ce-datacontenttype").is_none(),
        "it is Content-Type in binary mode"
    );
    assert_eq!(binary.json(), event["data"]);
}

#[test]
fn raw_is_the_frame_byte_for_byte_with_its_charset() {
    for (message, charset) in [
        (messages::adt("MSG1").into_bytes(), "ASCII"),
        (
            messages::adt("MSG1").replace("ERIKA", "ÉRIKA").into_bytes(),
            "UTF-8",
        ),
        (
            latin1(&messages::adt("MSG1").replace("ERIKA", "ÉRIKA")),
            "ISO-8859-1",
        ),
        (
            messages::adt("MSG1").replace('\r', "\r\n").into_bytes(),
            "ASCII",
        ),
        (
            b"\r\n"
                .iter()
                .copied()
                .chain(messages::adt("MSG1").into_bytes())
                .collect(),
            "ASCII",
        ),
    ] {
        let request = request(&message, "format: raw");
        assert!(request.body == message, "{}", support::Shown(&request.body));
        assert_eq!(
            request.header("Content-Type"),
            Some(format!("application/hl7-v2; charset={charset}").as_str())
        );
    }
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect()
}

#[test]
fn a_message_keeps_its_id_over_resends_connections_and_formats() {
    let message = messages::adt("MSG1");
    let app = TestApp::start();
    let bridge = bridge(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(&message);
    peer.exchange(&message);
    RawPeer::connect(bridge.address()).exchange(&message);
    let mut requests = app.requests();
    requests.push(request(&message, "format: raw"));
    requests.push(request(&message, "format: cloudevents-binary"));
    let ids: BTreeSet<_> = requests
        .iter()
        .map(|request| request.header("Idempotency-Key").unwrap())
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn two_messages_under_one_control_id_have_two_ids() {
    let app = TestApp::start();
    let bridge = bridge(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    let one = messages::adt("MSG1");
    for message in [
        one.clone(),
        one.replace("ERIKA", "ERICA"),
        one.clone() + "NTE|1\r",
        one + "\r",
    ] {
        peer.exchange(message).expect("AA", "MSG1");
    }
    let ids: BTreeSet<_> = app
        .requests()
        .iter()
        .map(|request| request.json()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 4, "{ids:?}");
}

#[test]
fn odd_control_ids_are_percent_encoded_as_cloudevents_says_and_decode_to_the_same_text() {
    for id in [
        "A B",
        "100%",
        "say\"hi\"",
        "MÜLLER-7",
        "日本",
        "a,b;c=d",
        "%41",
        "<x>",
        "'q'",
        "\u{7ff}é",
        "tab\u{a0}",
    ] {
        let message = messages::adt("MSG1").replace("|MSG1|", &format!("|{id}|"));
        let structured = request(&message, "");
        let event = structured.json();
        assert_eq!(event["hl7controlid"], id);
        let binary = request(&message, "format: cloudevents-binary");
        for (header, attribute) in [
            ("ce-hl7controlid", "hl7controlid"),
            ("ce-id", "id"),
            ("Idempotency-Key", "id"),
            ("X-HL7-Control-Id", "hl7controlid"),
        ] {
            let value = binary.header(header).unwrap();
            assert!(
                value
                    .bytes()
                    .all(|byte| (0x21..0x7F).contains(&byte) && byte != b'"'),
                "{header}: {value:?}"
            );
            let decoded = percent_decode_str(value).decode_utf8();
            assert_eq!(
                decoded.as_deref(),
                Ok(event[attribute].as_str().unwrap()),
                "{header}"
            );
        }
    }
}

/// CloudEvents' HTTP binding, 3.1.3.2: the octets that are percent-encoded are those of UTF-8, whatever the message's are.
#[test]
fn a_latin_1_control_id_is_percent_encoded_as_utf_8() {
    let message = latin1(
        &messages::adt("MSG1")
            .replace("|MSG1|", "|MÜ1|")
            .replace("ADT^A01^ADT_A01", "ADT^Ü01"),
    );
    let app = TestApp::start();
    let bridge = bridge(&app, "format: cloudevents-binary");
    let ack = RawPeer::connect(bridge.address()).exchange(&message);
    assert!(
        ack.bytes.windows(3).any(|bytes| bytes == b"M\xDC1"),
        "MSA-2 is verbatim: {ack}"
    );
    let binary = app.last();
    let structured = request(&message, "").json();
    for (header, attribute) in [
        ("ce-id", "id"),
        ("ce-type", "type"),
        ("ce-source", "source"),
        ("ce-hl7controlid", "hl7controlid"),
        ("Idempotency-Key", "id"),
    ] {
        let value = binary.header(header).unwrap();
        let decoded = percent_decode_str(value).decode_utf8();
        assert_eq!(
            decoded.as_deref(),
            Ok(structured[attribute].as_str().unwrap()),
            "{header}: {value}"
        );
    }
}

#[test]
fn parsed_false_leaves_the_segments_out_and_raw_false_the_raw_text() {
    for format in ["cloudevents", "cloudevents-binary"] {
        let data = |deliver: &str| {
            let body = request(
                messages::adt("MSG1"),
                &format!("format: {format}, {deliver}"),
            )
            .json();
            if format == "cloudevents" {
                body["data"].clone()
            } else {
                body
            }
        };
        let has = |data: &Value, member: &str| data.get(member).is_some();
        let whole = data("parsed: true, raw: true");
        assert!(has(&whole, "raw") && has(&whole, "segments"));
        let unparsed = data("parsed: false");
        assert!(
            has(&unparsed, "raw") && !has(&unparsed, "segments"),
            "{unparsed}"
        );
        let parsed = data("raw: false");
        assert!(!has(&parsed, "raw") && has(&parsed, "segments"), "{parsed}");
        assert_eq!(unparsed["raw"], whole["raw"]);
        assert_eq!(parsed["segments"], whole["segments"]);
    }
}
