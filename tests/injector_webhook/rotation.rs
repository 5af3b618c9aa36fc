//! A CA's replacement while reviews go on: at no moment is a connection refused by a client that trusts the live bundle.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mllp_bridge::injector::certs::x509::{self, Authority};
use serde_json::json;

use super::support::api_server::{CONFIGURATION, SECRET};
use super::*;

/// Times that let a whole rotation pass in some seconds, and leave a busy machine two of them to renew a leaf in.
const SHORT: &str = "ca_validity: 60s, leaf_validity: 6s";

/// Reviews on new connections, by clients that trust what is live at that moment, until this is dropped.
struct Load {
    ended: std::sync::Arc<AtomicBool>,
    done: std::sync::Arc<AtomicU64>,
    threads: Vec<thread::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(api: &std::sync::Arc<ApiServer>, replicas: &[&Bridge]) -> Self {
        let ended = std::sync::Arc::<AtomicBool>::default();
        let done = std::sync::Arc::<AtomicU64>::default();
        let threads = replicas.iter().map(|replica| {
            let (api, address) = (std::sync::Arc::clone(api), replica.address());
            let (ended, done) = (std::sync::Arc::clone(&ended), std::sync::Arc::clone(&done));
            thread::spawn(move || {
                let mut failures = Vec::new();
                while !ended.load(Relaxed) {
                    let bundle = api.lock().bundle();
                    let answer = TlsClient::connect(address, &bundle)
                        .and_then(|mut client| client.review(review().as_bytes()));
                    match answer {
                        Ok(answer) if answer.status == 200 => {}
                        Ok(answer) => failures.push(format!("{answer:?}")),
                        Err(error) => failures.push(error.to_string()),
                    }
                    done.fetch_add(1, Relaxed);
                }
                failures
            })
        });
        Self {
            threads: threads.collect(),
            ended,
            done,
        }
    }

    /// Fails if any review did.
    #[track_caller]
    fn end(self) -> u64 {
        self.ended.store(true, Relaxed);
        for thread in self.threads {
            assert_eq!(thread.join().unwrap(), Vec::<String>::new());
        }
        self.done.load(Relaxed)
    }
}

/// A Secret with a CA that is due, and the bundle that goes with it.
fn install_due(api: &ApiServer) {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    let due = Authority::make(now, now + 15).unwrap();
    let certificate = x509::pem([&due.certificate]);
    api.edit(SECRET, |secret| {
        secret["data"] = json!({"ca.crt": STANDARD.encode(&certificate), "ca.key": STANDARD.encode(due.key.pem())});
    });
    api.edit(CONFIGURATION, |configuration| {
        for webhook in configuration["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"]["caBundle"] = STANDARD.encode(&certificate).into();
        }
    });
}

#[test]
fn a_rotation_under_load_refuses_nobody_though_the_leader_is_killed_in_the_middle() {
    let api = std::sync::Arc::new(ApiServer::start());
    install_due(&api);
    let old = api.lock().secret("ca.crt").unwrap();
    let mut leader = replica(&api, "a", SHORT);
    wait_until_ready(&leader);
    let other = replica(&api, "b", SHORT);
    wait_until_ready(&other);
    let load = Load::start(&api, &[&other]);

    api.wait_until("both are trusted", |objects| objects.trusted() == 2);
    assert_eq!(api.lock().leader(), "a");
    leader.signal("KILL");
    leader.wait_exit(PATIENCE);
    api.wait_until("the other replica leads", |objects| objects.leader() == "b");
    api.wait_until("the next CA signs", |objects| {
        objects.secret("previous.crt").is_some()
    });
    assert_eq!(api.lock().secret("previous.crt").unwrap(), old);
    // A replica that starts in the middle of it.
    let third = replica(&api, "c", SHORT);
    wait_until_ready(&third);
    let more = Load::start(&api, &[&third]);
    api.wait_until("the old CA is forgotten", |objects| {
        objects.trusted() == 1 && objects.secret("previous.crt").is_none()
    });
    let reviews = load.end() + more.end();
    assert!(reviews > 20, "{reviews} reviews");
    let objects = api.lock();
    assert!(objects.bundle() != old);
    // At each step the bundle trusted what was served before and after it.
    let sizes = objects.applied.iter().map(|body| {
        let bundle = body["webhooks"][0]["clientConfig"]["caBundle"]
            .as_str()
            .unwrap();
        String::from_utf8(STANDARD.decode(bundle).unwrap())
            .unwrap()
            .matches("BEGIN")
            .count()
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [2, 1]);
    drop(objects);
    let rotations =
        |what| other.metric_sum("mllp_bridge_injector_rotations_total", &[("what", what)]);
    assert_eq!(rotations("ca"), 1.0);
    assert!(rotations("leaf") >= 1.0);
}

#[test]
fn a_leaf_is_renewed_in_its_time_without_a_pause() {
    let api = std::sync::Arc::new(ApiServer::start());
    let replica = replica(&api, "a", "ca_validity: 1h, leaf_validity: 6s");
    wait_until_ready(&replica);
    let first = TlsClient::connect(replica.address(), &api.lock().bundle())
        .unwrap()
        .certificate();
    let load = Load::start(&api, &[&replica]);
    replica.wait_for_metric(
        "mllp_bridge_injector_rotations_total",
        &[("what", "leaf")],
        2.0,
    );
    load.end();
    let client = TlsClient::connect(replica.address(), &api.lock().bundle()).unwrap();
    assert_ne!(client.certificate(), first);
    assert_eq!(
        api.lock().applied.len(),
        1,
        "a leaf is nobody else's business"
    );
}

#[test]
fn an_emptied_secret_is_a_rotation_like_any_other() {
    let api = std::sync::Arc::new(ApiServer::start());
    let replicas = [replica(&api, "a", SHORT), replica(&api, "b", SHORT)];
    for replica in &replicas {
        wait_until_ready(replica);
    }
    let old = api.lock().bundle();
    let load = Load::start(&api, &[&replicas[0], &replicas[1]]);
    api.edit(SECRET, |secret| secret["data"] = json!({}));
    api.wait_until("a new CA is trusted beside the old one", |objects| {
        objects.trusted() == 2
    });
    api.wait_until("the old one is forgotten", |objects| objects.trusted() == 1);
    load.end();
    assert_ne!(api.lock().bundle(), old);
}

#[test]
fn a_secret_that_cannot_be_read_is_made_anew_and_counted() {
    let (api, replica, _client) = ready();
    api.edit(SECRET, |secret| secret["data"]["ca.key"] = "AAAA".into());
    api.wait_until("a new CA is trusted beside the old one", |objects| {
        objects.trusted() == 2
    });
    let secret = [("reason", "secret")];
    replica.wait_for_metric(
        "mllp_bridge_injector_certificate_failures_total",
        &secret,
        1.0,
    );
    replica.wait_for_line("a warning", |line| line.text.contains("ca.crt and ca.key"));
    wait_until_ready(&replica);
}

#[test]
fn who_ends_in_order_hands_the_lease_over() {
    let api = ApiServer::start();
    // A lease that would last 40 s.
    let slow = |name| {
        let yaml = config(&api, "", "").replace("check_interval: 100ms", "check_interval: 10s");
        Bridge::injector(&yaml, name).start()
    };
    let first = slow("a");
    wait_until_ready(&first);
    assert_eq!(api.lock().leader(), "a");
    first.stop();
    assert_eq!(api.lock().leader(), "", "it is free at once");
    let second = slow("b");
    wait_until_ready(&second);
    assert_eq!(api.lock().leader(), "b");
}
