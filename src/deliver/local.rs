//! HTTP/1.1 to a neighbour: `http://` and `unix:`, on a connection that belongs to one MLLP connection.
//!
//! Ours rather than a library's because it is the hot path, and what it has to do is small (ADR 0003 has the
//! measurements): one request at a time, in order, head and body in one write, nothing shared. What makes it safe is
//! what it refuses: a connection on which anything but one whole answer to its one request has come is not used again, so
//! that an answer can never be taken for another message's.

use super::response::{self, Response};
use crate::config::{AppUrl, Transport};
use crate::envelope::Envelope;
use crate::runtime::Alarm;
use crate::telemetry::labels::Attempt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::Instant;

/// Pieces in which a body is made that is too large to be held whole.
const PIECE: usize = 256 * 1024;

/// The body of a request.
#[derive(Debug)]
pub enum Body<'b, 'm> {
    /// All of it.
    Whole(&'b [u8]),
    /// Its beginning, and what makes the rest.
    Begun(&'b [u8], Envelope<'m>),
}

/// An app's connection, kept between messages.
#[derive(Debug, Default)]
pub struct Connection {
    open: Option<(Stream, Instant)>,
}

/// Bounds on one request.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// For the connection to be made.
    pub connect: Duration,
    /// When the whole attempt ends.
    pub deadline: Instant,
    /// A connection that was not used for longer is not used again.
    pub idle: Duration,
    /// Largest body of an answer.
    pub max_response: usize,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    /// Closes it if it has been idle too long; returns when it will have been.
    pub fn expire(&mut self, now: Instant, idle: Duration) -> Option<Instant> {
        let until = self.open.as_ref().map(|(_, used)| *used + idle)?;
        if until <= now {
            self.open = None;
            return None;
        }
        Some(until)
    }

    /// One request and its answer; `response` is empty before and holds the answer's body after.
    ///
    /// # Errors
    /// Why nothing was settled. The connection is closed then.
    pub async fn exchange(
        &mut self,
        url: &AppUrl,
        head: &[u8],
        body: &Body<'_, '_>,
        bounds: Bounds,
        alarm: &mut Alarm,
        buffer: &mut Vec<u8>,
    ) -> Result<Response, Attempt> {
        let kept = self.take_usable(bounds.idle);
        let was_kept = kept.is_some();
        let mut result = self
            .once(kept, url, head, body, bounds, alarm, buffer)
            .await;
        // An app may close a kept connection in the moment in which it is used. Nothing of an answer has come
        // then, and the request carries an idempotency key: one new connection is tried at once.
        if was_kept && result == Err(Attempt::Reset) && buffer.is_empty() {
            result = self
                .once(None, url, head, body, bounds, alarm, buffer)
                .await;
        }
        result
    }

    #[expect(clippy::too_many_arguments, reason = "exchange's own, and the stream")]
    async fn once(
        &mut self,
        kept: Option<Stream>,
        url: &AppUrl,
        head: &[u8],
        body: &Body<'_, '_>,
        bounds: Bounds,
        alarm: &mut Alarm,
        buffer: &mut Vec<u8>,
    ) -> Result<Response, Attempt> {
        let mut stream = match kept {
            Some(stream) => stream,
            None => {
                let deadline = bounds.deadline.min(Instant::now() + bounds.connect);
                alarm
                    .race(Some(deadline), connect(url))
                    .await
                    .map_err(|_| Attempt::ConnectTimeout)??
            }
        };
        let exchange = async {
            let sent = send(&mut stream, head, body).await;
            match response::read(&mut stream, buffer, bounds.max_response).await {
                // An app may refuse before it has read everything (413), and close. It cannot have accepted then.
                Ok(response) if sent.is_err() && response.status < 300 => Err(Attempt::Reset),
                Ok(response) => Ok(Response {
                    reusable: response.reusable && sent.is_ok(),
                    ..response
                }),
                Err(error) => Err(error),
            }
        };
        let response = alarm
            .race(Some(bounds.deadline), exchange)
            .await
            .map_err(|_| Attempt::Timeout)??;
        if response.reusable {
            self.open = Some((stream, Instant::now()));
        }
        Ok(response)
    }

    /// The kept connection, if nothing has happened on it.
    fn take_usable(&mut self, idle: Duration) -> Option<Stream> {
        let (stream, used) = self.open.take()?;
        let mut byte = [0];
        // No system call where the runtime has seen nothing on the socket.
        let quiet = match &stream {
            Stream::Tcp(stream) => stream.try_read(&mut byte),
            Stream::Unix(stream) => stream.try_read(&mut byte),
        };
        let is_quiet = matches!(quiet, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        (is_quiet && used.elapsed() < idle).then_some(stream)
    }
}

async fn connect(url: &AppUrl) -> Result<Stream, Attempt> {
    let (host, port) = match &url.transport {
        Transport::Unix { socket } => {
            let stream = UnixStream::connect(socket).await;
            return stream.map(Stream::Unix).map_err(|_| Attempt::Refused);
        }
        Transport::Http { host, port } | Transport::Https { host, port } => (host, *port),
    };
    let stream = match host.parse::<IpAddr>() {
        Ok(address) => TcpStream::connect(SocketAddr::new(address, port)).await,
        Err(_) => {
            let addresses: Vec<SocketAddr> = lookup_host((host.as_str(), port))
                .await
                .map_err(|_| Attempt::Dns)?
                .collect();
            TcpStream::connect(addresses.as_slice()).await
        }
    };
    let stream = stream.map_err(|_| Attempt::Refused)?;
    // A request is one write; waiting to join it with another would only add latency.
    stream.set_nodelay(true).map_err(|_| Attempt::Reset)?;
    Ok(Stream::Tcp(stream))
}

/// Whether the app can be reached: a connection, and nothing on it.
///
/// # Errors
/// Why not.
pub async fn probe(url: &AppUrl, timeout: Duration) -> Result<(), Attempt> {
    match tokio::time::timeout(timeout, connect(url)).await {
        Ok(connected) => connected.map(drop),
        Err(_) => Err(Attempt::ConnectTimeout),
    }
}

async fn send(stream: &mut Stream, head: &[u8], body: &Body<'_, '_>) -> io::Result<()> {
    match body {
        Body::Whole(body) => write_both(stream, head, body).await,
        Body::Begun(first, rest) => {
            write_both(stream, head, first).await?;
            let mut rest = rest.clone();
            let mut piece = Vec::with_capacity(PIECE + PIECE / 4);
            loop {
                piece.clear();
                let done = rest.fill(&mut piece, PIECE);
                stream.write_all(&piece).await?;
                if done {
                    return Ok(());
                }
            }
        }
    }
}

/// Head and body in one system call, if the socket takes them.
async fn write_both(stream: &mut Stream, head: &[u8], body: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < head.len() {
        let slices = [IoSlice::new(&head[written..]), IoSlice::new(body)];
        match stream.write_vectored(&slices).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => written += count,
        }
    }
    stream.write_all(&body[written - head.len()..]).await
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
