//! What is inside a block: terminators, what stands before MSH, and what is no message at all.

use serde_json::json;

use crate::lab::{Lab, expect_acks};
use crate::support::messages::{adt, adt_version, frame, oru};

/// Exchanges one message, which must be accepted and reach the app as it is; the deviations that were counted.
#[track_caller]
fn accepted(message: &[u8], id: &str, deviations: &[(&str, u64)]) -> serde_json::Value {
    let lab = Lab::new();
    let mut peer = lab.peer();
    peer.exchange(message).expect("AA", id);
    drop(peer);
    lab.assert_received(&[message]);
    lab.assert_ended(&[("peer", 1)], deviations);
    lab.app.last().json()
}

fn segment_ids(envelope: &serde_json::Value) -> Vec<&str> {
    let segments = envelope["data"]["segments"].as_array().expect("segments");
    segments
        .iter()
        .map(|segment| segment["id"].as_str().expect("an ID"))
        .collect()
}

const ADT: [&str; 7] = ["MSH", "EVN", "PID", "NK1", "PV1", "AL1", "OBX"];

#[test]
fn lf_terminated_segments_are_accepted_and_counted() {
    let message = adt("LF1").replace('\r', "\n");
    let envelope = accepted(message.as_bytes(), "LF1", &[("lf_terminator", 1)]);
    assert_eq!(segment_ids(&envelope), ADT);
    assert_eq!(
        envelope["data"]["warnings"],
        json!(["segments end in LF or CR LF instead of CR"])
    );
}

#[test]
fn crlf_terminated_segments_are_accepted_and_counted() {
    let message = adt("CL1").replace('\r', "\r\n");
    let envelope = accepted(message.as_bytes(), "CL1", &[("cr_lf_terminator", 1)]);
    assert_eq!(segment_ids(&envelope), ADT);
}

#[test]
fn doubled_cr_between_segments_is_an_empty_line() {
    let message = adt("CC1").replace('\r', "\r\r");
    let envelope = accepted(message.as_bytes(), "CC1", &[]);
    assert_eq!(segment_ids(&envelope), ADT);
}

#[test]
fn a_message_without_a_terminator_after_its_last_segment_is_whole() {
    let message = adt("NT1");
    let envelope = accepted(message.trim_end().as_bytes(), "NT1", &[]);
    assert_eq!(segment_ids(&envelope), ADT);
}

#[test]
fn a_bare_lf_inside_a_cr_terminated_message_is_data() {
    let message = adt("DL1") + "NTE|1|L|first line\nZZZ|second line|\n\r";
    let envelope = accepted(message.as_bytes(), "DL1", &[]);
    let mut ids = ADT.to_vec();
    ids.push("NTE");
    assert_eq!(segment_ids(&envelope), ids);
    let note = &envelope["data"]["segments"][7]["fields"];
    assert_eq!(note["3"][0]["1"], json!("first line\nZZZ"), "{note}");
}

#[test]
fn a_byte_order_mark_before_msh_is_accepted_and_counted() {
    let message = format!("\u{feff}{}", adt("BM1"));
    let envelope = accepted(message.as_bytes(), "BM1", &[("leading_bytes", 1)]);
    assert_eq!(segment_ids(&envelope), ADT);
}

#[test]
fn white_space_before_msh_is_accepted_and_counted() {
    for white in ["\r", "\n", "\r\n", "  ", "\t", "\r\n\r\n \n"] {
        let message = format!("{white}{}", adt("WS1"));
        let envelope = accepted(message.as_bytes(), "WS1", &[("leading_bytes", 1)]);
        assert_eq!(segment_ids(&envelope), ADT, "after {white:?}");
    }
}

#[test]
fn msh_2_of_five_characters_does_not_shift_the_fields() {
    let message = adt_version("2.7", "FIVE");
    let envelope = accepted(message.as_bytes(), "FIVE", &[]);
    assert_eq!(envelope["hl7controlid"], "FIVE");
    assert_eq!(envelope["type"], "org.hl7.v2.ADT.A01");
    assert_eq!(envelope["data"]["delimiters"], r"|^~\&#");
}

#[test]
fn msh_2_of_fewer_characters_is_accepted_and_counted() {
    let message = b"MSH|^~|A|B|C|D|2026||ADT^A01|SHORT|P|2.3\rPID|1||7\\&\r";
    accepted(message, "SHORT", &[("short_msh2", 1)]);
}

/// Exchanges one message that the app must not see, and checks the one ERR segment.
#[track_caller]
fn refused(message: &[u8], answer: (&str, &str), condition: &str, reason: &str) -> String {
    let lab = Lab::new();
    let mut peer = lab.peer();
    let ack = peer.exchange(message);
    ack.expect(answer.0, answer.1);
    let errors = ack.err();
    assert_eq!(errors.len(), 1, "{ack}");
    assert_eq!(errors[0].component(3, 1), condition, "{ack}");
    let location = errors[0].field(2).to_owned();
    peer.exchange(adt("NEXT")).expect("AA", "NEXT");
    drop(peer);
    lab.assert_received(&[adt("NEXT")]);
    lab.assert_refused(&[(reason, 1)]);
    location
}

#[test]
fn an_empty_msh_10_is_answered_ae_101_and_not_delivered() {
    let message = adt("GONE").replace("|GONE|", "||");
    let location = refused(message.as_bytes(), ("AE", ""), "101", "no_control_id");
    assert_eq!(location, "MSH^1^10");
    let short = b"MSH|^~\\&|A|B|C|D|2026||ADT^A01\rPID|1\r";
    let location = refused(short, ("AE", ""), "101", "no_control_id");
    assert_eq!(location, "MSH^1^10");
}

#[test]
fn an_msh_10_with_control_bytes_is_answered_ae_and_not_delivered() {
    for id in ["A\tB", "A\nB", "A\0B", "A\u{1c}B", "A\u{7f}"] {
        let location = refused(adt(id).as_bytes(), ("AE", ""), "102", "bad_control_id");
        assert_eq!(location, "MSH^1^10", "{id:?}");
    }
}

#[test]
fn msh_in_the_middle_of_a_field_is_data() {
    let message = oru("QUOTE") + "NTE|1|L|see MSH|^~\\&|A\rZMS|MSH|1\r";
    accepted(message.as_bytes(), "QUOTE", &[]);
}

/// Sends one block after a good message; the bridge must close without an answer to it.
#[track_caller]
fn closed(data: &[u8], reason: &str) {
    let lab = Lab::new();
    let mut peer = lab.peer();
    peer.exchange(adt("GOOD")).expect("AA", "GOOD");
    peer.send(frame(data));
    peer.expect_close();
    drop(peer);
    println!("{:?}", data.escape_ascii().to_string());
    lab.assert_ended(&[("not_hl7", 1)], &[]);
    lab.assert_refused(&[(reason, 1)]);
    lab.assert_received(&[adt("GOOD")]);
    lab.assert_still_serves();
}

#[test]
fn xml_is_closed_with_the_counted_reason_xml() {
    closed(
        b"<?xml version=\"1.0\"?><ADT_A01 xmlns=\"urn:hl7-org:v2xml\"/>",
        "xml",
    );
    closed(b"\r\n <ClinicalDocument xmlns=\"urn:hl7-org:v3\"/>", "xml");
    closed(b"\xef\xbb\xbf<MCCI_IN000002UV01/>", "xml");
}

#[test]
fn what_is_not_hl7_is_closed_with_a_counted_reason() {
    for data in [
        &b"hello"[..],
        b"",
        b"\r",
        b"MSH",
        b"MSHA^~\\&|A",
        b"MSA|AA|1\r",
        b"PID|1||7\rMSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\r",
        b"{\"resourceType\":\"Bundle\"}",
        b"M\0S\0H\0|",
        b"msh|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\r",
    ] {
        closed(data, "not_hl7");
    }
}

#[test]
fn frames_after_one_that_is_not_hl7_are_neither_delivered_nor_acked() {
    let lab = Lab::new();
    let mut peer = lab.peer();
    peer.send([frame(adt("N1")), frame("hello"), frame(adt("N2"))].concat());
    expect_acks(&mut peer, &[("AA", "N1")]);
    peer.expect_close();
    lab.assert_received(&[adt("N1")]);
    lab.assert_ended(&[("not_hl7", 1)], &[]);
}
