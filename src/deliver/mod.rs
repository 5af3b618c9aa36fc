//! Brings a message to the app and says what became of it.
//!
//! Owns attempts, timeouts, retries, and reading the app's answer. Must not know: acknowledgement codes, frames, who the peer
//! is beyond its address.
//!
//! ```text
//!            ┌── local: http://, unix:   our own client, one connection per MLLP connection
//! attempt ───┤
//!            └── remote: https://        reqwest
//!    │
//!    ▼
//! answer: status table, problem+json, the app's own acknowledgement ──► Outcome
//! entries: what a FHIR server said of each entry of a bundle ────────────┘
//! ```

pub mod answer;
mod blame;
pub mod bundles;
pub mod chunked;
mod entries;
pub mod health;
pub mod local;
pub mod maps;
pub mod outcome;
pub mod remote;
pub mod request;
pub mod response;
pub mod retry;
mod token;
mod waits;
mod watched;

pub use bundles::Bundles;
pub use maps::BadMaps;
pub use outcome::{Answer, Failure, Outcome, Own, Rejection};
pub use request::Route;
pub use retry::{App, Delivery, Exchange, Space, Unready};
pub use waits::in_time;
pub use watched::Fingerprint;
