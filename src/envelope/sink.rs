//! Appends small pieces to a buffer without a call of `memcpy` for each.
//!
//! HL7 values are a few bytes long, and between two of them stand five or six pieces of JSON punctuation. Here a piece is one
//! store of a fixed size, and so is nearly every value: storing 32 bytes, of which the next store overwrites those that were
//! too many, is cheaper than copying exactly five. For that the buffer is always longer than what is written of it. The
//! usual sequences, `,"7":[{"1":"` and `,"2":"`, are whole pieces of their own.

/// Longest value that is one store.
const SHORT: usize = 32;
/// Longest piece of punctuation.
const PIECE: usize = 16;
/// The buffer grows by at least this.
const STEP: usize = 512;
/// Field and component numbers below this have their keys in the tables.
const KNOWN: usize = 100;

/// Text shorter than its store.
#[derive(Debug, Clone, Copy)]
struct Piece {
    bytes: [u8; PIECE],
    len: usize,
}

/// `"7":[{"1":"` for each field number: for the first of a segment.
static FIRST_FIELDS: [Piece; KNOWN] = keys(b"\"", b"\":[{\"1\":\"");
/// `,"7":[{"1":"`: for the others.
static FIELDS: [Piece; KNOWN] = keys(b",\"", b"\":[{\"1\":\"");
/// `{"7":"` for each component number: for the first of a repetition.
static FIRST_COMPONENTS: [Piece; KNOWN] = keys(b"{\"", b"\":\"");
/// `,"7":"`: for the others.
static COMPONENTS: [Piece; KNOWN] = keys(b",\"", b"\":\"");

const fn keys(before: &[u8], after: &[u8]) -> [Piece; KNOWN] {
    let mut all = [Piece {
        bytes: [b' '; PIECE],
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

/// Appends to a buffer that it owns for the time being.
#[derive(Debug)]
pub struct Sink {
    /// What is written, and room behind it.
    buffer: Vec<u8>,
    /// How much is written.
    at: usize,
}

impl Sink {
    /// Appends to `buffer`.
    pub fn new(buffer: Vec<u8>) -> Self {
        Self {
            at: buffer.len(),
            buffer,
        }
    }

    /// Gives the buffer back.
    pub fn into_buffer(mut self) -> Vec<u8> {
        self.buffer.truncate(self.at);
        self.buffer
    }

    /// Lends the buffer to something that appends to it.
    pub fn with_buffer<T>(&mut self, append: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.buffer.truncate(self.at);
        let result = append(&mut self.buffer);
        self.at = self.buffer.len();
        result
    }

    /// Bytes written.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.at
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// Writes `N` bytes, of which the first `len` count.
    #[inline(always)]
    fn store<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        if self.buffer.len() - self.at < N {
            self.grow(N);
        }
        self.buffer[self.at..self.at + N].copy_from_slice(bytes);
        self.at += len;
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, room: usize) {
        self.buffer.resize(self.at + room.max(STEP), 0);
    }

    /// Appends fixed text.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, text: &[u8; N]) {
        self.store(text, N);
    }

    /// Appends `,"7":[{"1":"`, without the comma if it is the segment's first field.
    #[inline(always)]
    pub fn put_field(&mut self, number: usize, first: bool) {
        let table = if first { &FIRST_FIELDS } else { &FIELDS };
        match table.get(number) {
            Some(piece) => self.store(&piece.bytes, piece.len),
            None => self.put_unusual(number, if first { "" } else { "," }, "[{\"1\":\""),
        }
    }

    /// Appends `,"7":[`, without the comma if it is the segment's first field.
    #[inline(always)]
    pub fn put_repetitions(&mut self, number: usize, first: bool) {
        self.put_field(number, first);
        self.at -= b"{\"1\":\"".len();
    }

    /// Appends `,"7":"`, or `{"7":"` if it is the first in its object.
    #[inline(always)]
    pub fn put_component(&mut self, number: usize, first: bool) {
        let table = if first {
            &FIRST_COMPONENTS
        } else {
            &COMPONENTS
        };
        match table.get(number) {
            Some(piece) => self.store(&piece.bytes, piece.len),
            None => self.put_unusual(number, if first { "{" } else { "," }, "\""),
        }
    }

    /// Appends `,"7":`, or `{"7":` if it is the first in its object.
    #[inline(always)]
    pub fn put_subcomponents(&mut self, number: usize, first: bool) {
        self.put_component(number, first);
        self.at -= b"\"".len();
    }

    #[cold]
    #[inline(never)]
    fn put_unusual(&mut self, number: usize, before: &str, after: &str) {
        self.push(before.as_bytes());
        self.put(b"\"");
        self.push(itoa::Buffer::new().format(number).as_bytes());
        self.put(b"\":");
        self.push(after.as_bytes());
    }

    /// Appends `bytes`.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        if self.buffer.len() - self.at < bytes.len() {
            self.grow(bytes.len());
        }
        self.buffer[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// Appends `bytes[from..to]`.
    #[inline(always)]
    pub fn push_range(&mut self, bytes: &[u8], from: usize, to: usize) {
        match bytes.get(from..).and_then(<[u8]>::first_chunk::<SHORT>) {
            Some(chunk) if to - from <= SHORT => self.store(chunk, to - from),
            _ => self.push(&bytes[from..to]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_length_are_copied_exactly() {
        let value = b"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";
        for from in 0..value.len() {
            for to in from..=value.len() {
                let mut sink = Sink::new(b"x".to_vec());
                sink.push_range(value, from, to);
                sink.put(b"y");
                assert_eq!(sink.len(), to - from + 2);
                assert_eq!(sink.into_buffer(), [b"x", &value[from..to], b"y"].concat());
            }
        }
    }

    #[test]
    fn keys_of_known_numbers_and_of_others() {
        for n in 0..KNOWN + 2 {
            let mut sink = Sink::new(Vec::new());
            for first in [true, false] {
                sink.put_field(n, first);
                sink.put_repetitions(n, first);
                sink.put_component(n, first);
                sink.put_subcomponents(n, first);
            }
            let first = format!("\"{n}\":[{{\"1\":\"\"{n}\":[{{\"{n}\":\"{{\"{n}\":");
            let other = format!(",\"{n}\":[{{\"1\":\",\"{n}\":[,\"{n}\":\",\"{n}\":");
            assert_eq!(String::from_utf8_lossy(&sink.into_buffer()), first + &other);
        }
        assert!(Sink::new(Vec::new()).is_empty());
    }
}
