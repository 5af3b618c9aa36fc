//! An entry that changes some elements of what is there (FHIRPath Patch, as a Parameters), and leaves all others: for a message that may carry
//! no more than a number and what became of it.

use super::{Entry, Resource, query, resource_type, write_text};
use serde_json::{Map, Value, json};

/// What such a resource is asked by, which is also how others refer to it.
pub(super) fn address(kind: &str, entry: &Entry) -> String {
    match &entry.identifier {
        Some(identifier) => format!("{kind}?{}", query(identifier)),
        None => format!("{kind}/{}", entry.id),
    }
}

/// The rest of the entry, behind its fullUrl.
pub(super) fn write(out: &mut Vec<u8>, resource: &Resource<'_>, entry: &Entry) {
    let kind = resource_type(resource);
    let mut operations = Vec::new();
    for (element, of_type) in resource.patch {
        if let Some(value) = resource.content.get(element) {
            operations.extend(change(kind, element, of_type, value));
        }
    }
    let parameters = json!({"resourceType": "Parameters", "parameter": operations});
    out.extend_from_slice(b",\"resource\":");
    out.extend_from_slice(parameters.to_string().as_bytes());
    out.extend_from_slice(b",\"request\":{\"method\":\"PATCH\",\"url\":");
    write_text(out, &address(kind, entry));
    out.extend_from_slice(b"}}");
}

/// A status is always there and is replaced. What may not be there is taken out, if it is, and added.
fn change(kind: &str, element: &str, of_type: &str, value: &Value) -> Vec<Value> {
    let path = format!("{kind}.{element}");
    let value = named_value(of_type, value);
    let operation = |parts: Vec<Value>| json!({"name": "operation", "part": parts});
    let is = |what: &str| json!({"name": "type", "valueCode": what});
    if element == "status" {
        let path = json!({"name": "path", "valueString": path});
        return vec![operation(vec![is("replace"), path, value])];
    }
    let old = json!({"name": "path", "valueString": path});
    let around = json!({"name": "path", "valueString": kind});
    let name = json!({"name": "name", "valueString": element});
    vec![
        operation(vec![is("delete"), old]),
        operation(vec![is("add"), around, name, value]),
    ]
}

/// `valueCode` of a code.
fn named_value(of_type: &str, value: &Value) -> Value {
    let (first, rest) = of_type.split_at_checked(1).unwrap_or_default();
    let mut parameter = Map::new();
    parameter.insert("name".into(), json!("value"));
    let name = format!("value{}{rest}", first.to_ascii_uppercase());
    parameter.insert(name, value.clone());
    Value::Object(parameter)
}
