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
    /// The MLLP server that it sends to, if it is to send.
    pub(crate) ehr: Option<SocketAddr>,
    pub(crate) core: Option<usize>,
}

impl Recipe {
    /// As many connections as there may be clients: the destination is not what anybody waits for.
    fn environment(&self) -> Vec<(String, String)> {
        let listener = ("LISTENERS__0__LIMITS__MAX_CONNECTIONS", "20000".to_owned());
        let way_out = self.ehr.into_iter().flat_map(|ehr| {
            [
                ("DESTINATIONS__0__NAME", "ehr".to_owned()),
                ("DESTINATIONS__0__ADDRESS", ehr.to_string()),
                ("DESTINATIONS__0__CONNECTIONS", "64".to_owned()),
                ("OUTBOUND__BIND", "127.0.0.1:0".to_owned()),
            ]
        });
        let all = [listener].into_iter().chain(way_out);
        all.map(|(key, value)| (format!("MLLP_BRIDGE_{key}"), value))
            .collect()
    }
}

/// A running bridge with one MLLP listener.
#[derive(Debug)]
pub(crate) struct Bridge {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// Where it takes messages to send.
    pub(crate) api: Option<SocketAddr>,
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
            environment: recipe.environment(),
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
        let api = match recipe.ehr {
            None => None,
            Some(_) => {
                let api = tokio::time::timeout(START_TIMEOUT, wait_for_api(&mut stderr)).await?;
                Some(api.context("the bridge did not say where it takes messages")?)
            }
        };
        Ok(Self {
            started_in: at - process.executed,
            process,
            address,
            api,
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

/// Where it takes messages to send; `None` if its stderr ends without saying so.
async fn wait_for_api(stderr: &mut Stderr) -> Option<SocketAddr> {
    while let Some((_, line)) = stderr.recv().await {
        let Some(field) = fields(&line) else { continue };
        if field("message").as_deref() == Some("taking messages to send") {
            return field("address")?.parse().ok();
        }
    }
    None
}

/// The MLLP listener's address, if `line` is the log line that announces it.
fn listening_address(line: &str) -> Option<SocketAddr> {
    let field = fields(line)?;
    // The admin server may announce itself too; only MLLP listeners have a name.
    (field("message")? == "listening" && field("listener").is_some_and(|name| name != "admin"))
        .then(|| field("address")?.parse().ok())?
}

/// The fields of a line of the log. Formatters differ in whether an event's own fields are at the top or under `fields`.
fn fields(line: &str) -> Option<impl Fn(&str) -> Option<String>> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(move |name: &str| {
        let value = line.get(name).or_else(|| line.get("fields")?.get(name));
        Some(value?.as_str()?.to_owned())
    })
}
