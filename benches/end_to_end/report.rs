//! All that one invocation measured: what the tables print and `--json` writes.

use serde::Serialize;

use crate::footprint::{IdleConnections, LargeMessage, Memory};
use crate::machine::Machine;
use crate::throughput::Row;

/// Empty or absent is what `--only` left out, or what failed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) throughput: Vec<Row>,
    pub(crate) start_ms: Option<f64>,
    pub(crate) memory: Option<Memory>,
    pub(crate) idle_connections: Vec<IdleConnections>,
    pub(crate) large_messages: Vec<LargeMessage>,
    /// Answers that were wrong or missing.
    pub(crate) failures: Vec<String>,
}

impl Report {
    pub(crate) fn new(machine: Machine) -> Self {
        Self {
            machine,
            throughput: Vec::new(),
            start_ms: None,
            memory: None,
            idle_connections: Vec::new(),
            large_messages: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Keeps the value of a measurement, or notes that it failed.
    pub(crate) fn note<T>(&mut self, what: &str, result: anyhow::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.failures.push(format!("{what}: {error:#}"));
                None
            }
        }
    }
}
