//! Puts a changed configuration file in force while connections stay open.
//!
//! The file's content is looked at every two seconds, and at once on SIGHUP. Content, not change notifications: a
//! mounted ConfigMap changes by a swapped symbolic link, for which the file itself never reports a write. So are the files that a
//! listener's settings were made of, its maps and certificates. Those are several, and written one after the other: they count as
//! changed once they have stayed the same from one look to the next.

use super::serve::Bridge;
use crate::admin::Readiness;
use crate::config::{self, Config, Session, Source};
use crate::deliver::Fingerprint;
use crate::inbound::{Live, Shared};
use crate::outbound::Destination;
use crate::telemetry::Metrics;
use crate::telemetry::labels::Reload;
use crate::telemetry::log::LevelHandle;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;

const POLL: Duration = Duration::from_secs(2);

/// Watches one file.
#[derive(Debug)]
pub struct Reloader {
    config: Config,
    source: Source,
    file: Option<PathBuf>,
    content: Option<Vec<u8>>,
    /// Of each listener the settings that were last read, in force or not.
    named: Vec<Arc<Session>>,
    /// What they were made of, or could not be made of.
    tried: Vec<Fingerprint>,
    listeners: Vec<Arc<Shared>>,
    destinations: Vec<Arc<Destination>>,
    readiness: Arc<Readiness>,
    metrics: Metrics,
    level: LevelHandle,
}

impl Reloader {
    /// For a bridge that was started from this configuration.
    pub fn new(
        config: Config,
        source: Source,
        file: Option<&Path>,
        bridge: &Bridge,
        level: LevelHandle,
    ) -> Self {
        let content = file.and_then(|file| std::fs::read(file).ok());
        Self {
            named: bridge.listeners.iter().map(session).collect(),
            tried: bridge.listeners.iter().map(files).collect(),
            config,
            source,
            file: file.map(Path::to_path_buf),
            content,
            listeners: bridge.listeners.clone(),
            destinations: bridge.destinations.clone(),
            readiness: Arc::clone(&bridge.readiness),
            metrics: bridge.metrics.clone(),
            level,
        }
    }

    /// Runs as long as the process. `hangup` is SIGHUP, which would end a process that does not yet listen to it.
    pub async fn run(mut self, mut hangup: Signal) {
        let mut before = self.tried.clone();
        loop {
            let looks = self.file.is_some() || self.watches();
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                () = tokio::time::sleep(POLL), if looks => false,
            };
            let content = self.file.as_ref().and_then(|file| std::fs::read(file).ok());
            // A file that is gone for a moment is being replaced.
            let changed = content.is_some() && content != self.content;
            let files = self.files().await;
            let settled = files == before;
            before.clone_from(&files);
            if asked || changed || settled && files != self.tried {
                self.content = content;
                self.tried = files;
                self.reload().await;
            }
        }
    }

    fn watches(&self) -> bool {
        let mut named = self.named.iter();
        named.any(|session| Fingerprint::is_needed(&session.deliver))
    }

    /// What the listeners' files hold now. They are read beside the thread that carries messages.
    async fn files(&self) -> Vec<Fingerprint> {
        if !self.watches() {
            return self.tried.clone();
        }
        let named = self.named.clone();
        let read = move || {
            let files = named
                .iter()
                .map(|session| Fingerprint::of(&session.deliver));
            files.collect()
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.unwrap_or_else(|_| self.tried.clone())
    }

    async fn reload(&mut self) {
        let new = match config::load(&self.source) {
            Ok(new) => new,
            Err(errors) => {
                self.metrics.reloaded(Reload::Failed);
                for problem in errors.problems() {
                    tracing::error!(%problem, "the configuration was not reloaded");
                }
                return;
            }
        };
        let kept = config::needs_restart(&self.config, &new);
        for (shared, named) in self.listeners.iter().zip(&mut self.named) {
            let new = new.listeners.iter().find(|new| new.name == shared.name);
            if let Some(new) = new {
                *named = Arc::clone(&new.session);
            }
        }
        self.tried = self.files().await;
        // All of them before one of them is in force; and off the thread that carries messages, for maps take a while to compile.
        let mut ready = Vec::new();
        for shared in &self.listeners {
            let names = new.listeners.iter();
            let Some(listener) = names.into_iter().find(|new| new.name == shared.name) else {
                continue;
            };
            let (session, health) = (Arc::clone(&listener.session), Arc::clone(&shared.health));
            let made = tokio::task::spawn_blocking(move || Live::new(session, health)).await;
            let error = match made {
                Ok(Ok(live)) => {
                    ready.push((shared, live));
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            self.metrics.reloaded(Reload::Failed);
            tracing::error!(listener = %shared.name, %error, "the listener's settings were not reloaded");
            return;
        }
        for (shared, live) in ready {
            shared.reload(live);
        }
        self.tried = self.listeners.iter().map(files).collect();
        for destination in &self.destinations {
            let new = new
                .destinations
                .iter()
                .find(|new| new.name == destination.name);
            if let Some(new) = new {
                destination.reload(Arc::clone(&new.sending));
            }
        }
        self.level.set(new.log.level);
        self.readiness.reload(&new.admin, new.shutdown);
        if kept.is_empty() {
            self.metrics.reloaded(Reload::Applied);
            tracing::info!("configuration reloaded");
        } else {
            self.metrics.reloaded(Reload::Partial);
            tracing::warn!(needs_restart = %kept.join(", "), "configuration reloaded, except for what needs a restart");
        }
    }
}

fn session(shared: &Arc<Shared>) -> Arc<Session> {
    Arc::clone(&shared.live().session)
}

/// What the settings in force were made of.
fn files(shared: &Arc<Shared>) -> Fingerprint {
    shared.live().app.files
}
