//! Answers in every shape that HTTP knows, and slow or none at all.

use super::*;

#[test]
fn an_answer_is_read_in_every_shape_of_http_1() {
    let text = "filed";
    for (name, reply) in [
        ("length", saying(text)),
        ("chunks of one", saying(text).chunked(1)),
        ("chunks", saying(text).chunked(9)),
        ("closed", saying(text).without_length()),
        ("HTTP/1.0", saying(text).http10()),
        ("after 100 Continue", saying(text).continue_first()),
        (
            "chunks after 100 Continue",
            saying(text).continue_first().chunked(3),
        ),
        (
            "byte by byte",
            saying(text).byte_by_byte(Duration::from_millis(1)),
        ),
        (
            "chunks byte by byte",
            saying(text)
                .chunked(5)
                .byte_by_byte(Duration::from_millis(1)),
        ),
        ("and closed", saying(text).close()),
        ("and closed silently", saying(text).close_silently()),
    ] {
        let app = TestApp::start();
        app.always(reply);
        let bridge = bridge(&app, "");
        let mut peer = RawPeer::connect(bridge.address());
        for id in ["MSG1", "MSG2"] {
            let ack = peer.exchange(messages::adt(id));
            assert_eq!(ack.expect("AA", id).msa3(), text, "{name}: {ack}");
        }
        assert_eq!(control_ids(&app.requests()), ["MSG1", "MSG2"], "{name}");
    }
}

#[test]
fn a_page_of_any_size_on_a_2xx_is_an_aa() {
    for reply in [
        Reply::ok().huge_body(3 * MIB),
        Reply::ok().huge_body(3 * MIB).chunked(8000),
        Reply::ok().huge_body(3 * MIB).without_length(),
    ] {
        let app = TestApp::start();
        app.always(reply);
        let bridge = bridge(&app, "");
        let mut peer = RawPeer::connect(bridge.address());
        peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
        peer.exchange(messages::adt("MSG2")).expect("AA", "MSG2");
        assert_eq!(app.requests().len(), 2);
    }
}

#[test]
fn an_endless_head_is_given_up_before_it_fills_the_memory() {
    let app = TestApp::start();
    app.script([Reply::ok().header("X-Long", &"x".repeat(300_000))]);
    let bridge = bridge(&app, "");
    RawPeer::connect(bridge.address())
        .exchange(messages::adt("MSG1"))
        .expect("AA", "MSG1");
    assert_eq!(
        bridge.metric_sum(
            "mllp_bridge_delivery_failures_total",
            &[("reason", "garbage")]
        ),
        1.0
    );
}

#[test]
fn an_app_on_a_unix_socket_is_delivered_to() {
    let app = TestApp::start_unix();
    app.script([
        Reply::ok(),
        Reply::status(503),
        Reply::reset(),
        saying("unix"),
    ]);
    let bridge = bridge(&app, "");
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    let ack = peer.exchange(messages::adt_of_size("MSG2", 6 * MIB));
    assert_eq!(ack.expect("AA", "MSG2").msa3(), "unix");
    let requests = app.requests();
    assert_eq!(requests[0].path, "/hl7");
    assert_eq!(requests[0].header("Host"), Some("localhost"));
    assert_eq!(control_ids(&requests), ["MSG1", "MSG2", "MSG2", "MSG2"]);
}

/// One slow answer costs one attempt; a late answer to it cannot reach another message.
#[test]
fn an_app_slower_than_deliver_timeout_is_asked_again_on_another_connection() {
    let app = TestApp::start();
    app.script([
        saying("too late").delay(Duration::from_millis(400)),
        saying("in time"),
    ]);
    let bridge = bridge(&app, "timeout: 200ms, connect_timeout: 200ms");
    let mut peer = RawPeer::connect(bridge.address());
    let ack = peer.exchange(messages::adt("MSG1"));
    assert_eq!(ack.expect("AA", "MSG1").msa3(), "in time");
    assert_eq!(carriers(&app.requests()).len(), 2, "connections to the app");
    app.script([saying("MSG2")]);
    let ack = peer.exchange(messages::adt("MSG2"));
    assert_eq!(ack.expect("AA", "MSG2").msa3(), "MSG2");
}

#[test]
fn the_ack_deadline_is_kept_however_the_app_fails() {
    const DEADLINE: Duration = Duration::from_millis(500);
    for (name, reply) in [
        ("hangs", Reply::hang()),
        (
            "trickles",
            saying("x").byte_by_byte(Duration::from_millis(50)),
        ),
        (
            "hangs in the body",
            Reply::ok()
                .huge_body(10)
                .close_after(60)
                .delay(Duration::from_secs(60)),
        ),
        ("is unavailable", Reply::status(503)),
        (
            "asks for just less",
            Reply::status(503).header("Retry-After", "0"),
        ),
    ] {
        let app = TestApp::start();
        app.always(reply);
        let yaml = config(&app.url(), "").replace("10s", "500ms");
        let bridge = Bridge::start(&yaml);
        let mut peer = RawPeer::connect(bridge.address());
        for id in ["MSG1", "MSG2"] {
            let sent = Instant::now();
            peer.exchange(messages::adt(id)).expect("AE", id);
            let took = sent.elapsed();
            assert!(
                took < DEADLINE + Duration::from_millis(700),
                "an app that {name}: answered after {took:?}, and the deadline is {DEADLINE:?}"
            );
        }
    }
}
