//! Where an app is, and what it is shown.

use std::fmt;
use std::path::PathBuf;

/// An app endpoint in the forms that can be delivered to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppUrl {
    /// How it is reached.
    pub transport: Transport,
    /// The `Host` header, as the URL has it (`127.0.0.1:8080`; `localhost` for a Unix socket).
    pub authority: String,
    /// Path and query, always with a leading `/`.
    pub path: String,
    /// `Authorization: Basic …` value made from the URL's user info, if it has any. Secret.
    pub basic_auth: Option<Secret>,
}

/// How an app endpoint is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// `http://`.
    Http {
        /// Name, or address without brackets.
        host: String,
        /// Port, 80 where the URL has none.
        port: u16,
    },
    /// `https://`.
    Https {
        /// Name, or address without brackets.
        host: String,
        /// Port, 443 where the URL has none.
        port: u16,
    },
    /// `unix:/path/to.sock[:/http/path]`.
    Unix {
        /// The socket's path.
        socket: PathBuf,
    },
}

/// A value that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What the app is shown with each request, beside what the URL has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// A bearer token (RFC 6750) from a file.
    BearerFile(PathBuf),
    /// A bearer token from an OAuth 2 server.
    ClientCredentials(ClientCredentials),
}

/// OAuth 2, client credentials grant (RFC 6749, section 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The token endpoint, `http://` or `https://`.
    pub token_url: AppUrl,
    /// Who asks.
    pub client_id: String,
    /// Holds the client's secret.
    pub client_secret_file: PathBuf,
    /// What is asked for.
    pub scope: Option<String>,
}

/// TLS towards an app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppTls {
    /// Authorities that its certificate may come from. `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// The bridge's own certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Secret {
    /// Wraps a value.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl AppUrl {
    /// Whether the app is on this machine, or in this pod: it then ends beside the bridge.
    pub fn is_local(&self) -> bool {
        match &self.transport {
            Transport::Http { host, .. } | Transport::Https { host, .. } => {
                let address = host.parse::<std::net::IpAddr>();
                host == "localhost" || address.is_ok_and(|address| address.is_loopback())
            }
            Transport::Unix { .. } => true,
        }
    }
}

impl fmt::Display for AppUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.transport {
            Transport::Http { .. } => write!(f, "http://{}{}", self.authority, self.path),
            Transport::Https { .. } => write!(f, "https://{}{}", self.authority, self.path),
            Transport::Unix { socket } => write!(f, "unix:{}:{}", socket.display(), self.path),
        }
    }
}
