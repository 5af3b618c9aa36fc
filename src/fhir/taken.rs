//! What rows have taken of the message, and whether the bundle has it in the end.
//!
//! On its way from a row to the bundle a value can still get lost: an object finds its place taken, a vocabulary's coding replaces
//! the message's, a rule of FHIR removes an element. So when all is done each value is looked for once more, by what its row made
//! of it, and what is nowhere counts as not taken.

use super::message::Span;
use super::primitive::Refused;
use super::tree::{Node, Object};
use super::work;
use foldhash::fast::RandomState;
use std::collections::HashSet;
use twox_hash::XxHash3_128;

/// A value that a row has taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// Where it is; one that was given back has no bytes.
    pub span: Span,
    /// The hash of what became of it; none where it only counts as read.
    what: Option<u128>,
}

impl Taken {
    /// Counts as read.
    pub(super) fn read(span: Span) -> Self {
        Self { span, what: None }
    }

    /// Became what has this hash.
    pub(super) fn became(span: Span, what: Option<u128>) -> Self {
        Self { span, what }
    }

    /// Whether it has not been given back.
    pub(super) fn stays(&self) -> bool {
        self.span.end > 0
    }

    /// Whether it became one of these, and has not been given back.
    pub(super) fn is_of(&self, values: &Values) -> bool {
        self.stays() && self.what.is_some_and(|what| values.contains(&what))
    }

    /// Whether there is something to be found of it, and it has not been given back.
    pub(super) fn became_something(&self) -> bool {
        self.stays() && self.what.is_some()
    }

    /// Gives it back; where it was.
    pub(super) fn give_back(&mut self) -> u32 {
        self.span.end = 0;
        self.span.start
    }
}

/// By which a value is found again; of texts and numbers only.
pub(super) fn hash(value: &Node<'_>) -> Option<u128> {
    match value {
        Node::Text(text) => Some(hash_of_text(text)),
        // A number is not found in a text of the same digits.
        Node::Number(digits) => Some(XxHash3_128::oneshot_with_seed(1, digits.as_bytes())),
        _ => None,
    }
}

/// What is in these, each by its hash.
pub(super) type Values = HashSet<u128, RandomState>;

/// All texts and numbers in these.
pub(super) fn values<'c, 't: 'c>(all: impl Iterator<Item = &'c Node<'t>>) -> Values {
    let mut found = Values::default();
    all.for_each(|value| collect(value, &mut found));
    found
}

/// The same of a text.
pub(super) fn hash_of_text(text: &str) -> u128 {
    XxHash3_128::oneshot(text.as_bytes())
}

fn collect(value: &Node<'_>, found: &mut Values) {
    work::done(1);
    match value {
        Node::List(items) => items.iter().for_each(|item| collect(item, found)),
        Node::Object(members) => members.values().for_each(|member| collect(member, found)),
        _ => found.extend(hash(value)),
    }
}

/// Gives back what none of these resources has, and none is asked for by; where each of it was, and why.
pub(super) fn give_back_what_is_nowhere<'c, 't: 'c>(
    used: &mut [Taken],
    resources: impl Iterator<Item = &'c Object<'t>>,
    asked: impl Iterator<Item = &'c str>,
) -> Vec<(u32, Refused)> {
    let mut there = values(resources.flat_map(Object::values));
    there.extend(asked.map(hash_of_text));
    used.iter_mut()
        .filter(|taken| taken.became_something() && !taken.is_of(&there))
        .map(|taken| (taken.give_back(), Refused::Taken))
        .collect()
}
