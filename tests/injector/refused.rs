//! Pods that cannot have a sidecar, and what they are told.

use crate::{injected, outcome, patch, pod, reasons};
use mllp_bridge::injector::Outcome;
use serde_json::{Value, json};

#[test]
fn ports_that_clash() {
    let mut taken = pod(&[]);
    taken["spec"]["containers"][0]["ports"] =
        json!([{"containerPort": 2575}, {"containerPort": 2575}]);
    taken["spec"]["initContainers"] = json!([{"name": "init", "ports": [{"containerPort": 9090}]}]);
    assert_eq!(
        reasons(&taken),
        [
            "mllp-bridge.io/mllp-port: 2575 is a port of the container app",
            "mllp-bridge.io/admin-port: 9090 is a port of the container init",
        ]
    );
    taken["spec"]["containers"][0]["ports"] = json!([{"containerPort": 2575, "protocol": "UDP"}]);
    taken["spec"]["initContainers"] = Value::Null;
    patch(&taken);
    assert_eq!(
        reasons(&pod(&[("mllp-port", "7000"), ("admin-port", "7000")])),
        ["mllp-bridge.io/admin-port: 7000 is mllp-port already"]
    );
}

#[test]
fn a_drain_that_outlasts_the_pod() {
    let mut short = pod(&[]);
    short["spec"]["terminationGracePeriodSeconds"] = 26.into();
    assert_eq!(
        reasons(&short),
        [
            "mllp-bridge.io/drain-deadline: 25s and 2s for the end itself are longer than \
             terminationGracePeriodSeconds, which is 26"
        ]
    );
    short["spec"]["terminationGracePeriodSeconds"] = 27.into();
    patch(&short);
    let long = pod(&[("drain-deadline", "5m"), ("app-prestop-sleep", "30s")]);
    let told = reasons(&long);
    assert!(
        told[0].contains("5m and 2s") && told[0].ends_with("which is 30"),
        "{told:?}"
    );
    assert_eq!(
        told[1],
        "mllp-bridge.io/app-prestop-sleep: 30s is not shorter than terminationGracePeriodSeconds, which is 30"
    );
}

#[test]
fn an_ack_that_outlasts_the_drain_is_warned_of() {
    let (_, warnings) = patch(&pod(&[("drain-deadline", "10s")]));
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("25s") && warnings[0].contains("10s"),
        "{warnings:?}"
    );
}

#[test]
fn a_file_whose_deadline_is_not_known_is_warned_of_where_time_is_short() {
    let mut pod = pod(&[("config", "adt")]);
    assert_eq!(patch(&pod).1, [""; 0]);
    pod["spec"]["terminationGracePeriodSeconds"] = 10.into();
    assert!(patch(&pod).1[0].contains("which is 10"));
}

#[test]
fn pods_of_a_kind_that_cannot_have_one() {
    let mut pod = pod(&[]);
    pod["spec"]["hostNetwork"] = true.into();
    pod["spec"]["os"] = json!({"name": "windows"});
    let told = reasons(&pod);
    assert!(told[0].starts_with("spec.hostNetwork: "), "{told:?}");
    assert!(told[1].starts_with("spec.os.name: "), "{told:?}");
}

#[test]
fn a_container_or_a_volume_of_the_sidecars_name() {
    let mut pod = pod(&[("config", "adt")]);
    pod["spec"]["containers"][0]["name"] = "mllp-bridge".into();
    pod["spec"]["volumes"] = json!([{"name": "mllp-bridge-config", "emptyDir": {}}]);
    let told = reasons(&pod);
    assert!(
        told[0].starts_with("spec.containers[0].name: mllp-bridge is"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("spec.volumes: mllp-bridge-config is"),
        "{told:?}"
    );
}

#[test]
fn values_that_yaml_took_for_something_else() {
    let mut pod = pod(&[]);
    pod["metadata"]["annotations"] =
        json!({"mllp-bridge.io/app-port": 8080, "mllp-bridge.io/format": null});
    assert_eq!(
        reasons(&pod),
        [
            "mllp-bridge.io/app-port: 8080 is not text: write \"8080\", in quotes",
            "mllp-bridge.io/format: has no value; remove it, or give it one",
        ]
    );
}

#[test]
fn everything_at_once() {
    let mut pod = pod(&[("app-port", "x"), ("fromat", "raw"), ("log-level", "loud")]);
    pod["spec"]["hostNetwork"] = true.into();
    pod["spec"]["terminationGracePeriodSeconds"] = 1.into();
    let fields: Vec<String> = reasons(&pod)
        .iter()
        .map(|reason| reason.split(": ").next().unwrap().to_owned())
        .collect();
    assert_eq!(
        fields,
        [
            "mllp-bridge.io/fromat",
            "mllp-bridge.io/app-port",
            "mllp-bridge.io/log-level",
            "spec.hostNetwork",
        ],
        "the deadline cannot be compared while the settings cannot be read"
    );
}

#[test]
fn an_annotation_copied_without_its_container_does_not_count() {
    let mut pod = injected(&pod(&[]));
    pod["spec"]["initContainers"] = json!([]);
    let again = injected(&pod);
    assert_eq!(again["spec"]["initContainers"][0]["name"], "mllp-bridge");
    let volumes = again["spec"]["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 1, "the volume is there already: {volumes:?}");
}

/// Other webhooks may add to a pod after this one, and then it is asked again.
#[test]
fn asked_again_about_a_pod_that_others_have_changed_it_does_nothing() {
    let mut pod = injected(&pod(&[("app-prestop-sleep", "1s")]));
    pod["spec"]["initContainers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "mesh"}));
    pod["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "late"}));
    let sidecar = &mut pod["spec"]["initContainers"][0];
    sidecar["volumeMounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "x", "mountPath": "/x"}));
    assert_eq!(outcome(&pod), Outcome::Skip("already injected".into()));
}

#[test]
fn another_container_with_a_port_of_the_same_name_is_warned_of() {
    let mut pod = pod(&[]);
    pod["spec"]["containers"][0]["ports"] = json!([{"name": "mllp", "containerPort": 7000}]);
    let (_, warnings) = patch(&pod);
    assert!(
        warnings[0].starts_with("the container app has a port called mllp"),
        "{warnings:?}"
    );
}
