//! Format `fhir`: which messages become a bundle, and the bundle.

use super::maps::{self, BadMaps};
use super::outcome::Outcome;
use crate::config;
use crate::envelope::{Head, Source};
use crate::fhir::{Converted, Counted, Mapper, NotCovered, Options, Refused};
use crate::hl7::ack::Fault;
use crate::telemetry::ListenerMetrics;
use crate::telemetry::labels::{Refusal, Unused};

/// A bundle is a tree while it is made, on the thread that carries all messages: it and what is written of it are 2 KiB for a short
/// segment and 20 KiB for a full NK1.
const MOST_SEGMENTS: usize = 4096;
/// Each repetition of a field may make a resource of its own, and so is bounded as segments are.
const MOST_REPETITIONS: usize = 2048;

/// What a server says of each entry, in the words of the most talkative: a location, a version, an OperationOutcome.
const ANSWER: usize = 2048;

/// A bundle as it is sent.
#[derive(Debug)]
pub(super) struct Written {
    /// JSON on one line.
    pub json: Vec<u8>,
    /// How many entries it has.
    pub entries: usize,
    /// Values of the message that it lacks.
    pub counted: Counted,
}

/// Counts what is in no resource of a message that was accepted.
pub(super) fn count(counted: &Counted, metrics: &ListenerMetrics) {
    let number = |count| u64::try_from(count).unwrap_or(u64::MAX);
    metrics.fhir_values.inc_by(number(counted.values));
    for (why, count) in &counted.lost {
        let lost = metrics.fhir_values_lost.of(unused(*why));
        lost.inc_by(number(*count));
    }
}

fn unused(why: Option<Refused>) -> Unused {
    match why {
        None => Unused::Unread,
        Some(Refused::Date) => Unused::Date,
        Some(Refused::NoTime) => Unused::NoTime,
        Some(Refused::Number) => Unused::Number,
        Some(Refused::Code) => Unused::Code,
        Some(Refused::Uri) => Unused::Uri,
        Some(Refused::Encoding) => Unused::Encoding,
        Some(Refused::Vocabulary) => Unused::Vocabulary,
        Some(Refused::Table) => Unused::Table,
        Some(Refused::Period) => Unused::Period,
        Some(Refused::Taken) => Unused::Taken,
        Some(Refused::Incomplete) => Unused::Incomplete,
        Some(Refused::Unchanged) => Unused::Unchanged,
    }
}

/// The longest answer to a bundle that is read: one that says what became of each entry, and repeats what was sent. A bundle that is
/// stored is acknowledged, however many entries it has.
pub(super) fn most_of_answer(configured: usize, bundle: usize, entries: usize) -> usize {
    let each = entries.saturating_mul(ANSWER);
    configured.saturating_add(bundle).saturating_add(each)
}

/// One listener's maps, ready for its messages.
#[derive(Debug)]
pub struct Bundles {
    mapper: Mapper,
    pub(super) options: Options,
}

impl Bundles {
    /// Reads and compiles the maps. Takes some milliseconds, and blocks.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(settings: &config::Fhir) -> Result<Self, BadMaps> {
        Ok(Self {
            mapper: maps::compile(settings.mappings.as_deref())?,
            options: Options {
                kind: settings.bundle,
                zone: settings.zone,
                count: true,
                ..Options::default()
            },
        })
    }

    /// Whether a message can become a bundle.
    ///
    /// # Errors
    /// Why not.
    pub fn takes(&self, head: &Head<'_>, message: &[u8]) -> Result<(), Refusal> {
        let Head::Er7(header) = head else {
            return Err(Refusal::NoMap);
        };
        self.mapper.covers(header).map_err(|_| Refusal::NoMap)?;
        let ends = memchr::memchr2_iter(b'\r', b'\n', message).count();
        let repetitions = header.delimiters.repetition;
        let repetitions = repetitions.map_or(0, |byte| memchr::memchr_iter(byte, message).count());
        match ends > MOST_SEGMENTS || repetitions > MOST_REPETITIONS {
            true => Err(Refusal::TooLarge),
            false => Ok(()),
        }
    }

    /// The bundle of a message: the same bytes for the same message.
    pub(super) fn write(&self, source: &Source<'_>) -> Result<Written, NotCovered> {
        let Converted {
            bundle: json,
            entries,
            counted,
            ..
        } = self.convert(source, &self.options)?;
        Ok(Written {
            json,
            entries,
            counted,
        })
    }

    /// The bundle once more, and which place of the message made which element of it.
    pub(super) fn explain(&self, source: &Source<'_>) -> Option<Converted> {
        let options = Options {
            explain: true,
            count: false,
            ..self.options
        };
        self.convert(source, &options).ok()
    }

    fn convert(&self, source: &Source<'_>, options: &Options) -> Result<Converted, NotCovered> {
        let Head::Er7(header) = source.header else {
            return Err(NotCovered::Event(String::new()));
        };
        let utf8 = source.reading.is_utf8;
        self.mapper.convert(source.message, header, utf8, options)
    }
}

/// The answer to a message that cannot become a bundle, though [`Bundles::takes`] was asked before: the server is not asked.
pub(super) fn not_covered(why: &NotCovered, message: &[u8]) -> Outcome {
    let fault = Fault {
        location: location(why, message).and_then(|path| path.parse().ok()),
        text: why.to_string(),
        ..Fault::default()
    };
    Outcome::Refused(refusal(why), fault)
}

fn refusal(why: &NotCovered) -> Refusal {
    match why {
        NotCovered::Event(_) => Refusal::NoMap,
        NotCovered::TooMuch => Refusal::TooLarge,
        NotCovered::Lacks(_) => Refusal::Unidentified,
        NotCovered::Nobodys(_) => Refusal::NoPatient,
        NotCovered::Patients => Refusal::SeveralPatients,
        NotCovered::Same(_) => Refusal::OneIdentity,
        NotCovered::Refused(..) => Refusal::MapRule,
    }
}

/// The place in the message, where it is certain.
fn location<'w>(why: &'w NotCovered, message: &[u8]) -> Option<&'w str> {
    match why {
        NotCovered::Event(_) => Some("MSH-9"),
        NotCovered::Patients => Some("PID[2]"),
        NotCovered::Nobodys(at) | NotCovered::Refused(at, _) => Some(at),
        NotCovered::Lacks(what) => match what.as_str() {
            "patient" => Some("PID-3"),
            "encounter" => Some("PV1-19"),
            "account" => Some("PID-18"),
            "prior" => Some("MRG-1"),
            "prior-account" => Some("MRG-3"),
            "document" => Some("TXA-12"),
            "goal" => Some("GOL-4"),
            "problem" => Some("PRB-4"),
            _ => None,
        },
        // A merge with oneself. Which one it is of several merges is not said.
        NotCovered::Same(kind) if has_one_merge(message) => match kind.as_str() {
            "Patient" => Some("MRG-1"),
            "Account" => Some("MRG-3"),
            _ => None,
        },
        NotCovered::Same(_) | NotCovered::TooMuch => None,
    }
}

fn has_one_merge(message: &[u8]) -> bool {
    let segments = message.split(|byte| matches!(byte, b'\r' | b'\n'));
    segments
        .filter(|segment| segment.starts_with(b"MRG"))
        .count()
        == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ERR-2 says where the number belongs, whichever map asks for it.
    #[test]
    fn what_a_message_needs_and_lacks_has_a_place() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/messages");
        let mut seen = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let needs = text.lines().filter_map(|line| {
                let needs = line.trim().strip_prefix("needs: [")?;
                needs.strip_suffix(']')
            });
            for name in needs.flat_map(|names| names.split(", ")) {
                let why = NotCovered::Lacks(name.to_owned());
                assert!(location(&why, b"").is_some(), "{name}");
                seen += 1;
            }
        }
        assert!(seen > 5, "{seen}");
    }
}
