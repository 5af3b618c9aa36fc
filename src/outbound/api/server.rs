//! The API's socket: accepting, bounds on connections, an orderly end.

use super::Api;
use crate::net::socket;
use crate::runtime::Drain;
use crate::telemetry::log::Throttle;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Between two requests, and for a request's head. Clients keep unused connections for shorter.
const IDLE: Duration = Duration::from_secs(300);
const BACKLOG: u32 = 1024;

/// A bound API.
#[derive(Debug)]
pub struct Server {
    socket: TcpListener,
    address: SocketAddr,
    api: Arc<Api>,
    permits: Arc<Semaphore>,
    drain: Drain,
    throttle: Throttle,
}

impl Server {
    /// Binds the port.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn bind(address: SocketAddr, max_connections: usize, api: Arc<Api>) -> io::Result<Self> {
        let socket = socket::listen(address, BACKLOG)?;
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            permits: Arc::new(Semaphore::new(max_connections)),
            drain: api.drain.clone(),
            api,
            throttle: Throttle::default(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Until the drain is over: what is under way is finished and answered, then cut at the deadline.
    pub async fn serve(self) {
        let mut connections = JoinSet::new();
        let mut begun = pin!(self.drain.begun());
        loop {
            tokio::select! {
                stream = self.accept() => {
                    connections.spawn(connection(stream, Arc::clone(&self.api), self.drain.clone()));
                }
                Some(_) = connections.join_next() => {}
                _ = &mut begun => break,
            }
        }
        drop(self.socket);
        let rest = async {
            while connections.join_next().await.is_some() {}
            self.api.done().await;
        };
        tokio::select! {
            () = rest => {}
            () = self.drain.forced() => tracing::warn!("the drain's deadline has cut messages on their way out"),
        }
    }

    async fn accept(&self) -> (TcpStream, Option<OwnedSemaphorePermit>) {
        let failed = |error: &io::Error| {
            if let Some(suppressed) = self.throttle.pass(Instant::now()) {
                tracing::warn!(%error, suppressed, "cannot accept a connection");
            }
        };
        socket::accept(&self.socket, &self.permits, failed).await
    }
}

/// One connection, request after request.
async fn connection(
    (stream, _permit): (TcpStream, Option<OwnedSemaphorePermit>),
    api: Arc<Api>,
    drain: Drain,
) {
    // Without it an answer in two writes would wait for the client's delayed ACK.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let api = Arc::clone(&api);
        async move { Ok::<_, Infallible>(api.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // Its errors are the client's: it went away, or did not speak HTTP.
        _ = connection.as_mut() => return,
        _ = drain.begun() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
