//! What the bridge is told to do: plain data that every other module may read.
//!
//! A configuration is *parsed, not validated*: [`raw`] holds the keys as a user writes them (every one
//! optional, each documented once), [`parse`] turns them into the types of this file or into a list of
//! every error with its path. A [`Config`] that exists is one that can run, so nothing further in
//! the flow checks it again.
//!
//! ```text
//! defaults ← file (YAML) ← MLLP_BRIDGE_… ← flags     →  raw::Config  →  parse  →  Config
//! ```
//!
//! Must not do: I/O beyond reading the file it is given, and nothing with sockets.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod app;
mod charset;
mod destination;
mod fhir;
mod fill;
pub mod parse;
pub mod raw;
pub mod reload;
pub mod status;

pub use app::{AppTls, AppUrl, Auth, ClientCredentials, Secret, Transport};
pub use charset::Charset;
pub use destination::{
    ClientTls, Destination, Idempotency, Link, Outbound, Queue, Sending, TlsVersion,
};
pub use fhir::{BundleType, Fhir, Zone};
pub use fill::Fill;
pub use parse::{ConfigError, Overrides, Problem, Source, load};
pub use reload::needs_restart;
pub use status::{Answer, StatusTable, Verdict};

/// Everything that `run` needs, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// MLLP servers; at least one.
    pub listeners: Vec<Listener>,
    /// MLLP servers that messages are sent to.
    pub destinations: Vec<Destination>,
    /// The API by which they are sent.
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
    /// Threads that carry connections.
    pub threads: usize,
}

/// One MLLP server and the app behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Names the listener in metrics, logs and the envelope's `source`. Unique.
    pub name: Arc<str>,
    /// Where it listens; port 0 asks the system for a free one.
    pub bind: SocketAddr,
    /// Longest accept queue that the kernel keeps for it.
    pub backlog: u32,
    /// What can change while connections are open.
    pub session: Arc<Session>,
}

/// The part of a listener that a reload may replace: it is read anew for every message.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// What goes around a message on the wire.
    pub framing: Framing,
    /// Bounds on one connection.
    pub limits: Limits,
    /// Where messages go, and how.
    pub deliver: Delivery,
    /// What is answered, and until when.
    pub ack: Ack,
    /// How bytes become text.
    pub charset: CharsetPolicy,
    /// How messages that come again are known. `None`: they are not.
    pub duplicates: Option<Duplicates>,
}

/// Bounds on what is remembered of messages, to know those that come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicates {
    /// For how long.
    pub window: Duration,
    /// Of how many messages.
    pub max_messages: usize,
    /// In how many bytes.
    pub max_bytes: usize,
}

/// What goes around a message on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// The protocol.
    pub kind: FramingKind,
    /// Start of a block, `VT` (0x0B) in the standard.
    pub start: u8,
    /// End of a block, `FS` (0x1C) in the standard; a CR follows it.
    pub end: u8,
    /// How long to wait after an end byte that nothing follows before the frame counts as ended
    /// (senders that forget the CR).
    pub end_idle: Duration,
    /// How long a content block of ours waits to be committed (MLLP Release 2).
    pub commit_timeout: Duration,
    /// How often a block of ours is sent again (MLLP Release 2, HLLP).
    pub resends: u32,
    /// How a block is checked (HLLP).
    pub checksum: Checksum,
}

/// Protocols that carry messages: docs/framing.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum FramingKind {
    /// MLLP Release 1.
    Mllp,
    /// MLLP Release 2: each block is committed by one of one byte.
    Mllp2,
    /// Hybrid Lower Layer Protocol: a count and a checksum in each block.
    Hllp,
}

/// How an HLLP block is checked. A sender's `999` is always taken as "not checked".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Checksum {
    /// All bytes from the start byte through the last data byte, XORed.
    Xor,
    /// The same bytes, added up modulo 256.
    Sum,
    /// Not at all: `999` is sent, and what comes is not looked at.
    None,
}

/// Bounds on one listener's connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest message accepted, in bytes between the start and the end byte.
    pub max_message_bytes: usize,
    /// Connections open at once; further ones wait in the kernel's accept queue.
    pub max_connections: usize,
    /// A connection without a byte for this long is closed. `None`: never.
    pub idle_timeout: Option<Duration>,
    /// From a frame's start byte to its end.
    pub frame_timeout: Duration,
    /// For an ACK to be taken by the peer.
    pub write_timeout: Duration,
    /// TCP keep-alive: idle time before the first probe. `None`: off.
    pub keepalive: Option<Duration>,
}

/// Bounds over all listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalLimits {
    /// Bytes that all connections' larger buffers may hold together; a connection that would go over it is
    /// not read from until others have finished. Messages to destinations have as much for themselves.
    pub max_buffered_bytes: usize,
}

/// Delivery of one listener's messages to the app.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The app's endpoint.
    pub url: AppUrl,
    /// Shape of the request.
    pub format: Format,
    /// Include the parsed `segments` in the envelope.
    pub parsed: bool,
    /// Include the `raw` message in the envelope.
    pub raw: bool,
    /// For one connection to the app to be made.
    pub connect_timeout: Duration,
    /// For one request, from its first byte to the answer's last.
    pub timeout: Duration,
    /// An unused connection to the app is closed after this.
    pub idle_timeout: Duration,
    /// Largest response body that is read.
    pub max_response_bytes: usize,
    /// Waits between attempts.
    pub retry: Retry,
    /// HTTP outcome to answer.
    pub status: StatusTable,
    /// The `traceparent` header.
    pub traceparent: TraceParent,
    /// How bundles are made: there for [`Format::Fhir`] alone.
    pub fhir: Option<Fhir>,
    /// What the app is shown.
    pub auth: Option<Auth>,
    /// TLS, for `https://`.
    pub tls: AppTls,
}

/// Request shapes; see docs/envelope.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Format {
    /// CloudEvents 1.0, structured: `application/cloudevents+json`.
    #[serde(rename = "cloudevents")]
    CloudEvents,
    /// CloudEvents 1.0, binary: `ce-*` headers and the `data` object as the body.
    #[serde(rename = "cloudevents-binary")]
    CloudEventsBinary,
    /// The frame's exact bytes: `application/hl7-v2`.
    Raw,
    /// A Bundle of FHIR R4: `application/fhir+json`. docs/fhir-server.md says what is open.
    Fhir,
}

/// Back-off between attempts to deliver one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// First wait; each further one doubles, with jitter.
    pub initial: Duration,
    /// Longest wait.
    pub max: Duration,
}

/// What the `traceparent` header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline, transform = parse::units::false_is_off)]
pub enum TraceParent {
    /// A new trace, sampled: tracing back ends record it.
    Sampled,
    /// A new trace, not sampled.
    Unsampled,
    /// No header.
    Off,
}

/// Acknowledging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// From a frame's last byte to its ACK: retries end here.
    pub deadline: Duration,
    /// What is answered when the app could not be reached in time.
    pub unavailable: Unavailable,
    /// MSH-12 of the ACK where the message has none.
    pub default_version: String,
    /// Whether MSH-15 and MSH-16 are heeded.
    pub mode: AckMode,
    /// What becomes of an application acknowledgement in enhanced mode.
    pub application: ApplicationAck,
    /// What answers a batch.
    pub batch: BatchAck,
    /// Whether the sequence number protocol is used.
    pub sequence_numbers: bool,
}

/// Which acknowledgement mode is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum AckMode {
    /// As each message asks by its MSH-15 and MSH-16: enhanced where one of them is set, original otherwise.
    Auto,
    /// Original, whatever they say: for senders whose MSH-15 and MSH-16 are not meant.
    Original,
}

/// The application acknowledgement that MSH-16 asks for in enhanced mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ApplicationAck {
    /// On the message's own connection, after the accept acknowledgement and before the next message is read.
    Connection,
    /// None is sent: the app has a way of its own, or nobody reads it.
    Suppressed,
}

/// What answers a block of several messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum BatchAck {
    /// One block, with an acknowledgement for each message.
    Each,
    /// One block, with acknowledgements of those that were not accepted.
    Errors,
    /// Nothing.
    None,
}

/// The answer to a message whose delivery could not be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Unavailable {
    /// `AE` (`CE`): most senders send again.
    Error,
    /// `AR` (`CR`): for senders that retry on AR and drop on AE.
    Reject,
    /// Close the connection without an answer: for senders that only retry then.
    Close,
}

/// How a message's bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CharsetPolicy {
    /// Overrides MSH-18.
    pub force: Option<Charset>,
    /// Where MSH-18 is silent or wrong and the bytes are not UTF-8.
    pub fallback: Charset,
}

/// The admin server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens; `None` turns it off.
    pub bind: Option<SocketAddr>,
    /// Whether `/readyz` depends on the apps being reachable.
    pub ready_needs_app: bool,
    /// Whether it depends on the destinations being reachable.
    pub ready_needs_destinations: bool,
    /// How often an app is looked for while nothing is delivered to it.
    pub app_probe_interval: Duration,
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// From SIGTERM or `drain` until what is still open is cut. Must be shorter than the pod's
    /// `terminationGracePeriodSeconds`.
    pub deadline: Duration,
}

/// Logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// Least severe level that is written.
    pub level: LogLevel,
    /// Line format.
    pub format: LogFormat,
}

/// What outlives the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where it is stored. `None`: nothing outlives the process.
    pub directory: Option<PathBuf>,
    /// What the store survives.
    pub durability: Durability,
}

/// What stored state survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Durability {
    /// The end of the process and of the machine: each acknowledgement waits until the disk has what it stands for. Messages
    /// that are acknowledged at one time share one wait.
    #[default]
    PowerLoss,
    /// The end of the process alone, however it ends. Nothing waits for the disk, and a power failure may cost all of it.
    Process,
}

/// Log levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogLevel {
    /// Failures that need somebody.
    Error,
    /// Refused messages, unreachable apps, deviating peers.
    Warn,
    /// Life cycle: listening, reloaded, drained.
    Info,
    /// One line per connection and per message.
    Debug,
    /// Everything.
    Trace,
}

/// Log line formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl From<&raw::Framing> for Framing {
    fn from(raw: &raw::Framing) -> Self {
        Self {
            kind: raw.kind,
            start: raw.start.0,
            end: raw.end.0,
            end_idle: raw.end_idle.0,
            commit_timeout: raw.commit_timeout.0,
            resends: raw.resends,
            checksum: raw.hllp.checksum,
        }
    }
}

/// As a listener has it that says nothing of its framing.
impl Default for Framing {
    fn default() -> Self {
        Self::from(&raw::Framing::default())
    }
}
