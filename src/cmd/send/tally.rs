//! What became of the messages, counted.

use crate::mllp::Deviation;
use crate::outbound::{Answer, Code, Error, Kind};
use crate::telemetry::Label;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use super::plan::{Entry, Plan};

/// Failures that are listed; the rest is counted.
const LISTED: usize = 20;
/// The longest latency that is told apart from longer ones.
const LONGEST: u64 = 3_600_000_000;

/// What became of one message.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was answered, so fast.
    Answered(Answer, Duration),
    /// It was not, and by its MSH-15 and MSH-16 that is in order.
    Unanswered,
    /// It was not.
    Failed(Error),
}

/// What became of all of them.
#[derive(Debug)]
pub(super) struct Tally {
    /// As many as were to be sent.
    pub(super) planned: u64,
    /// Answers by MSA-1.
    pub(super) answers: BTreeMap<Code, u64>,
    /// Messages that wanted no answer, and got none.
    pub(super) unanswered: u64,
    /// Messages without an answer of theirs.
    pub(super) failures: BTreeMap<Kind, u64>,
    /// Of the answered ones, in microseconds.
    pub(super) latency: Histogram<u64>,
    /// Bytes of the answered ones, blocks included.
    pub(super) bytes: u64,
    /// First connections.
    pub(super) opened: u64,
    /// Further ones, in the place of one that had closed.
    pub(super) reopened: u64,
    /// Connections closed because of blocks that answered nothing.
    pub(super) unasked: u64,
    /// Messages of batches that were answered without an acknowledgement for them.
    pub(super) unacknowledged: u64,
    /// What the server's blocks were like.
    pub(super) deviations: BTreeMap<&'static str, u64>,
    /// The first failures.
    pub(super) listed: Vec<Listed>,
    /// Failures that are not among them.
    pub(super) unlisted: u64,
    /// From the first connection to the last answer.
    pub(super) elapsed: Duration,
    /// Why a connection could not be opened, last time.
    pub(super) unreachable: Option<String>,
    /// Why not everything was sent.
    pub(super) ended_early: Option<String>,
    /// Every message, if they are to be told one by one in the end.
    pub(super) each: Option<Vec<Value>>,
}

/// One message that failed, and how often it did so in this way.
#[derive(Debug)]
pub(super) struct Listed {
    /// The message's place in the plan.
    pub(super) entry: usize,
    /// `AE`, or a failure's label.
    pub(super) outcome: &'static str,
    /// What the server said of it, or the error.
    pub(super) detail: String,
    /// How often.
    pub(super) times: u64,
}

impl Outcome {
    /// `AA`, or a failure's label.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Answered(answer, _) => answer.code().as_str(),
            Self::Unanswered => "unwanted",
            Self::Failed(error) => error.kind().label(),
        }
    }

    /// The fault that the server found, or what went wrong.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Answered(answer, _) if answer.code().is_positive() => String::new(),
            Self::Answered(answer, _) => answer
                .fault()
                .map(|fault| fault.to_string())
                .unwrap_or_default(),
            Self::Unanswered => String::new(),
            Self::Failed(error) => error.with_causes(),
        }
    }

    /// How long an answer took.
    pub(super) fn latency(&self) -> Option<Duration> {
        match self {
            Self::Answered(_, latency) => Some(*latency),
            Self::Unanswered | Self::Failed(_) => None,
        }
    }
}

impl Tally {
    /// Of nothing yet.
    ///
    /// # Errors
    /// If the histogram's bounds are not to its liking, which a test rules out.
    pub(super) fn new(planned: u64, collect: bool) -> anyhow::Result<Self> {
        Ok(Self {
            planned,
            answers: BTreeMap::new(),
            unanswered: 0,
            failures: BTreeMap::new(),
            latency: Histogram::new_with_bounds(1, LONGEST, 3)?,
            bytes: 0,
            opened: 0,
            reopened: 0,
            unasked: 0,
            unacknowledged: 0,
            deviations: BTreeMap::new(),
            listed: Vec::new(),
            unlisted: 0,
            elapsed: Duration::ZERO,
            unreachable: None,
            ended_early: None,
            each: collect.then(Vec::new),
        })
    }

    /// Counts one message.
    pub(super) fn count(&mut self, plan: &Plan, at: usize, entry: &Entry, outcome: &Outcome) {
        let detail = outcome.detail();
        if let Some(each) = &mut self.each {
            each.push(json!({
                "file": plan.file(entry),
                "message": entry.number,
                "control_id": entry.control_id.as_str(),
                "outcome": outcome.label(),
                "ms": outcome.latency().map(|latency| latency.as_micros() as f64 / 1e3),
                "detail": detail,
            }));
        }
        let accepted = match outcome {
            Outcome::Answered(answer, latency) => {
                *self.answers.entry(answer.code()).or_default() += 1;
                let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
                self.latency.saturating_record(micros.max(1));
                self.bytes += entry.block.as_ref().map_or(0, |block| block.bytes().len()) as u64;
                self.unacknowledged += answer.unacknowledged as u64;
                for (kind, count) in &answer.deviations {
                    self.deviate(*kind, *count);
                }
                answer.code().is_positive()
            }
            Outcome::Unanswered => {
                self.unanswered += 1;
                true
            }
            Outcome::Failed(error) => {
                *self.failures.entry(error.kind()).or_default() += 1;
                false
            }
        };
        if !accepted {
            self.list(at, outcome.label(), detail);
        }
    }

    fn deviate(&mut self, kind: Deviation, count: u32) {
        *self.deviations.entry(kind.label()).or_default() += u64::from(count);
    }

    fn list(&mut self, entry: usize, outcome: &'static str, detail: String) {
        let known = |listed: &&mut Listed| listed.entry == entry && listed.outcome == outcome;
        if let Some(listed) = self.listed.iter_mut().find(known) {
            listed.times += 1;
        } else if self.listed.len() < LISTED {
            self.listed.push(Listed {
                entry,
                outcome,
                detail,
                times: 1,
            });
        } else {
            self.unlisted += 1;
        }
    }

    /// Messages that were answered.
    pub(super) fn answered(&self) -> u64 {
        self.answers.values().sum()
    }

    /// Messages with AA or CA.
    pub(super) fn accepted(&self) -> u64 {
        let positive = self.answers.iter().filter(|(code, _)| code.is_positive());
        positive.map(|(_, count)| count).sum()
    }

    /// Messages whose turn never came.
    pub(super) fn not_sent(&self) -> u64 {
        let failed: u64 = self.failures.values().sum();
        self.planned
            .saturating_sub(self.answered() + self.unanswered + failed)
    }

    /// Whether every message got AA or CA, or wanted nothing.
    pub(super) fn all_accepted(&self) -> bool {
        self.accepted() + self.unanswered == self.planned
    }

    /// Answered messages a second.
    pub(super) fn throughput(&self) -> f64 {
        self.answered() as f64 / self.elapsed.as_secs_f64().max(1e-6)
    }
}

/// Percentiles that are told, with their names.
pub(super) const PERCENTILES: [(&str, f64); 6] = [
    ("min", 0.0),
    ("p50", 50.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("max", 100.0),
];

/// A percentile of the latencies, in microseconds.
pub(super) fn percentile(latency: &Histogram<u64>, percentile: f64) -> u64 {
    match percentile {
        0.0 => latency.min(),
        100.0 => latency.max(),
        _ => latency.value_at_percentile(percentile),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_listed_once_each_and_not_without_end() {
        let mut tally = Tally::new(100, false).unwrap();
        for round in 0..2 {
            for entry in 0..30 {
                tally.list(entry, "AE", format!("{round}"));
            }
        }
        assert_eq!(tally.listed.len(), LISTED);
        assert!(tally.listed.iter().all(|listed| listed.times == 2));
        assert_eq!(tally.unlisted, 20);
    }

    #[test]
    fn what_was_not_sent_is_what_remains() {
        let mut tally = Tally::new(10, false).unwrap();
        tally.answers.insert(Code::Aa, 4);
        tally.answers.insert(Code::Ca, 1);
        tally.answers.insert(Code::Ae, 1);
        tally.failures.insert(Kind::Timeout, 2);
        assert_eq!((tally.accepted(), tally.not_sent()), (5, 2));
        assert!(!tally.all_accepted());
    }
}
