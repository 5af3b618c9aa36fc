//! Elements as the guide writes them, `performer[2](PractitionerRole.organization(Organization.name))`, and what is there in a bundle.

use serde_json::{Map, Value};

/// The way to an element: through resources, each from the reference that the one before has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way(pub Vec<(String, Vec<String>)>);

impl Way {
    /// From a resource of this type.
    pub fn parse(kind: &str, text: &str) -> Self {
        let mut plain = String::new();
        let mut inside = false;
        let text = text.split('=').next().unwrap_or_default();
        for c in text.chars() {
            match c {
                '[' => inside = true,
                ']' => inside = false,
                ' ' => {}
                _ if !inside => plain.push(c),
                _ => {}
            }
        }
        let plain = plain
            .replace(".(", "(")
            .replace("reference(", "(")
            .replace(".(", "(");
        let mut hops = Vec::new();
        let mut kind = kind.to_owned();
        for part in plain.split('(') {
            let part = part.trim_end_matches(')');
            let mut steps = part
                .split('.')
                .filter(|step| !step.is_empty() && *step != "$this");
            if !hops.is_empty() || kind.is_empty() {
                kind = steps.next().unwrap_or_default().to_owned();
            }
            hops.push((kind.clone(), steps.map(str::to_owned).collect()));
        }
        // `note(Annotation.text)` names a data type, which is no hop.
        let mut way: Vec<(String, Vec<String>)> = Vec::new();
        for (kind, steps) in hops {
            match way.last_mut() {
                Some(last) if DATA_TYPES.contains(&kind.as_str()) => last.1.extend(steps),
                _ => way.push((kind, steps)),
            }
        }
        Self(way)
    }

    /// Where a trace says that a value of this element is: in the last resource, or in a reference of one before that says
    /// whom it means without being one.
    pub fn traces(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut after: Vec<String> = Vec::new();
        for (kind, steps) in self.0.iter().rev() {
            let mut all = vec![kind.clone()];
            all.extend(steps.iter().cloned());
            all.extend(after.iter().cloned());
            found.push(all.join("."));
            after = all[1..].to_vec();
        }
        found
    }

    /// All that is there.
    pub fn walk(&self, bundle: &Value) -> Vec<Value> {
        let none = Vec::new();
        let entries = bundle["entry"].as_array().unwrap_or(&none);
        let mut at: Vec<Value> = match self.0[0].0.as_str() {
            "Bundle" => vec![bundle.clone()],
            _ => entries
                .iter()
                .map(|entry| entry["resource"].clone())
                .collect(),
        };
        for (number, (kind, steps)) in self.0.iter().enumerate() {
            if number > 0 {
                at = at
                    .iter()
                    .filter_map(|value| resolve(value, kind, entries))
                    .collect();
            }
            at.retain(|value| kind.split('|').any(|kind| value["resourceType"] == kind));
            for step in steps {
                at = at.iter().flat_map(|value| down(value, step)).collect();
            }
        }
        at
    }
}

const DATA_TYPES: &[&str] = &["Annotation"];

fn resolve(value: &Value, kind: &str, entries: &[Value]) -> Option<Value> {
    if let Some(url) = value.get("reference") {
        let found = entries.iter().find(|entry| entry["fullUrl"] == *url);
        return found.map(|entry| entry["resource"].clone());
    }
    if value.get("type").is_some_and(|own| own == kind) {
        let mut meant = Map::new();
        meant.insert("resourceType".into(), kind.into());
        meant.insert(
            "identifier".into(),
            value.get("identifier").cloned().unwrap_or_default(),
        );
        return Some(meant.into());
    }
    None
}

/// The members of this name. Those of a primitive are beside it.
fn down(value: &Value, step: &str) -> Vec<Value> {
    let Value::Object(members) = value else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if let Some(own) = members.get(step) {
        match own {
            Value::Array(items) => found.extend(items.iter().cloned()),
            other => found.push(other.clone()),
        }
    }
    match members.get(&format!("_{step}")) {
        Some(Value::Array(items)) => found.extend(items.iter().cloned()),
        Some(other) => found.push(other.clone()),
        None => {}
    }
    found
}

/// Whether a text is anywhere in these values.
pub fn says(values: &[Value], text: &str) -> bool {
    values.iter().any(|value| match value {
        Value::Array(items) => says(items, text),
        Value::Object(members) => members
            .values()
            .any(|member| says(std::slice::from_ref(member), text)),
        Value::String(own) => own == text,
        other => {
            let own = other.to_string();
            own == text
        }
    })
}

/// Types of the resources that these values refer to, and of those that these do.
pub fn referred(values: &[Value], bundle: &Value) -> Vec<String> {
    let none = Vec::new();
    let entries = bundle["entry"].as_array().unwrap_or(&none);
    let mut found = Vec::new();
    let mut at = Vec::new();
    values.iter().for_each(|value| references(value, &mut at));
    for _ in 0..3 {
        let meant = |value: &Value| {
            let url = value.get("reference")?;
            let entry = entries.iter().find(|entry| entry["fullUrl"] == *url)?;
            Some(entry["resource"].clone())
        };
        let resources: Vec<Value> = at.iter().filter_map(meant).collect();
        found.extend(
            resources
                .iter()
                .filter_map(|one| one["resourceType"].as_str().map(str::to_owned)),
        );
        at = resources
            .iter()
            .filter(|one| THROUGH.iter().any(|kind| one["resourceType"] == *kind))
            .filter_map(Value::as_object)
            .flat_map(|members| members.values().cloned())
            .flat_map(|value| match value {
                Value::Array(items) => items,
                other => vec![other],
            })
            .collect();
    }
    found
}

/// All references in a value.
fn references(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(members) => {
            if members.contains_key("reference") {
                found.push(value.clone());
            }
            members
                .values()
                .for_each(|member| references(member, found));
        }
        _ => {}
    }
}

/// Resources that stand for those that they refer to.
const THROUGH: &[&str] = &["PractitionerRole", "Location"];

#[cfg(test)]
mod tests {
    use super::*;

    fn way(text: &str) -> String {
        let hops = Way::parse("Observation", text).0;
        let hops = hops
            .iter()
            .map(|(kind, steps)| format!("{kind}:{}", steps.join(".")));
        hops.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ways_are_read_as_the_guide_writes_them() {
        assert_eq!(
            way("valueQuantity[1].value"),
            "Observation:valueQuantity.value"
        );
        assert_eq!(way("$this"), "Observation:");
        assert_eq!(way("note(Annotation.text)"), "Observation:note.text");
        assert_eq!(
            way("performer[2](PractitionerRole[1].organization.(Organization.address))"),
            "Observation:performer PractitionerRole:organization Organization:address"
        );
        assert_eq!(
            way("identifier[1].type.coding.code=\"PLAC\""),
            "Observation:identifier.type.coding.code"
        );
        assert_eq!(
            way("recorder.reference(Practitioner.name)"),
            "Observation:recorder Practitioner:name"
        );
    }
}
