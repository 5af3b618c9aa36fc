//! The URIs of code systems and of those who assign identifiers.

use super::engine::Engine;
use super::facility::{escaped, universal};
use super::message::Span;
use super::types::V2_TABLE;
use std::borrow::Cow;

/// A URN of ours for a name that only the sender knows: the same for the same name.
pub(super) fn urn(kind: &str, name: &str) -> String {
    format!("urn:hl7-v2:{kind}:{}", escaped(name))
}

impl<'t> Engine<'t> {
    /// The system that an assigning authority (HD) stands for, and the leaves that it was read from: its universal ID if that
    /// is one, else a known name's URI (`MR@GENERAL` before `MR`), else a URN made of the sender and the name. `skip` components stand before it.
    pub(super) fn system(
        &self,
        span: Span,
        skip: u16,
    ) -> (Option<Cow<'t, str>>, [Option<Span>; 2]) {
        let part = |number: u16| {
            let part = self.message.down(span, number + skip, 0);
            let part = part.filter(|part| self.message.valued(*part));
            part.map(|part| self.message.leaf(part))
        };
        let text =
            |span: Option<Span>| span.map_or(Cow::Borrowed(""), |span| self.message.text(span));
        let (name, id, kind) = (part(1), part(2), part(3));
        let (name_text, id_text) = (text(name), text(id));
        if !id_text.is_empty()
            && let Some(uri) = universal(&id_text, &text(kind).to_ascii_uppercase())
        {
            return (Some(Cow::Owned(uri)), [id, kind]);
        }
        let known = self.program.authorities.and_then(|number| {
            let codes = &self.program.vocabularies[number].codes;
            let own = self
                .facility
                .own(&name_text)
                .find_map(|own| codes.get(&own));
            let coded = own.or_else(|| codes.get(&*name_text))?;
            Some(Cow::Borrowed(coded.code.as_str()))
        });
        if known.is_some() {
            return (known, [name, None]);
        }
        // Some write the OID where the name belongs.
        if let Some(uri) = universal(&name_text, "").filter(|_| !name_text.is_empty()) {
            return (Some(Cow::Owned(uri)), [name, None]);
        }
        let names = self.facility.names();
        match (name_text.is_empty(), id_text.is_empty()) {
            (false, _) => {
                let urn = format!("{names}:{}", escaped(&name_text));
                (Some(Cow::Owned(urn)), [name, None])
            }
            (true, false) => {
                let urn = format!("{names}::{}", escaped(&id_text));
                (Some(Cow::Owned(urn)), [id, kind])
            }
            (true, true) => (None, [None, None]),
        }
    }

    /// The URI of a coding system (table 0396): a known one's, an HL7 table's, or a URN made of the name.
    pub(super) fn code_system(&self, name: &str) -> Cow<'t, str> {
        let known = self.program.code_systems.and_then(|number| {
            let codes = &self.program.vocabularies[number].codes;
            let found = codes.get(name);
            found.or_else(|| codes.get(&name.to_ascii_uppercase()))
        });
        if let Some(coded) = known {
            return Cow::Borrowed(&coded.code);
        }
        let table = name.strip_prefix("HL7").unwrap_or(name);
        let table = table.trim_start_matches(['-', '_']);
        if table.len() == 4 && table.bytes().all(|byte| byte.is_ascii_digit()) {
            return Cow::Owned(format!("{V2_TABLE}{table}"));
        }
        Cow::Owned(universal(name, "").unwrap_or_else(|| urn("coding-system", name)))
    }
}
