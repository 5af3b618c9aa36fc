//! convert
use std::process::ExitCode;
/// x
/// # Errors
/// x
pub fn main(_args: &crate::cli::ConvertArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not yet")
}
