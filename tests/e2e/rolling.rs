//! Nothing that was acknowledged is lost: not in rolling restarts, not when the sidecar is killed.

use std::thread;
use std::time::Duration;

use crate::cluster::{Cluster, Needs, eventually, run};
use crate::hospital::{Account, Hospital, Store, all_pods_answer};
use crate::namespace::Namespace;
use crate::pods;

#[test]
fn three_rolling_restarts_under_load_lose_nothing() {
    let Some(cluster) = Cluster::get(Needs::Api) else {
        return;
    };
    let namespace = Namespace::new(cluster, "rolling");
    let store = Store::start(&namespace);
    let spec = pods::spec(
        &[pods::sidecar(cluster)],
        &[pods::recorder(cluster, &store.url)],
    );
    namespace.apply(&[
        pods::deployment("hl7", 2, &spec),
        pods::mllp_service("mllp", "hl7"),
    ]);
    namespace.rolled_out("hl7");
    let service = namespace.get("service", "mllp");
    let address = format!(
        "{}:2575",
        service["spec"]["clusterIP"].as_str().expect("an address")
    );

    all_pods_answer(&namespace, &store, &address, 2);
    let hospital = Hospital::start(
        &namespace,
        &address,
        &["--connections", "8", "--rate", "100"],
    );
    thread::sleep(Duration::from_secs(2));
    for _ in 0..3 {
        namespace.kubectl(&["rollout", "restart", "deployment/hl7"]);
        namespace.rolled_out("hl7");
    }
    // The last old pods are still ending: the load goes on until they have.
    eventually("the end of the old pods", || {
        let pods = namespace.list("pods", "app=hl7");
        if pods.len() == 2 {
            Ok(())
        } else {
            Err(format!("{} pods", pods.len()))
        }
    });
    thread::sleep(Duration::from_secs(1));
    let report = hospital.stop();
    let records = store.records();
    let account = Account::of(&report, &records);
    let pods: std::collections::BTreeSet<_> = records.iter().map(|record| &record.pod).collect();
    println!(
        "three rolling restarts: {account:?} in {:.1} s, {} deliveries to {} pods, answers {:?}, ended connections {:?}, \
         longest gap {:.0} ms",
        report.seconds,
        records.len(),
        pods.len(),
        report.answers,
        report.breaks,
        report.gap * 1e3
    );
    assert!(
        pods.len() >= 6,
        "messages went to only {} of the 8 pods that there were",
        pods.len()
    );
    assert_eq!(account.given_up, 0, "{account:?}");
    assert!(report.gap < 5.0, "{} s without an answer", report.gap);
}

#[test]
fn a_killed_sidecar_comes_back_and_what_it_acknowledged_is_not_lost() {
    let Some(cluster) = Cluster::get(Needs::Node) else {
        return;
    };
    let namespace = Namespace::new(cluster, "kill");
    let store = Store::start(&namespace);
    let spec = pods::spec(
        &[pods::sidecar(cluster)],
        &[pods::recorder(cluster, &store.url)],
    );
    namespace.apply(&[pods::pod("hl7", &spec)]);
    let address = format!("{}:2575", namespace.address_of("hl7"));
    let before = status(&namespace);

    let hospital = Hospital::start(
        &namespace,
        &address,
        &["--connections", "8", "--rate", "200"],
    );
    thread::sleep(Duration::from_secs(2));
    let mut kill = cluster.inside("bash");
    let container = before["containerID"]
        .as_str()
        .and_then(|id| id.strip_prefix("containerd://"));
    let container = container.expect("a container of containerd");
    kill.args([
        "-ec",
        "kill -KILL $(ctr -n k8s.io task ls | awk -v id=\"$0\" '$1 == id { print $2 }')",
        container,
    ]);
    run(kill, None).unwrap_or_else(|error| panic!("{error}"));

    let after = eventually("the sidecar's return", || {
        let status = status(&namespace);
        if status["restartCount"] == 1 && status["ready"] == true {
            Ok(status)
        } else {
            Err(status.to_string())
        }
    });
    assert_eq!(after["lastState"]["terminated"]["exitCode"], 137, "{after}");
    thread::sleep(Duration::from_secs(2));
    let report = hospital.stop();
    let account = Account::of(&report, &store.records());
    println!(
        "kill -9 of the sidecar: {account:?}, ended connections {:?}, longest gap {:.0} ms",
        report.breaks,
        report.gap * 1e3
    );
    assert_eq!(account.given_up, 0, "{account:?}");
    // Nothing else in the pod was disturbed.
    let pod = namespace.get("pod", "hl7");
    assert_eq!(
        pod["status"]["containerStatuses"][0]["restartCount"], 0,
        "{pod}"
    );
}

fn status(namespace: &Namespace) -> serde_json::Value {
    namespace.get("pod", "hl7")["status"]["initContainerStatuses"][0].clone()
}
