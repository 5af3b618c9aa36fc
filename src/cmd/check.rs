//! `check`: every error of a configuration at once, or what would be in force.

use super::{BAD_CONFIG, FAILED, connect, source};
use crate::cli::{CheckArgs, Output};
use crate::config::{self, Config, ConfigError, Verdict};
use crate::deliver::{BadMaps, Bundles};
use crate::hl7::ack::condition_text;
use anyhow::Context;
use serde_json::json;
use std::process::ExitCode;

/// Loads the configuration and says what it found.
///
/// # Errors
/// If the runtime cannot be started that destinations are connected to with.
pub fn main(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    match (config::load(&source(&args.config)), args.output) {
        (Ok(config), output) => match (bad_maps(&config), output) {
            (bad, _) if bad.is_empty() => return in_force(&config, args.connect, output),
            (bad, Output::Text) => {
                for (place, message) in bad {
                    eprintln!("{place}: {message}");
                }
            }
            (bad, Output::Json) => {
                let errors: Vec<_> = bad
                    .iter()
                    .map(|(place, message)| json!({"place": place, "message": message}))
                    .collect();
                println!("{:#}", json!({"valid": false, "errors": errors}));
            }
        },
        (Err(errors), Output::Text) => {
            eprintln!("{errors}");
        }
        (Err(errors), Output::Json) => println!("{:#}", errors_json(&errors)),
    }
    Ok(ExitCode::from(BAD_CONFIG))
}

/// What is wrong with the maps of format `fhir`, which are in files of their own.
fn bad_maps(config: &Config) -> Vec<(String, String)> {
    let mut bad = Vec::new();
    for (at, listener) in config.listeners.iter().enumerate() {
        let Some(settings) = &listener.session.deliver.fhir else {
            continue;
        };
        let place = format!("listeners[{at}].deliver.fhir.mappings");
        match Bundles::load(settings) {
            Ok(_) => {}
            Err(BadMaps::Maps(errors)) => {
                bad.extend(
                    errors
                        .iter()
                        .map(|error| (place.clone(), error.to_string())),
                );
            }
            Err(error) => bad.push((place, error.to_string())),
        }
    }
    bad
}

/// What is in force, and whether the destinations can be reached.
fn in_force(config: &Config, connects: bool, output: Output) -> anyhow::Result<ExitCode> {
    let attempts = match connects {
        true => connect::all(config).context("cannot start the runtime")?,
        false => Vec::new(),
    };
    match output {
        Output::Text => {
            print_text(config);
            connect::print_text(&attempts);
        }
        Output::Json => {
            let mut document = as_json(config);
            if connects {
                document["connections"] = connect::as_json(&attempts);
            }
            println!("{document:#}");
        }
    }
    Ok(match attempts.iter().all(|attempt| attempt.is_connected) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILED),
    })
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
    for destination in &config.destinations {
        let sending = &destination.sending;
        let link = &sending.link;
        println!("\ndestination {}", destination.name);
        println!("  sends to      {}", link.addresses.join(", then "));
        println!(
            "  TLS           {}",
            if link.tls.is_some() { "on" } else { "off" }
        );
        println!("  connections   {}", sending.connections);
        println!("  ACK timeout   {:?}", sending.ack_timeout);
        let again = if sending.resend {
            "once, where an ACK was lost"
        } else {
            "never"
        };
        println!("  sends again   {again}");
    }
    if !config.destinations.is_empty() {
        println!("\ntakes messages to send on {}", config.outbound.bind);
    }
    match &config.state.directory {
        Some(directory) => println!(
            "\nstate in {} ({:?})",
            directory.display(),
            config.state.durability
        ),
        None => println!("\nstate in memory only: a restart forgets it"),
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
    let destinations: Vec<_> = config
        .destinations
        .iter()
        .map(|destination| {
            json!({
                "name": &*destination.name,
                "addresses": destination.sending.link.addresses,
                "tls": destination.sending.link.tls.is_some(),
                "connections": destination.sending.connections,
                "resend": destination.sending.resend,
            })
        })
        .collect();
    let outbound = (!destinations.is_empty()).then(|| config.outbound.bind.to_string());
    json!({"valid": true, "listeners": listeners, "destinations": destinations, "outbound": outbound,
        "state": config.state.directory, "admin": config.admin.bind.map(|address| address.to_string())})
}

fn errors_json(errors: &ConfigError) -> serde_json::Value {
    let errors: Vec<_> = errors
        .problems()
        .iter()
        .map(|problem| json!({"place": problem.place, "message": problem.message}))
        .collect();
    json!({"valid": false, "errors": errors})
}
