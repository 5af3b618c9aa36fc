//! The objects that the tests create, as a user would write them.

use serde_json::{Value, json};

use crate::cluster::Cluster;

/// Pod Security's `restricted`, container by container.
pub(crate) fn restricted() -> Value {
    json!({
        "runAsNonRoot": true, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// A native sidecar written by hand, as docs/platform-engineer.md shows it, but set by flags.
pub(crate) fn sidecar(cluster: Cluster) -> Value {
    json!({
        "name": "mllp-bridge", "image": cluster.bridge_image(), "restartPolicy": "Always",
        "args": ["run", "--listen", "0.0.0.0:2575", "--app", "http://127.0.0.1:8080/hl7", "--log-format", "json"],
        "ports": [{ "name": "mllp", "containerPort": 2575 }, { "name": "mllp-admin", "containerPort": 9090 }],
        "startupProbe": { "httpGet": { "path": "/livez", "port": 9090 }, "periodSeconds": 1 },
        "livenessProbe": { "httpGet": { "path": "/livez", "port": 9090 } },
        "readinessProbe": { "httpGet": { "path": "/readyz", "port": 9090 }, "periodSeconds": 1 },
        "lifecycle": { "preStop": { "exec": { "command": ["/mllp-bridge", "drain"] } } },
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "384Mi" } },
        "securityContext": restricted(),
    })
}

/// A container of the tests' Python image.
pub(crate) fn python(cluster: Cluster, name: &str, arguments: &[&str]) -> Value {
    let mut command = vec!["python3"];
    command.extend(arguments);
    json!({
        "name": name, "image": cluster.app_image(), "command": command, "workingDir": "/app",
        "resources": { "requests": { "cpu": "10m", "memory": "32Mi" } }, "securityContext": restricted(),
    })
}

/// The app that keeps each message in the store before it answers.
pub(crate) fn recorder(cluster: Cluster, store: &str) -> Value {
    let mut container = python(cluster, "app", &["recorder.py"]);
    container["env"] = json!([{ "name": "STORE", "value": store }]);
    container
}

/// Sets a variable of a container.
pub(crate) fn set_env(container: &mut Value, name: &str, value: &str) {
    let env = container["env"].as_array_mut().expect("a list");
    env.push(json!({ "name": name, "value": value }));
}

/// A pod's spec of these containers.
pub(crate) fn spec(sidecars: &[Value], containers: &[Value]) -> Value {
    json!({
        "terminationGracePeriodSeconds": 30, "automountServiceAccountToken": false, "enableServiceLinks": false,
        "securityContext": { "runAsUser": 65534, "runAsNonRoot": true },
        "initContainers": sidecars, "containers": containers,
    })
}

/// A pod.
pub(crate) fn pod(name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": name } }, "spec": spec })
}

/// A Deployment that replaces its pods one by one, and lets a new one prove itself first.
pub(crate) fn deployment(name: &str, replicas: u32, spec: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": { "app": name } },
            "strategy": { "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } },
            "template": { "metadata": { "labels": { "app": name } }, "spec": spec },
        },
    })
}

/// A Service for a pod's MLLP port, by number.
pub(crate) fn mllp_service(name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "selector": { "app": app }, "ports": [{ "name": "mllp", "port": 2575, "targetPort": 2575 }] },
    })
}
