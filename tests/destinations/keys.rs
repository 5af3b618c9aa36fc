//! One key, at most one delivery: over `kill -9` at each point.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::server::{Answer, block};
use super::support::api::try_post;
use super::*;

fn config(server: &Server, state: Option<&TempDir>) -> String {
    let state = state
        .map(|folder| format!("state: {{directory: '{}'}}\n", folder.path().display()))
        .unwrap_or_default();
    format!(
        "listeners: [{{bind: '127.0.0.1:0'}}]\nlog: {{format: json}}\noutbound: {{bind: '127.0.0.1:0'}}\n{state}\
         destinations: [{{name: ehr, address: '{}', ack: {{timeout: 5s}}}}]\n",
        server.address
    )
}

/// Answers only when it is told to.
fn held() -> (Server, SyncSender<Answer>) {
    let (say, said) = sync_channel::<Answer>(1);
    let said = Arc::new(Mutex::new(said));
    let server = Server::start(move |_| {
        said.lock()
            .unwrap()
            .recv_timeout(Duration::from_secs(20))
            .ok()?
    });
    (server, say)
}

#[test]
fn killed_between_the_message_and_its_answer_the_retry_is_not_sent_again() {
    let (folder, (server, say)) = (TempDir::new().unwrap(), held());
    let bridge = Bridge::start(&config(&server, Some(&folder)));
    let api = api::address(&bridge);
    let request = thread::spawn(move || try_post(api, &message("1", ""), Some("k1")));
    server.wait_for(1);
    bridge.signal("KILL");
    assert!(
        request.join().unwrap().is_none(),
        "it was answered by a dead process"
    );
    drop(bridge);
    say.send(Some(block(&ack("AA", "1")))).unwrap();

    let bridge = Bridge::start(&config(&server, Some(&folder)));
    let api = api::address(&bridge);
    for _ in 0..2 {
        let answer = try_post(api, &message("1", ""), Some("k1")).unwrap();
        answer.expect_problem(409, "outcome-unknown", true);
    }
    let other = try_post(api, &message("2", ""), Some("k1")).unwrap();
    other.expect_problem(422, "idempotency-key-reused", false);
    assert_eq!(server.messages().len(), 1, "one delivery under one key");
    bridge.stop();
}

#[test]
fn killed_after_the_answer_was_stored_the_retry_gets_it() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(|message| Some(block(&ack("AE", &control_id(message)))));
    let bridge = Bridge::start(&config(&server, Some(&folder)));
    let api = api::address(&bridge);
    let first = try_post(api, &message("1", ""), Some("k1")).unwrap();
    first.expect_problem(422, "application-error", true);
    bridge.signal("KILL");
    drop(bridge);

    let bridge = Bridge::start(&config(&server, Some(&folder)));
    let api = api::address(&bridge);
    let again = try_post(api, &message("1", ""), Some("k1")).unwrap();
    again.expect_problem(422, "application-error", true);
    assert_eq!(again.body["raw"], first.body["raw"]);
    assert_eq!(again.body["replayed"], true);
    assert_eq!(server.messages().len(), 1);
    // Another key is another delivery.
    try_post(api, &message("1", ""), Some("k2")).unwrap();
    assert_eq!(server.messages().len(), 2);
    bridge.stop();
}

#[test]
fn what_was_certainly_not_sent_may_be_tried_again_with_its_key() {
    let folder = TempDir::new().unwrap();
    // Nobody listens there until the second server does.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let server = Server::start(|message| Some(block(&ack("AA", &control_id(message)))));
    let config = config(&server, Some(&folder));
    let gone = config.replace(&server.address.to_string(), &address.to_string());
    let bridge = Bridge::start(&gone);
    let answer = try_post(api::address(&bridge), &message("1", ""), Some("k1")).unwrap();
    answer.expect_problem(503, "unreachable", false);
    bridge.stop();
    let bridge = Bridge::start(&config);
    try_post(api::address(&bridge), &message("1", ""), Some("k1"))
        .unwrap()
        .expect_code("AA");
    bridge.stop();
}

#[test]
fn a_second_request_with_the_key_waits_for_the_firsts_answer() {
    let (server, say) = held();
    let bridge = Bridge::start(&config(&server, None));
    let api = api::address(&bridge);
    let requests: Vec<_> = (0..8)
        .map(|_| thread::spawn(move || try_post(api, &message("1", ""), Some("k1")).unwrap()))
        .collect();
    server.wait_for(1);
    say.send(Some(block(&ack("AA", "1")))).unwrap();
    let answers: Vec<_> = requests
        .into_iter()
        .map(|request| request.join().unwrap())
        .collect();
    answers.iter().for_each(|answer| answer.expect_code("AA"));
    let replayed = answers
        .iter()
        .filter(|answer| answer.body["replayed"] == true);
    assert_eq!(replayed.count(), 7);
    assert_eq!(server.messages().len(), 1);
    bridge.stop();
}
