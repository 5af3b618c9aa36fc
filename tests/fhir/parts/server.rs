//! A real FHIR server, HAPI's, that validates what it is sent: [`server`] starts it once for a test run, on a port of its own.
//!
//! It forgets everything when it ends, and all tests of a run share it: each uses identifiers of its own, and none asserts an id.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

use super::process::Process;
use super::script;

/// Ends when it is dropped, or with the test run.
pub struct Server {
    base: String,
    address: SocketAddr,
    _process: Mutex<Process>, // of many threads' tests
}

/// What the server answers.
#[derive(Debug)]
pub struct Response {
    /// Of HTTP.
    pub status: u16,
    /// A resource; null where there is none.
    pub body: Value,
}

/// The run's server; waits until it answers.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

impl Server {
    /// Starts another one; waits until it answers.
    pub fn start() -> Self {
        let process = Process::start(&script("serve"), &[]);
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
    pub fn post(&self, path: &str, resource: &Value) -> Response {
        let body = resource.to_string();
        let head = format!(
            "POST {} HTTP/1.0\r\nContent-Type: application/fhir+json\r\nContent-Length: {}\r\n\r\n",
            self.target(path),
            body.len()
        );
        self.exchange(&[head, body].concat())
    }

    /// GETs what is there, relative to the base.
    pub fn get(&self, path: &str) -> Response {
        self.exchange(&format!("GET {} HTTP/1.0\r\n\r\n", self.target(path)))
    }

    /// The resources that a search such as `Patient?identifier=…` finds; what stands in it is escaped by the caller.
    #[track_caller]
    pub fn search(&self, query: &str) -> Vec<Value> {
        let Response { status, body } = self.get(query);
        assert_eq!(status, 200, "{query}: {body}");
        assert!(
            !body["link"].to_string().contains("\"next\""),
            "{query}: more than a page"
        );
        let entries = body["entry"].as_array().into_iter().flatten();
        entries.map(|entry| entry["resource"].clone()).collect()
    }

    fn target(&self, path: &str) -> String {
        match path {
            "" => "/fhir".to_owned(),
            path => format!("/fhir/{path}"),
        }
    }

    /// In HTTP/1.0, where a response ends with its connection.
    fn exchange(&self, request: &str) -> Response {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("a response");
        let (head, body) = response.split_once("\r\n\r\n").expect("a head");
        Response {
            status: head
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok())
                .unwrap_or_else(|| panic!("no status in {head:?}")),
            body: serde_json::from_str(body).unwrap_or_default(),
        }
    }
}
