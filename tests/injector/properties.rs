//! What holds for every pod and every annotation.

use crate::{outcome, pod};
use mllp_bridge::config::{Source, load};
use mllp_bridge::injector::annotation::ANNOTATIONS;
use mllp_bridge::injector::patch::{Add, apply};
use mllp_bridge::injector::{Namespace, Outcome, Settings, inject};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// Any JSON, not deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-z~/.]{1,8}", inner), 0..3)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Values that are likely to be right, and likely to be nearly so.
fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "8080",
            "2575",
            "9090",
            "0",
            "70000",
            "/hl7",
            "/a b",
            "http://app/x",
            "https://u:p@h/",
            "raw",
            "cloudevents",
            "10s",
            "25s",
            "1h",
            "0s",
            "1500ms",
            "16MiB",
            "1KiB",
            "true",
            "false",
            "info",
            "json",
            "Always",
            "100m",
            "1",
            "64Mi",
            "2Gi",
            "error",
            "close",
            "adt",
            "a.b-c",
            "null",
            "~",
            "'10s'",
            "$(HOME)",
            "",
            " ",
            "off",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,12}",
        any::<String>(),
    ]
}

fn any_annotations() -> impl Strategy<Value = Vec<(String, String)>> {
    let known: Vec<&'static str> = ANNOTATIONS.iter().map(|one| one.name).collect();
    let name = prop_oneof![
        8 => select(known).prop_map(str::to_owned),
        1 => "[a-z-]{1,12}",
    ];
    prop::collection::vec((name, any_value()), 0..5)
}

/// A pod with any annotations of ours, and with fields that nobody knows anywhere.
fn any_pod() -> impl Strategy<Value = Value> {
    let unknown = || prop::collection::vec(("x[a-zA-Z~/]{1,6}", any_json()), 0..3);
    let parts = (
        any_annotations(),
        unknown(),
        unknown(),
        unknown(),
        unknown(),
        any::<[bool; 4]>(),
        prop_oneof![Just(None), (20_i64..200).prop_map(Some)],
    );
    parts.prop_map(|(annotations, a, b, c, d, has, grace)| {
        let given: Vec<(&str, &str)> = annotations
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let mut pod = pod(&given);
        let add = |target: &mut Value, fields: Vec<(String, Value)>| {
            if let Some(map) = target.as_object_mut() {
                map.extend(fields);
            }
        };
        if has[0] {
            pod["spec"]["initContainers"] = json!([{"name": "init"}]);
        }
        if has[1] {
            pod["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
        }
        if has[2] {
            pod["spec"]["containers"][0]["lifecycle"] = json!({"postStart": {}});
        }
        if has[3] {
            pod["spec"]["automountServiceAccountToken"] = false.into();
        }
        if let Some(grace) = grace {
            pod["spec"]["terminationGracePeriodSeconds"] = grace.into();
        }
        add(&mut pod, a);
        add(&mut pod["metadata"], b);
        add(&mut pod["spec"], c);
        add(&mut pod["spec"]["containers"][0], d);
        pod
    })
}

/// The pod without what the injector is documented to add.
fn without(mut pod: Value, ops: &[Add]) -> Value {
    for op in ops.iter().rev() {
        let (last, parents) = op.path.split_last().unwrap();
        let parent = parents.iter().fold(&mut pod, |node, step| match node {
            Value::Array(list) => &mut list[step.parse::<usize>().unwrap()],
            node => &mut node[step.as_str()],
        });
        match parent {
            Value::Array(list) => {
                list.pop();
            }
            node => {
                node.as_object_mut().unwrap().shift_remove(last);
            }
        }
    }
    pod
}

const PLACES: &[&str] = &[
    "/spec/initContainers",
    "/spec/initContainers/-",
    "/spec/volumes",
    "/spec/volumes/-",
    "/spec/containers/0/lifecycle",
    "/spec/containers/0/lifecycle/preStop",
    "/metadata/annotations",
    "/metadata/annotations/mllp-bridge.io~1status",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// inject ∘ inject = inject.
    #[test]
    fn twice_is_once(pod in any_pod()) {
        if let Outcome::Patch { ops, .. } = outcome(&pod) {
            let mut after = pod.clone();
            prop_assert_eq!(apply(&mut after, &ops), Ok(()));
            prop_assert_eq!(outcome(&after), Outcome::Skip("already injected".into()));
        }
    }

    /// Only documented places are added to, and everything else stays, known or not.
    #[test]
    fn nothing_else_changes(pod in any_pod()) {
        if let Outcome::Patch { ops, .. } = outcome(&pod) {
            for op in &ops {
                prop_assert!(PLACES.contains(&op.pointer().as_str()), "{}", op.pointer());
            }
            let mut after = pod.clone();
            prop_assert_eq!(apply(&mut after, &ops), Ok(()));
            prop_assert_eq!(without(after, &ops), pod);
        }
    }

    /// Whatever an annotation says, there is a patch or a refusal that names it.
    #[test]
    fn any_annotation_is_taken_or_refused(annotations in any_annotations()) {
        let given: Vec<_> = annotations.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        match outcome(&pod(&given)) {
            Outcome::Patch { .. } => {}
            Outcome::Deny(errors) => {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    prop_assert!(error.field.starts_with("mllp-bridge.io/"), "{error}");
                }
            }
            Outcome::Skip(why) => prop_assert!(false, "skipped: {}", why),
        }
    }

    /// A sidecar that is stamped starts: its variables are a configuration.
    #[test]
    fn what_is_stamped_can_run(annotations in any_annotations()) {
        let given: Vec<_> = annotations
            .iter()
            .filter(|(name, _)| name != "config")
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        if let Outcome::Patch { ops, .. } = outcome(&pod(&given)) {
            let env = ops[0].value[0]["env"].as_array().unwrap().iter().map(|one| {
                let text = |key: &str| one[key].as_str().unwrap().to_owned();
                // As the kubelet reads it.
                (text("name"), text("value").replace("$$", "$"))
            });
            let loaded = load(&Source::new().env(env));
            prop_assert!(loaded.is_ok(), "{loaded:?}");
        }
    }

    /// Any JSON at all in the place of a pod.
    #[test]
    fn any_json_is_decided_about(value in any_json(), key in select(vec!["metadata", "spec"])) {
        let mut labels = Map::new();
        labels.insert("mllp-bridge.io/inject".into(), "true".into());
        let namespace = Namespace {
            name: "lab".into(),
            labels: [("mllp-bridge.io/inject".to_owned(), "true".to_owned())].into(),
        };
        for pod in [value.clone(), json!({key: value}), json!({"metadata": {"labels": labels}, "spec": value})] {
            if let Outcome::Patch { ops, .. } = inject(&pod, &namespace, &Settings::default()) {
                prop_assert_eq!(apply(&mut pod.clone(), &ops), Ok(()));
            }
        }
    }
}
