//! What goes back to the sender of one message: no block, one, or two.

use super::admit::answer_charset;
use super::frame::Place;
use super::shared::{Live, Shared};
use super::told::{Told, Written};
use crate::config::{Framing, FramingKind};
use crate::envelope::Head;
use crate::hl7::ack::{Ack, Fault, Kind, code};
use crate::hl7::batch::{self, Part};
use crate::hl7::charset::{Reading, Transcoded};
use crate::hl7::encoding;
use crate::hl7::{Header, Mode};
use crate::mllp::wrap::{self, Bad};
use crate::runtime::Clock;
use crate::telemetry::ExchangeRecord;
use crate::telemetry::labels::{AckLabel, Closed, Outcome, Refusal};
use crate::xml;

/// How one message is answered.
#[derive(Debug)]
pub enum Reply<'m> {
    /// These acknowledgements are in the scratch, in the order in which they are written.
    Acks(ExchangeRecord<'m>, [Option<Written>; 2]),
    /// By nothing: it was an answer itself.
    Nothing,
    /// It is no message, but holds these: each is to be exchanged, and all are answered together.
    Several(Vec<Part>),
    /// By the end of the connection.
    Close(Closed),
}

impl<'m> Reply<'m> {
    /// It was an answer itself, and is none of ours to count.
    pub fn nothing(record: ExchangeRecord<'m>) -> Self {
        record.not_a_message();
        Self::Nothing
    }

    /// It is no message, but holds these.
    pub fn several(record: ExchangeRecord<'m>, parts: Vec<Part>) -> Self {
        record.not_a_message();
        Self::Several(parts)
    }

    /// The connection ends, and it counts as this.
    pub fn close(record: ExchangeRecord<'m>, outcome: Outcome, closed: Closed) -> Self {
        record.unanswered(outcome);
        Self::Close(closed)
    }
}

/// Everything that the acknowledgements of one message are made of. Without `Debug`: the message is in it.
pub struct Reckoning<'a> {
    /// What its sender is told.
    pub told: &'a Told,
    /// How the sender wants to be told.
    pub mode: Mode,
    /// The message's header.
    pub head: &'a Head<'a>,
    /// How the message was read, or why it was not.
    pub admitted: Result<Reading, Refusal>,
    /// The message as it came.
    pub bytes: &'a [u8],
    /// The same as text, where it had to become that first.
    pub transcoded: Option<&'a Transcoded>,
    /// MSA-4: the expected sequence number, where they are in use.
    pub number: Option<i64>,
    /// Where the message stands in its block.
    pub place: Place,
    /// The connection's framing.
    pub framing: Framing,
    /// The listener.
    pub shared: &'a Shared,
    /// Its settings.
    pub live: &'a Live,
    /// Now.
    pub clock: &'a Clock,
}

impl Reckoning<'_> {
    /// Writes each acknowledgement that is wanted into a block of its own, or in MLLP Release 2 what refuses to commit the message.
    pub fn write(&self, out: &mut Vec<u8>) -> [Option<Written>; 2] {
        let kinds = self
            .told
            .kinds(self.mode, self.live.session.ack.application);
        if self.framing.kind == FramingKind::Mllp2 && !self.told.commits(kinds) {
            wrap::refusal_into(out, &self.framing, Bad::Other);
            let code = AckLabel::Nak;
            let block = 0..out.len();
            return [Some(Written { block, code }), None];
        }
        let mut acks = kinds.map(|kind| Some(self.block(kind?, out)));
        if kinds == [None, None] {
            let code = self.told.silence(self.mode);
            acks[0] = Some(Written { block: 0..0, code });
        }
        acks
    }

    fn block(&self, kind: Kind, out: &mut Vec<u8>) -> Written {
        let start = out.len();
        // Among others, only what cannot run into them.
        let own = self.told.own(kind);
        let own = own.filter(|own| self.place == Place::Alone || batch::is_plain(&own.bytes));
        let mut length = 0;
        wrap::block_into(out, &self.framing, |out| {
            let start = out.len();
            match own {
                Some(own) => out.extend_from_slice(&own.bytes),
                None => self.made(kind, &self.told.faults, out),
            }
            length = out.len() - start;
        });
        if wrap::most(&self.framing).is_some_and(|most| length > most) {
            // An app that finds fault with everything. The code says as much as HLLP can carry.
            out.truncate(start);
            let text = out.len();
            wrap::block_into(out, &self.framing, |out| self.made(kind, &[], out));
            if wrap::most(&self.framing).is_some_and(|most| out.len() - text > most) {
                // What it echoes alone is too long, as XML can be once it is escaped. HLLP cannot say more than that.
                out.truncate(start);
                wrap::refusal_into(out, &self.framing, Bad::TooLong);
                let code = AckLabel::Nak;
                return Written {
                    block: start..out.len(),
                    code,
                };
            }
        }
        Written {
            block: start..out.len(),
            code: code(own.map_or(kind, |own| own.kind), self.told.verdict),
        }
    }

    /// An acknowledgement of our own making, in the message's character set.
    fn made(&self, kind: Kind, faults: &[Fault], out: &mut Vec<u8>) {
        let header = match self.head {
            Head::Er7(header) => header,
            Head::Xml(message) => return self.made_xml(message, kind, faults, out),
        };
        let Some(transcoded) = self.transcoded else {
            return self.ack(header, kind, faults, out);
        };
        let mut text = Vec::new();
        self.ack(header, kind, faults, &mut text);
        let text = String::from_utf8_lossy(&text);
        let Framing { start, end, .. } = self.framing;
        let charset = transcoded.charset();
        encoding::answer_into(out, charset, self.bytes, &text, &[start, end]);
    }

    fn ack(&self, header: &Header<'_>, kind: Kind, faults: &[Fault], out: &mut Vec<u8>) {
        let ack = Ack {
            header,
            kind,
            verdict: self.told.verdict,
            faults,
            text: self.told.text.as_deref(),
            number: self.number,
            time: self.clock.hl7(),
            control_id: &self.shared.control_ids.next(),
            default_version: &self.live.session.ack.default_version,
            charset: answer_charset(self.admitted, self.transcoded),
            echo_charset: match self.admitted {
                Ok(reading) => reading.named,
                Err(reason) => reason != Refusal::Charset,
            },
        };
        ack.write(out);
    }

    fn made_xml(&self, message: &xml::Message, kind: Kind, faults: &[Fault], out: &mut Vec<u8>) {
        let control_id = self.shared.control_ids.next();
        let ack = xml::Ack {
            message,
            kind,
            verdict: self.told.verdict,
            faults,
            text: self.told.text.as_deref(),
            time: self.clock.hl7(),
            control_id: std::str::from_utf8(&control_id).unwrap_or_default(),
            default_version: &self.live.session.ack.default_version,
        };
        ack.write(out);
    }
}
