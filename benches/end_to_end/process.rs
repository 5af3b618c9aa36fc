//! A process under test: started on the server's core, ended with SIGTERM.
//!
//! A shell sets the file limit and the core first and then waits for a line; what follows that line
//! is `exec` alone. The time from exec to listening therefore holds neither `taskset` nor the shell.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::mpsc;

use crate::cores::RAISE_OPEN_FILES;

/// Lines of a server's stderr that are kept for an error message.
const KEPT_LINES: usize = 10;
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// What to start, and where.
#[derive(Debug)]
pub(crate) struct Program {
    /// The program, then its arguments.
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Core to pin it to.
    pub(crate) core: Option<usize>,
}

/// A running server. [`Process::end`] ends it in order; dropping it ends it one way or another.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// When the shell was told to `exec`.
    pub(crate) executed: Instant,
    last_lines: Arc<Mutex<VecDeque<String>>>,
}

/// Lines of a server's stderr, and when each was read. Dropping it does not stop the draining.
pub(crate) type Stderr = mpsc::UnboundedReceiver<(Instant, String)>;

impl Process {
    pub(crate) fn start(program: &Program) -> Result<(Self, Stderr)> {
        let pin = program.core.map_or_else(String::new, |core| {
            format!("taskset -c -p {core} $$ >/dev/null;")
        });
        let script = format!(
            "{RAISE_OPEN_FILES}; {pin} echo ready; read -r go; exec \"$0\" \"$@\" >/dev/null"
        );
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(script)
            .args(&program.command)
            .envs(program.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting a shell")?;
        let mut ready = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut ready)?;
        }
        let (lines, stderr) = mpsc::unbounded_channel();
        let last_lines = Arc::default();
        if let Some(pipe) = child.stderr.take() {
            let last_lines = Arc::clone(&last_lines);
            thread::spawn(move || drain(pipe, &lines, &last_lines));
        }
        let mut go = child.stdin.take().context("no stdin")?;
        let executed = Instant::now();
        go.write_all(b"\n").context("the shell ended early")?;
        let process = Self {
            child,
            executed,
            last_lines,
        };
        Ok((process, stderr))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Error if the process has ended by itself.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it ended with {status}:\n{}", self.last_lines());
        }
        Ok(())
    }

    /// What it said last on stderr.
    pub(crate) fn last_lines(&self) -> String {
        let lines = self
            .last_lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Vec::from_iter(lines.iter().map(String::as_str)).join("\n")
    }

    fn terminate(&self) -> Result<()> {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status()?;
        ensure!(sent.success(), "kill -TERM {pid}: {sent}");
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn end(mut self) -> Result<()> {
        self.terminate()?;
        let start = Instant::now();
        while start.elapsed() < END_TIMEOUT {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bail!("process {} ignores SIGTERM", self.pid());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already, in the good case. Otherwise asked first: nginx's master, killed outright,
        // would leave its worker behind.
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.terminate().ok();
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Reads a server's stderr for as long as it lives: a full pipe would stop the server.
fn drain(
    pipe: ChildStderr,
    lines: &mpsc::UnboundedSender<(Instant, String)>,
    last_lines: &Mutex<VecDeque<String>>,
) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        // Bounded, in case something writes without line ends.
        match reader.by_ref().take(64 * 1024).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let read_at = Instant::now();
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let mut kept = last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(text.clone());
        drop(kept);
        // Nobody listens any more once the server is up.
        lines.send((read_at, text)).ok();
    }
}
