//! The configuration as a user writes it: every key, its default and its documentation, once.
//!
//! The doc comments here are the reference page (`docs/config.md`) and the descriptions in the
//! JSON Schema; the [`Default`] values here are the only defaults there are. A key that changes
//! only with a restart carries `x-restart`.
//!
//! Must not do: decide whether a configuration makes sense. A value is refused here only if it
//! cannot be read at all; [`super::parse`] owns every rule that involves a range or two keys.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parse::units::{
    Address, ByteSize, CharsetName, ControlByte, OrOff, Period, Text, Url, false_as_off,
};
mod deliver;
mod destination;

pub use deliver::{AppTls, Auth, Fhir, OAuth2};
pub use destination::{
    ClientAck, ClientLimits, ClientTls, Connect, Destination, Fill, Idempotency, Outbound, Queue,
    Reconnect,
};

use super::{
    AckMode, ApplicationAck, BatchAck, Checksum, Durability, Format, FramingKind, LogFormat,
    LogLevel, TraceParent, Unavailable, Verdict,
};

/// Configuration of mllp-bridge. Every key is optional.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Config {
    /// MLLP servers, and the app behind each. There must be at least one, in the file or by
    /// `--listen` or `--app`.
    #[schemars(extend("x-restart" = "adding, removing or renaming one"))]
    pub listeners: Vec<Listener>,
    /// MLLP servers that the app sends messages to.
    #[schemars(extend("x-restart" = "adding, removing or renaming one"))]
    pub destinations: Vec<Destination>,
    /// The HTTP API by which the app sends messages.
    pub outbound: Outbound,
    /// The admin server: metrics, health, drain.
    pub admin: Admin,
    /// Bounds that all listeners share.
    pub limits: GlobalLimits,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// What is logged, and how.
    pub log: Log,
    /// What outlives the process.
    pub state: State,
    /// Threads that carry connections, 1 to 64. One thread carries thousands of connections;
    /// more of them help only where the bridge has more than one CPU to itself.
    #[schemars(range(min = 1, max = 64), extend("x-restart" = true))]
    pub threads: usize,
}

/// One MLLP server and the app behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Listener {
    /// Names the listener in metrics, in logs and in the envelope's `source`. Lower-case letters,
    /// digits, `.`, `_` and `-`, at most 63. Required, and unique, where there are several.
    #[schemars(
        with = "Text",
        regex(pattern = r"^[a-z0-9]([a-z0-9_.-]*[a-z0-9])?$"),
        length(max = 63),
        extend("default" = "default", "x-restart" = true)
    )]
    pub name: Option<Text>,
    /// Where it listens: an IP address and a port. `[::]:2575` takes IPv6 and IPv4. Port 0 takes a
    /// free port.
    #[schemars(extend("x-restart" = true))]
    pub bind: Address,
    /// Longest queue of connections not yet accepted, 1 to 65535. The kernel caps it at
    /// `net.core.somaxconn`.
    #[schemars(range(min = 1, max = 65535), extend("x-restart" = true))]
    pub backlog: u32,
    /// What goes around a message on the wire.
    pub framing: Framing,
    /// Bounds on this listener's connections.
    pub limits: Limits,
    /// Where messages go, and how.
    pub deliver: Deliver,
    /// What the sender is answered, and until when.
    pub ack: Ack,
    /// How a message's bytes become text.
    pub charset: Charset,
    /// Messages that come again.
    pub duplicates: Duplicates,
}

/// What goes around a message on the wire; see docs/framing.md. A reload changes it for new connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Framing {
    /// The protocol, which both ends must have agreed on.
    pub kind: FramingKind,
    /// Byte before a message, a number (`11`) or hexadecimal (`0x0B`): a control character, which no message can contain.
    pub start: ControlByte,
    /// Byte after a message, a control character as well; a CR follows it.
    pub end: ControlByte,
    /// A message whose end byte is followed by nothing for this long counts as ended: some senders
    /// forget the CR.
    pub end_idle: Period,
    /// For `mllp2`: longest time for the other end to commit a block, before the block is sent again. The standard says 5s to 30s.
    pub commit_timeout: Period,
    /// For `mllp2` and `hllp`: how often a block is sent again that the other end refuses, or does not commit, 0 to 100. Then the
    /// connection is closed.
    #[schemars(range(max = 100))]
    pub resends: u32,
    /// What only `hllp` has.
    pub hllp: Hllp,
}

/// What only the Hybrid Lower Layer Protocol has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Hllp {
    /// How a block's checksum is made. Vendors differ.
    pub checksum: Checksum,
}

/// Bounds on one listener's connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Limits {
    /// Largest message that is accepted, 1KiB to 1GiB.
    pub max_message_bytes: ByteSize,
    /// Connections that are open at once; further ones wait in the kernel's queue.
    #[schemars(range(min = 1, max = 1_000_000), extend("x-restart" = true))]
    pub max_connections: u32,
    /// A connection on which nothing arrives for this long is closed. `off`: never.
    pub idle_timeout: OrOff<Period>,
    /// Longest time from a message's start byte to its end.
    pub frame_timeout: Period,
    /// Longest time for the sender to take its ACK off the network.
    pub write_timeout: Period,
    /// TCP keep-alive: a connection is probed after this long without traffic, 1s to 9h. `off`: the
    /// death of a silent peer is noticed by `idle_timeout` only.
    pub keepalive: OrOff<Period>,
}

/// Delivery of one listener's messages to the app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Deliver {
    /// The app's endpoint: `http://host[:port][/path]`, `https://…`, or a Unix socket as
    /// `unix:/path/to.sock[:/http/path]`. `user:password@` before the host is sent as basic
    /// authentication.
    pub url: Url,
    /// Shape of the request.
    pub format: Format,
    /// Include the parsed `segments` in the envelope. Not for formats `raw` and `fhir`.
    #[schemars(with = "bool", extend("default" = true))]
    pub parsed: Option<bool>,
    /// Include the `raw` message in the envelope. Not for formats `raw` and `fhir`.
    #[schemars(with = "bool", extend("default" = true))]
    pub raw: Option<bool>,
    /// Longest time for a connection to the app to be made; at most `timeout`.
    pub connect_timeout: Period,
    /// Longest time for one request, from its first byte to the answer's last.
    pub timeout: Period,
    /// An unused connection to the app is closed after this. Should be shorter than the app's own
    /// keep-alive timeout.
    pub idle_timeout: Period,
    /// Largest response body that is read, 1KiB to 1GiB. For format `fhir` the bundle's own size and 2KiB for each of its entries are
    /// added.
    pub max_response_bytes: ByteSize,
    /// Waits between attempts to deliver one message.
    pub retry: Retry,
    /// The `traceparent` header.
    #[serde(deserialize_with = "false_as_off")]
    pub traceparent: TraceParent,
    /// Changes to the table that turns the app's HTTP status into an answer: a status (`"409"`) or
    /// a class (`5xx`) and its row. A row for a status wins over one for its class, and a built-in
    /// row for a status wins over a class given here.
    #[schemars(extend("propertyNames" = {"pattern": "^[1-5]([0-9]{2}|xx)$"}))]
    pub status: BTreeMap<String, StatusRow>,
    /// How bundles are made of messages, for format `fhir`.
    pub fhir: Fhir,
    /// What the app is shown with each request.
    pub auth: Auth,
    /// TLS towards an `https://` app.
    pub tls: AppTls,
}

/// Waits between attempts to deliver one message: the first, doubled each time (with jitter) up to
/// the longest, until `ack.deadline`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Retry {
    /// First wait.
    pub initial: Period,
    /// Longest wait.
    pub max: Period,
}

/// What an HTTP status means for the message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("required" = ["answer"]))]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct StatusRow {
    /// The answer. Required in each row.
    #[schemars(with = "Verdict")]
    pub answer: Option<Verdict>,
    /// Condition in ERR-3, of HL7 table 0357: 0, 100 to 104, or 198 to 207. Where it is not
    /// given: 0 for `accept`, 207 otherwise.
    #[schemars(with = "u16")]
    pub condition: Option<u16>,
}

/// Acknowledging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Ack {
    /// Longest time from a message's last byte to its ACK; retries end here. Should be shorter than
    /// the sender's own ACK timeout.
    pub deadline: Period,
    /// What is answered when the app could not be reached in time.
    pub unavailable: Unavailable,
    /// MSH-12 of the ACK to a message that has none.
    #[schemars(regex(pattern = r"^[0-9]{1,3}(\.[0-9]{1,3}){1,2}$"))]
    pub default_version: Text,
    /// Acknowledgement mode.
    pub mode: AckMode,
    /// Application acknowledgement in enhanced mode, where MSH-16 asks for one.
    pub application: ApplicationAck,
    /// What answers a block of several messages: a batch, a file, or messages under each other.
    pub batch: BatchAck,
    /// Whether sequence numbers (MSH-13) are checked and answered (MSA-4). Needs `state.directory`. Without it MSH-13 is not
    /// looked at.
    pub sequence_numbers: bool,
}

/// How a message's bytes become text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Charset {
    /// Character set of every message, whatever its MSH-18 says.
    #[schemars(with = "CharsetName")]
    pub force: Option<CharsetName>,
    /// Character set of messages whose MSH-18 is silent or wrong and whose bytes are not UTF-8.
    pub fallback: CharsetName,
}

/// Messages that come again, byte for byte: most often because their ACK was lost. They get the same ACK again, and the app is not
/// asked. Only what the app has accepted is remembered. A reload forgets it, and so does a restart without `state.directory`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Duplicates {
    /// For how long a message is remembered, up to 24h. `off`: every message goes to the app.
    pub window: OrOff<Period>,
    /// How many messages are remembered, 1 to 1000000; then the oldest is forgotten.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_messages: u32,
    /// Bytes of ACKs that are remembered, at 256 more for each message, 1KiB to 1GiB.
    pub max_bytes: ByteSize,
}

/// The admin server: metrics, health, drain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Admin {
    /// Where it listens: an IP address and a port, or `off`.
    #[schemars(extend("x-restart" = true))]
    pub bind: OrOff<Address>,
    /// Whether `/readyz` depends on the apps being reachable.
    pub ready_needs_app: bool,
    /// Whether `/readyz` depends on the destinations being reachable. A hospital that is away then takes the pod out of its Services,
    /// for what comes in as well.
    pub ready_needs_destinations: bool,
    /// How often an app is looked for while nothing is delivered to it, at least 100ms.
    pub app_probe_interval: Period,
}

/// Bounds that all listeners share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct GlobalLimits {
    /// Bytes of messages that all connections together may hold. A connection that would go over
    /// it is not read from until others have finished. At least 4MiB more than the largest
    /// `max_message_bytes`. Messages to destinations have as much for themselves: one that is away
    /// does not hold up what comes in.
    #[schemars(extend("x-restart" = true))]
    pub max_buffered_bytes: ByteSize,
}

/// How the process ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Shutdown {
    /// Longest time from SIGTERM or `drain` until what is still open is cut. Must be shorter than
    /// the pod's `terminationGracePeriodSeconds`.
    pub deadline: Period,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct Log {
    /// Least severe level that is written.
    pub level: LogLevel,
    /// Format of a line.
    #[schemars(extend("x-restart" = true))]
    pub format: LogFormat,
}

/// What outlives the process: the messages that `duplicates` remembers, and the last numbers of `ack.sequence`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub struct State {
    /// An existing directory of this process alone, on a disk of its own machine (not NFS). What is remembered is stored
    /// there before it is acknowledged. Without it, it is memory, and a restart forgets it.
    #[schemars(with = "Text", extend("x-restart" = true))]
    pub directory: Option<Text>,
    /// What the stored state survives.
    #[schemars(extend("x-restart" = true))]
    pub durability: Durability,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            destinations: Vec::new(),
            outbound: Outbound::default(),
            admin: Admin::default(),
            limits: GlobalLimits::default(),
            shutdown: Shutdown::default(),
            log: Log::default(),
            state: State::default(),
            threads: 1,
        }
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            name: None,
            bind: any_address(2575),
            backlog: 1024,
            framing: Framing::default(),
            limits: Limits::default(),
            deliver: Deliver::default(),
            ack: Ack::default(),
            charset: Charset::default(),
            duplicates: Duplicates::default(),
        }
    }
}

impl Default for Framing {
    fn default() -> Self {
        Self {
            kind: FramingKind::Mllp,
            start: ControlByte(0x0B),
            end: ControlByte(0x1C),
            end_idle: Period::millis(500),
            commit_timeout: Period::secs(10),
            resends: 3,
            hllp: Hllp::default(),
        }
    }
}

impl Default for Hllp {
    fn default() -> Self {
        Self {
            checksum: Checksum::Xor,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: ByteSize::mib(16),
            max_connections: 1024,
            idle_timeout: OrOff::On(Period::hours(24)),
            frame_timeout: Period::secs(60),
            write_timeout: Period::secs(10),
            keepalive: OrOff::On(Period::secs(45)),
        }
    }
}

impl Default for Deliver {
    fn default() -> Self {
        Self {
            url: Url::default(),
            format: Format::CloudEvents,
            parsed: None,
            raw: None,
            connect_timeout: Period::secs(2),
            timeout: Period::secs(10),
            idle_timeout: Period::secs(30),
            max_response_bytes: ByteSize::mib(1),
            retry: Retry::default(),
            traceparent: TraceParent::Sampled,
            status: BTreeMap::new(),
            fhir: Fhir::default(),
            auth: Auth::default(),
            tls: AppTls::default(),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            initial: Period::millis(100),
            max: Period::secs(2),
        }
    }
}

impl Default for Ack {
    fn default() -> Self {
        Self {
            deadline: Period::secs(25),
            unavailable: Unavailable::Error,
            default_version: Text("2.5".into()),
            mode: AckMode::Auto,
            application: ApplicationAck::Connection,
            batch: BatchAck::Each,
            sequence_numbers: false,
        }
    }
}

impl Default for Charset {
    fn default() -> Self {
        Self {
            force: None,
            fallback: CharsetName(super::Charset::Latin1),
        }
    }
}

impl Default for Duplicates {
    fn default() -> Self {
        Self {
            window: OrOff::On(Period::secs(300)),
            max_messages: 10_000,
            max_bytes: ByteSize::mib(4),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            bind: OrOff::On(any_address(9090)),
            ready_needs_app: true,
            ready_needs_destinations: false,
            app_probe_interval: Period::secs(5),
        }
    }
}

impl Default for GlobalLimits {
    fn default() -> Self {
        Self {
            max_buffered_bytes: ByteSize::mib(256),
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            deadline: Period::secs(25),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Text,
        }
    }
}

fn any_address(port: u16) -> Address {
    Address(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
}
