//! What is done when all maps have added to the resources: those that lack something go, the others refer to each other.

use super::engine::{Engine, reference};
use super::groups::{Beside, Groups};
use super::lists::Lists;
use super::object::{absent, forget, has, insert};
use super::primitive::Refused;
use super::program::{Asked, Link};
use super::structure::Scope;
use super::taken::Taken;
use super::tree::Node;
use super::work;
use std::collections::HashSet;

impl<'t> Engine<'t> {
    /// Takes out the resources that lack what FHIR requires of them, before anything refers to them. A reference that a link will
    /// set counts as there, as long as there is something to refer to.
    pub(super) fn settle(&mut self, links: &'t [Link], groups: &Groups<'_>) {
        let mut gone = HashSet::new();
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
                    self.take_out(number);
                    gone.insert(number);
                    more = true;
                }
            }
            if !more {
                return;
            }
            let is_gone = |number: usize| gone.contains(&number);
            for resource in &mut self.resources {
                let content = &mut resource.content;
                content.retain(|_, value| forget(value, &is_gone));
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

    /// Of these names the first without an identified resource for each PID, or for the message where it has none.
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
            let mut inside = groups.inside(home, name);
            inside.any(|number| {
                let one = &self.resources[number];
                one.live && one.key.first().is_some_and(|first| !first.is_empty())
            })
        };
        let mut needs = needs.iter();
        needs
            .find(|name| homes.iter().any(|home| !has(name, *home)))
            .map(String::as_str)
    }

    /// Gives back to the ledger what a resource of the same identity had no room for. Where its text was changed on the way, and so
    /// cannot be found, all that the resource took.
    pub(super) fn drop_values(&mut self, dropped: Vec<(usize, Node<'t>)>) {
        for (number, value) in dropped {
            let mut texts = Vec::new();
            strings(&value, &mut texts);
            for (from, to) in self.resources[number].took.clone() {
                let all = self.used.get(from..to).unwrap_or_default();
                work::done(all.len());
                let is_it = |taken: &Taken| texts.contains(&&*self.message.text(taken.span));
                let lost: Vec<bool> = all.iter().map(is_it).collect();
                let some = lost.contains(&true);
                for (taken, lost) in self.used[from..to].iter_mut().zip(lost) {
                    if taken.stays() && (!some || lost) {
                        self.refused.push((taken.give_back(), Refused::Taken));
                    }
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

/// The texts in a value.
fn strings<'v>(value: &'v Node<'_>, found: &mut Vec<&'v str>) {
    match value {
        Node::Text(text) | Node::Number(text) => found.push(text),
        Node::List(items) => items.iter().for_each(|item| strings(item, found)),
        Node::Object(members) => members.values().for_each(|member| strings(member, found)),
        Node::Null | Node::Bool(_) | Node::Address(_) => {}
    }
}
