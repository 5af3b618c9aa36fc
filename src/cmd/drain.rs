//! `drain`: asks the bridge on this machine to finish, and waits until it has.

use super::FAILED;
use crate::cli::DrainArgs;
use anyhow::{Context, anyhow};
use std::process::ExitCode;
use std::time::Duration;

/// Asks and waits.
///
/// # Errors
/// If no bridge answers.
pub fn main(args: &DrainArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let timeout = Duration::try_from_secs_f64(args.timeout).context("--timeout: not a time")?;
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .no_proxy()
            .build()?;
        let url = format!("http://{}/drain", args.admin);
        let answer = client.post(&url).send().await;
        let answer = answer.map_err(|error| {
            if error.is_timeout() && !error.is_connect() {
                return anyhow!("the bridge at {} is not done after {timeout:?}", args.admin);
            }
            anyhow::Error::new(error).context(format!("no bridge answers at {}", args.admin))
        })?;
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        println!("{}", text.trim_end());
        Ok(if status.is_success() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        })
    })
}
