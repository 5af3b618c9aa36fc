//! The sequence number protocol (chapter 2, *Sequence number protocol*): MSH-13 of a message, MSA-4 of its answer.
//!
//! ```text
//! MSH-13      what the responder makes of it                                   MSA-4
//! empty, ""   not in the protocol                                              none
//! 0           the link (re-)starts: no message                                 last + 1, or -1 where there is no last one
//! -1          the link is synchronised anew: the last one is forgotten         -1
//! n           expected (last + 1, or there is no last one): a message          n
//!             not expected: not taken                                          last + 1
//! ```

use super::header::Header;

/// MSH-13.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    /// Nothing: the message is not in the protocol.
    Absent,
    /// 0.
    Start,
    /// -1.
    Resync,
    /// A message's number, positive.
    Number(u64),
}

/// What the responder does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Takes the message as any other, with no number.
    Unnumbered,
    /// Takes it, and answers with its number, which is the last one once it is accepted.
    Take(u64),
    /// Says what it expects, -1 for any number; there is no message to take.
    Tell(i64),
    /// Forgets the last number, and says so: -1.
    Forget,
    /// Does not take it: this one is expected.
    OutOfOrder(u64),
}

impl Sequence {
    /// Reads MSH-13, an NM of at most 15 digits as the standard has it. `None` where it is none of these.
    pub fn of(header: &Header<'_>) -> Option<Self> {
        let text = header.component(13, 1).trim_ascii();
        match text {
            b"" | b"\"\"" => return Some(Self::Absent),
            b"-1" => return Some(Self::Resync),
            _ => {}
        }
        if text.len() > 15 || !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let digits = text.iter().map(|digit| u64::from(digit - b'0'));
        Some(match digits.fold(0, |number, digit| number * 10 + digit) {
            0 => Self::Start,
            number => Self::Number(number),
        })
    }

    /// What the responder does, whose last number is this.
    pub fn step(self, last: Option<u64>) -> Step {
        match (self, last) {
            (Self::Absent, _) => Step::Unnumbered,
            (Self::Resync, _) => Step::Forget,
            (Self::Start, None) => Step::Tell(-1),
            (Self::Start, Some(last)) => Step::Tell(msa4(last + 1)),
            (Self::Number(number), Some(last)) if number != last + 1 => Step::OutOfOrder(last + 1),
            (Self::Number(number), _) => Step::Take(number),
        }
    }
}

/// A number as MSA-4 has it.
pub fn msa4(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Whether a message has anything but a header: segments that are there may have null fields only. One that starts a link has none,
/// so what has some is a message, and not to be mistaken for a start.
pub fn has_content(message: &[u8], header: &Header<'_>) -> bool {
    let body = message.get(header.leading..).unwrap_or_default();
    let segments = body.split(|byte| matches!(byte, b'\r' | b'\n')).skip(1);
    let empty = |byte: &u8| {
        byte.is_ascii_whitespace() || *byte == b'"' || header.delimiters.iter().any(|d| d == *byte)
    };
    segments
        .map(|segment| segment.get(3..).unwrap_or(segment))
        .any(|fields| !fields.iter().all(empty))
}

#[cfg(test)]
mod tests {
    use super::super::{Payload, peek};
    use super::*;
    use proptest::prelude::*;

    fn message(msh13: &str, rest: &str) -> Vec<u8> {
        format!("MSH|^~\\&|S|F|R|G|2026||ADT^A01|7|P|2.5|{msh13}\r{rest}").into_bytes()
    }

    fn with<T>(message: &[u8], ask: impl FnOnce(&Header<'_>) -> T) -> T {
        let Payload::V2(header) = peek(message) else {
            panic!()
        };
        ask(&header)
    }

    fn read(msh13: &str) -> Option<Sequence> {
        with(&message(msh13, ""), Sequence::of)
    }

    #[test]
    fn msh_13_is_read() {
        use Sequence::{Absent, Number, Resync, Start};
        for (text, expected) in [
            ("", Some(Absent)),
            ("\"\"", Some(Absent)),
            ("0", Some(Start)),
            ("-1", Some(Resync)),
            ("1", Some(Number(1))),
            (" 0042 ", Some(Number(42))),
            ("7^x~8", Some(Number(7))),
            ("999999999999999", Some(Number(999_999_999_999_999))),
            ("9999999999999999", None),
            ("-2", None),
            ("+1", None),
            ("1.0", None),
            ("one", None),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_table() {
        use Sequence::{Absent, Number, Resync, Start};
        for (sequence, last, step) in [
            (Absent, None, Step::Unnumbered),
            (Absent, Some(5), Step::Unnumbered),
            (Start, None, Step::Tell(-1)),
            (Start, Some(5), Step::Tell(6)),
            (Resync, None, Step::Forget),
            (Resync, Some(5), Step::Forget),
            (Number(9), None, Step::Take(9)),
            (Number(6), Some(5), Step::Take(6)),
            (Number(5), Some(5), Step::OutOfOrder(6)),
            (Number(4), Some(5), Step::OutOfOrder(6)),
            (Number(7), Some(5), Step::OutOfOrder(6)),
        ] {
            assert_eq!(sequence.step(last), step, "{sequence:?} after {last:?}");
        }
    }

    #[test]
    fn a_start_has_no_content() {
        for (rest, content) in [
            ("", false),
            ("EVN|\rPID|||\"\"^^~\r\n", false),
            ("PID|1\r", true),
            ("PID|||x\r", true),
            ("junk", true),
        ] {
            let message = message("0", rest);
            let found = with(&message, |header| has_content(&message, header));
            assert_eq!(found, content, "{rest:?}");
        }
    }

    proptest! {
        /// Whatever comes, a number is taken once and in order, and nothing but a resynchronisation breaks that.
        #[test]
        fn numbers_are_taken_in_order_and_once(steps: Vec<(bool, u8, bool)>) {
            let mut last = None;
            for (resync, number, accepted) in steps {
                let sequence = if resync { Sequence::Resync } else { Sequence::Number(u64::from(number) + 1) };
                match sequence.step(last) {
                    Step::Take(number) => {
                        prop_assert!(last.is_none_or(|last| number == last + 1));
                        if accepted {
                            last = Some(number);
                        }
                    }
                    Step::OutOfOrder(expected) => prop_assert_eq!(Some(expected - 1), last),
                    Step::Forget => last = None,
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
    }
}
