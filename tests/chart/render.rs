//! What must hold for everything that is rendered, over a matrix of values and by both helms.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::helm::{RELEASE, helms, objects, parse, template};
use crate::matrix::{LISTENERS, each, matrix, rendered, values_of};
use crate::objects::{containers, kind, list, name, of_kind, only, pods, selects, text, title};

fn sorted(mut all: Vec<Value>) -> Vec<Value> {
    all.sort_by_key(|one| (title(one), text(one, "/metadata/namespace").to_owned()));
    all
}

#[test]
fn both_helms_render_the_same_and_a_second_time_too() {
    let helms = helms();
    let [four, three] = helms.as_slice() else {
        return;
    };
    for (values, yaml) in matrix() {
        let first = sorted(objects(four, &yaml));
        assert_eq!(first, sorted(objects(three, &yaml)), "{values}");
        let again = |helm: &Path| template(helm, &yaml, &["--is-upgrade"]);
        assert_eq!(again(four), template(four, &yaml, &[]), "{values}");
        assert_eq!(again(three), template(three, &yaml, &[]), "{values}");
    }
}

#[test]
fn every_pod_is_restricted() {
    each(|values, all| {
        for (pod, metadata, spec) in pods(all) {
            let pod = format!("{values}: {pod}");
            for key in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(spec.get(key).is_none(), "{pod}: {key}");
            }
            let kinds = list(spec, "/volumes").iter().flat_map(|volume| {
                let keys = volume.as_object().expect("a volume").keys();
                keys.filter(|key| *key != "name")
            });
            for kind in kinds {
                assert!(
                    ["configMap", "secret", "emptyDir"].contains(&kind.as_str()),
                    "{pod}: {kind}"
                );
            }
            let injector = text(metadata, "/labels/app.kubernetes.io~1component") == "injector";
            let token = spec["automountServiceAccountToken"].as_bool();
            assert!(token == Some(false) || injector, "{pod}: has a token");
            for container in containers(spec) {
                let at = format!("{pod}, {}", text(container, "/name"));
                let context = &container["securityContext"];
                let wanted = json!({
                    "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "readOnlyRootFilesystem": true,
                    "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
                    "seccompProfile": { "type": "RuntimeDefault" }
                });
                assert_eq!(context, &wanted, "{at}");
                assert!(
                    container.pointer("/resources/requests/cpu").is_some(),
                    "{at}"
                );
                assert!(
                    container.pointer("/resources/limits/memory").is_some(),
                    "{at}"
                );
                let image = text(container, "/image");
                assert!(
                    image.contains('@')
                        || image
                            .rsplit('/')
                            .next()
                            .is_some_and(|last| last.contains(':')),
                    "{at}: {image}"
                );
            }
        }
    });
}

#[test]
fn every_selector_finds_its_pods_and_no_others() {
    each(|values, all| {
        let pods = pods(all);
        let component = |labels: &Value| text(labels, "/app.kubernetes.io~1component").to_owned();
        for object in all {
            let selector = match kind(object) {
                "Service" => &object["spec"]["selector"],
                "Deployment" | "PodDisruptionBudget" => &object["spec"]["selector"]["matchLabels"],
                "NetworkPolicy" => &object["spec"]["podSelector"]["matchLabels"],
                _ => continue,
            };
            let found: BTreeSet<_> = pods
                .iter()
                .filter(|(_, metadata, _)| selects(selector, &metadata["labels"]))
                .map(|(_, metadata, _)| component(&metadata["labels"]))
                .collect();
            let own = component(&object["metadata"]["labels"]);
            assert_eq!(found, BTreeSet::from([own]), "{values}: {}", title(object));
        }
        for monitor in of_kind(all, "ServiceMonitor") {
            let selector = &monitor["spec"]["selector"]["matchLabels"];
            let services = of_kind(all, "Service");
            assert!(
                services
                    .iter()
                    .any(|one| selects(selector, &one["metadata"]["labels"])),
                "{values}"
            );
        }
    });
}

#[test]
fn every_port_is_a_number_that_a_container_opens() {
    each(|values, all| {
        let opened: BTreeSet<u64> = pods(all)
            .iter()
            .flat_map(|(_, _, spec)| containers(spec))
            .flat_map(|container| list(container, "/ports"))
            .filter_map(|port| port["containerPort"].as_u64())
            .collect();
        for service in of_kind(all, "Service") {
            for port in list(service, "/spec/ports") {
                let target = port["targetPort"].as_u64().expect("a numeric target port");
                assert!(opened.contains(&target), "{values}: {target}");
            }
        }
        for policy in of_kind(all, "NetworkPolicy") {
            for port in list(policy, "/spec/ingress")
                .iter()
                .flat_map(|rule| list(rule, "/ports"))
            {
                let port = port["port"].as_u64().expect("a number");
                assert!(opened.contains(&port), "{values}: {port}");
            }
        }
        for (pod, _, spec) in pods(all) {
            for container in containers(spec) {
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    let Some(probe) = container.get(probe) else {
                        continue;
                    };
                    let port = probe["httpGet"]["port"].as_u64();
                    assert!(
                        port.is_some_and(|port| opened.contains(&port)),
                        "{values}: {pod}"
                    );
                }
                let startup = text(container, "/startupProbe/httpGet/path");
                assert!(
                    startup != "/readyz",
                    "{pod}: a start must depend on nothing else"
                );
            }
        }
    });
}

#[test]
fn a_role_names_each_object_and_has_no_wildcard() {
    each(|values, all| {
        for role in all
            .iter()
            .filter(|one| ["Role", "ClusterRole"].contains(&kind(one)))
        {
            for rule in list(role, "/rules") {
                assert!(!rule.to_string().contains('*'), "{values}: {rule}");
                assert_eq!(list(rule, "/resourceNames").len(), 1, "{values}: {rule}");
                assert_eq!(list(rule, "/resources").len(), 1, "{values}: {rule}");
                assert!(
                    !list(rule, "/verbs").iter().any(|verb| verb == "delete"),
                    "{values}: {rule}"
                );
            }
        }
        for binding in all.iter().filter(|one| kind(one).ends_with("RoleBinding")) {
            let role = (
                text(binding, "/roleRef/kind"),
                text(binding, "/roleRef/name"),
            );
            assert!(
                all.iter().any(|one| (kind(one), name(one)) == role),
                "{values}: {role:?}"
            );
            let account = text(binding, "/subjects/0/name");
            assert!(
                of_kind(all, "ServiceAccount")
                    .iter()
                    .any(|one| name(one) == account),
                "{values}: {account}"
            );
        }
    });
}

#[test]
fn names_refer_to_what_is_there() {
    each(|values, all| {
        let there = |wanted: &str, named: &str, namespace: &str| {
            of_kind(all, wanted)
                .iter()
                .any(|one| name(one) == named && text(one, "/metadata/namespace") == namespace)
        };
        for (pod, metadata, spec) in pods(all) {
            let namespace = match text(metadata, "/namespace") {
                "" => RELEASE,
                namespace => namespace,
            };
            for volume in list(spec, "/volumes") {
                let config = text(volume, "/configMap/name");
                assert!(
                    config.is_empty() || there("ConfigMap", config, namespace),
                    "{values}: {pod}: {config}"
                );
                let mounted = containers(spec).flat_map(|one| list(one, "/volumeMounts"));
                assert!(
                    mounted.into_iter().any(|one| one["name"] == volume["name"]),
                    "{values}: {pod}: {volume}"
                );
            }
            let account = text(spec, "/serviceAccountName");
            assert!(
                account.is_empty() || there("ServiceAccount", account, namespace),
                "{values}: {pod}: {account}"
            );
        }
        for webhook in of_kind(all, "MutatingWebhookConfiguration")
            .iter()
            .flat_map(|one| list(one, "/webhooks"))
        {
            let service = text(webhook, "/clientConfig/service/name");
            assert!(there("Service", service, RELEASE), "{values}: {service}");
        }
        for binding in of_kind(all, "ValidatingAdmissionPolicyBinding") {
            assert!(
                there(
                    "ValidatingAdmissionPolicy",
                    text(binding, "/spec/policyName"),
                    ""
                ),
                "{values}"
            );
        }
    });
}

#[test]
fn everything_is_labelled_and_short_enough() {
    let long = "a".repeat(53);
    for helm in helms() {
        let text_of = template(&helm, &format!("fullnameOverride: {long}"), &[]).expect("rendered");
        for object in parse(&text_of) {
            assert!(name(&object).len() <= 80 && !name(&object).is_empty());
            if kind(&object) == "Service" {
                assert!(name(&object).len() <= 63);
            }
        }
        for object in objects(&helm, &values_of("all")) {
            if name(&object).ends_with("-extra") {
                continue;
            }
            let labels = &object["metadata"]["labels"];
            assert_eq!(labels["team"], "integration", "{}", title(&object));
            assert_eq!(
                object["metadata"]["annotations"]["owner"],
                "it@hospital.example",
                "{}",
                title(&object)
            );
            assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm");
        }
    }
}

#[test]
fn a_changed_value_restarts_the_pods() {
    for helm in helms() {
        let sum = |values: &str| {
            let all = objects(&helm, values);
            text(
                only(&all, "Deployment"),
                "/spec/template/metadata/annotations/checksum~1config",
            )
            .to_owned()
        };
        assert_eq!(sum(""), sum("injector: { replicas: 3 }"));
        assert_ne!(sum(""), sum("sidecar: { memoryLimit: 256Mi }"));
        assert_ne!(sum(LISTENERS), sum(&LISTENERS.replace("20s", "21s")));
    }
}

#[test]
fn a_budget_never_blocks_a_single_replica() {
    for all in rendered("single") {
        assert!(of_kind(all, "PodDisruptionBudget").is_empty());
        assert!(of_kind(all, "ValidatingAdmissionPolicy").is_empty());
        assert!(of_kind(all, "Pod").is_empty(), "no test");
    }
}
