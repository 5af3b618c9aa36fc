//! What users of other bridges and engines have reported about the way in; each test names where.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use crate::lab::{Lab, SHORT, expect_acks};
use crate::support::PATIENCE;
use crate::support::app::Reply;
use crate::support::bridge::Bridge;
use crate::support::messages::{adt, adt_of_size, frame, oru};
use crate::support::peer::RawPeer;

#[test]
fn an_app_error_is_answered_and_the_connection_is_not_wedged_by_two_of_them() {
    // GoogleCloudPlatform/mllp#9, hapi-hl7v2#11
    let lab = Lab::new();
    lab.app.script([
        Reply::status(500),
        Reply::status(500),
        Reply::status(422),
        Reply::status(404),
    ]);
    let mut peer = lab.peer();
    for (id, code) in [
        ("1", "AE"),
        ("2", "AE"),
        ("3", "AE"),
        ("4", "AR"),
        ("5", "AA"),
    ] {
        peer.exchange(adt(id)).expect(code, id);
    }
}

#[test]
fn two_frames_in_one_write_reach_the_app_as_two_messages() {
    // simple-hl7#51, hl7apy#37, camel PR#26259
    let lab = Lab::new();
    let mut peer = lab.peer();
    peer.send([frame(adt("P1")), frame(oru("P2"))].concat());
    expect_acks(&mut peer, &[("AA", "P1"), ("AA", "P2")]);
    lab.assert_received(&[adt("P1"), oru("P2")]);
}

#[test]
fn nuls_between_frames_do_not_end_the_connection() {
    // connect#249
    let lab = Lab::new();
    let mut peer = lab.peer();
    for id in ["1", "2", "3"] {
        peer.send([frame(adt(id)), vec![0; 100]].concat());
        expect_acks(&mut peer, &[("AA", id)]);
    }
    lab.assert_received(&[adt("1"), adt("2"), adt("3")]);
}

#[test]
fn a_large_message_that_tcp_splits_is_one_message() {
    // node-hl7-server#60, python-hl7#17
    let lab = Lab::new();
    let mut peer = lab.peer();
    let message = adt_of_size("BIG", 1_000_000);
    let framed = frame(&message);
    for piece in framed.chunks(1460) {
        peer.send(piece);
    }
    expect_acks(&mut peer, &[("AA", "BIG")]);
    lab.assert_received(&[message]);
}

#[test]
fn a_small_message_behind_a_large_one_does_not_overtake_it() {
    // health-architectures#77
    let lab = Lab::new();
    let mut peer = lab.peer();
    let large = adt_of_size("LARGE", 2_000_000);
    peer.send([frame(&large), frame(adt("SMALL"))].concat());
    expect_acks(&mut peer, &[("AA", "LARGE"), ("AA", "SMALL")]);
    lab.assert_received(&[large, adt("SMALL")]);
}

#[test]
fn one_msh_10_for_many_patients_loses_none_of_them() {
    // prime-reportstream#15982: each is delivered, and told apart by the envelope's id.
    let lab = Lab::new();
    let mut peer = lab.peer();
    let other = adt("SAME").replace("ERIKA", "MAX");
    for message in [&adt("SAME"), &other, &adt("SAME")] {
        peer.exchange(message).expect("AA", "SAME");
    }
    lab.assert_received(&[adt("SAME"), other, adt("SAME")]);
    let requests = lab.app.requests();
    let id = |number: usize| requests[number].json()["id"].clone();
    assert_ne!(id(0), id(1), "two patients under one id");
    assert_eq!(id(0), id(2), "a resend under another id");
    assert_eq!(
        requests[0].header("Idempotency-Key"),
        requests[2].header("Idempotency-Key")
    );
}

#[test]
fn an_idle_timeout_does_not_end_a_connection_whose_message_is_with_the_app() {
    // mllp-http#4
    let lab = Lab::with("limits: { idle_timeout: 300ms }");
    lab.app
        .script([Reply::ok().delay(Duration::from_millis(900))]);
    let mut peer = lab.peer();
    peer.exchange(adt("SLOW")).expect("AA", "SLOW");
    peer.expect_close();
    lab.assert_ended(&[("idle_timeout", 1)], &[]);
}

#[test]
fn a_late_answer_of_the_app_never_answers_the_next_message() {
    // connect#1441, #2070, #2113
    let lab = Lab::with_deliver(
        "ack: { deadline: 400ms }",
        "timeout: 300ms, connect_timeout: 300ms",
    );
    let own = |id: &str| {
        let ack = format!("MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\rMSA|AA|{id}|own\r");
        Reply::ok()
            .header("Content-Type", "application/hl7-v2")
            .body(ack)
    };
    lab.app.script([own("LATE").hold()]);
    lab.app.always(own("NEXT"));
    let mut peer = lab.peer();
    peer.exchange(adt("LATE")).expect("AE", "LATE");
    lab.app.release();
    for _ in 0..3 {
        let ack = peer.exchange(adt("NEXT"));
        ack.expect("AA", "NEXT");
        assert_eq!(ack.msa3(), "own");
    }
    peer.expect_silence(SHORT);
}

#[test]
fn a_message_whose_sender_is_gone_is_delivered_once_and_counted_ack_unwritten() {
    // connect#1889
    let lab = Lab::new();
    lab.app.script([Reply::ok().hold()]);
    let mut peer = lab.peer();
    peer.send(frame(adt("GONE")));
    lab.app.wait_for(1, PATIENCE);
    peer.reset();
    lab.app.release();
    lab.bridge
        .wait_for_metric("mllp_bridge_ack_unwritten_total", &[], 1.0);
    lab.assert_received(&[adt("GONE")]);
    let metrics = lab.bridge.metrics();
    let accepted = [("outcome", "accepted")];
    assert_eq!(metrics.sum("mllp_bridge_messages_total", &accepted), 1.0);
    assert_eq!(metrics.sum("mllp_bridge_acks_total", &[]), 0.0);
    assert_eq!(metrics.sum("mllp_bridge_exchanges_in_flight", &[]), 0.0);
    lab.assert_still_serves();
}

#[test]
fn a_sender_that_shuts_down_its_half_at_once_still_gets_its_ack() {
    let lab = Lab::new();
    lab.app
        .script([Reply::ok().delay(Duration::from_millis(100))]);
    let mut peer = lab.peer();
    peer.send(frame(adt("HALF")));
    peer.half_close();
    expect_acks(&mut peer, &[("AA", "HALF")]);
    peer.expect_close();
    lab.assert_ended(&[("peer", 1)], &[]);
}

#[test]
fn an_app_that_says_yes_before_it_has_read_the_message_has_not_accepted_it() {
    // A 2xx counts for exactly the bytes that were sent, and not for the first of them.
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let hasty = thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut head = [0; 1024];
            // The bridge also looks whether anybody is there, and says nothing then.
            if !matches!(stream.read(&mut head), Ok(1..)) {
                continue;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            // Dropped with unread bytes: reset.
        }
    });
    let config = format!(
        "listeners: [{{bind: '127.0.0.1:0', deliver: {{url: 'http://{address}/', timeout: 4s, \
         connect_timeout: 1s}}, ack: {{deadline: 4s}}}}]"
    );
    let bridge = Bridge::start(&config);
    let mut peer = RawPeer::connect(bridge.address());
    let ack = peer.exchange(adt_of_size("HASTY", 3_500_000));
    ack.expect("AE", "HASTY");
    assert!(!hasty.is_finished());
}

#[test]
fn the_app_learns_the_peers_address() {
    // elixir-mllp#49
    let lab = Lab::new();
    let mut peer = lab.peer();
    peer.exchange(adt("WHO")).expect("AA", "WHO");
    let request = lab.app.last();
    assert_eq!(request.json()["data"]["peer"]["address"], "127.0.0.1");
    assert_eq!(request.header("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(request.header("X-HL7-Control-Id"), Some("WHO"));
}

#[test]
fn a_sender_that_does_not_wait_for_answers_gets_them_all_in_order() {
    // The app answers slowly at first: what piles up meanwhile is neither lost nor mixed up.
    let lab = Lab::new();
    lab.app.script([Reply::ok().hold(), Reply::status(422)]);
    let mut peer = lab.peer();
    peer.send(frame(adt("Q1")));
    lab.app.wait_for(1, PATIENCE);
    peer.send(frame(adt("Q2")));
    peer.send([frame(adt("Q3")), frame(adt("Q4"))].concat());
    lab.app.release();
    let expected = [("AA", "Q1"), ("AE", "Q2"), ("AA", "Q3"), ("AA", "Q4")];
    expect_acks(&mut peer, &expected);
}

#[test]
fn nothing_of_a_message_is_logged() {
    let lab = Lab::with("limits: { max_message_bytes: 8KiB }");
    lab.app.script([Reply::ok(), Reply::status(422)]);
    let mut peer = lab.peer();
    peer.exchange(adt("PHI1")).expect("AA", "PHI1");
    peer.exchange(adt("PHI2")).expect("AE", "PHI2");
    peer.exchange(adt_of_size("PHI3", 9000))
        .expect("AR", "PHI3");
    peer.send(frame("ERIKA^MUSTER"));
    peer.expect_close();
    lab.assert_refused(&[("not_hl7", 1), ("too_large", 1)]);
    for text in [
        "ERIKA",
        "MUSTER",
        "4711",
        "PHI1",
        "PHI2",
        "PHI3",
        "PENICILLIN",
    ] {
        lab.bridge.assert_not_logged(text);
    }
}
