//! Metrics of the way out, by destination.

use super::super::labels::{AckLabel, Connect, LinkClosed, Sent, Unsent};
use super::{Counters, SECONDS, opts, register};
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Registry,
};

/// The families of all destinations.
#[derive(Debug, Clone)]
pub(in crate::telemetry) struct Families {
    messages: IntCounterVec,
    acks: IntCounterVec,
    connects: IntCounterVec,
    closed: IntCounterVec,
    unread: IntCounterVec,
    resent: IntCounterVec,
    replayed: IntCounterVec,
    open: IntGaugeVec,
    in_flight: IntGaugeVec,
    waiting: IntGaugeVec,
    up: IntGaugeVec,
    last_success: GaugeVec,
    exchange: HistogramVec,
    unsent: IntCounterVec,
}

/// One destination's metrics.
#[derive(Debug, Clone)]
pub struct DestinationMetrics {
    /// Messages by what became of them.
    pub messages: Counters<Sent>,
    /// Acknowledgements that came, by MSA-1.
    pub acks: Counters<AckLabel>,
    /// Attempts to connect by their result, over all addresses of one attempt.
    pub connects: Counters<Connect>,
    /// Connections by why they ended.
    pub closed: Counters<LinkClosed>,
    /// Answers whose client had gone.
    pub unread: IntCounter,
    /// Messages that were sent once more (`ack.resend`).
    pub resent: IntCounter,
    /// Requests that were answered as one with the same key was.
    pub replayed: IntCounter,
    /// Connections open now.
    pub open: IntGauge,
    /// Messages that wait for their acknowledgement now.
    pub in_flight: IntGauge,
    /// Messages that wait for a connection now.
    pub waiting: IntGauge,
    /// Whether the server could be reached last time.
    pub up: IntGauge,
    /// Unix time of the last acknowledgement.
    pub last_success: Gauge,
    /// From a message's first byte to its last acknowledgement.
    pub exchange: Histogram,
}

impl Families {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let name = |name: &str| format!("destination_{name}");
        let counters = |key: &str, help: &str, label: Option<&str>| {
            let labels: Vec<&str> = std::iter::once("destination").chain(label).collect();
            register(
                registry,
                IntCounterVec::new(opts(&name(key), help), &labels)?,
            )
        };
        let gauges = |key: &str, help: &str| {
            register(
                registry,
                IntGaugeVec::new(opts(&name(key), help), &["destination"])?,
            )
        };
        let exchange = HistogramOpts::from(opts(
            &name("exchange_duration_seconds"),
            "From a message's first byte to its last acknowledgement",
        ));
        let last_success = opts(
            &name("last_success_timestamp_seconds"),
            "Unix time of the last acknowledgement from the destination",
        );
        Ok(Self {
            messages: counters(
                "messages_total",
                "Messages sent on by what became of them",
                Some("outcome"),
            )?,
            acks: counters(
                "acks_total",
                "Acknowledgements from the destination, by MSA-1",
                Some("code"),
            )?,
            connects: counters(
                "connects_total",
                "Attempts to connect by their result",
                Some("result"),
            )?,
            closed: counters(
                "connections_closed_total",
                "Connections to the destination by why they ended",
                Some("reason"),
            )?,
            unread: counters(
                "answers_unread_total",
                "Answers whose client had gone",
                None,
            )?,
            resent: counters("resent_total", "Messages that were sent once more", None)?,
            replayed: counters(
                "replayed_total",
                "Requests answered as one with the same key was",
                None,
            )?,
            open: gauges(
                "connections_open",
                "Connections to the destination open now",
            )?,
            in_flight: gauges(
                "in_flight",
                "Messages that wait for their acknowledgement now",
            )?,
            waiting: gauges("waiting", "Messages that wait for a connection now")?,
            up: gauges("up", "1 if the destination could be reached last time")?,
            last_success: register(registry, GaugeVec::new(last_success, &["destination"])?)?,
            exchange: register(
                registry,
                HistogramVec::new(exchange.buckets(SECONDS.to_vec()), &["destination"])?,
            )?,
            unsent: register(
                registry,
                IntCounterVec::new(
                    opts(
                        "outbound_refused_total",
                        "Requests to send that reached no destination",
                    ),
                    &["reason"],
                )?,
            )?,
        })
    }

    /// The handles of one destination.
    pub(super) fn destination(&self, name: &str) -> DestinationMetrics {
        let counter = |family: &IntCounterVec| family.with_label_values(&[name]);
        let gauge = |family: &IntGaugeVec| family.with_label_values(&[name]);
        DestinationMetrics {
            messages: Counters::new(&self.messages, name),
            acks: Counters::new(&self.acks, name),
            connects: Counters::new(&self.connects, name),
            closed: Counters::new(&self.closed, name),
            unread: counter(&self.unread),
            resent: counter(&self.resent),
            replayed: counter(&self.replayed),
            open: gauge(&self.open),
            in_flight: gauge(&self.in_flight),
            waiting: gauge(&self.waiting),
            up: gauge(&self.up),
            last_success: self.last_success.with_label_values(&[name]),
            exchange: self.exchange.with_label_values(&[name]),
        }
    }

    /// Requests that reached no destination.
    pub(super) fn unsent(&self) -> Counters<Unsent> {
        Counters::of_all(&self.unsent)
    }
}
