//! The API server's question and the answer to it: `admission.k8s.io/v1`, as JSON.
//!
//! Must not do: HTTP. A body that is no review is an error here, and its status is the server's affair.

use super::annotation::LABEL;
use super::inject::{Namespace, Outcome, inject};
use super::patch;
use super::{FieldError, Settings};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const VERSION: &str = "admission.k8s.io/v1";

/// What was decided, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The pod gets its sidecar.
    Patched,
    /// It stays as it is.
    Skipped,
    /// It is refused.
    Denied,
}

/// An answered review.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// The AdmissionReview to answer with.
    pub response: Value,
    /// What it says.
    pub decision: Decision,
    /// Why it was skipped or denied, or what was warned of; one line each. Holds annotations' values and names of objects.
    pub reasons: Vec<String>,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name, or what its name will begin with.
    pub name: String,
}

/// Why a body cannot be answered: without a uid there is no answer that the API server would take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// Not JSON at all.
    #[error("not JSON: line {line}, column {column}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Another object, or another version of it.
    #[error("expected an AdmissionReview of {VERSION}")]
    Kind,
    /// No request in it, or one without a uid.
    #[error("the review has no request with a uid")]
    Request,
    /// A pod is to be created, and it is not there.
    #[error("the review has no pod in request.object")]
    Object,
}

/// Answers a review.
///
/// A request does not carry the namespace's labels. The API server has compared them before it asked: a pod without a label
/// of its own that comes here is one whose namespace has it.
///
/// # Errors
///
/// If the body is no review that could be answered.
pub fn review(body: &[u8], settings: &Settings) -> Result<Review, Undecodable> {
    let review: Value = serde_json::from_slice(body).map_err(|error| Undecodable::Json {
        line: error.line(),
        column: error.column(),
    })?;
    if review["apiVersion"] != VERSION || review["kind"] != "AdmissionReview" {
        return Err(Undecodable::Kind);
    }
    let request = &review["request"];
    let uid = request["uid"].as_str().filter(|uid| !uid.is_empty());
    let uid = uid.ok_or(Undecodable::Request)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let namespace = text(&request["namespace"]);
    let metadata = &request["object"]["metadata"];
    let name = [
        &request["name"],
        &metadata["name"],
        &metadata["generateName"],
    ]
    .into_iter()
    .find_map(|name| name.as_str().filter(|name| !name.is_empty()))
    .unwrap_or_default()
    .to_owned();
    let outcome = if !is_new_pod(request) {
        Outcome::Skip("not a pod that is being created".into())
    } else if !request["object"].is_object() {
        return Err(Undecodable::Object);
    } else {
        let namespace = Namespace {
            name: namespace.clone(),
            labels: [(LABEL.to_owned(), "true".to_owned())].into(),
        };
        inject(&request["object"], &namespace, settings)
    };
    let (decision, response, reasons) = answer(uid, outcome);
    Ok(Review {
        response: json!({"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}),
        decision,
        reasons,
        namespace,
        name,
    })
}

fn is_new_pod(request: &Value) -> bool {
    let resource = &request["resource"];
    let no_subresource = matches!(request["subResource"].as_str(), None | Some(""));
    let core = matches!(resource["group"].as_str(), None | Some(""));
    core && resource["resource"] == "pods" && no_subresource && request["operation"] == "CREATE"
}

fn answer(uid: &str, outcome: Outcome) -> (Decision, Value, Vec<String>) {
    match outcome {
        Outcome::Skip(why) => {
            let response = json!({"uid": uid, "allowed": true});
            (Decision::Skipped, response, vec![why])
        }
        Outcome::Patch { ops, warnings } => {
            let patch = STANDARD.encode(patch::to_json(&ops).to_string());
            let mut response =
                json!({"uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": patch});
            if !warnings.is_empty() {
                response["warnings"] = warnings.clone().into();
            }
            (Decision::Patched, response, warnings)
        }
        Outcome::Deny(errors) => {
            let (code, reason) = code(&errors);
            let status = json!({"code": code, "reason": reason, "message": message(&errors)});
            let response = json!({"uid": uid, "allowed": false, "status": status});
            let reasons = errors.iter().map(ToString::to_string).collect();
            (Decision::Denied, response, reasons)
        }
    }
}

/// 422 where a value is wrong; 403 where every value is right, and the pod is one that cannot have a sidecar.
fn code(errors: &[FieldError]) -> (u16, &'static str) {
    if errors.iter().all(|error| error.field.starts_with("spec.")) {
        (403, "Forbidden")
    } else {
        (422, "Invalid")
    }
}

/// Every error. On one line: `kubectl describe` breaks it as it likes.
pub fn message(errors: &[FieldError]) -> String {
    let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
    match all.len() {
        1 => format!("mllp-bridge cannot be injected: {}", all.join("; ")),
        count => format!(
            "mllp-bridge cannot be injected, for {count} reasons: {}",
            all.join("; ")
        ),
    }
}
