//! One message: peek → envelope → deliver → ack. The body of [`exchange`] is the line that the whole bridge is about.

use super::admit::{admit, answer, answer_charset, warnings};
use super::listener::{Live, Shared};
use crate::config::Unavailable;
use crate::deliver::answer::Asked;
use crate::deliver::{Answer, Delivery, Exchange, Failure, Outcome, Rejection, Space};
use crate::envelope::{EventId, Source};
use crate::hl7::ack::{Ack, Fault, Verdict, code};
use crate::hl7::header::whole_fields;
use crate::hl7::{Payload, peek};
use crate::mllp::frame_into;
use crate::runtime::{Alarm, Clock, Scratch};
use crate::telemetry::ExchangeRecord;
use crate::telemetry::labels::{Closed, Deviation, Outcome as Label, Refusal};
use std::ops::Range;
use tokio::time::Instant;

/// What came in one block.
#[derive(Debug, Clone)]
pub enum Frame {
    /// A whole message, as a range of the input.
    Whole(Range<usize>),
    /// The first bytes of a message that was too large to keep.
    Oversized(Vec<u8>),
}

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
    /// Time of day.
    pub clock: &'c mut Clock,
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
        clock,
        peer,
        deviations,
    } = parts;
    let mut record = ExchangeRecord::begin(&shared.metrics, started);
    shared.metrics.last_message.set(clock.tick());
    let Scratch {
        input,
        head,
        body,
        response,
        ack,
    } = scratch;
    let message = match frame {
        Frame::Whole(range) => &input[range.clone()],
        Frame::Oversized(head) => whole_fields(head),
    };

    let (header, is_batch) = match peek(message) {
        Payload::V2(header) => (header, false),
        Payload::Batch(header) => (header, true),
        other => {
            let reason = if matches!(other, Payload::Xml) {
                Refusal::Xml
            } else {
                Refusal::NotHl7
            };
            shared.refused(reason, peer, message.len());
            record.unanswered(Label::Rejected);
            return Reply::Close(Closed::NotHl7);
        }
    };
    let admitted = admit(message, &header, frame, is_batch, &live.session, deviations);
    let told = match admitted {
        Err(reason) => {
            shared.refused(reason, peer, message.len());
            let (verdict, fault) = answer(reason);
            Some(Told {
                outcome: Label::Rejected,
                verdict,
                faults: vec![fault],
                text: None,
                own: None,
            })
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
            let framing = live.session.framing;
            let asked = Asked {
                control_id: header.control_id(),
                start: framing.start,
                end: framing.end,
            };
            let deadline = started + live.session.ack.deadline;
            let exchange = Exchange {
                source,
                asked,
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
            shared.delivered(&outcome, &id, peer, started);
            settle(outcome, live.session.ack.unavailable)
        }
    };

    let Some(told) = told else {
        record.unanswered(Label::Unavailable);
        return Reply::Close(Closed::Unavailable);
    };
    let framing = live.session.framing;
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
        }
        .write(out),
    });
    record.settle(told.outcome, code(told.verdict));
    Reply::Ack(record)
}

/// What the sender is told.
struct Told {
    outcome: Label,
    verdict: Verdict,
    faults: Vec<Fault>,
    text: Option<String>,
    own: Option<Vec<u8>>,
}

/// The one place where an outcome becomes a verdict: only `Accepted` becomes a positive one.
fn settle(outcome: Outcome, unavailable: Unavailable) -> Option<Told> {
    Some(match outcome {
        Outcome::Accepted(Answer { own, text }) => Told {
            outcome: Label::Accepted,
            verdict: Verdict::Accepted,
            faults: Vec::new(),
            text,
            own,
        },
        Outcome::Rejected(Rejection {
            unsupported,
            faults,
            own,
            ..
        }) => {
            let verdict = if unsupported {
                Verdict::Rejected
            } else {
                Verdict::Error
            };
            Told {
                outcome: Label::Rejected,
                verdict,
                faults,
                text: None,
                own,
            }
        }
        Outcome::Unavailable(Failure { faults, .. }) => {
            let verdict = match unavailable {
                Unavailable::Error => Verdict::Error,
                Unavailable::Reject => Verdict::Rejected,
                Unavailable::Close => return None,
            };
            Told {
                outcome: Label::Unavailable,
                verdict,
                faults,
                text: None,
                own: None,
            }
        }
    })
}
