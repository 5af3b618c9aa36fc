//! The bridge as a process: its command line, and the line that says where it listens.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{Process, Program, Stderr};

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How to start a bridge.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) binary: PathBuf,
    /// The app that it delivers to.
    pub(crate) app: SocketAddr,
    pub(crate) core: Option<usize>,
}

/// A running bridge with one MLLP listener.
#[derive(Debug)]
pub(crate) struct Bridge {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// From exec to listening.
    pub(crate) started_in: Duration,
}

impl Bridge {
    pub(crate) async fn start(recipe: &Recipe) -> Result<Self> {
        let app = format!("http://{}/hl7", recipe.app);
        let binary = recipe.binary.to_string_lossy();
        let arguments = [
            &binary,
            "run",
            "--listen",
            "127.0.0.1:0",
            "--app",
            &app,
            "--admin",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ];
        let program = Program {
            command: arguments.map(str::to_owned).to_vec(),
            environment: vec![(
                "MLLP_BRIDGE_LISTENERS__0__LIMITS__MAX_CONNECTIONS".to_owned(),
                "20000".to_owned(),
            )],
            core: recipe.core,
        };
        let (process, mut stderr) = Process::start(&program)?;
        let listening = tokio::time::timeout(START_TIMEOUT, wait_listening(&mut stderr)).await;
        let Ok(Some((at, address))) = listening else {
            bail!(
                "the bridge ended, or did not say that it listens; its last lines:\n{}",
                process.last_lines()
            );
        };
        // The line is believed only if it is true.
        TcpStream::connect(address).context("the bridge says that it listens, but")?;
        Ok(Self {
            started_in: at - process.executed,
            process,
            address,
        })
    }
}

/// When and where it listens; `None` if its stderr ends without saying so.
async fn wait_listening(stderr: &mut Stderr) -> Option<(Instant, SocketAddr)> {
    while let Some((at, line)) = stderr.recv().await {
        if let Some(address) = listening_address(&line) {
            return Some((at, address));
        }
    }
    None
}

/// The MLLP listener's address, if `line` is the log line that announces it. Formatters differ in
/// whether an event's own fields are at the top or under `fields`.
fn listening_address(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let field = |name| {
        let value = line.get(name).or_else(|| line.get("fields")?.get(name));
        value.and_then(serde_json::Value::as_str)
    };
    // The admin server may announce itself too; only MLLP listeners have a name.
    (field("message") == Some("listening") && field("listener").is_some_and(|name| name != "admin"))
        .then(|| field("address")?.parse().ok())?
}
