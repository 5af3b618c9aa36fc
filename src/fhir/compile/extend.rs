//! `extends: true`: a definition that adds to the one of its name instead of replacing it. What it adds remembers its file, so that an error
//! and `--explain` name the right one.

use crate::fhir::raw::{Code, Coding, Map, Member, Message, Vocabulary};
use serde_saphyr::{Location, Spanned};

/// What is wrong, and where.
pub(super) type Fault = (Location, String);

/// A definition that can add to an earlier one.
pub(super) trait Layer: Sized {
    /// Whether it does.
    fn extends(&self) -> bool;

    /// Adds one of another file to this one; `at` is where that begins.
    fn extend(&mut self, own: Self, file: usize, at: Location) -> Vec<Fault>;
}

/// A fault if keys are there that an extension cannot have.
fn only(at: Location, taken: &str, given: &[(&str, bool)]) -> Vec<Fault> {
    let keys = given.iter().filter(|(_, is_given)| *is_given);
    let fault = |(key, _): &(&str, bool)| {
        let what = format!("`{key}`: what `extends` adds {taken}; leave `extends` out to replace");
        (at, what)
    };
    keys.map(fault).collect()
}

impl Layer for Map {
    fn extends(&self) -> bool {
        self.extends
    }

    /// Its rows come first, so that its values do.
    fn extend(&mut self, own: Self, file: usize, at: Location) -> Vec<Fault> {
        let mut faults = only(
            at,
            "has `rows`, `defaults`, `require` and `patch`",
            &[
                ("request", own.request.is_some()),
                ("key", !own.key.is_empty()),
                ("apart", !own.apart.is_empty()),
                ("finish", own.finish.is_some()),
            ],
        );
        let kind = |map: &Self| map.resource.as_ref().map(|resource| resource.value.clone());
        if own.resource.is_some() && kind(&own) != kind(self) {
            let what = "`resource` is not that of the map that is extended".to_owned();
            faults.push((at, what));
        }
        let (mut rows, mut defaults) = (own.rows, own.defaults);
        for row in rows.iter_mut().chain(&mut defaults) {
            row.value.file = Some(file);
        }
        self.rows.splice(0..0, rows);
        self.defaults.splice(0..0, defaults);
        self.require.extend(own.require);
        self.patch.extend(own.patch);
        self.keyed |= own.keyed;
        faults
    }
}

impl Layer for Message {
    fn extends(&self) -> bool {
        self.extends
    }

    /// Each member of its body says behind which segment it stands.
    fn extend(&mut self, own: Self, file: usize, at: Location) -> Vec<Fault> {
        let mut faults = only(
            at,
            "has `body` and `links`",
            &[
                ("events", !own.events.is_empty()),
                ("needs", !own.needs.is_empty()),
                ("owned", !own.owned.is_empty()),
                ("subject", own.subject.is_some()),
            ],
        );
        // In turn, so that of two behind one segment the first stands first.
        for mut member in own.body.into_iter().rev() {
            let here = member.referenced;
            let Some(after) = member.value.after.take() else {
                let what = "a member of a message that `extends` needs `after`".to_owned();
                faults.push((here, what));
                continue;
            };
            member.value.file = Some(file);
            if let Some(member) = insert(&mut self.body, &after, member) {
                let what = format!("`after`: there is no `{after}` in the message");
                faults.push((member.referenced, what));
            }
        }
        let links = own.links.into_iter().map(|mut link| {
            link.value.file = Some(file);
            link
        });
        self.links.extend(links);
        faults
    }
}

/// Puts a member behind the first segment of that ID, in whichever group it is; gives it back if there is none.
fn insert(
    body: &mut Vec<Spanned<Member>>,
    after: &str,
    member: Spanned<Member>,
) -> Option<Spanned<Member>> {
    let is_it = |one: &Spanned<Member>| one.value.segment.as_deref() == Some(after);
    if let Some(at) = body.iter().position(is_it) {
        body.insert(at + 1, member);
        return None;
    }
    let mut left = Some(member);
    for group in body {
        left = insert(&mut group.value.body, after, left?);
    }
    left
}

impl Layer for Vocabulary {
    fn extends(&self) -> bool {
        self.extends
    }

    /// Its codes are over those of the same name.
    fn extend(&mut self, own: Self, file: usize, at: Location) -> Vec<Fault> {
        let system = own.system;
        let coded = |code: Code| match (code, &system) {
            (code, None) => code,
            (Code::Short(code), Some(_)) => Code::Long(Coding {
                code,
                display: None,
                system: system.clone(),
            }),
            (Code::Long(mut long), Some(_)) => {
                long.system = long.system.or_else(|| system.clone());
                Code::Long(long)
            }
        };
        let same = own.list.into_iter().map(|code| {
            let short = Spanned::new(Code::Short(code.clone()), at, at);
            (code, short)
        });
        for (from, mut code) in own.codes.into_iter().chain(same) {
            self.list.retain(|listed| *listed != from);
            code.value = coded(code.value);
            self.files.insert(from.clone(), file);
            self.codes.insert(from, code);
        }
        Vec::new()
    }
}
