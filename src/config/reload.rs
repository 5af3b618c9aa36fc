//! What a reload can change while connections are open, and what needs a new process.
//!
//! Must not do: the reload itself.

use super::{Config, Listener};

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
        let Some(before) = named(old, &listener.name) else {
            differs(unmatched(at, old, new), false);
            continue;
        };
        let path = |key: &str| format!("listeners[{at}].{key}");
        differs(path("bind"), before.bind == listener.bind);
        differs(path("backlog"), before.backlog == listener.backlog);
        differs(
            path("limits.max_connections"),
            before.session.limits.max_connections == listener.session.limits.max_connections,
        );
    }
    for (at, listener) in old.listeners.iter().enumerate() {
        differs(
            unmatched(at, old, new),
            named(new, &listener.name).is_some(),
        );
    }
    differs("admin.bind".into(), old.admin.bind == new.admin.bind);
    differs(
        "limits.max_buffered_bytes".into(),
        old.limits.max_buffered_bytes == new.limits.max_buffered_bytes,
    );
    differs("log.format".into(), old.log.format == new.log.format);
    differs("threads".into(), old.threads == new.threads);
    paths
}

fn named<'a>(config: &'a Config, name: &str) -> Option<&'a Listener> {
    config
        .listeners
        .iter()
        .find(|listener| &*listener.name == name)
}

/// The path of a listener that only one side has: its name if it was renamed in place, and itself
/// if it was added or removed.
fn unmatched(at: usize, old: &Config, new: &Config) -> String {
    let lonely = |config: &Config, other: &Config| {
        config
            .listeners
            .get(at)
            .is_some_and(|one| named(other, &one.name).is_none())
    };
    if lonely(old, new) && lonely(new, old) {
        format!("listeners[{at}].name")
    } else {
        format!("listeners[{at}]")
    }
}
