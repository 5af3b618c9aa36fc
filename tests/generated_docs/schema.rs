//! The schema as it is published, and its keys section by section.

use mllp_bridge::config::raw;
use serde_json::Value;

/// The keys of one mapping.
pub(crate) struct Section {
    /// `listeners[].deliver`; empty at the top.
    pub(crate) path: String,
    /// What the mapping is for.
    pub(crate) description: String,
    /// Keys that are not mappings with a section of their own.
    pub(crate) keys: Vec<Key>,
}

/// One key.
pub(crate) struct Key {
    /// `url`
    pub(crate) name: String,
    /// `listeners[].deliver.url`
    pub(crate) path: String,
    /// In words.
    pub(crate) kind: String,
    /// As it would be written in YAML.
    pub(crate) default: Option<Value>,
    /// From the doc comment.
    pub(crate) description: String,
    /// Values to choose from, and what each means.
    pub(crate) choices: Vec<(String, String)>,
    /// What needs a restart, if anything does.
    pub(crate) restart: Option<String>,
}

/// The published JSON Schema.
pub(crate) fn schema() -> Value {
    let mut schema = schemars::schema_for!(raw::Config).to_value();
    tidy(&mut schema);
    schema["title"] = "mllp-bridge configuration".into();
    schema
}

/// Takes out what only a Rust programmer would miss.
pub(crate) fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // The default of a mapping is the defaults of its keys.
            if map
                .get("default")
                .is_some_and(|default| default.is_null() || default.is_object())
            {
                let status = map.contains_key("propertyNames");
                if !status {
                    map.shift_remove("default");
                }
            }
            if map
                .get("format")
                .and_then(Value::as_str)
                .is_some_and(|name| name.starts_with("uint"))
            {
                map.shift_remove("format");
            }
            // Line ends of the source.
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// All sections, in the order of the file.
pub(crate) fn sections() -> Vec<Section> {
    sections_of(&schema())
}

/// Those of the injector's configuration.
pub(crate) fn injector_sections() -> Vec<Section> {
    let mut schema = schemars::schema_for!(mllp_bridge::injector::config::Raw).to_value();
    tidy(&mut schema);
    sections_of(&schema)
}

fn sections_of(schema: &Value) -> Vec<Section> {
    let mut sections = Vec::new();
    section(schema, schema, "", &mut sections);
    sections
}

fn section(root: &Value, schema: &Value, path: &str, sections: &mut Vec<Section>) {
    let at = sections.len();
    sections.push(Section {
        path: path.to_owned(),
        description: words(schema, "description"),
        keys: Vec::new(),
    });
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let nested = [
            (&property["$ref"], path.clone()),
            (&property["items"]["$ref"], format!("{path}[]")),
            (
                &property["additionalProperties"]["$ref"],
                format!("{path}.<status>"),
            ),
        ];
        let nested = nested.into_iter().find_map(|(reference, path)| {
            let pointer = reference.as_str()?.strip_prefix('#')?;
            Some((root.pointer(pointer)?, path))
        });
        // A list and a table are keys of their own as well as what is in them.
        if property["$ref"].is_null() {
            let key = key(name, &path, property);
            sections[at].keys.push(key);
        }
        if let Some((inner, path)) = nested {
            section(root, inner, &path, sections);
        }
    }
}

fn words(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn key(name: &str, path: &str, property: &Value) -> Key {
    let choices: Vec<(String, String)> = property["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|choice| choice["const"].is_string())
        .map(|choice| (words(choice, "const"), words(choice, "description")))
        .collect();
    let kind = match (property["x-type"].as_str(), property["type"].as_str()) {
        (Some(kind), _) => kind.to_owned(),
        (None, Some("integer")) => "number".into(),
        (None, Some("object")) => "mapping".into(),
        (None, Some("array")) => "list".into(),
        (None, Some(other)) => other.to_owned(),
        (None, None) => {
            let names: Vec<String> = choices
                .iter()
                .map(|choice| format!("`{}`", choice.0))
                .collect();
            match names.split_last() {
                Some((last, others)) => format!("{} or {last}", others.join(", ")),
                None => String::new(),
            }
        }
    };
    let restart = match &property["x-restart"] {
        Value::String(what) => Some(what.clone()),
        Value::Bool(true) => Some(String::new()),
        _ => None,
    };
    Key {
        name: name.to_owned(),
        path: path.to_owned(),
        kind,
        default: property.get("default").cloned(),
        description: words(property, "description"),
        choices,
        restart,
    }
}

/// A mapping's properties and the definition behind each that is a mapping itself.
pub(crate) fn properties<'a>(
    root: &'a Value,
    schema: &'a Value,
) -> Vec<(&'a str, &'a Value, Option<&'a Value>)> {
    schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, property)| {
            let reference = property["$ref"]
                .as_str()
                .or(property["items"]["$ref"].as_str());
            let inner = reference
                .and_then(|r| r.strip_prefix('#'))
                .and_then(|r| root.pointer(r));
            (name.as_str(), property, inner)
        })
        .collect()
}
