//! One message: peek → envelope → deliver → ack. The body of [`exchange`] is the line that the whole bridge is about.

use super::admit::{Kind, admit, head_of, is_accept_ack, mode, warnings};
use super::duplicates::{self, Answered, Recall};
use super::frame::Frame;
use super::parts::Parts;
use super::reply::{Reckoning, Reply};
use super::told::{refused, settle};
use crate::deliver::{Exchange, Outcome, Space};
use crate::envelope::{EventId, Source};
use crate::hl7::charset::as_text;
use crate::hl7::header::whole_fields;
use crate::runtime::Scratch;
use crate::telemetry::ExchangeRecord;
use crate::telemetry::labels::{Closed, Deviation, Outcome as Label};
use std::sync::OnceLock;
use tokio::time::Instant;

/// Carries one message from its frame to its acknowledgements.
pub async fn exchange<'m>(
    frame: &Frame,
    scratch: &mut Scratch,
    parts: Parts<'_, 'm>,
    started: Instant,
) -> Reply<'m> {
    let Parts {
        shared,
        live,
        delivery,
        alarm,
        framing,
        peer,
        deviations,
    } = parts;
    let Scratch {
        input,
        head,
        body,
        response,
        ack,
        clock,
    } = scratch;
    let mut record = ExchangeRecord::begin(&shared.metrics, started);
    shared.metrics.last_message.set(clock.tick());
    let bytes = match frame {
        Frame::Whole(range) => &input[range.clone()],
        Frame::Oversized(head) => whole_fields(head),
    };

    let transcoded = OnceLock::new();
    let (message, payload) = as_text(bytes, live.session.charset, &transcoded);
    let (header, kind) = match head_of(message, payload) {
        Ok(known) => known,
        Err(reason) => {
            shared.refused(reason, peer, bytes.len());
            record.unanswered(Label::Rejected);
            return Reply::Close(Closed::NotHl7);
        }
    };
    if kind == Kind::Message && is_accept_ack(message, &header, frame, &live.session) {
        deviations.push(Deviation::AcceptAck);
        record.not_a_message();
        return Reply::Nothing;
    }
    let mode = mode(&header, &live.session, deviations);
    let transcoded = transcoded.get();
    let session = &live.session;
    let admitted = admit(
        message, &header, frame, kind, transcoded, session, deviations,
    );
    let bounds = live.session.duplicates.as_ref();
    let mut remember = None;
    let told = match admitted {
        Err(reason) => {
            shared.refused(reason, peer, bytes.len());
            Some(refused(reason))
        }
        Ok(reading) => {
            let id = EventId::new(bytes, header.control_id());
            let deadline = started + live.session.ack.deadline;
            let key = duplicates::key(id.hash(), framing);
            let recall = shared.window.recall(key, bounds, alarm, deadline);
            let outcome = match recall.await {
                Recall::Again(answered) => {
                    record.settle(Label::Duplicate);
                    return Reply::Acks(record, answered.write(ack));
                }
                Recall::StillThere => duplicates::still_there(),
                Recall::Deliver(ticket) => {
                    let source = Source {
                        bytes,
                        message,
                        header: &header,
                        reading,
                        id,
                        received: clock.rfc3339(),
                        listener: &shared.name,
                        peer,
                        warnings: &warnings(deviations),
                    };
                    let exchange = Exchange {
                        source,
                        framing,
                        deadline,
                        drain: &shared.drain,
                        metrics: &shared.metrics,
                    };
                    let space = Space {
                        head,
                        body,
                        response,
                    };
                    let outcome = delivery.deliver(&live.app, &exchange, alarm, space).await;
                    remember = ticket.filter(|_| matches!(outcome, Outcome::Accepted(_)));
                    outcome
                }
            };
            shared.delivered(&outcome, &id, peer, started);
            settle(outcome, live.session.ack.unavailable)
        }
    };

    let Some(told) = told else {
        record.unanswered(Label::Unavailable);
        return Reply::Close(Closed::Unavailable);
    };
    if told.closes(&header, framing) {
        record.unanswered(told.outcome);
        return Reply::Close(Closed::Unanswerable);
    }
    let reckoning = Reckoning {
        told: &told,
        mode,
        head: &header,
        admitted,
        bytes,
        transcoded,
        framing,
        shared,
        live,
        clock,
    };
    let acks = reckoning.write(ack);
    if let (Some(ticket), Some(bounds)) = (remember, bounds) {
        ticket.settle(Answered::new(&acks, ack), bounds);
    }
    record.settle(told.outcome);
    Reply::Acks(record, acks)
}
