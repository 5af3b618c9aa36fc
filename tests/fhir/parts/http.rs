//! One request on a connection of its own, in HTTP/1.0, where a response ends with its connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

/// What came back.
#[derive(Debug)]
pub struct Response {
    /// Of HTTP.
    pub status: u16,
    /// The lines between the status and the body.
    pub head: String,
    /// Null where it is not JSON.
    pub body: Value,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut named = headers.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim())
    }
}

/// Sends a request to `target`; `headers` are whole lines without their ends.
#[track_caller]
pub(super) fn exchange(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[String],
    body: &str,
) -> Response {
    let mut request = format!("{method} {target} HTTP/1.0\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let (first, head) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.split(' ').nth(1);
    Response {
        status: status
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("no status in {first:?}")),
        head: head.to_owned(),
        body: serde_json::from_str(body).unwrap_or_default(),
    }
}
