//! Which group of its structure each segment of a message belongs to.
//!
//! Real messages leave out segments, add some, and put some where the standard has them not. So a segment goes to the
//! innermost open group that has a place for it further on, or begins a group there; failing that, to one that has it
//! anywhere. What has no place at all is in no group, and its values are in the ledger.

use super::message::Message;
use super::program::{Group, Member, Program, Refuse, Use};
use super::work;

/// A group of a message that is there, or a repeating segment, which is a group of its own.
#[derive(Debug)]
pub(super) struct Scope {
    /// The one around it.
    pub parent: Option<usize>,
    /// Its segments by number and ID, without those of the groups in it.
    pub segments: Vec<(usize, [u8; 3])>,
}

/// The group of one patient that this one is in: what repeats within it is theirs.
pub(super) fn of_patient(scopes: &[Scope], scope: usize) -> Option<usize> {
    let around = std::iter::successors(Some(scope), |own| scopes[*own].parent);
    let has_pid = |own: &usize| scopes[*own].segments.iter().any(|(_, id)| id == b"PID");
    around.into_iter().find(has_pid)
}

/// A segment with its group and its maps.
#[derive(Debug)]
pub(super) struct Placed<'p> {
    /// By number.
    pub segment: usize,
    /// Where its resources are known by name.
    pub scope: usize,
    /// It may repeat, and then its group is its own.
    pub repeats: bool,
    /// What reads it.
    pub uses: &'p [Use],
    /// What makes the message an error.
    pub refuses: &'p [Refuse],
}

struct Open {
    scope: usize,
    group: usize,
    /// Of the last member found, and whether it was a segment that may not come again.
    position: usize,
    closed: bool,
}

/// Groups the segments of a message.
pub(super) fn group<'p>(
    program: &'p Program,
    root: usize,
    message: &Message<'_>,
) -> (Vec<Scope>, Vec<Placed<'p>>) {
    let mut grouping = Grouping {
        program,
        scopes: vec![Scope {
            parent: None,
            segments: Vec::new(),
        }],
        open: vec![Open {
            scope: 0,
            group: root,
            position: 0,
            closed: false,
        }],
        placed: Vec::with_capacity(message.segments().len()),
    };
    for (number, segment) in message.segments().enumerate() {
        if let Ok(id) = <[u8; 3]>::try_from(segment.id()) {
            let _ = grouping.further_on(number, id) || grouping.anywhere(number, id);
        }
    }
    (grouping.scopes, grouping.placed)
}

struct Grouping<'p> {
    program: &'p Program,
    scopes: Vec<Scope>,
    open: Vec<Open>,
    placed: Vec<Placed<'p>>,
}

impl<'p> Grouping<'p> {
    fn members(&self, group: usize) -> &'p [Member] {
        self.program
            .groups
            .get(group)
            .map_or(&[], |group| &group.members)
    }

    /// In order, from the innermost open group outwards.
    fn further_on(&mut self, number: usize, id: [u8; 3]) -> bool {
        for depth in (0..self.open.len()).rev() {
            let (group, position, closed) = {
                let open = &self.open[depth];
                (open.group, open.position, open.closed)
            };
            let from = position + usize::from(closed);
            let members = self.members(group);
            let found = members
                .iter()
                .enumerate()
                .skip(from)
                .find(|(_, member)| self.takes(member, id));
            if let Some((at, member)) = found {
                self.open.truncate(depth + 1);
                self.enter(depth, at, member, number, id);
                return true;
            }
        }
        false
    }

    /// Out of order.
    fn anywhere(&mut self, number: usize, id: [u8; 3]) -> bool {
        for depth in (0..self.open.len()).rev() {
            let open = &self.open[depth];
            let scope = open.scope;
            let members = self.members(open.group);
            for (at, member) in members.iter().enumerate() {
                match member {
                    Member::Segment {
                        id: own,
                        repeats,
                        uses,
                        refuses,
                    } if *own == id && (*repeats || !self.has(scope, id)) => {
                        // A second PID where there is one says something that nobody knows, and has no place.
                        self.place(scope, *repeats, (number, id), (uses, refuses));
                        return true;
                    }
                    Member::Group(_) if self.takes(member, id) => {
                        self.open.truncate(depth + 1);
                        self.enter(depth, at, member, number, id);
                        return true;
                    }
                    _ => {}
                }
            }
        }
        false
    }

    fn has(&self, scope: usize, id: [u8; 3]) -> bool {
        let segments = &self.scopes[scope].segments;
        work::done(segments.len());
        segments.iter().any(|(_, own)| *own == id)
    }

    fn takes(&self, member: &Member, id: [u8; 3]) -> bool {
        work::done(1);
        match member {
            Member::Segment { id: own, .. } => *own == id,
            Member::Group(group) => self
                .program
                .groups
                .get(*group)
                .is_some_and(|group| self.begins(group, id)),
        }
    }

    fn begins(&self, group: &Group, id: [u8; 3]) -> bool {
        group.starts.contains(&id)
    }

    fn enter(&mut self, depth: usize, at: usize, member: &'p Member, number: usize, id: [u8; 3]) {
        let scope = self.open[depth].scope;
        self.open[depth].position = at;
        self.open[depth].closed = false;
        match member {
            Member::Segment {
                repeats,
                uses,
                refuses,
                ..
            } => {
                self.open[depth].closed = !repeats;
                self.place(scope, *repeats, (number, id), (uses, refuses));
            }
            Member::Group(group) => {
                let inner = self.scopes.len();
                self.scopes.push(Scope {
                    parent: Some(scope),
                    segments: Vec::new(),
                });
                self.open.push(Open {
                    scope: inner,
                    group: *group,
                    position: 0,
                    closed: false,
                });
                let members = self.members(*group);
                let found = members
                    .iter()
                    .enumerate()
                    .find(|(_, member)| self.takes(member, id));
                if let Some((at, member)) = found {
                    self.enter(depth + 1, at, member, number, id);
                }
            }
        }
    }

    fn place(
        &mut self,
        scope: usize,
        repeats: bool,
        segment: (usize, [u8; 3]),
        (uses, refuses): (&'p [Use], &'p [Refuse]),
    ) {
        let own = match repeats {
            false => scope,
            true => {
                self.scopes.push(Scope {
                    parent: Some(scope),
                    segments: Vec::new(),
                });
                self.scopes.len() - 1
            }
        };
        self.scopes[own].segments.push(segment);
        self.placed.push(Placed {
            segment: segment.0,
            scope: own,
            repeats,
            uses,
            refuses,
        });
    }
}
