//! What is known of a destination's server: when it was reached, when it was not, and when it is tried again.

use super::super::error::{Error, Kind};
use crate::config::Retry;
use crate::runtime::backoff;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Whether there are connections to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// At least one is open.
    Connected,
    /// None is open, and nothing is known against it.
    Idle,
    /// The last attempt to connect failed.
    Unreachable,
}

/// A destination as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Whether there are connections.
    pub state: State,
    /// Connections that are open.
    pub connections: usize,
    /// Messages that wait for their acknowledgement.
    pub in_flight: usize,
    /// Messages that wait for a connection.
    pub waiting: usize,
    /// When the last acknowledgement came.
    pub last_success: Option<SystemTime>,
    /// When the last message, or attempt to connect, failed, and of what kind.
    pub last_failure: Option<(SystemTime, Kind)>,
    /// How long until the next attempt to connect is due.
    pub retry_in: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Status {
    known: Mutex<Known>,
    /// No attempt to connect has failed since one succeeded.
    pub(super) reachable: Arc<AtomicBool>,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            reachable: Arc::new(AtomicBool::new(true)),
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    /// Attempts to connect that failed since one succeeded.
    failures: u32,
    retry: Option<(Instant, &'static str)>,
    last_success: Option<SystemTime>,
    last_failure: Option<(SystemTime, Kind)>,
}

impl Status {
    /// How long no attempt is due, and what the last one met.
    pub(super) fn retry_in(&self) -> Option<(Duration, &'static str)> {
        let (at, why) = self.lock().retry?;
        let wait = at.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some((wait, why))
    }

    /// `true` if nothing had failed before.
    pub(super) fn connected(&self) -> bool {
        self.reachable.store(true, Relaxed);
        let mut known = self.lock();
        known.retry = None;
        std::mem::take(&mut known.failures) == 0
    }

    /// How long until the next attempt.
    pub(super) fn unreachable(&self, retry: Retry, error: &Error) -> Duration {
        self.reachable.store(false, Relaxed);
        let mut known = self.lock();
        known.failures = known.failures.saturating_add(1);
        let wait = backoff::wait(retry, known.failures);
        let why = match error {
            Error::Resolve { .. } => "its name does not resolve",
            Error::ConnectTimeout { .. } => "nothing answers",
            Error::Tls { .. } => "there is no TLS with it",
            _ => "the connection is refused",
        };
        known.retry = Some((Instant::now() + wait, why));
        known.last_failure = Some((SystemTime::now(), error.kind()));
        wait
    }

    /// Unix time in seconds.
    pub(super) fn succeeded(&self) -> f64 {
        let now = SystemTime::now();
        self.lock().last_success = Some(now);
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_secs_f64()
    }

    pub(super) fn failed(&self, error: &Error) {
        self.lock().last_failure = Some((SystemTime::now(), error.kind()));
    }

    /// The next attempt is due at once.
    pub(super) fn forget_failures(&self) {
        let mut known = self.lock();
        known.failures = 0;
        known.retry = None;
    }

    pub(super) fn snapshot(
        &self,
        connections: usize,
        in_flight: usize,
        waiting: usize,
    ) -> Snapshot {
        let retry_in = self.retry_in().map(|(wait, _)| wait);
        let known = self.lock();
        Snapshot {
            state: match (connections, known.failures) {
                (1.., _) => State::Connected,
                (0, 0) => State::Idle,
                (0, _) => State::Unreachable,
            },
            connections,
            in_flight,
            waiting,
            last_success: known.last_success,
            last_failure: known.last_failure,
            retry_in,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
