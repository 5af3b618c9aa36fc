//! What else than a review may come to the webhook's port.

use super::*;

fn results(replica: &Bridge, result: &str) -> f64 {
    replica.metric_sum("mllp_bridge_injector_reviews_total", &[("result", result)])
}

#[test]
fn what_is_no_review_is_answered_with_a_status_and_never_with_a_review() {
    let (_api, replica, mut client) = ready();
    let empty_uid =
        r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {}}"#;
    for (kind, body, expected) in [
        ("application/json", "", 400),
        ("application/json", "nonsense", 400),
        (
            "application/json",
            "{\"apiVersion\": \"admission.k8s.io/v1\"",
            400,
        ),
        ("application/json", "[]", 400),
        ("application/json", empty_uid, 400),
        ("application/json", "\u{0}\u{1}", 400),
        ("text/plain", "{}", 415),
        ("application/yaml", "{}", 415),
    ] {
        let answer = client.post(kind, body.as_bytes()).unwrap();
        assert_eq!(answer.status, expected, "{kind} {body:?}: {}", answer.body);
        assert!(!answer.body.contains("uid\":"), "{}", answer.body);
    }
    assert_eq!(results(&replica, "invalid"), 8.0);
    let answer = client
        .post("application/json; charset=utf-8", review().as_bytes())
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(results(&replica, "invalid"), 8.0);
    assert_eq!(
        replica.metric_sum("mllp_bridge_injector_review_duration_seconds_count", &[]),
        9.0
    );
}

#[test]
fn ten_mebibytes_are_read_and_more_are_refused_unread() {
    let (_api, replica, mut client) = ready();
    let mut body = review();
    let spaces = (10 << 20) - body.len();
    body.extend(std::iter::repeat_n(' ', spaces));
    assert_eq!(body.len(), 10 << 20);
    let answer = client.review(body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);

    client
        .write(b"POST /inject HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10485761\r\n\r\n")
        .unwrap();
    assert_eq!(client.answer().unwrap().status, 413);
    // Without a length it is found while reading.
    let bundle = _api.lock().bundle();
    let mut client = TlsClient::connect(replica.address(), &bundle).unwrap();
    client
        .write(b"POST /inject HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    for _ in 0..11 {
        // It may answer, and close, before all is written.
        if client.write(&chunk).is_err() {
            break;
        }
    }
    assert_eq!(client.answer().unwrap().status, 413);
    assert_eq!(results(&replica, "invalid"), 2.0);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let (_api, replica, mut client) = ready();
    client
        .write(b"POST /inject HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        .unwrap();
    let start = Instant::now();
    assert_eq!(client.answer().unwrap().status, 408);
    assert!(
        start.elapsed() >= Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(results(&replica, "invalid"), 1.0);
}

#[test]
fn large_bodies_that_do_not_come_hold_nobody_up_but_themselves() {
    let (api, replica, mut client) = ready();
    let bundle = api.lock().bundle();
    let mut slow: Vec<_> = (0..3)
        .map(|_| {
            let mut client = TlsClient::connect(replica.address(), &bundle).unwrap();
            client
                .write(b"POST /inject HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9000000\r\n\r\n")
                .unwrap();
            client
        })
        .collect();
    let start = Instant::now();
    assert_eq!(client.review(review().as_bytes()).unwrap().status, 200);
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
    // One is read, and the others wait for it; whose turn comes at the last moment gets the one answer or the other.
    for client in &mut slow {
        let status = client.answer().unwrap().status;
        assert!(status == 408 || status == 503, "{status}");
    }
    assert_eq!(
        results(&replica, "invalid") + results(&replica, "error"),
        3.0
    );
}

#[test]
fn other_paths_and_methods_are_not_there() {
    let (_api, _replica, mut client) = ready();
    for (request, expected) in [
        ("GET /inject HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    ] {
        client.write(request.as_bytes()).unwrap();
        assert_eq!(client.answer().unwrap().status, expected, "{request}");
    }
}

#[test]
fn a_connection_that_asks_nothing_is_closed_and_one_that_has_asked_is_kept() {
    let (api, replica, mut asked) = ready();
    asked.review(review().as_bytes()).unwrap();
    let bundle = api.lock().bundle();
    let mut silent = TlsClient::connect(replica.address(), &bundle).unwrap();
    // Neither does it wait for a TLS handshake that does not come.
    let mut plain = std::net::TcpStream::connect(replica.address()).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(silent.closed());
    assert_eq!(std::io::Read::read(&mut plain, &mut [0]).unwrap(), 0);
    assert_eq!(asked.review(review().as_bytes()).unwrap().status, 200);
}

#[test]
fn more_connections_than_allowed_wait_in_the_backlog() {
    let api = ApiServer::start();
    let yaml = config(&api, "", "").replace(
        "127.0.0.1:0, request",
        "127.0.0.1:0, max_connections: 2, request",
    );
    let replica = Bridge::injector(&yaml, "a").start();
    wait_until_ready(&replica);
    let bundle = api.lock().bundle();
    let first = TlsClient::connect(replica.address(), &bundle).unwrap();
    let _second = TlsClient::connect(replica.address(), &bundle).unwrap();
    replica.wait_for_metric("mllp_bridge_injector_connections_open", &[], 2.0);
    let address = replica.address();
    let third = std::thread::spawn(move || {
        let mut client = TlsClient::connect(address, &bundle).unwrap();
        client.review(review().as_bytes()).unwrap().status
    });
    drop(first);
    assert_eq!(third.join().unwrap(), 200);
    assert!(replica.metric_sum("mllp_bridge_injector_connections_open", &[]) <= 2.0);
}

#[test]
fn a_clients_refusal_of_the_certificate_is_logged() {
    let (_api, replica, _client) = ready();
    assert!(TlsClient::connect(replica.address(), "").is_err());
    replica.wait_for_log("TLS with a client failed");
}

#[test]
fn a_refusal_names_every_error_and_is_logged_without_the_pods_content() {
    let (_api, replica, mut client) = ready();
    let bad = review().replace(
        r#""labels": {"#,
        r#""annotations": {"mllp-bridge.io/app-port": "x", "mllp-bridge.io/fromat": "raw"}, "labels": {"#,
    );
    let bad = bad.replace("example.com/app:1", "example.com/secret-image:1");
    let answer = client.review(bad.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    for text in [
        r#""allowed":false"#,
        "mllp-bridge.io/app-port",
        "mllp-bridge.io/fromat",
    ] {
        assert!(answer.body.contains(text), "{text}: {}", answer.body);
    }
    assert_eq!(results(&replica, "denied"), 1.0);
    let line = replica.wait_for_log("a pod is refused");
    assert_eq!(line.text_field("namespace"), Some("bridge-apps"));
    assert_eq!(line.text_field("name"), Some("app-"));
    replica.assert_not_logged("secret-image");
}

#[test]
fn a_pod_of_the_injectors_own_namespace_stays_as_it_is() {
    let (_api, replica, mut client) = ready();
    let own = review().replace("bridge-apps", "bridge");
    let answer = client.review(own.as_bytes()).unwrap();
    assert!(!answer.body.contains("patch"), "{}", answer.body);
    assert_eq!(results(&replica, "skipped"), 1.0);
}
