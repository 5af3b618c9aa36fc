//! The table that turns what HTTP said into what HL7 will say: `docs/http-status.md`, per listener.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an HTTP outcome means for the message. The names are HL7's answers without their mode:
/// original mode writes AA, AE, AR; enhanced mode CA, CE, CR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Verdict {
    /// The app has taken the message.
    Accept,
    /// The message's content is at fault.
    Error,
    /// The message is of a kind that is not taken here.
    Reject,
    /// Nothing is settled: retried until the ACK deadline.
    Unavailable,
}

/// One row: the verdict, and the condition that ERR-3 carries (table 0357).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Verdict.
    pub verdict: Verdict,
    /// HL7 table 0357.
    pub condition: u16,
}

/// Whether HL7 table 0357 has this code for something that is wrong.
pub fn is_fault_condition(code: u16) -> bool {
    matches!(code, 100..=104 | 198..=207)
}

/// HTTP status to [`Answer`], total: every status has a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusTable {
    /// Rows for single statuses; they win over classes. Sorted by status.
    exact: Vec<(u16, Answer)>,
    /// Rows for the classes 1xx to 5xx.
    class: [Answer; 5],
}

const fn answer(verdict: Verdict, condition: u16) -> Answer {
    Answer { verdict, condition }
}

impl Default for StatusTable {
    fn default() -> Self {
        use Verdict::{Accept, Error, Reject, Unavailable};
        let mut table = Self {
            exact: Vec::new(),
            class: [
                // 1xx never ends an exchange; an app that stops there has not answered.
                answer(Unavailable, 207),
                answer(Accept, 0),
                // Redirects are not followed: the address is a configuration error.
                answer(Error, 207),
                answer(Error, 207),
                answer(Error, 207),
            ],
        };
        for (statuses, row) in [
            (&[400, 422][..], answer(Error, 102)),
            (&[409], answer(Error, 205)),
            (&[404, 405, 415, 501], answer(Reject, 200)),
            (&[401, 403], answer(Reject, 207)),
            (&[413], answer(Reject, 104)),
            (&[408, 429, 503, 504], answer(Unavailable, 207)),
        ] {
            for &status in statuses {
                table.set(status, row);
            }
        }
        table
    }
}

impl StatusTable {
    /// The defaults for a FHIR server. Three rows differ.
    ///
    /// A bundle asks for no version, so that 409 can only mean that somebody else wrote at the same time: once more, and it is well.
    /// 412 means that a condition (`PUT Patient?identifier=…`) matches several resources: which one is meant, the message cannot say.
    /// 502 is what a proxy says of a server that starts anew; what it was sent twice is stored once.
    pub fn fhir() -> Self {
        let mut table = Self::default();
        table.set(409, answer(Verdict::Unavailable, 207));
        table.set(412, answer(Verdict::Error, 204));
        table.set(502, answer(Verdict::Unavailable, 207));
        table
    }

    /// The row for a status.
    pub fn get(&self, status: u16) -> Answer {
        match self.exact.binary_search_by_key(&status, |row| row.0) {
            Ok(at) => self.exact[at].1,
            Err(_) => self.class[usize::from(status / 100).clamp(1, 5) - 1],
        }
    }

    /// Replaces the row for one status.
    pub fn set(&mut self, status: u16, row: Answer) {
        match self.exact.binary_search_by_key(&status, |row| row.0) {
            Ok(at) => self.exact[at].1 = row,
            Err(at) => self.exact.insert(at, (status, row)),
        }
    }

    /// Replaces the row for a class, 1 for 1xx to 5 for 5xx; rows for single statuses keep their own.
    pub fn set_class(&mut self, class: u8, row: Answer) {
        self.class[usize::from(class).clamp(1, 5) - 1] = row;
    }

    /// Every row, for `check`: single statuses first, then the classes.
    pub fn rows(&self) -> impl Iterator<Item = (String, Answer)> + '_ {
        let exact = self
            .exact
            .iter()
            .map(|(status, row)| (status.to_string(), *row));
        let class = self
            .class
            .iter()
            .enumerate()
            .map(|(at, row)| (format!("{}xx", at + 1), *row));
        exact.chain(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_status_wins_over_its_class() {
        let mut table = StatusTable::default();
        table.set_class(5, answer(Verdict::Unavailable, 207));
        table.set(500, answer(Verdict::Reject, 100));
        assert_eq!(table.get(500), answer(Verdict::Reject, 100));
        assert_eq!(table.get(502), answer(Verdict::Unavailable, 207));
        assert_eq!(table.get(201), answer(Verdict::Accept, 0));
        assert_eq!(
            table.get(700),
            answer(Verdict::Unavailable, 207),
            "outside 1xx to 5xx: the nearest class"
        );
    }
}
