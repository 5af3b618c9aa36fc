//! The app behind the bridge: reads a request to its end, answers 200 with an empty body, counts.
//!
//! Written on the socket by hand so that it is never the bottleneck: one write per answer, bodies
//! discarded as they arrive. It runs on the load generator's thread: they share a core in any case,
//! and a switch between two threads there would cost more than the answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
/// Longest request head; also the unit in which bodies are discarded.
const BUFFER: usize = 64 * 1024;

/// A running stub; it ends with the process.
#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    pub(crate) counter: Counter,
}

/// Counts what a server of the harness receives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    messages: AtomicU64,
    bytes: AtomicU64,
}

/// What a server has received so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Counter {
    pub(crate) fn add(&self, messages: u64, bytes: usize) {
        self.0.messages.fetch_add(messages, Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn received(&self) -> Received {
        Received {
            messages: self.0.messages.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
        }
    }
}

impl Stub {
    /// Starts it on the runtime that this is called in.
    pub(crate) async fn start() -> Result<Self> {
        let counter = Counter::default();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(accept(listener, counter.clone()));
        Ok(Self { address, counter })
    }
}

async fn accept(listener: TcpListener, counter: Counter) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let counter = counter.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &counter).await {
                eprintln!("stub: {error:#}");
            }
        });
    }
}

/// Serves one connection until the client closes it.
async fn serve(mut stream: TcpStream, counter: &Counter) -> Result<()> {
    // Small until a body is long: a server may hold 1,000 connections here, most of them idle.
    let mut input = Input {
        buffer: vec![0; 4096],
        start: 0,
        end: 0,
    };
    loop {
        let head = loop {
            if let Some(head) = parse_head(input.unread())? {
                break head;
            }
            // A reset instead of a close is how a killed server goes; it is no request lost.
            match input.fill(&mut stream).await {
                Ok(0) | Err(_) if input.unread().is_empty() => return Ok(()),
                Ok(0) => bail!("closed within a request's head"),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        };
        input.start += head.length;
        let body_bytes = match head.body {
            Body::Length(length) => {
                input.discard(&mut stream, length).await?;
                length
            }
            Body::Chunked => input.discard_chunks(&mut stream).await?,
        };
        // Counted before it is answered: when the last ACK is in, the count is complete.
        counter.add(head.messages, body_bytes);
        stream.write_all(ANSWER).await?;
    }
}

struct Head {
    length: usize,
    /// A POST brings one; a probe (GET, HEAD) brings none.
    messages: u64,
    body: Body,
}

enum Body {
    Length(usize),
    Chunked,
}

/// Parses a complete head, or `None` if more bytes are needed.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = request.parse(bytes)? else {
        return Ok(None);
    };
    let mut body = Body::Length(0);
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            body = Body::Length(std::str::from_utf8(header.value)?.parse()?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            body = Body::Chunked;
        }
    }
    Ok(Some(Head {
        length,
        messages: u64::from(request.method == Some("POST")),
        body,
    }))
}

/// Bytes read and not yet used: `buffer[start..end]`.
struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Reads once, behind what is unread; 0 at the end of the stream.
    async fn fill(&mut self, stream: &mut TcpStream) -> Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            if self.buffer.len() >= BUFFER {
                bail!("a request's head is longer than {BUFFER} bytes");
            }
            self.buffer.resize(BUFFER, 0);
        }
        let read = stream.read(&mut self.buffer[self.end..]).await?;
        self.end += read;
        Ok(read)
    }

    /// Passes over `length` bytes of a body.
    async fn discard(&mut self, stream: &mut TcpStream, length: usize) -> Result<()> {
        let mut missing = length;
        loop {
            let here = missing.min(self.end - self.start);
            self.start += here;
            missing -= here;
            if missing == 0 {
                return Ok(());
            }
            if missing > self.buffer.len() && self.buffer.len() < BUFFER {
                self.buffer.resize(BUFFER, 0);
            }
            if self.fill(stream).await? == 0 {
                bail!("closed {missing} bytes before the end of a body");
            }
        }
    }

    /// Passes over a chunked body and its trailers; returns the body's length.
    async fn discard_chunks(&mut self, stream: &mut TcpStream) -> Result<usize> {
        let mut total = 0;
        loop {
            let (line_length, size) = loop {
                match httparse::parse_chunk_size(self.unread()) {
                    Ok(httparse::Status::Complete((line, size))) => {
                        break (line, usize::try_from(size)?);
                    }
                    Ok(httparse::Status::Partial) => {}
                    Err(_) => bail!("a chunk's size is not a number"),
                }
                if self.fill(stream).await? == 0 {
                    bail!("closed within a chunked body");
                }
            };
            self.start += line_length;
            total += size;
            // The chunk's own CR LF; after the last chunk, the CR LF that ends the (empty) trailers.
            self.discard(stream, size + 2).await?;
            if size == 0 {
                return Ok(total);
            }
        }
    }
}
