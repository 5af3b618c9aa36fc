//! Whole processes, measured side by side: an app POSTed to directly, through nginx, and through the
//! bridge from MLLP.
//!
//! ```text
//!              load core                  server core
//!  load ── POST ─────────────────────────────────────────────▶ stub    direct
//!  load ── POST ──────────────────────▶ nginx  ─── POST ─────▶ stub    nginx
//!  load ── MLLP ──────────────────────▶ bridge ─── POST ─────▶ stub    bridge
//!                                       client ─── MLLP ─────▶ ehr     client
//!  load ── POST ──────────────────────▶ bridge ─── MLLP ─────▶ ehr     outbound
//! ```
//!
//! Every answer is checked and every message counted at the app: figures of a bridge that loses or
//! mixes up messages would be void, and the exit code says so. Missed targets are printed, not
//! punished: another machine may be slower than the one they were set on.
//!
//! Run as `cargo bench --bench end_to_end -- [--quick] [--seconds N] [--runs N] [--only SUBSTR]
//! [--json FILE] [--bridge PATH]`. Names for `--only` are `adt-900/8/bridge` (message, connections,
//! carrier), `start`, `memory`, `idle`, `large`.

// The lint keeps the bridge on tokio's clock, which tests can stop; here real time is the subject.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod bridge;
mod client;
mod cores;
mod ehr;
mod footprint;
mod load;
mod machine;
mod messages;
mod nginx;
mod proc;
mod process;
mod report;
mod stub;
mod table;
mod targets;
mod throughput;

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use crate::bridge::{Bridge, Recipe};
use crate::cores::Cores;
use crate::ehr::Ehr;
use crate::machine::Machine;
use crate::nginx::Nginx;
use crate::report::Report;
use crate::stub::Stub;
use crate::throughput::{Candidate, Carrier, Effort};

/// Files that the harness and the bridge need besides their MLLP connections: each of the bridge's
/// may have one to the app, which the harness holds as well.
const SPARE_FILES: usize = 1_500;

/// Measures the bridge against nginx and against no proxy at all.
#[derive(Debug, Parser)]
struct Options {
    /// One short run: shows that everything works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Length of one measurement
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Measurements of each figure, of which the median is shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    runs: u8,
    /// Measure only what has this in its name
    #[arg(long, value_name = "SUBSTR", default_value = "")]
    only: String,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The bridge to measure, instead of the one that cargo has just built
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_mllp-bridge"))]
    bridge: PathBuf,
    /// Measure direct and nginx alone
    #[arg(long)]
    no_bridge: bool,
    #[command(flatten)]
    client: client::RawClient,
    /// Given by cargo bench, and not by cargo test, which is not for measuring
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn effort(&self) -> Effort {
        let (runs, seconds) = if self.quick {
            (1, 1.0)
        } else {
            (usize::from(self.runs), self.seconds)
        };
        Effort {
            runs,
            measure: Duration::from_secs_f64(seconds),
        }
    }

    fn wants(&self, section: &str) -> bool {
        !self.no_bridge && section.contains(&self.only)
    }
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    if !options.bench {
        println!("nothing measured: run by `cargo bench --bench end_to_end`");
        return Ok(ExitCode::SUCCESS);
    }
    let cores = Cores::enter()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Some(said) = runtime.block_on(options.client.run())? {
        eprintln!("{said}");
        return Ok(ExitCode::SUCCESS);
    }
    let report = runtime.block_on(measure(&options, cores))?;

    let targets = targets::judge(&report);
    table::print(&report, &targets);
    if let Some(path) = &options.json {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let all = serde_json::json!({ "report": report, "targets": targets });
        serde_json::to_writer_pretty(file, &all)?;
    }
    Ok(if report.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn measure(options: &Options, cores: Cores) -> Result<Report> {
    let nginx_program = nginx::find();
    let nginx_version = nginx_program.as_deref().and_then(nginx::version);
    let machine = Machine::describe(nginx_version, cores.describe());
    machine.print();
    let effort = options.effort();
    println!(
        "Medians over {} run(s) of {} s. Direct and nginx carry the bare message, the bridge its default envelope.\n",
        effort.runs,
        effort.measure.as_secs_f64()
    );
    let mut report = Report::new(machine);
    let stub = Stub::start().await?;
    let recipe = Recipe {
        binary: options.bridge.clone(),
        app: stub.address,
        ehr: None,
        core: cores.server,
    };

    if options.wants("start") {
        let starts = if options.quick { 5 } else { 20 };
        report.start_ms = report.note("start", footprint::start_ms(&recipe, starts).await);
    }
    if options.wants("memory") {
        let memory = footprint::memory(&recipe, effort.measure).await;
        report.memory = report.note("memory", memory);
    }
    if options.wants("idle") {
        for (steps, used) in [(&[1_000, 10_000][..], false), (&[1_000], true)] {
            // A limit that cannot be raised is the machine's, not the bridge's.
            let allowed = proc::open_files_limit()?.saturating_sub(SPARE_FILES);
            let steps: Vec<usize> = steps.iter().map(|&step| step.min(allowed)).collect();
            let idle = footprint::idle_connections(&recipe, &steps, used).await;
            let idle = report.note("idle", idle);
            report.idle_connections.extend(idle.into_iter().flatten());
        }
    }
    if options.wants("large") {
        let large = footprint::large_messages(&recipe).await;
        report.large_messages = report.note("large", large).unwrap_or_default();
    }

    measure_throughput(options, &recipe, nginx_program, &stub, &mut report).await?;
    Ok(report)
}

/// Starts the carriers, measures them, and ends them.
async fn measure_throughput(
    options: &Options,
    recipe: &Recipe,
    nginx_program: Option<PathBuf>,
    stub: &Stub,
    report: &mut Report,
) -> Result<()> {
    let nginx = match nginx_program {
        Some(program) => Some(Nginx::start(&program, stub.address, recipe.core).await?),
        None => None,
    };
    let ehr = Ehr::start().await?;
    let recipe = &Recipe {
        ehr: Some(ehr.address),
        ..recipe.clone()
    };
    let bridge = if options.no_bridge {
        None
    } else {
        report.note("starting the bridge", Bridge::start(recipe).await)
    };

    let candidate = |carrier: Carrier, address, pids| Candidate {
        carrier,
        address,
        pids,
        counter: if carrier.is_way_out() {
            ehr.counter.clone()
        } else {
            stub.counter.clone()
        },
        core: recipe.core,
    };
    let mut candidates = vec![candidate(Carrier::Direct, stub.address, Vec::new())];
    if let Some(nginx) = &nginx {
        candidates.push(candidate(Carrier::Nginx, nginx.address, nginx.pids.clone()));
    }
    if let Some(bridge) = &bridge {
        let pids = vec![bridge.process.pid()];
        candidates.push(candidate(Carrier::Bridge, bridge.address, pids.clone()));
        candidates.push(candidate(Carrier::Client, ehr.address, Vec::new()));
        let api = bridge
            .api
            .map(|api| candidate(Carrier::Outbound, api, pids));
        candidates.extend(api);
    }

    let messages = messages::all();
    let effort = options.effort();
    let (rows, failures) = throughput::measure(&candidates, &messages, effort, &options.only).await;
    report.throughput = rows;
    if let (false, Some(bridge)) = (failures.is_empty(), &bridge) {
        eprintln!("last lines of the bridge:\n{}", bridge.process.last_lines());
    }
    report.failures.extend(failures);

    if let Some(bridge) = bridge {
        report.note("ending the bridge", bridge.process.end().await);
    }
    if let Some(nginx) = nginx {
        nginx.process.end().await?;
    }
    Ok(())
}
