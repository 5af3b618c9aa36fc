//! Five hundred pods at once, on nodes that do not exist: the webhook's share of their creation, as the API server measures
//! it. kwok plays the kubelets.

use std::fs::File;
use std::process::{Child, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::cluster::{Cluster, Needs, eventually, root};
use crate::namespace::Namespace;
use crate::pods;
use crate::pressure::Pressure;
use crate::release::{Release, labelled_deployment, labelled_pod, sidecar_of};

const PODS: u32 = 500;
/// Of 110 pods each.
const NODES: u32 = 10;

#[test]
fn five_hundred_pods_are_injected_one_by_one_and_all_at_once() {
    // The project's own node: fake ones are nothing for a cluster of somebody else's.
    let Some(cluster) = Cluster::get(Needs::Node) else {
        return;
    };
    let _release = Release::install(cluster);
    let namespace = Namespace::new(cluster, "crowd");
    let _kubelets = Kubelets::start(&namespace);
    let app = pods::python(cluster, "app", &["app.py", "8080"]);

    // Slow enough that what else the cluster does with a pod, on the same CPUs, is over when the next one comes.
    let mut pod = labelled_pod("steady", &json!({}), std::slice::from_ref(&app));
    go_to_fake_nodes(&mut pod["spec"]);
    let before = Reviews::of(cluster);
    let created = Pressure::create(&namespace, &pod, PODS, 10);
    assert!(
        created.refused.is_empty() && created.bare == 0,
        "one by one: {created:?}"
    );
    report("10 a second", &Reviews::of(cluster).since(&before));

    let mut deployment = labelled_deployment("burst", PODS, &json!({}), &[app]);
    go_to_fake_nodes(&mut deployment["spec"]["template"]["spec"]);
    let (before, start) = (Reviews::of(cluster), Instant::now());
    namespace.apply(&[deployment]);
    eventually("500 pods that run", || {
        let burst = namespace.get("deployment", "burst");
        let available = &burst["status"]["availableReplicas"];
        if available == PODS {
            Ok(())
        } else {
            Err(format!("{available} of {PODS}"))
        }
    });
    let took = start.elapsed();
    let all = namespace.list("pods", "app=burst");
    let injected = all.iter().filter(|pod| sidecar_of(pod).is_some()).count();
    assert_eq!(
        injected,
        PODS as usize,
        "of {} pods, {injected} have a sidecar",
        all.len()
    );
    let burst = format!("all at once (ready after {:.1} s)", took.as_secs_f64());
    report(&burst, &Reviews::of(cluster).since(&before));
}

fn go_to_fake_nodes(spec: &mut Value) {
    spec["nodeSelector"] = json!({ "type": "kwok" });
    spec["tolerations"] = json!([{ "key": "kwok.x-k8s.io/node", "operator": "Exists" }]);
}

/// A figure, not a verdict: another program on this machine must not fail a test.
#[track_caller]
fn report(how: &str, reviews: &Reviews) {
    assert!(
        reviews.all >= f64::from(PODS),
        "{how}: the API server counts {} reviews of {PODS} pods",
        reviews.all
    );
    println!(
        "{PODS} pods, {how}: {:.1} % of the reviews took at most 5 ms at the API server, {:.1} % at most 25 ms; mean {:.1} ms",
        reviews.in_5_ms * 100.0 / reviews.all,
        reviews.in_25_ms * 100.0 / reviews.all,
        reviews.seconds * 1e3 / reviews.all
    );
}

/// The API server's count of the webhook's reviews.
struct Reviews {
    all: f64,
    in_5_ms: f64,
    in_25_ms: f64,
    seconds: f64,
}

impl Reviews {
    #[track_caller]
    fn of(cluster: Cluster) -> Self {
        let metrics = cluster.kubectl(&["get", "--raw", "/metrics"]);
        let sum = |name: &str, label: &str| -> f64 {
            let name = format!("apiserver_admission_webhook_admission_duration_seconds_{name}{{");
            let ours = metrics.lines().filter(|line| {
                line.starts_with(&name)
                    && line.contains("name=\"inject.mllp-bridge.io\"")
                    && line.contains(label)
            });
            ours.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum()
        };
        Self {
            all: sum("count", ""),
            in_5_ms: sum("bucket", "le=\"0.005\""),
            in_25_ms: sum("bucket", "le=\"0.025\""),
            seconds: sum("sum", ""),
        }
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            all: self.all - before.all,
            in_5_ms: self.in_5_ms - before.in_5_ms,
            in_25_ms: self.in_25_ms - before.in_25_ms,
            seconds: self.seconds - before.seconds,
        }
    }
}

/// kwok, and its nodes.
struct Kubelets {
    cluster: Cluster,
    process: Child,
}

impl Kubelets {
    #[track_caller]
    fn start(namespace: &Namespace) -> Self {
        let cluster = namespace.cluster;
        let nodes: Vec<Value> = (0..NODES).map(node).collect();
        cluster.apply(&namespace.name, &nodes);
        let mut command = cluster.background("kwok");
        command.args(["--manage-nodes-with-label-selector", "type=kwok"]);
        command.args(["--server-address", "127.0.0.1:0", "--v", "4"]);
        // Without it they would say that they are well once, and count as lost 50 s later.
        command.args(["--node-lease-duration-seconds", "40"]);
        let kubeconfig = root().join("target/cluster/pki/admin.kubeconfig");
        command.arg("--kubeconfig").arg(kubeconfig);
        let rules = std::fs::read_dir(root().join("target/tools/kwok"))
            .expect("kwok's rules, which tests/cluster/tools puts there");
        for rule in rules {
            command.arg("--config").arg(rule.expect("a file").path());
        }
        // It tells of each conflict with another controller, and tries again.
        let log = File::create(root().join("target/cluster/log/kwok.log")).expect("a log");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let kubelets = Self {
            cluster,
            process: command.spawn().expect("kwok starts"),
        };
        eventually("the fake nodes", || {
            let nodes = cluster
                .get_json(&["nodes", "--selector=type=kwok"])
                .to_string();
            match nodes.matches("KubeletReady").count() {
                ready if ready >= NODES as usize => Ok(()),
                ready => Err(format!("{ready} of {NODES} are ready")),
            }
        });
        kubelets
    }
}

impl Drop for Kubelets {
    fn drop(&mut self) {
        let delete = ["delete", "nodes", "--selector=type=kwok", "--wait=false"];
        let _ = self.cluster.try_kubectl(&delete, None);
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn node(number: u32) -> Value {
    let name = format!("fake-{number}");
    let resources = json!({ "cpu": "32", "memory": "256Gi", "pods": "110" });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": { "type": "kwok", "kubernetes.io/hostname": name } },
        "spec": { "taints": [{ "key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule" }] },
        "status": {
            "allocatable": resources, "capacity": resources, "phase": "Running",
            "nodeInfo": { "architecture": "amd64", "operatingSystem": "linux" },
        },
    })
}
