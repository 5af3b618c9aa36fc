//! Messages per second, latency and CPU: every message and number of connections, for each of the
//! candidates, in several runs.
//!
//! Within a run the candidates of one row of the plan follow each other directly, and the next run
//! starts with another one, so that a machine that grows slower meets all of them alike.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::client::{self, Said};
use crate::load::{self, Measured, Plan};
use crate::messages::{Message, Rendered, Wire};
use crate::stub::Counter;

/// Connections of the closed loops.
pub(crate) const CONNECTIONS: [usize; 3] = [1, 8, 64];

/// Who carries the message to the stub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Carrier {
    /// Nobody: the load generator POSTs to the stub.
    Direct,
    Nginx,
    Bridge,
    /// The way out, without a bridge: a raw MLLP client on the server's core sends to the MLLP server.
    Client,
    /// The way out: the load generator POSTs to the bridge's API, and the bridge sends to the MLLP server.
    Outbound,
}

impl Carrier {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Bridge => "bridge",
            Self::Client => "client",
            Self::Outbound => "outbound",
        }
    }

    /// Whether an MLLP server receives what it carries.
    pub(crate) fn is_way_out(self) -> bool {
        matches!(self, Self::Client | Self::Outbound)
    }
}

/// A carrier that runs, and what it takes to measure it.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) carrier: Carrier,
    pub(crate) address: SocketAddr,
    /// Processes whose CPU time counts. None for the direct POST, and for the raw client, which is started for each measurement.
    pub(crate) pids: Vec<u32>,
    /// Of the server that receives in the end.
    pub(crate) counter: Counter,
    /// Core of what is measured.
    pub(crate) core: Option<usize>,
}

impl Candidate {
    pub(crate) fn wire(&self) -> Wire {
        match self.carrier {
            Carrier::Bridge | Carrier::Client => Wire::Mllp,
            Carrier::Direct | Carrier::Nginx => Wire::Http,
            Carrier::Outbound => Wire::Api,
        }
    }
}

/// How long each measurement is, and how often it is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) runs: usize,
    pub(crate) measure: Duration,
}

/// Figures of one measurement, or the median of several.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Figures {
    pub(crate) messages_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    /// CPU time of the carrier for one message; absent for the direct POST.
    pub(crate) cpu_us: Option<f64>,
    /// Part of the window in which the carrier could not run, because something else had its core.
    /// More than a few per cent: other programs disturbed the measurement.
    pub(crate) waited: f64,
    /// Length of what the app received for one message.
    pub(crate) body_bytes: f64,
}

/// A carrier's figures divided by another one's of the same run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Ratios {
    pub(crate) messages_per_second: f64,
    pub(crate) cpu: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// One row of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) message: &'static str,
    pub(crate) message_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) carrier: Carrier,
    pub(crate) median: Figures,
    /// Medians of the runs' ratios, of the way in; absent where nginx was not measured.
    pub(crate) against_nginx: Option<Ratios>,
    /// The same for the way out, against the raw client and against the way in.
    pub(crate) against_client: Option<Ratios>,
    pub(crate) against_inbound: Option<Ratios>,
    pub(crate) runs: Vec<Figures>,
}

/// A measurement that did not verify: its figures are void.
pub(crate) type Failures = Vec<String>;

/// Measures every cell whose name contains `only`, in the order of the table.
pub(crate) async fn measure(
    candidates: &[Candidate],
    messages: &[Message],
    effort: Effort,
    only: &str,
) -> (Vec<Row>, Failures) {
    let mut cells = Vec::new();
    for message in messages {
        for connections in CONNECTIONS {
            for candidate in candidates {
                let name = format!(
                    "{}/{connections}/{}",
                    message.name,
                    candidate.carrier.name()
                );
                if name.contains(only) {
                    cells.push(Cell::new(name, message, connections, candidate));
                }
            }
        }
    }
    for run in 0..effort.runs {
        let mut rest = cells.as_mut_slice();
        // Cells of the same message and connections stand together: rotate within them.
        while let Some(first) = rest.first() {
            let key = (first.message.name, first.connections);
            let same = rest
                .iter()
                .take_while(|cell| (cell.message.name, cell.connections) == key)
                .count();
            let (group, others) = rest.split_at_mut(same);
            for turn in 0..same {
                let cell = &mut group[(turn + run) % same];
                eprintln!("run {} of {}: {}", run + 1, effort.runs, cell.name);
                cell.run(effort.measure).await;
            }
            rest = others;
        }
    }
    finish(&cells)
}

/// One message, number of connections and carrier, over all runs.
struct Cell<'a> {
    name: String,
    message: &'a Message,
    connections: usize,
    candidate: &'a Candidate,
    runs: Vec<Figures>,
    failure: Option<String>,
}

impl<'a> Cell<'a> {
    fn new(
        name: String,
        message: &'a Message,
        connections: usize,
        candidate: &'a Candidate,
    ) -> Self {
        Self {
            name,
            message,
            connections,
            candidate,
            runs: Vec::new(),
            failure: None,
        }
    }

    async fn run(&mut self, measure: Duration) {
        if self.failure.is_some() {
            return;
        }
        match self.try_run(measure).await {
            Ok(figures) => self.runs.push(figures),
            Err(error) => {
                let failure = format!("{}: {error:#}", self.name);
                eprintln!("void: {failure}");
                self.failure = Some(failure);
            }
        }
    }

    async fn try_run(&self, measure: Duration) -> Result<Figures> {
        let counter = &self.candidate.counter;
        let before = counter.received();
        let (answered, mut figures) = if self.candidate.carrier == Carrier::Client {
            let Candidate { address, core, .. } = self.candidate;
            let said = client::measure(
                *address,
                self.message.name,
                self.connections,
                measure,
                *core,
            );
            let said = said.await?;
            (said.answered, of_client(&said))
        } else {
            let Candidate { address, pids, .. } = self.candidate;
            let rendered = Rendered::new(self.message, self.candidate.wire(), *address)?;
            let plan = client::plan(self.connections, measure);
            let measured = load::run(*address, &rendered, plan, pids).await?;
            (measured.answered, of_load(&measured, !pids.is_empty()))
        };
        let after = counter.received();

        let received = after.messages - before.messages;
        ensure!(
            received == answered,
            "{answered} messages were answered, but {received} were received"
        );
        ensure!(
            figures.messages_per_second > 0.0,
            "no message in the whole window"
        );
        figures.body_bytes = (after.bytes - before.bytes) as f64 / received as f64;
        let message_bytes = self.message.text.len() as f64;
        // An envelope holds the raw message and more; everything else is what was sent.
        let whole = match self.candidate.carrier {
            Carrier::Bridge => figures.body_bytes >= message_bytes,
            _ => figures.body_bytes == message_bytes,
        };
        ensure!(
            whole,
            "messages of {message_bytes} bytes arrived as {}",
            figures.body_bytes
        );
        Ok(figures)
    }
}

fn of_load(measured: &Measured, has_cpu: bool) -> Figures {
    let messages = measured.messages as f64;
    let us = |quantile| measured.latency.value_at_quantile(quantile) as f64 / 1e3;
    Figures {
        messages_per_second: messages / measured.window.as_secs_f64(),
        p50_us: us(0.5),
        p99_us: us(0.99),
        p999_us: us(0.999),
        cpu_us: has_cpu.then(|| measured.cpu.used as f64 / 1e3 / messages),
        waited: measured.cpu.waited as f64 / measured.window.as_nanos() as f64,
        body_bytes: f64::NAN,
    }
}

fn of_client(said: &Said) -> Figures {
    let messages = said.messages as f64;
    Figures {
        messages_per_second: messages * 1e9 / said.window_ns as f64,
        p50_us: said.p50_ns as f64 / 1e3,
        p99_us: said.p99_ns as f64 / 1e3,
        p999_us: said.p999_ns as f64 / 1e3,
        cpu_us: Some(said.cpu_ns as f64 / 1e3 / messages),
        waited: said.waited_ns as f64 / said.window_ns as f64,
        body_bytes: f64::NAN,
    }
}

fn finish(cells: &[Cell<'_>]) -> (Vec<Row>, Failures) {
    let rows = cells
        .iter()
        .filter(|cell| cell.failure.is_none() && !cell.runs.is_empty())
        .map(|cell| Row {
            message: cell.message.name,
            message_bytes: cell.message.text.len(),
            connections: cell.connections,
            carrier: cell.candidate.carrier,
            median: median_figures(&cell.runs),
            against_nginx: ratios(cell, cells, Carrier::Bridge, Carrier::Nginx),
            against_client: ratios(cell, cells, Carrier::Outbound, Carrier::Client),
            against_inbound: ratios(cell, cells, Carrier::Outbound, Carrier::Bridge),
            runs: cell.runs.clone(),
        })
        .collect();
    let failures = cells.iter().filter_map(|cell| cell.failure.clone());
    (rows, failures.collect())
}

/// Of the cell, if it is `whose`, to the same one of another carrier.
fn ratios(cell: &Cell<'_>, cells: &[Cell<'_>], whose: Carrier, to: Carrier) -> Option<Ratios> {
    if cell.candidate.carrier != whose {
        return None;
    }
    let other = cells.iter().find(|other| {
        other.candidate.carrier == to
            && other.failure.is_none()
            && other.message.name == cell.message.name
            && other.connections == cell.connections
    })?;
    let of = |figure: fn(&Figures) -> f64| {
        median(
            cell.runs
                .iter()
                .zip(&other.runs)
                .map(|(ours, theirs)| figure(ours) / figure(theirs)),
        )
    };
    Some(Ratios {
        messages_per_second: of(|figures| figures.messages_per_second)?,
        cpu: of(|figures| figures.cpu_us.unwrap_or(f64::NAN))?,
        p50: of(|figures| figures.p50_us)?,
        p99: of(|figures| figures.p99_us)?,
    })
}

fn median_figures(runs: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure)).unwrap_or(f64::NAN);
    Figures {
        messages_per_second: of(|figures| figures.messages_per_second),
        p50_us: of(|figures| figures.p50_us),
        p99_us: of(|figures| figures.p99_us),
        p999_us: of(|figures| figures.p999_us),
        cpu_us: median(runs.iter().filter_map(|figures| figures.cpu_us)),
        waited: of(|figures| figures.waited),
        body_bytes: of(|figures| figures.body_bytes),
    }
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// Loads one candidate without measuring it, so that its memory can be looked at.
pub(crate) async fn exercise(
    candidate: &Candidate,
    message: &Message,
    connections: usize,
    duration: Duration,
) -> Result<()> {
    let rendered = Rendered::new(message, candidate.wire(), candidate.address)?;
    let plan = Plan {
        connections,
        warm_up: Duration::ZERO,
        measure: duration,
    };
    load::run(candidate.address, &rendered, plan, &[])
        .await
        .with_context(|| format!("{} at {connections} connections", message.name))?;
    Ok(())
}
