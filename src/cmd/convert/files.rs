//! The files that arguments name: those of a directory in the order of their paths, whatever order the disk has.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

/// What is to be read, and what cannot be.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) found: Vec<PathBuf>,
    /// What is none, or cannot be read, and why.
    pub(super) problems: Vec<String>,
    /// Whether one was a directory.
    pub(super) many: bool,
}

impl Files {
    /// Of arguments: files as they are, and all that is in directories.
    pub(super) fn of(arguments: &[PathBuf]) -> Self {
        let mut files = Self::default();
        for argument in arguments {
            if argument.as_os_str() == "-" || !argument.is_dir() {
                files.found.push(argument.clone());
                continue;
            }
            files.many = true;
            let (before, problems) = (files.found.len(), files.problems.len());
            files.walk(argument);
            if (files.found.len(), files.problems.len()) == (before, problems) {
                let problem = format!("{}: holds no file", argument.display());
                files.problems.push(problem);
            }
            files.found[before..].sort();
        }
        files
    }

    /// Names that begin with a dot are not for us, and a directory behind a link may hold itself.
    fn walk(&mut self, directory: &Path) {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                let problem = format!("{}: {error}", directory.display());
                return self.problems.push(problem);
            }
        };
        for entry in entries.flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.walk(&path);
                continue;
            }
            let problem = match std::fs::metadata(&path) {
                Ok(kind) if kind.is_file() => {
                    self.found.push(path);
                    continue;
                }
                Ok(kind) if kind.is_dir() => continue,
                // A pipe that nobody writes to would be waited for.
                Ok(_) => "it is not a file".to_owned(),
                Err(error) => error.to_string(),
            };
            self.problems.push(format!("{}: {problem}", path.display()));
        }
        self.problems.sort();
    }
}

/// All of a file, or of standard input.
pub(super) fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file.as_os_str() != "-" {
        return std::fs::read(file);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// On a terminal only, and not among the results.
pub(super) fn bar(files: usize, quiet: bool) -> ProgressBar {
    if quiet || files < 2 || !io::stderr().is_terminal() || io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{bar:40} {human_pos} of {human_len} files  {per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(files as u64).with_style(style)
}
