//! Blocks as a sender makes them. Nothing here is the bridge's.

use crate::support::messages::{CR, FS, VT, frame};

/// Release 2: taken.
pub(crate) const ACK: [u8; 4] = [VT, 0x06, FS, CR];
/// Release 2: not taken.
pub(crate) const NAK: [u8; 4] = [VT, 0x15, FS, CR];

/// How an HLLP block's three last digits are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    Xor,
    Sum,
    None,
}

impl Check {
    fn of(self, counted: &[u8]) -> u32 {
        match self {
            Self::Xor => counted.iter().fold(0, |sum, byte| sum ^ u32::from(*byte)),
            Self::Sum => counted.iter().map(|byte| u32::from(*byte)).sum::<u32>() % 256,
            Self::None => 999,
        }
    }
}

/// An HLLP block of kind `D` or `N`.
pub(crate) fn hllp(kind: char, data: impl AsRef<[u8]>, check: Check) -> Vec<u8> {
    let mut counted = vec![VT];
    counted.extend(format!("{kind}23\r").bytes());
    counted.extend_from_slice(data.as_ref());
    let trailer = format!("{:05}{:03}", counted.len(), check.of(&counted));
    counted.extend(trailer.bytes());
    frame(&counted[1..])
}

/// The data of an HLLP block without VT, FS and CR, which must be right in every part.
#[track_caller]
pub(crate) fn open(kind: u8, block: &[u8], check: Check) -> Vec<u8> {
    let shown = block.escape_ascii();
    assert!(block.len() >= 12, "too short for HLLP: {shown}");
    let (counted, trailer) = block.split_at(block.len() - 8);
    assert_eq!(&counted[..4], [kind, b'2', b'3', CR], "header of {shown}");
    let counted = [&[VT], counted].concat();
    let expected = format!("{:05}{:03}", counted.len(), check.of(&counted));
    assert_eq!(
        trailer,
        expected.as_bytes(),
        "count and checksum of {shown}"
    );
    counted[5..].to_vec()
}

#[test]
fn the_vectors() {
    let data = hllp('D', "MSH|^~\\&|A|B\r", Check::Xor);
    assert_eq!(data, b"\x0bD23\rMSH|^~\\&|A|B\r00018061\x1c\r");
    assert_eq!(hllp('N', "C", Check::Xor), b"\x0bN23\rC00006010\x1c\r");
    assert_eq!(
        open(b'D', &data[1..data.len() - 2], Check::Xor),
        b"MSH|^~\\&|A|B\r"
    );
}
