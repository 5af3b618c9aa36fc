//! The injector's configuration file: keys, defaults, checks.
//!
//! Parsed as the bridge's own is: every error at once, each with its path, before a port is bound.

use super::annotation::{self, DOMAIN};
use super::options::{Admin, Certificates, Kubernetes, Log, Options, Shutdown, Webhook};
use super::settings::{Settings, Sidecar, resolve};
use crate::config::parse::units::Text;
use crate::config::parse::{self, ConfigError, Problems, Source, shown};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that `injector` needs, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// How the webhook runs.
    pub options: Options,
    /// What is injected, and where not.
    pub settings: Settings,
}

/// The injector's configuration. Every key is optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Raw {
    /// The webhook, which the API server asks.
    pub webhook: Webhook,
    /// Metrics and health.
    pub admin: Admin,
    /// The webhook's certificates.
    pub certificates: Certificates,
    /// Where the Kubernetes API is, for an injector that is not in its cluster.
    pub kubernetes: Kubernetes,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// The sidecar where a pod says nothing.
    pub sidecar: RawSidecar,
    /// Namespaces in which nothing is injected, whatever labels say.
    pub excluded_namespaces: ExcludedNamespaces,
    /// What is logged, and how.
    pub log: Log,
}

/// A list that is not empty where it is not given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct ExcludedNamespaces(pub Vec<String>);

/// The sidecar where a pod says nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct RawSidecar {
    /// Image.
    pub image: Text,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: Text,
    /// CPU that the scheduler sets aside.
    pub cpu_request: Text,
    /// Memory that the scheduler sets aside.
    pub memory_request: Text,
    /// CPU above which it is slowed down; not given, there is no limit.
    #[schemars(with = "Text")]
    pub cpu_limit: Option<Text>,
    /// Memory above which it is killed.
    pub memory_limit: Text,
    /// Any other annotation without its domain, and its value.
    pub defaults: BTreeMap<String, Text>,
}

impl Default for ExcludedNamespaces {
    fn default() -> Self {
        Self(vec!["kube-system".into()])
    }
}

impl Default for RawSidecar {
    fn default() -> Self {
        let sidecar = Sidecar::default();
        let given = |value: Option<String>| Text(value.unwrap_or_default());
        Self {
            image: Text(sidecar.image),
            image_pull_policy: Text(sidecar.image_pull_policy),
            cpu_request: given(sidecar.cpu_request),
            memory_request: given(sidecar.memory_request),
            cpu_limit: sidecar.cpu_limit.map(Text),
            memory_limit: given(sidecar.memory_limit),
            defaults: BTreeMap::new(),
        }
    }
}

/// Reads the injector's configuration. Only the source's file counts.
///
/// # Errors
///
/// Everything that is wrong with it, together.
pub fn load(source: &Source) -> Result<Config, ConfigError> {
    parse::load_with(source, check)
}

fn check(raw: Raw, problems: &mut Problems) -> Config {
    for (at, name) in raw.excluded_namespaces.0.iter().enumerate() {
        object_name(&format!("excluded_namespaces[{at}]"), name, problems);
    }
    let certificates = &raw.certificates;
    for (key, name) in [
        ("service", Some(&certificates.service)),
        ("ca_secret", Some(&certificates.ca_secret)),
        ("lease", Some(&certificates.lease)),
        (
            "webhook_configuration",
            certificates.webhook_configuration.as_ref(),
        ),
    ] {
        if let Some(name) = name {
            object_name(&format!("certificates.{key}"), name, problems);
        }
    }
    let options = Options {
        webhook: raw.webhook,
        admin: raw.admin,
        certificates: raw.certificates,
        kubernetes: raw.kubernetes,
        shutdown: raw.shutdown,
        log: raw.log,
    };
    for (key, what) in options.problems() {
        problems.add(key, what);
    }
    Config {
        options,
        settings: Settings {
            sidecar: sidecar(raw.sidecar, problems),
            excluded_namespaces: raw.excluded_namespaces.0,
        },
    }
}

/// Checks the defaults as if a pod had given them.
fn sidecar(raw: RawSidecar, problems: &mut Problems) -> Sidecar {
    let some = |text: Text| Some(text.0).filter(|text| !text.is_empty());
    let mut sidecar = Sidecar {
        image: raw.image.0,
        image_pull_policy: raw.image_pull_policy.0,
        cpu_request: some(raw.cpu_request),
        memory_request: some(raw.memory_request),
        cpu_limit: raw.cpu_limit.and_then(some),
        memory_limit: some(raw.memory_limit),
        defaults: BTreeMap::new(),
    };
    let mut given: BTreeMap<&str, &str> = raw
        .defaults
        .iter()
        .map(|(name, value)| (name.as_str(), value.0.as_str()))
        .collect();
    let own = |name: &str| match name {
        "image" | "image-pull-policy" | "cpu-request" | "memory-request" | "cpu-limit"
        | "memory-limit" => Some(format!("sidecar.{}", name.replace('-', "_"))),
        _ => None,
    };
    for name in given.keys() {
        if let Some(key) = own(name) {
            problems.add(&place(name), format!("has a key of its own, {key}"));
        } else if name.starts_with(DOMAIN) {
            let what = format!("expected a name without {DOMAIN}");
            problems.add(&place(name), what);
        } else if annotation::find(name).is_none() {
            problems.add(&place(name), annotation::no_such(name));
        }
    }
    // What has been found wrong is not looked at again.
    given.retain(|name, _| own(name).is_none() && annotation::find(name).is_some());
    for error in resolve(&given, &sidecar).1 {
        let name = error.field.strip_prefix(DOMAIN).unwrap_or(&error.field);
        let path = match own(name) {
            Some(key) => key,
            None => place(name),
        };
        problems.add(&path, error.message);
    }
    sidecar.defaults = raw
        .defaults
        .into_iter()
        .map(|(name, value)| (name, value.0))
        .collect();
    sidecar
}

fn place(name: &str) -> String {
    format!("sidecar.defaults.{name}")
}

fn object_name(path: &str, name: &str, problems: &mut Problems) {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let inner = |b: u8| plain(b) || b == b'-' || b == b'.';
    let ends = [name.bytes().next(), name.bytes().last()];
    if name.len() > 253
        || !name.bytes().all(inner)
        || !ends.into_iter().all(|b| b.is_some_and(plain))
    {
        let what = format!("{}: expected the name of an object", shown(name));
        problems.add(path, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(yaml: &str) -> String {
        match load(&Source::new().text(yaml)) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    /// The file that the documentation shows.
    const WHOLE: &str = "\
webhook: { bind: 0.0.0.0:8443 }
admin: { bind: 0.0.0.0:9090 }
certificates:
  mode: auto
  directory: /certs
  service: mllp-bridge-injector
  ca_secret: mllp-bridge-injector-ca
  lease: mllp-bridge-injector
  ca_validity: 365d
  leaf_validity: 7d
  check_interval: 10s
shutdown: { linger: 5s, deadline: 20s }
sidecar:
  image_pull_policy: IfNotPresent
  cpu_request: 10m
  memory_request: 16Mi
  memory_limit: 128Mi
  defaults: {}
excluded_namespaces: [kube-system]
log: { level: info, format: json }
";

    #[test]
    fn an_empty_file_is_the_one_with_every_default() {
        let whole = load(&Source::new().text(WHOLE));
        assert!(whole.is_ok(), "{whole:?}");
        assert_eq!(whole, load(&Source::new().text("")));
    }

    #[test]
    fn every_error_is_told_with_its_path() {
        let yaml = "\
webhook: { bind: 0.0.0.0:9090 }
certificates: { leaf_validity: 1m, lease: A_b }
sidecar:
  image: a b
  cpu_request: lots
  defaults: { app-port: 99999, app-prot: 1, image: x, mllp-bridge.io/format: raw }
excluded_namespaces: ['-']
lgo: {}
";
        assert_eq!(
            errors(yaml).lines().collect::<Vec<_>>(),
            [
                "lgo: unknown key, did you mean log?",
                "excluded_namespaces[0]: \"-\": expected the name of an object",
                "certificates.lease: \"A_b\": expected the name of an object",
                "certificates.leaf_validity: must be at least 2s, and ten times check_interval",
                "admin.bind: has the port of webhook.bind",
                "sidecar.defaults.app-prot: unknown annotation, did you mean app-port?",
                "sidecar.defaults.image: has a key of its own, sidecar.image",
                "sidecar.defaults.mllp-bridge.io/format: expected a name without mllp-bridge.io/",
                "sidecar.defaults.app-port: \"99999\": expected a port, 1 to 65535",
                "sidecar.image: \"a b\": expected an image such as registry/mllp-bridge:0.1.0",
                "sidecar.cpu_request: \"lots\": expected a quantity such as 100m",
            ]
        );
    }
}
