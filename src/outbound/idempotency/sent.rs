//! What is kept of a key: which request it was, and its answer.

use super::Request;
use std::fmt;

/// What one key costs beside its answer's bytes.
pub(super) const OVERHEAD: usize = 256;
/// What follows in a record: nothing is known, or an answer.
const BEGUN: u8 = 0;
const ANSWERED: u8 = 1;

/// A request whose message was sent. `Debug` prints no bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    /// Which request it was.
    pub request: Request,
    /// Its answer, in whatever form; `None` where the outcome is not known.
    pub answer: Option<Box<[u8]>>,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.answer.as_ref().map(|answer| answer.len());
        f.debug_struct("Sent")
            .field("answer_bytes", &bytes)
            .finish_non_exhaustive()
    }
}

/// Key, milliseconds of Unix time, request, whether there is an answer, the answer. Numbers are little-endian.
pub(super) fn to_record(sent: &Sent, key: u128, at: u64) -> Vec<u8> {
    let mut record = Vec::with_capacity(64 + sent.answer.as_ref().map_or(0, |answer| answer.len()));
    record.extend_from_slice(&key.to_le_bytes());
    record.extend_from_slice(&at.to_le_bytes());
    record.extend_from_slice(&sent.request.0.to_le_bytes());
    match &sent.answer {
        None => record.push(BEGUN),
        Some(answer) => {
            record.push(ANSWERED);
            record.extend_from_slice(answer);
        }
    }
    record
}

/// `None` where it is not one: one that was taken back is empty.
pub(super) fn from_record(record: &[u8]) -> Option<(u128, u64, Sent)> {
    let (key, rest) = record.split_first_chunk()?;
    let (at, rest) = rest.split_first_chunk()?;
    let (request, rest) = rest.split_first_chunk()?;
    let answer = match rest.split_first()? {
        (&BEGUN, []) => None,
        (&ANSWERED, answer) => Some(answer.into()),
        _ => return None,
    };
    let request = Request(u128::from_le_bytes(*request));
    let sent = Sent { request, answer };
    Some((u128::from_le_bytes(*key), u64::from_le_bytes(*at), sent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(
            key: u128, at: u64, request: u128, answer: Option<Vec<u8>>,
        ) {
            let request = Request(request);
            let sent = Sent { request, answer: answer.map(Into::into) };
            let record = to_record(&sent, key, at);
            prop_assert!(from_record(&record[..40]).is_none(), "half of it is none");
            prop_assert_eq!(from_record(&record), Some((key, at, sent)));
        }

        #[test]
        fn any_bytes_are_a_record_or_none(bytes: Vec<u8>) {
            if let Some((key, at, sent)) = from_record(&bytes) {
                prop_assert_eq!(to_record(&sent, key, at), bytes);
            }
        }
    }
}
