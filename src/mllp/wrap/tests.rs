//! Each protocol, with every single byte of a short exchange changed, doubled or cut off.

use super::*;
use crate::config::Checksum;
use crate::mllp::{Decoder, Event, More};

const FIRST: &[u8] = b"MSH|^~\\&|A|B\rPID|1\r";
const SECOND: &[u8] = b"MSH|^~\\&|A|B\rPID|2\r";

fn framing(kind: FramingKind, checksum: Checksum) -> Framing {
    Framing {
        kind,
        checksum,
        ..Framing::default()
    }
}

/// Every kind, and HLLP by each checksum.
fn kinds() -> [Framing; 5] {
    [
        framing(FramingKind::Mllp, Checksum::Xor),
        framing(FramingKind::Mllp2, Checksum::Xor),
        framing(FramingKind::Hllp, Checksum::Xor),
        framing(FramingKind::Hllp, Checksum::Sum),
        framing(FramingKind::Hllp, Checksum::None),
    ]
}

fn block(message: &[u8], framing: &Framing) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(&mut out, message, framing).unwrap();
    out
}

/// What comes of a stream, with each message in place of its range.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Message(Vec<u8>),
    Other(Taken),
}

fn run(stream: &[u8], framing: &Framing) -> Vec<Got> {
    let mut decoder = Decoder::new(framing.start, framing.end, 1 << 20);
    let mut rest = stream;
    let mut found = Vec::new();
    let mut more = More::Maybe;
    loop {
        let step = decoder.step(rest, more);
        match step.event {
            Event::Frame(range) => {
                let block = &rest[range];
                found.push(match take(framing, block) {
                    Taken::Message(range) => Got::Message(block[range].to_vec()),
                    other => Got::Other(other),
                });
            }
            Event::Wait(_) if more == More::Eof => return found,
            Event::Wait(_) => more = More::Eof,
            other => panic!("{other:?} in {}", stream.escape_ascii()),
        }
        rest = &rest[step.consumed..];
    }
}

/// Every stream that differs by one byte in the first `len`: what was done, where, and the stream.
fn damaged(stream: &[u8], len: usize, mut each: impl FnMut(&str, usize, &[u8])) {
    for at in 0..len {
        for byte in 0..=u8::MAX {
            let mut changed = stream.to_vec();
            changed[at] = byte;
            each("changed", at, &changed);
        }
        let mut doubled = stream.to_vec();
        doubled.insert(at, stream[at]);
        each("doubled", at, &doubled);
        // The sender broke off here and began anew.
        let mut cut = stream[..at].to_vec();
        cut.extend_from_slice(&stream[len..]);
        each("cut off", at, &cut);
        each("ended", at, &stream[..at]);
    }
}

fn messages(got: &[Got]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    for one in got {
        if let Got::Message(message) = one {
            found.push(message.as_slice());
        }
    }
    found
}

/// A damaged block costs that block at most: the next one is found and whole.
#[test]
fn the_next_block_is_read_whatever_happened_to_the_one_before() {
    for framing in kinds() {
        let first = block(FIRST, &framing);
        let stream = [first.clone(), block(SECOND, &framing)].concat();
        assert_eq!(messages(&run(&stream, &framing)), [FIRST, SECOND]);
        damaged(&stream, first.len(), |how, at, stream| {
            let got = run(stream, &framing);
            let place = format!("{framing:?}: byte {at} {how}: {}", stream.escape_ascii());
            if how != "ended" {
                assert_eq!(messages(&got).last(), Some(&SECOND), "{place}");
            }
            assert!(got.len() <= 3, "{place}: {got:?}");
        });
    }
}

/// HLLP with a checksum never gives out anything but what was sent. Without one it does where a byte has become another one.
#[test]
fn hllp_gives_out_what_was_sent_or_nothing() {
    for framing in kinds().iter().filter(|one| one.kind == FramingKind::Hllp) {
        let first = block(FIRST, framing);
        let data = 5..5 + FIRST.len();
        let stream = [first.clone(), block(SECOND, framing)].concat();
        damaged(&stream, first.len(), |how, at, stream| {
            let got = run(stream, framing);
            for message in messages(&got) {
                let changed = framing.checksum == Checksum::None
                    && how == "changed"
                    && data.contains(&at)
                    && message.len() == FIRST.len()
                    && (0..message.len()).all(|n| n + 5 == at || message[n] == FIRST[n]);
                assert!(
                    message == FIRST || message == SECOND || changed,
                    "{framing:?}: byte {at} {how}: {}",
                    stream.escape_ascii()
                );
            }
        });
    }
}

/// A byte of the data that has become another one is always noticed, and said to be what it is.
#[test]
fn hllp_names_what_is_wrong() {
    for checksum in [Checksum::Xor, Checksum::Sum] {
        let framing = framing(FramingKind::Hllp, checksum);
        let whole = block(FIRST, &framing);
        for at in 5..5 + FIRST.len() {
            for byte in (0..=u8::MAX).filter(|byte| !matches!(byte, 0x0B | 0x1C)) {
                let mut changed = whole.clone();
                changed[at] = byte;
                let expected = match byte == whole[at] {
                    true => Got::Message(FIRST.to_vec()),
                    false => Got::Other(Taken::Bad(Bad::Checksum)),
                };
                assert_eq!(
                    run(&changed, &framing),
                    [expected],
                    "{checksum:?} byte {at}"
                );
            }
            let mut doubled = whole.clone();
            doubled.insert(at, whole[at]);
            assert_eq!(
                run(&doubled, &framing),
                [Got::Other(Taken::Bad(Bad::Count))]
            );
        }
    }
}

/// MLLP cannot tell: it has nothing to check with. What it gives out is still a piece of what came, and has the damage in it or
/// at its edge.
#[test]
fn mllp_gives_out_a_piece_of_what_came() {
    for framing in kinds().iter().filter(|one| one.kind != FramingKind::Hllp) {
        let first = block(FIRST, framing);
        let stream = [first.clone(), block(SECOND, framing)].concat();
        damaged(&stream, first.len(), |how, at, stream| {
            for message in messages(&run(stream, framing)) {
                if message == FIRST || message == SECOND {
                    continue;
                }
                let found = stream.windows(message.len().max(1)).enumerate();
                let mut places = found.filter(|(_, piece)| piece.starts_with(message));
                let near = places
                    .any(|(from, _)| (from.max(1) - 1..=from + message.len() + 1).contains(&at));
                assert!(
                    near && matches!(how, "changed" | "doubled"),
                    "{framing:?}: byte {at} {how}: {} gave {}",
                    stream.escape_ascii(),
                    message.escape_ascii()
                );
            }
        });
    }
}

/// A commit block between two messages: damaged, it never becomes the other one, but by the one byte that is the difference.
#[test]
fn a_damaged_commit_block_is_never_taken_for_the_other() {
    let framing = framing(FramingKind::Mllp2, Checksum::Xor);
    let mut commit = Vec::new();
    release2::commit_into(&mut commit, framing.start, framing.end, release2::ACK);
    let stream = [commit.clone(), block(SECOND, &framing)].concat();
    damaged(&stream, commit.len(), |how, at, stream| {
        let got = run(stream, &framing);
        let refused = got.contains(&Got::Other(Taken::Nak(Reason::Other)));
        let swapped = how == "changed" && at == 1 && stream[1] == release2::NAK;
        assert_eq!(refused, swapped, "byte {at} {how}: {got:?}");
        if how != "ended" {
            assert_eq!(messages(&got).last(), Some(&SECOND), "byte {at} {how}");
        }
    });
}

#[test]
fn what_a_protocol_cannot_carry_is_not_sent() {
    let [mllp, mllp2, hllp, ..] = kinds();
    let encode = |framing: &Framing, message: &[u8]| {
        let mut out = Vec::new();
        let result = encode_into(&mut out, message, framing);
        assert_eq!(result.is_err(), out.is_empty());
        result
    };
    let long = vec![b'x'; hllp::MAX_DATA + 1];
    assert_eq!(encode(&mllp, &long), Ok(()));
    assert_eq!(encode(&mllp2, &long), Ok(()));
    assert_eq!(encode(&hllp, &long[1..]), Ok(()));
    let too_long = Unframable::TooLong {
        length: 99_995,
        most: 99_994,
    };
    assert_eq!(encode(&hllp, &long), Err(too_long));
    assert_eq!(encode(&mllp2, b"M\0S\0H\0"), Err(Unframable::Wide));
    for commit in [b"\x06", b"\x15"] {
        assert_eq!(encode(&mllp2, commit), Err(Unframable::Commit));
        assert_eq!(encode(&mllp, commit), Ok(()));
        assert_eq!(encode(&hllp, commit), Ok(()));
    }
    assert_eq!(encode(&mllp2, b"\x06\x06"), Ok(()));
    for framing in kinds() {
        assert!(matches!(
            encode(&framing, b"MSH\x1c"),
            Err(Unframable::Character { offset: 3, .. })
        ));
    }
}

#[test]
fn refusals_say_why_where_the_protocol_can() {
    let all = [
        (Bad::Form, b'G'),
        (Bad::Count, b'C'),
        (Bad::Checksum, b'X'),
        (Bad::TooLong, b'B'),
        (Bad::Wide, b'G'),
        (Bad::Other, b'G'),
    ];
    let [mllp, mllp2, hllp, ..] = kinds();
    for (bad, letter) in all {
        let refusal = |framing: &Framing| {
            let mut out = Vec::new();
            refusal_into(&mut out, framing, bad);
            out
        };
        assert_eq!(refusal(&mllp), b"");
        assert_eq!(refusal(&mllp2), b"\x0b\x15\x1c\r");
        assert!(refusal(&hllp).starts_with(&[0x0B, b'N', b'2', b'3', b'\r', letter]));
    }
}

/// A refusal that is damaged is not refused in turn.
#[test]
fn two_ends_that_disagree_about_the_checksum_do_not_refuse_each_other_for_ever() {
    let [.., xor, sum, _] = kinds();
    let mut refusal = Vec::new();
    refusal_into(&mut refusal, &xor, Bad::Count);
    assert_eq!(run(&refusal, &sum), [Got::Other(Taken::BadNak)]);
}
