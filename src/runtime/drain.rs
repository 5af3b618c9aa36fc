//! The one signal that ends the process in order.
//!
//! ```text
//! Running ──SIGTERM or drain──► Draining ──deadline──► Forced
//! ```
//! While draining nothing is accepted and nothing new is read; what is in flight is finished and answered. What is
//! still open when the deadline comes is cut.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How far the drain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Serving.
    Running,
    /// Finishing; cut at this time.
    Draining(Instant),
}

/// Starts the drain and tells everybody. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Drain {
    phase: Arc<watch::Sender<Phase>>,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(Phase::Running)),
        }
    }
}

impl Drain {
    /// Begins the drain; a later call changes nothing. `true` for the call that began it.
    pub fn begin(&self, deadline: Duration) -> bool {
        self.phase.send_if_modified(|phase| {
            let begins = *phase == Phase::Running;
            if begins {
                *phase = Phase::Draining(Instant::now() + deadline);
            }
            begins
        })
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether it has begun.
    pub fn is_draining(&self) -> bool {
        self.phase() != Phase::Running
    }

    /// Ends when the drain begins, with the time at which what is open is cut.
    pub async fn begun(&self) -> Instant {
        let mut phase = self.phase.subscribe();
        loop {
            if let Phase::Draining(deadline) = *phase.borrow_and_update() {
                return deadline;
            }
            // The sender lives as long as `self`.
            let _ = phase.changed().await;
        }
    }

    /// Ends when the drain's deadline has come.
    pub async fn forced(&self) {
        let deadline = self.begun().await;
        tokio::time::sleep_until(deadline).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn begins_once_and_is_forced_at_the_deadline() {
        let drain = Drain::default();
        let start = Instant::now();
        let waiting = tokio::spawn({
            let drain = drain.clone();
            async move { drain.forced().await }
        });
        assert!(!drain.is_draining());
        assert!(drain.begin(Duration::from_secs(5)));
        assert!(
            !drain.begin(Duration::from_secs(50)),
            "a second call must not move the deadline"
        );
        waiting.await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 5);
        drain.begun().await;
    }
}
