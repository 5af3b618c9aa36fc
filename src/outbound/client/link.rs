//! What MLLP Release 2 and HLLP add to an exchange, from the sender's side.
//!
//! ```text
//! Release 2   message ─► ◄─ ACK  (NAK, silence: again)   ◄─ answer, ACK ─►
//! HLLP        message ─► ◄─ answer  (N: again)            a damaged answer: N ─►
//! ```
//!
//! A commit block and a refusal say not what they are about. Whoever has sent a block twice may get two of them, and the second
//! would be the next message's: such a connection is not used for another one.

use super::{Block, Connection};
use crate::config::FramingKind;
use crate::mllp::hllp::Reason;
use crate::mllp::release2;
use crate::mllp::wrap::{self, Bad, Taken};
use crate::outbound::answer::Answer;
use crate::outbound::error::{BadAnswer, Error, Stage};
use tokio::time::{Instant, timeout_at};

/// What has been tried for one message.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// How often the server has refused the message.
    refused: u32,
    /// How often its answer was damaged.
    damaged: u32,
}

impl Connection {
    /// Release 2: sends a message until the server commits it.
    pub(super) async fn send_committed(
        &mut self,
        block: &Block,
        stage: &mut Stage,
    ) -> Result<(), Error> {
        let times = self.options.framing.resends.saturating_add(1);
        let after = self.options.framing.commit_timeout;
        let mut refused = true;
        for _ in 0..times {
            *stage = Stage::Sending;
            let deadline = Instant::now() + after;
            let written = timeout_at(deadline, self.write(&block.bytes)).await;
            let written = written.map_err(|_| Error::Timeout {
                stage: Stage::Sending,
                after,
            })?;
            written?;
            *stage = Stage::Waiting;
            let received = timeout_at(deadline, self.receive(stage, None)).await;
            let data = match received {
                Ok(received) => received?.unwrap_or_default(),
                Err(_) => {
                    self.doubtful = true;
                    refused = false;
                    continue;
                }
            };
            match release2::read(&data) {
                release2::Block::Ack => return Ok(()),
                release2::Block::Nak => refused = true,
                release2::Block::Content => return Err(BadAnswer::Uncommitted.into()),
            }
        }
        Err(match refused {
            true => Error::Refused { why: "NAK", times },
            false => Error::NotCommitted { after, times },
        })
    }

    /// The next answer's data, as [`receive`](Self::receive) has it, out of its block. `last` is the one before.
    pub(super) async fn next_answer(
        &mut self,
        block: &Block,
        last: Option<&Answer>,
        tries: &mut Tries,
        stage: &mut Stage,
        until: Option<Instant>,
    ) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let Some(mut data) = self.receive(stage, until).await? else {
                return Ok(None);
            };
            let kind = self.options.framing.kind;
            match wrap::take(&self.options.framing, &data) {
                // Our commit block came too late for the server's timer. It answers both copies.
                Taken::Message(_)
                    if kind == FramingKind::Mllp2
                        && last.is_some_and(|last| last.bytes() == data) => {}
                Taken::Message(range) => {
                    data.truncate(range.end);
                    data.drain(..range.start);
                    return Ok(Some(data));
                }
                // The first copy's, which was too late.
                Taken::Ack if self.doubtful => {}
                Taken::Ack => return Err(BadAnswer::Commit("ACK").into()),
                Taken::Nak(_) if kind == FramingKind::Mllp2 => {
                    return Err(BadAnswer::Commit("NAK").into());
                }
                Taken::Nak(_) if last.is_some() => return Err(BadAnswer::RefusedLate.into()),
                Taken::Nak(reason) => self.send_again(block, reason, tries).await?,
                Taken::BadNak => {
                    let what = "it is a refusal and damaged: do both ends use the same checksum?";
                    return Err(BadAnswer::Damaged(what).into());
                }
                Taken::Bad(bad) => self.refuse(bad, tries).await?,
            }
        }
    }

    /// Release 2: commits an answer.
    pub(super) async fn confirm(&mut self) -> Result<(), Error> {
        if self.options.framing.kind != FramingKind::Mllp2 {
            return Ok(());
        }
        let mut commit = Vec::new();
        let framing = &self.options.framing;
        release2::commit_into(&mut commit, framing.start, framing.end, release2::ACK);
        self.write(&commit).await
    }

    /// HLLP: the server has refused the message.
    async fn send_again(
        &mut self,
        block: &Block,
        reason: Reason,
        tries: &mut Tries,
    ) -> Result<(), Error> {
        tries.refused += 1;
        if tries.refused > self.options.framing.resends {
            return Err(Error::Refused {
                why: match reason {
                    Reason::Count => "the count is wrong",
                    Reason::Checksum => "the checksum is wrong",
                    Reason::TooLong => "it is too long",
                    Reason::Other => "for no reason that HLLP has a letter for",
                },
                times: tries.refused,
            });
        }
        self.write(&block.bytes).await
    }

    /// HLLP: the server's answer cannot be used, and is asked for again. In Release 2 such a block is no answer.
    async fn refuse(&mut self, bad: Bad, tries: &mut Tries) -> Result<(), Error> {
        tries.damaged += 1;
        let framing = &self.options.framing;
        if framing.kind != FramingKind::Hllp || tries.damaged > framing.resends {
            let what = match bad {
                Bad::Count => "its count is wrong",
                Bad::Checksum => "its checksum is wrong",
                Bad::Wide => "it is in UTF-16 or UTF-32",
                Bad::Form | Bad::TooLong | Bad::Other => "it is not in the protocol's form",
            };
            return Err(BadAnswer::Damaged(what).into());
        }
        self.doubtful = true;
        let mut refusal = Vec::new();
        wrap::refusal_into(&mut refusal, framing, bad);
        self.write(&refusal).await
    }
}
