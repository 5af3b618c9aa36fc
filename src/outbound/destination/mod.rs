//! One destination: its connections, who waits for one, and what is known of the server.
//!
//! ```text
//! message ─► queue (bounded) ─► permit ─► connection ─┬─ one that waits, if it is quiet
//!                                                     └─ a new one: address, fallback addresses
//!         ◄── acknowledgement, or why there is none ◄─┘
//! ```
//!
//! Permits are given in the order in which messages came: one connection keeps the order. A connection comes back only with an
//! acknowledgement; on whatever else it is closed. Nothing is sent again once a byte of it may have arrived, unless the
//! configuration says so.
//!
//! Must not know: HTTP, keys of requests.

mod failure;
mod pool;
mod status;

pub use failure::Failure;
pub use status::{Snapshot, State};

use super::answer::{Answer, Code};
use super::client::{Block, Connection, Options};
use super::error::{Error, Stage};
use super::expect::Next;
use crate::config::{self, Sending};
use crate::net::tls;
use crate::telemetry::labels::{AckLabel, Connect, LinkClosed};
use crate::telemetry::log::Throttle;
use crate::telemetry::{DestinationMetrics, Metrics, Raised};
use arc_swap::ArcSwap;
use pool::{Linked, Pool};
use status::Status;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

/// How often connections that wait are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A destination.
#[derive(Debug)]
pub struct Destination {
    /// As configured.
    pub name: Arc<str>,
    /// Its metrics.
    pub metrics: DestinationMetrics,
    live: ArcSwap<Live>,
    permits: Semaphore,
    /// Permits that are to be taken out of use when they come back.
    surplus: AtomicUsize,
    waiting: AtomicUsize,
    pool: Pool,
    status: Status,
    log: Throttle,
}

/// Settings in force.
#[derive(Debug)]
struct Live {
    sending: Arc<Sending>,
    options: Options,
    tls: Option<tls::Client>,
    /// Connections of other settings are not used.
    generation: u64,
}

/// What a message was answered.
#[derive(Debug)]
pub struct Exchanged {
    /// The last word, with the accept acknowledgement before it. `None`: nothing was asked for, or silence is a yes.
    pub answer: Option<Answer>,
    /// Sent once more after a loss.
    pub resent: bool,
    /// When its first byte was sent.
    pub began: Instant,
}

/// Counts a message that waits, as long as it does.
struct Waits<'a>(&'a Destination);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
        self.0.metrics.waiting.dec();
    }
}

/// A permit that knows whether it is still needed.
struct Permit<'a> {
    inner: Option<SemaphorePermit<'a>>,
    surplus: &'a AtomicUsize,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let less = |surplus: usize| surplus.checked_sub(1);
        if self.surplus.fetch_update(Relaxed, Relaxed, less).is_ok()
            && let Some(permit) = self.inner.take()
        {
            permit.forget();
        }
    }
}

impl Destination {
    /// For a destination of the configuration.
    pub fn new(config: &config::Destination, metrics: &Metrics) -> Self {
        let metrics = metrics.destination(&config.name);
        let live = Live::new(Arc::clone(&config.sending), 0);
        Self {
            name: Arc::clone(&config.name),
            permits: Semaphore::new(config.sending.connections),
            live: ArcSwap::from_pointee(live),
            surplus: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            pool: Pool::new(metrics.clone()),
            status: Status::default(),
            log: Throttle::default(),
            metrics,
        }
    }

    /// Settings in force.
    pub fn sending(&self) -> Arc<Sending> {
        Arc::clone(&self.live.load().sending)
    }

    /// Puts other settings in force. Messages that are under way end by the old ones.
    pub fn reload(&self, sending: Arc<Sending>) {
        let old = self.live.load_full();
        if old.sending == sending {
            return;
        }
        let same_link = old.sending.link == sending.link
            && old.sending.max_answer_bytes == sending.max_answer_bytes;
        let generation = old.generation + u64::from(!same_link);
        let (before, now) = (old.sending.connections, sending.connections);
        self.live.store(Arc::new(Live::new(sending, generation)));
        if now > before {
            // What was to be taken out of use stays, first.
            let more = now - before;
            let kept = self.surplus.fetch_update(Relaxed, Relaxed, |surplus| {
                Some(surplus.saturating_sub(more))
            });
            let kept = kept.unwrap_or_default().min(more);
            self.permits.add_permits(more - kept);
        } else {
            let gone = self.permits.forget_permits(before - now);
            self.surplus.fetch_add(before - now - gone, Relaxed);
        }
        if !same_link {
            self.status.forget_failures();
            self.pool.clear(LinkClosed::Reload);
        }
    }

    /// Puts a message into its block.
    ///
    /// # Errors
    /// If the destination's protocol cannot carry it.
    pub fn block(&self, message: &[u8]) -> Result<Block, Error> {
        Block::new(message, &self.live.load().options)
    }

    /// Sends a message and waits for its acknowledgement. Counts nothing: the one who asked knows more.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn exchange(&self, block: &Block) -> Result<Exchanged, Failure> {
        let _permit = self.permit().await?;
        let _in_flight = Raised::new(&self.metrics.in_flight);
        let live = self.live.load_full();
        // What became of it the first time: where the second comes to nothing, it may have arrived all the same.
        let mut lost: Option<Error> = None;
        loop {
            let (linked, fresh) = match (self.connection(&live).await, lost.take()) {
                (Ok(connection), before) => {
                    lost = before;
                    connection
                }
                (Err(failure), None) => return Err(failure),
                (Err(_), Some(error)) => {
                    self.failed(&error);
                    return Err(error.into());
                }
            };
            let began = Instant::now();
            let error = match linked.exchange(block, live.options).await {
                Ok((linked, answer)) => {
                    self.succeeded(linked, began, answer.as_ref());
                    let resent = lost.is_some();
                    return Ok(Exchanged {
                        answer,
                        resent,
                        began,
                    });
                }
                Err(error) => error,
            };
            self.metrics.closed.of(closed(&error)).inc();
            match error.may_have_arrived() {
                // It had ended before: the next one will do.
                false if !fresh && matches!(error, Error::Stale | Error::Unsolicited { .. }) => {}
                true if live.sending.resend && lost.is_none() && is_loss(&error) => {
                    lost = Some(error);
                    self.metrics.resent.inc();
                }
                arrived => {
                    let error = lost.filter(|_| !arrived).unwrap_or(error);
                    self.failed(&error);
                    return Err(error.into());
                }
            }
        }
    }

    /// The last word on a message whose application acknowledgement comes on another connection, after what came on its own.
    ///
    /// # Errors
    /// If it did not come in time, or is not this message's.
    pub fn answered_elsewhere(
        &self,
        block: &Block,
        mut exchanged: Exchanged,
        answer: Option<Vec<u8>>,
        after: Duration,
    ) -> Result<Exchanged, Failure> {
        let read = match answer {
            // Where only errors are told, silence is a yes.
            None if block.elsewhere() == Next::May => return Ok(exchanged),
            None => Err(Error::Timeout {
                stage: Stage::Accepted,
                after,
            }),
            Some(bytes) => Answer::read(bytes, block.control_id()).map_err(Error::from),
        };
        let mut last = read.inspect_err(|error| self.failed(error))?;
        self.metrics.acks.of(ack_label(last.code())).inc();
        last.accept = exchanged.answer.take().map(Box::new);
        exchanged.answer = Some(last);
        Ok(exchanged)
    }

    /// In the order in which messages came.
    async fn permit(&self) -> Result<Permit<'_>, Failure> {
        let permit = |inner| Permit {
            inner: Some(inner),
            surplus: &self.surplus,
        };
        if let Ok(inner) = self.permits.try_acquire() {
            return Ok(permit(inner));
        }
        let queue = self.live.load().sending.queue;
        let waits = Waits(self);
        self.metrics.waiting.inc();
        if self.waiting.fetch_add(1, Relaxed) >= queue.length {
            return Err(Failure::QueueFull(queue.length));
        }
        let acquired = timeout(queue.timeout, self.permits.acquire()).await;
        drop(waits);
        match acquired {
            Ok(Ok(inner)) => Ok(permit(inner)),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(Failure::QueueTimeout(queue.timeout)),
        }
    }

    /// One that waits, or a new one (`true`).
    async fn connection(&self, live: &Live) -> Result<(Linked, bool), Failure> {
        match self.pool.take(live.generation) {
            Some(linked) => Ok((linked, false)),
            None => Ok((self.open(live).await?, true)),
        }
    }

    /// The first address that takes a connection.
    async fn open(&self, live: &Live) -> Result<Linked, Failure> {
        if let Some((again, why)) = self.status.retry_in() {
            return Err(Failure::Away { why, again });
        }
        let mut last = None;
        for address in &live.sending.link.addresses {
            match Connection::open(address, live.tls.as_ref(), live.options).await {
                Ok(connection) => {
                    self.metrics.connects.of(Connect::Connected).inc();
                    if !self.status.connected() {
                        tracing::info!(destination = %self.name, %address, "the destination can be reached again");
                    }
                    self.metrics.up.set(1);
                    return Ok(self.pool.link(connection, live.generation));
                }
                Err(error) => {
                    self.metrics.connects.of(result(&error)).inc();
                    last = Some(error);
                }
            }
        }
        // There is at least one address.
        let error = last.unwrap_or(Error::Stale);
        let wait = self.status.unreachable(live.sending.reconnect, &error);
        self.metrics.up.set(0);
        if let Some(suppressed) = self.log.pass(Instant::now()) {
            let reason = error.with_causes();
            tracing::warn!(destination = %self.name, %reason, again_in = ?wait, suppressed, "the destination cannot be reached");
        }
        Err(error.into())
    }

    fn succeeded(&self, linked: Linked, began: Instant, answer: Option<&Answer>) {
        let took = began.elapsed();
        self.metrics.exchange.observe(took.as_secs_f64());
        let accept = answer.and_then(|answer| answer.accept.as_deref());
        for answer in accept.into_iter().chain(answer) {
            self.metrics.acks.of(ack_label(answer.code())).inc();
        }
        self.metrics.last_success.set(self.status.succeeded());
        self.pool.give(linked);
    }

    fn failed(&self, error: &Error) {
        self.status.failed(error);
        if let Some(suppressed) = self.log.pass(Instant::now()) {
            // Its text holds what the server wrote into MSA-2.
            let reason = error.kind().label();
            tracing::warn!(destination = %self.name, reason, suppressed, "a message was not acknowledged");
        }
    }

    /// Looks after the connections that wait, as long as it is polled: what has ended is let go, and where a connection is to be kept,
    /// it is made anew.
    pub async fn keep(&self) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let live = self.live.load_full();
            self.pool.look(live.generation, live.sending.idle_timeout);
            if live.sending.idle_timeout.is_some() || !self.pool.is_empty() {
                continue;
            }
            let Ok(inner) = self.permits.try_acquire() else {
                continue;
            };
            let _permit = Permit {
                inner: Some(inner),
                surplus: &self.surplus,
            };
            if let Ok(linked) = self.open(&live).await {
                self.pool.give(linked);
            }
        }
    }

    /// Whether a message that comes now is likely to find the server: unless the last attempt to connect failed.
    pub fn reachable(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.status.reachable)
    }

    /// What is known now.
    pub fn snapshot(&self) -> Snapshot {
        let open = self.metrics.open.get().try_into().unwrap_or_default();
        let in_flight = self.metrics.in_flight.get().try_into().unwrap_or_default();
        let waiting = self.waiting.load(Relaxed);
        self.status.snapshot(open, in_flight, waiting)
    }
}

impl Live {
    fn new(sending: Arc<Sending>, generation: u64) -> Self {
        let link = &sending.link;
        let options = Options {
            connect_timeout: link.connect_timeout,
            answer_timeout: sending.ack_timeout,
            max_answer_bytes: sending.max_answer_bytes,
            framing: link.framing,
            replies_elsewhere: sending.replies_on.is_some(),
            quiet: sending.quiet,
            keepalive: link.keepalive,
            user_timeout: link.user_timeout,
            source: link.source,
        };
        Self {
            tls: link.tls.clone().map(tls::Client::new),
            options,
            generation,
            sending,
        }
    }
}

/// What a server that knows messages that come twice may get again: its acknowledgement was lost on the way.
fn is_loss(error: &Error) -> bool {
    matches!(
        error,
        Error::Send(_) | Error::Receive(_) | Error::Closed { .. } | Error::ClosedAfterAccept
    )
}

fn closed(error: &Error) -> LinkClosed {
    match error {
        Error::Stale => LinkClosed::Peer,
        Error::Unsolicited { .. } => LinkClosed::Unsolicited,
        _ => LinkClosed::Exchange,
    }
}

fn result(error: &Error) -> Connect {
    match error {
        Error::Resolve { .. } => Connect::Dns,
        Error::ConnectTimeout { .. } => Connect::Timeout,
        Error::Tls { .. } => Connect::Tls,
        _ => Connect::Refused,
    }
}

fn ack_label(code: Code) -> AckLabel {
    match code {
        Code::Aa => AckLabel::Aa,
        Code::Ae => AckLabel::Ae,
        Code::Ar => AckLabel::Ar,
        Code::Ca => AckLabel::Ca,
        Code::Ce => AckLabel::Ce,
        Code::Cr => AckLabel::Cr,
    }
}

/// Whether the application acknowledgement of a message that asks for one is still to come, after this answer on the message's own
/// connection: a server of original mode has sent it there.
pub fn is_outstanding(answer: Option<&Answer>) -> bool {
    answer.is_none_or(|answer| answer.code() == Code::Ca)
}
