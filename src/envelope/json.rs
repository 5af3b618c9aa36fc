//! JSON strings from HL7 bytes.

use crate::config::Charset;
use crate::hl7::encoding;
use crate::hl7::scan::{Needles, Scanner};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How bytes become the characters of a JSON string.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// They are valid UTF-8; otherwise each is the code point of its number (ISO 8859-1).
    utf8: bool,
    /// What the message was in before.
    charset: Charset,
    needles: Needles<2>,
}

impl Text {
    /// For a message in this set: valid UTF-8 by now, or ISO 8859-1 as it came.
    pub fn new(charset: Charset) -> Self {
        let utf8 = charset != Charset::Latin1;
        Self {
            utf8,
            charset,
            needles: Needles::new(b'"', [b'\\']).control().high(!utf8),
        }
    }

    /// Whether the bytes are UTF-8.
    pub fn is_utf8(&self) -> bool {
        self.utf8
    }

    /// What the message was in before it was text.
    pub fn charset(&self) -> Charset {
        self.charset
    }

    /// Appends bytes of the message's own set that were written as digits; `false`, and nothing, where they are no characters.
    pub fn push_coded(&self, out: &mut Vec<u8>, bytes: &[u8]) -> bool {
        if encoding::is_foreign(self.charset) {
            let text = encoding::decode(self.charset, bytes);
            return text.map(|text| self.push(out, text.as_bytes())).is_some();
        }
        let is_text = !self.utf8 || std::str::from_utf8(bytes).is_ok();
        if is_text {
            self.push(out, bytes);
        }
        is_text
    }

    /// Appends `bytes` as the inside of a JSON string.
    pub fn push(&self, out: &mut Vec<u8>, bytes: &[u8]) {
        let mut copied = 0;
        for at in Scanner::new(bytes, self.needles, 0) {
            out.extend_from_slice(&bytes[copied..at]);
            self.push_byte(out, bytes[at]);
            copied = at + 1;
        }
        out.extend_from_slice(&bytes[copied..]);
    }

    /// Appends one byte that may need escaping or transcoding.
    pub fn push_byte(&self, out: &mut Vec<u8>, byte: u8) {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
            0x80.. if !self.utf8 => out.extend_from_slice(&[0xC0 | byte >> 6, 0x80 | byte & 0x3F]),
            _ => out.push(byte),
        }
    }
}

/// Appends `bytes` in base64. Except for the last piece, its length must be a multiple of 3.
pub fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // The buffer has exactly the length that the encoding needs.
    let written = STANDARD
        .encode_slice(bytes, &mut out[start..])
        .unwrap_or_default();
    out.truncate(start + written);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn serde_json_reads_back_the_same_characters(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut out = vec![b'"'];
            Text::new(Charset::Latin1).push(&mut out, &bytes);
            out.push(b'"');
            let text: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(text, bytes.iter().map(|byte| char::from(*byte)).collect::<String>());
        }

        #[test]
        fn utf8_stays_as_it_is(text in ".*") {
            let mut out = vec![b'"'];
            Text::new(Charset::Utf8).push(&mut out, text.as_bytes());
            out.push(b'"');
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
