//! Several messages in one block: batches and files (chapter 2, *Batch message structure*), and messages under each other.
//!
//! ```text
//! [FHS] { [BHS] { MSH … } [BTS] } [FTS]
//! ```
//!
//! Only the places of the parts are found here. Nothing is repaired: a structure that is not this one, or a count that is not what
//! is there, is an error of the whole, for nobody can say which message is missing.

use super::header::{Header, Payload, Terminator, peek};
use memchr::memmem::Finder;
use std::ops::Range;
use std::sync::LazyLock;

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

/// The name of a message's header, and what the names of a batch's and a file's end in.
static MESSAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"MSH"));
static BATCH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"HS"));

/// Whether a block holds more than one message: another one, or the header of a batch, behind whatever ends a line. A trailer alone
/// is what a sender leaves that takes a batch apart and cuts only where messages begin: it is no message, and hides none.
pub fn is_several(block: &[u8], header: &Header<'_>) -> bool {
    // Most blocks hold one message: lines are looked at only where one of the names is, at a line's start or not.
    let own = header.leading + 3;
    let rest = block.get(own..).unwrap_or_default();
    let is_batch = |at: usize| matches!(block.get(own + at - 1), Some(b'B' | b'F'));
    let mut batches = BATCH.find_iter(rest).filter(|at| *at > 0);
    if MESSAGE.find(rest).is_none() && !batches.any(is_batch) {
        return false;
    }
    let mut behind = marks(block, header).skip(1);
    behind.any(|found| !matches!(found.mark, Mark::Bts | Mark::Fts))
}

/// Takes a block apart whose first header is this one.
///
/// # Errors
/// If it is not what it should be. Nothing of it should be taken then.
pub fn split(block: &[u8], header: &Header<'_>) -> Result<Vec<Part>, Unsplit> {
    let mut marks = marks(block, header).peekable();
    let mut state = State::default();
    let mut last = blank_end(block);
    while let Some(found) = marks.next() {
        // Where a line end that ends no segment stands before it, nobody can say whether it is a message or a text that quotes one.
        if !found.is_firm || state.parts.len() > MOST {
            return Err(Unsplit::Structure);
        }
        let end = marks.peek().map_or(last, |next| next.behind);
        last = last.max(end);
        state.take(found.mark, block, found.at..end.max(found.at))?;
    }
    state.end()
}

/// MSH-10 of each message of a batch or file, verbatim; none where it cannot be taken apart.
pub fn control_ids(block: &[u8], header: &Header<'_>) -> Vec<Box<[u8]>> {
    let of = |part| {
        let Part::Message(range) = part else {
            return None;
        };
        let message = block.get(range).unwrap_or_default();
        let control_id = |header: &Header<'_>| header.control_id().into();
        Some(peek(message).header().map_or_else(Box::default, control_id))
    };
    let parts = split(block, header).unwrap_or_default();
    parts.into_iter().filter_map(of).collect()
}

/// A segment that means something here.
#[derive(Debug, Clone, Copy)]
struct Found {
    mark: Mark,
    /// Where it begins.
    at: usize,
    /// Where what is before it ends, its terminator included: blank lines and byte order marks between belong to nobody.
    behind: usize,
    /// Among the line ends before it is one that ends segments in this block.
    is_firm: bool,
}

/// Every such segment. Each byte is looked at a few times at most.
fn marks<'a>(block: &'a [u8], header: &Header<'_>) -> impl Iterator<Item = Found> + use<'a> {
    let ends_segments = match header.terminator {
        Terminator::Cr | Terminator::CrLf => b'\r',
        Terminator::Lf => b'\n',
    };
    let (leading, field) = (header.leading, header.delimiters.field);
    let first = mark(block.get(leading..).unwrap_or_default(), field).map(|mark| Found {
        mark,
        at: leading,
        behind: leading,
        is_firm: true,
    });
    // Of the line ends in a row that are being looked at: where the first one ends, and whether one ends segments.
    let mut run: Option<(usize, bool)> = None;
    let body = block.get(leading..).unwrap_or_default();
    let later = memchr::memchr2_iter(b'\r', b'\n', body).filter_map(move |at| {
        let at = leading + at;
        let (behind, firm) = run.take().unwrap_or_else(|| (line_end(block, at), false));
        let is_firm = firm || block[at] == ends_segments;
        let start = at + 1 + blanks(&block[at + 1..]);
        let rest = block.get(start..).unwrap_or_default();
        if rest
            .first()
            .is_some_and(|byte| matches!(byte, b'\r' | b'\n'))
        {
            run = Some((behind, is_firm));
            return None;
        }
        mark(rest, field).map(|mark| Found {
            mark,
            at: start,
            behind,
            is_firm,
        })
    });
    first.into_iter().chain(later)
}

/// Behind the line end at this place: of CR LF, behind both.
fn line_end(block: &[u8], at: usize) -> usize {
    match block.get(at..at + 2) {
        Some(b"\r\n") => at + 2,
        _ => at + 1,
    }
}

/// Where a block ends without the blank lines behind its last segment.
fn blank_end(block: &[u8]) -> usize {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || b"\xef\xbb\xbf".contains(byte);
    let text = block
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(0, |at| at + 1);
    let ends = |byte: &u8| matches!(byte, b'\r' | b'\n');
    match block[text..].iter().position(ends) {
        Some(at) => line_end(block, text + at),
        None => block.len(),
    }
}

/// Blanks and byte order marks, as files have them that are put together from parts.
fn blanks(rest: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let blank = |byte: &&u8| matches!(**byte, b' ' | b'\t' | 0x0B | 0x0C);
        at += rest[at..].iter().take_while(blank).count();
        match rest[at..].starts_with(b"\xef\xbb\xbf") {
            true => at += 3,
            false => return at,
        }
    }
}

/// What begins here. `MSH-10` and `MSH: …` are text.
fn mark(line: &[u8], field: u8) -> Option<Mark> {
    let (id, rest) = line.split_at_checked(3)?;
    let separates = match rest {
        [first, ..] if *first == field => true,
        [first, second, ..] => first.is_ascii_punctuation() && second.is_ascii_punctuation(),
        _ => false,
    };
    let ends = rest
        .first()
        .is_none_or(|byte| matches!(byte, b'\r' | b'\n'));
    match id {
        b"MSH" if separates => Some(Mark::Msh),
        b"BHS" if separates => Some(Mark::Bhs),
        b"FHS" if separates => Some(Mark::Fhs),
        b"BTS" if ends || separates || rest.first() == Some(&field) => Some(Mark::Bts),
        b"FTS" if ends || separates || rest.first() == Some(&field) => Some(Mark::Fts),
        _ => None,
    }
}

/// Whether an answer can stand among others in a block: one message of ER7 alone, in single bytes, with CR behind its segments.
pub fn is_plain(answer: &[u8]) -> bool {
    match peek(answer) {
        Payload::V2(header) => {
            header.leading == 0
                && header.terminator != Terminator::Lf
                && !is_several(answer, &header)
        }
        _ => false,
    }
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
                one_header(segment)?;
                self.in_file = true;
                self.parts.push(Part::FileHeader(range));
            }
            Mark::Bhs => {
                one_header(segment)?;
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
                // Messages without a BHS are a batch as well.
                let batches = self.batches + usize::from(self.batches == 0 && self.all > 0);
                if count(segment).is_some_and(|count| count != Some(batches)) {
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

/// A header that can be read, and nothing behind it.
fn one_header(segment: &[u8]) -> Result<(), Unsplit> {
    match peek(segment) {
        Payload::Batch(_) => one_segment(segment),
        _ => Err(Unsplit::Structure),
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
            (format!("{FHS}{MSH}{MSH}{}", f("1")), Ok("Fmmf")),
            (format!("\r\n{BHS}{MSH}"), Ok("Bmb")),
            (format!("\u{feff}\r\n \r{MSH}\r\n\u{feff} {MSH}"), Ok("mm")),
            (format!("{MSH}\u{0c}{MSH}"), Ok("mm")),
            (format!("{MSH}MSH-10 is a-b\rMSH: no\r"), Ok("m")),
            (
                format!("{FHS}{BHS}{MSH}{}BHS|^^|A\r{MSH}", b("1")),
                Err(Unsplit::Structure),
            ),
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
    fn a_name_anywhere_is_looked_at() {
        for (block, several) in [
            (MSH.to_owned(), false),
            (format!("{MSH}{MSH}"), true),
            (format!("{MSH}BHS|^~\\&|A\r"), true),
            (format!("{MSH}FHS|^~\\&|A\r"), true),
            (format!("{MSH}NTE|1|MSH|BHS|FHS\r"), false),
            (format!("{MSH}BTS|1\r"), false),
            ("MSH|^~\\&|\rMSH|^~\\&|\r".to_owned(), true),
        ] {
            let payload = peek(block.as_bytes());
            let header = payload.header().expect("a header");
            assert_eq!(is_several(block.as_bytes(), header), several, "{block:?}");
        }
    }

    proptest! {
        #[test]
        fn the_quick_look_passes_over_no_header(
            pieces in prop::collection::vec(prop::sample::select(&["MSH", "BHS", "FHS", "BTS", "H", "S", "|", "|^~\\&|", "\r", "\n", "x"][..]), 0..40),
        ) {
            let block = format!("MSH|^~\\&|{}", pieces.concat());
            let payload = peek(block.as_bytes());
            if let Some(header) = payload.header() {
                let mut behind = marks(block.as_bytes(), header).skip(1);
                let several = behind.any(|found| !matches!(found.mark, Mark::Bts | Mark::Fts));
                prop_assert_eq!(is_several(block.as_bytes(), header), several, "{:?}", block);
            }
        }
    }

    #[test]
    fn what_may_be_a_quotation_or_another_message_is_neither() {
        let lf = |text: &str| text.replace('\r', "\n");
        for block in [
            format!("{BHS}{MSH}OBX|1|TX|||see\nMSH|^~\\&|X\r"),
            format!("{}{MSH}{}", lf(BHS), "BTS|2\n"),
            format!("{BHS}{}BTS|2\r", lf(MSH)),
            format!("{MSH}{}{MSH}", lf(MSH)),
            format!("{MSH}\n{BHS}{MSH}"),
        ] {
            let found = shape(&block);
            let whole = block.matches("MSH|").count();
            let messages = found.as_deref().unwrap_or_default().matches('m').count();
            assert!(
                found == Err(Unsplit::Structure) || messages == whole,
                "{block:?}: {found:?}"
            );
        }
        let quoted = format!("{BHS}{MSH}OBX|1|TX|||see\nMSH|^~\\&|X\r");
        assert_eq!(shape(&quoted), Err(Unsplit::Structure));
    }

    /// The same bytes as if it had come alone: blank lines and byte order marks between belong to nobody.
    #[test]
    fn a_message_is_itself_and_nothing_more() {
        for block in [
            format!("{MSH}{MSH}"),
            format!("{MSH}\r\n\u{feff}{MSH}\r\n\r\n"),
            format!("{BHS}{MSH}\r{MSH}\u{feff}BTS|2\r"),
        ] {
            let payload = peek(block.as_bytes());
            let parts = split(block.as_bytes(), payload.header().expect("a header")).unwrap();
            for part in parts {
                if let Part::Message(range) = part {
                    assert_eq!(&block.as_bytes()[range], MSH.as_bytes(), "{block:?}");
                }
            }
        }
    }

    #[test]
    fn an_answer_that_would_run_into_the_next_one_is_not_plain() {
        let ack = "MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\rMSA|AA|1";
        assert!(is_plain(ack.as_bytes()));
        assert!(is_plain(format!("{ack}\r").as_bytes()));
        assert!(!is_plain(ack.replace('\r', "\n").as_bytes()));
        assert!(!is_plain(format!("\u{feff}{ack}").as_bytes()));
        assert!(!is_plain(format!("{ack}\r{ack}").as_bytes()));
        assert!(!is_plain(format!("{BHS}{ack}").as_bytes()));
        let wide: Vec<u8> = ack.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(!is_plain(&wide));
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
