//! The few elements of a document that are kept: its header's.

/// An element. `Debug` prints its name only: values name people.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its local name; empty where it is of another namespace than the root.
    pub name: String,
    /// Its attributes without a namespace, unescaped.
    pub attributes: Vec<(String, String)>,
    /// Its own text, unescaped, white space included.
    pub text: String,
    /// What is in it.
    pub children: Vec<Node>,
}

impl Node {
    /// The first element of this name in it.
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Every element of this name in it.
    pub fn all<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n Node> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first element at the end of these names.
    pub fn at(&self, names: &[&str]) -> Option<&Node> {
        names.iter().try_fold(self, |node, name| node.child(name))
    }

    /// An attribute; empty where there is none.
    pub fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// An attribute of the element at the end of these names; empty where there is none.
    pub fn attribute_at(&self, names: &[&str], name: &str) -> &str {
        self.at(names).map_or("", |node| node.attribute(name))
    }

    /// A component of a v2.xml field, from 1: the text of `<HD.2>` in `<MSH.3>`, whatever the data type is called. A field without
    /// components is its own first.
    pub fn component(&self, number: usize) -> &str {
        if self.children.is_empty() {
            return if number == 1 { &self.text } else { "" };
        }
        let number = number.to_string();
        let is = |child: &&Node| {
            let suffix = child.name.rsplit_once('.').map(|(_, suffix)| suffix);
            suffix == Some(number.as_str())
        };
        self.children.iter().find(is).map_or("", Node::first_text)
    }

    /// The text of an element, or of the first in it that has no elements of its own.
    fn first_text(&self) -> &str {
        self.children.first().map_or(&self.text, Node::first_text)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.text.trim_ascii().is_empty()
            && self.attributes.is_empty()
            && self.children.iter().all(Node::is_empty)
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("name_bytes", &self.name.len())
            .field("children", &self.children.len())
            .finish_non_exhaustive()
    }
}
