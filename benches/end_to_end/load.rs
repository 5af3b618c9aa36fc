//! The load generator: some connections, on each the next message once the last is answered.
//!
//! Every answer is checked: right status, right acknowledgement code, and the control ID of the
//! message that was sent. A message that is answered wrongly ends the measurement as void.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::messages::{Rendered, Wire};
use crate::proc::CpuTime;

/// Numbers all messages of this process: a control ID is never used twice.
static NEXT_CONTROL_ID: AtomicU64 = AtomicU64::new(1);

/// An outstanding answer that takes longer than this is lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// More than the longest answer: nginx's heads and the bridge's ACKs are a few hundred bytes.
const ANSWER_BUFFER: usize = 8 * 1024;

/// How hard and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) connections: usize,
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
}

/// What one measurement gave.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Answered in the measured window.
    pub(crate) messages: u64,
    pub(crate) window: Duration,
    /// From the first byte written to the last byte of the answer read, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// CPU time of the servers in the window.
    pub(crate) cpu: CpuTime,
    /// Answered in all, warm-up included: what the stub must have counted.
    pub(crate) answered: u64,
}

/// What the connections share.
struct Shared {
    latency: Mutex<Histogram<u64>>,
    stop: AtomicBool,
}

impl Shared {
    /// Takes what was recorded since the last call.
    fn take(&self) -> Result<Histogram<u64>> {
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut *latency, new_histogram()?))
    }

    fn record(&self, elapsed: Duration) {
        // Only one thread runs connections, so the lock is always free.
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        latency.saturating_record(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// Loads `target`. The CPU time of `servers` is read at both ends of the window.
pub(crate) async fn run(
    target: SocketAddr,
    message: &Rendered,
    plan: Plan,
    servers: &[u32],
) -> Result<Measured> {
    let shared = Arc::new(Shared {
        latency: Mutex::new(new_histogram()?),
        stop: AtomicBool::new(false),
    });
    let mut connections = JoinSet::new();
    for _ in 0..plan.connections {
        let client = Client::connect(target, None).await?;
        connections.spawn(send_until_stopped(
            client,
            message.clone(),
            Arc::clone(&shared),
        ));
    }

    let window = async {
        tokio::time::sleep(plan.warm_up).await;
        shared.take()?;
        let (start, cpu_at_start) = (Instant::now(), CpuTime::of(servers)?);
        tokio::time::sleep(plan.measure).await;
        let (window, cpu_at_end) = (start.elapsed(), CpuTime::of(servers)?);
        anyhow::Ok((window, cpu_at_end.since(cpu_at_start), shared.take()?))
    };
    let (window, cpu, latency) = tokio::select! {
        measured = window => measured?,
        // A connection returns before it is told to only when something is wrong.
        Some(early) = connections.join_next() => {
            early??;
            bail!("a connection ended early");
        }
    };

    shared.stop.store(true, Ordering::Relaxed);
    let ended = async {
        let mut answered = 0;
        while let Some(connection) = connections.join_next().await {
            answered += connection??;
        }
        anyhow::Ok(answered)
    };
    let answered = tokio::time::timeout(ANSWER_TIMEOUT, ended)
        .await
        .context("an answer is missing")??;
    Ok(Measured {
        messages: latency.len(),
        window,
        latency,
        cpu,
        answered,
    })
}

async fn send_until_stopped(
    mut client: Client,
    mut message: Rendered,
    shared: Arc<Shared>,
) -> Result<u64> {
    let mut answered = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        message.set_control_id(NEXT_CONTROL_ID.fetch_add(1, Ordering::Relaxed));
        let start = Instant::now();
        client.exchange(&message).await?;
        shared.record(start.elapsed());
        answered += 1;
    }
    Ok(answered)
}

fn new_histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

/// One connection to the process under test.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    /// Connects, from `source` if given: one address has some 28,000 ports.
    pub(crate) async fn connect(target: SocketAddr, source: Option<SocketAddr>) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(source) = source {
            socket.bind(source)?;
        }
        let stream = socket
            .connect(target)
            .await
            .with_context(|| format!("connecting to {target}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            answer: Vec::new(),
        })
    }

    /// Sends a single message under a new control ID, with a deadline.
    pub(crate) async fn send(&mut self, message: &mut Rendered) -> Result<()> {
        message.set_control_id(NEXT_CONTROL_ID.fetch_add(1, Ordering::Relaxed));
        tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(message))
            .await
            .context("an answer is missing")?
    }

    /// Writes a message, reads the whole answer, and checks it.
    async fn exchange(&mut self, message: &Rendered) -> Result<()> {
        self.stream.write_all(&message.bytes).await?;
        // Allocated at the first message: thousands of idle connections send none.
        self.answer.resize(ANSWER_BUFFER, 0);
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.answer[filled..]).await?;
            ensure!(
                read > 0,
                "the connection was closed instead of an answer, after {:?}",
                String::from_utf8_lossy(&self.answer[..filled])
            );
            filled += read;
            let answer = &self.answer[..filled];
            let complete = match message.wire {
                Wire::Mllp => acknowledged(answer, message.control_id())?,
                Wire::Http => succeeded(answer)?,
                Wire::Api => succeeded(answer)? && told(answer, message.control_id())?,
            };
            if complete {
                return Ok(());
            }
            ensure!(filled < ANSWER_BUFFER, "an answer has no end");
        }
    }
}

/// True for a whole frame that accepts `control_id`, false for the start of a frame.
fn acknowledged(answer: &[u8], control_id: &[u8]) -> Result<bool> {
    let Some(ack) = answer.strip_suffix(b"\x1c\r") else {
        return Ok(false);
    };
    let text = || String::from_utf8_lossy(answer).into_owned();
    ensure!(ack.starts_with(b"\x0bMSH|"), "not an ACK: {:?}", text());
    let msa = memchr::memmem::find(ack, b"\rMSA|AA|")
        .with_context(|| format!("not accepted: {:?}", text()))?;
    let rest = &ack[msa + b"\rMSA|AA|".len()..];
    let end = memchr::memchr2(b'|', b'\r', rest).unwrap_or(rest.len());
    ensure!(
        &rest[..end] == control_id,
        "the ACK of another message than {:?}: {:?}",
        String::from_utf8_lossy(control_id),
        text()
    );
    Ok(true)
}

/// True where the API says that this message was accepted; anything else is an error.
fn told(answer: &[u8], control_id: &[u8]) -> Result<bool> {
    let body = memchr::memmem::find(answer, b"\r\n\r\n").map_or(&[][..], |at| &answer[at + 4..]);
    let body: serde_json::Value = serde_json::from_slice(body)?;
    // Of the acknowledgement itself: `control_id` beside it is the request's own.
    let accepts = format!("\rMSA|AA|{}\r", String::from_utf8_lossy(control_id));
    let is_own = body["raw"]
        .as_str()
        .is_some_and(|ack| ack.contains(&accepts));
    ensure!(
        body["code"] == "AA" && is_own,
        "not this message's acceptance: {body}"
    );
    Ok(true)
}

/// True for a whole answer with status 200, false for the start of one.
fn succeeded(answer: &[u8]) -> Result<bool> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(answer)? else {
        return Ok(false);
    };
    ensure!(
        response.code == Some(200),
        "status {:?} instead of 200",
        response.code
    );
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .context("an answer without a length")?;
    let length: usize = std::str::from_utf8(length.value)?.parse()?;
    Ok(answer.len() >= head + length)
}
