//! HLLP, the Hybrid Lower Layer Protocol: MLLP's block, and in it a header, a count and a checksum.
//!
//! ```text
//!  VT    t v v CR   data …    c c c c c   x x x    FS CR
//!        └header┘             count       check
//!  └──── counted and checked ──┘
//! ```
//!
//! `t` is `D` for data or `N` for a refusal, `vv` the version. A refusal's data is one letter: `C` the count is wrong, `X` the
//! checksum is, `B` too long, `G` any other reason. There is no positive confirmation: that is the HL7 acknowledgement, which is a
//! data block of its own.

use super::frame_into;
use crate::config::Checksum;
use std::ops::Range;

/// `D23` and a CR.
const HEADER: usize = 4;
/// Count and check.
const TRAILER: usize = 8;
/// What a block has beside its data, between start and end byte.
pub const OVERHEAD: usize = HEADER + TRAILER;
/// The count, which has five digits, counts the start byte and the header, too.
pub const MAX_DATA: usize = 99_999 - 1 - HEADER;
const UNCHECKED: &[u8; 3] = b"999";

/// Why a block is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `C`
    Count,
    /// `X`
    Checksum,
    /// `B`
    TooLong,
    /// `G`
    Other,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Count, Self::Checksum, Self::TooLong, Self::Other];

    /// The data of a refusal.
    pub fn letter(self) -> u8 {
        match self {
            Self::Count => b'C',
            Self::Checksum => b'X',
            Self::TooLong => b'B',
            Self::Other => b'G',
        }
    }

    /// From the data of a refusal; what is no letter of the protocol's is a refusal for another reason.
    fn read(data: &[u8]) -> Self {
        let named = Self::ALL.into_iter().find(|one| data == [one.letter()]);
        named.unwrap_or(Self::Other)
    }
}

/// What a block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Data; where it is in the block.
    Data(Range<usize>),
    /// The block before was refused.
    Nak(Reason),
}

/// What is wrong with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Not `t vv CR … ccccc xxx`.
    Form,
    /// The count is not the data's.
    Count,
    /// The checksum is not the data's.
    Checksum,
}

/// Takes a block apart: what stands between the start byte, which is counted and checked as well, and the end byte.
///
/// # Errors
/// If it is not whole; the data is not to be used then.
pub fn read(block: &[u8], start: u8, checksum: Checksum) -> Result<Block, Bad> {
    let digits = block.len().checked_sub(TRAILER).filter(|at| *at >= HEADER);
    let (counted, trailer) = digits
        .and_then(|at| block.split_at_checked(at))
        .ok_or(Bad::Form)?;
    let [
        kind @ (b'D' | b'N'),
        b'2' | b'3',
        b'0'..=b'4',
        super::CR,
        data @ ..,
    ] = counted
    else {
        return Err(Bad::Form);
    };
    let (count, check) = trailer.split_at(5);
    if !trailer.iter().all(u8::is_ascii_digit) {
        return Err(Bad::Form);
    }
    if number(count) != counted.len() + 1 {
        return Err(Bad::Count);
    }
    if checksum != Checksum::None
        && check != UNCHECKED
        && number(check) != usize::from(sum(start, counted, checksum))
    {
        return Err(Bad::Checksum);
    }
    Ok(match kind {
        b'D' => Block::Data(HEADER..HEADER + data.len()),
        _ => Block::Nak(Reason::read(data)),
    })
}

/// Whether a block, be it whole or not, calls itself a refusal: it is then never refused itself, or two ends that disagree about
/// the checksum would go on refusing each other's refusals.
pub fn is_refusal(block: &[u8]) -> bool {
    matches!(block, [b'N', b'2' | b'3', b'0'..=b'4', super::CR, ..])
}

/// Appends a data block whose data `write` produces: at most [`MAX_DATA`], and no block characters, for which the caller answers.
pub fn data_into(
    out: &mut Vec<u8>,
    start: u8,
    end: u8,
    checksum: Checksum,
    write: impl FnOnce(&mut Vec<u8>),
) {
    block_into(out, start, end, checksum, b'D', write);
}

/// Appends a refusal.
pub fn nak_into(out: &mut Vec<u8>, start: u8, end: u8, checksum: Checksum, reason: Reason) {
    block_into(out, start, end, checksum, b'N', |out| {
        out.push(reason.letter());
    });
}

fn block_into(
    out: &mut Vec<u8>,
    start: u8,
    end: u8,
    checksum: Checksum,
    kind: u8,
    write: impl FnOnce(&mut Vec<u8>),
) {
    frame_into(out, start, end, |out| {
        let from = out.len();
        out.extend_from_slice(&[kind, b'2', b'3', super::CR]);
        write(out);
        let counted = out.get(from..).unwrap_or_default();
        let count = counted.len() + 1;
        let check = match checksum {
            Checksum::None => 999,
            checksum => usize::from(sum(start, counted, checksum)),
        };
        push_digits::<5>(out, count);
        push_digits::<3>(out, check);
    });
}

/// Over the start byte and everything up to the last data byte.
fn sum(start: u8, counted: &[u8], checksum: Checksum) -> u8 {
    match checksum {
        Checksum::Sum => counted
            .iter()
            .fold(start, |sum, byte| sum.wrapping_add(*byte)),
        Checksum::Xor | Checksum::None => counted.iter().fold(start, |sum, byte| sum ^ byte),
    }
}

/// Of ASCII digits, at most five.
fn number(digits: &[u8]) -> usize {
    digits
        .iter()
        .fold(0, |number, digit| number * 10 + usize::from(digit & 0x0F))
}

fn push_digits<const N: usize>(out: &mut Vec<u8>, mut number: usize) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mllp::{END, START};

    fn data(data: &[u8], checksum: Checksum) -> Vec<u8> {
        let mut out = Vec::new();
        data_into(&mut out, START, END, checksum, |out| {
            out.extend_from_slice(data);
        });
        out
    }

    fn nak(reason: Reason) -> Vec<u8> {
        let mut out = Vec::new();
        nak_into(&mut out, START, END, Checksum::Xor, reason);
        out
    }

    /// Between the block characters.
    fn inner(block: &[u8]) -> &[u8] {
        &block[1..block.len() - 2]
    }

    #[test]
    fn the_vectors() {
        let block = data(b"MSH|^~\\&|A|B\r", Checksum::Xor);
        assert_eq!(block, b"\x0bD23\rMSH|^~\\&|A|B\r00018061\x1c\r");
        assert_eq!(
            read(inner(&block), START, Checksum::Xor),
            Ok(Block::Data(4..17))
        );
        assert_eq!(nak(Reason::Count), b"\x0bN23\rC00006010\x1c\r");
        for reason in Reason::ALL {
            let read = read(inner(&nak(reason)), START, Checksum::Xor);
            assert_eq!(read, Ok(Block::Nak(reason)));
            assert!(is_refusal(inner(&nak(reason))));
        }
        assert_eq!(
            data(b"", Checksum::None),
            b"\x0bD23\r00005999\x1c\r",
            "no data at all"
        );
        // 0x0B + 'D' + '2' + '3' + CR + 'A' = 11 + 68 + 50 + 51 + 13 + 65 = 258
        assert_eq!(data(b"A", Checksum::Sum), b"\x0bD23\rA00006002\x1c\r");
    }

    #[test]
    fn each_kind_of_checksum_reads_its_own_and_999() {
        let kinds = [Checksum::Xor, Checksum::Sum, Checksum::None];
        for written in kinds {
            for expected in kinds {
                let block = data(b"MSH|x", written);
                let same =
                    written == expected || written == Checksum::None || expected == Checksum::None;
                let result = if same {
                    Ok(Block::Data(4..9))
                } else {
                    Err(Bad::Checksum)
                };
                assert_eq!(
                    read(inner(&block), START, expected),
                    result,
                    "{written:?} {expected:?}"
                );
            }
        }
    }

    #[test]
    fn every_version_and_no_other_is_taken() {
        for first in b'0'..=b'9' {
            for second in b'0'..=b'9' {
                let block = [b'D', first, second, b'\r', b'A'];
                let mut block = block.to_vec();
                block.extend_from_slice(b"00006999");
                let known = matches!(first, b'2' | b'3') && second <= b'4';
                assert_eq!(read(&block, START, Checksum::Xor).is_ok(), known);
            }
        }
    }

    #[test]
    fn what_is_not_in_the_form_is_refused() {
        let cases: [&[u8]; 8] = [
            b"",
            b"D23\r0000599",
            b"X23\r00005999",
            b"D23\n00005999",
            b"D23\rA0000 999",
            b"D23\rA000069 9",
            b"MSH|^~\\&|A|B|C\r",
            b"\x06",
        ];
        for case in cases {
            assert_eq!(
                read(case, START, Checksum::None),
                Err(Bad::Form),
                "{case:?}"
            );
        }
        let wrong = read(b"D23\rA00007999", START, Checksum::None);
        assert_eq!(wrong, Err(Bad::Count));
        let unknown = read(b"N23\r?00006999", START, Checksum::None);
        assert_eq!(unknown, Ok(Block::Nak(Reason::Other)));
    }

    #[test]
    fn the_longest_data_has_a_count_of_five_digits() {
        let block = data(&vec![b'x'; MAX_DATA], Checksum::Xor);
        let trailer = &inner(&block)[inner(&block).len() - 8..];
        assert_eq!(&trailer[..5], b"99999");
        let read = read(inner(&block), START, Checksum::Xor);
        assert_eq!(read, Ok(Block::Data(4..4 + MAX_DATA)));
    }
}
