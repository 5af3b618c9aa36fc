//! MLLP servers that messages are sent to, and the API by which the app sends them.

use super::{Fill, Framing, Retry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The HTTP API for sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Where it listens; used only where there is a destination.
    pub bind: SocketAddr,
    /// Whether other machines may ask.
    pub allow_remote: bool,
    /// HTTP connections that are open at once.
    pub max_connections: usize,
    /// What is remembered of answers by `Idempotency-Key`. `None`: nothing, and a key is refused.
    pub idempotency: Option<Idempotency>,
}

/// Bounds on the answers that are kept by `Idempotency-Key`, for each destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// For how long.
    pub window: Duration,
    /// How many.
    pub max_answers: usize,
    /// In how many bytes.
    pub max_bytes: usize,
}

/// One MLLP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Names the destination in the API's paths, in metrics and logs. Unique.
    pub name: Arc<str>,
    /// What a reload may replace: each message is sent by what is in force when its turn comes.
    pub sending: Arc<Sending>,
}

/// How messages are brought to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// How its connections are made.
    pub link: Link,
    /// Connections that are open at once; one keeps the order of the messages.
    pub connections: usize,
    /// From a message's first byte to the last of its last answer.
    pub ack_timeout: Duration,
    /// How long a message that is answered only if it fails waits for that.
    pub quiet: Duration,
    /// An unused connection is closed after this. `None`: it is kept, and made anew when it ends.
    pub idle_timeout: Option<Duration>,
    /// Waits between attempts to connect.
    pub reconnect: Retry,
    /// Messages that wait for a connection.
    pub queue: Queue,
    /// Largest message that is taken.
    pub max_message_bytes: usize,
    /// Largest answer that is taken.
    pub max_answer_bytes: usize,
    /// Whether a message is sent again whose answer was lost.
    pub resend: bool,
    /// The listener on which application acknowledgements come back. `None`: on the message's own connection.
    pub replies_on: Option<Arc<str>>,
    /// What is filled in.
    pub fill: Fill,
}

/// How a connection is made. Where it changes, connections are made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// `host:port`, the first that takes the connection.
    pub addresses: Vec<String>,
    /// The local address that connections are made from.
    pub source: Option<IpAddr>,
    /// What goes around a message.
    pub framing: Framing,
    /// For the name to be resolved and a connection to be made, TLS included; for each address.
    pub connect_timeout: Duration,
    /// TCP keep-alive: idle time before the first probe.
    pub keepalive: Option<Duration>,
    /// How long sent bytes may stay unconfirmed before the connection counts as broken.
    pub user_timeout: Option<Duration>,
    /// TLS. `None`: plain TCP.
    pub tls: Option<ClientTls>,
}

/// TLS towards a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// Authorities that the server's certificate may come from (PEM). `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// The bridge's own certificate and its key (PEM).
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have. `None`: the host of the address.
    pub server_name: Option<String>,
    /// Oldest version that is spoken.
    pub min_version: TlsVersion,
}

/// Bounds on messages that wait for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// How many.
    pub length: usize,
    /// For how long.
    pub timeout: Duration,
}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}
