//! The table is configuration, per listener; and what an app says of patients goes to the peer alone.

use serde_json::json;

use super::*;

/// Two listeners of one process in front of one app, with different tables.
fn two_tables(url: &str) -> String {
    format!(
        "listeners:
- name: lenient
  bind: 127.0.0.1:0
  deliver:
    url: '{url}'
    retry: {{initial: 5ms, max: 20ms}}
    status:
      '409': {{answer: accept}}
      '500': {{answer: unavailable}}
      '422': {{answer: reject, condition: 101}}
      4xx: {{answer: reject}}
- name: strict
  bind: 127.0.0.1:0
  deliver: {{url: '{url}'}}
"
    )
}

#[test]
fn two_listeners_of_one_process_have_tables_of_their_own() {
    let app = TestApp::start();
    let bridge = Bridge::start(&two_tables(&app.url()));
    let mut lenient = RawPeer::connect(bridge.listener("lenient"));
    let mut strict = RawPeer::connect(bridge.listener("strict"));
    for (status, own, built_in) in [
        (409, ("AA", ""), ("AE", "205")),
        (422, ("AR", "101"), ("AE", "102")),
        (418, ("AR", "207"), ("AE", "207")),
        // A built-in row for a status wins over a class that is given.
        (400, ("AE", "102"), ("AE", "102")),
        (404, ("AR", "200"), ("AR", "200")),
    ] {
        app.always(Reply::status(status));
        for (peer, (code, condition)) in [(&mut lenient, own), (&mut strict, built_in)] {
            let ack = peer.exchange(messages::adt("MSG1"));
            ack.expect(code, "MSG1");
            let said = ack.err().first().map_or("", |error| error.component(3, 1));
            assert_eq!(said, condition, "HTTP {status}: {ack}");
        }
    }
}

#[test]
fn other_5xx_are_retried_if_so_configured_and_only_on_that_listener() {
    let app = TestApp::start();
    let bridge = Bridge::start(&two_tables(&app.url()));
    app.script([Reply::status(500), Reply::status(500), Reply::ok()]);
    RawPeer::connect(bridge.listener("lenient"))
        .exchange(messages::adt("MSG1"))
        .expect("AA", "MSG1");
    assert_eq!(app.requests().len(), 3);
    app.script([Reply::status(500)]);
    RawPeer::connect(bridge.listener("strict"))
        .exchange(messages::adt("MSG1"))
        .expect("AE", "MSG1");
    assert_eq!(app.requests().len(), 4);
}

#[test]
fn a_class_of_5xx_that_is_retried_leaves_501_alone() {
    let app = TestApp::start();
    app.script([Reply::status(502), Reply::status(507), Reply::status(501)]);
    let deliver = "status: {5xx: {answer: unavailable}}";
    let bridge = Bridge::start(&config(&app.url(), deliver, ""));
    let ack = RawPeer::connect(bridge.address()).exchange(messages::adt("MSG1"));
    ack.expect("AR", "MSG1");
    assert_eq!(app.requests().len(), 3);
}

#[test]
fn a_503_that_is_made_an_error_is_not_retried() {
    let exchange = Exchange::with(
        Reply::status(503).header("Retry-After", "1"),
        &messages::adt("MSG1"),
        "status: {'503': {answer: error, condition: 206}}",
    );
    exchange.expect("AE", "206").expect_one_request();
}

/// The app names the patient in its error. The sender may know; a log may not.
#[test]
fn phi_in_an_error_text_is_in_the_ack_and_in_no_log_line() {
    const MARK: &str = "XPATIENTX";
    for (status, fields) in [
        (422, json!({"detail": MARK})),
        (
            400,
            json!({"errors": [{"detail": MARK, "code": MARK, "location": MARK}]}),
        ),
        (503, json!({"title": MARK})),
    ] {
        let app = TestApp::start();
        app.always(Reply::problem(status, &fields).header("X-Debug", MARK));
        let yaml = config(&app.url(), "", "").replace("10s", "50ms");
        let bridge = Bridge::builder()
            .config(&yaml)
            .flags(&["--log-level", "trace"])
            .start();
        let ack = RawPeer::connect(bridge.address()).exchange(messages::adt("MSG1"));
        assert!(ack.to_string().contains(MARK), "HTTP {status}: {ack}");
        bridge.wait_for_line("a line about the message", |line| {
            line.text_field("message_id").is_some()
        });
        let metrics = bridge.get("/metrics").body;
        assert!(!metrics.contains(MARK), "in a metric: {metrics}");
        for line in bridge.stop() {
            assert!(!line.text.contains(MARK), "HTTP {status}: {}", line.text);
            for synthetic in ["MUSTER", "4711", "MSG1"] {
                assert!(!line.text.contains(synthetic), "{synthetic}: {}", line.text);
            }
        }
    }
}
