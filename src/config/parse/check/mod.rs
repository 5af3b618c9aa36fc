//! The rules: [`raw::Config`] to [`Config`], with a problem for every rule that is broken.
//!
//! Each check names the key, the value and what would be right, and goes on: the value it returns
//! after a problem is never run with.
//!
//! Must not do: defaults (those are `raw`'s) or spelling (that is `units`').

mod deliver;
mod destination;
mod listener;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::error::{Problems, shown};
use super::units::{ByteSize, Period, Text};
use crate::config::{Admin, Config, GlobalLimits, Listener, Log, Shutdown, State, raw};

/// Paths of one listener's keys.
pub(super) struct Keys {
    pub(super) base: String,
}

impl Keys {
    pub(super) fn of(&self, key: &str) -> String {
        format!("{}.{key}", self.base)
    }
}

/// Shortest duration that is not a mistake for "off" or for another unit.
const SHORTEST: Duration = Duration::from_millis(1);
/// More often would be traffic of its own.
const SHORTEST_PROBE: Duration = Duration::from_millis(100);
const SMALLEST_MESSAGE: usize = 1 << 10;
const LARGEST_MESSAGE: usize = 1 << 30;
/// What must remain for the other connections while one holds the largest message.
const BUFFER_HEADROOM: usize = 4 << 20;

/// Checks everything, and makes of it what runs.
pub(super) fn check(raw: raw::Config, problems: &mut Problems) -> Config {
    if raw.listeners.is_empty() {
        let what = "none configured; give --listen or --app, or list at least one in the file";
        problems.add("listeners", what);
    }
    let several = raw.listeners.len() > 1;
    let listeners: Vec<Listener> = raw
        .listeners
        .into_iter()
        .enumerate()
        .map(|(at, raw)| listener::check(format!("listeners[{at}]"), raw, several, problems))
        .collect();
    unique_names(&listeners, problems);
    let destinations = destination::destinations(raw.destinations, &listeners, problems);
    let outbound = destination::outbound(&raw.outbound, problems);

    let admin = Admin {
        bind: raw.admin.bind.on().map(|address| address.0),
        ready_needs_app: raw.admin.ready_needs_app,
        ready_needs_destinations: raw.admin.ready_needs_destinations,
        app_probe_interval: at_least(
            "admin.app_probe_interval",
            raw.admin.app_probe_interval,
            SHORTEST_PROBE,
            problems,
        ),
    };
    let api = (!destinations.is_empty()).then_some(outbound.bind);
    unique_binds(
        &listeners,
        [("admin.bind", admin.bind), ("outbound.bind", api)],
        problems,
    );

    let max_buffered_bytes = raw.limits.max_buffered_bytes.0;
    let inbound = listeners
        .iter()
        .map(|one| one.session.limits.max_message_bytes);
    let sent = destinations.iter().map(|one| one.sending.max_message_bytes);
    let largest = inbound.chain(sent).max();
    let needed = largest.unwrap_or(0).saturating_add(BUFFER_HEADROOM);
    if max_buffered_bytes < needed {
        let message = format!(
            "{} is too small: at least {}, which is the largest max_message_bytes and {}",
            ByteSize(max_buffered_bytes),
            ByteSize(needed),
            ByteSize(BUFFER_HEADROOM)
        );
        let of = |list: &str, at: usize| format!("{list}[{at}].limits.max_message_bytes");
        let messages_clean = (0..listeners.len()).all(|at| problems.is_clean(&of("listeners", at)))
            && (0..destinations.len()).all(|at| problems.is_clean(&of("destinations", at)));
        if messages_clean {
            problems.add("limits.max_buffered_bytes", message);
        }
    }
    between("threads", raw.threads, 1, 64, problems);
    let state = state(raw.state, problems);
    if state.directory.is_none() && problems.is_clean("state.directory") {
        for (at, listener) in listeners.iter().enumerate() {
            if listener.session.ack.sequence_numbers {
                // The standard has the last number stored before a message is acknowledged.
                let message =
                    "true needs state.directory, where the last number outlives the process";
                problems.add(&format!("listeners[{at}].ack.sequence_numbers"), message);
            }
        }
    }
    Config {
        listeners,
        destinations,
        outbound,
        admin,
        limits: GlobalLimits { max_buffered_bytes },
        shutdown: Shutdown {
            deadline: positive("shutdown.deadline", raw.shutdown.deadline, problems),
        },
        log: Log {
            level: raw.log.level,
            format: raw.log.format,
        },
        state,
        threads: raw.threads,
    }
}

fn state(raw: raw::State, problems: &mut Problems) -> State {
    let directory = raw.directory.map(|Text(path)| PathBuf::from(path));
    if directory.as_ref().is_some_and(|path| !path.is_absolute()) {
        let message = "expected an absolute path, such as /var/lib/mllp-bridge";
        problems.add("state.directory", message);
    }
    State {
        directory,
        durability: raw.durability,
    }
}

pub(super) fn positive(path: &str, period: Period, problems: &mut Problems) -> Duration {
    at_least(path, period, SHORTEST, problems)
}

fn at_least(path: &str, period: Period, least: Duration, problems: &mut Problems) -> Duration {
    if period.0 < least {
        problems.add(
            path,
            format!("{period}: expected at least {}", Period(least)),
        );
    }
    period.0
}

pub(super) fn size(path: &str, size: ByteSize, problems: &mut Problems) {
    if !(SMALLEST_MESSAGE..=LARGEST_MESSAGE).contains(&size.0) {
        problems.add(path, format!("{size}: expected 1KiB to 1GiB"));
    }
}

pub(super) fn between(
    path: &str,
    number: usize,
    least: usize,
    most: usize,
    problems: &mut Problems,
) {
    if !(least..=most).contains(&number) {
        problems.add(path, format!("{number}: expected {least} to {most}"));
    }
}

fn unique_names(listeners: &[Listener], problems: &mut Problems) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (at, listener) in listeners.iter().enumerate() {
        // A name that could not be read stands at its default here: not what the user meant.
        if !problems.is_clean(&format!("listeners[{at}].name")) {
            continue;
        }
        match seen.get(&*listener.name) {
            Some(first) => {
                let message = format!("{} is listeners[{first}] already", shown(&listener.name));
                problems.add(&format!("listeners[{at}].name"), message);
            }
            None => {
                seen.insert(&listener.name, at);
            }
        }
    }
}

fn unique_binds(
    listeners: &[Listener],
    others: [(&str, Option<SocketAddr>); 2],
    problems: &mut Problems,
) {
    let mut seen: Vec<(String, SocketAddr)> = Vec::new();
    let binds = listeners
        .iter()
        .enumerate()
        .map(|(at, listener)| (format!("listeners[{at}].bind"), Some(listener.bind)))
        .chain(others.map(|(path, bind)| (path.to_owned(), bind)));
    for (path, bind) in binds {
        // The same of an address.
        let Some(bind) = bind.filter(|_| problems.is_clean(&path)) else {
            continue;
        };
        match seen.iter().find(|other| overlap(bind, other.1)) {
            Some((other_path, other)) if bind == *other => {
                problems.add(&path, format!("{bind} is {other_path} already"));
            }
            Some((other_path, other)) => {
                problems.add(
                    &path,
                    format!("{bind} overlaps with {other_path}, which is {other}"),
                );
            }
            None => seen.push((path, bind)),
        }
    }
}

/// Whether the system would refuse the second of two listeners. `::` covers IPv4 as well.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers =
        |a: IpAddr, b: IpAddr| a == b || a.is_unspecified() && (a.is_ipv6() || b.is_ipv4());
    a.port() != 0 && a.port() == b.port() && (covers(a.ip(), b.ip()) || covers(b.ip(), a.ip()))
}
