//! HL7 v2 to FHIR R4: a message becomes a Bundle.
//!
//! ```text
//! mappings/*.yaml ──raw──► compile ──► Program
//!                                         │
//! message ──► structure (groups) ──► engine (resources) ──► bundle (ids, references, JSON)
//!                                         └──► ledger: what no row took;  explained: which row took what
//! ```
//!
//! What becomes what is in the mapping files, not here; [`raw`] documents their language. Pure: no clock, no randomness, no
//! I/O. The same message makes the same bytes.

mod asked;
mod budget;
mod bundle;
pub mod compile;
mod condition;
mod convert;
pub mod date;
mod elements;
pub mod embedded;
mod engine;
mod facility;
mod groups;
mod identity;
mod json;
mod links;
mod lists;
mod message;
mod object;
mod paths;
mod place;
pub mod primitive;
mod program;
pub mod raw;
mod reading;
mod structure;
mod systems;
mod taken;
mod tree;
mod types;
mod values;
mod work;

pub use compile::MapError;
pub use convert::{Converted, Counted, Explained, Ledger, Lost, Mapper, NotCovered, Options};
pub use date::Zone;
pub use primitive::Refused;

#[cfg(test)]
mod tests;
