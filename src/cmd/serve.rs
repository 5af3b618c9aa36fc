//! A running bridge: what `run` and `demo` start.

use crate::admin::{self, Readiness};
use crate::awaited::Awaited;
use crate::config::{self, Config};
use crate::deliver::Unready;
use crate::inbound::{Common, Listener, Shared};
use crate::outbound::Destination;
use crate::outbound::api::{self, Api};
use crate::outbound::idempotency::{self, Keys};
use crate::runtime::{Budget, Buffers, Drain};
use crate::state::Store;
use crate::state::window::Bounds;
use crate::telemetry::Metrics;
use anyhow::Context;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often idle buffers are given back.
const TRIM: Duration = Duration::from_secs(5);

/// Everything is bound and serving.
#[derive(Debug)]
pub struct Bridge {
    /// Each listener's name and address.
    pub addresses: Vec<(Arc<str>, SocketAddr)>,
    /// The admin server's address, if there is one.
    pub admin: Option<SocketAddr>,
    /// The address of the API for sending, if there is a destination.
    pub outbound: Option<SocketAddr>,
    /// Ends it in order.
    pub drain: Drain,
    /// Its metrics.
    pub metrics: Metrics,
    /// What a reload reaches.
    pub listeners: Vec<Arc<Shared>>,
    /// Where messages are sent.
    pub destinations: Vec<Arc<Destination>>,
    /// What readiness depends on.
    pub readiness: Arc<Readiness>,
    store: Option<Store>,
    serving: JoinSet<()>,
    /// Ends with the bridge.
    background: JoinSet<()>,
}

impl Bridge {
    /// Opens the state, binds every port, then serves.
    ///
    /// # Errors
    /// If the state directory cannot be used or a port cannot be bound, naming it.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"))?;
        let common = Common {
            metrics: metrics.clone(),
            buffers: Buffers::default(),
            budget: Budget::new(config.limits.max_buffered_bytes, largest_message(config)),
            drain: Drain::default(),
            control_ids: Arc::default(),
            store: store(config, &metrics)?,
            awaited: Awaited::default(),
        };
        let mut bound = Vec::new();
        for (at, listener) in config.listeners.iter().enumerate() {
            let result = Listener::bind(listener, &common);
            bound.push(result.map_err(|error| blame(at, listener, error))?);
        }
        let listeners: Vec<_> = bound
            .iter()
            .map(|listener| Arc::clone(&listener.shared))
            .collect();
        let apps = listeners
            .iter()
            .map(|shared| (Arc::clone(&shared.name), Arc::clone(&shared.health)))
            .collect();
        let destinations: Vec<_> = config
            .destinations
            .iter()
            .map(|destination| Arc::new(Destination::new(destination, &metrics)))
            .collect();
        let readiness = Arc::new(Readiness::new(
            apps,
            destinations
                .iter()
                .map(|one| (Arc::clone(&one.name), one.reachable()))
                .collect(),
            common.drain.clone(),
            &config.admin,
            config.shutdown,
        ));

        let mut background = JoinSet::new();
        let mut admin = None;
        if let Some(address) = config.admin.bind {
            let sidecar = admin::Sidecar {
                metrics: metrics.clone(),
                readiness: Arc::clone(&readiness),
            };
            let server = admin::Server::bind(address, Arc::new(sidecar))
                .await
                .with_context(|| format!("admin.bind: cannot listen on {address}"))?;
            admin = Some(server.address());
            background.spawn(server.serve());
        }
        let api = api(config, &destinations, &common)?;
        let outbound = api.as_ref().map(|(server, _)| server.address());
        let addresses = bound
            .iter()
            .map(|listener| Ok((Arc::clone(&listener.shared.name), listener.address()?)))
            .collect::<std::io::Result<Vec<_>>>()?;

        let mut serving = JoinSet::new();
        for listener in bound {
            serving.spawn(listener.serve());
        }
        let api = api.map(|(server, api)| {
            serving.spawn(server.serve());
            api
        });
        for destination in &destinations {
            let (destination, drain) = (Arc::clone(destination), common.drain.clone());
            background.spawn(async move {
                tokio::select! {
                    () = destination.keep() => {}
                    _ = drain.begun() => {}
                }
            });
        }
        for shared in &listeners {
            background.spawn(probe(Arc::clone(shared), Arc::clone(&readiness)));
        }
        let store = common.store.clone();
        background.spawn(housekeep(
            common,
            listeners.clone(),
            api,
            config.limits.max_buffered_bytes,
            metrics.clone(),
        ));
        let drain = readiness.drain().clone();
        Ok(Self {
            addresses,
            admin,
            outbound,
            drain,
            metrics,
            listeners,
            destinations,
            readiness,
            store,
            serving,
            background,
        })
    }

    /// Waits until every connection has ended, which they do once the drain has begun.
    pub async fn drained(&mut self) {
        while self.serving.join_next().await.is_some() {}
        self.readiness.set_drained();
    }

    /// Ends what is left: the admin server, the state.
    pub async fn stop(mut self) {
        self.background.shutdown().await;
        if let Some(store) = self.store {
            store.close();
        }
    }
}

/// The API for sending, bound, where there is a destination.
fn api(
    config: &Config,
    destinations: &[Arc<Destination>],
    common: &Common,
) -> anyhow::Result<Option<(api::Server, Arc<Api>)>> {
    if destinations.is_empty() {
        return Ok(None);
    }
    let settings = &config.outbound;
    let bounds = settings.idempotency.map(|bounds| Bounds {
        window: bounds.window,
        max_entries: bounds.max_answers,
        max_bytes: bounds.max_bytes,
    });
    let keys = Keys::new(bounds, common.store.clone())
        .context("state.directory: cannot read the keys of requests")?;
    let parts = api::Parts {
        destinations: destinations.to_vec(),
        keys,
        // Its own: while a destination is away its messages wait, and those that come in shall not.
        budget: Budget::new(config.limits.max_buffered_bytes, largest_message(config)),
        control_ids: Arc::clone(&common.control_ids),
        awaited: common.awaited.clone(),
        drain: common.drain.clone(),
    };
    let api = Arc::new(Api::new(settings, parts, &common.metrics));
    let bind = settings.bind;
    let server = api::Server::bind(bind, settings.max_connections, Arc::clone(&api))
        .with_context(|| format!("outbound.bind: cannot listen on {bind}"))?;
    Ok(Some((server, api)))
}

/// The store, where the configuration has a directory for it.
fn store(config: &Config, metrics: &Metrics) -> anyhow::Result<Option<Store>> {
    let config::State {
        directory,
        durability,
    } = &config.state;
    let listeners = config.listeners.iter().map(|listener| &*listener.name);
    let names: Vec<&str> = listeners.chain([idempotency::NAME]).collect();
    let open = |path: &PathBuf| {
        Store::open(path, *durability, &names, metrics.state.clone())
            .with_context(|| format!("state.directory: cannot use {}", path.display()))
    };
    directory.as_ref().map(open).transpose()
}

fn largest_message(config: &Config) -> usize {
    let sizes = config
        .listeners
        .iter()
        .map(|listener| listener.session.limits.max_message_bytes);
    let sent = config
        .destinations
        .iter()
        .map(|destination| destination.sending.max_message_bytes);
    sizes.chain(sent).max().unwrap_or_default()
}

/// Says which key is at fault: binding makes the app's TLS client as well.
fn blame(at: usize, listener: &config::Listener, error: std::io::Error) -> anyhow::Error {
    let unready = error.get_ref().and_then(|inner| inner.downcast_ref());
    let what = match unready {
        Some(Unready::Client(_)) => {
            let url = &listener.session.deliver.url;
            format!("listeners[{at}].deliver.url: cannot deliver to {url} over TLS")
        }
        Some(Unready::Tls(_) | Unready::Maps(_)) => format!("listeners[{at}]"),
        None => format!("listeners[{at}].bind: cannot listen on {}", listener.bind),
    };
    anyhow::Error::new(error).context(what)
}

/// Looks for the app while no message does.
async fn probe(shared: Arc<Shared>, readiness: Arc<Readiness>) {
    let mut intervals = readiness.probe_interval();
    let mut seen = 0;
    loop {
        if shared.health.seen() == seen {
            let result = shared.live().app.probe().await;
            shared.health.saw(result, &shared.metrics);
        }
        seen = shared.health.seen();
        let interval = *intervals.borrow_and_update();
        let wait = if shared.health.is_reachable() {
            interval
        } else {
            interval.min(QUICK)
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Ok(()) = intervals.changed() => {}
        }
    }
}

/// How soon an app that is not there is looked for again: it decides how soon a starting pod is ready.
const QUICK: Duration = Duration::from_millis(500);

async fn housekeep(
    common: Common,
    listeners: Vec<Arc<Shared>>,
    api: Option<Arc<Api>>,
    budget: usize,
    metrics: Metrics,
) {
    loop {
        tokio::time::sleep(TRIM).await;
        common.buffers.trim();
        for shared in &listeners {
            shared.memory.window.trim();
        }
        let mut reserved = budget.saturating_sub(common.budget.available());
        if let Some(api) = &api {
            api.trim();
            reserved += budget.saturating_sub(api.available());
        }
        metrics.buffered_bytes.set(reserved as i64);
    }
}
