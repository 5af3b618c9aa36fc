//! How a connection comes to be: the name's addresses in turn, and TLS where it is wanted.

use super::{Connection, Input, Options};
use crate::mllp::{Decoder, wrap};
use crate::net::stream::Stream;
use crate::net::{socket, tls};
use crate::outbound::error::Error;
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

impl Connection {
    /// Connects to `host:port`, trying each address of the name in turn, and begins TLS there is any.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`] with the last address's reason, [`Error::ConnectTimeout`] or [`Error::Tls`].
    pub async fn open(
        address: &str,
        tls: Option<&tls::Client>,
        options: Options,
    ) -> Result<Self, Error> {
        let (stream, peer) = connect(address, tls, &options).await?;
        let framing = &options.framing;
        let longest = wrap::longest_block(framing, options.max_answer_bytes);
        let decoder = Decoder::new(framing.start, framing.end, longest);
        Ok(Self {
            stream,
            peer,
            input: Input {
                bytes: Vec::new(),
                decoder,
            },
            options,
            doubtful: false,
            admitted: false,
        })
    }

    /// This machine's address.
    ///
    /// # Errors
    /// If the connection is gone already.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.stream.tcp().local_addr()
    }

    /// Which TLS it speaks, like `TLSv1_3`. `None`: none.
    pub fn tls_version(&self) -> Option<String> {
        let version = self.stream.tls()?.protocol_version()?;
        version.as_str().map(str::to_owned)
    }

    /// With other timeouts and bounds for what comes next. The framing, and the longest answer, stay as they were.
    #[must_use]
    pub fn with(mut self, options: Options) -> Self {
        let framing = self.options.framing;
        let max_answer_bytes = self.options.max_answer_bytes;
        self.options = Options {
            framing,
            max_answer_bytes,
            ..options
        };
        self
    }
}

/// A connection to the first of a name's addresses that takes one. Each has its share of the time: one that does not answer leaves some
/// for the next.
async fn connect(
    address: &str,
    tls: Option<&tls::Client>,
    options: &Options,
) -> Result<(Stream, SocketAddr), Error> {
    let too_slow = || Error::ConnectTimeout {
        address: address.to_owned(),
        after: options.connect_timeout,
    };
    let unresolved = |source| Error::Resolve {
        address: address.to_owned(),
        source,
    };
    let deadline = Instant::now() + options.connect_timeout;
    let resolved = timeout_at(deadline, lookup_host(address)).await;
    let resolved = resolved.map_err(|_| unresolved(io::ErrorKind::TimedOut.into()))?;
    let candidates: Vec<SocketAddr> = resolved.map_err(unresolved)?.collect();
    let mut last = unresolved(io::Error::other("the name has no address"));
    for (at, peer) in candidates.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(candidates.len() - at).unwrap_or(1);
        let until = Instant::now() + share;
        let made = socket::connect(
            *peer,
            options.source,
            options.keepalive,
            options.user_timeout,
        );
        last = match timeout_at(until, made).await {
            Ok(Ok(stream)) => match begin(address, stream, tls, until).await {
                Ok(stream) => return Ok((stream, *peer)),
                Err(error) => error,
            },
            Ok(Err(source)) if source.kind() == io::ErrorKind::TimedOut => too_slow(),
            Ok(Err(source)) => Error::Connect {
                address: address.to_owned(),
                source,
            },
            Err(_) => too_slow(),
        };
    }
    Err(last)
}

/// TLS, where it is wanted.
async fn begin(
    address: &str,
    stream: TcpStream,
    tls: Option<&tls::Client>,
    until: Instant,
) -> Result<Stream, Error> {
    let Some(tls) = tls else {
        return Ok(Stream::Plain(stream));
    };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let begun = timeout_at(until, tls.connect(host, stream)).await;
    let begun = begun.unwrap_or(Err(tls::Failed::Slow));
    let stream = begun.map_err(|source| Error::Tls {
        address: address.to_owned(),
        source: Box::new(source),
    })?;
    Ok(Stream::Tls(Box::new(stream)))
}
