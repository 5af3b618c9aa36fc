//! Connections to the app: one for each MLLP connection, used again as long as that is safe.

use super::*;
use crate::raw_app::RawApp;

#[test]
fn each_mllp_connection_uses_one_connection_to_the_app() {
    let app = TestApp::start();
    let bridge = bridge(&app, "");
    let mut peers: Vec<RawPeer> = (0..4).map(|_| RawPeer::connect(bridge.address())).collect();
    for round in 0..25 {
        for (at, peer) in peers.iter_mut().enumerate() {
            let id = format!("M{at}-{round}");
            peer.exchange(messages::adt(&id)).expect("AA", &id);
        }
    }
    let requests = app.requests();
    assert_eq!(requests.len(), 100);
    assert_eq!(carriers(&requests).len(), 4, "connections to the app");
}

#[test]
fn answers_that_are_not_2xx_do_not_cost_the_connection() {
    let app = TestApp::start();
    let bridge = bridge(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    for (at, status) in [422, 400, 409, 404, 500, 413, 503, 200]
        .into_iter()
        .enumerate()
    {
        let reply = Reply::status(status).huge_body(3000);
        app.script([if at % 2 == 0 {
            reply
        } else {
            reply.chunked(700)
        }]);
        peer.exchange(messages::adt("MSG1"));
    }
    let requests = app.requests();
    assert_eq!(requests.len(), 9, "the 503 is asked again");
    assert_eq!(carriers(&requests).len(), 1, "connections to the app");
}

#[test]
fn an_answer_that_was_not_read_to_its_end_costs_the_connection_and_nothing_else() {
    let app = TestApp::start();
    let bridge = bridge(&app, "max_response_bytes: 1KiB");
    let mut peer = RawPeer::connect(bridge.address());
    app.script([Reply::status(422).huge_body(100_000)]);
    peer.exchange(messages::adt("MSG1")).expect("AE", "MSG1");
    peer.exchange(messages::adt("MSG2")).expect("AA", "MSG2");
    assert_eq!(carriers(&app.requests()).len(), 2);
}

/// Nothing lost, nothing doubled, whichever way the app ends its connections.
#[test]
fn an_app_that_closes_after_every_answer_gets_every_message_once() {
    for (name, reply) in [
        ("Connection: close", Reply::ok().close()),
        ("silently", Reply::ok().close_silently()),
        ("HTTP/1.0", Reply::ok().http10()),
        ("without a length", Reply::ok().body("x").without_length()),
    ] {
        let app = TestApp::start();
        app.always(reply);
        let bridge = bridge(&app, "");
        let mut peer = RawPeer::connect(bridge.address());
        // All at once, so that the next request follows the answer as closely as can be.
        let ids: Vec<String> = (0..40).map(|n| format!("M{n}")).collect();
        let burst: Vec<u8> = ids.iter().flat_map(|id| frame(messages::adt(id))).collect();
        peer.send(burst);
        for id in &ids {
            peer.ack().expect("AA", id);
        }
        assert_eq!(control_ids(&app.requests()), ids, "{name}");
        assert_eq!(
            bridge.metric_sum("mllp_bridge_delivery_retries_total", &[]),
            0.0,
            "{name}: back-off for a close that was to be expected"
        );
    }
}

/// The one message that may be doubled: the app closed a connection that was kept, instead of answering on it.
#[test]
fn a_kept_connection_that_ends_without_an_answer_is_replaced_once_at_once() {
    let app = TestApp::start();
    app.script([Reply::ok(), Reply::close_unanswered(), saying("second try")]);
    let bridge = bridge(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    let ack = peer.exchange(messages::adt("MSG2"));
    assert_eq!(ack.expect("AA", "MSG2").msa3(), "second try");
    let requests = app.requests();
    assert_eq!(control_ids(&requests), ["MSG1", "MSG2", "MSG2"]);
    assert_eq!(
        requests[1].header("Idempotency-Key"),
        requests[2].header("Idempotency-Key"),
        "so that the app can tell"
    );
}

#[test]
fn a_new_connection_that_ends_without_an_answer_is_not_replaced_at_once_but_retried() {
    let app = TestApp::start();
    app.script([
        Reply::close_unanswered(),
        Reply::close_unanswered(),
        Reply::ok(),
    ]);
    let bridge = bridge(&app, "");
    RawPeer::connect(bridge.address())
        .exchange(messages::adt("MSG1"))
        .expect("AA", "MSG1");
    assert_eq!(app.requests().len(), 3);
    assert_eq!(
        bridge.metric_sum("mllp_bridge_delivery_retries_total", &[]),
        2.0
    );
}

#[test]
fn half_an_answer_on_a_kept_connection_is_not_asked_again_at_once() {
    let app = TestApp::start();
    app.script([
        Reply::ok(),
        Reply::ok().body("hello").close_after(30),
        Reply::ok(),
    ]);
    let bridge = bridge(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(messages::adt("MSG1"));
    peer.exchange(messages::adt("MSG2")).expect("AA", "MSG2");
    assert_eq!(
        bridge.metric_sum("mllp_bridge_delivery_retries_total", &[]),
        1.0
    );
    assert_eq!(
        bridge.metric_sum(
            "mllp_bridge_delivery_failures_total",
            &[("reason", "reset")]
        ),
        1.0
    );
}

#[test]
fn an_idle_connection_to_the_app_is_closed_after_idle_timeout() {
    let app = TestApp::start();
    let bridge = bridge(&app, "idle_timeout: 100ms");
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(messages::adt("MSG1"));
    app.wait_for_open_connections(0, PATIENCE);
    peer.exchange(messages::adt("MSG2")).expect("AA", "MSG2");
    assert_eq!(carriers(&app.requests()).len(), 2);
}

#[test]
fn an_app_that_restarts_between_two_messages_loses_none() {
    let app = TestApp::start();
    let bridge = bridge(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(messages::adt("MSG1"));
    let down = app.go_down();
    peer.send(frame(messages::adt("MSG2")));
    bridge.wait_for_metric(
        "mllp_bridge_delivery_failures_total",
        &[("reason", "refused")],
        1.0,
    );
    let app = down.up();
    peer.ack().expect("AA", "MSG2");
    assert_eq!(control_ids(&app.requests()), ["MSG2"]);
}

/// Two patients on one connection. Whatever an app sends behind an answer, it is not the next message's answer.
#[test]
fn bytes_behind_an_answer_never_answer_the_next_message() {
    for (name, extra) in [
        ("a whole answer", raw_app::saying("for nobody")),
        (
            "a refusal",
            "HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
        ),
        (
            "a time-out",
            "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                .to_owned(),
        ),
        ("the body of an answer of length 0", "stored".to_owned()),
        ("half an answer", "HTTP/1.1 200 OK\r\nContent-Le".to_owned()),
    ] {
        for writes in [1, 2] {
            let extra = extra.clone();
            // No client can tell bytes that come after its next request: the test waits until they are written.
            let (done, wait) = std::sync::mpsc::sync_channel(1);
            let app = RawApp::start(move |mut conn| {
                while let Some(id) = conn.request() {
                    let answer = raw_app::saying(&id);
                    let written = match writes {
                        1 => conn.write(answer + &extra),
                        _ => conn.write(answer) && conn.write(&extra),
                    };
                    if !written || done.send(()).is_err() {
                        return;
                    }
                }
            });
            let bridge = Bridge::start(&config(&app.url(), ""));
            let mut peer = RawPeer::connect(bridge.address());
            for n in 0..30 {
                let id = format!("PATIENT-{n}");
                let ack = peer.exchange(messages::adt(&id));
                assert_eq!(
                    (ack.msa1(), ack.msa2(), ack.msa3()),
                    ("AA", id.as_str(), id.as_str()),
                    "{name} behind each answer, in {writes} write(s): {ack}",
                );
                wait.recv_timeout(PATIENCE).expect("the app's extra bytes");
            }
        }
    }
}

/// As above, with the next message in the bridge's hands already, so that it asks for it the moment it has answered.
#[test]
fn bytes_behind_an_answer_never_answer_a_pipelined_message() {
    let app = RawApp::start(move |mut conn| {
        while let Some(id) = conn.request() {
            // Several segments: the last of them are read after the answer was complete, if at all.
            if !conn.write(raw_app::saying(&id) + &raw_app::saying("for nobody").repeat(200)) {
                return;
            }
        }
    });
    let bridge = Bridge::start(&config(&app.url(), ""));
    let mut peer = RawPeer::connect(bridge.address());
    let ids: Vec<String> = (0..100).map(|n| format!("PATIENT-{n}")).collect();
    peer.send(
        ids.iter()
            .flat_map(|id| frame(messages::adt(id)))
            .collect::<Vec<u8>>(),
    );
    for id in &ids {
        let ack = peer.ack();
        assert_eq!(
            (ack.msa1(), ack.msa2(), ack.msa3()),
            ("AA", id.as_str(), id.as_str()),
            "{ack}",
        );
    }
}
