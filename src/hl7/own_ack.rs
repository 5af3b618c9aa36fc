//! Checks an acknowledgement that an app wrote itself, before it is passed to the sender byte for byte.

use super::ack::{Kind, Verdict};
use super::{Index, Payload, peek};
use thiserror::Error;

/// Why an app's acknowledgement is not passed on. The app is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadAck {
    /// Does not begin with MSH.
    #[error("the application's answer is not an HL7 message")]
    NotHl7,
    /// No MSA segment.
    #[error("the application's answer has no MSA segment")]
    NoMsa,
    /// MSA-1 is not one of table 0008.
    #[error("MSA-1 of the application's answer is not an acknowledgement code")]
    Code,
    /// It answers another message.
    #[error("MSA-2 of the application's answer is not the message's control ID")]
    ControlId,
    /// It would end its block too early.
    #[error("the application's answer holds a byte that MLLP uses to mark a block")]
    Unframable,
}

/// What an app's own acknowledgement says about the message with this control ID, and whether as an accept acknowledgement.
///
/// # Errors
/// If it is not an acknowledgement of that message.
pub fn check(
    body: &[u8],
    control_id: &[u8],
    start: u8,
    end: u8,
) -> Result<(Verdict, Kind), BadAck> {
    if body.contains(&start) || body.contains(&end) {
        return Err(BadAck::Unframable);
    }
    let Payload::V2(header) = peek(body) else {
        return Err(BadAck::NotHl7);
    };
    let index = Index::new(body, &header);
    let msa = index
        .segments()
        .find(|segment| segment.id() == b"MSA")
        .ok_or(BadAck::NoMsa)?;
    if msa.field(2) != Some(control_id) {
        return Err(BadAck::ControlId);
    }
    match msa.field(1) {
        Some(b"AA") => Ok((Verdict::Accepted, Kind::Application)),
        Some(b"AE") => Ok((Verdict::Error, Kind::Application)),
        Some(b"AR") => Ok((Verdict::Rejected, Kind::Application)),
        Some(b"CA") => Ok((Verdict::Accepted, Kind::Accept)),
        Some(b"CE") => Ok((Verdict::Error, Kind::Accept)),
        Some(b"CR") => Ok((Verdict::Rejected, Kind::Accept)),
        _ => Err(BadAck::Code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_acknowledgement_of_this_message_passes() {
        let check = |body: &str| check(body.as_bytes(), b"7 ", 0x0B, 0x1C);
        let msh = "MSH|^~\\&|A|B|C|D|2026||RSP^K22|1|P|2.5\r";
        assert_eq!(
            check(&format!("{msh}MSA|AA|7 \rQAK|x\r")),
            Ok((Verdict::Accepted, Kind::Application))
        );
        assert_eq!(
            check(&format!("{msh}MSA|CR|7 ")),
            Ok((Verdict::Rejected, Kind::Accept))
        );
        assert_eq!(
            check(&format!("{msh}MSA|AA|7\r")),
            Err(BadAck::ControlId),
            "verbatim"
        );
        assert_eq!(check(&format!("{msh}MSA|OK|7 \r")), Err(BadAck::Code));
        assert_eq!(check(msh), Err(BadAck::NoMsa));
        assert_eq!(check("thanks"), Err(BadAck::NotHl7));
        assert_eq!(
            check(&format!("{msh}MSA|AA|7 |\x1c\r")),
            Err(BadAck::Unframable)
        );
    }
}
