//! How FHIR bundles are made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Type of the Bundle that a message becomes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
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
