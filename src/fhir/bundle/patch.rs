//! An entry that changes some elements of what is there (FHIRPath Patch, as a Parameters), and leaves all others: for a message that may carry
//! no more than a number and what became of it.

use super::{Entry, Node, Object, Resource, escaped, query, resource_type, write_text};
use crate::fhir::json::write as write_node;
use crate::fhir::program::{Patched, Written};
use std::borrow::Cow;

/// What such a resource is asked by, which is also how others refer to it.
pub(super) fn address(kind: &str, entry: &Entry) -> String {
    match &entry.identifier {
        Some(identifier) => format!("{kind}?{}", query(identifier)),
        None => format!("{kind}/{}", entry.id),
    }
}

/// The rest of the entry, behind its fullUrl. `others` are identifiers of those that it refers to, and is none of: a record that has both
/// numbers is not merged with itself. (In a reference validators do not take a search of two conditions.) `address_of` writes what stands
/// for another resource.
pub(super) fn write<'o>(
    out: &mut Vec<u8>,
    resource: &Resource<'_>,
    entry: &Entry,
    others: impl Iterator<Item = &'o str>,
    address_of: &mut dyn FnMut(&mut Vec<u8>, usize),
) {
    let kind = resource_type(resource);
    let mut operations = Vec::new();
    for patched in resource.patch {
        if let Some(value) = resource.content.get(&patched.element) {
            operations.extend(change(kind, patched, value));
        }
    }
    let parameters = Node::Object(Object::from([
        ("resourceType", Node::text("Parameters")),
        ("parameter", Node::List(operations)),
    ]));
    out.extend_from_slice(b",\"resource\":");
    write_node(out, &parameters, address_of);
    out.extend_from_slice(b",\"request\":{\"method\":\"PATCH\",\"url\":");
    let mut url = address(kind, entry);
    for other in others.filter(|_| entry.identifier.is_some()) {
        url.push_str("&identifier:not=");
        url.extend(escaped(other));
    }
    write_text(out, &url);
    out.extend_from_slice(b"}}");
}

/// A status is always there and is replaced. What may not be there is taken out, if it is, and added.
fn change<'t>(kind: &'t str, patched: &'t Patched, value: &Node<'t>) -> Vec<Node<'t>> {
    let element = patched.element.as_str();
    let path = |inside: &str| {
        let path = Node::Text(Cow::Owned(format!("{kind}.{inside}")));
        part("path", "valueString", path)
    };
    let is = |what| part("type", "valueCode", Node::text(what));
    let operation = |parts: Vec<Node<'t>>| part("operation", "part", Node::List(parts));
    let add = |value| {
        let around = part("path", "valueString", Node::text(kind));
        let name = part("name", "valueString", Node::text(element));
        operation(vec![is("add"), around, name, value])
    };
    match (&patched.written, value) {
        (Written::Value(parameter), _) if element == "status" => {
            let value = part("value", parameter, value.clone());
            vec![operation(vec![is("replace"), path(element), value])]
        }
        (Written::Value(parameter), _) => vec![
            operation(vec![is("delete"), path(element)]),
            add(part("value", parameter, value.clone())),
        ],
        (
            Written::Items {
                instead_of,
                members,
            },
            Node::List(items),
        ) => {
            let old = operation(vec![is("delete"), path(instead_of)]);
            let items = items.iter().filter_map(Node::as_object);
            let new = items.map(|item| {
                let of_item = |(name, parameter): &'t (String, String)| {
                    Some(part(name, parameter, item.get(name)?.clone()))
                };
                let parts = members.iter().filter_map(of_item).collect();
                add(part("value", "part", Node::List(parts)))
            });
            std::iter::once(old).chain(new).collect()
        }
        (Written::Items { .. }, _) => Vec::new(),
    }
}

fn part<'t>(name: &'t str, of_type: &'t str, value: Node<'t>) -> Node<'t> {
    Node::Object(Object::from([("name", Node::text(name)), (of_type, value)]))
}
