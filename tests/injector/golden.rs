//! Patches, whole: what is in a cluster's pods changes only when somebody meant it to.

use crate::{injected, patch, pod};
use mllp_bridge::injector::patch::to_json;
use serde_json::{Value, json};

#[track_caller]
fn assert_golden(name: &str, pod: &Value) {
    let (ops, warnings) = patch(pod);
    assert_eq!(warnings, [""; 0]);
    insta::assert_snapshot!(name, format!("{:#}\n", to_json(&ops)));
}

#[test]
fn defaults() {
    assert_golden("defaults", &pod(&[]));
}

#[test]
fn every_annotation() {
    let pod = pod(&[
        ("app-port", "3000"),
        ("app-path", "/messages"),
        ("mllp-port", "2576"),
        ("admin-port", "9191"),
        ("format", "raw"),
        ("max-message-bytes", "64MiB"),
        ("max-connections", "32"),
        ("ack-deadline", "15s"),
        ("ack-unavailable", "reject"),
        ("drain-deadline", "20s"),
        ("ready-needs-app", "false"),
        ("state", "emptydir"),
        ("log-level", "debug"),
        ("log-format", "json"),
        ("image", "registry.example/mllp-bridge@sha256:0123"),
        ("image-pull-policy", "Always"),
        ("cpu-request", "50m"),
        ("memory-request", "64Mi"),
        ("cpu-limit", "1"),
        ("memory-limit", "512Mi"),
        ("app-prestop-sleep", "2s"),
    ]);
    assert_golden("every_annotation", &pod);
}

#[test]
fn a_config_map() {
    assert_golden("a_config_map", &pod(&[("config", "adt")]));
}

#[test]
fn a_pod_that_has_lists_already() {
    let mut pod = pod(&[("app-prestop-sleep", "3s"), ("drain-deadline", "90s")]);
    pod["spec"] = json!({
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 120,
        "initContainers": [{"name": "migrate", "image": "desk:1"}],
        "containers": [
            {"name": "app", "lifecycle": {"postStart": {"exec": {"command": ["true"]}}}},
            {"name": "other", "lifecycle": {"preStop": {"exec": {"command": ["true"]}}}},
        ],
        "volumes": [{"name": "data", "emptyDir": {}}],
    });
    assert_golden("a_pod_that_has_lists_already", &pod);
}

/// What Pod Security's `restricted` asks of a container that relies on nothing of the pod's.
#[test]
fn the_sidecar_is_restricted_by_itself() {
    let after = injected(&pod(&[]));
    let security = &after["spec"]["initContainers"][0]["securityContext"];
    assert_eq!(security["runAsNonRoot"], true);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    let volumes = after["spec"]["volumes"].as_array().unwrap();
    let allowed = |volume: &Value| {
        let kinds = ["configMap", "downwardAPI"];
        kinds.iter().any(|kind| !volume[*kind].is_null())
    };
    assert!(volumes.iter().all(allowed), "{volumes:?}");
}

/// The pod must start before the app does, and must not depend on names of ports.
#[test]
fn probes_do_not_wait_for_the_app_and_name_no_port() {
    let after = injected(&pod(&[("admin-port", "9999")]));
    let sidecar = &after["spec"]["initContainers"][0];
    assert_eq!(sidecar["restartPolicy"], "Always");
    for (probe, path) in [
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ] {
        assert_eq!(
            sidecar[probe]["httpGet"],
            json!({"path": path, "port": 9999}),
            "{probe}"
        );
    }
    assert_eq!(
        sidecar["lifecycle"]["preStop"]["exec"]["command"],
        json!(["/mllp-bridge", "drain", "--admin", "127.0.0.1:9999"])
    );
}

/// It comes last: what the user's own init containers prepare is there, and they need no network of ours.
#[test]
fn the_sidecar_is_the_last_init_container() {
    let mut pod = pod(&[]);
    pod["spec"]["initContainers"] = json!([{"name": "first"}, {"name": "second"}]);
    let after = injected(&pod);
    let names: Vec<_> = after["spec"]["initContainers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["first", "second", "mllp-bridge"]);
}
