//! Runs the program over one message: rows take values, and resources come of them.
//!
//! Each value that a row takes is noted by its place in the message, so that what nobody took can be told; where an object is
//! dropped after all, what it took counts as not taken.

use super::budget::Budget;
use super::date::{self, Zone};
use super::facility::Facility;
use super::lists::Lists;
use super::message::{Message, Span};
use super::object::{self, absent, insert, lacks};
use super::place::Place;
use super::primitive::Refused;
use super::program::{Block, Body, Origin, Patched, Program, Row, Source};
use super::raw::Request;
use super::structure::Scope;
use super::taken::Taken;
use super::tree::{Node, Object};
use super::work;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::hash::BuildHasher;

/// Where rows read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here {
    /// The segment of the map.
    pub segment: usize,
    /// Its group.
    pub scope: usize,
    /// The value whose parts a data type map reads.
    pub value: Option<Span>,
}

/// A resource that is being made. Without `Debug`: it is all values.
pub(super) struct Resource<'t> {
    /// Its map; the first, where several add to it.
    pub block: &'t Block,
    /// What its message map calls it.
    pub label: Option<&'t str>,
    /// Where it was made.
    pub here: Here,
    /// What identifies it; the first is empty where nothing does.
    pub key: Vec<String>,
    /// What tells it from others of its key.
    pub apart: Vec<String>,
    /// How it is written.
    pub request: Request,
    /// The elements that alone are written, on what is there; none where it is written whole.
    pub patch: &'t [Patched],
    /// Its elements.
    pub content: Object<'t>,
    /// Those of them that are long lists.
    pub(super) lists: Lists,
    /// The hash of what another mention of it would be, if it is one that the message may mention again.
    pub(super) mention: Option<u64>,
    /// Whether a value of the message is in it.
    pub live: bool,
    /// Which of the values taken are in it, as ranges of [`Engine::used`].
    pub(super) took: Vec<(usize, usize)>,
}

impl Resource<'_> {
    /// Whether it has a key.
    pub(super) fn is_identified(&self) -> bool {
        identifies(&self.key)
    }

    /// Whether others may refer to it. What is only changed, and by its id, may not be there, and its entry is no resource that a
    /// validator would know.
    pub(super) fn can_be_meant(&self) -> bool {
        let by_id = self.request == Request::Put || !self.is_identified();
        self.live && (self.patch.is_empty() || !by_id)
    }
}

/// A value and the rows that made it, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trace {
    /// `Patient.name.family`.
    pub element: String,
    /// Where the value begins in the message.
    pub at: u32,
    /// The rows.
    pub rows: Vec<Origin>,
    /// The resource that it went into; nothing while that is being made.
    pub resource: Option<usize>,
}

/// In [`Trace::resource`]: it says once more what another place has said before it.
const AGAIN: usize = usize::MAX;

/// The state of one message.
pub(super) struct Engine<'t> {
    pub(super) program: &'t Program,
    pub(super) message: &'t Message<'t>,
    pub(super) scopes: &'t [Scope],
    pub(super) zone: Zone,
    /// What may still be made of it.
    pub(super) budget: Budget,
    /// Who sends.
    pub(super) facility: Facility,
    pub(super) resources: Vec<Resource<'t>>,
    /// The values that rows have taken.
    pub(super) used: Vec<Taken>,
    pub(super) refused: Vec<(u32, Refused)>,
    pub(super) trace: Option<Vec<Trace>>,
    /// The resources that segment maps have made, by group and name.
    pub(super) names: HashMap<(usize, &'t str), usize, RandomState>,
    /// The resources that data type maps have made, by [`Resource::mention`].
    mentions: HashMap<u64, Vec<usize>, RandomState>,
    /// The best identifier at a place of a segment.
    pub(super) chosen: HashMap<(usize, Place), Option<String>, RandomState>,
    /// How many values and references have been put in.
    pub(super) taken: usize,
    pub(super) path: Vec<&'t str>,
    /// The elements of the resource at hand that other segments have given it.
    others: Vec<&'t str>,
    /// The long lists of the object at hand.
    pub(super) lists: Lists,
    /// Room for the leaves of the value at hand.
    pub(super) leaves: Vec<Span>,
    /// How many data type maps are being run inside each other.
    depth: usize,
    pub(super) rows: Vec<Origin>,
}

/// How far everything was before an object was begun.
pub(super) struct Mark {
    taken: usize,
    used: usize,
    resources: usize,
    trace: usize,
}

impl<'t> Engine<'t> {
    /// For one message.
    pub(super) fn new(
        program: &'t Program,
        message: &'t Message<'t>,
        scopes: &'t [Scope],
        zone: Zone,
        explain: bool,
    ) -> Self {
        Self {
            program,
            message,
            scopes,
            zone,
            budget: Budget::of(message.size()),
            facility: Facility::of(message),
            resources: Vec::new(),
            used: Vec::new(),
            refused: Vec::new(),
            trace: explain.then(Vec::new),
            names: HashMap::default(),
            mentions: HashMap::default(),
            chosen: HashMap::default(),
            taken: 0,
            path: Vec::new(),
            others: Vec::new(),
            lists: Lists::default(),
            leaves: Vec::new(),
            depth: 0,
            rows: Vec::new(),
        }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            taken: self.taken,
            used: self.used.len(),
            resources: self.resources.len(),
            trace: self.trace.as_ref().map_or(0, Vec::len),
        }
    }

    /// Forgets what was done since, and says why.
    pub(super) fn undo(&mut self, mark: &Mark, why: Refused) {
        let undone = self.used.split_off(mark.used);
        self.refused
            .extend(undone.into_iter().map(|taken| (taken.span.start, why)));
        for gone in self.resources.drain(mark.resources..) {
            if let Some(same) = gone.mention.and_then(|hash| self.mentions.get_mut(&hash)) {
                same.retain(|number| *number < mark.resources);
            }
        }
        self.taken = mark.taken;
        if let Some(trace) = &mut self.trace {
            trace.truncate(mark.trace);
        }
    }

    /// The values traced since went into this resource, but for those that went into others.
    fn traced(&mut self, since: &Mark, resource: usize) {
        let since = since.trace..;
        let trace = self.trace.as_mut().and_then(|trace| trace.get_mut(since));
        for traced in trace.into_iter().flatten() {
            traced.resource.get_or_insert(resource);
        }
    }

    /// Adds what a segment map makes to a resource.
    pub(super) fn add(&mut self, number: usize, body: &'t Body, here: Here) {
        let Some(resource) = self.resources.get_mut(number) else {
            return;
        };
        let mut content = std::mem::take(&mut resource.content);
        self.lists = std::mem::take(&mut resource.lists);
        if let Some(kind) = &resource.block.resource {
            self.path.push(kind);
        }
        let before = self.mark();
        work::done(content.len());
        self.others.clear();
        self.others.extend(content.names());
        self.body(body, here, &mut content);
        self.path.pop();
        self.traced(&before, number);
        let resource = &mut self.resources[number];
        resource.live |= self.taken > before.taken;
        resource.took.push((before.used, self.used.len()));
        resource.content = content;
        resource.lists = std::mem::take(&mut self.lists);
    }

    pub(super) fn body(&mut self, body: &'t Body, here: Here, out: &mut Object<'t>) {
        let first = self.used.len();
        for row in &body.rows {
            work::done(1 + self.path.len());
            if !self.comes(row, here, out) {
                continue;
            }
            self.rows.push(row.origin);
            self.path.extend(row.to.steps.iter().map(String::as_str));
            let made = self.row(row, here, out);
            if let (false, Some(none)) = (made, &row.absent) {
                insert(out, &mut self.lists, &none.to, absent(&none.reason));
            }
            self.path.truncate(self.path.len() - row.to.steps.len());
            self.rows.pop();
        }
        if let Some(finish) = body.finish
            && let Some(system) = object::finish(out, finish, self.program)
        {
            self.give_back(first, Refused::Table, |engine, text| {
                engine.code_system(text) == system
            });
        }
        for end in object::periods(out, body) {
            self.give_back(first, Refused::Period, |engine, text| {
                date::parse(text).is_some_and(|moment| moment.date_time(engine.zone) == end)
            });
        }
    }

    /// Whether a row is to be looked at: most name a place that the message leaves empty, which is found out first.
    fn comes(&self, row: &Row, here: Here, out: &Object<'t>) -> bool {
        let place = match &row.source {
            Source::Place { place, .. } | Source::Rows(Some(place), _) if row.absent.is_none() => {
                Some(*place)
            }
            _ => None,
        };
        !self.budget.is_spent()
            && place.is_none_or(|place| self.has_bytes(place, here))
            && !row.unless.iter().any(|asked| object::has(out, asked))
            && row.needs.iter().all(|asked| object::has(out, asked))
            && row.when.as_ref().is_none_or(|when| self.holds(when, here))
    }

    /// The last value taken since `first` that `is_it` becomes one that was not taken.
    fn give_back(&mut self, first: usize, why: Refused, is_it: impl Fn(&Self, &str) -> bool) {
        let since = self.used.get(first..).unwrap_or_default();
        work::done(since.len());
        let found = since
            .iter()
            .rposition(|taken| taken.stays() && is_it(self, &self.message.text(taken.span)));
        if let Some(found) = found {
            let taken = &mut self.used[first + found];
            self.refused.push((taken.give_back(), why));
        }
    }

    /// Whether anything was made.
    fn row(&mut self, row: &'t Row, here: Here, out: &mut Object<'t>) -> bool {
        match &row.source {
            Source::Nothing => false,
            Source::Reference(name) => {
                let found = self.named(name, here.scope);
                let Some(number) = found.filter(|number| self.resources[*number].live) else {
                    return false;
                };
                self.taken += 1;
                let value = Node::Object(reference(number));
                insert(out, &mut self.lists, &row.to, value)
            }
            Source::Constant(value) => insert(out, &mut self.lists, &row.to, Node::constant(value)),
            Source::Skip(places) => {
                let mut leaves = Vec::new();
                for place in places {
                    for span in self.at(*place, here) {
                        self.message.leaves(span, &mut leaves);
                    }
                }
                self.used.extend(leaves.into_iter().map(Taken::read));
                false
            }
            Source::Text(pieces, primitive) => self.template(row, pieces, *primitive, here, out),
            Source::Rows(None, body) => self.object(row, body, here, out),
            Source::Rows(Some(place), body) => {
                let mut made = false;
                for span in self.at(*place, here) {
                    if made && !row.to.list {
                        break;
                    }
                    if !self.message.valued(span) {
                        continue;
                    }
                    let here = Here {
                        value: Some(span),
                        ..here
                    };
                    made |= self.object(row, body, here, out);
                }
                made
            }
            Source::Place {
                place,
                conversion,
                vocabulary,
                join,
            } => match join {
                Some(between) => self.joined(row, *place, between, *conversion, here, out),
                None => {
                    let mut made = false;
                    for span in self.at(*place, here) {
                        if made && !row.to.list {
                            break;
                        }
                        if !self.message.valued(span) {
                            continue;
                        }
                        made |= self.value(row, span, *conversion, *vocabulary, here, out);
                    }
                    made
                }
            },
        }
    }

    /// The object of a row with rows.
    fn object(&mut self, row: &'t Row, body: &'t Body, here: Here, out: &mut Object<'t>) -> bool {
        let mark = self.mark();
        if row.to.steps.is_empty() {
            self.body(body, here, out);
            return self.taken > mark.taken;
        }
        let mut inner = Object::default();
        inner.require = Some(&body.require).filter(|all| !all.is_empty());
        let outer = std::mem::take(&mut self.lists);
        self.body(body, here, &mut inner);
        self.lists = outer;
        self.keep(&mark, body, &inner) && {
            let done = self.put(row, inner, out);
            if !done {
                self.undo(&mark, Refused::Taken);
            }
            done
        }
    }

    /// Puts an object where its row says. One that another segment has put there stays as it is: a number of one segment is never
    /// given the unit of another.
    pub(super) fn put(&mut self, row: &'t Row, object: Object<'t>, out: &mut Object<'t>) -> bool {
        let of_resource = self.path.len() == row.to.steps.len() + 1;
        let first = row.to.steps.first().filter(|_| of_resource);
        let value = Node::Object(object);
        if first.is_some_and(|first| self.others.contains(&first.as_str()))
            && let Some(there @ Node::Object(_)) = object::get(out, &row.to.steps)
        {
            return *there == value;
        }
        insert(out, &mut self.lists, &row.to, value)
    }

    /// Whether an object has what it needs; undone where it has not.
    fn keep(&mut self, mark: &Mark, body: &Body, object: &Object<'t>) -> bool {
        if self.taken > mark.taken && !object.is_empty() && !lacks(object, &body.require) {
            return true;
        }
        self.undo(mark, Refused::Incomplete);
        false
    }

    /// What a data type map makes of a value: an element, or a reference to a resource.
    pub(super) fn block(&mut self, block: &'t Block, here: Here) -> Option<Object<'t>> {
        // Refused when maps are compiled; the stack is not to be the second to say so.
        if self.depth > DEEPEST {
            return None;
        }
        self.depth += 1;
        let made = self.block_inside(block, here);
        self.depth -= 1;
        made
    }

    fn block_inside(&mut self, block: &'t Block, here: Here) -> Option<Object<'t>> {
        let mark = self.mark();
        let mut content = Object::default();
        content.require = Some(&block.body.require).filter(|all| !all.is_empty());
        let outer = block
            .resource
            .as_ref()
            .map(|kind| std::mem::replace(&mut self.path, vec![kind]));
        let others = outer.is_some().then(|| std::mem::take(&mut self.others));
        let lists = std::mem::take(&mut self.lists);
        self.body(&block.body, here, &mut content);
        self.body(&block.defaults, here, &mut content);
        if let Some(outer) = outer {
            self.path = outer;
        }
        if let Some(others) = others {
            self.others = others;
        }
        self.lists = lists;
        if !self.keep(&mark, &block.body, &content) {
            return None;
        }
        if block.resource.is_none() {
            return Some(content);
        }
        // The same people and places are mentioned again and again.
        let state = self.mentions.hasher();
        let mention = state.hash_one((&block.name, content.hash(state)));
        let same = self.mentions.entry(mention).or_default();
        work::done(1 + same.len());
        let is_it = |number: &usize| {
            let other = &self.resources[*number];
            std::ptr::eq(other.block, block) && other.content == content
        };
        if let Some(same) = same.iter().copied().find(is_it) {
            self.traced(&mark, AGAIN);
            return Some(reference(same));
        }
        let number = self.resources.len();
        same.push(number);
        self.traced(&mark, number);
        let key = self.key(block, here);
        let apart = self.parts(&block.apart, here);
        self.resources.push(Resource {
            block,
            label: None,
            here,
            key,
            apart,
            request: block.request,
            patch: &[],
            content,
            lists: Lists::default(),
            mention: Some(mention),
            live: true,
            took: vec![(mark.used, self.used.len())],
        });
        Some(reference(number))
    }
}

/// Whether a key is one: without its first part the others say nothing.
pub(super) fn identifies(key: &[String]) -> bool {
    key.first().is_some_and(|first| !first.is_empty())
}

/// A reference to a resource.
pub(super) fn reference<'t>(number: usize) -> Object<'t> {
    Object::from([("reference", Node::Address(number))])
}

/// Data type maps inside each other: HL7's have three levels. More are refused when they are compiled.
pub(super) const DEEPEST: usize = 16;
