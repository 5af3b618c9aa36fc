//! The HTTP API by which the app sends messages.
//!
//! | path | does |
//! | --- | --- |
//! | `POST /v1/destinations/{name}/messages` | sends a message, answers with its acknowledgement |
//! | `GET /v1/destinations` | every destination as it is now |
//! | `GET /v1/destinations/{name}` | one of them |
//! | `GET /openapi.json` | this in OpenAPI 3.1 |
//!
//! ```text
//! request ─► message ─► key known? ─► fill in ─► destination ─► report ─┬─► JSON, HL7, problem
//!                          └──────────── its report ◄── stored ◄────────┘
//! ```
//!
//! Must not know: how a destination is reached, or what is in a message beyond its header.

mod answer;
mod message;
pub mod openapi;
pub mod problem;
mod report;
mod send;
mod server;

pub use server::Server;

use super::Destination;
use super::idempotency::{Keys, Request, is_key};
use crate::awaited::Awaited;
use crate::config::Outbound;
use crate::runtime::{Budget, ControlIds, Drain};
use crate::telemetry::labels::{Label, Unsent};
use crate::telemetry::{Counters, Metrics};
use answer::{Answered, Status, Statuses};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::{HeaderMap, Method, StatusCode};
use problem::{Kind, Refused};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// Longest time for a body to come.
const BODY: Duration = Duration::from_secs(60);

/// What requests share.
#[derive(Debug)]
pub struct Api {
    /// In the order of the configuration.
    pub destinations: Vec<Arc<Destination>>,
    keys: Keys,
    keeps_keys: bool,
    allow_remote: bool,
    budget: Budget,
    control_ids: Arc<ControlIds>,
    awaited: Awaited,
    unsent: Counters<Unsent>,
    drain: Drain,
    /// Messages whose requests, or themselves, are under way.
    under_way: watch::Sender<usize>,
}

/// What an [`Api`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// In the order of the configuration.
    pub destinations: Vec<Arc<Destination>>,
    /// What is known of requests with a key.
    pub keys: Keys,
    /// The bound on large messages.
    pub budget: Budget,
    /// Control IDs that are filled in.
    pub control_ids: Arc<ControlIds>,
    /// Answers that come back on a listener.
    pub awaited: Awaited,
    /// Ends it.
    pub drain: Drain,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource<'p> {
    /// `/openapi.json`
    Description,
    /// `/v1/destinations`
    Destinations,
    /// `/v1/destinations/{name}`
    Destination(&'p str),
    /// `/v1/destinations/{name}/messages`
    Messages(&'p str),
}

impl<'p> Resource<'p> {
    fn of(path: &'p str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts[..] {
            ["openapi.json"] => Some(Self::Description),
            ["v1", "destinations"] => Some(Self::Destinations),
            ["v1", "destinations", name] => Some(Self::Destination(name)),
            ["v1", "destinations", name, "messages"] => Some(Self::Messages(name)),
            _ => None,
        }
    }

    /// The methods that it takes, as `Allow` lists them.
    fn methods(self) -> &'static str {
        match self {
            Self::Description | Self::Destinations | Self::Destination(_) => "GET, HEAD",
            Self::Messages(_) => "POST",
        }
    }

    fn takes(self, method: &Method) -> bool {
        self.methods()
            .split(", ")
            .any(|taken| taken == method.as_str())
    }

    fn destination(self) -> Option<&'p str> {
        match self {
            Self::Destination(name) | Self::Messages(name) => Some(name),
            Self::Description | Self::Destinations => None,
        }
    }
}

/// One more under way, until it is dropped.
struct UnderWay<'a>(&'a watch::Sender<usize>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Api {
    /// For the configuration's destinations.
    pub fn new(config: &Outbound, parts: Parts, metrics: &Metrics) -> Self {
        Self {
            destinations: parts.destinations,
            keys: parts.keys,
            keeps_keys: config.idempotency.is_some(),
            allow_remote: config.allow_remote,
            budget: parts.budget,
            control_ids: parts.control_ids,
            awaited: parts.awaited,
            unsent: metrics.unsent(),
            drain: parts.drain,
            under_way: watch::Sender::new(0),
        }
    }

    /// Lets go of keys that are too old.
    pub fn trim(&self) {
        self.keys.trim();
    }

    /// Bytes of its budget that nobody holds.
    pub fn available(&self) -> usize {
        self.budget.available()
    }

    /// Ends when nothing is under way.
    pub async fn done(&self) {
        // The sender lives as long as `self`.
        let _ = self
            .under_way
            .subscribe()
            .wait_for(|count| *count == 0)
            .await;
    }

    fn begin(&self) -> UnderWay<'_> {
        self.under_way.send_modify(|count| *count += 1);
        UnderWay(&self.under_way)
    }

    /// The answer to a request.
    async fn answer(self: Arc<Self>, request: hyper::Request<Incoming>) -> Answered {
        let path = request.uri().path().to_owned();
        let resource = Resource::of(&path);
        let result = match self.check(&request, resource) {
            Err(refused) => Err(refused),
            Ok(Resource::Description) => Ok(found(&openapi::document())),
            Ok(Resource::Destinations) => {
                let destinations = self.destinations.iter().map(status).collect();
                Ok(found(&Statuses { destinations }))
            }
            Ok(Resource::Destination(name)) => self.find(name).map(|one| found(&status(one))),
            Ok(Resource::Messages(name)) => Arc::clone(&self).send(name, request).await,
        };
        result.unwrap_or_else(|refused| self.refuse(&refused, resource))
    }

    /// Whether the request may be made, and to what.
    fn check<'p>(
        &self,
        request: &hyper::Request<Incoming>,
        resource: Option<Resource<'p>>,
    ) -> Result<Resource<'p>, Refused> {
        self.check_host(request.headers())?;
        let resource = resource.ok_or_else(|| {
            Refused::new(
                Kind::NoSuchResource,
                "the API's paths begin with /v1/destinations",
            )
        })?;
        if resource.takes(request.method()) {
            return Ok(resource);
        }
        let allow = resource.methods();
        let mut refused = Refused::new(Kind::MethodNotAllowed, format!("this path takes {allow}"));
        refused.allow = Some(allow);
        Err(refused)
    }

    fn refuse(&self, refused: &Refused, resource: Option<Resource<'_>>) -> Answered {
        if let Some(unsent) = refused.kind.unsent() {
            self.unsent.of(unsent).inc();
            tracing::debug!(reason = unsent.label(), "a request to send was refused");
        }
        // Only a name that the configuration has is repeated.
        let name = resource.and_then(Resource::destination);
        let known = name.and_then(|name| self.find(name).ok());
        answer::refused(refused, known.map(|destination| &*destination.name))
    }

    fn find(&self, name: &str) -> Result<&Arc<Destination>, Refused> {
        let found = self.destinations.iter().find(|one| *one.name == *name);
        found.ok_or_else(|| {
            Refused::new(
                Kind::UnknownDestination,
                "the configuration has no destination with this name",
            )
        })
    }

    /// A web page that a browser on this machine shows may resolve its own name to this machine: `Host` is that name then. Addresses,
    /// and `localhost`, cannot be anybody's.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let host = headers
            .get(HOST)
            .map(|host| host.to_str().unwrap_or_default());
        let name = host.map(|host| match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        });
        let is_ours = name.is_none_or(|name| {
            let address = name
                .strip_prefix('[')
                .and_then(|name| name.strip_suffix(']'));
            name.eq_ignore_ascii_case("localhost")
                || address.unwrap_or(name).parse::<std::net::IpAddr>().is_ok()
        });
        if self.allow_remote || is_ours {
            return Ok(());
        }
        let detail =
            "ask by an IP address or as localhost (outbound.allow_remote takes every name)";
        Err(Refused::new(Kind::ForeignHost, detail))
    }

    /// Takes a message and waits for what becomes of it; that goes on where the client hangs up.
    async fn send(
        self: Arc<Self>,
        name: &str,
        request: hyper::Request<Incoming>,
    ) -> Result<Answered, Refused> {
        let destination = Arc::clone(self.find(name)?);
        if self.drain.is_draining() {
            return Err(Refused::new(
                Kind::Draining,
                "the bridge is about to end, and takes no more messages",
            ));
        }
        let form = message::form(request.headers())?;
        let content = message::content(request.headers())?;
        let key = self.key(request.headers())?;
        let most = destination.sending().max_message_bytes;
        let body = message::body(request.into_body(), content, most, &self.budget);
        let body = timeout(BODY, body).await.unwrap_or_else(|_| {
            let detail = format!("the body did not come in {BODY:?}");
            Err(Refused::new(Kind::BodyBroken, detail))
        });
        let (body, reserved) = body?;
        let message = message::message(body, content, most)?;
        let sent = send::detached(self, Arc::clone(&destination), message, key, reserved).await?;
        Ok(answer::response(
            &destination.name,
            &sent.report,
            form,
            sent.replayed,
        ))
    }

    fn key(&self, headers: &HeaderMap) -> Result<Option<Vec<u8>>, Refused> {
        let mut given = headers.get_all("idempotency-key").iter();
        let bad = |detail| Err(Refused::new(Kind::BadIdempotencyKey, detail));
        match (given.next(), given.next()) {
            (None, _) => Ok(None),
            (Some(_), _) if !self.keeps_keys => {
                bad("no keys are kept (outbound.idempotency.window is off)")
            }
            (Some(key), None) if is_key(key.as_bytes()) => Ok(Some(key.as_bytes().to_vec())),
            (Some(_), _) => {
                bad("expected one Idempotency-Key, of 1 to 255 visible ASCII characters")
            }
        }
    }
}

fn found(body: &impl serde::Serialize) -> Answered {
    answer::json(StatusCode::OK, "application/json", body)
}

fn status(destination: &Arc<Destination>) -> Status<'_> {
    let sending = destination.sending();
    let address = sending.link.addresses.first().cloned().unwrap_or_default();
    Status::new(&destination.name, address, destination.snapshot())
}
