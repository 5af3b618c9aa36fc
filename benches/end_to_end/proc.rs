//! What the kernel's `/proc` says about a process: CPU time, memory, open files.
//!
//! CPU time comes from `schedstat`, in nanoseconds; `stat` counts ticks of 10 ms, which is coarse
//! for a window of a second and is used where the kernel has no scheduler statistics.

use std::fs;

use anyhow::{Context, Result};

/// Time of the living threads of some processes, in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CpuTime {
    /// On a core.
    pub(crate) used: u64,
    /// Ready to run, while the core ran something else.
    pub(crate) waited: u64,
}

impl CpuTime {
    /// Of some processes together, so far.
    pub(crate) fn of(pids: &[u32]) -> Result<Self> {
        let mut total = Self::default();
        for &pid in pids {
            let time = Self::of_process(pid)?;
            total.used += time.used;
            total.waited += time.waited;
        }
        Ok(total)
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            used: self.used.saturating_sub(earlier.used),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }

    fn of_process(pid: u32) -> Result<Self> {
        let mut total = Self::default();
        let tasks =
            fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))?;
        for task in tasks {
            // A thread that ends between the listing and the reading is not an error.
            let Ok(line) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let mut fields = line.split(' ').map(first_number);
            total.used += fields.next().unwrap_or(0);
            total.waited += fields.next().unwrap_or(0);
        }
        if total.used == 0 {
            total.used = ticks(pid)? * 10_000_000;
        }
        Ok(total)
    }
}

/// User and system time in ticks, of which every Linux that runs this has 100 a second.
fn ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command name may hold blanks and brackets; the fields are counted after its last one.
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat")?;
    Ok(fields.split(' ').skip(11).take(2).map(first_number).sum())
}

/// Memory resident now, in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    status_kib(pid, "VmRSS:")
}

/// Most memory resident so far, in KiB.
pub(crate) fn peak_kib(pid: u32) -> Result<u64> {
    status_kib(pid, "VmHWM:")
}

fn status_kib(pid: u32, key: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid}"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(key));
    value
        .map(first_number)
        .with_context(|| format!("no {key} for process {pid}"))
}

/// Files and sockets that a process has open.
pub(crate) fn open_files(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// How many this process may have open; its children inherit the limit.
pub(crate) fn open_files_limit() -> Result<usize> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let limit = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .context("no limit of open files")?;
    Ok(usize::try_from(first_number(limit))?)
}

/// Processes whose parent is `pid`.
pub(crate) fn children(pid: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(candidate) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{candidate}/stat")) else {
            continue;
        };
        let parent = stat
            .rsplit_once(") ")
            .and_then(|(_, fields)| fields.split(' ').nth(1));
        if parent.map(first_number) == Some(u64::from(pid)) {
            found.push(candidate);
        }
    }
    Ok(found)
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}
