//! Whether what rows make are elements of FHIR R4: their names, one or a list, their types, and codes of which there are no others.

use super::Compiler;
use super::kinds::{is_of, makes};
use crate::fhir::elements::{Element, R4};
use crate::fhir::primitive::Primitive;
use crate::fhir::program::{
    Asked, Block, Body, Conversion, Origin, Patched, Row, Source, Target, VALUE, Written,
};
use crate::fhir::raw::Request;
use crate::fhir::types::is_resource;
use serde_json::Value;
use std::collections::HashSet;

/// What is wrong, and where.
pub(super) type Faults = Vec<(Origin, String)>;

/// The bridge gives each resource these.
const OWN: [&str; 2] = ["resourceType", "id"];

struct Check<'c> {
    compiler: &'c Compiler,
    /// Data type maps that were looked at, each as what it makes.
    seen: HashSet<(usize, &'static str, &'static str, bool)>,
    /// The names that rows refer to.
    referred: HashSet<&'c str>,
    faults: Faults,
}

impl Compiler {
    /// Finds what is no element, or not as FHIR has it.
    pub(super) fn fits(&mut self) {
        let mut check = Check {
            compiler: self,
            seen: HashSet::new(),
            referred: HashSet::new(),
            faults: Vec::new(),
        };
        for (number, block) in check.compiler.program.blocks.iter().enumerate() {
            match &block.resource {
                Some(kind) => {
                    if let Some(kind) = R4.named(kind) {
                        check.resource(block, kind);
                    }
                }
                None => {
                    // What is called after a resource makes a reference to one.
                    let made = block.name.split(['[', ']', '-']).nth(1);
                    let made = made.filter(|made| !is_resource(made));
                    if let Some(kind) = made.and_then(|made| R4.named(made)) {
                        check.block(number, kind);
                    }
                }
            }
        }
        check.strays();
        for (origin, what) in check.faults {
            self.at(origin, what);
        }
    }
}

/// The element of a link, which must hold references.
pub(super) fn link(kind: &str, to: &Target) -> Result<(), String> {
    let kind = R4.named(kind).unwrap_or_default();
    match element(kind, to, false)? {
        Some(element) if element.kind != "Reference" => Err(is_a(&to.steps, element.kind)),
        _ => Ok(()),
    }
}

/// The element that a target is; nothing inside a resource that is in another.
fn element(kind: &'static str, to: &Target, whole_list: bool) -> Result<Option<Element>, String> {
    let mut kind = kind;
    for (at, step) in to.steps.iter().enumerate() {
        let way = to.steps[..=at].join(".");
        if kind == "Resource" {
            return Ok(None);
        }
        if !R4.is_complex(kind) {
            return Err(format!("`{way}`: a {kind} has no elements"));
        }
        let found = R4.element(kind, step).ok_or_else(|| unknown(kind, step))?;
        let last = at + 1 == to.steps.len();
        match (last, found.list, to.list) {
            (true, false, true) => {
                return Err(format!(
                    "`{way}` is no list: write `{way}` and not `{way}[]`"
                ));
            }
            (true, true, false) if !whole_list => {
                return Err(format!("`{way}` is a list: write `{way}[]`"));
            }
            (false, true, _) => {
                return Err(format!(
                    "`{way}` is a list: write its items as a row `to: {way}[]` with `rows`"
                ));
            }
            _ if last => return Ok(Some(found)),
            _ => kind = found.kind,
        }
    }
    Ok(None)
}

fn unknown(kind: &str, name: &str) -> String {
    let typed = |element: &&Element| {
        let rest = element.name.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    let choices = R4.of(kind).iter().filter(typed).map(|element| element.name);
    let choices: Vec<&str> = choices.take(3).collect();
    match choices.is_empty() {
        true => format!("R4's {kind} has no element `{name}`"),
        false => format!(
            "R4's {kind} has no element `{name}`; with its type it is {} …",
            choices.join(", ")
        ),
    }
}

fn is_a(steps: &[String], kind: &str) -> String {
    format!("`{}` is a {kind}", steps.join("."))
}

impl<'c> Check<'c> {
    fn fault(&mut self, at: Origin, what: String) {
        let fault = (at, what);
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn resource(&mut self, block: &'c Block, kind: &'static str) {
        for row in block.body.rows.iter().chain(&block.defaults.rows) {
            if let Some(own) = row
                .to
                .steps
                .first()
                .filter(|step| OWN.contains(&step.as_str()))
            {
                let what = format!(
                    "`{own}` of a resource is the bridge's own; `key` says what identifies it"
                );
                self.fault(row.origin, what);
                return;
            }
        }
        self.body(&block.body, kind);
        self.body(&block.defaults, kind);
        for patched in &block.patch {
            if let Err(what) = patch(kind, patched) {
                self.fault(block.origin, format!("`patch`: {what}"));
            }
        }
    }

    /// A data type map as what it makes.
    fn block(&mut self, number: usize, kind: &'static str) {
        let block = &self.compiler.program.blocks[number];
        if self.seen.insert((number, kind, "", false)) && R4.named(kind).is_some() {
            self.body(&block.body, kind);
            self.body(&block.defaults, kind);
        }
    }

    fn body(&mut self, body: &'c Body, kind: &'static str) {
        for row in &body.rows {
            self.row(row, kind);
        }
        let Some(first) = body.rows.first() else {
            return;
        };
        for asked in body.require.iter().flatten() {
            self.asked(first.origin, asked, kind);
        }
    }

    /// An element that is asked for.
    fn asked(&mut self, at: Origin, asked: &Asked, kind: &'static str) {
        let mut kind = kind;
        let steps = match asked {
            Asked::Steps(steps) => steps,
            Asked::Starts(start) => {
                let mut all = R4.of(kind).iter();
                if !all.any(|element| element.name.starts_with(start)) {
                    self.fault(at, format!("R4's {kind} has no element `{start}…`"));
                }
                return;
            }
        };
        for step in steps {
            match R4.element(kind, step) {
                Some(element) => kind = element.kind,
                None if step == VALUE || !R4.is_complex(kind) || kind == "Resource" => return,
                None => return self.fault(at, unknown(kind, step)),
            }
        }
    }

    fn row(&mut self, row: &'c Row, kind: &'static str) {
        for asked in row.unless.iter().chain(&row.needs) {
            self.asked(row.origin, asked, kind);
        }
        if row.to.steps.first().is_some_and(|step| step == VALUE) {
            return;
        }
        if row.to.steps.is_empty() {
            return self.here(row, kind);
        }
        let whole_list = matches!(&row.source, Source::Constant(Value::Array(_)));
        match element(kind, &row.to, whole_list) {
            Ok(Some(element)) => self.source(row, element),
            Ok(None) => {}
            Err(what) => self.fault(row.origin, what),
        }
    }

    /// What adds to the object itself.
    fn here(&mut self, row: &'c Row, kind: &'static str) {
        match &row.source {
            Source::Rows(_, inner) => self.body(inner, kind),
            Source::Place {
                conversion: Conversion::Block(block),
                ..
            } => match self.compiler.program.blocks[*block].resource {
                Some(_) if kind != "Reference" => {
                    let what = format!("a reference has no place in a {kind}: `to` is missing");
                    self.fault(row.origin, what);
                }
                Some(_) => {}
                None => self.block(*block, kind),
            },
            _ => {}
        }
    }

    fn source(&mut self, row: &'c Row, element: Element) {
        let complex = R4.is_complex(element.kind);
        let not = |what: &str| format!("{}, and {what}", is_a(&row.to.steps, element.kind));
        match &row.source {
            Source::Nothing | Source::Skip(_) => {}
            Source::Reference(_) if element.kind != "Reference" => {
                self.fault(row.origin, not("no reference"));
            }
            Source::Reference(name) => {
                self.referred.insert(name);
                let mut all = self.compiler.program.messages.iter();
                if !all.any(|message| message.makers.contains_key(name)) {
                    let what = format!("no map of any message makes a resource called `{name}`");
                    self.fault(row.origin, what);
                }
            }
            Source::Constant(Value::Array(items)) if element.list && !row.to.list => {
                for item in items {
                    self.constant(row.origin, element, item);
                }
            }
            Source::Constant(value) => self.constant(row.origin, element, value),
            Source::Rows(..) if !complex => self.fault(row.origin, not("has no `rows`")),
            Source::Rows(_, inner) => self.body(inner, element.kind),
            Source::Text(_, primitive) => self.primitive(row, *primitive, None, element),
            Source::Place {
                conversion: Conversion::Primitive(primitive),
                vocabulary,
                ..
            } => self.primitive(row, *primitive, *vocabulary, element),
            Source::Place {
                conversion: Conversion::Block(number),
                ..
            } => {
                let block = &self.compiler.program.blocks[*number];
                let mut rows = block.body.rows.iter();
                let single = rows.any(|row| row.to.steps.first().is_some_and(|to| to == VALUE));
                match (&block.resource, single) {
                    (Some(_), _) if element.kind == "Reference" => {}
                    (Some(_), _) => self.fault(row.origin, not("no reference")),
                    (None, true) if guarded(row) => self.single(*number, element.of_any_code()),
                    (None, true) => self.single(*number, element),
                    (None, false) if complex => self.block(*number, element.kind),
                    (None, false) => {
                        let what = format!("`{}` makes an object", block.name);
                        self.fault(row.origin, not(&what));
                    }
                }
            }
        }
    }

    /// A map of a single value.
    fn single(&mut self, number: usize, element: Element) {
        let block = &self.compiler.program.blocks[number];
        let codes = R4.codes(element).is_some();
        if self
            .seen
            .insert((number, element.kind, element.name, codes))
        {
            for row in &block.body.rows {
                self.source(row, element);
            }
        }
    }

    fn primitive(&mut self, row: &Row, made: Primitive, vocabulary: Option<usize>, to: Element) {
        if !makes(made, to.kind) {
            let of = match R4.is_complex(to.kind) {
                true => "a data type map makes one".to_owned(),
                false => format!("write `as: {}`", to.kind),
            };
            let name = match row.to.steps.first().is_some_and(|step| step == VALUE) {
                true => is_a(&[to.name.to_owned()], to.kind),
                false => is_a(&row.to.steps, to.kind),
            };
            return self.fault(row.origin, format!("{name}: {of}"));
        }
        let Some(codes) = R4.codes(to) else { return };
        let Some(vocabulary) = vocabulary else {
            if guarded(row) {
                return;
            }
            let what = format!(
                "`{}` can only be {}: it needs a `vocabulary`",
                to.name,
                listed(codes)
            );
            return self.fault(row.origin, what);
        };
        let made = &self.compiler.targets[vocabulary];
        let wrong = made
            .iter()
            .filter(|(_, _, code)| !codes.contains(&code.as_str()));
        let wrong: Vec<_> = wrong.collect();
        for (at, from, code) in wrong {
            let what = format!(
                "`{from}`: `{code}` is none of the codes that `{}` can be: {}",
                to.name,
                listed(codes)
            );
            self.fault(*at, what);
        }
    }

    /// Finds names that may be misspelt: of a resource that nothing identifies, links or asks for, in a message that has another of
    /// its type.
    fn strays(&mut self) {
        let program = &self.compiler.program;
        for (number, message) in program.messages.iter().enumerate() {
            let blocks = |name: &str| {
                let makers = message.makers.get(name);
                let blocks = makers.map_or(&[][..], |makers| makers.blocks.as_slice());
                blocks.iter().map(|block| &program.blocks[*block])
            };
            let kind = |name: &str| blocks(name).find_map(|block| block.resource.as_deref());
            let named = message.needs.iter().chain(&message.owned);
            let named = named.chain(message.subject.as_slice());
            let mut known: HashSet<&str> = named.map(String::as_str).collect();
            for link in &message.links {
                known.extend([link.of.as_str(), link.target.as_str()]);
            }
            for (name, at) in &self.compiler.labels[number] {
                if known.contains(name.as_str())
                    || self.referred.contains(name.as_str())
                    || blocks(name)
                        .any(|block| !block.key.is_empty() || block.request == Request::Create)
                {
                    continue;
                }
                let others = message.makers.keys().filter(|other| *other != name);
                let same = others.filter(|other| kind(other) == kind(name));
                if let (Some(kind), Some(other)) = (kind(name), same.min()) {
                    let what = format!(
                        "`{name}` is another {kind} than `{other}`, and nothing identifies it, links it or refers to it: write `into: {other}`, a `key` or a link"
                    );
                    self.faults.push((*at, what));
                }
            }
        }
    }

    fn constant(&mut self, at: Origin, element: Element, value: &Value) {
        let kind = element.kind;
        let name = element.name;
        if kind == "Resource" {
            return;
        }
        if !R4.is_complex(kind) {
            if !is_of(kind, value) {
                self.fault(at, format!("`value`: `{name}` is a {kind}"));
            } else if let (Some(codes), Some(code)) = (R4.codes(element), value.as_str())
                && !codes.contains(&code)
            {
                let what = format!(
                    "`{code}` is none of the codes that `{name}` can be: {}",
                    listed(codes)
                );
                self.fault(at, what);
            }
            return;
        }
        let Value::Object(members) = value else {
            return self.fault(at, format!("`value`: `{name}` is a {kind}, an object"));
        };
        for (name, value) in members {
            match (R4.element(kind, name), value) {
                (None, _) => self.fault(at, unknown(kind, name)),
                (Some(inner), Value::Array(items)) if inner.list => {
                    for item in items {
                        self.constant(at, inner, item);
                    }
                }
                (Some(inner), _) if inner.list => {
                    self.fault(at, format!("`value`: `{name}` is a list"));
                }
                (Some(inner), value) => self.constant(at, inner, value),
            }
        }
    }
}

/// What is wrong with an element that a patch writes.
fn patch(kind: &str, patched: &Patched) -> Result<(), String> {
    let element = typed(kind, &patched.element, &patched.written)?;
    match &patched.written {
        Written::Items { members, .. } => {
            for (name, parameter) in members {
                typed(element.kind, name, &Written::Value(parameter.clone()))?;
            }
            Ok(())
        }
        Written::Value(_) => Ok(()),
    }
}

/// The element of this name, if it is written as its type is.
fn typed(kind: &str, name: &str, written: &Written) -> Result<Element, String> {
    let element = R4.element(kind, name).ok_or_else(|| unknown(kind, name))?;
    let fits = match written {
        Written::Items { .. } => element.list && R4.is_complex(element.kind),
        Written::Value(parameter) => {
            let own = parameter.strip_prefix("value").unwrap_or_default();
            own.eq_ignore_ascii_case(element.kind)
        }
    };
    match fits {
        true => Ok(element),
        false => Err(is_a(&[name.to_owned()], element.kind)),
    }
}

/// Whether a row has a condition: that may name the codes.
fn guarded(row: &Row) -> bool {
    row.when.is_some() || !row.needs.is_empty()
}

/// The first of them.
fn listed(codes: &[&str]) -> String {
    const MOST: usize = 12;
    match codes.get(..MOST) {
        Some(first) => format!("{} …", first.join(", ")),
        None => codes.join(", "),
    }
}
