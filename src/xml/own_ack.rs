//! Reads an acknowledgement in XML: an app's own, before it is passed to the sender byte for byte, and a server's.

use super::message::{Dialect, Message};
use super::v3;
use crate::config::status::is_fault_condition;
use crate::hl7::ack::{Fault, Kind, Verdict};
use crate::hl7::own_ack::{is_no, verdict};
use thiserror::Error;

/// Why an app's acknowledgement is not passed on. The app is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadAck {
    /// Broken XML.
    #[error("the application's answer is not well-formed, or holds more than is read of XML here")]
    Flawed,
    /// v2 to v3, or the other way.
    #[error("the application's answer is not in the message's own kind of XML")]
    OtherKind,
    /// No MSA, no `acknowledgement`.
    #[error("the application's answer acknowledges nothing")]
    Nothing,
    /// MSA.1 or `typeCode` is not one of table 0008.
    #[error("the code of the application's answer is not an acknowledgement code")]
    Code,
    /// It answers another message.
    #[error("the application's answer acknowledges another message")]
    OtherMessage,
    /// It would end its block too early.
    #[error("the application's answer holds a byte that MLLP uses to mark a block")]
    Unframable,
}

/// What an app's own acknowledgement says about this message, and whether as an accept acknowledgement.
///
/// # Errors
/// If it is not an acknowledgement of that message.
pub fn check(
    body: &[u8],
    answer: &Message,
    message: &Message,
    start: u8,
    end: u8,
) -> Result<(Verdict, Kind), BadAck> {
    if body.contains(&start) || body.contains(&end) {
        return Err(BadAck::Unframable);
    }
    if answer.flaw.is_some() {
        return Err(BadAck::Flawed);
    }
    if answer.dialect != message.dialect {
        return Err(BadAck::OtherKind);
    }
    let (code, id) = acknowledged(answer).ok_or(BadAck::Nothing)?;
    if id != message.control_id() {
        return Err(BadAck::OtherMessage);
    }
    verdict(code.as_bytes()).ok_or(BadAck::Code)
}

/// Whether a body is an acknowledgement that says no, of whichever message.
pub fn is_negative(body: &[u8]) -> bool {
    let Ok(answer) = Message::read(body) else {
        return false;
    };
    acknowledged(&answer).is_some_and(|(code, _)| is_no(code.as_bytes()))
}

/// The code of a document's acknowledgement, and the ID of the message that it answers, as [`Message::control_id`] writes it. `None`
/// where it acknowledges nothing.
pub fn acknowledged(answer: &Message) -> Option<(&str, String)> {
    match answer.dialect {
        Dialect::V2 => {
            let msa = answer.root.child("MSA")?;
            let text = |name| msa.child(name).map_or("", |node| &node.text);
            Some((text("MSA.1"), text("MSA.2").to_owned()))
        }
        Dialect::V3 => {
            let said = answer.root.child("acknowledgement")?;
            let code = match said.attribute_at(&["typeCode"], "code") {
                "" => said.attribute("typeCode"),
                code => code,
            };
            let id = said.at(&["targetMessage", "id"]).map(v3::id);
            Some((code, id.unwrap_or_default()))
        }
        Dialect::Cda => None,
    }
}

/// The first thing that a negative acknowledgement finds fault with.
#[derive(Default, PartialEq, Eq)]
pub struct Complaint {
    /// Table 0357's number, or v3's code; empty where there is none.
    pub condition: String,
    /// Its words; empty where it has none.
    pub text: String,
}

/// What an acknowledgement complains of, as far as it says.
pub fn complaint(answer: &Message) -> Complaint {
    let root = &answer.root;
    let text = |names: &[&str]| root.at(names).map_or("", |node| node.text.trim_ascii());
    let first = |places: &[&[&str]]| {
        let mut said = places.iter().map(|names| text(names));
        said.find(|text| !text.is_empty())
            .unwrap_or_default()
            .to_owned()
    };
    let component = |names: &[&str]| root.at(names).map_or("", |node| node.component(1));
    match answer.dialect {
        Dialect::V2 => Complaint {
            condition: match component(&["ERR", "ERR.3"]) {
                "" => first(&[&["ERR", "ERR.1", "ELD.4", "CE.1"]]),
                condition => condition.to_owned(),
            },
            text: first(&[&["ERR", "ERR.8"], &["ERR", "ERR.7"], &["MSA", "MSA.3"]]),
        },
        Dialect::V3 => {
            let detail = ["acknowledgement", "acknowledgementDetail"];
            let [outer, inner] = detail;
            Complaint {
                condition: root
                    .attribute_at(&[outer, inner, "code"], "code")
                    .to_owned(),
                text: first(&[&[outer, inner, "text"]]),
            }
        }
        Dialect::Cda => Complaint::default(),
    }
}

/// What a negative acknowledgement of an app finds fault with: for an accept acknowledgement, which is the bridge's own.
pub fn fault(answer: &Message) -> Fault {
    let unnamed = Fault::unnamed();
    let Complaint { condition, text } = complaint(answer);
    let condition = condition.parse().ok();
    Fault {
        condition: condition
            .filter(|condition| is_fault_condition(*condition))
            .unwrap_or(unnamed.condition),
        text: if text.is_empty() { unnamed.text } else { text },
        ..unnamed
    }
}
