//! The cluster that the tests run against: the project's own node (`tests/cluster`), or the user's current context.
//! Everything is done as a user would do it, with kubectl and helm as processes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a test waits for anything that should take seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What a test needs of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Its API, and pods that run.
    Api,
    /// The node itself: its processes, its network, a neighbour's network.
    Node,
}

/// Which cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Own,
    Current,
}

/// A cluster that is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cluster {
    place: Place,
}

impl Cluster {
    /// The cluster that `make e2e` has prepared; `None`, with the reason on standard error, where a test cannot run.
    /// `E2E_REQUIRED` makes a missing cluster a failure.
    pub(crate) fn get(needs: Needs) -> Option<Self> {
        let place = match std::env::var("E2E_CLUSTER").as_deref() {
            Ok("own") => Place::Own,
            Ok("current") => Place::Current,
            Ok(other) => panic!("E2E_CLUSTER is own or current, not {other:?}"),
            Err(_) if std::env::var_os("E2E_REQUIRED").is_some() => {
                panic!("E2E_REQUIRED is set, but there is no E2E_CLUSTER: run `make e2e`")
            }
            Err(_) => return skip("there is no cluster: `make e2e` starts one"),
        };
        if place == Place::Current && needs == Needs::Node {
            return skip("needs the node itself, and so the project's own cluster");
        }
        Some(Self { place })
    }

    /// Whether it is the project's own.
    pub(crate) fn is_own(self) -> bool {
        self.place == Place::Own
    }

    /// The image under test.
    pub(crate) fn bridge_image(self) -> String {
        image("E2E_BRIDGE_IMAGE", "localhost/mllp-bridge:e2e")
    }

    /// The image of the tests' own programs.
    pub(crate) fn app_image(self) -> String {
        image("E2E_APP_IMAGE", "localhost/hl7-app:e2e")
    }

    /// A program that sees the API server, such as kubectl.
    pub(crate) fn command(self, program: &str) -> Command {
        match self.place {
            Place::Own => self.node("net", program),
            Place::Current => Command::new(program),
        }
    }

    /// A program that sees the API server and ends, at the latest, with the thread that started it.
    pub(crate) fn background(self, program: &str) -> Command {
        let mut command = self.command("setpriv");
        command.args(["--pdeathsig", "KILL", program]);
        command
    }

    /// A program in the hospital's network.
    pub(crate) fn hospital(self, program: &str) -> Command {
        self.node("ehr", program)
    }

    /// A program among the node's processes.
    pub(crate) fn inside(self, program: &str) -> Command {
        self.node("in", program)
    }

    fn node(self, word: &str, program: &str) -> Command {
        assert!(self.is_own(), "the test did not say that it needs the node");
        let mut command = Command::new(root().join("tests/cluster/cluster"));
        command.arg(word).arg(program);
        command
    }

    /// kubectl's standard output. Fails with all that kubectl said.
    #[track_caller]
    pub(crate) fn kubectl(self, arguments: &[&str]) -> String {
        match self.try_kubectl(arguments, None) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }

    /// kubectl's standard output, or what went wrong.
    pub(crate) fn try_kubectl(
        self,
        arguments: &[&str],
        input: Option<&str>,
    ) -> Result<String, String> {
        let mut command = self.command("kubectl");
        command.args(arguments);
        run(command, input)
    }

    /// An object, or a list of them.
    #[track_caller]
    pub(crate) fn get_json(self, arguments: &[&str]) -> Value {
        let mut all = vec!["get", "-o", "json"];
        all.extend(arguments);
        serde_json::from_str(&self.kubectl(&all)).expect("kubectl prints JSON")
    }

    /// Creates or changes objects; fails with what the API server said.
    #[track_caller]
    pub(crate) fn apply(self, namespace: &str, objects: &[Value]) -> String {
        match self.try_apply(namespace, objects) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`apply`](Self::apply), where a refusal is expected or possible.
    pub(crate) fn try_apply(self, namespace: &str, objects: &[Value]) -> Result<String, String> {
        let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
        self.try_kubectl(
            &["apply", "--namespace", namespace, "--filename", "-"],
            Some(&documents.join("\n---\n")),
        )
    }
}

fn skip(reason: &str) -> Option<Cluster> {
    // Not eprintln!: the test harness would swallow it, and a test that did nothing would look like one that passed.
    let name = thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(std::io::stderr(), "skipped {name}: {reason}");
    None
}

fn image(variable: &str, default: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| default.to_owned())
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Runs a command to its end: its standard output, or a report of how it failed.
pub(crate) fn run(mut command: Command, input: Option<&str>) -> Result<String, String> {
    command.stdin(if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let shown = format!("{command:?}");
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
    let writer = input.map(|input| {
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_owned();
        // A program that refuses its input may end before it has read it.
        thread::spawn(move || drop(stdin.write_all(input.as_bytes())))
    });
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("its end");
    if let Some(writer) = writer {
        writer.join().expect("no panic");
    }
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&stderr);
    Err(format!("{shown}\nended with {status}:\n{stdout}{stderr}"))
}

/// Asks again and again until there is an answer. The last refusal is what the failure says.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) if start.elapsed() > PATIENCE => {
                panic!("{what}: not within {PATIENCE:?}; last: {error}")
            }
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}
