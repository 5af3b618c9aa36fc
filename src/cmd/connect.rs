//! `check --connect`: tries each address of each destination, and says how far it came.
//!
//! Nothing is sent but what TCP and TLS send themselves.

use crate::config::{Config, Destination};
use crate::net::tls;
use crate::outbound::{Connection, Error, Options};
use serde_json::{Value, json};
use std::io;
use tokio::time::Instant;

/// What became of one attempt.
pub(super) struct Attempt {
    destination: String,
    address: String,
    /// Whether there was a connection.
    pub(super) is_connected: bool,
    text: String,
    took_ms: u64,
}

/// Every address of every destination, one after the other.
///
/// # Errors
/// If the runtime cannot be started.
pub(super) fn all(config: &Config) -> io::Result<Vec<Attempt>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(async {
        let mut attempts = Vec::new();
        for destination in &config.destinations {
            for address in &destination.sending.link.addresses {
                attempts.push(attempt(destination, address).await);
            }
        }
        attempts
    }))
}

async fn attempt(destination: &Destination, address: &str) -> Attempt {
    let link = &destination.sending.link;
    let options = Options {
        connect_timeout: link.connect_timeout,
        keepalive: link.keepalive,
        source: link.source,
        user_timeout: link.user_timeout,
        ..Options::default()
    };
    let tls = link.tls.clone().map(tls::Client::new);
    let began = Instant::now();
    let opened = Connection::open(address, tls.as_ref(), options).await;
    let took_ms = began.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
    Attempt {
        destination: destination.name.to_string(),
        address: address.to_owned(),
        is_connected: opened.is_ok(),
        text: match &opened {
            Ok(connection) => connected(connection),
            Err(error) => failed(error),
        },
        took_ms,
    }
}

fn connected(connection: &Connection) -> String {
    let to = connection.peer();
    let from = connection
        .local()
        .map_or_else(|_| "?".to_owned(), |local| local.ip().to_string());
    match connection.tls_version() {
        Some(version) => format!("connected to {to} from {from}, {version}"),
        None => format!("connected to {to} from {from}, without TLS"),
    }
}

/// How it failed, in words that can be read out on the phone.
fn failed(error: &Error) -> String {
    let what = error.with_causes();
    let hint = match error {
        Error::Resolve { .. } => {
            "no address for this name: is it spelled right, and does this machine's DNS know the hospital's names?"
        }
        Error::ConnectTimeout { .. } => {
            "nothing answers: a firewall drops the packets, or the tunnel does not carry this network"
        }
        Error::Connect { source, .. } => match source.kind() {
            io::ErrorKind::ConnectionRefused => {
                "a machine is there, and nothing listens on this port"
            }
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                "no route leads there"
            }
            io::ErrorKind::AddrNotAvailable => "connect.source is not an address of this machine",
            _ => "",
        },
        _ => "",
    };
    match hint {
        "" => what,
        hint => format!("{what}: {hint}"),
    }
}

/// As lines.
pub(super) fn print_text(attempts: &[Attempt]) {
    for attempt in attempts {
        let mark = if attempt.is_connected {
            "ok    "
        } else {
            "FAILED"
        };
        println!(
            "\n{mark} destination {} at {} ({} ms)\n       {}",
            attempt.destination, attempt.address, attempt.took_ms, attempt.text
        );
    }
}

/// For programs.
pub(super) fn as_json(attempts: &[Attempt]) -> Value {
    let one = |attempt: &Attempt| {
        json!({
            "destination": attempt.destination,
            "address": attempt.address,
            "connected": attempt.is_connected,
            "detail": attempt.text,
            "took_ms": attempt.took_ms,
        })
    };
    attempts.iter().map(one).collect()
}
