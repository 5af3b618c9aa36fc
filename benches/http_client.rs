//! Which HTTP client carries messages to the app next door: CPU time per POST of four of them.
//!
//! Each client runs in a process of its own, pinned to one core, and POSTs an envelope of 2.5 kB to
//! the stub app on the other over kept-alive connections. The figures behind ADR 0003.
//!
//! Run as `cargo bench --bench http_client -- [--seconds N] [--runs N] [--connections N]`.

// The lint keeps the bridge on tokio's clock, which tests can stop; here real time is the subject.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "http_client/clients.rs"]
mod clients;
#[allow(dead_code, reason = "end_to_end describes the machine at length")]
#[path = "end_to_end/cores.rs"]
mod cores;
#[allow(dead_code, reason = "memory is end_to_end's subject")]
#[path = "end_to_end/proc.rs"]
mod proc;
#[path = "end_to_end/stub.rs"]
mod stub;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use tokio::task::JoinSet;

use crate::clients::{BODY_BYTES, Shared};
use crate::cores::Cores;
use crate::proc::CpuTime;
use crate::stub::Stub;

/// Compares HTTP clients over loopback.
#[derive(Debug, Parser)]
struct Options {
    /// Length of one measurement
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Measurements of each client, of which the median is shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    runs: u8,
    /// Connections to the app
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Be the process that runs this client
    #[arg(long, hide = true, requires = "app")]
    client: Option<Client>,
    /// Where the stub app listens
    #[arg(long, hide = true)]
    app: Option<SocketAddr>,
    /// Given by cargo bench, and not by cargo test, which is not for measuring
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Client {
    Reqwest,
    HyperSpawned,
    HyperInline,
    ByHand,
}

impl Client {
    fn describe(self) -> &'static str {
        match self {
            Self::Reqwest => "reqwest, one pool",
            Self::HyperSpawned => "hyper http1, connection in a task of its own",
            Self::HyperInline => "hyper http1, connection polled by the sender",
            Self::ByHand => "by hand, httparse",
        }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let (Some(client), Some(app)) = (options.client, options.app) {
        let figures = runtime.block_on(run_client(&options, client, app))?;
        println!("{}", figures.encode());
        return Ok(());
    }
    if !options.bench {
        println!("nothing measured: run by `cargo bench --bench http_client`");
        return Ok(());
    }
    let cores = Cores::enter()?;
    runtime.block_on(compare(&options, cores))
}

/// What a client's process reports to the one that started it.
struct Figures {
    /// Answered in all, warm-up included.
    answered: u64,
    requests_per_second: f64,
    cpu_us: f64,
}

impl Figures {
    fn encode(&self) -> String {
        format!(
            "{} {} {}",
            self.answered, self.requests_per_second, self.cpu_us
        )
    }

    fn decode(line: &str) -> Result<Self> {
        let mut fields = line.split_whitespace();
        let mut next = || fields.next().context("a figure is missing");
        Ok(Self {
            answered: next()?.parse()?,
            requests_per_second: next()?.parse()?,
            cpu_us: next()?.parse()?,
        })
    }
}

/// Runs the clients in turn, several times, and prints the medians.
async fn compare(options: &Options, cores: Cores) -> Result<()> {
    println!(
        "{} connections, bodies of {BODY_BYTES} bytes, medians over {} run(s) of {} s{}.\n",
        options.connections,
        options.runs,
        options.seconds,
        if cores.server.is_some() {
            ", client and app each on a core of its own"
        } else {
            ", UNPINNED: client and app share the cores"
        }
    );
    let stub = Stub::start().await?;
    let clients = Client::value_variants();
    let mut runs: Vec<Vec<Figures>> = clients.iter().map(|_| Vec::new()).collect();
    for run in 0..usize::from(options.runs) {
        // Another first one each time: a machine that grows slower meets all of them alike.
        for turn in 0..clients.len() {
            let index = (turn + run) % clients.len();
            let before = stub.counter.received();
            let figures = start_client(options, clients[index], stub.address, cores.server).await?;
            let after = stub.counter.received();
            let requests = after.messages - before.messages;
            let bytes = after.bytes - before.bytes;
            ensure!(
                requests == figures.answered && bytes == requests * BODY_BYTES as u64,
                "{:?} reports {} answers; the app received {requests} requests, {bytes} bytes",
                clients[index],
                figures.answered
            );
            runs[index].push(figures);
        }
    }

    println!("| client | requests/s | CPU µs/request |\n| --- | ---: | ---: |");
    for (client, figures) in clients.iter().zip(&runs) {
        let rate = median(figures.iter().map(|figures| figures.requests_per_second));
        let cpu = median(figures.iter().map(|figures| figures.cpu_us));
        println!("| {} | {rate:.0} | {cpu:.1} |", client.describe());
    }
    Ok(())
}

/// This program again, as a client on the other core.
async fn start_client(
    options: &Options,
    client: Client,
    app: SocketAddr,
    core: Option<usize>,
) -> Result<Figures> {
    let program = std::env::current_exe()?;
    let mut command = if let Some(core) = core {
        let mut command = Command::new("taskset");
        command.args(["-c", &core.to_string()]).arg(program);
        command
    } else {
        Command::new(program)
    };
    let name = client.to_possible_value().context("a client has a name")?;
    command
        .args(["--client", name.get_name(), "--app", &app.to_string()])
        .args(["--seconds", &options.seconds.to_string()])
        .args(["--connections", &options.connections.to_string()])
        .stderr(std::process::Stdio::inherit());
    // The stub goes on serving on this thread meanwhile.
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    ensure!(
        output.status.success(),
        "{client:?} ended with {}",
        output.status
    );
    Figures::decode(std::str::from_utf8(&output.stdout)?)
}

/// In the client's own process: POSTs for the given time, and measures itself.
async fn run_client(options: &Options, client: Client, app: SocketAddr) -> Result<Figures> {
    let shared = Arc::new(Shared::default());
    let mut connections = JoinSet::new();
    if client == Client::Reqwest {
        // reqwest was built without a provider of its own, and wants one even for http://.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
    }
    let pool = (client == Client::Reqwest)
        .then(|| reqwest::Client::builder().no_proxy().build())
        .transpose()?;
    for _ in 0..options.connections {
        let shared = Arc::clone(&shared);
        match (client, pool.clone()) {
            (Client::Reqwest, Some(pool)) => {
                connections.spawn(clients::with_reqwest(pool, app, shared))
            }
            (Client::HyperSpawned, _) => {
                connections.spawn(clients::with_hyper_spawned(app, shared))
            }
            (Client::HyperInline, _) => connections.spawn(clients::with_hyper_inline(app, shared)),
            (Client::ByHand, _) => connections.spawn(clients::by_hand(app, shared)),
            (Client::Reqwest, None) => bail!("no pool"),
        };
    }

    let read = || anyhow::Ok((CpuTime::of(&[std::process::id()])?, Instant::now()));
    let answered = || shared.answered.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs_f64(options.seconds / 10.0)).await;
    let ((cpu_at_start, start), answered_at_start) = (read()?, answered());
    tokio::time::sleep(Duration::from_secs_f64(options.seconds)).await;
    let ((cpu_at_end, end), answered_at_end) = (read()?, answered());
    shared.stop.store(true, Ordering::Relaxed);
    while let Some(connection) = connections.join_next().await {
        connection??;
    }

    let requests = (answered_at_end - answered_at_start) as f64;
    Ok(Figures {
        answered: answered(),
        requests_per_second: requests / (end - start).as_secs_f64(),
        cpu_us: cpu_at_end.since(cpu_at_start).used as f64 / 1e3 / requests,
    })
}

/// The middle one, or the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (lower, upper) = ((values.len() - 1) / 2, values.len() / 2);
    f64::midpoint(values[lower], values[upper])
}
