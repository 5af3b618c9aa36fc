//! A client of the API by which messages are sent.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::bridge::Bridge;

/// A response.
#[derive(Debug)]
pub struct Api {
    /// Of HTTP.
    pub status: u16,
    /// Null where it is not JSON.
    pub body: Value,
    /// The body.
    pub bytes: Vec<u8>,
    /// By names in lower case.
    pub headers: HashMap<String, String>,
}

impl Api {
    /// Fails unless it is this problem.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, slug: &str, may_have_arrived: bool) {
        let kind = format!("urn:mllp-bridge:problem:{slug}");
        let expected = (status, kind.as_str(), Some(may_have_arrived));
        let seen = (
            self.status,
            self.body["type"].as_str().unwrap_or_default(),
            self.body["may_have_arrived"].as_bool(),
        );
        assert_eq!(seen, expected, "{}", self.body);
    }

    /// Fails unless it is an acknowledgement with this code.
    #[track_caller]
    pub fn expect_code(&self, code: &str) {
        assert_eq!(
            (self.status, self.body["code"].as_str()),
            (200, Some(code)),
            "{}",
            self.body
        );
    }
}

/// Where the API listens.
#[track_caller]
pub fn address(bridge: &Bridge) -> SocketAddr {
    let line = bridge.wait_for_log("taking messages to send");
    let json = line.json.expect("a log in JSON");
    json["address"]
        .as_str()
        .expect("an address")
        .parse()
        .unwrap()
}

/// A client that keeps its connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("a connection")
    }

    fn try_connect(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self {
            stream: BufReader::new(stream),
        })
    }

    /// POSTs a message to the destination `ehr`.
    #[track_caller]
    pub fn post(&mut self, message: impl AsRef<[u8]>) -> Api {
        self.try_post(message.as_ref(), None)
            .expect("a response in JSON")
    }

    fn try_post(&mut self, message: &[u8], key: Option<&str>) -> Option<Api> {
        let key = key
            .map(|key| format!("Idempotency-Key: {key}\r\n"))
            .unwrap_or_default();
        let head = format!(
            "POST /v1/destinations/ehr/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/hl7-v2\r\n{key}"
        );
        self.request(&head, message)
    }

    /// Sends a request whose head, without its length and its end, is this.
    pub fn request(&mut self, head: &str, body: &[u8]) -> Option<Api> {
        let mut request = format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request).ok()?;
        self.response()
    }

    /// The next response.
    pub fn response(&mut self) -> Option<Api> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let headers: HashMap<String, String> = lines
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length")?.parse().ok()?;
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).ok()?;
        Some(Api {
            status: head.split(' ').nth(1)?.parse().ok()?,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            bytes,
            headers,
        })
    }
}

/// POSTs a message to the destination `ehr`. `None`: the connection ended without a response.
pub fn try_post(address: SocketAddr, message: &str, key: Option<&str>) -> Option<Api> {
    Client::try_connect(address)?.try_post(message.as_bytes(), key)
}

/// The same, where there is a response.
#[track_caller]
pub fn post(address: SocketAddr, message: &str) -> Api {
    try_post(address, message, None).expect("a response in JSON")
}
