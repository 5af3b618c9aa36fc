//! The injector's function from outside: patches as they were agreed on, what no input may do to it, and reviews.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod golden;
mod labels;
mod properties;
mod refused;
mod review;

use mllp_bridge::injector::patch::{Add, apply};
use mllp_bridge::injector::{Namespace, Outcome, Settings, inject};
use serde_json::{Value, json};

/// A pod that asks for a sidecar, with these annotations (without their domain).
fn pod(annotations: &[(&str, &str)]) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "desk", "labels": {"mllp-bridge.io/inject": "true"}},
        "spec": {"containers": [{"name": "app", "image": "desk:1", "ports": [{"containerPort": 8080}]}]},
    });
    for (name, value) in annotations {
        pod["metadata"]["annotations"][format!("mllp-bridge.io/{name}")] = (*value).into();
    }
    pod
}

/// What becomes of a pod in a namespace without labels.
fn outcome(pod: &Value) -> Outcome {
    inject(pod, &Namespace::default(), &Settings::default())
}

#[track_caller]
fn patch(pod: &Value) -> (Vec<Add>, Vec<String>) {
    match outcome(pod) {
        Outcome::Patch { ops, warnings } => (ops, warnings),
        other => panic!("no patch: {other:?}"),
    }
}

/// The pod with its sidecar.
#[track_caller]
fn injected(pod: &Value) -> Value {
    let mut after = pod.clone();
    apply(&mut after, &patch(pod).0).expect("a patch that applies");
    after
}

/// Every reason why a pod is refused.
#[track_caller]
fn reasons(pod: &Value) -> Vec<String> {
    match outcome(pod) {
        Outcome::Deny(errors) => errors.iter().map(ToString::to_string).collect(),
        other => panic!("not refused: {other:?}"),
    }
}
