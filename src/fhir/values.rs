//! What a row makes of the values at its place.

use super::engine::{Engine, Here, Trace};
use super::message::Span;
use super::object::{self, insert};
use super::place::Place;
use super::primitive::{Primitive, Refused};
use super::program::{Block, Conversion, Piece, Row, VALUE};
use super::raw::Finish;
use super::taken::{self, Taken};
use super::work;
use serde_json::{Map, Value, json};

impl<'p> Engine<'p, '_, '_> {
    pub(super) fn template(
        &mut self,
        row: &'p Row,
        pieces: &[Piece],
        primitive: Primitive,
        here: Here,
        out: &mut Map<String, Value>,
    ) -> bool {
        let mut text = String::new();
        let mut leaves = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Place(place) => {
                    let first = self.at(*place, here).next();
                    let leaf = first.map(|span| self.message.leaf(span));
                    let Some(leaf) = leaf.filter(|leaf| self.message.valued(*leaf)) else {
                        return false;
                    };
                    let part = self.message.text(leaf);
                    if part.is_empty() {
                        return false;
                    }
                    text.push_str(&part);
                    leaves.push(leaf);
                }
            }
        }
        self.take(row, primitive.of(text, self.zone), &leaves, out)
    }

    pub(super) fn joined(
        &mut self,
        row: &'p Row,
        place: Place,
        between: &str,
        conversion: Conversion,
        here: Here,
        out: &mut Map<String, Value>,
    ) -> bool {
        let Conversion::Primitive(primitive) = conversion else {
            return false;
        };
        let mut texts = Vec::new();
        let mut leaves = Vec::new();
        for span in self.at(place, here) {
            let (text, mut of_span) = self.plain(span, primitive);
            texts.push(text);
            leaves.append(&mut of_span);
        }
        let text = texts.join(between);
        match text.trim() {
            "" => false,
            text => self.take(row, primitive.of(text.to_owned(), self.zone), &leaves, out),
        }
    }

    /// A value's text as a primitive reads it, and the leaves that are in it.
    fn plain(&self, span: Span, primitive: Primitive) -> (String, Vec<Span>) {
        match primitive {
            Primitive::Text | Primitive::Encoded => {
                let mut leaves = Vec::new();
                self.message.leaves(span, &mut leaves);
                (self.message.text(span), leaves)
            }
            _ => {
                let leaf = self.message.leaf(span);
                (self.message.text(leaf), vec![leaf])
            }
        }
    }

    pub(super) fn value(
        &mut self,
        row: &'p Row,
        span: Span,
        conversion: Conversion,
        vocabulary: Option<usize>,
        here: Here,
        out: &mut Map<String, Value>,
    ) -> bool {
        match conversion {
            Conversion::Primitive(kind @ (Primitive::System | Primitive::EntitySystem)) => {
                let (uri, leaves) = self.system(span, u16::from(kind == Primitive::EntitySystem));
                let Some(uri) = uri else { return false };
                self.take(row, Primitive::Uri.of(uri, self.zone), &leaves, out)
            }
            Conversion::Primitive(Primitive::Namespace) => {
                let names = Primitive::Uri.of(self.facility.names(), self.zone);
                self.take(row, names, &[], out)
            }
            Conversion::Primitive(primitive) => {
                let (mut text, leaves) = self.plain(span, primitive);
                if text.is_empty() {
                    return false;
                }
                if primitive == Primitive::CodeSystem {
                    text = self.code_system(&text);
                }
                let made = match vocabulary {
                    None => primitive.of(text, self.zone),
                    Some(vocabulary) => {
                        let known = &self.program.vocabularies[vocabulary];
                        match known.get(&text) {
                            Some(coded) => primitive.of(coded.code.clone(), self.zone),
                            None => Err(Refused::Vocabulary),
                        }
                    }
                };
                self.take(row, made, &leaves, out)
            }
            Conversion::Block(block) => {
                let block = &self.program.blocks[block];
                let here = Here {
                    value: Some(span),
                    ..here
                };
                if row.to.steps.is_empty() {
                    return self.merge(block, here, out);
                }
                let mark = self.mark();
                let Some(mut made) = self.block(block, here) else {
                    return false;
                };
                if let Some(vocabulary) = vocabulary {
                    self.look_up(vocabulary, span, block, &mut made);
                }
                let done = match made.remove(VALUE) {
                    Some(single) => insert(out, &mut self.lists, &row.to, single),
                    None => self.put(row, made, out),
                };
                if !done {
                    self.undo(&mark, Refused::Taken);
                }
                done
            }
        }
    }

    /// Adds what a map makes to the object at hand: its elements, or the reference to its resource.
    fn merge(&mut self, block: &'p Block, here: Here, out: &mut Map<String, Value>) -> bool {
        if block.resource.is_none() {
            let before = self.taken;
            self.body(&block.body, here, out);
            return self.taken > before;
        }
        let made = self.block(block, here);
        let there = made.is_some();
        for (name, value) in made.into_iter().flatten() {
            out.entry(name).or_insert(value);
        }
        there
    }

    /// Puts a primitive where its row says.
    fn take(
        &mut self,
        row: &Row,
        made: Result<Value, Refused>,
        leaves: &[Span],
        out: &mut Map<String, Value>,
    ) -> bool {
        work::done(leaves.len());
        let made = made.and_then(|value| {
            let what = taken::hash(&value);
            match insert(out, &mut self.lists, &row.to, value) {
                true => Ok(what),
                false => Err(Refused::Taken),
            }
        });
        let why = match made {
            Err(why) => why,
            Ok(what) => {
                self.taken += 1;
                let taken = leaves.iter().map(|leaf| Taken::became(*leaf, what));
                self.used.extend(taken);
                let element = self.trace.as_ref().map(|_| self.element());
                if let (Some(trace), Some(element)) = (&mut self.trace, element) {
                    trace.extend(leaves.iter().map(|leaf| Trace {
                        element: element.clone(),
                        at: leaf.start,
                        rows: self.rows.clone(),
                    }));
                }
                return true;
            }
        };
        self.refused
            .extend(leaves.iter().map(|leaf| (leaf.start, why)));
        false
    }

    /// The element at hand. What makes a single value is where that goes.
    fn element(&self) -> String {
        let steps = self.path.iter().copied().filter(|step| *step != VALUE);
        steps.collect::<Vec<_>>().join(".")
    }

    /// Puts the vocabulary's coding first. What the message has stays beside it where it says which system it is of.
    fn look_up(
        &mut self,
        vocabulary: usize,
        span: Span,
        block: &Block,
        made: &mut Map<String, Value>,
    ) {
        let code = self.message.down(span, 1, 0);
        let Some(code) = code.map(|code| self.message.leaf(code)) else {
            return;
        };
        let known = &self.program.vocabularies[vocabulary];
        let Some(coded) = known.get(&self.message.text(code)) else {
            return;
        };
        let mut coding = Map::new();
        if let Some(system) = &coded.system {
            coding.insert("system".into(), json!(system));
        }
        let standard = json!(coded.code);
        self.used.push(Taken::became(code, taken::hash(&standard)));
        coding.insert("code".into(), standard);
        if let Some(display) = &coded.display {
            coding.insert("display".into(), json!(display));
        }
        let _ = object::finish(&mut coding, Finish::Coding, self.program);
        if block.name.ends_with("[Coding]") {
            *made = coding;
            return;
        }
        let Some(Value::Array(codings)) = made.get_mut("coding") else {
            made.insert("coding".into(), json!([coding]));
            return;
        };
        codings.retain(|own| own.get("system").is_some() && own.get("code").is_some());
        let same = |own: &Value| {
            own.get("code") == coding.get("code") && own.get("system") == coding.get("system")
        };
        codings.retain(|own| !same(own));
        codings.insert(0, Value::Object(coding));
    }
}
