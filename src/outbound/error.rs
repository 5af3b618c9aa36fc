//! What can go wrong with one message on its way out, and whose fault it is.
//!
//! Every text begins with the party at fault: the network, the server or the message. None holds more of a message than
//! its control ID, which both ends need in order to find it.

use crate::mllp::Unframable;
use crate::net::tls;
use std::fmt;
use std::io;
use std::time::Duration;
use thiserror::Error;

/// Why a message has no acknowledgement of its own. The connection is closed by then, whichever it is.
#[derive(Debug, Error)]
pub enum Error {
    /// The message holds a block character, or is nothing that the protocol can carry; nothing was sent.
    #[error("the message cannot be framed")]
    Unframable(#[from] Unframable),
    /// The server's name has no address.
    #[error("the name in {address} cannot be resolved")]
    Resolve {
        /// As configured.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Nobody takes connections there, or a network in between refuses them.
    #[error("cannot connect to {address}")]
    Connect {
        /// As configured.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// No answer to the attempt to connect: a firewall that drops, or a route that leads nowhere.
    #[error("no connection to {address} in {after:?}")]
    ConnectTimeout {
        /// As configured.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// No TLS with the server.
    #[error("no TLS with {address}")]
    Tls {
        /// As configured.
        address: String,
        /// Why, and whose it is to mend.
        source: Box<tls::Failed>,
    },
    /// The server does not take the bridge's certificate, or wants one; it read nothing of the message.
    #[error("{0}")]
    NotAdmitted(String),
    /// The server closed the connection while nothing was under way; the message was not sent.
    #[error("the server had closed the connection before the message was sent")]
    Stale,
    /// Something came that answers nothing; the message was not sent.
    #[error("the server sent {bytes} bytes that answer no message")]
    Unsolicited {
        /// How many had come.
        bytes: usize,
    },
    /// The connection broke; how much of the message arrived is not known.
    #[error("the connection broke while the message was sent")]
    Send(#[source] io::Error),
    /// The connection broke after the message was sent.
    #[error("the connection broke before an answer was whole")]
    Receive(#[source] io::Error),
    /// The server closed the connection in an orderly way after it got the message.
    #[error("the server closed the connection {}", amount(*received))]
    Closed {
        /// Bytes that had come since the message was sent.
        received: usize,
    },
    /// The server closed the connection between its two answers.
    #[error(
        "the server accepted the message (CA) and closed the connection without an application acknowledgement"
    )]
    ClosedAfterAccept,
    /// The server was too slow.
    #[error("the server {stage} in {after:?}")]
    Timeout {
        /// What it was too slow in.
        stage: Stage,
        /// How long was waited.
        after: Duration,
    },
    /// The server did not take the message, each time that it was sent (MLLP Release 2, HLLP).
    #[error("the server refused the message {times} times ({why})")]
    Refused {
        /// What it said.
        why: &'static str,
        /// How often it was sent.
        times: u32,
    },
    /// The server did not say whether it has taken the message, however often it was sent (MLLP Release 2).
    #[error("the server did not commit the message in {after:?}, {times} times")]
    NotCommitted {
        /// How long was waited each time.
        after: Duration,
        /// How often it was sent.
        times: u32,
    },
    /// The answer is larger than is accepted.
    #[error("the server's answer is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// The port is not an MLLP server's.
    #[error("the server does not speak MLLP but {0}")]
    Foreign(&'static str),
    /// A block came, but it does not answer the message.
    #[error(transparent)]
    BadAnswer(#[from] BadAnswer),
}

/// What a timeout interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Sending: the server does not read.
    Sending,
    /// Waiting: not one byte came.
    Waiting,
    /// Receiving: an answer began and did not end.
    Receiving,
    /// After the accept acknowledgement of enhanced mode: the application's did not come, or did not end.
    Accepted,
}

/// Why a block is not the acknowledgement of the message that was sent. The server is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadAnswer {
    /// Does not begin with MSH.
    #[error("the server's answer is not an HL7 message")]
    NotHl7,
    /// One byte, as MLLP Release 2 has it, where an HL7 acknowledgement was expected.
    #[error("the server answered with an MLLP Release 2 commit block ({0}) and not with HL7")]
    Commit(&'static str),
    /// Content where the message had to be committed first (MLLP Release 2).
    #[error("the server answered before it committed the message: is it MLLP Release 1?")]
    Uncommitted,
    /// A refusal behind an answer (HLLP).
    #[error("the server answered the message and then refused it")]
    RefusedLate,
    /// Not whole, also when it was asked for again (HLLP), or in a forbidden encoding (MLLP Release 2).
    #[error("the server's answer cannot be used: {0}")]
    Damaged(&'static str),
    /// Two accept acknowledgements, where the second had to be the application's.
    #[error("the server sent a second accept acknowledgement and no application acknowledgement")]
    AcceptTwice,
    /// No MSA segment.
    #[error("the server's answer has no MSA segment")]
    NoMsa,
    /// MSA-1 is none of table 0008.
    #[error("MSA-1 of the server's answer, \"{0}\", is not an acknowledgement code")]
    Code(ControlId),
    /// MSA-2 is not the message's MSH-10, byte for byte.
    #[error("the server answered another message: MSA-2 is \"{answered}\", sent was \"{sent}\"")]
    Mismatch {
        /// MSH-10.
        sent: ControlId,
        /// MSA-2.
        answered: ControlId,
    },
    /// In the answer to a batch, an acknowledgement of what is not in the batch.
    #[error("the server acknowledged what is not in the batch: MSA-2 is \"{0}\"")]
    NotInBatch(ControlId),
}

/// A short field as it can be shown: control characters and bytes that are not ASCII escaped, and cut where too long.
#[derive(Clone, PartialEq, Eq)]
pub struct ControlId(String);

/// MSH-10 has at most 199 characters since v2.7; 60 tell one from another.
const SHOWN: usize = 60;

impl ControlId {
    /// Of a raw field.
    pub fn new(field: &[u8]) -> Self {
        let head = field.get(..SHOWN).unwrap_or(field);
        // Not `escape_ascii`: a quote or a backslash stands for itself here.
        let mut text: String = head
            .iter()
            .flat_map(|byte| match byte {
                b' '..=b'~' => vec![char::from(*byte)],
                _ => byte.escape_ascii().map(char::from).collect(),
            })
            .collect();
        if field.len() > SHOWN {
            text.push('…');
        }
        Self(text)
    }

    /// As shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ControlId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ControlId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sending => "did not take the whole message",
            Self::Waiting => "did not answer",
            Self::Receiving => "began an answer and did not end it",
            Self::Accepted => {
                "accepted the message (CA) and sent no whole application acknowledgement"
            }
        })
    }
}

fn amount(received: usize) -> String {
    match received {
        0 => "without an answer".into(),
        1 => "after 1 byte that is no whole answer".into(),
        bytes => format!("after {bytes} bytes that are no whole answer"),
    }
}

/// Errors of one kind are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// No connection.
    Unreachable,
    /// The connection ended without a whole answer.
    Closed,
    /// No whole answer in time.
    Timeout,
    /// The answer is for another message.
    Mismatch,
    /// The answer is not an acknowledgement.
    BadAnswer,
    /// The message cannot be sent.
    Unframable,
    /// The server refused the message before it was one (NAK).
    Refused,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Unreachable,
        Self::Closed,
        Self::Timeout,
        Self::Mismatch,
        Self::BadAnswer,
        Self::Unframable,
        Self::Refused,
    ];

    /// For programs: `snake_case`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Mismatch => "mismatch",
            Self::BadAnswer => "bad_answer",
            Self::Unframable => "unframable",
            Self::Refused => "refused",
        }
    }
}

impl Error {
    /// Which kind it is of.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unframable(_) => Kind::Unframable,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Tls { .. }
            | Self::NotAdmitted(_) => Kind::Unreachable,
            Self::Stale
            | Self::Send(_)
            | Self::Receive(_)
            | Self::Closed { .. }
            | Self::ClosedAfterAccept => Kind::Closed,
            Self::Timeout { .. } | Self::NotCommitted { .. } => Kind::Timeout,
            Self::Refused { .. } => Kind::Refused,
            Self::BadAnswer(BadAnswer::Mismatch { .. } | BadAnswer::NotInBatch(_))
            | Self::Unsolicited { .. } => Kind::Mismatch,
            Self::TooLarge { .. } | Self::Foreign(_) | Self::BadAnswer(_) => Kind::BadAnswer,
        }
    }

    /// With what caused it, in one line. It holds no more of a message than its control ID, and what the server wrote in its place.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        text
    }

    /// Whether the server may have got the message, or a part of it. Where it has not, sending it again duplicates nothing.
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Unframable(_)
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Tls { .. }
            | Self::NotAdmitted(_)
            | Self::Stale
            | Self::Unsolicited { .. } => false,
            Self::Send(_)
            | Self::Receive(_)
            | Self::Closed { .. }
            | Self::ClosedAfterAccept
            | Self::Timeout { .. }
            | Self::Refused { .. }
            | Self::NotCommitted { .. }
            | Self::TooLarge { .. }
            | Self::Foreign(_)
            | Self::BadAnswer(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_id_is_shown_without_what_a_terminal_would_act_on() {
        assert_eq!(ControlId::new(b"A\"\\1 ").to_string(), "A\"\\1 ");
        assert_eq!(
            ControlId::new(b"A\x1b[2J\n\xe4").to_string(),
            "A\\x1b[2J\\n\\xe4"
        );
        let long = ControlId::new(&[b'x'; 300]).to_string();
        assert_eq!(long.chars().count(), SHOWN + 1);
    }

    #[test]
    fn texts_name_the_guilty_party_and_do_not_repeat_their_source() {
        let closed = Error::Closed { received: 0 };
        assert_eq!(
            closed.to_string(),
            "the server closed the connection without an answer"
        );
        let timeout = Error::Timeout {
            stage: Stage::Receiving,
            after: Duration::from_secs(2),
        };
        assert_eq!(
            timeout.to_string(),
            "the server began an answer and did not end it in 2s"
        );
        let source = io::Error::other("secret");
        let refused = Error::Connect {
            address: "ehr:1".into(),
            source,
        };
        assert_eq!(refused.to_string(), "cannot connect to ehr:1");
        assert!(!refused.may_have_arrived());
        assert!(timeout.may_have_arrived());
    }
}
