//! `/readyz`: whether messages should come here, and that it does not change its mind for nothing.

use super::*;

#[test]
fn it_is_not_ready_before_the_app_is_up_says_why_and_is_ready_soon_after() {
    let down = TestApp::down();
    let bridge = Bridge::start(&config(&down.url(), "app_probe_interval: 10s", ""));
    for _ in 0..20 {
        let answer = bridge.get("/readyz");
        assert_eq!(answer.status, 503);
        assert_eq!(
            answer.body,
            "not ready\nlistener adt: the application cannot be reached\n"
        );
    }
    assert_eq!(
        bridge.get("/livez").status,
        200,
        "or the pod is restarted for its app's sake"
    );
    let _app = down.up();
    let up = Instant::now();
    wait_for_readyz(&bridge, 200);
    assert!(
        up.elapsed() < 5 * SECOND,
        "an app that was down is looked for more often: {:?}",
        up.elapsed()
    );
    assert_eq!(bridge.metric_sum("mllp_bridge_app_up", &[]), 1.0);
}

#[test]
fn it_turns_unready_after_the_app_is_down_and_ready_again() {
    let app = TestApp::start();
    let bridge = Bridge::start(&config(&app.url(), "app_probe_interval: 100ms", ""));
    wait_for_readyz(&bridge, 200);
    let down = app.go_down();
    let answer = wait_for_readyz(&bridge, 503);
    assert!(
        answer
            .body
            .contains("listener adt: the application cannot be reached"),
        "{}",
        answer.body
    );
    assert_eq!(bridge.metric_sum("mllp_bridge_app_up", &[]), 0.0);
    let _app = down.up();
    wait_for_readyz(&bridge, 200);
}

#[test]
fn it_turns_unready_by_messages_too_without_waiting_for_a_probe() {
    let app = TestApp::start();
    let bridge = Bridge::start(&config(&app.url(), "app_probe_interval: 1h", ""));
    wait_for_readyz(&bridge, 200);
    let _down = app.go_down();
    RawPeer::connect(bridge.address()).send(frame(messages::adt("MSG1")));
    wait_for_readyz(&bridge, 503);
}

#[test]
fn slow_requests_do_not_make_it_flap() {
    let app = TestApp::start();
    let bridge = Bridge::start(&config(
        &app.url(),
        "app_probe_interval: 100ms",
        "timeout: 30ms, connect_timeout: 30ms",
    ));
    wait_for_readyz(&bridge, 200);
    app.script((0..10).map(|_| Reply::hang()));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    while app.requests().len() < 11 {
        assert_eq!(
            bridge.get("/readyz").status,
            200,
            "an app that is slow is there"
        );
    }
    peer.ack().expect("AA", "MSG1");
}

#[test]
fn one_refused_request_does_not_make_it_flap() {
    let app = TestApp::start();
    let yaml = config(&app.url(), "app_probe_interval: 1h", "")
        .replace("initial: 5ms, max: 40ms", "initial: 1s, max: 1s");
    let bridge = Bridge::start(&yaml);
    wait_for_readyz(&bridge, 200);
    let down = app.go_down();
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    bridge.wait_for_metric(
        "mllp_bridge_delivery_failures_total",
        &[("reason", "refused")],
        1.0,
    );
    assert_eq!(bridge.get("/readyz").status, 200);
    let _app = down.up();
    peer.ack().expect("AA", "MSG1");
    assert_eq!(bridge.get("/readyz").status, 200);
}

#[test]
fn errors_of_the_app_do_not_make_it_unready() {
    let app = TestApp::start();
    let bridge = Bridge::start(&config(&app.url(), "", ""));
    wait_for_readyz(&bridge, 200);
    app.always(Reply::status(500));
    let mut peer = RawPeer::connect(bridge.address());
    for _ in 0..10 {
        peer.exchange(messages::adt("MSG1")).expect("AE", "MSG1");
    }
    app.always(Reply::reset());
    peer.send(frame(messages::adt("MSG2")));
    bridge.wait_for_metric(
        "mllp_bridge_delivery_failures_total",
        &[("reason", "reset")],
        5.0,
    );
    assert_eq!(
        bridge.get("/readyz").status,
        200,
        "it was there to reset the connection"
    );
}

#[test]
fn ready_needs_app_false_is_ready_without_one() {
    let down = TestApp::down();
    let bridge = Bridge::start(&config(&down.url(), "ready_needs_app: false", ""));
    assert_eq!(bridge.get("/readyz").status, 200);
}

#[test]
fn only_the_listener_whose_app_is_away_is_named() {
    let (app, down) = (TestApp::start(), TestApp::down());
    let yaml = format!(
        "listeners:\n- {{name: adt, bind: '127.0.0.1:0', deliver: {{url: '{}'}}}}\n- {{name: oru, bind: '127.0.0.1:0', deliver: {{url: '{}'}}}}\n",
        app.url(),
        down.url()
    );
    let bridge = Bridge::start(&yaml);
    // Until the first look at the app that is there.
    let start = Instant::now();
    loop {
        let answer = bridge.get("/readyz");
        assert_eq!(answer.status, 503);
        if !answer.body.contains("listener adt") {
            assert!(
                answer
                    .body
                    .contains("listener oru: the application cannot be reached"),
                "{}",
                answer.body
            );
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{}", answer.body);
        thread::sleep(Duration::from_millis(5));
    }
}
