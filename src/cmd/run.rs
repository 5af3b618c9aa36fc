//! `run`: the bridge, until SIGTERM.

use super::reload::Reloader;
use super::serve::Bridge;
use super::{BAD_CONFIG, source};
use crate::cli::RunArgs;
use crate::config::{self, Config, Source};
use crate::telemetry::log::{self, LevelHandle};
use anyhow::Context;
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Loads the configuration, binds, serves, drains.
///
/// # Errors
/// If something fails that is not the configuration's fault: a port that is taken, for example.
pub fn main(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let source = source(&args.config);
    let config = match config::load(&source) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return Ok(ExitCode::from(BAD_CONFIG));
        }
    };
    let level = log::init(config.log).context("cannot start logging")?;
    runtime(config.threads)?.block_on(serve(config, source, args.config.config.as_deref(), level))
}

/// One thread carries everything on an event loop of its own; more share their work.
fn runtime(threads: usize) -> anyhow::Result<Runtime> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

async fn serve(
    config: Config,
    source: Source,
    file: Option<&std::path::Path>,
    level: LevelHandle,
) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    let mut bridge = Bridge::start(&config).await?;
    for (listener, address) in &bridge.addresses {
        tracing::info!(%listener, %address, "listening");
    }
    if let Some(address) = bridge.admin {
        tracing::info!(%address, "admin listening");
    }
    if let Some(address) = bridge.outbound {
        tracing::info!(%address, "taking messages to send");
    }
    let drain = bridge.drain.clone();
    let shutdown = std::sync::Arc::clone(&bridge.readiness);
    let reloader = Reloader::new(config, source, file, &bridge, level);
    let reloading = tokio::spawn(reloader.run(hangup));

    let signalled = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(signalled);
    let mut stopping = false;
    // `drain` may come first; the process then stays, alive and not ready, until it is told to end.
    tokio::select! {
        () = &mut signalled => {
            stopping = true;
            shutdown.begin_drain();
            bridge.drained().await;
        }
        () = async { drain.begun().await; bridge.drained().await } => {}
    }
    tracing::info!("drained");
    if !stopping {
        signalled.await;
        tracing::info!("told to end");
    }
    reloading.abort();
    bridge.stop().await;
    Ok(ExitCode::SUCCESS)
}
