//! What waits for the disk. Bounded by number and bytes: who finds it full goes on without the store.

use super::Save;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Each connection has one message at most, so this is reached only by a disk that hangs.
const MOST: usize = 4096;
/// Of records. The largest are an app's own answers.
const MOST_BYTES: usize = 16 << 20;

/// Everything that goes into one commit.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) saves: Vec<Save>,
    /// Records of a listener below this place are forgotten.
    pub(super) below: HashMap<Arc<str>, u64>,
    /// To be told of the end.
    pub(super) done: Vec<oneshot::Sender<bool>>,
    bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Group,
    /// The last commit failed, or somebody waited for too long.
    failing: bool,
    closed: bool,
    ended: bool,
}

impl Group {
    fn forget_below(&mut self, listener: &Arc<str>, place: u64) {
        let below = self.below.entry(Arc::clone(listener)).or_default();
        *below = place.max(*below);
    }
}

impl Queue {
    /// Puts something into the next commit. `false`: it is not worth waiting for.
    pub(super) fn push(&self, save: Save, done: oneshot::Sender<bool>) -> bool {
        let mut state = self.lock();
        let bytes = save.record.as_ref().map_or(0, |(_, bytes)| bytes.len());
        let group = &mut state.waiting;
        if group.saves.len() >= MOST || group.bytes + bytes > MOST_BYTES {
            return false;
        }
        group.bytes += bytes;
        group.forget_below(&save.listener, save.below);
        group.saves.push(save);
        if !state.failing {
            state.waiting.done.push(done);
        }
        self.changed.notify_all();
        !state.failing && !state.closed
    }

    /// One entry for each listener, however often it is called.
    pub(super) fn forget_below(&self, listener: &Arc<str>, place: u64) {
        let mut state = self.lock();
        state.waiting.forget_below(listener, place);
        self.changed.notify_all();
    }

    /// Everything that waits, as soon as something does; `None` at the end.
    pub(super) fn take(&self) -> Option<Group> {
        let idle = |state: &mut State| {
            let Group { saves, below, .. } = &state.waiting;
            saves.is_empty() && below.is_empty() && !state.closed
        };
        let mut state = self
            .changed
            .wait_while(self.lock(), idle)
            .unwrap_or_else(PoisonError::into_inner);
        let group = std::mem::take(&mut state.waiting);
        (!group.saves.is_empty() || !group.below.is_empty()).then_some(group)
    }

    /// What it was before.
    pub(super) fn set_failing(&self, failing: bool) -> bool {
        std::mem::replace(&mut self.lock().failing, failing)
    }

    pub(super) fn close(&self, limit: Duration) {
        let mut state = self.lock();
        state.closed = true;
        self.changed.notify_all();
        let ended = self
            .changed
            .wait_timeout_while(state, limit, |state| !state.ended);
        drop(ended);
    }

    pub(super) fn ended(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(bytes: usize) -> Save {
        Save {
            listener: "adt".into(),
            record: Some((0, vec![0; bytes])),
            below: 0,
            number: None,
        }
    }

    #[test]
    fn it_is_bounded_by_number_and_by_bytes() {
        let push = |queue: &Queue, bytes| queue.push(save(bytes), oneshot::channel().0);
        let queue = Queue::default();
        for _ in 0..MOST {
            assert!(push(&queue, 1));
        }
        assert!(!push(&queue, 1), "one more than {MOST}");
        let group = queue.take().unwrap();
        assert_eq!((group.saves.len(), group.done.len()), (MOST, MOST));
        assert!(push(&queue, MOST_BYTES));
        assert!(!push(&queue, 1), "one byte more than {MOST_BYTES}");
        queue.take().unwrap();
        queue.set_failing(true);
        assert!(!push(&queue, 1), "what fails is not waited for");
        assert_eq!(queue.take().unwrap().saves.len(), 1, "but tried");
    }

    #[test]
    fn what_waits_is_taken_before_the_end() {
        let queue = Queue::default();
        queue.push(save(1), oneshot::channel().0);
        queue.forget_below(&"adt".into(), 7);
        queue.forget_below(&"adt".into(), 3);
        queue.close(Duration::ZERO);
        let group = queue.take().unwrap();
        assert_eq!((group.saves.len(), group.below["adt"]), (1, 7));
        assert!(queue.take().is_none());
    }
}
