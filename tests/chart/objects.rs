//! Looks into Kubernetes objects.

use serde_json::Value;

/// The text at a JSON pointer; empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The list at a JSON pointer; empty where there is none.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

pub(crate) fn kind(value: &Value) -> &str {
    text(value, "/kind")
}

pub(crate) fn name(value: &Value) -> &str {
    text(value, "/metadata/name")
}

/// `Kind name`, to say which one is meant.
pub(crate) fn title(value: &Value) -> String {
    format!("{} {}", kind(value), name(value))
}

pub(crate) fn of_kind<'a>(all: &'a [Value], wanted: &str) -> Vec<&'a Value> {
    all.iter().filter(|one| kind(one) == wanted).collect()
}

/// The one object of a kind.
pub(crate) fn only<'a>(all: &'a [Value], wanted: &str) -> &'a Value {
    let found = of_kind(all, wanted);
    assert_eq!(found.len(), 1, "{wanted}");
    found[0]
}

/// Each pod of a rendering, as (title, metadata, spec): bare ones and those of templates.
pub(crate) fn pods(all: &[Value]) -> Vec<(String, &Value, &Value)> {
    let places = all.iter().filter_map(|object| match kind(object) {
        "Pod" => Some((title(object), object)),
        "Deployment" => Some((title(object), object.pointer("/spec/template")?)),
        _ => None,
    });
    places
        .map(|(title, pod)| (title, &pod["metadata"], &pod["spec"]))
        .collect()
}

/// Containers of a pod, the initial ones as well.
pub(crate) fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    list(spec, "/initContainers")
        .iter()
        .chain(list(spec, "/containers"))
}

/// Whether each label of a selector is one of the labels.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let pairs = selector.as_object().expect("a selector");
    !pairs.is_empty()
        && pairs
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
}
