//! Mode `files`: a mounted Secret that somebody else keeps in order, such as cert-manager.
//!
//! The directory is read every `check_interval` and compared by content: the kubelet swaps a symlink, and no event of the
//! files that were opened would tell. A pair that cannot be used leaves the old one in place.

use super::api::Api;
use super::live::Live;
use super::serving::{Pair, Serving, now};
use super::x509::{self, Certificate, Unusable};
use super::{configuration_path, trust};
use crate::telemetry::InjectorMetrics;
use crate::telemetry::labels::{CertificateFault, Which};
use crate::telemetry::log::Throttle;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Readings of the directory until two agree: the kubelet may swap it between two files.
const MOST_READINGS: usize = 5;

/// What to watch.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Holds `tls.crt` and `tls.key`, and perhaps `ca.crt`.
    pub directory: PathBuf,
    /// The name that the API server asks for.
    pub name: String,
    /// The configuration whose bundle is compared with what is served, and how to read it.
    pub compare: Option<(String, Api)>,
    /// Between two looks.
    pub check_interval: Duration,
}

/// The files' content.
#[derive(Debug, PartialEq, Eq, Default)]
struct Content {
    chain: Vec<u8>,
    key: Vec<u8>,
    ca: Vec<u8>,
}

/// One replica.
#[derive(Debug)]
pub struct Files {
    settings: Settings,
    serving: Arc<Serving>,
    metrics: InjectorMetrics,
    /// What was read last, used or not.
    last: Option<Content>,
    /// `ca.crt` of the pair in use.
    ca: Vec<Certificate>,
    throttle: Throttle,
}

impl Files {
    /// Serves nothing yet.
    pub fn new(settings: Settings, serving: Arc<Serving>, metrics: InjectorMetrics) -> Self {
        Self {
            settings,
            serving,
            metrics,
            last: None,
            ca: Vec::new(),
            throttle: Throttle::default(),
        }
    }

    /// As long as the process.
    pub async fn run(mut self) {
        loop {
            let problem = self.look();
            let problem = match problem {
                Some(problem) => Some(problem),
                None => self.compare().await,
            };
            self.serving.judge(problem);
            tokio::time::sleep(self.settings.check_interval).await;
        }
    }

    /// Takes new files in. Says why nothing can be served, if nothing can.
    fn look(&mut self) -> Option<String> {
        let result = self
            .read()
            .map_err(|error| error.to_string())
            .and_then(|content| {
                if self.last.as_ref() == Some(&content) {
                    return Ok(());
                }
                let taken = self.take(&content).map_err(|error| error.to_string());
                self.last = Some(content);
                taken
            });
        let pair = self.serving.pair();
        if let Err(error) = result {
            let directory = self.settings.directory.display();
            self.metrics.failed(CertificateFault::Files);
            if let Some(suppressed) = self.throttle.pass(Instant::now()) {
                let kept = pair.is_some();
                tracing::warn!(%directory, %error, kept, suppressed, "cannot use the mounted certificate");
            }
            if pair.is_none() {
                return Some(format!("{directory}: {error}"));
            }
        }
        None
    }

    fn read(&self) -> io::Result<Content> {
        let mut before = self.read_once()?;
        for _ in 0..MOST_READINGS {
            let after = self.read_once()?;
            if before == after {
                break;
            }
            before = after;
        }
        Ok(before)
    }

    fn read_once(&self) -> io::Result<Content> {
        let read = |name: &str| {
            let read = std::fs::read(self.settings.directory.join(name));
            read.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
        };
        Ok(Content {
            chain: read("tls.crt")?,
            key: read("tls.key")?,
            ca: match read("ca.crt") {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                ca => ca?,
            },
        })
    }

    fn take(&mut self, content: &Content) -> Result<(), Unusable> {
        let chain = x509::bundle(&content.chain)?;
        let not_after = chain.first().ok_or(Unusable::Empty)?.not_after;
        let ca = x509::bundle(&content.ca)?;
        let chain = chain.into_iter().map(|certificate| certificate.der);
        let key = Arc::new(x509::pair(chain.collect(), &content.key)?);
        self.serving.serve(Pair { key, not_after });
        let expiry = ca.iter().map(|ca| ca.not_after).max();
        self.metrics
            .set_expiry(Which::Ca, expiry.unwrap_or_default());
        self.ca = ca;
        tracing::info!(directory = %self.settings.directory.display(), "serving the mounted certificate");
        Ok(())
    }

    /// Whether the API server takes what is served, as far as that can be known.
    async fn compare(&self) -> Option<String> {
        let (name, api) = self.settings.compare.as_ref()?;
        let read = api.get(&configuration_path(name)).await;
        let read = read.map_err(|error| error.to_string());
        let live = match read.and_then(|configuration| Live::read(&configuration)) {
            Ok(live) => live,
            Err(error) => {
                self.metrics.failed(CertificateFault::Api);
                if let Some(suppressed) = self.throttle.pass(Instant::now()) {
                    tracing::warn!(configuration = %name, %error, suppressed, "cannot compare the live bundle");
                }
                // The comparison is a help: where it cannot be made, nothing depends on it.
                return None;
            }
        };
        let expiry = live.bundle.iter().map(|ca| ca.not_after).max();
        self.metrics
            .set_expiry(Which::Bundle, expiry.unwrap_or_default());
        let problem = self.judge(name, &live);
        self.metrics.bundle_matches.set(problem.is_none().into());
        problem
    }

    fn judge(&self, configuration: &str, live: &Live) -> Option<String> {
        if !live.has_bundle && self.ca.is_empty() {
            // No private CA on either side: the API server trusts what its own machine does, which is not ours to know.
            return None;
        }
        let pair = self.serving.pair()?;
        let trusted = trust::check(&live.bundle, &pair.key.cert, &self.settings.name, now());
        trusted.err().map(|error| {
            format!("the live webhook configuration {configuration} does not trust what is served here: {error}")
        })
    }
}
