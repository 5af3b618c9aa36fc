//! Pods that are created one after the other, at a rate, while something happens to the webhook.

use std::io::Write;
use std::process::{Child, Stdio};

use serde::Deserialize;
use serde_json::Value;

use crate::cluster::root;
use crate::namespace::Namespace;

/// `app/admit.py` at work.
pub(crate) struct Pressure {
    process: Child,
}

/// What `app/admit.py` reports.
#[derive(Debug, Deserialize)]
pub(crate) struct Admissions {
    /// How many pods were taken.
    pub(crate) admitted: u64,
    /// How many of them without a sidecar.
    pub(crate) bare: u64,
    /// What was said to the others.
    pub(crate) refused: Vec<Value>,
    /// The longest time without an admission, in seconds.
    pub(crate) gap: f64,
}

impl Pressure {
    /// Pods that are not kept, until it is stopped.
    #[track_caller]
    pub(crate) fn start(namespace: &Namespace, pod: &Value) -> Self {
        Self::with(namespace, pod, &[])
    }

    /// So many pods that are kept, at so many a second.
    #[track_caller]
    pub(crate) fn create(namespace: &Namespace, pod: &Value, count: u32, rate: u32) -> Admissions {
        let (count, rate) = (count.to_string(), rate.to_string());
        Self::with(namespace, pod, &["--keep", &count, "--rate", &rate]).stop()
    }

    #[track_caller]
    fn with(namespace: &Namespace, pod: &Value, arguments: &[&str]) -> Self {
        let mut command = namespace.cluster.command("python3");
        command
            .arg(root().join("tests/e2e/app/admit.py"))
            .arg(&namespace.name)
            .args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("python3 starts");
        let stdin = process.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{pod}").expect("it reads");
        Self { process }
    }

    /// Ends it, and reads its report.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Admissions {
        if let Some(mut stdin) = self.process.stdin.take() {
            let _ = writeln!(stdin);
        }
        let output = self.process.wait_with_output().expect("its end");
        assert!(
            output.status.success(),
            "admit.py ended with {}",
            output.status
        );
        serde_json::from_slice(&output.stdout).expect("its report")
    }
}
