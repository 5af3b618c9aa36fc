//! TCP options, all in one place.

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

/// Between keep-alive probes, and how many may stay unanswered.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;
/// After an error of `accept`.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens. Port 0 takes a free one.
///
/// # Errors
/// The system's, most often that the address is in use or not this machine's.
pub fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // After a restart the port may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

/// The next connection, and its permit, which comes first: one that cannot be served stays in the kernel's queue. After an error,
/// most often that no file descriptor is left, which `failed` is told, there is a pause.
pub async fn accept(
    socket: &TcpListener,
    permits: &Arc<Semaphore>,
    failed: impl Fn(&io::Error),
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // Never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match socket.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) => {
                failed(&error);
                sleep(PAUSE).await;
            }
        }
    }
}

/// Sets what a peer's connection needs: an ACK goes out at once, and a peer that is gone is noticed, because gateways and NAT
/// forget quiet connections without telling either end.
///
/// # Errors
/// If the connection is gone already.
pub fn prepare_peer(stream: &TcpStream, keepalive: Option<Duration>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if let Some(idle) = keepalive {
        let probes = TcpKeepalive::new()
            .with_time(idle)
            .with_interval(PROBE_INTERVAL)
            .with_retries(PROBES);
        SockRef::from(stream).set_tcp_keepalive(&probes)?;
    }
    Ok(())
}

/// Connects to one address, from a local one where it is given. It has the options of [`prepare_peer`].
///
/// # Errors
/// The system's; and where the two addresses are not of one family.
pub async fn connect(
    address: SocketAddr,
    source: Option<IpAddr>,
    keepalive: Option<Duration>,
    user_timeout: Option<Duration>,
) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(source) = source {
        if source.is_ipv4() != address.is_ipv4() {
            let what =
                format!("{address} cannot be reached from {source}: they are of two IP versions");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(address).await?;
    prepare_peer(&stream, keepalive)?;
    SockRef::from(&stream).set_tcp_user_timeout(user_timeout)?;
    Ok(stream)
}
