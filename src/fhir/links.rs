//! What is done when all maps have added to the resources: those that lack something go, the others refer to each other.

use super::engine::{Engine, REFERENCE, reference};
use super::object::{absent, forget, has, insert};
use super::primitive::Refused;
use super::program::Link;
use super::taken::Taken;
use serde_json::Value;

impl<'p> Engine<'p, '_, '_> {
    /// Takes out the resources that lack what FHIR requires of them, before anything refers to them. A reference that a link will
    /// set counts as there, as long as there is something to refer to.
    pub(super) fn settle(&mut self, links: &[Link]) {
        let mut gone = Vec::new();
        loop {
            let before = gone.len();
            for number in 0..self.resources.len() {
                let resource = &self.resources[number];
                let Some(label) = resource.label.filter(|_| resource.live) else {
                    continue;
                };
                let comes = |name: &str| {
                    let own = links.iter().filter(|link| link.of == label);
                    let mut own =
                        own.filter(|link| link.to.steps.first().is_some_and(|to| to == name));
                    own.any(|link| link.absent.is_some() || !self.targets(number, link).is_empty())
                };
                let complete = resource.block.body.require.iter().all(|one_of| {
                    one_of
                        .iter()
                        .any(|name| has(&resource.content, name) || comes(name))
                });
                if !complete {
                    self.take_out(number);
                    gone.push(format!("{REFERENCE}{number}"));
                }
            }
            if gone.len() == before {
                return;
            }
            for resource in &mut self.resources {
                let content = &mut resource.content;
                content.retain(|_, value| forget(value, &|to| gone.iter().any(|one| one == to)));
            }
        }
    }

    /// Gives back to the ledger what a resource of the same identity had no room for. Where its text was changed on the way, and so
    /// cannot be found, all that the resource took.
    pub(super) fn drop_values(&mut self, dropped: Vec<(usize, Value)>) {
        for (number, value) in dropped {
            let mut texts = Vec::new();
            strings(&value, &mut texts);
            for (from, to) in self.resources[number].took.clone() {
                let all = self.used.get(from..to).unwrap_or_default();
                let is_it = |taken: &Taken| texts.contains(&self.message.text(taken.span));
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
    pub(super) fn link(&mut self, links: &[Link]) {
        for link in links {
            for number in 0..self.resources.len() {
                let resource = &self.resources[number];
                let named = resource.label == Some(&link.of) && resource.live;
                if !named || link.unless.iter().any(|name| has(&resource.content, name)) {
                    continue;
                }
                let targets = self.targets(number, link);
                let content = &mut self.resources[number].content;
                let wanted = if link.to.list { targets.len() } else { 1 };
                for target in targets.iter().take(wanted) {
                    insert(content, &link.to, Value::Object(reference(*target)));
                }
                if let (true, Some(reason)) = (targets.is_empty(), &link.absent) {
                    insert(content, &link.to, absent(reason));
                }
            }
        }
    }

    /// The nearest around a resource, else all inside its group, else, where the link says so, all in the group around that.
    fn targets(&self, from: usize, link: &Link) -> Vec<usize> {
        let label: &str = &link.target;
        let live = |number: &usize| {
            let resource = &self.resources[*number];
            *number != from && resource.live && resource.label == Some(label)
        };
        let own = self.resources[from].here.scope;
        let mut scope = Some(own);
        while let Some(around) = scope {
            let found = self.names.get(&(around, label)).copied();
            if let Some(found) = found.filter(live) {
                return vec![found];
            }
            scope = self.scopes.get(around).and_then(|scope| scope.parent);
        }
        let all_in = |group: usize| {
            let inside = |number: &usize| self.is_inside(self.resources[*number].here.scope, group);
            let all = (0..self.resources.len()).filter(live).filter(inside);
            all.collect::<Vec<usize>>()
        };
        let found = all_in(own);
        let around = self.scopes.get(own).and_then(|scope| scope.parent);
        match around {
            Some(around) if found.is_empty() && link.beside => all_in(around),
            _ => found,
        }
    }

    fn is_inside(&self, scope: usize, outer: usize) -> bool {
        let mut scope = Some(scope);
        while let Some(around) = scope {
            if around == outer {
                return true;
            }
            scope = self.scopes.get(around).and_then(|scope| scope.parent);
        }
        false
    }
}

/// The texts in a value.
fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Number(number) => found.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(members) => members.values().for_each(|member| strings(member, found)),
        Value::Null | Value::Bool(_) => {}
    }
}
