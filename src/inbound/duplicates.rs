//! Messages that come again: a sender that has lost an acknowledgement sends the same bytes once more. It is answered with the
//! same acknowledgement, and the app is not asked.
//!
//! ```text
//! recall ─┬─ new ─────────────► Deliver(ticket) ─┬─ accepted ─► held ─► stored ─► remembered, as it was answered
//!         ├─ with the app: waits                  └─ otherwise ► forgotten: one that waits is delivered
//!         └─ accepted before ─► Again(answer)
//! ```
//!
//! The same is what has the same bytes, control ID and sender included: senders are known that use one control ID for many
//! patients. Only what the app has accepted is remembered. A refusal is asked for anew: to deliver again what was not taken does no
//! harm, and to repeat a refusal whose cause has been put right would hold up the feed.
//!
//! Bounded by age, number and bytes. With a store, each answer is in it before anybody gets it, and a restart begins with what
//! is there; without one it is memory.

use super::answered::Answered;
use crate::config::Framing;
use crate::deliver::{Failure, Outcome, in_time};
use crate::hl7::ack::Fault;
use crate::runtime::{Alarm, Drain};
use crate::state::window;
use crate::telemetry::labels::Attempt;
use tokio::time::Instant;

/// One listener's memory.
pub type Window = window::Window<Answered>;
/// What is to be done with a message.
pub type Recall<'w> = window::Recall<'w, Answered>;
/// The right to deliver a message.
pub type Ticket<'w> = window::Ticket<'w, Answered>;

/// What is known of a message. Waits while the same one is with the app, until the deadline: then, or where too little is left of
/// it, `None`.
pub async fn recall<'w>(
    window: &'w Window,
    key: u128,
    alarm: &mut Alarm,
    deadline: Instant,
    drain: &Drain,
) -> Option<Recall<'w>> {
    let mut waited = false;
    let entered = alarm.race(Some(deadline), window.enter(key, &mut waited));
    let recall = entered.await.ok()?;
    let late = || !in_time(Instant::now(), deadline, drain.phase());
    // An attempt that cannot end in time might reach the app all the same.
    let useless = waited && matches!(recall, Recall::Deliver(_)) && late();
    (!useless).then_some(recall)
}

/// What a message is known by: its bytes, and what goes around its answer.
pub fn key(hash: u128, framing: Framing) -> u128 {
    let Framing {
        kind,
        start,
        end,
        checksum,
        ..
    } = framing;
    hash ^ u128::from(u32::from_be_bytes([kind as u8, checksum as u8, start, end]))
}

/// What is told of a message whose like is still with the app.
pub fn still_there() -> Outcome {
    unasked("the application has not yet answered for the same message")
}

/// What is told of a message that was not tried, because one before it in its batch could not be delivered.
pub fn not_tried() -> Outcome {
    unasked("not tried: a message before it in its batch could not be delivered")
}

fn unasked(why: &'static str) -> Outcome {
    let fault = Fault::application(why);
    Outcome::Unavailable(Failure {
        reason: Attempt::Timeout,
        status: None,
        faults: vec![fault],
        attempts: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::super::told::Written;
    use super::*;
    use crate::state::window::Bounds;
    use crate::telemetry::labels::AckLabel;
    use std::time::Duration;

    const BOUNDS: Bounds = Bounds {
        window: Duration::from_secs(60),
        max_entries: 3,
        max_bytes: 10_000,
    };

    fn answered(text: &str) -> Answered {
        let (block, code) = (0..text.len(), AckLabel::Aa);
        Answered::new(&[Some(Written { block, code }), None], text.as_bytes())
    }

    fn empty() -> Window {
        Window::new(Some(BOUNDS), None).0
    }

    fn settle(ticket: Ticket<'_>, text: &str) {
        if let Some(held) = ticket.hold(answered(text)) {
            held.settle();
        }
    }

    async fn fresh(window: &Window, key: u128) -> Option<Ticket<'_>> {
        match window.enter(key, &mut false).await {
            Recall::Deliver(ticket) => ticket,
            _ => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_the_first_is_out_gets_its_answer_or_its_place() {
        let window = empty();
        let first = fresh(&window, 7).await.unwrap();
        let mut waited = [false; 2];
        let [two, three] = &mut waited;
        let second = window.enter(7, two);
        let third = window.enter(7, three);
        tokio::pin!(second, third);
        assert!(futures_are_pending(&mut second, &mut third).await);
        drop(first);
        let Recall::Deliver(Some(ticket)) = second.await else {
            panic!("the place of the first was free");
        };
        settle(ticket, "ack");
        assert!(matches!(third.await, Recall::Again(_)));

        let mut alarm = Alarm::default();
        let _out = fresh(&window, 8).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let drain = Drain::default();
        let late = recall(&window, 8, &mut alarm, deadline, &drain).await;
        assert!(late.is_none(), "{late:?}");
    }

    /// The place of the first is free `before` this much of the time is left.
    async fn who_waited_until(before: Duration, drain: &Drain) -> bool {
        let window = empty();
        let first = fresh(&window, 1).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(25);
        let mut alarm = Alarm::default();
        let waiting = recall(&window, 1, &mut alarm, deadline, drain);
        let ending = async {
            tokio::time::sleep(Duration::from_secs(25) - before).await;
            drop(first);
        };
        let (entry, ()) = tokio::join!(waiting, ending);
        let delivers = matches!(entry, Some(Recall::Deliver(Some(_))));
        drop(entry);
        assert!(fresh(&window, 1).await.is_some(), "the next one may come");
        delivers
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_waited_begins_no_attempt_that_cannot_end_in_time() {
        let running = Drain::default();
        assert!(who_waited_until(Duration::from_millis(60), &running).await);
        assert!(!who_waited_until(Duration::from_millis(40), &running).await);
        for (left, delivers) in [(300, true), (200, false)] {
            let drain = Drain::default();
            drain.begin(Duration::from_secs(20) + Duration::from_millis(left));
            let at = Duration::from_secs(5);
            assert_eq!(who_waited_until(at, &drain).await, delivers, "{left} ms");
        }

        // Who has not waited has what time there is.
        let window = empty();
        let deadline = Instant::now() + Duration::from_millis(10);
        let mut alarm = Alarm::default();
        let entry = recall(&window, 1, &mut alarm, deadline, &running).await;
        assert!(matches!(entry, Some(Recall::Deliver(Some(_)))), "{entry:?}");
    }

    async fn futures_are_pending(
        one: &mut std::pin::Pin<&mut impl Future>,
        other: &mut std::pin::Pin<&mut impl Future>,
    ) -> bool {
        let moment = Duration::from_millis(1);
        tokio::time::timeout(moment, one.as_mut()).await.is_err()
            && tokio::time::timeout(moment, other.as_mut()).await.is_err()
    }
}
