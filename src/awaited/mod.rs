//! Answers that come back on a listener: the application acknowledgement of a message that went out on one connection arrives as a
//! message on another, and is matched to the request that waits for it.
//!
//! ```text
//! request ── expect ──► registry ◄── offer ── listener
//!    ▲                     │ MSA-2, listener and partner agree
//!    └───── answer ◄───────┘
//! ```
//!
//! Owns who waits for what. An answer goes to the request whose control ID it repeats (MSA-2, verbatim), on the listener that the
//! request names, and only if its sender is whom the message was for, where both say so; to everything else it is a message like any
//! other. Must not know: connections, HTTP, what a code means.
//!
//! A control ID that was awaited is of that message for [`USED`]: another one with the same ID is refused, since a late answer or one
//! that comes twice could not be told from its own.

use crate::envelope::Head;
use crate::hl7::Index;
use crate::xml::own_ack;
use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

/// For how long a control ID belongs to the message whose answer was awaited.
pub const USED: Duration = Duration::from_secs(3600);
/// How many of them are known; then the oldest is forgotten.
const MOST: usize = 10_000;

/// The registry. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Awaited(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// How many wait: most listeners await nothing.
    waiting: AtomicUsize,
    /// Somebody waits no more.
    ended: Notify,
}

/// MSH-3.1 and MSH-4.1, or MSH-5.1 and MSH-6.1.
type Partner = [Box<[u8]>; 2];
/// Listener and control ID.
type Key = (Arc<str>, Box<[u8]>);

#[derive(Default)]
struct State {
    waiting: HashMap<Key, Slot>,
    used: HashMap<Key, Used>,
    /// Oldest first. An entry whose number is not its key's any more is of an earlier use.
    order: VecDeque<(Key, u64)>,
    next: u64,
}

struct Slot {
    answer: oneshot::Sender<Vec<u8>>,
    partner: Partner,
}

struct Used {
    message: u128,
    at: Instant,
    number: u64,
}

/// Control IDs are a sender's to choose.
impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("waiting", &self.waiting.len())
            .field("used", &self.used.len())
            .finish_non_exhaustive()
    }
}

/// A message whose answer is awaited. Without `Debug`: its header is in it.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// On which listener.
    pub listener: &'a Arc<str>,
    /// MSH-10, verbatim.
    pub control_id: &'a [u8],
    /// MSH-5.1 and MSH-6.1: who is to answer.
    pub partner: [&'a [u8]; 2],
    /// What tells it from another message with the same control ID: a hash of its bytes and of where it goes.
    pub message: u128,
}

/// The answer to another message could not be told from this one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an answer with this control ID is awaited, or was a short time ago, for another message")]
pub struct InUse;

/// Waits for an answer. Its end is the end of the wait.
#[must_use = "its end is the end of the wait"]
pub struct Expected {
    awaited: Awaited,
    key: Key,
    answer: oneshot::Receiver<Vec<u8>>,
    /// Its control ID was nobody's before.
    is_fresh: bool,
}

impl std::fmt::Debug for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expected")
            .field("listener", &self.key.0)
            .finish_non_exhaustive()
    }
}

impl Awaited {
    /// Awaits an answer, from before its message is sent: it may come before the accept acknowledgement.
    ///
    /// # Errors
    /// If the control ID is in use: by the same message, as long as that waits, or by another one.
    pub fn expect(&self, question: Question<'_>) -> Result<Expected, InUse> {
        let key: Key = (Arc::clone(question.listener), question.control_id.into());
        let (sender, answer) = oneshot::channel();
        let mut state = self.lock();
        state.forget();
        let used = state.used.get(&key);
        let is_fresh = used.is_none();
        if state.waiting.contains_key(&key)
            || used.is_some_and(|used| used.message != question.message)
        {
            return Err(InUse);
        }
        state.use_up(key.clone(), question.message);
        let slot = Slot {
            answer: sender,
            partner: question.partner.map(Into::into),
        };
        state.waiting.insert(key.clone(), slot);
        self.0.waiting.fetch_add(1, Relaxed);
        drop(state);
        Ok(Expected {
            awaited: self.clone(),
            key,
            answer,
            is_fresh,
        })
    }

    /// Gives a message to whoever awaits it as an answer: the bytes as they came; `text` is what its header was read from. `false`
    /// if nobody does.
    pub fn offer(&self, listener: &Arc<str>, bytes: &[u8], text: &[u8], head: &Head<'_>) -> bool {
        if self.0.waiting.load(Relaxed) == 0 {
            return false;
        }
        let Some((answered, sender)) = answers(text, head) else {
            return false;
        };
        let key = (Arc::clone(listener), answered);
        let mut state = self.lock();
        let awaited = state.waiting.get(&key);
        if !awaited.is_some_and(|slot| is_from(&sender, &slot.partner)) {
            return false;
        }
        let Some(slot) = state.waiting.remove(&key) else {
            return false;
        };
        drop(state);
        self.ended();
        // Whoever waits no more has said so under the lock, or takes what is here.
        slot.answer.send(bytes.to_vec()).is_ok()
    }

    /// Whether an answer is awaited on this listener.
    pub fn is_awaited(&self, listener: &str) -> bool {
        if self.0.waiting.load(Relaxed) == 0 {
            return false;
        }
        self.lock().waiting.keys().any(|(at, _)| &**at == listener)
    }

    /// Ends when no answer is awaited on this listener.
    pub async fn none(&self, listener: &str) {
        loop {
            let ended = self.0.ended.notified();
            tokio::pin!(ended);
            // Before the look, so that an end between the two is not missed.
            ended.as_mut().enable();
            if !self.is_awaited(listener) {
                return;
            }
            ended.await;
        }
    }

    fn ended(&self) {
        self.0.waiting.fetch_sub(1, Relaxed);
        self.0.ended.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expected {
    /// The answer. Cancelled, it may be called again; without an answer it never ends.
    pub async fn answer(&mut self) -> Vec<u8> {
        match (&mut self.answer).await {
            Ok(answer) => answer,
            Err(_) => pending().await,
        }
    }

    /// The answer, if it comes by then. One that was taken for this request is not lost to the last moment.
    pub async fn answer_by(mut self, deadline: Instant) -> Option<Vec<u8>> {
        let answer = timeout_at(deadline, self.answer()).await;
        answer.ok().or_else(|| self.close())
    }

    /// Awaits no more. What had come until then.
    pub fn close(&mut self) -> Option<Vec<u8>> {
        self.answer.close();
        self.answer.try_recv().ok()
    }

    /// Not one byte of the message was sent: its control ID is free again, unless the same message was sent before and its answer may
    /// be late.
    pub fn nothing_sent(self) {
        if self.is_fresh {
            self.awaited.lock().used.remove(&self.key);
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        // Once a slot has been taken out, another request may have one under the same key.
        self.answer.close();
        let mut state = self.awaited.lock();
        let own = |slot: &Slot| slot.answer.is_closed();
        if state.waiting.get(&self.key).is_some_and(own) {
            state.waiting.remove(&self.key);
            drop(state);
            self.awaited.ended();
        }
    }
}

impl State {
    fn use_up(&mut self, key: Key, message: u128) {
        let number = self.next;
        self.next += 1;
        let at = Instant::now();
        self.order.push_back((key.clone(), number));
        self.used.insert(
            key,
            Used {
                message,
                at,
                number,
            },
        );
    }

    /// Lets go of what is too old, and of the oldest where there are too many. What waits is in use anyhow.
    fn forget(&mut self) {
        while let Some((key, number)) = self.order.front() {
            let used = self.used.get(key).filter(|used| used.number == *number);
            let old = used.is_none_or(|used| used.at.elapsed() >= USED);
            if !old && self.order.len() < MOST {
                return;
            }
            if used.is_some() {
                self.used.remove(key);
            }
            self.order.pop_front();
        }
    }
}

/// Which message a message answers, and who says so: an application acknowledgement (AA, AE, AR; of v3 what it says in their
/// place), or a response that holds one.
fn answers(text: &[u8], head: &Head<'_>) -> Option<(Box<[u8]>, Partner)> {
    let is_application = |code: &[u8]| matches!(code, b"AA" | b"AE" | b"AR");
    match head {
        Head::Er7(header) => {
            let index = Index::new(text, header);
            let msa = index.first(b"MSA")?;
            let answered = msa.field(2).filter(|answered| !answered.is_empty())?;
            let sender = [3, 4].map(|field| header.component(field, 1).into());
            is_application(msa.field(1)?).then(|| (answered.into(), sender))
        }
        Head::Xml(message) => {
            let (code, answered) = own_ack::acknowledged(message)?;
            let sender = message.sender().map(|part| part.into_bytes().into());
            let is_answer = is_application(code.as_bytes()) && !answered.is_empty();
            is_answer.then(|| (answered.into_bytes().into(), sender))
        }
    }
}

/// Whether an answer comes from whom the message was for: application and facility, each where both sides say it.
fn is_from(sender: &Partner, partner: &Partner) -> bool {
    sender.iter().zip(partner).all(|(sender, partner)| {
        let [sender, partner] = [sender, partner].map(|part| part.trim_ascii());
        sender.is_empty() || partner.is_empty() || sender == partner
    })
}

#[cfg(test)]
mod tests;
