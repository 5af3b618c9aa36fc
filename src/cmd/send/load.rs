//! Sends: so many connections at once, each with one message under way, all of them drawing from one list at one pace.

use super::plan::{Entry, Plan};
use super::tally::{Outcome, Tally};
use crate::net::tls;
use crate::outbound::{Answer, Block, Connection, Error, Kind, Options};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// A connection that cannot be reopened is tried this often, with pauses, before the run ends.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);
/// So far a pace that fell behind (a slow answer, a coarse timer) may catch up; more would be a burst.
const CATCH_UP: Duration = Duration::from_millis(20);

/// What to do with a plan.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The server, `host:port`.
    pub(super) address: String,
    /// How it is spoken to.
    pub(super) options: Options,
    /// TLS, if any.
    pub(super) tls: Option<Arc<tls::Client>>,
    /// Connections at once.
    pub(super) connections: u32,
    /// How often everything is sent.
    pub(super) repeat: u32,
    /// Messages a second, at most.
    pub(super) rate: Option<f64>,
    /// Print a line for each message.
    pub(super) lines: bool,
    /// Keep a record of each message.
    pub(super) collect: bool,
}

/// What the connections share.
struct Shared {
    plan: Arc<Plan>,
    settings: Settings,
    planned: u64,
    next: AtomicU64,
    pace: Option<Pace>,
    tally: Mutex<Tally>,
    bar: ProgressBar,
    /// Width of the first column of the lines.
    column: usize,
}

/// Sends everything, as far as there is a server.
///
/// # Errors
/// Never for what a server does; see [`Tally::new`].
pub(super) async fn run(plan: Arc<Plan>, settings: Settings) -> anyhow::Result<Tally> {
    let planned = plan.entries.len() as u64 * u64::from(settings.repeat);
    let names = plan
        .entries
        .iter()
        .map(|entry| plan.name(entry).chars().count());
    let column = if settings.lines {
        names.max().unwrap_or(0)
    } else {
        0
    };
    let shared = Arc::new(Shared {
        pace: settings.rate.map(Pace::new),
        tally: Mutex::new(Tally::new(planned, settings.collect)?),
        next: AtomicU64::new(0),
        bar: bar(planned),
        column,
        plan,
        settings,
        planned,
    });
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..u64::from(shared.settings.connections).min(planned) {
        workers.spawn(worker(Arc::clone(&shared)));
    }
    tokio::select! {
        () = async { while workers.join_next().await.is_some() {} } => {}
        _ = tokio::signal::ctrl_c() => {
            workers.shutdown().await;
            shared.tally().ended_early = Some("interrupted".into());
        }
    }
    shared.bar.finish_and_clear();
    let mut tally = shared.tally();
    tally.elapsed = started.elapsed();
    if tally.not_sent() > 0 && tally.ended_early.is_none() {
        tally.ended_early = tally.unreachable.take();
    }
    tally.listed.sort_by_key(|listed| listed.entry);
    let empty = Tally::new(0, false)?;
    Ok(std::mem::replace(&mut *tally, empty))
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, at: usize, entry: &Entry, outcome: &Outcome) {
        self.tally().count(&self.plan, at, entry, outcome);
        self.bar.inc(1);
        if !self.settings.lines {
            return;
        }
        let name = self.plan.name(entry);
        let took = outcome
            .latency()
            .map(super::bars::duration)
            .unwrap_or_default();
        let line = format!(
            "{name:<width$}  {:<20}  {:<10}  {took:>8}  {}",
            entry.control_id,
            outcome.label(),
            outcome.detail(),
            width = self.column,
        );
        // A reader that has seen enough is no failure.
        self.bar
            .suspend(|| drop(writeln!(std::io::stdout(), "{}", line.trim_end())));
    }
}

/// On a terminal only: a log file has no use for it.
fn bar(planned: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() || planned < 2 {
        return ProgressBar::hidden();
    }
    let template = "{bar:40} {human_pos} of {human_len} messages  {per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(planned).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// One connection, for as long as there are messages.
async fn worker(shared: Arc<Shared>) {
    let mut line = Line {
        shared: &shared,
        connection: None,
        ever_opened: false,
    };
    loop {
        let turn = shared.next.fetch_add(1, Relaxed);
        if turn >= shared.planned {
            return;
        }
        if let Some(pace) = &shared.pace {
            pace.turn().await;
        }
        let at = (turn % shared.plan.entries.len() as u64) as usize;
        let Some(entry) = shared.plan.entries.get(at) else {
            return;
        };
        let sent = match &entry.block {
            Ok(block) => line.send(block).await,
            Err(error) => Err(unframable(error)),
        };
        let outcome = match sent {
            Ok((Some(answer), latency)) => Outcome::Answered(answer, latency),
            Ok((None, _)) => Outcome::Unanswered,
            Err(error) => Outcome::Failed(error),
        };
        shared.count(at, entry, &outcome);
        if let Outcome::Failed(error) = &outcome
            && error.kind() == Kind::Unreachable
        {
            // The other connections, if there are any, carry the rest.
            shared.tally().unreachable = Some(error.with_causes());
            return;
        }
    }
}

/// The plan keeps its errors; each message that has one fails with its like.
fn unframable(error: &Error) -> Error {
    match error {
        Error::Unframable(unframable) => Error::Unframable(*unframable),
        other => Error::Send(std::io::Error::other(other.to_string())),
    }
}

/// A connection that is opened anew where it has closed.
struct Line<'s> {
    shared: &'s Shared,
    connection: Option<Connection>,
    ever_opened: bool,
}

impl Line<'_> {
    /// Sends one message. A connection that turns out to be closed, or in use by answers that nobody asked for, before
    /// anything of the message went out, is replaced first.
    async fn send(&mut self, block: &Block) -> Result<(Option<Answer>, Duration), Error> {
        if let Some(connection) = self.connection.take() {
            match self.exchange(connection, block).await {
                Err(Error::Stale) => {}
                Err(Error::Unsolicited { .. }) => self.shared.tally().unasked += 1,
                settled => return settled,
            }
        }
        let connection = self.open().await?;
        self.exchange(connection, block).await
    }

    async fn exchange(
        &mut self,
        connection: Connection,
        block: &Block,
    ) -> Result<(Option<Answer>, Duration), Error> {
        let started = Instant::now();
        let (connection, answer) = connection.exchange(block).await?;
        let latency = started.elapsed();
        self.connection = Some(connection);
        Ok((answer, latency))
    }

    /// A server that was there before may be restarting; one that never was is not waited for.
    async fn open(&mut self) -> Result<Connection, Error> {
        let Settings {
            address,
            options,
            tls,
            ..
        } = &self.shared.settings;
        let mut attempt = 1;
        loop {
            match Connection::open(address, tls.as_deref(), *options).await {
                Ok(connection) => {
                    let mut tally = self.shared.tally();
                    if self.ever_opened {
                        tally.reopened += 1;
                    } else {
                        tally.opened += 1;
                    }
                    self.ever_opened = true;
                    return Ok(connection);
                }
                Err(error) if !self.ever_opened || attempt == ATTEMPTS => return Err(error),
                Err(_) => attempt += 1,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// At most so many messages a second, whoever asks.
struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    fn new(rate: f64) -> Self {
        Self {
            interval: Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits for the next turn.
    async fn turn(&self) {
        let at = self.reserve(Instant::now());
        sleep_until(at).await;
    }

    fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        let at = (*next).max(earliest);
        *next = at.checked_add(self.interval).unwrap_or(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_pace_holds_and_does_not_make_up_for_lost_time() {
        let pace = Pace::new(100.0);
        let start = Instant::now();
        for _ in 0..51 {
            pace.turn().await;
        }
        assert_eq!(start.elapsed().as_millis(), 500);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let start = Instant::now();
        for _ in 0..13 {
            pace.turn().await;
        }
        assert_eq!(
            start.elapsed().as_millis(),
            100,
            "two at once, then the pace"
        );
    }
}
