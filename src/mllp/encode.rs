//! The strict half: exactly `<VT> data <FS><CR>`, or a refusal.

use super::CR;
use thiserror::Error;

/// Data that would not come out of the block as it went in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unframable {
    /// It holds a block character.
    #[error("byte {offset} of the message is {byte:#04x}, which MLLP uses to mark a block")]
    Character {
        /// Where in the data.
        offset: usize,
        /// Which block character.
        byte: u8,
    },
    /// It is longer than the protocol can count (HLLP).
    #[error("the message has {length} bytes, and HLLP carries {most} at most")]
    TooLong {
        /// Its bytes.
        length: usize,
        /// The bound.
        most: usize,
    },
    /// Its characters have several bytes each, of which one may be a block character (MLLP Release 2).
    #[error("the message is in UTF-16 or UTF-32, which MLLP Release 2 forbids")]
    Wide,
    /// It would be taken for a commit block (MLLP Release 2).
    #[error("the message is a single byte that MLLP Release 2 takes for a commit block")]
    Commit,
}

/// Appends `data` as one block to `out`, so that one write sends it.
///
/// # Errors
/// If `data` holds a block character: a receiver could take it for the start or the end.
pub fn encode(out: &mut Vec<u8>, data: &[u8], start: u8, end: u8) -> Result<(), Unframable> {
    check(data, start, end)?;
    frame_into(out, start, end, |out| out.extend_from_slice(data));
    Ok(())
}

/// Looks for block characters in data.
///
/// # Errors
/// If there is one.
pub fn check(data: &[u8], start: u8, end: u8) -> Result<(), Unframable> {
    match memchr::memchr2(start, end, data) {
        None => Ok(()),
        Some(offset) => Err(Unframable::Character {
            offset,
            byte: data[offset],
        }),
    }
}

/// Appends one block whose data `write` produces. The caller answers for the data.
pub fn frame_into(out: &mut Vec<u8>, start: u8, end: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(start);
    write(out);
    out.extend_from_slice(&[end, CR]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_vt_data_fs_cr() {
        let mut out = Vec::new();
        encode(&mut out, b"MSH|\r", 0x0B, 0x1C).unwrap();
        assert_eq!(out, b"\x0bMSH|\r\x1c\r");
    }

    #[test]
    fn data_with_a_block_character_is_refused_and_nothing_is_written() {
        let mut out = Vec::new();
        let error = encode(&mut out, b"MSH|\x1c|", 0x0B, 0x1C).unwrap_err();
        assert_eq!(
            error,
            Unframable::Character {
                offset: 4,
                byte: 0x1C
            }
        );
        assert!(out.is_empty());
    }
}
