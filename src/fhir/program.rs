//! What the mapping files are compiled to: tables with numbers in place of names, read by the engine as they are.

pub(super) use super::asked::Asked;
use super::condition::Condition;
use super::place::Place;
use super::primitive::Primitive;
use super::raw::{Finish, Request};
use foldhash::fast::RandomState;
use serde_json::Value;
use std::collections::HashMap;

/// By a name of the maps. Messages only ask, and so cannot choose what collides.
pub(super) type Table<T> = HashMap<String, T, RandomState>;

/// Everything, for all messages.
#[derive(Debug, Default)]
pub struct Program {
    /// File names, for [`Origin`].
    pub files: Vec<String>,
    /// Segment and data type maps.
    pub blocks: Vec<Block>,
    /// Code tables.
    pub vocabularies: Vec<Vocabulary>,
    /// Message structures.
    pub messages: Vec<Message>,
    /// By `ADT^A01`, and by `ADT_A01` for a message that names its structure only.
    pub(super) events: Table<usize>,
    /// Groups of all messages.
    pub groups: Vec<Group>,
    /// v2's own tables (`0003`) with their codes, where they are known whole.
    pub(super) tables: Table<usize>,
    /// The vocabulary of code systems (`LN`), if there is one.
    pub code_systems: Option<usize>,
    /// The vocabulary of assigning authorities.
    pub authorities: Option<usize>,
    /// The vocabulary of the order in which identifiers are chosen.
    pub(super) choice: Option<usize>,
    /// The vocabulary of UCUM's codes.
    pub units: Option<usize>,
}

/// The row that made a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// In [`Program::files`].
    pub file: u16,
    /// From 1.
    pub line: u32,
}

/// A map.
#[derive(Debug)]
pub struct Block {
    /// Its name, `PID[Patient]`.
    pub name: String,
    /// Where it begins.
    pub origin: Origin,
    /// The resource's type.
    pub resource: Option<String>,
    /// How it is written.
    pub request: Request,
    /// What identifies it: of each part the first that is valued.
    pub(super) key: Vec<Vec<Part>>,
    /// What tells apart those of one key in one message.
    pub(super) apart: Vec<Vec<Part>>,
    /// The elements that `request: patch` writes, each with its type.
    pub(super) patch: Vec<Patched>,
    /// `request: patch` makes nothing of what has no key.
    pub(super) keyed: bool,
    /// Its rows.
    pub body: Body,
    /// Rows that come last.
    pub defaults: Body,
}

/// An element that `request: patch` writes.
#[derive(Debug)]
pub(super) struct Patched {
    /// Its name.
    pub element: String,
    /// How it is written.
    pub written: Written,
}

/// How a patch writes an element.
#[derive(Debug)]
pub(super) enum Written {
    /// As one parameter, of this name: `valueCode`.
    Value(String),
    /// Item by item, each with its members as parameters.
    Items {
        /// A FHIRPath of what makes room.
        instead_of: String,
        /// By its name the parameter of a member.
        members: Vec<(String, String)>,
    },
}

/// What a value of a key is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// Its text.
    Text,
    /// An identifier with its authority, the best of the repetitions.
    Cx,
    /// An identifier with its authority.
    Ei,
}

/// A place of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Tells values of one kind from those of another.
    pub name: Option<String>,
    /// Where.
    pub place: Place,
    /// How it is read.
    pub kind: As,
    /// Values that identify nothing.
    pub unless: Vec<String>,
}

/// Rows of one object, and what must hold of it.
#[derive(Debug, Default)]
pub struct Body {
    /// In order.
    pub rows: Vec<Row>,
    /// Each needs one of its elements.
    pub(super) require: Vec<Vec<Asked>>,
    /// Steps to the periods further inside to which a row gives a start or an end.
    pub(super) periods: Vec<Vec<String>>,
    /// A rule of FHIR.
    pub finish: Option<Finish>,
}

/// A row.
#[derive(Debug)]
pub struct Row {
    /// Where it stands in the files.
    pub origin: Origin,
    /// Steps down to the element; the last may be a list's.
    pub to: Target,
    /// What it takes.
    pub source: Source,
    /// When.
    pub when: Option<Condition>,
    /// Elements that must not be there.
    pub(super) unless: Vec<Asked>,
    /// Elements that must be there.
    pub(super) needs: Vec<Asked>,
    /// What stands there where there is no value.
    pub(super) absent: Option<Absent>,
}

/// A data-absent-reason.
#[derive(Debug)]
pub(super) struct Absent {
    /// Its code.
    pub reason: String,
    /// Where it goes: beside a primitive (`_birthDate`), in place of an object.
    pub to: Target,
}

/// An element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Names from where the map stands; none is the object itself.
    pub steps: Vec<String>,
    /// An item is added for each value.
    pub list: bool,
}

/// The target of all rows of a map that makes a single value.
pub(super) const VALUE: &str = "$value";

/// Where a row's value comes from.
#[derive(Debug)]
pub enum Source {
    /// A place.
    Place {
        /// Which.
        place: Place,
        /// What is made of it.
        conversion: Conversion,
        /// A look-up.
        vocabulary: Option<usize>,
        /// All repetitions in one text.
        join: Option<String>,
    },
    /// Always the same.
    Constant(Value),
    /// Text with places.
    Text(Vec<Piece>, Primitive),
    /// An object.
    Rows(Option<Place>, Body),
    /// Places that count as read.
    Skip(Vec<Place>),
    /// A resource of the message, by its name there.
    Reference(String),
    /// Only a data-absent-reason.
    Nothing,
}

/// What is made of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    /// A FHIR primitive.
    Primitive(Primitive),
    /// A data type map.
    Block(usize),
}

/// Of a text with places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Itself.
    Literal(String),
    /// What is there.
    Place(Place),
}

/// A code table.
#[derive(Debug)]
pub struct Vocabulary {
    /// Its name.
    pub name: String,
    /// By v2 code.
    pub(super) codes: Table<Coded>,
}

impl Vocabulary {
    /// What a code becomes; a word in capitals too, where the table has it in small letters.
    pub(super) fn get(&self, code: &str) -> Option<&Coded> {
        let found = self.codes.get(code);
        found.or_else(|| match code.len() > 2 {
            true => self.codes.get(&code.to_ascii_lowercase()),
            false => None,
        })
    }
}

/// What a code becomes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Coded {
    /// Code.
    pub code: String,
    /// Display.
    pub display: Option<String>,
    /// System.
    pub system: Option<String>,
}

/// A message structure.
#[derive(Debug)]
pub struct Message {
    /// `ADT_A01`.
    pub name: String,
    /// Its outermost group.
    pub root: usize,
    /// For each resource's name the maps that may add to it, in the order of the message. The first says how it is identified.
    pub(super) makers: Table<Makers>,
    /// References.
    pub links: Vec<Link>,
    /// A group of it has a PID for each of its repetitions.
    pub(super) patients: bool,
    /// Resources without which it says nothing.
    pub(super) needs: Vec<String>,
    /// Resources that each group has its own of.
    pub(super) distinct: Vec<String>,
    /// Resources that, where they have a number, need a patient who can be asked for.
    pub(super) owned: Vec<String>,
    /// The resource whose the others are.
    pub(super) subject: Option<String>,
}

/// The maps that add to one resource.
#[derive(Debug, Default)]
pub(super) struct Makers {
    /// In [`Program::blocks`].
    pub blocks: Vec<usize>,
    /// A segment that does not repeat is among them, so that one that does has no resource of its own.
    pub shared: bool,
}

/// A group: what is in it, in order.
#[derive(Debug)]
pub struct Group {
    /// Members.
    pub members: Vec<Member>,
    /// Segments that begin it.
    pub starts: Vec<[u8; 3]>,
}

/// A member of a group.
#[derive(Debug)]
pub enum Member {
    /// A segment.
    Segment {
        /// Its ID.
        id: [u8; 3],
        /// It may come more than once.
        repeats: bool,
        /// What reads it.
        uses: Vec<Use>,
        /// What makes the message an error.
        refuses: Vec<Refuse>,
    },
    /// A group, in [`Program::groups`].
    Group(usize),
}

/// A message that must not be stored.
#[derive(Debug)]
pub struct Refuse {
    /// Where this holds.
    pub when: Condition,
    /// The place that is told.
    pub at: String,
    /// What is told.
    pub because: String,
}

/// A map put to use.
#[derive(Debug)]
pub struct Use {
    /// In [`Program::blocks`].
    pub block: usize,
    /// What the resource is called.
    pub into: String,
    /// How it is written in this message, if not as its map says.
    pub request: Option<Request>,
    /// When.
    pub when: Option<Condition>,
}

/// A reference.
#[derive(Debug)]
pub struct Link {
    /// Who refers.
    pub of: String,
    /// By which element.
    pub to: Target,
    /// To whom.
    pub target: String,
    /// The data-absent-reason without one.
    pub absent: Option<String>,
    /// Elements that must not be there.
    pub(super) unless: Vec<Asked>,
    /// Whether it is looked for in the group around, too.
    pub beside: bool,
}
