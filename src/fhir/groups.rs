//! Which resources are called what, and in whose group they are: what references between them need.

use super::engine::{Engine, Resource};
use super::program::Link;
use super::structure::Scope;
use super::work;
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// The resources of a message by name and group, once all are made.
pub(super) struct Groups<'p> {
    /// By name, in the order of the message.
    named: HashMap<&'p str, Named, RandomState>,
    /// For each group its place when all are walked from the outermost inwards, and that behind the last one in it.
    walked: Vec<(usize, usize)>,
}

/// What there is of a name in a group, for links that look there from beside it.
pub(super) type Beside<'l> = HashMap<(usize, &'l str), Vec<usize>>;

#[derive(Default)]
struct Named {
    numbers: Vec<usize>,
    /// Places of their groups, in order, with their numbers.
    places: Vec<(usize, usize)>,
}

impl<'p> Groups<'p> {
    /// Of these resources.
    pub(super) fn of(scopes: &[Scope], resources: &[Resource<'p>]) -> Self {
        let walked = walk(scopes);
        let mut named: HashMap<&str, Named, RandomState> = HashMap::default();
        for (number, resource) in resources.iter().enumerate() {
            if let Some(label) = resource.label {
                let place = walked.get(resource.here.scope).map_or(0, |range| range.0);
                let named = named.entry(label).or_default();
                named.numbers.push(number);
                named.places.push((place, number));
            }
        }
        for named in named.values_mut() {
            named.places.sort_unstable();
        }
        Self { named, walked }
    }

    /// The resources of a name, in the order of the message.
    pub(super) fn named(&self, label: &str) -> &[usize] {
        self.named.get(label).map_or(&[], |named| &named.numbers)
    }

    /// The resources of a name in a group and in those in it.
    pub(super) fn inside(&self, scope: usize, label: &str) -> impl Iterator<Item = usize> {
        let all = self.named.get(label).map_or(&[][..], |named| &named.places);
        let (from, to) = self.walked.get(scope).copied().unwrap_or_default();
        let first = all.partition_point(|(place, _)| *place < from);
        let inside = all[first..]
            .iter()
            .take_while(move |(place, _)| *place < to);
        inside.map(|(_, number)| *number)
    }
}

/// A group is always behind the one around it.
fn walk(scopes: &[Scope]) -> Vec<(usize, usize)> {
    let mut sizes = vec![1; scopes.len()];
    for (number, scope) in scopes.iter().enumerate().rev() {
        if let Some(parent) = scope.parent {
            sizes[parent] += sizes[number];
        }
    }
    let mut walked = Vec::with_capacity(scopes.len());
    // Where the next one in each group is.
    let mut next = vec![0; scopes.len()];
    for (number, scope) in scopes.iter().enumerate() {
        let place = scope.parent.map_or(0, |parent| next[parent]);
        if let Some(parent) = scope.parent {
            next[parent] += sizes[number];
        }
        next[number] = place + 1;
        walked.push((place, place + sizes[number]));
    }
    walked
}

impl Engine<'_> {
    /// The nearest around a resource, else all inside its group, else, where the link says so, all in the group around that; in the
    /// order of the message.
    pub(super) fn targets<'l>(
        &self,
        groups: &Groups<'_>,
        beside: &mut Beside<'l>,
        from: usize,
        link: &'l Link,
    ) -> Vec<usize> {
        let label = &link.target;
        if let Some(nearest) = self.nearest_of(from, label) {
            return vec![nearest];
        }
        let own = self.resources[from].here.scope;
        let mut found = self.live_in(groups, own, label);
        found.retain(|number| *number != from);
        let Some(around) = self.around(own).filter(|_| found.is_empty() && link.beside) else {
            return found;
        };
        // Many may ask for the same.
        let all = beside.entry((around, label));
        let all = all.or_insert_with(|| self.live_in(groups, around, label));
        let others = all.iter().copied().filter(|number| *number != from);
        others
            .take(if link.to.list { usize::MAX } else { 1 })
            .collect()
    }

    /// Whether there are any.
    pub(super) fn has_target(&self, groups: &Groups<'_>, from: usize, link: &Link) -> bool {
        let is_in = |scope: usize| {
            let mut inside = groups.inside(scope, &link.target);
            inside.any(|number| self.is_target(number, from))
        };
        let own = self.resources[from].here.scope;
        let around = || self.around(own).filter(|_| link.beside);
        self.nearest_of(from, &link.target).is_some() || is_in(own) || around().is_some_and(is_in)
    }

    fn around(&self, scope: usize) -> Option<usize> {
        self.scopes.get(scope).and_then(|scope| scope.parent)
    }

    fn live_in(&self, groups: &Groups<'_>, scope: usize, label: &str) -> Vec<usize> {
        let inside = groups.inside(scope, label);
        let mut live: Vec<usize> = inside
            .filter(|number| {
                work::done(1);
                self.resources[*number].can_be_meant()
            })
            .collect();
        live.sort_unstable();
        live
    }

    fn is_target(&self, number: usize, from: usize) -> bool {
        work::done(1);
        number != from && self.resources[number].can_be_meant()
    }

    fn nearest_of(&self, from: usize, label: &str) -> Option<usize> {
        let mut scope = Some(self.resources[from].here.scope);
        while let Some(around) = scope {
            work::done(1);
            let found = self.names.get(&(around, label)).copied();
            if let Some(found) = found.filter(|number| self.is_target(*number, from)) {
                return Some(found);
            }
            scope = self.around(around);
        }
        None
    }
}
