//! Several messages in one block: batches and files (chapter 2, *Batch message structure*), and messages under each other.
//!
//! ```text
//! [FHS] { [BHS] { MSH … } [BTS] } [FTS]
//! ```
//!
//! Only the places of the parts are found here. Nothing is repaired: a structure that is not this one, or a count that is not what
//! is there, is an error of the whole, for nobody can say which message is missing.

use super::header::{Header, Payload, Terminator, peek};
use std::ops::Range;

/// More messages than this are not taken at once.
pub const MOST: usize = 10_000;

/// A part of a block, where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// FHS.
    FileHeader(Range<usize>),
    /// BHS.
    BatchHeader(Range<usize>),
    /// A message, with the end of its last segment.
    Message(Range<usize>),
    /// BTS.
    BatchTrailer,
    /// FTS.
    FileTrailer,
}

/// Why a block cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsplit {
    /// Not the structure, or more than [`MOST`] messages.
    Structure,
    /// BTS-1 is not the number of messages in the batch.
    Messages,
    /// FTS-1 is not the number of batches in the file.
    Batches,
}

/// What a segment is to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Fhs,
    Bhs,
    Msh,
    Bts,
    Fts,
}

/// Takes a block apart whose first header is this one.
///
/// # Errors
/// If it is not what it should be. Nothing of it should be taken then.
pub fn split(block: &[u8], header: &Header<'_>) -> Result<Vec<Part>, Unsplit> {
    let mut marks = marks(block, header).peekable();
    let mut state = State::default();
    while let Some((mark, at)) = marks.next() {
        let end = marks.peek().map_or(block.len(), |(_, next)| *next);
        state.take(mark, block, at..end)?;
    }
    state.end()
}

/// Each segment that means something here, and where it begins.
fn marks<'a>(
    block: &'a [u8],
    header: &Header<'_>,
) -> impl Iterator<Item = (Mark, usize)> + use<'a> {
    let end = match header.terminator {
        Terminator::Cr | Terminator::CrLf => b'\r',
        Terminator::Lf => b'\n',
    };
    let later = memchr::memchr_iter(end, block).map(|at| at + 1);
    std::iter::once(header.leading)
        .chain(later.filter(move |at| *at > 0))
        .filter_map(move |at| {
            let rest = block.get(at..)?;
            // Files are put together from parts: blank lines and byte order marks between them. Of several line ends in a row the
            // last one counts, so that no byte is looked at twice.
            let blank = |byte: &&u8| byte.is_ascii_whitespace() && **byte != end;
            let mut skipped = rest.iter().take_while(blank).count();
            skipped += 3 * usize::from(rest[skipped..].starts_with(b"\xef\xbb\xbf"));
            let body = &rest[skipped..];
            let mark = match body {
                [b'M', b'S', b'H', separator, ..] if separator.is_ascii_punctuation() => Mark::Msh,
                [b'B', b'H', b'S', separator, ..] if separator.is_ascii_punctuation() => Mark::Bhs,
                [b'F', b'H', b'S', separator, ..] if separator.is_ascii_punctuation() => Mark::Fhs,
                [b'B', b'T', b'S', rest @ ..] if ends_id(rest) => Mark::Bts,
                [b'F', b'T', b'S', rest @ ..] if ends_id(rest) => Mark::Fts,
                _ => return None,
            };
            Some((mark, at + skipped))
        })
}

fn ends_id(rest: &[u8]) -> bool {
    rest.first()
        .is_none_or(|byte| byte.is_ascii_punctuation() || matches!(byte, b'\r' | b'\n'))
}

/// How far the structure has come.
#[derive(Debug, Default)]
struct State {
    parts: Vec<Part>,
    in_file: bool,
    in_batch: bool,
    /// Behind FTS nothing follows.
    ended: bool,
    /// In the batch that is open, or without one.
    messages: usize,
    all: usize,
    batches: usize,
}

impl State {
    fn take(&mut self, mark: Mark, block: &[u8], range: Range<usize>) -> Result<(), Unsplit> {
        if self.ended {
            return Err(Unsplit::Structure);
        }
        let segment = block.get(range.clone()).unwrap_or_default();
        match mark {
            Mark::Fhs if !self.parts.is_empty() => return Err(Unsplit::Structure),
            Mark::Fhs => {
                one_segment(segment)?;
                self.in_file = true;
                self.parts.push(Part::FileHeader(range));
            }
            Mark::Bhs => {
                one_segment(segment)?;
                self.close_batch()?;
                self.in_batch = true;
                self.batches += 1;
                self.parts.push(Part::BatchHeader(range));
            }
            Mark::Msh => {
                if !matches!(peek(segment), Payload::V2(_) | Payload::BadDelimiters(_)) {
                    return Err(Unsplit::Structure);
                }
                self.messages += 1;
                self.all += 1;
                if self.all > MOST {
                    return Err(Unsplit::Structure);
                }
                self.parts.push(Part::Message(range));
            }
            Mark::Bts => {
                one_segment(segment)?;
                if !self.in_batch {
                    return Err(Unsplit::Structure);
                }
                if count(segment).is_some_and(|count| count != Some(self.messages)) {
                    return Err(Unsplit::Messages);
                }
                self.close_batch()?;
            }
            Mark::Fts => {
                one_segment(segment)?;
                self.close_batch()?;
                if !self.in_file {
                    return Err(Unsplit::Structure);
                }
                if count(segment).is_some_and(|count| count != Some(self.batches)) {
                    return Err(Unsplit::Batches);
                }
                self.ended = true;
                self.parts.push(Part::FileTrailer);
            }
        }
        Ok(())
    }

    /// A batch whose BTS is left out ends with the next BHS, or with the file.
    fn close_batch(&mut self) -> Result<(), Unsplit> {
        if std::mem::take(&mut self.in_batch) {
            self.parts.push(Part::BatchTrailer);
        } else if self.messages > 0 && self.batches > 0 {
            // Messages behind a batch's end and outside of any.
            return Err(Unsplit::Structure);
        }
        self.messages = 0;
        Ok(())
    }

    fn end(mut self) -> Result<Vec<Part>, Unsplit> {
        if !self.ended {
            self.close_batch()?;
            if self.in_file {
                self.parts.push(Part::FileTrailer);
            }
        }
        match self.parts.is_empty() {
            true => Err(Unsplit::Structure),
            false => Ok(self.parts),
        }
    }
}

/// A header or trailer of a batch has nothing behind it but line ends: what is there would belong to no message.
fn one_segment(segment: &[u8]) -> Result<(), Unsplit> {
    let end = segment
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n'));
    let rest = &segment[end.unwrap_or(segment.len())..];
    let blank = |byte: &u8| byte.is_ascii_whitespace() || b"\xef\xbb\xbf".contains(byte);
    match rest.iter().all(blank) {
        true => Ok(()),
        false => Err(Unsplit::Structure),
    }
}

/// BTS-1 or FTS-1: `None` if it is empty or not there, `Some(None)` if it is no number.
fn count(segment: &[u8]) -> Option<Option<usize>> {
    let field = segment.get(4..)?;
    let separator = segment.get(3)?;
    let end = field
        .iter()
        .position(|byte| byte == separator || matches!(byte, b'\r' | b'\n'));
    let text = field[..end.unwrap_or(field.len())].trim_ascii();
    if text.is_empty() || text == b"\"\"" {
        return None;
    }
    Some(
        std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MSH: &str = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\rPID|1\r";
    const BHS: &str = "BHS|^~\\&|A|B|C|D|2026||||7\r";
    const FHS: &str = "FHS|^~\\&|A|B|C|D|2026||||9\r";

    /// One letter for each part, or why there are none.
    fn shape(block: &str) -> Result<String, Unsplit> {
        let payload = peek(block.as_bytes());
        let header = payload.header().expect("a header");
        let parts = split(block.as_bytes(), header)?;
        let letter = |part: &Part| match part {
            Part::FileHeader(_) => 'F',
            Part::BatchHeader(_) => 'B',
            Part::Message(range) => {
                assert!(
                    block.as_bytes()[range.clone()].starts_with(b"MSH"),
                    "{block}"
                );
                'm'
            }
            Part::BatchTrailer => 'b',
            Part::FileTrailer => 'f',
        };
        Ok(parts.iter().map(letter).collect())
    }

    #[test]
    fn the_structure_of_chapter_2() {
        let f = |count: &str| format!("FTS|{count}\r");
        let b = |count: &str| format!("BTS|{count}\r");
        for (block, expected) in [
            (format!("{MSH}{MSH}"), Ok("mm")),
            (format!("{BHS}{MSH}{MSH}{}", b("2")), Ok("Bmmb")),
            (format!("{BHS}{MSH}BTS\r"), Ok("Bmb")),
            (format!("{BHS}{MSH}"), Ok("Bmb")),
            (format!("{BHS}{}", b("0")), Ok("Bb")),
            (BHS.to_owned(), Ok("Bb")),
            (format!("{FHS}{}", f("0")), Ok("Ff")),
            (
                format!(
                    "{FHS}{BHS}{MSH}{}{BHS}{MSH}{MSH}{}{}",
                    b("1"),
                    b("2"),
                    f("2")
                ),
                Ok("FBmbBmmbf"),
            ),
            (
                format!("{FHS}{BHS}{MSH}{BHS}{MSH}{}", f("2")),
                Ok("FBmbBmbf"),
            ),
            (format!("{FHS}{MSH}{MSH}{}", f("")), Ok("Fmmf")),
            (
                format!("{BHS}\r\r{MSH}\u{feff}{MSH}{}\r\r", b("2")),
                Ok("Bmmb"),
            ),
            (format!("{BHS}{MSH}{MSH}{}", b("3")), Err(Unsplit::Messages)),
            (format!("{BHS}{MSH}{}", b("one")), Err(Unsplit::Messages)),
            (format!("{FHS}{BHS}{MSH}{}", f("2")), Err(Unsplit::Batches)),
            (format!("{BHS}NTE|1\r{MSH}"), Err(Unsplit::Structure)),
            (
                format!("{BHS}{MSH}{}{MSH}{BHS}{MSH}", b("1")),
                Err(Unsplit::Structure),
            ),
            (
                format!("{BHS}{MSH}{}{MSH}", b("1")),
                Err(Unsplit::Structure),
            ),
            (format!("{MSH}{}", b("1")), Err(Unsplit::Structure)),
            (format!("{BHS}{MSH}{}", f("1")), Err(Unsplit::Structure)),
            (
                format!("{FHS}{BHS}{MSH}{}{MSH}", f("1")),
                Err(Unsplit::Structure),
            ),
            (format!("{BHS}{MSH}{FHS}"), Err(Unsplit::Structure)),
        ] {
            let found = shape(&block);
            assert_eq!(found.as_deref().map_err(|why| *why), expected, "{block:?}");
        }
        let many = MSH.repeat(MOST + 1);
        assert_eq!(shape(&many), Err(Unsplit::Structure));
        let lines = format!("{BHS}{MSH}{MSH}").replace('\r', "\n");
        assert_eq!(shape(&lines).as_deref(), Ok("Bmmb"));
        let both = format!("{BHS}{MSH}{MSH}BTS|2\r").replace('\r', "\r\n");
        assert_eq!(shape(&both).as_deref(), Ok("Bmmb"));
    }

    #[test]
    fn a_line_end_that_does_not_end_segments_begins_no_message() {
        let quoted = format!("{BHS}{MSH}OBX|1|TX|||see\nMSH|^~\\&|X\r");
        assert_eq!(shape(&quoted).as_deref(), Ok("Bmb"));
    }

    proptest! {
        /// Every byte behind the first header is in one part, in order, and no message holds another.
        #[test]
        fn parts_cover_the_block(pieces in prop::collection::vec(prop::sample::select(vec![MSH, BHS, FHS, "BTS|1\r", "FTS|1\r", "PID|2\r", "\r", "\n"]), 0..8)) {
            let block = format!("{BHS}{}", pieces.concat());
            let payload = peek(block.as_bytes());
            let header = payload.header().expect("a header");
            if let Ok(parts) = split(block.as_bytes(), header) {
                let mut at = 0;
                for part in parts {
                    if let Part::Message(range) | Part::BatchHeader(range) | Part::FileHeader(range) = part {
                        prop_assert!(range.start >= at);
                        at = range.end;
                    }
                }
                prop_assert_eq!(block.matches("MSH|").count(), shape(&block).unwrap().matches('m').count());
            }
        }
    }
}
