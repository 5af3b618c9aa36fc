//! The webhook's certificates, in one of two modes.
//!
//! - [`auto`]: a CA in a Secret, leaves in memory, the bundle written into the live webhook configuration. [`plan`] and
//!   [`election`] decide, purely; [`api`] reads and writes.
//! - [`files`]: a mounted Secret.
//!
//! Both fill [`serving`], which the listener and readiness read. Must not know: pods, reviews.

pub mod api;
pub mod auto;
pub mod election;
pub mod files;
pub mod live;
pub mod plan;
pub mod secret;
pub mod serving;
pub mod trust;
pub mod x509;

pub use serving::Serving;

/// Where the webhook configuration is.
fn configuration_path(name: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{name}")
}

/// The names by which the API server, and people inside the cluster, ask for a Service.
pub fn names(service: &str, namespace: &str) -> Vec<String> {
    let name = format!("{service}.{namespace}.svc");
    vec![name.clone(), format!("{name}.cluster.local")]
}
