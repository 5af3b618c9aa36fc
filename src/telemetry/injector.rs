//! The injector's metrics. Documented for users in `docs/metrics.md`.

use super::labels::{CertificateFault, Label, Renewed, ReviewResult, Which};
use super::metrics::{opts, register};
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

/// 50 µs to 5 s: a review takes far less than a millisecond, and the API server waits five seconds.
const SECONDS: &[f64] = &[
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0,
];

/// All metrics of an injector.
#[derive(Debug, Clone)]
pub struct InjectorMetrics {
    registry: Registry,
    reviews: IntCounterVec,
    /// From a request's head to its answer.
    pub review_duration: Histogram,
    expiry: GaugeVec,
    /// 1 if an API server that asks the live configuration trusts what is served here.
    pub bundle_matches: IntGauge,
    /// 1 while this replica writes the CA and the bundle.
    pub leader: IntGauge,
    rotations: IntCounterVec,
    faults: IntCounterVec,
    /// Connections open now.
    pub open: IntGauge,
    /// 1 while it ends.
    pub draining: IntGauge,
}

impl InjectorMetrics {
    /// All families, registered, with every value of every label.
    ///
    /// # Errors
    /// If two families have one name, which a test rules out.
    pub fn new(version: &str) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let gauge =
            |name: &str, help: &str| register(&registry, IntGauge::with_opts(opts(name, help))?);
        let build = register(
            &registry,
            IntGaugeVec::new(
                opts("build_info", "Always 1; the labels say what is running"),
                &["version"],
            )?,
        )?;
        build.with_label_values(&[version]).set(1);
        let metrics = Self {
            reviews: counters::<ReviewResult>(
                &registry,
                "injector_reviews_total",
                "Pods that the API server asked about, by what came of it",
                "result",
            )?,
            review_duration: register(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::from(opts(
                        "injector_review_duration_seconds",
                        "From a request's head to its answer",
                    ))
                    .buckets(SECONDS.to_vec()),
                )?,
            )?,
            expiry: register(
                &registry,
                GaugeVec::new(
                    opts(
                        "injector_certificate_expiry_timestamp_seconds",
                        "Unix time at which a certificate expires",
                    ),
                    &["certificate"],
                )?,
            )?,
            bundle_matches: gauge(
                "injector_bundle_matches",
                "1 if the live webhook configuration trusts what is served here",
            )?,
            leader: gauge("injector_leader", "1 while this replica holds the Lease")?,
            rotations: counters::<Renewed>(
                &registry,
                "injector_rotations_total",
                "Certificates that were replaced by this replica",
                "what",
            )?,
            faults: counters::<CertificateFault>(
                &registry,
                "injector_certificate_failures_total",
                "What stood in the way of keeping certificates in order",
                "reason",
            )?,
            open: gauge("injector_connections_open", "Connections open now")?,
            draining: gauge("draining", "1 while the process drains")?,
            registry,
        };
        for which in Which::ALL {
            metrics.set_expiry(*which, 0);
        }
        Ok(metrics)
    }

    /// Counts a review.
    pub fn reviewed(&self, result: ReviewResult) {
        self.reviews.with_label_values(&[result.label()]).inc();
    }

    /// Counts a new CA or leaf.
    pub fn renewed(&self, what: Renewed) {
        self.rotations.with_label_values(&[what.label()]).inc();
    }

    /// Counts a failure.
    pub fn failed(&self, fault: CertificateFault) {
        self.faults.with_label_values(&[fault.label()]).inc();
    }

    /// When a certificate expires; 0 if there is none.
    pub fn set_expiry(&self, which: Which, at: i64) {
        self.expiry
            .with_label_values(&[which.label()])
            .set(at as f64);
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// If a family cannot be written, which would be an error of ours.
    pub fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn counters<L: Label>(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> prometheus::Result<IntCounterVec> {
    let family = register(registry, IntCounterVec::new(opts(name, help), &[label])?)?;
    for value in L::ALL {
        family.with_label_values(&[value.label()]);
    }
    Ok(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_every_label_is_there_from_the_start() {
        let metrics = InjectorMetrics::new("1.2.3").unwrap();
        metrics.reviewed(ReviewResult::Denied);
        metrics.set_expiry(Which::Leaf, 1_795_000_000);
        let text = metrics.text().unwrap();
        for line in [
            "mllp_bridge_build_info{version=\"1.2.3\"} 1",
            "mllp_bridge_injector_reviews_total{result=\"denied\"} 1",
            "mllp_bridge_injector_reviews_total{result=\"patched\"} 0",
            "mllp_bridge_injector_rotations_total{what=\"ca\"} 0",
            "mllp_bridge_injector_certificate_expiry_timestamp_seconds{certificate=\"leaf\"} 1795000000",
            "mllp_bridge_injector_certificate_expiry_timestamp_seconds{certificate=\"ca\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
    }
}
