//! What the acknowledgement of a message in XML says, in either kind.

use super::message::Message;
use crate::hl7::ack::{Fault, Kind, Verdict};

/// Everything that an acknowledgement says; as [`hl7::Ack`](crate::hl7::ack::Ack) for ER7.
pub struct Ack<'a> {
    /// The message that is answered.
    pub message: &'a Message,
    /// Which acknowledgement it is.
    pub kind: Kind,
    /// The answer.
    pub verdict: Verdict,
    /// What is wrong, for a verdict that is not positive. At most 100 are written.
    pub faults: &'a [Fault],
    /// A text beside the answer.
    pub text: Option<&'a str>,
    /// Now, as HL7 writes it.
    pub time: &'a str,
    /// This acknowledgement's own control ID; v3 has UUIDs in its place.
    pub control_id: &'a str,
    /// MSH.12 where the message has none.
    pub default_version: &'a str,
}
