//! `injector`: the webhook, until SIGTERM.

use super::BAD_CONFIG;
use crate::admin;
use crate::cli::InjectorArgs;
use crate::config::Source;
use crate::injector::certs::api::{Access, Api};
use crate::injector::certs::auto::{self, Auto};
use crate::injector::certs::files::{self, Files};
use crate::injector::certs::{self, Serving};
use crate::injector::config;
use crate::injector::options::{Certificates, Kubernetes, Log, Mode, Options};
use crate::injector::webhook::{self, Pods, Reviewer, Subject};
use crate::runtime::Drain;
use crate::telemetry::{InjectorMetrics, log};
use anyhow::Context;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What the pod says of itself.
struct Pod {
    namespace: String,
    name: String,
}

/// Loads the configuration, binds, serves, drains.
///
/// # Errors
/// If something fails that is not the configuration's fault: a port that is taken, for example.
pub fn main(args: &InjectorArgs) -> anyhow::Result<ExitCode> {
    let config = match config::load(&Source::new().file(&args.config)) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return Ok(ExitCode::from(BAD_CONFIG));
        }
    };
    let Log { level, format } = config.options.log;
    log::init(crate::config::Log { level, format }).context("cannot start logging")?;
    let mut settings = config.settings;
    // A webhook that changed its own pods would wait for itself.
    if !settings.excluded_namespaces.contains(&args.namespace) {
        settings.excluded_namespaces.push(args.namespace.clone());
    }
    let pod = Pod {
        namespace: args.namespace.clone(),
        name: args.pod.clone(),
    };
    // One thread: a review takes some ten microseconds.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(config.options, Box::new(Pods(settings)), pod))
}

async fn serve(
    options: Options,
    reviewer: Box<dyn Reviewer>,
    pod: Pod,
) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let metrics = InjectorMetrics::new(env!("CARGO_PKG_VERSION"))?;
    let serving = Arc::new(Serving::new(metrics.clone()));
    let drain = Drain::default();
    let subject = Arc::new(Subject {
        serving: Arc::clone(&serving),
        metrics: metrics.clone(),
        drain: drain.clone(),
        deadline: options.shutdown.deadline.0,
        drained: watch::Sender::new(false),
    });
    let router = webhook::router::router(
        reviewer,
        metrics.clone(),
        drain.clone(),
        options.webhook.request_timeout.0,
    );
    let address = options.webhook.bind.0;
    let parts = webhook::server::Parts {
        serving: Arc::clone(&serving),
        router,
        drain: drain.clone(),
        linger: options.shutdown.linger.0,
        max_connections: options.webhook.max_connections,
        metrics: metrics.clone(),
    };
    let server = webhook::Server::bind(address, parts)
        .await
        .with_context(|| format!("webhook.bind: cannot listen on {address}"))?;
    tracing::info!(listener = "webhook", address = %server.address(), "listening");
    let address = options.admin.bind.0;
    let admin = admin::Server::bind(address, Arc::clone(&subject) as Arc<dyn admin::Subject>)
        .await
        .with_context(|| format!("admin.bind: cannot listen on {address}"))?;
    tracing::info!(address = %admin.address(), "admin listening");
    let admin = tokio::spawn(admin.serve());
    let keeping = keep(&options, pod, serving, metrics, drain.clone())?;

    let serving = tokio::spawn(server.serve());
    let begin = drain.clone();
    let signalled = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(signalled);
    let mut stopping = false;
    // `drain` may come first; the process then stays, alive and not ready, until it is told to end.
    tokio::select! {
        () = &mut signalled => {
            stopping = true;
            admin::Subject::begin_drain(&*subject);
        }
        _ = begin.begun() => {}
    }
    serving.await?;
    keeping.await?;
    subject.drained.send_replace(true);
    tracing::info!("drained");
    if !stopping {
        signalled.await;
        tracing::info!("told to end");
    }
    admin.abort();
    Ok(ExitCode::SUCCESS)
}

/// Keeps the certificate in order, until the drain.
fn keep(
    options: &Options,
    pod: Pod,
    serving: Arc<Serving>,
    metrics: InjectorMetrics,
    drain: Drain,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let certificates = options.certificates.clone();
    let names = certs::names(&certificates.service, &pod.namespace);
    let check_interval = certificates.check_interval.0;
    let api = || api(&options.kubernetes).context("kubernetes");
    Ok(match certificates.mode {
        Mode::Auto => {
            let settings = auto::Settings {
                namespace: pod.namespace,
                identity: pod.name,
                webhook_configuration: configuration(&certificates),
                ca_secret: certificates.ca_secret,
                lease: certificates.lease,
                names,
                ca_validity: certificates.ca_validity.0,
                leaf_validity: certificates.leaf_validity.0,
                check_interval,
            };
            let auto = Auto::new(settings, api()?, serving, metrics);
            tokio::spawn(auto.run(async move {
                drain.begun().await;
            }))
        }
        Mode::Files => {
            let compare = match certificates.webhook_configuration {
                Some(name) => Some((name, api()?)),
                None => None,
            };
            let settings = files::Settings {
                directory: certificates.directory,
                name: names.into_iter().next().unwrap_or_default(),
                compare,
                check_interval,
            };
            let files = Files::new(settings, serving, metrics);
            tokio::spawn(async move {
                tokio::select! {
                    () = files.run() => {}
                    _ = drain.begun() => {}
                }
            })
        }
    })
}

fn configuration(certificates: &Certificates) -> String {
    let named = certificates.webhook_configuration.clone();
    named.unwrap_or_else(|| certificates.service.clone())
}

fn api(kubernetes: &Kubernetes) -> anyhow::Result<Api> {
    let url = match &kubernetes.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => in_cluster().context(
            "kubernetes.url is not set, and the environment has no KUBERNETES_SERVICE_HOST",
        )?,
    };
    let access = Access {
        url,
        token: kubernetes.token_file.clone(),
        ca: kubernetes.ca_file.clone(),
    };
    Api::new(access).map_err(anyhow::Error::msg)
}

/// What the kubelet tells every container.
fn in_cluster() -> Option<String> {
    let host = std::env::var("KUBERNETES_SERVICE_HOST").ok()?;
    let port = std::env::var("KUBERNETES_SERVICE_PORT").unwrap_or_else(|_| "443".into());
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host,
    };
    Some(format!("https://{host}:{port}"))
}
