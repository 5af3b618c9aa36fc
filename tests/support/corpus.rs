//! Public HL7 messages from many projects, which lie beside the repository and are not part of it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use mllp_bridge::hl7::split;

/// Names another folder than `../shared/corpus`.
const FOLDER: &str = "MLLP_BRIDGE_TEST_CORPUS";

/// One message of the corpus.
pub struct Sample {
    /// File, and the number of the message in it where there are several.
    pub name: String,
    /// Without a block around it.
    pub bytes: Vec<u8>,
}

/// All messages, in the order of their files' names. Where there is no corpus, says so and returns `None`: what a test asserts
/// of it, another one has to assert of synthetic messages.
pub fn corpus() -> Option<Vec<Sample>> {
    let folder = std::env::var_os(FOLDER).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    if !folder.join("manifest.tsv").is_file() {
        eprintln!(
            "skipped: no corpus at {}; {FOLDER} can name another folder",
            folder.display()
        );
        return None;
    }
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    assert!(
        !files.is_empty(),
        "a corpus without messages at {}",
        folder.display()
    );
    let mut samples = Vec::new();
    for path in &files {
        let bytes =
            std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path
            .strip_prefix(&folder)
            .unwrap_or(path)
            .display()
            .to_string();
        let messages = split::messages(&bytes);
        assert!(!messages.is_empty(), "{name} holds no message");
        let several = messages.len() > 1;
        let sample = |(at, range): (usize, Range<usize>)| Sample {
            name: if several {
                format!("{name}#{}", at + 1)
            } else {
                name.clone()
            },
            bytes: bytes[range].to_vec(),
        };
        samples.extend(messages.into_iter().enumerate().map(sample));
    }
    Some(samples)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "hl7") {
            files.push(path);
        }
    }
}
