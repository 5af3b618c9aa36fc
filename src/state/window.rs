//! What is remembered of messages by a key, so that one that comes again is answered as the first was: the inbound window of
//! duplicates, and the keys of requests that are sent on.
//!
//! ```text
//! enter ─┬─ new ──────────► Deliver(ticket) ─┬─ hold ─► held ─► stored ─► settle: remembered
//!        ├─ out: waits for the ticket's end  └─ otherwise ► forgotten: one that waits is next
//!        └─ settled before ► Again(value)
//! ```
//!
//! Bounded by age, number and bytes. Each value has a *place*, which is what the store's records are numbered by. Must not know: what
//! a value says.

use super::{OpenError, Store};
use crate::config::Duplicates;
use foldhash::fast::RandomState;
use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::Instant;

/// What can be remembered, in memory and as a record of the store.
pub trait Kept: Sized {
    /// Bytes that it counts for.
    fn cost(&self) -> usize;
    /// As a record: with its key, and when it was settled in milliseconds of Unix time.
    fn to_record(&self, key: u128, at: u64) -> Vec<u8>;
    /// Reads a record: key, time and value. `None` where it is not one.
    fn from_record(record: &[u8]) -> Option<(u128, u64, Self)>;
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How old a value may become.
    pub window: Duration,
    /// How many there may be.
    pub max_entries: usize,
    /// Bytes of all of them.
    pub max_bytes: usize,
}

impl From<Duplicates> for Bounds {
    fn from(bounds: Duplicates) -> Self {
        Self {
            window: bounds.window,
            max_entries: bounds.max_messages,
            max_bytes: bounds.max_bytes,
        }
    }
}

/// One memory.
#[derive(Debug)]
pub struct Window<V> {
    state: Mutex<State<V>>,
    kept: Option<(Store, Arc<str>)>,
}

#[derive(Debug)]
struct State<V> {
    /// `None`: nothing is remembered.
    bounds: Option<Bounds>,
    /// By keys that are hashes already: hashing those once more need not be slow, only keyed.
    known: HashMap<u128, Known<V>, RandomState>,
    /// Settled ones by place, oldest first.
    order: VecDeque<Entry>,
    /// Of the settled ones.
    bytes: usize,
    /// Places that are being stored, lowest first.
    held: VecDeque<u64>,
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
enum Known<V> {
    /// Under way, or being stored. Ends when the ticket does, and with it the sender, which is there once somebody waits.
    Pending(Option<watch::Sender<()>>),
    Settled(Arc<V>),
}

/// What is to be done with a message.
#[derive(Debug)]
pub enum Recall<'w, V> {
    /// It is new. The ticket's end lets the next one with the same key in; there is none where nothing is remembered.
    Deliver(Option<Ticket<'w, V>>),
    /// It was settled so before.
    Again(Arc<V>),
}

/// The right to deliver a message.
#[derive(Debug)]
pub struct Ticket<'w, V> {
    window: &'w Window<V>,
    key: u128,
    /// The entry is this ticket's own: it is not there any more once the answer is in its place.
    armed: bool,
    /// Where its answer is being stored.
    place: Option<u64>,
}

/// A value that is being stored.
#[derive(Debug)]
pub struct Held<'w, V> {
    ticket: Ticket<'w, V>,
    value: V,
    place: u64,
    below: u64,
    at: Instant,
}

impl<V: Kept> Window<V> {
    /// With what the store has under this name, if there is a store. Blocks. The error, if there is one, is why it begins without.
    pub fn new(
        bounds: Option<Bounds>,
        kept: Option<(Store, Arc<str>)>,
    ) -> (Self, Result<(), OpenError>) {
        let mut state = State {
            bounds,
            known: HashMap::default(),
            order: VecDeque::new(),
            bytes: 0,
            held: VecDeque::new(),
            next: 0,
        };
        let mut result = Ok(());
        if let Some((store, name)) = &kept {
            let most = bounds.map_or(1, |bounds| bounds.max_entries);
            match store.records(name, most) {
                Ok(records) => state.load(records),
                Err(error) => result = Err(error),
            }
            store.forget_below(name, state.first());
        }
        let state = Mutex::new(state);
        (Self { state, kept }, result)
    }

    /// What is known of a message. Waits while the same one is under way, and says so in `waited`.
    pub async fn enter(&self, key: u128, waited: &mut bool) -> Recall<'_, V> {
        loop {
            let mut pending = {
                let mut state = self.lock();
                if state.bounds.is_none() {
                    return Recall::Deliver(None);
                }
                state.forget(Instant::now());
                match state.known.entry(key) {
                    Slot::Vacant(slot) => {
                        slot.insert(Known::Pending(None));
                        return Recall::Deliver(Some(Ticket {
                            window: self,
                            key,
                            armed: true,
                            place: None,
                        }));
                    }
                    Slot::Occupied(mut slot) => match slot.get_mut() {
                        Known::Settled(value) => return Recall::Again(Arc::clone(value)),
                        Known::Pending(sender) => sender
                            .get_or_insert_with(|| watch::Sender::new(()))
                            .subscribe(),
                    },
                }
            };
            *waited = true;
            // Nothing is ever sent: this ends when the ticket does.
            let _ = pending.changed().await;
        }
    }

    /// Puts other bounds in force, and forgets what was settled, because answers may be other ones from now on. What is under way
    /// stays known.
    pub fn reload(&self, bounds: Option<Bounds>) {
        let mut state = self.lock();
        state.bounds = bounds;
        state
            .known
            .retain(|_, known| matches!(known, Known::Pending(_)));
        state.order.clear();
        state.bytes = 0;
        self.forget_below(state.first());
    }

    /// Puts other bounds in force, and keeps what is within them.
    pub fn bound(&self, bounds: Option<Bounds>) {
        if bounds.is_none() {
            return self.reload(None);
        }
        self.lock().bounds = bounds;
        self.trim();
    }

    /// Lets go of what is too old, in the store too: for the time when no message comes.
    pub fn trim(&self) {
        let mut state = self.lock();
        let first = state.first();
        state.forget(Instant::now());
        if state.first() > first {
            self.forget_below(state.first());
        }
    }

    fn forget_below(&self, place: u64) {
        if let Some((store, listener)) = &self.kept {
            store.forget_below(listener, place);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'w, V: Kept> Ticket<'w, V> {
    /// Takes a place for a value. `None` where it is not to be remembered: it alone would be too much, or nothing is remembered any more.
    pub fn hold(mut self, value: V) -> Option<Held<'w, V>> {
        let mut state = self.window.lock();
        if value.cost() > state.bounds?.max_bytes {
            return None;
        }
        let at = Instant::now();
        let place = state.next;
        state.next += 1;
        state.held.push_back(place);
        state.forget(at);
        let below = state.first();
        self.place = Some(place);
        drop(state);
        Some(Held {
            ticket: self,
            value,
            place,
            below,
            at,
        })
    }
}

impl<V: Kept> Held<'_, V> {
    /// Its place, and what is stored there.
    pub fn record(&self) -> (u64, Vec<u8>) {
        let record = self.value.to_record(self.ticket.key, unix_millis());
        (self.place, record)
    }

    /// The lowest place that is still wanted.
    pub fn below(&self) -> u64 {
        self.below
    }

    /// Another value in its place. One that alone would be too much is not taken.
    pub fn replace(&mut self, value: V) {
        let bounds = self.ticket.window.lock().bounds;
        if bounds.is_some_and(|bounds| value.cost() <= bounds.max_bytes) {
            self.value = value;
        }
    }

    /// Answers with it from now on.
    pub fn settle(mut self) {
        let mut state = self.ticket.window.lock();
        state.release(self.place);
        if state.bounds.is_none() {
            // Turned off meanwhile.
            self.ticket.window.forget_below(state.first());
            return;
        }
        self.ticket.armed = false;
        state.settle(self.place, self.at, self.ticket.key, self.value);
        state.forget(self.at);
    }
}

impl<V> Drop for Ticket<'_, V> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let mut state = self
            .window
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.known.remove(&self.key);
        if let Some(place) = self.place {
            state.release(place);
        }
    }
}

impl<V> State<V> {
    /// A place is not being stored any more.
    fn release(&mut self, place: u64) {
        // Nearly always the only one.
        if let Some(at) = self.held.iter().position(|held| *held == place) {
            self.held.remove(at);
        }
    }
}

impl<V: Kept> State<V> {
    fn settle(&mut self, place: u64, at: Instant, key: u128, value: V) {
        self.bytes += value.cost();
        // Nearly always the last one.
        let behind = self.order.partition_point(|entry| entry.place < place);
        self.order.insert(behind, Entry { place, at, key });
        self.known.insert(key, Known::Settled(Arc::new(value)));
    }

    /// Lets go of what is too old, and of the oldest where there is too much.
    fn forget(&mut self, now: Instant) {
        let Some(bounds) = self.bounds else { return };
        while let Some(Entry { at, .. }) = self.order.front() {
            let over = self.order.len() > bounds.max_entries || self.bytes > bounds.max_bytes;
            if !over && now.saturating_duration_since(*at) < bounds.window {
                return;
            }
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some(Entry { key, .. }) = self.order.pop_front() else {
            return;
        };
        if let Some(Known::Settled(value)) = self.known.remove(&key) {
            self.bytes = self.bytes.saturating_sub(value.cost());
        }
    }

    /// The lowest place that is remembered, or being stored; the next one where there is none.
    fn first(&self) -> u64 {
        let settled = self.order.front().map(|entry| entry.place);
        let held = self.held.front().copied();
        settled.into_iter().chain(held).min().unwrap_or(self.next)
    }

    /// Takes over what was stored, oldest first. A clock that was put back makes nothing younger than now.
    fn load(&mut self, records: Vec<(u64, Vec<u8>)>) {
        self.next = records.last().map_or(0, |(place, _)| place + 1);
        let (now, millis) = (Instant::now(), unix_millis());
        let Some(bounds) = self.bounds else { return };
        for (place, record) in records {
            let Some((key, at, value)) = V::from_record(&record) else {
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
            self.settle(place, at, key, value);
        }
        self.forget(now);
    }
}

/// Milliseconds of Unix time: what ages by more than the life of a process.
fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        window: Duration::from_secs(60),
        max_entries: 3,
        max_bytes: 10_000,
    };

    impl Kept for String {
        fn cost(&self) -> usize {
            256 + self.len()
        }

        fn to_record(&self, key: u128, at: u64) -> Vec<u8> {
            let text = self.as_bytes();
            [&key.to_le_bytes()[..], &at.to_le_bytes(), text].concat()
        }

        fn from_record(record: &[u8]) -> Option<(u128, u64, Self)> {
            let (key, rest) = record.split_first_chunk()?;
            let (at, text) = rest.split_first_chunk()?;
            let text = String::from_utf8(text.to_vec()).ok()?;
            Some((u128::from_le_bytes(*key), u64::from_le_bytes(*at), text))
        }
    }

    type Window = super::Window<String>;

    fn answered(text: &str) -> String {
        text.to_owned()
    }

    fn empty() -> Window {
        let (window, result) = Window::new(Some(BOUNDS), None);
        result.unwrap();
        window
    }

    fn settle(ticket: Ticket<'_, String>, text: &str) {
        if let Some(held) = ticket.hold(answered(text)) {
            held.settle();
        }
    }

    async fn fresh(window: &Window, key: u128) -> Option<Ticket<'_, String>> {
        match window.enter(key, &mut false).await {
            Recall::Deliver(ticket) => ticket,
            Recall::Again(_) => None,
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
}
