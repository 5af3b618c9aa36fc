//! Resources to a Bundle: identities, references, requests.
//!
//! An id is a UUID made of what identifies the resource (version 5), so that the same message makes the same bundle, and
//! two messages about one patient name the same one.

use super::engine::{REFERENCE, Resource};
use super::json::{write_members, write_text};
use super::raw::Request;
use super::systems::urn;
use crate::config::BundleType;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use std::collections::HashMap;
use uuid::Uuid;

/// The name space of the ids. Changing it changes every id.
const NAMESPACE: Uuid = Uuid::from_u128(0x5d1c_60ab_3f3e_5b0c_9d5e_6a1f_0c4b_7e21);
/// Between the parts of what an id is made of.
const BETWEEN: char = '\u{1f}';

/// What the bundle says of the message.
pub(super) struct About<'m> {
    /// Sender, control ID and time: what identifies the message.
    pub identity: String,
    /// MSH-10.
    pub control_id: &'m str,
    /// MSH-3 and MSH-4, whose control ID it is.
    pub sender: &'m str,
    /// MSH-7, if it has a time.
    pub timestamp: Option<&'m str>,
}

struct Entry {
    id: Uuid,
    /// `system|value`, where that is what the request asks for.
    identifier: Option<String>,
    /// Another of the same identity has taken its elements.
    same_as: Option<usize>,
}

/// Writes the bundle.
pub(super) fn write(
    resources: &mut [Resource<'_>],
    about: &About<'_>,
    kind: BundleType,
) -> Vec<u8> {
    let entries = identify(resources, about);
    let resolve = |text: &str| {
        let number: usize = text.strip_prefix(REFERENCE)?.parse().ok()?;
        let entry = entries.get(number)?;
        let entry = entry.same_as.map_or(entry, |first| &entries[first]);
        Some(format!("urn:uuid:{}", entry.id))
    };
    let mut out = Vec::with_capacity(512 + resources.len() * 512);
    out.extend_from_slice(b"{\"resourceType\":\"Bundle\",\"identifier\":{\"system\":");
    write_text(&mut out, &urn("control-id", about.sender));
    out.extend_from_slice(b",\"value\":");
    write_text(&mut out, about.control_id);
    out.extend_from_slice(b"},\"type\":");
    write_text(&mut out, name(kind));
    if let Some(timestamp) = about.timestamp {
        out.extend_from_slice(b",\"timestamp\":");
        write_text(&mut out, timestamp);
    }
    let is_header = |at: &usize| resource_type(&resources[*at]) == "MessageHeader";
    let mut order: Vec<usize> = (0..resources.len())
        .filter(|at| resources[*at].live && entries[*at].same_as.is_none())
        .collect();
    order.sort_by_key(|at| !is_header(at));
    let requests = matches!(kind, BundleType::Transaction | BundleType::Batch);
    for (place, at) in order.iter().enumerate() {
        let (resource, entry) = (&resources[*at], &entries[*at]);
        out.extend_from_slice(if place == 0 { b",\"entry\":[" } else { b"," });
        out.extend_from_slice(b"{\"fullUrl\":");
        write_text(&mut out, &format!("urn:uuid:{}", entry.id));
        out.extend_from_slice(b",\"resource\":{\"resourceType\":");
        write_text(&mut out, resource_type(resource));
        let conditional = requests && entry.identifier.is_some();
        if !conditional {
            out.extend_from_slice(b",\"id\":");
            write_text(&mut out, &entry.id.to_string());
        }
        if !resource.content.is_empty() {
            out.push(b',');
            write_members(&mut out, &resource.content, &resolve);
        }
        out.push(b'}');
        if requests {
            request(&mut out, resource, entry);
        }
        out.push(b'}');
    }
    out.extend_from_slice(if order.is_empty() { b"}" } else { b"]}" });
    out
}

fn name(kind: BundleType) -> &'static str {
    match kind {
        BundleType::Transaction => "transaction",
        BundleType::Message => "message",
        BundleType::Batch => "batch",
        BundleType::Collection => "collection",
    }
}

fn resource_type<'r>(resource: &Resource<'r>) -> &'r str {
    resource.block.resource.as_deref().unwrap_or_default()
}

fn request(out: &mut Vec<u8>, resource: &Resource<'_>, entry: &Entry) {
    let kind = resource_type(resource);
    let query = |identifier: &str| {
        format!(
            "identifier={}",
            utf8_percent_encode(identifier, NON_ALPHANUMERIC)
        )
    };
    let (method, url, if_none_exist) = match (&entry.identifier, resource.block.request) {
        (Some(identifier), Request::Create) => ("POST", kind.to_owned(), Some(query(identifier))),
        (Some(identifier), _) => ("PUT", format!("{kind}?{}", query(identifier)), None),
        (None, _) => ("PUT", format!("{kind}/{}", entry.id), None),
    };
    out.extend_from_slice(b",\"request\":{\"method\":");
    write_text(out, method);
    out.extend_from_slice(b",\"url\":");
    write_text(out, &url);
    if let Some(query) = if_none_exist {
        out.extend_from_slice(b",\"ifNoneExist\":");
        write_text(out, &query);
    }
    out.push(b'}');
}

/// Types of identifiers (v2-0203) that a family shares, or that are made up where they are not known: nobody is asked for by one.
const SHARED: [&str; 9] = ["SS", "SB", "DL", "MB", "MC", "MA", "HC", "PN", "XX"];

/// The first identifier, as `system|value`, or the first that names its system: but not where there is a key, since the
/// first one is that, and those behind it (a social security number) are everybody's.
fn identifier(content: &Map<String, Value>, only_first: bool) -> Option<String> {
    let all = content.get("identifier")?;
    let one = std::slice::from_ref(all);
    let all = all.as_array().map_or(one, Vec::as_slice);
    let asked = if only_first { 1 } else { all.len() };
    let is_shared = |identifier: &&Value| {
        let kind = identifier
            .pointer("/type/coding/0/code")
            .and_then(Value::as_str);
        kind.is_some_and(|kind| SHARED.contains(&kind))
    };
    let all = all.iter().take(asked).filter(|one| !is_shared(one));
    all.into_iter().find_map(|identifier| {
        let part = |name| identifier.get(name).and_then(Value::as_str);
        // A bar in the value cannot be told from the one before it.
        let value = part("value").filter(|value| !value.contains(['|', ',', '$', '\\']))?;
        Some(format!("{}|{value}", part("system")?))
    })
}

/// Gives each resource its id, and puts those of one identity together.
fn identify(resources: &mut [Resource<'_>], about: &About<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::with_capacity(resources.len());
    let mut known: HashMap<Uuid, usize> = HashMap::with_capacity(resources.len());
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut places: HashMap<Uuid, usize> = HashMap::new();
    for at in 0..resources.len() {
        let resource = &resources[at];
        let (kind, asked) = (resource_type(resource), resource.block.request);
        let keyed = resource.key.first().is_some_and(|first| !first.is_empty());
        let own = match asked {
            Request::Put => None,
            Request::Update | Request::Create => identifier(&resource.content, keyed),
        };
        let count = counts.entry(kind).or_default();
        *count += 1;
        let seed = match (&own, asked) {
            (Some(own), _) => format!("identifier{BETWEEN}{own}"),
            (None, _) if keyed => {
                let key = resource.key.join(&BETWEEN.to_string());
                format!("key{BETWEEN}{}{BETWEEN}{key}", about.sender)
            }
            (None, Request::Create) => {
                let mut content = Vec::new();
                let resolve = |text: &str| {
                    let number: usize = text.strip_prefix(REFERENCE)?.parse().ok()?;
                    entries
                        .get(number)
                        .map(|entry: &Entry| entry.id.to_string())
                };
                write_members(&mut content, &resource.content, &resolve);
                format!("content{BETWEEN}{}", String::from_utf8_lossy(&content))
            }
            (None, _) => format!("message{BETWEEN}{}{BETWEEN}{count}", about.identity),
        };
        let id_of = |seed: &str| {
            let name = format!("{kind}{BETWEEN}{seed}");
            Uuid::new_v5(&NAMESPACE, name.as_bytes())
        };
        let mut id = id_of(&seed);
        let mut same_as = known.get(&id).copied();
        if asked == Request::Put {
            // The key is not one: the lines of a text, say. They are told apart by their order.
            let place = places.entry(id).or_insert(0_usize);
            *place += 1;
            if *place > 1 {
                id = id_of(&format!("{seed}{BETWEEN}{place}"));
            }
            same_as = None;
        }
        match same_as {
            None => {
                known.insert(id, at);
            }
            Some(first) => {
                let content = std::mem::take(&mut resources[at].content);
                for (name, value) in content {
                    resources[first].content.entry(name).or_insert(value);
                }
            }
        }
        entries.push(Entry {
            id,
            identifier: own,
            same_as,
        });
    }
    entries
}
