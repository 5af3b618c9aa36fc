//! Escape sequences (chapter 2, *Use of escape sequences in text fields*): `\F\` is a field separator that does not separate.
//!
//! Reading turns the six delimiter escapes and `\X..\` into what they stand for. Formatting (`\H\`, `\.br\` …), character set
//! switches (`\C..\`, `\M..\`), local (`\Z..\`) and unknown sequences stay as they are written: an
//! application that knows them can act on them, and one that does not has lost nothing.

use super::header::Delimiters;

/// A piece of an escaped value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// Bytes that stand for themselves.
    Text(&'a [u8]),
    /// An escaped delimiter.
    Delimiter(u8),
    /// The digits of `\X..\`, an even number of them.
    Hex(&'a [u8]),
    /// A sequence that is kept as written, escape characters and all.
    Kept(&'a [u8]),
}

/// Takes the next token off the front of `value`; `None` at its end.
#[inline]
pub fn next_token<'a>(value: &'a [u8], delimiters: &Delimiters) -> Option<(Token<'a>, &'a [u8])> {
    if value.is_empty() {
        return None;
    }
    let Some(escape) = delimiters.escape else {
        return Some((Token::Text(value), &[]));
    };
    match memchr::memchr(escape, value) {
        None => Some((Token::Text(value), &[])),
        Some(0) => Some(sequence(value, escape, delimiters)),
        Some(text) => Some((Token::Text(&value[..text]), &value[text..])),
    }
}

fn sequence<'a>(value: &'a [u8], escape: u8, delimiters: &Delimiters) -> (Token<'a>, &'a [u8]) {
    let Some(end) = memchr::memchr(escape, &value[1..]) else {
        // An escape character that nothing closes is data.
        return (Token::Text(value), &[]);
    };
    let (body, rest) = (&value[1..=end], &value[end + 2..]);
    let delimiter = match body {
        b"F" => Some(delimiters.field),
        b"S" => delimiters.component,
        b"T" => delimiters.subcomponent,
        b"R" => delimiters.repetition,
        b"E" => Some(escape),
        b"P" => delimiters.truncation,
        _ => None,
    };
    match (delimiter, body) {
        (Some(byte), _) => (Token::Delimiter(byte), rest),
        (None, [b'X', digits @ ..]) if is_hex(digits) => (Token::Hex(digits), rest),
        _ => (Token::Kept(&value[..end + 2]), rest),
    }
}

fn is_hex(digits: &[u8]) -> bool {
    !digits.is_empty() && digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit)
}

/// Whether a [`Token::Kept`] is one that the standard or a partner gave a meaning, so that it must not be escaped when it is
/// written again: highlighting (`\H\`, `\N\`), formatting (`\.br\` …), character set switches, local ones.
pub fn is_command(sequence: &[u8]) -> bool {
    let body = sequence
        .get(1..sequence.len().saturating_sub(1))
        .unwrap_or_default();
    match body {
        b"H" | b"N" => true,
        [b'.', name @ ..] => {
            let letters = name.iter().take_while(|byte| byte.is_ascii_lowercase());
            matches!(
                &name[..letters.count()],
                b"br" | b"sp" | b"fi" | b"nf" | b"in" | b"ti" | b"sk" | b"ce"
            )
        }
        [b'C' | b'M', digits @ ..] => is_hex(digits),
        [b'Z', ..] => true,
        _ => false,
    }
}

/// Decodes the digits of a [`Token::Hex`].
pub fn unhex(digits: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let nibble = |byte: u8| (byte as char).to_digit(16).unwrap_or_default() as u8;
    digits
        .as_chunks::<2>()
        .0
        .iter()
        .map(move |[high, low]| nibble(*high) << 4 | nibble(*low))
}

fn unescape(mut value: &[u8], delimiters: &Delimiters) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    while let Some((token, rest)) = next_token(value, delimiters) {
        match token {
            Token::Text(text) | Token::Kept(text) => out.extend_from_slice(text),
            Token::Delimiter(byte) => out.push(byte),
            Token::Hex(digits) => out.extend(unhex(digits)),
        }
        value = rest;
    }
    out
}

/// The two digits of a byte, the other way.
pub fn hex(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|nibble| b"0123456789ABCDEF"[usize::from(nibble)])
}

/// A text for a person: unescaped, without control characters, cut after so many characters. Bytes that are not UTF-8 are read
/// as ISO 8859-1, which at worst shows a wrong letter.
pub fn shown(field: &[u8], delimiters: &Delimiters, limit: usize) -> String {
    let text = String::from_utf8(unescape(field, delimiters)).unwrap_or_else(|error| {
        let bytes = error.into_bytes();
        bytes.into_iter().map(char::from).collect()
    });
    let mut shown: String = text
        .chars()
        .take(limit)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.trim().to_owned()
}

/// Appends `value` so that it can stand in a field: delimiters and control bytes escaped. Where the message has no
/// escape character, they become spaces.
pub fn escape_into(out: &mut Vec<u8>, value: &[u8], delimiters: &Delimiters) {
    for &byte in value {
        let letter = match Some(byte) {
            _ if byte == delimiters.field => Some(b'F'),
            b if b == delimiters.component => Some(b'S'),
            b if b == delimiters.subcomponent => Some(b'T'),
            b if b == delimiters.repetition => Some(b'R'),
            b if b == delimiters.escape => Some(b'E'),
            b if b == delimiters.truncation => Some(b'P'),
            _ => None,
        };
        match (letter, delimiters.escape) {
            (None, _) if !byte.is_ascii_control() => out.push(byte),
            (Some(letter), Some(escape)) => out.extend_from_slice(&[escape, letter, escape]),
            (None, Some(escape)) => {
                let [high, low] = hex(byte);
                out.extend_from_slice(&[escape, b'X', high, low, escape]);
            }
            (_, None) => out.push(b' '),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_sequences_of_chapter_2() {
        let with_truncation = Delimiters {
            truncation: Some(b'#'),
            ..Delimiters::USUAL
        };
        for (escaped, plain) in [
            ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f\\P\\g", "a|b^c&d~e\\f#g"),
            ("\\X0D0a\\", "\r\n"),
            ("\\X\\", "\\X\\"),
            ("\\X0\\", "\\X0\\"),
            ("\\XZZ\\", "\\XZZ\\"),
            ("a\\.br\\b\\H\\c\\N\\", "a\\.br\\b\\H\\c\\N\\"),
            ("\\C2842\\\\M1A4D5\\\\Zx\\", "\\C2842\\\\M1A4D5\\\\Zx\\"),
            ("C:\\temp", "C:\\temp"),
            ("\\E\\F\\E\\", "\\F\\"),
            ("\\\\", "\\\\"),
        ] {
            assert_eq!(
                unescape(escaped.as_bytes(), &with_truncation),
                plain.as_bytes(),
                "{escaped}"
            );
        }
        assert_eq!(
            unescape(b"\\P\\", &Delimiters::USUAL),
            b"\\P\\",
            "no truncation character, no escape for it"
        );
    }

    #[test]
    fn commands() {
        for command in [
            "H", "N", ".br", ".sp3", ".in+2", ".ti-2", "C2842", "M1A4D", "Zx",
        ] {
            assert!(is_command(format!("\\{command}\\").as_bytes()), "{command}");
        }
        for text in ["", "temp", ".", ".bridge", "Users", "Cold", "F", "XFF"] {
            assert!(!is_command(format!("\\{text}\\").as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_read_back(value in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut escaped = Vec::new();
            escape_into(&mut escaped, &value, &Delimiters::USUAL);
            prop_assert!(!escaped.iter().any(|byte| byte.is_ascii_control() || b"|^~&".contains(byte)));
            prop_assert_eq!(unescape(&escaped, &Delimiters::USUAL), value);
        }
    }
}
