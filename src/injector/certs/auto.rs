//! Mode `auto`: reads, asks [`super::plan`], does what it says. One round a `check_interval`, and at once another after a
//! step that was done.

use super::api::{Api, ApiError};
use super::election::Election;
use super::live::Live;
use super::plan::{self, Authorities, Leaf, Policy, Step, View, Write};
use super::serving::{Pair, Serving, now};
use super::x509::{Authority, Certificate, Unix};
use super::{secret, trust};
use crate::telemetry::InjectorMetrics;
use crate::telemetry::labels::{CertificateFault, Renewed, Which};
use crate::telemetry::log::Throttle;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How soon an unready replica looks again: it decides how soon a new installation works.
const QUICK: Duration = Duration::from_secs(1);

/// Steps after which a round ends all the same; an installation takes two.
const MOST_STEPS: usize = 8;

/// What to keep in order.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The injector's namespace.
    pub namespace: String,
    /// This replica.
    pub identity: String,
    /// Names of the objects.
    pub ca_secret: String,
    /// See `ca_secret`.
    pub lease: String,
    /// See `ca_secret`.
    pub webhook_configuration: String,
    /// The names that a leaf is for, the API server's own first.
    pub names: Vec<String>,
    /// How long a new CA is valid.
    pub ca_validity: Duration,
    /// How long a new leaf is.
    pub leaf_validity: Duration,
    /// Between two rounds.
    pub check_interval: Duration,
}

/// One replica.
#[derive(Debug)]
pub struct Auto {
    settings: Settings,
    policy: Policy,
    api: Api,
    election: Election,
    serving: Arc<Serving>,
    metrics: InjectorMetrics,
    leaf: Option<Leaf>,
    next_seen: Option<(Certificate, Unix)>,
    throttle: Throttle,
}

/// Why a round ended early.
#[derive(Debug)]
struct Trouble {
    fault: CertificateFault,
    text: String,
}

impl Auto {
    /// A replica that serves nothing yet.
    pub fn new(
        settings: Settings,
        api: Api,
        serving: Arc<Serving>,
        metrics: InjectorMetrics,
    ) -> Self {
        let seconds = |period: Duration| Unix::try_from(period.as_secs()).unwrap_or(Unix::MAX);
        // Whole seconds, rounded up.
        let settle = seconds(settings.check_interval * 3 + Duration::from_millis(999));
        Self {
            policy: Policy {
                ca_validity: seconds(settings.ca_validity),
                leaf_validity: seconds(settings.leaf_validity),
                settle,
            },
            election: Election::new(settings.identity.clone(), settings.check_interval * 4),
            settings,
            api,
            serving,
            metrics,
            leaf: None,
            next_seen: None,
            throttle: Throttle::default(),
        }
    }

    /// Until `end`; then lets go of the Lease, so that another replica can lead at once.
    pub async fn run(mut self, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = self.round() => {}
                () = &mut end => break,
            }
            let mut wait = self.settings.check_interval;
            if self.serving.problem().is_some() {
                wait = wait.min(QUICK);
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = &mut end => break,
            }
        }
        let path = self.lease_path();
        if let Ok(mut lease) = self.api.get(&path).await
            && let Some(spec) = self.election.release(&lease["spec"])
        {
            lease["spec"] = spec;
            // Otherwise it runs out.
            let _ = self.api.replace(&path, &lease).await;
        }
        self.metrics.leader.set(0);
    }

    async fn round(&mut self) {
        if let Err(trouble) = self.elect().await {
            self.report(&trouble);
        }
        self.metrics
            .leader
            .set(self.election.leads(Instant::now()).into());
        for _ in 0..MOST_STEPS {
            match self.step().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(trouble) => {
                    self.report(&trouble);
                    // Another replica is at the same work: look at what it did.
                    if trouble.fault != CertificateFault::Conflict {
                        // What was known stays true until more is known; a replica that never was ready says why.
                        if self.leaf.is_none() {
                            self.serving.judge(Some(trouble.text));
                        }
                        break;
                    }
                }
            }
        }
    }

    fn report(&self, trouble: &Trouble) {
        self.metrics.failed(trouble.fault);
        if trouble.fault == CertificateFault::Conflict {
            tracing::debug!(reason = %trouble.text, "another replica was faster");
        } else if let Some(suppressed) = self.throttle.pass(Instant::now()) {
            tracing::warn!(reason = %trouble.text, suppressed, "cannot keep certificates in order");
        }
    }

    /// Renews or takes the Lease.
    async fn elect(&mut self) -> Result<(), Trouble> {
        let path = self.lease_path();
        let what = format!("the Lease {}", self.settings.lease);
        let asked = Instant::now();
        let mut lease = self
            .read(&path, &what, "coordination.k8s.io/v1", "Lease")
            .await?;
        let clock = time_of_day();
        let Some(spec) = self.election.claim(asked, &lease["spec"], &clock) else {
            return Ok(());
        };
        let led = self.election.leads(asked);
        lease["spec"] = spec;
        if let Err(error) = self.api.replace(&path, &lease).await {
            if matches!(error, ApiError::Conflict) {
                self.election.lost();
            }
            return Err(blame(&what, &error));
        }
        self.election.won(asked);
        if !led {
            tracing::info!(lease = %self.settings.lease, "leading: this replica writes the CA and the bundle");
        }
        Ok(())
    }

    /// One look, and at most one step. `true` if there may be more to do at once.
    async fn step(&mut self) -> Result<bool, Trouble> {
        // The order matters: plan.rs says why.
        let now = now();
        let live = self.read_live().await?;
        let what = format!("the Secret {}", self.settings.ca_secret);
        let path = self.secret_path();
        let stored = self.read(&path, &what, "v1", "Secret").await?;
        let (authorities, faults) = secret::read(&stored);
        for fault in faults {
            self.report(&Trouble {
                fault: CertificateFault::Secret,
                text: format!("{what}: {fault}"),
            });
        }
        let next_carried_since = self.see_next(now, &live, &authorities);
        let view = View {
            now,
            live: &live.bundle,
            authorities: &authorities,
            next_carried_since,
        };
        self.show(&view);
        if self.election.leads(Instant::now())
            && let Some(step) = plan::lead(&view, self.policy)
        {
            if self::now() - now > self.policy.patience() {
                // Asleep since: look again.
                return Ok(true);
            }
            match step {
                Step::Write(write) => {
                    let made = write
                        .makes_authority()
                        .then(|| Authority::make(now, now.saturating_add(self.policy.ca_validity)));
                    let made = made.transpose().map_err(|error| made_nothing(&error))?;
                    let after = secret::write(&stored, &authorities.after(&write, made));
                    let written = self.api.replace(&path, &after).await;
                    written.map_err(|error| blame(&what, &error))?;
                    self.wrote(&write);
                }
                Step::Publish(bundle) => {
                    let name = &self.settings.webhook_configuration;
                    let patch = live.patch(name, &bundle);
                    let written = self.api.apply(&self.configuration_path(), &patch).await;
                    written.map_err(|error| blame(&self.configuration(), &error))?;
                    tracing::info!(certificates = bundle.len(), "published the bundle");
                }
            }
            return Ok(true);
        }
        if let Some(not_after) = plan::sign(&view, self.leaf.as_ref(), self.policy) {
            self.sign(&authorities, now, not_after)?;
        }
        self.judge(&view);
        Ok(false)
    }

    fn wrote(&self, write: &Write) {
        match write {
            Write::Create => tracing::info!("made the first CA"),
            Write::Adopt { found, .. } => {
                tracing::info!(
                    certificates = found.len(),
                    "keeping the trust of the live bundle for now"
                );
            }
            Write::Prepare => {
                tracing::info!("made the next CA; it signs once the live bundle carries it")
            }
            Write::Switch { .. } => {
                self.metrics.renewed(Renewed::Ca);
                tracing::info!("the next CA signs from now on");
            }
            Write::Drop => tracing::info!("dropped the previous CA"),
        }
    }

    fn sign(
        &mut self,
        authorities: &Authorities,
        now: Unix,
        not_after: Unix,
    ) -> Result<(), Trouble> {
        let Some(current) = &authorities.current else {
            return Ok(());
        };
        let key = current.sign(&self.settings.names, now, not_after);
        let key = Arc::new(key.map_err(|error| made_nothing(&error))?);
        self.serving.serve(Pair { key, not_after });
        self.leaf = Some(Leaf {
            issuer: current.certificate.der.clone(),
            signed: now,
            not_after,
        });
        tracing::info!(
            valid_for_seconds = not_after - now,
            "signed a certificate for this replica"
        );
        Ok(())
    }

    /// Whether the API server takes what is served.
    fn judge(&self, view: &View<'_>) {
        let problem = match self.serving.pair() {
            Some(pair) => {
                let name = self.settings.names.first().map_or("", String::as_str);
                let trusted = trust::check(view.live, &pair.key.cert, name, view.now);
                trusted.err().map(|error| {
                    format!(
                        "{} does not trust what is served here: {error}",
                        self.configuration()
                    )
                })
            }
            None if view.authorities.current.is_none() => Some(format!(
                "the Secret {} holds no CA yet: waiting for the leader",
                self.settings.ca_secret
            )),
            None => Some(format!(
                "{} does not carry our CA yet",
                self.configuration()
            )),
        };
        self.metrics.bundle_matches.set(problem.is_none().into());
        self.serving.judge(problem);
    }

    fn show(&self, view: &View<'_>) {
        let current = view.authorities.current.as_ref();
        let current = current.map_or(0, |ca| ca.certificate.not_after);
        let bundle = view.live.iter().map(|ca| ca.not_after).max();
        self.metrics.set_expiry(Which::Ca, current);
        self.metrics
            .set_expiry(Which::Bundle, bundle.unwrap_or_default());
    }

    /// Since when the live bundle has carried the next CA.
    fn see_next(&mut self, now: Unix, live: &Live, authorities: &Authorities) -> Option<Unix> {
        let next = authorities.next.as_ref().map(|next| &next.certificate);
        let next = next.filter(|next| live.bundle.contains(next));
        if self.next_seen.as_ref().map(|seen| &seen.0) != next {
            self.next_seen = next.map(|next| (next.clone(), now));
        }
        self.next_seen.as_ref().map(|seen| seen.1)
    }

    async fn read_live(&self) -> Result<Live, Trouble> {
        let configuration = self.api.get(&self.configuration_path()).await;
        let configuration = configuration.map_err(|error| blame(&self.configuration(), &error))?;
        Live::read(&configuration).map_err(|error| Trouble {
            fault: CertificateFault::Api,
            text: format!("{}: {error}", self.configuration()),
        })
    }

    /// Reads an object that the chart has made; one that was removed is made again, empty, where that is allowed.
    async fn read(
        &self,
        path: &str,
        what: &str,
        version: &str,
        kind: &str,
    ) -> Result<Value, Trouble> {
        let read = match self.api.get(path).await {
            Err(ApiError::Missing) => {
                let name = path.rsplit('/').next().unwrap_or_default();
                let namespace = &self.settings.namespace;
                let metadata = json!({"name": name, "namespace": namespace});
                let empty = json!({"apiVersion": version, "kind": kind, "metadata": metadata});
                match self.api.apply(path, &empty).await {
                    Ok(_) => self.api.get(path).await,
                    Err(ApiError::Forbidden(_)) => Err(ApiError::Missing),
                    Err(error) => Err(error),
                }
            }
            read => read,
        };
        read.map_err(|error| blame(what, &error))
    }

    fn secret_path(&self) -> String {
        let Settings {
            namespace,
            ca_secret,
            ..
        } = &self.settings;
        format!("/api/v1/namespaces/{namespace}/secrets/{ca_secret}")
    }

    fn lease_path(&self) -> String {
        let Settings {
            namespace, lease, ..
        } = &self.settings;
        format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{lease}")
    }

    fn configuration_path(&self) -> String {
        super::configuration_path(&self.settings.webhook_configuration)
    }

    fn configuration(&self) -> String {
        format!(
            "the live webhook configuration {}",
            self.settings.webhook_configuration
        )
    }
}

fn blame(what: &str, error: &ApiError) -> Trouble {
    let fault = match error {
        ApiError::Conflict => CertificateFault::Conflict,
        _ => CertificateFault::Api,
    };
    Trouble {
        fault,
        text: format!("{what}: {error}"),
    }
}

fn made_nothing(error: &super::x509::Unusable) -> Trouble {
    Trouble {
        fault: CertificateFault::Make,
        text: format!("cannot make a certificate: {error}"),
    }
}

/// As `renewTime` wants it: RFC 3339 with six decimals.
fn time_of_day() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        .to_string()
}
