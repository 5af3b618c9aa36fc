//! A namespace for one test: made by it, `restricted`, described when the test fails, and gone with it.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::cluster::{Cluster, eventually};

/// A test's namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// The cluster it is in.
    pub(crate) cluster: Cluster,
    /// Its name.
    pub(crate) name: String,
}

impl Namespace {
    /// A new one, in which Pod Security's `restricted` is enforced.
    #[track_caller]
    pub(crate) fn new(cluster: Cluster, purpose: &str) -> Self {
        Self::with_labels(cluster, purpose, &json!({}))
    }

    /// A new one with labels besides.
    #[track_caller]
    pub(crate) fn with_labels(cluster: Cluster, purpose: &str, labels: &Value) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("e2e-{purpose}-{}-{number}", std::process::id());
        let mut object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": name, "labels": { "pod-security.kubernetes.io/enforce": "restricted" } },
        });
        for (key, value) in labels.as_object().expect("an object of labels") {
            object["metadata"]["labels"][key] = value.clone();
        }
        cluster
            .try_kubectl(&["create", "--filename", "-"], Some(&object.to_string()))
            .unwrap_or_else(|error| panic!("{error}"));
        let namespace = Self { cluster, name };
        eventually("the namespace's service account", || {
            namespace.try_kubectl(&["get", "serviceaccount", "default"])
        });
        namespace
    }

    /// kubectl in this namespace; fails with all that it said.
    #[track_caller]
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        match self.try_kubectl(arguments) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }

    /// kubectl in this namespace.
    pub(crate) fn try_kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut all = vec!["--namespace", &self.name];
        all.extend(arguments);
        self.cluster.try_kubectl(&all, None)
    }

    /// One object.
    #[track_caller]
    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        self.cluster
            .get_json(&["--namespace", &self.name, kind, name])
    }

    /// The objects of a kind with these labels.
    #[track_caller]
    pub(crate) fn list(&self, kind: &str, selector: &str) -> Vec<Value> {
        let mut list =
            self.cluster
                .get_json(&["--namespace", &self.name, kind, "--selector", selector]);
        match list["items"].take() {
            Value::Array(items) => items,
            other => panic!("no list: {other}"),
        }
    }

    /// Creates or changes objects.
    #[track_caller]
    pub(crate) fn apply(&self, objects: &[Value]) {
        self.cluster.apply(&self.name, objects);
    }

    /// Waits for a condition, like `condition=Ready`.
    #[track_caller]
    pub(crate) fn wait_for(&self, condition: &str, object: &str) {
        let condition = format!("--for={condition}");
        self.kubectl(&["wait", &condition, object, "--timeout=90s"]);
    }

    /// Waits until the Deployment has what it wants, all of it new.
    #[track_caller]
    pub(crate) fn rolled_out(&self, deployment: &str) {
        let deployment = format!("deployment/{deployment}");
        self.kubectl(&["rollout", "status", &deployment, "--timeout=180s"]);
    }

    /// A pod's address, once it is ready.
    #[track_caller]
    pub(crate) fn address_of(&self, pod: &str) -> String {
        self.wait_for("condition=Ready", &format!("pod/{pod}"));
        let pod = self.get("pod", pod);
        pod["status"]["podIP"].as_str().expect("podIP").to_owned()
    }

    /// An answer of a pod's port, asked through the API server.
    pub(crate) fn ask_pod(&self, pod: &str, port: u16, path: &str) -> Result<String, String> {
        let url = format!(
            "/api/v1/namespaces/{}/pods/{pod}:{port}/proxy{path}",
            self.name
        );
        self.cluster.try_kubectl(&["get", "--raw", &url], None)
    }

    /// Everything that a report of a failure needs.
    fn describe(&self) {
        let mut report = format!("\n===== namespace {} =====\n", self.name);
        let wide = &["get", "all", "-o", "wide"][..];
        let events = &["get", "events", "--sort-by=.lastTimestamp"][..];
        for arguments in [wide, events, &["describe", "pods"]] {
            report.push_str(&format!("--- kubectl {}\n", arguments.join(" ")));
            let output = self.try_kubectl(arguments).unwrap_or_else(|error| error);
            // A crowd says the same five hundred times.
            let lines: Vec<&str> = output.lines().take(300).collect();
            report.push_str(&lines.join("\n"));
            report.push('\n');
        }
        let pods = self
            .try_kubectl(&["get", "pods", "-o", "name"])
            .unwrap_or_default();
        for pod in pods.lines().take(8) {
            let logs = &["logs", pod, "--all-containers", "--prefix", "--tail=60"][..];
            for arguments in [logs, &[logs, &["--previous"]].concat()] {
                report.push_str(&format!("--- kubectl {}\n", arguments.join(" ")));
                report.push_str(&self.try_kubectl(arguments).unwrap_or_default());
            }
        }
        let _ = std::io::stderr().write_all(report.as_bytes());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if thread::panicking() {
            self.describe();
        }
        // Pods that take their time to end would take it from the next test.
        let _ = self.try_kubectl(&[
            "delete",
            "pods",
            "--all",
            "--force",
            "--grace-period=0",
            "--wait=false",
        ]);
        let _ = self
            .cluster
            .try_kubectl(&["delete", "namespace", &self.name, "--wait=false"], None);
    }
}
