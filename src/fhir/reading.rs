//! Where rows and conditions read: places, and resources by name.

use super::condition::Condition;
use super::engine::{Engine, Here};
use super::message::Span;
use super::place::Place;

impl Engine<'_, '_, '_> {
    /// The values at a place.
    pub(super) fn at(&self, place: Place, here: Here) -> Vec<Span> {
        match place {
            Place::Value { part, of_part } => {
                let value = here.value;
                let span = value.and_then(|span| self.message.down(span, part, of_part));
                span.into_iter().collect()
            }
            Place::Segment { id, .. } => match self.nearest(id, here) {
                Some(number) => self.message.at(self.message.segment(number), place),
                None => Vec::new(),
            },
        }
    }

    fn nearest(&self, id: [u8; 3], here: Here) -> Option<usize> {
        if self.message.segment(here.segment).id() == id {
            return Some(here.segment);
        }
        let mut scope = Some(here.scope);
        while let Some(number) = scope {
            let around = self.scopes.get(number)?;
            // Two are there where a map has a place for each: RXR of what was asked for, then of what is given, which counts.
            let found = around.segments.iter().rfind(|(_, own)| *own == id);
            if let Some((segment, _)) = found {
                return Some(*segment);
            }
            scope = around.parent;
        }
        None
    }

    /// The resource that is called so around a group.
    pub(super) fn named(&self, label: &str, scope: usize) -> Option<usize> {
        let mut scope = Some(scope);
        while let Some(around) = scope {
            if let Some(number) = self.names.get(&(around, label)) {
                return Some(*number);
            }
            scope = self.scopes.get(around)?.parent;
        }
        None
    }

    /// Whether a condition holds.
    pub(super) fn holds(&self, condition: &Condition, here: Here) -> bool {
        let valued = |place: &Place| {
            let spans = self.at(*place, here).into_iter();
            spans.filter(|span| self.message.valued(*span)).count()
        };
        let text = |place: &Place| {
            let first = self.at(*place, here).into_iter().next()?;
            Some(self.message.text(self.message.leaf(first)))
        };
        match condition {
            Condition::And(all) => all.iter().all(|one| self.holds(one, here)),
            Condition::Or(all) => all.iter().any(|one| self.holds(one, here)),
            Condition::Not(inner) => !self.holds(inner, here),
            Condition::Valued(place) => valued(place) > 0,
            Condition::Repeats(place) => valued(place) > 1,
            Condition::Longer(place, length) => {
                text(place).is_some_and(|text| text.chars().count() > *length)
            }
            Condition::In(place, words) => text(place).is_some_and(|text| words.contains(&text)),
        }
    }
}
