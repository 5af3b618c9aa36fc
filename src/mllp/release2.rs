//! MLLP Release 2: each content block is answered by a *commit block* of one byte, before anything else is sent.
//!
//! ```text
//! ── VT message FS CR ──►
//! ◄──── VT ACK FS CR ────      ACK 0x06: taken.  NAK 0x15: not taken, send it again
//! ```
//!
//! What a block is, its length says: one whose *only* byte is 06 or 15 is a commit block, one that begins with it is content.
//! Encodings in which a character may hold the block characters as one of its bytes (UTF-16, UTF-32) are forbidden.

use super::frame_into;

/// The block was taken.
pub const ACK: u8 = 0x06;
/// The block was not taken.
pub const NAK: u8 = 0x15;

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// The block before was taken.
    Ack,
    /// It was not.
    Nak,
    /// Content, also if there is none of it.
    Content,
}

/// What the block with this data is.
pub fn read(data: &[u8]) -> Block {
    match data {
        [ACK] => Block::Ack,
        [NAK] => Block::Nak,
        _ => Block::Content,
    }
}

/// Appends a commit block; `commit` is [`ACK`] or [`NAK`].
pub fn commit_into(out: &mut Vec<u8>, start: u8, end: u8, commit: u8) {
    frame_into(out, start, end, |out| out.push(commit));
}

/// Whether data is in UTF-16 or UTF-32, which Release 2 forbids: by its byte order mark, or by a NUL in one of the first two
/// characters of what should be `MSH`, `FHS`, `BHS` or XML.
pub fn is_wide(data: &[u8]) -> bool {
    matches!(
        data,
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, _, ..] | [_, 0, ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_standard() {
        let mut out = Vec::new();
        commit_into(&mut out, 0x0B, 0x1C, ACK);
        commit_into(&mut out, 0x0B, 0x1C, NAK);
        assert_eq!(out, [0x0B, 0x06, 0x1C, 0x0D, 0x0B, 0x15, 0x1C, 0x0D]);
    }

    #[test]
    fn only_a_block_of_one_such_byte_is_a_commit_block() {
        for byte in 0..=u8::MAX {
            let expected = match byte {
                0x06 => Block::Ack,
                0x15 => Block::Nak,
                _ => Block::Content,
            };
            assert_eq!(read(&[byte]), expected, "{byte:#04x}");
            for next in 0..=u8::MAX {
                assert_eq!(
                    read(&[byte, next]),
                    Block::Content,
                    "{byte:#04x} {next:#04x}"
                );
            }
        }
        assert_eq!(read(b""), Block::Content);
        assert_eq!(read(b"\x06MSH|^~\\&|"), Block::Content);
    }

    #[test]
    fn wide_encodings_are_known() {
        let wide: [&[u8]; 6] = [
            b"\xff\xfeM\0S\0H\0",
            b"\xfe\xff\0M\0S\0H",
            b"M\0S\0H\0",
            b"\0M\0S\0H",
            b"M\0\0\0S\0\0\0",
            b"\0\0\xfe\xff\0\0\0M",
        ];
        for data in wide {
            assert!(is_wide(data), "{data:?}");
        }
        for data in [
            &b"MSH|"[..],
            b"\xef\xbb\xbfMSH|",
            b"<?xml",
            b"\r\nMSH",
            b"M",
            b"",
        ] {
            assert!(!is_wide(data), "{data:?}");
        }
    }
}
