//! A YAML document as nodes that know where in the text they stand.
//!
//! Must not do: values; those are serde-saphyr's. Here only places count.

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};
use std::ops::Range;

/// A node of a document.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Bytes of the document; a block collection's begin at its first item or before, and end anywhere after its last.
    pub(super) range: Range<usize>,
    /// Column of its start, from 0.
    pub(super) column: usize,
    /// Written with `[` or `{`.
    pub(super) flow: bool,
}

/// What is in a node.
#[derive(Debug)]
pub(super) enum Kind {
    /// Keys that are not plain scalars have no name.
    Mapping(Vec<(Option<String>, Node, Node)>),
    Sequence(Vec<Node>),
    /// Whether it stands for null: nothing, `~` or `null`.
    Scalar {
        null: bool,
    },
    /// What an alias stands for is somewhere else.
    Alias,
}

impl Node {
    /// Where its last content ends, without the blank lines that a block scalar may take in.
    pub(super) fn end(&self, text: &str) -> usize {
        if self.flow {
            return self.range.end;
        }
        match &self.kind {
            Kind::Mapping(entries) => entries.last().map_or(self.range.end, |(_, key, value)| {
                value.end(text).max(key.end(text))
            }),
            Kind::Sequence(items) => items.last().map_or(self.range.end, |item| item.end(text)),
            Kind::Scalar { .. } | Kind::Alias => {
                let own = text.get(self.range.clone()).unwrap_or_default();
                self.range.start + own.trim_end().len()
            }
        }
    }

    /// The value of a key, and the key.
    pub(super) fn entry(&self, name: &str) -> Option<(&Node, &Node)> {
        let Kind::Mapping(entries) = &self.kind else {
            return None;
        };
        let entry = entries
            .iter()
            .find(|entry| entry.0.as_deref() == Some(name));
        entry.map(|(_, key, value)| (key, value))
    }

    /// The column of a block sequence's dashes. The parser says where items begin, and that only of some sequences.
    pub(super) fn dashes(&self, text: &str) -> Option<usize> {
        let Kind::Sequence(items) = &self.kind else {
            return None;
        };
        let before = text.get(..items.first()?.range.start)?;
        for line in before.rsplit('\n') {
            let code = line.split(" #").next().unwrap_or_default().trim_end();
            if code.ends_with('-') {
                return Some(code.len() - 1);
            }
            if !code.is_empty() && !code.trim_start().starts_with('#') {
                return None;
            }
        }
        None
    }

    /// The node one step down.
    pub(super) fn child(&self, step: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Sequence(items) => items.get(step.parse::<usize>().ok()?),
            Kind::Mapping(_) => self.entry(step).map(|entry| entry.1),
            Kind::Scalar { .. } | Kind::Alias => None,
        }
    }
}

/// Reads a document; `None` if that is not possible.
pub(super) fn read(text: &str) -> Option<Node> {
    let mut events = Vec::new();
    for next in Parser::new_from_str(text) {
        let (event, span) = next.ok()?;
        match event {
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd => {}
            event => events.push((event, span)),
        }
    }
    let mut events = events.into_iter();
    node(&mut events)
}

fn bytes(span: &Span) -> Option<Range<usize>> {
    span.byte_range()
}

fn node<'a>(events: &mut impl Iterator<Item = (Event<'a>, Span)>) -> Option<Node> {
    let (event, span) = events.next()?;
    one(event, span, events)
}

fn one<'a>(
    event: Event<'a>,
    span: Span,
    events: &mut impl Iterator<Item = (Event<'a>, Span)>,
) -> Option<Node> {
    let mut range = bytes(&span)?;
    let column = span.start.col();
    let (kind, flow) = match event {
        Event::MappingStart(style, ..) => {
            let mut entries = Vec::new();
            loop {
                let (event, span) = events.next()?;
                if let Event::MappingEnd = event {
                    range.end = bytes(&span)?.end;
                    break;
                }
                let name = match &event {
                    Event::Scalar(text, ..) => Some(text.to_string()),
                    _ => None,
                };
                let key = one(event, span, events)?;
                entries.push((name, key, node(events)?));
            }
            (Kind::Mapping(entries), style == StructureStyle::Flow)
        }
        Event::SequenceStart(style, ..) => {
            let mut items = Vec::new();
            loop {
                let (event, span) = events.next()?;
                if let Event::SequenceEnd = event {
                    range.end = bytes(&span)?.end;
                    break;
                }
                items.push(one(event, span, events)?);
            }
            (Kind::Sequence(items), style == StructureStyle::Flow)
        }
        Event::Scalar(text, style, ..) => {
            let null = style == ScalarStyle::Plain
                && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
            (Kind::Scalar { null }, false)
        }
        Event::Alias(_) => (Kind::Alias, false),
        _ => return None,
    };
    Some(Node {
        kind,
        range,
        column,
        flow,
    })
}
