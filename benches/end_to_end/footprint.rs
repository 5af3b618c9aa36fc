//! What the bridge takes besides CPU time: memory at rest, after load, per idle connection and for
//! a large message, and the time from exec to listening. Each is asked of a process of its own.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::bridge::{Bridge, Recipe};
use crate::load::Client;
use crate::messages::{self, Message, Rendered, Wire};
use crate::proc;
use crate::stub::Counter;
use crate::throughput::{Candidate, Carrier, exercise, median};

pub(crate) const MIB: usize = 1024 * 1024;
/// The largest message that the bridge takes unless told otherwise.
const LARGE_MESSAGE: usize = 16 * MIB;
/// Connections from one source address: its ports are about 28,000, some of them in use.
const CONNECTIONS_PER_SOURCE: usize = 5_000;

/// Memory of the bridge in its life.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) idle_kib: u64,
    pub(crate) after_small_kib: u64,
    pub(crate) after_large_kib: u64,
}

/// What idle connections cost.
#[derive(Debug, Serialize)]
pub(crate) struct IdleConnections {
    pub(crate) connections: usize,
    /// False: no byte was sent. True: one message each, then silence.
    pub(crate) used: bool,
    pub(crate) kib_per_connection: f64,
}

/// Most memory while one large message passes.
#[derive(Debug, Serialize)]
pub(crate) struct LargeMessage {
    pub(crate) message: &'static str,
    pub(crate) bytes: usize,
    pub(crate) peak_kib: u64,
    pub(crate) times_its_size: f64,
}

/// Resident memory: just started, after 64 connections' ADTs, after 8 connections' 1 MB messages.
pub(crate) async fn memory(recipe: &Recipe, effort: Duration) -> Result<Memory> {
    let bridge = Bridge::start(recipe).await?;
    let pid = bridge.process.pid();
    let idle_kib = settled_kib(pid).await?;
    let candidate = Candidate {
        carrier: Carrier::Bridge,
        address: bridge.address,
        pids: Vec::new(),
        counter: Counter::default(),
        core: None,
    };
    exercise(&candidate, &messages::adt(), 64, effort).await?;
    let after_small_kib = settled_kib(pid).await?;
    let large = messages::oru_document("oru-1m-document", 1_000_000);
    exercise(&candidate, &large, 8, effort).await?;
    let after_large_kib = settled_kib(pid).await?;
    bridge.process.end().await?;
    Ok(Memory {
        idle_kib,
        after_small_kib,
        after_large_kib,
    })
}

/// Opens each of `steps` connections in turn, on one bridge, and reads its memory; `used` sends
/// a message on every connection first.
pub(crate) async fn idle_connections(
    recipe: &Recipe,
    steps: &[usize],
    used: bool,
) -> Result<Vec<IdleConnections>> {
    let bridge = Bridge::start(recipe).await?;
    let pid = bridge.process.pid();
    let at_start = settled_kib(pid).await?;
    let files_at_start = proc::open_files(pid)?;
    let mut message = Rendered::new(&messages::adt(), Wire::Mllp, bridge.address)?;
    let mut clients = Vec::new();
    let mut results = Vec::new();
    for &connections in steps {
        while clients.len() < connections {
            let source = source_address(clients.len());
            let mut client = Client::connect(bridge.address, Some(source))
                .await
                .with_context(|| format!("connection {}", clients.len() + 1))?;
            if used {
                client.send(&mut message).await?;
            }
            clients.push(client);
        }
        wait_accepted(pid, files_at_start + connections).await?;
        let grown = settled_kib(pid).await?.saturating_sub(at_start);
        results.push(IdleConnections {
            connections,
            used,
            kib_per_connection: grown as f64 / connections as f64,
        });
    }
    drop(clients);
    bridge.process.end().await?;
    Ok(results)
}

/// Peak memory of fresh bridges that one message of 16 MiB passes through.
pub(crate) async fn large_messages(recipe: &Recipe) -> Result<Vec<LargeMessage>> {
    let forms: [fn() -> Message; 2] = [
        || messages::oru_document("oru-16m-document", LARGE_MESSAGE),
        || messages::oru_results("oru-16m-lines", LARGE_MESSAGE),
    ];
    let mut results = Vec::new();
    for form in forms {
        let message = form();
        let bridge = Bridge::start(recipe).await?;
        let mut rendered = Rendered::new(&message, Wire::Mllp, bridge.address)?;
        let mut client = Client::connect(bridge.address, None).await?;
        client.send(&mut rendered).await.context(message.name)?;
        let peak_kib = proc::peak_kib(bridge.process.pid())?;
        bridge.process.end().await?;
        results.push(LargeMessage {
            message: message.name,
            bytes: message.text.len(),
            peak_kib,
            times_its_size: (peak_kib * 1024) as f64 / message.text.len() as f64,
        });
    }
    Ok(results)
}

/// Median time from exec to listening, in milliseconds.
pub(crate) async fn start_ms(recipe: &Recipe, starts: usize) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..starts {
        let bridge = Bridge::start(recipe).await?;
        times.push(bridge.started_in.as_secs_f64() * 1e3);
        bridge.process.end().await?;
    }
    median(times.into_iter()).context("not started once")
}

/// 127.0.0.2 for the first connections, then 127.0.0.3, and so on.
fn source_address(connection: usize) -> SocketAddr {
    let host = 2 + connection / CONNECTIONS_PER_SOURCE;
    SocketAddr::from(([127, 0, 0, u8::try_from(host).unwrap_or(u8::MAX)], 0))
}

/// A connect succeeds before the server has accepted it: counts the sockets it holds.
async fn wait_accepted(pid: u32, files: usize) -> Result<()> {
    let mut open = 0;
    for _ in 0..100 {
        open = proc::open_files(pid)?;
        if open >= files {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the bridge holds {open} files instead of {files}: not all connections were accepted")
}

/// Resident memory once it no longer changes, or after five seconds.
async fn settled_kib(pid: u32) -> Result<u64> {
    let mut last = proc::resident_kib(pid)?;
    let mut steady = 0;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = proc::resident_kib(pid)?;
        steady = if now == last { steady + 1 } else { 0 };
        last = now;
        // Longer than the second after which buffers of an idle connection may be given back.
        if steady == 15 {
            break;
        }
    }
    Ok(last)
}
