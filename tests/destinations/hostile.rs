//! Servers that misbehave. Each time: what the client is told, whether its message may have arrived, and that the next message gets its
//! own answer.

use std::sync::Mutex;
use std::time::Duration;

use super::server::{Act, block};
use super::*;

fn bridge(server: &Server, ack: &str) -> Bridge {
    Bridge::start(&format!(
        "listeners: [{{bind: '127.0.0.1:0'}}]\nlog: {{format: json, level: debug}}\noutbound: {{bind: '127.0.0.1:0'}}\n\
         destinations: [{{name: ehr, address: '{}', ack: {ack}, limits: {{max_answer_bytes: 64KiB}}}}]\n",
        server.address
    ))
}

/// What a server does with the message `1`; every other one it acknowledges.
fn misbehaving(acts: impl Fn() -> Vec<Act> + Send + Sync + 'static) -> Server {
    Server::acting(move |message| match control_id(message).as_str() {
        "1" => acts(),
        other => vec![Act::Write(block(&ack("AA", other)))],
    })
}

/// One behaviour: its problem, and the next messages.
#[track_caller]
fn expect(
    what: &str,
    acts: impl Fn() -> Vec<Act> + Send + Sync + 'static,
    (status, slug, arrived): (u16, &str, bool),
) {
    let ends = matches!(acts().last(), Some(Act::Close | Act::Reset));
    let server = misbehaving(acts);
    let bridge = bridge(&server, "{timeout: 300ms}");
    let api = api::address(&bridge);
    let answer = post(api, &message("1", ""));
    if ends {
        // What is sent while the end is still on its way is lost with the connection, and nobody could know.
        let closed = "mllp_bridge_destination_connections_closed_total";
        bridge.wait_for_metric(closed, &[], 1.0);
    }
    let seen = (
        answer.status,
        answer.body["type"].as_str().unwrap_or("accepted"),
        answer.body["may_have_arrived"].as_bool().unwrap_or(true),
    );
    let expected = match status {
        200 => "accepted".to_owned(),
        _ => format!("urn:mllp-bridge:problem:{slug}"),
    };
    assert_eq!(
        seen,
        (status, expected.as_str(), arrived),
        "{what}: {}",
        answer.body
    );
    for control_id in ["2", "3"] {
        let next = post(api, &message(control_id, ""));
        next.expect_code("AA");
        let raw = next.body["raw"].as_str().unwrap();
        assert!(
            raw.contains(&format!("MSA|AA|{control_id}\r")),
            "{what}: {raw}"
        );
    }
    let outcome = if status == 200 {
        "accepted".to_owned()
    } else {
        slug.replace('-', "_")
    };
    let counted = bridge.metric_sum(
        "mllp_bridge_destination_messages_total",
        &[("outcome", &outcome)],
    );
    assert!(counted >= 1.0, "{what}: not counted as {outcome}");
    let sent: Vec<String> = server
        .messages()
        .iter()
        .map(|message| control_id(message))
        .collect();
    assert_eq!(sent, ["1", "2", "3"], "{what}: each message is sent once");
    bridge.assert_not_logged("MUSTER");
    bridge.assert_not_logged("ERIKA");
    bridge.stop();
}

const BAD: (u16, &str, bool) = (502, "bad-answer", true);
const LOST: (u16, &str, bool) = (502, "connection-lost", true);
const SILENT: (u16, &str, bool) = (504, "no-answer", true);

#[test]
fn late() {
    let acts = || {
        vec![
            Act::Wait(Duration::from_millis(600)),
            Act::Write(block(&ack("AA", "1"))),
        ]
    };
    expect("an answer after ack.timeout", acts, SILENT);
}

#[test]
fn never() {
    expect("no answer", Vec::new, SILENT);
}

#[test]
fn of_another_message() {
    expect(
        "another message's",
        || vec![Act::Write(block(&ack("AA", "77")))],
        BAD,
    );
    let longer = || vec![Act::Write(block(&ack("AA", "1 ")))];
    expect("one that is not verbatim", longer, BAD);
}

#[test]
fn two_at_once() {
    let acts = || {
        vec![Act::Write(
            [block(&ack("AA", "1")), block(&ack("AA", "2"))].concat(),
        )]
    };
    // The second is the next message's, by its control ID; it came before that was sent.
    expect(
        "the next message's answer behind its own",
        acts,
        (200, "", true),
    );
    let twice = || {
        vec![
            Act::Write(block(&ack("AA", "1"))),
            Act::Write(block(&ack("AE", "1"))),
        ]
    };
    expect("two of one message", twice, (200, "", true));
}

#[test]
fn half() {
    let half = || block(&ack("AA", "1"))[..30].to_vec();
    expect(
        "half an answer and silence",
        move || vec![Act::Write(half())],
        SILENT,
    );
    expect(
        "half an answer and the end",
        move || vec![Act::Write(half()), Act::Close],
        LOST,
    );
}

#[test]
fn byte_by_byte() {
    let acts = || {
        let bytes = block(&ack("AA", "1"));
        bytes
            .into_iter()
            .map(|byte| Act::Write(vec![byte]))
            .collect()
    };
    expect("byte by byte", acts, (200, "", true));
}

#[test]
fn without_the_last_cr() {
    let acts = || {
        let mut bytes = block(&ack("AA", "1"));
        bytes.pop();
        vec![Act::Write(bytes)]
    };
    // It takes as long as `end_idle`, which is longer than this timeout: a second server with more patience.
    let server = misbehaving(acts);
    let bridge = bridge(&server, "{timeout: 5s}");
    let api = api::address(&bridge);
    for control_id in ["1", "2"] {
        post(api, &message(control_id, "")).expect_code("AA");
    }
    bridge.stop();
}

#[test]
fn closing() {
    expect("the end instead of an answer", || vec![Act::Close], LOST);
    let after = || vec![Act::Write(block(&ack("AA", "1"))), Act::Close];
    expect("the end behind an answer", after, (200, "", true));
    expect("a reset", || vec![Act::Reset], LOST);
    let reset = || vec![Act::Write(b"\x0bMSH|".to_vec()), Act::Reset];
    expect("a reset in an answer", reset, LOST);
}

#[test]
fn something_else() {
    for (what, bytes) in [
        ("NAK", &b"\x0b\x15\x1c\r"[..]),
        ("ACK of Release 2", b"\x0b\x06\x1c\r"),
        ("not HL7", b"\x0bthanks\x1c\r"),
        ("an empty block", b"\x0b\x1c\r"),
        (
            "no MSA",
            b"\x0bMSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\r\x1c\r",
        ),
        (
            "no code",
            b"\x0bMSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\rMSA|OK|1\r\x1c\r",
        ),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("a TLS alert", b"\x15\x03\x03\x00\x02\x02\x46"),
    ] {
        expect(what, move || vec![Act::Write(bytes.to_vec())], BAD);
    }
    let large = || vec![Act::Write(block(&(ack("AA", "1") + &"x".repeat(100_000))))];
    expect("a large answer", large, BAD);
}

/// The message is larger than what sockets hold, and nobody reads it.
#[test]
fn never_reading() {
    let server = Server::deaf();
    let bridge = bridge(&server, "{timeout: 300ms}");
    let large = message("1", "").replace("MUSTER", &"M".repeat(12 << 20));
    let answer = post(api::address(&bridge), &large);
    answer.expect_problem(504, "no-answer", true);
    bridge.stop();
}

#[test]
fn a_lost_message_is_sent_again_only_where_that_is_configured() {
    for (resend, expected) in [("false", 1), ("true", 2)] {
        let first = Mutex::new(true);
        let server = misbehaving(move || match std::mem::take(&mut *first.lock().unwrap()) {
            true => vec![Act::Close],
            false => vec![Act::Write(block(&ack("AA", "1")))],
        });
        let bridge = bridge(&server, &format!("{{timeout: 300ms, resend: {resend}}}"));
        let answer = post(api::address(&bridge), &message("1", ""));
        match resend {
            "true" => {
                answer.expect_code("AA");
                assert_eq!(answer.body["resent"], true);
            }
            _ => answer.expect_problem(502, "connection-lost", true),
        }
        assert_eq!(server.messages().len(), expected);
        bridge.stop();
    }
}

/// The second try comes to nothing: the first may have arrived all the same.
#[test]
fn a_message_that_was_lost_once_may_have_arrived() {
    let server = Server::once(vec![Act::Close]);
    let bridge = bridge(&server, "{timeout: 300ms, resend: true}");
    let api = api::address(&bridge);
    for _ in 0..2 {
        let answer = api::try_post(api, &message("1", ""), Some("k")).unwrap();
        answer.expect_problem(502, "connection-lost", true);
    }
    assert_eq!(server.messages().len(), 1);
    bridge.stop();
}
