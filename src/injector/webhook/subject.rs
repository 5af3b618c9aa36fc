//! What the admin server tells of an injector.

use crate::admin;
use crate::injector::certs::Serving;
use crate::runtime::Drain;
use crate::telemetry::InjectorMetrics;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Readiness and metrics of an injector.
#[derive(Debug)]
pub struct Subject {
    /// What is served, and whether it is trusted.
    pub serving: Arc<Serving>,
    /// All of them.
    pub metrics: InjectorMetrics,
    /// The drain signal.
    pub drain: Drain,
    /// How long the drain may take.
    pub deadline: Duration,
    /// Whether it is over.
    pub drained: watch::Sender<bool>,
}

impl admin::Subject for Subject {
    fn metrics(&self) -> prometheus::Result<String> {
        self.metrics.draining.set(self.drain.is_draining().into());
        self.metrics.text()
    }

    fn reasons(&self) -> Vec<String> {
        if self.drain.is_draining() {
            return vec!["draining".into()];
        }
        self.serving.problem().into_iter().collect()
    }

    fn begin_drain(&self) {
        if self.drain.begin(self.deadline) {
            tracing::info!(deadline = ?self.deadline, "draining");
        }
    }

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            // The sender lives as long as `self`.
            let _ = self.drained.subscribe().wait_for(|drained| *drained).await;
        })
    }
}
