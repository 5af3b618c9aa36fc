//! What a message says of itself, whichever way it is encoded: the few values that its event, its requests and its answers need.

use crate::hl7::Header;
use crate::xml;

/// The header of a message.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and lives on the stack of one exchange"
)]
pub enum Head<'a> {
    /// ER7: the bytes of MSH.
    Er7(Header<'a>),
    /// v2.xml, v3 or CDA.
    Xml(Box<xml::Message>),
}

impl Head<'_> {
    /// MSH-10, or what stands for it, verbatim.
    pub fn control_id(&self) -> &[u8] {
        match self {
            Self::Er7(header) => header.control_id(),
            Self::Xml(message) => message.control_id().as_bytes(),
        }
    }

    /// MSH-12.1, or what stands for it.
    pub fn version(&self) -> &[u8] {
        match self {
            Self::Er7(header) => header.component(12, 1),
            Self::Xml(message) => message.version().as_bytes(),
        }
    }

    /// MSH-9.3, or what stands for it.
    pub fn structure(&self) -> &[u8] {
        match self {
            Self::Er7(header) => header.component(9, 3),
            Self::Xml(message) => message.structure().as_bytes(),
        }
    }

    /// Whether there is an answer to such a message. CDA has none: it is a document without a wrapper, and neither CDA nor MLLP
    /// Release 1 says how it is acknowledged. Silence means that it was taken, the end of the connection that it was not. (Release
    /// 2's commit blocks are the transport's answer, not the message's: they belong to the connection.)
    pub fn is_answered(&self) -> bool {
        !matches!(self, Self::Xml(message) if message.dialect == xml::Dialect::Cda)
    }

    /// Whether these values are UTF-8, in a message whose bytes are or are not. What was read of XML is, whatever its bytes were.
    pub fn is_utf8(&self, message: bool) -> bool {
        match self {
            Self::Er7(_) => message,
            Self::Xml(_) => true,
        }
    }
}

impl<'a> From<Header<'a>> for Head<'a> {
    fn from(header: Header<'a>) -> Self {
        Self::Er7(header)
    }
}
