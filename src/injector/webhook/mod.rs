//! The running webhook: `POST /inject` over TLS, and its readiness.
//!
//! Must not know: what a review says. It carries bytes to a [`Reviewer`] and back.

pub mod pods;
pub mod router;
pub mod server;
pub mod subject;

pub use pods::Pods;
pub use router::{Reviewed, Reviewer};
pub use server::Server;
pub use subject::Subject;
