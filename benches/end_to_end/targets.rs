//! What the bridge promises, held against what was measured.

use serde::Serialize;

use crate::report::Report;
use crate::throughput::{CONNECTIONS, Carrier, Ratios, Row};

/// One promise: a figure that must not be larger.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) at_most: f64,
    pub(crate) unit: &'static str,
    pub(crate) measured: f64,
}

impl Target {
    pub(crate) fn met(&self) -> bool {
        self.measured <= self.at_most
    }
}

type PickRatio = fn(&Ratios) -> f64;

/// Every target of which the figure was measured.
pub(crate) fn judge(report: &Report) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut add = |what: String, at_most: f64, unit: &'static str, measured: Option<f64>| {
        targets.extend(measured.map(|measured| Target {
            what,
            at_most,
            unit,
            measured,
        }));
    };

    let ratios: [(&str, PickRatio); 3] = [
        ("CPU per message", |ratios| ratios.cpu),
        ("p50", |ratios| ratios.p50),
        ("p99", |ratios| ratios.p99),
    ];
    for (figure, pick) in ratios {
        for connections in CONNECTIONS {
            let ratio = bridge_row(report, "adt-900", connections)
                .and_then(|row| row.against_nginx.as_ref())
                .map(pick);
            add(
                format!("{figure}, adt-900/{connections}"),
                1.0,
                "× nginx",
                ratio,
            );
        }
    }
    // The way out costs no more than the way in.
    let outbound = row(report, Carrier::Outbound, "adt-900", 8);
    let against_inbound = outbound.and_then(|row| row.against_inbound.as_ref());
    let ratios: [(&str, PickRatio); 2] = [
        ("CPU per message", |ratios| ratios.cpu),
        ("p50", |ratios| ratios.p50),
    ];
    for (figure, pick) in ratios {
        let what = format!("{figure}, adt-900/8, way out");
        add(what, 1.0, "× inbound", against_inbound.map(pick));
    }
    for message in ["oru-1m-document", "oru-1m-lines"] {
        let cpu_ms = bridge_row(report, message, 8)
            .and_then(|row| row.median.cpu_us)
            .map(|us| us / 1e3);
        add(format!("CPU per message, {message}/8"), 1.2, "ms", cpu_ms);
    }

    let idle_mib = report
        .memory
        .as_ref()
        .map(|memory| memory.idle_kib as f64 / 1024.0);
    add("resident memory, idle".to_owned(), 8.0, "MiB", idle_mib);
    for idle in &report.idle_connections {
        let history = if idle.used { "used once" } else { "never used" };
        add(
            format!("per idle connection, {}, {history}", idle.connections),
            4.9,
            "KiB",
            Some(idle.kib_per_connection),
        );
    }
    add("exec to listening".to_owned(), 6.0, "ms", report.start_ms);
    for large in &report.large_messages {
        add(
            format!("peak memory, {}", large.message),
            3.0,
            "× its size",
            Some(large.times_its_size),
        );
    }
    targets
}

fn bridge_row<'a>(report: &'a Report, message: &str, connections: usize) -> Option<&'a Row> {
    row(report, Carrier::Bridge, message, connections)
}

fn row<'a>(
    report: &'a Report,
    carrier: Carrier,
    message: &str,
    connections: usize,
) -> Option<&'a Row> {
    report.throughput.iter().find(|row| {
        row.carrier == carrier && row.message == message && row.connections == connections
    })
}
