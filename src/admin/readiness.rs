//! Whether messages should be sent here, and if not, why.

use super::server::Subject;
use crate::config::{Admin, Shutdown};
use crate::deliver::health::Health;
use crate::runtime::Drain;
use crate::telemetry::Metrics;
use arc_swap::ArcSwap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::watch;

/// What readiness depends on.
#[derive(Debug)]
pub struct Readiness {
    apps: Vec<(Arc<str>, Arc<Health>)>,
    destinations: Vec<(Arc<str>, Arc<AtomicBool>)>,
    needs_app: AtomicBool,
    needs_destinations: AtomicBool,
    probe_interval: watch::Sender<Duration>,
    shutdown: ArcSwap<Shutdown>,
    drain: Drain,
    drained: watch::Sender<bool>,
}

impl Readiness {
    /// Ready when nothing drains and, if `ready_needs_app`, every listener's app can be reached, and, if `ready_needs_destinations`, every
    /// destination: by its name, with what says that it can be.
    pub fn new(
        apps: Vec<(Arc<str>, Arc<Health>)>,
        destinations: Vec<(Arc<str>, Arc<AtomicBool>)>,
        drain: Drain,
        admin: &Admin,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            apps,
            destinations,
            needs_app: AtomicBool::new(admin.ready_needs_app),
            needs_destinations: AtomicBool::new(admin.ready_needs_destinations),
            probe_interval: watch::Sender::new(admin.app_probe_interval),
            shutdown: ArcSwap::from_pointee(shutdown),
            drain,
            drained: watch::Sender::new(false),
        }
    }

    /// New settings.
    pub fn reload(&self, admin: &Admin, shutdown: Shutdown) {
        self.needs_app.store(admin.ready_needs_app, Relaxed);
        let needs_destinations = admin.ready_needs_destinations;
        self.needs_destinations.store(needs_destinations, Relaxed);
        self.probe_interval.send_replace(admin.app_probe_interval);
        self.shutdown.store(Arc::new(shutdown));
    }

    /// How often apps are to be looked for, now and after each reload.
    pub fn probe_interval(&self) -> watch::Receiver<Duration> {
        self.probe_interval.subscribe()
    }

    /// The drain signal.
    pub fn drain(&self) -> &Drain {
        &self.drain
    }

    /// Begins the drain with the configured deadline.
    pub fn begin_drain(&self) {
        let deadline = self.shutdown.load().deadline;
        if self.drain.begin(deadline) {
            tracing::info!(?deadline, "draining");
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
        let mut reasons = Vec::new();
        if self.needs_app.load(Relaxed) {
            let away = self
                .apps
                .iter()
                .filter(|(_, health)| !health.is_reachable());
            reasons.extend(away.map(|(listener, _)| {
                format!("listener {listener}: the application cannot be reached")
            }));
        }
        if self.needs_destinations.load(Relaxed) {
            let away = self.destinations.iter();
            let away = away.filter(|(_, reachable)| !reachable.load(Relaxed));
            reasons
                .extend(away.map(|(name, _)| format!("destination {name}: it cannot be reached")));
        }
        reasons
    }
}

/// What the admin server tells of a bridge.
#[derive(Debug)]
pub struct Sidecar {
    /// All of them.
    pub metrics: Metrics,
    /// Whether messages should be sent here.
    pub readiness: Arc<Readiness>,
}

impl Subject for Sidecar {
    fn metrics(&self) -> prometheus::Result<String> {
        let draining = self.readiness.drain.is_draining();
        self.metrics.draining.set(draining.into());
        self.metrics.text()
    }

    fn reasons(&self) -> Vec<String> {
        self.readiness.reasons()
    }

    fn begin_drain(&self) {
        self.readiness.begin_drain();
    }

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.readiness.drained())
    }
}
