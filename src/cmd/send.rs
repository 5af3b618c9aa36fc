//! send
use std::process::ExitCode;
/// x
/// # Errors
/// x
pub fn main(_args: &crate::cli::SendArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not yet")
}
