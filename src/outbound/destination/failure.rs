//! Why a message has no acknowledgement, and what of that can be told.

use super::super::error::{Error, Kind};
use crate::telemetry::labels::Sent;
use std::time::Duration;

/// Why a message has no acknowledgement.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// As many as may wait for a connection are waiting.
    #[error("{0} messages wait for a connection already")]
    QueueFull(usize),
    /// No connection became free.
    #[error("no connection became free in {0:?}")]
    QueueTimeout(Duration),
    /// No connection could be made a moment ago, and the next attempt is not due yet.
    #[error("the destination cannot be reached ({why}); it is tried again in {again:?}")]
    Away {
        /// What the last attempt met.
        why: &'static str,
        /// Until then.
        again: Duration,
    },
    /// What happened to it on its way.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Failure {
    /// For metrics.
    pub fn label(&self) -> Sent {
        match self {
            Self::QueueFull(_) => Sent::QueueFull,
            Self::QueueTimeout(_) => Sent::QueueTimeout,
            Self::Away { .. } => Sent::Unreachable,
            Self::Failed(error) => match error.kind() {
                Kind::Unreachable => Sent::Unreachable,
                Kind::Closed if !error.may_have_arrived() => Sent::Unreachable,
                Kind::Closed => Sent::ConnectionLost,
                Kind::Timeout if matches!(error, Error::NotCommitted { .. }) => {
                    Sent::RefusedByProtocol
                }
                Kind::Timeout => Sent::NoAnswer,
                Kind::Mismatch | Kind::BadAnswer => Sent::BadAnswer,
                Kind::Unframable => Sent::Unframable,
                Kind::Refused => Sent::RefusedByProtocol,
            },
        }
    }

    /// Whether the server may have got the message, or a part of it.
    pub fn may_have_arrived(&self) -> bool {
        matches!(self, Self::Failed(error) if error.may_have_arrived())
    }
}
