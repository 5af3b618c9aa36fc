//! A real Prometheus that finds sidecars and injectors through the Kubernetes API, as manifests/prometheus/scrape.yaml
//! tells it.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{Cluster, eventually, root, run};

/// A running Prometheus, beside the API server.
pub(crate) struct Prometheus {
    cluster: Cluster,
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one, which scrapes every second.
    #[track_caller]
    pub(crate) fn start(cluster: Cluster) -> Self {
        static PORT: AtomicU16 = AtomicU16::new(19090);
        let port = PORT.fetch_add(1, Ordering::Relaxed);
        let folder = TempDir::new().expect("a folder");
        let scrape = std::fs::read_to_string(root().join("manifests/prometheus/scrape.yaml"))
            .expect("the scrape configuration");
        // In a cluster Prometheus has a service account; beside one it has a file.
        let kubeconfig = root().join("target/cluster/pki/admin.kubeconfig");
        let found = "      - role: pod\n";
        assert!(scrape.contains(found), "{scrape}");
        let with = format!("{found}        kubeconfig_file: {}\n", kubeconfig.display());
        let config = format!(
            "global: {{ scrape_interval: 1s }}\n{}",
            scrape.replace(found, &with)
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("its configuration");
        let log = std::fs::File::create(folder.path().join("log")).expect("its log");
        let mut command = cluster.background("prometheus");
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
        command.args(["--silent", "--show-error", "--fail-with-body", "--get"]);
        for (key, value) in form {
            command
                .arg("--data-urlencode")
                .arg(format!("{key}={value}"));
        }
        command.args(["--max-time", "10"]);
        command.arg(format!("http://127.0.0.1:{}{path}", self.port));
        run(command, None)
    }

    /// A query's result: what `/api/v1/query` calls `data.result`.
    pub(crate) fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let answer = self.get("/api/v1/query", &[("query", query)])?;
        let mut answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        match answer["data"]["result"].take() {
            Value::Array(result) => Ok(result),
            other => Err(format!("{query}: {other}")),
        }
    }

    /// Waits until a query's only value is this.
    #[track_caller]
    pub(crate) fn shows(&self, query: &str, value: f64) {
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
