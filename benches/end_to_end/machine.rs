//! What the figures were measured on: without it they mean nothing.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// The machine and the versions of what ran on it.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    pub(crate) nginx: String,
    pub(crate) placement: String,
}

impl Machine {
    pub(crate) fn describe(nginx: Option<String>, placement: String) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = |line: &str| {
            let (key, value) = line.split_once(':')?;
            // Arm has no model name; its part number is better than nothing.
            matches!(key.trim(), "model name" | "CPU part").then(|| value.trim().to_owned())
        };
        let processors = cpuinfo.lines().filter(|line| line.starts_with("processor"));
        Self {
            cpu: cpuinfo.lines().find_map(model).unwrap_or_else(unknown),
            cores: processors.count(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |release| release.trim().to_owned()),
            rustc: rustc_version().unwrap_or_else(unknown),
            nginx: nginx.unwrap_or_else(|| "not installed: its rows are missing".to_owned()),
            placement,
        }
    }

    pub(crate) fn print(&self) {
        println!("- CPU: {}, {} cores", self.cpu, self.cores);
        println!("- kernel: Linux {}", self.kernel);
        println!("- compiler: {}", self.rustc);
        println!("- yardstick: {}", self.nginx);
        println!("- {}\n", self.placement);
    }
}

/// The compiler of this workspace; the bench and the bridge are built by the same.
fn rustc_version() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}
