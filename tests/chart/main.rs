//! The Helm chart and the manifests: what they refuse, what they render, and what is generated from them.
//!
//! Helm 3, helm 4, kubectl (its kustomize) and promtool are in target/tools/bin after `make chart-tools`. Without them these
//! tests say so and are skipped; in CI they fail.

#![allow(clippy::expect_used, reason = "helpers of tests")]

mod alerts;
mod dashboards;
mod gateway;
mod generated;
mod helm;
mod injector;
mod matrix;
mod objects;
mod promql;
mod readme;
mod render;
mod schema;
