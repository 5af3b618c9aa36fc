//! The command line: types only. What each command does is in [`crate::cmd`].

use crate::config::{BundleType, Checksum, ClientTls, FramingKind, TlsVersion};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Bridges HL7 v2 over MLLP to HTTP: hospitals speak MLLP, your app speaks HTTP.
#[derive(Debug, Parser)]
#[command(
    name = "mllp-bridge",
    version,
    max_term_width = 100,
    after_help = "\
Try it with nothing installed:  mllp-bridge demo
Exit codes: 0 done, 1 the work failed, 2 bad usage, 64 bad configuration (found before a port is bound)"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the bridge: MLLP in, HTTP to the app, its answer back as an ACK
    #[command(
        after_help = "Example:\n  mllp-bridge run --listen 0.0.0.0:2575 --app http://127.0.0.1:8080/hl7"
    )]
    Run(RunArgs),
    /// Show the whole line on this machine: a bridge, an app, real messages
    #[command(after_help = "Example:\n  mllp-bridge demo")]
    Demo(DemoArgs),
    /// Send HL7 files over MLLP and check each answer
    #[command(after_help = "\
Examples:
  mllp-bridge send 127.0.0.1:2575 adt.hl7
  mllp-bridge send 127.0.0.1:2575 messages/ --connections 8 --repeat 100
  mllp-bridge send ehr.example:6661 adt.hl7 --ca hospital-ca.pem --cert bridge.pem --key bridge.key
  cat adt.hl7 | mllp-bridge send 127.0.0.1:2575 -")]
    Send(SendArgs),
    /// Show what the app would be sent for a message, without a network; or turn an envelope back into ER7
    #[command(after_help = "\
Examples:
  mllp-bridge convert adt.hl7
  mllp-bridge convert --get PID-5.1 adt.hl7
  mllp-bridge convert adt.hl7 | mllp-bridge convert --to er7 -
  mllp-bridge convert --to fhir --pretty adt.hl7
  mllp-bridge convert --to fhir --ledger adt.hl7

One envelope a line, as a listener with default settings would make it. What only a connection knows is made up: the
listener is called \"convert\", the peer is 127.0.0.1, and the time is now. A message that the bridge would refuse is
named with the reason, the others are converted, and the exit code is 1.

Places are SEGMENT[n]-FIELD[repetition].COMPONENT.SUBCOMPONENT, each number from 1: PID-3, PID-3[2].4.1, OBX[3]-5. A
hyphen or a dot may stand before the field.")]
    Convert(ConvertArgs),
    /// Check a configuration: every error at once, or what is in force
    #[command(
        after_help = "Examples:\n  mllp-bridge check --config bridge.yaml\n  mllp-bridge check --config bridge.yaml --connect"
    )]
    Check(CheckArgs),
    /// Ask the bridge on this machine to stop accepting and to finish (for a pod's preStop)
    #[command(after_help = "Example:\n  mllp-bridge drain --admin 127.0.0.1:9090")]
    Drain(DrainArgs),
    /// Put sidecars into manifest files, as the injector would: without a cluster
    #[command(after_help = "\
Examples:
  mllp-bridge inject -f app.yaml | kubectl apply -f -
  mllp-bridge inject -f deploy/ --diff
  helm template shop | mllp-bridge inject -f - --explain

Pods, Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs, CronJobs and Lists of them get a sidecar where their pod, or
its namespace, has the label mllp-bridge.io/inject. Everything else is printed as it was. If one is refused, each reason is
told, no manifest is printed, and the exit code is 1.")]
    Inject(InjectArgs),
    /// Run the webhook that gives pods their sidecar
    #[command(after_help = "\
Example:
  mllp-bridge injector --config /etc/mllp-bridge/injector.yaml

Runs in a cluster, as the chart installs it; POD_NAMESPACE and POD_NAME come from the pod.")]
    Injector(InjectorArgs),
}

/// Where the configuration comes from: flags over `MLLP_BRIDGE_…` over the file.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// Configuration file (YAML); see docs/config.md
    #[arg(long, short, value_name = "FILE", env = "MLLP_BRIDGE_CONFIG")]
    pub config: Option<PathBuf>,
    /// MLLP address of the first listener, like 0.0.0.0:2575
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// URL that the first listener's messages are POSTed to
    #[arg(long, value_name = "URL")]
    pub app: Option<String>,
    /// Address of metrics, health and drain, or "off"
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<String>,
    /// Request format of the first listener: cloudevents, cloudevents-binary, raw or fhir
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Threads that carry connections
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// text or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Log what the bridge logs, too
    #[arg(long)]
    pub verbose: bool,
}

/// `send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// MLLP server, host:port
    #[arg(value_name = "ADDR", value_parser = endpoint)]
    pub address: String,
    /// Files or directories with messages, or - for standard input; a file may hold several messages
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Connections to send on at once
    #[arg(long, short, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// Send everything this many times. The same bytes again: a bridge delivers them once, unless its `duplicates.window` is off
    #[arg(long, short, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// At most this many messages a second, over all connections
    #[arg(long, value_name = "PER_SECOND", value_parser = positive)]
    pub rate: Option<f64>,
    /// What goes around a message, as agreed with the server: mllp, mllp2 (Release 2) or hllp
    #[arg(long, default_value = "mllp", value_name = "KIND", value_parser = framing_kind)]
    pub framing: FramingKind,
    /// With hllp: how blocks are checked, xor, sum or none
    #[arg(long, default_value = "xor", value_name = "CHECK", value_parser = checksum)]
    pub checksum: Checksum,
    /// With mllp2 and hllp: how often a message is sent again that the server refuses (NAK) or does not commit
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub resends: u32,
    /// TLS towards the server.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// How long to wait for each answer, in seconds; with mllp2 as long again for each commit block
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS", value_parser = positive)]
    pub timeout: f64,
    /// One line for every message
    #[arg(long, short)]
    pub verbose: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// TLS towards a server. Each of the others turns it on as well.
#[derive(Debug, Default, Args)]
pub struct TlsArgs {
    /// Speak TLS; the server's certificate must come from an authority that this machine trusts, or that --ca names
    #[arg(long)]
    pub tls: bool,
    /// Authorities that the server's certificate may come from (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Certificate to show to the server (PEM), for mutual TLS
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Private key of --cert (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Name that the server's certificate must have, instead of the address's host
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
}

impl TlsArgs {
    /// What they ask for, if anything.
    pub fn settings(&self) -> Option<ClientTls> {
        let identity = self.cert.clone().zip(self.key.clone());
        let on = self.tls || self.ca.is_some() || identity.is_some() || self.server_name.is_some();
        on.then(|| ClientTls {
            ca_file: self.ca.clone(),
            identity,
            server_name: self.server_name.clone(),
            min_version: TlsVersion::Tls12,
        })
    }
}

fn framing_kind(text: &str) -> Result<FramingKind, String> {
    match text {
        "mllp" => Ok(FramingKind::Mllp),
        "mllp2" => Ok(FramingKind::Mllp2),
        "hllp" => Ok(FramingKind::Hllp),
        _ => Err("must be mllp, mllp2 or hllp".into()),
    }
}

fn checksum(text: &str) -> Result<Checksum, String> {
    match text {
        "xor" => Ok(Checksum::Xor),
        "sum" => Ok(Checksum::Sum),
        "none" => Ok(Checksum::None),
        _ => Err("must be xor, sum or none".into()),
    }
}

/// `host:port`; an IPv6 address stands in brackets.
fn endpoint(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port))
            if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("write it as host:port, like 127.0.0.1:2575".into()),
    }
}

/// More than nothing, and little enough to count with: a thousand million, or 30 years of seconds.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (1e-6..=1e9).contains(&number) => Ok(number),
        _ => Err("must be a number greater than 0".into()),
    }
}

/// `convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// Files with one or more messages (or, with --to er7, envelopes), directories of such files, or - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// What to make of them
    #[arg(long, value_enum, default_value_t = Target::Envelope)]
    pub to: Target,
    /// Print each message's value at this place instead, raw, one a line, like PID-3.1
    #[arg(long, value_name = "PATH", conflicts_with = "to")]
    pub get: Option<String>,
    /// Leave the parsed segments out
    #[arg(long)]
    pub no_parsed: bool,
    /// Leave the raw message out
    #[arg(long)]
    pub no_raw: bool,
    /// Indent the JSON
    #[arg(long)]
    pub pretty: bool,
    /// With --to fhir: type of the bundles
    #[arg(long, value_enum, default_value_t = BundleType::Transaction, value_name = "TYPE")]
    pub bundle_type: BundleType,
    /// With --to fhir: zone of times that name none, in messages whose MSH-7 names none
    #[arg(
        long,
        value_name = "ZONE",
        default_value = "+00:00",
        allow_hyphen_values = true
    )]
    pub zone: String,
    /// With --to fhir: a directory of maps of your own, as deliver.fhir.mappings
    #[arg(long, value_name = "DIR")]
    pub mappings: Option<PathBuf>,
    /// With --to fhir: print the element that each value went to and the rows that took it, instead of the bundle
    #[arg(long)]
    pub explain: bool,
    /// With --to fhir: print each value that is in no resource, instead of the bundle
    #[arg(long)]
    pub ledger: bool,
    /// No progress bar (there is one on a terminal) and no summary (after a directory, several bundles or --ledger)
    #[arg(long, short)]
    pub quiet: bool,
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Connect to each destination, with TLS where it is configured; no message is sent
    #[arg(long)]
    pub connect: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Admin address of the running bridge
    #[arg(long, default_value = "127.0.0.1:9090", value_name = "ADDR")]
    pub admin: String,
    /// Give up waiting after this many seconds
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    pub timeout: f64,
}

/// `inject`.
#[derive(Debug, Args)]
pub struct InjectArgs {
    /// Manifests: a file, a directory (its .yaml, .yml and .json files) or - for standard input
    #[arg(long = "filename", short = 'f', value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Say for each object what is done and why, instead of printing the manifests
    #[arg(long, conflicts_with = "diff")]
    pub explain: bool,
    /// Print what changes, as a unified diff, instead of the manifests
    #[arg(long)]
    pub diff: bool,
    /// How to print what --explain says
    #[arg(long, value_enum, default_value_t = Output::Text, requires = "explain")]
    pub output: Output,
    /// The injector's configuration file, so that sidecars are as in the cluster
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Image of the sidecars
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Namespace of objects that do not say theirs
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    pub namespace: String,
    /// A label of the namespaces, unless their own manifests are given; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub namespace_label: Vec<(String, String)>,
}

/// `key=value`
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE, like mllp-bridge.io/inject=true".into()),
    }
}

/// `injector`.
#[derive(Debug, Args)]
pub struct InjectorArgs {
    /// Configuration file (YAML)
    #[arg(long, short, value_name = "FILE", env = "MLLP_BRIDGE_INJECTOR_CONFIG")]
    pub config: PathBuf,
    /// Namespace of the Service, the Secret and the Lease
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    pub namespace: String,
    /// Name of this replica, by which it holds the Lease
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub pod: String,
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// What `convert` makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// The envelope that an app gets
    Envelope,
    /// ER7 from an envelope
    Er7,
    /// A FHIR R4 bundle
    Fhir,
}
