//! The request that the app gets: a message in the shape of a CloudEvent, or its bare bytes.
//!
//! Owns the shape, its version and its JSON. Pure: it knows nothing of sockets and retries.
//!
//! ```text
//! message bytes ─┬─ json::text ──────► "raw": "MSH|…"
//!                └─ segments::Walker ► "segments": [{"id": "PID", "fields": {"3": [{"1": …
//! ```
//!
//! Nothing of the message is copied into a tree: both halves are written from the bytes into one buffer. A message whose
//! envelope outgrows that buffer is written in [pieces](Envelope::fill), so that 16 MiB of HL7 do not become 60 MiB of memory.

pub mod cloudevents;
mod field;
pub mod head;
pub mod json;
pub mod read;
pub mod segments;
pub mod sink;

pub use cloudevents::{Envelope, EventId, SCHEMA, Shape, Source};
pub use head::Head;

/// What was odd about a message and is worth telling the app. Fixed sentences: nothing in them is from the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// MSH-18 and the bytes disagree.
    CharsetMismatch,
    /// Segments do not end in CR.
    Terminator,
    /// There are bytes before MSH.
    LeadingBytes,
    /// MSH-15 or MSH-16 ask for enhanced mode.
    EnhancedMode,
}

impl Warning {
    /// The sentence.
    pub fn text(self) -> &'static str {
        match self {
            Self::CharsetMismatch => "the bytes are not in the character set that MSH-18 names",
            Self::Terminator => "segments end in LF or CR LF instead of CR",
            Self::LeadingBytes => "there are bytes before MSH",
            Self::EnhancedMode => {
                "MSH-15 or MSH-16 ask for enhanced mode; the answer is in original mode"
            }
        }
    }
}
