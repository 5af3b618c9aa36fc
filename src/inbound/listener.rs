//! One MLLP port: accepting, within bounds, and what its connections share.

use super::connection;
use super::control_id::ControlIds;
use crate::config::{self, Session};
use crate::deliver::health::Health;
use crate::deliver::{App, Outcome, Route};
use crate::envelope::EventId;
use crate::net::socket;
use crate::runtime::{Budget, Buffers, Drain};
use crate::telemetry::labels::{Closed, Deviation, Label, Refusal};
use crate::telemetry::log::Throttle;
use crate::telemetry::{ListenerMetrics, Metrics};
use arc_swap::ArcSwap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Settings in force, and what is made of them.
#[derive(Debug)]
pub struct Live {
    /// The settings.
    pub session: Arc<Session>,
    /// The app that they name.
    pub app: App,
}

/// What all connections of a listener share.
#[derive(Debug)]
pub struct Shared {
    /// The listener's name.
    pub name: Arc<str>,
    /// Its metrics.
    pub metrics: ListenerMetrics,
    /// Buffers that are not in use.
    pub buffers: Buffers,
    /// The bound on large ones.
    pub budget: Budget,
    /// Ends everything.
    pub drain: Drain,
    /// Control IDs of acknowledgements.
    pub control_ids: Arc<ControlIds>,
    /// Whether the app can be reached.
    pub health: Arc<Health>,
    live: ArcSwap<Live>,
    log: LogThrottles,
}

#[derive(Debug, Default)]
struct LogThrottles {
    outcome: Throttle,
    refused: Throttle,
    foreign: Throttle,
    deviation: Throttle,
    accept: Throttle,
}

/// What the listeners of one process share.
#[derive(Debug, Clone)]
pub struct Common {
    /// Metrics of the process.
    pub metrics: Metrics,
    /// Buffers that are not in use.
    pub buffers: Buffers,
    /// The bound on large ones.
    pub budget: Budget,
    /// Ends everything.
    pub drain: Drain,
    /// Control IDs of acknowledgements.
    pub control_ids: Arc<ControlIds>,
}

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    /// What its connections share.
    pub shared: Arc<Shared>,
    socket: TcpListener,
    connections: Arc<Semaphore>,
}

impl Live {
    /// Settings, ready for use.
    ///
    /// # Errors
    /// If the app is behind TLS and the system's trust store cannot be used.
    pub fn new(session: Arc<Session>, health: Arc<Health>) -> Result<Self, reqwest::Error> {
        let app = App::new(Route::new(session.deliver.clone()), health)?;
        Ok(Self { session, app })
    }
}

impl Shared {
    /// The settings in force.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Puts new settings in force, from each connection's next message on.
    ///
    /// # Errors
    /// As for [`Live::new`]; the old settings stay.
    pub fn reload(&self, session: Arc<Session>) -> Result<(), reqwest::Error> {
        self.live
            .store(Arc::new(Live::new(session, Arc::clone(&self.health))?));
        Ok(())
    }

    /// Counts and logs a message that the app was not asked about.
    pub fn refused(&self, reason: Refusal, peer: &str, bytes: usize) {
        self.metrics.refused.of(reason).inc();
        if let Some(suppressed) = self.log.refused.pass(Instant::now()) {
            let reason = reason.label();
            tracing::warn!(listener = %self.name, peer, reason, bytes, suppressed, "message refused");
        }
    }

    /// Logs an exchange with the app: at most this one line.
    pub fn delivered(&self, outcome: &Outcome, id: &EventId<'_>, peer: &str, started: Instant) {
        let now = Instant::now();
        let pass = || self.log.outcome.pass(now);
        let micros = || now.duration_since(started).as_micros() as u64;
        match outcome {
            Outcome::Accepted(_) => {
                tracing::debug!(listener = %self.name, peer, message_id = ?id, micros = micros(), "accepted");
            }
            Outcome::Rejected(rejection) => {
                if let Some(suppressed) = pass() {
                    tracing::warn!(
                        listener = %self.name, peer, message_id = ?id, status = rejection.status, micros = micros(),
                        suppressed, "the application refused a message"
                    );
                }
            }
            Outcome::Unavailable(failure) => {
                if let Some(suppressed) = pass() {
                    tracing::warn!(
                        listener = %self.name, peer, message_id = ?id, reason = failure.reason.label(),
                        status = failure.status, attempts = failure.attempts, micros = micros(), suppressed,
                        "a message could not be delivered"
                    );
                }
            }
        }
    }

    /// Logs a connection that does not speak MLLP.
    pub fn foreign(&self, closed: Closed, peer: &str) {
        if let Some(suppressed) = self.log.foreign.pass(Instant::now()) {
            tracing::warn!(listener = %self.name, peer, reason = closed.label(), suppressed, "closed: not MLLP");
        }
    }

    /// Logs a deviation. `control_bytes` are the junk's, if it was junk; never text.
    pub fn deviation(&self, kind: Deviation, peer: &str, control_bytes: &[u8]) {
        if let Some(suppressed) = self.log.deviation.pass(Instant::now()) {
            let kind = kind.label();
            tracing::info!(
                listener = %self.name, peer, kind, ?control_bytes, suppressed,
                "the peer deviates from the standard (said once per connection and kind)"
            );
        }
    }
}

impl Listener {
    /// Binds the port.
    ///
    /// # Errors
    /// If the address cannot be bound or the app's client cannot be made.
    pub fn bind(config: &config::Listener, common: &Common) -> io::Result<Self> {
        let health = Arc::new(Health::default());
        let live = Live::new(Arc::clone(&config.session), Arc::clone(&health))
            .map_err(io::Error::other)?;
        let socket = socket::listen(config.bind, config.backlog)?;
        let shared = Shared {
            name: Arc::clone(&config.name),
            metrics: common.metrics.listener(&config.name),
            buffers: common.buffers.clone(),
            budget: common.budget.clone(),
            drain: common.drain.clone(),
            control_ids: Arc::clone(&common.control_ids),
            health,
            live: ArcSwap::from_pointee(live),
            log: LogThrottles::default(),
        };
        let connections = Arc::new(Semaphore::new(config.session.limits.max_connections));
        Ok(Self {
            shared: Arc::new(shared),
            socket,
            connections,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until the drain begins; then waits for the open connections, and cuts them at the drain's deadline.
    pub async fn serve(self) {
        let Self {
            shared,
            socket,
            connections,
        } = self;
        let mut tasks = JoinSet::new();
        let mut pause = Pause::default();
        loop {
            tokio::select! {
                _ = shared.drain.begun() => break,
                Some(_) = tasks.join_next() => {}
                accepted = accept(&socket, &connections) => match accepted {
                    Ok((stream, peer, permit)) => {
                        pause = Pause::default();
                        tasks.spawn(run(stream, peer, Arc::clone(&shared), permit));
                    }
                    Err(error) => {
                        shared.metrics.accept_errors.inc();
                        if let Some(suppressed) = shared.log.accept.pass(Instant::now()) {
                            tracing::error!(listener = %shared.name, %error, suppressed, "cannot accept");
                        }
                        // Without file descriptors left, accept fails at once, again and again.
                        tokio::time::sleep(pause.next()).await;
                    }
                },
            }
        }
        // New connections go elsewhere from here on.
        drop(socket);
        let finished = async { while tasks.join_next().await.is_some() {} };
        tokio::select! {
            () = finished => {}
            () = shared.drain.forced() => {
                tasks.abort_all();
                while tasks.join_next().await.is_some() {}
            }
        }
    }
}

/// The permit comes first: a connection that cannot be served stays in the kernel's queue.
async fn accept(
    socket: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = socket.accept().await?;
    Ok((stream, peer, permit))
}

async fn run(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
) {
    let mut open = Open {
        metrics: &shared.metrics,
        closed: Closed::Forced,
    };
    shared.metrics.accepted.inc();
    shared.metrics.open.inc();
    let keepalive = shared.live().session.limits.keepalive;
    open.closed = match socket::prepare_peer(&stream, keepalive) {
        Ok(()) => connection::serve(stream, peer, &shared).await,
        Err(_) => Closed::Error,
    };
    tracing::debug!(listener = %shared.name, %peer, reason = open.closed.label(), "connection closed");
}

/// Counts a connection's end, however it ends.
struct Open<'m> {
    metrics: &'m ListenerMetrics,
    closed: Closed,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.metrics.open.dec();
        self.metrics.closed.of(self.closed).inc();
    }
}

/// How long to wait after a failed accept: doubling up to a second.
#[derive(Debug, Default)]
struct Pause(u32);

impl Pause {
    fn next(&mut self) -> Duration {
        self.0 = (self.0 + 1).min(6);
        Duration::from_millis(16 << self.0)
    }
}
