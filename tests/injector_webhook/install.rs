//! A new installation: the CA, the bundle, and when a replica is ready.

use axum::http::StatusCode;
use serde_json::json;

use super::support::api_server::{CONFIGURATION, LEASE, SECRET};
use super::*;

#[test]
fn two_new_replicas_agree_on_one_ca_and_both_are_trusted() {
    let api = ApiServer::start();
    let replicas = [replica(&api, "a", ""), replica(&api, "b", "")];
    for replica in &replicas {
        wait_until_ready(replica);
        let bundle = api.lock().bundle();
        let mut client = TlsClient::connect(replica.address(), &bundle).unwrap();
        let answer = client.review(review().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer["response"]["uid"], "u-1");
        assert_eq!(answer["response"]["patchType"], "JSONPatch", "{answer}");
        let patched = [("result", "patched")];
        assert_eq!(
            replica.metric_sum("mllp_bridge_injector_reviews_total", &patched),
            1.0
        );
        assert_eq!(
            replica.metric_sum("mllp_bridge_injector_bundle_matches", &[]),
            1.0
        );
    }
    let leaders: f64 = replicas
        .iter()
        .map(|replica| replica.metric_sum("mllp_bridge_injector_leader", &[]))
        .sum();
    assert_eq!(leaders, 1.0);

    let objects = api.lock();
    assert_eq!(objects.applied.len(), 1, "the bundle is written once");
    assert_eq!(objects.bundle(), objects.secret("ca.crt").unwrap());
    assert!(objects.secret("next.crt").is_none());
    // What is not ours stays.
    assert_eq!(
        objects.get(SECRET).unwrap()["metadata"]["labels"]["kept"],
        "yes"
    );
    assert_eq!(
        objects.get(CONFIGURATION).unwrap()["webhooks"][0]["failurePolicy"],
        "Fail"
    );
    let verbs: Vec<_> = objects.verbs.iter().map(String::as_str).collect();
    assert_eq!(
        verbs,
        [
            "get leases",
            "get mutatingwebhookconfigurations",
            "get secrets",
            "patch mutatingwebhookconfigurations",
            "update leases",
            "update secrets",
        ]
    );
    drop(objects);
    for replica in replicas {
        replica.assert_not_logged("PRIVATE");
        replica.stop();
    }
}

#[test]
fn expiry_is_told_for_all_three_certificates() {
    let api = ApiServer::start();
    let replica = replica(&api, "a", "ca_validity: 40h, leaf_validity: 10h");
    wait_until_ready(&replica);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    for (certificate, hours) in [("ca", 40.0), ("leaf", 10.0), ("bundle", 40.0)] {
        let at = replica.metric_sum(
            "mllp_bridge_injector_certificate_expiry_timestamp_seconds",
            &[("certificate", certificate)],
        );
        let left = at - now;
        assert!(
            (left - hours * 3600.0).abs() < 60.0,
            "{certificate}: {left} s"
        );
    }
}

#[test]
fn a_replica_that_is_not_ready_is_alive_and_says_why() {
    let api = ApiServer::start_empty();
    api.put(SECRET, json!({"metadata": {"name": "s"}}));
    api.put(LEASE, json!({"metadata": {"name": "l"}}));
    let replica = replica(&api, "a", "");
    wait_for_readiness(&replica, |status, body| {
        status == 503
            && body
                .contains("the live webhook configuration mllp-bridge-injector: it does not exist")
    });
    assert_eq!(replica.get("/livez").status, 200);
    let error = TlsClient::connect(replica.address(), "").err().unwrap();
    assert!(
        error.to_string().contains("alert"),
        "nothing is served yet: {error}"
    );

    api.refuse(SECRET, StatusCode::FORBIDDEN);
    api.install_configuration();
    wait_for_readiness(&replica, |status, body| {
        status == 503
            && body.contains("the Secret mllp-bridge-injector-ca: not allowed: the test refuses it")
    });
    api.allow(SECRET);
    wait_until_ready(&replica);
    assert!(
        replica.metric_sum(
            "mllp_bridge_injector_certificate_failures_total",
            &[("reason", "api")]
        ) >= 2.0
    );
}

#[test]
fn a_replica_that_does_not_lead_waits_for_the_bundle() {
    let api = ApiServer::start();
    // Somebody else leads, and does nothing.
    api.edit(LEASE, |lease| {
        lease["spec"] = json!({"holderIdentity": "gone", "leaseDurationSeconds": 3600});
    });
    let replica = replica(&api, "a", "");
    wait_for_readiness(&replica, |status, body| {
        status == 503 && body.contains("holds no CA yet: waiting for the leader")
    });
    api.edit(LEASE, |lease| lease["spec"]["holderIdentity"] = "".into());
    wait_until_ready(&replica);
}

#[test]
fn a_bundle_that_somebody_took_away_comes_back() {
    let (api, replica, _client) = ready();
    let bundle = api.lock().bundle();
    api.edit(CONFIGURATION, |configuration| {
        configuration["webhooks"][1]["clientConfig"]["caBundle"] = "".into();
    });
    api.wait_until("the bundle is back", |objects| {
        objects.get(CONFIGURATION).unwrap()["webhooks"][1]["clientConfig"]["caBundle"] != ""
    });
    assert_eq!(api.lock().bundle(), bundle);
    wait_until_ready(&replica);
}

#[test]
fn objects_that_somebody_removed_are_made_again() {
    let api = ApiServer::start_empty();
    api.install_configuration();
    let replica = replica(&api, "a", "");
    wait_until_ready(&replica);
    let objects = api.lock();
    assert!(objects.verbs.contains("create secrets") && objects.verbs.contains("create leases"));
    assert_eq!(
        objects.get(SECRET).unwrap()["metadata"]["namespace"],
        NAMESPACE
    );
}

#[test]
fn an_api_server_that_goes_away_does_not_end_readiness() {
    let (api, replica, mut client) = ready();
    for path in [SECRET, LEASE, CONFIGURATION] {
        api.refuse(path, StatusCode::SERVICE_UNAVAILABLE);
    }
    let failures = [("reason", "api")];
    replica.wait_for_metric(
        "mllp_bridge_injector_certificate_failures_total",
        &failures,
        3.0,
    );
    assert_eq!(replica.get("/readyz").status, 200);
    assert_eq!(client.review(review().as_bytes()).unwrap().status, 200);
}

#[test]
fn a_token_that_the_kubelet_renewed_is_used() {
    let (api, replica, _client) = ready();
    let token = std::fs::read_to_string(api.token_file()).unwrap();
    std::fs::write(api.token_file(), "an old one").unwrap();
    let failures = [("reason", "api")];
    replica.wait_for_metric(
        "mllp_bridge_injector_certificate_failures_total",
        &failures,
        1.0,
    );
    std::fs::write(api.token_file(), token).unwrap();
    // Its lease had run out meanwhile, or runs on: it writes again.
    let before = api.lock().get(LEASE).unwrap()["metadata"]["resourceVersion"].clone();
    api.wait_until("the Lease is renewed", |objects| {
        objects.get(LEASE).unwrap()["metadata"]["resourceVersion"] != before
    });
}

#[test]
fn a_bad_configuration_is_reported_whole_and_ends_with_64() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("injector.yaml");
    std::fs::write(
        &file,
        "webhook: {bind: nowhere}\ncertificates: {mode: magic}\nextra: 1\n",
    )
    .unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
        .args(["injector", "--namespace", "n", "--pod", "p", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{text}");
    for place in ["webhook.bind", "certificates.mode", "extra: unknown key"] {
        assert!(text.contains(place), "{place}: {text}");
    }
}
