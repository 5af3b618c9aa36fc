//! One message from its request to its report, in a task of its own: a client that hangs up does not stop it.

use super::message::Message;
use super::problem::{Kind, Refused};
use super::report::Report;
use super::{Api, Request};
use crate::awaited::Question;
use crate::outbound::client::control_id;
use crate::outbound::destination::is_outstanding;
use crate::outbound::expect::Next;
use crate::outbound::fill::{Filled, Values, fill};
use crate::outbound::idempotency::{Attempt, Begun, Entry};
use crate::outbound::{Block, Destination, Failure};
use crate::runtime::buffers::Reserved;
use crate::runtime::{Alarm, Clock};
use crate::telemetry::DestinationMetrics;
use crate::telemetry::labels::Sent;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;
use twox_hash::XxHash3_128;

/// A report, and whether it is an earlier request's.
pub(super) struct Reported {
    pub(super) report: Report,
    pub(super) replayed: bool,
}

/// Counts a message once, however it ends: nobody finished it, it failed.
struct Record<'a> {
    metrics: &'a DestinationMetrics,
    sent: Sent,
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.metrics.messages.of(self.sent).inc();
    }
}

/// Sends a message. Where the answer has no reader any more, that is counted.
pub(super) async fn detached(
    api: Arc<Api>,
    destination: Arc<Destination>,
    message: Message,
    key: Option<Vec<u8>>,
    reserved: Reserved,
) -> Result<Reported, Refused> {
    let (reply, answer) = oneshot::channel();
    tokio::spawn(async move {
        let _under_way = api.begin();
        let reported = api.report(&destination, message, key).await;
        drop(reserved);
        if reply.send(reported).is_err() {
            destination.metrics.unread.inc();
        }
    });
    // A panic in the task, which has been logged.
    let gone = |_| {
        Err(Refused::new(
            Kind::Internal,
            "the bridge failed while it sent the message",
        ))
    };
    answer.await.unwrap_or_else(gone)
}

impl Api {
    async fn report(
        &self,
        destination: &Destination,
        message: Message,
        key: Option<Vec<u8>>,
    ) -> Result<Reported, Refused> {
        let reported = |report, replayed| Ok(Reported { report, replayed });
        let refused = |kind, detail: &str| Err(Refused::new(kind, detail));
        let Some(key) = key else {
            return reported(self.deliver(destination, message, None).await?, false);
        };
        let request = Request::of(&[&message.bytes]);
        let attempt = match self.keys.enter(&destination.name, &key, request).await {
            Entry::Send(attempt) => attempt,
            Entry::Again(sent) => {
                let stored = sent.answer.as_deref().map(serde_json::from_slice);
                let Some(Ok(report)) = stored else {
                    return unknown();
                };
                destination.metrics.replayed.inc();
                return reported(report, true);
            }
            Entry::Unknown => return unknown(),
            Entry::Reused => {
                let detail =
                    "another message was sent with this key; a new message needs a new key";
                return refused(Kind::IdempotencyKeyReused, detail);
            }
            Entry::Off => return refused(Kind::BadIdempotencyKey, "no keys are kept"),
        };
        reported(
            self.deliver(destination, message, Some(attempt)).await?,
            false,
        )
    }

    async fn deliver(
        &self,
        destination: &Destination,
        message: Message,
        attempt: Option<Attempt<'_>>,
    ) -> Result<Report, Refused> {
        let began = Instant::now();
        let asked = asked(destination, &message.bytes);
        let unframable = |report: Report| {
            destination.metrics.messages.of(Sent::Unframable).inc();
            Ok(report)
        };
        let (bytes, filled) = match self.filled(destination, message.bytes) {
            Ok(filled) => filled,
            Err(detail) => {
                let mut report = Report::of(&[], Vec::new(), message.warnings);
                report.refuse(Sent::Unframable, detail);
                return unframable(report);
            }
        };
        let block = match destination.block(&bytes) {
            Ok(block) => block,
            Err(error) => {
                let mut report = Report::of(&control_id(&bytes), filled, message.warnings);
                report.settle(Err(Failure::Failed(error)), began.elapsed());
                return unframable(report);
            }
        };
        drop(bytes);
        if block.control_id().is_empty() {
            let detail = "MSH-10 is empty, and its acknowledgement could not be known (destinations[].fill.control_id fills it in, though not in XML)";
            return Err(Refused::new(Kind::NoControlId, detail));
        }
        let mut report = Report::of(block.control_id(), filled, message.warnings);
        let mut record = Record {
            metrics: &destination.metrics,
            sent: Sent::Failed,
        };
        let mut alarm = Alarm::default();
        let begun = match attempt {
            None => None,
            Some(attempt) => match attempt.begin(&mut alarm).await {
                Ok(begun) => Some(begun),
                Err(_) => {
                    let detail = "the key cannot be stored in state.directory; nothing was sent";
                    record.sent = report.refuse(Sent::StateUnavailable, detail);
                    return Ok(report);
                }
            },
        };
        record.sent = self
            .exchange(destination, &block, asked, &mut report, began)
            .await;
        drop(record);
        if let Some(begun) = begun {
            keep(begun, &report, &mut alarm).await;
        }
        Ok(report)
    }

    async fn exchange(
        &self,
        destination: &Destination,
        block: &Block,
        asked: u128,
        report: &mut Report,
        began: Instant,
    ) -> Sent {
        let sending = destination.sending();
        let listener = sending.replies_on.as_ref();
        let listener = listener.filter(|_| block.elsewhere() != Next::Nothing);
        let Some(listener) = listener else {
            let result = destination.exchange(block).await;
            return report.settle(result, began.elapsed());
        };
        // From before the message is sent: its answer may come before the accept acknowledgement.
        let question = Question {
            listener,
            control_id: block.control_id(),
            partner: block.receiver(),
            message: asked,
        };
        let Ok(expected) = self.awaited.expect(question) else {
            let detail = "an answer with this control ID is awaited, or was a short time ago, for another message";
            return report.refuse(Sent::ControlIdInUse, detail);
        };
        let exchanged = match destination.exchange(block).await {
            Ok(exchanged) if is_outstanding(exchanged.answer.as_ref()) => exchanged,
            result => {
                if matches!(&result, Err(failure) if !failure.may_have_arrived()) {
                    expected.nothing_sent();
                }
                return report.settle(result, began.elapsed());
            }
        };
        let (until, wait) = match block.elsewhere() {
            Next::May => (Instant::now() + sending.quiet, sending.quiet),
            Next::Must | Next::Nothing => {
                let wait = sending.ack_timeout;
                (exchanged.began + wait, wait)
            }
        };
        let answer = expected.answer_by(until).await;
        let result = destination.answered_elsewhere(block, exchanged, answer, wait);
        report.settle(result, began.elapsed())
    }

    /// The message with its header filled in, where that is configured.
    fn filled(
        &self,
        destination: &Destination,
        bytes: Vec<u8>,
    ) -> Result<(Vec<u8>, Vec<Filled>), String> {
        let sending = destination.sending();
        if sending.fill.is_nothing() {
            return Ok((bytes, Vec::new()));
        }
        let mut clock = Clock::default();
        clock.tick();
        let values = Values {
            fill: &sending.fill,
            time: clock.hl7(),
            control_id: &self.control_ids.next(),
        };
        match fill(&bytes, &values) {
            Ok(Some(filled)) => Ok(filled),
            Ok(None) => Ok((bytes, Vec::new())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Which message to which destination it is, for answers that come back on a listener: as it was asked for, since what is filled in
/// differs from one attempt to the next.
fn asked(destination: &Destination, message: &[u8]) -> u128 {
    if destination.sending().replies_on.is_none() {
        return 0;
    }
    let parts = [destination.name.as_bytes(), message].map(XxHash3_128::oneshot);
    XxHash3_128::oneshot(&parts.map(u128::to_le_bytes).concat())
}

fn unknown() -> Result<Reported, Refused> {
    let detail = "this key's message was being sent when the bridge ended: whether it arrived is not known, and it is not sent again; \
                  look at the destination, then send it with a new key if it is not there";
    Err(Refused::new(Kind::OutcomeUnknown, detail))
}

/// Stores the report under its key, before the client has it.
async fn keep(begun: Begun<'_>, report: &Report, alarm: &mut Alarm) {
    if !report.is_final() {
        begun.nothing_sent();
        return;
    }
    // It cannot fail to be written.
    let stored = serde_json::to_vec(report).unwrap_or_default();
    if !begun.answered(stored, alarm).await {
        tracing::warn!(
            "an answer could not be stored under its key: after a restart its outcome is not known"
        );
    }
}
