//! JSON Patch (RFC 6902), as much as the injector says: `add`, and nothing else.
//!
//! Operations are written one by one. They are never found by comparing a pod with a decoded copy of itself: that would
//! drop every field that the copy's types do not know.

use serde_json::{Value, json};

/// One `add`.
#[derive(Debug, Clone, PartialEq)]
pub struct Add {
    /// Keys and indices from the root, unescaped; a last `-` appends to a list.
    pub path: Vec<String>,
    /// What is added.
    pub value: Value,
}

impl Add {
    /// Adds `value` at a path.
    pub fn new<S: Into<String>>(path: impl IntoIterator<Item = S>, value: Value) -> Self {
        Self {
            path: path.into_iter().map(Into::into).collect(),
            value,
        }
    }

    /// The path as a JSON Pointer (RFC 6901).
    pub fn pointer(&self) -> String {
        let escaped = self.path.iter().map(|step| {
            let step = step.replace('~', "~0").replace('/', "~1");
            format!("/{step}")
        });
        escaped.collect()
    }

    /// As an element of a patch.
    pub fn to_json(&self) -> Value {
        json!({"op": "add", "path": self.pointer(), "value": self.value})
    }
}

/// The whole patch.
pub fn to_json(operations: &[Add]) -> Value {
    operations.iter().map(Add::to_json).collect()
}

/// Does to `target` what the API server would do.
///
/// # Errors
///
/// The pointer of an operation that leads nowhere. Earlier ones have been done by then.
pub fn apply(target: &mut Value, operations: &[Add]) -> Result<(), String> {
    for operation in operations {
        add(target, operation).ok_or_else(|| operation.pointer())?;
    }
    Ok(())
}

fn add(target: &mut Value, operation: &Add) -> Option<()> {
    let (last, parents) = operation.path.split_last()?;
    let parent = parents.iter().try_fold(target, |node, step| match node {
        Value::Object(map) => map.get_mut(step),
        Value::Array(list) => list.get_mut(step.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })?;
    match parent {
        Value::Object(map) => {
            map.insert(last.clone(), operation.value.clone());
        }
        Value::Array(list) => {
            let at = match last.as_str() {
                "-" => list.len(),
                index => index.parse().ok().filter(|at| *at <= list.len())?,
            };
            list.insert(at, operation.value.clone());
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_escaped() {
        let add = Add::new(["metadata", "annotations", "a.io/b~c"], json!("x"));
        assert_eq!(add.pointer(), "/metadata/annotations/a.io~1b~0c");
        assert_eq!(
            to_json(&[add]),
            json!([{"op": "add", "path": "/metadata/annotations/a.io~1b~0c", "value": "x"}])
        );
    }

    #[test]
    fn adding_inserts_appends_and_replaces() {
        let mut target = json!({"list": [1, 2], "map": {"a": 1}});
        let operations = [
            Add::new(["list", "-"], json!(3)),
            Add::new(["list", "0"], json!(0)),
            Add::new(["map", "a"], json!(2)),
            Add::new(["new"], json!({})),
            Add::new(["new", "b/c"], json!(true)),
        ];
        assert_eq!(apply(&mut target, &operations), Ok(()));
        assert_eq!(
            target,
            json!({"list": [0, 1, 2, 3], "map": {"a": 2}, "new": {"b/c": true}})
        );
    }

    #[test]
    fn a_path_that_leads_nowhere_is_an_error() {
        for path in [
            vec!["no", "x"],
            vec!["list", "9"],
            vec!["list", "x", "y"],
            vec!["map", "a", "b"],
            vec![],
        ] {
            let mut target = json!({"list": [], "map": {"a": 1}});
            let add = Add::new(path.clone(), json!(1));
            let pointer = add.pointer();
            assert_eq!(apply(&mut target, &[add]), Err(pointer), "{path:?}");
        }
    }
}
