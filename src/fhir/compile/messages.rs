//! Message maps: groups, the maps that read their segments, and links.

use super::{Compiler, Here, fits, origin};
use crate::fhir::place::Place;
use crate::fhir::program::{self, Asked, Makers, Table};
use crate::fhir::raw;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;

impl Compiler {
    pub(super) fn message(&mut self, name: &str, file: usize, message: &Spanned<raw::Message>) {
        let here = Here {
            file,
            at: message.referenced,
            value: None,
        };
        let mut names = Table::default();
        self.labels.push(BTreeMap::new());
        let root = self.group(here, &message.value.body, &[], &mut names);
        let mut links = Vec::new();
        for link in &message.value.links {
            let here = Here {
                file: link.value.file.unwrap_or(here.file),
                at: link.referenced,
                ..here
            };
            let link = &link.value;
            for name in [&link.of, &link.target] {
                if !names.contains_key(name) {
                    let what = format!("no map of this message makes a resource called `{name}`");
                    self.error(here.file, here.at, what);
                }
            }
            if let Some(to) = self.target(here, Some(&link.to)) {
                let maker = names.get(&link.of).and_then(|makers| makers.blocks.first());
                let kind = maker.and_then(|maker| self.program.blocks[*maker].resource.as_ref());
                if let (Some(kind), true) = (kind, self.fits)
                    && let Err(what) = fits::link(kind, &to)
                {
                    self.error(here.file, here.at, format!("`to`: {what}"));
                }
                links.push(program::Link {
                    of: link.of.clone(),
                    to,
                    target: link.target.clone(),
                    absent: link.absent.clone(),
                    unless: Asked::all(&link.unless),
                    beside: link.beside,
                });
            }
        }
        let named = |compiler: &mut Self, all: &[Spanned<String>]| {
            let unknown = all.iter().filter(|name| !names.contains_key(&name.value));
            for name in unknown {
                let what = format!(
                    "no map of this message makes a resource called `{}`",
                    name.value
                );
                compiler.error(file, name.referenced, what);
            }
            all.iter().map(|name| name.value.clone()).collect()
        };
        let needs: Vec<String> = named(self, &message.value.needs);
        let owned: Vec<String> = named(self, &message.value.owned);
        let distinct: Vec<String> = named(self, &message.value.distinct);
        let subject: Vec<String> = named(self, message.value.subject.as_slice());
        if message.value.events.is_empty() {
            self.error(file, message.referenced, "`events` is missing".to_owned());
        }
        let number = self.program.messages.len();
        for event in &message.value.events {
            let shape = event.value.split_once('^');
            if shape.is_none_or(|(kind, trigger)| kind.len() != 3 || trigger.len() != 3) {
                let what = format!("`{}` is no event; write one as ADT^A01", event.value);
                self.error(file, event.referenced, what);
            }
            let known = self.program.events.insert(event.value.clone(), number);
            if let Some(other) = known {
                let what = format!("{} has `{}` too", self.message_of(other, name), event.value);
                self.error(file, event.referenced, what);
            }
        }
        self.program.events.insert(name.to_owned(), number);
        self.messages.push(file);
        self.program.messages.push(program::Message {
            name: name.to_owned(),
            root,
            makers: names,
            links,
            patients: message.value.body.iter().any(several),
            needs,
            owned,
            distinct,
            subject: subject.into_iter().next(),
        });
    }

    /// Another message by its name and its file; the one at hand is in neither list yet.
    fn message_of(&self, number: usize, own: &str) -> String {
        let file = self.messages.get(number);
        let file = file.and_then(|file| self.program.files.get(*file));
        match (self.program.messages.get(number), file) {
            (Some(other), Some(file)) => format!("`{}` ({file})", other.name),
            _ => format!("`{own}`"),
        }
    }

    fn group(
        &mut self,
        here: Here<'_>,
        body: &[Spanned<raw::Member>],
        starts: &[String],
        names: &mut Table<Makers>,
    ) -> usize {
        let mut members = Vec::new();
        for member in body {
            let here = Here {
                file: member.value.file.unwrap_or(here.file),
                at: member.referenced,
                ..here
            };
            let member = &member.value;
            if member.after.is_some() {
                let what = "`after` is for a member of a message that `extends`".to_owned();
                self.error(here.file, here.at, what);
            }
            match (&member.segment, &member.group) {
                (Some(id), None) => {
                    let Some(id) = self.segment_id(here, id) else {
                        continue;
                    };
                    let uses = self.uses(here, member, names);
                    let refuses = self.refuses(here, member);
                    members.push(program::Member::Segment {
                        id,
                        repeats: member.repeats,
                        uses,
                        refuses,
                    });
                }
                (None, Some(_)) => {
                    let group = self.group(here, &member.body, &member.starts, names);
                    members.push(program::Member::Group(group));
                }
                _ => {
                    let what = "a member is either a `segment` or a `group`".to_owned();
                    self.error(here.file, here.at, what);
                }
            }
        }
        let mut starts: Vec<[u8; 3]> = starts
            .iter()
            .filter_map(|id| self.segment_id(here, id))
            .collect();
        if starts.is_empty() {
            starts.extend(members.first().and_then(|member| match member {
                program::Member::Segment { id, .. } => Some(*id),
                program::Member::Group(_) => None,
            }));
        }
        if starts.is_empty() {
            let what = "a group whose first member is no segment needs `starts`".to_owned();
            self.error(here.file, here.at, what);
        }
        self.program.groups.push(program::Group { members, starts });
        self.program.groups.len() - 1
    }

    fn refuses(&mut self, here: Here<'_>, member: &raw::Member) -> Vec<program::Refuse> {
        let mut refuses = Vec::new();
        for refuse in &member.refuse {
            let here = Here {
                at: refuse.referenced,
                ..here
            };
            let refuse = &refuse.value;
            if let Err(what) = Place::in_segment(&refuse.at) {
                self.error(here.file, here.at, what);
            }
            if let Some(when) = self.condition(here, Some(&refuse.when)) {
                refuses.push(program::Refuse {
                    when,
                    at: refuse.at.clone(),
                    because: refuse.because.clone(),
                });
            }
        }
        refuses
    }

    fn segment_id(&mut self, here: Here<'_>, id: &str) -> Option<[u8; 3]> {
        let read = id.as_bytes().try_into().ok();
        if read.is_none() {
            let what = format!("`{id}` is no segment ID");
            self.error(here.file, here.at, what);
        }
        read
    }

    fn uses(
        &mut self,
        here: Here<'_>,
        member: &raw::Member,
        names: &mut Table<Makers>,
    ) -> Vec<program::Use> {
        let mut uses = Vec::new();
        for used in &member.maps {
            let here = Here {
                at: used.referenced,
                ..here
            };
            let used = &used.value;
            let when = self.condition(here, used.when.as_deref());
            if let Some(labels) = self.labels.last_mut() {
                let at = origin(here.file, here.at);
                labels.entry(used.into.clone()).or_insert(at);
            }
            let makers = names.entry(used.into.clone()).or_default();
            let block = self.blocks.get(&used.map).copied();
            makers.shared |= !member.repeats;
            let kind = |block: usize| self.program.blocks[block].resource.as_deref();
            let makes = block.and_then(kind);
            let before = makers.blocks.first().and_then(|first| kind(*first));
            let differs = before.is_some() && makes.is_some() && before != makes;
            let block = block.filter(|_| makes.is_some());
            let patches = used.request == Some(raw::Request::Patch);
            match block {
                Some(block) if patches && self.program.blocks[block].patch.is_empty() => {
                    let what = format!("`{}` has no `patch`", used.map);
                    self.error(here.file, here.at, what);
                }
                Some(_) if differs => {
                    let what = format!("`{}` is of another type", used.into);
                    self.error(here.file, here.at, what);
                }
                Some(block) => {
                    if !makers.blocks.contains(&block) {
                        makers.blocks.push(block);
                    }
                    uses.push(program::Use {
                        block,
                        into: used.into.clone(),
                        request: used.request,
                        when,
                    });
                }
                None => {
                    let what = format!(
                        "there is no segment map `{}` that makes a resource",
                        used.map
                    );
                    self.error(here.file, here.at, what);
                }
            }
        }
        uses
    }
}

/// Whether a group of a patient is among them.
fn several(member: &Spanned<raw::Member>) -> bool {
    member.value.patients || member.value.body.iter().any(several)
}
