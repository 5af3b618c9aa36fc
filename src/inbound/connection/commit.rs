//! MLLP Release 2: what is committed, when, and by which block.
//!
//! Each content block is followed by a commit block from its receiver:
//!
//! ```text
//! peer    message ─┐          commit ─┐   next message
//! bridge           └─(app)─► commit, answer ─┘
//! ```
//!
//! A block of one byte carries no number, so whose commit it is follows from the order alone. Four things keep the order, though
//! a peer's timer may run out while the app is at work: a copy of a message that comes before its sender can have seen the commit
//! block is dropped, for one commit block answers all copies; if another message comes before the commit block is written, that is
//! not written at all, for it would be taken for the other's; a message that comes before our answer is committed is kept until it
//! is; and a commit block that comes when none is waited for is dropped.

use super::Connection;
use super::link::hash;
use crate::inbound::frame::Frame;
use crate::inbound::reply::Reply;
use crate::inbound::told::Written;
use crate::mllp::release2::{self, Block};
use crate::mllp::wrap::Bad;
use crate::mllp::{Event, More, Wait};
use crate::runtime::Scratch;
use crate::telemetry::ExchangeRecord;
use crate::telemetry::labels::{AckLabel, Closed, Deviation};
use std::future::pending;
use std::ops::Range;
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

/// Where no answer follows the commit block, a copy of the message that comes within this time was under way when the commit block
/// was written. Longer than it takes to cross any network, shorter than any sender's timer.
const CROSSING: Duration = Duration::from_secs(1);
/// No sender sends one message more often than this without an answer.
const MOST_COPIES: u32 = 100;
/// A block with more bytes than this is no commit block, be it whole or not.
pub(super) const COMMIT_BLOCK: usize = 3;

/// How one wait for a commit block ended.
enum Committed {
    Yes,
    Refused,
    TooLate,
}

impl Connection<'_> {
    /// Commits the message, and then has each of its answers committed; or refuses to commit it.
    pub(super) async fn commit(
        &mut self,
        reply: Reply<'_>,
        frame: &Frame,
        scratch: &mut Option<Scratch>,
    ) -> Result<(), Closed> {
        self.link.settled = None;
        let Frame::Whole(range) = frame else {
            return Err(Closed::Error); // never: such a block is refused where it is opened
        };
        let input = scratch.as_ref().map_or(&[][..], |scratch| &scratch.input);
        let copy = hash(input.get(range.clone()).unwrap_or_default());
        let (record, acks) = match reply {
            // At once, so that no copy can have come meanwhile.
            Reply::Close(Closed::NotHl7) => return self.refuse(Bad::Other).await,
            Reply::Close(closed) => return Err(closed),
            Reply::Nothing | Reply::Several(_) => {
                self.look_for_others(range, copy, scratch)?;
                self.put_commit().await?;
                self.link.settled = Some((copy, self.active + CROSSING));
                return Ok(());
            }
            Reply::Acks(record, acks) => (record, acks),
        };
        // Apart, because its bytes are needed while the input is read into.
        let blocks = scratch
            .as_mut()
            .map(|scratch| std::mem::take(&mut scratch.ack))
            .unwrap_or_default();
        let is_refused = acks.iter().flatten().any(|ack| ack.code == AckLabel::Nak);
        // Long enough for a copy to have been sent that has not come yet.
        let is_late = record.started.elapsed() > CROSSING;
        let result = match self.look_for_others(range, copy, scratch) {
            Err(closed) => Err(closed),
            Ok(copied) if is_refused => match self.write(record, &acks, &blocks).await {
                Ok(()) => Self::in_step(copied || is_late),
                Err(closed) => Err(closed),
            },
            Ok(_) => {
                self.write_committed(record, &acks, &blocks, copy, scratch)
                    .await
            }
        };
        if let Some(scratch) = scratch {
            scratch.ack = blocks;
        }
        result
    }

    /// After a NAK. Where a copy of the message has come, or may be under way, it would be a message again, and its commit block be
    /// taken for one of whatever the sender has gone on to: only a new connection is in step again.
    fn in_step(copied: bool) -> Result<(), Closed> {
        match copied {
            true => Err(Closed::NotCommitted),
            false => Ok(()),
        }
    }

    /// Looks at what has come while the app was at work. Copies of the message are dropped. Anything else is from a sender that has
    /// given up waiting, and would take the commit block for one of its new message: then there is none, and the connection ends. Whether copies have come.
    fn look_for_others(
        &mut self,
        message: &Range<usize>,
        copy: u128,
        scratch: &mut Option<Scratch>,
    ) -> Result<bool, Closed> {
        let Some(scratch) = scratch else {
            return Ok(false);
        };
        let buffer = &mut scratch.input;
        let max = self.live.session.limits.max_message_bytes;
        let mut copies = 0;
        loop {
            let event = self.input.step(buffer, More::Maybe);
            self.count_framing();
            match event {
                Event::Frame(range) => {
                    let block = buffer.get(range).unwrap_or_default();
                    let is_copy = hash(block) == copy;
                    let is_content = release2::read(block) == Block::Content;
                    self.input.forget_behind(buffer, message.end);
                    copies += 1;
                    if is_content && !is_copy || copies > MOST_COPIES {
                        return Err(Closed::NotCommitted);
                    }
                    self.deviated(match is_content {
                        true => Deviation::Resent,
                        false => Deviation::UnaskedCommit,
                    });
                }
                Event::Oversized(_) => return Err(Closed::NotCommitted),
                Event::Foreign(foreign) => return Err(self.foreign(foreign)),
                Event::Wait(_) => {
                    let room = self.input.make_room(buffer, &self.shared.budget, max);
                    let read = if room {
                        self.input.read(&self.stream, buffer)
                    } else {
                        Ok(None)
                    };
                    match read {
                        Ok(Some(count @ 1..)) => {
                            let received = &self.shared.metrics.received_bytes;
                            received.inc_by(count as u64);
                        }
                        Ok(Some(_) | None) | Err(_) => break,
                    }
                }
            }
        }
        match self.is_copy_so_far(message, buffer) {
            true => Ok(copies > 0 || self.input.decoder().in_block()),
            false => Err(Closed::NotCommitted),
        }
    }

    /// Whether a block that has begun behind the message may become a copy of it. Also if none has.
    fn is_copy_so_far(&mut self, message: &Range<usize>, buffer: &[u8]) -> bool {
        if !self.input.decoder().in_block() {
            return true;
        }
        if self.input.decoder().is_discarding() {
            return false; // too long for one
        }
        let sent = buffer.get(message.clone()).unwrap_or_default();
        let begun = buffer.len() - self.input.pending(buffer);
        let begun = buffer.get(begun..).unwrap_or_default();
        match begun.split_last() {
            Some((end, rest)) if *end == self.framing.end => sent == rest,
            _ => sent.starts_with(begun),
        }
    }

    async fn put_commit(&mut self) -> Result<(), Closed> {
        let mut commit = Vec::new();
        let (start, end) = (self.framing.start, self.framing.end);
        release2::commit_into(&mut commit, start, end, release2::ACK);
        self.put(&commit).await?;
        self.active = Instant::now();
        Ok(())
    }

    async fn write_committed(
        &mut self,
        record: ExchangeRecord<'_>,
        acks: &[Option<Written>; 2],
        blocks: &[u8],
        copy: u128,
        scratch: &mut Option<Scratch>,
    ) -> Result<(), Closed> {
        self.put_commit().await?;
        let committed = self.active;
        let mut answered = false;
        for Written { block, code } in acks.iter().flatten() {
            let block = blocks.get(block.clone()).unwrap_or_default();
            if !block.is_empty() {
                self.put_until_committed(block, copy, scratch).await?;
                answered = true;
            }
            record.acked(*code);
        }
        if !answered {
            self.link.settled = Some((copy, committed + CROSSING));
        }
        record.written(committed);
        Ok(())
    }

    /// Writes one of our content blocks until the peer commits it.
    async fn put_until_committed(
        &mut self,
        block: &[u8],
        copy: u128,
        scratch: &mut Option<Scratch>,
    ) -> Result<(), Closed> {
        for _ in 0..=self.framing.resends {
            self.put(block).await?;
            self.active = Instant::now();
            self.awaiting = Some(self.active + self.framing.commit_timeout);
            let committed = self.committed(copy, scratch).await;
            self.awaiting = None;
            match committed? {
                Committed::Yes => return Ok(()),
                Committed::Refused => self.deviated(Deviation::AnswerRefused),
                Committed::TooLate => self.deviated(Deviation::CommitTimeout),
            }
        }
        Err(Closed::NotCommitted)
    }

    /// Reads until a commit block comes, or its time is up. That begins anew with each block that comes before it: the peer is at
    /// work.
    async fn committed(
        &mut self,
        copy: u128,
        scratch: &mut Option<Scratch>,
    ) -> Result<Committed, Closed> {
        let mut never = pin!(pending());
        let mut more = More::Maybe;
        loop {
            let buffer = scratch.as_ref().map_or(&[][..], |scratch| &scratch.input);
            let event = self.input.step(buffer, more);
            self.count_framing();
            let held = match event {
                Event::Frame(range) => {
                    self.frame_began = None;
                    let block = buffer.get(range.clone()).unwrap_or_default();
                    match release2::read(block) {
                        Block::Ack => return Ok(Committed::Yes),
                        Block::Nak => return Ok(Committed::Refused),
                        Block::Content if hash(block) == copy => {
                            self.deviated(Deviation::Resent);
                            true
                        }
                        Block::Content => self.hold(Frame::Whole(range)),
                    }
                }
                Event::Oversized(_) => {
                    self.frame_began = None;
                    let head = self.input.decoder().oversized_head().to_vec();
                    self.hold(Frame::Oversized(head))
                }
                Event::Foreign(foreign) => return Err(self.foreign(foreign)),
                Event::Wait(_) if more == More::Eof => return Err(Closed::Peer),
                // A second message behind the one that is kept.
                Event::Wait(Wait::Data)
                    if self.input.is_holding() && self.input.pending(buffer) > COMMIT_BLOCK =>
                {
                    return Err(Closed::NotCommitted);
                }
                Event::Wait(wait) => {
                    match self.read(wait, scratch, never.as_mut()).await {
                        Ok(next) => more = next,
                        Err(Closed::NotCommitted) => return Ok(Committed::TooLate),
                        Err(closed) => return Err(closed),
                    }
                    continue;
                }
            };
            if !held {
                return Err(Closed::NotCommitted);
            }
            self.awaiting = Some(Instant::now() + self.framing.commit_timeout);
        }
    }

    /// Keeps a message that came before its time. `false` if it is the second one: the peer does not keep to the protocol.
    fn hold(&mut self, frame: Frame) -> bool {
        self.input.hold(frame)
    }
}
