//! The commands: each wires the parts of the library together and holds no logic of its own.

pub mod check;
mod connect;
pub mod convert;
pub mod demo;
pub mod drain;
pub mod inject;
pub mod injector;
pub mod paint;
pub mod reload;
pub mod run;
pub mod send;
pub mod serve;

use crate::cli::ConfigArgs;
use crate::config::{Overrides, Source};

/// The work failed.
pub const FAILED: u8 = 1;
/// The configuration is wrong; nothing was started.
pub const BAD_CONFIG: u8 = 64;

/// Where a command's configuration comes from.
fn source(args: &ConfigArgs) -> Source {
    let flags = Overrides {
        listen: args.listen.clone(),
        app: args.app.clone(),
        admin: args.admin.clone(),
        format: args.format.clone(),
        threads: args.threads,
        log_level: args.log_level.clone(),
        log_format: args.log_format.clone(),
        shutdown_deadline: None,
    };
    let source = Source::new().env(std::env::vars_os()).flags(flags);
    match &args.config {
        Some(path) => source.file(path),
        None => source,
    }
}
