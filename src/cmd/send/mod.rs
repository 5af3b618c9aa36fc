//! `send`: sends files to an MLLP server and says what became of each message.
//!
//! ```text
//! files ──plan──► messages ──load──► tally ──report──► text or JSON
//! ```

mod bars;
mod json;
mod load;
mod plan;
mod report;
mod tally;

use super::FAILED;
use super::paint::Paint;
use crate::cli::{Output, SendArgs};
use crate::config::Framing;
use crate::net::tls;
use crate::outbound::Options;
use anyhow::Context;
use load::Settings;
use plan::Plan;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Sends everything, and prints the result.
///
/// # Errors
/// If there is nothing to send: a file cannot be read, or holds no message.
pub fn main(args: &SendArgs) -> anyhow::Result<ExitCode> {
    let answer_timeout = Duration::try_from_secs_f64(args.timeout).context("--timeout")?;
    let defaults = Options::default();
    let options = Options {
        framing: Framing {
            kind: args.framing,
            checksum: args.checksum,
            resends: args.resends,
            commit_timeout: answer_timeout,
            ..defaults.framing
        },
        answer_timeout,
        connect_timeout: defaults.connect_timeout.min(answer_timeout),
        ..defaults
    };
    let tls = args
        .tls
        .settings()
        .map(|settings| Arc::new(tls::Client::new(settings)));
    if let Some(tls) = &tls {
        tls.check().context("cannot speak TLS")?;
    }
    let plan = Arc::new(Plan::read(&args.files, &options)?);
    let settings = Settings {
        address: args.address.clone(),
        options,
        tls,
        connections: args.connections,
        repeat: args.repeat,
        rate: args.rate,
        lines: args.verbose && args.output == Output::Text,
        collect: args.verbose && args.output == Output::Json,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let tally = runtime.block_on(load::run(Arc::clone(&plan), settings.clone()))?;
    let text = match args.output {
        Output::Text => report::text(&plan, &settings, &tally, Paint::stdout()),
        Output::Json => format!("{:#}\n", json::document(&plan, &settings, &tally)),
    };
    // A reader that has seen enough (`| head`) is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(if tally.all_accepted() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}
