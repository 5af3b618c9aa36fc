//! How many answers a message gets: what MSH-15 and MSH-16 ask for, seen from the side that waits for them.

use super::answer::Code;
use crate::hl7::Mode;
use crate::hl7::mode::Condition;

/// Whether an answer is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// One must come: without it nobody knows what became of the message.
    Must,
    /// One comes only if something is wrong: silence means yes.
    May,
    /// None: there is nothing to wait for.
    Nothing,
}

/// Before anything has come.
pub fn first(mode: Mode) -> Next {
    let (accept, application) = match mode {
        Mode::Original => return Next::Must,
        // Whatever is wanted: an application may answer by itself, and a document that is not taken ends the connection.
        Mode::Once(Condition::Never) => return Next::May,
        Mode::Once(accept) => return wanted(accept),
        Mode::Enhanced {
            accept,
            application,
        } => (accept, application),
    };
    match (wanted(accept), wanted(application)) {
        (Next::Must, _) | (_, Next::Must) => Next::Must,
        (Next::May, _) | (_, Next::May) => Next::May,
        (Next::Nothing, Next::Nothing) => Next::Nothing,
    }
}

/// After an answer with this code. A server of original mode sends an application acknowledgement whatever it was asked for,
/// and nothing after it.
pub fn after(mode: Mode, code: Code) -> Next {
    match (mode, code) {
        (Mode::Enhanced { application, .. }, Code::Ca) => wanted(application),
        _ => Next::Nothing,
    }
}

/// What is waited for on the message's own connection where application acknowledgements come on another one, and what comes there.
pub fn apart(mode: Mode) -> (Mode, Next) {
    match mode {
        Mode::Enhanced {
            accept,
            application,
        } => {
            let here = Mode::Enhanced {
                accept,
                application: Condition::Never,
            };
            (here, wanted(application))
        }
        Mode::Original | Mode::Once(_) => (mode, Next::Nothing),
    }
}

/// Where only success is told, silence is a failure that must be noticed; where only errors are, it is a success.
fn wanted(condition: Condition) -> Next {
    match condition {
        Condition::Always | Condition::OnSuccess => Next::Must,
        Condition::OnError => Next::May,
        Condition::Never => Next::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Condition::{Always, Never, OnError, OnSuccess};

    #[test]
    fn what_is_waited_for() {
        assert_eq!(first(Mode::Original), Next::Must);
        for (accept, expected) in [
            (Always, Next::Must),
            (OnError, Next::May),
            (Never, Next::May),
        ] {
            assert_eq!(first(Mode::Once(accept)), expected);
            assert_eq!(after(Mode::Once(accept), Code::Ca), Next::Nothing);
        }
        assert_eq!(after(Mode::Original, Code::Ca), Next::Nothing);
        for (accept, application, before, after_ca) in [
            (Always, Always, Next::Must, Next::Must),
            (Always, Never, Next::Must, Next::Nothing),
            (Always, OnError, Next::Must, Next::May),
            (Never, Always, Next::Must, Next::Must),
            (OnError, OnSuccess, Next::Must, Next::Must),
            (OnSuccess, Never, Next::Must, Next::Nothing),
            (OnError, Never, Next::May, Next::Nothing),
            (Never, OnError, Next::May, Next::May),
            (Never, Never, Next::Nothing, Next::Nothing),
        ] {
            let mode = Mode::Enhanced {
                accept,
                application,
            };
            assert_eq!(first(mode), before, "{mode:?}");
            assert_eq!(after(mode, Code::Ca), after_ca, "{mode:?}");
            for last in [Code::Aa, Code::Ae, Code::Ar, Code::Ce, Code::Cr] {
                assert_eq!(after(mode, last), Next::Nothing, "{mode:?} {last}");
            }
        }
    }
}
