//! `inject`: what the webhook would do, to manifest files and without a cluster.

use super::{BAD_CONFIG, FAILED};
use crate::cli::{InjectArgs, Output};
use crate::config::Source;
use crate::injector::config;
use crate::injector::manifest::{Injected, Report, Target, run};
use crate::injector::patch::to_json;
use crate::injector::{Outcome, Settings};
use anyhow::Context;
use serde_json::{Value, json};
use similar::TextDiff;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Reads, injects, prints.
///
/// # Errors
/// If a file cannot be read, or the output not be written. Nothing has been printed to standard output in the first case.
pub fn main(args: &InjectArgs) -> anyhow::Result<ExitCode> {
    let source = match &args.config {
        Some(file) => Source::new().file(file),
        None => Source::new(),
    };
    let mut settings: Settings = match config::load(&source) {
        Ok(config) => config.settings,
        Err(errors) => {
            eprintln!("{errors}");
            return Ok(ExitCode::from(BAD_CONFIG));
        }
    };
    if let Some(image) = &args.image {
        settings.sidecar.image.clone_from(image);
    }
    let mut target = Target {
        namespace: args.namespace.clone(),
        labels: args.namespace_label.iter().cloned().collect(),
        ..Target::default()
    };
    let mut files = Vec::new();
    for path in &args.files {
        read(path, &mut files)?;
    }
    for (_, text) in &files {
        target.learn(text);
    }
    let mut results = Vec::new();
    for (name, text) in files {
        let injected = run(&text, &target, &settings);
        let injected = injected.map_err(|why| anyhow::anyhow!("{name}:{why}"))?;
        results.push(File {
            name,
            text,
            injected,
        });
    }
    let denied = results
        .iter()
        .flat_map(|file| &file.injected.reports)
        .any(|report| matches!(report.outcome, Outcome::Deny(_)));
    let out = if args.explain {
        explanation(&results, args.output)
    } else {
        complain(&results);
        match (args.diff, denied) {
            (true, _) => results.iter().map(File::diff).collect(),
            // A workload that is applied without its sidecar would be deaf: better nothing is applied.
            (false, true) => String::new(),
            (false, false) => joined(&results),
        }
    };
    match io::stdout().lock().write_all(out.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the output")
        }
        _ if denied => Ok(ExitCode::from(FAILED)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// One input and what became of it.
struct File {
    name: String,
    text: String,
    injected: Injected,
}

impl File {
    fn diff(&self) -> String {
        if self.text == self.injected.text {
            return String::new();
        }
        let diff = TextDiff::from_lines(&self.text, &self.injected.text);
        let name = &self.name;
        diff.unified_diff()
            .header(&format!("a/{name}"), &format!("b/{name}"))
            .to_string()
    }
}

/// A file, a directory's manifests, or standard input.
fn read(path: &Path, files: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin()
            .lock()
            .read_to_string(&mut text)
            .context("standard input")?;
        files.push(("standard input".into(), text));
        return Ok(());
    }
    let paths = if path.is_dir() {
        manifests(path).with_context(|| path.display().to_string())?
    } else {
        vec![path.to_owned()]
    };
    for path in paths {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).with_context(|| name.clone())?;
        files.push((name, text));
    }
    Ok(())
}

/// As `kubectl -f` does: not those of its folders.
fn manifests(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_file() && matches!(extension, Some("yaml" | "yml" | "json")) {
            found.push(path);
        }
    }
    anyhow::ensure!(!found.is_empty(), "no .yaml, .yml or .json files in it");
    found.sort();
    Ok(found)
}

/// All files as one stream of documents; a single one is exactly its text.
fn joined(files: &[File]) -> String {
    let mut out = String::new();
    for file in files {
        let text = &file.injected.text;
        if !out.is_empty() {
            if !out.ends_with('\n') {
                out.push('\n');
            }
            if !text.starts_with("---") {
                out.push_str("---\n");
            }
        }
        out.push_str(text);
    }
    out
}

/// `app.yaml: Deployment lab/app`
fn place(file: &File, report: &Report) -> String {
    let kind = match report.kind.as_str() {
        "" => "an object",
        kind => kind,
    };
    let name = match (report.namespace.as_str(), report.name.as_str()) {
        ("", "") => String::new(),
        ("", name) => format!(" {name}"),
        (namespace, name) => format!(" {namespace}/{name}"),
    };
    format!("{}: {kind}{name}", file.name)
}

/// Errors and what the user should know, beside the manifests.
fn complain(files: &[File]) {
    for file in files {
        for report in &file.injected.reports {
            let place = place(file, report);
            match &report.outcome {
                Outcome::Skip(_) => {}
                Outcome::Patch { warnings, .. } => {
                    for warning in warnings {
                        eprintln!("{place}: warning: {warning}");
                    }
                    if report.rewritten {
                        eprintln!("{place}: warning: {REWRITTEN}");
                    }
                }
                Outcome::Deny(errors) => {
                    for error in errors {
                        eprintln!("{place}: {error}");
                    }
                }
            }
        }
    }
}

const REWRITTEN: &str =
    "could not be edited in place, because of an alias for example: written anew, without comments";

fn explanation(files: &[File], output: Output) -> String {
    let all = files.iter().flat_map(|file| {
        file.injected
            .reports
            .iter()
            .map(move |report| (file, report))
    });
    if output == Output::Json {
        let all: Vec<Value> = all.map(|(file, report)| as_json(file, report)).collect();
        return format!("{:#}\n", Value::from(all));
    }
    all.map(|(file, report)| as_text(&place(file, report), report))
        .collect()
}

fn as_text(place: &str, report: &Report) -> String {
    match &report.outcome {
        Outcome::Skip(why) => format!("{place}: stays as it is: {why}\n"),
        Outcome::Patch { ops, warnings } => {
            let mut out = format!("{place}: gets its sidecar\n");
            for op in ops {
                out.push_str(&format!("    adds {}\n", op.pointer()));
            }
            let rewritten = report.rewritten.then_some(REWRITTEN);
            for warning in warnings.iter().map(String::as_str).chain(rewritten) {
                out.push_str(&format!("    warning: {warning}\n"));
            }
            out
        }
        Outcome::Deny(errors) => {
            let mut out = format!("{place}: is refused\n");
            for error in errors {
                out.push_str(&format!("    {error}\n"));
            }
            out
        }
    }
}

fn as_json(file: &File, report: &Report) -> Value {
    let mut out = json!({
        "file": file.name,
        "kind": report.kind,
        "namespace": report.namespace,
        "name": report.name,
    });
    match &report.outcome {
        Outcome::Skip(why) => {
            out["result"] = "skipped".into();
            out["reason"] = why.as_str().into();
        }
        Outcome::Patch { ops, warnings } => {
            out["result"] = "patched".into();
            out["warnings"] = warnings.clone().into();
            out["rewritten"] = report.rewritten.into();
            out["patch"] = to_json(ops);
        }
        Outcome::Deny(errors) => {
            let errors = errors
                .iter()
                .map(|error| json!({"field": error.field, "message": error.message}));
            out["result"] = "denied".into();
            out["errors"] = errors.collect();
        }
    }
    out
}
