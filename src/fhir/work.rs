//! Counts what the engine looks at, in tests only: work that grows faster than a message is found without a clock.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// So many things were looked at: bytes, spans, resources, items of lists.
#[inline]
pub(super) fn done(steps: usize) {
    #[cfg(test)]
    STEPS.with(|all| all.set(all.get() + steps as u64));
    #[cfg(not(test))]
    let _ = steps;
}

/// What was counted on this thread since it was asked last.
#[cfg(test)]
pub(super) fn steps() -> u64 {
    STEPS.with(std::cell::Cell::take)
}
