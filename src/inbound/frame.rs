//! What a connection hands to an exchange.

use std::ops::Range;

/// What came in one block.
#[derive(Debug, Clone)]
pub enum Frame {
    /// A whole message, as a range of the input.
    Whole(Range<usize>),
    /// The first bytes of a message that was too large to keep.
    Oversized(Vec<u8>),
}
