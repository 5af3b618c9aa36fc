//! `demo`: the whole line on one machine. A real bridge, an app, and messages over real sockets; each answer is checked.
//!
//! ```text
//! scenes ──outbound client──► Bridge ──HTTP──► App
//!    └──────── page: what each of them saw ──────┘
//! ```

mod app;
mod page;
mod scenes;

use super::FAILED;
use super::paint::Paint;
use super::serve::Bridge;
use crate::cli::DemoArgs;
use crate::config::{self, Config, Source};
use crate::outbound::Options;
use crate::telemetry::log;
use anyhow::{Context, anyhow};
use app::App;
use page::Page;
use scenes::{DEADLINE, Stage};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// Plays every scene.
///
/// # Errors
/// If the bridge or the app cannot be started. An answer that is not as expected is no error but exit code 1.
pub fn main(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let right = runtime.block_on(play(args.verbose))?;
    Ok(if right {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

async fn play(verbose: bool) -> anyhow::Result<bool> {
    let app = App::start().await.context("cannot start the app")?;
    let config = configuration(app.address())?;
    if verbose {
        log::init(config.log).context("cannot start logging")?;
    }
    let mut bridge = Bridge::start(&config).await?;
    let listener = bridge.addresses.first().map(|(_, address)| *address);
    let mut stage = Stage {
        page: Page::new(Paint::stdout()),
        app,
        listener: listener.context("the bridge has no listener")?,
        admin: bridge.admin.context("the bridge has no admin server")?,
        metrics: bridge.metrics.listener(LISTENER),
        options: Options {
            answer_timeout: Duration::from_secs(4),
            ..Options::default()
        },
    };
    let right = stage.play().await;
    bridge.readiness.begin_drain();
    bridge.drained().await;
    bridge.stop().await;
    right
}

/// Names the listener in the envelope and in the metrics.
const LISTENER: &str = "demo";

fn configuration(app: SocketAddr) -> anyhow::Result<Config> {
    let deadline = DEADLINE.as_millis();
    let yaml = format!(
        "\
listeners:
  - name: {LISTENER}
    bind: 127.0.0.1:0
    deliver:
      url: http://{app}{path}
      connect_timeout: 200ms
      timeout: 1s
      retry: {{ initial: 50ms, max: 200ms }}
    ack: {{ deadline: {deadline}ms }}
admin: {{ bind: 127.0.0.1:0 }}
shutdown: {{ deadline: 2s }}
log: {{ level: debug }}
",
        path = app::PATH
    );
    config::load(&Source::new().text(yaml)).map_err(|errors| anyhow!("{errors}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_valid() {
        let config = configuration(SocketAddr::from(([127, 0, 0, 1], 8080))).unwrap();
        assert_eq!(config.listeners[0].session.ack.deadline, DEADLINE);
        assert_eq!(config.listeners[0].bind.port(), 0);
    }
}
