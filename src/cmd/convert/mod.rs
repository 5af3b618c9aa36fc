//! `convert`: what the app would be sent for a message, without a network; and the way back.
//!
//! The same parts as `run`'s: files are split into messages, and each is admitted, read and written as it would be behind a
//! listener with default settings.

mod fhir;
mod files;
mod tally;

use self::fhir::Fhir;
use self::files::Files;
use self::tally::Tally;
use super::FAILED;
use crate::cli::{ConvertArgs, Target};
use crate::config::{self, Overrides, Session, Source as ConfigSource};
use crate::envelope::{Envelope, EventId, Head, Shape, Source, read};
use crate::fhir::{Options, Zone};
use crate::hl7::ack::{self, code};
use crate::hl7::batch::{self, Part};
use crate::hl7::charset::as_text;
use crate::hl7::path::Path;
use crate::hl7::{Index, Payload, peek, split};
use crate::inbound::admit::{Kind, admit, answer, head_of, take_apart, warnings};
use crate::inbound::frame::{Frame, Place};
use crate::runtime::Clock;
use crate::telemetry::labels::{Label, Refusal};
use anyhow::Context;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

/// Stands where the listener's name would, in `source`.
const LISTENER: &str = "convert";
/// Stands where the sender's address would.
const PEER: &str = "127.0.0.1";
/// A message that has other places than ER7.
const NO_PLACES: &str = "XML: --get reads ER7 only";
/// Bad usage.
const USAGE: u8 = 2;
/// Larger output is written in pieces of about this size.
const PIECE: usize = 1 << 20;

/// Converts every file.
///
/// # Errors
/// If the output cannot be written. What is wrong with a file or a message is printed, and the others go on.
pub fn main(args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    let path = match args.get.as_deref().map(str::parse::<Path>).transpose() {
        Ok(path) => path,
        Err(error) => {
            let text = args.get.as_deref().unwrap_or_default();
            eprintln!("mllp-bridge: --get {text}: {error}");
            return Ok(ExitCode::from(USAGE));
        }
    };
    let Some(zone) = Zone::parse(&args.zone) else {
        eprintln!("mllp-bridge: --zone {}: write one as +01:00", args.zone);
        return Ok(ExitCode::from(USAGE));
    };
    let fhir = match args.to {
        Target::Fhir => {
            let options = Options {
                kind: args.bundle_type,
                zone,
                explain: args.explain,
                ledger: args.ledger,
                count: false,
            };
            Some(Fhir::new(options, args.mappings.as_deref())?)
        }
        _ => None,
    };
    let mut converter = Converter {
        out: BufWriter::new(io::stdout().lock()),
        session: default_session()?,
        clock: Clock::default(),
        pretty: args.pretty,
        shape: Shape {
            structured: true,
            raw: !args.no_raw,
            parsed: !args.no_parsed,
        },
        open_line: false,
        tally: Tally::default(),
    };
    let files = Files::of(&args.files);
    let mut failed = !files.problems.is_empty();
    for problem in &files.problems {
        eprintln!("{problem}");
    }
    let bar = files::bar(files.found.len(), args.quiet);
    for file in &files.found {
        let problems = match files::read(file) {
            Err(error) => vec![error.to_string()],
            Ok(bytes) => {
                let problems = match (&path, &fhir, args.to) {
                    (Some(path), _, _) => converter.values(&bytes, path),
                    (None, Some(fhir), _) => converter.bundles(&bytes, fhir),
                    (None, None, Target::Er7) => converter.messages(&bytes),
                    (None, None, _) => converter.envelopes(&bytes),
                };
                match problems {
                    // The reader has seen enough.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                    other => other.context("cannot write the output")?,
                }
            }
        };
        failed |= !problems.is_empty();
        bar.suspend(|| tell(file, &problems));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let written = converter.out.flush();
    let tally = &converter.tally;
    if !args.quiet && (files.many || fhir.is_some() && (args.ledger || tally.read > 1)) {
        eprintln!("{}", tally.line(files.found.len(), args));
    }
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the output")
        }
        _ if failed => Ok(ExitCode::from(FAILED)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// What is wrong with a file or its messages.
fn tell(file: &std::path::Path, problems: &[String]) {
    let name = match file.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    };
    for problem in problems {
        eprintln!("{name}: {problem}");
    }
}

/// The settings of a listener for which nothing is configured; the environment does not change them.
fn default_session() -> anyhow::Result<Arc<Session>> {
    let flags = Overrides {
        // There is no listener without an app; nothing is sent to it.
        app: Some("http://127.0.0.1/".into()),
        ..Overrides::default()
    };
    let config = config::load(&ConfigSource::new().flags(flags)).context("the default settings")?;
    let listener = config.listeners.first().context("no default listener")?;
    Ok(Arc::clone(&listener.session))
}

/// The messages of a batch or file; anything else is one.
fn of_batch(file: &[u8], range: Range<usize>) -> Vec<Range<usize>> {
    let block = file.get(range.clone()).unwrap_or_default();
    let parts = match peek(block) {
        Payload::Batch(header) => batch::split(block, &header),
        _ => return vec![range],
    };
    match parts {
        Err(_) => vec![range],
        Ok(parts) => parts
            .into_iter()
            .filter_map(|part| match part {
                Part::Message(inner) => Some(range.start + inner.start..range.start + inner.end),
                _ => None,
            })
            .collect(),
    }
}

/// Where results go, and how they are made.
struct Converter<W> {
    out: W,
    session: Arc<Session>,
    clock: Clock,
    pretty: bool,
    shape: Shape,
    /// The last message written as ER7 did not end its last segment.
    open_line: bool,
    tally: Tally,
}

impl<W: Write> Converter<W> {
    /// Each message's envelope; what is wrong with those that have none.
    fn envelopes(&mut self, file: &[u8]) -> io::Result<Vec<String>> {
        self.clock.tick();
        self.each(file, |converter, message| {
            let bytes = message;
            let transcoded = OnceLock::new();
            let (message, payload) = as_text(bytes, converter.session.charset, &transcoded);
            let (header, kind) = match head_of(message, payload) {
                Ok(known) => known,
                Err(refusal) => return Ok(Err(refused(refusal, false))),
            };
            // What could be taken out of a batch has been.
            let whole = Frame::Whole(0..bytes.len());
            let both = (bytes, message);
            let kind = take_apart(&whole, both, &header, kind, Place::InBatch).unwrap_or(kind);
            let frame = if bytes.len() > converter.session.limits.max_message_bytes {
                Frame::Oversized(Vec::new())
            } else {
                Frame::Whole(0..bytes.len())
            };
            let mut deviations = Vec::new();
            let session = &converter.session;
            let transcoded = transcoded.get();
            let admitted = admit(
                message,
                &header,
                &frame,
                kind,
                transcoded,
                session,
                &mut deviations,
            );
            let reading = match admitted {
                Ok(reading) => reading,
                Err(refusal) => return Ok(Err(refused(refusal, header.is_answered()))),
            };
            let warnings = warnings(&deviations);
            let source = Source {
                bytes,
                message,
                header: &header,
                reading,
                id: EventId::new(bytes, header.control_id()),
                received: converter.clock.rfc3339(),
                listener: LISTENER,
                peer: PEER,
                warnings: &warnings,
            };
            let mut envelope = Envelope::new(source, converter.shape);
            let mut body = Vec::new();
            if converter.pretty {
                envelope.fill(&mut body, usize::MAX);
                let value: Value = serde_json::from_slice(&body)?;
                serde_json::to_writer_pretty(&mut converter.out, &value)?;
            } else {
                while !envelope.fill(&mut body, PIECE) {
                    converter.out.write_all(&body)?;
                    body.clear();
                }
                converter.out.write_all(&body)?;
            }
            converter.out.write_all(b"\n")?;
            Ok(Ok(()))
        })
    }

    /// The raw value at a place (in UTF-8 where the message had to become that) of each message; an empty line where a message does not reach there.
    fn values(&mut self, file: &[u8], path: &Path) -> io::Result<Vec<String>> {
        self.each(file, |converter, message| {
            let transcoded = OnceLock::new();
            let (message, payload) = as_text(message, converter.session.charset, &transcoded);
            let header = match head_of(message, payload) {
                Ok((Head::Er7(header), Kind::Message)) => header,
                Ok((Head::Xml(_), _)) => return Ok(Err(NO_PLACES.into())),
                Ok((_, Kind::Batch | Kind::Unsplit(_))) => {
                    return Ok(Err(refused(Refusal::Batch, true)));
                }
                Ok((_, Kind::BadDelimiters)) => {
                    return Ok(Err(refused(Refusal::BadDelimiters, true)));
                }
                Err(refusal) => return Ok(Err(refused(refusal, false))),
            };
            let index = Index::new(message, &header);
            let value = index.get(path).unwrap_or_default();
            converter.out.write_all(value)?;
            converter.out.write_all(b"\n")?;
            Ok(Ok(()))
        })
    }

    /// Calls `convert` for each message of a file, and numbers what it complains of.
    fn each(
        &mut self,
        file: &[u8],
        mut convert: impl FnMut(&mut Self, &[u8]) -> io::Result<Result<(), String>>,
    ) -> io::Result<Vec<String>> {
        let messages: Vec<Range<usize>> = split::messages(file)
            .into_iter()
            .flat_map(|range| of_batch(file, range))
            .collect();
        if messages.is_empty() {
            return Ok(vec!["holds no message".into()]);
        }
        let mut problems = Vec::new();
        for (at, range) in messages.into_iter().enumerate() {
            self.tally.read += 1;
            if let Err(problem) = convert(self, &file[range])? {
                self.tally.refused += 1;
                problems.push(format!("message {}: {problem}", at + 1));
            }
        }
        Ok(problems)
    }

    /// The message of each envelope: JSON documents, one after another with any white space between them.
    fn messages(&mut self, file: &[u8]) -> io::Result<Vec<String>> {
        let mut documents = serde_json::Deserializer::from_slice(file).into_iter::<IgnoredAny>();
        let mut problems = Vec::new();
        let mut number = 0;
        loop {
            let start = documents.byte_offset();
            let next = documents.next();
            number += 1;
            let message = match next {
                None if number == 1 => return Ok(vec!["holds no envelope".into()]),
                None => return Ok(problems),
                // Where the next document begins after this, nobody can tell.
                Some(Err(error)) => {
                    self.tally.read += 1;
                    self.tally.refused += 1;
                    let (line, column) = (error.line(), error.column());
                    problems.push(format!(
                        "message {number}: not JSON: line {line}, column {column}"
                    ));
                    return Ok(problems);
                }
                Some(Ok(IgnoredAny)) => read::to_er7(&file[start..documents.byte_offset()]),
            };
            self.tally.read += 1;
            match message {
                Ok(message) => self.er7(&message)?,
                Err(error) => {
                    self.tally.refused += 1;
                    problems.push(format!("message {number}: {error}"));
                }
            }
        }
    }

    fn er7(&mut self, message: &[u8]) -> io::Result<()> {
        if self.open_line {
            self.out.write_all(b"\r")?;
        }
        self.open_line = !message.ends_with(b"\r") && !message.ends_with(b"\n");
        self.out.write_all(message)
    }
}

fn refused(refusal: Refusal, answered: bool) -> String {
    let (verdict, fault) = answer(refusal);
    let kind = refusal.label();
    match answered {
        false => format!("{} ({kind})", fault.text),
        true => format!(
            "{} ({kind}); the bridge would answer {}",
            fault.text,
            code(ack::Kind::Original, verdict).label()
        ),
    }
}
