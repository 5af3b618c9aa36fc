//! A real FHIR server, HAPI's, that validates what it is sent: [`server`] starts it once for a test run, on a port of its own.
//!
//! It forgets everything when it ends, and all tests of a run share it: each uses identifiers of its own, and none asserts an id.

use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

pub use super::http::Response;
use super::http::exchange;
use super::process::Process;
use super::script;

/// Ends when it is dropped, or with the test run.
pub struct Server {
    base: String,
    address: SocketAddr,
    _process: Mutex<Process>, // of many threads' tests
}

/// The run's server; waits until it answers.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

impl Server {
    /// Starts another one; waits until it answers.
    pub fn start() -> Self {
        let mut process = Process::start(&script("serve"), &[]);
        let base = process.line();
        let address = base
            .strip_prefix("http://")
            .and_then(|rest| rest.strip_suffix("/fhir"))
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("the server's base is {base:?}"));
        Self {
            base,
            address,
            _process: Mutex::new(process),
        }
    }

    /// Its base URL, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// POSTs a resource; a bundle to the path ``, another one to its type.
    #[track_caller]
    pub fn post(&self, path: &str, resource: &Value) -> Response {
        let kind = ["Content-Type: application/fhir+json".to_owned()];
        exchange(
            self.address,
            "POST",
            &target(path),
            &kind,
            &resource.to_string(),
        )
    }

    /// GETs what is there, relative to the base.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        exchange(self.address, "GET", &target(path), &[], "")
    }

    /// The resources that a search such as `Patient?identifier=…` finds; what stands in it is escaped by the caller.
    #[track_caller]
    pub fn search(&self, query: &str) -> Vec<Value> {
        let Response { status, body, .. } = self.get(query);
        assert_eq!(status, 200, "{query}: {body}");
        assert!(
            !body["link"].to_string().contains("\"next\""),
            "{query}: more than a page"
        );
        let entries = body["entry"].as_array().into_iter().flatten();
        entries.map(|entry| entry["resource"].clone()).collect()
    }
}

fn target(path: &str) -> String {
    match path {
        "" => "/fhir".to_owned(),
        path => format!("/fhir/{path}"),
    }
}
