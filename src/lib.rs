//! mllp-bridge
pub mod admin;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod deliver;
pub mod envelope;
pub mod hl7;
pub mod inbound;
pub mod mllp;
pub mod net;
pub mod outbound;
pub mod runtime;
pub mod telemetry;
