//! Blocks, `<VT> data <FS><CR>`, and what the three kinds of framing make of them.
//!
//! Owns the block characters, the size cap, how to find the next block after a broken one, the kinds of deviation that it
//! tolerates, and what is around a message inside its block. Bytes in, bytes out: no sockets, no HL7, no configuration files.
//!
//! ```text
//!  0x0B   data …   0x1C 0x0D
//!  start           end
//! ```
//!
//! The [encoder](mod@encode) writes only what the standard says. The [decoder](mod@decode) takes what is sent in practice, and
//! counts each [`Deviation`] by kind. Both are MLLP Release 1; [`wrap`] takes apart and makes the blocks of [`release2`] and
//! [`hllp`], too.

pub mod decode;
pub mod encode;
pub mod hllp;
pub mod release2;
pub mod sniff;
pub mod wrap;

pub use crate::telemetry::labels::Deviation;
pub use decode::{Decoder, Event, More, Step, Wait};
pub use encode::{Unframable, encode, frame_into};

/// Start of a block, unless configured otherwise.
pub const START: u8 = 0x0B;
/// End of a block, unless configured otherwise.
pub const END: u8 = 0x1C;
/// Follows the end byte.
pub const CR: u8 = 0x0D;
