//! Writes XML: elements one after another, text escaped and in the character set of the message that is answered.

use super::node::Node;
use super::reader::is_plain;
use crate::config::Charset;

/// What an answer is written with.
#[derive(Debug)]
pub(super) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    charset: Charset,
}

impl<'o> Writer<'o> {
    /// Begins a document in a character set.
    pub(super) fn new(out: &'o mut Vec<u8>, charset: Charset) -> Self {
        let name = match charset {
            Charset::Utf8 => "UTF-8",
            Charset::Latin1 => "ISO-8859-1",
            // Of others there are no documents: what was not read is answered in what all read.
            _ => "US-ASCII",
        };
        out.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\"?>");
        Self { out, charset }
    }

    /// Begins an element.
    pub(super) fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.out.push(b'>');
    }

    /// Ends an element.
    pub(super) fn close(&mut self, name: &str) {
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'>');
    }

    /// An element without content.
    pub(super) fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.out.extend_from_slice(b"/>");
    }

    /// An element that holds text.
    pub(super) fn leaf(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        self.text(text);
        self.close(name);
    }

    /// An element with what it holds: what a header's field was.
    pub(super) fn inside(&mut self, name: &str, node: &Node) {
        self.open(name, &[]);
        if node.children.is_empty() {
            self.text(&node.text);
        }
        // Names of other namespaces have none here.
        for child in node.children.iter().filter(|child| is_plain(&child.name)) {
            self.inside(&child.name, child);
        }
        self.close(name);
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        for (key, value) in attributes {
            self.out.push(b' ');
            self.out.extend_from_slice(key.as_bytes());
            self.out.extend_from_slice(b"=\"");
            self.text(value);
            self.out.push(b'"');
        }
    }

    /// Text, escaped. What the character set does not have is written by number; control bytes, which XML does not have, as blanks:
    /// one of them could end the block.
    pub(super) fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.out.extend_from_slice(b"&amp;"),
                '<' => self.out.extend_from_slice(b"&lt;"),
                '>' => self.out.extend_from_slice(b"&gt;"),
                '"' => self.out.extend_from_slice(b"&quot;"),
                '\t' | '\n' | '\r' | '\u{7F}'..='\u{9F}' => self.number(c),
                '\0'..=' ' | '\u{FFFE}' | '\u{FFFF}' => self.out.push(b' '),
                '!'..='~' => self.out.push(c as u8),
                '\u{A0}'..='\u{FF}' if self.charset == Charset::Latin1 => self.out.push(c as u8),
                _ if self.charset == Charset::Utf8 => {
                    let mut buffer = [0; 4];
                    let encoded = c.encode_utf8(&mut buffer);
                    self.out.extend_from_slice(encoded.as_bytes());
                }
                _ => self.number(c),
            }
        }
    }

    fn number(&mut self, c: char) {
        self.out.extend_from_slice(b"&#");
        let mut buffer = itoa::Buffer::new();
        self.out
            .extend_from_slice(buffer.format(u32::from(c)).as_bytes());
        self.out.push(b';');
    }
}

/// A text, no longer than this many characters.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    let end = text
        .char_indices()
        .nth(limit)
        .map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}
