//! Structured logs on standard error, and a brake for faults that repeat.

use crate::config::{Log, LogFormat, LogLevel};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// Changes the level while the process runs.
#[derive(Debug, Clone)]
pub struct LevelHandle(reload::Handle<LevelFilter, Registry>);

impl LevelHandle {
    /// From now on.
    pub fn set(&self, level: LogLevel) {
        // Fails only when the subscriber is gone, at the end of the process.
        let _ = self.0.modify(|filter| *filter = filter_of(level));
    }
}

/// Starts logging to standard error. Once per process.
///
/// # Errors
/// If something else logs already.
pub fn init(config: Log) -> Result<LevelHandle, tracing_subscriber::util::TryInitError> {
    let (level, handle) = reload::Layer::new(filter_of(config.level));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = match config.format {
        LogFormat::Text => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            lines.with_ansi(ansi).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(level)
        .with(lines)
        .try_init()?;
    std::panic::set_hook(Box::new(|panic| {
        // Where, and not what: a panic's text can quote the string that it was about.
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked: a fault of mllp-bridge itself");
    }));
    Ok(LevelHandle(handle))
}

fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Lets some of many equal log lines through: a burst, and then one per interval that says how many it stands for.
#[derive(Debug)]
pub struct Throttle(Mutex<Window>);

#[derive(Debug)]
struct Window {
    opened: Option<Instant>,
    written: u32,
    suppressed: u64,
}

const BURST: u32 = 5;
const INTERVAL: Duration = Duration::from_secs(10);

impl Default for Throttle {
    fn default() -> Self {
        Self(Mutex::new(Window {
            opened: None,
            written: 0,
            suppressed: 0,
        }))
    }
}

impl Throttle {
    /// `Some(n)` if a line may be written now, after `n` that were not.
    pub fn pass(&self, now: Instant) -> Option<u64> {
        let mut window = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if window
            .opened
            .is_none_or(|opened| now.duration_since(opened) >= INTERVAL)
        {
            let suppressed = window.suppressed;
            *window = Window {
                opened: Some(now),
                written: 1,
                suppressed: 0,
            };
            return Some(suppressed);
        }
        if window.written < BURST {
            window.written += 1;
            return Some(0);
        }
        window.suppressed += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_line_per_interval_tells_how_many_it_stands_for() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let passed: Vec<_> = (0..8).map(|_| throttle.pass(now)).collect();
        assert_eq!(
            passed,
            [
                Some(0),
                Some(0),
                Some(0),
                Some(0),
                Some(0),
                None,
                None,
                None
            ]
        );
        assert_eq!(throttle.pass(now + INTERVAL), Some(3));
        assert_eq!(throttle.pass(now + INTERVAL), Some(0));
    }
}
