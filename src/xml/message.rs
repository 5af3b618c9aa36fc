//! What a document says of itself: everything that its envelope and its acknowledgement need.

use super::node::Node;
use super::reader::{self, Document, Flaw};
use super::{v2, v3};
use crate::config::Charset;
use crate::hl7::Mode;
use crate::hl7::mode::Condition;
use crate::telemetry::labels::Deviation;

/// What kind of document it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A v2 message in XML.
    V2,
    /// A v3 message.
    V3,
    /// A CDA document.
    Cda,
}

impl Dialect {
    /// As an envelope names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V2 => "v2.xml",
            Self::V3 => "v3",
            Self::Cda => "cda",
        }
    }

    /// The media type of such a document. None is registered; these are what HL7's infrastructure and messaging group settled on,
    /// the first of them is HL7 over HTTP's as well. A CDA document is a v3 document.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::V2 => "application/hl7-v2+xml",
            Self::V3 | Self::Cda => "application/hl7-v3+xml",
        }
    }
}

/// A document's header. `Debug` prints nothing of its values.
#[derive(Clone)]
pub struct Message {
    /// What kind of document it is.
    pub dialect: Dialect,
    /// What its bytes are.
    pub charset: Charset,
    /// What is wrong with it, from somewhere on: it is answered, and not delivered.
    pub flaw: Option<Flaw>,
    pub(super) root: Node,
    control_id: String,
    has_control_act: bool,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("dialect", &self.dialect)
            .field("charset", &self.charset)
            .field("flaw", &self.flaw)
            .finish_non_exhaustive()
    }
}

impl Message {
    /// Reads a document's header, and the rest of it for its faults.
    ///
    /// # Errors
    /// If it is no document of HL7's, or cannot be read as far as its root.
    pub fn read(bytes: &[u8]) -> Result<Self, Flaw> {
        let Document {
            root,
            is_v3,
            has_control_act,
            charset,
            flaw,
        } = reader::read(bytes)?;
        let dialect = match is_v3 {
            false => Dialect::V2,
            true if root.name == "ClinicalDocument" => Dialect::Cda,
            true => Dialect::V3,
        };
        let control_id = match dialect {
            Dialect::V2 => v2::field(&root, 10).map_or("", |id| &id.text).to_owned(),
            Dialect::V3 | Dialect::Cda => root.child("id").map_or(String::new(), v3::id),
        };
        // A character that could not be read stands for another one.
        let known = !control_id.contains(char::REPLACEMENT_CHARACTER);
        let control_id = if known { control_id } else { String::new() };
        Ok(Self {
            dialect,
            charset,
            flaw,
            root,
            control_id,
            has_control_act,
        })
    }

    /// What its answer refers to: MSH.10, or the root and extension of `id`, with a `^` between them where there are both.
    pub fn control_id(&self) -> &str {
        &self.control_id
    }

    /// Whether it is in the sequence number protocol: v2.xml with a MSH.13.
    pub fn is_numbered(&self) -> bool {
        let number = v2::field(&self.root, 13).map_or("", |number| number.text.trim());
        self.dialect == Dialect::V2 && !matches!(number, "" | "\"\"")
    }

    /// Whether its sender can be answered: it has an ID, or a header of v2 without one.
    pub fn is_identified(&self) -> bool {
        let header = self.dialect == Dialect::V2 && self.root.child("MSH").is_some();
        !self.control_id.is_empty() || header
    }

    /// The name of its root: the message structure, or the interaction.
    pub fn root_name(&self) -> &str {
        &self.root.name
    }

    /// `ADT` and `A01`, or the interaction, or `ClinicalDocument`. Parts that are not there are empty.
    pub fn kind(&self) -> [&str; 2] {
        match self.dialect {
            Dialect::V2 => {
                let part = |number| v2::component(&self.root, 9, number);
                [part(1), part(2)]
            }
            Dialect::V3 => match self.root.attribute_at(&["interactionId"], "extension") {
                "" => [&self.root.name, ""],
                named => [named, ""],
            },
            Dialect::Cda => [&self.root.name, ""],
        }
    }

    /// Who sends it: MSH.3's and MSH.4's first component, or the ID of the sending device and of its organisation.
    pub fn sender(&self) -> [String; 2] {
        match self.dialect {
            Dialect::V2 => [3, 4].map(|field| v2::component(&self.root, field, 1).to_owned()),
            Dialect::V3 => v3::sender(&self.root),
            Dialect::Cda => Default::default(),
        }
    }

    /// MSH.12's first component, or a v3 message's `versionCode`.
    pub fn version(&self) -> &str {
        match self.dialect {
            Dialect::V2 => v2::component(&self.root, 12, 1),
            Dialect::V3 => self.root.attribute_at(&["versionCode"], "code"),
            Dialect::Cda => "",
        }
    }

    /// MSH.9's third component, or the name of the root.
    pub fn structure(&self) -> &str {
        match (self.dialect, v2::component(&self.root, 9, 3)) {
            (Dialect::V2, named) if !named.is_empty() => named,
            _ => &self.root.name,
        }
    }

    /// How it wants to be acknowledged, and what is odd about that.
    pub fn mode(&self) -> (Mode, Option<Deviation>) {
        match self.dialect {
            Dialect::V2 => {
                let field = |number| v2::component(&self.root, number, 1).as_bytes();
                Mode::asked([field(15), field(16)])
            }
            Dialect::V3 => (Mode::Once(v3::accept(&self.root)), None),
            Dialect::Cda => (Mode::Once(Condition::Never), None),
        }
    }

    /// Whether it is an acknowledgement and nothing else, as [`is_accept_ack`](crate::hl7::mode::is_accept_ack) says it of ER7.
    pub fn is_accept_ack(&self) -> bool {
        match self.dialect {
            Dialect::V2 => v2::is_accept_ack(&self.root),
            Dialect::V3 => v3::is_acknowledgement(&self.root, self.has_control_act),
            Dialect::Cda => false,
        }
    }
}
