//! Errors in a configuration: all of them, each with the place that the user wrote it in.
//!
//! Must not do: print a secret. Every offending value passes through [`shown`].

use std::collections::HashMap;
use std::fmt;

/// Everything that is wrong with a configuration. Displays as one line per problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a key (`listeners[1].deliver.url`), an environment variable, a flag (`--listen`), or
    /// a file with line and column.
    pub place: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ConfigError {
    /// The problems; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Problems as they are found, and which keys did not come from the file.
#[derive(Debug, Default)]
pub struct Problems {
    /// Path of the key (empty for what has none) and the problem.
    found: Vec<(String, Problem)>,
    /// Path of a key → the variable or flag that set it.
    origins: HashMap<String, String>,
    /// Set where nothing is known of what the user wrote, and so nothing can be said about keys.
    unreadable: bool,
}

impl Problems {
    /// Remembers that `path` was set by a variable or a flag, which errors then name.
    pub(super) fn set_origin(&mut self, path: String, origin: &str) {
        self.origins.insert(path, origin.into());
    }

    /// Adds a problem with a key. Where that key, one around it or one inside it already has
    /// one, the new one would only be its echo and is dropped.
    pub fn add(&mut self, path: &str, message: impl Into<String>) {
        if self.is_clean(path) {
            let place = self
                .origins
                .get(path)
                .cloned()
                .unwrap_or_else(|| path.into());
            let problem = Problem {
                place,
                message: message.into(),
            };
            self.found.push((path.into(), problem));
        }
    }

    /// Adds a problem with something other than a key: a file, a variable.
    pub(super) fn add_at(&mut self, place: impl Into<String>, message: impl Into<String>) {
        let problem = Problem {
            place: place.into(),
            message: message.into(),
        };
        self.found.push((String::new(), problem));
    }

    /// Adds the reason why a file could not be read. Problems with keys would be its echo.
    pub(super) fn set_unreadable(&mut self, place: String, why: impl Into<String>) {
        self.add_at(place, why);
        self.stop();
    }

    /// Drops whatever will be found in keys from here on.
    pub(super) fn stop(&mut self) {
        self.unreadable = true;
    }

    /// Whether neither `path` nor a key around or inside it has a problem.
    pub fn is_clean(&self, path: &str) -> bool {
        let inside = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| {
                outer.is_empty() || rest.is_empty() || rest.starts_with(['.', '['])
            })
        };
        !self.unreadable
            && self
                .found
                .iter()
                .all(|(other, _)| other.is_empty() || !(inside(path, other) || inside(other, path)))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// The value if there are no problems, and all of them otherwise.
    pub(super) fn into_result<T>(self, value: T) -> Result<T, ConfigError> {
        if self.found.is_empty() {
            return Ok(value);
        }
        Err(ConfigError {
            problems: self.found.into_iter().map(|found| found.1).collect(),
        })
    }
}

/// A value that a user wrote, fit for an error message: quoted, on one line, bounded, and without
/// user info (`user:password@`), wherever in the configuration a URL may have been put.
pub fn shown(text: &str) -> String {
    const MOST: usize = 80;
    // A password may itself contain `@`, `/` or `:`, so everything up to the last `@` goes.
    let masked = match text.rsplit_once('@') {
        Some((before, after)) => {
            let scheme = before.split_once("://").map_or("", |split| split.0);
            let plain = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric());
            if plain {
                format!("{scheme}://***@{after}")
            } else {
                format!("***@{after}")
            }
        }
        None => text.to_owned(),
    };
    let mut short: String = masked.chars().take(MOST).collect();
    if short.len() < masked.len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_info_is_never_shown() {
        for (text, expected) in [
            ("http://bob:pw@host/x", r#""http://***@host/x""#),
            ("http://bob:p/w@d@host/x", r#""http://***@host/x""#),
            ("bob:pw@host:80", r#""***@host:80""#),
            ("bob:pw://x@host", r#""***@host""#),
            ("plain", r#""plain""#),
            ("two\nlines", r#""two\nlines""#),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert!(shown(&"x".repeat(1000)).len() < 100, "long values are cut");
    }

    #[test]
    fn an_echo_of_a_problem_is_dropped() {
        let mut problems = Problems::default();
        problems.add("listeners[1].deliver", "broken");
        for (path, clean) in [
            ("listeners[1].deliver", false),
            ("listeners[1].deliver.url", false),
            ("listeners[1]", false),
            ("listeners", false),
            ("listeners[1].delivery", true),
            ("listeners[10].deliver", true),
            ("admin", true),
        ] {
            assert_eq!(problems.is_clean(path), clean, "{path}");
        }
    }

    #[test]
    fn a_problem_names_what_set_the_key() {
        let mut problems = Problems::default();
        problems.set_origin("listeners[0].bind".into(), "--listen");
        problems.add("listeners[0].bind", "wrong");
        problems.add("threads", "wrong");
        let error = problems.into_result(()).unwrap_err();
        assert_eq!(error.to_string(), "--listen: wrong\nthreads: wrong");
    }
}
