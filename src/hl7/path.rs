//! Places in a message as people write them: `PID-3.1`, `PID.3[2].4.2`, `OBX[3]-5`.

use hl7_parser::query::LocationQuery;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A place: segment, field, repetition, component, subcomponent, all numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Segment ID.
    pub segment: String,
    /// Which of the segments with that ID.
    pub occurrence: usize,
    /// Field.
    pub field: Option<usize>,
    /// Repetition of the field.
    pub repetition: Option<usize>,
    /// Component.
    pub component: Option<usize>,
    /// Subcomponent.
    pub subcomponent: Option<usize>,
}

/// Text that is not a path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a place in a message; write one as PID-3, PID-3.1 or PID.3[2].4.1")]
pub struct BadPath;

impl FromStr for Path {
    type Err = BadPath;

    /// The syntax is `hl7-parser`'s, and the hyphen that the standard writes before a field's number is taken too.
    fn from_str(text: &str) -> Result<Self, BadPath> {
        // The parser stops at what it does not know and calls that success.
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '[' | ']');
        if !text.chars().all(known) || text.matches('-').count() > 1 {
            return Err(BadPath);
        }
        let query: LocationQuery = text.replacen('-', ".", 1).parse().map_err(|_| BadPath)?;
        let numbers = [
            query.segment_index,
            query.field,
            query.repeat,
            query.component,
            query.subcomponent,
        ];
        let read = numbers.iter().flatten().count();
        let written = text
            .get(3..)
            .unwrap_or_default()
            .split(['.', '-', '[', ']']);
        let written = written.filter(|piece| !piece.is_empty()).count();
        let dangling = text.ends_with(['.', '-', '[']);
        if query.segment.len() != 3 || numbers.contains(&Some(0)) || read != written || dangling {
            return Err(BadPath);
        }
        Ok(Self {
            segment: query.segment,
            occurrence: query.segment_index.unwrap_or(1),
            field: query.field,
            repetition: query.repeat,
            component: query.component,
            subcomponent: query.subcomponent,
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segment)?;
        if self.occurrence > 1 {
            write!(f, "[{}]", self.occurrence)?;
        }
        let Some(field) = self.field else {
            return Ok(());
        };
        write!(f, "-{field}")?;
        if let Some(repetition) = self.repetition {
            write!(f, "[{repetition}]")?;
        }
        for level in [self.component, self.subcomponent].into_iter().flatten() {
            write!(f, ".{level}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read_and_the_standards_is_written() {
        for (text, written) in [
            ("PID", "PID"),
            ("PID-3", "PID-3"),
            ("PID.3.1", "PID-3.1"),
            ("PID-3[2].4.1", "PID-3[2].4.1"),
            ("OBX[3].5", "OBX[3]-5"),
        ] {
            assert_eq!(text.parse::<Path>().unwrap().to_string(), written, "{text}");
        }
        for bad in [
            "",
            "3",
            "PID-",
            "PID-0",
            "PID-3-1",
            "PID 3",
            "PIDX.3",
            "PID.3.1.2.4",
            "/entry/0",
            "PID-x",
        ] {
            assert!(bad.parse::<Path>().is_err(), "{bad}");
        }
    }
}
