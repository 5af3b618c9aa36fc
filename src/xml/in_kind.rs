//! Which of the two acknowledgements a message gets.

use super::ack::Ack;
use super::message::Dialect;
use super::write::Writer;
use super::{ack_v2, ack_v3};

impl Ack<'_> {
    /// Appends the acknowledgement, without the block around it, in the message's character set. Nothing for a CDA document, which
    /// has none.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.message.dialect {
            Dialect::V2 => ack_v2::acknowledge(self, &mut Writer::new(out, self.message.charset)),
            Dialect::V3 => ack_v3::acknowledge(self, &mut Writer::new(out, self.message.charset)),
            Dialect::Cda => {}
        }
    }
}
