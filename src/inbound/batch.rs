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
use crate::config::{BatchAck, Framing, FramingKind};
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
    let most = parts.live.session.limits.max_message_bytes;
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
        if parts.shared.drain.is_draining() || answer.text.bytes.len() > most {
            // Those behind come again: the connection ends soon, or the answer would have no bound.
            parts.place = Place::BehindAFailure;
        }
        // What is odd about one message is not told of the next.
        let mut odd = Vec::new();
        let one = parts.again(&mut odd);
        let reply = exchange(&Frame::Whole(range), scratch, one, Instant::now()).await;
        parts.deviations.append(&mut odd);
        match reply {
            Reply::Acks(part, acks) => {
                if part.outcome() == Some(Outcome::Unavailable) {
                    parts.place = Place::BehindAFailure;
                }
                let written = answer.add(&part, &acks, &scratch.ack);
                record.hold(part, written);
            }
            Reply::Nothing => {}
            // The whole block comes again then; what was accepted of it is known.
            Reply::Close(closed) => return Reply::Close(closed),
            Reply::Several(_) => return Reply::Close(Closed::NotHl7),
        }
    }
    scratch.clear_answer();
    let Some(written) = answer.write(&mut scratch.ack, &framing) else {
        return Reply::Close(Closed::Unanswerable);
    };
    if written.code == AckLabel::Nak {
        record.forget_acks();
    }
    Reply::Acks(record, [Some(written), None])
}

/// The answer as it grows.
struct Answer {
    wanted: BatchAck,
    text: Text,
    /// Somebody's no is in no acknowledgement, or somebody was not asked.
    unsaid: bool,
}

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    /// The field separator of the header that is open.
    separator: Option<u8>,
    messages: usize,
    batches: usize,
}

impl Answer {
    fn new(wanted: BatchAck) -> Self {
        Self {
            wanted,
            text: Text::default(),
            unsaid: false,
        }
    }

    fn begin(&mut self, header: &Header<'_>, time: &str, control_id: &[u8]) {
        ack::batch_header(&mut self.text.bytes, header, time, control_id);
        self.text.separator = Some(header.delimiters.field);
        self.text.messages = 0;
    }

    /// Adds what is wanted of one message's acknowledgements. The codes of those that will be written.
    fn add(
        &mut self,
        record: &ExchangeRecord<'_>,
        acks: &[Option<Written>; 2],
        blocks: &[u8],
    ) -> [Option<AckLabel>; 2] {
        let outcome = record.outcome();
        let positive = matches!(
            outcome,
            Some(Outcome::Accepted | Outcome::Duplicate | Outcome::Link | Outcome::Answer)
        );
        let wanted = match self.wanted {
            BatchAck::Each => true,
            BatchAck::Errors => !positive,
            BatchAck::None => false,
        };
        let mut said = false;
        let codes = acks.each_ref().map(|ack| {
            let ack = ack.as_ref()?;
            let block = blocks.get(ack.block.clone()).unwrap_or_default();
            match block {
                // Without the block's own three bytes.
                [_, inner @ .., _, _] if wanted => {
                    said = true;
                    self.text.add(inner);
                    Some(ack.code)
                }
                [] => Some(ack.code),
                _ => None,
            }
        });
        self.unsaid |= !positive && !said || outcome == Some(Outcome::Unavailable);
        codes
    }

    fn end(&mut self, file: bool) {
        self.text.end(file);
    }

    /// The answer in its block. `None` if the protocol cannot carry it.
    fn write(self, out: &mut Vec<u8>, framing: &Framing) -> Option<Written> {
        if framing.kind == FramingKind::Mllp2 && self.unsaid {
            // A commit block would be a yes to it.
            wrap::refusal_into(out, framing, Bad::Other);
            let block = 0..out.len();
            let code = AckLabel::Nak;
            return Some(Written { block, code });
        }
        let bytes = self.text.bytes;
        if wrap::most(framing).is_some_and(|most| bytes.len() > most) {
            return None;
        }
        if self.wanted == BatchAck::None || bytes.is_empty() {
            // Nothing is wanted: by the configuration, or by any of the messages.
            let code = AckLabel::Unwanted;
            return Some(Written { block: 0..0, code });
        }
        wrap::block_into(out, framing, |out| out.extend_from_slice(&bytes));
        Some(Written {
            block: 0..out.len(),
            code: AckLabel::Batch,
        })
    }
}

impl Text {
    fn add(&mut self, ack: &[u8]) {
        self.bytes.extend_from_slice(ack);
        // An app may have left out the last one.
        if !ack.ends_with(b"\r") && !ack.ends_with(b"\n") {
            self.bytes.push(b'\r');
        }
        self.messages += 1;
    }

    fn end(&mut self, file: bool) {
        // Messages of a file without a BHS are a batch as well.
        let bare = usize::from(self.batches == 0 && self.messages > 0);
        let (id, count) = match file {
            false => (b"BTS", self.messages),
            true => (b"FTS", self.batches + bare),
        };
        self.batches += usize::from(!file);
        self.bytes.extend_from_slice(id);
        self.bytes.push(self.separator.unwrap_or(b'|'));
        self.bytes
            .extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
        self.bytes.push(b'\r');
    }
}
