//! Whether an app can be reached: what readiness is made of.
//!
//! Only a failure to *connect* counts, and only several in a row: a slow answer, or one refused connection while an app restarts,
//! must not take the pod out of its Services.

use crate::telemetry::ListenerMetrics;
use crate::telemetry::labels::Attempt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// So many failures in a row make an app unreachable.
const UNREACHABLE_AFTER: u32 = 3;
/// Not reached yet, and not failed either.
const UNKNOWN: u32 = u32::MAX;

/// One app's reachability. Written by every delivery, and by a probe while there is none.
#[derive(Debug)]
pub struct Health {
    failures: AtomicU32,
    /// Counts everything that was seen, so that a probe can tell whether it is needed.
    seen: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            failures: AtomicU32::new(UNKNOWN),
            seen: AtomicU64::new(0),
        }
    }
}

impl Health {
    /// An attempt's result.
    pub fn saw<T: Copy>(&self, result: Result<T, Attempt>, metrics: &ListenerMetrics) {
        self.seen.fetch_add(1, Relaxed);
        let unreachable = matches!(
            result,
            Err(Attempt::Refused | Attempt::Dns | Attempt::ConnectTimeout | Attempt::Tls)
        );
        if unreachable {
            // UNKNOWN stays: an app that never answered is not ready, however short the time.
            let _ = self
                .failures
                .fetch_update(Relaxed, Relaxed, |failures| match failures {
                    UNKNOWN => None,
                    failures => Some(failures.saturating_add(1).min(UNKNOWN - 1)),
                });
            metrics.app_up.set(0);
        } else if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
            metrics.app_up.set(1);
        }
    }

    /// Whether messages can be taken for it.
    pub fn is_reachable(&self) -> bool {
        self.failures.load(Relaxed) < UNREACHABLE_AFTER
    }

    /// How many results were seen so far.
    pub fn seen(&self) -> u64 {
        self.seen.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn only_repeated_failures_to_connect_make_it_unreachable() {
        let metrics = Metrics::new("0").unwrap().listener("a");
        let health = Health::default();
        let saw = |result| health.saw(result, &metrics);
        assert!(!health.is_reachable(), "never reached");
        saw(Err(Attempt::Refused));
        assert!(!health.is_reachable());
        saw(Ok(()));
        assert!(health.is_reachable());
        for _ in 0..9 {
            saw(Err(Attempt::Timeout));
        }
        assert!(health.is_reachable(), "slow is not unreachable");
        saw(Err(Attempt::Refused));
        saw(Err(Attempt::Refused));
        assert!(health.is_reachable(), "two in a row");
        saw(Err(Attempt::ConnectTimeout));
        assert!(!health.is_reachable());
        assert_eq!(metrics.app_up.get(), 0);
        saw(Err(Attempt::Reset));
        assert!(
            health.is_reachable(),
            "it was there to reset the connection"
        );
        assert_eq!(metrics.app_up.get(), 1);
    }
}
