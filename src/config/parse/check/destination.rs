//! The rules of the way out: the API, and each destination.

use super::listener::{KEEPALIVE, check_name, framing, ordered};
use super::{Keys, between, positive, size};
use crate::config::parse::error::{Problems, shown};
use crate::config::parse::units::{HostPort, IpText, OrOff, Period, Text};
use crate::config::{
    ClientTls, Destination, Fill, Framing, Idempotency, Link, Listener, Outbound, Queue, Retry,
    Sending, raw,
};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A client that has not asked again after a week will not.
const LONGEST_WINDOW: Duration = Duration::from_secs(7 * 24 * 3600);
/// Each is a connection that the hospital's server must bear.
const MOST_CONNECTIONS: usize = 64;
const LONGEST_QUEUE: usize = 100_000;

/// Checks the API's keys. It is served only where there are destinations.
pub(super) fn outbound(raw: &raw::Outbound, problems: &mut Problems) -> Outbound {
    let bind = raw.bind.0;
    if !raw.allow_remote && !bind.ip().to_canonical().is_loopback() {
        let message = format!(
            "{bind} can be reached from other machines, and the API asks for no password; expected 127.0.0.1 or [::1], or \
             outbound.allow_remote: true"
        );
        problems.add("outbound.bind", message);
    }
    let max_connections = raw.max_connections as usize;
    between(
        "outbound.max_connections",
        max_connections,
        1,
        100_000,
        problems,
    );
    let keep = &raw.idempotency;
    if let OrOff::On(Period(window)) = keep.window
        && !(Duration::from_secs(1)..=LONGEST_WINDOW).contains(&window)
    {
        let message = format!("{}: expected 1s to 168h, or off", Period(window));
        problems.add("outbound.idempotency.window", message);
    }
    let max_answers = keep.max_answers as usize;
    between(
        "outbound.idempotency.max_answers",
        max_answers,
        1,
        1_000_000,
        problems,
    );
    size("outbound.idempotency.max_bytes", keep.max_bytes, problems);
    Outbound {
        bind,
        allow_remote: raw.allow_remote,
        max_connections,
        idempotency: keep.window.on().map(|window| Idempotency {
            window: window.0,
            max_answers,
            max_bytes: keep.max_bytes.0,
        }),
    }
}

/// Checks all destinations.
pub(super) fn destinations(
    raw: Vec<raw::Destination>,
    listeners: &[Listener],
    problems: &mut Problems,
) -> Vec<Destination> {
    let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
    let mut checked = Vec::with_capacity(raw.len());
    for (at, raw) in raw.into_iter().enumerate() {
        let keys = Keys {
            base: format!("destinations[{at}]"),
        };
        let destination = destination(&keys, raw, listeners, problems);
        if problems.is_clean(&keys.of("name")) {
            if let Some(first) = seen.get(&destination.name) {
                let message = format!(
                    "{} is destinations[{first}] already",
                    shown(&destination.name)
                );
                problems.add(&keys.of("name"), message);
            }
            seen.entry(Arc::clone(&destination.name)).or_insert(at);
        }
        checked.push(destination);
    }
    checked
}

fn destination(
    keys: &Keys,
    raw: raw::Destination,
    listeners: &[Listener],
    problems: &mut Problems,
) -> Destination {
    let name = match raw.name {
        Some(Text(name)) => {
            check_name(keys, &name, problems);
            name
        }
        None => {
            problems.add(&keys.of("name"), "required: the API's paths have it");
            String::new()
        }
    };
    if raw.address.is_none() && problems.is_clean(&keys.of("address")) {
        problems.add(
            &keys.of("address"),
            "required: the server's name or IP address, and its port",
        );
    }
    let connections = raw.connections as usize;
    between(
        &keys.of("connections"),
        connections,
        1,
        MOST_CONNECTIONS,
        problems,
    );
    let length = raw.queue.length as usize;
    between(&keys.of("queue.length"), length, 0, LONGEST_QUEUE, problems);
    size(
        &keys.of("limits.max_message_bytes"),
        raw.limits.max_message_bytes,
        problems,
    );
    size(
        &keys.of("limits.max_answer_bytes"),
        raw.limits.max_answer_bytes,
        problems,
    );
    let framing = framing(keys, &raw.framing, problems);
    let replies_on = replies_on(keys, raw.ack.replies_on, listeners, problems);
    let addresses = raw.address.into_iter().chain(raw.fallback_addresses);
    let addresses = addresses.map(|HostPort(address)| address).collect();
    let sending = Sending {
        connections,
        ack_timeout: positive(&keys.of("ack.timeout"), raw.ack.timeout, problems),
        quiet: positive(&keys.of("ack.quiet"), raw.ack.quiet, problems),
        idle_timeout: raw
            .connect
            .idle_timeout
            .on()
            .map(|period| positive(&keys.of("connect.idle_timeout"), period, problems)),
        reconnect: reconnect(keys, &raw.connect.retry, problems),
        link: link(keys, addresses, framing, &raw.connect, raw.tls, problems),
        queue: Queue {
            length,
            timeout: positive(&keys.of("queue.timeout"), raw.queue.timeout, problems),
        },
        max_message_bytes: raw.limits.max_message_bytes.0,
        max_answer_bytes: raw.limits.max_answer_bytes.0,
        resend: raw.ack.resend,
        replies_on,
        fill: fill(keys, raw.fill, problems),
    };
    Destination {
        name: name.into(),
        sending: Arc::new(sending),
    }
}

fn link(
    keys: &Keys,
    addresses: Vec<String>,
    framing: Framing,
    raw: &raw::Connect,
    tls: Option<raw::ClientTls>,
    problems: &mut Problems,
) -> Link {
    for (key, period) in [
        ("connect.keepalive", raw.keepalive),
        ("connect.user_timeout", raw.user_timeout),
    ] {
        if let OrOff::On(Period(period)) = period
            && !(KEEPALIVE.0..=KEEPALIVE.1).contains(&period)
        {
            let message = format!("{}: expected 1s to 9h, or off", Period(period));
            problems.add(&keys.of(key), message);
        }
    }
    Link {
        addresses,
        source: raw.source.map(|IpText(address)| address),
        framing,
        connect_timeout: positive(&keys.of("connect.timeout"), raw.timeout, problems),
        keepalive: raw.keepalive.on().map(|period| period.0),
        user_timeout: raw.user_timeout.on().map(|period| period.0),
        tls: tls.map(|raw| client_tls(keys, raw, problems)),
    }
}

fn reconnect(keys: &Keys, raw: &raw::Reconnect, problems: &mut Problems) -> Retry {
    Retry {
        initial: ordered(
            keys,
            ("connect.retry.initial", raw.initial),
            ("connect.retry.max", raw.max),
            problems,
        ),
        max: positive(&keys.of("connect.retry.max"), raw.max, problems),
    }
}

/// Whether the files can be used is found out when they are read.
fn client_tls(keys: &Keys, raw: raw::ClientTls, problems: &mut Problems) -> ClientTls {
    let path = |Text(path): Text| PathBuf::from(path);
    let identity = match (raw.cert_file, raw.key_file) {
        (Some(certificate), Some(key)) => Some((path(certificate), path(key))),
        (Some(_), None) => {
            problems.add(&keys.of("tls.key_file"), "required with tls.cert_file");
            None
        }
        (None, Some(_)) => {
            problems.add(&keys.of("tls.cert_file"), "required with tls.key_file");
            None
        }
        (None, None) => None,
    };
    let server_name = raw.server_name.map(|Text(name)| name);
    if let Some(name) = &server_name
        && rustls::pki_types::ServerName::try_from(name.as_str()).is_err()
    {
        let message = format!("{}: expected a name or an IP address", shown(name));
        problems.add(&keys.of("tls.server_name"), message);
    }
    ClientTls {
        ca_file: raw.ca_file.map(path),
        identity,
        server_name,
        min_version: raw.min_version,
    }
}

/// Answers can only come back on a listener that is there.
fn replies_on(
    keys: &Keys,
    raw: Option<Text>,
    listeners: &[Listener],
    problems: &mut Problems,
) -> Option<Arc<str>> {
    let Text(name) = raw?;
    let found = listeners.iter().find(|listener| *listener.name == *name);
    if found.is_none() {
        let message = format!("{}: no listener has this name", shown(&name));
        problems.add(&keys.of("ack.replies_on"), message);
    }
    found.map(|listener| Arc::clone(&listener.name))
}

/// The values are in the usual delimiters; each message has them in its own.
fn fill(keys: &Keys, raw: raw::Fill, problems: &mut Problems) -> Fill {
    let parties = [
        raw.sending_application,
        raw.sending_facility,
        raw.receiving_application,
        raw.receiving_facility,
    ];
    for ((_, key), value) in Fill::PARTIES.iter().zip(&parties) {
        if let Some(Text(value)) = value
            && !Fill::is_party(value)
        {
            let rule = "one field without |, ~, \\ and quotation marks, at most 227 characters";
            problems.add(
                &keys.of(&format!("fill.{key}")),
                format!("{}: expected {rule}", shown(value)),
            );
        }
    }
    Fill {
        time: raw.time,
        control_id: raw.control_id,
        parties: parties.map(|value| value.map(|Text(value)| value.into())),
    }
}
