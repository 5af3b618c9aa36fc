//! Bridges HL7 v2 over MLLP to HTTP.
pub mod config;
