//! The injector's webhook as a process: real TLS, and an API server of the tests' own behind real HTTPS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "helpers of tests, on blocking threads"
)]

use std::time::{Duration, Instant};

use support::PATIENCE;
use support::api_server::{ApiServer, NAMESPACE};
use support::bridge::Bridge;
use support::tls_client::TlsClient;

#[path = "../support/mod.rs"]
mod support;

mod cost;
mod end;
mod files;
mod install;
mod requests;
mod rotation;

/// A configuration whose times suit a test. `certificates` are further keys of that section.
fn config(api: &ApiServer, certificates: &str, more: &str) -> String {
    format!(
        "webhook: {{bind: 127.0.0.1:0, request_timeout: 1s}}\nadmin: {{bind: 127.0.0.1:0}}\n\
         certificates: {{webhook_configuration: mllp-bridge-injector, check_interval: 100ms, {certificates}}}\n\
         sidecar: {{image: 'example.com/mllp-bridge:0.1.0'}}\n\
         shutdown: {{linger: 0s, deadline: 5s}}\n{more}{}",
        api.access()
    )
}

/// A replica in mode `auto`.
#[track_caller]
fn replica(api: &ApiServer, name: &str, certificates: &str) -> Bridge {
    Bridge::injector(&config(api, certificates, ""), name).start()
}

#[track_caller]
fn wait_until_ready(replica: &Bridge) {
    wait_for_readiness(replica, |status, _| status == 200);
}

/// Readiness raises no event, so it is asked for.
#[track_caller]
fn wait_for_readiness(replica: &Bridge, wanted: impl Fn(u16, &str) -> bool) {
    let start = Instant::now();
    loop {
        let answer = replica.get("/readyz");
        if wanted(answer.status, &answer.body) {
            return;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{}: {}",
            answer.status,
            answer.body
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A replica that is ready, and a connection to it.
#[track_caller]
fn ready() -> (ApiServer, Bridge, TlsClient) {
    let api = ApiServer::start();
    let replica = replica(&api, "a", "");
    wait_until_ready(&replica);
    let client = TlsClient::connect(replica.address(), &api.lock().bundle()).unwrap();
    (api, replica, client)
}

/// A review of a pod that asks for its sidecar.
fn review() -> String {
    format!(
        r#"{{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {{"uid": "u-1",
        "kind": {{"group": "", "version": "v1", "kind": "Pod"}}, "resource": {{"group": "", "version": "v1", "resource": "pods"}},
        "namespace": "{NAMESPACE}-apps", "operation": "CREATE", "object": {{"apiVersion": "v1", "kind": "Pod",
        "metadata": {{"generateName": "app-", "labels": {{"mllp-bridge.io/inject": "true"}}}},
        "spec": {{"containers": [{{"name": "app", "image": "example.com/app:1", "ports": [{{"containerPort": 8080}}]}}]}}}}}}}}"#
    )
}
