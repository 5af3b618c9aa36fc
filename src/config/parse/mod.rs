//! From what the user gave to a [`Config`] that can run, or to every error at once.
//!
//! ```text
//! file ──yaml──► tree ◄─overlay── environment, flags
//!                 │ decode: unknown keys, unreadable values
//!                 ▼
//!            raw::Config
//!                 │ check: ranges, rules between keys
//!                 ▼
//!       Config, or ConfigError
//! ```
//!
//! Must not do: read the process's environment, bind, resolve or connect. The one file that it
//! reads is the one that it was given.

mod check;
mod decode;
mod error;
mod overlay;
#[cfg(test)]
mod tests;
pub mod units;
mod url;

use std::ffi::OsString;
use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;

use serde_json::{Map, Value};

use serde::de::DeserializeOwned;

pub use error::{ConfigError, Problem, Problems, shown};

use super::Config;
pub use decode::unknown;

/// Longest configuration file that is read. A mistaken `--config /dev/zero` ends here.
const LONGEST_FILE: u64 = 1 << 20;

/// Where a configuration comes from. Later sources win: defaults, file, environment, flags.
#[derive(Clone, Default)]
pub struct Source {
    file: Option<File>,
    env: Vec<(String, OsString)>,
    flags: Overrides,
}

#[derive(Clone)]
enum File {
    Path(PathBuf),
    Text(String),
}

/// Flags of `run`, each `None` where it was not given. Those of a listener go to the first, which
/// is made if there is none.
#[derive(Clone, Default)]
pub struct Overrides {
    /// `--listen`: `listeners[0].bind`.
    pub listen: Option<String>,
    /// `--app`: `listeners[0].deliver.url`.
    pub app: Option<String>,
    /// `--format`: `listeners[0].deliver.format`.
    pub format: Option<String>,
    /// `--admin`: `admin.bind`.
    pub admin: Option<String>,
    /// `--threads`: `threads`.
    pub threads: Option<usize>,
    /// `--log-level`: `log.level`.
    pub log_level: Option<String>,
    /// `--log-format`: `log.format`.
    pub log_format: Option<String>,
    /// `--shutdown-deadline`: `shutdown.deadline`.
    pub shutdown_deadline: Option<String>,
}

impl Source {
    /// No file, no environment, no flags.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a YAML file. It is read by [`load`], each time anew.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(File::Path(path.into()));
        self
    }

    /// With YAML text instead of a file.
    #[must_use]
    pub fn text(mut self, yaml: impl Into<String>) -> Self {
        self.file = Some(File::Text(yaml.into()));
        self
    }

    /// With environment variables; those without the prefix `MLLP_BRIDGE_` are passed over.
    #[must_use]
    pub fn env<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let name = name.into().into_string().ok()?;
            name.starts_with(overlay::PREFIX)
                .then(|| (name, value.into()))
        });
        self.env.extend(ours);
        self
    }

    /// With flags.
    #[must_use]
    pub fn flags(mut self, flags: Overrides) -> Self {
        self.flags = flags;
        self
    }
}

// Variables and URLs may hold passwords.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = match &self.file {
            Some(File::Path(path)) => Some(path.display().to_string()),
            Some(File::Text(_)) => Some("(text)".into()),
            None => None,
        };
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Source")
            .field("file", &file)
            .field("env", &names)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overrides").finish_non_exhaustive()
    }
}

/// Reads a configuration.
///
/// # Errors
///
/// Everything that is wrong with it, together. Only a file that cannot be read, or is not YAML,
/// hides what else may be wrong.
pub fn load(source: &Source) -> Result<Config, ConfigError> {
    load_with(source, check::check)
}

/// Reads another configuration of this program, with its own keys and its own rules.
///
/// # Errors
///
/// As [`load`].
pub fn load_with<Raw, Checked>(
    source: &Source,
    check: impl FnOnce(Raw, &mut Problems) -> Checked,
) -> Result<Checked, ConfigError>
where
    Raw: DeserializeOwned + Default,
{
    let mut problems = Problems::default();
    let mut tree = match &source.file {
        Some(file) => read(file, &mut problems),
        None => Value::Null,
    };
    overlay::environment(&mut tree, &source.env, &mut problems);
    overlay::flags(&mut tree, &source.flags, &mut problems);
    if tree.is_null() {
        tree = Value::Object(Map::new());
    }
    let raw = decode::decode(tree, &mut problems);
    let config = check(raw, &mut problems);
    problems.into_result(config)
}

/// The file's tree; a mapping, or null if there is nothing in it.
fn read(file: &File, problems: &mut Problems) -> Value {
    let (place, text) = match file {
        File::Path(path) => (path.display().to_string(), read_file(path)),
        File::Text(text) => ("configuration".to_owned(), Ok(text.clone())),
    };
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            problems.set_unreadable(place, error.to_string().to_lowercase());
            return Value::Null;
        }
    };
    match yaml(&text) {
        Ok(tree @ (Value::Object(_) | Value::Null)) => tree,
        Ok(_) => {
            let expected = "expected a mapping of keys such as listeners: at the top";
            problems.set_unreadable(place, expected);
            Value::Null
        }
        Err((at, why)) => {
            problems.set_unreadable(format!("{place}{at}"), why);
            Value::Null
        }
    }
}

fn read_file(path: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(LONGEST_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST_FILE {
        return Err(std::io::Error::other(format!(
            "longer than {LONGEST_FILE} bytes"
        )));
    }
    Ok(text)
}

/// YAML to a tree. The error is where (`:line:column`, if known) and why.
fn yaml(text: &str) -> Result<Value, (String, String)> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let options = serde_saphyr::options! {
        // `off` is a word here, and not the boolean that YAML 1.1 takes it for.
        strict_booleans: true,
        // A listener called 007 keeps its zeros.
        leading_zero_numbers_as_strings: true,
        // A snippet of the file could show a password.
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error
            .location()
            .map(|at| format!(":{}:{}", at.line(), at.column()));
        // The library's default formatter has advice for programmers.
        let why = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
        let why = why
            .rsplit_once(" at line ")
            .map_or(why.as_str(), |split| split.0);
        // It may quote a key, and anything may have been mistaken for one.
        let why = if why.contains('@') {
            "not YAML that can be read"
        } else {
            why
        };
        (place.unwrap_or_default(), why.to_owned())
    })
}
