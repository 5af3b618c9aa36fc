//! What outlives the process: a store in `state.directory`, for the inbound window of duplicates, for sequence numbers,
//! and for the keys under which requests were sent on.
//!
//! Owns the file, its lock, its one writing thread, and what is done when the disk fails. Must not know: HL7, what the bytes that
//! it keeps say.
//!
//! ```text
//! exchanges ── save ──► queue (bounded) ──► one thread: all that waits in one commit ──► disk
//!     ▲                                                    │
//!     └──────────── stored, or not: then the ACK ──────────┘
//! ```
//!
//! The runtime's threads never wait for the disk. A message is acknowledged when its record is stored, and as well when that
//! fails: by then the app has accepted it, and a store that is full must not make a sender send it again. Such a message is counted
//! (`state_unsaved_total`).

mod disk;
mod queue;
pub mod window;

pub use disk::OpenError;

use crate::config::Durability;
use crate::runtime::Alarm;
use crate::telemetry::StateMetrics;
use disk::Disk;
use queue::{Group, Queue};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long an acknowledgement waits for the disk. A disk that is slower is treated as one that fails, until it has stored something.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long the end of the process waits for what is still to be stored.
const LAST: Duration = Duration::from_secs(2);
/// How often a store that failed is opened anew.
const AGAIN: Duration = Duration::from_secs(1);

/// What is stored of one accepted message, in one commit. `Debug` prints no bytes.
#[derive(Clone)]
pub struct Save {
    /// The listener's name.
    pub listener: Arc<str>,
    /// Its place among the listener's records, which are forgotten from the lowest on; and its bytes.
    pub record: Option<(u64, Vec<u8>)>,
    /// The listener's records below this place are forgotten.
    pub below: u64,
    /// A partner and its last sequence number, or `None` to forget that.
    pub number: Option<(u128, Option<u64>)>,
}

impl std::fmt::Debug for Save {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Save")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Queue,
    disk: Mutex<Disk>,
    metrics: StateMetrics,
}

impl Store {
    /// Opens the store of a directory, and starts its thread. What is under other names than these is forgotten. Blocks: for the start
    /// of the process.
    ///
    /// # Errors
    /// If the directory is not there, is not writable, or belongs to another process. A file that is damaged is not an error: it
    /// is moved aside.
    pub fn open(
        directory: &Path,
        durability: Durability,
        names: &[&str],
        metrics: StateMetrics,
    ) -> Result<Self, OpenError> {
        let mut disk = Disk::open(directory, durability)?;
        disk.retain(names)?;
        let inner = Arc::new(Inner {
            queue: Queue::default(),
            disk: Mutex::new(disk),
            metrics,
        });
        let writer = Arc::clone(&inner);
        std::thread::Builder::new()
            .name("state".into())
            .spawn(move || writer.write())
            .map_err(OpenError::Thread)?;
        Ok(Self(inner))
    }

    /// The last `most` records of a listener, oldest first. Blocks.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn records(&self, listener: &str, most: usize) -> Result<Vec<(u64, Vec<u8>)>, OpenError> {
        self.0.disk().records(listener, most)
    }

    /// The last `most` partners' numbers. Blocks.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn numbers(&self, listener: &str, most: usize) -> Result<Vec<(u128, u64)>, OpenError> {
        self.0.disk().numbers(listener, most)
    }

    /// Stores, and returns when it is stored, or will not be: `false`. A store that fails is not waited for.
    pub async fn save(&self, save: Save, alarm: &mut Alarm) -> bool {
        let (done, stored) = oneshot::channel();
        let healthy = self.0.queue.push(save, done);
        if !healthy {
            return false;
        }
        match alarm.race(Some(Instant::now() + PATIENCE), stored).await {
            Ok(stored) => stored.unwrap_or(false),
            Err(_) => {
                self.0.failed("the disk is too slow");
                false
            }
        }
    }

    /// Stores with the next commit, and does not wait for it.
    pub fn put(&self, save: Save) {
        let (done, _) = oneshot::channel();
        self.0.queue.push(save, done);
    }

    /// Forgets the records of a listener below this place; with the next commit.
    pub fn forget_below(&self, listener: &Arc<str>, place: u64) {
        self.0.queue.forget_below(listener, place);
    }

    /// Stores what is left, and closes the file. Blocks for a moment, and no longer where the disk hangs.
    pub fn close(&self) {
        self.0.queue.close(LAST);
    }
}

impl Inner {
    fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
        // A panic in the store itself is a failure of the store: what it holds is opened anew.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn write(&self) {
        while let Some(group) = self.queue.take() {
            self.commit(group);
        }
        self.disk().end();
        self.queue.ended();
    }

    fn commit(&self, group: Group) {
        let began = Instant::now();
        let result = self.disk().commit(&group.saves, &group.below, AGAIN);
        let stored = result.is_ok();
        match result {
            Ok(()) => {
                let seconds = began.elapsed().as_secs_f64();
                self.metrics.commit.observe(seconds);
                if self.queue.set_failing(false) {
                    tracing::info!("state is stored again");
                }
                self.metrics.failing.set(0);
            }
            Err(error) => self.failed(&error),
        }
        for done in group.done {
            // Whoever waited may have gone.
            let _ = done.send(stored);
        }
    }

    fn failed(&self, error: &str) {
        self.metrics.failing.set(1);
        if !self.queue.set_failing(true) {
            tracing::error!(
                error,
                "state cannot be stored: messages are acknowledged all the same"
            );
        }
    }
}

#[cfg(test)]
mod tests;
