//! What is around a message *inside* its block, by the kind of framing: nothing (MLLP), nothing but a commit block in return
//! (MLLP Release 2), a header and a check (HLLP). The decoder has found the block by then; see `docs/framing.md`.

use super::hllp::{self, Reason};
use super::{Unframable, encode, frame_into, release2};
use crate::config::{Framing, FramingKind};
use std::ops::Range;

/// What a block holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// A message; where it is in the block.
    Message(Range<usize>),
    /// The peer has taken the block that we sent (MLLP Release 2).
    Ack,
    /// The peer has refused it (MLLP Release 2, HLLP).
    Nak(Reason),
    /// Nothing that can be used; to be refused.
    Bad(Bad),
    /// A refusal that is damaged itself, which is never refused (HLLP).
    BadNak,
}

/// Why a block is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Not in the protocol's form.
    Form,
    /// The count is not the data's.
    Count,
    /// The checksum is not the data's.
    Checksum,
    /// Longer than is taken.
    TooLong,
    /// In UTF-16 or UTF-32 where that is forbidden.
    Wide,
    /// Anything else: it did not come to its end in time, or is no message.
    Other,
}

/// The longest message that the protocol can carry, in bytes; `None` if it sets no limit.
pub fn most(framing: &Framing) -> Option<usize> {
    (framing.kind == FramingKind::Hllp).then_some(hllp::MAX_DATA)
}

/// The longest block that has to be found for messages of at most `message` bytes.
pub fn longest_block(framing: &Framing, message: usize) -> usize {
    match framing.kind {
        FramingKind::Mllp | FramingKind::Mllp2 => message,
        FramingKind::Hllp => message.min(hllp::MAX_DATA) + hllp::OVERHEAD,
    }
}

/// Takes a block apart: its data, as the decoder found it.
pub fn take(framing: &Framing, block: &[u8]) -> Taken {
    match framing.kind {
        FramingKind::Mllp => Taken::Message(0..block.len()),
        FramingKind::Mllp2 => match release2::read(block) {
            release2::Block::Ack => Taken::Ack,
            release2::Block::Nak => Taken::Nak(Reason::Other),
            release2::Block::Content if release2::is_wide(block) => Taken::Bad(Bad::Wide),
            release2::Block::Content => Taken::Message(0..block.len()),
        },
        FramingKind::Hllp => match hllp::read(block, framing.start, framing.checksum) {
            Ok(hllp::Block::Data(range)) => Taken::Message(range),
            Ok(hllp::Block::Nak(reason)) => Taken::Nak(reason),
            Err(_) if hllp::is_refusal(block) => Taken::BadNak,
            Err(hllp::Bad::Form) => Taken::Bad(Bad::Form),
            Err(hllp::Bad::Count) => Taken::Bad(Bad::Count),
            Err(hllp::Bad::Checksum) => Taken::Bad(Bad::Checksum),
        },
    }
}

/// Appends a message's block. `write` produces the message; the caller answers for what it is, and for its length.
pub fn block_into(out: &mut Vec<u8>, framing: &Framing, write: impl FnOnce(&mut Vec<u8>)) {
    let Framing {
        kind,
        start,
        end,
        checksum,
        ..
    } = *framing;
    match kind {
        FramingKind::Mllp | FramingKind::Mllp2 => frame_into(out, start, end, write),
        FramingKind::Hllp => hllp::data_into(out, start, end, checksum, write),
    }
}

/// Appends a message's block.
///
/// # Errors
/// If the protocol cannot carry the message; nothing is written then.
pub fn encode_into(out: &mut Vec<u8>, message: &[u8], framing: &Framing) -> Result<(), Unframable> {
    if let Some(most) = most(framing).filter(|most| message.len() > *most) {
        let length = message.len();
        return Err(Unframable::TooLong { length, most });
    }
    if framing.kind == FramingKind::Mllp2 {
        if release2::is_wide(message) {
            return Err(Unframable::Wide);
        }
        if release2::read(message) != release2::Block::Content {
            return Err(Unframable::Commit);
        }
    }
    encode::check(message, framing.start, framing.end)?;
    block_into(out, framing, |out| out.extend_from_slice(message));
    Ok(())
}

/// Appends what refuses a block. Nothing in MLLP Release 1, which cannot say it.
pub fn refusal_into(out: &mut Vec<u8>, framing: &Framing, bad: Bad) {
    let Framing {
        kind,
        start,
        end,
        checksum,
        ..
    } = *framing;
    match kind {
        FramingKind::Mllp => {}
        FramingKind::Mllp2 => release2::commit_into(out, start, end, release2::NAK),
        FramingKind::Hllp => {
            let reason = match bad {
                Bad::Count => Reason::Count,
                Bad::Checksum => Reason::Checksum,
                Bad::TooLong => Reason::TooLong,
                Bad::Form | Bad::Wide | Bad::Other => Reason::Other,
            };
            hllp::nak_into(out, start, end, checksum, reason);
        }
    }
}

#[cfg(test)]
mod tests;
