//! The report: Markdown tables that also read well in a terminal.

use std::fmt;

use crate::report::Report;
use crate::targets::Target;
use crate::throughput::{Ratios, Row};

/// A table; the first column is text, the others are figures and are set to the right.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self {
            rows: vec![header.iter().map(|&cell| cell.to_owned()).collect()],
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    write!(out, "| {cell:<width$} ")?;
                } else {
                    write!(out, "| {cell:>width$} ")?;
                }
            }
            writeln!(out, "|")?;
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let end = if column == 0 { "-" } else { ":" };
                    write!(out, "| {}{end} ", "-".repeat(width.saturating_sub(1)))?;
                }
                writeln!(out, "|")?;
            }
        }
        Ok(())
    }
}

/// Prints all that was measured.
pub(crate) fn print(report: &Report, targets: &[Target]) {
    if !report.throughput.is_empty() {
        println!(
            "## Throughput, latency, CPU\n\n{}",
            throughput(&report.throughput)
        );
        if report.throughput.iter().any(|row| row.carrier.is_way_out()) {
            println!("## The way out\n\n{}", way_out(&report.throughput));
        }
        print_disturbance(&report.throughput);
    }
    let footprint = footprint(report);
    if footprint.rows.len() > 1 {
        println!("## Footprint of the bridge\n\n{footprint}");
    }
    if !targets.is_empty() {
        println!("## Targets\n\n{}", verdicts(targets));
    }
    for failure in &report.failures {
        println!("VOID: {failure}");
    }
}

/// Says when the machine was not ours alone, because the figures are then too high.
fn print_disturbance(rows: &[Row]) {
    let worst = rows
        .iter()
        .max_by(|a, b| a.median.waited.total_cmp(&b.median.waited));
    if let Some(row) = worst.filter(|row| row.median.waited > 0.03) {
        println!(
            "DISTURBED: something else had the server's core, in {}/{}/{} for {:.0} % of the time.\n",
            row.message,
            row.connections,
            row.carrier.name(),
            row.median.waited * 100.0
        );
    }
}

fn throughput(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "message",
        "bytes",
        "connections",
        "carried by",
        "messages/s",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "CPU µs/message",
        "CPU ÷ nginx",
        "p50 ÷ nginx",
        "p99 ÷ nginx",
        "body bytes",
    ]);
    for row in rows.iter().filter(|row| !row.carrier.is_way_out()) {
        let nginx = row.against_nginx.as_ref();
        table.row(figures(row).into_iter().chain([
            ratio(nginx, |ratios| ratios.cpu),
            ratio(nginx, |ratios| ratios.p50),
            ratio(nginx, |ratios| ratios.p99),
            format!("{:.0}", row.median.body_bytes),
        ]));
    }
    table
}

/// The same for messages that are sent, against a raw client and against the way in.
fn way_out(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "message",
        "bytes",
        "connections",
        "sent by",
        "messages/s",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "CPU µs/message",
        "messages/s ÷ client",
        "CPU ÷ client",
        "CPU ÷ inbound",
        "p50 ÷ inbound",
    ]);
    for row in rows.iter().filter(|row| row.carrier.is_way_out()) {
        let (client, inbound) = (row.against_client.as_ref(), row.against_inbound.as_ref());
        table.row(figures(row).into_iter().chain([
            ratio(client, |ratios| ratios.messages_per_second),
            ratio(client, |ratios| ratios.cpu),
            ratio(inbound, |ratios| ratios.cpu),
            ratio(inbound, |ratios| ratios.p50),
        ]));
    }
    table
}

/// The columns that both tables begin with.
fn figures(row: &Row) -> [String; 9] {
    let figures = &row.median;
    [
        row.message.to_owned(),
        row.message_bytes.to_string(),
        row.connections.to_string(),
        row.carrier.name().to_owned(),
        format!("{:.0}", figures.messages_per_second),
        short(figures.p50_us),
        short(figures.p99_us),
        short(figures.p999_us),
        figures.cpu_us.map_or_else(String::new, short),
    ]
}

fn ratio(ratios: Option<&Ratios>, pick: fn(&Ratios) -> f64) -> String {
    ratios.map_or_else(String::new, |ratios| format!("{:.2}", pick(ratios)))
}

fn footprint(report: &Report) -> Table {
    let mut table = Table::new(&["what", "value"]);
    let mut add = |what: String, value: String| table.row([what, value]);
    let mib = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
    if let Some(ms) = report.start_ms {
        add("exec to listening".to_owned(), format!("{ms:.1} ms"));
    }
    if let Some(memory) = &report.memory {
        add("resident, idle".to_owned(), mib(memory.idle_kib));
        add(
            "resident, after adt-900 on 64 connections".to_owned(),
            mib(memory.after_small_kib),
        );
        add(
            "resident, after oru-1m-document on 8 connections".to_owned(),
            mib(memory.after_large_kib),
        );
    }
    for idle in &report.idle_connections {
        let history = if idle.used {
            "one message each"
        } else {
            "never used"
        };
        add(
            format!(
                "per idle connection, {} of them, {history}",
                idle.connections
            ),
            format!("{:.1} KiB", idle.kib_per_connection),
        );
    }
    for large in &report.large_messages {
        add(
            format!("peak while {} passes", large.message),
            format!(
                "{} = {:.1} × its size",
                mib(large.peak_kib),
                large.times_its_size
            ),
        );
    }
    table
}

fn verdicts(targets: &[Target]) -> Table {
    let mut table = Table::new(&["target", "wanted", "measured", "verdict"]);
    for target in targets {
        table.row([
            target.what.clone(),
            format!("≤ {} {}", target.at_most, target.unit)
                .trim_end()
                .to_owned(),
            format!("{:.2} {}", target.measured, target.unit)
                .trim_end()
                .to_owned(),
            if target.met() { "met" } else { "MISSED" }.to_owned(),
        ]);
    }
    table
}

/// Three digits that matter.
fn short(value: f64) -> String {
    if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}
