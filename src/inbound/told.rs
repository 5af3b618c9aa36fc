//! From an outcome to what the sender is told.

use super::admit;
use crate::config::Unavailable;
use crate::deliver::{Answer, Failure, Outcome, Rejection};
use crate::hl7::ack::{Fault, Verdict};
use crate::telemetry::labels::{Outcome as Label, Refusal};

/// What the sender is told.
#[derive(Debug)]
pub struct Told {
    /// For the metrics.
    pub outcome: Label,
    /// Becomes MSA-1.
    pub verdict: Verdict,
    /// Become ERR segments.
    pub faults: Vec<Fault>,
    /// MSA-3.
    pub text: Option<String>,
    /// The app's own acknowledgement, to be sent as it is.
    pub own: Option<Vec<u8>>,
}

/// The one place where an outcome becomes a verdict: only `Accepted` becomes a positive one.
pub fn settle(outcome: Outcome, unavailable: Unavailable) -> Option<Told> {
    Some(match outcome {
        Outcome::Accepted(Answer { own, text }) => Told {
            outcome: Label::Accepted,
            verdict: Verdict::Accepted,
            faults: Vec::new(),
            text,
            own,
        },
        Outcome::Rejected(Rejection {
            unsupported,
            faults,
            own,
            ..
        }) => {
            let verdict = if unsupported {
                Verdict::Rejected
            } else {
                Verdict::Error
            };
            Told {
                outcome: Label::Rejected,
                verdict,
                faults,
                text: None,
                own,
            }
        }
        Outcome::Unavailable(Failure { faults, .. }) => {
            let verdict = match unavailable {
                Unavailable::Error => Verdict::Error,
                Unavailable::Reject => Verdict::Rejected,
                Unavailable::Close => return None,
            };
            Told {
                outcome: Label::Unavailable,
                verdict,
                faults,
                text: None,
                own: None,
            }
        }
    })
}

/// What the sender of a message is told that the app was not asked about.
pub fn refused(reason: Refusal) -> Told {
    let (verdict, fault) = admit::answer(reason);
    Told {
        outcome: Label::Rejected,
        verdict,
        faults: vec![fault],
        text: None,
        own: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::labels::{Attempt, Label as _};

    fn verdict(outcome: Outcome, unavailable: Unavailable) -> Option<Verdict> {
        settle(outcome, unavailable).map(|told| told.verdict)
    }

    #[test]
    fn only_accepted_is_told_as_accepted() {
        let settings = [Unavailable::Error, Unavailable::Reject, Unavailable::Close];
        for (setting, away) in
            settings
                .into_iter()
                .zip([Some(Verdict::Error), Some(Verdict::Rejected), None])
        {
            let accepted = Outcome::Accepted(Answer::default());
            assert_eq!(verdict(accepted, setting), Some(Verdict::Accepted));
            for (unsupported, expected) in [(false, Verdict::Error), (true, Verdict::Rejected)] {
                let rejection = Rejection {
                    unsupported,
                    faults: Vec::new(),
                    own: None,
                    status: 422,
                };
                assert_eq!(
                    verdict(Outcome::Rejected(rejection), setting),
                    Some(expected)
                );
            }
            let failure = Failure {
                reason: Attempt::Refused,
                status: None,
                faults: Vec::new(),
                attempts: 1,
            };
            assert_eq!(verdict(Outcome::Unavailable(failure), setting), away);
        }
        for reason in Refusal::ALL {
            assert_ne!(refused(*reason).verdict, Verdict::Accepted, "{reason:?}");
        }
    }
}
