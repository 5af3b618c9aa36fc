//! A site's own maps: read from a directory, and compiled together with the program's.

use crate::fhir::embedded::FILES;
use crate::fhir::{MapError, Mapper};
use std::fs::{DirEntry, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The folders of a directory of maps.
const FOLDERS: [&str; 4] = ["messages", "segments", "datatypes", "vocabularies"];
/// Longest file of maps: the largest of the program's own has a tenth of it.
const LONGEST: u64 = 4 << 20;

/// Why there are no maps. The configuration, or what it points to, is at fault.
#[derive(Debug, Error)]
pub enum BadMaps {
    /// The directory or a file in it cannot be read.
    #[error("cannot read {}: {}", .0.display(), .1)]
    File(PathBuf, io::Error),
    /// The directory has none of the folders.
    #[error("{} holds none of messages/, segments/, datatypes/ and vocabularies/ with a .yaml file in it", .0.display())]
    Nothing(PathBuf),
    /// What is wrong in the files, each with file and line.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Maps(Vec<MapError>),
}

/// The program's maps and, over them, those of a directory. Takes some milliseconds, and blocks.
///
/// # Errors
/// What is wrong with them.
pub fn compile(own: Option<&Path>) -> Result<Mapper, BadMaps> {
    let own = own.map(read).transpose()?.unwrap_or_default();
    let own = own
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    let files: Vec<(&str, &str)> = FILES.iter().copied().chain(own).collect();
    Mapper::new(&files).map_err(BadMaps::Maps)
}

/// The files of a directory by their paths, in the order of their names: what is made of them must not depend on the disk.
pub(super) fn read(directory: &Path) -> Result<Vec<(String, String)>, BadMaps> {
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

/// A file's text. Anything but a file is refused before it is opened: a pipe that nobody writes to would be waited for.
pub(super) fn read_file(path: &Path) -> io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LONGEST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("longer than {LONGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let whole = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..whole];
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        io::Error::other(format!("line {line} is not in UTF-8"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_a_map_names_its_file_and_line() {
        let folder = tempfile::TempDir::new().unwrap();
        let missing = folder.path().join("missing");
        for (path, expected) in [
            (missing.as_path(), "cannot read"),
            (folder.path(), "holds none of"),
        ] {
            let error = compile(Some(path)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        std::fs::create_dir(folder.path().join("segments")).unwrap();
        let file = folder.path().join("segments/ZPI.yaml");
        std::fs::write(&file, "ZPI:\n  resource: Patient\n  nonsense: 1\n").unwrap();
        let error = compile(Some(folder.path())).unwrap_err().to_string();
        let place = format!("{}:", file.display());
        let after = error
            .strip_prefix(&place)
            .unwrap_or_else(|| panic!("{error}"));
        let line: u32 = after.split(':').next().unwrap().parse().unwrap();
        assert!(line > 0, "{error}");
        assert!(error.contains("nonsense"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_in_utf_8_is_named_once_with_its_line() {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("vocabularies")).unwrap();
        let file = folder.path().join("vocabularies/v.yaml");
        std::fs::write(&file, b"Site:\n  codes:\n    W: f\xe9minin\n").unwrap();
        let error = compile(Some(folder.path())).unwrap_err();
        let whole = format!("{:#}", anyhow::Error::from(error));
        let said = format!("cannot read {}: line 3 is not in UTF-8", file.display());
        assert_eq!(whole, said);
    }

    #[test]
    fn a_segment_map_of_a_directory_is_one_as_the_programs_are() {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("segments")).unwrap();
        let file = folder.path().join("segments/ZPI.yaml");
        let text = "ZPI[Patient]:\n  resource: Patient\n  rows:\n    - {to: gender, from: ZPI.2}\n";
        std::fs::write(&file, text).unwrap();
        let error = compile(Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("write one as PID-3"), "{error}");
    }

    /// What a directory of one file each, by their paths, is said to be.
    fn compiled(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Mapper, String>) {
        let folder = tempfile::TempDir::new().unwrap();
        for (path, text) in files {
            let file = folder.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let mapper = compile(Some(folder.path())).map_err(|error| error.to_string());
        (folder, mapper)
    }

    #[test]
    fn an_error_in_what_is_added_names_the_file_that_adds() {
        for (path, text, line, what) in [
            (
                "segments/site.yaml",
                "PID[Patient]:\n  extends: true\n  rows:\n    - {to: gender, from: ZPI-2, as: cod}\n",
                4,
                "`cod` is neither",
            ),
            (
                "segments/site.yaml",
                "PID[Patient]:\n  extends: true\n  key: [PID-2]\n  rows: []\n",
                2,
                "`key`",
            ),
            (
                "segments/site.yaml",
                "PID[Patients]:\n  extends: true\n  rows: []\n",
                2,
                "there is no `PID[Patients]` to extend",
            ),
            (
                "messages/site.yaml",
                "ADT_A01:\n  extends: true\n  body:\n    - {segment: ZPI, after: PDX}\n",
                4,
                "there is no `PDX`",
            ),
            (
                "messages/site.yaml",
                "ADT_A01:\n  extends: true\n  body:\n    - {segment: ZPI}\n",
                4,
                "needs `after`",
            ),
            (
                "messages/site.yaml",
                "ADT_A01:\n  extends: true\n  body:\n    - segment: ZPI\n      after: PID\n      maps:\n        - {map: \"ZPI[Patient]\", into: patient}\n",
                7,
                "there is no segment map",
            ),
            (
                "messages/site.yaml",
                "ADT_A01:\n  extends: true\n  body: []\n  links:\n    - {of: nobody, to: subject, target: patient}\n",
                5,
                "called `nobody`",
            ),
            (
                "vocabularies/site.yaml",
                "AdministrativeSexes:\n  extends: true\n  codes: {\"W\": female}\n",
                2,
                "there is no `AdministrativeSexes`",
            ),
        ] {
            let (folder, mapper) = compiled(&[(path, text)]);
            let error = mapper.err().unwrap_or_else(|| panic!("accepted:\n{text}"));
            let place = format!("{}:{line}: ", folder.path().join(path).display());
            assert!(error.starts_with(&place), "not {place} but {error}");
            assert!(error.contains(what), "{error}");
        }
    }
}
