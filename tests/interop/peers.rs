//! The peers as child processes: where they are installed, how they are started, what they tell.
//!
//! A peer writes one JSON object a line: `case`, `sent` (control IDs), `answers` (`code`, `id`, perhaps `err`), `ignored`,
//! `strict`, `failed`. It ends by itself, or by its process ID.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

/// For a peer to end. A whole run takes a few seconds; HAPI's Java is compiled as it starts.
const LIMIT: Duration = Duration::from_secs(180);

/// Whose program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    HapiClient,
    MllpSend,
    Asyncio,
    Node,
    HapiParser,
    Hl7apy,
    V3Schema,
    HapiServer,
    AsyncioServer,
    NodeServer,
    Schemathesis,
}

/// What a peer tells of one case.
#[derive(Debug, Deserialize)]
pub(crate) struct Told {
    pub(crate) case: String,
    #[serde(default)]
    pub(crate) sent: Vec<String>,
    #[serde(default)]
    pub(crate) answers: Vec<Answer>,
    /// MSA-1 of answers that the client did not give to whoever sent the message.
    #[serde(default)]
    pub(crate) ignored: Vec<String>,
    /// What the peer's own classes say against it, beyond its validation.
    #[serde(default)]
    pub(crate) strict: Vec<String>,
    /// The peer's exception.
    #[serde(default)]
    pub(crate) failed: Option<String>,
}

/// An acknowledgement as the peer's parser reads it.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) code: String,
    pub(crate) id: String,
    /// ERR-2, ERR-3 and ERR-8 of the first ERR.
    #[serde(default)]
    pub(crate) err: Option<[String; 3]>,
}

impl Peer {
    /// Its folder under target/interop.
    fn folder(self) -> &'static str {
        match self {
            Peer::HapiClient | Peer::HapiParser | Peer::HapiServer => "hapi",
            Peer::MllpSend | Peer::Asyncio | Peer::AsyncioServer | Peer::Hl7apy => "python",
            Peer::Node | Peer::NodeServer => "node",
            Peer::V3Schema => "v3",
            Peer::Schemathesis => "schemathesis",
        }
    }

    /// Whether it can run here; says so where it cannot, which fails where `INTEROP=required`.
    pub(crate) fn is_installed(self) -> bool {
        let stamp = installed(&format!("{}.stamp", self.folder()));
        if stamp.is_file() {
            return true;
        }
        let required = std::env::var_os("INTEROP").is_some_and(|value| value == "required");
        assert!(!required, "{self:?} is not installed: no {stamp:?}");
        eprintln!("skipped: {self:?} is not installed (make interop does it)");
        false
    }

    pub(crate) fn command(self) -> Command {
        match self {
            Peer::HapiClient | Peer::HapiParser | Peer::HapiServer => {
                java("hapi/*", &source("hapi/Peer.java"))
            }
            Peer::V3Schema => java("v3/*", &source("v3/Schema.java")),
            Peer::MllpSend | Peer::Asyncio | Peer::AsyncioServer | Peer::Hl7apy => {
                let mut python = Command::new(installed("python/bin/python"));
                python.arg("-B").arg(source("python/peer.py"));
                python
            }
            Peer::Node | Peer::NodeServer => {
                let file = match self {
                    Peer::NodeServer => "node/server.mjs",
                    _ => "node/peer.mjs",
                };
                let mut node = Command::new("node");
                node.arg(source(file))
                    .env("INTEROP_NODE", installed("node"));
                node
            }
            Peer::Schemathesis => Command::new(installed("schemathesis/bin/schemathesis")),
        }
    }

    /// Runs it, with this on its stdin; what it told, in its order.
    pub(crate) fn run(self, arguments: &[&str], input: String) -> Vec<Told> {
        let mut command = self.command();
        let folder = TempDir::new().expect("temporary folder");
        command
            .args(arguments)
            .current_dir(&folder) // HAPI keeps a counter in a file where it runs
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let mut stdin = child.stdin.take().expect("piped");
        let stdout = child.stdout.take().expect("piped");
        let mut stderr = child.stderr.take().expect("piped");
        thread::spawn(move || stdin.write_all(input.as_bytes()));
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text); // what came until it was killed
            String::from_utf8_lossy(&text).into_owned()
        });
        let (tell, lines) = mpsc::sync_channel(1000);
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.for_each(|line| drop(tell.send(line)));
        });

        let end = Instant::now() + LIMIT;
        let mut told = Vec::new();
        let ended = loop {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => told.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break true,
                Err(mpsc::RecvTimeoutError::Timeout) => break false,
            }
        };
        if !ended {
            child.kill().expect("end the peer");
        }
        let status = child.wait().expect("the peer's end");
        let errors = errors.join().expect("a reader");
        let report = || format!("{}\n---- stderr ----\n{errors}----", told.join("\n"));
        assert!(
            ended,
            "{self:?} did not end within {LIMIT:?}:\n{}",
            report()
        );
        assert!(status.success(), "{self:?}: {status}\n{}", report());
        let parse = |line: &String| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{self:?} wrote {line:?}: {error}\n{}", report()))
        };
        told.iter().map(parse).collect()
    }
}

/// Compiled as it starts: no class file can be of another source.
fn java(jars: &str, source: &Path) -> Command {
    let mut java = Command::new("java");
    java.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(installed(jars))
        .arg(source);
    java
}

/// A file of ours beside this one.
pub(crate) fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/interop")
        .join(path)
}

fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/interop")
        .join(path)
}
