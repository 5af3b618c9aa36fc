//! Attempts until a message is settled or its deadline comes.

use super::answer::{self, Asked};
use super::bundles::{self, Bundles};
use super::entries::Question;
use super::health::Health;
use super::local::{self, Body, Bounds};
use super::maps::BadMaps;
use super::outcome::{Failure, Outcome};
use super::remote;
use super::request::{Route, authorize};
use super::response::Response;
use super::token::Tokens;
use super::waits::{may_be_under_way, pause, wait_before};
use super::watched::Fingerprint;
use crate::config::{self, ClientTls, Framing, Secret, TlsVersion, Transport};
use crate::envelope::{Envelope, Head, Source};
use crate::hl7::ack::Fault;
use crate::net::tls;
use crate::runtime::{Alarm, Drain};
use crate::telemetry::ListenerMetrics;
use crate::telemetry::labels::{Attempt, Refusal};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;

/// An envelope up to this size is held whole. A larger one is made twice: once to know its length and once to be sent.
const WHOLE: usize = 4 * 1024 * 1024;
/// Pieces for the first of the two.
const PIECE: usize = 256 * 1024;
/// A drain is the end of a pod, or of a machine, and an app in it ends beside the bridge. One that has refused connections for so
/// long since is gone for good: its sender shall turn to another bridge now, not when the acknowledgement is due.
const GONE: Duration = Duration::from_secs(1);

/// One listener's app, shared by its connections.
#[derive(Debug)]
pub struct App {
    /// Where it is and how it is asked.
    pub route: Route,
    /// Whether it can be reached.
    pub health: Arc<Health>,
    /// The files that it was made of.
    pub files: Fingerprint,
    remote: Option<remote::Client>,
    bundles: Option<Bundles>,
    tokens: Option<Tokens>,
}

/// Why an app cannot be delivered to. The configuration, or what it points to, is at fault.
#[derive(Debug, Error)]
pub enum Unready {
    /// The app is behind TLS, and the system's trust store cannot be used.
    #[error("no TLS client: {0}")]
    Client(#[from] reqwest::Error),
    /// A file of `deliver.tls` cannot be used.
    #[error("deliver.tls: {0}")]
    Tls(#[from] tls::Unusable),
    /// The maps of format `fhir` cannot be used.
    #[error("deliver.fhir.mappings: {0}")]
    Maps(#[from] BadMaps),
}

impl App {
    /// Prepares delivery; `health` lives on over reloads. Reads files and compiles maps, and blocks for as long.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn new(route: Route, health: Arc<Health>) -> Result<Self, Unready> {
        let delivery = &route.delivery;
        // First: what changes from here on is seen as a change.
        let files = Fingerprint::of(delivery);
        let client = || client(delivery);
        let remote = match delivery.url.transport {
            Transport::Https { .. } => Some(client()?),
            Transport::Http { .. } | Transport::Unix { .. } => None,
        };
        let bundles = delivery.fhir.as_ref().map(Bundles::load).transpose()?;
        let auth = delivery.auth.as_ref();
        let tokens = auth.map(|auth| Tokens::new(auth, delivery.timeout, delivery.retry, client));
        let tokens = tokens.transpose()?;
        Ok(Self {
            route,
            health,
            files,
            remote,
            bundles,
            tokens,
        })
    }

    /// Whether messages like this can be delivered in the format that is configured.
    ///
    /// # Errors
    /// Why not: the sender is to be told, and the app not asked.
    pub fn takes(&self, head: &Head<'_>, message: &[u8]) -> Result<(), Refusal> {
        match &self.bundles {
            Some(bundles) => bundles.takes(head, message),
            None => Ok(()),
        }
    }

    /// Puts a token into the head, where one is configured. Without one, an error says for how long there will be none.
    async fn show(
        &self,
        head: &mut Vec<u8>,
        plain: usize,
        deadline: Instant,
    ) -> Result<Option<Secret>, Duration> {
        let Some(tokens) = &self.tokens else {
            return Ok(None);
        };
        let token = tokens.current(deadline).await?;
        authorize(head, plain, &token);
        Ok(Some(token))
    }

    /// Whether there may be another token than the one that was refused.
    async fn replaces(&self, token: Option<&Secret>, deadline: Instant) -> bool {
        match (&self.tokens, token) {
            (Some(tokens), Some(token)) => tokens.replaces(token, deadline).await,
            _ => false,
        }
    }

    fn judge(
        &self,
        answer: &Response,
        response: &[u8],
        asked: Asked<'_>,
        exchange: &Exchange<'_>,
        request: Request<'_, '_>,
    ) -> Outcome {
        let table = &self.route.delivery.status;
        match (&self.bundles, request.body) {
            (Some(bundles), Body::Whole(bundle)) => {
                let question = Question {
                    table,
                    asked,
                    source: &exchange.source,
                    bundle,
                    entries: request.entries,
                };
                bundles.judge(answer, response, &question)
            }
            _ => answer::judge(answer, response, table.get(answer.status), asked),
        }
    }

    /// Whether it can be reached now: what a probe asks when no message does.
    ///
    /// # Errors
    /// Why not.
    pub async fn probe(&self) -> Result<(), Attempt> {
        local::probe(
            &self.route.delivery.url,
            self.route.delivery.connect_timeout,
        )
        .await
    }
}

/// One message on its way.
#[derive(Debug)]
pub struct Exchange<'e> {
    /// The message, and what is known of it.
    pub source: Source<'e>,
    /// The block characters of the peer's connection: an answer must not hold them.
    pub framing: Framing,
    /// No attempt outlives this.
    pub deadline: Instant,
    /// Shortens the deadline.
    pub drain: &'e Drain,
    /// Counts attempts.
    pub metrics: &'e ListenerMetrics,
}

/// One message's request, the same with each attempt but for its token.
#[derive(Debug, Clone, Copy)]
struct Request<'r, 'm> {
    head: &'r [u8],
    body: &'r Body<'r, 'm>,
    /// Of the bundle, where it is one.
    entries: usize,
}

/// Buffers of one delivery, all empty.
#[derive(Debug)]
pub struct Space<'s> {
    head: &'s mut Vec<u8>,
    body: &'s mut Vec<u8>,
    response: &'s mut Vec<u8>,
}

impl<'s> Space<'s> {
    /// For the request's head, for its body, and for the answer's body.
    pub fn new(head: &'s mut Vec<u8>, body: &'s mut Vec<u8>, response: &'s mut Vec<u8>) -> Self {
        Self {
            head,
            body,
            response,
        }
    }
}

/// One MLLP connection's side of delivery.
#[derive(Debug, Default)]
pub struct Delivery {
    connection: local::Connection,
}

impl Delivery {
    /// Closes the app's connection if it has been idle too long; returns when it will have been.
    pub fn expire(&mut self, now: Instant, idle: Duration) -> Option<Instant> {
        self.connection.expire(now, idle)
    }

    /// Delivers one message.
    pub async fn deliver(
        &mut self,
        app: &App,
        exchange: &Exchange<'_>,
        alarm: &mut Alarm,
        space: Space<'_>,
    ) -> Outcome {
        let Space {
            head,
            body,
            response,
        } = space;
        let mut entries = 0;
        let mut counted = None;
        let (body, length) = match (&app.bundles, app.route.shape()) {
            (Some(bundles), _) => match bundles.write(&exchange.source) {
                Err(why) => return bundles::not_covered(&why, exchange.source.message),
                Ok(bundle) => {
                    *body = bundle.json;
                    entries = bundle.entries;
                    counted = Some(bundle.counted);
                    (Body::Whole(body), body.len() as u64)
                }
            },
            (None, None) => (
                Body::Whole(exchange.source.bytes),
                exchange.source.bytes.len() as u64,
            ),
            (None, Some(shape)) => {
                let limit = if app.remote.is_some() {
                    usize::MAX
                } else {
                    WHOLE
                };
                prepare(Envelope::new(exchange.source, shape), body, limit)
            }
        };
        app.route.write_head(head, &exchange.source, length);
        let plain = head.len();

        let asked = Asked {
            head: exchange.source.header,
            framing: exchange.framing,
        };
        let mut attempts = 0;
        let mut gone_since = None;
        let mut replaced = false;
        loop {
            attempts += 1;
            response.clear();
            let started = Instant::now();
            let mut rest = None;
            let (result, token) = match app.show(head, plain, exchange.deadline).await {
                Err(none_for) => {
                    rest = Some(none_for);
                    (Err(Attempt::Token), None)
                }
                Ok(token) => {
                    let request = Request {
                        head,
                        body: &body,
                        entries,
                    };
                    let answer = self.attempt(app, exchange, request, alarm, response, started);
                    (answer.await, token)
                }
            };
            exchange
                .metrics
                .delivery
                .observe(started.elapsed().as_secs_f64());
            // Without a token the app was not asked.
            if result != Err(Attempt::Token) {
                app.health.saw(result, exchange.metrics);
            }
            let (failure, retry_after) = match result {
                // Its token may have been taken back before its time: another one is tried, once.
                Ok(answer)
                    if answer.status == 401
                        && !replaced
                        && app.replaces(token.as_ref(), exchange.deadline).await =>
                {
                    replaced = true;
                    exchange.metrics.retries.inc();
                    continue;
                }
                Ok(answer) => {
                    let request = Request {
                        head,
                        body: &body,
                        entries,
                    };
                    match app.judge(&answer, response, asked, exchange, request) {
                        Outcome::Unavailable(failure) => (failure, answer.retry_after),
                        settled => {
                            if let (Outcome::Accepted(_), Some(counted)) = (&settled, &counted) {
                                bundles::count(counted, exchange.metrics);
                            }
                            return settled;
                        }
                    }
                }
                Err(reason) => (unreached(reason), rest),
            };
            exchange.metrics.attempts_failed.of(failure.reason).inc();
            let going = exchange.drain.is_draining()
                && failure.reason == Attempt::Refused
                && app.route.delivery.url.is_local();
            gone_since = going.then(|| gone_since.unwrap_or(started));
            let gone = gone_since.is_some_and(|since: Instant| since.elapsed() >= GONE);
            let mut wait = wait_before(app.route.delivery.retry, attempts, retry_after);
            if app.bundles.is_some() && may_be_under_way(&failure) {
                wait = wait.max(app.route.delivery.timeout);
            }
            if going {
                wait = wait.min(GONE);
            }
            if gone || !pause(wait, exchange.deadline, exchange.drain).await {
                return Outcome::Unavailable(Failure {
                    attempts,
                    ..failure
                });
            }
            exchange.metrics.retries.inc();
        }
    }

    async fn attempt(
        &mut self,
        app: &App,
        exchange: &Exchange<'_>,
        request: Request<'_, '_>,
        alarm: &mut Alarm,
        response: &mut Vec<u8>,
        now: Instant,
    ) -> Result<Response, Attempt> {
        let delivery = &app.route.delivery;
        let deadline = exchange.deadline.min(now + delivery.timeout);
        let Request {
            head,
            body,
            entries,
        } = request;
        let max_response = match (&app.bundles, body) {
            (Some(_), Body::Whole(bundle)) => {
                bundles::most_of_answer(delivery.max_response_bytes, bundle.len(), entries)
            }
            _ => delivery.max_response_bytes,
        };
        if let (Some(client), Body::Whole(body)) = (&app.remote, body) {
            let body = body.to_vec();
            return client
                .exchange(&delivery.url, head, body, deadline, max_response, response)
                .await;
        }
        let bounds = Bounds {
            connect: delivery.connect_timeout,
            deadline,
            idle: delivery.idle_timeout,
            max_response,
        };
        self.connection
            .exchange(&delivery.url, head, body, bounds, alarm, response)
            .await
    }
}

/// For `https://`.
fn client(delivery: &config::Delivery) -> Result<remote::Client, Unready> {
    let files = &delivery.tls;
    let tls = match files == &config::AppTls::default() {
        true => None,
        false => {
            let settings = tls::Client::new(ClientTls {
                ca_file: files.ca_file.clone(),
                identity: files.identity.clone(),
                server_name: None,
                min_version: TlsVersion::Tls12,
            });
            Some(settings.settings()?.as_ref().clone())
        }
    };
    Ok(remote::Client::new(
        delivery.connect_timeout,
        delivery.idle_timeout,
        tls,
    )?)
}

/// Writes the envelope, or its beginning and its length if it is too large to be held.
fn prepare<'b, 'm>(
    mut envelope: Envelope<'m>,
    out: &'b mut Vec<u8>,
    limit: usize,
) -> (Body<'b, 'm>, u64) {
    if envelope.fill(out, limit) {
        let length = out.len() as u64;
        return (Body::Whole(out), length);
    }
    let mut length = out.len() as u64;
    let mut rest = envelope.clone();
    let mut piece = Vec::with_capacity(PIECE + PIECE / 4);
    loop {
        piece.clear();
        let done = rest.fill(&mut piece, PIECE);
        length += piece.len() as u64;
        if done {
            return (Body::Begun(out, envelope), length);
        }
    }
}

fn unreached(reason: Attempt) -> Failure {
    let text = match reason {
        Attempt::Dns => "the application's host name does not resolve",
        Attempt::Refused => "the application is not listening",
        Attempt::ConnectTimeout => "the application cannot be reached",
        Attempt::Reset => "the application closed the connection before it had answered",
        Attempt::Timeout => "the application did not answer in time",
        Attempt::Garbage => "the application's answer is not HTTP",
        Attempt::Tls => "the TLS connection to the application failed",
        Attempt::Status => "the application is unavailable",
        Attempt::Token => "the bridge has no token to show to the application",
    };
    Failure {
        reason,
        status: None,
        faults: vec![Fault::application(text)],
        attempts: 1,
    }
}
