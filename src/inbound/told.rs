//! From an outcome to what the sender is told.

use super::admit;
use crate::config::{ApplicationAck, Framing, FramingKind, Unavailable};
use crate::deliver::{Answer, Failure, Outcome, Own, Rejection};
use crate::envelope::Head;
use crate::hl7::Mode;
use crate::hl7::ack::{Fault, Kind, Verdict};
use crate::telemetry::labels::{AckLabel, Outcome as Label, Refusal};
use std::ops::Range;

/// An acknowledgement in its block.
#[derive(Debug)]
pub struct Written {
    /// Where it is in the scratch's `ack`.
    pub block: Range<usize>,
    /// Its MSA-1.
    pub code: AckLabel,
}

/// What the sender is told. `Debug` prints no text: an app may have put anything into it.
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
    pub own: Option<Own>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Told")
            .field("outcome", &self.outcome)
            .field("verdict", &self.verdict)
            .field("faults", &self.faults.len())
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl Told {
    /// Which acknowledgements are sent, in this order: the table of docs/acknowledgements.md.
    pub fn kinds(&self, mode: Mode, policy: ApplicationAck) -> [Option<Kind>; 2] {
        let positive = self.verdict == Verdict::Accepted;
        let (accept, application) = match mode {
            Mode::Original => return [Some(Kind::Original), None],
            Mode::Once(accept) => {
                let own = self.own.as_ref().map(|own| own.kind);
                return [own.or(accept.holds(positive).then_some(Kind::Accept)), None];
            }
            Mode::Enhanced {
                accept,
                application,
            } => (accept, application),
        };
        let accept = accept.holds(positive);
        // Who has been told that a message was not taken waits for no more. An app that answers with an accept acknowledgement
        // of its own says what it thinks of the message later, and elsewhere.
        let over = accept && !positive;
        // An acknowledgement is not acknowledged by another one of its kind.
        let over = over || self.outcome == Label::Answer;
        let own = self.own.as_ref();
        let later = positive && own.is_some_and(|own| own.kind == Kind::Accept);
        let application =
            application.holds(positive) && policy == ApplicationAck::Connection && !over && !later;
        [
            accept.then_some(Kind::Accept),
            application.then_some(Kind::Application),
        ]
    }

    /// Whether the message is committed where a commit block says so (MLLP Release 2): the app has it, or has said no, and an
    /// acknowledgement behind the commit block says that. Who is told nothing more would take a lone commit block for a yes.
    pub fn commits(&self, kinds: [Option<Kind>; 2]) -> bool {
        match self.outcome {
            Label::Accepted | Label::Duplicate | Label::Answer => self.verdict == Verdict::Accepted,
            Label::Rejected | Label::Link => kinds != [None, None],
            Label::Unavailable | Label::Failed => false,
        }
    }

    /// Whether only the end of the connection can say no: a document that has no answer, where the transport has none either.
    pub fn closes(&self, head: &Head<'_>, framing: Framing) -> bool {
        let refused = self.verdict != Verdict::Accepted;
        refused && !head.is_answered() && framing.kind != FramingKind::Mllp2
    }

    /// Why nothing is sent at all.
    pub fn silence(&self, mode: Mode) -> AckLabel {
        let positive = self.verdict == Verdict::Accepted;
        match mode {
            Mode::Enhanced { application, .. } if application.holds(positive) => {
                AckLabel::Suppressed
            }
            _ => AckLabel::Unwanted,
        }
    }

    /// What the app itself wrote for an acknowledgement of this kind. In original mode there is but one, whatever its code.
    pub fn own(&self, kind: Kind) -> Option<&Own> {
        let own = self.own.as_ref();
        own.filter(|own| kind == Kind::Original || own.kind == kind)
    }
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
        Outcome::Refused(reason, fault) => {
            let (verdict, Fault { condition, .. }) = admit::answer(reason);
            Told {
                outcome: Label::Rejected,
                verdict,
                faults: vec![Fault { condition, ..fault }],
                text: None,
                own: None,
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

/// What is told of a message about the link itself (MSH-13 is 0 or -1): it has no content that an app could accept, and the answer is
/// its MSA-4.
pub fn linked() -> Told {
    Told {
        outcome: Label::Link,
        verdict: Verdict::Accepted,
        faults: Vec::new(),
        text: None,
        own: None,
    }
}

/// What is told of an answer to a message that was sent to a destination, once whoever sent that has it.
pub fn answering() -> Told {
    Told {
        outcome: Label::Answer,
        ..linked()
    }
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
    use crate::hl7::mode::Condition;
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
            let told = refused(*reason);
            assert_ne!(told.verdict, Verdict::Accepted, "{reason:?}");
            let outcome = Outcome::Refused(*reason, Fault::application("in this message"));
            let settled = settle(outcome, Unavailable::Close).unwrap();
            assert_eq!(settled.verdict, told.verdict, "{reason:?}");
            assert_eq!(settled.faults[0].condition, told.faults[0].condition);
            assert_eq!(settled.faults[0].text, "in this message");
        }
    }

    /// Every pair of conditions, with each verdict: `C` stands for an accept acknowledgement, `A` for an application's.
    #[test]
    fn what_is_answered_to_whom() {
        use Condition::{Always, Never, OnError, OnSuccess};
        let kinds = |verdict, accept, application, policy| {
            let told = Told {
                outcome: Label::Accepted,
                verdict,
                faults: Vec::new(),
                text: None,
                own: None,
            };
            let mode = Mode::Enhanced {
                accept,
                application,
            };
            let letters = told.kinds(mode, policy).map(|kind| match kind {
                Some(Kind::Accept) => "C",
                Some(Kind::Application) => "A",
                Some(Kind::Original) => "original",
                None => "",
            });
            letters.concat()
        };
        let conditions = [Always, Never, OnError, OnSuccess];
        // In the order of `conditions`, MSH-16 across.
        let accepted = [
            ["CA", "C", "C", "CA"],
            ["A", "", "", "A"],
            ["A", "", "", "A"],
            ["CA", "C", "C", "CA"],
        ];
        let refused = [
            ["C", "C", "C", "C"],
            ["A", "", "A", ""],
            ["C", "C", "C", "C"],
            ["A", "", "A", ""],
        ];
        for (row, accept) in conditions.into_iter().enumerate() {
            for (column, application) in conditions.into_iter().enumerate() {
                for (verdict, table) in [
                    (Verdict::Accepted, accepted),
                    (Verdict::Error, refused),
                    (Verdict::Rejected, refused),
                ] {
                    let place = format!("{verdict:?} {accept:?} {application:?}");
                    let sent = kinds(verdict, accept, application, ApplicationAck::Connection);
                    assert_eq!(sent, table[row][column], "{place}");
                    let sent = kinds(verdict, accept, application, ApplicationAck::Suppressed);
                    assert_eq!(sent, table[row][column].replace('A', ""), "{place}");
                }
            }
        }
    }

    /// v3: one answer, the app's where it gave one.
    #[test]
    fn what_is_answered_once() {
        let conditions = [Condition::Always, Condition::OnError, Condition::Never];
        for (verdict, expected) in [
            (Verdict::Accepted, [true, false, false]),
            (Verdict::Error, [true, true, false]),
            (Verdict::Rejected, [true, true, false]),
        ] {
            for (accept, expected) in conditions.into_iter().zip(expected) {
                let mut told = Told {
                    outcome: Label::Accepted,
                    verdict,
                    faults: Vec::new(),
                    text: None,
                    own: None,
                };
                let kinds =
                    |told: &Told| told.kinds(Mode::Once(accept), ApplicationAck::Suppressed);
                let made = expected.then_some(Kind::Accept);
                assert_eq!(kinds(&told), [made, None], "{verdict:?} {accept:?}");
                for kind in [Kind::Accept, Kind::Application] {
                    let bytes = Vec::new();
                    told.own = Some(Own { bytes, kind });
                    assert_eq!(kinds(&told), [Some(kind), None], "{verdict:?} {accept:?}");
                    assert!(told.own(kind).is_some());
                }
            }
        }
    }

    /// MLLP Release 2: a commit block that nothing follows is a yes, so that it is written for a yes only.
    #[test]
    fn a_lone_commit_block_comes_only_from_an_app_that_has_accepted() {
        let accepted = Outcome::Accepted(Answer {
            own: None,
            text: None,
        });
        let rejected = Outcome::Rejected(Rejection {
            unsupported: false,
            faults: Vec::new(),
            own: None,
            status: 422,
        });
        let unavailable = Outcome::Unavailable(Failure {
            reason: Attempt::Refused,
            status: None,
            faults: Vec::new(),
            attempts: 1,
        });
        let lone = [None, None];
        let told = [Some(Kind::Accept), None];
        for (outcome, with_answer, without) in [
            (accepted, true, true),
            (rejected, true, false),
            (unavailable, false, false),
        ] {
            let what = format!("{outcome:?}");
            let settled = settle(outcome, Unavailable::Reject).unwrap();
            assert_eq!(settled.commits(told), with_answer, "{what}");
            assert_eq!(settled.commits(lone), without, "{what}");
        }
        for reason in Refusal::ALL {
            assert!(!refused(*reason).commits(lone), "{reason:?}");
        }
    }

    #[test]
    fn an_app_that_accepts_by_itself_answers_later_by_itself() {
        let mode = Mode::Enhanced {
            accept: Condition::Always,
            application: Condition::Always,
        };
        for (kind, expected) in [
            (Kind::Accept, [Some(Kind::Accept), None]),
            (
                Kind::Application,
                [Some(Kind::Accept), Some(Kind::Application)],
            ),
        ] {
            let own = Some(Own {
                bytes: Vec::new(),
                kind,
            });
            let outcome = Outcome::Accepted(Answer { own, text: None });
            let told = settle(outcome, Unavailable::Error).unwrap();
            assert_eq!(told.kinds(mode, ApplicationAck::Connection), expected);
            for one in [Kind::Accept, Kind::Application] {
                assert_eq!(told.own(one).is_some(), one == kind, "{one:?}");
            }
            assert!(told.own(Kind::Original).is_some());
        }
    }

    /// It has said all that it will: what MSH-15 does not want to hear, MSH-16 may.
    #[test]
    fn an_app_that_refuses_with_an_accept_acknowledgement_does_not_silence_the_other() {
        let rejection = Rejection {
            unsupported: false,
            faults: Vec::new(),
            own: Some(Own {
                bytes: Vec::new(),
                kind: Kind::Accept,
            }),
            status: 200,
        };
        let told = settle(Outcome::Rejected(rejection), Unavailable::Error).unwrap();
        for (accept, expected) in [
            (Condition::Never, [None, Some(Kind::Application)]),
            (Condition::Always, [Some(Kind::Accept), None]),
        ] {
            let mode = Mode::Enhanced {
                accept,
                application: Condition::OnError,
            };
            assert_eq!(told.kinds(mode, ApplicationAck::Connection), expected);
        }
        assert!(
            told.own(Kind::Application).is_none(),
            "the bridge's own words"
        );
    }
}
