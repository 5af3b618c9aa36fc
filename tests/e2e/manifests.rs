//! The same without Helm: each directory of manifests/ that a user applies, applied.

use serde_json::json;

use crate::cluster::{Cluster, Needs, root, run};
use crate::namespace::Namespace;
use crate::release::{INJECTOR, Release, sidecar_of};

const MESSAGE: &str = "MSH|^~\\&|REGADT|GENHOSP|BRIDGE|CLOUD|20261122101500||ADT^A01^ADT_A01|MAN1|P|2.5.1\r\
                       PID|1||4711^^^GENHOSP^MR||MUSTER^ERIKA\r";

#[test]
fn the_manifests_install_an_injector_and_examples_that_answer() {
    let Some(cluster) = Cluster::get(Needs::Node) else {
        return;
    };
    // The webhook configuration has the chart's name: no release may be there.
    let _alone = Release::prepare(cluster, "helm4");
    let by_hand = Namespace::new(cluster, "by-hand");
    answers(&by_hand, "example-sidecar");

    let injector = Applied::new(cluster, "injector");
    cluster.kubectl(&[
        "rollout",
        "status",
        "--namespace=mllp-bridge",
        &format!("deployment/{INJECTOR}"),
        "--timeout=90s",
    ]);
    let labels = json!({ "mllp-bridge.io/inject": "false" }); // the pods' own label wins
    let injected = Namespace::with_labels(cluster, "injected", &labels);
    answers(&injected, "example-app");
    drop(injector);
    let left = ["get", "mutatingwebhookconfigurations", "--output=name"];
    assert_eq!(cluster.kubectl(&left), "");
}

/// Applies an example, and sends a message to a pod of it.
#[track_caller]
fn answers(namespace: &Namespace, example: &str) {
    let cluster = namespace.cluster;
    let apply = ["apply", "--namespace", &namespace.name, "--filename", "-"];
    cluster
        .try_kubectl(&apply, Some(&rendered(cluster, example)))
        .unwrap_or_else(|error| panic!("{error}"));
    namespace.rolled_out("hl7-app");
    let pods = namespace.list("pods", "app=hl7-app");
    assert_eq!(pods.len(), 2);
    for pod in pods {
        assert!(sidecar_of(&pod).is_some(), "{example}: no sidecar: {pod}");
        let address = pod["status"]["podIP"].as_str().expect("an address");
        let mut send = cluster.hospital(env!("CARGO_BIN_EXE_mllp-bridge"));
        send.args(["send", &format!("{address}:2575"), "-", "--output", "json"]);
        let output = run(send, Some(MESSAGE)).unwrap_or_else(|error| panic!("{example}: {error}"));
        assert!(output.contains("\"AA\""), "{example}: {output}");
    }
}

/// What kustomize makes of a directory, with the images that the cluster has.
#[track_caller]
fn rendered(cluster: Cluster, directory: &str) -> String {
    let directory = root().join("manifests").join(directory);
    let yaml = cluster.kubectl(&["kustomize", directory.to_str().expect("UTF-8")]);
    let version = env!("CARGO_PKG_VERSION");
    yaml.replace(&format!("mllp-bridge:{version}"), &cluster.bridge_image())
        .replace("python:3.13-slim", &cluster.app_image())
}

/// Objects that are deleted again when this is dropped.
struct Applied {
    cluster: Cluster,
    yaml: String,
}

impl Applied {
    #[track_caller]
    fn new(cluster: Cluster, directory: &str) -> Self {
        let applied = Self {
            cluster,
            yaml: rendered(cluster, directory),
        };
        cluster
            .try_kubectl(&["apply", "--filename", "-"], Some(&applied.yaml))
            .unwrap_or_else(|error| panic!("{error}"));
        applied
    }
}

impl Drop for Applied {
    fn drop(&mut self) {
        let _ = self
            .cluster
            .try_kubectl(&["delete", "--filename", "-"], Some(&self.yaml));
    }
}
