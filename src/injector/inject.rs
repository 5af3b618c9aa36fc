//! The function: a pod in; nothing, a patch, or every reason against it out.

use super::annotation::{DOMAIN, LABEL, STATUS};
use super::container::{container, volumes};
use super::patch::Add;
use super::pod::{CONTAINER, Pod, not_text};
use super::settings::{Resolved, resolve};
use super::{FieldError, Settings};
use crate::config::parse::shown;
use crate::config::parse::units::Period;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use twox_hash::XxHash3_128;

/// Between the end of the drain and the pod's: for the kubelet to notice, and the process to end.
const MARGIN: Duration = Duration::from_secs(2);

/// Where a pod is to be created.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespace {
    /// Its name; empty where it is not known.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What is to be done with a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Nothing, and why.
    Skip(String),
    /// It gets its sidecar.
    Patch {
        /// In this order.
        ops: Vec<Add>,
        /// What the user should know.
        warnings: Vec<String>,
    },
    /// It must not run like this: everything that is wrong.
    Deny(Vec<FieldError>),
}

/// Decides about one pod (or a workload's pod template), and says what to add to it.
pub fn inject(pod: &Value, namespace: &Namespace, settings: &Settings) -> Outcome {
    let pod = Pod(pod);
    match asked_for(pod, namespace, settings) {
        Asked::Yes => {}
        Asked::No(why) => return Outcome::Skip(why),
        Asked::Unclear(error) => return Outcome::Deny(vec![error]),
    }
    let mut errors = Vec::new();
    pod.shape(&mut errors);
    let given = pod.settings(&mut errors);
    let (resolved, wrong) = resolve(&given, &settings.sidecar);
    errors.extend(wrong);
    let mut warnings = Vec::new();
    fits(pod, &resolved, &mut errors, &mut warnings);
    let volumes = missing_volumes(pod, &resolved, &mut errors);
    if !errors.is_empty() {
        return Outcome::Deny(errors);
    }
    Outcome::Patch {
        ops: operations(pod, &resolved, volumes),
        warnings,
    }
}

enum Asked {
    Yes,
    No(String),
    Unclear(FieldError),
}

/// The pod's label wins over its namespace's.
fn asked_for(pod: Pod<'_>, namespace: &Namespace, settings: &Settings) -> Asked {
    if settings.excluded_namespaces.contains(&namespace.name) {
        return Asked::No(format!("the namespace {} is excluded", namespace.name));
    }
    if pod.is_mirror() {
        return Asked::No("a static pod's mirror cannot be changed".into());
    }
    let own = pod.label(LABEL);
    match own.as_str() {
        Some("true") => {}
        Some("false") => return Asked::No(format!("its label {LABEL} is false")),
        Some(other) => {
            let what = format!("{}: expected \"true\" or \"false\"", shown(other));
            return Asked::Unclear(FieldError::new(format!("label {LABEL}"), what));
        }
        None if !own.is_null() => {
            let what = not_text(own);
            return Asked::Unclear(FieldError::new(format!("label {LABEL}"), what));
        }
        None => match namespace.labels.get(LABEL).map(String::as_str) {
            Some("true") => {}
            None if pod.annotation(LABEL).is_some() => {
                let what = format!("{LABEL} is an annotation here, and must be a label");
                return Asked::No(what);
            }
            None => {
                return Asked::No(format!(
                    "neither it nor its namespace has the label {LABEL}"
                ));
            }
            Some(other) => {
                let what = format!("its namespace's label {LABEL} is {}", shown(other));
                return Asked::No(what);
            }
        },
    }
    if pod.is_injected() {
        return Asked::No("already injected".into());
    }
    Asked::Yes
}

/// Whether the sidecar and the rest of the pod can live together.
fn fits(
    pod: Pod<'_>,
    resolved: &Resolved,
    errors: &mut Vec<FieldError>,
    warnings: &mut Vec<String>,
) {
    if pod.spec()["hostNetwork"] == true {
        let what =
            "the sidecar's ports would be the node's; a pod on the host network cannot have one";
        errors.push(FieldError::new("spec.hostNetwork", what));
    }
    if pod.spec()["os"]["name"] == "windows" {
        let what = "windows: the sidecar is for linux";
        errors.push(FieldError::new("spec.os.name", what));
    }
    if let Some(other) = pod.sidecar() {
        let field = format!("spec.{}[{}].name", other.list, other.at);
        let what = format!(
            "{CONTAINER} is the sidecar's name, and this container is not the injector's: rename it, or set \
             the label {LABEL} to \"false\""
        );
        errors.push(FieldError::new(field, what));
    }
    ports(pod, resolved, errors, warnings);
    time(pod, resolved, errors, warnings);
}

fn ports(
    pod: Pod<'_>,
    resolved: &Resolved,
    errors: &mut Vec<FieldError>,
    warnings: &mut Vec<String>,
) {
    for (setting, port_name, port) in [
        ("mllp-port", "mllp", resolved.mllp_port),
        ("admin-port", "mllp-admin", resolved.admin_port),
    ] {
        let field = format!("{DOMAIN}{setting}");
        for one in pod.containers().filter(|one| one.name() != CONTAINER) {
            for (name, number) in one.tcp_ports() {
                let known = errors.iter().any(|error| error.field == field);
                if number == u64::from(port) && !known {
                    let what = format!("{port} is a port of the container {}", one.name());
                    errors.push(FieldError::new(&field, what));
                } else if name == port_name {
                    warnings.push(format!(
                        "the container {} has a port called {name}, as the sidecar has: a Service that names it finds one of the two",
                        one.name()
                    ));
                }
            }
        }
    }
}

fn time(
    pod: Pod<'_>,
    resolved: &Resolved,
    errors: &mut Vec<FieldError>,
    warnings: &mut Vec<String>,
) {
    let seconds = match pod.grace_period() {
        Ok(seconds) => seconds,
        Err(error) => return errors.push(error),
    };
    let grace = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    if let Some(deadline) = resolved.drain_deadline {
        if deadline + MARGIN > grace {
            let what = format!(
                "{} and {} for the end itself are longer than terminationGracePeriodSeconds, which is {seconds}",
                Period(deadline),
                Period(MARGIN)
            );
            errors.push(FieldError::new(format!("{DOMAIN}drain-deadline"), what));
        }
        if let Some(ack) = resolved.ack_deadline.filter(|ack| *ack > deadline) {
            warnings.push(format!(
                "{DOMAIN}ack-deadline, {}, is longer than drain-deadline, {}: a message that waits for the app when the pod ends may be cut off without an answer",
                Period(ack),
                Period(deadline)
            ));
        }
    } else if grace < Duration::from_secs(25) + MARGIN {
        warnings.push(format!(
            "{DOMAIN}config: its shutdown.deadline must be {} shorter than terminationGracePeriodSeconds, which is {seconds}; the injector cannot see it",
            Period(MARGIN)
        ));
    }
    if let Some(sleep) = resolved.prestop_sleep
        && Duration::from_secs(sleep) >= grace
    {
        let what = format!(
            "{sleep}s is not shorter than terminationGracePeriodSeconds, which is {seconds}"
        );
        errors.push(FieldError::new(format!("{DOMAIN}app-prestop-sleep"), what));
    }
}

/// Whether the ServiceAccount admission plugin may mount a token. It looks at the service account as well, which is not seen here.
fn may_get_token(pod: Pod<'_>) -> bool {
    pod.spec()["automountServiceAccountToken"] != false
}

/// The sidecar's volumes that are not there yet. One of the same name and another content is an error.
fn missing_volumes(pod: Pod<'_>, resolved: &Resolved, errors: &mut Vec<FieldError>) -> Vec<Value> {
    let mut missing = volumes(resolved, may_get_token(pod));
    missing.retain(|volume| {
        let name = volume["name"].as_str().unwrap_or_default();
        match pod.volume(name) {
            Some(there) if within(volume, there) => false,
            Some(_) => {
                let what = format!("{name} is the name of the sidecar's volume: rename this one");
                errors.push(FieldError::new("spec.volumes", what));
                false
            }
            None => true,
        }
    });
    missing
}

/// Whether all of `part` is in `whole`, which may have more: the API server fills in defaults.
fn within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(key, value)| within(value, whole.get(key).unwrap_or(&Value::Null))),
        (Value::Array(part), Value::Null) => part.is_empty(),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(a, b)| within(a, b))
        }
        _ => part == whole,
    }
}

fn operations(pod: Pod<'_>, resolved: &Resolved, volumes: Vec<Value>) -> Vec<Add> {
    let container = container(resolved, may_get_token(pod));
    let mut ops = Vec::new();
    append(&mut ops, pod, "initContainers", vec![container]);
    append(&mut ops, pod, "volumes", volumes);
    if let Some(sleep) = resolved.prestop_sleep {
        ops.extend(pod.containers().filter_map(|one| {
            if one.list != "containers" || !one.value["lifecycle"]["preStop"].is_null() {
                return None;
            }
            let pre_stop = json!({"sleep": {"seconds": sleep}});
            let at = one.at.to_string();
            let lifecycle = ["spec", "containers", &at, "lifecycle"];
            Some(if one.value["lifecycle"].is_object() {
                Add::new(lifecycle.into_iter().chain(["preStop"]), pre_stop)
            } else {
                Add::new(lifecycle, json!({"preStop": pre_stop}))
            })
        }));
    }
    let status = Value::String(status(&ops));
    ops.push(if !pod.0["metadata"].is_object() {
        Add::new(["metadata"], json!({"annotations": {STATUS: status}}))
    } else if !pod.0["metadata"]["annotations"].is_object() {
        Add::new(["metadata", "annotations"], json!({STATUS: status}))
    } else {
        Add::new(["metadata", "annotations", STATUS], status)
    });
    ops
}

/// Adds to a list of the pod's spec, which may not be there yet.
fn append(ops: &mut Vec<Add>, pod: Pod<'_>, list: &str, values: Vec<Value>) {
    if values.is_empty() {
        return;
    }
    if pod.spec()[list].is_array() {
        let each = values.into_iter();
        ops.extend(each.map(|value| Add::new(["spec", list, "-"], value)));
    } else {
        ops.push(Add::new(["spec", list], values.into()));
    }
}

/// The status annotation: who injected, and a hash of what was added.
fn status(ops: &[Add]) -> String {
    let added: Vec<&Value> = ops.iter().map(|op| &op.value).collect();
    let text = serde_json::to_string(&added).unwrap_or_default();
    let hash = XxHash3_128::oneshot(text.as_bytes()) >> 64;
    let version = env!("CARGO_PKG_VERSION");
    json!({"version": version, "config": format!("{hash:016x}")}).to_string()
}
