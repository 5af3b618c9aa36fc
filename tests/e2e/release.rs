//! The chart, installed as a user installs it. One at a time: a webhook configuration is everybody's.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{Cluster, eventually, root, run};
use crate::namespace::Namespace;
use crate::pods;

/// A release of the chart in a namespace of its own; uninstalled when it is dropped.
pub(crate) struct Release {
    /// Where it is installed.
    pub(crate) namespace: Namespace,
    helm: &'static str,
    _alone: MutexGuard<'static, ()>,
}

/// The release's name, and so the beginning of its objects' names.
pub(crate) const NAME: &str = "mllp-bridge";

/// The webhook configuration, the Deployment, the Lease: all have this name.
pub(crate) const INJECTOR: &str = "mllp-bridge-injector";

impl Release {
    /// Nothing installed yet.
    #[track_caller]
    pub(crate) fn prepare(cluster: Cluster, helm: &'static str) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            namespace: Namespace::new(cluster, helm),
            helm,
            _alone: alone,
        }
    }

    /// Installed with helm 4, and ready.
    #[track_caller]
    pub(crate) fn install(cluster: Cluster) -> Self {
        let release = Self::prepare(cluster, "helm4");
        release.helm(&["install"], &[]);
        release
    }

    /// `helm VERB… mllp-bridge charts/mllp-bridge --wait`, with the image under test and further values. How long it took.
    #[track_caller]
    pub(crate) fn helm(&self, verb: &[&str], values: &[&str]) -> Duration {
        let image = self.namespace.cluster.bridge_image();
        let (repository, tag) = image.rsplit_once(':').expect("an image with a tag");
        let chart = root().join("charts/mllp-bridge").display().to_string();
        let (repository, tag) = (
            format!("image.repository={repository}"),
            format!("image.tag={tag}"),
        );
        let mut arguments = verb.to_vec();
        arguments.extend([NAME, &chart, "--wait", "--timeout", "3m"]);
        for value in [&[repository.as_str(), tag.as_str()], values].concat() {
            arguments.extend(["--set", value]);
        }
        self.run(&arguments)
    }

    /// `helm ARGUMENTS`, which must succeed. How long it took.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Duration {
        let start = Instant::now();
        match self.try_run(arguments) {
            Ok(_) => start.elapsed(),
            Err(error) => panic!("{error}"),
        }
    }

    /// `helm ARGUMENTS`.
    pub(crate) fn try_run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = self.namespace.cluster.command(self.helm);
        command
            .args(arguments)
            .args(["--namespace", &self.namespace.name]);
        for directory in ["CACHE", "CONFIG", "DATA"] {
            command.env(
                format!("HELM_{directory}_HOME"),
                root().join("target/e2e-helm").join(directory),
            );
        }
        run(command, None)
    }

    /// The injector's pods that are not on their way out.
    #[track_caller]
    pub(crate) fn pods(&self) -> Vec<String> {
        let pods = self
            .namespace
            .list("pods", "app.kubernetes.io/component=injector");
        pods.iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned))
            .collect()
    }

    /// The sum of a metric's values over the injector's pods, of the series with this in their labels.
    pub(crate) fn metric(&self, name: &str, label: &str) -> Result<f64, String> {
        let mut sum = 0.0;
        for pod in self.pods() {
            let metrics = self.namespace.ask_pod(&pod, 9090, "/metrics")?;
            let of_it = metrics
                .lines()
                .filter(|line| line.split(['{', ' ']).next() == Some(name) && line.contains(label));
            sum += of_it
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum::<f64>();
        }
        Ok(sum)
    }

    /// Which pod leads.
    #[track_caller]
    pub(crate) fn leader(&self) -> String {
        eventually("a leader", || {
            let lease = self.namespace.get("lease", INJECTOR);
            let holder = lease["spec"]["holderIdentity"].as_str();
            holder
                .filter(|holder| !holder.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| lease.to_string())
        })
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let _ = self.try_run(&["uninstall", NAME, "--wait", "--ignore-not-found"]);
    }
}

/// A pod's metadata that asks for a sidecar.
pub(crate) fn labelled(name: &str, annotations: &Value) -> Value {
    json!({ "name": name, "labels": { "app": name, "mllp-bridge.io/inject": "true" }, "annotations": annotations })
}

/// A pod that asks for a sidecar.
pub(crate) fn labelled_pod(name: &str, annotations: &Value, containers: &[Value]) -> Value {
    let mut pod = pods::pod(name, &pods::spec(&[], containers));
    pod["metadata"] = labelled(name, annotations);
    pod
}

/// A Deployment whose pods ask for a sidecar.
pub(crate) fn labelled_deployment(
    name: &str,
    replicas: u32,
    annotations: &Value,
    containers: &[Value],
) -> Value {
    let mut deployment = pods::deployment(name, replicas, &pods::spec(&[], containers));
    let mut metadata = labelled(name, annotations);
    metadata.as_object_mut().expect("an object").remove("name");
    deployment["spec"]["template"]["metadata"] = metadata;
    deployment
}

/// What the API server makes of a pod, without keeping it.
pub(crate) fn admitted(namespace: &Namespace, pod: &Value) -> Result<Value, String> {
    let arguments = [
        "create",
        "--namespace",
        &namespace.name,
        "--dry-run=server",
        "--output=json",
        "--filename",
        "-",
    ];
    let output = namespace
        .cluster
        .try_kubectl(&arguments, Some(&pod.to_string()))?;
    serde_json::from_str(&output).map_err(|error| error.to_string())
}

/// The sidecar of a pod.
pub(crate) fn sidecar_of(pod: &Value) -> Option<&Value> {
    let containers = pod["spec"]["initContainers"].as_array()?;
    containers
        .iter()
        .find(|container| container["name"] == "mllp-bridge")
}
