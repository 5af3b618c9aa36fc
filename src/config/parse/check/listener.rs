//! The rules of one listener.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Keys, SHORTEST, between, deliver, positive, size};
use crate::config::parse::error::{Problems, shown};
use crate::config::parse::overlay::{Step, path_text};
use crate::config::parse::units::{OrOff, Period, Text};
use crate::config::status::is_fault_condition;
use crate::config::{
    Ack, Answer, BundleType, CharsetPolicy, Delivery, Duplicates, Format, Framing, Limits,
    Listener, Retry, Session, StatusTable, Verdict, raw,
};

/// What Linux takes for `TCP_KEEPIDLE`, which counts whole seconds.
pub(super) const KEEPALIVE: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(9 * 3600));
const LONGEST_NAME: usize = 63;
/// Senders that send again do so within the hour; after a day it is meant.
const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// Whoever has not taken a block after so many times will not.
const MOST_RESENDS: usize = 100;
/// HL7 table 0357, message error condition codes.
const CONDITIONS: &str = "0, 100 to 104 and 198 to 207";

/// Checks one listener, whose keys start with `base`. Where there are several, each needs a name.
pub(super) fn check(
    base: String,
    raw: raw::Listener,
    several: bool,
    problems: &mut Problems,
) -> Listener {
    let keys = &Keys { base };
    let name = match raw.name {
        Some(Text(name)) => {
            check_name(keys, &name, problems);
            name
        }
        None => {
            if several {
                problems.add(
                    &keys.of("name"),
                    "required where there are several listeners",
                );
            }
            "default".into()
        }
    };
    between(
        &keys.of("backlog"),
        raw.backlog as usize,
        1,
        65_535,
        problems,
    );
    let session = Session {
        framing: framing(keys, &raw.framing, problems),
        limits: limits(keys, &raw.limits, problems),
        deliver: delivery(keys, raw.deliver, problems),
        ack: ack(keys, raw.ack, problems),
        charset: CharsetPolicy {
            force: raw.charset.force.map(|name| name.0),
            fallback: raw.charset.fallback.0,
        },
        duplicates: duplicates(keys, &raw.duplicates, problems),
    };
    Listener {
        name: name.into(),
        bind: raw.bind.0,
        backlog: raw.backlog,
        session: Arc::new(session),
    }
}

/// The name of a listener or a destination.
pub(super) fn check_name(keys: &Keys, name: &str, problems: &mut Problems) {
    if !is_name(name) {
        let rule = "lower-case letters, digits, . _ and -, at most 63, \
                    starting and ending with a letter or digit";
        problems.add(
            &keys.of("name"),
            format!("{}: expected {rule}", shown(name)),
        );
    }
}

/// Fit for a metric label and for one piece of a URI's path.
fn is_name(name: &str) -> bool {
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let inner = |b: u8| edge(&b) || matches!(b, b'_' | b'.' | b'-');
    name.len() <= LONGEST_NAME
        && name.bytes().all(inner)
        && name.as_bytes().first().is_some_and(edge)
        && name.as_bytes().last().is_some_and(edge)
}

pub(super) fn framing(keys: &Keys, raw: &raw::Framing, problems: &mut Problems) -> Framing {
    for (key, byte) in [("framing.start", raw.start), ("framing.end", raw.end)] {
        // What text may contain cannot mark where it ends; from 0x80 it is part of UTF-8.
        let why = match byte.0 {
            b'\r' | b'\n' | b'\t' => "is white space, which messages contain",
            0x20..=0x7E => "is a printable character, which messages contain",
            0x80.. => "occurs in text that is not ASCII",
            _ => continue,
        };
        let message = format!("{byte} {why}; expected a control character such as 0x0B");
        problems.add(&keys.of(key), message);
    }
    if raw.start == raw.end && problems.is_clean(&keys.of("framing.start")) {
        let message = format!("{} is framing.start as well; they must differ", raw.end);
        problems.add(&keys.of("framing.end"), message);
    }
    let key = keys.of("framing.resends");
    between(&key, raw.resends as usize, 0, MOST_RESENDS, problems);
    positive(&keys.of("framing.end_idle"), raw.end_idle, problems);
    let key = keys.of("framing.commit_timeout");
    positive(&key, raw.commit_timeout, problems);
    Framing::from(raw)
}

fn limits(keys: &Keys, raw: &raw::Limits, problems: &mut Problems) -> Limits {
    size(
        &keys.of("limits.max_message_bytes"),
        raw.max_message_bytes,
        problems,
    );
    let max_connections = raw.max_connections as usize;
    between(
        &keys.of("limits.max_connections"),
        max_connections,
        1,
        1_000_000,
        problems,
    );
    if let OrOff::On(Period(keepalive)) = raw.keepalive
        && !(KEEPALIVE.0..=KEEPALIVE.1).contains(&keepalive)
    {
        let message = format!("{}: expected 1s to 9h, or off", Period(keepalive));
        problems.add(&keys.of("limits.keepalive"), message);
    }
    if let OrOff::On(idle) = raw.idle_timeout
        && idle.0 < SHORTEST
    {
        let message = format!("{idle}: expected at least 1ms, or off");
        problems.add(&keys.of("limits.idle_timeout"), message);
    }
    Limits {
        max_message_bytes: raw.max_message_bytes.0,
        max_connections,
        idle_timeout: raw.idle_timeout.on().map(|period| period.0),
        frame_timeout: positive(
            &keys.of("limits.frame_timeout"),
            raw.frame_timeout,
            problems,
        ),
        write_timeout: positive(
            &keys.of("limits.write_timeout"),
            raw.write_timeout,
            problems,
        ),
        keepalive: raw.keepalive.on().map(|period| period.0),
    }
}

fn delivery(keys: &Keys, raw: raw::Deliver, problems: &mut Problems) -> Delivery {
    if matches!(raw.format, Format::Raw | Format::Fhir) {
        let format = if raw.format == Format::Raw {
            "raw"
        } else {
            "fhir"
        };
        for (key, given) in [("deliver.parsed", raw.parsed), ("deliver.raw", raw.raw)] {
            if given.is_some() {
                let message = format!(
                    "format {format} has no envelope to include or leave it out of; remove it"
                );
                problems.add(&keys.of(key), message);
            }
        }
    } else if raw.parsed == Some(false) && raw.raw == Some(false) {
        let message = "false together with parsed: false leaves nothing of the message";
        problems.add(&keys.of("deliver.raw"), message);
    }
    size(
        &keys.of("deliver.max_response_bytes"),
        raw.max_response_bytes,
        problems,
    );
    let connect_timeout = ordered(
        keys,
        ("deliver.connect_timeout", raw.connect_timeout),
        ("deliver.timeout", raw.timeout),
        problems,
    );
    let initial = ordered(
        keys,
        ("deliver.retry.initial", raw.retry.initial),
        ("deliver.retry.max", raw.retry.max),
        problems,
    );
    let bundle = (raw.format == Format::Fhir).then_some(raw.fhir.bundle);
    let url = raw.url.0;
    let auth = deliver::auth(keys, &url, raw.auth, problems);
    let tls = deliver::tls(keys, raw.tls, &url, auth.as_ref(), problems);
    Delivery {
        url,
        format: raw.format,
        parsed: raw.parsed.unwrap_or(true),
        raw: raw.raw.unwrap_or(true),
        connect_timeout,
        timeout: positive(&keys.of("deliver.timeout"), raw.timeout, problems),
        idle_timeout: positive(&keys.of("deliver.idle_timeout"), raw.idle_timeout, problems),
        max_response_bytes: raw.max_response_bytes.0,
        retry: Retry {
            initial,
            max: positive(&keys.of("deliver.retry.max"), raw.retry.max, problems),
        },
        status: status(keys, bundle, &raw.status, problems),
        traceparent: raw.traceparent,
        fhir: deliver::fhir(keys, raw.format, raw.fhir, problems),
        auth,
        tls,
    }
}

/// The status table. Of a bundle that a FHIR server answers, no other status than a 2xx can say that it is stored.
fn status(
    keys: &Keys,
    bundle: Option<BundleType>,
    rows: &BTreeMap<String, raw::StatusRow>,
    problems: &mut Problems,
) -> StatusTable {
    let mut table = match bundle {
        Some(_) => StatusTable::fhir(),
        None => StatusTable::default(),
    };
    let is_answered = bundle.is_some_and(|kind| kind != BundleType::Collection);
    for (key, row) in rows {
        let path = keys.of(&path_text(&[
            Step::Key("deliver".into()),
            Step::Key("status".into()),
            Step::Key(key.clone()),
        ]));
        let Some(verdict) = row.answer else {
            problems.add(
                &format!("{path}.answer"),
                "required: accept, error, reject or unavailable",
            );
            continue;
        };
        if verdict == Verdict::Accept && is_answered && !key.starts_with('2') {
            let message = "accept: only a 2xx can say that a bundle is stored; expected error, reject or unavailable";
            problems.add(&format!("{path}.answer"), message);
        }
        let condition = row
            .condition
            .unwrap_or(if verdict == Verdict::Accept { 0 } else { 207 });
        let condition_path = format!("{path}.condition");
        if condition != 0 && !is_fault_condition(condition) {
            let message = format!("{condition}: HL7 table 0357 has {CONDITIONS}");
            problems.add(&condition_path, message);
        } else if (condition == 0) != (verdict == Verdict::Accept) {
            let message =
                format!("{condition}: 0 means accepted, so it goes with accept and no other");
            problems.add(&condition_path, message);
        }
        let answer = Answer { verdict, condition };
        let class = key.strip_suffix("xx");
        match (class.map(str::parse::<u8>), key.parse::<u16>()) {
            (Some(Ok(class @ 1..=5)), _) => table.set_class(class, answer),
            (None, Ok(status @ 100..=599)) if key.len() == 3 => table.set(status, answer),
            _ => problems.add(
                &path,
                "expected a status from 100 to 599, or a class from 1xx to 5xx",
            ),
        }
    }
    table
}

fn ack(keys: &Keys, raw: raw::Ack, problems: &mut Problems) -> Ack {
    let version = raw.default_version.0;
    let numbers = version.split('.').filter(|number| {
        (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
    });
    let pieces = version.split('.').count();
    if numbers.count() != pieces || !(2..=3).contains(&pieces) {
        let message = format!(
            "{}: expected an HL7 version such as 2.5 or 2.5.1",
            shown(&version)
        );
        problems.add(&keys.of("ack.default_version"), message);
    }
    Ack {
        deadline: positive(&keys.of("ack.deadline"), raw.deadline, problems),
        unavailable: raw.unavailable,
        default_version: version,
        mode: raw.mode,
        application: raw.application,
        batch: raw.batch,
        sequence_numbers: raw.sequence_numbers,
    }
}

fn duplicates(keys: &Keys, raw: &raw::Duplicates, problems: &mut Problems) -> Option<Duplicates> {
    let key = keys.of("duplicates.max_messages");
    let max_messages = raw.max_messages as usize;
    between(&key, max_messages, 1, 1_000_000, problems);
    size(&keys.of("duplicates.max_bytes"), raw.max_bytes, problems);
    let OrOff::On(window) = raw.window else {
        return None;
    };
    let key = keys.of("duplicates.window");
    if window.0 > LONGEST_WINDOW {
        problems.add(&key, format!("{window}: expected 24h at most"));
    }
    Some(Duplicates {
        window: positive(&key, window, problems),
        max_messages,
        max_bytes: raw.max_bytes.0,
    })
}

/// The first duration, which must not be longer than the second.
pub(super) fn ordered(
    keys: &Keys,
    (key, period): (&str, Period),
    (other_key, other): (&str, Period),
    problems: &mut Problems,
) -> Duration {
    let path = keys.of(key);
    // A zero or unreadable limit has its own problem.
    if period.0 > other.0 && other.0 >= SHORTEST && problems.is_clean(&keys.of(other_key)) {
        problems.add(
            &path,
            format!("{period} is longer than {other_key}, which is {other}"),
        );
    }
    positive(&path, period, problems)
}
