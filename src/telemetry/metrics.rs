//! The metrics, each with its name in one place. Documented for users in `docs/metrics.md`.
//!
//! Handles are resolved once per listener: nothing in the message path looks up a label.

mod destination;

pub use destination::DestinationMetrics;

use super::labels::{
    AckLabel, Attempt, Closed, Deviation, Label, Outcome, Refusal, Reload, Unsent, Unused,
};
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::marker::PhantomData;

/// 100 µs to 30 s: a local app answers in the first buckets, an ACK deadline ends in the last ones.
pub(super) const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];

/// One counter for each value of a label.
#[derive(Debug, Clone)]
pub struct Counters<L: Label> {
    counters: Vec<IntCounter>,
    label: PhantomData<L>,
}

impl<L: Label> Counters<L> {
    pub(super) fn new(family: &IntCounterVec, listener: &str) -> Self {
        let counter = |value: &L| family.with_label_values(&[listener, value.label()]);
        Self {
            counters: L::ALL.iter().map(counter).collect(),
            label: PhantomData,
        }
    }

    /// Of a family with this label alone.
    pub(super) fn of_all(family: &IntCounterVec) -> Self {
        let counter = |value: &L| family.with_label_values(&[value.label()]);
        Self {
            counters: L::ALL.iter().map(counter).collect(),
            label: PhantomData,
        }
    }

    /// The counter of one value.
    pub fn of(&self, value: L) -> &IntCounter {
        &self.counters[value.index()]
    }
}

/// A gauge that is one higher as long as this lives.
#[derive(Debug)]
pub struct Raised(IntGauge);

impl Raised {
    /// One more.
    pub fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// All metrics of the process.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    families: Families,
    destinations: destination::Families,
    reloads: IntCounterVec,
    /// Bytes that larger buffers hold now, over all listeners.
    pub buffered_bytes: IntGauge,
    /// 1 while draining.
    pub draining: IntGauge,
    /// Of the store in `state.directory`.
    pub state: StateMetrics,
}

/// Metrics of the store in `state.directory`.
#[derive(Debug, Clone)]
pub struct StateMetrics {
    /// One commit, of all messages that wait for it.
    pub commit: Histogram,
    /// 1 while nothing can be stored.
    pub failing: IntGauge,
}

#[derive(Debug, Clone)]
struct Families {
    messages: IntCounterVec,
    acks: IntCounterVec,
    refused: IntCounterVec,
    deviations: IntCounterVec,
    closed: IntCounterVec,
    attempts_failed: IntCounterVec,
    received_bytes: IntCounterVec,
    sent_bytes: IntCounterVec,
    accepted: IntCounterVec,
    accept_errors: IntCounterVec,
    retries: IntCounterVec,
    ack_unwritten: IntCounterVec,
    state_unsaved: IntCounterVec,
    fhir_values: IntCounterVec,
    fhir_values_lost: IntCounterVec,
    open: IntGaugeVec,
    in_flight: IntGaugeVec,
    app_up: IntGaugeVec,
    last_message: GaugeVec,
    exchange: HistogramVec,
    delivery: HistogramVec,
}

/// One listener's metrics.
#[derive(Debug, Clone)]
pub struct ListenerMetrics {
    /// Messages by how their exchange ended.
    pub messages: Counters<Outcome>,
    /// Acknowledgements written, by MSA-1.
    pub acks: Counters<AckLabel>,
    /// Messages that the bridge itself refused.
    pub refused: Counters<Refusal>,
    /// What peers did that the standard does not say.
    pub deviations: Counters<Deviation>,
    /// Connections by why they ended.
    pub closed: Counters<Closed>,
    /// Attempts to deliver that settled nothing.
    pub attempts_failed: Counters<Attempt>,
    /// Bytes read from peers.
    pub received_bytes: IntCounter,
    /// Bytes written to peers.
    pub sent_bytes: IntCounter,
    /// Connections accepted.
    pub accepted: IntCounter,
    /// Errors of `accept` itself.
    pub accept_errors: IntCounter,
    /// Attempts after the first.
    pub retries: IntCounter,
    /// Exchanges whose ACK could not be written.
    pub ack_unwritten: IntCounter,
    /// Accepted messages that were acknowledged without having been stored.
    pub state_unsaved: IntCounter,
    /// Values of accepted messages that were made FHIR bundles.
    pub fhir_values: IntCounter,
    /// Those of them that are in no resource.
    pub fhir_values_lost: Counters<Unused>,
    /// Connections open now.
    pub open: IntGauge,
    /// Messages with the app now.
    pub in_flight: IntGauge,
    /// Whether the app could be reached last time.
    pub app_up: IntGauge,
    /// Unix time of the last message.
    pub last_message: Gauge,
    /// From a frame's last byte to its ACK's write.
    pub exchange: Histogram,
    /// One attempt, from the first byte of the request to the last of the answer.
    pub delivery: Histogram,
}

impl Metrics {
    /// All families, registered.
    ///
    /// # Errors
    /// If two families have one name, which a test rules out.
    pub fn new(version: &str) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let families = Families::new(&registry)?;
        let reloads = register(
            &registry,
            IntCounterVec::new(
                opts("config_reloads_total", "Reloads of the configuration file"),
                &["result"],
            )?,
        )?;
        for result in Reload::ALL {
            reloads.with_label_values(&[result.label()]);
        }
        let build = register(
            &registry,
            IntGaugeVec::new(
                opts("build_info", "Always 1; the labels say what is running"),
                &["version"],
            )?,
        )?;
        build.with_label_values(&[version]).set(1);
        let buffered_bytes = register(
            &registry,
            IntGauge::with_opts(opts(
                "buffered_bytes",
                "Bytes reserved by messages over 64 KiB",
            ))?,
        )?;
        let draining = register(
            &registry,
            IntGauge::with_opts(opts("draining", "1 while the bridge drains"))?,
        )?;
        let state = StateMetrics::new(&registry)?;
        let destinations = destination::Families::new(&registry)?;
        Ok(Self {
            registry,
            families,
            destinations,
            reloads,
            buffered_bytes,
            draining,
            state,
        })
    }

    /// The handles of one listener.
    pub fn listener(&self, name: &str) -> ListenerMetrics {
        let families = &self.families;
        let counter = |family: &IntCounterVec| family.with_label_values(&[name]);
        let gauge = |family: &IntGaugeVec| family.with_label_values(&[name]);
        ListenerMetrics {
            messages: Counters::new(&families.messages, name),
            acks: Counters::new(&families.acks, name),
            refused: Counters::new(&families.refused, name),
            deviations: Counters::new(&families.deviations, name),
            closed: Counters::new(&families.closed, name),
            attempts_failed: Counters::new(&families.attempts_failed, name),
            received_bytes: counter(&families.received_bytes),
            sent_bytes: counter(&families.sent_bytes),
            accepted: counter(&families.accepted),
            accept_errors: counter(&families.accept_errors),
            retries: counter(&families.retries),
            ack_unwritten: counter(&families.ack_unwritten),
            state_unsaved: counter(&families.state_unsaved),
            fhir_values: counter(&families.fhir_values),
            fhir_values_lost: Counters::new(&families.fhir_values_lost, name),
            open: gauge(&families.open),
            in_flight: gauge(&families.in_flight),
            app_up: gauge(&families.app_up),
            last_message: families.last_message.with_label_values(&[name]),
            exchange: families.exchange.with_label_values(&[name]),
            delivery: families.delivery.with_label_values(&[name]),
        }
    }

    /// The handles of one destination.
    pub fn destination(&self, name: &str) -> DestinationMetrics {
        self.destinations.destination(name)
    }

    /// Requests to send that reached no destination.
    pub fn unsent(&self) -> Counters<Unsent> {
        self.destinations.unsent()
    }

    /// Counts a reload.
    pub fn reloaded(&self, result: Reload) {
        self.reloads.with_label_values(&[result.label()]).inc();
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// If a family cannot be written, which would be an error of ours.
    pub fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl Families {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str, label: Option<&str>| {
            let labels: Vec<&str> = std::iter::once("listener").chain(label).collect();
            register(registry, IntCounterVec::new(opts(name, help), &labels)?)
        };
        let gauges = |name: &str, help: &str| {
            register(registry, IntGaugeVec::new(opts(name, help), &["listener"])?)
        };
        let histograms = |name: &str, help: &str| {
            let opts = HistogramOpts::from(opts(name, help)).buckets(SECONDS.to_vec());
            register(registry, HistogramVec::new(opts, &["listener"])?)
        };
        Ok(Self {
            messages: counters(
                "messages_total",
                "Messages by how their exchange ended",
                Some("outcome"),
            )?,
            acks: counters(
                "acks_total",
                "Acknowledgements written, by MSA-1",
                Some("code"),
            )?,
            refused: counters(
                "refused_total",
                "Messages refused without asking the app",
                Some("reason"),
            )?,
            deviations: counters(
                "deviations_total",
                "Deviations from MLLP and HL7 that were tolerated or refused",
                Some("kind"),
            )?,
            closed: counters(
                "connections_closed_total",
                "Connections by why they ended",
                Some("reason"),
            )?,
            attempts_failed: counters(
                "delivery_failures_total",
                "Attempts to deliver that settled nothing",
                Some("reason"),
            )?,
            received_bytes: counters("received_bytes_total", "Bytes read from peers", None)?,
            sent_bytes: counters("sent_bytes_total", "Bytes written to peers", None)?,
            accepted: counters("connections_accepted_total", "Connections accepted", None)?,
            accept_errors: counters(
                "accept_errors_total",
                "Errors while accepting a connection",
                None,
            )?,
            retries: counters(
                "delivery_retries_total",
                "Attempts to deliver after the first",
                None,
            )?,
            ack_unwritten: counters(
                "ack_unwritten_total",
                "Exchanges whose acknowledgement could not be written",
                None,
            )?,
            state_unsaved: counters(
                "state_unsaved_total",
                "Accepted messages that were acknowledged without having been stored",
                None,
            )?,
            fhir_values: counters(
                "fhir_values_total",
                "Values of accepted messages that were made FHIR bundles",
                None,
            )?,
            fhir_values_lost: counters(
                "fhir_values_lost_total",
                "Values of accepted messages that are in no resource of their FHIR bundles",
                Some("reason"),
            )?,
            open: gauges("connections_open", "Connections open now")?,
            in_flight: gauges("exchanges_in_flight", "Messages that wait for the app now")?,
            app_up: gauges("app_up", "1 if the app could be reached last time")?,
            last_message: register(
                registry,
                GaugeVec::new(
                    opts(
                        "last_message_timestamp_seconds",
                        "Unix time of the last message",
                    ),
                    &["listener"],
                )?,
            )?,
            exchange: histograms(
                "exchange_duration_seconds",
                "From a frame's last byte to its acknowledgement",
            )?,
            delivery: histograms(
                "delivery_duration_seconds",
                "One attempt to deliver a message to the app",
            )?,
        })
    }
}

impl StateMetrics {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let commit = HistogramOpts::new(
            "mllp_bridge_state_commit_duration_seconds",
            "One commit to the state directory",
        );
        Ok(Self {
            commit: register(
                registry,
                Histogram::with_opts(commit.buckets(SECONDS.to_vec()))?,
            )?,
            failing: register(
                registry,
                IntGauge::with_opts(opts(
                    "state_failing",
                    "1 while nothing can be stored in the state directory",
                ))?,
            )?,
        })
    }
}

/// A metric's name and help.
pub(super) fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("mllp_bridge_{name}"), help)
}

/// Registers a family, and keeps a handle of it.
pub(super) fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_every_label_is_there_from_the_start() {
        let metrics = Metrics::new("1.2.3").unwrap();
        metrics.listener("adt").acks.of(AckLabel::Ae).inc();
        let text = metrics.text().unwrap();
        assert!(
            text.contains("mllp_bridge_acks_total{code=\"AE\",listener=\"adt\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("mllp_bridge_acks_total{code=\"AA\",listener=\"adt\"} 0"),
            "{text}"
        );
        assert!(
            text.contains("mllp_bridge_build_info{version=\"1.2.3\"} 1"),
            "{text}"
        );
    }
}
