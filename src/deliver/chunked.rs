//! `Transfer-Encoding: chunked` (RFC 9112, section 7.1), decoded in place.

/// Not chunked encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadChunk;

/// Longest chunk-size line with its extensions.
const MAX_LINE: usize = 4096;

/// Takes the frame off chunks as they come.
#[derive(Debug, Default)]
pub struct Chunked {
    /// Body bytes at the start of the buffer.
    body: usize,
    state: State,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    /// At a chunk-size line.
    #[default]
    Size,
    /// In a chunk, with so many bytes to come.
    Data(usize),
    /// At the CRLF that ends a chunk.
    DataEnd,
    /// In the trailer.
    Trailer,
}

impl Chunked {
    /// Bytes of body decoded so far, the rest of a begun chunk included.
    pub fn body_len(&self) -> usize {
        match self.state {
            State::Data(left) => self.body.saturating_add(left),
            _ => self.body,
        }
    }

    /// Decodes what the buffer holds: the body is moved to its front. `Some` at the end of the body, with the number of bytes
    /// that came after it; the buffer then holds the body alone.
    ///
    /// # Errors
    /// If it is not chunked encoding.
    pub fn decode(&mut self, buffer: &mut Vec<u8>) -> Result<Option<usize>, BadChunk> {
        let mut at = self.body;
        loop {
            match self.state {
                State::Size => {
                    let Some(line) = line(&buffer[at..])? else {
                        break;
                    };
                    let digits = line
                        .split(|byte| *byte == b';')
                        .next()
                        .unwrap_or_default()
                        .trim_ascii();
                    let text = std::str::from_utf8(digits).map_err(|_| BadChunk)?;
                    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                        return Err(BadChunk);
                    }
                    let size = usize::from_str_radix(text, 16).map_err(|_| BadChunk)?;
                    at += line.len() + 2;
                    self.state = if size == 0 {
                        State::Trailer
                    } else {
                        State::Data(size)
                    };
                }
                State::Data(left) => {
                    let take = left.min(buffer.len() - at);
                    buffer.copy_within(at..at + take, self.body);
                    self.body += take;
                    at += take;
                    if take < left {
                        self.state = State::Data(left - take);
                        break;
                    }
                    self.state = State::DataEnd;
                }
                State::DataEnd => match &buffer[at..] {
                    [b'\r', b'\n', ..] => {
                        at += 2;
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => break,
                    _ => return Err(BadChunk),
                },
                State::Trailer => {
                    let Some(line) = line(&buffer[at..])? else {
                        break;
                    };
                    at += line.len() + 2;
                    if line.is_empty() {
                        let after = buffer.len() - at;
                        buffer.truncate(self.body);
                        return Ok(Some(after));
                    }
                }
            }
        }
        // Close the gap between the body and what is not decoded yet.
        buffer.drain(self.body..at);
        Ok(None)
    }
}

fn line(bytes: &[u8]) -> Result<Option<&[u8]>, BadChunk> {
    match memchr::memchr(b'\n', bytes) {
        Some(0) => Err(BadChunk),
        Some(end) if bytes[end - 1] == b'\r' => Ok(Some(&bytes[..end - 1])),
        Some(_) => Err(BadChunk),
        None if bytes.len() > MAX_LINE => Err(BadChunk),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_chunking_of_the_wire_gives_the_body(
            body in prop::collection::vec(any::<u8>(), 0..200),
            sizes in prop::collection::vec(1usize..50, 1..20),
            reads in prop::collection::vec(1usize..30, 1..20),
        ) {
            let mut wire = Vec::new();
            let mut rest = body.as_slice();
            for size in sizes.iter().cycle() {
                let (chunk, after) = rest.split_at(rest.len().min(*size));
                wire.extend_from_slice(format!("{:x};ext=1\r\n", chunk.len()).as_bytes());
                if chunk.is_empty() {
                    wire.extend_from_slice(b"Trailer: x\r\n\r\nNEXT");
                    break;
                }
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
                rest = after;
            }
            let mut chunked = Chunked::default();
            let mut buffer = Vec::new();
            let mut wire = wire.as_slice();
            let mut ended = None;
            for size in reads.iter().cycle() {
                let (piece, after) = wire.split_at(wire.len().min(*size));
                buffer.extend_from_slice(piece);
                wire = after;
                ended = chunked.decode(&mut buffer).unwrap();
                if ended.is_some() || wire.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(ended.map(|after| after + wire.len()), Some(4));
            prop_assert_eq!(buffer, body);
        }
    }
}
