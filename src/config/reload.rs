//! What a reload can change while connections are open, and what needs a new process.
//!
//! Must not do: the reload itself.

use super::{Config, Idempotency};
use std::sync::Arc;

/// Paths of the keys that differ between two configurations and cannot be changed while running,
/// in the order of the file. Empty if a reload can apply all of `new`.
///
/// Listeners are told apart by name, so their order may change. The path of one that is new or
/// renamed has its number in `new`; of one that is gone, its number in `old`.
pub fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let mut paths = Vec::new();
    let mut differs = |path: String, same: bool| {
        if !same && !paths.contains(&path) {
            paths.push(path);
        }
    };
    for (at, listener) in new.listeners.iter().enumerate() {
        let before = old.listeners.iter().find(|one| one.name == listener.name);
        let Some(before) = before else { continue };
        let path = |key: &str| format!("listeners[{at}].{key}");
        differs(path("bind"), before.bind == listener.bind);
        differs(path("backlog"), before.backlog == listener.backlog);
        differs(
            path("limits.max_connections"),
            before.session.limits.max_connections == listener.session.limits.max_connections,
        );
    }
    for (list, names) in [
        ("listeners", [listeners(old), listeners(new)]),
        ("destinations", [destinations(old), destinations(new)]),
    ] {
        for side in 0..2 {
            let [here, there] = [&names[1 - side], &names[side]];
            for (at, name) in here.iter().enumerate() {
                differs(unmatched(list, at, &names), there.contains(name));
            }
        }
    }
    let (before, after) = (&old.outbound, &new.outbound);
    differs("outbound.bind".into(), before.bind == after.bind);
    differs(
        "outbound.max_connections".into(),
        before.max_connections == after.max_connections,
    );
    differs(
        "outbound.allow_remote".into(),
        before.allow_remote == after.allow_remote,
    );
    let (before, after) = (before.idempotency, after.idempotency);
    let same = |of: fn(Idempotency) -> usize| before.map(of) == after.map(of);
    differs(
        "outbound.idempotency.window".into(),
        before.map(|bounds| bounds.window) == after.map(|bounds| bounds.window),
    );
    differs(
        "outbound.idempotency.max_answers".into(),
        same(|bounds| bounds.max_answers),
    );
    differs(
        "outbound.idempotency.max_bytes".into(),
        same(|bounds| bounds.max_bytes),
    );
    differs("admin.bind".into(), old.admin.bind == new.admin.bind);
    differs(
        "limits.max_buffered_bytes".into(),
        old.limits.max_buffered_bytes == new.limits.max_buffered_bytes,
    );
    differs("log.format".into(), old.log.format == new.log.format);
    differs(
        "state.directory".into(),
        old.state.directory == new.state.directory,
    );
    differs(
        "state.durability".into(),
        old.state.durability == new.state.durability,
    );
    differs("threads".into(), old.threads == new.threads);
    paths
}

fn listeners(config: &Config) -> Vec<Arc<str>> {
    let names = config.listeners.iter().map(|one| Arc::clone(&one.name));
    names.collect()
}

fn destinations(config: &Config) -> Vec<Arc<str>> {
    let names = config.destinations.iter().map(|one| Arc::clone(&one.name));
    names.collect()
}

/// The path of one that only one side (the old, the new) has: its name if it was renamed in place, and itself if it was added or
/// removed.
fn unmatched(list: &str, at: usize, [old, new]: &[Vec<Arc<str>>; 2]) -> String {
    let lonely = |one: &[Arc<str>], other: &[Arc<str>]| {
        one.get(at).is_some_and(|name| !other.contains(name))
    };
    if lonely(old, new) && lonely(new, old) {
        format!("{list}[{at}].name")
    } else {
        format!("{list}[{at}]")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;
    use crate::config::{Source, load, raw};

    /// Some keys of a listener need it.
    const STATE: &str = "state: {directory: /before}\n";
    const DESTINATION: &str = "{name: ehr, address: 'ehr:1'}";
    const RESTART: bool = true;
    const RELOAD: bool = false;

    /// Every key, a value other than its default, and which side it is on.
    const KEYS: [(&str, &str, bool); 105] = [
        ("listeners[].name", "other", RESTART),
        ("listeners[].bind", "'[::1]:1'", RESTART),
        ("listeners[].backlog", "7", RESTART),
        ("listeners[].framing.start", "1", RELOAD),
        ("listeners[].framing.end", "2", RELOAD),
        ("listeners[].framing.end_idle", "3s", RELOAD),
        ("listeners[].framing.kind", "hllp", RELOAD),
        ("listeners[].framing.commit_timeout", "3s", RELOAD),
        ("listeners[].framing.resends", "7", RELOAD),
        ("listeners[].framing.hllp.checksum", "sum", RELOAD),
        ("listeners[].limits.max_message_bytes", "1MiB", RELOAD),
        ("listeners[].limits.max_connections", "7", RESTART),
        ("listeners[].limits.idle_timeout", "off", RELOAD),
        ("listeners[].limits.frame_timeout", "7s", RELOAD),
        ("listeners[].limits.write_timeout", "7s", RELOAD),
        ("listeners[].limits.keepalive", "off", RELOAD),
        ("listeners[].deliver.url", "http://other/", RELOAD),
        ("listeners[].deliver.format", "raw", RELOAD),
        ("listeners[].deliver.parsed", "false", RELOAD),
        ("listeners[].deliver.raw", "false", RELOAD),
        ("listeners[].deliver.connect_timeout", "1s", RELOAD),
        ("listeners[].deliver.timeout", "7s", RELOAD),
        ("listeners[].deliver.idle_timeout", "7s", RELOAD),
        ("listeners[].deliver.max_response_bytes", "2MiB", RELOAD),
        ("listeners[].deliver.retry.initial", "7ms", RELOAD),
        ("listeners[].deliver.retry.max", "7s", RELOAD),
        ("listeners[].deliver.traceparent", "off", RELOAD),
        (
            "listeners[].deliver.status",
            "{'409': {answer: accept}}",
            RELOAD,
        ),
        (
            "listeners[].deliver.fhir.bundle",
            "batch}, format: fhir, retry: {max: 2s",
            RELOAD,
        ),
        (
            "listeners[].deliver.fhir.zone",
            "'+01:00'}, format: fhir, retry: {max: 2s",
            RELOAD,
        ),
        (
            "listeners[].deliver.fhir.mappings",
            "/maps}, format: fhir, retry: {max: 2s",
            RELOAD,
        ),
        ("listeners[].deliver.auth.bearer_file", "/token", RELOAD),
        (
            "listeners[].deliver.auth.oauth2.token_url",
            "'https://a/t', client_id: b, client_secret_file: /s",
            RELOAD,
        ),
        (
            "listeners[].deliver.auth.oauth2.client_id",
            "b, token_url: 'https://a/t', client_secret_file: /s",
            RELOAD,
        ),
        (
            "listeners[].deliver.auth.oauth2.client_secret_file",
            "/s, token_url: 'https://a/t', client_id: b",
            RELOAD,
        ),
        (
            "listeners[].deliver.auth.oauth2.scope",
            "s, token_url: 'https://a/t', client_id: b, client_secret_file: /s",
            RELOAD,
        ),
        (
            "listeners[].deliver.tls.ca_file",
            "/ca.pem}, url: 'https://a/', retry: {max: 2s",
            RELOAD,
        ),
        (
            "listeners[].deliver.tls.cert_file",
            "/c.pem, key_file: /k.pem}, url: 'https://a/', retry: {max: 2s",
            RELOAD,
        ),
        (
            "listeners[].deliver.tls.key_file",
            "/k.pem, cert_file: /c.pem}, url: 'https://a/', retry: {max: 2s",
            RELOAD,
        ),
        ("listeners[].ack.deadline", "7s", RELOAD),
        ("listeners[].ack.unavailable", "close", RELOAD),
        ("listeners[].ack.default_version", "2.3", RELOAD),
        ("listeners[].ack.mode", "original", RELOAD),
        ("listeners[].ack.application", "suppressed", RELOAD),
        ("listeners[].ack.batch", "errors", RELOAD),
        ("listeners[].ack.sequence_numbers", "true", RELOAD),
        ("listeners[].charset.force", "ascii", RELOAD),
        ("listeners[].charset.fallback", "ascii", RELOAD),
        ("listeners[].duplicates.window", "off", RELOAD),
        ("listeners[].duplicates.max_messages", "7", RELOAD),
        ("listeners[].duplicates.max_bytes", "1MiB", RELOAD),
        ("destinations[].name", "other", RESTART),
        ("destinations[].address", "'other:1'", RELOAD),
        ("destinations[].fallback_addresses", "['other:1']", RELOAD),
        ("destinations[].connections", "2", RELOAD),
        ("destinations[].connect.timeout", "7s", RELOAD),
        ("destinations[].connect.source", "127.0.0.9", RELOAD),
        ("destinations[].connect.idle_timeout", "7s", RELOAD),
        ("destinations[].connect.keepalive", "off", RELOAD),
        ("destinations[].connect.user_timeout", "off", RELOAD),
        ("destinations[].connect.retry.initial", "7ms", RELOAD),
        ("destinations[].connect.retry.max", "7s", RELOAD),
        ("destinations[].framing.start", "1", RELOAD),
        ("destinations[].framing.end", "2", RELOAD),
        ("destinations[].framing.end_idle", "3s", RELOAD),
        ("destinations[].framing.kind", "hllp", RELOAD),
        ("destinations[].framing.commit_timeout", "3s", RELOAD),
        ("destinations[].framing.resends", "7", RELOAD),
        ("destinations[].framing.hllp.checksum", "sum", RELOAD),
        ("destinations[].tls.ca_file", "/ca.pem", RELOAD),
        (
            "destinations[].tls.cert_file",
            "/c.pem, key_file: /k.pem",
            RELOAD,
        ),
        (
            "destinations[].tls.key_file",
            "/k.pem, cert_file: /c.pem",
            RELOAD,
        ),
        ("destinations[].tls.server_name", "ehr.example", RELOAD),
        ("destinations[].tls.min_version", "'1.3'", RELOAD),
        ("destinations[].ack.timeout", "7s", RELOAD),
        ("destinations[].ack.quiet", "7ms", RELOAD),
        ("destinations[].ack.resend", "true", RELOAD),
        ("destinations[].ack.replies_on", "default", RELOAD),
        ("destinations[].queue.length", "7", RELOAD),
        ("destinations[].queue.timeout", "7s", RELOAD),
        ("destinations[].limits.max_message_bytes", "1MiB", RELOAD),
        ("destinations[].limits.max_answer_bytes", "1MiB", RELOAD),
        ("destinations[].fill.time", "true", RELOAD),
        ("destinations[].fill.control_id", "true", RELOAD),
        ("destinations[].fill.sending_application", "A", RELOAD),
        ("destinations[].fill.sending_facility", "A", RELOAD),
        ("destinations[].fill.receiving_application", "A", RELOAD),
        ("destinations[].fill.receiving_facility", "A", RELOAD),
        ("outbound.bind", "'[::1]:1'", RESTART),
        ("outbound.allow_remote", "true", RESTART),
        ("outbound.max_connections", "7", RESTART),
        ("outbound.idempotency.window", "7s", RESTART),
        ("outbound.idempotency.max_answers", "7", RESTART),
        ("outbound.idempotency.max_bytes", "1MiB", RESTART),
        ("admin.bind", "off", RESTART),
        ("admin.ready_needs_app", "false", RELOAD),
        ("admin.ready_needs_destinations", "true", RELOAD),
        ("admin.app_probe_interval", "7s", RELOAD),
        ("limits.max_buffered_bytes", "1GiB", RESTART),
        ("shutdown.deadline", "7s", RELOAD),
        ("log.level", "debug", RELOAD),
        ("log.format", "json", RESTART),
        ("state.directory", "/state", RESTART),
        ("state.durability", "process", RESTART),
        ("threads", "2", RESTART),
    ];

    fn config(yaml: &str) -> Config {
        load(&Source::new().text(yaml)).unwrap_or_else(|error| panic!("{yaml}: {error}"))
    }

    /// What stands beside the key.
    fn base(path: &str) -> String {
        match path.split_once('.').map_or("", |split| split.0) {
            "listeners[]" => format!("{STATE}listeners: [{{}}]"),
            "destinations[]" => format!("listeners: [{{}}]\ndestinations: [{DESTINATION}]"),
            _ => "listeners: [{}]".into(),
        }
    }

    /// The base, and one key set.
    fn with(path: &str, value: &str) -> Config {
        let nest = |path: &str| {
            path.split('.')
                .rev()
                .fold(value.to_owned(), |inner, key| format!("{{{key}: {inner}}}"))
        };
        let yaml = match path.split_once("[].") {
            Some(("listeners", rest)) => base(path).replace("{}", &nest(rest)),
            Some((_, rest)) => {
                let inner = nest(rest);
                let inner = inner
                    .trim_start_matches('{')
                    .strip_suffix('}')
                    .unwrap_or_default();
                let key = rest.split('.').next().unwrap_or_default();
                let others = ["name: ehr", "address: 'ehr:1'"];
                let others = others
                    .into_iter()
                    .filter(|other| !other.starts_with(&format!("{key}:")));
                let keys: Vec<&str> = others.chain([inner]).collect();
                format!("listeners: [{{}}]\ndestinations: [{{{}}}]", keys.join(", "))
            }
            None => {
                let inner = nest(path);
                let inner = inner
                    .trim_start_matches('{')
                    .strip_suffix('}')
                    .unwrap_or_default();
                format!("listeners: [{{}}]\n{inner}")
            }
        };
        config(&yaml)
    }

    #[test]
    fn each_key_is_on_its_side() {
        for (path, value, restart) in KEYS {
            let old = config(&base(path));
            let new = with(path, value);
            assert_ne!(old, new, "{path} has no effect");
            let expected: &[String] = if restart {
                &[path.replace("[]", "[0]")]
            } else {
                &[]
            };
            assert_eq!(needs_restart(&old, &new), expected, "{path}");
            assert_eq!(needs_restart(&new, &new), [""; 0], "{path}");
        }
    }

    #[test]
    fn the_documentation_has_each_key_on_the_same_side() {
        let schema = schemars::schema_for!(raw::Config).to_value();
        let mut documented = BTreeMap::new();
        leaves(&schema, &schema, "", &mut documented);
        let here: BTreeMap<String, bool> = KEYS
            .iter()
            .map(|(path, _, restart)| ((*path).to_owned(), *restart))
            .collect();
        assert_eq!(documented, here);
    }

    /// Path of each key that has no keys of its own, and whether it is marked with `x-restart`.
    fn leaves(root: &Value, schema: &Value, path: &str, found: &mut BTreeMap<String, bool>) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            let (reference, path) = match property["items"]["$ref"].as_str() {
                Some(reference) => (Some(reference), format!("{path}[]")),
                None => (property["$ref"].as_str(), path),
            };
            match reference.and_then(|reference| reference.strip_prefix('#')) {
                Some(pointer) => {
                    let inner = root.pointer(pointer).expect("a definition");
                    leaves(root, inner, &path, found);
                }
                None => {
                    found.insert(path, property.get("x-restart").is_some());
                }
            }
        }
    }

    #[test]
    fn listeners_come_and_go_with_a_restart_and_change_places_without() {
        let abc = |names: &[&str]| {
            let listeners: Vec<String> = names
                .iter()
                .map(|name| format!("{{name: {name}, bind: '127.0.0.1:{}'}}", name.len() + 1))
                .collect();
            config(&format!("listeners: [{}]", listeners.join(", ")))
        };
        for (old, new, expected) in [
            (&["a", "bb"][..], &["bb", "a"][..], &[][..]),
            (&["a"], &["a", "bb"], &["listeners[1]"]),
            (&["a", "bb"], &["a"], &["listeners[1]"]),
            (&["a", "bb"], &["bb"], &["listeners[0]"]),
            (&["a", "bb"], &["a", "cc"], &["listeners[1].name"]),
            (
                &["a", "bb"],
                &["ccc"],
                &["listeners[0].name", "listeners[1]"],
            ),
        ] {
            assert_eq!(
                needs_restart(&abc(old), &abc(new)),
                expected,
                "{old:?} to {new:?}"
            );
        }
    }

    #[test]
    fn several_differences_are_in_the_order_of_the_file() {
        let old = config("listeners: [{name: a}]");
        let new = config("threads: 2\nlog: {format: json}\nlisteners: [{name: a, backlog: 1}]");
        assert_eq!(
            needs_restart(&old, &new),
            ["listeners[0].backlog", "log.format", "threads"]
        );
    }
}
