//! The record of one exchange: it is begun when a frame is whole, and however it ends, it is counted once.

use super::ListenerMetrics;
use super::labels::{AckLabel, Outcome};
use tokio::time::Instant;

/// What is known of an exchange. If it is dropped before [`written`](Self::written) or [`unanswered`](Self::unanswered),
/// it counts as failed; if its outcome was known by then, its ACK counts as unwritten.
#[must_use = "an exchange that nobody finishes is counted as failed"]
#[derive(Debug)]
pub struct ExchangeRecord<'m> {
    metrics: &'m ListenerMetrics,
    /// When the frame's last byte had come.
    pub started: Instant,
    settled: Option<Outcome>,
    finished: bool,
    /// Of a block of several messages: theirs, each with the codes of its acknowledgements.
    parts: Vec<(Self, [Option<AckLabel>; 2])>,
}

impl<'m> ExchangeRecord<'m> {
    /// A frame is whole.
    pub fn begin(metrics: &'m ListenerMetrics, started: Instant) -> Self {
        metrics.in_flight.inc();
        Self {
            metrics,
            started,
            settled: None,
            finished: false,
            parts: Vec::new(),
        }
    }

    /// A frame of several messages, which is none itself: what counts are the records that it [holds](Self::hold).
    pub fn of_several(metrics: &'m ListenerMetrics, started: Instant) -> Self {
        let mut record = Self::begin(metrics, started);
        record.finished = true;
        record
    }

    /// Keeps a settled record until the block that answers it is written.
    pub fn hold(&mut self, record: Self, acks: [Option<AckLabel>; 2]) {
        self.parts.push((record, acks));
    }

    /// None of the acknowledgements of what it holds is written after all.
    pub fn forget_acks(&mut self) {
        for (_, acks) in &mut self.parts {
            *acks = [None, None];
        }
    }

    /// How the exchange ended, as far as is known.
    pub fn outcome(&self) -> Option<Outcome> {
        self.settled
    }

    /// The outcome is known, and what answers it is about to be written.
    pub fn settle(&mut self, outcome: Outcome) {
        self.metrics.messages.of(outcome).inc();
        self.settled = Some(outcome);
    }

    /// An ACK with this code is with our kernel. Whether the peer took it, TCP does not tell: only a reset is seen.
    pub fn acked(&self, ack: AckLabel) {
        self.metrics.acks.of(ack).inc();
    }

    /// All that answers the message has been written.
    pub fn written(mut self, now: Instant) {
        for (part, acks) in std::mem::take(&mut self.parts) {
            acks.into_iter().flatten().for_each(|ack| part.acked(ack));
            part.written(now);
        }
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.metrics
            .exchange
            .observe(now.duration_since(self.started).as_secs_f64());
    }

    /// Nothing is answered, because the configuration says so or because there is nothing to match an answer with.
    pub fn unanswered(mut self, outcome: Outcome) {
        self.finished = true;
        self.metrics.messages.of(outcome).inc();
    }

    /// It was no message after all.
    pub fn not_a_message(mut self) {
        self.finished = true;
    }
}

impl Drop for ExchangeRecord<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        match (self.finished, self.settled) {
            (true, _) => {}
            (false, Some(_)) => self.metrics.ack_unwritten.inc(),
            (false, None) => self.metrics.messages.of(Outcome::Failed).inc(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;
    use crate::telemetry::labels::Label;

    #[test]
    fn whatever_happens_to_it_an_exchange_is_counted_once() {
        let metrics = Metrics::new("0").unwrap().listener("a");
        let now = Instant::now();
        drop(ExchangeRecord::begin(&metrics, now));
        assert_eq!(metrics.messages.of(Outcome::Failed).get(), 1);

        let mut record = ExchangeRecord::begin(&metrics, now);
        record.settle(Outcome::Accepted);
        drop(record);
        assert_eq!(metrics.ack_unwritten.get(), 1);
        assert_eq!(metrics.acks.of(AckLabel::Aa).get(), 0);

        let mut record = ExchangeRecord::begin(&metrics, now);
        record.settle(Outcome::Accepted);
        assert_eq!(metrics.in_flight.get(), 1);
        record.acked(AckLabel::Aa);
        record.written(now);
        assert_eq!(metrics.acks.of(AckLabel::Aa).get(), 1);
        assert_eq!(metrics.messages.of(Outcome::Accepted).get(), 2);
        ExchangeRecord::begin(&metrics, now).not_a_message();
        assert_eq!(
            (metrics.in_flight.get(), metrics.ack_unwritten.get()),
            (0, 1)
        );
        let counted: u64 = Outcome::ALL
            .iter()
            .map(|outcome| metrics.messages.of(*outcome).get())
            .sum();
        assert_eq!(counted, 3);
    }
}
