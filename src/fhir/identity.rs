//! What identifies: which of a patient's identifiers is asked by, and the keys of resources.

use super::engine::{Engine, Here, identifies};
use super::message::Span;
use super::place::Place;
use super::program::{As, Block, Makers, Part, Table};
use super::raw::Request;
use super::structure::Placed;
use super::work;
use std::borrow::Cow;
use std::collections::HashSet;

/// Types of identifiers (v2-0203) that a family shares, that are made up where they are not known, or that are of a visit and not
/// of a patient: nobody is asked for by one.
pub(super) const SHARED: [&str; 11] = [
    "SS", "SB", "DL", "MB", "MC", "MA", "HC", "PN", "XX", "SN", "GI",
];

/// Behind all types that a vocabulary ranks.
const UNRANKED: u32 = 1000;

impl Engine<'_> {
    /// What identifies a resource of this map.
    pub(super) fn key(&mut self, block: &Block, here: Here) -> Vec<String> {
        let mut key = self.parts(&block.key, here);
        // What is a patient's is nobody's in particular without one, and would be the next one's too.
        let of_patient = |part: &Part| matches!(part.kind, As::Cx) && names_patient(part.place);
        let mut parts = block.key.iter().zip(&key);
        if parts.any(|(places, text)| text.is_empty() && places.iter().any(of_patient))
            && let Some(first) = key.first_mut()
        {
            first.clear();
        }
        key
    }

    /// Adds the names, with their group, of what this segment would only change where it is there, and which nothing that another message
    /// can have identifies.
    pub(super) fn unknown<'p>(
        &mut self,
        placed: &Placed<'p>,
        makers: &Table<Makers>,
        here: Here,
        unknown: &mut HashSet<(usize, &'p str)>,
    ) {
        let program = self.program;
        for used in placed.uses {
            let patches = used.request == Some(Request::Patch);
            if !patches || !program.blocks[used.block].keyed {
                continue;
            }
            let when = used.when.as_ref();
            let first = makers.get(&used.into).and_then(|all| all.blocks.first());
            if let Some(first) = first
                && when.is_none_or(|when| self.holds(when, here))
                && !identifies(&self.key(&program.blocks[*first], here))
            {
                unknown.insert((placed.scope, used.into.as_str()));
            }
        }
    }

    /// Whether what is called so from a group is one of these, and not another that is nearer.
    pub(super) fn is_of_unknown(
        &self,
        unknown: &HashSet<(usize, &str)>,
        name: &str,
        scope: usize,
    ) -> bool {
        let mut scope = Some(scope).filter(|_| !unknown.is_empty());
        while let Some(around) = scope {
            work::done(1);
            if unknown.contains(&(around, name)) {
                return true;
            }
            if self.names.contains_key(&(around, name)) {
                return false;
            }
            scope = self.scopes.get(around).and_then(|own| own.parent);
        }
        false
    }

    /// The values of these parts, empty where none of a part's places is valued.
    pub(super) fn parts(&mut self, parts: &[Vec<Part>], here: Here) -> Vec<String> {
        let first = |places: &Vec<Part>| {
            let found = places.iter().find_map(|part| self.part(part, here));
            let found = found.filter(|text| {
                self.budget.spend(text.len());
                !self.budget.is_spent()
            });
            found.unwrap_or_default()
        };
        parts.iter().map(first).collect()
    }

    fn part(&mut self, part: &Part, here: Here) -> Option<String> {
        let first = || self.at(part.place, here).next();
        let text = match part.kind {
            As::Text => first().map(|span| {
                let leaf = self.message.leaf(span);
                self.message.text(leaf).into_owned()
            }),
            As::Ei => first().and_then(|span| self.identifier(span, 1)),
            As::Cx => self.chosen(part.place, here),
        };
        let text = text.filter(|text| !text.is_empty())?;
        // Of an identifier the number is meant, whoever assigned it.
        let plain = match part.kind {
            As::Text => text.as_str(),
            As::Cx | As::Ei => text.rsplit('|').next().unwrap_or_default(),
        };
        if part.unless.iter().any(|other| other == plain) {
            return None;
        }
        Some(match &part.name {
            None => text,
            Some(name) => format!("{name}:{text}"),
        })
    }

    /// The best of the identifiers at a place. What is of the patient's many numbers is asked for with each segment that is the
    /// patient's, and so remembered.
    fn chosen(&mut self, place: Place, here: Here) -> Option<String> {
        let choose = |engine: &Self| {
            let best = engine.best(engine.at(place, here), names_patient(place));
            best.and_then(|span| engine.identifier(span, 3))
        };
        let Some(segment) = self.segment_of(place, here) else {
            return choose(self);
        };
        if let Some(known) = self.chosen.get(&(segment, place)) {
            return known.clone();
        }
        let chosen = choose(self);
        self.chosen.insert((segment, place), chosen.clone());
        chosen
    }

    /// `system|value` as a search has it, or `|value` of one that names no system.
    fn identifier(&self, span: Span, before: u16) -> Option<String> {
        let value = self.message.down(span, 1, 0)?;
        let value = self.message.text(self.message.leaf(value));
        if value.is_empty() {
            return None;
        }
        let system = match before {
            1 => self.system(span, 1).0,
            _ => {
                // CX.4, or else the facility that assigned it (CX.6).
                let of = |part| {
                    let authority = self.message.down(span, part, 0);
                    authority.and_then(|authority| self.system(authority, 0).0)
                };
                of(before + 1).or_else(|| of(before + 3))
            }
        };
        Some(format!("{}|{value}", system.unwrap_or_default()))
    }

    /// The repetition to ask by: by its type (CX.5) in the order of the vocabulary `IdentifierChoice`, then the sender's own
    /// (CX.4 is MSH-4), then the first. Of a patient none of a type that others have too; a visit's number is of such a type.
    fn best(&self, spans: impl Iterator<Item = Span>, of_patient: bool) -> Option<Span> {
        let text = |span: Span, part, of_part| {
            let part = self.message.down(span, part, of_part);
            let part = part.filter(|part| self.message.valued(*part));
            part.map_or(Cow::Borrowed(""), |part| {
                self.message.text(self.message.leaf(part))
            })
        };
        let order = self.program.choice;
        let order = order.map(|number| &self.program.vocabularies[number].codes);
        let ranked = spans.filter_map(|span| {
            let kind = text(span, 5, 0).to_ascii_uppercase();
            let shared = SHARED.contains(&kind.as_str()) || text(span, 4, 1) == "USSSA";
            if text(span, 1, 0).is_empty() || of_patient && shared {
                return None;
            }
            let rank = order.and_then(|order| order.get(&kind));
            let rank = match rank.map(|coded| coded.code.as_str()) {
                Some("never") if of_patient => return None,
                rank => rank.and_then(|rank| rank.parse().ok()).unwrap_or(UNRANKED),
            };
            let own = self.facility.is_it(&text(span, 4, 1), &text(span, 4, 2));
            Some((rank, !own, span))
        });
        let best = ranked.min_by_key(|(rank, foreign, _)| (*rank, *foreign));
        best.map(|(_, _, span)| span)
    }
}

/// Whether a place has a patient's identifiers, and not an account's or a visit's.
fn names_patient(place: Place) -> bool {
    match place {
        Place::Segment { id, field, .. } => match &id {
            b"PID" => matches!(field, 2..=4 | 21),
            b"MRG" => matches!(field, 1 | 2 | 4),
            _ => false,
        },
        Place::Value { .. } => true,
    }
}

/// A key's part as it is written: places with `|` between them, of which the first that is valued counts.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read_part(
    text: &str,
    place: &dyn Fn(&str) -> Result<Place, String>,
) -> Result<Vec<Part>, String> {
    let one = |text: &str| {
        let (name, rest) = match text.split_once(':') {
            None => (None, text),
            Some((name, rest)) => (Some(name.trim().to_owned()), rest),
        };
        let (rest, kind) = match rest.trim().split_once(" as ") {
            None => (rest, As::Text),
            Some((rest, "CX")) => (rest, As::Cx),
            Some((rest, "EI")) => (rest, As::Ei),
            Some((_, other)) => {
                return Err(format!("a key is read `as CX` or `as EI`, not as {other}"));
            }
        };
        let mut words = rest.trim().split('!');
        let at = words.next().unwrap_or_default();
        Ok(Part {
            name,
            place: place(at.trim())?,
            kind,
            unless: words.map(str::to_owned).collect(),
        })
    };
    text.split('|').map(|text| one(text.trim())).collect()
}
