//! One message: peek → envelope → deliver → ack. The body of [`exchange`] is the line that the whole bridge is about.

use super::admit::{Kind, admit, head_of, is_accept_ack, mode, take_apart, warnings};
use super::answered::Answered;
use super::frame::Frame;
use super::memory::{Arrival, Entry, Unasked};
use super::parts::Parts;
use super::reply::{Reckoning, Reply};
use super::told::{answering, refused, settle};
use crate::deliver::{Exchange, Outcome, Space};
use crate::envelope::EventId;
use crate::hl7::charset::as_text;
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
        place,
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
    let bytes = frame.bytes(input);
    let transcoded = OnceLock::new();
    let (message, payload) = as_text(bytes, live.session.charset, &transcoded);
    let (header, kind) = match head_of(message, payload) {
        Ok(known) => known,
        Err(reason) => {
            shared.refused(reason, peer, bytes.len());
            return Reply::close(record, Label::Rejected, Closed::NotHl7);
        }
    };
    let kind = match take_apart(frame, (bytes, message), &header, kind, place) {
        Ok(kind) => kind,
        Err(several) => return Reply::several(record, several),
    };
    if kind == Kind::Message && is_accept_ack(message, &header, frame, &live.session) {
        deviations.push(Deviation::AcceptAck);
        return Reply::nothing(record);
    }
    let mode = mode(&header, &live.session, deviations);
    let (transcoded, session) = (transcoded.get(), &live.session);
    let admitted = admit(
        message, &header, frame, kind, transcoded, session, deviations,
    );
    let mut remember = None;
    let (told, number) = match admitted {
        Err(reason) => {
            shared.refused(reason, peer, bytes.len());
            (Some(refused(reason)), None)
        }
        Ok(reading) => {
            let id = EventId::new(bytes, header.control_id());
            let arrival = Arrival {
                id,
                message,
                head: &header,
                session,
                framing,
                peer,
                started,
            };
            match shared.memory.enter(&arrival, &shared.drain, alarm).await {
                Entry::Again(answered) => {
                    record.settle(Label::Duplicate);
                    return Reply::Acks(record, answered.write(ack));
                }
                Entry::Unasked(why) => shared.unasked(why, &arrival),
                Entry::Deliver(_) if place.is_behind() => shared.not_tried(&arrival),
                Entry::Deliver(claim) if shared.answers(&arrival, bytes) => {
                    let number = claim.number();
                    remember = Some(claim);
                    (Some(answering()), number)
                }
                Entry::Deliver(claim) if let Err(reason) = live.app.takes(&header, message) => {
                    shared.unasked(Unasked::Refused(reason, claim.number()), &arrival)
                }
                Entry::Deliver(claim) => {
                    let (time, warnings) = (clock.rfc3339(), warnings(deviations));
                    let source = arrival.source(bytes, reading, &shared.name, time, &warnings);
                    let exchange = Exchange {
                        source,
                        framing,
                        deadline: arrival.deadline(),
                        drain: &shared.drain,
                        metrics: &shared.metrics,
                    };
                    let space = Space::new(head, body, response);
                    let outcome = delivery.deliver(&live.app, &exchange, alarm, space).await;
                    shared.delivered(&outcome, &arrival);
                    let number = claim.number();
                    remember = matches!(outcome, Outcome::Accepted(_)).then_some(claim);
                    (settle(outcome, live.session.ack.unavailable), number)
                }
            }
        }
    };

    let Some(told) = told else {
        return Reply::close(record, Label::Unavailable, Closed::Unavailable);
    };
    if told.closes(&header, framing) {
        return Reply::close(record, told.outcome, Closed::Unanswerable);
    }
    let reckoning = Reckoning {
        told: &told,
        mode,
        head: &header,
        admitted,
        bytes,
        transcoded,
        number,
        place,
        framing,
        shared,
        live,
        clock,
    };
    let acks = reckoning.write(ack);
    if let Some(claim) = remember {
        let answered = || Answered::new(&acks, ack);
        shared.memory.remember(claim, answered, alarm).await;
    }
    record.settle(told.outcome);
    Reply::Acks(record, acks)
}
