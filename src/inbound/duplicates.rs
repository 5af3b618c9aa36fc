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
use crate::config::{Duplicates, Framing};
use crate::deliver::{Failure, Outcome, in_time};
use crate::hl7::ack::Fault;
use crate::runtime::{Alarm, Drain};
use crate::state::Store;
use crate::telemetry::labels::Attempt;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::Instant;

/// One listener's memory.
#[derive(Debug, Default)]
pub struct Window {
    state: Mutex<State>,
    kept: Option<(Store, Arc<str>)>,
}

#[derive(Debug, Default)]
struct State {
    /// `None`: every message goes to the app.
    bounds: Option<Duplicates>,
    known: HashMap<u128, Known>,
    /// Settled ones by place, oldest first.
    order: VecDeque<Entry>,
    /// Of the settled ones.
    bytes: usize,
    /// Places that are being stored.
    held: BTreeSet<u64>,
    /// The next place. Places are what the store's records are numbered by.
    next: u64,
}

#[derive(Debug)]
struct Entry {
    place: u64,
    at: Instant,
    key: u128,
}

#[derive(Debug)]
enum Known {
    /// With the app, or being stored. Ends when the ticket does.
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
    /// Where its answer is being stored.
    place: Option<u64>,
    _pending: watch::Sender<()>,
}

/// An answer that is being stored.
#[derive(Debug)]
pub struct Held<'w> {
    ticket: Ticket<'w>,
    answered: Answered,
    place: u64,
    below: u64,
    at: Instant,
}

impl Window {
    /// With what the store has of this listener, if there is a store. Blocks.
    pub fn new(bounds: Option<Duplicates>, kept: Option<(Store, Arc<str>)>) -> Self {
        let mut state = State {
            bounds,
            ..State::default()
        };
        if let Some((store, listener)) = &kept {
            let most = bounds.map_or(1, |bounds| bounds.max_messages);
            match store.records(listener, most) {
                Ok(records) => state.load(records),
                Err(error) => {
                    tracing::error!(%listener, %error, "stored duplicates cannot be read: begun without them");
                }
            }
            store.forget_below(listener, state.first());
        }
        Self {
            state: Mutex::new(state),
            kept,
        }
    }

    /// What is known of a message. Waits while the same one is with the app, until the deadline.
    pub async fn recall(
        &self,
        key: u128,
        alarm: &mut Alarm,
        deadline: Instant,
        drain: &Drain,
    ) -> Recall<'_> {
        let mut waited = false;
        let entered = alarm.race(Some(deadline), self.enter(key, &mut waited));
        let recall = entered.await.unwrap_or(Recall::StillThere);
        let late = || !in_time(Instant::now(), deadline, drain.phase());
        if waited && matches!(recall, Recall::Deliver(_)) && late() {
            // An attempt that cannot end in time might reach the app all the same.
            return Recall::StillThere;
        }
        recall
    }

    async fn enter(&self, key: u128, waited: &mut bool) -> Recall<'_> {
        loop {
            let mut pending = {
                let mut state = self.lock();
                if state.bounds.is_none() {
                    return Recall::Deliver(None);
                }
                state.forget();
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
                            place: None,
                            _pending: sender,
                        }));
                    }
                }
            };
            *waited = true;
            // Nothing is ever sent: this ends when the ticket does.
            let _ = pending.changed().await;
        }
    }

    /// Puts other bounds in force, and forgets what was answered, because answers may be other ones from now on. What is with
    /// the app stays known.
    pub fn reload(&self, bounds: Option<Duplicates>) {
        let mut state = self.lock();
        state.bounds = bounds;
        state
            .known
            .retain(|_, known| matches!(known, Known::Pending(_)));
        state.order.clear();
        state.bytes = 0;
        self.forget_below(state.first());
    }

    /// Lets go of what is too old, in the store too: for the time when no message comes.
    pub fn trim(&self) {
        let mut state = self.lock();
        let first = state.first();
        state.forget();
        if state.first() > first {
            self.forget_below(state.first());
        }
    }

    fn forget_below(&self, place: u64) {
        if let Some((store, listener)) = &self.kept {
            store.forget_below(listener, place);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'w> Ticket<'w> {
    /// Takes a place for how the message was answered. `None` where nothing is to be remembered of it: the answer alone would be too
    /// much, or nobody looks for duplicates any more.
    pub fn hold(mut self, answered: Answered) -> Option<Held<'w>> {
        let mut state = self.window.lock();
        if answered.cost() > state.bounds?.max_bytes {
            return None;
        }
        let place = state.next;
        state.next += 1;
        state.held.insert(place);
        state.forget();
        let below = state.first();
        self.place = Some(place);
        drop(state);
        Some(Held {
            ticket: self,
            answered,
            place,
            below,
            at: Instant::now(),
        })
    }
}

impl Held<'_> {
    /// Its place, and what is stored there.
    pub fn record(&self) -> (u64, Vec<u8>) {
        let record = self.answered.to_record(self.ticket.key, unix_millis());
        (self.place, record)
    }

    /// The lowest place that is still wanted.
    pub fn below(&self) -> u64 {
        self.below
    }

    /// Answers with it from now on.
    pub fn settle(mut self) {
        let mut state = self.ticket.window.lock();
        state.held.remove(&self.place);
        if state.bounds.is_none() {
            // Turned off meanwhile.
            self.ticket.window.forget_below(state.first());
            return;
        }
        self.ticket.armed = false;
        state.settle(self.place, self.at, self.ticket.key, self.answered);
        state.forget();
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let mut state = self.window.lock();
        state.known.remove(&self.key);
        if let Some(place) = self.place {
            state.held.remove(&place);
        }
    }
}

impl State {
    fn settle(&mut self, place: u64, at: Instant, key: u128, answered: Answered) {
        self.bytes += answered.cost();
        // Nearly always the last one.
        let behind = self.order.partition_point(|entry| entry.place < place);
        self.order.insert(behind, Entry { place, at, key });
        self.known.insert(key, Known::Settled(Arc::new(answered)));
    }

    /// Lets go of what is too old, and of the oldest where there is too much.
    fn forget(&mut self) {
        let Some(bounds) = self.bounds else { return };
        while let Some(Entry { at, .. }) = self.order.front() {
            let over = self.order.len() > bounds.max_messages || self.bytes > bounds.max_bytes;
            if !over && at.elapsed() < bounds.window {
                return;
            }
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some(Entry { key, .. }) = self.order.pop_front() else {
            return;
        };
        if let Some(Known::Settled(answered)) = self.known.remove(&key) {
            self.bytes = self.bytes.saturating_sub(answered.cost());
        }
    }

    /// The lowest place that is remembered, or being stored; the next one where there is none.
    fn first(&self) -> u64 {
        let settled = self.order.front().map(|entry| entry.place);
        let held = self.held.first().copied();
        settled.into_iter().chain(held).min().unwrap_or(self.next)
    }

    /// Takes over what was stored, oldest first. A clock that was put back makes nothing younger than now.
    fn load(&mut self, records: Vec<(u64, Vec<u8>)>) {
        self.next = records.last().map_or(0, |(place, _)| place + 1);
        let (now, millis) = (Instant::now(), unix_millis());
        let Some(bounds) = self.bounds else { return };
        for (place, record) in records {
            let Some((key, at, answered)) = Answered::from_record(&record) else {
                continue;
            };
            let age = Duration::from_millis(millis.saturating_sub(at));
            if age >= bounds.window {
                continue;
            }
            if let Some(Known::Settled(before)) = self.known.remove(&key) {
                self.bytes -= before.cost();
                self.order.retain(|entry| entry.key != key);
            }
            let at = now.checked_sub(age).unwrap_or(now);
            self.settle(place, at, key, answered);
        }
        self.forget();
    }
}

/// Milliseconds of Unix time: what ages by more than the life of a process.
fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_millis() as u64
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
    use crate::telemetry::labels::AckLabel;

    const BOUNDS: Duplicates = Duplicates {
        window: Duration::from_secs(60),
        max_messages: 3,
        max_bytes: 10_000,
    };

    fn answered(text: &str) -> Answered {
        let (block, code) = (0..text.len(), AckLabel::Aa);
        Answered::new(&[Some(Written { block, code }), None], text.as_bytes())
    }

    fn empty() -> Window {
        Window::new(Some(BOUNDS), None)
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

    async fn is_known(window: &Window, key: u128) -> bool {
        matches!(window.enter(key, &mut false).await, Recall::Again(_))
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_bounded_by_age_number_and_bytes() {
        let window = empty();
        for key in 0..4 {
            let ticket = fresh(&window, key).await.unwrap();
            settle(ticket, "ack");
        }
        assert!(!is_known(&window, 0).await, "a fourth is one too many");
        assert!(is_known(&window, 1).await);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(!is_known(&window, 1).await, "too old");
        assert_eq!(window.lock().bytes, 0);

        let large = "x".repeat(6_000);
        for key in 10..12 {
            let ticket = fresh(&window, key).await.unwrap();
            settle(ticket, &large);
        }
        assert!(!is_known(&window, 10).await, "too many bytes");
        assert!(is_known(&window, 11).await);
        let ticket = fresh(&window, 12).await.unwrap();
        settle(ticket, &"x".repeat(20_000));
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
        let window = empty();
        let ticket = fresh(&window, 1).await.unwrap();
        settle(ticket, "ack");
        let out = fresh(&window, 2).await.unwrap();
        window.reload(Some(BOUNDS));
        assert!(matches!(
            window.lock().known.get(&2),
            Some(Known::Pending(_))
        ));
        settle(out, "ack");
        assert!(is_known(&window, 2).await);
        assert!(!is_known(&window, 1).await);
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
        let late = window.recall(8, &mut alarm, deadline, &drain).await;
        assert!(matches!(late, Recall::StillThere), "{late:?}");
    }

    /// The place of the first is free `before` this much of the time is left.
    async fn who_waited_until(before: Duration, drain: &Drain) -> bool {
        let window = empty();
        let first = fresh(&window, 1).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(25);
        let mut alarm = Alarm::default();
        let waiting = window.recall(1, &mut alarm, deadline, drain);
        let ending = async {
            tokio::time::sleep(Duration::from_secs(25) - before).await;
            drop(first);
        };
        let (recall, ()) = tokio::join!(waiting, ending);
        let delivers = matches!(recall, Recall::Deliver(Some(_)));
        drop(recall);
        assert!(window.lock().known.is_empty(), "the next one may come");
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
        let recall = window.recall(1, &mut alarm, deadline, &running).await;
        assert!(matches!(recall, Recall::Deliver(Some(_))), "{recall:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn turned_off_nothing_is_held_and_nobody_waits() {
        let window = empty();
        settle(fresh(&window, 1).await.unwrap(), "ack");
        let [out, being_stored] = [2, 3].map(|key| fresh(&window, key));
        let (out, being_stored) = (out.await.unwrap(), being_stored.await.unwrap());
        let held = being_stored.hold(answered("ack")).unwrap();
        window.reload(None);
        let again = window.enter(2, &mut false).await;
        assert!(matches!(again, Recall::Deliver(None)), "{again:?}");
        settle(out, "ack");
        held.settle();
        let state = window.lock();
        assert_eq!((state.known.len(), state.order.len()), (0, 0));
        assert_eq!((state.bytes, state.held.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_stored_is_known_with_its_age() {
        let records = |ages: &[(u64, u64)]| {
            let record = |&(key, age): &(u64, u64)| {
                let at = unix_millis() - age * 1000;
                (100 + key, answered("ack").to_record(key.into(), at))
            };
            ages.iter().map(record).collect::<Vec<_>>()
        };
        let load = |records| {
            let window = empty();
            window.lock().load(records);
            window
        };
        let window = load(records(&[(1, 70), (2, 50), (3, 1)]));
        assert!(!is_known(&window, 1).await, "too old");
        assert!(is_known(&window, 2).await && is_known(&window, 3).await);
        let places = |window: &Window| {
            let state = window.lock();
            (state.first(), state.next)
        };
        assert_eq!(places(&window), (102, 104));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(!is_known(&window, 2).await, "too old by now");
        assert!(is_known(&window, 3).await);

        let mut all = records(&[(1, 5), (2, 5), (3, 5), (4, 5)]);
        all[2].1.truncate(20);
        let window = load(all);
        assert!(!is_known(&window, 3).await, "half a record is none");
        assert!(is_known(&window, 4).await);
        let twice = [
            records(&[(1, 5)]),
            vec![(200, answered("new").to_record(1, unix_millis()))],
        ];
        let window = load(twice.concat());
        assert!(is_known(&window, 1).await);
        assert_eq!(window.lock().order.len(), 1);
        assert_eq!(places(&window), (200, 201));
    }

    #[tokio::test(start_paused = true)]
    async fn the_lowest_place_that_is_wanted_is_not_above_one_that_is_being_stored() {
        let window = empty();
        let slow = fresh(&window, 1).await.unwrap();
        let slow = slow.hold(answered("ack")).unwrap();
        for key in 2..8 {
            let held = fresh(&window, key).await.unwrap();
            let held = held.hold(answered("ack")).unwrap();
            assert_eq!(held.below(), 0);
            held.settle();
        }
        slow.settle();
        let order: Vec<_> = window
            .lock()
            .order
            .iter()
            .map(|entry| entry.place)
            .collect();
        assert_eq!(order, [4, 5, 6], "the oldest went, though it came last");
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
