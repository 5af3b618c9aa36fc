//! What is to be sent: the messages of files, of directories and of standard input, each in its block.

use crate::hl7::charset::{AS_IT_SAYS, as_text};
use crate::hl7::{Payload, Terminator, split};
use crate::outbound::{self, Block, ControlId, Error, Options};
use crate::xml;
use anyhow::{Context, bail};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Every message once, in the order in which they are sent.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Names of the files that hold messages.
    pub(super) files: Vec<String>,
    /// The messages.
    pub(super) entries: Vec<Entry>,
    /// What the user should know of them.
    pub(super) notes: Vec<String>,
}

/// One message of a file.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its file, by number.
    pub(super) file: usize,
    /// Which message of the file, from 1.
    pub(super) number: usize,
    /// MSH-10.
    pub(super) control_id: ControlId,
    /// Ready to send, or why it cannot be.
    pub(super) block: Result<Block, Error>,
}

/// What is counted for the notes.
#[derive(Default)]
struct Oddities {
    skipped: usize,
    lf: usize,
    no_header: usize,
}

impl Plan {
    /// Reads everything that was named; `-` is standard input.
    ///
    /// # Errors
    /// If something cannot be read, or if nothing holds a message.
    pub(super) fn read(paths: &[PathBuf], options: &Options) -> anyhow::Result<Self> {
        let mut plan = Self::default();
        let mut odd = Oddities::default();
        for path in paths {
            if path.as_os_str() == "-" {
                let mut bytes = Vec::new();
                let read = std::io::stdin().lock().read_to_end(&mut bytes);
                read.context("cannot read standard input")?;
                plan.add("stdin", &bytes, options, &mut odd);
            } else if path.is_dir() {
                plan.add_directory(path, options, &mut odd)?;
            } else {
                let bytes = read(path)?;
                plan.add(&path.display().to_string(), &bytes, options, &mut odd);
            }
        }
        if plan.entries.is_empty() {
            let names: Vec<_> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            bail!("there is no message in {}", names.join(", "));
        }
        plan.notes = odd.notes();
        Ok(plan)
    }

    /// The files of one directory by name: those called *.hl7, and any others that hold messages.
    fn add_directory(
        &mut self,
        directory: &Path,
        options: &Options,
        odd: &mut Oddities,
    ) -> anyhow::Result<()> {
        let failed = || format!("cannot read the directory {}", directory.display());
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !hidden && path.is_file() {
                paths.push(path);
            }
        }
        paths.sort();
        for path in paths {
            let bytes = read(&path)?;
            let called = path
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("hl7"));
            if called || holds_messages(&bytes) {
                self.add(&path.display().to_string(), &bytes, options, odd);
            } else {
                odd.skipped += 1;
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, bytes: &[u8], options: &Options, odd: &mut Oddities) {
        let file = self.files.len();
        let messages = split::messages(bytes);
        if messages.is_empty() {
            odd.skipped += 1;
            return;
        }
        self.files.push(name.to_owned());
        for (place, range) in messages.into_iter().enumerate() {
            let message = bytes.get(range).unwrap_or_default();
            let transcoded = OnceLock::new();
            let (_, payload) = as_text(message, AS_IT_SAYS, &transcoded);
            let control_id = match payload.header() {
                Some(header) => {
                    odd.lf += usize::from(header.terminator != Terminator::Cr);
                    ControlId::new(header.control_id())
                }
                None => {
                    let id = outbound::control_id(message);
                    odd.no_header += usize::from(id.is_empty());
                    ControlId::new(&id)
                }
            };
            self.entries.push(Entry {
                file,
                number: place + 1,
                control_id,
                block: Block::new(message, options),
            });
        }
    }

    /// The file that a message is from.
    pub(super) fn file(&self, entry: &Entry) -> &str {
        self.files.get(entry.file).map_or("", String::as_str)
    }

    /// A message as the user finds it: `adt.hl7 #3`.
    pub(super) fn name(&self, entry: &Entry) -> String {
        format!("{} #{}", self.file(entry), entry.number)
    }
}

impl Oddities {
    fn notes(&self) -> Vec<String> {
        let counted = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            more => Some(format!("{more} {many}")),
        };
        [
            counted(
                self.lf,
                "message ends its segments in LF, not CR: sent as it is",
                "messages end their segments in LF, not CR: sent as they are",
            ),
            counted(
                self.no_header,
                "message has no MSH segment: sent as it is",
                "messages have no MSH segment: sent as they are",
            ),
            counted(
                self.skipped,
                "file without a message left out",
                "files without a message left out",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn holds_messages(bytes: &[u8]) -> bool {
    let first = split::messages(bytes).into_iter().next();
    let message = first.and_then(|range| bytes.get(range)).unwrap_or_default();
    let transcoded = OnceLock::new();
    let (message, payload) = as_text(message, AS_IT_SAYS, &transcoded);
    match payload {
        Payload::V2(_) | Payload::Batch(_) | Payload::BadDelimiters(_) => true,
        Payload::Xml => xml::Message::read(message).is_ok(),
        Payload::Other => false,
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plan: &Plan) -> Vec<String> {
        let entries = plan.entries.iter();
        entries
            .map(|entry| format!("{}={}", plan.name(entry), entry.control_id))
            .collect()
    }

    #[test]
    fn files_and_directories_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("b.hl7", "MSH|^~\\&|||||||ADT|B1\rMSH|^~\\&|||||||ADT|B2\r");
        write("a.txt", "MSH|^~\\&|||||||ADT|A1\nPID|1\n");
        write("c.HL7", "not HL7 at all");
        write("README", "not HL7 at all");
        write("empty.hl7", "\n");
        write(".hidden.hl7", "MSH|^~\\&|||||||ADT|H1\r");
        fs::create_dir(folder.path().join("deeper")).unwrap();
        let options = Options::default();
        let plan = Plan::read(&[folder.path().to_owned()], &options).unwrap();
        let prefix = format!("{}/", folder.path().display());
        let found: Vec<_> = names(&plan)
            .iter()
            .map(|name| name.replace(&prefix, ""))
            .collect();
        assert_eq!(
            found,
            ["a.txt #1=A1", "b.hl7 #1=B1", "b.hl7 #2=B2", "c.HL7 #1="]
        );
        assert_eq!(
            plan.notes,
            [
                "1 message ends its segments in LF, not CR: sent as it is",
                "1 message has no MSH segment: sent as it is",
                "2 files without a message left out"
            ]
        );
        let empty = Plan::read(&[folder.path().join("empty.hl7")], &options).unwrap_err();
        assert!(empty.to_string().starts_with("there is no message in "));
        let absent = Plan::read(&[folder.path().join("absent")], &options).unwrap_err();
        assert!(absent.to_string().starts_with("cannot read "));
    }
}
