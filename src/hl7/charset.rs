//! MSH-18 (table 0211), and what the bytes really are.
//!
//! ASCII, UTF-8 and ISO 8859-1 are carried; 8859-1 is the real one, where each byte is the code point of the same
//! number, and not the windows-1252 that web browsers read in its place. Any other name is refused with a
//! reason, unless the bytes are plain ASCII and the name is of a set that contains ASCII.

use super::header::Header;
use crate::config::{Charset, CharsetPolicy};

/// How a message's bytes are read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What the bytes are read as.
    pub charset: Charset,
    /// Whether bytes are UTF-8, those of `\X..\` included. False for 8859-1 even where no byte is high: `\XE9\` is é there.
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

/// What MSH-18 may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    None,
    Known(Charset),
    /// Some other set in which ASCII bytes are ASCII.
    AsciiSuperset,
    Unsupported,
}

/// The canonical name, as table 0211 has it and as an envelope says it.
pub fn name(charset: Charset) -> &'static str {
    match charset {
        Charset::Ascii => "ASCII",
        Charset::Utf8 => "UTF-8",
        Charset::Latin1 => "ISO-8859-1",
    }
}

/// MSH-18's word for a character set (table 0211).
pub fn table_0211(charset: Charset) -> &'static str {
    match charset {
        Charset::Ascii => "ASCII",
        Charset::Utf8 => "UNICODE UTF-8",
        Charset::Latin1 => "8859/1",
    }
}

/// Decides how to read a message: by what the listener is told, by a byte order mark, by MSH-18, by the bytes.
///
/// # Errors
/// If it cannot be read without guessing at characters.
pub fn read(
    message: &[u8],
    header: &Header<'_>,
    policy: CharsetPolicy,
) -> Result<Reading, Unreadable> {
    let (label, alias) = label(header);
    let ascii = message.is_ascii();
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
    if ascii || wanted == Charset::Latin1 {
        return Ok(plain(wanted, wanted != Charset::Latin1));
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
        (false, _, Charset::Ascii | Charset::Utf8) => Err(Unreadable::Invalid),
    }
}

/// MSH-18's first repetition, by the names of table 0211 and those that occur. The flag: it is not the table's.
fn label(header: &Header<'_>) -> (Label, bool) {
    let field = header.component(18, 1).trim_ascii();
    if field.is_empty() || field == b"\"\"" {
        return (Label::None, false);
    }
    let known = match field {
        b"ASCII" => Some(Charset::Ascii),
        b"UNICODE UTF-8" => Some(Charset::Utf8),
        b"8859/1" => Some(Charset::Latin1),
        _ => None,
    };
    if let Some(charset) = known {
        return (Label::Known(charset), false);
    }
    let squeezed: Vec<u8> = field
        .iter()
        .filter(|byte| byte.is_ascii_alphanumeric())
        .map(u8::to_ascii_lowercase)
        .collect();
    let label = match squeezed.as_slice() {
        b"ascii" | b"usascii" | b"isoir6" => Label::Known(Charset::Ascii),
        b"utf8" | b"unicodeutf8" => Label::Known(Charset::Utf8),
        b"88591" | b"iso88591" | b"latin1" => Label::Known(Charset::Latin1),
        // UTF-16 and the ISO 2022 sets are not ASCII even where every byte is below 0x80.
        other => {
            let supersets: [&[u8]; 6] = [
                b"8859",
                b"iso8859",
                b"windows125",
                b"cp125",
                b"gb18030",
                b"big5",
            ];
            match supersets.iter().any(|prefix| other.starts_with(prefix)) {
                true => Label::AsciiSuperset,
                false => Label::Unsupported,
            }
        }
    };
    let in_table: [&[u8]; 4] = [b"8859/", b"ISO IR", b"GB 18030", b"BIG-5"];
    (
        label,
        !in_table.iter().any(|prefix| field.starts_with(prefix)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hl7::{Payload, peek};

    fn reading(msh18: &str, body: &[u8], policy: CharsetPolicy) -> Result<Reading, Unreadable> {
        let mut message =
            format!("MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5||||||{msh18}\rPID|||").into_bytes();
        message.extend_from_slice(body);
        let Payload::V2(header) = peek(&message) else {
            panic!()
        };
        read(&message, &header, policy)
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
            ("8859/15", b"x", Ascii, true, false, false, false),
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
        for (msh18, body) in [
            ("8859/15", &b"\xa4"[..]),
            ("UNICODE UTF-16", b"x"),
            ("ISO IR87", b"x"),
            ("EBCDIC", b"x"),
        ] {
            assert_eq!(
                reading(msh18, body, POLICY),
                Err(Unreadable::Unsupported),
                "MSH-18 {msh18:?}"
            );
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
}
