//! How a message was answered, to be answered so again: its acknowledgements as bytes, in memory and in the store.

use super::told::Written;
use crate::state::window::Kept;
use crate::telemetry::labels::{AckLabel, Label as _};

/// What one entry costs beside its answer's bytes.
const OVERHEAD: usize = 256;

/// How a message was answered: its acknowledgements in the order in which they were written, each in its block. `Debug` prints
/// codes only.
#[derive(PartialEq, Eq)]
pub struct Answered([Option<(AckLabel, Box<[u8]>)>; 2]);

impl Answered {
    /// Of what was written into `blocks`.
    pub fn new(acks: &[Option<Written>; 2], blocks: &[u8]) -> Self {
        Self(acks.each_ref().map(|ack| {
            let Written { block, code } = ack.as_ref()?;
            let block = blocks.get(block.clone()).unwrap_or_default();
            Some((*code, block.into()))
        }))
    }

    /// Writes them again.
    pub fn write(&self, out: &mut Vec<u8>) -> [Option<Written>; 2] {
        self.0.each_ref().map(|ack| {
            let (code, block) = ack.as_ref()?;
            let start = out.len();
            out.extend_from_slice(block);
            Some(Written {
                block: start..out.len(),
                code: *code,
            })
        })
    }
}

impl Kept for Answered {
    fn cost(&self) -> usize {
        let acks = self.0.iter().flatten();
        OVERHEAD + acks.map(|(_, ack)| ack.len()).sum::<usize>()
    }

    /// As a record: the message's key, when it was answered in milliseconds of Unix time, and for each acknowledgement its code
    /// (a length, text) and its block (a length, bytes). Numbers are little-endian; a length of 0 for the code is no acknowledgement.
    fn to_record(&self, key: u128, at: u64) -> Vec<u8> {
        let mut record = Vec::with_capacity(self.cost());
        record.extend_from_slice(&key.to_le_bytes());
        record.extend_from_slice(&at.to_le_bytes());
        for ack in &self.0 {
            let (code, block) = match ack {
                Some((code, block)) => (code.label(), &**block),
                None => ("", &[][..]),
            };
            record.push(code.len() as u8);
            record.extend_from_slice(code.as_bytes());
            record.extend_from_slice(&(block.len() as u64).to_le_bytes());
            record.extend_from_slice(block);
        }
        record
    }

    fn from_record(record: &[u8]) -> Option<(u128, u64, Self)> {
        let (key, rest) = record.split_first_chunk()?;
        let (at, mut rest) = rest.split_first_chunk()?;
        let mut acks = [None, None];
        for ack in &mut acks {
            let (length, after) = rest.split_first()?;
            let (code, after) = after.split_at_checked(usize::from(*length))?;
            let (length, after) = after.split_first_chunk()?;
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            let (block, after) = after.split_at_checked(length)?;
            rest = after;
            if !code.is_empty() {
                let mut codes = AckLabel::ALL.iter();
                let code = codes.find(|label| label.label().as_bytes() == code)?;
                *ack = Some((*code, block.into()));
            }
        }
        let (key, at) = (u128::from_le_bytes(*key), u64::from_le_bytes(*at));
        rest.is_empty().then_some((key, at, Self(acks)))
    }
}

impl std::fmt::Debug for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let codes = self.0.iter().flatten().map(|(code, _)| code);
        f.debug_list().entries(codes).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_written_is_written_again() {
        let (first, second) = (b"\x0bone\x1c\r", b"\x0btwo\x1c\r");
        let blocks = [&first[..], &second[..]].concat();
        let acks = [(0..6, AckLabel::Ca), (6..12, AckLabel::Aa)]
            .map(|(block, code)| Some(Written { block, code }));
        let mut again = Vec::new();
        let written = Answered::new(&acks, &blocks).write(&mut again);
        assert_eq!(again, blocks);
        let ranges = written.map(|ack| ack.map(|ack| (ack.block, ack.code)));
        assert_eq!(
            ranges,
            [Some((0..6, AckLabel::Ca)), Some((6..12, AckLabel::Aa))]
        );
        // Nothing was written, and nothing is.
        let unwanted = [
            Some(Written {
                block: 0..0,
                code: AckLabel::Unwanted,
            }),
            None,
        ];
        again.clear();
        let [Some(written), None] = Answered::new(&unwanted, b"").write(&mut again) else {
            panic!("one, of no bytes");
        };
        assert_eq!((written.block, again.len()), (0..0, 0));
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written_and_half_of_it_is_none(
            key: u128,
            at: u64,
            acks in proptest::array::uniform2(proptest::option::of(
                (0..AckLabel::ALL.len(), proptest::collection::vec(any::<u8>(), 0..100)),
            )),
            cut: proptest::sample::Index,
        ) {
            let answered = Answered(acks.map(|ack| {
                ack.map(|(code, block)| (AckLabel::ALL[code], block.into()))
            }));
            let record = answered.to_record(key, at);
            let half = &record[..cut.index(record.len())];
            prop_assert!(Answered::from_record(half).is_none());
            prop_assert_eq!(Answered::from_record(&record), Some((key, at, answered)));
        }

        #[test]
        fn any_bytes_are_a_record_or_none(bytes: Vec<u8>) {
            if let Some((key, at, answered)) = Answered::from_record(&bytes) {
                prop_assert_eq!(answered.to_record(key, at), bytes);
            }
        }
    }
}
