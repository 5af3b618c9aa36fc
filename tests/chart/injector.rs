//! What the chart installs for the injector: webhook, rights, settings, policy.

use mllp_bridge::injector::annotation::ANNOTATIONS;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::helm::{RELEASE, helms, objects, parse, read, template};
use crate::matrix::{each, rendered};
use crate::objects::{kind, list, name, of_kind, only, text};

#[test]
fn the_rights_of_the_injector_are_these() {
    for all in rendered("default") {
        let rights: Vec<_> = all
            .iter()
            .filter(|one| ["Role", "ClusterRole"].contains(&kind(one)))
            .flat_map(|role| list(role, "/rules"))
            .map(|rule| {
                let words = |key: &str| {
                    let all = list(rule, key).iter().filter_map(Value::as_str);
                    all.collect::<Vec<_>>().join(",")
                };
                format!(
                    "{} {}: {}",
                    words("/resources"),
                    words("/resourceNames"),
                    words("/verbs")
                )
            })
            .collect();
        let mut rights = rights;
        rights.sort();
        assert_eq!(
            rights,
            [
                "leases mllp-bridge-injector: get,create,update,patch",
                "mutatingwebhookconfigurations mllp-bridge-injector: get,list,watch,patch",
                "secrets mllp-bridge-injector-ca: get,create,update,patch",
            ]
        );
    }
    for all in rendered("cert-manager, issuer") {
        assert!(of_kind(all, "ClusterRole").is_empty() && of_kind(all, "Role").is_empty());
        let deployment = only(all, "Deployment");
        assert_eq!(
            deployment.pointer("/spec/template/spec/automountServiceAccountToken"),
            Some(&json!(false))
        );
        assert_eq!(
            only(all, "NetworkPolicy").pointer("/spec/egress"),
            Some(&json!([]))
        );
    }
}

#[test]
fn what_the_injector_writes_is_not_in_the_chart() {
    for (values, bundle) in [
        ("default", false),
        ("cert-manager", false),
        ("secret", false),
        ("secret, bundle", true),
    ] {
        for all in rendered(values) {
            for webhook in list(only(all, "MutatingWebhookConfiguration"), "/webhooks") {
                let client = webhook["clientConfig"].as_object().expect("a client");
                assert_eq!(client.contains_key("caBundle"), bundle, "{values}");
            }
        }
    }
    for all in rendered("default") {
        let keys = |value: &Value| {
            value
                .as_object()
                .expect("an object")
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(
            keys(only(all, "Secret")),
            ["apiVersion", "kind", "metadata", "type"]
        );
        assert_eq!(keys(only(all, "Lease")), ["apiVersion", "kind", "metadata"]);
    }
}

/// Whether a selector with expressions takes labels.
fn takes(selector: &Value, labels: &Value) -> bool {
    list(selector, "/matchExpressions").iter().all(|one| {
        let value = labels.get(text(one, "/key"));
        let listed = value.is_some_and(|value| list(one, "/values").contains(value));
        match text(one, "/operator") {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            other => panic!("operator {other}"),
        }
    })
}

#[test]
fn a_pod_is_sent_to_at_most_one_webhook_and_to_none_in_excluded_namespaces() {
    each(|values, all| {
        for configuration in of_kind(all, "MutatingWebhookConfiguration") {
            for webhook in list(configuration, "/webhooks") {
                assert_eq!(webhook["sideEffects"], "None", "{values}");
                assert_eq!(webhook["failurePolicy"], "Fail", "{values}");
                assert_eq!(webhook["timeoutSeconds"], 5, "{values}");
                assert_eq!(webhook["reinvocationPolicy"], "IfNeeded", "{values}");
                let rules = json!([{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "Namespaced" }]);
                assert_eq!(webhook["rules"], rules, "{values}");
            }
            let sent = |namespace: &str, label: Option<&str>, pod: Option<&str>| {
                let mut labels = json!({ "kubernetes.io/metadata.name": namespace });
                if let Some(label) = label {
                    labels["mllp-bridge.io/inject"] = json!(label);
                }
                let pod = pod.map_or(json!({}), |pod| json!({ "mllp-bridge.io/inject": pod }));
                let webhooks = list(configuration, "/webhooks").iter();
                let names = webhooks
                    .filter(|one| {
                        takes(&one["namespaceSelector"], &labels)
                            && takes(&one["objectSelector"], &pod)
                    })
                    .map(|one| text(one, "/name"));
                names.collect::<Vec<_>>()
            };
            let (by_pod, by_namespace) = (
                vec!["inject.mllp-bridge.io"],
                vec!["inject-namespace.mllp-bridge.io"],
            );
            let none: Vec<&str> = vec![];
            assert_eq!(sent("app", None, Some("true")), by_pod);
            assert_eq!(
                sent("app", None, Some("yes")),
                by_pod,
                "so that it is refused"
            );
            assert_eq!(sent("app", Some("true"), Some("true")), by_pod);
            assert_eq!(sent("app", Some("true"), None), by_namespace);
            assert_eq!(sent("app", Some("true"), Some("false")), none);
            assert_eq!(sent("app", Some("false"), Some("true")), by_pod);
            assert_eq!(sent("app", None, None), none);
            for excluded in ["kube-system", RELEASE] {
                assert_eq!(sent(excluded, Some("true"), Some("true")), none);
                assert_eq!(sent(excluded, Some("true"), None), none);
            }
            if values.ends_with("all") {
                assert_eq!(sent("monitoring", None, Some("true")), none);
            }
        }
    });
}

#[test]
fn the_injector_is_told_what_the_values_say() {
    let config = |all: &[Value]| {
        let maps = of_kind(all, "ConfigMap");
        let map = maps
            .iter()
            .find(|one| name(one) == "mllp-bridge-injector")
            .expect("its ConfigMap");
        parse(text(map, "/data/injector.yaml")).remove(0)
    };
    for all in rendered("default") {
        assert_eq!(
            config(all),
            json!({
                "webhook": { "bind": "0.0.0.0:8443" }, "admin": { "bind": "0.0.0.0:9090" },
                "certificates": { "mode": "auto", "service": "mllp-bridge-injector", "ca_secret": "mllp-bridge-injector-ca",
                    "lease": "mllp-bridge-injector", "ca_validity": "365d", "leaf_validity": "7d", "check_interval": "10s",
                    "webhook_configuration": "mllp-bridge-injector" },
                "sidecar": { "image": "mllp-bridge:0.1.0", "image_pull_policy": "IfNotPresent", "cpu_request": "10m",
                    "memory_request": "16Mi", "memory_limit": "128Mi" },
                "excluded_namespaces": ["kube-system", "mllp-bridge"], "log": { "level": "info", "format": "json" }
            })
        );
    }
    for all in rendered("all") {
        let config = config(all);
        assert_eq!(config["sidecar"]["image"], "registry.example/mllp-bridge:1");
        assert_eq!(config["sidecar"]["defaults"], json!({ "app-port": "3000" }));
        assert_eq!(config["webhook"]["bind"], "0.0.0.0:10250");
    }
    for all in rendered("cert-manager, issuer") {
        assert_eq!(
            config(all)["certificates"],
            json!({ "mode": "files", "directory": "/certs", "check_interval": "10s" })
        );
    }
    for all in rendered("digest") {
        let image = format!(
            "registry.example:5000/hl7/mllp-bridge@sha256:{}",
            "0".repeat(64)
        );
        assert_eq!(config(all)["sidecar"]["image"], image);
        assert_eq!(
            only(all, "Deployment").pointer("/spec/template/spec/containers/0/image"),
            Some(&json!(image))
        );
    }
}

#[test]
fn clusters_without_the_policy_api_or_the_operator_are_served() {
    for helm in helms() {
        let old = parse(&template(&helm, "", &["--kube-version", "1.29.4"]).expect("rendered"));
        assert!(of_kind(&old, "ValidatingAdmissionPolicy").is_empty());
        assert!(
            !old.iter()
                .any(|one| text(one, "/apiVersion").starts_with("monitoring."))
        );
        let new = objects(&helm, "");
        assert_eq!(of_kind(&new, "ValidatingAdmissionPolicy").len(), 1);
    }
}

/// The annotations that the policy, the schema's `sidecar.defaults` and the injector know are the same.
#[test]
fn the_policy_knows_the_annotations_that_the_values_know() {
    let schema: Value =
        serde_json::from_str(&read("charts/mllp-bridge/values.schema.json")).expect("JSON");
    let known = schema
        .pointer("/properties/sidecar/properties/defaults/properties")
        .expect("the annotations");
    let mut known: BTreeSet<String> = known
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    assert!(known.len() > 15);
    // Those that have values of their own, and the one that the injector sets.
    let own = "image image-pull-policy cpu-request memory-request cpu-limit memory-limit status";
    known.extend(own.split(' ').map(str::to_owned));
    let injector = ANNOTATIONS.iter().map(|one| one.name.to_owned());
    let injector: BTreeSet<String> = injector.chain(["status".to_owned()]).collect();
    assert_eq!(known, injector, "the values' and the injector's own");
    for all in rendered("default") {
        let policy = only(all, "ValidatingAdmissionPolicy").to_string();
        let named: BTreeSet<String> = policy
            .split("'mllp-bridge.io/")
            .skip(1)
            .map(|rest| rest.split('\'').next().unwrap_or_default().to_owned())
            .filter(|name| !name.is_empty() && name != "inject")
            // The others are messages.
            .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
            .collect();
        assert_eq!(named, known);
    }
}
