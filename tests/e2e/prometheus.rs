//! A real Prometheus that finds the sidecars through the Kubernetes API.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::{Cluster, eventually, run};

/// A running Prometheus, beside the API server.
pub struct Prometheus {
    cluster: Cluster,
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes, in these namespaces, every container called mllp-bridge at its port called
    /// bridge-admin, every second.
    #[track_caller]
    pub fn start(cluster: Cluster, namespaces: &[&str]) -> Self {
        Self::with_jobs(cluster, &json!([sidecars(namespaces)]))
    }

    /// Starts one with these scrape configurations.
    #[track_caller]
    pub fn with_jobs(cluster: Cluster, jobs: &Value) -> Self {
        static PORT: AtomicU16 = AtomicU16::new(19090);
        let port = PORT.fetch_add(1, Ordering::Relaxed);
        let folder = TempDir::new().expect("a folder");
        let mut jobs = jobs.clone();
        for job in jobs.as_array_mut().expect("a list") {
            for discovery in job["kubernetes_sd_configs"].as_array_mut().expect("a list") {
                discovery["kubeconfig_file"] =
                    json!(crate::cluster::root().join("target/cluster/pki/admin.kubeconfig"));
            }
        }
        let config = json!({ "global": { "scrape_interval": "1s" }, "scrape_configs": jobs });
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).expect("its configuration");
        let log = std::fs::File::create(folder.path().join("log")).expect("its log");
        // Among the node's processes: it ends with the node, if not before.
        let mut command = cluster.inside("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!(
            "--storage.tsdb.path={}",
            folder.path().join("data").display()
        ));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let prometheus = Self {
            cluster,
            process: command.spawn().expect("prometheus starts"),
            port,
            _folder: folder,
        };
        eventually("prometheus", || prometheus.get("/-/ready", &[]));
        prometheus
    }

    fn get(&self, path: &str, form: &[(&str, &str)]) -> Result<String, String> {
        let mut command = self.cluster.command("curl");
        command.args([
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--get",
            "--max-time",
            "10",
        ]);
        for (key, value) in form {
            command
                .arg("--data-urlencode")
                .arg(format!("{key}={value}"));
        }
        command.arg(format!("http://127.0.0.1:{}{path}", self.port));
        run(command, None)
    }

    /// A query's result: what `/api/v1/query` calls `data.result`.
    pub fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let answer = self.get("/api/v1/query", &[("query", query)])?;
        let mut answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        match answer["data"]["result"].take() {
            Value::Array(result) => Ok(result),
            other => Err(format!("{query}: {other}")),
        }
    }

    /// Waits until a query's only value is this.
    #[track_caller]
    pub fn shows(&self, query: &str, value: f64) {
        eventually(query, || {
            let result = self.query(query)?;
            match result.as_slice() {
                [one] if one["value"][1].as_str().and_then(|v| v.parse().ok()) == Some(value) => {
                    Ok(())
                }
                _ => Err(format!("{result:?} instead of {value}")),
            }
        });
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// As docs/platform-engineer.md has it, for a Prometheus without the operator.
pub fn sidecars(namespaces: &[&str]) -> Value {
    json!({
        "job_name": "mllp-bridge",
        "kubernetes_sd_configs": [{ "role": "pod", "namespaces": { "names": namespaces } }],
        "relabel_configs": [
            { "source_labels": ["__meta_kubernetes_pod_container_name", "__meta_kubernetes_pod_container_port_name"],
              "regex": "mllp-bridge;bridge-admin", "action": "keep" },
            { "source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace" },
            { "source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod" },
        ],
    })
}
