//! Which objects have a pod in them, and where.

use serde_json::Value;
use std::collections::BTreeMap;

/// One object of a document.
pub(super) struct Object<'a> {
    /// `Deployment`
    pub(super) kind: String,
    /// May be empty.
    pub(super) namespace: String,
    /// May be empty.
    pub(super) name: String,
    /// Where the pod, or the pod's template, is in the document.
    pub(super) template: Vec<String>,
    /// It; `None` where this kind has none.
    pub(super) pod: Option<&'a Value>,
}

/// The objects of a document; a list's are its items.
pub(super) fn find(document: &Value) -> Vec<Object<'_>> {
    let mut found = Vec::new();
    walk(document, &mut Vec::new(), &mut found);
    found
}

fn walk<'a>(value: &'a Value, path: &mut Vec<String>, found: &mut Vec<Object<'a>>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&value["kind"]);
    let items = value["items"].as_array().filter(|_| kind.ends_with("List"));
    if let Some(items) = items {
        for (at, item) in items.iter().enumerate() {
            path.extend(["items".to_owned(), at.to_string()]);
            walk(item, path, found);
            path.truncate(path.len() - 2);
        }
        return;
    }
    let metadata = &value["metadata"];
    let name = [&metadata["name"], &metadata["generateName"]];
    let inner = template(value["apiVersion"].as_str().unwrap_or_default(), &kind);
    let pod = inner.and_then(|inner| {
        let at = inner.iter().try_fold(value, |node, step| node.get(*step));
        at.filter(|pod| pod.is_object())
    });
    let inner = inner
        .unwrap_or_default()
        .iter()
        .map(|step| (*step).to_owned());
    found.push(Object {
        namespace: text(&metadata["namespace"]),
        name: name
            .into_iter()
            .find_map(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        template: path.iter().cloned().chain(inner).collect(),
        pod,
        kind,
    });
}

fn template(version: &str, kind: &str) -> Option<&'static [&'static str]> {
    let group = version.split_once('/').map_or("", |split| split.0);
    match (group, kind) {
        ("", "Pod") => Some(&[]),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("", "ReplicationController")
        | ("batch", "Job") => Some(&["spec", "template"]),
        ("batch", "CronJob") => Some(&["spec", "jobTemplate", "spec", "template"]),
        _ => None,
    }
}

/// Labels of the Namespace objects of a document.
pub(super) fn namespaces(document: &Value, known: &mut BTreeMap<String, BTreeMap<String, String>>) {
    let kind = document["kind"].as_str().unwrap_or_default();
    if kind.ends_with("List") {
        for item in document["items"].as_array().into_iter().flatten() {
            namespaces(item, known);
        }
    }
    let name = document["metadata"]["name"].as_str();
    if let Some(name) = name.filter(|_| kind == "Namespace" && document["apiVersion"] == "v1") {
        let labels = document["metadata"]["labels"].as_object();
        let labels = labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        known.insert(name.to_owned(), labels.collect());
    }
}
