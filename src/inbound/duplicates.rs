//! Messages that come again: a sender that has lost an acknowledgement sends the same bytes once more. It is answered with the
//! same acknowledgement, and the app is not asked.
//!
//! ```text
//! recall ─┬─ new ─────────────► Deliver(ticket) ─┬─ accepted ─► remembered, as it was answered
//!         ├─ with the app: waits                  └─ otherwise ► forgotten: one that waits is delivered
//!         └─ accepted before ─► Again(answer)
//! ```
//!
//! The same is what has the same bytes, control ID and sender included: senders are known that use one control ID for many
//! patients. Only what the app has accepted is remembered. A refusal is asked for anew: to deliver again what was not taken does no
//! harm, and to repeat a refusal whose cause has been put right would hold up the feed.
//!
//! Bounded by age, number and bytes. It is memory: a restart forgets it.

use super::told::Written;
use crate::config::{Duplicates, Framing};
use crate::deliver::{Failure, Outcome};
use crate::hl7::ack::Fault;
use crate::runtime::Alarm;
use crate::telemetry::labels::{AckLabel, Attempt};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::time::Instant;

/// What one entry costs beside its answer's bytes.
const OVERHEAD: usize = 256;

/// How a message was answered: its acknowledgements in the order in which they were written, each in its block. `Debug` prints
/// codes only.
pub struct Answered([Option<(AckLabel, Box<[u8]>)>; 2]);

/// One listener's memory.
#[derive(Debug, Default)]
pub struct Window {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<u128, Known>,
    /// Settled ones, oldest first.
    order: VecDeque<(Instant, u128)>,
    /// Of the settled ones.
    bytes: usize,
}

#[derive(Debug)]
enum Known {
    /// With the app. Ends when the ticket does.
    Pending(watch::Receiver<()>),
    Settled(Arc<Answered>),
}

/// What is to be done with a message.
#[derive(Debug)]
pub enum Recall<'w> {
    /// It is new. The ticket's end lets the next one with the same bytes in; there is none where nobody looks for duplicates.
    Deliver(Option<Ticket<'w>>),
    /// It was answered so before.
    Again(Arc<Answered>),
    /// The same message is still with the app, and its time is up.
    StillThere,
}

/// The right to deliver a message.
#[derive(Debug)]
pub struct Ticket<'w> {
    window: &'w Window,
    key: u128,
    /// The entry is this ticket's own: it is not there any more once the answer is in its place.
    armed: bool,
    _pending: watch::Sender<()>,
}

impl Window {
    /// What is known of a message. Waits while the same one is with the app, until the deadline.
    pub async fn recall(
        &self,
        key: u128,
        bounds: Option<&Duplicates>,
        alarm: &mut Alarm,
        deadline: Instant,
    ) -> Recall<'_> {
        let Some(bounds) = bounds else {
            return Recall::Deliver(None);
        };
        let entered = alarm.race(Some(deadline), self.enter(key, bounds));
        entered.await.unwrap_or(Recall::StillThere)
    }

    async fn enter(&self, key: u128, bounds: &Duplicates) -> Recall<'_> {
        loop {
            let mut pending = {
                let mut state = self.lock();
                state.forget(bounds);
                match state.known.get(&key) {
                    Some(Known::Settled(answered)) => return Recall::Again(Arc::clone(answered)),
                    Some(Known::Pending(pending)) => pending.clone(),
                    None => {
                        let (sender, pending) = watch::channel(());
                        state.known.insert(key, Known::Pending(pending));
                        return Recall::Deliver(Some(Ticket {
                            window: self,
                            key,
                            armed: true,
                            _pending: sender,
                        }));
                    }
                }
            };
            // Nothing is ever sent: this ends when the ticket does.
            let _ = pending.changed().await;
        }
    }

    /// Forgets what was answered, because answers may be other ones from now on. What is with the app stays known.
    pub fn clear(&self) {
        let mut state = self.lock();
        state
            .known
            .retain(|_, known| matches!(known, Known::Pending(_)));
        state.order.clear();
        state.bytes = 0;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket<'_> {
    /// Remembers how the message was answered, unless the answer alone would be too much.
    pub fn settle(mut self, answered: Answered, bounds: &Duplicates) {
        if answered.cost() > bounds.max_bytes {
            return;
        }
        self.armed = false;
        let mut state = self.window.lock();
        state.bytes += answered.cost();
        state.order.push_back((Instant::now(), self.key));
        let settled = Known::Settled(Arc::new(answered));
        state.known.insert(self.key, settled);
        state.forget(bounds);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.window.lock().known.remove(&self.key);
        }
    }
}

impl State {
    /// Lets go of what is too old, and of the oldest where there is too much.
    fn forget(&mut self, bounds: &Duplicates) {
        while let Some((at, key)) = self.order.front() {
            let over = self.order.len() > bounds.max_messages || self.bytes > bounds.max_bytes;
            if !over && at.elapsed() < bounds.window {
                return;
            }
            if let Some(Known::Settled(answered)) = self.known.remove(key) {
                self.bytes = self.bytes.saturating_sub(answered.cost());
            }
            self.order.pop_front();
        }
    }
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
    let fault = Fault::application("the application has not yet answered for the same message");
    Outcome::Unavailable(Failure {
        reason: Attempt::Timeout,
        status: None,
        faults: vec![fault],
        attempts: 0,
    })
}

impl Answered {
    /// Of what was written into `blocks`.
    pub fn new(acks: &[Option<Written>; 2], blocks: &[u8]) -> Self {
        Self(acks.each_ref().map(|ack| {
            let Written { block, code } = ack.as_ref()?;
            let block = blocks.get(block.clone()).unwrap_or_default();
            Some((*code, block.into()))
        }))
    }

    /// Writes them again.
    pub fn write(&self, out: &mut Vec<u8>) -> [Option<Written>; 2] {
        self.0.each_ref().map(|ack| {
            let (code, block) = ack.as_ref()?;
            let start = out.len();
            out.extend_from_slice(block);
            Some(Written {
                block: start..out.len(),
                code: *code,
            })
        })
    }

    fn cost(&self) -> usize {
        let acks = self.0.iter().flatten();
        OVERHEAD + acks.map(|(_, ack)| ack.len()).sum::<usize>()
    }
}

impl std::fmt::Debug for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let codes = self.0.iter().flatten().map(|(code, _)| code);
        f.debug_list().entries(codes).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BOUNDS: Duplicates = Duplicates {
        window: Duration::from_secs(60),
        max_messages: 3,
        max_bytes: 10_000,
    };

    fn answered(text: &str) -> Answered {
        Answered([Some((AckLabel::Aa, text.as_bytes().into())), None])
    }

    async fn fresh(window: &Window, key: u128) -> Option<Ticket<'_>> {
        match window.enter(key, &BOUNDS).await {
            Recall::Deliver(ticket) => ticket,
            _ => None,
        }
    }

    async fn is_known(window: &Window, key: u128) -> bool {
        matches!(window.enter(key, &BOUNDS).await, Recall::Again(_))
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_bounded_by_age_number_and_bytes() {
        let window = Window::default();
        for key in 0..4 {
            let ticket = fresh(&window, key).await.unwrap();
            ticket.settle(answered("ack"), &BOUNDS);
        }
        assert!(!is_known(&window, 0).await, "a fourth is one too many");
        assert!(is_known(&window, 1).await);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(!is_known(&window, 1).await, "too old");
        assert_eq!(window.lock().bytes, 0);

        let large = "x".repeat(6_000);
        for key in 10..12 {
            let ticket = fresh(&window, key).await.unwrap();
            ticket.settle(answered(&large), &BOUNDS);
        }
        assert!(!is_known(&window, 10).await, "too many bytes");
        assert!(is_known(&window, 11).await);
        let ticket = fresh(&window, 12).await.unwrap();
        ticket.settle(answered(&"x".repeat(20_000)), &BOUNDS);
        assert!(
            is_known(&window, 11).await,
            "one too large displaces nothing"
        );
        assert!(!is_known(&window, 12).await);
        let state = window.lock();
        assert_eq!((state.known.len(), state.order.len()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_answered_is_forgotten_by_a_clear_and_what_is_out_stays_known() {
        let window = Window::default();
        let ticket = fresh(&window, 1).await.unwrap();
        ticket.settle(answered("ack"), &BOUNDS);
        let out = fresh(&window, 2).await.unwrap();
        window.clear();
        assert!(matches!(
            window.lock().known.get(&2),
            Some(Known::Pending(_))
        ));
        out.settle(answered("ack"), &BOUNDS);
        assert!(is_known(&window, 2).await);
        assert!(!is_known(&window, 1).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_the_first_is_out_gets_its_answer_or_its_place() {
        let window = Window::default();
        let first = fresh(&window, 7).await.unwrap();
        let second = window.enter(7, &BOUNDS);
        let third = window.enter(7, &BOUNDS);
        tokio::pin!(second, third);
        assert!(futures_are_pending(&mut second, &mut third).await);
        drop(first);
        let Recall::Deliver(Some(ticket)) = second.await else {
            panic!("the place of the first was free");
        };
        ticket.settle(answered("ack"), &BOUNDS);
        assert!(matches!(third.await, Recall::Again(_)));

        let mut alarm = Alarm::default();
        let _out = fresh(&window, 8).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let late = window.recall(8, Some(&BOUNDS), &mut alarm, deadline).await;
        assert!(matches!(late, Recall::StillThere), "{late:?}");
    }

    async fn futures_are_pending(
        one: &mut std::pin::Pin<&mut impl Future>,
        other: &mut std::pin::Pin<&mut impl Future>,
    ) -> bool {
        let moment = Duration::from_millis(1);
        tokio::time::timeout(moment, one.as_mut()).await.is_err()
            && tokio::time::timeout(moment, other.as_mut()).await.is_err()
    }

    #[test]
    fn what_was_written_is_written_again() {
        let (first, second) = (b"\x0bone\x1c\r", b"\x0btwo\x1c\r");
        let blocks = [&first[..], &second[..]].concat();
        let acks = [(0..6, AckLabel::Ca), (6..12, AckLabel::Aa)]
            .map(|(block, code)| Some(Written { block, code }));
        let mut again = Vec::new();
        let written = Answered::new(&acks, &blocks).write(&mut again);
        assert_eq!(again, blocks);
        let ranges = written.map(|ack| ack.map(|ack| (ack.block, ack.code)));
        assert_eq!(
            ranges,
            [Some((0..6, AckLabel::Ca)), Some((6..12, AckLabel::Aa))]
        );
        // Nothing was written, and nothing is.
        let unwanted = [
            Some(Written {
                block: 0..0,
                code: AckLabel::Unwanted,
            }),
            None,
        ];
        again.clear();
        let [Some(written), None] = Answered::new(&unwanted, b"").write(&mut again) else {
            panic!("one, of no bytes");
        };
        assert_eq!((written.block, again.len()), (0..0, 0));
    }
}
