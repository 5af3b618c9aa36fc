//! `Idempotency-Key`: no second delivery under one key, over restarts too where there is a store.
//!
//! ```text
//! enter ─┬─ new ────────────► attempt ── begin: stored ─► begun ── the message is sent ─┬─ answered: stored ─► Again, for ever
//!        │                       │ (not stored: nothing is sent, the key is free)       ├─ nothing_sent ─────► the key is free
//!        ├─ out: waits for it    └ dropped: the key is free                             └─ dropped ──────────► Unknown
//!        └─ known ─► Again, Unknown, or Reused with another body
//! ```
//!
//! A message may have arrived from its first byte on. From then on its key is never free again, whatever happens: a panic, a
//! cancelled task or the end of the process leave the outcome *unknown*. A key is of one destination. Bounded by age, number and bytes.

pub mod sent;

pub use sent::Sent;

use crate::runtime::Alarm;
use crate::state::window::{self, Bounds, Held, Recall, Ticket, Window};
use crate::state::{OpenError, Save, Store};
use std::sync::Arc;
use twox_hash::XxHash3_128;

/// Under which name the store has the records: one that no listener can have.
pub const NAME: &str = "outbound keys";
/// Longest key that is taken.
pub const LONGEST: usize = 255;

/// Whether a header's value can be a key: 1 to 255 visible characters of ASCII.
pub fn is_key(value: &[u8]) -> bool {
    (1..=LONGEST).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}

/// What was asked for: the hash of a request's body, and of what else decides what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request(u128);

impl Request {
    /// Of these parts, in this order.
    pub fn of(parts: &[&[u8]]) -> Self {
        Self(hash(parts))
    }
}

/// Of the parts' own hashes: two parts are not the same as one, and a large body is not copied.
fn hash(parts: &[&[u8]]) -> u128 {
    let hashes = parts.iter().map(|part| XxHash3_128::oneshot(part));
    let hashes: Vec<u8> = hashes.flat_map(u128::to_le_bytes).collect();
    XxHash3_128::oneshot(&hashes)
}

/// The keys of all destinations.
#[derive(Debug)]
pub struct Keys {
    window: Window<Sent>,
    store: Option<Store>,
    name: Arc<str>,
}

/// What is to be done with a request that has a key.
#[derive(Debug)]
pub enum Entry<'k> {
    /// It is new, or nothing was sent under its key yet.
    Send(Attempt<'k>),
    /// It was answered so before.
    Again(Arc<Sent>),
    /// Its message was sent, and what became of it is not known.
    Unknown,
    /// The key was another request's.
    Reused,
    /// No keys are kept.
    Off,
}

/// The right to send under a key. Its end lets the next one in.
#[derive(Debug)]
pub struct Attempt<'k> {
    keys: &'k Keys,
    ticket: Ticket<'k, Sent>,
    request: Request,
}

/// The store did not take it: nothing may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key cannot be stored")]
pub struct NotStored;

/// A key whose message is being sent. However it ends, the key is known then.
#[derive(Debug)]
#[must_use = "its end without an answer makes the outcome unknown"]
pub struct Begun<'k> {
    keys: &'k Keys,
    held: Option<Held<'k, Sent>>,
    request: Request,
}

impl Keys {
    /// With what the store has, if there is one. Blocks.
    ///
    /// # Errors
    /// If the store cannot be read: without what is in it, a message might be sent twice.
    pub fn new(bounds: Option<Bounds>, store: Option<Store>) -> Result<Self, OpenError> {
        let name: Arc<str> = NAME.into();
        let kept = store.clone().map(|store| (store, Arc::clone(&name)));
        let (window, loaded) = Window::new(bounds, kept);
        loaded?;
        Ok(Self {
            window,
            store,
            name,
        })
    }

    /// Puts other bounds in force; what is within them stays. `None` forgets everything.
    pub fn reload(&self, bounds: Option<Bounds>) {
        self.window.bound(bounds);
    }

    /// Lets go of what is too old: for the time when no request comes.
    pub fn trim(&self) {
        self.window.trim();
    }

    /// What is known of a key of a destination. Waits while its first request is under way.
    pub async fn enter(&self, destination: &str, key: &[u8], request: Request) -> Entry<'_> {
        let key = hash(&[destination.as_bytes(), key]);
        match self.window.enter(key, &mut false).await {
            Recall::Deliver(None) => Entry::Off,
            Recall::Deliver(Some(ticket)) => Entry::Send(Attempt {
                keys: self,
                ticket,
                request,
            }),
            Recall::Again(sent) if sent.request != request => Entry::Reused,
            Recall::Again(sent) if sent.answer.is_none() => Entry::Unknown,
            Recall::Again(sent) => Entry::Again(sent),
        }
    }

    /// `true` if it is stored, or there is no store.
    async fn save(&self, record: (u64, Vec<u8>), below: u64, alarm: &mut Alarm) -> bool {
        let Some(store) = &self.store else {
            return true;
        };
        store.save(self.at(record, below), alarm).await
    }

    fn at(&self, record: (u64, Vec<u8>), below: u64) -> Save {
        Save {
            listener: Arc::clone(&self.name),
            record: Some(record),
            below,
            number: None,
        }
    }
}

impl<'k> Attempt<'k> {
    /// Stores that the message is being sent: to be awaited before its first byte.
    ///
    /// # Errors
    /// If that cannot be stored. The key is free again.
    pub async fn begin(self, alarm: &mut Alarm) -> Result<Begun<'k>, NotStored> {
        let Self {
            keys,
            ticket,
            request,
        } = self;
        let sent = Sent {
            request,
            answer: None,
        };
        // Turned off meanwhile, or bounds that hold nothing at all.
        let held = ticket.hold(sent).ok_or(NotStored)?;
        if keys.save(held.record(), held.below(), alarm).await {
            let held = Some(held);
            return Ok(Begun {
                keys,
                held,
                request,
            });
        }
        // It may be stored yet: then this comes right behind it.
        keys.take_back(&held);
        Err(NotStored)
    }
}

impl Keys {
    /// Puts nothing in the place of a record, and does not wait for it.
    fn take_back(&self, held: &Held<'_, Sent>) {
        if let Some(store) = &self.store {
            store.put(self.at((held.record().0, Vec::new()), held.below()));
        }
    }
}

impl Begun<'_> {
    /// Stores the answer, and lets those who wait have it: to be awaited before the client gets it. `false` if it could not be stored:
    /// after a restart the outcome is unknown then.
    pub async fn answered(mut self, answer: Vec<u8>, alarm: &mut Alarm) -> bool {
        let Some(held) = &mut self.held else {
            return false;
        };
        let request = self.request;
        held.replace(Sent {
            request,
            answer: Some(answer.into()),
        });
        let (record, below) = (held.record(), held.below());
        self.keys.save(record, below, alarm).await
        // The drop settles it, after the store has it, and also where this is cut off.
    }

    /// Not one byte of the message was sent, and none will be: the key is free again. Where a crash comes before the store has
    /// heard of it, the outcome is unknown then.
    pub fn nothing_sent(mut self) {
        if let Some(held) = self.held.take() {
            self.keys.take_back(&held);
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.settle();
        }
    }
}

impl window::Kept for Sent {
    fn cost(&self) -> usize {
        sent::OVERHEAD + self.answer.as_ref().map_or(0, |answer| answer.len())
    }

    fn to_record(&self, key: u128, at: u64) -> Vec<u8> {
        sent::to_record(self, key, at)
    }

    fn from_record(record: &[u8]) -> Option<(u128, u64, Self)> {
        sent::from_record(record)
    }
}

#[cfg(test)]
mod tests;
