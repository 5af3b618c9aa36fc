//! The peek: what a message says of itself in its first segment, read from bytes before anything else is parsed.
//!
//! Everything that an acknowledgement needs is here, so that even a message whose rest is broken gets an answer that its
//! sender can match.

use super::scan::{Needles, Scanner};
use memchr::{memchr, memchr2};

const CR: u8 = b'\r';
const LF: u8 = b'\n';
/// MSH-1 to MSH-25 are as many as the standard has.
const FIELDS: usize = 25;

/// What a block holds.
#[derive(Debug)]
pub enum Payload<'a> {
    /// One ER7 message.
    V2(Header<'a>),
    /// A batch or file (FHS, BHS). The header is the batch's own, where field 11 is the control ID.
    Batch(Header<'a>),
    /// A message whose MSH-2 cannot separate anything: twice the same character, letters, too many. Only fields can be told apart,
    /// which is enough to refuse it by its control ID.
    BadDelimiters(Header<'a>),
    /// XML of some kind.
    Xml,
    /// None of these.
    Other,
}

/// The five encoding characters, and MSH-1. A character that MSH-2 does not name does not exist in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiters {
    /// MSH-1, between fields.
    pub field: u8,
    /// Between components.
    pub component: Option<u8>,
    /// Between repetitions.
    pub repetition: Option<u8>,
    /// Around escape sequences.
    pub escape: Option<u8>,
    /// Between subcomponents.
    pub subcomponent: Option<u8>,
    /// Marks a truncated value (since v2.7).
    pub truncation: Option<u8>,
}

/// What ends a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminator {
    /// CR, as the standard says.
    Cr,
    /// CR LF.
    CrLf,
    /// LF.
    Lf,
}

/// A message header, borrowed from the message.
///
/// `Debug` prints lengths only: fields of a header name people's doctors, and some senders put more there.
#[derive(Clone)]
pub struct Header<'a> {
    /// MSH-1 and MSH-2, taken apart.
    pub delimiters: Delimiters,
    /// What ends this message's segments.
    pub terminator: Terminator,
    /// Bytes before the header: a byte order mark, white space.
    pub leading: usize,
    fields: [&'a [u8]; FIELDS + 1],
}

impl std::fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: usize = self.fields.iter().map(|field| field.len()).sum();
        f.debug_struct("Header")
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

impl Delimiters {
    /// The usual `|^~\&`.
    pub const USUAL: Self = Self {
        field: b'|',
        component: Some(b'^'),
        repetition: Some(b'~'),
        escape: Some(b'\\'),
        subcomponent: Some(b'&'),
        truncation: None,
    };

    /// Reads MSH-1 and MSH-2. `None` where they cannot be delimiters: letters, digits, white space, control or
    /// non-ASCII bytes, or two the same.
    pub fn new(field: u8, msh2: &[u8]) -> Option<Self> {
        let at = |place: usize| msh2.get(place).copied();
        let usable = |byte: &u8| byte.is_ascii_punctuation();
        let distinct = msh2
            .iter()
            .enumerate()
            .all(|(place, byte)| !msh2[..place].contains(byte));
        if !usable(&field) || msh2.contains(&field) || msh2.len() > 5 || !distinct {
            return None;
        }
        msh2.iter().all(usable).then(|| Self {
            field,
            component: at(0),
            repetition: at(1),
            escape: at(2),
            subcomponent: at(3),
            truncation: at(4),
        })
    }

    /// All of them as they stand at the start of a message: MSH-1 and then MSH-2.
    pub fn iter(&self) -> impl Iterator<Item = u8> {
        [
            Some(self.field),
            self.component,
            self.repetition,
            self.escape,
            self.subcomponent,
            self.truncation,
        ]
        .into_iter()
        .flatten()
    }
}

impl<'a> Payload<'a> {
    /// Its header, if it has one.
    pub fn header(&self) -> Option<&Header<'a>> {
        match self {
            Self::V2(header) | Self::Batch(header) | Self::BadDelimiters(header) => Some(header),
            Self::Xml | Self::Other => None,
        }
    }

    /// MSH-10 of a message, or BHS-11 of a batch, verbatim; empty where there is none.
    pub fn control_id(&self) -> &'a [u8] {
        self.header().map_or(&[], Header::control_id)
    }
}

impl<'a> Header<'a> {
    /// `MSH`, `BHS` or `FHS`.
    pub fn id(&self) -> &'a [u8] {
        self.field(0)
    }

    /// MSH-*n*, raw: not unescaped, not trimmed. Empty where absent.
    pub fn field(&self, number: usize) -> &'a [u8] {
        self.fields.get(number).copied().unwrap_or_default()
    }

    /// A component of the first repetition of MSH-*n*, both from 1, raw.
    pub fn component(&self, field: usize, component: usize) -> &'a [u8] {
        let mut value = self.field(field);
        if let Some(repetition) = self.delimiters.repetition {
            value = value
                .split(|byte| *byte == repetition)
                .next()
                .unwrap_or_default();
        }
        match self.delimiters.component {
            Some(delimiter) => value
                .split(|byte| *byte == delimiter)
                .nth(component.saturating_sub(1))
                .unwrap_or_default(),
            None if component == 1 => value,
            None => &[],
        }
    }

    /// MSH-10, verbatim. Of a batch: BHS-11 or FHS-11.
    pub fn control_id(&self) -> &'a [u8] {
        self.field(10)
    }

    /// MSH-12's version as numbers, `(2, 5, 1)` for `2.5.1`; `None` where it is not one.
    pub fn version(&self) -> Option<(u8, u8, u8)> {
        parse_version(self.component(12, 1))
    }
}

/// `2.5.1` as `(2, 5, 1)`; missing parts are 0.
pub fn parse_version(text: &[u8]) -> Option<(u8, u8, u8)> {
    let mut parts = [0u8; 3];
    let mut count = 0;
    for piece in text.trim_ascii().split(|byte| *byte == b'.') {
        *parts.get_mut(count)? = std::str::from_utf8(piece).ok()?.parse().ok()?;
        count += 1;
    }
    (count > 0).then_some((parts[0], parts[1], parts[2]))
}

/// The beginning of a message, cut off somewhere, without a header field that may go on behind the cut: half of a control
/// ID is another message's.
pub fn whole_fields(head: &[u8]) -> &[u8] {
    let body = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let body = body.trim_ascii_start();
    // Elements end by themselves.
    if body.starts_with(b"<") {
        return head;
    }
    if memchr2(CR, LF, body).is_some() {
        return head;
    }
    let last = body.get(3).and_then(|field| memchr::memrchr(*field, head));
    last.map_or(head, |end| &head[..end])
}

/// Reads the header of a block's data.
pub fn peek(data: &[u8]) -> Payload<'_> {
    let body = data
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(data)
        .trim_ascii_start();
    let leading = data.len() - body.len();
    match body {
        [b'M', b'S', b'H', field, ..] => match header(body, *field, leading) {
            Some(header) => Payload::V2(header),
            None => {
                fields_only(body, *field, leading).map_or(Payload::Other, Payload::BadDelimiters)
            }
        },
        [b'F' | b'B', b'H', b'S', field, ..] => match header(body, *field, leading) {
            Some(mut header) => {
                // A batch header has its control ID one field further on, and nothing that an ACK echoes after that.
                header.fields[10] = header.fields[11];
                header.fields[9] = &[];
                header.fields[11..].fill(&[]);
                Payload::Batch(header)
            }
            None => Payload::Other,
        },
        [b'<', ..] => Payload::Xml,
        _ => Payload::Other,
    }
}

fn header(body: &[u8], field: u8, leading: usize) -> Option<Header<'_>> {
    let (segment, terminator) = first_segment(body, field);
    let after_separator = segment.get(4..)?;
    let msh2_end = memchr(field, after_separator).unwrap_or(after_separator.len());
    let msh2 = &after_separator[..msh2_end];
    let delimiters = Delimiters::new(field, msh2)?;
    let rest = after_separator.get(msh2_end + 1..).unwrap_or_default();
    Some(Header {
        delimiters,
        terminator,
        leading,
        fields: split_fields(segment, msh2, rest, field),
    })
}

/// A header whose MSH-2 is of no use: fields alone, and the usual delimiters to answer with.
fn fields_only(body: &[u8], field: u8, leading: usize) -> Option<Header<'_>> {
    const USUAL: &[u8] = b"^~\\&";
    let (segment, terminator) = first_segment(body, field);
    let after_separator = segment.get(4..)?;
    let msh2_end = memchr(field, after_separator)?;
    Some(Header {
        delimiters: Delimiters::new(field, USUAL)?,
        terminator,
        leading,
        fields: split_fields(segment, USUAL, &after_separator[msh2_end + 1..], field),
    })
}

/// MSH-1, MSH-2 and what `rest` holds from MSH-3 on.
fn split_fields<'a>(
    segment: &'a [u8],
    msh2: &'a [u8],
    rest: &'a [u8],
    field: u8,
) -> [&'a [u8]; FIELDS + 1] {
    let mut fields = [&[][..]; FIELDS + 1];
    fields[0] = &segment[..3];
    fields[1] = &segment[3..4];
    fields[2] = msh2;
    let mut ends = Scanner::new(rest, Needles::<1>::new(field, []), 0);
    let mut start = 0;
    for slot in &mut fields[3..] {
        let end = ends.next();
        *slot = &rest[start..end.unwrap_or(rest.len())];
        let Some(end) = end else { break };
        start = end + 1;
    }
    fields
}

/// The first segment without its terminator, and what ends the message's segments.
///
/// An LF before any CR ends the segment only if what follows looks like a segment; otherwise it is data.
fn first_segment(body: &[u8], field: u8) -> (&[u8], Terminator) {
    let Some(first) = memchr2(CR, LF, body) else {
        return (body, Terminator::Cr);
    };
    if body[first] == CR {
        let crlf = body.get(first + 1) == Some(&LF);
        return (
            &body[..first],
            if crlf {
                Terminator::CrLf
            } else {
                Terminator::Cr
            },
        );
    }
    let blank = body[first + 1..]
        .iter()
        .take_while(|byte| **byte == LF)
        .count();
    let starts_segment = match &body[first + 1 + blank..] {
        [a, b, c, next, ..] => {
            [a, b, c].iter().all(|byte| byte.is_ascii_alphanumeric()) && *next == field
        }
        rest => rest.trim_ascii().is_empty(),
    };
    match memchr(CR, body) {
        Some(cr) if !starts_segment => (&body[..cr], Terminator::Cr),
        _ => (&body[..first], Terminator::Lf),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(data: &[u8]) -> Header<'_> {
        match peek(data) {
            Payload::V2(header) => header,
            other => panic!(
                "expected a v2 header in {:?}: {other:?}",
                String::from_utf8_lossy(data)
            ),
        }
    }

    #[test]
    fn fields_are_raw_and_numbered_as_in_the_standard() {
        let header = v2(
            b"MSH|^~\\&|APP^1.2|FAC||R|20260101||ADT^A01^ADT_A01| ID\\T\\1 |P|2.5.1^DEU\rPID|1\r",
        );
        assert_eq!(header.field(1), b"|");
        assert_eq!(header.field(2), b"^~\\&");
        assert_eq!(header.component(3, 2), b"1.2");
        assert_eq!(header.component(9, 2), b"A01");
        assert_eq!(
            header.control_id(),
            b" ID\\T\\1 ",
            "verbatim: not trimmed, not unescaped"
        );
        assert_eq!(header.version(), Some((2, 5, 1)));
        assert_eq!(header.field(18), b"");
        assert_eq!(header.field(99), b"");
    }

    #[test]
    fn the_fifth_encoding_character_does_not_shift_the_fields() {
        let header = v2(b"MSH|^~\\&#|A|B|||||ACK|77|P|2.7\r");
        assert_eq!(header.delimiters.truncation, Some(b'#'));
        assert_eq!(header.control_id(), b"77");
    }

    #[test]
    fn unusual_and_missing_encoding_characters() {
        let header = v2(b"MSH$%~\\&$A%x$B$C$D$$$ADT%A01$7$P$2.3\r");
        assert_eq!(header.component(9, 2), b"A01");
        let header = v2(b"MSH|^|A^x|||||");
        assert_eq!(header.delimiters.subcomponent, None);
        assert!(matches!(peek(b"MSH"), Payload::Other));
        assert!(matches!(peek(b"MSHA^~\\&A"), Payload::Other));
        assert_eq!(v2(b"MSH|||A|B").delimiters.component, None);
    }

    #[test]
    fn delimiters_that_cannot_separate_leave_the_control_id_readable() {
        for msh2 in ["^^~\\&", "^~\\\\&", "ABCD", "^~\\&#!", "\x01~\\&"] {
            let message = format!("MSH|{msh2}|A|B|C|D|2026||ADT^A01|77|P|2.5\r");
            match peek(message.as_bytes()) {
                Payload::BadDelimiters(header) => {
                    assert_eq!(header.control_id(), b"77", "{msh2}");
                    assert_eq!(
                        header.field(2),
                        b"^~\\&",
                        "{msh2}: answered in the usual ones"
                    );
                }
                other => panic!("{msh2}: {other:?}"),
            }
        }
    }

    #[test]
    fn of_a_header_that_is_cut_off_only_whole_fields_count() {
        let whole = b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|123|P|2.5\rPID|1";
        assert_eq!(whole_fields(whole), whole);
        for (cut, id) in [(36, &b"123"[..]), (35, b"123"), (34, b""), (33, b"")] {
            assert_eq!(v2(whole_fields(&whole[..cut])).control_id(), id, "{cut}");
        }
        assert_eq!(whole_fields(b"MS"), b"MS");
    }

    #[test]
    fn what_ends_a_segment() {
        assert_eq!(v2(b"MSH|^~\\&|A\rPID|1\r").terminator, Terminator::Cr);
        assert_eq!(v2(b"MSH|^~\\&|A\r\nPID|1\r\n").terminator, Terminator::CrLf);
        assert_eq!(v2(b"MSH|^~\\&|A\nPID|1\n").terminator, Terminator::Lf);
        assert_eq!(v2(b"MSH|^~\\&|A\n").terminator, Terminator::Lf);
        let header = v2(b"MSH|^~\\&|two\nlines|B\rPID|1\r");
        assert_eq!(
            (header.terminator, header.field(3)),
            (Terminator::Cr, &b"two\nlines"[..])
        );
    }

    #[test]
    fn payload_kinds() {
        assert!(matches!(
            peek(b"\xef\xbb\xbf\r\nMSH|^~\\&|"),
            Payload::V2(Header { leading: 5, .. })
        ));
        assert!(matches!(peek(b" <?xml version=\"1.0\"?>"), Payload::Xml));
        assert!(matches!(peek(b"hello"), Payload::Other));
        assert!(matches!(peek(b""), Payload::Other));
        match peek(b"BHS|^~\\&|A|B|C|D|2026||name|comment|B77\r") {
            Payload::Batch(header) => assert_eq!(header.control_id(), b"B77"),
            other => panic!("{other:?}"),
        }
    }
}
