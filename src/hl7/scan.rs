//! Finds the bytes that mean something, 64 at a time.
//!
//! HL7 fields are short: a call of `memchr` per field costs more than the field. So every block of 64 bytes is
//! compared with all needles at once, and the result is one `u64` with a bit per byte; taking the next position is then
//! one instruction. SSE2 and NEON come through the `wide` crate, so that there is no `unsafe` here.

use wide::u8x16;

const BLOCK: usize = 64;
const LANES: usize = 16;

/// Up to `N` byte values to stop at, and whether to stop at control bytes and at bytes over 0x7F.
#[derive(Debug, Clone, Copy)]
pub struct Needles<const N: usize> {
    /// Fewer than `N` are filled up with the first, so that the comparison is a loop of fixed length.
    bytes: [u8; N],
    control: bool,
    high: bool,
}

impl<const N: usize> Needles<N> {
    /// Stops at `first` and at each of `more`, of which those over `N` are not looked for.
    pub fn new(first: u8, more: impl IntoIterator<Item = u8>) -> Self {
        let mut bytes = [first; N];
        for (slot, byte) in bytes.iter_mut().skip(1).zip(more) {
            *slot = byte;
        }
        Self {
            bytes,
            control: false,
            high: false,
        }
    }

    /// Also stops at bytes below 0x20.
    pub fn control(mut self) -> Self {
        self.control = true;
        self
    }

    /// Also stops at bytes above 0x7F.
    pub fn high(mut self, high: bool) -> Self {
        self.high = high;
        self
    }

    #[inline(always)]
    fn lanes(&self, bytes: [u8; LANES]) -> u64 {
        let lanes = u8x16::new(bytes);
        let mut hits = u8x16::ZERO;
        for needle in self.bytes {
            hits |= lanes.simd_eq(u8x16::splat(needle));
        }
        if self.control {
            hits |= lanes.min(u8x16::splat(0x1F)).simd_eq(lanes);
        }
        if self.high {
            hits |= lanes.max(u8x16::splat(0x80)).simd_eq(lanes);
        }
        u64::from(hits.to_bitmask() as u16)
    }

    #[inline(always)]
    fn block(&self, block: &[u8; BLOCK]) -> u64 {
        let mut mask = 0;
        for (at, lanes) in block.as_chunks::<LANES>().0.iter().enumerate() {
            mask |= self.lanes(*lanes) << (at * LANES);
        }
        mask
    }
}

/// Positions of needles in `bytes`, in order.
#[derive(Debug, Clone)]
pub struct Scanner<'a, const N: usize> {
    bytes: &'a [u8],
    needles: Needles<N>,
    /// Where the block that `mask` describes begins.
    base: usize,
    mask: u64,
    /// Where the next block begins.
    next: usize,
}

impl<'a, const N: usize> Scanner<'a, N> {
    /// Scans from `from` on.
    pub fn new(bytes: &'a [u8], needles: Needles<N>, from: usize) -> Self {
        Self {
            bytes,
            needles,
            base: from,
            mask: 0,
            next: from,
        }
    }

    #[cold]
    #[inline(never)]
    fn last_block(&self, rest: &[u8]) -> u64 {
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        self.needles.block(&block) & ((1 << rest.len()) - 1)
    }
}

impl<const N: usize> Iterator for Scanner<'_, N> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.mask == 0 {
            let rest = self.bytes.get(self.next..)?;
            self.mask = match rest.first_chunk::<BLOCK>() {
                Some(block) => self.needles.block(block),
                None if rest.is_empty() => return None,
                None => self.last_block(rest),
            };
            self.base = self.next;
            self.next += BLOCK;
        }
        let at = self.base + self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_loop_finds(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            needles in prop::collection::vec(any::<u8>(), 1..8),
            control in any::<bool>(),
            high in any::<bool>(),
            from in 0usize..300,
        ) {
            let mut stop = Needles::<8>::new(needles[0], needles.iter().copied().skip(1)).high(high);
            if control {
                stop = stop.control();
            }
            let from = from.min(bytes.len());
            let expected: Vec<usize> = (from..bytes.len())
                .filter(|at| {
                    let byte = bytes[*at];
                    needles.contains(&byte) || (control && byte < 0x20) || (high && byte > 0x7F)
                })
                .collect();
            let found: Vec<usize> = Scanner::new(&bytes, stop, from).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
