//! What MLLP Release 2 and HLLP do between a frame and a message, and between an answer and the next message.
//!
//! Release 2 is in [`super::commit`].
//!
//! HLLP has no commit. A refused answer is sent again, and so it is kept until the next message.

use super::Connection;
use crate::config::FramingKind;
use crate::inbound::frame::Frame;
use crate::inbound::reply::Reply;
use crate::mllp::wrap::{self, Bad, Taken};
use crate::runtime::Scratch;
use crate::telemetry::labels::{Closed, Deviation, Refusal};
use tokio::time::Instant;
use twox_hash::XxHash3_128;

/// What is remembered between two messages.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The message answered last by a commit block alone, and until when its copies are dropped (Release 2).
    pub(super) settled: Option<(u128, Instant)>,
    /// The answers that were written last, in their blocks (HLLP).
    sent: Vec<Box<[u8]>>,
    /// How often they were sent again.
    repeated: u32,
}

/// What a message's copies are known by.
pub(super) fn hash(block: &[u8]) -> u128 {
    XxHash3_128::oneshot(block)
}

impl Connection<'_> {
    /// The longest block that is of interest.
    pub(super) fn longest_block(&self) -> usize {
        wrap::longest_block(&self.framing, self.live.session.limits.max_message_bytes)
    }

    /// The message in a frame, if there is one. What else a frame may hold is dealt with here.
    pub(super) async fn open(
        &mut self,
        frame: Frame,
        scratch: &Option<Scratch>,
    ) -> Result<Option<Frame>, Closed> {
        let range = match frame {
            Frame::Whole(range) => range,
            Frame::Oversized(head) => {
                self.shared
                    .refused(Refusal::TooLarge, &self.peer, head.len());
                self.refuse(Bad::TooLong).await?;
                return Ok(None);
            }
        };
        let input = scratch.as_ref().map_or(&[][..], |scratch| &scratch.input);
        let block = input.get(range.clone()).unwrap_or_default();
        let bad = match wrap::take(&self.framing, block) {
            Taken::Message(_) if self.is_copy(block) => {
                self.deviated(Deviation::Resent);
                return Ok(None);
            }
            Taken::Message(inner) => {
                let at = range.start;
                return Ok(Some(Frame::Whole(at + inner.start..at + inner.end)));
            }
            Taken::Nak(_) if self.framing.kind == FramingKind::Hllp => {
                self.repeat().await?;
                return Ok(None);
            }
            Taken::Ack | Taken::Nak(_) | Taken::BadNak => {
                self.deviated(Deviation::UnaskedCommit);
                return Ok(None);
            }
            Taken::Bad(bad) => bad,
        };
        let reason = match bad {
            Bad::Count => Refusal::BadCount,
            Bad::Checksum => Refusal::BadChecksum,
            Bad::Wide => Refusal::Wide,
            Bad::TooLong => Refusal::TooLarge,
            Bad::Form | Bad::Other => Refusal::BadBlock,
        };
        self.shared.refused(reason, &self.peer, block.len());
        self.refuse(bad).await?;
        Ok(None)
    }

    /// Whether this is the message that was answered just now, and not a new one with the same bytes.
    fn is_copy(&self, block: &[u8]) -> bool {
        let settled = self.link.settled;
        settled.is_some_and(|(copy, until)| Instant::now() < until && copy == hash(block))
    }

    /// The connection ends while a block is read: its sender is told that it was not taken, where the protocol can say so.
    pub(super) async fn give_up(&mut self, closed: Closed) -> Closed {
        if closed == Closed::FrameTimeout
            && let Err(worse) = self.refuse(Bad::Other).await
        {
            return worse;
        }
        closed
    }

    /// Writes that a block was not taken.
    pub(super) async fn refuse(&mut self, bad: Bad) -> Result<(), Closed> {
        // What is refused from now on is this, and it is never sent again.
        self.link.sent.clear();
        let mut refusal = Vec::new();
        wrap::refusal_into(&mut refusal, &self.framing, bad);
        self.put(&refusal).await?;
        self.active = Instant::now();
        Ok(())
    }

    pub(super) fn deviated(&mut self, kind: Deviation) {
        self.deviations.push(kind);
        self.report_deviations();
    }

    /// HLLP: writes the answers, and keeps them until the next message.
    pub(super) async fn answer_hllp(
        &mut self,
        reply: Reply<'_>,
        buffer: &[u8],
    ) -> Result<(), Closed> {
        self.link.sent.clear();
        self.link.repeated = 0;
        match reply {
            Reply::Close(Closed::NotHl7) => self.refuse(Bad::Other).await,
            Reply::Close(closed) => Err(closed),
            Reply::Nothing | Reply::Several(_) => Ok(()),
            Reply::Acks(record, acks) => {
                let blocks = acks.iter().flatten();
                let blocks = blocks.filter_map(|ack| buffer.get(ack.block.clone()));
                let blocks = blocks.filter(|block| !block.is_empty());
                self.link.sent.extend(blocks.map(Box::from));
                self.write(record, &acks, buffer).await
            }
        }
    }

    /// HLLP: the peer has refused an answer. Which one of two it does not say, so that both are sent again.
    async fn repeat(&mut self) -> Result<(), Closed> {
        if self.link.sent.is_empty() {
            self.deviated(Deviation::UnaskedCommit);
            return Ok(());
        }
        self.deviated(Deviation::AnswerRefused);
        if self.link.repeated >= self.framing.resends {
            return Err(Closed::NotCommitted);
        }
        self.link.repeated += 1;
        let sent = std::mem::take(&mut self.link.sent);
        for block in &sent {
            self.put(block).await?;
        }
        self.link.sent = sent;
        self.active = Instant::now();
        Ok(())
    }
}
