//! AdmissionReviews in and out.

use crate::pod;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mllp_bridge::injector::Settings;
use mllp_bridge::injector::review::{Decision, Review, Undecodable, review};
use serde_json::{Value, json};

fn request(object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": "lab",
            "object": object,
        },
    })
}

fn answer(request: &Value) -> Review {
    review(request.to_string().as_bytes(), &Settings::default()).expect("an answer")
}

#[test]
fn a_patch_is_base64_of_json() {
    let review = answer(&request(&pod(&[("drain-deadline", "10s")])));
    assert_eq!(review.decision, Decision::Patched);
    assert_eq!(
        (review.namespace.as_str(), review.name.as_str()),
        ("lab", "desk")
    );
    assert_eq!(review.response["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(review.response["kind"], "AdmissionReview");
    let response = &review.response["response"];
    assert_eq!(response["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(response["allowed"], true);
    assert_eq!(response["patchType"], "JSONPatch");
    assert_eq!(response["warnings"].as_array().map(Vec::len), Some(1));
    let patch = STANDARD
        .decode(response["patch"].as_str().unwrap())
        .unwrap();
    let patch: Value = serde_json::from_slice(&patch).unwrap();
    let ops = patch.as_array().unwrap();
    assert!(ops.iter().all(|op| op["op"] == "add"));
    assert_eq!(ops[0]["path"], "/spec/initContainers");
}

#[test]
fn a_denial_has_every_error_in_its_message() {
    let review = answer(&request(&pod(&[("app-port", "x"), ("log-level", "loud")])));
    assert_eq!(review.decision, Decision::Denied);
    let response = &review.response["response"];
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 422);
    assert_eq!(response["status"]["reason"], "Invalid");
    let message = response["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("mllp-bridge cannot be injected, for 2 reasons: "),
        "{message}"
    );
    assert!(message.contains("mllp-bridge.io/app-port: "), "{message}");
    assert!(message.contains("mllp-bridge.io/log-level: "), "{message}");
    assert_eq!(review.reasons.len(), 2);
}

#[test]
fn a_pod_whose_settings_are_right_and_that_cannot_have_one_is_forbidden() {
    let mut pod = pod(&[]);
    pod["spec"]["hostNetwork"] = true.into();
    let review = answer(&request(&pod));
    assert_eq!(review.response["response"]["status"]["code"], 403);
}

/// The API server has compared the namespace's label; a pod that it sends without a label of its own is meant.
#[test]
fn a_pod_without_a_label_comes_because_of_its_namespace() {
    let mut pod = pod(&[]);
    pod["metadata"] = json!({"generateName": "desk-"});
    let review = answer(&request(&pod));
    assert_eq!(
        (review.decision, review.name.as_str()),
        (Decision::Patched, "desk-")
    );
}

#[test]
fn everything_but_a_new_pod_is_allowed_untouched() {
    for (path, value) in [
        ("/request/operation", json!("UPDATE")),
        ("/request/operation", json!("DELETE")),
        ("/request/resource/resource", json!("services")),
        ("/request/resource/group", json!("example.io")),
        ("/request/subResource", json!("status")),
    ] {
        let mut request = request(&pod(&[]));
        request["request"]["subResource"] = "".into();
        *request.pointer_mut(path).unwrap() = value;
        let review = answer(&request);
        assert_eq!(review.decision, Decision::Skipped, "{path}");
        let uid = &request["request"]["uid"];
        assert_eq!(
            review.response["response"],
            json!({"uid": uid, "allowed": true})
        );
    }
}

#[test]
fn what_is_no_review_has_no_answer() {
    let settings = Settings::default();
    let error = |body: &str| review(body.as_bytes(), &settings).expect_err("an error");
    assert_eq!(error("{\"a\":"), Undecodable::Json { line: 1, column: 5 });
    assert_eq!(error("[]"), Undecodable::Kind);
    let mut old = request(&pod(&[]));
    old["apiVersion"] = "admission.k8s.io/v1beta1".into();
    assert_eq!(error(&old.to_string()), Undecodable::Kind);
    let mut nameless = request(&pod(&[]));
    nameless["request"]["uid"] = "".into();
    assert_eq!(error(&nameless.to_string()), Undecodable::Request);
    assert_eq!(
        error(&request(&Value::Null).to_string()),
        Undecodable::Object
    );
}
