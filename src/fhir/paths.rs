//! The paths of a message's values (`PID-3[2].4.1`), as people read them.

use super::message::{Level, Message, Span};
use super::work;
use std::collections::HashMap;

/// Where each value begins, and what leads there.
pub(super) struct Paths {
    /// Segments with how many of their ID came before.
    segments: Vec<(String, usize)>,
    /// In the order of the message.
    values: Vec<Value>,
}

/// A value. Of parts 0 stands for one that has no others beside it.
struct Value {
    start: u32,
    segment: u32,
    field: u32,
    repetition: u32,
    component: u32,
    subcomponent: u32,
}

impl Paths {
    /// Of all values of a message.
    pub(super) fn of(message: &Message<'_>) -> Self {
        let mut paths = Self {
            segments: Vec::with_capacity(message.segments().len()),
            values: Vec::new(),
        };
        let mut counts: HashMap<&[u8], usize> = HashMap::new();
        for (number, segment) in message.segments().enumerate() {
            let before = counts.entry(segment.id()).or_default();
            let id = String::from_utf8_lossy(segment.id()).into_owned();
            paths.segments.push((id, *before));
            *before += 1;
            for field in 1..=segment.last_field() {
                let all = || message.repetitions(segment, field);
                let one = all().nth(1).is_none();
                for (repetition, span) in all().enumerate() {
                    let value = Value {
                        start: span.start,
                        segment: number as u32,
                        field: field as u32,
                        repetition: if one { 0 } else { repetition as u32 + 1 },
                        component: 0,
                        subcomponent: 0,
                    };
                    paths.inside(message, span, value);
                }
            }
        }
        paths
    }

    /// The parts of a value, or itself.
    fn inside(&mut self, message: &Message<'_>, span: Span, value: Value) {
        work::done(1);
        if span.level == Level::Subcomponent {
            self.values.push(value);
            return;
        }
        let one = message.parts(span).nth(1).is_none();
        for (number, part) in message.parts(span).enumerate() {
            let number = if one { 0 } else { number as u32 + 1 };
            let (component, subcomponent) = match part.level {
                Level::Component => (number, 0),
                _ => (value.component, number),
            };
            let part_value = Value {
                start: part.start,
                component,
                subcomponent,
                ..value
            };
            self.inside(message, part, part_value);
        }
    }

    /// The path to a position.
    pub(super) fn of_position(&self, at: u32) -> String {
        let behind = self.values.partition_point(|value| value.start <= at);
        let Some(value) = behind.checked_sub(1).and_then(|one| self.values.get(one)) else {
            return String::new();
        };
        let (id, before) = &self.segments[value.segment as usize];
        let mut path = id.clone();
        if *before > 0 {
            path.push_str(&format!("[{}]", before + 1));
        }
        path.push_str(&format!("-{}", value.field));
        if value.repetition > 0 {
            path.push_str(&format!("[{}]", value.repetition));
        }
        for part in [value.component, value.subcomponent] {
            if part > 0 {
                path.push_str(&format!(".{part}"));
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hl7::{Payload, peek};

    #[test]
    fn a_position_has_its_path() {
        let text = "MSH|^~\\&|A|B\rPID|1||11^^^H&1.2&ISO~22||DOE^\"\"\rNTE|1||a&b\rNTE|2||^&\r";
        let Payload::V2(header) = peek(text.as_bytes()) else {
            panic!("no header")
        };
        let paths = Paths::of(&Message::new(text.as_bytes(), &header, true));
        for (word, path) in [
            ("A|", "MSH-3"),
            ("1.2", "PID-3[1].4.2"),
            ("22", "PID-3[2]"),
            ("DOE", "PID-5.1"),
            ("b\r", "NTE-3.2"),
            ("^&\r", "NTE[2]-3.1"),
            ("&\r", "NTE[2]-3.2.1"),
        ] {
            let at = text.find(word).unwrap() as u32;
            assert_eq!(paths.of_position(at), path, "{word}");
        }
    }
}
