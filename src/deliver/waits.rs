//! Waits between attempts, and whether there is time for another.

use super::outcome::Failure;
use crate::config::Retry;
use crate::runtime::{Drain, Phase, backoff};
use crate::telemetry::labels::Attempt;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// An attempt with less time than this would fail for want of it, and might have reached the app all the same.
const MIN_ATTEMPT: Duration = Duration::from_millis(50);
/// Left of a drain's time to write the last ACK.
const DRAIN_MARGIN: Duration = Duration::from_millis(250);

/// Whether the app may still be at work on what it was sent. Two of one bundle at once are two patients for a FHIR server that does
/// not see that they are one.
pub(super) fn may_be_under_way(failure: &Failure) -> bool {
    // A proxy that has waited long enough says 504.
    matches!(failure.reason, Attempt::Timeout | Attempt::Reset) || failure.status == Some(504)
}

/// As the back-off has it, or as the app asks for.
pub(super) fn wait_before(retry: Retry, attempts: u32, retry_after: Option<Duration>) -> Duration {
    backoff::wait(retry, attempts).max(retry_after.unwrap_or_default())
}

/// Waits before the next attempt; `false` if the deadline leaves no time for one.
pub(super) async fn pause(wait: Duration, deadline: Instant, drain: &Drain) -> bool {
    // An app may ask for more time than a clock can hold.
    let Some(until) = Instant::now().checked_add(wait) else {
        return false;
    };
    if wait >= deadline.saturating_duration_since(Instant::now()) {
        return false;
    }
    let phase = drain.phase();
    if !in_time(until, deadline, phase) {
        return false;
    }
    if phase != Phase::Running {
        sleep_until(until).await;
        return true;
    }
    tokio::select! {
        () = sleep_until(until) => true,
        _ = drain.begun() => {
            if !in_time(until, deadline, drain.phase()) {
                return false;
            }
            sleep_until(until).await;
            true
        }
    }
}

/// Whether an attempt that begins `at` this time can still end before the deadline, and its ACK be written before a drain's cut.
pub fn in_time(at: Instant, deadline: Instant, phase: Phase) -> bool {
    let uncut = match phase {
        Phase::Running => true,
        Phase::Draining(cut) => at + DRAIN_MARGIN < cut,
    };
    at + MIN_ATTEMPT < deadline && uncut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_honour_retry_after() {
        let retry = Retry {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(2),
        };
        for (attempts, most) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (5, 1600),
            (6, 2000),
            (4_000_000, 2000),
        ] {
            let wait = wait_before(retry, attempts, None).as_millis();
            assert!(
                wait <= most && wait >= most / 2,
                "after attempt {attempts}: {wait} ms"
            );
        }
        assert_eq!(
            wait_before(retry, 1, Some(Duration::from_secs(7))),
            Duration::from_secs(7)
        );
        assert!(wait_before(retry, 6, Some(Duration::from_millis(1))) >= Duration::from_secs(1));
    }
}
