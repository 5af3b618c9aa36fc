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
        self.input.clear();
        self.clear_answer();
    }

    /// Empties what one exchange has written; the input, which may hold the next message, stays.
    pub fn clear_answer(&mut self) {
        for buffer in [
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
///
/// Messages grow as they come, so that several half-read ones could hold everything and each wait for the others. One
/// message's worth is therefore set apart: whoever has this *last resort* can finish without waiting again, and gives
/// back all that it holds.
#[derive(Debug, Clone)]
pub struct Budget {
    pool: Arc<Semaphore>,
    last_resort: Arc<Semaphore>,
    last_resort_bytes: usize,
}

/// Bytes taken from the [`Budget`]; dropping it gives them back.
#[derive(Debug, Default)]
pub struct Reserved {
    permit: Option<OwnedSemaphorePermit>,
    last_resort: Option<OwnedSemaphorePermit>,
}

/// One permit of the semaphore.
const UNIT: usize = 1024;
/// Of the request that is made of a message, as much is held whole; the rest is made in pieces.
const REQUEST: usize = 4 * 1024 * 1024;
/// A message's buffer is a little larger than the message.
const SLACK: usize = 64 * 1024;

impl Budget {
    /// A budget of so many bytes, of which one message of the `largest` size can be sure.
    pub fn new(bytes: usize, largest: usize) -> Self {
        let last_resort_bytes = (largest + SLACK + REQUEST).min(bytes);
        let pool = (bytes - last_resort_bytes) / UNIT;
        Self {
            pool: Arc::new(Semaphore::new(pool.min(Semaphore::MAX_PERMITS))),
            last_resort: Arc::new(Semaphore::new(1)),
            last_resort_bytes,
        }
    }

    /// Takes what a message's buffer of this capacity costs in all, with the request that is made of it, unless there is
    /// not so much.
    pub fn try_reserve(&self, reserved: &mut Reserved, capacity: usize) -> bool {
        let Some(wanted) = reserved.missing(capacity) else {
            return true;
        };
        let more = Arc::clone(&self.pool).try_acquire_many_owned(wanted);
        more.map(|more| reserved.add(more)).is_ok()
    }

    /// As [`try_reserve`](Self::try_reserve), and waits until there is.
    pub async fn reserve(&self, reserved: &mut Reserved, capacity: usize) {
        let Some(wanted) = reserved.missing(capacity) else {
            return;
        };
        // The semaphores are never closed.
        tokio::select! {
            biased;
            Ok(more) = Arc::clone(&self.pool).acquire_many_owned(wanted) => reserved.add(more),
            Ok(last) = Arc::clone(&self.last_resort).acquire_owned() => reserved.last_resort = Some(last),
            else => {}
        }
    }

    /// Bytes that nobody holds.
    pub fn available(&self) -> usize {
        self.pool.available_permits() * UNIT
            + self.last_resort.available_permits() * self.last_resort_bytes
    }
}

impl Reserved {
    /// Permits that a buffer of this capacity still needs.
    fn missing(&self, capacity: usize) -> Option<u32> {
        if self.last_resort.is_some() {
            return None;
        }
        let held = self.permit.as_ref();
        let held = held.map_or(0, OwnedSemaphorePermit::num_permits);
        let cost = capacity + capacity.min(REQUEST);
        let wanted = cost.div_ceil(UNIT).saturating_sub(held);
        u32::try_from(wanted).ok().filter(|wanted| *wanted > 0)
    }

    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
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
        let last_resort = REQUEST + SLACK + UNIT;
        let total = last_resort + 20 * UNIT;
        let budget = Budget::new(total, UNIT);
        let [mut one, mut two, mut three] = [(); 3].map(|()| Reserved::default());
        let takes = |reserved: &mut Reserved, capacity| {
            now_or_never(budget.reserve(reserved, capacity)).is_some()
        };
        assert!(takes(&mut one, 6 * UNIT));
        assert_eq!(budget.available(), total - 12 * UNIT);
        assert!(takes(&mut one, 8 * UNIT), "the difference");
        assert_eq!(budget.available(), total - 16 * UNIT);
        assert!(
            !budget.try_reserve(&mut two, 6 * UNIT),
            "only 4 KiB are left"
        );
        assert!(takes(&mut two, 6 * UNIT), "the last resort");
        assert!(takes(&mut two, 100 * UNIT), "to the end of its message");
        assert!(!takes(&mut three, 6 * UNIT), "there is only one");
        assert!(
            !takes(&mut one, 16 * UNIT),
            "for one that holds something, too"
        );
        drop(two);
        assert!(takes(&mut one, 16 * UNIT));
        drop((one, three));
        assert_eq!(budget.available(), total);
    }

    #[test]
    fn the_largest_message_fits_into_the_smallest_budget() {
        let budget = Budget::new(5 * 1024 * UNIT, 1024 * UNIT);
        let mut one = Reserved::default();
        assert!(now_or_never(budget.reserve(&mut one, 1024 * UNIT + SLACK)).is_some());
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
