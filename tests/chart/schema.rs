//! Values that the chart must refuse, and what it says then.

use serde_json::Value;

use crate::helm::{CHART, helms, read, run, template};

/// A gateway that may be rendered.
const GATEWAY: &str = "mode: gateway\n\
    gateway: { listeners: [{ name: adt, port: 2575, url: 'http://app.default.svc/hl7' }] }\n";

/// Values, and words of the message that refuses them.
fn refused() -> Vec<(String, &'static [&'static str])> {
    let with = |more: &str| format!("{GATEWAY}{more}");
    let listener = |more: &str| {
        format!("mode: gateway\ngateway: {{ listeners: [{{ name: adt, port: 2575, {more} }}] }}\n")
    };
    vec![
        ("colour: red".into(), &["additional properties 'colour' not allowed"]),
        ("injector: { replica: 2 }".into(), &["/injector", "'replica' not allowed"]),
        ("injector: { replicas: 0 }".into(), &["/injector/replicas", "minimum"]),
        ("injector: { antiAffinity: strict }".into(), &["/injector/antiAffinity", "must be one of"]),
        ("injector: { podDisruptionBudget: { minAvailable: 2 } }".into(), &["would block every drain of a node"]),
        ("injector: { serviceAccount: { create: false } }".into(), &["injector.serviceAccount.name: required"]),
        ("injector: { resources: { limits: { memory: lots } } }".into(), &["/injector/resources/limits/memory"]),
        ("mode: sidecar".into(), &["/mode"]),
        ("image: { tag: 'a b' }".into(), &["/image/tag"]),
        ("image: { digest: 'sha256:abc' }".into(), &["/image/digest"]),
        ("image: { repository: '' }".into(), &["/image/repository"]),
        ("image: { pullPolicy: Sometimes }".into(), &["/image/pullPolicy"]),
        ("commonLabels: { team: 'a b' }".into(), &["/commonLabels/team"]),
        ("webhook: { port: 443 }".into(), &["/webhook/port", "minimum"]),
        ("webhook: { port: 9090 }".into(), &["9090 is the injector's admin port"]),
        ("webhook: { timeoutSeconds: 31 }".into(), &["/webhook/timeoutSeconds", "maximum"]),
        ("webhook: { failurePolicy: Maybe }".into(), &["/webhook/failurePolicy"]),
        ("certificates: { mode: manual }".into(), &["/certificates/mode"]),
        ("certificates: { mode: secret }".into(), &["/certificates/secret/name", "minLength"]),
        ("certificates: { caValidity: '365' }".into(), &["/certificates/caValidity"]),
        ("certificates: { certManager: { duration: 90d } }".into(), &["/certificates/certManager/duration"]),
        ("certificates: { mode: secret, secret: { name: tls, caBundle: LS0t } }".into(), &["/secret/caBundle"]),
        ("sidecar: { image: mllp-bridge }".into(), &["/sidecar/image"]),
        ("sidecar: { defaults: { colour: red } }".into(), &["/sidecar/defaults", "'colour' not allowed"]),
        ("sidecar: { defaults: { app-port: 3000 } }".into(), &["/sidecar/defaults/app-port", "want string"]),
        ("policy: { validationActions: [Deny, Warn] }".into(), &["/policy/validationActions"]),
        ("policy: { validationActions: [] }".into(), &["/policy/validationActions", "minItems"]),
        ("helmTest: { namespace: mllp-bridge }".into(), &["nothing is injected into the release's namespace"]),
        ("helmTest: { gatewayMessage: hello }".into(), &["/helmTest/gatewayMessage"]),
        ("mode: gateway".into(), &["/gateway/listeners", "minItems"]),
        (listener("url: 'ftp://app'"), &["/gateway/listeners/0/url"]),
        (listener("url: 'http://app', settings: { name: x }"), &["/gateway/listeners/0/settings", "'not' failed"]),
        (listener("url: 'http://app', settings: { deliver: { timout: 5s } }"), &["/settings/deliver", "'timout' not allowed"]),
        (with("exposure: { type: LoadBalancer }"), &["/exposure/loadBalancerSourceRanges", "minItems"]),
        (with("exposure: { type: LoadBalancer, loadBalancerSourceRanges: [10.1.0.0] }"), &["/exposure/loadBalancerSourceRanges/0"]),
        (with("exposure: { cloud: aws }"), &["/exposure/cloud"]),
        (with("exposure: { type: LoadBalancer, loadBalancerSourceRanges: [10.1.0.0/16], cloud: gcp, idleTimeoutSeconds: 600 }"), &["/exposure/idleTimeoutSeconds"]),
        (with("exposure: { type: LoadBalancer, loadBalancerSourceRanges: [10.1.0.0/16], cloud: azure, idleTimeoutSeconds: 100 }"), &["/exposure/idleTimeoutSeconds"]),
        (with("networkPolicy: { enabled: true }"), &["/networkPolicy/ehrCidrs", "minItems"]),
        (with("monitoring: { rules: { nakRatio: 5 } }"), &["/monitoring/rules/nakRatio"]),
        (
            "mode: gateway\ngateway: { listeners: [{ name: a, port: 2575, url: 'http://a' }, { name: a, port: 2576, url: 'http://a' }] }".into(),
            &["the name \"a\" is there twice"],
        ),
        (
            "mode: gateway\ngateway: { listeners: [{ name: a, port: 9090, url: 'http://a' }] }".into(),
            &["port 9090 of \"a\" is taken"],
        ),
    ]
}

#[test]
fn bad_values_are_refused_with_their_place() {
    for helm in helms() {
        assert!(template(&helm, GATEWAY, &[]).is_ok());
        for (values, words) in refused() {
            let Err(message) = template(&helm, &values, &[]) else {
                panic!("{}: taken: {values}", helm.display());
            };
            for word in words {
                assert!(
                    message.contains(word),
                    "{values}\n{word:?} is not in:\n{message}"
                );
            }
        }
    }
}

#[test]
fn an_old_cluster_is_refused() {
    for helm in helms() {
        let message = template(&helm, "", &["--kube-version", "1.28.9"]).unwrap_err();
        assert!(message.contains("kubeVersion: >=1.29"), "{message}");
        assert!(template(&helm, "", &["--kube-version", "1.29.0-gke.1"]).is_ok());
    }
}

#[test]
fn helm_lints_it() {
    for helm in helms() {
        for values in ["values.yaml", "values-ha.yaml"] {
            let values = format!("{CHART}/{values}");
            let output = run(&helm, &["lint", "--strict", CHART, "--values", &values]);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{said}");
            assert!(
                !said.contains("[WARNING]") && !said.contains("[ERROR]"),
                "{said}"
            );
        }
    }
}

/// Objects of the schema that take any key; each must be one that the chart hands on as it is.
fn open(schema: &Value, place: &str, found: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            let is_object = map.get("type").is_some_and(|one| one == "object");
            if is_object && !map.contains_key("additionalProperties") {
                found.push(place.to_owned());
            }
            for (key, value) in map {
                open(value, &format!("{place}/{key}"), found);
            }
        }
        Value::Array(all) => {
            for (index, value) in all.iter().enumerate() {
                open(value, &format!("{place}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn no_object_takes_unknown_keys() {
    let schema: Value =
        serde_json::from_str(&read(&format!("{CHART}/values.schema.json"))).expect("JSON");
    let mut found = Vec::new();
    open(&schema, "", &mut found);
    let peers = "/properties/networkPolicy/properties/egressTo/items/properties";
    assert_eq!(
        found,
        [
            format!("{peers}/podSelector"),
            format!("{peers}/namespaceSelector"),
            "/properties/global".to_owned()
        ]
    );
}
