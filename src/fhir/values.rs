//! What a row makes of the values at its place.

use super::engine::{Engine, Here, Trace};
use super::message::Span;
use super::object::{self, insert};
use super::place::Place;
use super::primitive::{Primitive, Refused};
use super::program::{Block, Conversion, Piece, Row, VALUE};
use super::raw::Finish;
use super::taken::{self, Taken};
use super::tree::{Node, Object};
use super::work;
use std::borrow::Cow;

impl<'t> Engine<'t> {
    pub(super) fn template(
        &mut self,
        row: &'t Row,
        pieces: &[Piece],
        primitive: Primitive,
        here: Here,
        out: &mut Object<'t>,
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
        self.take(row, primitive.of(Cow::Owned(text), self.zone), &leaves, out)
    }

    pub(super) fn joined(
        &mut self,
        row: &'t Row,
        place: Place,
        between: &str,
        conversion: Conversion,
        here: Here,
        out: &mut Object<'t>,
    ) -> bool {
        let Conversion::Primitive(primitive) = conversion else {
            return false;
        };
        let mut texts = Vec::new();
        let mut leaves = Vec::new();
        for span in self.at(place, here) {
            texts.push(self.plain(span, primitive, &mut leaves));
        }
        let text = texts.join(between);
        match text.trim() {
            "" => false,
            text => {
                let made = primitive.of(Cow::Owned(text.to_owned()), self.zone);
                self.take(row, made, &leaves, out)
            }
        }
    }

    /// A value's text as a primitive reads it; adds the leaves that are in it.
    fn plain(&self, span: Span, primitive: Primitive, leaves: &mut Vec<Span>) -> Cow<'t, str> {
        match primitive {
            Primitive::Text | Primitive::Encoded => {
                self.message.leaves(span, leaves);
                self.message.text(span)
            }
            _ => {
                let leaf = self.message.leaf(span);
                leaves.push(leaf);
                self.message.text(leaf)
            }
        }
    }

    pub(super) fn value(
        &mut self,
        row: &'t Row,
        span: Span,
        conversion: Conversion,
        vocabulary: Option<usize>,
        here: Here,
        out: &mut Object<'t>,
    ) -> bool {
        match conversion {
            Conversion::Primitive(kind @ (Primitive::System | Primitive::EntitySystem)) => {
                let (uri, leaves) = self.system(span, u16::from(kind == Primitive::EntitySystem));
                let Some(uri) = uri else { return false };
                let leaves: Vec<Span> = leaves.into_iter().flatten().collect();
                self.take(row, Primitive::Uri.of(uri, self.zone), &leaves, out)
            }
            Conversion::Primitive(Primitive::Namespace) => {
                let names =
                    Primitive::Uri.of(Cow::Owned(self.facility.names().to_owned()), self.zone);
                self.take(row, names, &[], out)
            }
            Conversion::Primitive(primitive) => {
                let mut leaves = std::mem::take(&mut self.leaves);
                leaves.clear();
                let text = self.plain(span, primitive, &mut leaves);
                let made = !text.is_empty() && {
                    let made = self.primitive(text, primitive, vocabulary);
                    self.take(row, made, &leaves, out)
                };
                self.leaves = leaves;
                made
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
                let done = match made.take(VALUE) {
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

    /// A text as a primitive, or what a vocabulary makes of it.
    fn primitive(
        &self,
        text: Cow<'t, str>,
        primitive: Primitive,
        vocabulary: Option<usize>,
    ) -> Result<Node<'t>, Refused> {
        let text = match primitive {
            Primitive::CodeSystem => self.code_system(&text),
            _ => text,
        };
        let text = match vocabulary {
            None => text,
            Some(vocabulary) => {
                let known = self.program.vocabularies[vocabulary].get(&text);
                Cow::Borrowed(known.ok_or(Refused::Vocabulary)?.code.as_str())
            }
        };
        primitive.of(text, self.zone)
    }

    /// Adds what a map makes to the object at hand: its elements, or the reference to its resource.
    fn merge(&mut self, block: &'t Block, here: Here, out: &mut Object<'t>) -> bool {
        if block.resource.is_none() {
            let before = self.taken;
            self.body(&block.body, here, out);
            return self.taken > before;
        }
        let made = self.block(block, here);
        let there = made.is_some();
        for (name, value) in made.into_iter().flatten() {
            out.or_insert(name, value);
        }
        there
    }

    /// Puts a primitive where its row says.
    fn take(
        &mut self,
        row: &'t Row,
        made: Result<Node<'t>, Refused>,
        leaves: &[Span],
        out: &mut Object<'t>,
    ) -> bool {
        work::done(leaves.len());
        let read = leaves.iter().map(|leaf| leaf.len()).sum();
        let text = made
            .as_ref()
            .ok()
            .and_then(Node::as_text)
            .map_or(0, str::len);
        self.budget.spend(text.max(read));
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
                        resource: None,
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
    fn look_up(&mut self, vocabulary: usize, span: Span, block: &Block, made: &mut Object<'t>) {
        let code = self.message.down(span, 1, 0);
        let Some(code) = code.map(|code| self.message.leaf(code)) else {
            return;
        };
        let known = &self.program.vocabularies[vocabulary];
        let Some(coded) = known.get(&self.message.text(code)) else {
            return;
        };
        let mut coding = Object::default();
        if let Some(system) = &coded.system {
            coding.push("system", Node::text(system));
        }
        let standard = Node::text(&coded.code);
        self.used.push(Taken::became(code, taken::hash(&standard)));
        coding.push("code", standard);
        if let Some(display) = &coded.display {
            coding.push("display", Node::text(display));
        }
        let _ = object::finish(&mut coding, Finish::Coding, self.program);
        if block.name.ends_with("[Coding]") {
            *made = coding;
            return;
        }
        let Some(Node::List(codings)) = made.get_mut("coding") else {
            made.set("coding", Node::List(vec![Node::Object(coding)]));
            return;
        };
        codings.retain(|own| {
            let own = own.as_object();
            own.is_some_and(|own| {
                let same = own.get("code") == coding.get("code")
                    && own.get("system") == coding.get("system");
                own.has("system") && own.has("code") && !same
            })
        });
        codings.insert(0, Node::Object(coding));
    }
}
