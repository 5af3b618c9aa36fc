//! One MLLP port: accepting, within bounds.

use super::connection;
use super::shared::{Common, Shared};
use crate::config;
use crate::net::socket;
use crate::telemetry::ListenerMetrics;
use crate::telemetry::labels::{Closed, Label};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    /// What its connections share.
    pub shared: Arc<Shared>,
    socket: TcpListener,
    connections: Arc<Semaphore>,
}

impl Listener {
    /// Binds the port.
    ///
    /// # Errors
    /// If the address cannot be bound or the app's client cannot be made.
    pub fn bind(config: &config::Listener, common: &Common) -> io::Result<Self> {
        let shared = Shared::new(config, common).map_err(io::Error::other)?;
        let socket = socket::listen(config.bind, config.backlog)?;
        let connections = Arc::new(Semaphore::new(config.session.limits.max_connections));
        Ok(Self {
            shared: Arc::new(shared),
            socket,
            connections,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until the drain begins; then waits for the open connections, and cuts them at the drain's deadline.
    pub async fn serve(self) {
        let Self {
            shared,
            socket,
            connections,
        } = self;
        let mut tasks = JoinSet::new();
        let mut pause = Pause::default();
        loop {
            tokio::select! {
                _ = shared.ending() => break,
                Some(_) = tasks.join_next() => {}
                accepted = accept(&socket, &connections) => match accepted {
                    Ok((stream, peer, permit)) => {
                        pause = Pause::default();
                        tasks.spawn(run(stream, peer, Arc::clone(&shared), permit));
                    }
                    Err(error) => {
                        shared.accept_failed(&error);
                        // Without file descriptors left, accept fails at once, again and again.
                        tokio::time::sleep(pause.next()).await;
                    }
                },
            }
        }
        // New connections go elsewhere from here on.
        drop(socket);
        let finished = async { while tasks.join_next().await.is_some() {} };
        tokio::select! {
            () = finished => {}
            () = shared.drain.forced() => {
                tasks.abort_all();
                while tasks.join_next().await.is_some() {}
            }
        }
    }
}

/// The permit comes first: a connection that cannot be served stays in the kernel's queue.
async fn accept(
    socket: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = socket.accept().await?;
    Ok((stream, peer, permit))
}

async fn run(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
) {
    let mut open = Open {
        metrics: &shared.metrics,
        closed: Closed::Forced,
    };
    shared.metrics.accepted.inc();
    shared.metrics.open.inc();
    let keepalive = shared.live().session.limits.keepalive;
    open.closed = match socket::prepare_peer(&stream, keepalive) {
        Ok(()) => connection::serve(stream, peer, &shared).await,
        Err(_) => Closed::Error,
    };
    tracing::debug!(listener = %shared.name, %peer, reason = open.closed.label(), "connection closed");
}

/// Counts a connection's end, however it ends.
struct Open<'m> {
    metrics: &'m ListenerMetrics,
    closed: Closed,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.metrics.open.dec();
        self.metrics.closed.of(self.closed).inc();
    }
}

/// How long to wait after a failed accept: doubling up to a second.
#[derive(Debug, Default)]
struct Pause(u32);

impl Pause {
    fn next(&mut self) -> Duration {
        self.0 = (self.0 + 1).min(6);
        Duration::from_millis(16 << self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};
    use crate::runtime::{Budget, Buffers, Drain};
    use crate::telemetry::Metrics;

    #[tokio::test]
    async fn a_connection_that_waits_is_small() {
        let yaml = "listeners: [{bind: '127.0.0.1:0'}]\nadmin: {bind: 'off'}";
        let config = load(&Source::new().text(yaml)).unwrap();
        let common = Common {
            metrics: Metrics::new("0").unwrap(),
            buffers: Buffers::default(),
            budget: Budget::new(1 << 20, 1 << 10),
            drain: Drain::default(),
            control_ids: Arc::default(),
            store: None,
            awaited: crate::awaited::Awaited::default(),
        };
        let listener = Listener::bind(&config.listeners[0], &common).unwrap();
        let address = listener.address().unwrap();
        let (_client, accepted) = tokio::join!(
            TcpStream::connect(address),
            accept(&listener.socket, &listener.connections)
        );
        let (stream, peer, permit) = accepted.unwrap();

        let future = run(stream, peer, Arc::clone(&listener.shared), permit);
        let bytes = size_of_val(&future);
        assert!(bytes <= 2048, "an idle connection's task is {bytes} bytes");
    }
}
