//! `check`: every error of a configuration at once, or what would be in force.

use super::{BAD_CONFIG, source};
use crate::cli::{CheckArgs, Output};
use crate::config::{self, Config, ConfigError, Verdict};
use crate::hl7::ack::condition_text;
use serde_json::json;
use std::process::ExitCode;

/// Loads the configuration and says what it found.
///
/// # Errors
/// Never; the signature is that of every command.
pub fn main(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    match (config::load(&source(&args.config)), args.output) {
        (Ok(config), Output::Text) => print_text(&config),
        (Ok(config), Output::Json) => println!("{:#}", as_json(&config)),
        (Err(errors), Output::Text) => {
            eprintln!("{errors}");
            return Ok(ExitCode::from(BAD_CONFIG));
        }
        (Err(errors), Output::Json) => {
            println!("{:#}", errors_json(&errors));
            return Ok(ExitCode::from(BAD_CONFIG));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn answer_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accept => "AA",
        Verdict::Error => "AE",
        Verdict::Reject => "AR",
        Verdict::Unavailable => "retried until the ACK deadline",
    }
}

fn print_text(config: &Config) {
    println!("the configuration is valid");
    for listener in &config.listeners {
        let session = &listener.session;
        println!("\nlistener {}", listener.name);
        println!("  listens on    {}", listener.bind);
        println!(
            "  delivers to   {} ({:?})",
            session.deliver.url, session.deliver.format
        );
        println!(
            "  ACK deadline  {:?}, then {:?}",
            session.ack.deadline, session.ack.unavailable
        );
        println!("  HTTP status   answer");
        for (status, row) in session.deliver.status.rows() {
            let condition = match row.verdict {
                Verdict::Accept => String::new(),
                _ => format!(" {} {}", row.condition, condition_text(row.condition)),
            };
            println!("    {status:<11} {}{condition}", answer_name(row.verdict));
        }
    }
    match config.admin.bind {
        Some(address) => println!("\nadmin on {address}"),
        None => println!("\nadmin off"),
    }
}

fn as_json(config: &Config) -> serde_json::Value {
    let listeners: Vec<_> = config
        .listeners
        .iter()
        .map(|listener| {
            let rows = listener.session.deliver.status.rows();
            let status: serde_json::Map<_, _> = rows
                .map(|(status, row)| {
                    (
                        status,
                        json!({"answer": answer_name(row.verdict), "condition": row.condition}),
                    )
                })
                .collect();
            json!({
                "name": &*listener.name,
                "bind": listener.bind.to_string(),
                "url": listener.session.deliver.url.to_string(),
                "status": status,
            })
        })
        .collect();
    json!({"valid": true, "listeners": listeners, "admin": config.admin.bind.map(|address| address.to_string())})
}

fn errors_json(errors: &ConfigError) -> serde_json::Value {
    let errors: Vec<_> = errors
        .problems()
        .iter()
        .map(|problem| json!({"place": problem.place, "message": problem.message}))
        .collect();
    json!({"valid": false, "errors": errors})
}
