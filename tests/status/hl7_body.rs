//! 2xx with an HL7 body: the app's own acknowledgement, checked and then passed through byte for byte.

use super::*;
use crate::support::messages::frame;

/// The whole frame that comes back for message `MSG1` when the app answers so.
#[track_caller]
fn answer_to(message: &str, reply: Reply, deliver: &str) -> (Vec<u8>, TestApp, Bridge) {
    let app = TestApp::start();
    app.always(reply);
    let bridge = Bridge::start(&config(&app.url(), deliver, ""));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(message));
    let data = peer.read_frame().unwrap_or_else(|error| panic!("{error}"));
    (data, app, bridge)
}

#[track_caller]
fn passes_through(content_type: &str, body: impl Into<Vec<u8>>, outcome: &str) {
    let body = body.into();
    let reply = Reply::ok()
        .header("Content-Type", content_type)
        .body(body.clone());
    let (data, _app, bridge) = answer_to(&messages::adt("MSG1"), reply, "");
    assert!(
        data == body,
        "Content-Type {content_type}: not byte for byte:\n  app    {}\n  bridge {}",
        support::Shown(&body),
        support::Shown(&data)
    );
    assert_eq!(
        bridge.metric_sum("mllp_bridge_messages_total", &[("outcome", outcome)]),
        1.0,
        "counted as {outcome}"
    );
}

#[test]
fn an_own_aa_is_passed_through_byte_for_byte_whatever_its_type_is_called() {
    for content_type in [
        "application/hl7-v2",
        "application/hl7-v2; charset=utf-8",
        "x-application/hl7-v2+er7",
        "application/hl7-v2+er7",
        "text/plain",
        "application/octet-stream",
        "application/json",
    ] {
        passes_through(content_type, own_ack("AA"), "accepted");
    }
}

#[test]
fn an_own_ae_or_ar_on_a_200_is_passed_through_and_counts_as_rejected() {
    passes_through("application/hl7-v2", own_ack("AE"), "rejected");
    passes_through("application/hl7-v2", own_ack("AR"), "rejected");
}

#[test]
fn bytes_that_are_not_utf_8_lf_terminators_and_a_missing_last_cr_pass_as_they_are() {
    let mut latin1 = own_ack("AA").into_bytes();
    latin1.extend_from_slice(b"NTE|1||M\xFCller \xE9\xE8\r");
    passes_through("application/hl7-v2; charset=iso-8859-1", latin1, "accepted");
    passes_through(
        "application/hl7-v2",
        own_ack("AA").replace('\r', "\n"),
        "accepted",
    );
    passes_through(
        "application/hl7-v2",
        own_ack("AA").trim_end_matches('\r'),
        "accepted",
    );
}

#[test]
fn a_response_to_a_query_is_passed_through_with_its_results() {
    let mut response = own_ack("AA").replace("ACK^A01^ACK", "RSP^K22^RSP_K21");
    response.push_str("QAK|Q1|OK\rQPD|IHE PDQ Query|Q1\r");
    for patient in 0..500 {
        response.push_str(&format!(
            "PID|{patient}||{patient}^^^GENHOSP||MUSTER^ERIKA\r"
        ));
    }
    passes_through("application/hl7-v2", response, "accepted");
}

/// The bridge answers AE 207 in the app's place, once and for all.
#[track_caller]
fn refused(reply: Reply, deliver: &str) {
    let (data, app, _bridge) = answer_to(&messages::adt("MSG1"), reply, deliver);
    let ack = Ack::parse(data);
    ack.expect("AE", "MSG1");
    assert_eq!(ack.err()[0].component(3, 1), "207", "{ack}");
    assert!(
        !ack.to_string().contains("SECRET"),
        "what the app said to another message: {ack}"
    );
    assert_eq!(app.requests().len(), 1, "the app has the message already");
}

fn hl7(body: impl Into<Vec<u8>>) -> Reply {
    Reply::ok()
        .header("Content-Type", "application/hl7-v2")
        .body(body)
}

#[test]
fn another_messages_acknowledgement_is_refused() {
    for other in ["MSG2", "msg1", "MSG1 ", "", "MSG", "MSG11"] {
        let body = own_ack("AA").replace("|MSG1|by the app", &format!("|{other}|SECRET"));
        refused(hl7(body), "");
    }
}

#[test]
fn an_acknowledgement_that_would_break_its_block_is_refused() {
    refused(hl7(own_ack("AA").replace("by the app", "a\x1Cb")), "");
    refused(hl7(own_ack("AA").replace("by the app", "a\x1C\rb")), "");
    refused(hl7(own_ack("AA").replace("by the app", "a\x0Bb")), "");
}

#[test]
fn a_body_of_hl7_type_that_is_no_acknowledgement_is_refused() {
    refused(hl7("thank you"), "");
    refused(hl7("MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\r"), "");
    refused(hl7(own_ack("OK")), "");
    refused(hl7(own_ack("")), "");
}

#[test]
fn an_acknowledgement_larger_than_max_response_bytes_is_refused() {
    let large = own_ack("AA").replace("by the app", &"x".repeat(2000));
    refused(hl7(large.clone()), "max_response_bytes: 1KiB");
    refused(hl7(large.clone()).chunked(100), "max_response_bytes: 1KiB");
    refused(hl7(large).without_length(), "max_response_bytes: 1KiB");
}

/// Apps that spoke MLLP before frame their answer; others begin with a line break. An AE in it must not become an AA
/// because the type is wrong, too.
#[test]
fn an_own_ae_is_never_turned_into_an_aa_by_what_stands_before_its_msh() {
    for before in ["\x0B", "\r\n", "\u{FEFF}", " \n", "\x0B\x0B"] {
        for content_type in ["text/plain; charset=utf-8", "application/octet-stream", ""] {
            let reply = Reply::ok().header("Content-Type", content_type).body(
                format!("{before}{}\x1C\r", own_ack("AE"))
                    .trim_end_matches("\x1C\r")
                    .to_owned(),
            );
            let (data, _app, bridge) = answer_to(&messages::adt("MSG1"), reply, "");
            let text = String::from_utf8_lossy(&data);
            assert!(
                text.contains("MSA|AE|MSG1"),
                "{before:?} before MSH, type {content_type:?}: {text:?}"
            );
            assert_eq!(
                bridge.metric_sum("mllp_bridge_messages_total", &[("outcome", "accepted")]),
                0.0
            );
        }
    }
}

#[test]
fn a_framed_answer_is_refused() {
    let framed = frame(own_ack("AA"));
    refused(hl7(framed.clone()), "");
    refused(
        Reply::ok()
            .header("Content-Type", "text/plain")
            .body(framed),
        "",
    );
}

#[test]
fn an_empty_body_of_hl7_type_is_a_plain_aa() {
    let (data, ..) = answer_to(&messages::adt("MSG1"), hl7(""), "");
    Ack::parse(data).expect("AA", "MSG1");
}

#[test]
fn control_ids_are_compared_by_their_bytes() {
    let message = messages::adt("MSG1").replace("|MSG1|", r"|A\T\1 |");
    let body = own_ack("AA").replace("|MSG1|", r"|A\T\1 |");
    let (data, ..) = answer_to(&message, hl7(body.clone()), "");
    assert_eq!(String::from_utf8(data).unwrap(), body);
}
