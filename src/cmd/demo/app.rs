//! The app behind the bridge: an ordinary HTTP handler, which can be taken down and brought up again.

use crate::net::socket;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Where messages are POSTed to.
pub(super) const PATH: &str = "/hl7";
/// For open connections to end when the app goes down.
const GRACE: Duration = Duration::from_secs(1);

/// One request, and what the app made of it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) content_type: String,
    pub(super) envelope: Value,
    pub(super) status: StatusCode,
    /// The answer's body.
    pub(super) problem: Option<Value>,
}

type Log = Arc<Mutex<Vec<Seen>>>;

/// The app, up or down.
#[derive(Debug)]
pub(super) struct App {
    address: SocketAddr,
    seen: Log,
    state: Run,
}

#[derive(Debug)]
enum Run {
    Up {
        stop: oneshot::Sender<()>,
        served: JoinHandle<()>,
    },
    /// The port is kept, by a socket that does not listen: connections to it are refused, and nobody else takes it.
    Down { _reserved: Option<Socket> },
}

impl App {
    /// Brings it up on a free port.
    pub(super) async fn start() -> io::Result<Self> {
        let mut app = Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seen: Log::default(),
            state: Run::Down { _reserved: None },
        };
        app.up()?;
        Ok(app)
    }

    /// Where it is, or was.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has come since the last call.
    pub(super) fn take_seen(&self) -> Vec<Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut seen)
    }

    /// Brings it up, on the port that it had.
    pub(super) fn up(&mut self) -> io::Result<()> {
        let listener = socket::listen(self.address, 128).or_else(|_| {
            // Where two sockets cannot share a port, even if only one of them listens.
            self.state = Run::Down { _reserved: None };
            socket::listen(self.address, 128)
        })?;
        self.address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let router = Router::new()
            .route(PATH, post(handle))
            .with_state(Arc::clone(&self.seen));
        let serve = axum::serve(listener, router).with_graceful_shutdown(async {
            // An error says that the app was dropped, which ends it, too.
            let _ = stopped.await;
        });
        let served = tokio::spawn(async {
            let _ = serve.await;
        });
        self.state = Run::Up { stop, served };
        Ok(())
    }

    /// Takes it down: what is open is closed, what comes is refused.
    pub(super) async fn down(&mut self) {
        let up = std::mem::replace(&mut self.state, Run::Down { _reserved: None });
        if let Run::Up { stop, mut served } = up {
            let _ = stop.send(());
            if tokio::time::timeout(GRACE, &mut served).await.is_err() {
                served.abort();
            }
        }
        self.state = Run::Down {
            _reserved: reserve(self.address).ok(),
        };
    }
}

fn reserve(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

async fn handle(State(log): State<Log>, headers: HeaderMap, body: Bytes) -> Response {
    let envelope: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, problem) = judge(&envelope);
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Seen {
            content_type: content_type.unwrap_or_default().to_owned(),
            envelope,
            status,
            problem: problem.clone(),
        });
    match problem {
        None => status.into_response(),
        Some(problem) => {
            let media = [(header::CONTENT_TYPE, "application/problem+json")];
            (status, media, problem.to_string()).into_response()
        }
    }
}

/// All that this app knows of medicine: a patient needs an identifier.
fn judge(envelope: &Value) -> (StatusCode, Option<Value>) {
    let segments = envelope["data"]["segments"].as_array();
    let mut pids = segments
        .into_iter()
        .flatten()
        .filter(|segment| segment["id"] == "PID");
    if pids.all(|pid| pid["fields"]["3"].is_array()) {
        return (StatusCode::OK, None);
    }
    let problem = json!({
        "title": "Patient without an identifier",
        "errors": [{ "location": "PID-3", "condition": 101, "detail": "PID-3 is empty" }],
    });
    (StatusCode::UNPROCESSABLE_ENTITY, Some(problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn goes_down_and_comes_up_on_its_port() {
        let mut app = App::start().await.unwrap();
        for _ in 0..3 {
            assert!(TcpStream::connect(app.address()).await.is_ok());
            app.down().await;
            assert!(TcpStream::connect(app.address()).await.is_err());
            app.up().unwrap();
        }
    }

    #[test]
    fn a_patient_needs_an_identifier() {
        let envelope =
            |fields: Value| json!({"data": {"segments": [{"id": "PID", "fields": fields}]}});
        assert_eq!(judge(&envelope(json!({"3": [{"1": "4711"}]}))).0, 200);
        assert_eq!(judge(&envelope(json!({}))).0, 422);
    }
}
