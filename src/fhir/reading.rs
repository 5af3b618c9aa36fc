//! Where rows and conditions read: places, and resources by name.

use super::condition::Condition;
use super::engine::{Engine, Here};
use super::message::Span;
use super::place::Place;
use super::work;
use std::collections::HashSet;

/// Bytes of a code, escapes included. The longest that a vocabulary has is a tenth of that.
const LONGEST_CODE: usize = 4096;

impl<'t> Engine<'t> {
    /// The values at a place, found one by one.
    pub(super) fn at(&self, place: Place, here: Here) -> impl Iterator<Item = Span> + use<'t> {
        let message = self.message;
        let (inside, segment) = match place {
            Place::Value { part, of_part } => {
                let value = here.value;
                let inside = value.and_then(|span| message.down(span, part, of_part));
                (inside, None)
            }
            Place::Segment { .. } => (None, self.segment_of(place, here)),
        };
        let of_segment = segment.map(|number| message.at(message.segment(number), place));
        inside.into_iter().chain(of_segment.into_iter().flatten())
    }

    /// Whether there is as much as a delimiter at a place.
    pub(super) fn has_bytes(&self, place: Place, here: Here) -> bool {
        match place {
            Place::Value { part, of_part } => {
                let inside = here
                    .value
                    .and_then(|span| self.message.down(span, part, of_part));
                inside.is_some_and(|span| span.start < span.end)
            }
            Place::Segment { field, .. } => {
                let segment = self.segment_of(place, here);
                let segment = segment.map(|number| self.message.segment(number));
                let value = segment.and_then(|segment| segment.field(usize::from(field)));
                value.is_some_and(|value| !value.is_empty())
            }
        }
    }

    /// The segment that a place is in; none for one in the value at hand.
    pub(super) fn segment_of(&self, place: Place, here: Here) -> Option<usize> {
        match place {
            Place::Segment { id, .. } => self.nearest(id, here),
            Place::Value { .. } => None,
        }
    }

    fn nearest(&self, id: [u8; 3], here: Here) -> Option<usize> {
        if self.message.segment(here.segment).id() == id {
            return Some(here.segment);
        }
        let mut scope = Some(here.scope);
        while let Some(number) = scope {
            let around = self.scopes.get(number)?;
            work::done(1 + around.segments.len());
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
            work::done(1);
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
            let spans = self.at(*place, here);
            spans.filter(|span| self.message.valued(*span))
        };
        let leaf = |place: &Place| {
            let first = self.at(*place, here).next();
            first.map(|span| self.message.leaf(span))
        };
        let text = |leaf| self.message.text(leaf);
        // No code is a book, and one that each of many segments is compared with would be read for each.
        let code = |place: &Place| {
            leaf(place)
                .filter(|leaf| leaf.len() <= LONGEST_CODE)
                .map(text)
        };
        match condition {
            Condition::And(all) => all.iter().all(|one| self.holds(one, here)),
            Condition::Or(all) => all.iter().any(|one| self.holds(one, here)),
            Condition::Not(inner) => !self.holds(inner, here),
            Condition::Valued(place) => valued(place).next().is_some(),
            Condition::Repeats(place) => valued(place).nth(1).is_some(),
            Condition::Several(place) => {
                let all = self.at(*place, here);
                let all = all.filter(|span| self.message.valued(*span));
                let kind = |span| {
                    [4, 5].map(|part| {
                        self.message
                            .down(span, part, 0)
                            .map(|at| self.message.raw(at))
                            .filter(|raw| !raw.is_empty())
                    })
                };
                let (mut typed, mut untyped) = (HashSet::new(), HashSet::new());
                let mut known = HashSet::new();
                all.map(kind).any(|[authority, kind]| {
                    let first = known.insert(authority);
                    // A number without a type may be of any.
                    match kind {
                        None => {
                            untyped.insert(authority);
                            !first
                        }
                        Some(kind) => {
                            untyped.contains(&authority) || !typed.insert((authority, kind))
                        }
                    }
                })
            }
            Condition::Longer(place, length) => {
                leaf(place).is_some_and(|leaf| text(leaf).chars().count() > *length)
            }
            Condition::In(place, words) => {
                code(place).is_some_and(|text| words.iter().any(|word| *word == text))
            }
            Condition::Known(place, vocabulary) => {
                let vocabulary = &self.program.vocabularies[*vocabulary];
                code(place).is_some_and(|text| vocabulary.get(&text).is_some())
            }
        }
    }
}
