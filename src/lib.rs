//! mllp-bridge
pub mod config;
pub mod envelope;
pub mod hl7;
pub mod mllp;
pub mod telemetry;
