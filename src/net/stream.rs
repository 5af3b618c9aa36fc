//! A connection to a server, plain or with TLS: what is above does not see which.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// What has come already, without waiting: [`io::ErrorKind::WouldBlock`] where nothing has. Behind the bytes of a TLS record that
    /// tells something else nothing has come either.
    ///
    /// # Errors
    /// The connection's, or that nothing has come.
    pub fn try_read_buf(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let stream = match self {
            Self::Plain(stream) => return stream.try_read_buf(bytes),
            Self::Tls(stream) => stream,
        };
        let mut piece = [0; 4096];
        let mut buffer = ReadBuf::new(&mut piece);
        // Whoever waits for this connection next is woken by a waker of their own.
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(stream).poll_read(&mut context, &mut buffer) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(Err(error)) if is_end(&error) => Ok(0),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) => {
                bytes.extend_from_slice(buffer.filled());
                Ok(buffer.filled().len())
            }
        }
    }

    /// The connection below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// TLS, if there is any.
    pub fn tls(&self) -> Option<&rustls::ClientConnection> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => Some(stream.get_ref().1),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => match Pin::new(stream).poll_read(context, buffer) {
                Poll::Ready(Err(error)) if is_end(&error) => Poll::Ready(Ok(())),
                read => read,
            },
        }
    }
}

/// Whether TCP has ended without TLS having said so (`close_notify`), as many servers do. It is an end like any other here: where an
/// answer is whole is told by its block, so nothing can be cut off unseen.
fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
