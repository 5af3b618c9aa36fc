//! The reference of the way out: a raw MLLP client, as a process of its own on the server's core. It is this program again, with the
//! load generator's loop and nothing around it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::load::{self, Plan};
use crate::messages::{self, Rendered, Wire};
use crate::process::{Process, Program};

/// For it to start, and to wait for its last answers.
const SPARE: Duration = Duration::from_secs(30);

/// What to send, as arguments of this program.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RawClient {
    /// Be the raw client, and send there
    #[arg(long, hide = true)]
    client: Option<SocketAddr>,
    #[arg(long, hide = true, default_value = "")]
    client_message: String,
    #[arg(long, hide = true, default_value_t = 1)]
    client_connections: usize,
    #[arg(long, hide = true, default_value_t = 1_000)]
    client_millis: u64,
}

/// What it measured of itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) messages: u64,
    pub(crate) answered: u64,
    pub(crate) window_ns: u64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) p999_ns: u64,
    pub(crate) cpu_ns: u64,
    pub(crate) waited_ns: u64,
}

impl RawClient {
    /// Sends, if this process is the client: then what it measured, as one line.
    pub(crate) async fn run(&self) -> Result<Option<String>> {
        let Some(target) = self.client else {
            return Ok(None);
        };
        let all = messages::all();
        let message = all
            .iter()
            .find(|message| message.name == self.client_message);
        let message = message.context("no such message")?;
        let rendered = Rendered::new(message, Wire::Mllp, target)?;
        let plan = plan(
            self.client_connections,
            Duration::from_millis(self.client_millis),
        );
        let measured = load::run(target, &rendered, plan, &[std::process::id()]).await?;
        let latency = |quantile| measured.latency.value_at_quantile(quantile);
        let said = Said {
            messages: measured.messages,
            answered: measured.answered,
            window_ns: u64::try_from(measured.window.as_nanos())?,
            p50_ns: latency(0.5),
            p99_ns: latency(0.99),
            p999_ns: latency(0.999),
            cpu_ns: measured.cpu.used,
            waited_ns: measured.cpu.waited,
        };
        Ok(Some(serde_json::to_string(&said)?))
    }
}

/// The same for every carrier.
pub(crate) fn plan(connections: usize, measure: Duration) -> Plan {
    Plan {
        connections,
        warm_up: measure / 10,
        measure,
    }
}

/// Starts the client, and waits for what it says.
pub(crate) async fn measure(
    target: SocketAddr,
    message: &str,
    connections: usize,
    measure: Duration,
    core: Option<usize>,
) -> Result<Said> {
    let program = std::env::current_exe().context("finding this program")?;
    let arguments = [
        program.to_string_lossy().into_owned(),
        "--bench".to_owned(),
        format!("--client={target}"),
        format!("--client-message={message}"),
        format!("--client-connections={connections}"),
        format!("--client-millis={}", measure.as_millis()),
    ];
    let program = Program {
        command: arguments.to_vec(),
        environment: Vec::new(),
        core,
    };
    let (process, mut stderr) = Process::start(&program)?;
    let said = async {
        while let Some((_, line)) = stderr.recv().await {
            if let Ok(said) = serde_json::from_str(&line) {
                return Some(said);
            }
        }
        None
    };
    let said = tokio::time::timeout(2 * measure + SPARE, said).await;
    let said = said.context("the raw client does not end")?;
    said.with_context(|| format!("the raw client ended:\n{}", process.last_lines()))
}
