//! Resources to a Bundle: identities, references, requests.
//!
//! An id is a UUID made of what identifies the resource (version 5), so that the same message makes the same bundle, and
//! two messages about one patient name the same one.

mod patch;

use super::budget::Budget;
use super::engine::Resource;
use super::identity::SHARED;
use super::json::{write_members, write_text};
use super::lists::Lists;
use super::object;
use super::raw::Request;
use super::systems::urn;
use super::tree::{Node, Object};
use super::work;
use crate::config::BundleType;
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The name space of the ids. Changing it changes every id.
const NAMESPACE: Uuid = Uuid::from_u128(0x5d1c_60ab_3f3e_5b0c_9d5e_6a1f_0c4b_7e21);
/// Between the parts of what an id is made of.
const BETWEEN: char = '\u{1f}';

/// The system of the identifiers that are made of keys.
const KEY: &str = "urn:hl7-v2:key";

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

/// How a resource is addressed.
pub(super) struct Entry {
    id: Uuid,
    /// The id is made of a key.
    keyed: bool,
    /// `system|value`, where that is what the request asks for.
    identifier: Option<String>,
    /// Another of the same identity has taken its elements.
    same_as: Option<usize>,
}

/// The resource that has a resource's elements: itself, or the first of its identity.
pub(super) fn home(entries: &[Entry], number: usize) -> usize {
    entries[number].same_as.unwrap_or(number)
}

/// Writes the bundle; it, and how many entries it has.
pub(super) fn write(
    resources: &[Resource<'_>],
    entries: &[Entry],
    about: &About<'_>,
    kind: BundleType,
) -> (Vec<u8>, usize) {
    let mut address = |out: &mut Vec<u8>, number: usize| {
        let number = home(entries, number);
        let (resource, entry) = (&resources[number], &entries[number]);
        // Not every server knows what a patch that is an entry of its own is about.
        match has_requests(kind) && !resource.patch.is_empty() {
            true => out.extend(patch::address(resource_type(resource), entry).bytes()),
            false => write_urn(out, entry),
        }
    };
    let mut out = Vec::with_capacity(512 + resources.len() * 1024);
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
    let order = order(resources, entries);
    let requests = has_requests(kind);
    for (place, at) in order.iter().enumerate() {
        let (resource, entry) = (&resources[*at], &entries[*at]);
        out.extend_from_slice(if place == 0 { b",\"entry\":[" } else { b"," });
        out.extend_from_slice(b"{\"fullUrl\":\"");
        write_urn(&mut out, entry);
        out.push(b'"');
        if requests && !resource.patch.is_empty() {
            let others = meant(resources, *at).into_iter();
            let others = others.map(|other| &entries[home(entries, other)]);
            let others = others.filter_map(|other| other.identifier.as_deref());
            patch::write(&mut out, resource, entry, others, &mut address);
            continue;
        }
        out.extend_from_slice(b",\"resource\":{\"resourceType\":");
        write_text(&mut out, resource_type(resource));
        let conditional = requests && entry.identifier.is_some();
        if !conditional {
            out.extend_from_slice(b",\"id\":\"");
            write_id(&mut out, entry);
            out.push(b'"');
        }
        if !resource.content.is_empty() {
            out.push(b',');
            write_members(&mut out, &resource.content, &mut address);
        }
        out.push(b'}');
        if requests {
            request(&mut out, resource, entry);
        }
        out.push(b'}');
    }
    out.extend_from_slice(if order.is_empty() { b"}" } else { b"]}" });
    (out, order.len())
}

/// The system and the value by which a server is asked: of what is only changed they are nowhere else.
pub(super) fn asked_for(entry: &Entry) -> impl Iterator<Item = &str> {
    let identifier = entry.identifier.as_deref();
    identifier.into_iter().flat_map(|text| text.split('|'))
}

/// Those of its type that a resource refers to.
fn meant(resources: &[Resource<'_>], at: usize) -> Vec<usize> {
    let kind = resource_type(&resources[at]);
    let mut all = Vec::new();
    resources[at].content.addresses(&mut all);
    all.retain(|number| resource_type(&resources[*number]) == kind);
    all
}

/// The resources that are entries, in the order of the bundle.
fn order(resources: &[Resource<'_>], entries: &[Entry]) -> Vec<usize> {
    let is_header = |at: &usize| resource_type(&resources[*at]) == "MessageHeader";
    let mut order: Vec<usize> = (0..resources.len())
        .filter(|at| resources[*at].live && entries[*at].same_as.is_none())
        .collect();
    order.sort_by_key(|at| !is_header(at));
    order
}

/// For each resource the entry, from 0, that it is written in.
pub(super) fn places(resources: &[Resource<'_>], entries: &[Entry]) -> Vec<Option<usize>> {
    let mut places = vec![None; resources.len()];
    for (place, at) in order(resources, entries).into_iter().enumerate() {
        places[at] = Some(place);
    }
    let numbers = 0..resources.len();
    numbers
        .map(|number| places[home(entries, number)])
        .collect()
}

fn write_id(out: &mut Vec<u8>, entry: &Entry) {
    let mut text = [0; Hyphenated::LENGTH];
    let text = entry.id.hyphenated().encode_lower(&mut text);
    out.extend_from_slice(text.as_bytes());
}

fn write_urn(out: &mut Vec<u8>, entry: &Entry) {
    out.extend_from_slice(b"urn:uuid:");
    write_id(out, entry);
}

/// Whether its entries say what is to be done.
pub(super) fn has_requests(kind: BundleType) -> bool {
    matches!(kind, BundleType::Transaction | BundleType::Batch)
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

fn query(identifier: &str) -> String {
    format!("identifier={}", escaped(identifier))
}

fn escaped(identifier: &str) -> PercentEncode<'_> {
    utf8_percent_encode(identifier, NON_ALPHANUMERIC)
}

fn request(out: &mut Vec<u8>, resource: &Resource<'_>, entry: &Entry) {
    let kind = resource_type(resource);
    let (method, url, if_none_exist) = match (&entry.identifier, resource.request) {
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

/// Types of R4 without `identifier[]`: their id is all that they are known by.
const NAMELESS: [&str; 8] = [
    "AuditEvent",
    "Binary",
    "Bundle",
    "Composition",
    "Linkage",
    "MessageHeader",
    "Provenance",
    "QuestionnaireResponse",
];

/// The identifiers, as `system|value`, that name their system and are not of a type that others have too.
fn identifiers(content: &Object<'_>) -> impl Iterator<Item = String> {
    let all = match content.get("identifier") {
        Some(Node::List(all)) => all.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let all = all.iter().filter_map(Node::as_object);
    let own = all.filter(|one| {
        work::done(1);
        kind_of(one).is_none_or(|kind| !SHARED.contains(&kind))
    });
    own.filter_map(|identifier| {
        let value = identifier.text("value");
        // They mean something in a search: a bar is the one before the value, and a comma is `or`.
        let is_plain = |text: &&str| !text.contains(['|', ',', '$', '\\']);
        let (system, value) = (identifier.text("system")?, value?);
        [system, value]
            .iter()
            .all(is_plain)
            .then(|| format!("{system}|{value}"))
    })
}

/// The first code of an identifier's type.
fn kind_of<'i>(identifier: &'i Object<'_>) -> Option<&'i str> {
    match identifier.get("type")?.as_object()?.get("coding")? {
        Node::List(codings) => codings.first()?.as_object()?.text("code"),
        _ => None,
    }
}

/// What a server is asked by: where there is a key, that, if it is one identifier of the resource. One of several parts is never asked
/// for by the first alone: a mother and her newborn may have one visit's number.
fn asked_by(resource: &Resource<'_>) -> Option<String> {
    let mut all = identifiers(&resource.content);
    match (resource.request, resource.key.as_slice()) {
        (Request::Put, _) => None,
        (_, []) => all.next(),
        (_, [one]) => all.find(|own| own == one),
        _ => None,
    }
}

/// Whose a key is: the sender's, but where all of it are identifiers that name their system, which mean the same whoever sends them.
fn whose<'s>(resource: &Resource<'_>, sender: &'s str) -> &'s str {
    let named = |part: &String| {
        let system = part.split_once('|').map_or("", |split| split.0);
        system.contains("urn:") || system.contains("://")
    };
    match resource.request != Request::Put && resource.key.iter().all(named) {
        true => "",
        false => sender,
    }
}

/// Values that one identity had no room for, and whose they were.
pub(super) type Dropped<'t> = Vec<(usize, Node<'t>)>;

/// Gives each resource its id, and puts those of one identity together. The second list has what could not be kept then.
///
/// # Errors
/// If two things that the message tells apart are one by their identifiers: their type. `are_two` says which
/// are two whatever their identifiers.
pub(super) fn identify<'t>(
    resources: &mut [Resource<'t>],
    about: &About<'_>,
    are_two: &dyn Fn(&Resource<'_>, &Resource<'_>) -> bool,
    budget: &mut Budget,
) -> Result<(Vec<Entry>, Dropped<'t>), String> {
    let mut entries = name_all(resources, about, budget);
    tell_apart(resources, &mut entries);
    let mut dropped = numbers_of_others(resources, &entries);
    let mut lists: HashMap<usize, Lists> = HashMap::new();
    let mut known: HashMap<Uuid, usize> = HashMap::with_capacity(resources.len());
    for at in 0..resources.len() {
        if !resources[at].live {
            continue;
        }
        let first = *known.entry(entries[at].id).or_insert(at);
        if first == at {
            name_by_key(&mut resources[at], &mut entries[at]);
            continue;
        }
        let (one, other) = (&resources[first], &resources[at]);
        let updates = one.request == Request::Update || other.request == Request::Update;
        if are_two(one, other) || updates && one.label != other.label {
            return Err(resource_type(other).to_owned());
        }
        entries[at].same_as = Some(first);
        if other.patch.is_empty() {
            resources[first].patch = &[];
        }
        let content = std::mem::take(&mut resources[at].content);
        let lists = lists.entry(first).or_default();
        let kind = resource_type(&resources[first]);
        let lost = object::join(kind, &mut resources[first].content, lists, content);
        dropped.extend(lost.into_iter().map(|value| (at, value)));
    }
    Ok((entries, dropped))
}

/// The number by which a record is changed that is somebody else's now stays that record's: where both had it, nobody could be asked for
/// by it any more. What is taken out, and whose it was.
fn numbers_of_others<'t>(resources: &mut [Resource<'t>], entries: &[Entry]) -> Dropped<'t> {
    let mut kept: BTreeMap<usize, HashSet<(&str, &str)>> = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        let patched = resources[at].live && !resources[at].patch.is_empty();
        let number = entry.identifier.as_ref().filter(|_| patched);
        if let Some(number) = number.and_then(|number| number.split_once('|')) {
            for other in meant(resources, at) {
                kept.entry(other).or_default().insert(number);
            }
        }
    }
    let mut dropped = Vec::new();
    for (other, numbers) in kept {
        let Some(Node::List(all)) = resources[other].content.get_mut("identifier") else {
            continue;
        };
        work::done(all.len());
        let is_theirs = |one: &mut Node<'_>| {
            let one = one.as_object();
            let number = one.and_then(|one| Some((one.text("system")?, one.text("value")?)));
            number.is_some_and(|number| numbers.contains(&number))
        };
        dropped.extend(all.extract_if(.., is_theirs).map(|one| (other, one)));
    }
    dropped
}

fn id_of(kind: &str, seed: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{kind}{BETWEEN}{seed}").as_bytes())
}

/// Each by what identifies it, or else by the message.
fn name_all(resources: &[Resource<'_>], about: &About<'_>, budget: &mut Budget) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::with_capacity(resources.len());
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for resource in resources {
        let kind = resource_type(resource);
        let keyed = resource.is_identified();
        let own = asked_by(resource);
        let count = counts.entry(kind).or_default();
        *count += 1;
        let seed = match (&own, resource.request) {
            _ if budget.is_spent() => String::new(),
            (Some(own), _) => format!("identifier{BETWEEN}{own}"),
            (None, _) if keyed => {
                let key = resource.key.join(&BETWEEN.to_string());
                let sender = whose(resource, about.sender);
                format!("key{BETWEEN}{sender}{BETWEEN}{key}")
            }
            (None, Request::Create) if resource.key.is_empty() => {
                let mut content = Vec::new();
                let mut address = |out: &mut Vec<u8>, number: usize| match entries.get(number) {
                    Some(entry) => write_id(out, entry),
                    // It has no id yet. Ids are made of this text, and so it stays as it is.
                    None => out.extend(format!(" {number}").bytes()),
                };
                write_members(&mut content, &resource.content, &mut address);
                let content = String::from_utf8_lossy(&content);
                format!("content{BETWEEN}{}{BETWEEN}{content}", about.sender)
            }
            (None, _) => format!("message{BETWEEN}{}{BETWEEN}{count}", about.identity),
        };
        budget.spend(seed.len());
        entries.push(Entry {
            id: id_of(kind, &seed),
            identifier: own,
            keyed,
            same_as: None,
        });
    }
    entries
}

/// Several of one key: by what their map says, then by their order and how many they are, so that one that comes alone later
/// never takes another's place. What is only made where it is not there stays one for all that say the same of it.
fn tell_apart(resources: &[Resource<'_>], entries: &mut [Entry]) {
    let by_words = |resource: &Resource<'_>| resource.apart.join(&BETWEEN.to_string());
    for pass in 0..2 {
        let mut same: HashMap<Uuid, Vec<usize>> = HashMap::new();
        for (at, resource) in resources.iter().enumerate() {
            let told = match resource.request {
                Request::Put => true,
                Request::Update | Request::Create => {
                    let by_order = pass == 0 || resource.request == Request::Update;
                    by_order && !resource.apart.is_empty() && entries[at].identifier.is_none()
                }
                Request::Patch => false,
            };
            if resource.live && told {
                same.entry(entries[at].id).or_default().push(at);
            }
        }
        for all in same.into_values().filter(|all| all.len() > 1) {
            let own = all.iter().map(|at| &resources[*at]);
            let updates = own.clone().filter(|one| one.request != Request::Create);
            let apart = &resources[all[0]].apart;
            if updates.count() <= 1 && own.clone().all(|one| one.apart == *apart) {
                continue;
            }
            for (place, at) in all.iter().enumerate() {
                let words = match pass {
                    0 => by_words(&resources[*at]),
                    _ => format!("{} of {}", place + 1, all.len()),
                };
                let entry = &mut entries[*at];
                entry.id = id_of(
                    resource_type(&resources[*at]),
                    &format!("{}{BETWEEN}{words}", entry.id),
                );
            }
        }
    }
}

/// Where a server is to be asked by the key: puts it among the identifiers.
fn name_by_key(resource: &mut Resource<'_>, entry: &mut Entry) {
    let nameless = NAMELESS.contains(&resource_type(resource));
    if resource.request == Request::Put || !entry.keyed || entry.identifier.is_some() || nameless {
        return;
    }
    let value = entry.id.to_string();
    entry.identifier = Some(format!("{KEY}|{value}"));
    let all = resource
        .content
        .or_insert("identifier", Node::List(Vec::new()));
    if let Node::List(all) = all {
        let members = [
            ("system", Node::text(KEY)),
            ("value", Node::Text(Cow::Owned(value))),
        ];
        all.push(Node::Object(Object::from(members)));
    }
}
