//! A block that holds several messages: each is carried as if it had come alone, and one block answers them all.
//!
//! ```text
//! BHS … B7                      BHS … B7 in BHS-12
//! MSH … 1      ─► exchange ─►   MSH, MSA|AA|1
//! MSH … 2      ─► exchange ─►   MSH, MSA|AE|2, ERR
//! BTS|2                         BTS|2
//! ```
//!
//! The messages are exchanged one after the other. Each has its own outcome and its own acknowledgement, is remembered for
//! itself, and is counted for itself: one that fails takes no other with it. Once the app could not be reached, those behind
//! are not tried, so that the answer comes in time and nothing overtakes.

use super::exchange::exchange;
use super::frame::{Frame, Place};
use super::parts::Parts;
use super::reply::Reply;
use super::told::Written;
use crate::config::{BatchAck, Framing, FramingKind, Session};
use crate::hl7::batch::Part;
use crate::hl7::{Header, ack, peek};
use crate::mllp::wrap::{self, Bad};
use crate::runtime::Scratch;
use crate::telemetry::ExchangeRecord;
use crate::telemetry::labels::{AckLabel, Closed, Outcome};
use std::ops::Range;
use tokio::time::Instant;

/// Carries the messages of one block, which is this range of the input, to one answer.
pub(super) async fn batch<'m>(
    block: Range<usize>,
    found: Vec<Part>,
    scratch: &mut Scratch,
    mut parts: Parts<'_, 'm>,
    started: Instant,
) -> Reply<'m> {
    let mut record = ExchangeRecord::of_several(&parts.shared.metrics, started);
    let (framing, wanted) = (parts.framing, parts.live.session.ack.batch);
    let mut answer = Answer::new(wanted);
    // Acknowledgements are taken out of their blocks again, so that those of any framing are remembered alike.
    parts.framing.kind = FramingKind::Mllp;
    parts.place = Place::InBatch;
    for part in found {
        let at = |range: Range<usize>| block.start + range.start..block.start + range.end;
        let range = match part {
            Part::Message(range) => at(range),
            Part::FileHeader(range) | Part::BatchHeader(range) => {
                let header = scratch.input.get(at(range)).unwrap_or_default();
                if let Some(header) = peek(header).header() {
                    let id = parts.shared.control_ids.next();
                    answer.begin(header, scratch.clock.hl7(), &id);
                }
                continue;
            }
            Part::BatchTrailer | Part::FileTrailer => {
                answer.end(part == Part::FileTrailer);
                continue;
            }
        };
        scratch.clear_answer();
        let reply = exchange(&Frame::Whole(range), scratch, parts.again(), Instant::now()).await;
        match reply {
            Reply::Acks(part, acks) => {
                if part.outcome() == Some(Outcome::Unavailable) {
                    parts.place = Place::BehindAFailure;
                }
                answer.add(&part, &acks, &scratch.ack);
                record.hold(part, acks.map(|ack| ack.map(|ack| ack.code)));
            }
            Reply::Nothing => {}
            // The whole block comes again then; what was accepted of it is known.
            Reply::Close(closed) => return Reply::Close(closed),
            Reply::Several(_) => return Reply::Close(Closed::NotHl7),
        }
    }
    scratch.clear_answer();
    match answer.write(&mut scratch.ack, &framing, &parts.live.session) {
        Some(written) => Reply::Acks(record, [Some(written), None]),
        None => Reply::Close(Closed::Unanswerable),
    }
}

/// The answer as it grows, in two versions: with every acknowledgement, and with those that say no.
struct Answer {
    wanted: BatchAck,
    all: Text,
    errors: Text,
    refused: bool,
}

/// One version.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    messages: usize,
    batches: usize,
}

impl Answer {
    fn new(wanted: BatchAck) -> Self {
        Self {
            wanted,
            all: Text::default(),
            errors: Text::default(),
            refused: false,
        }
    }

    fn begin(&mut self, header: &Header<'_>, time: &str, control_id: &[u8]) {
        for text in [&mut self.all, &mut self.errors] {
            ack::batch_header(&mut text.bytes, header, time, control_id);
            text.messages = 0;
        }
    }

    fn add(&mut self, record: &ExchangeRecord<'_>, acks: &[Option<Written>; 2], blocks: &[u8]) {
        let positive = matches!(
            record.outcome(),
            Some(Outcome::Accepted | Outcome::Duplicate | Outcome::Link)
        );
        self.refused |= !positive;
        for ack in acks.iter().flatten() {
            let block = blocks.get(ack.block.clone()).unwrap_or_default();
            // Without the block's own three bytes; nothing, where nothing was wanted.
            let [_, inner @ .., _, _] = block else {
                continue;
            };
            self.all.add(inner);
            if !positive {
                self.errors.add(inner);
            }
        }
    }

    fn end(&mut self, file: bool) {
        self.all.end(file);
        self.errors.end(file);
    }

    /// The answer in its block. `None` if the protocol cannot carry it.
    fn write(self, out: &mut Vec<u8>, framing: &Framing, session: &Session) -> Option<Written> {
        let silent = session.ack.batch == BatchAck::None;
        if silent && self.refused && framing.kind == FramingKind::Mllp2 {
            // A commit block alone would be a yes to all of them.
            wrap::refusal_into(out, framing, Bad::Other);
            let block = 0..out.len();
            let code = AckLabel::Nak;
            return Some(Written { block, code });
        }
        if silent {
            let code = AckLabel::Unwanted;
            return Some(Written { block: 0..0, code });
        }
        let fits = |text: &Text| wrap::most(framing).is_none_or(|most| text.bytes.len() <= most);
        let text = match self.wanted {
            BatchAck::Each if fits(&self.all) => self.all,
            _ => self.errors,
        };
        if !fits(&text) {
            return None;
        }
        if text.bytes.is_empty() {
            // Messages under each other, of which none wanted an answer, or none had an error.
            let code = AckLabel::Unwanted;
            return Some(Written { block: 0..0, code });
        }
        wrap::block_into(out, framing, |out| out.extend_from_slice(&text.bytes));
        Some(Written {
            block: 0..out.len(),
            code: AckLabel::Batch,
        })
    }
}

impl Text {
    fn add(&mut self, ack: &[u8]) {
        self.bytes.extend_from_slice(ack);
        self.messages += 1;
    }

    fn end(&mut self, file: bool) {
        let (id, count) = match file {
            false => ("BTS", self.messages),
            true => ("FTS", self.batches),
        };
        self.batches += usize::from(!file);
        self.bytes
            .extend_from_slice(format!("{id}|{count}\r").as_bytes());
    }
}
