//! A deadline without a timer per wait.
//!
//! A connection waits several times for every message, and nearly always what it waits for comes. Arming and dropping a
//! timer each time takes the timer wheel's lock twice. An [`Alarm`] keeps one timer and moves it only to an
//! *earlier* deadline; when it rings too early because the deadline has moved on since, it is set anew. Under load it is touched
//! about once per timeout, not once per message.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use tokio::time::{Instant, Sleep, sleep_until};

/// One timer, reused.
#[derive(Debug, Default)]
pub struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
}

/// The deadline came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

impl Alarm {
    /// Runs `future` until `deadline`; `None` is never.
    ///
    /// # Errors
    /// If the deadline comes first; the future is dropped then.
    pub async fn race<F: Future>(
        &mut self,
        deadline: Option<Instant>,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            let Some(deadline) = deadline else {
                return Poll::Pending;
            };
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            while timer.as_mut().poll(context).is_ready() {
                if Instant::now() >= deadline {
                    return Poll::Ready(Err(Elapsed));
                }
                timer.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::time::Duration;

    fn after(seconds: u64) -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn rings_at_each_deadline_however_they_move() {
        let mut alarm = Alarm::default();
        let start = Instant::now();
        assert_eq!(alarm.race(after(5), async { 7 }).await, Ok(7));
        assert_eq!(alarm.race(after(5), pending::<()>()).await, Err(Elapsed));
        assert_eq!(start.elapsed().as_secs(), 5);
        assert_eq!(
            alarm
                .race(after(3600), tokio::time::sleep(Duration::from_secs(1)))
                .await,
            Ok(())
        );
        assert_eq!(
            alarm.race(after(2), pending::<()>()).await,
            Err(Elapsed),
            "an earlier one"
        );
        assert_eq!(start.elapsed().as_secs(), 8);
        assert_eq!(
            alarm
                .race(after(3), tokio::time::sleep(Duration::from_secs(1)))
                .await,
            Ok(())
        );
        assert_eq!(
            alarm.race(after(10), pending::<()>()).await,
            Err(Elapsed),
            "rings early once"
        );
        assert_eq!(start.elapsed().as_secs(), 19);
        assert_eq!(
            alarm.race(after(0), pending::<()>()).await,
            Err(Elapsed),
            "already past"
        );
        assert_eq!(alarm.race(None, async {}).await, Ok(()));
    }
}
