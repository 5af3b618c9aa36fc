//! How much may be made of a message.
//!
//! A short message can ask for much: a number as long as a book, by which each of thousands of segments is known, or a list within
//! each of many. What is taken from the message is counted each time that it is taken, and a message that asks for more than any
//! that makes sense is refused before the memory for it is there.

/// Bytes that any message may become.
const ANY: usize = 16 << 20;
/// Bytes more for each of the message's own: a document stands in it once, and is taken once or twice.
const EACH: usize = 16;
/// What a value costs beside its bytes.
const VALUE: usize = 64;

/// What is left for one message.
pub(super) struct Budget {
    left: usize,
    is_spent: bool,
}

impl Budget {
    /// For a message of so many bytes.
    pub(super) fn of(message: usize) -> Self {
        Self {
            left: message.saturating_mul(EACH).saturating_add(ANY),
            is_spent: false,
        }
    }

    /// Counts a value of so many bytes.
    pub(super) fn spend(&mut self, bytes: usize) {
        match self.left.checked_sub(bytes.saturating_add(VALUE)) {
            Some(left) => self.left = left,
            None => self.is_spent = true,
        }
    }

    /// Whether more was asked for than there is. What is made from then on is thrown away.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent
    }
}
