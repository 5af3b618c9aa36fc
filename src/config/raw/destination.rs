//! The keys of the way out: `outbound` and `destinations`.

use super::super::TlsVersion;
use super::super::parse::units::{Address, ByteSize, HostPort, IpText, OrOff, Period, Text};
use super::Framing;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};

/// The HTTP API by which the app sends messages; see docs/outbound.md. It is served where there is a destination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Outbound {
    /// Where it listens: an address of this machine alone, because whoever reaches it can send in the hospital's network. Port 0
    /// takes a free port.
    #[schemars(extend("x-restart" = true))]
    pub bind: Address,
    /// Whether `bind` may be an address that other machines reach. The API asks for no password: something else must keep
    /// strangers away, a NetworkPolicy say.
    #[schemars(extend("x-restart" = true))]
    pub allow_remote: bool,
    /// HTTP connections that are open at once, 1 to 100000; further ones wait.
    #[schemars(range(min = 1, max = 100_000), extend("x-restart" = true))]
    pub max_connections: u32,
    /// Requests that come again.
    pub idempotency: Idempotency,
}

/// Requests that come again with the same `Idempotency-Key`: they get the first one's answer, and nothing is sent. For each
/// destination. A restart without `state.directory` forgets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Idempotency {
    /// For how long an answer is kept, up to 7 days (`168h`). `off`: a request with a key is refused.
    #[schemars(extend("x-restart" = true))]
    pub window: OrOff<Period>,
    /// How many answers are kept, 1 to 1000000; then the oldest is forgotten.
    #[schemars(range(min = 1, max = 1_000_000), extend("x-restart" = true))]
    pub max_answers: u32,
    /// Bytes of answers that are kept, at 256 more for each, 1KiB to 1GiB.
    #[schemars(extend("x-restart" = true))]
    pub max_bytes: ByteSize,
}

/// One MLLP server that messages are sent to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("required" = ["name", "address"]))]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Destination {
    /// Names the destination in the API's paths, in metrics and in logs. Lower-case letters, digits, `.`, `_` and `-`, at most 63.
    /// Required, and unique.
    #[schemars(
        with = "Text",
        regex(pattern = r"^[a-z0-9]([a-z0-9_.-]*[a-z0-9])?$"),
        length(max = 63),
        extend("examples" = ["ehr"], "x-restart" = true)
    )]
    pub name: Option<Text>,
    /// The server: a name or an IP address, and a port. Required. A name is resolved for each new connection.
    #[schemars(with = "HostPort", extend("examples" = ["ehr.example:6661"]))]
    pub address: Option<HostPort>,
    /// Servers that are tried in this order where the one before takes no connection.
    pub fallback_addresses: Vec<HostPort>,
    /// Connections that are open at once, 1 to 64. One keeps the order of the messages.
    #[schemars(range(min = 1, max = 64))]
    pub connections: u32,
    /// How connections are made and kept.
    pub connect: Connect,
    /// What goes around a message on the wire.
    pub framing: Framing,
    /// TLS. Where nothing is said of it, the connection is plain.
    #[schemars(with = "ClientTls")]
    pub tls: Option<ClientTls>,
    /// What is waited for.
    pub ack: ClientAck,
    /// Messages that wait for a connection.
    pub queue: Queue,
    /// Bounds on what is sent and answered.
    pub limits: ClientLimits,
    /// What is filled in where a message has it empty. The answer to the app says what was.
    pub fill: Fill,
}

/// How connections are made and kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Connect {
    /// Longest time for a connection to be made, from the name to the end of TLS; for each address.
    pub timeout: Period,
    /// The local IP address that connections are made from. Without it the system chooses.
    #[schemars(with = "IpText")]
    pub source: Option<IpText>,
    /// A connection that nothing is sent on for this long is closed, and made again for the next message. `off`: it is kept open, and
    /// made anew when it ends.
    pub idle_timeout: OrOff<Period>,
    /// TCP keep-alive: a connection is probed after this long without traffic, 1s to 9h. `off`: the death of a silent server is
    /// noticed by `ack.timeout` only.
    pub keepalive: OrOff<Period>,
    /// A connection whose sent bytes are not confirmed by the other machine for this long is broken (TCP_USER_TIMEOUT), 1s to 9h.
    /// `off`: after the system's own patience, which can be a quarter of an hour.
    pub user_timeout: OrOff<Period>,
    /// Waits between attempts to connect: the first, doubled each time (with jitter) up to the longest. Meanwhile messages are
    /// answered with 503 at once.
    pub retry: Reconnect,
}

/// Waits between attempts to connect: the first, doubled each time (with jitter) up to the longest. Meanwhile messages are
/// answered with 503 at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Reconnect {
    /// First wait.
    pub initial: Period,
    /// Longest wait.
    pub max: Period,
}

/// TLS towards a server; see docs/tls.md. Files are read again when they change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct ClientTls {
    /// Authorities that the server's certificate may come from: a file of certificates in PEM. Without it the system's.
    pub ca_file: Option<Text>,
    /// The bridge's own certificate, and those between it and its authority, in PEM: for servers that ask for one (mutual TLS). With
    /// `key_file`.
    pub cert_file: Option<Text>,
    /// The private key of `cert_file`, in PEM.
    pub key_file: Option<Text>,
    /// The name, or IP address, that the server's certificate must have. Without it the host of `address`.
    pub server_name: Option<Text>,
    /// Oldest version that is spoken.
    pub min_version: TlsVersion,
}

/// What a message waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct ClientAck {
    /// Longest time from a message's first byte to its acknowledgement's last; in enhanced mode to the last acknowledgement's. Then the
    /// connection is closed: what comes late answers nothing.
    pub timeout: Period,
    /// How long a message that is acknowledged only if it fails (MSH-15 or MSH-16 `ER`) waits for that; at most `timeout`.
    pub quiet: Period,
    /// Whether a message is sent once more, on a new connection, where the connection is lost before its acknowledgement: for servers
    /// that know a message that comes twice. Without it a message is never sent again once one byte of it may have arrived.
    pub resend: bool,
    /// Name of the listener on which the server sends application acknowledgements (enhanced mode). Without it they come on the
    /// message's own connection.
    pub replies_on: Option<Text>,
}

/// Messages that wait for a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Queue {
    /// How many may wait, 0 to 100000; further ones are answered with 429.
    #[schemars(range(max = 100_000))]
    pub length: u32,
    /// How long one may wait; then it is answered with 503.
    pub timeout: Period,
}

/// Bounds on what is sent and answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct ClientLimits {
    /// Largest message that is taken, 1KiB to 1GiB.
    pub max_message_bytes: ByteSize,
    /// Largest acknowledgement that is taken, 1KiB to 1GiB.
    pub max_answer_bytes: ByteSize,
}

/// What is filled in where a message has it empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Fill {
    /// MSH-7, with the time of day.
    pub time: bool,
    /// MSH-10, with a new control ID.
    pub control_id: bool,
    /// MSH-3, with `^` between components and `&` between subcomponents.
    pub sending_application: Option<Text>,
    /// MSH-4, with `^` between components and `&` between subcomponents.
    pub sending_facility: Option<Text>,
    /// MSH-5, with `^` between components and `&` between subcomponents.
    pub receiving_application: Option<Text>,
    /// MSH-6, with `^` between components and `&` between subcomponents.
    pub receiving_facility: Option<Text>,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            bind: Address(SocketAddr::from((Ipv4Addr::LOCALHOST, 2580))),
            allow_remote: false,
            max_connections: 1024,
            idempotency: Idempotency::default(),
        }
    }
}

impl Default for Idempotency {
    fn default() -> Self {
        Self {
            window: OrOff::On(Period::hours(24)),
            max_answers: 10_000,
            max_bytes: ByteSize::mib(64),
        }
    }
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            timeout: Period::secs(5),
            source: None,
            idle_timeout: OrOff::Off,
            keepalive: OrOff::On(Period::secs(45)),
            user_timeout: OrOff::On(Period::secs(30)),
            retry: Reconnect::default(),
        }
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            initial: Period::millis(200),
            max: Period::secs(10),
        }
    }
}

impl Default for Destination {
    fn default() -> Self {
        Self {
            name: None,
            address: None,
            fallback_addresses: Vec::new(),
            connections: 1,
            connect: Connect::default(),
            framing: Framing::default(),
            tls: None,
            ack: ClientAck::default(),
            queue: Queue::default(),
            limits: ClientLimits::default(),
            fill: Fill::default(),
        }
    }
}

impl Default for ClientTls {
    fn default() -> Self {
        Self {
            ca_file: None,
            cert_file: None,
            key_file: None,
            server_name: None,
            min_version: TlsVersion::Tls12,
        }
    }
}

impl Default for ClientAck {
    fn default() -> Self {
        Self {
            timeout: Period::secs(30),
            quiet: Period::secs(1),
            resend: false,
            replies_on: None,
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            length: 64,
            timeout: Period::secs(30),
        }
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            max_message_bytes: ByteSize::mib(16),
            max_answer_bytes: ByteSize::mib(16),
        }
    }
}
