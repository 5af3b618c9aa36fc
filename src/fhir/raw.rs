//! The mapping language as it is written: the types that the YAML files are read into.
//!
//! Four kinds of files, each a mapping from names to definitions, told apart by their folder: `messages/` ([`Message`]),
//! `segments/` and `datatypes/` ([`Map`]), `vocabularies/` ([`Vocabulary`]). A definition replaces one of the same name that
//! was read before it, so that a site changes a map without a rebuild; with `extends: true` it adds to that one.

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::fmt;

/// One message structure: which segments it has, and which maps read them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{"required": ["events"]}, {"required": ["extends"]}]))]
pub struct Message {
    /// Adds to the definition of this name that was read before, instead of replacing it: it has `body`, each member with `after`, and `links`.
    #[serde(default)]
    pub extends: bool,
    /// Message types and trigger events that have this structure, as `ADT^A01`.
    #[serde(default)]
    #[schemars(with = "Vec<String>", inner(regex(pattern = r"^.{3}\^.{3}$")))]
    pub events: Vec<Spanned<String>>,
    /// Segments and groups in the order of the standard.
    #[schemars(with = "Vec<Member>")]
    pub body: Vec<Spanned<Member>>,
    /// References between the resources that the maps make, set when all are made.
    #[serde(default)]
    #[schemars(with = "Vec<Link>")]
    pub links: Vec<Spanned<Link>>,
    /// Resources, by the names that `into` gives, without which there is nothing to say: no bundle is made then.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub needs: Vec<Spanned<String>>,
    /// Resources that, where they have a number, need a patient who can be asked for: what is said of them would reach nobody's else.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub owned: Vec<Spanned<String>>,
    /// Resources, by the names that `into` gives, that each group has its own of: two groups that name one make the message an error.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub distinct: Vec<Spanned<String>>,
    /// The resource, by the name that `into` gives, whose the others are: one that a link refers to it from, and that finds none, makes the message an error.
    #[schemars(with = "Option<String>")]
    pub subject: Option<Spanned<String>>,
}

/// A segment or a group of a message.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// A segment's ID. Either this or `group`.
    pub segment: Option<String>,
    /// In a message that `extends`: the segment behind which this member stands, in whichever group that is.
    pub after: Option<String>,
    /// The file, if it is not that of the message.
    #[serde(skip)]
    pub file: Option<usize>,
    /// A group's name as the standard has it. Groups repeat.
    pub group: Option<String>,
    /// Segments that begin a new group; its first segment if left out.
    #[serde(default)]
    pub starts: Vec<String>,
    /// The segment repeats, and each has resources of its own.
    #[serde(default)]
    pub repeats: bool,
    /// The group is of one patient, and the next of another: the only way in which a message may have more than one PID.
    #[serde(default)]
    pub patients: bool,
    /// The maps that read this segment, in this order.
    #[serde(default)]
    #[schemars(with = "Vec<Use>")]
    pub maps: Vec<Spanned<Use>>,
    /// What makes the message an error where this segment stands.
    #[serde(default)]
    #[schemars(with = "Vec<Refuse>")]
    pub refuse: Vec<Spanned<Refuse>>,
    /// What is in the group.
    #[serde(default)]
    #[schemars(with = "Vec<Member>")]
    pub body: Vec<Spanned<Member>>,
}

/// A message that must not be stored.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refuse {
    /// Where this holds at the segment.
    pub when: String,
    /// The place that is told in ERR-2, as `PV1-3`.
    pub at: String,
    /// What is told, behind `it …`: `names no bed`.
    pub because: String,
}

/// A map put to use in a message.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// Name of a segment map.
    pub map: String,
    /// What the resource is called in this message. Maps that name the same one add to one resource.
    pub into: String,
    /// How the resource is written in this message, if not as its map says.
    pub request: Option<Request>,
    /// Only where this holds.
    pub when: Option<String>,
}

/// A reference from one resource of a message to another.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The resource that refers, by the name that `into` gave it.
    pub of: String,
    /// The element that holds the reference, as in a row.
    pub to: String,
    /// The resource that is referred to: the nearest of that name around `of`, else all of that name inside its group.
    pub target: String,
    /// Without a target: say that the reference is missing, with this data-absent-reason.
    pub absent: Option<String>,
    /// The file, if it is not that of the message.
    #[serde(skip)]
    pub file: Option<usize>,
    /// Elements of `of` that must not be there yet.
    #[serde(default)]
    pub unless: Vec<String>,
    /// Without a target there: all of that name in the group that the group of `of` is in.
    #[serde(default)]
    pub beside: bool,
}

/// How a segment becomes a resource, or a data type an element (or a resource that the element refers to).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// Adds to the definition of this name that was read before, instead of replacing it: its `rows` and `defaults` come before those, and its `require` and `patch` count as well.
    #[serde(default)]
    pub extends: bool,
    /// The resource's type. A data type map without it makes an element.
    #[schemars(with = "Option<String>")]
    pub resource: Option<Spanned<String>>,
    /// What a resend does in a transaction; `put` if left out.
    pub request: Option<Request>,
    /// What identifies the resource; where the first is empty, the message and the segment do. Each is one place or several with
    /// `|` between them, of which the first that is valued counts: `placer: ORC-2 as EI | filler: ORC-3 as EI`. `as CX` and `as EI`
    /// take an identifier with its authority, `as CX` the best of the repetitions; what stands before the colon tells the kinds
    /// apart; `ORC-3!9999` is not valued where it is 9999. A server is asked by the first if that is an identifier of the resource.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub key: Vec<Spanned<String>>,
    /// Where a message has several of one key: what tells them apart. Without it their order does, and how many they are.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub apart: Vec<Spanned<String>>,
    /// For `request: patch`: the elements that are written, each with its FHIR type (`status: code`), or with those of its members.
    #[serde(default)]
    pub patch: BTreeMap<String, Patch>,
    /// For `request: patch`: where the key's first is empty, so that no other message can have made what would be changed, nothing is made, and the segment is in the ledger.
    #[serde(default)]
    pub keyed: bool,
    /// What is made, in this order.
    #[schemars(with = "Vec<Row>")]
    pub rows: Vec<Spanned<Row>>,
    /// Rows that come when all maps of the message have added to the resource: what FHIR requires and nobody has given.
    #[serde(default)]
    #[schemars(with = "Vec<Row>")]
    pub defaults: Vec<Spanned<Row>>,
    /// As in a row. Of a resource it is asked when all maps and their defaults have added to it.
    #[serde(default)]
    pub require: Vec<String>,
    /// As in a row. Of a resource it is applied when all maps and their defaults have added to it.
    pub finish: Option<Finish>,
}

/// How a resource is written by a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// `PUT Type/id`, with the id made from the key: for what only this message says.
    #[default]
    Put,
    /// `PUT Type?identifier=…`: for what the message is about.
    Update,
    /// `PATCH`, of `map` and `into` only: of what is there the elements change that are under `patch` of the map. What is not there is an error.
    Patch,
    /// `POST` with `ifNoneExist`: for what is merely mentioned.
    Create,
}

/// An element of what is there that `request: patch` writes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Patch {
    /// Its FHIR type.
    Type(String),
    /// An element that repeats, and has members.
    Items(Items),
}

/// The items of an element that `request: patch` writes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Items {
    /// Those of what is there that make room, as FHIRPath has it (`type = 'replaced-by'`); all if left out.
    pub instead_of: Option<String>,
    /// The FHIR type of each member.
    pub members: BTreeMap<String, String>,
}

/// One value.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The file, if it is not that of the map.
    #[serde(skip)]
    pub file: Option<usize>,
    /// The element, from where the map stands: `birthDate`, `hospitalization.admitSource`, `name[]` (one item for each repetition).
    /// `$value` in all rows of a data type map: it makes a single value.
    /// Without it, the rows of `rows` add to where the map stands.
    pub to: Option<String>,
    /// Where the value is: `PID-5`, `PID-3.4.2` in a segment map; `XPN.1`, `XPN.1.2` in a data type map; `PV1-44` of the nearest segment of that ID.
    // `.1` without quotes is a number to YAML.
    #[schemars(extend("type" = ["string", "number", "null"]))]
    pub from: Option<String>,
    /// A FHIR type (`code`, `dateTime` …) or a data type map (`XPN[HumanName]`). Text if left out.
    #[serde(rename = "as")]
    pub conversion: Option<String>,
    /// The value is looked up here. A code that is not there is not used; a coding that is not there stays as it is.
    pub vocabulary: Option<String>,
    /// A constant.
    pub value: Option<Value>,
    /// A reference to the resource that a map before this one has made under this name.
    pub reference: Option<String>,
    /// Text with `{places}`, made only if each is valued.
    pub text: Option<String>,
    /// Rows of an object at `to`; with `from`, places in it are relative to that value: `.1`, `.4.2`.
    #[serde(default)]
    #[schemars(with = "Vec<Row>")]
    pub rows: Vec<Spanned<Row>>,
    /// Only where this holds; see `condition`.
    pub when: Option<String>,
    /// Only if none of these elements is there yet; `value*` is any that begins so.
    #[serde(default)]
    pub unless: Vec<String>,
    /// Only if each of these elements is there already.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The object of `rows` is dropped unless it has each of these elements; `name|telecom` is one of them.
    #[serde(default)]
    pub require: Vec<String>,
    /// All repetitions as one text, with this between them.
    pub join: Option<String>,
    /// Where there is no value: say so with this data-absent-reason.
    pub absent: Option<String>,
    /// What a rule of FHIR asks of the object beyond rows.
    pub finish: Option<Finish>,
    /// Places that carry nothing that a resource needs (set IDs, the message's own delimiters): they count as read.
    #[serde(default)]
    pub skip: Vec<String>,
}

/// A rule of FHIR for an object, applied when its rows are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// A code of a system that is known whole must be one of its codes, else the system is left out.
    Coding,
    /// A unit is a UCUM code only if it is known to be one.
    Quantity,
    /// An appointment has start and end or neither, and without them is no more than proposed. The end may be computed.
    Appointment,
}

/// Codes and what they become.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// Adds to the definition of this name that was read before, instead of replacing it: its codes are over those of the same name.
    #[serde(default)]
    pub extends: bool,
    /// The v2 table.
    pub table: Option<String>,
    /// The system of the codes that come out, unless one says otherwise.
    pub system: Option<String>,
    /// By v2 code.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Code>")]
    pub codes: BTreeMap<String, Spanned<Code>>,
    /// The files of those that another file has added.
    #[serde(skip)]
    pub files: BTreeMap<String, usize>,
    /// Codes that stay what they are.
    #[serde(default)]
    pub list: Vec<String>,
}

/// What one v2 code becomes.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Code {
    /// Its code.
    Short(String),
    /// With more to say of it.
    Long(Coding),
}

impl<'de> Deserialize<'de> for Code {
    /// By hand, so that of a misspelt key its name is told.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Code;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a code: a text in quotes, or {code: …, display: …, system: …}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Code, E> {
                Ok(Code::Short(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Code, A::Error> {
                Coding::deserialize(MapAccessDeserializer::new(map)).map(Code::Long)
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

/// A code with more to say of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coding {
    /// Code.
    pub code: String,
    /// What people call it.
    pub display: Option<String>,
    /// Its system.
    pub system: Option<String>,
}
