//! The injector: which pods get a sidecar, and what is added to them.
//!
//! ```text
//! AdmissionReview ──review──► ┌────────┐
//!                             │ inject │ ──► Skip(reason) | Patch(operations, warnings) | Deny(every error)
//! manifest files ──manifest──►└────────┘
//! ```
//!
//! [`inject()`] is one pure function over JSON, shared by the webhook, by `mllp-bridge inject` and by the tests. It adds and never
//! rewrites: what it does not know in a pod stays as it is.
//!
//! Must not do, but for the webhook's own parts: I/O.

pub mod annotation;
pub mod certs;
pub mod config;
mod container;
mod error;
pub mod inject;
pub mod manifest;
pub mod options;
pub mod patch;
mod pod;
mod quantity;
pub mod review;
pub mod settings;
pub mod webhook;

pub use error::FieldError;
pub use inject::{Namespace, Outcome, inject};
pub use settings::{Settings, Sidecar};
