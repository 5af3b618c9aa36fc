//! Checks an acknowledgement that an app wrote itself, before it is passed to the sender byte for byte.

use super::ack::{Fault, Kind, Verdict};
use super::charset::{AS_IT_SAYS, as_text};
use super::{Index, Payload, escape};
use crate::config::status::is_fault_condition;
use std::sync::OnceLock;
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
    let transcoded = OnceLock::new();
    let (body, Payload::V2(header)) = as_text(body, AS_IT_SAYS, &transcoded) else {
        return Err(BadAck::NotHl7);
    };
    let index = Index::new(body, &header);
    let msa = index.first(b"MSA").ok_or(BadAck::NoMsa)?;
    if msa.field(2) != Some(control_id) {
        return Err(BadAck::ControlId);
    }
    verdict(msa.field(1).unwrap_or_default()).ok_or(BadAck::Code)
}

/// What a code of table 0008 says.
pub fn verdict(code: &[u8]) -> Option<(Verdict, Kind)> {
    Some(match code {
        b"AA" => (Verdict::Accepted, Kind::Application),
        b"AE" => (Verdict::Error, Kind::Application),
        b"AR" => (Verdict::Rejected, Kind::Application),
        b"CA" => (Verdict::Accepted, Kind::Accept),
        b"CE" => (Verdict::Error, Kind::Accept),
        b"CR" => (Verdict::Rejected, Kind::Accept),
        _ => return None,
    })
}

/// Whether a body is an acknowledgement that says no, of whichever message.
pub fn is_negative(body: &[u8]) -> bool {
    let transcoded = OnceLock::new();
    let (body, Payload::V2(header)) = as_text(body, AS_IT_SAYS, &transcoded) else {
        return false;
    };
    let index = Index::new(body, &header);
    let code = index.first(b"MSA").and_then(|msa| msa.field(1));
    is_no(code.unwrap_or_default())
}

/// Whether a code of table 0008 says no.
pub fn is_no(code: &[u8]) -> bool {
    verdict(code).is_some_and(|(verdict, _)| verdict != Verdict::Accepted)
}

/// Whether a body is ER7, in whatever character set, readable or not.
pub fn is_er7(body: &[u8]) -> bool {
    let transcoded = OnceLock::new();
    let (_, payload) = as_text(body, AS_IT_SAYS, &transcoded);
    payload.header().is_some()
}

/// What a negative acknowledgement of an app finds fault with, as far as its first ERR segment or its MSA-3 says: for an accept
/// acknowledgement, which is the bridge's own.
pub fn fault(body: &[u8]) -> Fault {
    let unnamed = Fault::unnamed();
    let transcoded = OnceLock::new();
    let (body, Payload::V2(header)) = as_text(body, AS_IT_SAYS, &transcoded) else {
        return unnamed;
    };
    let index = Index::new(body, &header);
    let at = |place: &str| {
        let path = place.parse().ok();
        path.and_then(|path| index.get(&path)).unwrap_or_default()
    };
    // Since 2.5, and before.
    let condition = ["ERR-3.1", "ERR-1.4.1"]
        .into_iter()
        .filter_map(|place| std::str::from_utf8(at(place)).ok()?.parse().ok())
        .find(|condition| is_fault_condition(*condition));
    let text = ["ERR-8", "ERR-7", "MSA-3"]
        .into_iter()
        .map(|place| escape::shown(at(place), &header.delimiters, 250))
        .find(|text| !text.is_empty());
    Fault {
        condition: condition.unwrap_or(unnamed.condition),
        text: text.unwrap_or(unnamed.text),
        ..unnamed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_finds_fault_with_is_told_in_its_words() {
        let told = |segments: &str| {
            let msh = "MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5\r";
            let fault = fault(format!("{msh}{segments}").as_bytes());
            (fault.condition, fault.text)
        };
        let named = told("MSA|AE|7\rERR||PID^1^3|101^Required^HL70357|E||||no \\T\\ identifier\r");
        assert_eq!(named, (101, "no & identifier".to_owned()));
        let old = told("MSA|AE|7|unknown ward\rERR|PV1^1^3^103&Table&HL70357\r");
        assert_eq!(old, (103, "unknown ward".to_owned()));
        let repeated = told("MSA|AE|7\rERR|PV1^1^3^103&Table&HL70357~PID^1^5^101\r");
        assert_eq!(repeated.0, 103, "the first of several");
        let silent = told("MSA|AE|7\rERR||||||\r");
        assert_eq!(
            silent,
            (207, "the application refused the message".to_owned())
        );
        assert_eq!(told("MSA|AE|7\rERR|||0^Accepted\r").0, 207);
    }

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
