//! A document, read once from end to end within bounds: well-formed or not, its root, and the elements of its header.
//!
//! Nothing is ever expanded: a DTD, and an entity other than the five of XML itself and characters by number, ends the reading.
//! What was read before that is kept, so that its sender can be answered.

use super::node::Node;
use crate::config::Charset;
use quick_xml::XmlVersion;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::escape::EscapeError;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{NamespaceResolver, ResolveResult};
use quick_xml::reader::Reader;
use std::borrow::Cow;

/// Elements in one another.
const DEPTH: usize = 200;
/// Attributes of one element, namespace declarations included.
const ATTRIBUTES: usize = 100;
/// Bytes of one name.
const NAME: usize = 256;
/// Elements of the header, and bytes of their names, attributes and text.
const HEADER_ELEMENTS: usize = 4096;
const HEADER_BYTES: usize = 256 * 1024;
/// How far the XML declaration may reach.
const DECLARATION: usize = 256;

/// v2.xml.
pub const V2_NAMESPACE: &str = "urn:hl7-org:v2xml";
/// v3 and CDA.
pub const V3_NAMESPACE: &str = "urn:hl7-org:v3";

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is in another character set than UTF-8, ASCII and ISO 8859-1, or not in the one that it names.
    Encoding,
    /// Not well-formed, or cut off.
    Malformed,
    /// It has a document type definition.
    Doctype,
    /// It refers to an entity that XML itself does not have.
    Entity,
    /// Deeper, or with more attributes or a larger header, than is read.
    Bounds,
    /// Its root is in none of HL7's namespaces.
    NotHl7,
}

/// What was read of a document.
#[derive(Debug)]
pub(super) struct Document {
    /// The root, and of what is in it the header's elements.
    pub(super) root: Node,
    /// Whether the root is v3's.
    pub(super) is_v3: bool,
    /// What its bytes are.
    pub(super) charset: Charset,
    /// Whether a v3 message has content, and not only a wrapper.
    pub(super) has_control_act: bool,
    /// What is wrong with it from somewhere on.
    pub(super) flaw: Option<Flaw>,
}

/// Reads a document.
///
/// # Errors
/// If not even its root can be known.
pub(super) fn read(bytes: &[u8]) -> Result<Document, Flaw> {
    let (text, charset, known) = decode(bytes);
    let flaw = (!known).then_some(Flaw::Encoding);
    let mut scan = Scan::default();
    let ended = scan.run(&text);
    let flaw = flaw.or(ended.err());
    match scan.root {
        Some((root, is_v3)) => Ok(Document {
            root,
            is_v3,
            has_control_act: scan.has_control_act,
            charset,
            flaw,
        }),
        None => Err(flaw.unwrap_or(Flaw::NotHl7)),
    }
}

/// The document as text, what it is answered in, and whether all of it is known. Where its bytes cannot be told for characters,
/// those that are not ASCII become U+FFFD: enough to find out whom to answer. One that breaks off in a character is read as far.
fn decode(bytes: &[u8]) -> (Cow<'_, str>, Charset, bool) {
    let unmarked = bytes.strip_prefix(b"\xef\xbb\xbf");
    let body = unmarked.unwrap_or(bytes).trim_ascii_start();
    let named = match encoding(body) {
        Some(Charset::Utf8) => Some(Charset::Utf8),
        Some(_) if unmarked.is_some() => None,
        other => other,
    };
    let text = std::str::from_utf8(body);
    match (named, text) {
        (Some(Charset::Utf8), Ok(text)) => (Cow::Borrowed(text), Charset::Utf8, true),
        (Some(Charset::Utf8), Err(error)) if error.error_len().is_none() => {
            let whole = std::str::from_utf8(&body[..error.valid_up_to()]);
            (
                Cow::Borrowed(whole.unwrap_or_default()),
                Charset::Utf8,
                false,
            )
        }
        (Some(Charset::Ascii), Ok(text)) if text.is_ascii() => {
            (Cow::Borrowed(text), Charset::Ascii, true)
        }
        (Some(Charset::Latin1), _) => {
            let text = body.iter().copied().map(char::from).collect();
            (Cow::Owned(text), Charset::Latin1, true)
        }
        _ => {
            let known = |byte: &u8| match byte.is_ascii() {
                true => char::from(*byte),
                false => char::REPLACEMENT_CHARACTER,
            };
            let text = body.iter().map(known).collect();
            (Cow::Owned(text), Charset::Ascii, false)
        }
    }
}

/// What the XML declaration says; UTF-8 where it says nothing. `None`: it says something that is not carried.
fn encoding(body: &[u8]) -> Option<Charset> {
    let head = &body[..body.len().min(DECLARATION)];
    let head = match memchr::memmem::find(head, b"?>") {
        Some(end) if head.starts_with(b"<?xml") => &head[..end + 2],
        _ => return Some(Charset::Utf8),
    };
    let mut reader = Reader::from_str(std::str::from_utf8(head).ok()?);
    let Ok(Event::Decl(declaration)) = reader.read_event() else {
        return Some(Charset::Utf8);
    };
    let Some(named) = declaration.encoding() else {
        return Some(Charset::Utf8);
    };
    match named.ok()?.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" => Some(Charset::Utf8),
        "us-ascii" | "ascii" => Some(Charset::Ascii),
        "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" => Some(Charset::Latin1),
        _ => None,
    }
}

/// One reading.
#[derive(Default)]
struct Scan {
    names: NamespaceResolver,
    depth: usize,
    root: Option<(Node, bool)>,
    /// Elements of the header that have not ended, outermost first.
    open: Vec<Node>,
    has_control_act: bool,
    elements: usize,
    bytes: usize,
}

impl Scan {
    fn run(&mut self, text: &str) -> Result<(), Flaw> {
        // XML 1.0 has no other control characters, not even by number.
        if text
            .bytes()
            .any(|byte| byte < b' ' && !byte.is_ascii_whitespace() || byte == 0x0C)
        {
            self.read(text).ok();
            return Err(Flaw::Malformed);
        }
        self.read(text)
    }

    fn read(&mut self, text: &str) -> Result<(), Flaw> {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.enable_all_checks(true);
        config.expand_empty_elements = true;
        let mut first = true;
        loop {
            let outside = self.depth == 0;
            match reader.read_event().map_err(flaw)? {
                Event::Start(start) => self.start(&start)?,
                // Never comes: it is expanded.
                Event::Empty(_) => return Err(Flaw::Malformed),
                Event::End(_) => self.end(),
                Event::Text(text) if outside => blank(&text)?,
                Event::Text(text) if text.contains("]]>") => return Err(Flaw::Malformed),
                Event::Text(text) => self.text(&text.xml10_content())?,
                Event::CData(_) | Event::GeneralRef(_) if outside => return Err(Flaw::Malformed),
                Event::CData(text) => self.text(&text.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let by_number = reference.resolve_char_ref().map_err(flaw)?;
                    match by_number {
                        Some(c) if is_char(c) => self.text(c.encode_utf8(&mut [0; 4]))?,
                        Some(_) => return Err(Flaw::Malformed),
                        None => self.text(predefined(&reference)?)?,
                    }
                }
                Event::Decl(_) if !first => return Err(Flaw::Malformed),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
                Event::DocType(_) => return Err(Flaw::Doctype),
                Event::Eof if outside && self.root.is_some() => return Ok(()),
                Event::Eof => return Err(Flaw::Malformed),
            }
            first = false;
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), Flaw> {
        if self.depth == 0 && self.root.is_some() {
            // To deliver two documents as one would mix two patients.
            return Err(Flaw::Malformed);
        }
        if self.depth == DEPTH {
            return Err(Flaw::Bounds);
        }
        name(start.name().0)?;
        let attributes = attributes(start, self.may_be_header())?;
        self.names.push(start).map_err(|_| Flaw::Malformed)?;
        let (namespace, local) = self.names.resolve_element(start.name());
        let namespace = match namespace {
            ResolveResult::Bound(namespace) => namespace.0,
            ResolveResult::Unbound => "",
            ResolveResult::Unknown(_) => return Err(Flaw::Malformed),
        };
        let local = local.into_inner();
        self.depth += 1;
        let Some((root, is_v3)) = &self.root else {
            let is_v3 = namespace == V3_NAMESPACE;
            if !is_v3 && namespace != V2_NAMESPACE || !is_plain(local) {
                return Err(Flaw::NotHl7);
            }
            let root = Node {
                name: local.to_owned(),
                ..Node::default()
            };
            self.root = Some((root, is_v3));
            return Ok(());
        };
        let own = namespace == if *is_v3 { V3_NAMESPACE } else { V2_NAMESPACE };
        if self.open.is_empty() {
            let child = self.depth == 2 && own;
            self.has_control_act |= child && *is_v3 && is_control_act(local);
            if !child || !wanted(root, *is_v3, local) {
                return Ok(());
            }
        }
        let sizes = attributes
            .iter()
            .map(|(key, value)| key.len() + value.len());
        self.elements += 1;
        self.bytes += local.len() + sizes.sum::<usize>();
        self.bounds()?;
        self.open.push(Node {
            name: if own { local.to_owned() } else { String::new() },
            attributes,
            ..Node::default()
        });
        Ok(())
    }

    /// Whether what begins here may belong to the header.
    fn may_be_header(&self) -> bool {
        !self.open.is_empty() || self.depth == 1
    }

    fn end(&mut self) {
        self.names.pop();
        self.depth = self.depth.saturating_sub(1);
        let Some(node) = self.open.pop() else {
            return;
        };
        let root = self.root.as_mut().map(|(root, _)| root);
        if let Some(parent) = self.open.last_mut().or(root) {
            parent.children.push(node);
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Flaw> {
        if let Some(node) = self.open.last_mut() {
            node.text.push_str(text);
            self.bytes += text.len();
            self.bounds()?;
        }
        Ok(())
    }

    fn bounds(&self) -> Result<(), Flaw> {
        match self.elements > HEADER_ELEMENTS || self.bytes > HEADER_BYTES {
            true => Err(Flaw::Bounds),
            false => Ok(()),
        }
    }
}

/// Whether an element of the root is one of the header's. Each counts once: nothing that comes again is looked for among others.
fn wanted(root: &Node, is_v3: bool, local: &str) -> bool {
    let named = match local {
        "MSH" | "MSA" | "ERR" => !is_v3,
        "id" | "creationTime" | "versionCode" | "interactionId" | "processingCode"
        | "processingModeCode" | "acceptAckCode" | "receiver" | "sender" | "acknowledgement" => {
            is_v3
        }
        _ => false,
    };
    named && root.child(local).is_none()
}

/// `controlActProcess`, and `ControlActEvent` of the first editions.
fn is_control_act(local: &str) -> bool {
    local.starts_with("controlAct") || local.starts_with("ControlAct")
}

/// Checks all of them, and keeps those without a namespace if they are wanted.
fn attributes(start: &BytesStart<'_>, keep: bool) -> Result<Vec<(String, String)>, Flaw> {
    let mut kept = Vec::new();
    for (number, attribute) in start.attributes().enumerate() {
        if number == ATTRIBUTES {
            return Err(Flaw::Bounds);
        }
        let attribute = attribute.map_err(|_| Flaw::Malformed)?;
        let key = attribute.key.0;
        name(key)?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(flaw)?;
        if attribute.value.contains('<') || !value.chars().all(is_char) {
            return Err(Flaw::Malformed);
        }
        if keep && !key.contains(':') && key != "xmlns" {
            kept.push((key.to_owned(), value.into_owned()));
        }
    }
    Ok(kept)
}

fn blank(text: &str) -> Result<(), Flaw> {
    match text.trim_ascii().is_empty() {
        true => Ok(()),
        false => Err(Flaw::Malformed),
    }
}

fn predefined(entity: &str) -> Result<&'static str, Flaw> {
    quick_xml::escape::resolve_xml_entity(entity).ok_or(Flaw::Entity)
}

/// Whether XML 1.0 has this character.
fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

fn name(name: &str) -> Result<(), Flaw> {
    if name.len() > NAME {
        return Err(Flaw::Bounds);
    }
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let goes_on = |c: char| starts(c) || c.is_ascii_digit() || matches!(c, '-' | '.' | ':');
    let colons = name.bytes().filter(|byte| *byte == b':').count();
    match name.starts_with(starts) && name.chars().all(goes_on) && colons <= 1 {
        true => Ok(()),
        false => Err(Flaw::Malformed),
    }
}

/// Whether a name is one that HL7 could have given: it goes into headers and into answers.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(plain)
}

fn flaw(error: impl Into<Error>) -> Flaw {
    match error.into() {
        Error::Escape(EscapeError::UnrecognizedEntity(..)) => Flaw::Entity,
        Error::IllFormed(IllFormedError::MissingDoctypeName) => Flaw::Doctype,
        _ => Flaw::Malformed,
    }
}
