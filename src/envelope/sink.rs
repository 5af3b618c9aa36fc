//! Appends small pieces to a buffer without a call of `memcpy` for each.
//!
//! HL7 values are a few bytes long, and between two of them stand five or six pieces of JSON punctuation. Here a piece is one
//! store of a fixed size, and so is nearly every value: storing sixteen bytes and taking some back is cheaper than copying
//! exactly five. The usual sequences, `,"7":[{"1":"` and `,"2":"`, are whole pieces of their own.

/// Longer values are copied exactly.
const SHORT: usize = 16;
/// Field and component numbers below this have their keys in the tables.
const KNOWN: usize = 100;

/// A piece shorter than its store.
#[derive(Debug, Clone, Copy)]
struct Piece {
    bytes: [u8; SHORT],
    len: usize,
}

/// `,"7":[{"1":"` for each field number.
static FIELDS: [Piece; KNOWN] = keys(b",\"", b"\":[{\"1\":\"");
/// `,"7":"` for each component number.
static COMPONENTS: [Piece; KNOWN] = keys(b",\"", b"\":\"");

const fn keys(before: &[u8], after: &[u8]) -> [Piece; KNOWN] {
    let mut all = [Piece {
        bytes: [b' '; SHORT],
        len: 0,
    }; KNOWN];
    let mut number = 0;
    while number < KNOWN {
        let piece = &mut all[number];
        piece.append(before);
        if number >= 10 {
            piece.append(&[b'0' + (number / 10) as u8]);
        }
        piece.append(&[b'0' + (number % 10) as u8]);
        piece.append(after);
        number += 1;
    }
    all
}

impl Piece {
    const fn append(&mut self, text: &[u8]) {
        let mut at = 0;
        while at < text.len() {
            self.bytes[self.len] = text[at];
            self.len += 1;
            at += 1;
        }
    }
}

/// Appends to a buffer.
#[derive(Debug)]
pub struct Sink<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Sink<'o> {
    /// Appends to `out`.
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// The buffer.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Bytes in the buffer.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether the buffer is empty.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Appends fixed text.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, text: &[u8; N]) {
        self.out.extend_from_slice(text);
    }

    /// Appends sixteen bytes and keeps the first `len`.
    #[inline(always)]
    fn put_short(&mut self, bytes: &[u8; SHORT], len: usize) {
        let end = self.out.len() + len;
        self.out.extend_from_slice(bytes);
        self.out.truncate(end);
    }

    /// Appends `,"7":[{"1":"`, where the number is below a hundred; otherwise nothing, and `false`.
    #[inline(always)]
    pub fn put_field(&mut self, number: usize) -> bool {
        let Some(piece) = FIELDS.get(number) else {
            return false;
        };
        self.put_short(&piece.bytes, piece.len);
        true
    }

    /// Appends `,"7":"`, where the number is below a hundred; otherwise nothing, and `false`.
    #[inline(always)]
    pub fn put_component(&mut self, number: usize) -> bool {
        let Some(piece) = COMPONENTS.get(number) else {
            return false;
        };
        self.put_short(&piece.bytes, piece.len);
        true
    }

    /// Appends `"7":`.
    pub fn put_key(&mut self, number: usize) {
        self.put(b"\"");
        self.out
            .extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.put(b"\":");
    }

    /// Appends `bytes[from..to]`.
    #[inline(always)]
    pub fn push(&mut self, bytes: &[u8], from: usize, to: usize) {
        match bytes.get(from..).and_then(<[u8]>::first_chunk::<SHORT>) {
            Some(chunk) if to - from <= SHORT => self.put_short(chunk, to - from),
            _ => self.out.extend_from_slice(&bytes[from..to]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_length_are_copied_exactly() {
        let value = b"0123456789abcdefghijklmnopqrstuvwxyz";
        for from in 0..value.len() {
            for to in from..=value.len() {
                let mut out = b"x".to_vec();
                Sink::new(&mut out).push(value, from, to);
                assert_eq!(out, [b"x", &value[from..to]].concat());
            }
        }
    }

    #[test]
    fn keys_of_every_known_number() {
        for number in 0..KNOWN {
            let mut out = Vec::new();
            let mut sink = Sink::new(&mut out);
            assert!(sink.put_field(number) && sink.put_component(number));
            sink.put_key(number);
            let expected = format!(",\"{number}\":[{{\"1\":\",\"{number}\":\"\"{number}\":");
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
        let mut out = Vec::new();
        assert!(!Sink::new(&mut out).put_field(KNOWN) && !Sink::new(&mut out).put_component(KNOWN));
        assert!(out.is_empty());
    }
}
