//! A release's life, with Helm 4 and with Helm 3: install, test, a message, two upgrades, a rollback, and nothing left.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use crate::cluster::{Cluster, Needs, eventually, root, run};
use crate::hospital::{Account, Hospital, Store};
use crate::namespace::Namespace;
use crate::pods;
use crate::prometheus::Prometheus;
use crate::release::{
    INJECTOR, NAME, Release, admitted, labelled_deployment, labelled_pod, sidecar_of,
};

#[test]
fn helm4_from_install_to_uninstall() {
    life("helm4");
}

#[test]
fn helm3_from_install_to_uninstall() {
    life("helm3");
}

fn life(helm: &'static str) {
    let Some(cluster) = Cluster::get(Needs::Api) else {
        return;
    };
    let release = Release::prepare(cluster, helm);
    let before = inventory(&release.namespace);
    let install = release.helm(&["install"], &[]);
    let test = release.run(&["test", NAME, "--timeout", "3m"]);

    // A labelled Deployment, a message, and Prometheus.
    let namespace = Namespace::new(cluster, "injected");
    let start = Instant::now();
    let store = Store::start(&namespace);
    let app = pods::recorder(cluster, &store.url);
    let annotations =
        json!({ "mllp-bridge.io/app-path": "/hl7", "mllp-bridge.io/config": "destinations" });
    namespace.apply(&[
        destinations(),
        labelled_deployment("hl7", 2, &annotations, &[app]),
    ]);
    namespace.rolled_out("hl7");
    let rollout = start.elapsed();
    let pod = namespace.list("pods", "app=hl7")[0].clone();
    let name = pod["metadata"]["name"].as_str().expect("a name");
    let sidecar = sidecar_of(&pod).unwrap_or_else(|| panic!("no sidecar: {pod}"));
    assert_eq!(sidecar["image"], cluster.bridge_image(), "{sidecar}");
    let address = format!(
        "{}:2575",
        pod["status"]["podIP"].as_str().expect("an address")
    );
    let report = Hospital::send(&namespace, &address, "H", 20);
    assert_eq!(report.answers.get("AA"), Some(&20), "{report:?}");
    Account::of(&report, &store.records());
    if cluster.is_own() {
        dashboards(cluster, &namespace, name, &address);
    }

    // Changes: each must leave the webhook trusted, and the certificates where the injector has put them.
    let authority = authority(&release);
    let mut times = Vec::new();
    for values in [
        &["sidecar.defaults.log-level=debug"][..],
        &["injector.podLabels.tier=gate", "sidecar.memoryLimit=96Mi"],
    ] {
        times.push(release.helm(&["upgrade"], values));
        assert_eq!(
            self::authority(&release),
            authority,
            "the upgrade has changed the CA"
        );
        trusted(&namespace);
    }
    // Old replicas answer until the API server has let go of them.
    let memory = |expected: &str| {
        eventually("the new default for sidecars", || {
            let pod = trusted(&namespace);
            let limits = sidecar_of(&pod).map(|sidecar| &sidecar["resources"]["limits"]);
            if limits == Some(&json!({ "memory": expected })) {
                Ok(())
            } else {
                Err(format!("{limits:?}"))
            }
        });
    };
    memory("96Mi");
    let rollback = release.run(&["rollback", NAME, "1", "--wait", "--timeout", "3m"]);
    assert_eq!(
        self::authority(&release),
        authority,
        "the rollback has changed the CA"
    );
    let start = Instant::now();
    memory("128Mi");
    let old = start.elapsed();

    let uninstall = release.run(&["uninstall", NAME, "--wait"]);
    eventually("nothing is left", || {
        let left: Vec<_> = inventory(&release.namespace)
            .difference(&before)
            .cloned()
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    });
    // Without the webhook the label is only a label.
    let bare = admitted(
        &namespace,
        &labelled_pod("bare", &json!({}), &[example(cluster)]),
    );
    assert!(sidecar_of(&bare.expect("a pod")).is_none());
    println!(
        "{helm}: install {:.1} s, test {:.1} s, labelled Deployment {:.1} s, upgrades {:.1} s and {:.1} s, \
         rollback {:.1} s (and {:.1} s until the old replicas are silent), uninstall {:.1} s",
        install.as_secs_f64(),
        test.as_secs_f64(),
        rollout.as_secs_f64(),
        times[0].as_secs_f64(),
        times[1].as_secs_f64(),
        rollback.as_secs_f64(),
        old.as_secs_f64(),
        uninstall.as_secs_f64()
    );
}

/// What annotations cannot say: a destination, which is the sidecar's own listener.
fn destinations() -> Value {
    let config = "destinations:\n  - name: ehr\n    address: 127.0.0.1:2575\n";
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "destinations" },
        "data": { "config.yaml": config },
    })
}

/// An app sends a message: the example program, beside the app, through the sidecar's API.
#[track_caller]
fn send_from(namespace: &Namespace, pod: &str, control_id: &str) {
    let message = format!(
        "MSH|^~\\&|APP|CLOUD|EHR|HOSPITAL|20260405101530||ADT^A08^ADT_A01|{control_id}|P|2.5.1\r\
         PID|1||4711^^^HOSPITAL^MR||TESTMANN^ERIKA\r"
    );
    let mut command = namespace.cluster.command("kubectl");
    command.args([
        "--namespace",
        &namespace.name,
        "exec",
        "-i",
        pod,
        "-c",
        "app",
    ]);
    command.args(["--", "python3", "/app/send.py", "ehr", "/dev/stdin"]);
    if let Err(error) = run(command, Some(&message)) {
        panic!("{control_id} was not sent: {error}");
    }
}

fn example(cluster: Cluster) -> Value {
    pods::python(cluster, "app", &["app.py", "8080"])
}

/// A labelled pod gets its sidecar now.
#[track_caller]
fn trusted(namespace: &Namespace) -> Value {
    let pod = labelled_pod("trusted", &json!({}), &[example(namespace.cluster)]);
    let pod = admitted(namespace, &pod).unwrap_or_else(|error| panic!("{error}"));
    assert!(sidecar_of(&pod).is_some(), "{pod}");
    pod
}

/// The CA in the Secret.
fn authority(release: &Release) -> Value {
    let secret = release.namespace.get("secret", &format!("{INJECTOR}-ca"));
    assert!(
        secret["data"]
            .as_object()
            .is_some_and(|data| !data.is_empty()),
        "the injector has written no CA"
    );
    secret["data"].clone()
}

/// What a release could leave behind: in its namespace, and outside.
fn inventory(namespace: &Namespace) -> BTreeSet<String> {
    let kinds = "deployments,replicasets,pods,services,endpointslices,configmaps,secrets,serviceaccounts,roles,rolebindings,\
                 leases,poddisruptionbudgets,networkpolicies,jobs";
    let inside = namespace.kubectl(&["get", kinds, "--output", "name"]);
    let kinds = "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingadmissionpolicies,\
                 validatingadmissionpolicybindings,namespaces";
    let outside = namespace
        .cluster
        .kubectl(&["get", kinds, "--output", "name"]);
    let ours = outside.lines().filter(|name| name.contains("mllp-bridge"));
    inside.lines().chain(ours).map(str::to_owned).collect()
}

/// Every query of every dashboard has data, after some of everything has happened.
fn dashboards(cluster: Cluster, namespace: &Namespace, pod: &str, address: &str) {
    let prometheus = Prometheus::start(cluster);
    let seen = format!(
        "count(mllp_bridge_build_info{{namespace=\"{}\"}})",
        namespace.name
    );
    prometheus.shows(&seen, 2.0);
    // Before the counters move, so that rates have something to rise from.
    let accepted = format!("sum(mllp_bridge_messages_total{{outcome=\"accepted\",pod=\"{pod}\"}})");
    prometheus.shows(&accepted, 20.0);
    Hospital::send(namespace, address, "D", 5);
    Hospital::send(namespace, address, "RESET", 1); // the app breaks the connection, once
    Hospital::send(namespace, address, "LF", 1); // segments that end with line feeds: a deviation
    prometheus.shows(&accepted, 27.0);
    let sent = format!(
        "sum(mllp_bridge_destination_messages_total{{outcome=\"accepted\",pod=\"{pod}\"}})"
    );
    prometheus.shows(&sent, 0.0);
    for control_id in ["OUT1", "OUT2", "OUT3"] {
        send_from(namespace, pod, control_id);
    }
    prometheus.shows(&sent, 3.0);
    prometheus.shows(&accepted, 30.0);

    let mut empty = Vec::new();
    let mut asked = 0;
    for entry in
        std::fs::read_dir(root().join("charts/mllp-bridge/dashboards")).expect("dashboards")
    {
        let path = entry.expect("a file").path();
        let dashboard: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).expect("a dashboard"))
                .expect("JSON");
        let mut queries = Vec::new();
        collect(&dashboard, &mut queries);
        for query in queries {
            asked += 1;
            let query = query
                .replace("$namespace", &namespace.name)
                .replace("$listener", ".+")
                .replace("$destination", ".+");
            let query = query
                .replace("$pod", pod)
                .replace("$__rate_interval", "1m")
                .replace("$__range", "1h");
            match prometheus.query(&query) {
                Ok(result) if !result.is_empty() => {}
                other => empty.push(format!("{}: {query}: {other:?}", path.display())),
            }
        }
    }
    assert!(asked > 20, "only {asked} queries found");
    assert!(
        empty.is_empty(),
        "{} of {asked} queries have no data:\n{}",
        empty.len(),
        empty.join("\n")
    );
    println!("{asked} queries of the dashboards have data");
}

fn collect(value: &Value, queries: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            queries.extend(
                members
                    .get("expr")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            members.values().for_each(|member| collect(member, queries));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, queries)),
        _ => {}
    }
}
