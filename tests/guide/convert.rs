//! The maps of the repository, and messages through them.

use crate::datatypes;
use crate::kept::repository;
use mllp_bridge::config::BundleType;
use mllp_bridge::fhir::{Explained, Mapper, Options};
use mllp_bridge::hl7::{Payload, peek};
use serde_json::Value;
use std::sync::OnceLock;

/// The maps as they are on disk, so that a map is tried without a build.
fn mapper() -> &'static Mapper {
    static MAPPER: OnceLock<Mapper> = OnceLock::new();
    MAPPER.get_or_init(|| {
        let mut files = Vec::new();
        for folder in ["messages", "segments", "datatypes", "vocabularies"] {
            let listed = std::fs::read_dir(repository("mappings").join(folder)).expect("a folder");
            for entry in listed {
                let path = entry.expect("a file").path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let text = std::fs::read_to_string(&path).expect("a file");
                files.push((format!("{folder}/{name}"), text));
            }
        }
        let there = |map: &str| {
            let starts = |text: &str| text.lines().any(|line| line == format!("{map}:"));
            files.iter().any(|(_, text)| starts(text))
        };
        files.extend(datatypes::site(&there));
        files.sort();
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        Mapper::of_any_elements(&files).expect("the maps")
    })
}

/// What became of a message.
pub struct Made {
    pub bundle: Value,
    pub trace: Vec<Explained>,
}

/// A message's bundle; `None` where no map covers its event.
pub fn convert(message: &str) -> Option<Made> {
    let Payload::V2(header) = peek(message.as_bytes()) else {
        panic!("no header: {message}")
    };
    let options = Options {
        kind: BundleType::Message,
        explain: true,
        ..Options::default()
    };
    let made = mapper()
        .convert(message.as_bytes(), &header, true, &options)
        .ok()?;
    Some(Made {
        bundle: serde_json::from_slice(&made.bundle).expect("JSON"),
        trace: made.explained,
    })
}

impl Made {
    /// Elements that a value at this place (`PID-5`) is in.
    pub fn of(&self, place: &str) -> Vec<String> {
        let here = |path: &str| {
            // `NTE[2]-3[1].2` is at NTE-3.
            let mut plain = String::new();
            let mut inside = false;
            for c in path.chars() {
                match c {
                    '[' => inside = true,
                    ']' => inside = false,
                    _ if !inside => plain.push(c),
                    _ => {}
                }
            }
            let rest = plain.strip_prefix(place);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
        };
        let found = self.trace.iter().filter(|one| here(&one.path));
        found.map(|one| one.element.replace("._", ".")).collect()
    }
}
