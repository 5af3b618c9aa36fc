//! How the webhook runs: the sections of the injector's configuration that say nothing about pods.
//!
//! Must not do: I/O. The environment comes as an argument.

use crate::config::parse::units::{Address, Period};
use crate::config::{LogFormat, LogLevel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The server that the API server calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Webhook {
    /// Where it listens: an IP address and a port.
    pub bind: Address,
    /// Connections open at once; more wait in the kernel's accept queue.
    pub max_connections: usize,
    /// How long a request may take, from its head to its answer.
    pub request_timeout: Period,
}

/// The server for metrics and health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Admin {
    /// Where it listens: an IP address and a port.
    pub bind: Address,
}

/// Who keeps the webhook's certificate in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Mode {
    /// The injector itself.
    Auto,
    /// Somebody else, in mounted files.
    Files,
}

/// The webhook's certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Certificates {
    /// `auto` or `files`.
    pub mode: Mode,
    /// Mode `files`: holds `tls.crt` and `tls.key`, and perhaps `ca.crt`.
    pub directory: PathBuf,
    /// The Service that the API server calls; certificates are for its name.
    pub service: String,
    /// Mode `auto`: the Secret that holds the CA.
    pub ca_secret: String,
    /// Mode `auto`: the Lease by which one replica leads.
    pub lease: String,
    /// The MutatingWebhookConfiguration. Mode `auto`: its bundle is written; by default the one called as `service`. Mode `files`: its bundle is compared with what is served; without this key it is
    /// not, and the Kubernetes API is not used.
    #[schemars(with = "String")]
    pub webhook_configuration: Option<String>,
    /// Mode `auto`: how long a new CA is valid; at least four times `leaf_validity`.
    pub ca_validity: Period,
    /// Mode `auto`: how long a replica's own certificate is valid; at least ten times `check_interval`.
    pub leaf_validity: Period,
    /// How often the Secret, the Lease and the configuration, or the files, are looked at. A new bundle is given three of
    /// these to become known, and the Lease runs out after four.
    pub check_interval: Period,
}

/// Where the Kubernetes API is, for an injector that is not in its cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Kubernetes {
    /// `https://…`; by default what the pod's environment says (`KUBERNETES_SERVICE_HOST`).
    #[schemars(with = "String")]
    pub url: Option<String>,
    /// The service account's token.
    pub token_file: PathBuf,
    /// The API server's CA.
    pub ca_file: PathBuf,
}

/// How the process ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Shutdown {
    /// How long connections are still accepted after SIGTERM: until the Service has learned that this replica ends.
    pub linger: Period,
    /// Longest time from SIGTERM until what is still open is cut.
    pub deadline: Period,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Log {
    /// Least severe level that is written.
    pub level: LogLevel,
    /// Format of a line.
    pub format: LogFormat,
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            bind: any(8443),
            max_connections: 512,
            request_timeout: Period::secs(10),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { bind: any(9090) }
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            directory: "/certs".into(),
            service: "mllp-bridge-injector".into(),
            ca_secret: "mllp-bridge-injector-ca".into(),
            lease: "mllp-bridge-injector".into(),
            webhook_configuration: None,
            ca_validity: Period::hours(365 * 24),
            leaf_validity: Period::hours(7 * 24),
            check_interval: Period::secs(10),
        }
    }
}

impl Default for Kubernetes {
    fn default() -> Self {
        let account = PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount");
        Self {
            url: None,
            token_file: account.join("token"),
            ca_file: account.join("ca.crt"),
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            linger: Period::secs(5),
            deadline: Period::secs(20),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Json,
        }
    }
}

fn any(port: u16) -> Address {
    Address(SocketAddr::from(([0, 0, 0, 0], port)))
}

/// All of these sections.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// See [`Webhook`].
    pub webhook: Webhook,
    /// See [`Admin`].
    pub admin: Admin,
    /// See [`Certificates`].
    pub certificates: Certificates,
    /// See [`Kubernetes`].
    pub kubernetes: Kubernetes,
    /// See [`Shutdown`].
    pub shutdown: Shutdown,
    /// See [`Log`].
    pub log: Log,
}

impl Options {
    /// What the rules between keys have against them: the key, and what is wrong with it.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut expect = |holds: bool, key, text: &str| {
            if !holds {
                problems.push((key, text.to_owned()));
            }
        };
        let Certificates {
            ca_validity,
            leaf_validity,
            check_interval,
            ..
        } = &self.certificates;
        expect(
            (Duration::from_millis(50)..=HOUR).contains(&check_interval.0),
            "certificates.check_interval",
            "must be between 50ms and 1h",
        );
        expect(
            leaf_validity.0 >= check_interval.0 * 10 && leaf_validity.0 >= Duration::from_secs(2),
            "certificates.leaf_validity",
            "must be at least 2s, and ten times check_interval",
        );
        expect(
            ca_validity.0 >= leaf_validity.0.saturating_mul(4),
            "certificates.ca_validity",
            "must be at least four times leaf_validity, so that a CA can be replaced in its time",
        );
        expect(
            self.certificates.directory.is_absolute(),
            "certificates.directory",
            "must be an absolute path",
        );
        let (webhook, admin) = (self.webhook.bind.0.port(), self.admin.bind.0.port());
        expect(
            webhook != admin || webhook == 0,
            "admin.bind",
            "has the port of webhook.bind",
        );
        expect(
            self.webhook.max_connections > 0,
            "webhook.max_connections",
            "must be at least 1",
        );
        expect(
            !self.webhook.request_timeout.0.is_zero(),
            "webhook.request_timeout",
            "must be more than nothing",
        );
        expect(
            self.shutdown.linger.0 < self.shutdown.deadline.0,
            "shutdown.linger",
            "must be shorter than shutdown.deadline",
        );
        let url = self.kubernetes.url.as_deref().unwrap_or("https://");
        expect(
            url.starts_with("https://"),
            "kubernetes.url",
            "must begin with https://",
        );
        problems
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_break_no_rule() {
        assert_eq!(Options::default().problems(), []);
    }

    #[test]
    fn every_rule_names_its_key() {
        let mut options = Options::default();
        options.certificates.check_interval = Period::millis(49);
        options.certificates.leaf_validity = Period::secs(1);
        options.certificates.ca_validity = Period::secs(3);
        options.certificates.directory = "certs".into();
        options.admin.bind = options.webhook.bind;
        options.webhook.max_connections = 0;
        options.webhook.request_timeout = Period::secs(0);
        options.shutdown.linger = options.shutdown.deadline;
        options.kubernetes.url = Some("http://10.0.0.1".into());
        let keys: Vec<_> = options
            .problems()
            .into_iter()
            .map(|problem| problem.0)
            .collect();
        assert_eq!(
            keys,
            [
                "certificates.check_interval",
                "certificates.leaf_validity",
                "certificates.ca_validity",
                "certificates.directory",
                "admin.bind",
                "webhook.max_connections",
                "webhook.request_timeout",
                "shutdown.linger",
                "kubernetes.url",
            ]
        );
    }
}
