//! The apps under `examples/`, run for real: each by itself, and behind the bridge; and [the programs that send](send). What the
//! documentation offers for copying must work, and must not teach anybody to log a patient's name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "helpers of tests, on blocking threads"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use serde_json::json;
use tempfile::TempDir;

use support::PATIENCE;
use support::bridge::Bridge;
use support::messages::{adt, adt_without_pid3, oru};
use support::peer::RawPeer;

mod send;
#[path = "../destinations/server.rs"]
#[allow(dead_code, reason = "what only tests/destinations needs")]
mod server;
#[path = "../support/mod.rs"]
mod support;

/// A language that an example is written in.
#[derive(Clone, Copy, PartialEq)]
enum Language {
    Python,
    Node,
    Go,
}

#[test]
fn python_by_itself() {
    by_itself(Language::Python);
}

#[test]
fn python_behind_the_bridge() {
    behind_the_bridge(Language::Python);
}

#[test]
fn node_by_itself() {
    by_itself(Language::Node);
}

#[test]
fn node_behind_the_bridge() {
    behind_the_bridge(Language::Node);
}

#[test]
fn go_by_itself() {
    by_itself(Language::Go);
}

#[test]
fn go_behind_the_bridge() {
    behind_the_bridge(Language::Go);
}

fn by_itself(language: Language) {
    let Some(app) = App::start(language) else {
        return;
    };
    let envelope = |id: &str, kind: &str, pid: serde_json::Value| {
        let segments = json!([{ "id": "MSH", "fields": {} }, { "id": "PID", "fields": pid }]);
        json!({ "specversion": "1.0", "id": id, "type": format!("org.hl7.v2.{kind}"), "hl7controlid": id,
                "data": { "segments": segments } })
        .to_string()
    };
    let name = json!([{ "1": "MUSTER", "2": "ERIKA" }]);
    let whole = envelope(
        "M1",
        "ADT.A01",
        json!({ "3": [{ "1": "4711", "5": "MR" }], "5": name }),
    );
    let subcomponents = envelope(
        "M2",
        "ADT.A01",
        json!({ "3": [{ "1": { "1": "4711", "2": "x" } }] }),
    );
    let nameless = envelope("M3", "ADT.A01", json!({ "5": name }));
    let result = envelope("M4", "ORU.R01", json!({}));

    for (what, body, status) in [
        ("a message", whole.as_str(), 204),
        ("its resend", whole.as_str(), 204),
        ("subcomponents in PID-3.1", subcomponents.as_str(), 204),
        ("a result without PID-3", result.as_str(), 204),
        ("an ADT without PID-3", nameless.as_str(), 422),
        ("its resend, which is refused again", nameless.as_str(), 422),
        ("what is not JSON", r"MSH|^~\&|MUSTER", 400),
        ("what is JSON, but no envelope", "[null]", 400),
        ("nothing", "", 400),
    ] {
        let answer = app.post("/hl7", body);
        assert_eq!(answer.0, status, "{what}: {answer:?}");
        if status == 422 {
            let problem: serde_json::Value = serde_json::from_str(&answer.1).expect("JSON");
            assert_eq!(problem["errors"][0]["location"], "PID-3", "{problem}");
        }
    }
    assert_eq!(app.post("/other", &whole).0, 404);

    let log = app.stop();
    for expected in [
        "taken org.hl7.v2.ADT.A01 M1",
        "refused org.hl7.v2.ADT.A01 M3",
    ] {
        assert!(log.contains(expected), "no {expected:?} in:\n{log}");
    }
    assert_no_patient(&log);
}

fn behind_the_bridge(language: Language) {
    let Some(app) = App::start(language) else {
        return;
    };
    let bridge = Bridge::for_app(&app.url);
    let mut peer = RawPeer::connect(bridge.address());

    peer.exchange(adt("MSG1")).expect("AA", "MSG1");
    peer.exchange(adt("MSG1")).expect("AA", "MSG1");
    peer.exchange(oru("MSG2")).expect("AA", "MSG2");

    let refused = peer.exchange(adt_without_pid3("MSG3"));
    refused.expect("AE", "MSG3");
    let err = refused.err();
    assert_eq!(err.len(), 1, "{refused}");
    assert_eq!(
        (err[0].component(2, 1), err[0].component(2, 3)),
        ("PID", "3"),
        "{refused}"
    );
    assert_eq!(err[0].component(3, 1), "101", "{refused}");
    let says_why = err[0]
        .to_string()
        .contains("a patient identifier is required");
    assert!(says_why, "the app's text is missing: {refused}");

    peer.exchange(adt("MSG4")).expect("AA", "MSG4");
    drop(peer);
    for line in bridge.stop() {
        assert_no_patient(&line.text);
    }
    let log = app.stop();
    assert!(log.contains("taken org.hl7.v2.ADT.A01 MSG1"), "{log}");
    assert_no_patient(&log);
}

/// Whether a program is installed; says so where it is not. In CI that is a failure.
fn is_here(program: &str, version: &str) -> bool {
    let found = Command::new(program)
        .arg(version)
        .stdout(Stdio::null())
        .status();
    if found.as_ref().is_ok_and(std::process::ExitStatus::success) {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{program} is missing: {found:?}"
    );
    eprintln!("skipped: {program} is missing: {found:?}");
    false
}

/// The program that Go makes of this.
fn go_build(folder: &TempDir, at: &Path, what: &str) -> PathBuf {
    let program = folder.path().join("program");
    let mut build = Command::new("go");
    build
        .args(["build", "-o"])
        .arg(&program)
        .arg(what)
        .current_dir(at);
    // What is installed, and no version control of the folder around.
    build
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-buildvcs=false");
    let built = build.output().expect("run go");
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "go build: {errors}");
    program
}

fn assert_no_patient(log: &str) {
    for secret in ["MUSTER", "ERIKA", "4711"] {
        assert!(!log.contains(secret), "{secret:?} was logged:\n{log}");
    }
}

/// A running example; killed when dropped.
struct App {
    child: Child,
    url: String,
    output: Receiver<String>,
    _folder: TempDir,
}

impl App {
    /// `None`, with the reason on stderr, where the interpreter is missing. In CI that is a failure.
    fn start(language: Language) -> Option<Self> {
        let (program, version) = match language {
            Language::Python => ("python3", "--version"),
            Language::Node => ("node", "--version"),
            Language::Go => ("go", "version"),
        };
        if !is_here(program, version) {
            return None;
        }

        let folder = TempDir::new().expect("temporary folder");
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let mut command = match language {
            Language::Python => {
                let mut command = Command::new(program);
                command.arg(examples.join("python/app.py")).arg("0");
                command
            }
            Language::Node => {
                let mut command = Command::new(program);
                command.arg(examples.join("node/app.mjs")).arg("0");
                command
            }
            // Not `go run`, whose child would outlive it.
            Language::Go => {
                let app = go_build(&folder, &examples.join("go"), ".");
                let mut command = Command::new(app);
                command.arg("0");
                command
            }
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));

        let (tell, output) = sync_channel(1000);
        let (stdout, stderr) = (
            child.stdout.take().expect("piped"),
            child.stderr.take().expect("piped"),
        );
        let tell_errors = tell.clone();
        thread::spawn(move || forward(stdout, |line| tell.send(line).is_ok()));
        thread::spawn(move || forward(stderr, |line| tell_errors.send(line).is_ok()));

        let mut app = Self {
            child,
            url: String::new(),
            output,
            _folder: folder,
        };
        let first = app
            .output
            .recv_timeout(PATIENCE)
            .expect("a line from the app");
        let url = first.strip_prefix("listening on ");
        app.url = url
            .unwrap_or_else(|| panic!("the app does not say where it listens: {first}"))
            .to_owned();
        Some(app)
    }

    /// POSTs a body; the answer's status and body.
    fn post(&self, path: &str, body: &str) -> (u16, String) {
        let authority = self
            .url
            .trim_start_matches("http://")
            .trim_end_matches("/hl7");
        let mut stream = TcpStream::connect(authority).expect("connect to the app");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("SO_RCVTIMEO");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/cloudevents+json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not an HTTP answer: {answer:?}"));
        let body = answer.split_once("\r\n\r\n").map_or("", |parts| parts.1);
        (status, body.to_owned())
    }

    /// Kills it, and returns what it had logged.
    fn stop(mut self) -> String {
        self.child.kill().expect("the app had ended by itself");
        self.output.iter().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill(); // fails where it has ended
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("---- output of the app ----");
            self.output.iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

fn forward(from: impl Read, tell: impl Fn(String) -> bool) {
    BufReader::new(from).lines().map_while(Result::ok).all(tell);
}
