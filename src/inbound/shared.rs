//! What the connections of a listener share: settings in force, metrics, bounds, and the brakes on its log lines.

use super::duplicates::{not_tried, still_there};
use super::memory::{Arrival, Memory, Unasked};
use super::told::{Told, linked, refused, settle};
use crate::awaited::Awaited;
use crate::config::{self, Session};
use crate::deliver::health::Health;
use crate::deliver::{App, Outcome, Route, Unready};
use crate::runtime::{Budget, Buffers, ControlIds, Drain, Phase};
use crate::state::Store;
use crate::telemetry::labels::{Closed, Deviation, Label, Refusal};
use crate::telemetry::log::Throttle;
use crate::telemetry::{ListenerMetrics, Metrics};
use arc_swap::ArcSwap;
use std::sync::Arc;
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
    /// What came before.
    pub memory: Memory,
    /// What is awaited as an answer to a message that was sent to a destination.
    awaited: Awaited,
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
    /// What outlives the process, if anything does.
    pub store: Option<Store>,
    /// Answers that come back on a listener.
    pub awaited: Awaited,
}

impl Live {
    /// Settings, ready for use. Reads files and compiles maps, and blocks for as long.
    ///
    /// # Errors
    /// If they point to what cannot be used.
    pub fn new(session: Arc<Session>, health: Arc<Health>) -> Result<Self, Unready> {
        let app = App::new(Route::new(session.deliver.clone()), health)?;
        Ok(Self { session, app })
    }
}

impl Shared {
    /// For a listener that is about to be bound. Reads what the store has of it.
    ///
    /// # Errors
    /// As for [`Live::new`].
    pub fn new(config: &config::Listener, common: &Common) -> Result<Self, Unready> {
        let health = Arc::new(Health::default());
        let live = Live::new(Arc::clone(&config.session), Arc::clone(&health))?;
        let metrics = common.metrics.listener(&config.name);
        Ok(Self {
            name: Arc::clone(&config.name),
            memory: Memory::new(
                &config.name,
                &config.session,
                common.store.clone(),
                metrics.clone(),
            ),
            metrics,
            buffers: common.buffers.clone(),
            budget: common.budget.clone(),
            drain: common.drain.clone(),
            control_ids: Arc::clone(&common.control_ids),
            awaited: common.awaited.clone(),
            health,
            live: ArcSwap::from_pointee(live),
            log: LogThrottles::default(),
        })
    }

    /// The settings in force.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Puts new settings in force, from each connection's next message on.
    pub fn reload(&self, live: Live) {
        let live = Arc::new(live);
        self.live.store(Arc::clone(&live));
        self.memory.reload(&live.session);
    }

    /// Counts and logs a message that the app was not asked about.
    pub fn refused(&self, reason: Refusal, peer: &str, bytes: usize) {
        self.metrics.refused.of(reason).inc();
        if let Some(suppressed) = self.log.refused.pass(Instant::now()) {
            let reason = reason.label();
            tracing::warn!(listener = %self.name, peer, reason, bytes, suppressed, "message refused");
        }
    }

    /// What is told of a message that the app is not asked about by what is remembered, and its MSA-4. Counts and logs it.
    pub fn unasked(&self, why: Unasked, arrival: &Arrival<'_>) -> (Option<Told>, Option<i64>) {
        match why {
            Unasked::StillThere => self.unavailable(still_there(), arrival),
            Unasked::Link(expected) => (Some(linked()), Some(expected)),
            Unasked::Refused(reason, expected) => {
                self.refused(reason, arrival.peer, arrival.message.len());
                (Some(refused(reason)), expected)
            }
        }
    }

    /// Whether a message is the answer that a message to a destination waits for, and has got there.
    pub fn answers(&self, arrival: &Arrival<'_>, bytes: &[u8]) -> bool {
        self.awaited
            .offer(&self.name, bytes, arrival.message, arrival.head)
    }

    /// Ends when this listener is to take no more: the drain has begun, and no answer is awaited here that could still come in
    /// time. With the time at which what is open is cut.
    pub async fn ending(&self) -> Instant {
        let deadline = self.drain.begun().await;
        tokio::select! {
            () = self.awaited.none(&self.name) => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
        deadline
    }

    /// Whether it has come to that.
    pub fn is_ending(&self) -> bool {
        match self.drain.phase() {
            Phase::Running => false,
            Phase::Draining(deadline) => {
                Instant::now() >= deadline || !self.awaited.is_awaited(&self.name)
            }
        }
    }

    /// What is told of a message behind one in its batch that could not be delivered.
    pub fn not_tried(&self, arrival: &Arrival<'_>) -> (Option<Told>, Option<i64>) {
        self.unavailable(not_tried(), arrival)
    }

    fn unavailable(&self, outcome: Outcome, arrival: &Arrival<'_>) -> (Option<Told>, Option<i64>) {
        self.delivered(&outcome, arrival);
        (settle(outcome, arrival.session.ack.unavailable), None)
    }

    /// Logs an exchange with the app: at most this one line.
    pub fn delivered(&self, outcome: &Outcome, arrival: &Arrival<'_>) {
        let (id, peer, started) = (&arrival.id, arrival.peer, arrival.started);
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
            Outcome::Refused(reason, _) => self.refused(*reason, peer, arrival.message.len()),
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

    /// Counts and logs a failed accept.
    pub fn accept_failed(&self, error: &std::io::Error) {
        self.metrics.accept_errors.inc();
        if let Some(suppressed) = self.log.accept.pass(Instant::now()) {
            tracing::error!(listener = %self.name, %error, suppressed, "cannot accept");
        }
    }

    /// Logs a deviation. `control_bytes` are the junk's, if it was junk; never text.
    pub fn deviation(&self, kind: Deviation, peer: &str, control_bytes: &[u8]) {
        if let Some(suppressed) = self.log.deviation.pass(Instant::now()) {
            let control_bytes = match kind {
                Deviation::JunkBeforeStart => control_bytes,
                _ => &[],
            };
            let kind = kind.label();
            tracing::info!(
                listener = %self.name, peer, kind, ?control_bytes, suppressed,
                "the peer deviates from the standard (said once per connection and kind)"
            );
        }
    }
}
