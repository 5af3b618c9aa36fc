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
use socket2::SockRef;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::Instant;

/// Pieces in which a body is made that is too large to be held whole.
const PIECE: usize = 256 * 1024;

/// The body of a request.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack of one exchange"
)]
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
    /// Where it leads to: a reload may have named another app since.
    to: Option<Transport>,
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
        let kept = self.take_usable(&url.transport, bounds.idle);
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
        let max = bounds.max_response;
        let exchange = async {
            match &mut stream {
                Stream::Tcp(stream) => {
                    let (read, write) = stream.split();
                    converse(read, write, head, body, buffer, max).await
                }
                Stream::Unix(stream) => {
                    let (read, write) = stream.split();
                    converse(read, write, head, body, buffer, max).await
                }
            }
        };
        let response = alarm
            .race(Some(bounds.deadline), exchange)
            .await
            .map_err(|_| Attempt::Timeout)??;
        if response.reusable {
            self.open = Some((stream, Instant::now()));
            if self.to.as_ref() != Some(&url.transport) {
                self.to = Some(url.transport.clone());
            }
        }
        Ok(response)
    }

    /// The kept connection, if it leads to this app and nothing has happened on it.
    fn take_usable(&mut self, to: &Transport, idle: Duration) -> Option<Stream> {
        let (stream, used) = self.open.take()?;
        let socket = match &stream {
            Stream::Tcp(stream) => SockRef::from(stream),
            Stream::Unix(stream) => SockRef::from(stream),
        };
        // The kernel is asked, and not the runtime: with the next message read already, the runtime may not have looked
        // since the last answer, and bytes behind that answer would be taken for this message's.
        let quiet = socket.peek(&mut [MaybeUninit::uninit()]);
        let is_quiet = matches!(quiet, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        (is_quiet && used.elapsed() < idle && self.to.as_ref() == Some(to)).then_some(stream)
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

/// Sends the request and listens while it does: an app may answer before it has read everything (413), and whether
/// or not it then closes, it may never read the rest.
async fn converse<R: response::Source, W: AsyncWrite + Unpin>(
    mut read: R,
    mut write: W,
    head: &[u8],
    body: &Body<'_, '_>,
    buffer: &mut Vec<u8>,
    max_response: usize,
) -> Result<Response, Attempt> {
    let mut sending = pin!(send(&mut write, head, body));
    let mut reading = pin!(response::read(&mut read, buffer, max_response));
    let mut sent = None;
    let response = poll_fn(|context| {
        if sent.is_none()
            && let Poll::Ready(result) = sending.as_mut().poll(context)
        {
            sent = Some(result.is_ok());
        }
        reading.as_mut().poll(context)
    })
    .await?;
    // A refusal may come before the end (413). A yes counts for all of the message, once all of it is sent.
    if response.status < 300 {
        let sent = match sent {
            Some(sent) => sent,
            None => sending.await.is_ok(),
        };
        return if sent {
            Ok(response)
        } else {
            Err(Attempt::Reset)
        };
    }
    Ok(Response {
        reusable: response.reusable && sent == Some(true),
        ..response
    })
}

async fn send<W: AsyncWrite + Unpin>(
    stream: &mut W,
    head: &[u8],
    body: &Body<'_, '_>,
) -> io::Result<()> {
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
async fn write_both<W: AsyncWrite + Unpin>(
    stream: &mut W,
    head: &[u8],
    body: &[u8],
) -> io::Result<()> {
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
