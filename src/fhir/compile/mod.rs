//! Mapping files to the `Program`: names become numbers, and everything that is wrong is found before a message comes.

mod elements;
mod extend;
mod fits;
mod kinds;
mod messages;
mod nesting;
mod value;
mod vocabularies;

use crate::fhir::condition::{self, Condition};
use crate::fhir::identity::read_part;
use crate::fhir::place::Place;
use crate::fhir::primitive::Primitive;
use crate::fhir::program::{self, Absent, Asked, Body, Conversion, Origin, Piece, Program, Source};
use crate::fhir::raw;
use crate::fhir::types::is_resource;
use elements::{beside, patched, periods};
use extend::Layer;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::{Location, Spanned};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// What is wrong in a mapping file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapError {
    /// The file.
    pub file: String,
    /// From 1; 0 if it is not known.
    pub line: u64,
    /// A sentence.
    pub what: String,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

impl std::error::Error for MapError {}

/// Definitions of one kind with the file that each is in.
type Named<T> = BTreeMap<String, (usize, Spanned<T>)>;

/// Compiles files given by name (`segments/PID.yaml`, or a longer path that ends so) and text. A later definition replaces an earlier one of its name,
/// or adds to it.
///
/// # Errors
/// Everything that is wrong, file by file.
pub fn compile(files: &[(&str, &str)]) -> Result<Program, Vec<MapError>> {
    let mut compiler = read(files, true);
    // What is made of maps that are wrong in themselves is of no matter.
    if compiler.errors.is_empty() {
        compiler.fits();
    }
    compiler.done()
}

/// The same of maps whose elements need not be FHIR's: for tests of the language itself.
pub(super) fn compile_any(files: &[(&str, &str)]) -> Result<Program, Vec<MapError>> {
    read(files, false).done()
}

fn read(files: &[(&str, &str)], fits: bool) -> Compiler {
    let mut compiler = Compiler {
        program: Program {
            files: files.iter().map(|(name, _)| (*name).to_owned()).collect(),
            ..Program::default()
        },
        errors: Vec::new(),
        blocks: HashMap::new(),
        vocabularies: HashMap::new(),
        targets: Vec::new(),
        fits,
        begun: HashMap::new(),
        messages: Vec::new(),
        labels: Vec::new(),
    };
    let mut messages: Named<raw::Message> = BTreeMap::new();
    let mut maps: Named<raw::Map> = BTreeMap::new();
    let mut vocabularies: Named<raw::Vocabulary> = BTreeMap::new();
    for (at, (name, text)) in files.iter().enumerate() {
        match folder(name) {
            "messages" => compiler.read(at, "message", text, &mut messages),
            "segments" | "datatypes" => compiler.read(at, "map", text, &mut maps),
            "vocabularies" => compiler.read(at, "vocabulary", text, &mut vocabularies),
            other => compiler.error(
                at,
                Location::UNKNOWN,
                format!("`{other}/` is no folder of maps"),
            ),
        }
    }
    compiler.vocabularies(vocabularies);
    compiler.blocks = maps.keys().cloned().zip(0..).collect();
    for (name, (file, map)) in &maps {
        let block = compiler.block(name, *file, map);
        compiler.program.blocks.push(block);
    }
    compiler.nesting();
    compiler.single_values();
    for (name, (file, message)) in &messages {
        compiler.message(name, *file, message);
    }
    compiler
}

/// A file's folder, which says what is in it.
fn folder(file: &str) -> &str {
    file.rsplit('/').nth(1).unwrap_or_default()
}

/// The directory that has the folders.
fn directory(file: &str) -> &str {
    file.rsplitn(3, '/').nth(2).unwrap_or_default()
}

struct Compiler {
    program: Program,
    errors: Vec<MapError>,
    blocks: HashMap<String, usize>,
    vocabularies: HashMap<String, usize>,
    /// What the codes of each vocabulary become, and where that stands.
    targets: Vec<Vec<(Origin, String, String)>>,
    /// Whether elements must be FHIR's.
    fits: bool,
    /// Where the last definition of each kind and name begins.
    begun: HashMap<(&'static str, String), (usize, Location)>,
    /// The file of each message.
    messages: Vec<usize>,
    /// Of each message the names of its resources, and where each is first made.
    labels: Vec<BTreeMap<String, Origin>>,
}

fn origin(file: usize, at: Location) -> Origin {
    Origin {
        file: file as u16,
        line: at.line() as u32,
    }
}

/// Where a row stands, and what its places mean.
#[derive(Clone, Copy)]
struct Here<'h> {
    file: usize,
    at: Location,
    /// The data type whose components are meant; `None` in a segment map.
    value: Option<&'h str>,
}

impl Compiler {
    fn done(self) -> Result<Program, Vec<MapError>> {
        match self.errors.is_empty() {
            true => Ok(self.program),
            false => Err(self.errors),
        }
    }

    fn error(&mut self, file: usize, at: Location, what: String) {
        let file = self.program.files.get(file).cloned().unwrap_or_default();
        let line = at.line();
        self.errors.push(MapError { file, line, what });
    }

    fn read<T: DeserializeOwned + Layer>(
        &mut self,
        file: usize,
        kind: &'static str,
        text: &str,
        found: &mut Named<T>,
    ) {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            with_snippet: false,
        };
        let read: Result<BTreeMap<String, Spanned<T>>, _> =
            serde_saphyr::from_str_with_options(text, options);
        match read {
            Ok(all) => {
                for (name, value) in all {
                    self.twice(file, kind, &name, &value);
                    self.take(file, name, value, found);
                }
            }
            Err(error) => {
                let why = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
                let why = why
                    .rsplit_once(" at line ")
                    .map_or(why.as_str(), |split| split.0);
                let at = error.location().unwrap_or(Location::UNKNOWN);
                self.error(file, at, why.to_owned());
            }
        }
    }

    /// One definition of a name replaces another only where it is of another directory: of two in one directory the order of the
    /// files' names would choose.
    fn twice<T: Layer>(&mut self, file: usize, kind: &'static str, name: &str, own: &Spanned<T>) {
        let at = own.referenced;
        let before = self.begun.insert((kind, name.to_owned()), (file, at));
        let Some((other, line)) = before.filter(|_| !own.value.extends()) else {
            return;
        };
        let file_of = |number: usize| self.program.files.get(number).map_or("", String::as_str);
        if directory(file_of(other)) == directory(file_of(file)) {
            let place = format!("{}:{}", file_of(other), line.line());
            let what = format!(
                "`{name}` is defined at {place} too; keep one, or write `extends: true` here to add to it"
            );
            self.error(file, at, what);
        }
    }

    /// A definition replaces the one that is there, or adds to it.
    fn take<T: Layer>(&mut self, file: usize, name: String, own: Spanned<T>, to: &mut Named<T>) {
        if !own.value.extends() {
            to.insert(name, (file, own));
            return;
        }
        let at = own.referenced;
        let faults = match to.get_mut(&name) {
            Some((_, there)) => there.value.extend(own.value, file, at),
            None => vec![(at, format!("there is no `{name}` to extend"))],
        };
        for (at, what) in faults {
            self.error(file, at, what);
        }
    }

    fn block(&mut self, name: &str, file: usize, map: &Spanned<raw::Map>) -> program::Block {
        let subject = name.split('[').next().unwrap_or_default();
        let in_segments = self
            .program
            .files
            .get(file)
            .is_some_and(|file| folder(file) == "segments");
        let here = Here {
            file,
            at: map.referenced,
            value: (!in_segments).then_some(subject),
        };
        if !name.ends_with(']') {
            let what =
                format!("`{name}`: a map is called after its source and target, as PID[Patient]");
            self.error(file, map.referenced, what);
        }
        let map = &map.value;
        if let Some(resource) = &map.resource
            && !is_resource(&resource.value)
        {
            let what = format!("`{}` is no resource of R4", resource.value);
            self.error(file, resource.referenced, what);
        }
        if map.request == Some(raw::Request::Patch) {
            let what = "`request: patch` is for a map that is put to use in a message".to_owned();
            self.error(file, here.at, what);
        }
        let key = self.key(here, &map.key);
        let apart = self.key(here, &map.apart);
        let (now, at_the_end) = match map.resource {
            None => (map.finish, None),
            Some(_) => (None, map.finish),
        };
        let body = self.body(here, &map.rows, &map.require, now);
        let defaults = self.body(here, &map.defaults, &[], at_the_end);
        program::Block {
            name: name.to_owned(),
            origin: origin(here.file, here.at),
            resource: map.resource.as_ref().map(|resource| resource.value.clone()),
            request: map.request.unwrap_or_default(),
            key,
            apart,
            patch: map.patch.iter().map(patched).collect(),
            keyed: map.keyed,
            body,
            defaults,
        }
    }

    fn body(
        &mut self,
        here: Here<'_>,
        rows: &[Spanned<raw::Row>],
        require: &[String],
        finish: Option<raw::Finish>,
    ) -> Body {
        let rows = rows.iter().filter_map(|row| {
            let here = Here {
                file: row.value.file.unwrap_or(here.file),
                at: row.referenced,
                ..here
            };
            self.row(here, &row.value)
        });
        let rows: Vec<program::Row> = rows.collect();
        let require = require.iter();
        Body {
            periods: periods(&rows),
            rows,
            require: require.map(|one| Asked::all(one.split('|'))).collect(),
            finish,
        }
    }

    fn key(&mut self, here: Here<'_>, parts: &[Spanned<String>]) -> Vec<Vec<program::Part>> {
        let one = |text: &Spanned<String>| {
            let read = read_part(&text.value, &|text| read_place(here.value, text));
            read.map_err(|what| self.error(here.file, text.referenced, what))
                .ok()
        };
        parts.iter().filter_map(one).collect()
    }

    fn place(&mut self, here: Here<'_>, text: &str) -> Option<Place> {
        let place = read_place(here.value, text);
        place
            .map_err(|what| self.error(here.file, here.at, what))
            .ok()
    }

    fn vocabulary(&self, name: &str) -> Result<usize, String> {
        let number = self.vocabularies.get(name).copied();
        number.ok_or_else(|| format!("there is no vocabulary `{name}`"))
    }

    fn condition(&mut self, here: Here<'_>, text: Option<&str>) -> Option<Condition> {
        let place = |text: &str| read_place(here.value, text);
        let read = condition::parse(text?, &place, &|name| self.vocabulary(name));
        read.map_err(|what| self.error(here.file, here.at, what))
            .ok()
    }

    fn row(&mut self, here: Here<'_>, row: &raw::Row) -> Option<program::Row> {
        let conversion = match row.conversion.as_deref() {
            None => Some(Conversion::Primitive(Primitive::String)),
            Some(name) => self.conversion(here, name),
        }?;
        let to = self.target(here, row.to.as_deref())?;
        let source = self.source(here, row, conversion)?;
        let whole = to.steps.is_empty();
        let fits = match &source {
            Source::Skip(_) => whole,
            Source::Rows(..) => true,
            Source::Place { conversion, .. } => {
                !whole || matches!(conversion, Conversion::Block(_))
            }
            _ => !whole,
        };
        if !fits {
            let what = "`to` is missing (or it stands beside `skip`)".to_owned();
            self.error(here.file, here.at, what);
        }
        Some(program::Row {
            origin: origin(here.file, here.at),
            absent: row.absent.clone().map(|reason| Absent {
                reason,
                to: match conversion {
                    Conversion::Primitive(_) => beside(&to),
                    Conversion::Block(_) => to.clone(),
                },
            }),
            to,
            source,
            when: self.condition(here, row.when.as_deref()),
            unless: Asked::all(&row.unless),
            needs: Asked::all(&row.needs),
        })
    }

    fn source(&mut self, here: Here<'_>, row: &raw::Row, conversion: Conversion) -> Option<Source> {
        let given = [
            row.from.is_some() && row.rows.is_empty(),
            row.value.is_some(),
            row.text.is_some(),
            row.reference.is_some(),
            !row.rows.is_empty(),
            !row.skip.is_empty(),
        ];
        match given.iter().filter(|given| **given).count() {
            0 if row.absent.is_some() => return Some(Source::Nothing),
            1 => {}
            _ => {
                let what = "a row has one of `from`, `value`, `text`, `reference`, `rows` (which `from` may go with) and `skip`";
                self.error(here.file, here.at, what.to_owned());
                return None;
            }
        }
        if let Some(value) = &row.value {
            if is_empty(value) {
                let what = "`value`: FHIR has no empty texts, lists and objects, and no null";
                self.error(here.file, here.at, what.to_owned());
            }
            return Some(Source::Constant(value.clone()));
        }
        if let Some(name) = &row.reference {
            return Some(Source::Reference(name.clone()));
        }
        if !row.skip.is_empty() {
            let places = row.skip.iter().filter_map(|text| self.place(here, text));
            return Some(Source::Skip(places.collect()));
        }
        if let Some(text) = &row.text {
            let Conversion::Primitive(primitive) = conversion else {
                self.error(here.file, here.at, "`text` makes a primitive".to_owned());
                return None;
            };
            return Some(Source::Text(self.pieces(here, text)?, primitive));
        }
        let from = match &row.from {
            None => None,
            Some(text) => Some(self.place(here, text)?),
        };
        if !row.rows.is_empty() {
            let inner = match from {
                None => here,
                // A name that no data type has: only `.1` is left.
                Some(_) => Here {
                    value: Some(here.value.unwrap_or("")),
                    ..here
                },
            };
            return Some(Source::Rows(
                from,
                self.body(inner, &row.rows, &row.require, row.finish),
            ));
        }
        let vocabulary = row.vocabulary.as_ref().map(|name| self.vocabulary(name));
        let vocabulary = vocabulary
            .transpose()
            .map_err(|what| self.error(here.file, here.at, what))
            .ok()?;
        Some(Source::Place {
            place: from?,
            conversion,
            vocabulary,
            join: row.join.clone(),
        })
    }

    fn conversion(&mut self, here: Here<'_>, name: &str) -> Option<Conversion> {
        if let Some(primitive) = Primitive::named(name) {
            return Some(Conversion::Primitive(primitive));
        }
        if let Some(block) = self.blocks.get(name) {
            return Some(Conversion::Block(*block));
        }
        let what = format!("`as`: `{name}` is neither a FHIR type nor a data type map");
        self.error(here.file, here.at, what);
        None
    }

    fn pieces(&mut self, here: Here<'_>, text: &str) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, behind)) = rest.split_once('{') {
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            let Some((place, behind)) = behind.split_once('}') else {
                self.error(here.file, here.at, "`text`: a { is not closed".to_owned());
                return None;
            };
            pieces.push(Piece::Place(self.place(here, place)?));
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        Some(pieces)
    }
}

/// Whether nothing is in it, or in a part of it.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty() || items.iter().any(is_empty),
        Value::Object(members) => members.is_empty() || members.values().any(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn read_place(data_type: Option<&str>, text: &str) -> Result<Place, String> {
    match data_type {
        None => Place::in_segment(text),
        Some(name) => Place::in_value(Some(name), text),
    }
}
