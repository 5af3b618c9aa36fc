//! What an app is shown: tokens from a file and from an OAuth 2 server, and certificates.

use super::*;
use parts::token::TokenEndpoint;
use std::path::Path;
use std::sync::Arc;
use support::bridge::Builder;
use tempfile::TempDir;

#[path = "../fhir/parts/mod.rs"]
mod parts;

const HOUR: Duration = Duration::from_secs(3600);
const SECRET: &str = "a b:c%";

fn shown(app: &TestApp) -> Vec<String> {
    let requests = app.requests();
    let shown = requests.iter().map(|request| {
        request
            .header("Authorization")
            .unwrap_or_default()
            .to_owned()
    });
    shown.collect()
}

#[test]
fn a_token_file_is_read_again_when_it_changes() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first.token\n").unwrap();
    let app = TestApp::start();
    let auth = format!("auth: {{bearer_file: '{}'}}", file.display());
    let bridge = bridge(&app, &auth);
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    std::fs::write(&file, "second.token").unwrap();
    // Refused: the file is looked at again at once, and the message sent once more.
    app.respond(|request| match request.header("Authorization") {
        Some("Bearer second.token") => Reply::ok(),
        _ => Reply::status(401),
    });
    peer.exchange(messages::adt("MSG2")).expect("AA", "MSG2");
    let all = shown(&app);
    assert_eq!(all.first().unwrap(), "Bearer first.token");
    assert_eq!(all.last().unwrap(), "Bearer second.token");
    assert!(all.len() <= 3, "{all:?}");

    // A refusal that stays is told.
    app.respond(|_| Reply::status(401));
    let before = app.requests().len();
    peer.exchange(messages::adt("MSG3")).expect("AR", "MSG3");
    assert_eq!(
        app.requests().len(),
        before + 2,
        "once more, and no oftener"
    );
    bridge.assert_not_logged("first.token");
    bridge.assert_not_logged("second.token");
}

#[test]
fn without_a_token_nothing_is_sent() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    let app = TestApp::start();
    let yaml = config(
        &app.url(),
        &format!("auth: {{bearer_file: '{}'}}", file.display()),
    );
    let bridge = Bridge::start(&yaml.replace("deadline: 10s", "deadline: 300ms"));
    let mut peer = RawPeer::connect(bridge.address());
    let ack = peer.exchange(messages::adt("MSG1"));
    ack.expect("AE", "MSG1");
    assert!(ack.err()[0].field(8).contains("no token"), "{ack}");
    std::fs::write(&file, "two\nlines").unwrap();
    peer.exchange(messages::adt("MSG2")).expect("AE", "MSG2");
    assert!(app.requests().is_empty());
    let line = bridge.wait_for_log("there is no token to show to the application");
    assert!(line.text_field("reason").unwrap().contains("token"));
    bridge.assert_not_logged("lines");
    // One that nobody writes to would be waited for.
    std::fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.unwrap().success());
    peer.exchange(messages::adt("MSG3")).expect("AE", "MSG3");
}

fn oauth(app: &TestApp, endpoint: &TokenEndpoint, secret: &Path) -> String {
    std::fs::write(secret, SECRET).unwrap();
    let auth = format!(
        "auth: {{oauth2: {{token_url: '{}', client_id: bridge, client_secret_file: '{}', scope: 'system/*.write'}}}}",
        endpoint.url(),
        secret.display()
    );
    config(&app.url(), &auth)
}

#[test]
fn an_oauth_2_token_is_kept_until_it_expires_and_fetched_anew_when_it_is_refused() {
    let folder = TempDir::new().unwrap();
    let endpoint = Arc::new(TokenEndpoint::start("bridge", SECRET, HOUR));
    let app = TestApp::start();
    let admits = Arc::clone(&endpoint);
    app.respond(move |request| match request.header("Authorization") {
        Some(token) if admits.admits(token) => Reply::ok(),
        _ => Reply::status(401),
    });
    let bridge = Bridge::start(&oauth(&app, &endpoint, &folder.path().join("secret")));
    let [mut one, mut two] = [(); 2].map(|()| RawPeer::connect(bridge.address()));
    one.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    two.exchange(messages::adt("MSG2")).expect("AA", "MSG2");
    one.exchange(messages::adt("MSG3")).expect("AA", "MSG3");
    assert_eq!(endpoint.requests(), 1, "one token for all connections");
    endpoint.revoke();
    one.exchange(messages::adt("MSG4")).expect("AA", "MSG4");
    two.exchange(messages::adt("MSG5")).expect("AA", "MSG5");
    assert_eq!((endpoint.requests(), app.requests().len()), (2, 6));
    for shown in shown(&app) {
        bridge.assert_not_logged(shown.trim_start_matches("Bearer "));
    }
    bridge.assert_not_logged(SECRET);
}

#[test]
fn a_token_that_has_expired_is_not_shown_and_an_endpoint_that_is_down_is_waited_for() {
    let folder = TempDir::new().unwrap();
    let endpoint = TokenEndpoint::start("bridge", SECRET, Duration::ZERO);
    endpoint.fail(&[axum::http::StatusCode::SERVICE_UNAVAILABLE]);
    let app = TestApp::start();
    let bridge = Bridge::start(&oauth(&app, &endpoint, &folder.path().join("secret")));
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    peer.exchange(messages::adt("MSG2")).expect("AA", "MSG2");
    assert_eq!(endpoint.requests(), 3);
    let shown = shown(&app);
    assert_ne!(shown[0], shown[1]);
    let failed = [("reason", "token")];
    assert_eq!(
        bridge.metric_sum("mllp_bridge_delivery_failures_total", &failed),
        1.0
    );
}

/// What is shown is always a token that still lives: no message has to be refused first.
#[test]
fn a_token_is_replaced_before_it_expires_while_messages_come() {
    let folder = TempDir::new().unwrap();
    let endpoint = Arc::new(TokenEndpoint::start("bridge", SECRET, 2 * SECOND));
    let app = TestApp::start();
    let admits = Arc::clone(&endpoint);
    app.respond(move |request| match request.header("Authorization") {
        Some(token) if admits.admits(token) => Reply::ok(),
        _ => Reply::status(401),
    });
    let bridge = Bridge::start(&oauth(&app, &endpoint, &folder.path().join("secret")));
    let mut peer = RawPeer::connect(bridge.address());
    let started = Instant::now();
    let mut sent = 0;
    while endpoint.requests() < 3 {
        assert!(
            started.elapsed() < PATIENCE,
            "{} tokens",
            endpoint.requests()
        );
        sent += 1;
        let id = format!("MSG{sent}");
        peer.exchange(messages::adt(&id)).expect("AA", &id);
    }
    assert_eq!(app.requests().len(), sent, "none was shown in vain");
    let tokens: BTreeSet<String> = shown(&app).into_iter().collect();
    assert_eq!(tokens.len(), 3);
}

/// Nobody waits for it longer than for an app, and no connection for the requests of others.
#[test]
fn an_endpoint_that_hangs_is_given_up_by_all_connections_at_once_and_asked_again() {
    let folder = TempDir::new().unwrap();
    let endpoint = TokenEndpoint::start("bridge", SECRET, HOUR);
    endpoint.hang(2);
    let app = TestApp::start();
    let yaml = oauth(&app, &endpoint, &folder.path().join("secret"));
    let bridge =
        Bridge::start(&yaml.replace("auth:", "connect_timeout: 700ms, timeout: 700ms, auth:"));
    let started = Instant::now();
    let ids: Vec<String> = (1..=6).map(|at| format!("MSG{at}")).collect();
    let mut peers: Vec<RawPeer> = ids
        .iter()
        .map(|_| RawPeer::connect(bridge.address()))
        .collect();
    for (peer, id) in peers.iter_mut().zip(&ids) {
        peer.send(frame(messages::adt(id)));
    }
    for (peer, id) in peers.iter_mut().zip(&ids) {
        peer.ack().expect("AA", id);
    }
    let took = started.elapsed();
    assert_eq!(endpoint.requests(), 3, "after {took:?}");
    assert!(took < 8 * SECOND, "ack.deadline is 10 s: {took:?}");
    let line = bridge.wait_for_log("there is no token to show to the application");
    assert!(line.text_field("reason").unwrap().ends_with("timeout"));
}

#[test]
fn a_client_that_the_endpoint_does_not_know_gets_no_message_through() {
    let folder = TempDir::new().unwrap();
    let endpoint = TokenEndpoint::start("somebody", SECRET, HOUR);
    let app = TestApp::start();
    let yaml = oauth(&app, &endpoint, &folder.path().join("secret"));
    let bridge: Builder =
        Bridge::builder().config(&yaml.replace("deadline: 10s", "deadline: 300ms"));
    let bridge = bridge.start();
    RawPeer::connect(bridge.address())
        .exchange(messages::adt("MSG1"))
        .expect("AE", "MSG1");
    assert!(app.requests().is_empty());
    let line = bridge.wait_for_log("there is no token to show to the application");
    assert!(line.text_field("reason").unwrap().ends_with("HTTP 401"));
    bridge.assert_not_logged(SECRET);
}

/// A bridge that asks a token endpoint of somebody else's, with such waits between its attempts.
fn strange(app: &TestApp, endpoint: &TestApp, folder: &TempDir, retry: &str) -> Bridge {
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s.3-c_r*t").unwrap();
    let auth = format!(
        "auth: {{oauth2: {{token_url: '{}', client_id: mllp-bridge, client_secret_file: '{}'}}}}",
        endpoint.url(),
        secret.display()
    );
    Bridge::start(&config(&app.url(), &auth).replace(QUICK, retry))
}

/// The waits of these tests.
const QUICK: &str = "{initial: 5ms, max: 40ms}";

fn token(status: u16, expires_in: &str) -> Reply {
    let body = format!(
        "{{\"access_token\": \"tok\", \"token_type\": \"bearer\", \"expires_in\": {expires_in}}}"
    );
    Reply::status(status)
        .header("Content-Type", "application/json")
        .body(body)
}

/// How long a token lives some servers say in text or with a fraction, and some have created it.
#[test]
fn a_token_is_one_however_its_life_is_written() {
    for (status, expires_in) in [
        (200, "\"3599\""),
        (200, "3599.0"),
        (201, "300"),
        (200, "\"soon\""),
    ] {
        let folder = TempDir::new().unwrap();
        let (app, endpoint) = (TestApp::start(), TestApp::start());
        let reply = token(status, expires_in);
        endpoint.always(reply);
        let bridge = strange(&app, &endpoint, &folder, QUICK);
        let mut peer = RawPeer::connect(bridge.address());
        for id in ["MSG1", "MSG2"] {
            peer.exchange(messages::adt(id)).expect("AA", id);
        }
        assert_eq!(shown(&app), ["Bearer tok"; 2], "{status} {expires_in}");
        assert_eq!(endpoint.requests().len(), 1, "{status} {expires_in}");
        // Letters and marks that a form leaves as they are.
        let basic = "Basic bWxscC1icmlkZ2U6cy4zLWNfcip0";
        assert_eq!(shown(&endpoint), [basic]);
    }
}

/// Sends a message on each of so many connections at once, and returns how they were answered.
fn at_once(bridge: &Bridge, connections: usize) -> BTreeSet<String> {
    let mut peers: Vec<RawPeer> = (0..connections)
        .map(|_| RawPeer::connect(bridge.address()))
        .collect();
    for (at, peer) in peers.iter_mut().enumerate() {
        peer.send(frame(messages::adt(&format!("MSG{at}"))));
    }
    let answers = peers.iter_mut().map(|peer| peer.ack().msa1().to_owned());
    answers.collect()
}

/// An endpoint that refuses the client locks it out if each connection asks on its own.
#[test]
fn a_failing_token_endpoint_is_asked_for_all_connections_together() {
    let folder = TempDir::new().unwrap();
    let (app, endpoint) = (TestApp::start(), TestApp::start());
    endpoint.script([Reply::status(401), Reply::status(503)]);
    endpoint.respond(|_| token(200, "3600"));
    let bridge = strange(&app, &endpoint, &folder, "{initial: 400ms, max: 800ms}");
    assert_eq!(at_once(&bridge, 20), BTreeSet::from(["AA".to_owned()]));
    let asked = endpoint.requests();
    assert_eq!(asked.len(), 3, "two that failed, and one");
    let between = asked[1].arrived - asked[0].arrived;
    assert!(between >= Duration::from_millis(200), "{between:?}");
    let between = asked[2].arrived - asked[1].arrived;
    assert!(between >= Duration::from_millis(400), "{between:?}");
}

#[test]
fn a_token_endpoint_that_wants_to_be_left_alone_is() {
    let folder = TempDir::new().unwrap();
    let (app, endpoint) = (TestApp::start(), TestApp::start());
    endpoint.always(Reply::status(429).header("Retry-After", "30"));
    let bridge = strange(&app, &endpoint, &folder, QUICK);
    let started = Instant::now();
    for _ in 0..3 {
        assert_eq!(at_once(&bridge, 5), BTreeSet::from(["AE".to_owned()]));
    }
    let took = started.elapsed();
    assert_eq!(endpoint.requests().len(), 1, "in {took:?}");
    assert!(took < 5 * SECOND, "ack.deadline leaves no time: {took:?}");
    assert!(app.requests().is_empty());
}

/// An app that refuses every token refuses the client: the endpoint can do nothing for it.
#[test]
fn an_app_that_refuses_a_token_that_was_just_granted_makes_no_run_on_the_endpoint() {
    let folder = TempDir::new().unwrap();
    let endpoint = TokenEndpoint::start("bridge", SECRET, HOUR);
    let app = TestApp::start();
    app.always(Reply::status(401));
    let bridge = Bridge::start(&oauth(&app, &endpoint, &folder.path().join("secret")));
    let mut peer = RawPeer::connect(bridge.address());
    let started = Instant::now();
    for at in 0..40 {
        let id = format!("MSG{at}");
        peer.exchange(messages::adt(&id)).expect("AR", &id);
    }
    let seconds = started.elapsed().as_secs() as usize;
    let most = 2 + seconds;
    assert!(
        endpoint.requests() <= most,
        "{} in {seconds} s",
        endpoint.requests()
    );
    assert!(
        app.requests().len() <= 40 + most,
        "none is sent again in vain"
    );
}
