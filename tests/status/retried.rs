//! 408, 429, 503, 504, refused, reset, timeout: retried with back-off until `ack.deadline`, then AE 207 or what is
//! configured in its place.

use std::time::{Instant, SystemTime};

use super::*;
use crate::support::PATIENCE;
use crate::support::messages::frame;

/// The app recovers with its third answer: the sender gets its AA and never knows.
#[track_caller]
fn recovers_after(failures: [Reply; 2], deliver: &str) -> (TestApp, Bridge) {
    let app = TestApp::start();
    app.script(failures);
    let bridge = Bridge::start(&config(&app.url(), deliver, ""));
    let ack = RawPeer::connect(bridge.address()).exchange(messages::adt("MSG1"));
    ack.expect("AA", "MSG1");
    let requests = app.requests();
    assert_eq!(requests.len(), 3, "attempts");
    for request in &requests[1..] {
        assert_eq!(request.body, requests[0].body, "another attempt's body");
        for name in ["Idempotency-Key", "traceparent", "X-HL7-Control-Id"] {
            assert_eq!(request.header(name), requests[0].header(name), "{name}");
        }
    }
    assert_eq!(
        bridge.metric_sum("mllp_bridge_delivery_retries_total", &[]),
        2.0
    );
    (app, bridge)
}

/// The app never recovers: attempts with pauses until the deadline, and AE 207.
#[track_caller]
fn gives_up_at_the_deadline(reply: Reply, reason: &str, deliver: &str) {
    let app = TestApp::start();
    app.always(reply);
    let yaml = config(&app.url(), deliver, "").replace("deadline: 10s", "deadline: 400ms");
    let bridge = Bridge::start(&yaml);
    let sent = Instant::now();
    let ack = RawPeer::connect(bridge.address()).exchange(messages::adt("MSG1"));
    let took = sent.elapsed();
    ack.expect("AE", "MSG1");
    assert_eq!(ack.err()[0].component(3, 1), "207", "{ack}");
    assert!(
        took < 2 * SECOND,
        "the deadline is 400ms, the answer came after {took:?}"
    );
    let requests = app.requests();
    assert!(requests.len() >= 3, "only {} attempts", requests.len());
    let failed = bridge.metric_sum("mllp_bridge_delivery_failures_total", &[("reason", reason)]);
    assert_eq!(failed, requests.len() as f64, "failures of reason {reason}");
    // 5, 10, 20, 40, 40 … with up to half of it off: 400ms hold fewer than 30 of them.
    assert!(
        requests.len() <= 30,
        "{} attempts in 400ms: no back-off",
        requests.len()
    );
}

macro_rules! retried {
    ($($name:ident: $recovers:ident, $gives_up:ident;)*) => {$(
        mod $name {
            use super::*;
            const STATUS: u16 = const_status(stringify!($name));

            #[test]
            fn $recovers() {
                let (app, bridge) = recovers_after([Reply::status(STATUS), Reply::status(STATUS)], "");
                assert!(app.requests().iter().all(|request| request.connection == app.requests()[0].connection));
                assert_eq!(bridge.metric_sum("mllp_bridge_messages_total", &[("outcome", "accepted")]), 1.0);
            }

            #[test]
            fn $gives_up() {
                gives_up_at_the_deadline(Reply::status(STATUS), "status", "");
            }
        }
    )*};
}

/// `http_503` is 503.
const fn const_status(name: &str) -> u16 {
    let digits = name.as_bytes();
    let mut at = digits.len() - 3;
    let mut status = 0;
    while at < digits.len() {
        status = status * 10 + (digits[at] - b'0') as u16;
        at += 1;
    }
    status
}

retried! {
    http_408: is_retried_until_the_app_takes_it, is_ae_207_at_the_deadline;
    http_429: is_retried_until_the_app_takes_it, is_ae_207_at_the_deadline;
    http_503: is_retried_until_the_app_takes_it, is_ae_207_at_the_deadline;
    http_504: is_retried_until_the_app_takes_it, is_ae_207_at_the_deadline;
}

#[test]
fn a_reset_is_retried_until_the_app_takes_it() {
    let (_app, bridge) = recovers_after([Reply::reset(), Reply::ok().reset_after(10)], "");
    assert_eq!(
        bridge.metric_sum(
            "mllp_bridge_delivery_failures_total",
            &[("reason", "reset")]
        ),
        2.0
    );
}

#[test]
fn a_reset_is_ae_207_at_the_deadline() {
    gives_up_at_the_deadline(Reply::reset(), "reset", "");
}

#[test]
fn a_timeout_is_retried_until_the_app_takes_it() {
    let slow = Reply::ok().byte_by_byte(Duration::from_millis(20));
    let (_app, bridge) = recovers_after(
        [Reply::hang(), slow],
        "timeout: 150ms, connect_timeout: 100ms",
    );
    assert_eq!(
        bridge.metric_sum(
            "mllp_bridge_delivery_failures_total",
            &[("reason", "timeout")]
        ),
        2.0
    );
}

#[test]
fn a_timeout_is_ae_207_at_the_deadline() {
    gives_up_at_the_deadline(
        Reply::hang(),
        "timeout",
        "timeout: 50ms, connect_timeout: 50ms",
    );
}

#[test]
fn what_is_not_http_is_ae_207_at_the_deadline() {
    gives_up_at_the_deadline(Reply::garbage("SSH-2.0-OpenSSH_9.9\r\n"), "garbage", "");
}

#[test]
fn a_refused_connection_is_retried_until_the_app_is_up() {
    let down = TestApp::down();
    let bridge = Bridge::start(&config(&down.url(), "", ""));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    bridge.wait_for_metric(
        "mllp_bridge_delivery_failures_total",
        &[("reason", "refused")],
        3.0,
    );
    let app = down.up();
    peer.ack().expect("AA", "MSG1");
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn a_refused_connection_is_ae_207_at_the_deadline() {
    let down = TestApp::down();
    let yaml = config(&down.url(), "", "").replace("deadline: 10s", "deadline: 300ms");
    let bridge = Bridge::start(&yaml);
    let sent = Instant::now();
    let ack = RawPeer::connect(bridge.address()).exchange(messages::adt("MSG1"));
    ack.expect("AE", "MSG1");
    assert_eq!(ack.err()[0].component(3, 1), "207", "{ack}");
    assert!(sent.elapsed() < 2 * SECOND);
}

#[test]
fn unavailable_reject_is_ar_207() {
    let app = TestApp::start();
    app.always(Reply::status(503));
    let yaml = config(&app.url(), "", "unavailable: reject").replace("10s", "100ms");
    let bridge = Bridge::start(&yaml);
    let ack = RawPeer::connect(bridge.address()).exchange(messages::adt("MSG1"));
    ack.expect("AR", "MSG1");
    assert_eq!(ack.err()[0].component(3, 1), "207", "{ack}");
    assert_eq!(
        bridge.wait_for_metric("mllp_bridge_acks_total", &[("code", "AR")], 1.0),
        1.0
    );
}

#[test]
fn unavailable_close_closes_without_a_word_and_is_counted() {
    let app = TestApp::start();
    app.always(Reply::status(503));
    let yaml = config(&app.url(), "", "unavailable: close").replace("10s", "100ms");
    let bridge = Bridge::start(&yaml);
    let mut peer = RawPeer::connect(bridge.address());
    // The second is in the bridge's hands when it closes: it must neither be delivered nor answered.
    peer.send([frame(messages::adt("MSG1")), frame(messages::adt("MSG2"))].concat());
    peer.expect_close();
    bridge.wait_for_metric(
        "mllp_bridge_connections_closed_total",
        &[("reason", "unavailable")],
        1.0,
    );
    let metrics = bridge.metrics();
    assert_eq!(
        metrics.sum("mllp_bridge_messages_total", &[("outcome", "unavailable")]),
        1.0
    );
    assert_eq!(metrics.sum("mllp_bridge_acks_total", &[]), 0.0);
    assert_eq!(metrics.sum("mllp_bridge_ack_unwritten_total", &[]), 0.0);
    let second = app
        .requests()
        .iter()
        .any(|request| request.header("X-HL7-Control-Id") == Some("MSG2"));
    assert!(!second, "MSG2 went out on a connection that was given up");
}

/// When the second attempt came, after a 503 with this `Retry-After`.
#[track_caller]
fn second_attempt(retry_after: &str) -> (Instant, Instant) {
    let app = TestApp::start();
    app.script([Reply::status(503).header("Retry-After", retry_after)]);
    let bridge = Bridge::start(&config(&app.url(), "", ""));
    RawPeer::connect(bridge.address())
        .exchange(messages::adt("MSG1"))
        .expect("AA", "MSG1");
    let requests = app.requests();
    assert_eq!(requests.len(), 2, "attempts");
    (requests[0].arrived, requests[1].arrived)
}

#[test]
fn retry_after_in_seconds_is_waited_for() {
    let (first, second) = second_attempt("1");
    let waited = second - first;
    assert!(
        (SECOND..3 * SECOND).contains(&waited),
        "Retry-After: 1, and the next attempt came after {waited:?}"
    );
}

#[test]
fn retry_after_as_a_date_is_waited_for() {
    let date = SystemTime::now() + 2 * SECOND;
    let text = httpdate::fmt_http_date(date);
    // The text has whole seconds.
    let date = httpdate::parse_http_date(&text).unwrap();
    let until = Instant::now() + date.duration_since(SystemTime::now()).unwrap();
    let (_, second) = second_attempt(&text);
    assert!(
        second + Duration::from_millis(20) > until && second < until + 2 * SECOND,
        "Retry-After: {text}, and the next attempt came {:?} before or {:?} after it",
        until.saturating_duration_since(second),
        second.saturating_duration_since(until),
    );
}

#[test]
fn retry_after_that_cannot_be_read_or_is_past_waits_no_longer_than_the_back_off() {
    for text in ["soon", "-1", "0", "", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let (first, second) = second_attempt(text);
        assert!(
            second - first < SECOND,
            "Retry-After: {text}: {:?}",
            second - first
        );
    }
}

#[test]
fn retry_after_beyond_the_deadline_ends_the_waiting_at_once() {
    for text in [
        "3600",
        "18446744073709551615",
        "9223372036854775807",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ] {
        let app = TestApp::start();
        app.always(Reply::status(503).header("Retry-After", text));
        let bridge = Bridge::start(&config(&app.url(), "", ""));
        let mut peer = RawPeer::connect(bridge.address());
        peer.send(frame(messages::adt("MSG1")));
        let sent = Instant::now();
        let answer = peer
            .read_frame_within(PATIENCE)
            .unwrap_or_else(|error| panic!("Retry-After: {text}: {error}"));
        let ack = Ack::parse(answer);
        ack.expect("AE", "MSG1");
        assert!(
            sent.elapsed() < 3 * SECOND,
            "Retry-After: {text}, with 10s to the deadline: answered after {:?}",
            sent.elapsed()
        );
        assert_eq!(app.requests().len(), 1, "Retry-After: {text}");
    }
}
