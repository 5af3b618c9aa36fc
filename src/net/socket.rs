//! TCP options, all in one place.

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Between keep-alive probes, and how many may stay unanswered.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

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
