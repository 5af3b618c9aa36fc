//! What the app does with one request: an answer, and the ways in which it goes wrong.

use std::time::Duration;

/// How the app meets a request: [`Reply::ok`], [`Reply::status`] or one of the ways not to answer, and then what is
/// peculiar about it.
///
/// ```ignore
/// app.script([Reply::status(503).header("Retry-After", "1"), Reply::ok().delay(second), Reply::hang()]);
/// ```
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) hold: bool,
    pub(super) hang: bool,
    pub(super) delay: Duration,
    /// Pause after each byte.
    pub(super) pace: Option<Duration>,
    /// End with RST instead of whatever `closing` says.
    pub(super) reset: bool,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    framing: Framing,
    closing: Closing,
    continue_first: bool,
    /// Sent in place of an HTTP answer.
    verbatim: Option<Vec<u8>>,
    /// Only so many bytes are sent.
    cut: Option<usize>,
}

/// How the end of the body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    /// Chunks of this size.
    Chunked(usize),
    /// By the close, in HTTP/1.1.
    Close,
    /// By the close, in HTTP/1.0.
    Http10,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    KeepAlive,
    Announced,
    Silent,
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            hold: false,
            hang: false,
            delay: Duration::ZERO,
            pace: None,
            reset: false,
            status: 200,
            headers: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length,
            closing: Closing::KeepAlive,
            continue_first: false,
            verbatim: None,
            cut: None,
        }
    }
}

impl Reply {
    /// An empty 200.
    pub fn ok() -> Self {
        Self::default()
    }

    /// An empty answer with this status.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// `application/problem+json` with these members: `detail`, `errors` and so on.
    pub fn problem(status: u16, members: &serde_json::Value) -> Self {
        Self::status(status)
            .header("Content-Type", "application/problem+json")
            .body(members.to_string())
    }

    /// Never answers; the connection stays open until the bridge closes it.
    pub fn hang() -> Self {
        Self {
            hang: true,
            ..Self::default()
        }
    }

    /// Reads the request and resets the connection.
    pub fn reset() -> Self {
        Self::ok().reset_after(0)
    }

    /// Reads the request and closes without an answer.
    pub fn close_unanswered() -> Self {
        Self::ok().close_after(0)
    }

    /// Sends these bytes in place of HTTP, and closes.
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            verbatim: Some(bytes.into()),
            closing: Closing::Silent,
            ..Self::default()
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a JSON body, and its type.
    pub fn json(self, value: &serde_json::Value) -> Self {
        self.header("Content-Type", "application/json")
            .body(value.to_string())
    }

    /// A body of this many bytes.
    pub fn huge_body(self, bytes: usize) -> Self {
        self.body(vec![b'x'; bytes])
    }

    /// Answers after this long.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Answers once the test calls [`release`](super::TestApp::release).
    pub fn hold(mut self) -> Self {
        self.hold = true;
        self
    }

    /// Sends single bytes with a pause after each.
    pub fn byte_by_byte(mut self, pause: Duration) -> Self {
        self.pace = Some(pause);
        self
    }

    /// Sends the body in chunks of this size.
    pub fn chunked(mut self, size: usize) -> Self {
        self.framing = Framing::Chunked(size);
        self
    }

    /// HTTP/1.1 without a length: the body ends with the connection.
    pub fn without_length(mut self) -> Self {
        self.framing = Framing::Close;
        self
    }

    /// HTTP/1.0 without a length: the body ends with the connection.
    pub fn http10(mut self) -> Self {
        self.framing = Framing::Http10;
        self
    }

    /// Sends `100 Continue`, which nobody asked for, before the answer.
    pub fn continue_first(mut self) -> Self {
        self.continue_first = true;
        self
    }

    /// Closes after the answer, which says `Connection: close`.
    pub fn close(mut self) -> Self {
        self.closing = Closing::Announced;
        self
    }

    /// Closes after the answer without having said so.
    pub fn close_silently(mut self) -> Self {
        self.closing = Closing::Silent;
        self
    }

    /// Sends this much of the answer, and resets the connection.
    pub fn reset_after(mut self, bytes: usize) -> Self {
        self.reset = true;
        self.cut = Some(bytes);
        self
    }

    /// Sends this much of the answer, and closes in an orderly way.
    pub fn close_after(mut self, bytes: usize) -> Self {
        self.closing = Closing::Silent;
        self.cut = Some(bytes);
        self
    }

    pub(super) fn ends_connection(&self) -> bool {
        self.closing != Closing::KeepAlive
            || matches!(self.framing, Framing::Close | Framing::Http10)
    }

    /// What goes onto the wire.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.verbatim.clone().unwrap_or_else(|| self.http());
        bytes.truncate(self.cut.unwrap_or(usize::MAX));
        bytes
    }

    fn http(&self) -> Vec<u8> {
        let version = if self.framing == Framing::Http10 {
            "1.0"
        } else {
            "1.1"
        };
        let mut head = String::new();
        if self.continue_first {
            head.push_str("HTTP/1.1 100 Continue\r\n\r\n");
        }
        head.push_str(&format!(
            "HTTP/{version} {} {}\r\n",
            self.status,
            reason(self.status)
        ));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let bodiless = matches!(self.status, 100..=199 | 204 | 304);
        match self.framing {
            _ if bodiless => {}
            Framing::Length => head.push_str(&format!("Content-Length: {}\r\n", self.body.len())),
            Framing::Chunked(_) => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::Close | Framing::Http10 => {}
        }
        if self.closing == Closing::Announced {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");

        let mut bytes = head.into_bytes();
        match self.framing {
            _ if bodiless => {}
            Framing::Chunked(size) => {
                for chunk in self.body.chunks(size.max(1)) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
            Framing::Length | Framing::Close | Framing::Http10 => {
                bytes.extend_from_slice(&self.body)
            }
        }
        bytes
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
