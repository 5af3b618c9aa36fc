//! What must hold for everything that is rendered, over a matrix of values and by both helms.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use mllp_bridge::config::{Source, load};
use serde_json::{Value, json};

use crate::helm::{RELEASE, helms, objects, parse, read, template};
use crate::objects::{containers, kind, list, name, of_kind, only, pods, selects, text, title};

const MONITORING: &str = "monitoring: { podMonitor: { enabled: true, interval: 15s }, serviceMonitor: { enabled: true }, \
    rules: { enabled: true }, dashboards: { enabled: true, annotations: { grafana_folder: HL7 } }, labels: { release: prometheus } }\n";
const LISTENERS: &str = "mode: gateway\ngateway: { listeners: [{ name: adt, port: 2575, url: 'http://app.default.svc/hl7', settings: \
    { ack: { deadline: 20s } } }, { name: oru, port: 2576, url: 'http://app.default.svc/oru' }] }\n";
const PRIVATE: &str = "loadBalancerSourceRanges: [10.1.0.0/16, 'fd00::/8']";

/// Values to render, by a name.
fn matrix() -> Vec<(&'static str, String)> {
    let gateway = |more: &str| format!("{LISTENERS}{more}");
    vec![
        ("default", String::new()),
        ("ha", read("charts/mllp-bridge/values-ha.yaml")),
        ("all", format!(
            "{MONITORING}networkPolicy: {{ enabled: true, apiServerCidrs: [10.0.0.1/32] }}\n\
             commonLabels: {{ team: integration }}\ncommonAnnotations: {{ owner: it@hospital.example }}\n\
             imagePullSecrets: [{{ name: pull }}]\nwebhook: {{ port: 10250, excludedNamespaces: [monitoring] }}\n\
             injector: {{ priorityClassName: system-cluster-critical, nodeSelector: {{ disk: ssd }}, \
             tolerations: [{{ key: a, operator: Exists }}], podLabels: {{ tier: hl7 }}, podAnnotations: {{ a: b }} }}\n\
             sidecar: {{ image: 'registry.example/mllp-bridge:1', cpuLimit: 500m, defaults: {{ app-port: '3000' }} }}\n\
             extraObjects: [{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: '{{{{ .Release.Name }}}}-extra' }} }}]\n"
        )),
        ("single", "injector: { replicas: 1 }\nhelmTest: { enabled: false }\npolicy: { enabled: false }\n".into()),
        ("digest", format!("image: {{ registry: 'registry.example:5000', repository: hl7/mllp-bridge, digest: 'sha256:{}' }}\n", "0".repeat(64))),
        ("cert-manager", format!("{MONITORING}certificates: {{ mode: cert-manager }}\n")),
        ("cert-manager, issuer", "certificates: { mode: cert-manager, checkBundle: false, certManager: { issuerRef: { name: ca, kind: ClusterIssuer } } }\nnetworkPolicy: { enabled: true }\n".into()),
        ("secret", "certificates: { mode: secret, secret: { name: tls } }\nhelmTest: { namespace: elsewhere }\n".into()),
        ("secret, bundle", "certificates: { mode: secret, secret: { name: tls, caBundle: \"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n\" } }\n".into()),
        ("gateway", gateway(MONITORING)),
        ("gateway, policies", gateway("networkPolicy: { enabled: true, ehrCidrs: [10.1.0.0/16], healthCheckCidrs: [10.9.0.0/24], egressTo: [{ namespaceSelector: { matchLabels: { a: b } } }] }\n\
             helmTest: { gatewayMessage: \"MSH|^~\\\\&|A|B|C|D|1||ADT^A01|1|T|2.5\\r\" }\n")),
        ("gateway, aws", gateway(&format!("exposure: {{ type: LoadBalancer, cloud: aws, {PRIVATE}, idleTimeoutSeconds: 3600, subnets: [subnet-1, subnet-2] }}\n"))),
        ("gateway, azure", gateway(&format!("exposure: {{ type: LoadBalancer, cloud: azure, {PRIVATE}, idleTimeoutSeconds: 1800, loadBalancerIP: 10.2.0.9 }}\n"))),
        ("gateway, gcp", gateway(&format!("exposure: {{ type: LoadBalancer, cloud: gcp, {PRIVATE}, globalAccess: true, loadBalancerIP: 10.2.0.9 }}\n"))),
    ]
}

/// One rendering of the matrix.
struct Rendering {
    helm: String,
    values: &'static str,
    all: Vec<Value>,
}

/// Every rendering, made once.
fn renderings() -> &'static [Rendering] {
    static MADE: OnceLock<Vec<Rendering>> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut made = Vec::new();
        for program in helms() {
            for (values, yaml) in matrix() {
                let helm = program.file_name().expect("a name").display().to_string();
                let all = objects(&program, &yaml);
                assert!(all.len() > 3, "{helm}, {values}: only {}", all.len());
                made.push(Rendering { helm, values, all });
            }
        }
        made
    })
}

/// Calls a check with each rendering.
fn each(check: impl Fn(&str, &[Value])) {
    for one in renderings() {
        check(&format!("{}, {}", one.helm, one.values), &one.all);
    }
}

/// The values of one row.
fn values_of(name: &str) -> String {
    let found = matrix().into_iter().find(|(one, _)| *one == name);
    found.expect("values of this name").1
}

/// One rendering by each helm.
fn rendered(name: &str) -> Vec<&'static [Value]> {
    let made = renderings().iter().filter(|one| one.values == name);
    let found: Vec<_> = made.map(|one| one.all.as_slice()).collect();
    assert_eq!(found.len(), helms().len(), "{name}");
    found
}

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
                    ["configMap", "secret"].contains(&kind.as_str()),
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
                    "lease": "mllp-bridge-injector", "ca_validity": "365d", "leaf_validity": "7d",
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
            json!({ "mode": "files", "directory": "/certs" })
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
fn the_gateways_configuration_loads_and_its_drain_fits_into_the_grace_period() {
    each(|values, all| {
        for map in of_kind(all, "ConfigMap") {
            let yaml = text(map, "/data/config.yaml");
            let loaded = load(&Source::new().text(yaml));
            if let (false, Err(errors)) = (yaml.is_empty(), loaded) {
                panic!("{values}: {}: {errors}", title(map));
            }
        }
        for deployment in of_kind(all, "Deployment") {
            let spec = &deployment["spec"]["template"]["spec"];
            let grace = spec["terminationGracePeriodSeconds"]
                .as_u64()
                .expect("a number");
            let command = list(spec, "/containers/0/lifecycle/preStop/exec/command");
            if let Some(timeout) = command.last().and_then(Value::as_str) {
                assert!(timeout.parse::<u64>().expect("seconds") < grace, "{values}");
            }
        }
    });
}

#[test]
fn load_balancers_are_private_and_keep_the_senders_address() {
    let service = |values: &str| -> Vec<Value> {
        rendered(values)
            .iter()
            .map(|all| only(all, "Service").clone())
            .collect()
    };
    for cloud in ["aws", "azure", "gcp"] {
        for one in service(&format!("gateway, {cloud}")) {
            assert_eq!(one["spec"]["externalTrafficPolicy"], "Local", "{cloud}");
            assert_eq!(
                list(&one, "/spec/loadBalancerSourceRanges").len(),
                2,
                "{cloud}"
            );
            let annotations = one["metadata"]["annotations"]
                .as_object()
                .expect("annotations");
            assert!(annotations.values().all(Value::is_string), "{cloud}");
            let has = |key: &str, value: &str| {
                assert_eq!(
                    annotations.get(key).and_then(Value::as_str),
                    Some(value),
                    "{cloud}: {key}"
                );
            };
            match cloud {
                "aws" => {
                    let key =
                        |end: &str| format!("service.beta.kubernetes.io/aws-load-balancer-{end}");
                    has(&key("type"), "external");
                    has(&key("scheme"), "internal");
                    has(&key("nlb-target-type"), "ip");
                    has(
                        &key("target-group-attributes"),
                        "preserve_client_ip.enabled=true",
                    );
                    has(
                        &key("listener-attributes.TCP-2576"),
                        "tcp.idle_timeout.seconds=3600",
                    );
                    has(&key("healthcheck-port"), "9090");
                    has(&key("subnets"), "subnet-1,subnet-2");
                }
                "azure" => {
                    let key = |end: &str| format!("service.beta.kubernetes.io/azure-{end}");
                    has(&key("load-balancer-internal"), "true");
                    has(&key("deny-all-except-load-balancer-source-ranges"), "true");
                    has(&key("load-balancer-tcp-idle-timeout"), "30");
                    has(&key("load-balancer-ipv4"), "10.2.0.9");
                }
                _ => {
                    has("networking.gke.io/load-balancer-type", "Internal");
                    has(
                        "networking.gke.io/internal-load-balancer-allow-global-access",
                        "true",
                    );
                    assert_eq!(one["spec"]["loadBalancerIP"], "10.2.0.9");
                }
            }
        }
    }
}

#[test]
fn network_policies_let_the_api_server_in_and_the_hospital_only() {
    for all in rendered("all") {
        let policy = only(all, "NetworkPolicy");
        let webhook = &list(policy, "/spec/ingress")[0];
        assert_eq!(
            webhook["ports"],
            json!([{ "port": 10250, "protocol": "TCP" }])
        );
        assert_eq!(
            webhook["from"],
            json!([{ "ipBlock": { "cidr": "10.0.0.1/32" } }])
        );
    }
    for all in rendered("cert-manager, issuer") {
        let webhook = &list(only(all, "NetworkPolicy"), "/spec/ingress")[0];
        assert!(
            webhook.get("from").is_none(),
            "open where nobody says who the API server is"
        );
    }
    for all in rendered("gateway, policies") {
        let policy = only(all, "NetworkPolicy");
        let mllp = &list(policy, "/spec/ingress")[0];
        assert_eq!(
            mllp["from"],
            json!([{ "ipBlock": { "cidr": "10.1.0.0/16" } }])
        );
        assert_eq!(list(mllp, "/ports").len(), 2);
        assert_eq!(list(policy, "/spec/egress").len(), 2, "the app, and DNS");
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

/// The annotations that the policy, the schema's `sidecar.defaults` and the contract of the injector know are the same.
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
    assert!(known.len() > 20);
    known.insert("status".into());
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
