//! How a pod ends: in which order, and what the hospital notices, with an app that finishes its requests and with one
//! that does not, each with and without a preStop that sleeps. docs/lifecycle.md quotes what is printed here.

use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::cluster::{Cluster, Needs, eventually};
use crate::hospital::{Account, Hospital, Store, all_pods_answer};
use crate::namespace::Namespace;
use crate::pods;

/// An app, and whether its container sleeps before its SIGTERM.
struct Case {
    name: &'static str,
    leaves: &'static str,
    sleep: Option<u32>,
}

/// When things happened, in seconds after the pod was deleted.
#[derive(Debug)]
struct Order {
    draining: f64,
    drained: f64,
    app_has_sigterm: f64,
    app_ended: f64,
    sidecar_ended: f64,
}

#[test]
fn an_app_that_finishes_its_requests_ends_with_nobody_noticing() {
    let case = Case {
        name: "in-order",
        leaves: "in-order",
        sleep: None,
    };
    let Some((order, account, errors)) = end_of_a_pod(&case) else {
        return;
    };
    assert!(
        (order.app_has_sigterm - order.draining).abs() < 1.0,
        "not side by side: {order:?}"
    );
    assert!(
        order.sidecar_ended >= order.app_ended,
        "the sidecar went first: {order:?}"
    );
    assert_eq!((account.given_up, errors), (0, 0), "{account:?}");
}

#[test]
fn with_a_sleep_before_it_the_drain_is_over_when_the_app_has_its_sigterm() {
    let case = Case {
        name: "in-order-sleep",
        leaves: "in-order",
        sleep: Some(2),
    };
    let Some((order, account, errors)) = end_of_a_pod(&case) else {
        return;
    };
    assert!(
        order.drained < order.app_has_sigterm,
        "the sleep was too short: {order:?}"
    );
    assert!(
        order.sidecar_ended >= order.app_ended,
        "the sidecar went first: {order:?}"
    );
    assert_eq!((account.given_up, errors), (0, 0), "{account:?}");
}

#[test]
fn an_app_that_leaves_at_once_costs_its_senders_a_resend_and_loses_nothing() {
    let case = Case {
        name: "at-once",
        leaves: "at-once",
        sleep: None,
    };
    let Some((order, account, _)) = end_of_a_pod(&case) else {
        return;
    };
    assert_eq!(account.given_up, 0, "{account:?}");
    // Well before the acknowledgements are due (25 s): the app is known to be gone.
    let drain = order.drained - order.draining;
    assert!(
        drain < 10.0,
        "{drain} s for an app that had left: {order:?}"
    );
}

#[test]
fn with_a_sleep_even_an_app_that_leaves_at_once_ends_with_nobody_noticing() {
    let case = Case {
        name: "at-once-sleep",
        leaves: "at-once",
        sleep: Some(2),
    };
    let Some((order, account, errors)) = end_of_a_pod(&case) else {
        return;
    };
    assert!(
        order.drained < order.app_has_sigterm,
        "the sleep was too short: {order:?}"
    );
    assert_eq!((account.given_up, errors), (0, 0), "{account:?}");
}

/// Deletes one of two pods under load. What happened when, what became of the load, and how many answers were not AA.
fn end_of_a_pod(case: &Case) -> Option<(Order, Account, u64)> {
    let cluster = Cluster::get(Needs::Api)?;
    let namespace = Namespace::new(cluster, case.name);
    let store = Store::start(&namespace);
    let mut app = pods::recorder(cluster, &store.url);
    pods::set_env(&mut app, "TAKES", "0.2");
    pods::set_env(&mut app, "LEAVES", case.leaves);
    if let Some(seconds) = case.sleep {
        app["lifecycle"] = json!({ "preStop": { "sleep": { "seconds": seconds } } });
    }
    let spec = pods::spec(&[pods::sidecar(cluster)], &[app]);
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
    // As much as the apps can take, so that messages are in flight at any moment.
    let hospital = Hospital::start(
        &namespace,
        &address,
        &["--connections", "12", "--rate", "100"],
    );
    thread::sleep(Duration::from_secs(2));
    let pods = namespace.list("pods", "app=hl7");
    let pod = pods[0]["metadata"]["name"].as_str().expect("a name");
    let app = Followed::start(&namespace, pod, "app");
    let sidecar = Followed::start(&namespace, pod, "mllp-bridge");
    thread::sleep(Duration::from_millis(500));

    let deleted = Timestamp::now();
    namespace.kubectl(&["delete", "pod", pod, "--wait=false"]);
    let (app, sidecar) = thread::scope(|scope| {
        let app = scope.spawn(|| app.end());
        let sidecar = scope.spawn(|| sidecar.end());
        (
            app.join().expect("no panic"),
            sidecar.join().expect("no panic"),
        )
    });
    let order = Order {
        draining: sidecar.after(deleted, "\"draining\""),
        drained: sidecar.after(deleted, "\"drained\""),
        app_has_sigterm: app.after(deleted, "app has SIGTERM"),
        app_ended: app.last(deleted),
        sidecar_ended: sidecar.after(deleted, "\"told to end\""),
    };
    eventually("the pod's end", || {
        match namespace.try_kubectl(&["get", "pod", pod]) {
            Ok(output) => Err(output),
            Err(_) => Ok(()),
        }
    });
    thread::sleep(Duration::from_secs(1));
    let report = hospital.stop();
    let account = Account::of(&report, &store.records());
    let errors = report
        .answers
        .iter()
        .filter(|(code, _)| *code != "AA")
        .map(|(_, count)| count)
        .sum();
    println!(
        "{}: draining {:.2} s, drained {:.2} s, app's SIGTERM {:.2} s, app ended {:.2} s, sidecar told to end {:.2} s; \
         {account:?}, answers {:?}, ended connections {:?}, longest gap {:.0} ms",
        case.name,
        order.draining,
        order.drained,
        order.app_has_sigterm,
        order.app_ended,
        order.sidecar_ended,
        report.answers,
        report.breaks,
        report.gap * 1e3
    );
    Some((order, account, errors))
}

/// `kubectl logs --follow` of one container.
struct Followed {
    process: Child,
}

/// A whole log, with the kubelet's times.
struct Log(String);

impl Followed {
    fn start(namespace: &Namespace, pod: &str, container: &str) -> Self {
        let mut command = namespace.cluster.command("kubectl");
        command.args([
            "--namespace",
            &namespace.name,
            "logs",
            "--follow",
            "--timestamps",
            pod,
            "--container",
            container,
        ]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Self {
            process: command.spawn().expect("kubectl starts"),
        }
    }

    fn end(self) -> Log {
        let output = self.process.wait_with_output().expect("kubectl ends");
        Log(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Log {
    /// When a line with this was written, in seconds after a time.
    #[track_caller]
    fn after(&self, start: Timestamp, what: &str) -> f64 {
        let line = self.0.lines().find(|line| line.contains(what));
        let line = line.unwrap_or_else(|| panic!("no {what} in the log:\n{}", self.0));
        Self::time(line, start)
    }

    /// When the last line was written: the app's is that it leaves.
    #[track_caller]
    fn last(&self, start: Timestamp) -> f64 {
        Self::time(self.0.lines().next_back().expect("a log"), start)
    }

    #[track_caller]
    fn time(line: &str, start: Timestamp) -> f64 {
        let time = line.split(' ').next().map(str::parse);
        let time: Timestamp = time.and_then(Result::ok).expect("a time");
        time.duration_since(start).as_secs_f64()
    }
}
