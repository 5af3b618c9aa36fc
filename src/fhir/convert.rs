//! One message to one bundle.

use super::bundle::{self, About};
use super::compile::{self, MapError};
use super::date::{self, Zone};
use super::embedded::FILES;
use super::engine::{Engine, Here, Resource};
use super::groups::Groups;
use super::lists::Lists;
use super::message::Message;
use super::paths::Paths;
use super::primitive::Refused;
use super::program::{Makers, Program, Table};
use super::raw::Request;
use super::structure::{self, Placed};
use super::taken;
use super::tree::Object;
use crate::config::BundleType;
use crate::hl7::Header;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use twox_hash::XxHash3_128;

/// The mapping files, compiled.
#[derive(Debug)]
pub struct Mapper {
    program: Program,
}

/// How bundles are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Of which type.
    pub kind: BundleType,
    /// The zone of times that name none, in a message whose MSH-7 names none.
    pub zone: Zone,
    /// Make the trace of every value.
    pub explain: bool,
    /// Make the ledger.
    pub ledger: bool,
    /// Count what it would have.
    pub count: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kind: BundleType::Transaction,
            zone: Zone(0),
            explain: false,
            ledger: false,
            count: false,
        }
    }
}

/// A bundle, and what is to be said of how it was made. `Debug` prints no value of the message.
pub struct Converted {
    /// JSON on one line.
    pub bundle: Vec<u8>,
    /// How many entries it has.
    pub entries: usize,
    /// The message structure whose maps were used.
    pub structure: String,
    /// Values that are in no resource.
    pub ledger: Ledger,
    /// How many these are.
    pub counted: Counted,
    /// Values that are, in the order of the bundle's making; empty unless asked for.
    pub explained: Vec<Explained>,
}

impl fmt::Debug for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Converted")
            .field("structure", &self.structure)
            .field("bytes", &self.bundle.len())
            .field("lost", &self.ledger.lost.len())
            .finish_non_exhaustive()
    }
}

/// What got lost.
#[derive(Debug, Default)]
pub struct Ledger {
    /// How many values the message has, its delimiters aside.
    pub values: usize,
    /// Those that no resource has.
    pub lost: Vec<Lost>,
}

/// The ledger in numbers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counted {
    /// How many values the message has, its delimiters aside.
    pub values: usize,
    /// Those that no resource has, by why.
    pub lost: Vec<(Option<Refused>, usize)>,
}

/// A value that no resource has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// `PID-3[2].4.1`.
    pub path: String,
    /// Why, where a row would have taken it.
    pub why: Option<Refused>,
}

/// Where a value went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// `Patient.name.family`.
    pub element: String,
    /// `PID-5.1`.
    pub path: String,
    /// `segments/PID.yaml:5 datatypes/XPN.yaml:3`.
    pub rows: String,
    /// The entry of the bundle, from 0, that it went into; none where an earlier value has said the same of that resource.
    pub entry: Option<usize>,
}

/// A message that no bundle is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotCovered {
    /// No map covers its structure: MSH-9 as `ADT^A40`, of letters and digits only; empty where it names none.
    Event(String),
    /// It is about more than one patient, in a structure that has one.
    Patients,
    /// It does not name what it is about: the resource that it would be.
    Lacks(String),
    /// Two things of this type that it tells apart are one by their identifiers.
    Same(String),
    /// What this segment says is nobody's: there is no patient that it belongs to.
    Nobodys(String),
    /// It cannot be stored without harm: the place, and why.
    Refused(String, String),
    /// It is short beside what would become of it: it repeats a long value in each of many places.
    TooMuch,
}

impl fmt::Display for NotCovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) if event.is_empty() => {
                f.write_str("MSH-9 names no message type, so that no FHIR map can be chosen")
            }
            Self::Event(event) => write!(
                f,
                "there is no FHIR map for {event}; docs/fhir.md lists what is covered"
            ),
            Self::Lacks(what) => write!(f, "it does not identify its `{what}`, without which there is nothing to change"),
            Self::Same(kind) => write!(
                f,
                "it tells two of type {kind} apart that have one identifier"
            ),
            Self::Nobodys(at) => write!(
                f,
                "there is no patient to whom what {at} says belongs: a PID must stand before it, in its group"
            ),
            Self::Refused(_, because) => write!(f, "it {because}"),
            Self::TooMuch => f.write_str("more would become of it than of any message that makes sense: a long value counts for each of many segments"),
            Self::Patients => f.write_str(
                "it has more than one PID, and no bundle is made of a message about several patients",
            ),
        }
    }
}

impl std::error::Error for NotCovered {}

impl Mapper {
    /// With the maps that are part of the program.
    ///
    /// # Errors
    /// What is wrong in them; a test says that nothing is.
    pub fn embedded() -> Result<Self, Vec<MapError>> {
        Self::new(FILES)
    }

    /// With these files, by name and text.
    ///
    /// # Errors
    /// Everything that is wrong in them.
    pub fn new(files: &[(&str, &str)]) -> Result<Self, Vec<MapError>> {
        compile::compile(files).map(|program| Self { program })
    }

    /// With files whose elements need not be FHIR's: for tests that ask what a data type map or a vocabulary makes.
    ///
    /// # Errors
    /// What else is wrong in them.
    #[doc(hidden)]
    pub fn of_any_elements(files: &[(&str, &str)]) -> Result<Self, Vec<MapError>> {
        compile::compile_any(files).map(|program| Self { program })
    }

    /// Whether a message of this header has maps.
    ///
    /// # Errors
    /// If not.
    pub fn covers(&self, header: &Header<'_>) -> Result<(), NotCovered> {
        self.structure(header).map(|_| ())
    }

    /// The bundle of a message whose header was read from the same bytes, which are in UTF-8 or else in ISO 8859-1.
    ///
    /// # Errors
    /// If no map covers its structure.
    pub fn convert(
        &self,
        bytes: &[u8],
        header: &Header<'_>,
        utf8: bool,
        options: &Options,
    ) -> Result<Converted, NotCovered> {
        let number = self.structure(header)?;
        let structure = &self.program.messages[number];
        let message = Message::new(bytes, header, utf8);
        // Whose a segment behind the second PID is cannot be told with certainty in every structure.
        let patients = message.segments().filter(|segment| segment.id() == b"PID");
        let patients = patients.count();
        if !structure.patients && patients > 1 {
            return Err(NotCovered::Patients);
        }
        let (scopes, placed) = structure::group(&self.program, structure.root, &message);
        let first = |field| message.repetitions(message.segment(0), field).next();
        let text = |field| first(field).map_or(Cow::Borrowed(""), |span| message.text(span));
        let sent = first(7).map(|span| message.text(message.leaf(span)));
        let (sent, control_id) = (sent.unwrap_or_default(), text(10));
        let moment = date::parse(&sent);
        let zone = moment.as_ref().and_then(|moment| moment.zone);
        let zone = zone.unwrap_or(options.zone);
        let mut engine = Engine::new(&self.program, &message, &scopes, zone, options.explain);
        engine.refuse(&placed)?;
        engine.run(&placed, &structure.makers);
        if engine.budget.is_spent() {
            return Err(NotCovered::TooMuch);
        }
        let groups = Groups::of(&scopes, &engine.resources);
        if let Some(subject) = &structure.subject
            && let Some(at) = engine.nobodys(&structure.links, &groups, subject)
        {
            return Err(NotCovered::Nobodys(at));
        }
        if engine.is_unowned(&structure.owned) {
            return Err(NotCovered::Lacks("patient".to_owned()));
        }
        engine.settle(&structure.links, &groups);
        engine.link(&structure.links, &groups);
        if let Some(name) = engine.lacks(&structure.needs, &groups) {
            return Err(NotCovered::Lacks(name.to_owned()));
        }
        let sender = format!("{}|{}", text(3), text(4));
        let timestamp = moment.and_then(|moment| moment.instant(zone));
        let about = About {
            // A control ID alone may be used again for another patient; a resend has the same bytes.
            identity: format!(
                "{sender}|{control_id}|{sent}|{:032x}",
                XxHash3_128::oneshot(bytes)
            ),
            control_id: if control_id.is_empty() {
                "unknown"
            } else {
                &control_id
            },
            sender: &sender,
            timestamp: timestamp.as_deref(),
        };
        let are_two = |one: &Resource<'_>, other: &Resource<'_>| {
            let is_distinct = |label: &str| structure.distinct.iter().any(|own| own == label);
            let [one_of, other_of] =
                [one, other].map(|own| structure::of_patient(&scopes, own.here.scope));
            other.label.is_some_and(is_distinct) && one_of != other_of
        };
        let (resources, budget) = (&mut engine.resources, &mut engine.budget);
        let identified = bundle::identify(resources, &about, &are_two, budget);
        if engine.budget.is_spent() {
            return Err(NotCovered::TooMuch);
        }
        let (entries, dropped) = identified.map_err(NotCovered::Same)?;
        engine.drop_values(dropped, &entries);
        if bundle::has_requests(options.kind) {
            engine.reduce(&entries);
        }
        if options.ledger || options.count {
            let live = engine.resources.iter().filter(|resource| resource.live);
            let contents = live.map(|resource| &resource.content);
            let asked = entries.iter().flat_map(bundle::asked_for);
            let nowhere = taken::give_back_what_is_nowhere(&mut engine.used, contents, asked);
            engine.refused.extend(nowhere);
        }
        let paths = (options.ledger || options.explain).then(|| Paths::of(&message));
        let places = match options.explain {
            true => bundle::places(&engine.resources, &entries),
            false => Vec::new(),
        };
        let (bundle, entries) = bundle::write(&engine.resources, &entries, &about, options.kind);
        Ok(Converted {
            bundle,
            entries,
            structure: structure.name.clone(),
            ledger: match &paths {
                Some(paths) if options.ledger => engine.ledger(paths),
                _ => Ledger::default(),
            },
            counted: match options.count {
                true => engine.counted(),
                false => Counted::default(),
            },
            explained: paths.map_or_else(Vec::new, |paths| engine.explained(&paths, &places)),
        })
    }

    fn structure(&self, header: &Header<'_>) -> Result<usize, NotCovered> {
        let part = |number| {
            let part = header.component(9, number).trim_ascii();
            String::from_utf8_lossy(part).to_ascii_uppercase()
        };
        let event = format!("{}^{}", part(1), part(2));
        let events = &self.program.events;
        let found = events.get(&event).or_else(|| {
            // Only a message that names no event is read by its structure.
            let unnamed = part(2).is_empty();
            events.get(&part(3)).filter(|_| unnamed)
        });
        found.copied().ok_or_else(|| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '^' || c == '_';
            let event: String = event.chars().filter(|c| plain(*c)).take(16).collect();
            let event = event.trim_matches('^').to_owned();
            NotCovered::Event(event)
        })
    }
}

impl<'t> Engine<'t> {
    /// Looks for what makes the message an error.
    fn refuse(&self, placed: &[Placed<'_>]) -> Result<(), NotCovered> {
        for placed in placed {
            let here = Here {
                segment: placed.segment,
                scope: placed.scope,
                value: None,
            };
            for refuse in placed.refuses {
                if self.holds(&refuse.when, here) {
                    let (at, because) = (refuse.at.clone(), refuse.because.clone());
                    return Err(NotCovered::Refused(at, because));
                }
            }
        }
        Ok(())
    }

    fn run(&mut self, placed: &[Placed<'t>], makers: &'t Table<Makers>) {
        let mut unknown = HashSet::new();
        for placed in placed {
            if self.budget.is_spent() {
                return;
            }
            let here = Here {
                segment: placed.segment,
                scope: placed.scope,
                value: None,
            };
            // Nothing is made of it, nor of what tells more of it.
            self.unknown(placed, makers, here, &mut unknown);
            for used in placed.uses {
                let holds = used.when.as_ref().is_none_or(|when| self.holds(when, here));
                if !holds || self.is_of_unknown(&unknown, &used.into, placed.scope) {
                    continue;
                }
                let block = &self.program.blocks[used.block];
                let known = self.named(&used.into, placed.scope);
                let number = match known {
                    Some(number) => number,
                    None => {
                        let makers = makers.get(&used.into);
                        let first = makers.and_then(|makers| makers.blocks.first());
                        let first = first.map_or(block, |first| &self.program.blocks[*first]);
                        let key = self.key(first, here);
                        let apart = self.parts(&first.apart, here);
                        self.resources.push(Resource {
                            block: first,
                            label: Some(&used.into),
                            here,
                            key,
                            apart,
                            request: first.request,
                            patch: &[],
                            content: Object::default(),
                            lists: Lists::default(),
                            mention: None,
                            live: false,
                            took: Vec::new(),
                        });
                        let number = self.resources.len() - 1;
                        let shared = placed.repeats && makers.is_some_and(|makers| makers.shared);
                        let around = self.scopes.get(placed.scope).and_then(|own| own.parent);
                        let home = around.filter(|_| shared).unwrap_or(placed.scope);
                        self.resources[number].here.scope = home;
                        self.names.insert((home, &used.into), number);
                        number
                    }
                };
                match used.request {
                    Some(Request::Patch) => self.resources[number].patch = &block.patch,
                    Some(request) => self.resources[number].request = request,
                    None => {}
                }
                self.add(number, &block.body, here);
            }
        }
        for number in 0..self.resources.len() {
            let resource = &self.resources[number];
            let (label, here) = (resource.label.filter(|_| resource.live), resource.here);
            let makers = label.and_then(|label| makers.get(label));
            for block in makers.iter().flat_map(|makers| &makers.blocks) {
                self.add(number, &self.program.blocks[*block].defaults, here);
            }
        }
    }

    fn ledger(&mut self, paths: &Paths) -> Ledger {
        let mut lost = Vec::new();
        let values = self.each_lost(|at, why| {
            let path = paths.of_position(at);
            lost.push(Lost { path, why });
        });
        Ledger { values, lost }
    }

    fn counted(&mut self) -> Counted {
        let mut lost: Vec<(Option<Refused>, usize)> = Vec::new();
        let values =
            self.each_lost(
                |_, why| match lost.iter_mut().find(|(other, _)| *other == why) {
                    Some((_, count)) => *count += 1,
                    None => lost.push((why, 1)),
                },
            );
        Counted { values, lost }
    }

    /// Names every value that no resource has by its place and why; returns how many values there are.
    fn each_lost(&mut self, mut name: impl FnMut(u32, Option<Refused>)) -> usize {
        let there = self.used.iter().filter(|taken| taken.stays());
        let mut used: Vec<u32> = there.map(|taken| taken.span.start).collect();
        used.sort_unstable();
        self.refused.sort_unstable();
        let mut used = used.into_iter().peekable();
        let mut values = 0;
        let mut leaves = Vec::new();
        for segment in self.message.segments() {
            let first = if segment.is_header() { 3 } else { 1 };
            for field in first..=segment.last_field() {
                for span in self.message.repetitions(segment, field) {
                    self.message.leaves(span, &mut leaves);
                }
            }
            values += leaves.len();
            for leaf in leaves.drain(..) {
                while used.next_if(|start| *start < leaf.start).is_some() {}
                if used.peek() == Some(&leaf.start) {
                    continue;
                }
                let at = self.refused.partition_point(|(at, _)| *at < leaf.start);
                let why = self.refused.get(at).filter(|(at, _)| *at == leaf.start);
                name(leaf.start, why.map(|(_, why)| *why));
            }
        }
        values
    }

    fn explained(&mut self, paths: &Paths, places: &[Option<usize>]) -> Vec<Explained> {
        let trace = self.trace.take().unwrap_or_default();
        let row = |origin: &super::program::Origin| {
            let file = &self.program.files[usize::from(origin.file)];
            format!("{file}:{}", origin.line)
        };
        trace
            .into_iter()
            .map(|trace| Explained {
                element: trace.element,
                path: paths.of_position(trace.at),
                rows: trace.rows.iter().map(row).collect::<Vec<_>>().join(" "),
                entry: trace
                    .resource
                    .and_then(|number| places.get(number).copied().flatten()),
            })
            .collect()
    }
}
