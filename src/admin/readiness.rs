//! Whether messages should be sent here, and if not, why.

use crate::config::Shutdown;
use crate::deliver::health::Health;
use crate::runtime::Drain;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::sync::watch;

/// What readiness depends on.
#[derive(Debug)]
pub struct Readiness {
    apps: Vec<(Arc<str>, Arc<Health>)>,
    needs_app: AtomicBool,
    shutdown: ArcSwap<Shutdown>,
    drain: Drain,
    drained: watch::Sender<bool>,
}

impl Readiness {
    /// Ready when nothing drains and, if `needs_app`, every listener's app can be reached.
    pub fn new(
        apps: Vec<(Arc<str>, Arc<Health>)>,
        drain: Drain,
        needs_app: bool,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            apps,
            needs_app: AtomicBool::new(needs_app),
            shutdown: ArcSwap::from_pointee(shutdown),
            drain,
            drained: watch::Sender::new(false),
        }
    }

    /// New settings.
    pub fn reload(&self, needs_app: bool, shutdown: Shutdown) {
        self.needs_app.store(needs_app, Relaxed);
        self.shutdown.store(Arc::new(shutdown));
    }

    /// The drain signal.
    pub fn drain(&self) -> &Drain {
        &self.drain
    }

    /// Begins the drain with the configured deadline.
    pub fn begin_drain(&self) {
        if self.drain.begin(self.shutdown.load().deadline) {
            tracing::info!(deadline = ?self.shutdown.load().deadline, "draining");
        }
    }

    /// Everything that was in flight has ended.
    pub fn set_drained(&self) {
        self.drained.send_replace(true);
    }

    /// Ends when the drain has.
    pub async fn drained(&self) {
        // The sender lives as long as `self`.
        let _ = self.drained.subscribe().wait_for(|drained| *drained).await;
    }

    /// Why not, one reason a line; empty if ready.
    pub fn reasons(&self) -> Vec<String> {
        if self.drain.is_draining() {
            return vec!["draining".into()];
        }
        if !self.needs_app.load(Relaxed) {
            return Vec::new();
        }
        let away = self
            .apps
            .iter()
            .filter(|(_, health)| !health.is_reachable());
        away.map(|(listener, _)| format!("listener {listener}: the application cannot be reached"))
            .collect()
    }
}
