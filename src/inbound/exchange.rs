//! One message: peek → envelope → deliver → ack. The body of [`exchange`] is the line that the whole bridge is about.

use super::admit::{admit, answer_charset, header_of, warnings};
use super::frame::Frame;
use super::shared::{Live, Shared};
use super::told::{refused, settle};
use crate::config::Framing;
use crate::deliver::{Delivery, Exchange, Space};
use crate::envelope::{EventId, Source};
use crate::hl7::ack::{Ack, code};
use crate::hl7::header::whole_fields;
use crate::hl7::peek;
use crate::mllp::frame_into;
use crate::runtime::{Alarm, Scratch};
use crate::telemetry::ExchangeRecord;
use crate::telemetry::labels::{Closed, Deviation, Outcome as Label, Refusal};
use tokio::time::Instant;

/// How one message is answered.
#[derive(Debug)]
pub enum Reply<'m> {
    /// The acknowledgement is in the scratch.
    Ack(ExchangeRecord<'m>),
    /// Nothing; the connection ends.
    Close(Closed),
}

/// One connection's part in its exchanges.
#[derive(Debug)]
pub struct Parts<'c, 'm> {
    /// The listener.
    pub shared: &'m Shared,
    /// Its settings, as of this message.
    pub live: &'c Live,
    /// The way to the app.
    pub delivery: &'c mut Delivery,
    /// Timer.
    pub alarm: &'c mut Alarm,
    /// The connection's block characters: those it was opened with.
    pub framing: Framing,
    /// The peer's IP address.
    pub peer: &'c str,
    /// Deviations of this message; the connection counts and logs them.
    pub deviations: &'c mut Vec<Deviation>,
}

/// Carries one message from its frame to its acknowledgement.
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
    let message = match frame {
        Frame::Whole(range) => &input[range.clone()],
        Frame::Oversized(head) => whole_fields(head),
    };

    let (header, kind) = match header_of(peek(message)) {
        Ok(known) => known,
        Err(reason) => {
            shared.refused(reason, peer, message.len());
            record.unanswered(Label::Rejected);
            return Reply::Close(Closed::NotHl7);
        }
    };
    let admitted = admit(message, &header, frame, kind, &live.session, deviations);
    let told = match admitted {
        Err(reason) => {
            shared.refused(reason, peer, message.len());
            Some(refused(reason))
        }
        Ok(reading) => {
            let id = EventId::new(message, header.control_id());
            let source = Source {
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
                deadline: started + live.session.ack.deadline,
                drain: &shared.drain,
                metrics: &shared.metrics,
            };
            let space = Space {
                head,
                body,
                response,
            };
            let outcome = delivery.deliver(&live.app, &exchange, alarm, space).await;
            shared.delivered(&outcome, &id, peer, started);
            settle(outcome, live.session.ack.unavailable)
        }
    };

    let Some(told) = told else {
        record.unanswered(Label::Unavailable);
        return Reply::Close(Closed::Unavailable);
    };
    frame_into(ack, framing.start, framing.end, |out| match &told.own {
        Some(own) => out.extend_from_slice(own),
        None => Ack {
            header: &header,
            verdict: told.verdict,
            faults: &told.faults,
            text: told.text.as_deref(),
            time: clock.hl7(),
            control_id: &shared.control_ids.next(),
            default_version: &live.session.ack.default_version,
            charset: answer_charset(admitted),
            echo_charset: match admitted {
                Ok(reading) => reading.named,
                Err(reason) => reason != Refusal::Charset,
            },
        }
        .write(out),
    });
    record.settle(told.outcome, code(told.verdict));
    Reply::Ack(record)
}
