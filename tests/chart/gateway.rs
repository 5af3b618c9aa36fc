//! What the chart installs for the gateway, and who may reach which.

use mllp_bridge::config::{Source, load};
use serde_json::{Value, json};

use crate::matrix::{each, rendered};
use crate::objects::{list, of_kind, only, text, title};

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

/// `/` is read-only: what a pod remembers over a restart of its container has a volume, and only where that is wanted.
#[test]
fn a_pod_that_remembers_has_a_volume_where_its_configuration_says() {
    each(|values, all| {
        for deployment in of_kind(all, "Deployment") {
            let spec = &deployment["spec"]["template"]["spec"];
            let state = json!({ "name": "state", "emptyDir": {} });
            let mount = json!({ "name": "state", "mountPath": "/var/lib/mllp-bridge" });
            let found = (
                list(spec, "/volumes").contains(&state),
                list(spec, "/containers/0/volumeMounts").contains(&mount),
            );
            let wanted = values.ends_with("gateway, state");
            assert_eq!(found, (wanted, wanted), "{values}");
            if wanted {
                let loaded =
                    load(&Source::new().text(text(only(all, "ConfigMap"), "/data/config.yaml")));
                let directory = loaded.expect("a configuration").state.directory;
                assert_eq!(
                    directory.as_deref(),
                    Some(std::path::Path::new("/var/lib/mllp-bridge"))
                );
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
