//! The sidecar as JSON: its container, and the volumes that it mounts.

use super::pod::CONTAINER;
use super::settings::{Resolved, STATE_PATH};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Where the ServiceAccount admission plugin would mount a token.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The empty volume that is mounted there instead.
const NO_TOKEN: &str = "mllp-bridge-no-token";
/// The volume with the configuration file, and where it is.
const CONFIG: &str = "mllp-bridge-config";
const CONFIG_PATH: &str = "/etc/mllp-bridge";
/// The volume of what the sidecar remembers.
const STATE: &str = "mllp-bridge-state";
/// User and group of the image; also said here, since the image may be another.
const USER: u32 = 65532;
/// How long `drain` waits unless it is told otherwise (`DrainArgs`).
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);

/// The container. `token` says whether the pod's containers get a service account's token.
pub(super) fn container(settings: &Resolved, token: bool) -> Value {
    let admin = settings.admin_port;
    let mut args = vec!["run"];
    let config_file = format!("{CONFIG_PATH}/config.yaml");
    let mut mounts = Vec::new();
    if settings.config_map.is_some() {
        args.extend(["--config", &config_file]);
        // The whole volume: what is mounted by subPath never changes again.
        mounts.push(json!({"name": CONFIG, "mountPath": CONFIG_PATH, "readOnly": true}));
    }
    if settings.state {
        mounts.push(json!({"name": STATE, "mountPath": STATE_PATH}));
    }
    if token {
        mounts.push(json!({"name": NO_TOKEN, "mountPath": TOKEN_PATH, "readOnly": true}));
    }
    let env: Vec<Value> = settings
        .env
        .iter()
        .map(|(name, value)| json!({"name": name, "value": literal(value)}))
        .collect();
    let mut container = json!({
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        // What makes an init container a sidecar: it starts before the app, stays, and does not hold a Job.
        "restartPolicy": "Always",
        "args": args,
        "env": env,
        "ports": [
            {"name": "mllp", "containerPort": settings.mllp_port, "protocol": "TCP"},
            {"name": "mllp-admin", "containerPort": admin, "protocol": "TCP"},
        ],
        "resources": resources(settings),
        // Never /readyz: the app starts after this container has started.
        "startupProbe": probe("/livez", admin, 1, 60),
        "livenessProbe": probe("/livez", admin, 10, 3),
        "readinessProbe": probe("/readyz", admin, 2, 2),
        "lifecycle": {"preStop": {"exec": {"command": drain(settings)}}},
        // A configuration error is then in the pod's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "readOnlyRootFilesystem": true,
            "allowPrivilegeEscalation": false,
            "privileged": false,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    });
    if let Some(map) = container.as_object_mut() {
        if !mounts.is_empty() {
            map.insert("volumeMounts".into(), mounts.into());
        }
        // With a file there may be nothing to say.
        map.retain(|key, value| key != "env" || value != &json!([]));
    }
    container
}

/// The volumes that the container mounts.
pub(super) fn volumes(settings: &Resolved, token: bool) -> Vec<Value> {
    let config = settings.config_map.iter().map(|name| {
        let items = [json!({"key": "config.yaml", "path": "config.yaml"})];
        json!({"name": CONFIG, "configMap": {"name": name, "items": items}})
    });
    // An emptyDir would be local storage, for which `kubectl drain` and the cluster autoscaler stop at the pod.
    let token = token.then(|| json!({"name": NO_TOKEN, "downwardAPI": {"items": []}}));
    let state = settings
        .state
        .then(|| json!({"name": STATE, "emptyDir": {}}));
    config.chain(state).chain(token).collect()
}

/// A number and not a port's name: named ports of init containers were not found before Kubernetes 1.32.
fn probe(path: &str, port: u16, period: u32, failures: u32) -> Value {
    json!({
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": 1,
        "failureThreshold": failures,
    })
}

fn resources(settings: &Resolved) -> Value {
    let mut resources = Map::new();
    for (kind, resource, quantity) in &settings.resources {
        let of_kind = resources.entry(*kind).or_insert_with(|| json!({}));
        of_kind[*resource] = quantity.as_str().into();
    }
    resources.into()
}

fn drain(settings: &Resolved) -> Vec<String> {
    let admin = format!("127.0.0.1:{}", settings.admin_port);
    let mut command: Vec<String> = ["/mllp-bridge", "drain", "--admin", &admin]
        .map(str::to_owned)
        .into();
    // A little longer than the drain itself.
    if let Some(deadline) = settings.drain_deadline
        && deadline >= DRAIN_PATIENCE
    {
        let seconds = deadline.as_secs() + 2;
        command.extend(["--timeout".into(), seconds.to_string()]);
    }
    command
}

/// Kubernetes replaces `$(NAME)` in a variable's value, and `$$` is a dollar sign.
fn literal(value: &str) -> String {
    value.replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_not_expanded() {
        assert_eq!(literal("http://app/$(HOME)/$$"), "http://app/$$(HOME)/$$$$");
    }
}
