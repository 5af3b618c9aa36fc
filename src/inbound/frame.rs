//! What a connection hands to an exchange.

use crate::hl7::header::whole_fields;
use std::ops::Range;

/// What came in one block.
#[derive(Debug, Clone)]
pub enum Frame {
    /// A whole message, as a range of the input.
    Whole(Range<usize>),
    /// The first bytes of a message that was too large to keep.
    Oversized(Vec<u8>),
}

impl Frame {
    /// Its bytes, or as much of them as was kept and is whole.
    pub fn bytes<'f>(&'f self, input: &'f [u8]) -> &'f [u8] {
        match self {
            Self::Whole(range) => input.get(range.clone()).unwrap_or_default(),
            Self::Oversized(head) => whole_fields(head),
        }
    }
}

/// Where a message stands in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is all that the block holds.
    Alone,
    /// In a batch.
    InBatch,
    /// In a batch, behind one that could not be delivered.
    BehindAFailure,
}

impl Place {
    /// Whether nobody is to be asked about it, because nobody was there for the one before.
    pub fn is_behind(self) -> bool {
        self == Self::BehindAFailure
    }
}
