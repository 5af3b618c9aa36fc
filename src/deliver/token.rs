//! What an app is shown: a bearer token (RFC 6750) from a file, or from an OAuth 2 server.
//!
//! Of OAuth 2 this is the client credentials grant (RFC 6749, section 4.4) and nothing else: one request and its answer. No library
//! is used for it, since those that there are bring older versions of what is here already. No token and no secret is ever logged.

use super::remote::Client;
use crate::config::{Auth, ClientCredentials, Secret};
use crate::telemetry::labels::{Attempt, Label};
use crate::telemetry::log::Throttle;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A file is not read more often than this.
const FRESH: Duration = Duration::from_secs(1);
/// A token is not used in the last moments of its life: it has to outlive the way to the app.
const MARGIN: Duration = Duration::from_secs(30);
/// How long a token lives that does not say so.
const UNSAID: Duration = Duration::from_secs(300);
/// Longest file and answer that is read.
const LONGEST: usize = 64 * 1024;

/// One listener's way to a token.
#[derive(Debug)]
pub(super) struct Tokens {
    from: From,
    /// Whoever asks while another does waits for the same answer.
    state: Mutex<State>,
    /// Longest time for one request to a token endpoint.
    timeout: Duration,
    log: Throttle,
}

#[derive(Debug, Default)]
struct State {
    kept: Option<Kept>,
    /// When there was none to be had.
    failed: Option<Instant>,
}

#[derive(Debug)]
enum From {
    File(std::path::PathBuf),
    Server(ClientCredentials, Client),
}

/// A token, and until when it is shown.
#[derive(Debug)]
struct Kept {
    token: Secret,
    until: Instant,
}

/// An answer of a token endpoint (RFC 6749, section 5.1). Never printed.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
}

impl Tokens {
    /// The client is used for a token endpoint, and a request there takes no longer than the timeout.
    pub(super) fn new<E>(
        auth: &Auth,
        timeout: Duration,
        client: impl FnOnce() -> Result<Client, E>,
    ) -> Result<Self, E> {
        let from = match auth {
            Auth::BearerFile(file) => From::File(file.clone()),
            Auth::ClientCredentials(credentials) => From::Server(credentials.clone(), client()?),
        };
        Ok(Self {
            from,
            state: Mutex::default(),
            timeout,
            log: Throttle::default(),
        })
    }

    /// The token that is to be shown now: another one than the one that the app has refused, but that a file may still hold it.
    ///
    /// # Errors
    /// [`Attempt::Token`] if there is none before the deadline.
    pub(super) async fn other_than(
        &self,
        refused: Option<&Secret>,
        deadline: Instant,
    ) -> Result<Secret, Attempt> {
        let began = Instant::now();
        let state = tokio::time::timeout_at(deadline, self.state.lock());
        let mut state = state.await.map_err(|_| Attempt::Token)?;
        if let Some(Kept { token, until }) = &state.kept
            && Instant::now() < *until
            && refused != Some(token)
        {
            return Ok(token.clone());
        }
        // Who has waited for somebody else's failure has failed as well: an endpoint that hangs is not asked by one connection
        // after another, each waiting for all before it.
        if state.failed.is_some_and(|failed| began <= failed) {
            return Err(Attempt::Token);
        }
        state.kept = None;
        match self.ask(deadline.min(Instant::now() + self.timeout)).await {
            Ok(new) => {
                let token = new.token.clone();
                state.kept = Some(new);
                Ok(token)
            }
            Err(reason) => {
                state.failed = Some(Instant::now());
                Err(reason)
            }
        }
    }

    async fn ask(&self, deadline: Instant) -> Result<Kept, Attempt> {
        let result = match &self.from {
            From::File(path) => read(path).map(|token| Kept {
                token,
                until: Instant::now() + FRESH,
            }),
            From::Server(credentials, client) => fetch(credentials, client, deadline).await,
        };
        result.map_err(|reason| {
            if let Some(suppressed) = self.log.pass(Instant::now()) {
                tracing::error!(%reason, suppressed, "there is no token to show to the application");
            }
            Attempt::Token
        })
    }
}

/// A file's one line.
fn read(path: &Path) -> Result<Secret, String> {
    let mut text = String::new();
    let file = std::fs::metadata(path).and_then(|kind| match kind.is_file() {
        true => File::open(path)?
            .take(LONGEST as u64)
            .read_to_string(&mut text),
        // A pipe that nobody writes to would hold up every connection.
        false => Err(io::Error::other("it is not a file")),
    });
    let text = text.trim_ascii();
    let why = match file {
        Err(error) => error,
        Ok(_) if text.is_empty() => io::Error::other("it is empty"),
        Ok(_)
            if !text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() || byte == b' ') =>
        {
            io::Error::other("it holds what is not ASCII on one line")
        }
        Ok(_) => return Ok(Secret::new(text.to_owned())),
    };
    Err(format!("{}: {why}", path.display()))
}

async fn fetch(
    credentials: &ClientCredentials,
    client: &Client,
    deadline: Instant,
) -> Result<Kept, String> {
    let secret = read(&credentials.client_secret_file)?;
    let mut form = "grant_type=client_credentials".to_owned();
    if let Some(scope) = &credentials.scope {
        form.push_str("&scope=");
        form.push_str(&escaped(scope));
    }
    // RFC 6749, section 2.3.1: each half is escaped before they are joined.
    let both = format!(
        "{}:{}",
        escaped(&credentials.client_id),
        escaped(secret.expose())
    );
    let head = format!(
        "POST\r\nContent-Type: application/x-www-form-urlencoded\r\nAccept: application/json\r\n\
         Authorization: Basic {}\r\n",
        STANDARD.encode(both)
    );
    let url = &credentials.token_url;
    let began = Instant::now();
    let mut body = Vec::new();
    let exchange = client.exchange(
        url,
        head.as_bytes(),
        form.into_bytes(),
        deadline,
        LONGEST,
        &mut body,
    );
    // The answer's own words are not told: some repeat there what they were sent.
    match exchange.await {
        Ok(response) if response.status == 200 && !response.cut => {
            granted(&body, began).ok_or_else(|| format!("{url}: the answer has no bearer token"))
        }
        Ok(response) => Err(format!("{url}: HTTP {}", response.status)),
        Err(error) => Err(format!("{url}: {}", error.label())),
    }
}

fn granted(body: &[u8], began: Instant) -> Option<Kept> {
    let granted: Granted = serde_json::from_slice(body).ok()?;
    let fits = granted
        .access_token
        .bytes()
        .all(|byte| byte.is_ascii_graphic());
    if !granted.token_type.eq_ignore_ascii_case("bearer")
        || granted.access_token.is_empty()
        || !fits
    {
        return None;
    }
    let life = granted.expires_in.map_or(UNSAID, Duration::from_secs);
    // One that lives for less than twice the margin is used for half of its life.
    let usable = life.saturating_sub(MARGIN).max(life / 2);
    Some(Kept {
        token: Secret::new(granted.access_token),
        until: began.checked_add(usable).unwrap_or(began),
    })
}

/// `application/x-www-form-urlencoded`
fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
