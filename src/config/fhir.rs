//! How FHIR bundles are made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Type of the Bundle that a message becomes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum BundleType {
    /// All or nothing, for a FHIR server's base URL
    #[default]
    Transaction,
    /// A FHIR message with its MessageHeader first, for `$process-message`
    Message,
    /// Each entry by itself
    Batch,
    /// Only the resources
    Collection,
}

/// How a listener's bundles are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fhir {
    /// Of which type.
    pub bundle: BundleType,
    /// The zone of times that name none, in a message whose MSH-7 names none.
    pub zone: Zone,
    /// A directory of maps beside those that are part of the program.
    pub mappings: Option<PathBuf>,
}

/// Minutes east of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Zone(pub i16);

impl Zone {
    /// `+01:00`, `-0500` or `Z`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "Z" {
            return Some(Self(0));
        }
        let (sign, rest) = match text.as_bytes().first()? {
            b'+' => (1, text.strip_prefix('+')?),
            b'-' => (-1, text.strip_prefix('-')?),
            _ => return None,
        };
        let rest = rest.replace(':', "");
        if rest.len() != 4 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number: i16 = rest.parse().ok()?;
        let (hours, minutes) = (number / 100, number % 100);
        let minutes = (minutes < 60).then_some(hours * 60 + minutes)?;
        // FHIR's own bound.
        (minutes <= 14 * 60).then_some(Self(sign * minutes))
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        let minutes = self.0.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}
