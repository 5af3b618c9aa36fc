//! The real binary as a child process: started on port 0, watched through its log, stopped as Kubernetes stops it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::PATIENCE;

/// A running `mllp-bridge run`. Dropped without [`stop`](Bridge::stop) it is killed, and if the test fails, its log is
/// printed.
pub struct Bridge {
    child: Option<Child>,
    pid: u32,
    log: Arc<Log>,
    listeners: Vec<(String, SocketAddr)>,
    admin: Option<SocketAddr>,
    folder: TempDir,
}

/// What to start, and how.
pub struct Builder {
    program: Vec<String>,
    config: Option<String>,
    flags: Vec<String>,
    env: Vec<(String, String)>,
    admin: bool,
    run: bool,
}

/// One line of the log.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// As written.
    pub text: String,
    /// Parsed, unless it is not JSON.
    pub json: Option<Value>,
}

#[derive(Default)]
struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Default)]
struct LogState {
    lines: Vec<LogLine>,
    /// The process has closed its stderr: it has ended.
    ended: bool,
}

/// Samples of one scrape of `/metrics`, by `name{labels}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    samples: BTreeMap<String, f64>,
}

/// The admin server's answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Bridge {
    /// Starts with this configuration; its binds should be on port 0. Without an `admin` section the admin server gets a
    /// free port.
    #[track_caller]
    pub fn start(config_yaml: &str) -> Self {
        Self::builder().config(config_yaml).start()
    }

    /// Starts with these flags of `run`.
    #[track_caller]
    pub fn with_flags(flags: &[&str]) -> Self {
        Self::builder().flags(flags).start()
    }

    /// Starts without a configuration: one listener on a free port, in front of this app.
    #[track_caller]
    pub fn for_app(url: &str) -> Self {
        Self::with_flags(&["--listen", "127.0.0.1:0", "--app", url])
    }

    /// For anything else.
    pub fn builder() -> Builder {
        Builder {
            program: vec![
                env!("CARGO_BIN_EXE_mllp-bridge").to_owned(),
                "run".to_owned(),
            ],
            config: None,
            flags: Vec::new(),
            env: Vec::new(),
            admin: true,
            run: true,
        }
    }

    /// For the webhook, as this replica of namespace `bridge`. Its configuration has both binds, and logs JSON.
    pub fn injector(config_yaml: &str, replica: &str) -> Builder {
        let mut builder = Self::builder().config(config_yaml);
        builder.program[1] = "injector".to_owned();
        builder.run = false;
        builder
            .env("POD_NAMESPACE", "bridge")
            .env("POD_NAME", replica)
    }

    /// Where the first listener listens.
    pub fn address(&self) -> SocketAddr {
        self.listeners[0].1
    }

    /// Where a listener listens.
    #[track_caller]
    pub fn listener(&self, name: &str) -> SocketAddr {
        let found = self.listeners.iter().find(|listener| listener.0 == name);
        found
            .unwrap_or_else(|| panic!("no listener {name:?} among {:?}", self.listeners))
            .1
    }

    /// Where the admin server listens.
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        self.admin
            .expect("the bridge was started without an admin server")
    }

    /// Process ID.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The configuration file that it was started with, to be changed for a reload.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join(CONFIG_FILE)
    }

    /// The log so far.
    pub fn logs(&self) -> Vec<LogLine> {
        self.log.lock().lines.clone()
    }

    /// Waits for a line with this message.
    #[track_caller]
    pub fn wait_for_log(&self, message: &str) -> LogLine {
        self.wait_for_line(&format!("a line with message {message:?}"), |line| {
            line.message() == Some(message)
        })
    }

    /// Waits for a line, which `what` describes.
    #[track_caller]
    pub fn wait_for_line(&self, what: &str, wanted: impl Fn(&LogLine) -> bool) -> LogLine {
        let state = self.log.wait(PATIENCE, |state| {
            state.ended || state.lines.iter().any(&wanted)
        });
        let found = state.lines.iter().find(|line| wanted(line)).cloned();
        drop(state);
        found.unwrap_or_else(|| panic!("no {what} within {PATIENCE:?}\n{}", self.log.report()))
    }

    /// Fails if this text, a patient's name say, is anywhere in the log.
    #[track_caller]
    pub fn assert_not_logged(&self, text: &str) {
        let logs = self.logs();
        let found = logs.iter().find(|line| line.text.contains(text));
        assert!(
            found.is_none(),
            "{text:?} was logged: {}",
            found.map_or("", |line| &line.text)
        );
    }

    /// GETs a path of the admin server.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        request(self.admin(), "GET", path)
    }

    /// POSTs to a path of the admin server, without a body.
    #[track_caller]
    pub fn post(&self, path: &str) -> Answer {
        request(self.admin(), "POST", path)
    }

    /// Scrapes `/metrics`.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "/metrics: {}", answer.body);
        Metrics::parse(&answer.body)
    }

    /// Scrapes, and adds up the samples of this name that have all these labels.
    #[track_caller]
    pub fn metric_sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metrics().sum(name, labels)
    }

    /// Scrapes until the sum is at least this: metrics are counted after the answer that a test waits for.
    #[track_caller]
    pub fn wait_for_metric(&self, name: &str, labels: &[(&str, &str)], at_least: f64) -> f64 {
        let start = Instant::now();
        loop {
            let metrics = self.metrics();
            let sum = metrics.sum(name, labels);
            if sum >= at_least {
                return sum;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{name}{labels:?} is {sum}, not {at_least}, after {PATIENCE:?}; of that name there is:\n{}",
                metrics.of_name(name),
            );
            // A counter raises no event.
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends SIGTERM, and returns at once.
    #[track_caller]
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by name.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        // The shell's own `kill`, which is there where no program of that name is.
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.pid)])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "cannot send SIG{name} to {}",
            self.pid
        );
    }

    /// Waits for the process to end by itself.
    #[track_caller]
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let ended = self.log.wait(limit, |state| state.ended).ended;
        assert!(
            ended,
            "still running after {limit:?}\n{}",
            self.log.report()
        );
        let mut child = self.child.take().expect("waited for once");
        child.wait().expect("wait for the child")
    }

    /// Terminates, and fails unless the bridge ends with exit code 0. Returns the log.
    #[track_caller]
    pub fn stop(self) -> Vec<LogLine> {
        self.stop_within(PATIENCE)
    }

    /// As [`stop`](Self::stop), within a limit.
    #[track_caller]
    pub fn stop_within(mut self, limit: Duration) -> Vec<LogLine> {
        self.terminate();
        let status = self.wait_exit(limit);
        assert_eq!(
            status.code(),
            Some(0),
            "ended with {status} after SIGTERM\n{}",
            self.log.report()
        );
        self.logs()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill(); // by its own handle: fails where it has ended
            let _ = child.wait();
            if thread::panicking() {
                eprintln!("{}", self.log.report());
            }
        }
    }
}

const CONFIG_FILE: &str = "bridge.yaml";

impl Builder {
    /// The configuration file's text.
    pub fn config(mut self, yaml: &str) -> Self {
        self.config = Some(yaml.to_owned());
        self
    }

    /// Further flags of `run`.
    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags
            .extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// For a configuration that turns the admin server off: does not wait for one.
    pub fn without_admin(mut self) -> Self {
        self.admin = false;
        self
    }

    /// Another program than the bridge, for testing these tools.
    pub fn program(mut self, command: &[&str]) -> Self {
        self.program = command.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    /// Starts it, and waits until all its listeners listen.
    #[track_caller]
    pub fn start(self) -> Bridge {
        let config: Option<Value> = self.config.as_deref().map(|yaml| {
            serde_saphyr::from_str(yaml)
                .unwrap_or_else(|error| panic!("the test's configuration: {error}\n{yaml}"))
        });
        let section = |name| config.as_ref().and_then(|config| config.get(name));
        let expected = section("listeners")
            .and_then(Value::as_array)
            .map_or(1, Vec::len);
        let admin_is_set =
            section("admin").is_some() || self.flags.iter().any(|flag| flag == "--admin");

        let folder = TempDir::new().expect("temporary folder");
        let mut command = self.command(folder.path());
        // Most tests send one message again and again. Those that are about it configure `duplicates`.
        let about_duplicates = self
            .config
            .as_deref()
            .unwrap_or_default()
            .contains("duplicates");
        if self.run && !about_duplicates {
            for listener in 0..expected {
                let name = format!("MLLP_BRIDGE_LISTENERS__{listener}__DUPLICATES__WINDOW");
                command.env(name, "off");
            }
        }
        if self.run && self.admin && !admin_is_set {
            command.args(["--admin", "127.0.0.1:0"]);
        }
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", self.program));
        let log = Arc::new(Log::default());
        let stderr = child.stderr.take().expect("piped");
        let reader = Arc::clone(&log);
        thread::spawn(move || reader.read(stderr));

        let pid = child.id();
        let mut bridge = Bridge {
            child: Some(child),
            pid,
            log,
            listeners: Vec::new(),
            admin: None,
            folder,
        };
        bridge.wait_until_listening(expected, self.admin);
        bridge
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program[0]);
        command.args(&self.program[1..]).args(&self.flags);
        if self.run {
            command.args(["--log-format", "json"]);
        }
        if let Some(yaml) = &self.config {
            let path = folder.join(CONFIG_FILE);
            std::fs::write(&path, yaml).expect("write the configuration");
            command.arg("--config").arg(path);
        }
        for (name, _) in std::env::vars()
            .filter(|(name, _)| name.starts_with("MLLP_BRIDGE_") || name == "RUST_LOG")
        {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }
}

impl Bridge {
    #[track_caller]
    fn wait_until_listening(&mut self, expected: usize, admin: bool) {
        let state = self.log.wait(PATIENCE, |state| {
            let listening = || state.lines.iter().filter_map(LogLine::listening);
            let admins = listening().filter(|(name, _)| name.is_none()).count();
            state.ended || (listening().count() - admins >= expected && (admins > 0 || !admin))
        });
        let listening: Vec<_> = state.lines.iter().filter_map(LogLine::listening).collect();
        let ended = state.ended;
        drop(state);
        for (name, address) in listening {
            match name {
                Some(name) => self.listeners.push((name, address)),
                None => self.admin = Some(address),
            }
        }
        let (listeners, admin_address) = (&self.listeners, self.admin);
        assert!(
            listeners.len() >= expected && (admin_address.is_some() || !admin),
            "the bridge {}: expected {expected} listener(s){}, got {listeners:?}, admin {admin_address:?}\n{}",
            if ended {
                "ended before it listened"
            } else {
                "does not listen"
            },
            if admin { " and admin" } else { "" },
            self.log.report(),
        );
    }
}

impl LogLine {
    fn new(text: String) -> Self {
        let json = serde_json::from_str(&text).ok();
        Self { text, json }
    }

    /// A member of the line, at its top or under `fields`.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let json = self.json.as_ref()?;
        json.get(name).or_else(|| json.get("fields")?.get(name))
    }

    /// A text member.
    pub fn text_field(&self, name: &str) -> Option<&str> {
        self.field(name).and_then(Value::as_str)
    }

    /// The message.
    pub fn message(&self) -> Option<&str> {
        self.text_field("message")
    }

    /// Which listener listens where, if the line says so; `None` for the admin server.
    fn listening(&self) -> Option<(Option<String>, SocketAddr)> {
        let name = match self.message()? {
            "listening" => Some(self.text_field("listener")?.to_owned()),
            "admin listening" => None,
            _ => return None,
        };
        Some((name, self.text_field("address")?.parse().ok()?))
    }
}

impl Log {
    fn read(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            self.lock().lines.push(LogLine::new(line));
            self.changed.notify_all();
        }
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, LogState> {
        // A failed assertion poisons it; what it holds is whole all the same.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, limit: Duration, done: impl Fn(&LogState) -> bool) -> MutexGuard<'_, LogState> {
        self.changed
            .wait_timeout_while(self.lock(), limit, |state| !done(state))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    fn report(&self) -> String {
        let state = self.lock();
        let lines: Vec<&str> = state.lines.iter().map(|line| line.text.as_str()).collect();
        format!(
            "---- log of the bridge, {} lines ----\n{}\n----",
            lines.len(),
            lines.join("\n")
        )
    }
}

impl Metrics {
    /// Reads the Prometheus text format.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let sample = |line: &str| {
            // Behind the labels, whose values may contain spaces.
            let name_end = line
                .rfind('}')
                .map_or_else(|| line.find(' '), |at| Some(at + 1));
            let (key, rest) = line.split_at_checked(name_end?)?;
            Some((
                key.to_owned(),
                rest.split_whitespace().next()?.parse().ok()?,
            ))
        };
        let samples = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
            .map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line:?}")))
            .collect();
        Self { samples }
    }

    /// One sample, by its full `name{label="value",…}`.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.samples.get(key).copied()
    }

    /// All samples.
    pub fn samples(&self) -> &BTreeMap<String, f64> {
        &self.samples
    }

    /// Adds up the samples of this name that have all these labels. 0 where there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        let matches = |key: &str| {
            let (of, rest) = key.split_once('{').unwrap_or((key, ""));
            let has = |pair: &String| {
                rest.starts_with(pair.as_str()) || rest.contains(&format!(",{pair}"))
            };
            of == name && wanted.iter().all(has)
        };
        self.samples
            .iter()
            .filter(|(key, _)| matches(key))
            .map(|(_, value)| value)
            .sum()
    }

    fn of_name(&self, name: &str) -> String {
        let lines = self
            .samples
            .iter()
            .filter(|(key, _)| key.split('{').next() == Some(name));
        lines
            .map(|(key, value)| format!("  {key} {value}\n"))
            .collect()
    }
}

#[track_caller]
fn request(address: SocketAddr, method: &str, path: &str) -> Answer {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head =
            format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer =
        ask().unwrap_or_else(|error| panic!("{method} {path} of the admin server: {error}"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status =
        status.unwrap_or_else(|| panic!("{method} {path}: not an HTTP answer: {answer:?}"));
    Answer {
        status,
        body: body.to_owned(),
    }
}
