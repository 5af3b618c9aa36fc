//! Application acknowledgements that come back on a listener.

use std::thread;
use std::time::Duration;

use super::server::block;
use super::support::app::TestApp;
use super::support::peer::RawPeer;
use super::*;

/// A laboratory that accepts on the connection, and answers on the listener.
fn bridge(server: &Server, app: &TestApp) -> Bridge {
    Bridge::start(&format!(
        "listeners: [{{name: replies, bind: '127.0.0.1:0', deliver: {{url: '{}'}}}}]\nlog: {{format: json}}\n\
         outbound: {{bind: '127.0.0.1:0'}}\n\
         destinations: [{{name: ehr, address: '{}', ack: {{timeout: 2s, replies_on: replies}}}}]\n",
        app.url(),
        server.address
    ))
}

fn accepting() -> Server {
    Server::start(|message| Some(block(&ack("CA", &control_id(message)))))
}

/// The laboratory's own message, with its answer.
fn reply(code: &str, control_id: &str, text: &str) -> String {
    format!(
        "MSH|^~\\&|LIS|LAB|APP|CLINIC|20261122||ACK^O01|r-{control_id}-{text}|P|2.5|||AL|NE\rMSA|{code}|{control_id}|{text}\r"
    )
}

#[test]
fn the_answer_on_the_listener_is_the_requests_and_the_app_never_sees_it() {
    let (server, app) = (accepting(), TestApp::start());
    let bridge = bridge(&server, &app);
    let api = api::address(&bridge);
    let requests: Vec<_> = ["1", "2", "3"]
        .map(|id| thread::spawn(move || (id, post(api, &message(id, "AL|AL")))))
        .into();
    server.wait_for(3);
    let mut peer = RawPeer::connect(bridge.listener("replies"));
    // In another order than they were asked, and each is acknowledged by its own MSH-15.
    for (code, id) in [("AE", "3"), ("AA", "1"), ("AR", "2")] {
        let mut answer = peer.exchange(reply(code, id, &format!("text-{id}")));
        answer.expect("CA", &format!("r-{id}-text-{id}"));
        answer = peer.exchange(message(&format!("m{id}"), "AL|NE"));
        answer.expect("CA", &format!("m{id}"));
    }
    for request in requests {
        let (id, answer) = request.join().unwrap();
        let expected = match id {
            "1" => (200, "AA"),
            "2" => (502, "AR"),
            _ => (422, "AE"),
        };
        assert_eq!(
            (answer.status, answer.body["code"].as_str().unwrap()),
            expected,
            "{}",
            answer.body
        );
        assert!(
            answer.body["raw"]
                .as_str()
                .unwrap()
                .contains(&format!("text-{id}")),
            "{}",
            answer.body
        );
        if id == "1" {
            assert_eq!(answer.body["accept"]["code"], "CA", "{}", answer.body);
        }
    }
    let seen: Vec<_> = app
        .requests()
        .iter()
        .map(|request| request.header("x-hl7-control-id").unwrap().to_owned())
        .collect();
    assert_eq!(
        seen,
        ["m3", "m1", "m2"],
        "the app gets messages and no answers"
    );
    let count = bridge.metric_sum("mllp_bridge_messages_total", &[("outcome", "answer")]);
    assert_eq!(count, 3.0);
    bridge.stop();
}

#[test]
fn an_answer_that_is_nobodys_goes_to_the_app_and_answers_nobody() {
    let (server, app) = (accepting(), TestApp::start());
    let bridge = bridge(&server, &app);
    let api = api::address(&bridge);
    let request = thread::spawn(move || post(api, &message("1", "AL|AL")));
    server.wait_for(1);
    let mut peer = RawPeer::connect(bridge.listener("replies"));
    peer.exchange(reply("AA", "11", "a")).expect("CA", "r-11-a");
    // Whose MSH-3 is not whom the message was for.
    let foreign = reply("AA", "1", "b").replace("|LIS|LAB|APP", "|PACS|LAB|APP");
    peer.exchange(foreign).expect("CA", "r-1-b");
    let answer = request.join().unwrap();
    answer.expect_problem(504, "no-answer", true);
    // Too late.
    peer.exchange(reply("AA", "1", "c")).expect("CA", "r-1-c");
    assert_eq!(app.requests().len(), 3);
    bridge.stop();
}

#[test]
fn while_an_answer_is_awaited_another_message_cannot_have_its_control_id() {
    let (server, app) = (accepting(), TestApp::start());
    let bridge = bridge(&server, &app);
    let api = api::address(&bridge);
    let request = thread::spawn(move || post(api, &message("1", "AL|AL")));
    server.wait_for(1);
    let other = message("1", "AL|AL").replace("4711", "4712");
    post(api, &other).expect_problem(409, "control-id-in-use", false);
    // The connection is free for other messages meanwhile.
    let next = thread::spawn(move || post(api, &message("2", "AL|AL")));
    server.wait_for(2);
    let mut peer = RawPeer::connect(bridge.listener("replies"));
    for id in ["2", "1"] {
        peer.exchange(reply("AA", id, "x"))
            .expect("CA", &format!("r-{id}-x"));
    }
    request.join().unwrap().expect_code("AA");
    next.join().unwrap().expect_code("AA");
    assert_eq!(server.messages().len(), 2, "the other message was not sent");
    bridge.stop();
}

#[test]
fn an_answer_may_come_before_the_accept_acknowledgement() {
    let (release, released) = std::sync::mpsc::sync_channel(1);
    let released = std::sync::Mutex::new(released);
    let server = Server::start(move |message| {
        released
            .lock()
            .unwrap()
            .recv_timeout(Duration::from_secs(10))
            .unwrap();
        Some(block(&ack("CA", &control_id(message))))
    });
    let app = TestApp::start();
    let bridge = bridge(&server, &app);
    let api = api::address(&bridge);
    let request = thread::spawn(move || post(api, &message("1", "AL|AL")));
    server.wait_for(1);
    let mut peer = RawPeer::connect(bridge.listener("replies"));
    peer.exchange(reply("AA", "1", "early"))
        .expect("CA", "r-1-early");
    release.send(()).unwrap();
    request.join().unwrap().expect_code("AA");
    bridge.stop();
}

#[test]
fn an_original_mode_answer_on_the_connection_is_the_last_word() {
    let server = Server::start(|message| Some(block(&ack("AA", &control_id(message)))));
    let app = TestApp::start();
    let bridge = bridge(&server, &app);
    let api = api::address(&bridge);
    post(api, &message("1", "AL|AL")).expect_code("AA");
    post(api, &message("2", "")).expect_code("AA");
    bridge.stop();
}

#[test]
fn on_a_drain_the_listener_stays_open_for_the_answer() {
    let (server, app) = (accepting(), TestApp::start());
    let mut bridge = bridge(&server, &app);
    let api = api::address(&bridge);
    let request = thread::spawn(move || post(api, &message("1", "AL|AL")));
    server.wait_for(1);
    bridge.terminate();
    bridge.wait_for_log("draining");
    let mut peer = RawPeer::connect(bridge.listener("replies"));
    // One that asks for both gets the accept acknowledgement alone.
    let answer = reply("AA", "1", "late").replace("|AL|NE", "|AL|AL");
    peer.exchange(answer).expect("CA", "r-1-late");
    request.join().unwrap().expect_code("AA");
    peer.expect_close();
    let status = bridge.wait_exit(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0));
}
