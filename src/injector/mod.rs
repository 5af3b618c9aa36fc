//! The injector: pods in, pods with a sidecar out, asked by the API server over TLS.

pub mod certs;
pub mod options;
pub mod webhook;
