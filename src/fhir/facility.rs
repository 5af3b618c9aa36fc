//! Who sends, and names that only they know.

use super::message::Message;
use super::primitive::{is_oid, is_uri, is_uuid};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a URN's last part keeps as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// As the last part of a URN.
pub(super) fn escaped(name: &str) -> impl std::fmt::Display {
    utf8_percent_encode(name, KEPT)
}

/// An identifier that says itself what it is; `None` where it is none of the kind that it claims to be.
pub(super) fn universal(id: &str, kind: &str) -> Option<String> {
    match kind {
        "ISO" | "OID" | "" if is_oid(id) => Some(format!("urn:oid:{id}")),
        "UUID" | "GUID" | "" if is_uuid(id) => {
            Some(format!("urn:uuid:{}", id.to_ascii_lowercase()))
        }
        "URI" | "URL" | "" if is_uri(id) => Some(id.to_owned()),
        _ => None,
    }
}

/// Before the sender, in the URN of its names.
const NAMES: &str = "urn:hl7-v2:namespace:";

/// Who sends (MSH-4, else MSH-3): whose names a message's names are.
pub(super) struct Facility {
    /// Its name, as vocabularies have it: `GENERAL`.
    name: String,
    /// Its universal ID, if it has one.
    id: String,
    /// The URN of the names that it uses.
    names: String,
}

impl Facility {
    /// The sender of a message.
    pub(super) fn of(message: &Message<'_>) -> Self {
        let part = |field, number| {
            let mut all = message.repetitions(message.segment(0), field);
            let part = all.next().and_then(|hd| message.down(hd, number, 0));
            let part = part.filter(|part| message.valued(*part));
            part.map_or_else(String::new, |part| {
                message.text(message.leaf(part)).into_owned()
            })
        };
        let of_field = |field, before: &str| {
            let (name, id, kind) = (part(field, 1), part(field, 2), part(field, 3));
            let universal = universal(&id, &kind.to_ascii_uppercase()).filter(|_| !id.is_empty());
            let known = universal.as_ref().map_or(&name, |_| &id);
            (!known.is_empty()).then(|| Self {
                names: format!("{NAMES}{before}{}", escaped(known)),
                id: universal.map_or_else(String::new, |_| id.clone()),
                name: name.clone(),
            })
        };
        let nobody = || Self {
            name: String::new(),
            id: String::new(),
            names: NAMES.to_owned(),
        };
        let found = of_field(4, "").or_else(|| of_field(3, "application:"));
        found.unwrap_or_else(nobody)
    }

    /// The URN of the names that this sender uses.
    pub(super) fn names(&self) -> &str {
        &self.names
    }

    /// `NAME@GENERAL`, by its universal ID and by its name: how a vocabulary says whose name it means.
    pub(super) fn own(&self, name: &str) -> impl Iterator<Item = String> {
        let both = [&self.id, &self.name].into_iter();
        let both = both.filter(|own| !own.is_empty());
        both.map(|own| format!("{name}@{own}"))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Whether an assigning authority is the sender itself.
    pub(super) fn is_it(&self, name: &str, id: &str) -> bool {
        (!self.id.is_empty() && self.id == id) || (!self.name.is_empty() && self.name == name)
    }
}
