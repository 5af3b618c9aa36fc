//! MSH-18 (table 0211), and what the bytes really are.
//!
//! ASCII, UTF-8 and ISO 8859-1 are read as they are; 8859-1 is the real one, where each byte is the code point of the same
//! number, and not the windows-1252 that web browsers read in its place. A message in any other set is turned into UTF-8
//! before its delimiters are looked for, since a byte of a Chinese character may look like one. What is in no set that is
//! known is refused with a reason.

use super::encoding::{self, is_foreign};
use super::header::{Header, Payload, Terminator, peek};
use crate::config::{Charset, CharsetPolicy};
use std::sync::OnceLock;

/// How a message's bytes are read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What the bytes are read as.
    pub charset: Charset,
    /// Whether the text at hand is UTF-8, the bytes of `\X..\` aside. False for 8859-1 even where no byte is high.
    pub is_utf8: bool,
    /// MSH-18 promised something else; the bytes could be read only by the fallback.
    pub mismatch: bool,
    /// MSH-18 is a name that table 0211 does not have.
    pub alias: bool,
    /// MSH-18 names this set, or one that holds it.
    pub named: bool,
    /// Text is a guess from which the sender's bytes could not be told: the exact bytes have to go along.
    pub needs_bytes: bool,
}

/// A message that cannot be read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// MSH-18 names a character set that is not carried.
    Unsupported,
    /// The bytes are not what MSH-18 or the configuration says, and no fallback reads them.
    Invalid,
}

/// A message in a set that had to become UTF-8 to be read. `Debug` prints its length only.
#[derive(Clone)]
pub struct Transcoded {
    charset: Charset,
    text: String,
    /// The text in its set again is the bytes that came.
    exact: bool,
    /// The set is the fallback's, and not the one that MSH-18 names.
    mismatch: bool,
}

impl std::fmt::Debug for Transcoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcoded")
            .field("charset", &self.charset)
            .field("bytes", &self.text.len())
            .field("exact", &self.exact)
            .finish_non_exhaustive()
    }
}

impl Transcoded {
    fn new(charset: Charset, message: &[u8], mismatch: bool) -> Option<Self> {
        // Without its mark and without letters, UTF-16 cannot be told from anything else.
        if charset == Charset::Utf16 && !encoding::looks_like_utf16(message) {
            return None;
        }
        let text = encoding::decode(charset, message)?;
        let mut again = Vec::with_capacity(message.len());
        if charset == Charset::Utf16 {
            again.extend_from_slice(encoding::UTF16_MARK);
        }
        encoding::encode_into(&mut again, charset, &text);
        Some(Self {
            charset,
            exact: again == message,
            text,
            mismatch,
        })
    }

    /// The message in UTF-8.
    pub fn text(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The set that it came in.
    pub fn charset(&self) -> Charset {
        self.charset
    }

    /// Whether MSH-10 can be sent back as the bytes that came: what two byte sequences stand for cannot.
    pub fn can_echo(&self, control_id: &[u8]) -> bool {
        control_id.is_ascii() || self.exact && self.charset != Charset::Utf16
    }
}

/// What MSH-18 may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    None,
    Known(Charset),
    /// Some other set in which ASCII bytes are ASCII.
    AsciiSuperset,
    Unsupported,
}

/// By what a message says of itself, for tools that have no listener's settings.
pub const AS_IT_SAYS: CharsetPolicy = CharsetPolicy {
    force: None,
    fallback: Charset::Latin1,
};

/// The message that can be taken apart, and its header: the bytes themselves, or what they became. That is kept in `slot`.
pub fn as_text<'a>(
    bytes: &'a [u8],
    policy: CharsetPolicy,
    slot: &'a OnceLock<Transcoded>,
) -> (&'a [u8], Payload<'a>) {
    let payload = peek(bytes);
    match transcode(bytes, &payload, policy) {
        None => (bytes, payload),
        Some(transcoded) => {
            let text = slot.get_or_init(|| transcoded).text();
            (text, peek(text))
        }
    }
}

/// Turns a message into UTF-8 where its set asks for it: the set that the listener is told, that of a byte order mark, that of
/// MSH-18, the fallback. `None` where the bytes can be read as they are, or cannot be read as that.
fn transcode(message: &[u8], payload: &Payload<'_>, policy: CharsetPolicy) -> Option<Transcoded> {
    let label = match payload.header() {
        Some(header) => label(header).0,
        None if encoding::looks_like_utf16(message) => Label::Known(Charset::Utf16),
        None => return None,
    };
    let wanted = match (policy.force, label) {
        (Some(charset), _) | (None, Label::Known(charset)) => Some(charset),
        (None, _) => None,
    };
    if policy.force.is_none() && message.starts_with(b"\xef\xbb\xbf") {
        return None;
    }
    if let Some(charset) = wanted.filter(|charset| is_foreign(*charset)) {
        let found = Transcoded::new(charset, message, false);
        // Only ER7: what XML's bytes are, it says itself.
        let found = found.filter(|found| peek(found.text()).header().is_some());
        if found.is_some() || charset == Charset::Iso2022Jp {
            return found;
        }
    }
    if wanted.is_none()
        && let Some(found) = shifted(message, payload)
    {
        return Some(found);
    }
    let falls_back = !matches!(wanted, Some(Charset::Latin1))
        && !matches!(label, Label::AsciiSuperset | Label::Unsupported)
        && is_foreign(policy.fallback)
        && std::str::from_utf8(message).is_err();
    falls_back
        .then(|| Transcoded::new(policy.fallback, message, wanted.is_some()))
        .flatten()
}

/// Fields behind MSH-18 in which its value is looked for.
const SHIFTED: std::ops::RangeInclusive<usize> = 19..=22;

/// A set whose characters' second bytes may be `|`, so that MSH-18 is seen further on than it stands.
fn shifts(field: &[u8]) -> Option<Charset> {
    if field.is_empty() {
        return None;
    }
    let (charset, _) = Charset::by_name(std::str::from_utf8(field).ok()?)?;
    matches!(
        charset,
        Charset::Big5 | Charset::Gb18030 | Charset::ShiftJis
    )
    .then_some(charset)
}

/// Read in a set that is named behind MSH-18, if MSH-18 names it then.
fn shifted(message: &[u8], payload: &Payload<'_>) -> Option<Transcoded> {
    let Payload::V2(header) = payload else {
        return None;
    };
    let mut sets = SHIFTED.filter_map(|number| shifts(header.field(number)));
    sets.find_map(|charset| {
        if std::str::from_utf8(message).is_ok() {
            return None;
        }
        let found = Transcoded::new(charset, message, false)?;
        let is_named = match peek(found.text()) {
            Payload::V2(header) => label(&header).0 == Label::Known(charset),
            _ => false,
        };
        is_named.then_some(found)
    })
}

/// Decides how to read a message: by what the listener is told, by a byte order mark, by MSH-18, by the bytes. Where it was
/// [transcoded](as_text), `message` and `header` are the text's.
///
/// # Errors
/// If it cannot be read without guessing at characters.
pub fn read(
    message: &[u8],
    header: &Header<'_>,
    policy: CharsetPolicy,
    transcoded: Option<&Transcoded>,
) -> Result<Reading, Unreadable> {
    let (label, alias) = label(header);
    let plain = |charset, is_utf8: bool| Reading {
        charset,
        is_utf8,
        mismatch: false,
        alias,
        named: match label {
            Label::Known(named) => named == charset,
            Label::AsciiSuperset => true,
            Label::None | Label::Unsupported => false,
        },
        needs_bytes: false,
    };
    if let Some(transcoded) = transcoded {
        // A letter of which a byte is 0x1C can end a block too early: what is left must be a whole segment at least.
        let end: &[u8] = match header.terminator {
            Terminator::Cr => b"\r",
            Terminator::CrLf => b"\r\n",
            Terminator::Lf => b"\n",
        };
        if transcoded.charset == Charset::Utf16 && !message.ends_with(end) {
            return Err(Unreadable::Invalid);
        }
        let reading = plain(transcoded.charset, true);
        return Ok(Reading {
            mismatch: transcoded.mismatch
                || policy.force.is_none() && label != Label::None && !reading.named,
            needs_bytes: !transcoded.exact || transcoded.mismatch,
            ..reading
        });
    }
    let ascii = message.is_ascii();
    if policy.force.is_none()
        && message.starts_with(b"\xef\xbb\xbf")
        && std::str::from_utf8(message).is_ok()
    {
        return Ok(Reading {
            mismatch: !matches!(label, Label::None | Label::Known(Charset::Utf8)),
            ..plain(Charset::Utf8, true)
        });
    }
    let wanted = match (policy.force, label) {
        (Some(charset), _) | (None, Label::Known(charset)) => charset,
        (None, Label::Unsupported) => return Err(Unreadable::Unsupported),
        (None, Label::AsciiSuperset) if ascii => return Ok(plain(Charset::Ascii, true)),
        (None, Label::AsciiSuperset) => return Err(Unreadable::Unsupported),
        (None, Label::None) if ascii => return Ok(plain(Charset::Ascii, true)),
        (None, Label::None) if std::str::from_utf8(message).is_ok() => {
            return Ok(plain(Charset::Utf8, true));
        }
        (None, Label::None) if policy.fallback == Charset::Latin1 => {
            return Ok(plain(Charset::Latin1, false));
        }
        (None, Label::None) => return Err(Unreadable::Invalid),
    };
    match wanted {
        Charset::Latin1 => return Ok(plain(wanted, false)),
        Charset::Ascii | Charset::Utf8 if ascii => return Ok(plain(wanted, true)),
        // Its bytes are ASCII's, and say something else.
        Charset::Iso2022Jp => return Err(Unreadable::Invalid),
        _ => {}
    }
    let mismatch = |charset, is_utf8: bool| Reading {
        mismatch: true,
        needs_bytes: !is_utf8,
        ..plain(charset, is_utf8)
    };
    match (
        std::str::from_utf8(message).is_ok(),
        wanted,
        policy.fallback,
    ) {
        (true, Charset::Utf8, _) => Ok(plain(Charset::Utf8, true)),
        (true, _, _) => Ok(mismatch(Charset::Utf8, true)),
        (false, _, Charset::Latin1) => Ok(mismatch(Charset::Latin1, false)),
        (false, _, _) => Err(Unreadable::Invalid),
    }
}

/// MSH-18's first repetition, by the names of table 0211 and those that occur. The flag: it is not the table's.
///
/// A further repetition counts only where it is one of Japan's sets beside ASCII, which ISO 2022's escape sequences switch
/// to: `~ISO IR87`.
fn label(header: &Header<'_>) -> (Label, bool) {
    let value = header.field(18);
    if value.is_empty() {
        return (Label::None, false);
    }
    match value {
        b"UNICODE UTF-8" => return (Label::Known(Charset::Utf8), false),
        b"8859/1" => return (Label::Known(Charset::Latin1), false),
        b"ASCII" => return (Label::Known(Charset::Ascii), false),
        _ => {}
    }
    let mut repetitions = value
        .split(|byte| Some(*byte) == header.delimiters.repetition)
        .map(|repetition| {
            let component = header.delimiters.component;
            let mut components = repetition.split(|byte| Some(*byte) == component);
            components.next().unwrap_or_default().trim_ascii()
        });
    let first = repetitions.next().unwrap_or_default();
    let known = |field: &[u8]| Charset::by_name(std::str::from_utf8(field).ok()?);
    let found = match first {
        b"" | b"\"\"" => None,
        field => match known(field) {
            Some(found) => Some(found),
            None => return (unknown(field), !is_table(field)),
        },
    };
    let is_ascii = matches!(found, None | Some((Charset::Ascii, _)));
    let switched =
        repetitions.find_map(|field| known(field).filter(|found| found.0 == Charset::Iso2022Jp));
    match (found, switched) {
        (_, Some((charset, alias))) if is_ascii => (Label::Known(charset), alias),
        (Some((charset, alias)), _) => (Label::Known(charset), alias),
        (None, _) => (Label::None, false),
    }
}

/// Sets that are not carried: whether bytes of ASCII are ASCII there is known of some.
fn unknown(field: &[u8]) -> Label {
    let squeezed = Charset::squeezed(&String::from_utf8_lossy(field));
    let supersets = ["8859", "iso8859", "windows", "cp125", "koi8", "tis620"];
    match supersets.iter().any(|prefix| squeezed.starts_with(prefix)) {
        true => Label::AsciiSuperset,
        false => Label::Unsupported,
    }
}

fn is_table(field: &[u8]) -> bool {
    let in_table: [&[u8]; 4] = [b"8859/", b"ISO IR", b"UNICODE", b"CNS 11643"];
    in_table.iter().any(|prefix| field.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hl7::{Payload, peek};

    fn reading(msh18: &str, body: &[u8], policy: CharsetPolicy) -> Result<Reading, Unreadable> {
        let mut message =
            format!("MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5||||||{msh18}\rPID|||").into_bytes();
        message.extend_from_slice(body);
        let payload = peek(&message);
        let transcoded = transcode(&message, &payload, policy);
        let text = transcoded.as_ref().map_or(&message[..], Transcoded::text);
        let Payload::V2(header) = peek(text) else {
            panic!()
        };
        read(text, &header, policy, transcoded.as_ref())
    }

    const POLICY: CharsetPolicy = CharsetPolicy {
        force: None,
        fallback: Charset::Latin1,
    };

    #[test]
    fn what_msh_18_says_and_what_the_bytes_are() {
        use Charset::*;
        for (msh18, body, charset, is_utf8, mismatch, alias, needs_bytes) in [
            ("", &b"x"[..], Ascii, true, false, false, false),
            ("", "é".as_bytes(), Utf8, true, false, false, false),
            ("", b"\xe9", Latin1, false, false, false, false),
            (
                "UNICODE UTF-8",
                "é".as_bytes(),
                Utf8,
                true,
                false,
                false,
                false,
            ),
            ("UTF-8", "é".as_bytes(), Utf8, true, false, true, false),
            ("UTF-8~UNICODE", b"x", Utf8, true, false, true, false),
            ("UNICODE UTF-8", b"\xe9", Latin1, false, true, false, true),
            ("ASCII", "é".as_bytes(), Utf8, true, true, false, false),
            ("ASCII", b"\xe9", Latin1, false, true, false, true),
            ("8859/1", b"\x80\xe9", Latin1, false, false, false, false),
            ("8859/1  ", b"x", Latin1, false, false, false, false),
            ("iso-8859-1", b"\xe9", Latin1, false, false, true, false),
            ("8859/15", b"x", Latin9, true, false, false, false),
            ("8859/15", b"\xa4", Latin9, true, false, false, false),
            ("8859/11", b"x", Ascii, true, false, false, false),
            (
                "windows-1252",
                b"\x80",
                Windows1252,
                true,
                false,
                true,
                false,
            ),
            ("UNICODE", "é".as_bytes(), Utf8, true, false, false, false),
            // In the table, but the bytes are single ones: whoever wrote them has recoded the message.
            ("UNICODE UTF-16", b"x", Utf8, true, true, false, false),
            ("BIG-5", b"\xb3\x7c", Big5, true, false, false, false),
            ("BIG-5", "€".as_bytes(), Utf8, true, true, false, false),
            ("BIG-5", b"\xe9\x80", Latin1, false, true, false, true),
            ("8859/6", b"\xa1", Latin1, false, true, false, true),
            (
                "~ISO IR87",
                b"\x1b$B;3ED\x1b(B",
                Iso2022Jp,
                true,
                false,
                false,
                false,
            ),
            (
                "ASCII~ISO IR87",
                b"\x1b$B;3ED\x1b(B",
                Iso2022Jp,
                true,
                false,
                false,
                false,
            ),
            ("8859/1~8859/5", b"\xe9", Latin1, false, false, false, false),
            // The same character in another way: the text is right, and its bytes go along.
            (
                "ISO IR87",
                b"\x1b$@;3ED\x1b(B",
                Iso2022Jp,
                true,
                false,
                false,
                true,
            ),
        ] {
            let expected = Reading {
                charset,
                is_utf8,
                mismatch,
                alias,
                named: !msh18.is_empty() && !mismatch,
                needs_bytes,
            };
            assert_eq!(
                reading(msh18, body, POLICY),
                Ok(expected),
                "MSH-18 {msh18:?}, {body:?}"
            );
        }
        for (msh18, body, why) in [
            ("8859/11", &b"\xa4"[..], Unreadable::Unsupported),
            ("UNICODE UTF-32", b"x", Unreadable::Unsupported),
            ("EBCDIC", b"x", Unreadable::Unsupported),
            (
                "~ISO IR87~ISO IR159",
                b"\x1b$(D\x22\x2f\x1b(B",
                Unreadable::Invalid,
            ),
        ] {
            assert_eq!(reading(msh18, body, POLICY), Err(why), "MSH-18 {msh18:?}");
        }
    }

    #[test]
    fn the_listener_may_overrule_msh_18_or_refuse_to_guess() {
        let force = CharsetPolicy {
            force: Some(Charset::Latin1),
            fallback: Charset::Latin1,
        };
        assert_eq!(
            reading("UNICODE UTF-8", b"\xe9", force).map(|r| r.charset),
            Ok(Charset::Latin1)
        );
        let strict = CharsetPolicy {
            force: None,
            fallback: Charset::Utf8,
        };
        assert_eq!(reading("", b"\xe9", strict), Err(Unreadable::Invalid));
        assert_eq!(
            reading("UNICODE UTF-8", b"\xe9", strict),
            Err(Unreadable::Invalid)
        );
    }

    #[test]
    fn a_message_of_two_byte_units_is_read_by_its_mark_or_its_letters() {
        let text = "MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5||||||UNICODE UTF-16\rPID|||é王\r";
        let low: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let high: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = [&b"\xff\xfe"[..], &low].concat();
        let usual = [&b"\xfe\xff"[..], &high].concat();
        for (message, needs_bytes) in [(low, true), (high, true), (marked, true), (usual, false)] {
            let transcoded = transcode(&message, &peek(&message), POLICY).unwrap();
            assert_eq!(transcoded.text(), text.as_bytes());
            let Payload::V2(header) = peek(transcoded.text()) else {
                panic!()
            };
            let reading = read(transcoded.text(), &header, POLICY, Some(&transcoded)).unwrap();
            assert_eq!(reading.charset, Charset::Utf16);
            assert!(reading.named && reading.is_utf8);
            assert_eq!(
                reading.needs_bytes, needs_bytes,
                "of one that is written back otherwise"
            );
        }
    }

    #[test]
    fn a_separator_inside_a_character_does_not_move_msh_18() {
        // 0x7C is the second byte of a character, twice.
        let message = b"MSH|^~\\&|\xb3\x7c|\xa4\x7cB|C|D|2026||ADT^A01|7|P|2.5||||||BIG-5\rPID|1\r";
        let transcoded = transcode(message, &peek(message), POLICY).unwrap();
        let Payload::V2(header) = peek(transcoded.text()) else {
            panic!()
        };
        assert_eq!(header.control_id(), b"7");
        assert_eq!(transcoded.charset(), Charset::Big5);
    }

    #[test]
    fn a_fallback_of_any_set() {
        let turkish = CharsetPolicy {
            force: None,
            fallback: Charset::Windows1254,
        };
        let silent = reading("", b"\xfe", turkish).unwrap();
        assert_eq!(
            (silent.charset, silent.needs_bytes),
            (Charset::Windows1254, false)
        );
        let wrong = reading("UNICODE UTF-8", b"\xfe", turkish).unwrap();
        assert_eq!(
            (wrong.charset, wrong.needs_bytes, wrong.mismatch),
            (Charset::Windows1254, true, true)
        );
        assert_eq!(
            reading("", "ş".as_bytes(), turkish).unwrap().charset,
            Charset::Utf8
        );
        assert_eq!(
            reading("8859/1", b"\xfe", turkish).unwrap().charset,
            Charset::Latin1
        );
    }
}
