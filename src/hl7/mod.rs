//! HL7 v2 as bytes: the message header, an index of segments and fields, escapes, character sets, and the acknowledgement.
//!
//! Owns what the standard says of a message's text (chapter 2, *Control*). Pure: no sockets, no HTTP, no files.
//!
//! ```text
//! bytes ──header::peek──► Header ──► Index / scan ──► envelope
//!                            └─────► ack::write ──► bytes
//! ```
//!
//! A message is segments (ended by CR), a segment is fields (`|`), a field is repetitions (`~`), a repetition is
//! components (`^`), a component is subcomponents (`&`). The delimiters are the message's own: MSH-1 and MSH-2.

pub mod ack;
pub mod batch;
pub mod charset;
pub mod encoding;
pub mod escape;
pub mod header;
pub mod index;
pub mod mode;
pub mod own_ack;
pub mod path;
pub mod scan;
pub mod sequence;
pub mod split;
pub mod switch;

pub use header::{Delimiters, Header, Payload, Terminator, peek};
pub use index::Index;
pub use mode::Mode;
