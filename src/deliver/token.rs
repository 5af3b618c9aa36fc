//! What an app is shown: a bearer token (RFC 6750) from a file, or from an OAuth 2 server.
//!
//! Of OAuth 2 this is the client credentials grant (RFC 6749, section 4.4) and nothing else: one request and its answer. No library
//! is used for it, since those that there are bring older versions of what is here already. No token and no secret is ever logged.

use super::remote::Client;
use crate::config::{Auth, ClientCredentials, Retry, Secret};
use crate::runtime::backoff;
use crate::telemetry::labels::Label;
use crate::telemetry::log::Throttle;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
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
/// What a form leaves as it is beside letters and digits: servers are known that compare names without undoing what needed no escape.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'*')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_');
/// No `Retry-After` of a token endpoint is heeded for longer: its listener would take nothing all the while.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// A token that took the place of a refused one is not replaced for so long: an app that refuses both refuses the client.
const REPLACED: Duration = Duration::from_secs(1);
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
    /// Waits between requests that fail.
    retry: Retry,
    log: Throttle,
}

#[derive(Debug, Default)]
struct State {
    kept: Option<Kept>,
    /// There was none to be had.
    failed: Option<Failed>,
    /// When one was given up last because the app had refused it.
    replaced: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    at: Instant,
    /// One after the other.
    times: u32,
    /// Nobody asks before.
    until: Instant,
}

/// Why there is no token. The endpoint may have said when to ask again.
struct NoToken(String, Option<Duration>);

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
    /// Seconds; some servers write them as text, or with a fraction.
    expires_in: Option<Value>,
}

impl Tokens {
    /// The client is used for a token endpoint. A request there takes no longer than the timeout, and those that fail are spaced
    /// for all connections together.
    pub(super) fn new<E>(
        auth: &Auth,
        timeout: Duration,
        retry: Retry,
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
            retry,
            log: Throttle::default(),
        })
    }

    /// The token that is to be shown now.
    ///
    /// # Errors
    /// If there is none before the deadline: for how long it is of no use to ask again.
    pub(super) async fn current(&self, deadline: Instant) -> Result<Secret, Duration> {
        let began = Instant::now();
        let state = tokio::time::timeout_at(deadline, self.state.lock());
        let mut state = state.await.map_err(|_| Duration::ZERO)?;
        let now = Instant::now();
        if let Some(Kept { token, until }) = &state.kept
            && now < *until
        {
            return Ok(token.clone());
        }
        // Who has waited for somebody else's failure has failed as well: an endpoint that hangs is not asked by one connection
        // after another, each waiting for all before it. Nor is one that says no asked by each of them.
        if let Some(Failed { at, until, .. }) = state.failed
            && (began <= at || now < until)
        {
            return Err(until.saturating_duration_since(now));
        }
        state.kept = None;
        match self.ask(deadline.min(now + self.timeout)).await {
            Ok(new) => {
                let token = new.token.clone();
                state.kept = Some(new);
                state.failed = None;
                Ok(token)
            }
            Err(retry_after) => {
                let times = state.failed.map_or(0, |failed| failed.times);
                let times = times.saturating_add(1);
                let (at, rest) = (Instant::now(), self.rest(times, retry_after));
                let until = at + rest;
                state.failed = Some(Failed { at, times, until });
                Err(rest)
            }
        }
    }

    /// Whether another token is to be shown than this one, which the app has refused.
    pub(super) async fn replaces(&self, refused: &Secret, deadline: Instant) -> bool {
        let state = tokio::time::timeout_at(deadline, self.state.lock()).await;
        let Ok(mut state) = state else {
            return false;
        };
        let now = Instant::now();
        match &state.kept {
            Some(Kept { token, until }) if token == refused && now < *until => {}
            // There is another one already, or would be.
            _ => return true,
        }
        let lately = state.replaced.is_some_and(|at| now < at + REPLACED);
        if lately && matches!(self.from, From::Server(..)) {
            return false;
        }
        state.replaced = Some(now);
        state.kept = None;
        true
    }

    /// A file is looked at by each message that needs it: it costs nobody anything.
    fn rest(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        match self.from {
            From::File(_) => Duration::ZERO,
            From::Server(..) => {
                let retry_after = retry_after.unwrap_or_default().min(LONGEST_REST);
                backoff::wait(self.retry, failures).max(retry_after)
            }
        }
    }

    async fn ask(&self, deadline: Instant) -> Result<Kept, Option<Duration>> {
        let result = match &self.from {
            From::File(path) => match read(path) {
                Ok(token) => Ok(Kept {
                    token,
                    until: Instant::now() + FRESH,
                }),
                Err(reason) => Err(NoToken(reason, None)),
            },
            From::Server(credentials, client) => fetch(credentials, client, deadline).await,
        };
        result.map_err(|NoToken(reason, retry_after)| {
            if let Some(suppressed) = self.log.pass(Instant::now()) {
                tracing::error!(%reason, suppressed, "there is no token to show to the application");
            }
            retry_after
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
) -> Result<Kept, NoToken> {
    let no_token = |reason| NoToken(reason, None);
    let secret = read(&credentials.client_secret_file).map_err(no_token)?;
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
        Ok(response) if matches!(response.status, 200 | 201) && !response.cut => {
            let reason = || no_token(format!("{url}: the answer has no bearer token"));
            granted(&body, began).ok_or_else(reason)
        }
        Ok(response) => {
            let reason = format!("{url}: HTTP {}", response.status);
            Err(NoToken(reason, response.retry_after))
        }
        Err(error) => Err(no_token(format!("{url}: {}", error.label()))),
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
    let life = granted.expires_in.as_ref().and_then(life).unwrap_or(UNSAID);
    // One that lives for less than twice the margin is used for half of its life.
    let usable = life.saturating_sub(MARGIN).max(life / 2);
    Some(Kept {
        token: Secret::new(granted.access_token),
        until: began.checked_add(usable).unwrap_or(began),
    })
}

/// A time that cannot be read counts as none that was said.
fn life(expires_in: &Value) -> Option<Duration> {
    let seconds = match expires_in {
        Value::Number(seconds) => seconds.as_f64(),
        Value::String(seconds) => seconds.trim().parse().ok(),
        _ => None,
    };
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// `application/x-www-form-urlencoded`
fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_for_as_long_as_it_says_in_whatever_form() {
        for (said, used) in [
            ("3599", 3569),
            ("\"3599\"", 3569),
            ("\" 3599 \"", 3569),
            ("3599.0", 3569),
            ("40", 20),
            ("0", 0),
            // As if it had not said so.
            ("null", 270),
            ("-1", 270),
            ("\"soon\"", 270),
            ("1e300", 270),
            ("{}", 270),
        ] {
            let body = format!(
                "{{\"access_token\": \"t\", \"token_type\": \"Bearer\", \"expires_in\": {said}}}"
            );
            let now = Instant::now();
            let granted = granted(body.as_bytes(), now);
            let until = granted.unwrap_or_else(|| panic!("{said}: no token")).until;
            assert_eq!((until - now).as_secs(), used, "{said}");
        }
    }

    #[test]
    fn a_name_of_letters_and_marks_that_forms_have_is_sent_as_it_is() {
        assert_eq!(escaped("mllp-bridge_1.a*"), "mllp-bridge_1.a*");
        assert_eq!(escaped("a b:c%~é"), "a%20b%3Ac%25%7E%C3%A9");
    }
}
