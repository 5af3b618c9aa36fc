//! Connections: accepting, TLS, bounds on all of it, and an orderly end.
//!
//! At the drain the listener goes on for a while: the Service still sends connections until every node has learned that
//! this replica is not ready. Then idle connections are closed, and what is being reviewed is finished.

use crate::injector::certs::Serving;
use crate::net::socket;
use crate::runtime::Drain;
use crate::telemetry::log::Throttle;
use crate::telemetry::{InjectorMetrics, Raised};
use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

/// TLS, and then the first request's head: a client that connects has something to ask.
const FIRST: Duration = Duration::from_secs(5);

/// Between two requests. The API server itself closes what is idle for 90 s, and must be the first to: a connection that
/// is closed under a request costs a pod.
const IDLE: Duration = Duration::from_secs(100);

/// A bound webhook.
pub struct Server {
    socket: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
    router: Router,
    drain: Drain,
    /// How long connections are still accepted after the drain has begun.
    linger: Duration,
    permits: Arc<Semaphore>,
    metrics: InjectorMetrics,
    throttle: Arc<Throttle>,
}

/// What [`Server::bind`] needs.
pub struct Parts {
    /// What is served.
    pub serving: Arc<Serving>,
    /// Answers requests.
    pub router: Router,
    /// Ends it.
    pub drain: Drain,
    /// How long connections are still accepted after the drain has begun.
    pub linger: Duration,
    /// Open at once; more wait in the listener's backlog.
    pub max_connections: usize,
    /// Counts connections.
    pub metrics: InjectorMetrics,
}

impl Server {
    /// Binds the port.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn bind(address: SocketAddr, parts: Parts) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            tls: TlsAcceptor::from(Arc::new(tls(parts.serving)?)),
            router: parts.router,
            drain: parts.drain,
            linger: parts.linger,
            permits: Arc::new(Semaphore::new(parts.max_connections)),
            metrics: parts.metrics,
            throttle: Arc::default(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Until the drain is over.
    pub async fn serve(self) {
        let mut connections = JoinSet::new();
        {
            let mut end = pin!(lingered(self.drain.clone(), self.linger));
            loop {
                tokio::select! {
                    (stream, permit) = self.accept() => {
                        connections.spawn(self.connection(stream, permit));
                    }
                    Some(_) = connections.join_next() => {}
                    () = &mut end => break,
                }
            }
        }
        drop(self.socket);
        let rest = async { while connections.join_next().await.is_some() {} };
        tokio::select! {
            () = rest => {}
            () = self.drain.forced() => tracing::warn!("the drain's deadline has cut connections"),
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

    fn connection(
        &self,
        stream: TcpStream,
        permit: Option<OwnedSemaphorePermit>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (tls, router) = (self.tls.clone(), self.router.clone());
        let end = lingered(self.drain.clone(), self.linger);
        let (open, throttle) = (self.metrics.open.clone(), Arc::clone(&self.throttle));
        async move {
            let _permit = permit;
            let _open = Raised::new(&open);
            let _ = stream.set_nodelay(true);
            let start = Instant::now();
            match timeout(FIRST, tls.accept(stream)).await {
                Ok(Ok(stream)) => serve(stream, router, start, end).await,
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    tracing::debug!("a connection without TLS: a probe, most likely");
                }
                Ok(Err(error)) => {
                    if let Some(suppressed) = throttle.pass(Instant::now()) {
                        tracing::warn!(%error, suppressed, "TLS with a client failed");
                    }
                }
                Err(_) => tracing::debug!("a client took too long over TLS"),
            }
        }
    }
}

/// Ends when the drain has begun and its first part is over.
async fn lingered(drain: Drain, linger: Duration) {
    let deadline = drain.begun().await;
    sleep_until((Instant::now() + linger).min(deadline)).await;
}

/// One connection, request after request.
async fn serve(
    stream: tokio_rustls::server::TlsStream<TcpStream>,
    router: Router,
    start: Instant,
    end: impl Future<Output = ()>,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let router = TowerToHyperService::new(router);
    let service = service_fn({
        let asked = Arc::clone(&asked);
        move |request| {
            asked.store(true, Relaxed);
            router.call(request)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut end = pin!(end);
    let mut first = pin!(sleep_until(start + FIRST));
    let (mut ending, mut judged) = (false, false);
    loop {
        tokio::select! {
            // Its errors are the client's: it went away, or did not speak HTTP.
            _ = connection.as_mut() => return,
            () = &mut end, if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
            () = &mut first, if !judged => {
                judged = true;
                if !asked.load(Relaxed) {
                    return;
                }
            }
        }
    }
}

fn tls(serving: Arc<Serving>) -> io::Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = config.with_no_client_auth().with_cert_resolver(serving);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session would go on with a certificate that has been replaced.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
