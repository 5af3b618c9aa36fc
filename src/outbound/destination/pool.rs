//! Connections on which nothing is under way.

use super::super::answer::Answer;
use super::super::client::{Block, Connection, Options};
use super::super::error::Error;
use crate::telemetry::labels::LinkClosed;
use crate::telemetry::{DestinationMetrics, Raised};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A connection, counted as long as it is open.
#[derive(Debug)]
pub(super) struct Linked {
    connection: Connection,
    generation: u64,
    since: Instant,
    open: Raised,
}

/// Those that wait; the one that was used last is used first.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<Linked>>,
    metrics: DestinationMetrics,
}

impl Linked {
    /// One message. The connection comes back only with its acknowledgement.
    pub(super) async fn exchange(
        self,
        block: &Block,
        options: Options,
    ) -> Result<(Self, Option<Answer>), Error> {
        let Self {
            connection,
            generation,
            open,
            ..
        } = self;
        let (connection, answer) = connection.with(options).exchange(block).await?;
        let since = Instant::now();
        let linked = Self {
            connection,
            generation,
            since,
            open,
        };
        Ok((linked, answer))
    }
}

impl Pool {
    pub(super) fn new(metrics: DestinationMetrics) -> Self {
        Self {
            idle: Mutex::default(),
            metrics,
        }
    }

    /// Counts a new connection.
    pub(super) fn link(&self, connection: Connection, generation: u64) -> Linked {
        Linked {
            connection,
            generation,
            since: Instant::now(),
            open: Raised::new(&self.metrics.open),
        }
    }

    /// One of these settings. Whether it is still alive is seen when it is used.
    pub(super) fn take(&self, generation: u64) -> Option<Linked> {
        let mut idle = self.lock();
        while let Some(linked) = idle.pop() {
            if linked.generation == generation {
                return Some(linked);
            }
            self.metrics.closed.of(LinkClosed::Reload).inc();
        }
        None
    }

    /// Gives one back.
    pub(super) fn give(&self, linked: Linked) {
        self.lock().push(linked);
    }

    /// Lets go of what has ended, is of other settings, or has waited longer than it may.
    pub(super) fn look(&self, generation: u64, longest: Option<Duration>) {
        let now = Instant::now();
        self.lock().retain_mut(|linked| {
            let old = longest.is_some_and(|longest| now.duration_since(linked.since) >= longest);
            let reason = match linked.connection.expect_quiet() {
                Err(Error::Unsolicited { .. }) => LinkClosed::Unsolicited,
                Err(_) => LinkClosed::Peer,
                Ok(()) if linked.generation != generation => LinkClosed::Reload,
                Ok(()) if old => LinkClosed::Idle,
                Ok(()) => return true,
            };
            self.metrics.closed.of(reason).inc();
            false
        });
    }

    /// Closes all that wait.
    pub(super) fn clear(&self, reason: LinkClosed) {
        let closed = std::mem::take(&mut *self.lock());
        self.metrics.closed.of(reason).inc_by(closed.len() as u64);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Linked>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
