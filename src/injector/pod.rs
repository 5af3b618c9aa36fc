//! What a pod says, read without a type for pods: only the fields that matter here, each where it is.

use super::FieldError;
use super::annotation::{self, DOMAIN, STATUS};
use serde_json::Value;
use std::collections::BTreeMap;

/// The sidecar's name.
pub(super) const CONTAINER: &str = "mllp-bridge";
/// Kubernetes' own default.
const GRACE_PERIOD: i64 = 30;
/// Set on what a kubelet runs from a file, and only mirrors to the API server: changing it would make it be deleted.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// One container of a pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct Container<'a> {
    /// `initContainers` or `containers`.
    pub(super) list: &'static str,
    /// Its place there.
    pub(super) at: usize,
    /// The container.
    pub(super) value: &'a Value,
}

impl<'a> Container<'a> {
    /// Its name, which it must have.
    pub(super) fn name(self) -> &'a str {
        self.value["name"].as_str().unwrap_or_default()
    }

    /// TCP ports that it says it listens on: name and number.
    pub(super) fn tcp_ports(self) -> impl Iterator<Item = (&'a str, u64)> {
        let ports = self.value["ports"].as_array().into_iter().flatten();
        let tcp = ports.filter(|port| matches!(port["protocol"].as_str(), None | Some("TCP")));
        tcp.filter_map(|port| {
            let name = port["name"].as_str().unwrap_or_default();
            Some((name, port["containerPort"].as_u64()?))
        })
    }

    fn is_native_sidecar(self) -> bool {
        self.list == "initContainers" && self.value["restartPolicy"] == "Always"
    }
}

/// A pod, or the template of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pod<'a>(pub(super) &'a Value);

impl<'a> Pod<'a> {
    pub(super) fn spec(self) -> &'a Value {
        &self.0["spec"]
    }

    pub(super) fn label(self, name: &str) -> &'a Value {
        &self.0["metadata"]["labels"][name]
    }

    pub(super) fn annotation(self, name: &str) -> Option<&'a str> {
        self.0["metadata"]["annotations"][name].as_str()
    }

    pub(super) fn is_mirror(self) -> bool {
        self.annotation(MIRROR).is_some()
    }

    /// All containers, those that start first first.
    pub(super) fn containers(self) -> impl Iterator<Item = Container<'a>> {
        ["initContainers", "containers"]
            .into_iter()
            .flat_map(move |list| {
                let all = self.spec()[list].as_array().into_iter().flatten();
                all.enumerate()
                    .map(move |(at, value)| Container { list, at, value })
            })
    }

    /// The container that has the sidecar's name.
    pub(super) fn sidecar(self) -> Option<Container<'a>> {
        self.containers().find(|one| one.name() == CONTAINER)
    }

    /// Whether an injector has been here: its annotation and its container are both there.
    pub(super) fn is_injected(self) -> bool {
        self.annotation(STATUS).is_some()
            && self.sidecar().is_some_and(Container::is_native_sidecar)
    }

    /// The user's annotations of ours, without their domain; those that are no text are errors.
    pub(super) fn settings(self, errors: &mut Vec<FieldError>) -> BTreeMap<&'a str, &'a str> {
        let mut found = BTreeMap::new();
        let all = self.0["metadata"]["annotations"].as_object();
        for (full, value) in all.into_iter().flatten() {
            let Some(name) = full.strip_prefix(DOMAIN) else {
                continue;
            };
            match value.as_str() {
                _ if full == STATUS => {}
                Some(text) => {
                    found.insert(name, text);
                }
                None if annotation::find(name).is_none() => {
                    errors.push(FieldError::new(full, annotation::no_such(name)));
                }
                None => errors.push(FieldError::new(full, not_text(value))),
            }
        }
        found
    }

    /// Seconds that the pod has to end.
    pub(super) fn grace_period(self) -> Result<i64, FieldError> {
        match &self.spec()["terminationGracePeriodSeconds"] {
            Value::Null => Ok(GRACE_PERIOD),
            value => value.as_i64().ok_or_else(|| {
                let field = "spec.terminationGracePeriodSeconds";
                FieldError::new(field, "expected a whole number")
            }),
        }
    }

    /// The volume of this name.
    pub(super) fn volume(self, name: &str) -> Option<&'a Value> {
        let mut all = self.spec()["volumes"].as_array().into_iter().flatten();
        all.find(|volume| volume["name"] == name)
    }

    /// What must be a list or a mapping for anything to be added to it.
    pub(super) fn shape(self, errors: &mut Vec<FieldError>) {
        let mut check = |field: &str, value: &Value, list: bool| {
            let fits = value.is_null()
                || if list {
                    value.is_array()
                } else {
                    value.is_object()
                };
            if !fits {
                let expected = if list { "a list" } else { "a mapping" };
                errors.push(FieldError::new(field, format!("expected {expected}")));
            }
        };
        check("metadata", &self.0["metadata"], false);
        check("metadata.labels", &self.0["metadata"]["labels"], false);
        check(
            "metadata.annotations",
            &self.0["metadata"]["annotations"],
            false,
        );
        for list in ["initContainers", "containers", "volumes"] {
            check(&format!("spec.{list}"), &self.spec()[list], true);
        }
        for one in self.containers() {
            let field = format!("spec.{}[{}]", one.list, one.at);
            check(&field, one.value, false);
            check(
                &format!("{field}.lifecycle"),
                &one.value["lifecycle"],
                false,
            );
        }
        if !self.spec().is_object() {
            errors.push(FieldError::new("spec", "expected a mapping"));
        }
    }
}

/// What to say of a label's or an annotation's value that YAML took for something else than text.
pub(super) fn not_text(value: &Value) -> String {
    match value {
        Value::Bool(_) | Value::Number(_) => {
            format!("{value} is not text: write \"{value}\", in quotes")
        }
        Value::Null => "has no value; remove it, or give it one".into(),
        Value::Array(_) | Value::Object(_) | Value::String(_) => "expected text".into(),
    }
}
