//! The annotations: each name, what its value is, its default and its documentation, once.
//!
//! docs/injection.md has this table, and a test compares it.

use crate::config::parse::unknown;

/// Every name of ours on a pod or a namespace begins with this.
pub const DOMAIN: &str = "mllp-bridge.io/";
/// The label that asks for a sidecar, on a pod or on its namespace.
pub const LABEL: &str = "mllp-bridge.io/inject";
/// The annotation that the injector itself sets.
pub const STATUS: &str = "mllp-bridge.io/status";

/// One annotation that a user may set.
#[derive(Debug)]
pub struct Annotation {
    /// Without [`DOMAIN`].
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// The configuration key that it sets, if it sets one by itself.
    pub key: Option<&'static str>,
    /// Where it is not given; empty for "none".
    pub default: &'static str,
    /// For its row in the documentation.
    pub about: &'static str,
}

/// What an annotation's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 1 to 65535.
    Port,
    /// Begins with `/`.
    Path,
    /// `http://…` or `https://…`.
    Url,
    /// The name of an object.
    Name,
    /// `10s`.
    Duration,
    /// `16MiB`.
    Size,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Bool,
    /// One of these.
    Choice(&'static [&'static str]),
    /// An image.
    Image,
    /// A Kubernetes quantity.
    Quantity,
}

impl Kind {
    /// In words.
    pub fn text(self) -> String {
        match self {
            Self::Port => "port".into(),
            Self::Path => "path".into(),
            Self::Url => "URL".into(),
            Self::Name => "name".into(),
            Self::Duration => "duration".into(),
            Self::Size => "size".into(),
            Self::Number => "number".into(),
            Self::Bool => "`true` or `false`".into(),
            Self::Choice(names) => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                names.join(", ")
            }
            Self::Image => "image".into(),
            Self::Quantity => "quantity".into(),
        }
    }
}

const fn annotation(
    name: &'static str,
    kind: Kind,
    key: Option<&'static str>,
    default: &'static str,
    about: &'static str,
) -> Annotation {
    Annotation {
        name,
        kind,
        key,
        default,
        about,
    }
}

/// All of them, in the order of the documentation.
pub const ANNOTATIONS: &[Annotation] = &[
    annotation(
        "app-port",
        Kind::Port,
        None,
        "8080",
        "Port on which the app takes messages, on 127.0.0.1 in the pod.",
    ),
    annotation(
        "app-path",
        Kind::Path,
        None,
        "/hl7",
        "Path that messages are POSTed to.",
    ),
    annotation(
        "app-url",
        Kind::Url,
        Some("listeners[0].deliver.url"),
        "",
        "The whole URL, instead of `app-port` and `app-path`: another host, HTTPS.",
    ),
    annotation(
        "mllp-port",
        Kind::Port,
        None,
        "2575",
        "Port for MLLP, on all of the pod's IPv4 addresses.",
    ),
    annotation(
        "admin-port",
        Kind::Port,
        None,
        "9090",
        "Port of metrics, probes and drain.",
    ),
    annotation(
        "format",
        Kind::Choice(&["cloudevents", "cloudevents-binary", "raw", "fhir"]),
        Some("listeners[0].deliver.format"),
        "cloudevents",
        "Shape of the request to the app. For `fhir` the app is a FHIR server, and `app-url` or `app-path` its base.",
    ),
    annotation(
        "config",
        Kind::Name,
        None,
        "",
        "ConfigMap of the pod's namespace whose key `config.yaml` is the sidecar's configuration file. Other annotations of the pod win over the file; what the pod does not say, the file does.",
    ),
    annotation(
        "max-message-bytes",
        Kind::Size,
        Some("listeners[0].limits.max_message_bytes"),
        "16MiB",
        "Largest message that is accepted. Half of `memory-limit` is for messages, and must hold one and 4MiB.",
    ),
    annotation(
        "max-connections",
        Kind::Number,
        Some("listeners[0].limits.max_connections"),
        "1024",
        "Connections that are open at once.",
    ),
    annotation(
        "ack-deadline",
        Kind::Duration,
        Some("listeners[0].ack.deadline"),
        "25s",
        "Longest time from a message to its ACK; retries end here.",
    ),
    annotation(
        "ack-unavailable",
        Kind::Choice(&["error", "reject", "close"]),
        Some("listeners[0].ack.unavailable"),
        "error",
        "What is answered when the app could not be reached in time.",
    ),
    annotation(
        "drain-deadline",
        Kind::Duration,
        Some("shutdown.deadline"),
        "25s",
        "Longest time for what is in flight when the pod ends. At least 2s shorter than the pod's `terminationGracePeriodSeconds` (30).",
    ),
    annotation(
        "ready-needs-app",
        Kind::Bool,
        Some("admin.ready_needs_app"),
        "true",
        "Whether the pod is ready only while the app can be reached.",
    ),
    annotation(
        "state",
        Kind::Choice(&["none", "emptydir"]),
        None,
        "none",
        "`emptydir`: a volume of the pod's own for what the sidecar remembers (`state.directory`), so that it outlives the container, though not the pod. With such a volume `kubectl drain` wants `--delete-emptydir-data`.",
    ),
    annotation(
        "log-level",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        Some("log.level"),
        "info",
        "Least severe level that is logged.",
    ),
    annotation(
        "log-format",
        Kind::Choice(&["text", "json"]),
        Some("log.format"),
        "text",
        "Format of a log line.",
    ),
    annotation(
        "image",
        Kind::Image,
        None,
        "the injector's own",
        "The sidecar's image.",
    ),
    annotation(
        "image-pull-policy",
        Kind::Choice(&["Always", "IfNotPresent", "Never"]),
        None,
        "IfNotPresent",
        "When the image is pulled.",
    ),
    annotation(
        "cpu-request",
        Kind::Quantity,
        None,
        "10m",
        "CPU that the scheduler sets aside.",
    ),
    annotation(
        "memory-request",
        Kind::Quantity,
        None,
        "16Mi",
        "Memory that the scheduler sets aside.",
    ),
    annotation(
        "cpu-limit",
        Kind::Quantity,
        None,
        "",
        "CPU above which the sidecar is slowed down.",
    ),
    annotation(
        "memory-limit",
        Kind::Quantity,
        None,
        "128Mi",
        "Memory above which the sidecar is killed.",
    ),
    annotation(
        "app-prestop-sleep",
        Kind::Duration,
        None,
        "",
        "Gives each app container without a `preStop` one that sleeps so long (whole seconds; `0s`: none), so that the drain ends before the app begins to. Kubernetes 1.30.",
    ),
];

/// The annotation of this name, which is without [`DOMAIN`].
pub fn find(name: &str) -> Option<&'static Annotation> {
    ANNOTATIONS.iter().find(|known| known.name == name)
}

/// What to say of a name (without [`DOMAIN`]) that is none of ours.
pub(super) fn no_such(name: &str) -> String {
    if LABEL.strip_prefix(DOMAIN) == Some(name) {
        return "is a label, not an annotation".into();
    }
    let known: Vec<&str> = ANNOTATIONS.iter().map(|known| known.name).collect();
    unknown("annotation", name, &known)
}

/// The environment variable of a configuration key.
pub(super) fn variable(key: &str) -> String {
    let path = key.replace('[', "__").replace(']', "").replace('.', "__");
    format!("MLLP_BRIDGE_{}", path.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw;
    use serde_json::Value;

    #[test]
    fn names_are_unique_and_keys_have_variables() {
        for (at, one) in ANNOTATIONS.iter().enumerate() {
            assert!(
                ANNOTATIONS[..at].iter().all(|other| other.name != one.name),
                "{}",
                one.name
            );
        }
        assert_eq!(
            variable("listeners[0].deliver.url"),
            "MLLP_BRIDGE_LISTENERS__0__DELIVER__URL"
        );
    }

    /// Where the injector stamps nothing, the sidecar's own default is in force: the table must say that one.
    #[test]
    fn the_defaults_are_those_of_the_configuration() {
        let config = raw::Config {
            listeners: vec![raw::Listener::default()],
            ..raw::Config::default()
        };
        let config = serde_json::to_value(config).unwrap();
        let mut compared = 0;
        for one in ANNOTATIONS.iter().filter(|one| !one.default.is_empty()) {
            let Some(key) = one.key else { continue };
            let pointer = key.replace("[0]", "/0").replace('.', "/");
            let default = match config.pointer(&format!("/{pointer}")) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => panic!("{key} is no key"),
            };
            assert_eq!(default, one.default, "{}", one.name);
            compared += 1;
        }
        assert!(compared >= 8);
    }

    #[test]
    fn a_misspelt_name_gets_a_hint() {
        assert_eq!(
            no_such("app-prot"),
            "unknown annotation, did you mean app-port?"
        );
        assert_eq!(no_such("inject"), "is a label, not an annotation");
        assert!(no_such("zzz").starts_with("unknown annotation, expected one of app-port, "));
    }
}
