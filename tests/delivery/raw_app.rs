//! An app that is a function of its connection, for what [`TestApp`](crate::support::app::TestApp) is too well
//! behaved for: answers before the request is read, bytes after an answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Runs until the test's process ends.
pub(crate) struct RawApp {
    address: SocketAddr,
}

/// One connection of the bridge's.
pub(crate) struct Conn {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl RawApp {
    /// Serves each connection with this function, in a thread of its own.
    pub(crate) fn start(serve: impl Fn(Conn) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let serve = Arc::new(serve);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nodelay(true).expect("TCP_NODELAY");
                let serve = Arc::clone(&serve);
                thread::spawn(move || {
                    serve(Conn {
                        stream,
                        buffer: Vec::new(),
                    });
                });
            }
        });
        Self { address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hl7", self.address)
    }
}

impl Conn {
    /// Reads a request's head and nothing of its body; `None` at the end of the connection.
    pub(crate) fn head(&mut self) -> Option<String> {
        let mut byte = [0];
        while !self.buffer.ends_with(b"\r\n\r\n") {
            if self.stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            self.buffer.push(byte[0]);
        }
        String::from_utf8(std::mem::take(&mut self.buffer)).ok()
    }

    /// Reads a whole request; gives its control ID.
    pub(crate) fn request(&mut self) -> Option<String> {
        let head = self.head()?;
        let length = header(&head, "Content-Length")?.parse().ok()?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        header(&head, "X-HL7-Control-Id").map(str::to_owned)
    }

    /// Writes as it is; `false` if the bridge is gone.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// A 200 that makes this MSA-3.
pub(crate) fn saying(text: &str) -> String {
    let body = format!(r#"{{"ack":{{"code":"AA","text":"{text}"}}}}"#);
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
