//! Who is asked for, and by whom.

use crate::pod;
use mllp_bridge::injector::{Namespace, Outcome, Settings, inject};
use serde_json::{Value, json};

fn decide(pod_label: &Value, namespace_label: Option<&str>) -> &'static str {
    let mut pod = pod(&[]);
    pod["metadata"]["labels"] = json!({});
    if !pod_label.is_null() {
        pod["metadata"]["labels"]["mllp-bridge.io/inject"] = pod_label.clone();
    }
    let label = namespace_label.map(|value| ("mllp-bridge.io/inject".into(), value.into()));
    let namespace = Namespace {
        name: "lab".into(),
        labels: label.into_iter().collect(),
    };
    match inject(&pod, &namespace, &Settings::default()) {
        Outcome::Skip(_) => "skip",
        Outcome::Patch { .. } => "patch",
        Outcome::Deny(_) => "deny",
    }
}

#[test]
fn the_pods_label_wins_over_its_namespaces() {
    let none = Value::Null;
    for (own, namespace, expected) in [
        (none.clone(), None, "skip"),
        (none.clone(), Some("true"), "patch"),
        (none.clone(), Some("false"), "skip"),
        (none, Some("yes"), "skip"),
        (json!("true"), None, "patch"),
        (json!("true"), Some("false"), "patch"),
        (json!("false"), Some("true"), "skip"),
        // A pod that was meant to have one must not start without.
        (json!("yes"), None, "deny"),
        (json!("True"), Some("true"), "deny"),
        (json!(""), None, "deny"),
        (json!(true), None, "deny"),
    ] {
        assert_eq!(decide(&own, namespace), expected, "{own} in {namespace:?}");
    }
}

#[test]
fn an_excluded_namespace_and_a_mirror_are_left_alone() {
    let settings = Settings {
        excluded_namespaces: vec!["kube-system".into()],
        ..Settings::default()
    };
    let namespace = Namespace {
        name: "kube-system".into(),
        ..Namespace::default()
    };
    let outcome = inject(&pod(&[]), &namespace, &settings);
    assert_eq!(
        outcome,
        Outcome::Skip("the namespace kube-system is excluded".into())
    );
    let mut mirror = pod(&[]);
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    let outcome = crate::outcome(&mirror);
    assert_eq!(
        outcome,
        Outcome::Skip("a static pod's mirror cannot be changed".into())
    );
}

#[test]
fn a_label_that_was_written_as_an_annotation_is_told() {
    let mut pod = pod(&[("inject", "true")]);
    pod["metadata"]["labels"] = json!({});
    let Outcome::Skip(why) = crate::outcome(&pod) else {
        panic!("not skipped")
    };
    assert_eq!(
        why,
        "mllp-bridge.io/inject is an annotation here, and must be a label"
    );
}
