//! What became of a message, without a word of HL7's answer codes.

use crate::hl7::ack::{Fault, Kind};
use crate::telemetry::labels::{Attempt, Refusal};

/// How delivery ended. Only [`Accepted`](Outcome::Accepted) may become a positive acknowledgement.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// The app has the message.
    Accepted(Answer),
    /// The app refused it: sending it again unchanged would not help.
    Rejected(Rejection),
    /// The bridge refused it, and the app was not asked: why, and where and what that is in this message.
    Refused(Refusal, Fault),
    /// Nothing is settled: the app may or may not have seen it.
    Unavailable(Failure),
}

/// What the app said beside yes.
#[derive(Default)]
pub struct Answer {
    /// The app's own acknowledgement, checked, to be passed through byte for byte.
    pub own: Option<Own>,
    /// For MSA-3.
    pub text: Option<String>,
}

/// An acknowledgement that the app wrote itself, and that was checked. `Debug` prints its length only.
pub struct Own {
    /// As it is sent.
    pub bytes: Vec<u8>,
    /// [`Kind::Accept`] with CA, CE, CR; [`Kind::Application`] with AA, AE, AR.
    pub kind: Kind,
}

/// Why the app refused.
pub struct Rejection {
    /// The message is of a kind that is not taken here, rather than wrong in its content.
    pub unsupported: bool,
    /// What is wrong; at least one.
    pub faults: Vec<Fault>,
    /// The app's own acknowledgement.
    pub own: Option<Own>,
    /// For logs: HTTP status.
    pub status: u16,
}

/// Why nothing was settled.
#[derive(Debug)]
pub struct Failure {
    /// Of the last attempt.
    pub reason: Attempt,
    /// Its HTTP status, if there was one.
    pub status: Option<u16>,
    /// What to tell the sender; at least one.
    pub faults: Vec<Fault>,
    /// Attempts made.
    pub attempts: u32,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own")
            .field("kind", &self.kind)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

impl std::fmt::Debug for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rejection")
            .field("status", &self.status)
            .field("unsupported", &self.unsupported)
            .field("faults", &self.faults.len())
            .finish()
    }
}
