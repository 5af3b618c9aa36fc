//! Bytes to characters and back, exactly: what a set does not have is an error, never a question mark.
//!
//! The tables are `encoding_rs`'s, which are those of web browsers. Where these differ from table 0211 the difference is made
//! good here: browsers read 8859-1 and 8859-9 as Microsoft's sets, and know no UTF-16 to write.

use crate::config::Charset;
use encoding_rs::Encoding;

/// Whether messages in this set have to be turned into UTF-8 before anything else can be read: their bytes are not ASCII's
/// where they are below 0x80, or a byte of a character may look like a delimiter, or a high byte is not the code point of its number.
pub fn is_foreign(charset: Charset) -> bool {
    !matches!(charset, Charset::Ascii | Charset::Utf8 | Charset::Latin1)
}

fn table(charset: Charset) -> Option<&'static Encoding> {
    use encoding_rs as known;
    Some(match charset {
        Charset::Ascii | Charset::Utf8 | Charset::Utf16 | Charset::Latin1 => return None,
        Charset::Latin2 => known::ISO_8859_2,
        Charset::Latin3 => known::ISO_8859_3,
        Charset::Latin4 => known::ISO_8859_4,
        Charset::Cyrillic => known::ISO_8859_5,
        Charset::Arabic => known::ISO_8859_6,
        Charset::Greek => known::ISO_8859_7,
        Charset::Hebrew => known::ISO_8859_8,
        Charset::Latin9 => known::ISO_8859_15,
        Charset::Gb18030 => known::GB18030,
        Charset::Big5 => known::BIG5,
        Charset::EucKr => known::EUC_KR,
        Charset::Iso2022Jp => known::ISO_2022_JP,
        Charset::ShiftJis => known::SHIFT_JIS,
        Charset::EucJp => known::EUC_JP,
        Charset::Windows1250 => known::WINDOWS_1250,
        Charset::Windows1251 => known::WINDOWS_1251,
        Charset::Windows1252 => known::WINDOWS_1252,
        Charset::Windows1253 => known::WINDOWS_1253,
        Charset::Latin5 | Charset::Windows1254 => known::WINDOWS_1254,
        Charset::Windows1255 => known::WINDOWS_1255,
        Charset::Windows1256 => known::WINDOWS_1256,
        Charset::Windows1257 => known::WINDOWS_1257,
        Charset::Windows1258 => known::WINDOWS_1258,
    })
}

/// The characters of bytes in this set; `None` if they are not in it.
pub fn decode(charset: Charset, bytes: &[u8]) -> Option<String> {
    match (charset, table(charset)) {
        (Charset::Ascii, _) if !bytes.is_ascii() => None,
        (Charset::Ascii | Charset::Utf8, _) => String::from_utf8(bytes.to_vec()).ok(),
        (Charset::Latin1, _) => Some(bytes.iter().copied().map(char::from).collect()),
        (Charset::Latin5, Some(microsofts)) => {
            // What differs are the control characters from 0x80 to 0x9F.
            let mut text = String::with_capacity(bytes.len() * 2);
            for run in bytes.chunk_by(|a, b| is_c1(*a) == is_c1(*b)) {
                match run.first().copied().is_some_and(is_c1) {
                    true => text.extend(run.iter().copied().map(char::from)),
                    false => {
                        text +=
                            &microsofts.decode_without_bom_handling_and_without_replacement(run)?;
                    }
                }
            }
            Some(text)
        }
        (_, Some(table)) => table
            .decode_without_bom_handling_and_without_replacement(bytes)
            .map(std::borrow::Cow::into_owned),
        (_, None) => decode_utf16(bytes),
    }
}

fn is_c1(byte: u8) -> bool {
    (0x80..0xA0).contains(&byte)
}

/// Appends characters in this set; `false`, and nothing is appended, if it does not have them all.
///
/// UTF-16 is written with its high byte first and without a mark.
pub fn encode_into(out: &mut Vec<u8>, charset: Charset, text: &str) -> bool {
    match (charset, table(charset)) {
        (Charset::Ascii, _) if !text.is_ascii() => false,
        (Charset::Ascii | Charset::Utf8, _) => {
            out.extend_from_slice(text.as_bytes());
            true
        }
        (Charset::Latin1, _) => {
            let start = out.len();
            for c in text.chars() {
                let Ok(byte) = u8::try_from(u32::from(c)) else {
                    out.truncate(start);
                    return false;
                };
                out.push(byte);
            }
            true
        }
        (Charset::Latin5, Some(microsofts)) => {
            let start = out.len();
            let c1 = |c: char| u8::try_from(u32::from(c)).is_ok_and(is_c1);
            if !text.contains(c1) {
                let (bytes, _, unmappable) = microsofts.encode(text);
                let has_them = !unmappable && !bytes.iter().copied().any(is_c1);
                if has_them {
                    out.extend_from_slice(&bytes);
                }
                return has_them;
            }
            for c in text.chars() {
                let mut utf8 = [0; 4];
                match c1(c) {
                    true => out.push(u32::from(c) as u8),
                    false => {
                        let (bytes, _, unmappable) = microsofts.encode(c.encode_utf8(&mut utf8));
                        if unmappable || bytes.iter().copied().any(is_c1) {
                            out.truncate(start);
                            return false;
                        }
                        out.extend_from_slice(&bytes);
                    }
                }
            }
            true
        }
        (_, Some(table)) => {
            // Browsers write a yen sign as a backslash, and some characters as others that look alike.
            let (bytes, _, unmappable) = table.encode(text);
            let exact = !unmappable
                && table
                    .decode_without_bom_handling_and_without_replacement(&bytes)
                    .is_some_and(|again| again == text);
            if exact {
                out.extend_from_slice(&bytes);
            }
            exact
        }
        (_, None) => {
            out.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
            true
        }
    }
}

/// The byte order mark of UTF-16, high byte first.
pub const UTF16_MARK: &[u8] = b"\xfe\xff";

/// Byte order of UTF-16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    High,
    Low,
}

/// By the mark, or by two letters of ASCII. `None`: neither is there.
fn order(bytes: &[u8]) -> Option<(Order, usize)> {
    match bytes {
        [0xFE, 0xFF, ..] => Some((Order::High, 2)),
        [0xFF, 0xFE, ..] => Some((Order::Low, 2)),
        [0, 1..=0x7F, 0, 1..=0x7F, ..] => Some((Order::High, 0)),
        [1..=0x7F, 0, 1..=0x7F, 0, ..] => Some((Order::Low, 0)),
        _ => None,
    }
}

/// Whether this is UTF-16 to the eye: a byte order mark, or two ASCII letters with a zero byte before or after each.
pub fn looks_like_utf16(bytes: &[u8]) -> bool {
    order(bytes).is_some()
}

fn decode_utf16(bytes: &[u8]) -> Option<String> {
    let (order, mark) = order(bytes).unwrap_or((Order::High, 0));
    let (pairs, rest) = bytes.get(mark..)?.as_chunks::<2>();
    let units = pairs.iter().map(|pair| match order {
        Order::High => u16::from_be_bytes(*pair),
        Order::Low => u16::from_le_bytes(*pair),
    });
    let text: Result<String, _> = char::decode_utf16(units).collect();
    text.ok().filter(|_| rest.is_empty())
}

/// Appends UTF-16 as the other side writes it: in its byte order, with a mark if it has one. What it would take for the
/// end or the start of a block becomes a question mark.
pub fn encode_utf16_like(out: &mut Vec<u8>, theirs: &[u8], text: &str, block: &[u8]) {
    let (order, mark) = order(theirs).unwrap_or((Order::High, 0));
    out.extend_from_slice(theirs.get(..mark).unwrap_or_default());
    for unit in text.encode_utf16() {
        let bytes = unit.to_be_bytes();
        let unit = match bytes.iter().any(|byte| block.contains(byte)) {
            true => u16::from(b'?'),
            false => unit,
        };
        out.extend(match order {
            Order::High => unit.to_be_bytes(),
            Order::Low => unit.to_le_bytes(),
        });
    }
}

/// Appends an answer to `theirs` in the same set. A character that the set does not have becomes a question mark: what comes from
/// the message itself is in it, and the rest is sentences for a person.
pub fn answer_into(out: &mut Vec<u8>, charset: Charset, theirs: &[u8], text: &str, block: &[u8]) {
    if charset == Charset::Utf16 {
        return encode_utf16_like(out, theirs, text, block);
    }
    if encode_into(out, charset, text) {
        return;
    }
    let known = |c: &char| encode_into(&mut Vec::new(), charset, c.encode_utf8(&mut [0; 4]));
    let writable: String = text
        .chars()
        .map(|c| if known(&c) { c } else { '?' })
        .collect();
    if !encode_into(out, charset, &writable) {
        out.extend(
            text.chars()
                .map(|c| if c.is_ascii() { c as u8 } else { b'?' }),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same letters in sets that differ.
    #[test]
    fn characters_that_differ_between_the_sets() {
        for (charset, bytes, text) in [
            (Charset::Latin1, &b"\x80\xe9\xff"[..], "\u{80}éÿ"),
            (Charset::Windows1252, b"\x80\x93\xe9\x94", "€“é”"),
            (Charset::Latin2, b"\xa3\xf3d\xbc", "Łódź"),
            (Charset::Windows1250, b"\xa3\xf3d\x9f", "Łódź"),
            (Charset::Latin3, b"\xa1\xb1", "Ħħ"),
            (Charset::Latin4, b"\xa5\xe0", "Ĩā"),
            (Charset::Cyrillic, b"\xb8\xd2\xd0\xdd", "Иван"),
            (Charset::Windows1251, b"\xc8\xe2\xe0\xed", "Иван"),
            (Charset::Arabic, b"\xe5\xcd\xe5\xcf", "محمد"),
            (Charset::Greek, b"\xcd\xdf\xea\xef\xf2", "Νίκος"),
            (Charset::Hebrew, b"\xe3\xe5\xe3", "דוד"),
            (Charset::Latin5, b"\xde\xfd\x85", "Şı\u{85}"),
            (Charset::Windows1254, b"\xde\xfd\x85", "Şı…"),
            (Charset::Latin9, b"\xa4\xbd", "€œ"),
            (Charset::Gb18030, b"\xcd\xf5\x81\x30\x81\x30", "王\u{80}"),
            (Charset::Big5, b"\xb3\x5c\xa5\x5c\xbb\x5c", "許功蓋"),
            (Charset::EucKr, b"\xb1\xe8", "김"),
            (Charset::Iso2022Jp, b"\x1b$B;3ED\x1b(B^", "山田^"),
            (Charset::Iso2022Jp, b"\x1b(J\\~\x1b(B", "¥‾"),
            (Charset::ShiftJis, b"\x8eR\x93c\xd4\xcf\xc0\xde", "山田ﾔﾏﾀﾞ"),
            (Charset::EucJp, b"\xbb\xb3\xc5\xc4", "山田"),
            (Charset::Utf16, b"\0\xe9\xd8\x3d\xde\x00", "é😀"),
        ] {
            let name = charset.name();
            assert_eq!(decode(charset, bytes).as_deref(), Some(text), "{name}");
            let mut again = Vec::new();
            assert!(encode_into(&mut again, charset, text), "{name}");
            assert_eq!(again, bytes, "{name}");
        }
    }

    #[test]
    fn what_is_not_in_a_set_is_refused() {
        for (charset, bytes) in [
            (Charset::Ascii, &b"\x80"[..]),
            (Charset::Utf8, b"\xe9"),
            (Charset::Arabic, b"\xa1"),
            (Charset::Big5, b"\xb3"),
            (Charset::EucKr, b"\xb1 "),
            // JIS X 0212 is not among what can be read.
            (Charset::Iso2022Jp, b"\x1b$(D\x22\x2f\x1b(B"),
            (Charset::Utf16, b"\0A\0"),
            (Charset::Utf16, b"\xd8\x00\0A"),
        ] {
            assert_eq!(decode(charset, bytes), None, "{}", charset.name());
        }
        let mut out = Vec::new();
        for (charset, text) in [
            (Charset::Ascii, "é"),
            (Charset::Latin1, "é€"),
            (Charset::Latin5, "ş…"),
            (Charset::Greek, "Ж"),
            (Charset::ShiftJis, "¥"),
            (Charset::EucJp, "‾"),
            (Charset::Iso2022Jp, "\u{2212}"),
        ] {
            assert!(!encode_into(&mut out, charset, text), "{}", charset.name());
        }
        assert!(out.is_empty());
    }

    #[test]
    fn utf16_goes_back_as_it_came() {
        for theirs in [&b"\xfe\xff\0M"[..], b"\xff\xfeM\0", b"\0M\0S", b"M\0S\0"] {
            let mut out = Vec::new();
            encode_utf16_like(&mut out, theirs, "MSé\u{0b41}", &[0x0B, 0x1C]);
            assert!(looks_like_utf16(&out));
            assert_eq!(decode(Charset::Utf16, &out).as_deref(), Some("MSé?"));
            assert_eq!(out[..2], theirs[..2], "{theirs:?}");
        }
    }

    proptest! {
        #[test]
        fn what_can_be_written_is_read_back(text in "\\PC{0,20}") {
            for charset in Charset::all() {
                let mut out = Vec::new();
                if encode_into(&mut out, charset, &text) {
                    let again = decode(charset, &out);
                    // Two of its units may look like letters in the other byte order.
                    let known = charset == Charset::Utf16 && looks_like_utf16(&out);
                    prop_assert!(known || again.as_deref() == Some(&text), "{}", charset.name());
                }
            }
        }
    }
}
