//! What is done when all maps have added to the resources: those that lack something go, the others refer to each other.

use super::bundle::{Entry, asked_for, home};
use super::engine::{Engine, Resource, reference};
use super::groups::{Beside, Groups};
use super::lists::Lists;
use super::object::{absent, forget, has, insert};
use super::primitive::Refused;
use super::program::{Asked, Link};
use super::structure::Scope;
use super::taken;
use super::tree::Node;
use super::work;
use std::collections::{HashMap, HashSet};

/// What a resource took that was made on the way to another.
struct Inner {
    from: usize,
    to: usize,
    number: usize,
}

impl<'t> Engine<'t> {
    /// Takes out the resources that lack what FHIR requires of them, before anything refers to them. A reference that a link will
    /// set counts as there, as long as there is something to refer to.
    pub(super) fn settle(&mut self, links: &'t [Link], groups: &Groups<'_>) {
        let mut gone = HashSet::new();
        let inner = self.inner();
        loop {
            let mut more = false;
            for number in 0..self.resources.len() {
                work::done(1);
                let resource = &self.resources[number];
                let Some(label) = resource.label.filter(|_| resource.live) else {
                    continue;
                };
                let comes = |asked: &Asked| {
                    let own = links.iter().filter(|link| link.of == label);
                    let mut own =
                        own.filter(|link| link.to.steps.first().is_some_and(|to| asked.is(to)));
                    own.any(|link| link.absent.is_some() || self.has_target(groups, number, link))
                };
                let complete = resource.block.body.require.iter().all(|one_of| {
                    one_of
                        .iter()
                        .any(|asked| has(&resource.content, asked) || comes(asked))
                });
                if !complete {
                    self.take_out(number, &inner, Refused::Incomplete);
                    gone.insert(number);
                    more = true;
                }
            }
            if !more {
                break;
            }
            let is_gone = |number: usize| gone.contains(&number);
            for resource in &mut self.resources {
                let content = &mut resource.content;
                content.retain(|_, value| forget(value, &is_gone));
            }
        }
        self.take_out_orphans(&gone, &inner);
    }

    /// What was made for resources alone that are gone, and nobody else refers to.
    fn take_out_orphans(&mut self, gone: &HashSet<usize>, inner: &[Inner]) {
        let of = |resource: &Resource<'_>| {
            let mut found = Vec::new();
            resource.content.addresses(&mut found);
            found
        };
        let gone = gone.iter().map(|number| &self.resources[*number]);
        let mut orphans: Vec<usize> = gone.flat_map(of).collect();
        if orphans.is_empty() {
            return;
        }
        orphans.sort_unstable();
        let mut wanted: HashMap<usize, usize> = HashMap::new();
        let live = self.resources.iter().filter(|resource| resource.live);
        for number in live.flat_map(of) {
            *wanted.entry(number).or_default() += 1;
        }
        while let Some(number) = orphans.pop() {
            let resource = &self.resources[number];
            let mentioned = resource.label.is_none() && resource.live;
            if !mentioned || wanted.get(&number).is_some_and(|count| *count > 0) {
                continue;
            }
            let own = of(resource);
            for other in &own {
                wanted.entry(*other).and_modify(|count| *count -= 1);
            }
            self.take_out(number, inner, Refused::Incomplete);
            orphans.extend(own);
        }
    }

    /// The resources that data type maps have made, by what they took, in its order.
    fn inner(&self) -> Vec<Inner> {
        let all = self.resources.iter().enumerate();
        let mentioned = all.filter(|(_, resource)| resource.label.is_none());
        let mut inner: Vec<Inner> = mentioned
            .flat_map(|(number, resource)| {
                let took = resource.took.iter();
                took.map(move |(from, to)| Inner {
                    from: *from,
                    to: *to,
                    number,
                })
            })
            .collect();
        inner.sort_unstable_by_key(|one| (one.from, std::cmp::Reverse(one.to)));
        inner
    }

    /// Takes a resource out, with all that it took; what others that stay took inside of it is theirs.
    fn take_out(&mut self, number: usize, inner: &[Inner], why: Refused) {
        self.resources[number].live = false;
        for (from, to) in self.own(number, inner) {
            self.give_back_all(from, to, why);
        }
        self.resources[number].took.clear();
    }

    /// What a resource took, without what others that stay took inside of it.
    fn own(&self, number: usize, inner: &[Inner]) -> Vec<(usize, usize)> {
        let mut own = Vec::new();
        for (from, to) in &self.resources[number].took {
            let (mut from, to) = (*from, *to);
            let first = inner.partition_point(|one| one.from < from);
            let inside = inner[first..].iter().take_while(|one| one.from < to);
            for other in inside {
                work::done(1);
                if other.from >= from && self.resources[other.number].live {
                    own.push((from, other.from));
                    from = other.to;
                }
            }
            own.push((from, to));
        }
        own
    }

    /// Of what is only to be changed nothing else is written, and what it took beside that, and is not asked for by, is in no resource.
    pub(super) fn reduce(&mut self, entries: &[Entry]) {
        if self.resources.iter().all(|one| one.patch.is_empty()) {
            return;
        }
        let inner = self.inner();
        for (number, entry) in entries.iter().enumerate() {
            let (patch, content) = {
                let resource = &mut self.resources[number];
                (resource.patch, &mut resource.content)
            };
            if patch.is_empty() {
                continue;
            }
            content.retain(|name, _| patch.iter().any(|patched| patched.element == name));
            let mut kept = taken::values(content.values());
            kept.extend(asked_for(entry).map(taken::hash_of_text));
            for (from, to) in self.own(number, &inner) {
                for taken in self.used.get_mut(from..to).unwrap_or_default() {
                    if taken.became_something() && !taken.is_of(&kept) {
                        self.refused.push((taken.give_back(), Refused::Unchanged));
                    }
                }
            }
        }
    }

    fn give_back_all(&mut self, from: usize, to: usize, why: Refused) {
        for taken in self.used.get_mut(from..to).unwrap_or_default() {
            if taken.stays() {
                self.refused.push((taken.give_back(), why));
            }
        }
    }

    /// The place of the first resource that a link refers to `subject` from, and that finds none.
    pub(super) fn nobodys(
        &self,
        links: &'t [Link],
        groups: &Groups<'_>,
        subject: &str,
    ) -> Option<String> {
        let to_subject = links.iter().filter(|link| link.target == subject);
        let stray = to_subject.flat_map(|link| {
            let all = groups.named(&link.of).iter().copied();
            all.filter(|number| {
                let live = self.resources[*number].live;
                live && !self.has_target(groups, *number, link)
            })
        });
        let segment = self.resources[stray.min()?].here.segment;
        Some(self.message.name(segment))
    }

    /// Whether one of these has a number, and no patient who can be asked for with it.
    pub(super) fn is_unowned(&mut self, owned: &[String]) -> bool {
        (0..self.resources.len()).any(|number| {
            let one = &self.resources[number];
            let named = owned.iter().any(|name| one.label == Some(name));
            let nobodys = one.key.first().is_some_and(String::is_empty);
            let (block, here) = (one.block, one.here);
            let suspect = one.live && named && nobodys;
            suspect && {
                let parts = self.parts(&block.key, here);
                parts.first().is_some_and(|number| !number.is_empty())
            }
        })
    }

    /// Of these names the first without a resource for each PID, or for the message where it has none, or with one that nothing identifies.
    pub(super) fn lacks<'n>(&self, needs: &'n [String], groups: &Groups<'_>) -> Option<&'n str> {
        let with_pid = |scope: &Scope| scope.segments.iter().any(|(_, id)| id == b"PID");
        let all = self.scopes.iter().enumerate();
        let mut homes: Vec<usize> = all
            .filter(|(_, scope)| with_pid(scope))
            .map(|(number, _)| number)
            .collect();
        if homes.is_empty() {
            homes.push(0);
        }
        let has = |name: &str, home: usize| {
            let inside = groups.inside(home, name);
            let all = inside.map(|number| &self.resources[number]);
            let mut live = all.filter(|one| one.live).peekable();
            live.peek().is_some() && live.all(Resource::is_identified)
        };
        let mut needs = needs.iter();
        needs
            .find(|name| homes.iter().any(|home| !has(name, *home)))
            .map(String::as_str)
    }

    /// Gives back to the ledger what a resource of the same identity had no room for.
    pub(super) fn drop_values(&mut self, dropped: Vec<(usize, Node<'t>)>, entries: &[Entry]) {
        let mut all_kept = HashMap::new();
        for (number, value) in dropped {
            let mut gone = taken::values(std::iter::once(&value));
            let home = home(entries, number);
            let kept = all_kept
                .entry(home)
                .or_insert_with(|| taken::values(self.resources[home].content.values()));
            gone.retain(|one| !kept.contains(one));
            for (from, to) in self.resources[number].took.clone() {
                let all = self.used.get_mut(from..to).unwrap_or_default();
                work::done(all.len());
                for taken in all.iter_mut().filter(|taken| taken.is_of(&gone)) {
                    self.refused.push((taken.give_back(), Refused::Taken));
                }
            }
        }
    }

    /// Sets the references between resources.
    pub(super) fn link(&mut self, links: &'t [Link], groups: &Groups<'_>) {
        let mut beside = Beside::new();
        for link in links {
            for number in groups.named(&link.of).iter().copied() {
                work::done(1);
                let resource = &self.resources[number];
                if !resource.live
                    || link
                        .unless
                        .iter()
                        .any(|asked| has(&resource.content, asked))
                {
                    continue;
                }
                let targets = self.targets(groups, &mut beside, number, link);
                let mut lists = Lists::default();
                let content = &mut self.resources[number].content;
                let wanted = if link.to.list { targets.len() } else { 1 };
                for target in targets.iter().take(wanted) {
                    insert(
                        content,
                        &mut lists,
                        &link.to,
                        Node::Object(reference(*target)),
                    );
                }
                if let (true, Some(reason)) = (targets.is_empty(), &link.absent) {
                    insert(content, &mut lists, &link.to, absent(reason));
                }
            }
        }
    }
}
