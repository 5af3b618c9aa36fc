//! HL7 in XML: v2.xml, v3 messages and CDA documents: what a document says of itself, and the acknowledgement in kind.
//!
//! Owns reading XML within bounds, the headers of the three, and writing and checking their acknowledgements. Pure: no sockets, no
//! HTTP, no files. Nothing of the content is taken apart: an app gets the document as it is.
//!
//! ```text
//! bytes ──reader::read──► root, and the header's elements ──► Message ──► envelope
//!                                                               └───────► Ack::write ──► bytes
//! ```
//!
//! | root's namespace | root | what it is | answered by |
//! | --- | --- | --- | --- |
//! | `urn:hl7-org:v2xml` | `ADT_A01` … | a v2 message, segments and fields as elements | `ACK` in v2.xml |
//! | `urn:hl7-org:v3` | `PRPA_IN201301UV02` … | a v3 message in its transmission wrapper | `MCCI_IN000002UV01` |
//! | `urn:hl7-org:v3` | `ClinicalDocument` | a CDA document | nothing: it has no wrapper that could be acknowledged |

pub mod ack;
mod ack_v2;
mod ack_v3;
mod in_kind;
pub mod message;
pub mod node;
pub mod own_ack;
pub mod reader;
mod v2;
mod v3;
mod write;

pub use ack::Ack;
pub use message::{Dialect, Message};
pub use node::Node;
pub use reader::Flaw;
