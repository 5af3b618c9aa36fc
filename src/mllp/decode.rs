//! The tolerant half: finds blocks in whatever a peer sends.
//!
//! Sans I/O: the caller owns the buffer and tells what comes next; the decoder says how much of it is used up
//! and what it found. It never copies data and never looks at a byte twice: `scanned` remembers how far
//! the search for an end has come, so that a 16 MiB message that arrives in a thousand reads costs one pass.
//!
//! ```text
//!            ┌────────────── junk, LF, FS CR ──┐
//!            ▼                                 │
//!        Between ──VT──► Inside ──FS CR──► Frame
//!                         │  ▲
//!                         │  └─VT: restarted
//!                  > cap  ▼
//!                     Discarding ──FS CR──► Oversized
//! ```
//!
//! What each odd thing does is the table "on the wire" in `docs/wire.md`; its rows are tests in `tests/wire/`.

use super::sniff::{Foreign, Sniff, sniff};
use super::{CR, Deviation};
use crate::telemetry::labels::Label;
use std::ops::Range;

const LF: u8 = 0x0A;
/// Of an oversized block, as much as is kept to answer it: more than any MSH seen.
const HEAD: usize = 4096;
/// Junk without a block for longer than this is not a peer that speaks MLLP.
const JUNK_LIMIT: usize = 64 * 1024;
/// Control bytes of junk that are kept for a log line.
const JUNK_SAMPLE: usize = 16;

/// What the caller knows about the bytes after the buffer's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    /// There may be some.
    Maybe,
    /// None came for `end_idle`.
    Idle,
    /// There are none.
    Eof,
}

/// What the decoder did with the buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes at the start of the buffer that are used up. A frame's range lies inside them.
    pub consumed: usize,
    /// What was found.
    pub event: Event,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// No whole block yet.
    Wait(Wait),
    /// The data of one block, as a range of the buffer before `consumed` is taken off.
    Frame(Range<usize>),
    /// A block over the cap ended; [`Decoder::oversized_head`] has its first bytes. Its data's length.
    Oversized(u64),
    /// Not MLLP at all. The decoder is of no further use.
    Foreign(Foreign),
}

/// What a decoder without a whole block waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A start byte; no data is held.
    Start,
    /// The rest of a block.
    Data,
    /// The byte after an end byte: call again with [`More::Idle`] if none comes.
    AfterEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of the connection.
    Unknown,
    /// Outside a block.
    Between(Tail),
    /// Inside one; the buffer begins with its first data byte.
    Inside,
    /// Inside one that is over the cap; so many data bytes are gone already.
    Discarding(u64),
}

/// What may still belong to the end of the block before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// Nothing.
    None,
    /// After `FS CR`: an LF or another `FS CR`.
    Cr,
    /// After an `FS` that stood alone: a CR that was late.
    Bare,
    /// Junk, already counted.
    Junk,
}

/// Finds blocks; one per connection.
#[derive(Debug)]
pub struct Decoder {
    start: u8,
    end: u8,
    max: usize,
    state: State,
    scanned: usize,
    junk: usize,
    junk_sample: Vec<u8>,
    head: Vec<u8>,
    counts: [u32; Deviation::ALL.len()],
    deviated: bool,
}

impl Decoder {
    /// A decoder for a new connection; `max` is the largest data accepted, in bytes.
    pub fn new(start: u8, end: u8, max: usize) -> Self {
        Self {
            start,
            end,
            max,
            state: State::Unknown,
            scanned: 0,
            junk: 0,
            junk_sample: Vec::new(),
            head: Vec::new(),
            counts: [0; Deviation::ALL.len()],
            deviated: false,
        }
    }

    /// Changes the cap, from the next step on.
    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Whether the decoder is inside a block.
    pub fn in_block(&self) -> bool {
        matches!(self.state, State::Inside | State::Discarding(_))
    }

    /// Whether the decoder is inside a block over the cap.
    pub fn is_discarding(&self) -> bool {
        matches!(self.state, State::Discarding(_))
    }

    /// The first bytes of the block that [`Event::Oversized`] was about.
    pub fn oversized_head(&self) -> &[u8] {
        &self.head
    }

    /// Control bytes among the junk seen so far: safe to log, since text is never kept.
    pub fn junk_sample(&self) -> &[u8] {
        &self.junk_sample
    }

    /// Calls `each` with every kind counted since the last call.
    pub fn take_deviations(&mut self, mut each: impl FnMut(Deviation, u32)) {
        if !self.deviated {
            return;
        }
        self.deviated = false;
        for (kind, count) in Deviation::ALL.iter().zip(&mut self.counts) {
            if *count > 0 {
                each(*kind, std::mem::take(count));
            }
        }
    }

    /// Looks at `buf`: every byte received and not yet consumed.
    ///
    /// Call again after each [`Event::Frame`] and [`Event::Oversized`], and with more bytes after [`Event::Wait`]. With
    /// [`More::Eof`], an unfinished block is counted as truncated and consumed.
    pub fn step(&mut self, buf: &[u8], more: More) -> Step {
        let mut at = 0;
        loop {
            let rest = &buf[at..];
            let step = match self.state {
                State::Unknown => self.unknown(rest, more),
                State::Between(tail) => self.between(rest, more, tail),
                State::Inside => self.inside(rest, more),
                State::Discarding(gone) => self.discarding(rest, more, gone),
            };
            match step {
                Next::Go(used) => at += used,
                Next::Stop(used, event) => {
                    let event = match event {
                        Event::Frame(range) => Event::Frame(range.start + at..range.end + at),
                        other => other,
                    };
                    return Step {
                        consumed: at + used,
                        event,
                    };
                }
            }
        }
    }

    fn unknown(&mut self, buf: &[u8], more: More) -> Next {
        match sniff(buf) {
            Sniff::Foreign(foreign) => Next::Stop(buf.len(), Event::Foreign(foreign)),
            Sniff::Undecided if more == More::Maybe || buf.is_empty() => {
                Next::Stop(0, Event::Wait(Wait::Start))
            }
            Sniff::Undecided | Sniff::Clear => {
                self.state = State::Between(Tail::None);
                Next::Go(0)
            }
        }
    }

    fn between(&mut self, buf: &[u8], more: More, tail: Tail) -> Next {
        let Some(&first) = buf.first() else {
            return Next::Stop(0, Event::Wait(Wait::Start));
        };
        if first == self.start {
            self.state = State::Inside;
            self.scanned = 0;
            self.junk = 0;
            return Next::Go(1);
        }
        match (tail, first) {
            (Tail::Cr, LF) => {
                self.count(Deviation::EndCrLf);
                self.state = State::Between(Tail::None);
                return Next::Go(1);
            }
            (Tail::Bare, CR) => {
                self.state = State::Between(Tail::Cr);
                return Next::Go(1);
            }
            (Tail::Cr, end) if end == self.end => match buf.get(1) {
                None if more == More::Maybe => return Next::Stop(0, Event::Wait(Wait::Start)),
                None | Some(&CR) => {
                    self.count(Deviation::DoubledEnd);
                    return Next::Go(buf.len().min(2));
                }
                Some(_) => {}
            },
            _ => {}
        }
        let junk = memchr::memchr(self.start, buf).unwrap_or(buf.len());
        if tail != Tail::Junk {
            self.count(Deviation::JunkBeforeStart);
            self.state = State::Between(Tail::Junk);
        }
        self.sample(&buf[..junk]);
        self.junk += junk;
        if self.junk > JUNK_LIMIT {
            return Next::Stop(junk, Event::Foreign(Foreign::Nothing));
        }
        Next::Go(junk)
    }

    fn inside(&mut self, buf: &[u8], more: More) -> Next {
        match self.find(buf, more, self.scanned) {
            Mark::Start(0) => {
                self.count(Deviation::DoubledStart);
                Next::Go(1)
            }
            Mark::Start(at) => {
                self.count(Deviation::Restarted);
                self.scanned = 0;
                Next::Go(at + 1)
            }
            Mark::End { at, used } if at <= self.max => {
                self.scanned = 0;
                Next::Stop(used, Event::Frame(0..at))
            }
            Mark::MaybeEnd(at) if at <= self.max && more == More::Maybe => {
                self.scanned = at;
                Next::Stop(0, Event::Wait(Wait::AfterEnd))
            }
            Mark::None if buf.len() <= self.max && more != More::Eof => {
                self.scanned = buf.len();
                Next::Stop(0, Event::Wait(Wait::Data))
            }
            Mark::None if buf.len() <= self.max => self.truncated(buf.len()),
            // Over the cap, wherever it ends. What `find` counted of an end is found again while discarding,
            // so it must only be counted there.
            Mark::End { .. } | Mark::MaybeEnd(_) | Mark::None => {
                self.head.clear();
                self.head
                    .extend_from_slice(&buf[..buf.len().min(HEAD).min(self.max)]);
                self.state = State::Discarding(0);
                self.scanned = 0;
                Next::Go(0)
            }
        }
    }

    fn discarding(&mut self, buf: &[u8], more: More, gone: u64) -> Next {
        match self.find(buf, more, 0) {
            Mark::Start(at) => {
                self.count(Deviation::Restarted);
                self.state = State::Inside;
                self.scanned = 0;
                Next::Go(at + 1)
            }
            Mark::End { at, used } => {
                self.count(Deviation::Oversized);
                Next::Stop(used, Event::Oversized(gone + at as u64))
            }
            Mark::MaybeEnd(at) => {
                self.state = State::Discarding(gone + at as u64);
                Next::Stop(at, Event::Wait(Wait::AfterEnd))
            }
            Mark::None if more == More::Eof => self.truncated(buf.len()),
            Mark::None => {
                self.state = State::Discarding(gone + buf.len() as u64);
                Next::Stop(buf.len(), Event::Wait(Wait::Data))
            }
        }
    }

    /// The next byte at or after `from` that starts or ends a block. An end changes the state to
    /// [`State::Between`] if the block is within the cap or being discarded.
    fn find(&mut self, buf: &[u8], more: More, mut from: usize) -> Mark {
        while let Some(found) = memchr::memchr2(self.start, self.end, &buf[from..]) {
            let at = from + found;
            if buf[at] == self.start {
                return Mark::Start(at);
            }
            let fits = at <= self.max || matches!(self.state, State::Discarding(_));
            let (used, deviation, tail) = match buf.get(at + 1) {
                Some(&CR) => (2, None, Tail::Cr),
                Some(&LF) => (2, Some(Deviation::EndLf), Tail::None),
                Some(&next) if next == self.start => (1, Some(Deviation::EndWithoutCr), Tail::None),
                // An end byte that nothing ends with is data.
                Some(_) => {
                    from = at + 1;
                    continue;
                }
                None if more == More::Maybe => return Mark::MaybeEnd(at),
                None => (1, Some(Deviation::EndWithoutCr), Tail::Bare),
            };
            if fits {
                self.state = State::Between(tail);
                if let Some(deviation) = deviation {
                    self.count(deviation);
                }
            }
            return Mark::End {
                at,
                used: at + used,
            };
        }
        Mark::None
    }

    fn truncated(&mut self, used: usize) -> Next {
        self.count(Deviation::Truncated);
        self.state = State::Between(Tail::None);
        self.scanned = 0;
        Next::Stop(used, Event::Wait(Wait::Start))
    }

    fn count(&mut self, kind: Deviation) {
        self.counts[kind.index()] += 1;
        self.deviated = true;
    }

    fn sample(&mut self, junk: &[u8]) {
        let room = JUNK_SAMPLE.saturating_sub(self.junk_sample.len());
        self.junk_sample.extend(
            junk.iter()
                .filter(|byte| byte.is_ascii_control())
                .take(room),
        );
    }
}

enum Next {
    /// So many bytes are used; look again.
    Go(usize),
    /// So many bytes are used; tell the caller.
    Stop(usize, Event),
}

enum Mark {
    None,
    Start(usize),
    End { at: usize, used: usize },
    MaybeEnd(usize),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 64;

    /// Feeds `chunks`, then the end of the connection; what came out, in order.
    fn decode(chunks: &[&[u8]]) -> (Vec<String>, Vec<(Deviation, u32)>) {
        let mut decoder = Decoder::new(0x0B, 0x1C, MAX);
        let mut buf: Vec<u8> = Vec::new();
        let mut found = Vec::new();
        let mut feed = |buf: &mut Vec<u8>, more| loop {
            let step = decoder.step(buf, more);
            let event = match step.event {
                Event::Wait(_) => None,
                Event::Frame(range) => Some(String::from_utf8_lossy(&buf[range]).into_owned()),
                Event::Oversized(bytes) => {
                    let head = &decoder.oversized_head()[..4];
                    Some(format!(
                        "oversized {bytes} {}",
                        String::from_utf8_lossy(head)
                    ))
                }
                Event::Foreign(foreign) => {
                    found.push(format!("{foreign:?}"));
                    return false;
                }
            };
            buf.drain(..step.consumed);
            match event {
                Some(event) => found.push(event),
                None => return true,
            }
        };
        let mut open = true;
        for chunk in chunks {
            buf.extend_from_slice(chunk);
            open = open && feed(&mut buf, More::Maybe);
        }
        if open {
            feed(&mut buf, More::Eof);
        }
        let mut deviations = Vec::new();
        decoder.take_deviations(|kind, count| deviations.push((kind, count)));
        (found, deviations)
    }

    #[test]
    fn the_table_of_the_wire_page() {
        use Deviation::*;
        let big = format!("\x0bMSH|{}\x1c\r\x0bB\x1c\r", "x".repeat(MAX));
        type Case<'a> = (&'a str, &'a [u8], &'a [&'a str], &'a [(Deviation, u32)]);
        let cases: &[Case<'_>] = &[
            ("plain", b"\x0bA\x1c\r\x0bB\x1c\r", &["A", "B"], &[]),
            (
                "junk",
                b"\r\n\0\x0bA\x1c\r\n\n\x0bB\x1c\r",
                &["A", "B"],
                &[(JunkBeforeStart, 2), (EndCrLf, 1)],
            ),
            (
                "FS LF",
                b"\x0bA\x1c\n\x0bB\x1c\r",
                &["A", "B"],
                &[(EndLf, 1)],
            ),
            (
                "FS VT",
                b"\x0bA\x1c\x0bB\x1c\r",
                &["A", "B"],
                &[(EndWithoutCr, 1)],
            ),
            ("FS EOF", b"\x0bA\x1c", &["A"], &[(EndWithoutCr, 1)]),
            ("FS in data", b"\x0bA\x1cB\x1c\x1c\r", &["A\x1cB\x1c"], &[]),
            ("VT in data", b"\x0bA\x0bB\x1c\r", &["B"], &[(Restarted, 1)]),
            (
                "doubled",
                b"\x0b\x0bA\x1c\r\x1c\r\x0bB\x1c\r",
                &["A", "B"],
                &[(DoubledStart, 1), (DoubledEnd, 1)],
            ),
            (
                "EOF in data",
                b"\x0bA\x1c\r\x0bB",
                &["A"],
                &[(Truncated, 1)],
            ),
            ("EOF after VT", b"\x0b", &[], &[(Truncated, 1)]),
            ("empty", b"\x0b\x1c\r", &[""], &[]),
            (
                "oversized",
                big.as_bytes(),
                &["oversized 68 MSH|", "B"],
                &[(Oversized, 1)],
            ),
            ("http", b"GET / HTTP/1.1\r\n", &["Http"], &[]),
            ("tls", b"\x16\x03\x01\x02\x00", &["Tls"], &[]),
            ("nothing", b"", &[], &[]),
        ];
        for (name, bytes, frames, deviations) in cases {
            let (found, counted) = decode(&[bytes]);
            assert_eq!(&found, frames, "{name}");
            assert_eq!(&counted, deviations, "{name}");
        }
    }

    #[test]
    fn an_end_byte_alone_ends_the_block_when_nothing_follows() {
        let mut decoder = Decoder::new(0x0B, 0x1C, MAX);
        let buf = b"\x0bA\x1c";
        assert_eq!(
            decoder.step(buf, More::Maybe),
            Step {
                consumed: 1,
                event: Event::Wait(Wait::AfterEnd)
            }
        );
        assert_eq!(
            decoder.step(&buf[1..], More::Idle),
            Step {
                consumed: 2,
                event: Event::Frame(0..1)
            }
        );
        // The CR that was late is not junk.
        let step = decoder.step(b"\r\x0bB\x1c\r", More::Maybe);
        assert_eq!(
            step,
            Step {
                consumed: 5,
                event: Event::Frame(2..3)
            }
        );
        let mut kinds = Vec::new();
        decoder.take_deviations(|kind, _| kinds.push(kind));
        assert_eq!(kinds, [Deviation::EndWithoutCr]);
    }

    #[test]
    fn junk_without_end_is_given_up_on() {
        let junk = vec![b'x'; JUNK_LIMIT + 1];
        assert_eq!(decode(&[&junk]).0, ["Nothing"]);
    }

    #[test]
    fn only_control_bytes_of_junk_are_kept() {
        let mut decoder = Decoder::new(0x0B, 0x1C, MAX);
        decoder.step(b"DOE\r\n^JOHN\0\x0b", More::Maybe);
        assert_eq!(decoder.junk_sample(), b"\r\n\0");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_chunking_gives_the_same_frames_and_counts(
            // Few distinct bytes, so that block characters meet often.
            bytes in prop::collection::vec(prop::sample::select(&b"\x0b\x0b\x1c\x1c\r\r\n\0MSHxG|"[..]), 0..200),
            cuts in prop::collection::vec(0usize..200, 0..20),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&[&bytes]), decode(&chunks));
        }

        #[test]
        fn what_is_encoded_is_decoded(data in prop::collection::vec(any::<u8>(), 0..MAX)) {
            let mut wire = Vec::new();
            if super::super::encode(&mut wire, &data, 0x0B, 0x1C).is_ok() {
                let mut decoder = Decoder::new(0x0B, 0x1C, MAX);
                let step = decoder.step(&wire, More::Maybe);
                prop_assert_eq!(step.event, Event::Frame(1..1 + data.len()));
                prop_assert_eq!(step.consumed, wire.len());
            }
        }
    }
}
