//! The HTTP side: axum, because this is not the message path.
//!
//! | path | says |
//! | --- | --- |
//! | `GET /metrics` | Prometheus text |
//! | `GET /livez` | 200 while the process runs, draining or not |
//! | `GET /readyz` | 200, or 503 and why not |
//! | `POST /drain` | from this machine only: begins the drain, answers when it is over |

use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use tokio::net::TcpListener;

/// A bound admin server.
#[derive(Debug)]
pub struct Server {
    socket: TcpListener,
    address: SocketAddr,
    router: Router,
}

/// What the server tells of: the sidecar, or the injector.
pub trait Subject: Send + Sync + 'static {
    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// If it cannot be written, which would be an error of ours.
    fn metrics(&self) -> prometheus::Result<String>;

    /// Why not to send anything here, one reason a line; empty if ready.
    fn reasons(&self) -> Vec<String>;

    /// Begins the drain; again changes nothing.
    fn begin_drain(&self);

    /// Ends when the drain has.
    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

type Shared = State<Arc<dyn Subject>>;

impl Server {
    /// Binds the port.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn bind(address: SocketAddr, subject: Arc<dyn Subject>) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let router = Router::new()
            .route("/metrics", get(metrics_text))
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(readyz))
            .route("/drain", post(drain))
            .with_state(subject);
        Ok(Self {
            socket,
            address,
            router,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves as long as the process.
    pub async fn serve(self) {
        let service = self
            .router
            .into_make_service_with_connect_info::<SocketAddr>();
        if let Err(error) = axum::serve(self.socket, service).await {
            tracing::error!(%error, "the admin server ended");
        }
    }
}

async fn metrics_text(State(subject): Shared) -> Response {
    match subject.metrics() {
        Ok(text) => (
            [(
                header::CONTENT_TYPE,
                "text/plain; version=0.0.4; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn readyz(State(subject): Shared) -> Response {
    let reasons = subject.reasons();
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not ready\n{}\n", reasons.join("\n")),
    )
        .into_response()
}

async fn drain(State(subject): Shared, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Response {
    if !may_drain(peer) {
        return (
            StatusCode::FORBIDDEN,
            Json(json!({"error": "drain is for this machine only"})),
        )
            .into_response();
    }
    subject.begin_drain();
    subject.drained().await;
    Json(json!({"drained": true})).into_response()
}

/// The port is open to Prometheus; ending the bridge is for its own pod (a preStop hook runs inside it).
fn may_drain(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_may_drain() {
        for (peer, may) in [
            ("127.0.0.1:5", true),
            ("127.8.9.1:5", true),
            ("[::1]:5", true),
            ("[::ffff:127.0.0.1]:5", true),
            ("10.1.0.10:5", false),
            ("0.0.0.0:5", false),
            ("[::]:5", false),
            ("[fe80::1]:5", false),
            ("[::ffff:10.1.0.10]:5", false),
            ("128.0.0.1:5", false),
        ] {
            assert_eq!(may_drain(peer.parse().unwrap()), may, "{peer}");
        }
    }
}
