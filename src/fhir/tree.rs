//! The tree of a resource while it is made.
//!
//! Names are the program's, and a text is the message's or the program's own where it is as it stands there: next to nothing is copied
//! until the bundle is written. Members of an object are in the order in which they came, and few, so that looking through them is the
//! fastest way to one.

use super::asked::Asked;
use super::work;
use foldhash::fast::RandomState;
use serde_json::Value;
use std::borrow::Cow;
use std::hash::BuildHasher;

/// A value. Without `Debug`: it is the message's.
#[derive(Clone, PartialEq)]
pub(super) enum Node<'t> {
    /// Nothing: only in what a map gives itself.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A text.
    Text(Cow<'t, str>),
    /// A number in its own digits (`1.50`), which FHIR counts as meaning.
    Number(Cow<'t, str>),
    /// The address of a resource of the bundle, by its number.
    Address(usize),
    /// A list.
    List(Vec<Node<'t>>),
    /// An object.
    Object(Object<'t>),
}

/// Members by name.
#[derive(Clone, Default)]
pub(super) struct Object<'t> {
    members: Vec<(&'t str, Node<'t>)>,
    /// What it must have, which it may lose with a resource that it refers to.
    pub(super) require: Option<&'t Require>,
}

/// Of each of these it needs one.
pub(super) type Require = Vec<Vec<Asked>>;

impl<'t> Node<'t> {
    /// A text that is there already.
    pub(super) fn text(text: &'t str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// What a map gives itself.
    pub(super) fn constant(value: &'t Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(own) => Self::Bool(*own),
            Value::Number(number) => Self::Number(Cow::Owned(number.to_string())),
            Value::String(text) => Self::text(text),
            Value::Array(items) => Self::List(items.iter().map(Self::constant).collect()),
            Value::Object(members) => {
                let members = members.iter();
                let members = members.map(|(name, value)| (name.as_str(), Self::constant(value)));
                Self::Object(Object {
                    members: members.collect(),
                    require: None,
                })
            }
        }
    }

    /// Itself as a text.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Itself as an object.
    pub(super) fn as_object(&self) -> Option<&Object<'t>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn as_object_mut(&mut self) -> Option<&mut Object<'t>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    fn addresses(&self, found: &mut Vec<usize>) {
        work::done(1);
        match self {
            Self::Address(number) => found.push(*number),
            Self::List(items) => items.iter().for_each(|item| item.addresses(found)),
            Self::Object(object) => object.addresses(found),
            _ => {}
        }
    }

    /// The same for two that are equal.
    pub(super) fn hash(&self, state: &RandomState) -> u64 {
        match self {
            Self::Null => state.hash_one(0_u8),
            Self::Bool(own) => state.hash_one((1_u8, own)),
            Self::Text(text) => state.hash_one((2_u8, text)),
            Self::Number(digits) => state.hash_one((3_u8, digits)),
            Self::Address(number) => state.hash_one((4_u8, number)),
            Self::List(items) => items.iter().fold(state.hash_one(5_u8), |before, item| {
                state.hash_one((before, item.hash(state)))
            }),
            Self::Object(object) => object.hash(state),
        }
    }
}

impl<'t> Object<'t> {
    /// Whether it has no members.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many members it has.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// All members.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'t str, &Node<'t>)> {
        self.members.iter().map(|(name, value)| (*name, value))
    }

    /// Their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'t str> {
        self.members.iter().map(|(name, _)| *name)
    }

    /// Their values.
    pub(super) fn values(&self) -> impl Iterator<Item = &Node<'t>> {
        self.members.iter().map(|(_, value)| value)
    }

    /// Their values, to be changed.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Node<'t>> {
        self.members.iter_mut().map(|(_, value)| value)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|(own, _)| *own == name)
    }

    /// A member's value.
    pub(super) fn get(&self, name: &str) -> Option<&Node<'t>> {
        self.members
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Node<'t>> {
        self.members
            .iter_mut()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    /// Adds the resources that it refers to.
    pub(super) fn addresses(&self, found: &mut Vec<usize>) {
        self.values().for_each(|value| value.addresses(found));
    }

    /// A member's text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_text()
    }

    /// Whether it has a member of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// Sets a member.
    pub(super) fn set(&mut self, name: &'t str, value: Node<'t>) {
        match self.get_mut(name) {
            Some(own) => *own = value,
            None => self.push(name, value),
        }
    }

    /// Adds a member that it does not have.
    pub(super) fn push(&mut self, name: &'t str, value: Node<'t>) {
        self.members.push((name, value));
    }

    /// A member's value, which is made where it has none.
    pub(super) fn or_insert(&mut self, name: &'t str, value: Node<'t>) -> &mut Node<'t> {
        let place = self.place(name).unwrap_or_else(|| {
            self.push(name, value);
            self.members.len() - 1
        });
        &mut self.members[place].1
    }

    /// Takes a member out; the others keep their order.
    pub(super) fn take(&mut self, name: &str) -> Option<Node<'t>> {
        let place = self.place(name)?;
        Some(self.members.remove(place).1)
    }

    /// Keeps some members only.
    pub(super) fn retain(&mut self, mut keeps: impl FnMut(&str, &mut Node<'t>) -> bool) {
        self.members.retain_mut(|(name, value)| keeps(name, value));
    }

    /// The same for two that are equal, and so whatever the order of the members.
    pub(super) fn hash(&self, state: &RandomState) -> u64 {
        let members = self.iter();
        let members = members.map(|(name, value)| state.hash_one((name, value.hash(state))));
        members.fold(6, u64::wrapping_add)
    }
}

impl PartialEq for Object<'_> {
    fn eq(&self, other: &Self) -> bool {
        // Nearly always they are in the same order.
        let mut own = self.members.iter().enumerate();
        self.len() == other.len()
            && own.all(|(place, (name, value))| {
                work::done(1);
                let beside = other.members.get(place).filter(|(other, _)| other == name);
                let there = beside.map(|(_, there)| there);
                there.or_else(|| other.get(name)) == Some(value)
            })
    }
}

impl<'t> IntoIterator for Object<'t> {
    type Item = (&'t str, Node<'t>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.members.into_iter()
    }
}

impl<'t, const N: usize> From<[(&'t str, Node<'t>); N]> for Object<'t> {
    fn from(members: [(&'t str, Node<'t>); N]) -> Self {
        Self {
            members: members.into(),
            require: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3_u8).prop_map(Value::from),
            "[ab]?".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let object = prop::collection::vec(("[abc]", inner.clone()), 0..3);
            prop_oneof![
                prop::collection::vec(inner, 0..3).prop_map(Value::from),
                object.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn equal_is_what_json_calls_equal_and_has_the_same_hash(one in value(), other in value()) {
            let state = RandomState::default();
            let (own, its) = (Node::constant(&one), Node::constant(&other));
            prop_assert_eq!(own == its, one == other);
            prop_assert!(own != its || own.hash(&state) == its.hash(&state));
        }
    }

    #[test]
    fn the_order_of_members_is_kept_and_does_not_count() {
        let (one, other) = (
            json!({"a": 1, "b": [2], "c": 3}),
            json!({"c": 3, "b": [2], "a": 1}),
        );
        let (one, other) = (Node::constant(&one), Node::constant(&other));
        assert!(one == other);
        let state = RandomState::default();
        assert_eq!(one.hash(&state), other.hash(&state));
        let mut one = one.as_object().unwrap().clone();
        assert!(one.take("a").is_some());
        one.set("b", Node::Bool(true));
        one.set("d", Node::Null);
        assert_eq!(one.names().collect::<Vec<_>>(), ["b", "c", "d"]);
    }
}
