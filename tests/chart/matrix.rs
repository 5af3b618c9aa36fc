//! Values to render, and what each helm makes of them.

use std::sync::OnceLock;

use serde_json::Value;

use crate::helm::{helms, objects, read};

const MONITORING: &str = "monitoring: { podMonitor: { enabled: true, interval: 15s }, serviceMonitor: { enabled: true }, \
    rules: { enabled: true }, dashboards: { enabled: true, annotations: { grafana_folder: HL7 } }, labels: { release: prometheus } }\n";
pub(crate) const LISTENERS: &str = "mode: gateway\ngateway: { listeners: [{ name: adt, port: 2575, url: 'http://app.default.svc/hl7', settings: \
    { ack: { deadline: 20s } } }, { name: oru, port: 2576, url: 'http://app.default.svc/oru' }] }\n";
const PRIVATE: &str = "loadBalancerSourceRanges: [10.1.0.0/16, 'fd00::/8']";

/// Values to render, by a name.
pub(crate) fn matrix() -> Vec<(&'static str, String)> {
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
        ("gateway, state", LISTENERS.replace("gateway: { ", "gateway: { state: emptydir, ")),
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
pub(crate) fn each(check: impl Fn(&str, &[Value])) {
    for one in renderings() {
        check(&format!("{}, {}", one.helm, one.values), &one.all);
    }
}

/// The values of one row.
pub(crate) fn values_of(name: &str) -> String {
    let found = matrix().into_iter().find(|(one, _)| *one == name);
    found.expect("values of this name").1
}

/// One rendering by each helm.
pub(crate) fn rendered(name: &str) -> Vec<&'static [Value]> {
    let made = renderings().iter().filter(|one| one.values == name);
    let found: Vec<_> = made.map(|one| one.all.as_slice()).collect();
    assert_eq!(found.len(), helms().len(), "{name}");
    found
}
