//! Lists that grow long: whether an item is in one already, without looking at each.
//!
//! A sender may repeat a field some thousand times. Up to [`SHORT`] items a list is looked through, as nearly all are; of a longer
//! one the items are known by their hashes, and only those of one hash are compared.

use super::tree::Node;
use super::work;
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Items up to which looking through is cheaper than remembering.
const SHORT: usize = 16;

/// The long lists of one object.
#[derive(Default)]
pub(super) struct Lists(Vec<Known>);

/// One of them.
struct Known {
    /// The way to it from the object.
    steps: Vec<String>,
    /// How many items are known.
    items: usize,
    /// By hash: where they are.
    places: HashMap<u64, Vec<usize>, RandomState>,
}

impl Lists {
    /// Adds an item to the list at the end of these steps, unless it has the same one: the same twice says nothing more.
    pub(super) fn add<'t>(
        &mut self,
        steps: &[impl AsRef<str>],
        items: &mut Vec<Node<'t>>,
        item: Node<'t>,
    ) {
        if items.len() < SHORT {
            work::done(items.len());
            if !items.contains(&item) {
                items.push(item);
            }
            return;
        }
        let known = self.known(steps, items);
        let hash = item.hash(known.places.hasher());
        let same = known.places.entry(hash).or_default();
        work::done(1 + same.len());
        if !same.iter().any(|at| items.get(*at) == Some(&item)) {
            same.push(items.len());
            items.push(item);
            known.items = items.len();
        }
    }

    /// What is known of a list. All of it is learnt where somebody else has changed it.
    fn known(&mut self, steps: &[impl AsRef<str>], items: &[Node<'_>]) -> &mut Known {
        let found = self.0.iter().position(|known| {
            let own = known.steps.iter();
            own.map(String::as_str).eq(steps.iter().map(AsRef::as_ref))
        });
        let at = found.unwrap_or_else(|| {
            self.0.push(Known {
                steps: steps.iter().map(|step| step.as_ref().to_owned()).collect(),
                items: 0,
                places: HashMap::default(),
            });
            self.0.len() - 1
        });
        let known = &mut self.0[at];
        if known.items != items.len() {
            work::done(items.len());
            known.places.clear();
            for (at, item) in items.iter().enumerate() {
                let hash = item.hash(known.places.hasher());
                known.places.entry(hash).or_default().push(at);
            }
            known.items = items.len();
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn item() -> impl Strategy<Value = Value> {
        (0..40_u8, 0..3_u8).prop_map(|(value, kind)| match kind {
            0 => json!(value),
            1 => json!({"a": value, "b": [value / 2, "x"]}),
            // Equal to the one before, whatever the order of its members.
            _ => json!({"b": [value / 2, "x"], "a": value}),
        })
    }

    proptest! {
        #[test]
        fn long_lists_have_each_item_once_in_the_order_of_the_message(
            all in prop::collection::vec((item(), any::<bool>()), 0..200)
        ) {
            let (one, other) = (["a".to_owned()], ["a".to_owned(), "b".to_owned()]);
            let mut lists = Lists::default();
            let (mut own, mut expected) = (<[Vec<Node<'_>>; 2]>::default(), <[Vec<&Value>; 2]>::default());
            for (item, second) in &all {
                let number = usize::from(*second);
                if !expected[number].contains(&item) {
                    expected[number].push(item);
                }
                let steps: &[String] = if *second { &other } else { &one };
                lists.add(steps, &mut own[number], Node::constant(item));
            }
            for (own, expected) in own.iter().zip(&expected) {
                let expected = expected.iter().map(|item| Node::constant(item));
                prop_assert!(own.iter().cloned().eq(expected));
            }
        }
    }
}
