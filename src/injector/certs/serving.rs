//! What this replica serves, and whether the API server would take it. Shared by the listener, readiness and the loops that
//! keep it in order.

use super::x509::Unix;
use crate::telemetry::InjectorMetrics;
use crate::telemetry::labels::{Renewed, Which};
use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A chain with its key, and when it ends.
#[derive(Debug)]
pub struct Pair {
    /// For rustls.
    pub key: Arc<CertifiedKey>,
    /// Of the first certificate.
    pub not_after: Unix,
}

/// What is served now.
#[derive(Debug)]
pub struct Serving {
    pair: ArcSwapOption<Pair>,
    /// Why the API server would not take it.
    problem: ArcSwap<Option<String>>,
    metrics: InjectorMetrics,
}

impl Serving {
    /// Nothing yet.
    pub fn new(metrics: InjectorMetrics) -> Self {
        Self {
            pair: ArcSwapOption::empty(),
            problem: ArcSwap::from_pointee(Some("there is no certificate to serve yet".into())),
            metrics,
        }
    }

    /// From now on.
    pub fn serve(&self, pair: Pair) {
        self.metrics.set_expiry(Which::Leaf, pair.not_after);
        let replaced = self.pair.swap(Some(Arc::new(pair)));
        // The first one replaces nothing, and is no rotation.
        if replaced.is_some() {
            self.metrics.renewed(Renewed::Leaf);
        }
    }

    /// What is served.
    pub fn pair(&self) -> Option<Arc<Pair>> {
        self.pair.load_full()
    }

    /// Why the API server would not take it, or `None` if it would. A change is logged.
    pub fn judge(&self, problem: Option<String>) {
        let before = self.problem.load();
        match (&**before, &problem) {
            (before, after) if before == after => return,
            (_, None) => {
                tracing::info!("ready: the live webhook configuration trusts what is served here")
            }
            (_, Some(reason)) => tracing::warn!(%reason, "not ready"),
        }
        self.problem.store(Arc::new(problem));
    }

    /// Why not to send reviews here; `None` if nothing speaks against it.
    pub fn problem(&self) -> Option<String> {
        if let Some(problem) = &**self.problem.load() {
            return Some(problem.clone());
        }
        match self.pair() {
            Some(pair) if pair.not_after > now() => None,
            Some(_) => Some("the certificate that is served has expired".into()),
            None => Some("there is no certificate to serve yet".into()),
        }
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // The API server asks for one name, and a client without a name is told the same.
        self.pair.load().as_ref().map(|pair| Arc::clone(&pair.key))
    }
}

/// The time of day.
pub fn now() -> Unix {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
        .as_secs()
        .try_into()
        .unwrap_or(Unix::MAX)
}
