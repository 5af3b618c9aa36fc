//! Bytes from one peer: the buffer, its bound, and what the decoder has used of it.

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
    reserved: Reserved,
}

impl Input {
    /// For a new connection.
    pub fn new(decoder: Decoder) -> Self {
        Self {
            decoder,
            used: 0,
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

    /// Drops what is used up, so that there is room to read. `true` if nothing is left.
    pub fn compact(&mut self, buffer: &mut Vec<u8>) -> bool {
        buffer.drain(..self.used);
        self.used = 0;
        buffer.is_empty()
    }

    /// Gives back what was reserved for a large message, once it has been answered.
    pub fn release(&mut self) {
        if self.used > 0 || !self.decoder.in_block() {
            self.reserved = Reserved::default();
        }
    }

    /// Makes room for one read, waiting for the budget if the message has become a large one.
    pub async fn make_room(&mut self, buffer: &mut Vec<u8>, budget: &Budget, max_message: usize) {
        let spare = buffer.capacity() - buffer.len();
        if spare >= FIRST_READ / 4 {
            return;
        }
        // Twice as much, but no more than the largest message and its end need.
        let most = max_message + FIRST_READ;
        let capacity =
            (buffer.capacity() * 2).clamp(FIRST_READ, most.max(buffer.len() + FIRST_READ));
        if capacity > UNCOUNTED {
            // Once for the message, once for the request that is made of it.
            budget.reserve(&mut self.reserved, capacity * 2).await;
        }
        buffer.reserve_exact(capacity - buffer.len());
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
