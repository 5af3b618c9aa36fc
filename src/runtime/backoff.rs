//! Waits between attempts.

use crate::config::Retry;
use std::time::Duration;

/// The wait after so many attempts that failed, at least one. Exponential, with half of it random, so that those that failed together
/// do not come back together.
pub fn wait(retry: Retry, failed: u32) -> Duration {
    let doublings = failed.saturating_sub(1).min(20);
    let doubled = retry.initial.saturating_mul(1 << doublings);
    doubled.min(retry.max).mul_f64(0.5 + 0.5 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_longest_and_at_least_half_of_it_is_waited() {
        let retry = Retry {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(1),
        };
        for (failed, longest) in [
            (0, 100),
            (1, 100),
            (2, 200),
            (4, 800),
            (5, 1000),
            (u32::MAX, 1000),
        ] {
            let longest = Duration::from_millis(longest);
            let waited = wait(retry, failed);
            assert!(
                waited <= longest && waited >= longest / 2,
                "{failed}: {waited:?}"
            );
        }
    }
}
