//! Buffers that connections share while they work, and the bound on what all of them hold.
//!
//! A connection that waits for its next message holds no buffer: that is what makes ten thousand idle connections
//! cheap. When bytes come it takes a [`Scratch`], and gives it back when it has answered.

use super::clock::Clock;
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What reading and answering a message needs.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Bytes from the peer.
    pub input: Vec<u8>,
    /// Head of the request to the app.
    pub head: Vec<u8>,
    /// Body of the request to the app.
    pub body: Vec<u8>,
    /// The app's answer.
    pub response: Vec<u8>,
    /// The acknowledgement, in its block.
    pub ack: Vec<u8>,
    /// The time of day, as text.
    pub clock: Clock,
}

impl Scratch {
    fn bytes(&self) -> usize {
        [
            &self.input,
            &self.head,
            &self.body,
            &self.response,
            &self.ack,
        ]
        .iter()
        .map(|buffer| buffer.capacity())
        .sum()
    }

    fn clear(&mut self) {
        for buffer in [
            &mut self.input,
            &mut self.head,
            &mut self.body,
            &mut self.response,
            &mut self.ack,
        ] {
            buffer.clear();
        }
    }
}

/// Scratch that nobody uses now, kept up to a bound.
#[derive(Debug, Clone, Default)]
pub struct Buffers(Arc<Mutex<Idle>>);

#[derive(Debug, Default)]
struct Idle {
    scratch: Vec<Scratch>,
    bytes: usize,
    /// Fewest bytes that were idle since the last trim: so many were not needed.
    unused: usize,
}

/// As much is kept for the next burst; the rest is given back at once.
const KEEP: usize = 16 * 1024 * 1024;
/// More messages than this at once make their buffers anew.
const KEEP_COUNT: usize = 64;
/// As much stays after a quiet spell.
const KEEP_QUIET: usize = 256 * 1024;

impl Buffers {
    /// Scratch, empty.
    pub fn take(&self) -> Scratch {
        let mut idle = self.lock();
        let scratch = idle.scratch.pop().unwrap_or_default();
        idle.bytes -= scratch.bytes().min(idle.bytes);
        idle.unused = idle.unused.min(idle.bytes);
        scratch
    }

    /// Gives scratch back.
    pub fn give(&self, mut scratch: Scratch) {
        scratch.clear();
        let bytes = scratch.bytes();
        let mut idle = self.lock();
        if bytes > 0 && idle.bytes + bytes <= KEEP && idle.scratch.len() < KEEP_COUNT {
            idle.bytes += bytes;
            idle.scratch.push(scratch);
        }
    }

    /// Frees what was not used since the last call. To be called every few seconds.
    pub fn trim(&self) {
        let mut idle = self.lock();
        let mut spare = idle.unused.saturating_sub(KEEP_QUIET);
        // The ones at the bottom have been there longest.
        while spare > 0 && !idle.scratch.is_empty() {
            let bytes = idle.scratch.remove(0).bytes();
            spare = spare.saturating_sub(bytes);
            idle.bytes -= bytes.min(idle.bytes);
        }
        idle.scratch.shrink_to_fit();
        idle.unused = idle.bytes;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The bytes that all connections' larger buffers may hold together.
#[derive(Debug, Clone)]
pub struct Budget {
    permits: Arc<Semaphore>,
}

/// Bytes taken from the [`Budget`]; dropping it gives them back.
#[derive(Debug, Default)]
pub struct Reserved {
    permit: Option<OwnedSemaphorePermit>,
}

/// One permit of the semaphore.
const UNIT: usize = 1024;

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Waits until `reserved` may hold `bytes` in all.
    pub async fn reserve(&self, reserved: &mut Reserved, bytes: usize) {
        let held = reserved
            .permit
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = bytes.div_ceil(UNIT).saturating_sub(held);
        let Ok(wanted @ 1..) = u32::try_from(wanted) else {
            return;
        };
        // The semaphore is never closed.
        if let Ok(more) = Arc::clone(&self.permits).acquire_many_owned(wanted).await {
            match &mut reserved.permit {
                Some(permit) => permit.merge(more),
                none => *none = Some(more),
            }
        }
    }

    /// Bytes that nobody holds.
    pub fn available(&self) -> usize {
        self.permits.available_permits() * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite_poll::now_or_never;

    /// Polls once.
    mod futures_lite_poll {
        use std::future::Future;
        use std::pin::pin;
        use std::task::{Context, Poll, Waker};

        pub(super) fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
            match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            }
        }
    }

    #[test]
    fn the_budget_is_a_bound() {
        let budget = Budget::new(10 * UNIT);
        let (mut one, mut two) = (Reserved::default(), Reserved::default());
        assert!(now_or_never(budget.reserve(&mut one, 6 * UNIT)).is_some());
        assert!(
            now_or_never(budget.reserve(&mut two, 6 * UNIT)).is_none(),
            "only 4 KiB are left"
        );
        assert!(
            now_or_never(budget.reserve(&mut one, 10 * UNIT)).is_some(),
            "4 more"
        );
        drop(one);
        assert_eq!(budget.available(), 10 * UNIT);
        assert!(now_or_never(budget.reserve(&mut two, 6 * UNIT)).is_some());
    }

    #[test]
    fn what_a_burst_needed_is_given_back_when_it_is_over() {
        let buffers = Buffers::default();
        let mut scratch = buffers.take();
        scratch.input.reserve(1 << 20);
        buffers.give(scratch);
        buffers.trim();
        let again = buffers.take();
        assert!(
            again.input.capacity() >= 1 << 20,
            "used since the last trim: kept"
        );
        buffers.give(again);
        buffers.trim();
        buffers.trim();
        assert_eq!(
            buffers.take().input.capacity(),
            0,
            "not used since the last trim: freed"
        );
    }
}
