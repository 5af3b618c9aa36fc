//! Bytes from one peer: the buffer, its bound, and what the decoder has used of it.

use super::frame::Frame;
use crate::mllp::{Decoder, Event, More, Step};
use crate::runtime::Budget;
use crate::runtime::buffers::Reserved;
use std::io;
use tokio::net::TcpStream;

/// Read at once, at least. Up to [`UNCOUNTED`] a buffer is not charged to the budget.
const FIRST_READ: usize = 8 * 1024;
const UNCOUNTED: usize = 64 * 1024;

/// Where the decoder is in the buffer, and what the buffer has reserved.
#[derive(Debug)]
pub struct Input {
    decoder: Decoder,
    /// Bytes of the buffer that are used up.
    used: usize,
    /// A frame that came while another one was waited for. It counts as used, and its bytes stay.
    held: Option<Frame>,
    reserved: Reserved,
}

impl Input {
    /// For a new connection.
    pub fn new(decoder: Decoder) -> Self {
        Self {
            decoder,
            used: 0,
            held: None,
            reserved: Reserved::default(),
        }
    }

    /// The decoder.
    pub fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }

    /// Looks for the next block. A frame's range is one of the buffer.
    pub fn step(&mut self, buffer: &[u8], more: More) -> Event {
        let Step { consumed, event } = self.decoder.step(&buffer[self.used..], more);
        let event = match event {
            Event::Frame(range) => Event::Frame(range.start + self.used..range.end + self.used),
            other => other,
        };
        self.used += consumed;
        event
    }

    /// Keeps a frame for later; `false` if there is one already.
    pub fn hold(&mut self, frame: Frame) -> bool {
        let free = self.held.is_none();
        if free {
            self.held = Some(frame);
        }
        free
    }

    /// Whether a frame is kept.
    pub fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// Drops what is used up behind this place, so that what is before it stays where it is.
    pub fn forget_behind(&mut self, buffer: &mut Vec<u8>, place: usize) {
        if place < self.used && self.used <= buffer.len() {
            buffer.drain(place..self.used);
            self.used = place;
        }
    }

    /// Bytes that have come and are not used up.
    pub fn pending(&self, buffer: &[u8]) -> usize {
        buffer.len() - self.used
    }

    /// The frame that was kept. Its range is good until the next read.
    pub fn take_held(&mut self) -> Option<Frame> {
        self.held.take()
    }

    /// Drops what is used up, so that there is room to read. `true` if nothing is left.
    ///
    /// What was reserved for a large message is given back with its memory: the rest that is left behind it is small.
    pub fn compact(&mut self, buffer: &mut Vec<u8>) -> bool {
        let gone = match &self.held {
            Some(Frame::Whole(range)) => range.start,
            Some(Frame::Oversized(_)) | None => self.used,
        };
        if gone > 0 {
            buffer.drain(..gone);
            self.used -= gone;
            if let Some(Frame::Whole(range)) = &mut self.held {
                *range = 0..range.end - gone;
            }
            if !buffer.is_empty() && buffer.capacity() > UNCOUNTED.max(buffer.len() * 4) {
                buffer.shrink_to(FIRST_READ);
            }
            if buffer.is_empty() || buffer.capacity() <= UNCOUNTED {
                self.release();
            }
        }
        buffer.is_empty()
    }

    /// Gives back what was reserved for a large message.
    pub fn release(&mut self) {
        self.reserved = Reserved::default();
    }

    /// Makes room for one read; `false` if it has to be [waited](Self::wait_for_room) for.
    pub fn make_room(&mut self, buffer: &mut Vec<u8>, budget: &Budget, max_message: usize) -> bool {
        let is_large = buffer.capacity() > UNCOUNTED;
        if is_large
            && buffer.is_empty()
            && !budget.try_reserve(&mut self.reserved, buffer.capacity())
        {
            // A buffer that another's large message has left: not for free.
            *buffer = Vec::new();
        }
        if buffer.capacity() - buffer.len() >= FIRST_READ / 4 {
            return true;
        }
        let capacity = Self::next_capacity(buffer, max_message);
        let granted = capacity <= UNCOUNTED || budget.try_reserve(&mut self.reserved, capacity);
        if granted {
            buffer.reserve_exact(capacity - buffer.len());
        }
        granted
    }

    /// Makes room for one read, when the budget has it.
    pub async fn wait_for_room(
        &mut self,
        buffer: &mut Vec<u8>,
        budget: &Budget,
        max_message: usize,
    ) {
        let capacity = Self::next_capacity(buffer, max_message);
        budget.reserve(&mut self.reserved, capacity).await;
        buffer.reserve_exact(capacity - buffer.len());
    }

    /// Twice as much, but no more than the largest message and its end need.
    fn next_capacity(buffer: &Vec<u8>, max_message: usize) -> usize {
        let most = (max_message + FIRST_READ).max(buffer.len() + FIRST_READ);
        (buffer.capacity() * 2).clamp(FIRST_READ, most)
    }

    /// One read that does not wait. `Ok(None)`: nothing there after all. `Ok(Some(0))`: the end.
    pub fn read(&mut self, stream: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        match stream.try_read_buf(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mllp::Wait;
    use std::ops::Range;

    /// The next frame, as text.
    fn next(input: &mut Input, buffer: &[u8]) -> Range<usize> {
        match input.step(buffer, More::Maybe) {
            Event::Frame(range) => range,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_kept_stays_while_what_is_around_it_goes() {
        let mut input = Input::new(Decoder::new(0x0B, 0x1C, 100));
        let mut buffer = b"\x0bone\x1c\r\x0btwo\x1c\r\x0b\x06\x1c\r\x0bthr".to_vec();
        next(&mut input, &buffer);
        let two = next(&mut input, &buffer);
        assert!(input.hold(Frame::Whole(two)));
        assert!(!input.hold(Frame::Whole(0..0)), "one at most");
        assert!(!input.compact(&mut buffer));
        assert!(buffer.starts_with(b"two"), "{}", buffer.escape_ascii());
        let commit = next(&mut input, &buffer);
        assert_eq!(&buffer[commit], b"\x06");
        assert_eq!(input.step(&buffer, More::Maybe), Event::Wait(Wait::Data));
        assert_eq!(input.pending(&buffer), 3);
        buffer.extend_from_slice(b"ee\x1c\r");
        assert!(!input.compact(&mut buffer));
        let Some(Frame::Whole(two)) = input.take_held() else {
            panic!("nothing is kept");
        };
        assert_eq!(&buffer[two], b"two");
        let three = next(&mut input, &buffer);
        assert_eq!(&buffer[three], b"three");
        assert!(input.compact(&mut buffer));
    }

    #[test]
    fn what_is_forgotten_behind_a_frame_leaves_it_where_it_is() {
        let mut input = Input::new(Decoder::new(0x0B, 0x1C, 100));
        let mut buffer = b"\x0bone\x1c\r\x0bone\x1c\r\x0btwo\x1c\r".to_vec();
        let one = next(&mut input, &buffer);
        next(&mut input, &buffer);
        input.forget_behind(&mut buffer, one.end);
        assert_eq!(&buffer[one.clone()], b"one");
        let two = next(&mut input, &buffer);
        assert_eq!((&buffer[one], &buffer[two]), (&b"one"[..], &b"two"[..]));
    }
}
