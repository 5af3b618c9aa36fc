//! A token endpoint of OAuth 2 for one client (RFC 6749, section 4.4: client credentials), which counts what it is asked. It is ours,
//! not other people's: what it accepts is what the RFC has, and nothing else.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::http;

/// Runs until it is dropped.
pub struct TokenEndpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
    _end: tokio::sync::oneshot::Sender<()>,
}

struct Shared {
    client: String,
    secret: String,
    life: Duration,
    state: Mutex<Tokens>,
}

#[derive(Default)]
struct Tokens {
    /// With their ends.
    given: HashMap<String, Instant>,
    requests: usize,
    refused: usize,
    /// What the next ones get instead of an answer; `None`: nothing, ever.
    down: VecDeque<Option<StatusCode>>,
}

impl TokenEndpoint {
    /// For one client; its tokens live this long.
    pub fn start(client: &str, secret: &str, life: Duration) -> Self {
        let shared = Arc::new(Shared {
            client: client.to_owned(),
            secret: secret.to_owned(),
            life,
            state: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("its address");
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let app = Router::new()
            .route("/token", post(answer))
            .with_state(Arc::clone(&shared));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let ended = async { drop(ended.await) };
                let served = axum::serve(listener, app).with_graceful_shutdown(ended);
                served.await.expect("it serves");
            });
        });
        Self {
            address,
            shared,
            _end: end,
        }
    }

    /// Where tokens are asked for.
    pub fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// Asks it for a token itself, with this form and this header line.
    pub fn ask(&self, kind: &str, header: Option<String>, form: &str) -> http::Response {
        let kind = format!("Content-Type: {kind}");
        let headers: Vec<String> = header.into_iter().chain([kind]).collect();
        http::exchange(self.address, "POST", "/token", &headers, form)
    }

    /// How often it was asked, whatever the answer was.
    pub fn requests(&self) -> usize {
        self.shared.state().requests
    }

    /// How many of these got no token.
    pub fn refused(&self) -> usize {
        self.shared.state().refused
    }

    /// What the value of an `Authorization` header is worth now.
    pub fn admits(&self, authorization: &str) -> bool {
        let token = authorization.split_once(' ');
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"));
        let state = self.shared.state();
        let end = token.and_then(|(_, token)| state.given.get(token));
        end.is_some_and(|end| Instant::now() < *end)
    }

    /// Ends the life of every token there is, before its time.
    pub fn revoke(&self) {
        self.shared.state().given.clear();
    }

    /// Answers the next requests with these statuses, one each.
    pub fn fail(&self, statuses: &[StatusCode]) {
        let mut state = self.shared.state();
        state.down.extend(statuses.iter().copied().map(Some));
    }

    /// Leaves so many of the next requests without an answer.
    pub fn hang(&self, requests: usize) {
        let mut state = self.shared.state();
        state.down.extend(std::iter::repeat_n(None, requests));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, Tokens> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token, or why there is none.
    fn decide(&self, headers: &HeaderMap, body: &[u8]) -> Result<String, Refusal> {
        let form = form(headers, body).ok_or(Refusal::InvalidRequest)?;
        let (client, secret) = credentials(headers, &form)?;
        if (client, secret) != (self.client.clone(), self.secret.clone()) {
            return Err(Refusal::InvalidClient);
        }
        match form.get("grant_type").map(String::as_str) {
            None => return Err(Refusal::InvalidRequest),
            Some("client_credentials") => {}
            Some(_) => return Err(Refusal::UnsupportedGrantType),
        }
        Ok(format!(
            "{:016x}{:016x}",
            fastrand::u64(..),
            fastrand::u64(..)
        ))
    }
}

/// Section 5.2.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    InvalidRequest,
    InvalidClient,
    UnsupportedGrantType,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Self::UnsupportedGrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        };
        let mut response = (status, Json(json!({ "error": error }))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Basic realm=\"tokens\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    match answer_now(&shared, &headers, &body) {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

fn answer_now(shared: &Shared, headers: &HeaderMap, body: &[u8]) -> Option<Response> {
    let mut state = shared.state();
    state.requests += 1;
    if let Some(down) = state.down.pop_front() {
        state.refused += 1;
        return down.map(IntoResponse::into_response);
    }
    let response = match shared.decide(headers, body) {
        Ok(token) => {
            state
                .given
                .insert(token.clone(), Instant::now() + shared.life);
            let body = json!({
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": shared.life.as_secs(),
            });
            ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
        }
        Err(refusal) => {
            state.refused += 1;
            refusal.into_response()
        }
    };
    Some(response)
}

/// The parameters; `None` where it is not a form, or has one of them twice (section 3.2).
fn form(headers: &HeaderMap, body: &[u8]) -> Option<HashMap<String, String>> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if kind.split(';').next()?.trim() != "application/x-www-form-urlencoded" {
        return None;
    }
    let mut form = HashMap::new();
    let pairs = std::str::from_utf8(body).ok()?.split('&');
    for pair in pairs.filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if form.insert(unescape(name)?, unescape(value)?).is_some() {
            return None;
        }
    }
    Some(form)
}

/// Who it is, by HTTP Basic or by the form, but not by both (section 2.3).
fn credentials(
    headers: &HeaderMap,
    form: &HashMap<String, String>,
) -> Result<(String, String), Refusal> {
    let named = form.get("client_id").zip(form.get("client_secret"));
    let basic = headers.get(header::AUTHORIZATION);
    match (basic, named) {
        (Some(_), Some(_)) => Err(Refusal::InvalidRequest),
        (None, Some((client, secret))) => Ok((client.clone(), secret.clone())),
        (Some(basic), None) => basic
            .to_str()
            .ok()
            .and_then(decode_basic)
            .ok_or(Refusal::InvalidClient),
        (None, None) => Err(Refusal::InvalidClient),
    }
}

/// Both parts are escaped as in a form, before base64 (section 2.3.1).
fn decode_basic(value: &str) -> Option<(String, String)> {
    let (scheme, value) = value.split_once(' ')?;
    let decoded = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    let (client, secret) = decoded.split_once(':')?;
    let basic = scheme.eq_ignore_ascii_case("Basic");
    basic.then_some((unescape(client)?, unescape(secret)?))
}

fn unescape(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}
