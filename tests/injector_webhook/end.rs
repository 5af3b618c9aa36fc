//! The end of a replica: not ready first, still there for a while, and nothing that was begun is cut.

use super::*;

const HEAD: &str = "POST /inject HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

/// A replica that still accepts for this long after SIGTERM.
fn lingering(linger: &str, timeout: &str) -> (ApiServer, Bridge, String) {
    let api = ApiServer::start();
    let yaml = config(&api, "", "")
        .replace("linger: 0s", &format!("linger: {linger}"))
        .replace(
            "request_timeout: 1s",
            &format!("request_timeout: {timeout}"),
        );
    let replica = Bridge::injector(&yaml, "a").start();
    wait_until_ready(&replica);
    let bundle = api.lock().bundle();
    (api, replica, bundle)
}

#[test]
fn a_review_that_has_begun_is_finished() {
    let (_api, mut replica, bundle) = lingering("0s", "10s");
    let mut idle = TlsClient::connect(replica.address(), &bundle).unwrap();
    idle.review(review().as_bytes()).unwrap();
    let mut client = TlsClient::connect(replica.address(), &bundle).unwrap();
    let body = review();
    let (one, two) = body.split_at(100);
    client
        .write(format!("{HEAD}Content-Length: {}\r\n\r\n{one}", body.len()).as_bytes())
        .unwrap();
    replica.wait_for_metric("mllp_bridge_injector_connections_open", &[], 2.0);
    replica.terminate();
    wait_for_readiness(&replica, |status, body| {
        status == 503 && body.contains("draining")
    });
    assert_eq!(replica.get("/livez").status, 200);
    assert!(idle.closed(), "what is idle is closed");
    client.write(two.as_bytes()).unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
    assert!(client.closed());
    assert_eq!(replica.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn connections_are_accepted_until_the_service_knows() {
    let (_api, mut replica, bundle) = lingering("2s", "10s");
    replica.terminate();
    wait_for_readiness(&replica, |status, body| {
        status == 503 && body.contains("draining")
    });
    let mut client = TlsClient::connect(replica.address(), &bundle).unwrap();
    assert_eq!(client.review(review().as_bytes()).unwrap().status, 200);
    assert!(client.closed(), "its next connection goes elsewhere");
    assert_eq!(replica.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn what_does_not_end_is_cut_at_the_deadline() {
    let (_api, mut replica, bundle) = lingering("0s", "30s");
    let mut client = TlsClient::connect(replica.address(), &bundle).unwrap();
    client
        .write(format!("{HEAD}Content-Length: 1000\r\n\r\n{{").as_bytes())
        .unwrap();
    replica.wait_for_metric("mllp_bridge_injector_connections_open", &[], 1.0);
    let start = Instant::now();
    replica.terminate();
    assert_eq!(replica.wait_exit(PATIENCE).code(), Some(0));
    assert!(
        start.elapsed() >= Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    replica.wait_for_log("the drain's deadline has cut connections");
}

#[test]
fn the_drain_command_works_here_too() {
    let (_api, replica, _bundle) = lingering("0s", "1s");
    let answer = replica.post("/drain");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"drained":true}"#)
    );
    assert_eq!(replica.get("/readyz").status, 503);
    assert_eq!(replica.metric_sum("mllp_bridge_draining", &[]), 1.0);
    replica.stop();
}
