//! Format `fhir`: which messages become a bundle, and the bundle.

use super::outcome::{Outcome, Rejection};
use crate::config;
use crate::envelope::{Head, Source};
use crate::fhir::embedded::FILES;
use crate::fhir::{Converted, MapError, Mapper, NotCovered, Options};
use crate::hl7::ack::Fault;
use crate::telemetry::labels::Refusal;
use std::fs::{DirEntry, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The folders of a directory of maps.
const FOLDERS: [&str; 4] = ["messages", "segments", "datatypes", "vocabularies"];
/// A bundle is a tree while it is made, of some 8 KiB for each segment, on the thread that carries all messages.
const MOST_SEGMENTS: usize = 4096;
/// What is made of repetitions is compared with what was made before.
const MOST_REPETITIONS: usize = 2048;
/// Longest file of maps: the largest of the program's own has a tenth of it.
const LONGEST: u64 = 4 << 20;

/// One listener's maps, ready for its messages.
#[derive(Debug)]
pub struct Bundles {
    mapper: Mapper,
    pub(super) options: Options,
}

/// Why there are no maps. The configuration, or what it points to, is at fault.
#[derive(Debug, Error)]
pub enum BadMaps {
    /// The directory or a file in it cannot be read.
    #[error("cannot read {}: {}", .0.display(), .1)]
    File(PathBuf, #[source] io::Error),
    /// The directory has none of the folders.
    #[error("{} holds none of messages/, segments/, datatypes/ and vocabularies/ with a .yaml file in it", .0.display())]
    Nothing(PathBuf),
    /// What is wrong in the files, each with file and line.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Maps(Vec<MapError>),
}

impl Bundles {
    /// Reads and compiles the maps. Takes some milliseconds, and blocks.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(settings: &config::Fhir) -> Result<Self, BadMaps> {
        let own = match &settings.mappings {
            Some(directory) => read(directory)?,
            None => Vec::new(),
        };
        let own = own
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()));
        let files: Vec<(&str, &str)> = FILES.iter().copied().chain(own).collect();
        Ok(Self {
            mapper: Mapper::new(&files).map_err(BadMaps::Maps)?,
            options: Options {
                kind: settings.bundle,
                zone: settings.zone,
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
    pub(super) fn write(&self, source: &Source<'_>) -> Result<Vec<u8>, NotCovered> {
        let converted = self.convert(source, &self.options)?;
        Ok(converted.bundle)
    }

    /// The bundle once more, and which place of the message made which element of it.
    pub(super) fn explain(&self, source: &Source<'_>) -> Option<Converted> {
        let options = Options {
            explain: true,
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

/// A message that cannot become a bundle, though [`Bundles::takes`] was asked before.
pub(super) fn not_covered(why: &NotCovered) -> Outcome {
    Outcome::Rejected(Rejection {
        unsupported: true,
        faults: vec![Fault {
            location: match why {
                NotCovered::Event(_) => "MSH-9".parse().ok(),
                NotCovered::Patients => "PID[2]".parse().ok(),
            },
            condition: 200,
            text: why.to_string(),
            ..Fault::default()
        }],
        own: None,
        status: 0,
    })
}

/// The files of a directory by their paths, in the order of their names: what is made of them must not depend on the disk.
fn read(directory: &Path) -> Result<Vec<(String, String)>, BadMaps> {
    let bad = |path: &Path| {
        let path = path.to_owned();
        |error| BadMaps::File(path, error)
    };
    std::fs::read_dir(directory).map_err(bad(directory))?;
    let mut files = Vec::new();
    for folder in FOLDERS {
        let folder = directory.join(folder);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(bad(&folder)(error)),
        };
        let entries: Vec<DirEntry> = entries.collect::<Result<_, _>>().map_err(bad(&folder))?;
        let mut paths: Vec<PathBuf> = entries.iter().map(DirEntry::path).collect();
        // A mounted ConfigMap has its own files beside ours, with a dot before their names.
        paths.retain(|path| {
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            !hidden
                && path
                    .extension()
                    .is_some_and(|kind| kind == "yaml" || kind == "yml")
        });
        paths.sort();
        for path in paths {
            let text = read_file(&path).map_err(bad(&path))?;
            files.push((path.display().to_string(), text));
        }
    }
    match files.is_empty() {
        true => Err(BadMaps::Nothing(directory.to_owned())),
        false => Ok(files),
    }
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(LONGEST + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("longer than {LONGEST} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BundleType, Zone};

    fn settings(mappings: &Path) -> config::Fhir {
        config::Fhir {
            bundle: BundleType::Transaction,
            zone: Zone::default(),
            mappings: Some(mappings.to_owned()),
        }
    }

    #[test]
    fn an_error_in_a_map_names_its_file_and_line() {
        let folder = tempfile::TempDir::new().unwrap();
        let missing = folder.path().join("missing");
        for (path, expected) in [
            (missing.as_path(), "cannot read"),
            (folder.path(), "holds none of"),
        ] {
            let error = Bundles::load(&settings(path)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        std::fs::create_dir(folder.path().join("segments")).unwrap();
        let file = folder.path().join("segments/ZPI.yaml");
        std::fs::write(&file, "ZPI:\n  resource: Patient\n  nonsense: 1\n").unwrap();
        let error = Bundles::load(&settings(folder.path()))
            .unwrap_err()
            .to_string();
        let place = format!("{}:", file.display());
        let after = error
            .strip_prefix(&place)
            .unwrap_or_else(|| panic!("{error}"));
        let line: u32 = after.split(':').next().unwrap().parse().unwrap();
        assert!(line > 0, "{error}");
        assert!(error.contains("nonsense"), "{error}");
    }
}
