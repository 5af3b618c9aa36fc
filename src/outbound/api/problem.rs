//! What can go wrong with a request, as RFC 9457 has it: each kind with a URI, a status and a title. docs/outbound.md explains them.

use crate::telemetry::labels::{Sent, Unsent};
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `type` of a problem begins so.
pub const BASE: &str = "urn:mllp-bridge:problem:";

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// AE, CE: the server found an error in the message, or had one itself.
    ApplicationError,
    /// AR, CR: the server does not take such a message.
    Rejected,
    /// No whole acknowledgement in `ack.timeout`.
    NoAnswer,
    /// The connection ended after a part of the message, or all of it, may have arrived.
    ConnectionLost,
    /// What came back is not the acknowledgement of this message.
    BadAnswer,
    /// The server refused the block itself (NAK), or did not commit it.
    RefusedByProtocol,
    /// None of the destination's addresses takes a connection.
    Unreachable,
    /// It waited for a connection longer than `queue.timeout`.
    QueueTimeout,
    /// As many messages as may wait are waiting.
    QueueFull,
    /// The bridge is about to end.
    Draining,
    /// No destination has this name.
    UnknownDestination,
    /// The API has no such path.
    NoSuchResource,
    /// The path does not know this method.
    MethodNotAllowed,
    /// The body is not an HL7 message.
    NotHl7,
    /// The body holds several messages that are no batch.
    SeveralMessages,
    /// MSH-10 is empty: no acknowledgement could be known as this message's.
    NoControlId,
    /// The body is not an envelope.
    BadEnvelope,
    /// The destination's protocol cannot carry the message, or its header cannot be filled in.
    Unframable,
    /// The body did not come whole.
    BodyBroken,
    /// The body is larger than is taken.
    TooLarge,
    /// The body's media type is none that is taken.
    UnsupportedMediaType,
    /// No form of the answer is accepted.
    NotAcceptable,
    /// `Idempotency-Key` is not 1 to 255 visible characters of ASCII, or no keys are kept.
    BadIdempotencyKey,
    /// The key was another request's.
    IdempotencyKeyReused,
    /// The key's message was sent, and what became of it is not known; it is not sent again.
    OutcomeUnknown,
    /// The key cannot be stored, and without that nothing is sent.
    StateUnavailable,
    /// An answer with this control ID is awaited for another message.
    ControlIdInUse,
    /// `Host` is a name that is not this machine's.
    ForeignHost,
    /// An error of the bridge.
    Internal,
}

impl Kind {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 29] = [
        Self::ApplicationError,
        Self::Rejected,
        Self::NoAnswer,
        Self::ConnectionLost,
        Self::BadAnswer,
        Self::RefusedByProtocol,
        Self::Unreachable,
        Self::QueueTimeout,
        Self::QueueFull,
        Self::Draining,
        Self::UnknownDestination,
        Self::NoSuchResource,
        Self::MethodNotAllowed,
        Self::NotHl7,
        Self::SeveralMessages,
        Self::NoControlId,
        Self::BadEnvelope,
        Self::Unframable,
        Self::BodyBroken,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::NotAcceptable,
        Self::BadIdempotencyKey,
        Self::IdempotencyKeyReused,
        Self::OutcomeUnknown,
        Self::StateUnavailable,
        Self::ControlIdInUse,
        Self::ForeignHost,
        Self::Internal,
    ];

    /// Its last part of `type`.
    pub fn slug(self) -> &'static str {
        self.row().0
    }

    /// The response's status.
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    /// A few words, the same for all of its kind.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// Whether the response says when to try again.
    pub fn is_for_later(self) -> bool {
        matches!(
            self,
            Self::Unreachable | Self::QueueTimeout | Self::QueueFull | Self::StateUnavailable
        )
    }

    /// Whether it is stored under a key: the message may have arrived.
    pub(super) fn may_be_replayed(self) -> bool {
        matches!(
            self,
            Self::ApplicationError
                | Self::Rejected
                | Self::NoAnswer
                | Self::ConnectionLost
                | Self::BadAnswer
                | Self::RefusedByProtocol
        )
    }

    fn row(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::ApplicationError => (
                "application-error",
                S::UNPROCESSABLE_ENTITY,
                "The destination found an error",
            ),
            Self::Rejected => (
                "rejected",
                S::BAD_GATEWAY,
                "The destination rejected the message",
            ),
            Self::NoAnswer => (
                "no-answer",
                S::GATEWAY_TIMEOUT,
                "The destination did not answer in time",
            ),
            Self::ConnectionLost => (
                "connection-lost",
                S::BAD_GATEWAY,
                "The connection to the destination was lost",
            ),
            Self::BadAnswer => (
                "bad-answer",
                S::BAD_GATEWAY,
                "The destination's answer is not this message's acknowledgement",
            ),
            Self::RefusedByProtocol => (
                "refused-by-protocol",
                S::BAD_GATEWAY,
                "The destination refused the block",
            ),
            Self::Unreachable => (
                "unreachable",
                S::SERVICE_UNAVAILABLE,
                "The destination cannot be reached",
            ),
            Self::QueueTimeout => (
                "queue-timeout",
                S::SERVICE_UNAVAILABLE,
                "No connection became free in time",
            ),
            Self::QueueFull => (
                "queue-full",
                S::TOO_MANY_REQUESTS,
                "Too many messages wait for a connection",
            ),
            Self::Draining => (
                "draining",
                S::SERVICE_UNAVAILABLE,
                "The bridge is about to end",
            ),
            Self::UnknownDestination => (
                "unknown-destination",
                S::NOT_FOUND,
                "No destination has this name",
            ),
            Self::NoSuchResource => ("no-such-resource", S::NOT_FOUND, "There is no such path"),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                S::METHOD_NOT_ALLOWED,
                "The path does not know this method",
            ),
            Self::NotHl7 => ("not-hl7", S::BAD_REQUEST, "The body is not an HL7 message"),
            Self::SeveralMessages => (
                "several-messages",
                S::BAD_REQUEST,
                "The body holds several messages",
            ),
            Self::NoControlId => (
                "no-control-id",
                S::BAD_REQUEST,
                "The message has no control ID",
            ),
            Self::BadEnvelope => (
                "bad-envelope",
                S::BAD_REQUEST,
                "The body is not an envelope",
            ),
            Self::Unframable => (
                "unframable",
                S::BAD_REQUEST,
                "The message cannot be sent in this protocol",
            ),
            Self::BodyBroken => ("body-broken", S::BAD_REQUEST, "The body did not come whole"),
            Self::TooLarge => ("too-large", S::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                S::UNSUPPORTED_MEDIA_TYPE,
                "The body's media type is not taken",
            ),
            Self::NotAcceptable => (
                "not-acceptable",
                S::NOT_ACCEPTABLE,
                "No form of the answer is accepted",
            ),
            Self::BadIdempotencyKey => (
                "bad-idempotency-key",
                S::BAD_REQUEST,
                "The key cannot be used",
            ),
            Self::IdempotencyKeyReused => (
                "idempotency-key-reused",
                S::UNPROCESSABLE_ENTITY,
                "The key was another request's",
            ),
            Self::OutcomeUnknown => (
                "outcome-unknown",
                S::CONFLICT,
                "What became of the message is not known",
            ),
            Self::StateUnavailable => (
                "state-unavailable",
                S::SERVICE_UNAVAILABLE,
                "The key cannot be stored",
            ),
            Self::ControlIdInUse => ("control-id-in-use", S::CONFLICT, "The control ID is in use"),
            Self::ForeignHost => (
                "foreign-host",
                S::FORBIDDEN,
                "The Host header is not this machine's",
            ),
            Self::Internal => (
                "internal",
                S::INTERNAL_SERVER_ERROR,
                "An error of the bridge",
            ),
        }
    }

    /// What the metrics of a message call it, that reached its destination's queue.
    pub(super) fn of(sent: Sent) -> Option<Self> {
        Some(match sent {
            Sent::Accepted => return None,
            Sent::Error => Self::ApplicationError,
            Sent::Rejected => Self::Rejected,
            Sent::NoAnswer => Self::NoAnswer,
            Sent::ConnectionLost => Self::ConnectionLost,
            Sent::BadAnswer => Self::BadAnswer,
            Sent::RefusedByProtocol => Self::RefusedByProtocol,
            Sent::Unreachable => Self::Unreachable,
            Sent::QueueTimeout => Self::QueueTimeout,
            Sent::QueueFull => Self::QueueFull,
            Sent::Unframable => Self::Unframable,
            Sent::ControlIdInUse => Self::ControlIdInUse,
            Sent::StateUnavailable => Self::StateUnavailable,
            Sent::Failed => Self::Internal,
        })
    }

    /// What the metrics call it where it reached no destination.
    pub(super) fn unsent(self) -> Option<Unsent> {
        Some(match self {
            Self::UnknownDestination => Unsent::UnknownDestination,
            Self::NoSuchResource | Self::MethodNotAllowed => Unsent::NoSuchResource,
            Self::NotHl7 | Self::SeveralMessages | Self::NoControlId => Unsent::NotHl7,
            Self::BadEnvelope => Unsent::BadEnvelope,
            Self::BodyBroken => Unsent::BodyBroken,
            Self::TooLarge => Unsent::TooLarge,
            Self::UnsupportedMediaType => Unsent::UnsupportedMediaType,
            Self::NotAcceptable => Unsent::NotAcceptable,
            Self::BadIdempotencyKey => Unsent::BadIdempotencyKey,
            Self::IdempotencyKeyReused => Unsent::KeyReused,
            Self::OutcomeUnknown => Unsent::OutcomeUnknown,
            Self::ForeignHost => Unsent::ForeignHost,
            Self::Draining => Unsent::Draining,
            _ => return None,
        })
    }
}

/// A request that is answered with a problem before its message is anybody's.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) kind: Kind,
    /// A sentence for whoever wrote the client. It holds nothing of the message.
    pub(super) detail: String,
    /// The methods that the path knows.
    pub(super) allow: Option<&'static str>,
}

impl Refused {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            allow: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_slug_of_its_own_as_serde_writes_it() {
        let mut seen = std::collections::HashSet::new();
        for kind in Kind::ALL {
            assert!(seen.insert(kind.slug()), "{} is there twice", kind.slug());
            let written = serde_json::to_value(kind).unwrap();
            assert_eq!(written.as_str(), Some(kind.slug()));
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
        }
    }
}
