//! Keys of FHIR and of credentials towards an app.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::BundleType;
use crate::config::parse::units::{Text, Url};

/// How bundles are made of messages; for format `fhir` only. See docs/fhir-server.md.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Fhir {
    /// Type of the Bundle. For `transaction` and `batch`, `url` is the FHIR server's base; for `message` its `$process-message`.
    pub bundle: BundleType,
    /// The zone of times that name none, in a message whose MSH-7 names none: `+01:00`, `-0500` or `Z`.
    pub zone: Text,
    /// A directory of maps of this feed's own: `messages/`, `segments/`, `datatypes/` and `vocabularies/` with files in YAML. A
    /// definition there replaces the built-in one of its name. It is read at the start, and again when it changes.
    #[schemars(with = "Text")]
    pub mappings: Option<Text>,
}

/// What the app is shown with each request: one of the two. Not together with `user:password@` in `url`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Auth {
    /// A file that holds a bearer token and nothing else. It is read again when it changes.
    #[schemars(with = "Text")]
    pub bearer_file: Option<Text>,
    /// A token from an OAuth 2 server, by the client credentials grant.
    pub oauth2: OAuth2,
}

/// A token from an OAuth 2 server, by the client credentials grant (RFC 6749, section 4.4). It is kept until shortly before it
/// expires.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct OAuth2 {
    /// The token endpoint: `https://…`, or `http://…`. Required for a token.
    #[schemars(with = "Url")]
    pub token_url: Option<Url>,
    /// The client's name there. Required for a token.
    #[schemars(with = "Text")]
    pub client_id: Option<Text>,
    /// A file that holds the client's secret and nothing else. It is read each time that a token is asked for. Required for a token.
    #[schemars(with = "Text")]
    pub client_secret_file: Option<Text>,
    /// What is asked for, such as `system/*.write`. Without it the server decides.
    #[schemars(with = "Text")]
    pub scope: Option<Text>,
}

/// TLS towards an `https://` app, and its `token_url`. Files are read at the start, and again when they change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct AppTls {
    /// Authorities that the app's certificate may come from: a file of certificates in PEM. Without it the system's.
    #[schemars(with = "Text")]
    pub ca_file: Option<Text>,
    /// The bridge's own certificate, and those between it and its authority, in PEM: for apps that ask for one (mutual TLS). With
    /// `key_file`.
    #[schemars(with = "Text")]
    pub cert_file: Option<Text>,
    /// The private key of `cert_file`, in PEM.
    #[schemars(with = "Text")]
    pub key_file: Option<Text>,
}

impl Default for Fhir {
    fn default() -> Self {
        Self {
            bundle: BundleType::Transaction,
            zone: Text("Z".into()),
            mappings: None,
        }
    }
}
