//! Which core runs what: servers on one, load generator and stub app on another.
//!
//! Everything a message costs the server then shows as time on the server's core, and the load
//! generator cannot take it away. The harness pins itself by starting itself again under `taskset`,
//! because a thread's affinity cannot be set without unsafe code.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Set in the process that has been started again; holds the plan.
const PLAN: &str = "BENCH_CORES";

/// Raises the soft limit of open files as far as it goes: 10,000 connections need that many here
/// and in the server. 40,000 first, because a hard limit may be unlimited, which costs some
/// programs a table of that size.
pub(crate) const RAISE_OPEN_FILES: &str =
    "(ulimit -n 40000) 2>/dev/null && ulimit -n 40000 || ulimit -S -n \"$(ulimit -H -n)\"";

/// Two cores that share nothing but the last cache, or none where they cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cores {
    /// Core of the process under test; `None` runs everything unpinned.
    pub(crate) server: Option<usize>,
    /// Core of the load generator and of the stub app.
    pub(crate) load: Option<usize>,
}

impl Cores {
    const UNPINNED: Self = Self {
        server: None,
        load: None,
    };

    /// Pins this process to the load's core with a raised file limit. The first call replaces the
    /// process by itself; the second, in the new one, returns the plan.
    pub(crate) fn enter() -> Result<Self> {
        if let Ok(plan) = std::env::var(PLAN) {
            return Ok(Self::decode(&plan));
        }
        let cores = Self::plan();
        let pin = cores
            .load
            .map_or_else(String::new, |core| format!("taskset -c {core}"));
        let error = Command::new("sh")
            .arg("-c")
            .arg(format!("{RAISE_OPEN_FILES}; exec {pin} \"$0\" \"$@\""))
            .arg(std::env::current_exe().context("finding this program")?)
            .args(std::env::args_os().skip(1))
            .env(PLAN, cores.encode())
            .exec();
        bail!("starting this program again: {error}")
    }

    /// What the report says about it.
    pub(crate) fn describe(self) -> String {
        match (self.server, self.load) {
            (Some(server), Some(load)) => {
                format!("server on core {server}, load generator and stub app on core {load}")
            }
            _ => "unpinned (one core, or no `taskset`): the server shares its core with the load, \
                  so only the CPU figures compare"
                .to_owned(),
        }
    }

    fn plan() -> Self {
        let Some(allowed) = allowed_cores() else {
            return Self::UNPINNED;
        };
        let (Some(&server), true) = (allowed.first(), taskset_works()) else {
            return Self::UNPINNED;
        };
        // A hyper-thread of the server's core would slow the server down when the load runs.
        let siblings = siblings(server);
        let load = allowed
            .iter()
            .find(|core| !siblings.contains(core))
            .or_else(|| allowed.get(1));
        load.map_or(Self::UNPINNED, |&load| Self {
            server: Some(server),
            load: Some(load),
        })
    }

    fn encode(self) -> String {
        match (self.server, self.load) {
            (Some(server), Some(load)) => format!("{server},{load}"),
            _ => "unpinned".to_owned(),
        }
    }

    fn decode(plan: &str) -> Self {
        let Some((server, load)) = plan.split_once(',') else {
            return Self::UNPINNED;
        };
        Self {
            server: server.parse().ok(),
            load: load.parse().ok(),
        }
    }
}

fn taskset_works() -> bool {
    Command::new("taskset")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Cores this process may use: a container may have others than 0 and 1.
fn allowed_cores() -> Option<Vec<usize>> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    Some(parse_list(list))
}

/// Cores that are hyper-threads of the same physical core, itself included.
fn siblings(core: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    fs::read_to_string(path).map_or_else(|_| vec![core], |list| parse_list(&list))
}

/// The kernel's list format: `0-3,8`.
fn parse_list(list: &str) -> Vec<usize> {
    list.trim()
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect()
}
