//! The app's side of a connection: reads requests, strictly. What is not well-formed HTTP/1.1 is an error of kind
//! `InvalidData`.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::Recorded;
use crate::support::Shown;

/// Either kind of stream.
pub(super) enum Conn {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Conn {
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
        }
    }

    pub(super) fn shutdown(&self) {
        // Fails where the other side is gone, which is as good.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }

    /// RST in place of FIN when the last handle closes. A Unix socket knows no reset: it just closes.
    pub(super) fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
    }
}

/// A request before it has a connection's number.
pub(super) struct Request {
    start: Vec<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    arrived: Instant,
}

impl Request {
    pub(super) fn wants_close(&self) -> bool {
        header(&self.headers, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
            || self.start[2] == "HTTP/1.0"
    }

    pub(super) fn recorded(self, connection: usize) -> Recorded {
        let [method, path, version] =
            <[String; 3]>::try_from(self.start).expect("checked when it was read");
        let Self {
            headers,
            body,
            arrived,
            ..
        } = self;
        Recorded {
            method,
            path,
            version,
            headers,
            body,
            arrived,
            connection,
        }
    }
}

/// A connection and what was read ahead from it.
pub(super) struct Reader {
    pub(super) conn: Conn,
    buffer: Vec<u8>,
}

impl Reader {
    pub(super) fn new(conn: Conn) -> Self {
        Self {
            conn,
            buffer: Vec::new(),
        }
    }

    /// The next request; `None` when the bridge closes between two.
    pub(super) fn request(&mut self) -> io::Result<Option<Request>> {
        let Some(head) = self.until(b"\r\n\r\n")? else {
            return Ok(None);
        };
        let head =
            String::from_utf8(head).map_err(|_| malformed("not UTF-8 in a request's head"))?;
        let mut lines = head.split("\r\n");
        let start: Vec<String> = lines
            .next()
            .unwrap_or_default()
            .split(' ')
            .map(str::to_owned)
            .collect();
        if start.len() != 3 || !start[2].starts_with("HTTP/1.") {
            return Err(malformed(&format!("not a request line: {start:?}")));
        }
        let pair = |line: &str| {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| malformed(&format!("not a header: {line:?}")))?;
            Ok((name.to_owned(), value.trim().to_owned()))
        };
        let headers: Vec<(String, String)> = lines.map(pair).collect::<io::Result<_>>()?;

        if header(&headers, "expect")
            .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        {
            self.conn.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = match header(&headers, "content-length") {
            Some(length) => {
                let length = length
                    .parse()
                    .map_err(|_| malformed(&format!("not a Content-Length: {length:?}")))?;
                self.exactly(length)?
            }
            None if header(&headers, "transfer-encoding").is_some() => self.chunks()?,
            None => Vec::new(),
        };
        Ok(Some(Request {
            start,
            headers,
            body,
            arrived: Instant::now(),
        }))
    }

    /// Reads and forgets, until the other side closes or the connection is cut.
    pub(super) fn drain(&mut self) {
        while self.fill().is_ok_and(|read| read > 0) {
            self.buffer.clear();
        }
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n")?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let size = std::str::from_utf8(&line)
                .ok()
                .and_then(|size| usize::from_str_radix(size, 16).ok());
            let size =
                size.ok_or_else(|| malformed(&format!("not a chunk size: {}", Shown(&line))))?;
            body.extend(self.exactly(size)?);
            if self.exactly(2)? != b"\r\n" {
                return Err(malformed("a chunk without CRLF at its end"));
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// What comes before `end`, which is taken too; `None` when nothing at all comes.
    fn until(&mut self, end: &[u8]) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self
                .buffer
                .windows(end.len())
                .position(|bytes| bytes == end)
            {
                let mut taken: Vec<u8> = self.buffer.drain(..at + end.len()).collect();
                taken.truncate(at);
                return Ok(Some(taken));
            }
            match self.fill()? {
                0 if self.buffer.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
    }

    fn exactly(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < bytes {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..bytes).collect())
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = vec![0; 64 * 1024];
        let read = self.conn.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..read]);
        Ok(read)
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|header| header.0.eq_ignore_ascii_case(name))
        .map(|header| header.1.as_str())
}
