//! The hospital's side: senders in a network of their own, and the store that says what the apps have taken.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use crate::cluster::{eventually, root};
use crate::namespace::Namespace;
use crate::pods;

/// What `app/sender.py` reports.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    /// Everything it began to send.
    pub(crate) messages: Vec<Message>,
    /// Answers by code.
    pub(crate) answers: BTreeMap<String, u64>,
    /// Connections that ended or failed, by what the sender saw.
    pub(crate) breaks: BTreeMap<String, u64>,
    /// Longest time without a positive answer on any connection, in seconds.
    pub(crate) gap: f64,
    /// From the first positive answer to the last.
    pub(crate) seconds: f64,
}

/// One message of a sender.
#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    /// MSH-10.
    pub(crate) control_id: String,
    /// Unix times.
    pub(crate) attempts: Vec<f64>,
    /// When AA came.
    pub(crate) acked: Option<f64>,
}

/// One message as an app took it.
#[derive(Debug, Deserialize, Clone)]
pub(crate) struct Record {
    /// CloudEvents' id.
    pub(crate) id: String,
    /// The request's `Idempotency-Key`.
    pub(crate) key: Option<String>,
    /// MSH-10.
    pub(crate) control_id: String,
    /// Which pod's app.
    pub(crate) pod: String,
}

/// The senders at work.
pub(crate) struct Hospital {
    sender: Child,
}

impl Hospital {
    /// Starts senders to an address. They end with [`stop`](Self::stop), or, given `--messages`, by themselves.
    pub(crate) fn start(namespace: &Namespace, address: &str, arguments: &[&str]) -> Self {
        let cluster = namespace.cluster;
        let mut command = if cluster.is_own() {
            let mut command = cluster.hospital("python3");
            command.arg(root().join("tests/e2e/app/sender.py"));
            command
        } else {
            in_a_pod(namespace)
        };
        command.arg(address).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self {
            sender: command.spawn().expect("the sender starts"),
        }
    }

    /// Ends them, after what they have begun.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Report {
        if let Some(mut stdin) = self.sender.stdin.take() {
            let _ = stdin.write_all(b"\n");
        }
        let output = self.sender.wait_with_output().expect("the sender ends");
        assert!(
            output.status.success(),
            "the sender ended with {}",
            output.status
        );
        serde_json::from_slice(&output.stdout).expect("the sender's report")
    }

    /// Sends a number of messages on one connection, and waits for the last answer.
    #[track_caller]
    pub(crate) fn send(
        namespace: &Namespace,
        address: &str,
        prefix: &str,
        messages: u32,
    ) -> Report {
        let messages = messages.to_string();
        let arguments = [
            "--connections",
            "1",
            "--rate",
            "200",
            "--messages",
            &messages,
            "--prefix",
            prefix,
        ];
        Self::start(namespace, address, &arguments).stop()
    }
}

/// Where there is no network beside the cluster's: a pod of its own.
fn in_a_pod(namespace: &Namespace) -> Command {
    if namespace.try_kubectl(&["get", "pod", "ehr"]).is_err() {
        let idle = pods::python(
            namespace.cluster,
            "ehr",
            &["-c", "import time; time.sleep(86400)"],
        );
        namespace.apply(&[pods::pod("ehr", &pods::spec(&[], &[idle]))]);
        namespace.wait_for("condition=Ready", "pod/ehr");
    }
    let mut command = namespace.cluster.command("kubectl");
    command.args(["--namespace", &namespace.name, "exec", "-i", "ehr", "--"]);
    command.args(["python3", "/app/sender.py"]);
    command
}

/// The database behind the apps.
pub(crate) struct Store<'a> {
    namespace: &'a Namespace,
    /// What an app calls it by.
    pub(crate) url: String,
}

impl<'a> Store<'a> {
    /// Starts it.
    #[track_caller]
    pub(crate) fn start(namespace: &'a Namespace) -> Self {
        let container = pods::python(namespace.cluster, "store", &["store.py", "8081"]);
        namespace.apply(&[pods::pod("store", &pods::spec(&[], &[container]))]);
        let url = format!("http://{}:8081", namespace.address_of("store"));
        eventually("the store", || namespace.ask_pod("store", 8081, "/records"));
        Self { namespace, url }
    }

    /// All that the apps took, in order.
    #[track_caller]
    pub(crate) fn records(&self) -> Vec<Record> {
        let records = eventually("the store's records", || {
            self.namespace.ask_pod("store", 8081, "/records")
        });
        serde_json::from_str(&records).expect("records")
    }
}

/// Sends messages until so many pods have taken some: the Service's rules come a moment after its pods are ready, and until
/// then every connection would go to the same one.
#[track_caller]
pub(crate) fn all_pods_answer(
    namespace: &Namespace,
    store: &Store<'_>,
    address: &str,
    pods: usize,
) {
    eventually("messages to every pod", || {
        Hospital::send(namespace, address, "WARM", 1);
        let records = store.records();
        let seen: BTreeSet<_> = records.iter().map(|record| record.pod.as_str()).collect();
        if seen.len() >= pods {
            Ok(())
        } else {
            Err(format!("only to {seen:?}"))
        }
    });
}

/// What became of a load: fails on the first message that was acknowledged and not taken, and on the first that was
/// taken twice without the same key.
#[derive(Debug)]
pub(crate) struct Account {
    /// Messages that got AA.
    pub(crate) acknowledged: usize,
    /// Messages that the senders gave up.
    pub(crate) given_up: usize,
    /// Deliveries beyond each message's first, all with its key.
    pub(crate) recognisable_duplicates: usize,
}

impl Account {
    /// Compares both sides.
    #[track_caller]
    pub(crate) fn of(report: &Report, records: &[Record]) -> Self {
        let mut taken: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
        for record in records {
            taken.entry(&record.control_id).or_default().push(record);
        }
        let mut account = Self {
            acknowledged: 0,
            given_up: 0,
            recognisable_duplicates: 0,
        };
        for message in &report.messages {
            let taken = taken
                .get(message.control_id.as_str())
                .map_or(&[][..], Vec::as_slice);
            if message.acked.is_some() {
                account.acknowledged += 1;
                assert!(
                    !taken.is_empty(),
                    "acknowledged, and not taken: {message:?}"
                );
            } else {
                account.given_up += 1;
            }
            if let [first, again @ ..] = taken {
                account.recognisable_duplicates += again.len();
                assert!(
                    first.key.is_some() && again.iter().all(|record| record.key == first.key),
                    "taken twice, and not to be known for the same: {taken:?}"
                );
                assert!(
                    again.len() < message.attempts.len(),
                    "taken more often than sent: {message:?} {taken:?}"
                );
            }
        }
        account
    }
}
