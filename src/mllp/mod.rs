//! MLLP Release 1 blocks: `<VT> data <FS><CR>`.
//!
//! Owns the block characters, the size cap, how to find the next block after a broken one, and the kinds of
//! deviation that it tolerates. Bytes in, bytes out: no sockets, no HL7, no configuration files.
//!
//! ```text
//!  0x0B   data …   0x1C 0x0D
//!  start           end
//! ```
//!
//! The [encoder](mod@encode) writes only what the standard says. The [decoder](mod@decode) takes what is sent in practice, and
//! counts each [`Deviation`] by kind.

pub mod decode;
pub mod encode;
pub mod sniff;

pub use crate::telemetry::labels::Deviation;
pub use decode::{Decoder, Event, More, Step, Wait};
pub use encode::{Unframable, encode, frame_into};

/// Start of a block, unless configured otherwise.
pub const START: u8 = 0x0B;
/// End of a block, unless configured otherwise.
pub const END: u8 = 0x1C;
/// Follows the end byte.
pub const CR: u8 = 0x0D;
