//! An entry that changes some elements of what is there (FHIRPath Patch, as a Parameters), and leaves all others: for a message that may carry
//! no more than a number and what became of it.

use super::{Entry, Node, Object, Resource, query, resource_type, write_text};
use crate::fhir::json::write as write_node;
use crate::fhir::program::Patched;
use std::borrow::Cow;

/// What such a resource is asked by, which is also how others refer to it.
pub(super) fn address(kind: &str, entry: &Entry) -> String {
    match &entry.identifier {
        Some(identifier) => format!("{kind}?{}", query(identifier)),
        None => format!("{kind}/{}", entry.id),
    }
}

/// The rest of the entry, behind its fullUrl. `address_of` writes what stands for another resource.
pub(super) fn write(
    out: &mut Vec<u8>,
    resource: &Resource<'_>,
    entry: &Entry,
    address_of: &mut dyn FnMut(&mut Vec<u8>, usize),
) {
    let kind = resource_type(resource);
    let mut operations = Vec::new();
    for patched in resource.patch {
        if let Some(value) = resource.content.get(&patched.element) {
            operations.extend(change(kind, patched, value.clone()));
        }
    }
    let parameters = Node::Object(Object::from([
        ("resourceType", Node::text("Parameters")),
        ("parameter", Node::List(operations)),
    ]));
    out.extend_from_slice(b",\"resource\":");
    write_node(out, &parameters, address_of);
    out.extend_from_slice(b",\"request\":{\"method\":\"PATCH\",\"url\":");
    write_text(out, &address(kind, entry));
    out.extend_from_slice(b"}}");
}

/// A status is always there and is replaced. What may not be there is taken out, if it is, and added.
fn change<'t>(kind: &'t str, patched: &'t Patched, value: Node<'t>) -> Vec<Node<'t>> {
    let element = patched.element.as_str();
    let path = || Node::Text(Cow::Owned(format!("{kind}.{element}")));
    let part = |name, of_type, value| {
        let members = [("name", Node::text(name)), (of_type, value)];
        Node::Object(Object::from(members))
    };
    let is = |what| part("type", "valueCode", Node::text(what));
    let operation = |parts: Vec<Node<'t>>| part("operation", "part", Node::List(parts));
    let value = part("value", &patched.parameter, value);
    if element == "status" {
        let path = part("path", "valueString", path());
        return vec![operation(vec![is("replace"), path, value])];
    }
    let old = part("path", "valueString", path());
    let around = part("path", "valueString", Node::text(kind));
    let name = part("name", "valueString", Node::text(element));
    vec![
        operation(vec![is("delete"), old]),
        operation(vec![is("add"), around, name, value]),
    ]
}
