//! What became of a message, in one form: the answer to the client is made from it, in JSON, as HL7 or as a problem, and it is what
//! is stored under an `Idempotency-Key`.

use super::problem::Kind;
use crate::outbound::answer::{Answer, Code};
use crate::outbound::destination::{Exchanged, Failure};
use crate::outbound::fill::Filled;
use crate::telemetry::labels::Sent;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What became of a message. `Debug` prints nothing of it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Report {
    /// MSH-10 as text.
    pub(super) control_id: String,
    /// What is wrong. `None`: accepted.
    pub(super) problem: Option<Kind>,
    /// A sentence about it.
    pub(super) detail: String,
    /// Whether the server may have got the message.
    pub(super) may_have_arrived: bool,
    /// The last acknowledgement.
    pub(super) answer: Option<Ack>,
    /// The accept acknowledgement before it.
    pub(super) accept: Option<Ack>,
    /// MSH fields that were filled in, with their values.
    pub(super) filled: Vec<(u8, String)>,
    /// What else was done to the message.
    pub(super) warnings: Vec<String>,
    /// Sent once more after a loss.
    pub(super) resent: bool,
    /// From the request to here.
    pub(super) duration_ms: u64,
    /// Seconds until it makes sense to try again.
    pub(super) retry_after: Option<u64>,
}

/// An acknowledgement that was this message's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ack {
    /// MSA-1.
    pub(super) code: Code,
    /// As it came.
    #[serde(with = "bytes")]
    pub(super) bytes: Vec<u8>,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("problem", &self.problem)
            .finish_non_exhaustive()
    }
}

/// Bytes as base64: as an array of numbers JSON would be four times as long.
mod bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(de::Error::custom)
    }
}

impl Report {
    /// About a message before it is sent.
    pub(super) fn of(control_id: &[u8], filled: Vec<Filled>, warnings: Vec<String>) -> Self {
        Self {
            control_id: String::from_utf8_lossy(control_id).into_owned(),
            filled: filled
                .into_iter()
                .map(|filled| (filled.field, filled.value))
                .collect(),
            warnings,
            ..Self::default()
        }
    }

    /// How it ended, for metrics.
    pub(super) fn settle(&mut self, result: Result<Exchanged, Failure>, took: Duration) -> Sent {
        self.duration_ms = took.as_millis().try_into().unwrap_or(u64::MAX);
        let sent = match result {
            Ok(exchanged) => self.answered(exchanged),
            Err(failure) => self.failed(&failure),
        };
        self.problem = Kind::of(sent);
        sent
    }

    fn answered(&mut self, exchanged: Exchanged) -> Sent {
        self.resent = exchanged.resent;
        self.may_have_arrived = true;
        let Some(answer) = exchanged.answer else {
            return Sent::Accepted;
        };
        let sent = match answer.code() {
            Code::Aa | Code::Ca => Sent::Accepted,
            Code::Ae | Code::Ce => Sent::Error,
            Code::Ar | Code::Cr => Sent::Rejected,
        };
        if sent != Sent::Accepted {
            self.detail = format!("the destination answered {}", answer.code());
        }
        self.keep(answer);
        sent
    }

    fn keep(&mut self, mut answer: Answer) {
        let ack = |answer: Answer| Ack {
            code: answer.code(),
            bytes: answer.into_bytes(),
        };
        self.accept = answer.accept.take().map(|accept| ack(*accept));
        self.answer = Some(ack(answer));
    }

    fn failed(&mut self, failure: &Failure) -> Sent {
        self.may_have_arrived = failure.may_have_arrived();
        self.detail = match failure {
            Failure::Failed(error) => error.with_causes(),
            other => other.to_string(),
        };
        // At least a second: the header has no fractions.
        self.retry_after = match failure {
            Failure::Away { again, .. } => Some(again.as_secs() + 1),
            _ => Some(1),
        };
        failure.label()
    }

    /// It was not sent, and will not be.
    pub(super) fn refuse(&mut self, sent: Sent, detail: impl Into<String>) -> Sent {
        self.problem = Kind::of(sent);
        self.detail = detail.into();
        self.retry_after = Some(1);
        sent
    }

    /// Whether a later request with the same key gets it again. What was certainly not sent may be tried again.
    pub(super) fn is_final(&self) -> bool {
        self.may_have_arrived
    }
}
