//! Which acknowledgements a message asks for: MSH-15 and MSH-16 (chapter 2, *Message processing rules*; table 0155).
//!
//! | MSH-15 and MSH-16 | mode | answered by |
//! | --- | --- | --- |
//! | both empty | original | one application acknowledgement: AA, AE, AR |
//! | one or both set | enhanced | an accept acknowledgement (CA, CE, CR) where MSH-15 wants it, and later an application acknowledgement where MSH-16 does |

use super::{Header, Index};
use crate::telemetry::labels::Deviation;

/// When an acknowledgement is wanted (table 0155).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// `AL`.
    Always,
    /// `NE`.
    Never,
    /// `ER`: for errors and rejects only.
    OnError,
    /// `SU`: for success only.
    OnSuccess,
}

impl Condition {
    fn parse(field: &[u8]) -> Option<Self> {
        let field = field.trim_ascii();
        let is = |code: &[u8]| field.eq_ignore_ascii_case(code);
        if is(b"AL") {
            Some(Self::Always)
        } else if is(b"NE") {
            Some(Self::Never)
        } else if is(b"ER") {
            Some(Self::OnError)
        } else if is(b"SU") {
            Some(Self::OnSuccess)
        } else {
            None
        }
    }

    /// Whether an acknowledgement of this kind is wanted.
    pub fn holds(self, positive: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::OnError => !positive,
            Self::OnSuccess => positive,
        }
    }
}

/// How a message wants to be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By one application acknowledgement.
    Original,
    /// By up to two acknowledgements.
    Enhanced {
        /// MSH-15, for CA, CE, CR.
        accept: Condition,
        /// MSH-16, for AA, AE, AR.
        application: Condition,
    },
    /// By one at most, which is v3's way: what the application itself answers, and otherwise an accept acknowledgement where it is
    /// wanted (`acceptAckCode`).
    Once(Condition),
}

impl Mode {
    /// What MSH-15 and MSH-16 of a message ask for, and what is odd about them: a value that is not in table 0155 counts as
    /// absent, and where one of the two is absent it reads as `NE`.
    pub fn of(header: &Header<'_>) -> (Self, Option<Deviation>) {
        Self::asked([header.field(15), header.field(16)])
    }

    /// What values of MSH-15 and MSH-16 ask for, as [`of`](Self::of).
    pub fn asked(fields: [&[u8]; 2]) -> (Self, Option<Deviation>) {
        if fields == [b"", b""] {
            return (Self::Original, None);
        }
        let conditions = fields.map(Condition::parse);
        let unknown = fields
            .iter()
            .zip(&conditions)
            .any(|(field, condition)| !field.trim_ascii().is_empty() && condition.is_none());
        let mode = match conditions {
            [None, None] => Self::Original,
            [accept, application] => Self::Enhanced {
                accept: accept.unwrap_or(Condition::Never),
                application: application.unwrap_or(Condition::Never),
            },
        };
        let deviation = match conditions {
            _ if unknown => Some(Deviation::AckCondition),
            [None, Some(_)] | [Some(_), None] => Some(Deviation::HalfEnhanced),
            _ => None,
        };
        (mode, deviation)
    }
}

/// Whether a message is an accept acknowledgement, which is never answered: `ACK` or `MCF` in MSH-9, and CA, CE or CR in MSA-1.
pub fn is_accept_ack(message: &[u8], header: &Header<'_>) -> bool {
    if !matches!(header.component(9, 1), b"ACK" | b"MCF") {
        return false;
    }
    let index = Index::new(message, header);
    let code = index.first(b"MSA").and_then(|msa| msa.field(1));
    matches!(code, Some(b"CA" | b"CE" | b"CR"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hl7::{Payload, peek};
    use Condition::{Always, Never, OnError, OnSuccess};

    fn mode(accept: &str, application: &str) -> (Mode, Option<Deviation>) {
        let message = format!("MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5|||{accept}|{application}\r");
        let Payload::V2(header) = peek(message.as_bytes()) else {
            panic!("{message}")
        };
        Mode::of(&header)
    }

    #[test]
    fn an_accept_acknowledgement_is_known_by_its_type_and_code() {
        let is = |kind: &str, segments: &str| {
            let message = format!("MSH|^~\\&|A|B|C|D|2026||{kind}|7|P|2.5\r{segments}");
            let Payload::V2(header) = peek(message.as_bytes()) else {
                panic!("{message}")
            };
            is_accept_ack(message.as_bytes(), &header)
        };
        assert!(is("ACK^A01^ACK", "MSA|CA|1\r") && is("MCF", "MSA|CR|1\r"));
        assert!(!is("ACK", "MSA|AA|1\r") && !is("ACK", "") && !is("RSP^K22", "MSA|CA|1\r"));
    }

    #[test]
    fn table_0155() {
        let conditions = [
            ("AL", Always),
            ("NE", Never),
            ("ER", OnError),
            ("SU", OnSuccess),
        ];
        for (first, accept) in conditions {
            for (second, application) in conditions {
                let enhanced = Mode::Enhanced {
                    accept,
                    application,
                };
                assert_eq!(mode(first, second), (enhanced, None));
            }
        }
        for (condition, success, error) in [
            (Always, true, true),
            (Never, false, false),
            (OnError, false, true),
            (OnSuccess, true, false),
        ] {
            let holds = (condition.holds(true), condition.holds(false));
            assert_eq!(holds, (success, error), "{condition:?}");
        }
    }

    #[test]
    fn what_is_missing_reads_as_never_and_what_is_unknown_as_missing() {
        let enhanced = |accept, application| Mode::Enhanced {
            accept,
            application,
        };
        let half = Some(Deviation::HalfEnhanced);
        let unknown = Some(Deviation::AckCondition);
        for (first, second, expected) in [
            ("", "", (Mode::Original, None)),
            ("AL", "", (enhanced(Always, Never), half)),
            ("", "ER", (enhanced(Never, OnError), half)),
            (" al ", "ne", (enhanced(Always, Never), None)),
            ("AL", " ", (enhanced(Always, Never), half)),
            ("AL", "Y", (enhanced(Always, Never), unknown)),
            ("\"\"", "", (Mode::Original, unknown)),
            ("Y", "N", (Mode::Original, unknown)),
            (" ", "", (Mode::Original, None)),
        ] {
            assert_eq!(mode(first, second), expected, "{first:?} {second:?}");
        }
    }
}
