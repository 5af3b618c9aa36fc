//! The injector's configuration file: keys, defaults, checks.
//!
//! Parsed as the bridge's own is: every error at once, each with its path, before a port is bound.

use super::annotation::{self, DOMAIN};
use super::settings::{Settings, Sidecar, resolve};
use crate::config::parse::units::{Address, Period, Text};
use crate::config::parse::{self, ConfigError, Problems, Source, shown};
use crate::config::{Log, LogFormat, LogLevel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that `injector` needs, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the API server asks; TLS.
    pub webhook: SocketAddr,
    /// Metrics and health.
    pub admin: SocketAddr,
    /// The webhook's certificates.
    pub certificates: Certificates,
    /// What is injected, and where not.
    pub settings: Settings,
    /// What is logged, and how.
    pub log: Log,
}

/// Where the webhook's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificates {
    /// Made and rotated by the injector.
    Auto(Auto),
    /// From files that somebody else renews.
    Files {
        /// Holds `tls.crt`, `tls.key` and perhaps `ca.crt`.
        directory: PathBuf,
        /// The webhook configuration whose bundle is compared with them; `None`: it is not looked at.
        webhook_configuration: Option<String>,
    },
}

/// Certificates that the injector makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auto {
    /// The Service's name, in the leaf.
    pub service: String,
    /// The Secret with the CA.
    pub ca_secret: String,
    /// The Lease that says who may write.
    pub lease: String,
    /// The MutatingWebhookConfiguration that gets the bundle.
    pub webhook_configuration: String,
    /// How long a CA is valid.
    pub ca_validity: Duration,
    /// How long a leaf is valid.
    pub leaf_validity: Duration,
}

/// The injector's configuration. Every key is optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Raw {
    /// The webhook, which the API server asks.
    pub webhook: RawWebhook,
    /// Metrics and health.
    pub admin: RawAdmin,
    /// The webhook's certificates.
    pub certificates: RawCertificates,
    /// The sidecar where a pod says nothing.
    pub sidecar: RawSidecar,
    /// Namespaces in which nothing is injected, whatever labels say.
    pub excluded_namespaces: ExcludedNamespaces,
    /// What is logged, and how.
    pub log: RawLog,
}

/// A list that is not empty where it is not given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct ExcludedNamespaces(pub Vec<String>);

/// The webhook, which the API server asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct RawWebhook {
    /// Where it listens, with TLS: an IP address and a port.
    pub bind: Address,
}

/// Metrics and health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct RawAdmin {
    /// Where it listens: an IP address and a port.
    pub bind: Address,
}

/// Where the webhook's certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Mode {
    /// The injector makes a CA and leaves, and rotates them.
    Auto,
    /// From `directory`: cert-manager, or your own.
    Files,
}

/// The webhook's certificates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct RawCertificates {
    /// Who makes them.
    pub mode: Mode,
    /// `files`: holds `tls.crt`, `tls.key` and, optionally, `ca.crt`.
    pub directory: Text,
    /// `auto`: the Service that leads to the webhook; leaves are for SERVICE.NAMESPACE.svc.
    pub service: Text,
    /// `auto`: the Secret with the CA. It must exist.
    pub ca_secret: Text,
    /// `auto`: the Lease of the replica that writes. It must exist.
    pub lease: Text,
    /// The MutatingWebhookConfiguration. `auto`: its bundle is written. `files`: its bundle is compared, if this is given.
    #[schemars(with = "Text", extend("default" = "mllp-bridge-injector"))]
    pub webhook_configuration: Option<Text>,
    /// `auto`: how long a CA is valid, at least ten times `leaf_validity`.
    pub ca_validity: Period,
    /// `auto`: how long a leaf is valid, at least 10m.
    pub leaf_validity: Period,
}

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

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct RawLog {
    /// Least severe level that is written.
    pub level: LogLevel,
    /// Format of a line.
    pub format: LogFormat,
}

fn text(text: &str) -> Text {
    Text(text.into())
}

fn any_address(port: u16) -> Address {
    Address(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
}

impl Default for ExcludedNamespaces {
    fn default() -> Self {
        Self(vec!["kube-system".into()])
    }
}

impl Default for RawWebhook {
    fn default() -> Self {
        let bind = any_address(8443);
        Self { bind }
    }
}

impl Default for RawAdmin {
    fn default() -> Self {
        let bind = any_address(9090);
        Self { bind }
    }
}

impl Default for RawCertificates {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            directory: text("/certs"),
            service: text("mllp-bridge-injector"),
            ca_secret: text("mllp-bridge-injector-ca"),
            lease: text("mllp-bridge-injector"),
            webhook_configuration: None,
            ca_validity: Period::hours(365 * 24),
            leaf_validity: Period::hours(7 * 24),
        }
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

impl Default for RawLog {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Json,
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
    let (webhook, admin) = (raw.webhook.bind.0, raw.admin.bind.0);
    if webhook.port() == admin.port() && webhook.port() != 0 {
        let what = format!("{} is webhook.bind's port already", admin.port());
        problems.add("admin.bind", what);
    }
    for (at, name) in raw.excluded_namespaces.0.iter().enumerate() {
        object_name(&format!("excluded_namespaces[{at}]"), name, problems);
    }
    Config {
        webhook,
        admin,
        certificates: certificates(raw.certificates, problems),
        settings: Settings {
            sidecar: sidecar(raw.sidecar, problems),
            excluded_namespaces: raw.excluded_namespaces.0,
        },
        log: Log {
            level: raw.log.level,
            format: raw.log.format,
        },
    }
}

fn certificates(raw: RawCertificates, problems: &mut Problems) -> Certificates {
    let webhook = raw.webhook_configuration.map(|name| name.0);
    for (key, name) in [
        ("service", Some(&raw.service.0)),
        ("ca_secret", Some(&raw.ca_secret.0)),
        ("lease", Some(&raw.lease.0)),
        ("webhook_configuration", webhook.as_ref()),
    ] {
        if let Some(name) = name {
            object_name(&format!("certificates.{key}"), name, problems);
        }
    }
    if raw.mode == Mode::Files {
        if !raw.directory.0.starts_with('/') {
            let what = format!("{}: expected an absolute path", shown(&raw.directory.0));
            problems.add("certificates.directory", what);
        }
        return Certificates::Files {
            directory: raw.directory.0.into(),
            webhook_configuration: webhook,
        };
    }
    let (ca, leaf) = (raw.ca_validity.0, raw.leaf_validity.0);
    if leaf < Duration::from_secs(600) {
        let what = format!("{}: expected at least 10m", raw.leaf_validity);
        problems.add("certificates.leaf_validity", what);
    } else if ca < leaf * 10 {
        let what = format!(
            "{}: expected at least ten times leaf_validity, which is {}",
            raw.ca_validity, raw.leaf_validity
        );
        problems.add("certificates.ca_validity", what);
    }
    Certificates::Auto(Auto {
        service: raw.service.0,
        ca_secret: raw.ca_secret.0,
        lease: raw.lease.0,
        webhook_configuration: webhook.unwrap_or_else(|| "mllp-bridge-injector".into()),
        ca_validity: ca,
        leaf_validity: leaf,
    })
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
    let given: BTreeMap<&str, &str> = raw
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
    for error in resolve(&given, &sidecar).1 {
        let name = error.field.strip_prefix(DOMAIN).unwrap_or(&error.field);
        let path = match own(name) {
            Some(key) if !given.contains_key(name) => key,
            _ => place(name),
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
  webhook_configuration: mllp-bridge-injector
  ca_validity: 365d
  leaf_validity: 7d
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
                "admin.bind: 9090 is webhook.bind's port already",
                "excluded_namespaces[0]: \"-\": expected the name of an object",
                "certificates.lease: \"A_b\": expected the name of an object",
                "certificates.leaf_validity: 1m: expected at least 10m",
                "sidecar.defaults.app-prot: unknown annotation, did you mean app-port?",
                "sidecar.defaults.image: has a key of its own, sidecar.image",
                "sidecar.defaults.mllp-bridge.io/format: expected a name without mllp-bridge.io/",
                "sidecar.defaults.app-port: \"99999\": expected a port, 1 to 65535",
                "sidecar.image: \"a b\": expected an image such as registry/mllp-bridge:0.1.0",
                "sidecar.cpu_request: \"lots\": expected a quantity such as 100m",
            ]
        );
    }

    #[test]
    fn files_need_no_name_of_a_webhook() {
        let config = load(&Source::new().text("certificates: {mode: files, directory: /tls}"));
        assert_eq!(
            config.map(|config| config.certificates),
            Ok(Certificates::Files {
                directory: "/tls".into(),
                webhook_configuration: None
            })
        );
        let relative = errors("certificates: {mode: files, directory: tls}");
        assert_eq!(
            relative,
            "certificates.directory: \"tls\": expected an absolute path"
        );
    }
}
