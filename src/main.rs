//! `mllp-bridge`: crypto provider, command line, exit code.

use clap::Parser;
use mllp_bridge::cli::{Cli, Command};
use mllp_bridge::cmd;
use std::process::ExitCode;

fn main() -> ExitCode {
    // One provider for every TLS connection of the process. Fails only if one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let result = match Cli::parse().command {
        Command::Run(args) => cmd::run::main(&args),
        Command::Demo(args) => cmd::demo::main(&args),
        Command::Send(args) => cmd::send::main(&args),
        Command::Convert(args) => cmd::convert::main(&args),
        Command::Check(args) => cmd::check::main(&args),
        Command::Drain(args) => cmd::drain::main(&args),
        Command::Inject(args) => cmd::inject::main(&args),
        Command::Injector(args) => cmd::injector::main(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("mllp-bridge: {error:#}");
            ExitCode::from(cmd::FAILED)
        }
    }
}
