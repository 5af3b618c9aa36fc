//! The strict half: exactly `<VT> data <FS><CR>`, or a refusal.

use super::CR;
use thiserror::Error;

/// Data that would not come out of the block as it went in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("byte {offset} of the message is {byte:#04x}, which MLLP uses to mark a block")]
pub struct Unframable {
    /// Where in the data.
    pub offset: usize,
    /// Which block character.
    pub byte: u8,
}

/// Appends `data` as one block to `out`, so that one write sends it.
///
/// # Errors
/// If `data` holds a block character: a receiver could take it for the start or the end.
pub fn encode(out: &mut Vec<u8>, data: &[u8], start: u8, end: u8) -> Result<(), Unframable> {
    if let Some(offset) = memchr::memchr2(start, end, data) {
        return Err(Unframable {
            offset,
            byte: data[offset],
        });
    }
    frame_into(out, start, end, |out| out.extend_from_slice(data));
    Ok(())
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
            Unframable {
                offset: 4,
                byte: 0x1C
            }
        );
        assert!(out.is_empty());
    }
}
