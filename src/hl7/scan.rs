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
    /// Each in every lane. Fewer than `N` are filled up with the first, so that the comparison is a loop of fixed length.
    needles: [u8x16; N],
    control: bool,
    high: bool,
}

impl<const N: usize> Needles<N> {
    /// Stops at `first` and at each of `more`, of which those over `N` are not looked for.
    pub fn new(first: u8, more: impl IntoIterator<Item = u8>) -> Self {
        let mut needles = [u8x16::splat(first); N];
        for (slot, byte) in needles.iter_mut().skip(1).zip(more) {
            *slot = u8x16::splat(byte);
        }
        Self {
            needles,
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
        for needle in &self.needles {
            hits |= lanes.simd_eq(*needle);
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

/// Where a field ends, and what was seen on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldEnd {
    /// The position of the delimiter, or the length of the bytes.
    pub at: usize,
    /// What is inside the field.
    pub inside: Inside,
}

/// What there is to be looked at inside a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// Nothing: no deeper delimiter, nothing to unescape.
    Plain,
    /// Something at these positions.
    Known(Positions),
    /// Something; the field is in several blocks.
    Unknown,
}

/// Positions in one block of 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    base: usize,
    mask: u64,
}

impl Iterator for Positions {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.mask == 0 {
            return None;
        }
        let at = self.base + self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some(at)
    }
}

/// Ends of fields, in order, and for each whether anything inside it needs a look.
///
/// Most fields of a message are empty or one plain value. They are told from the others by two masks of one block, without
/// a decision for each byte inside.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    ends: Needles<3>,
    inner: Needles<6>,
    base: usize,
    end_mask: u64,
    inner_mask: u64,
    next: usize,
}

impl<'a> Fields<'a> {
    /// Scans from the start of `bytes`.
    pub fn new(bytes: &'a [u8], ends: Needles<3>, inner: Needles<6>) -> Self {
        Self {
            bytes,
            ends,
            inner,
            base: 0,
            end_mask: 0,
            inner_mask: 0,
            next: 0,
        }
    }

    /// Goes on at `at`, which must be the start of a field or its end.
    pub fn seek(&mut self, at: usize) {
        self.base = at;
        self.end_mask = 0;
        self.inner_mask = 0;
        self.next = at;
    }

    /// The end of the field that began after the last end; `None` once more than `most` of its bytes have been looked at, and
    /// then [`seek`](Self::seek) must come next.
    #[inline(always)]
    pub fn next_end(&mut self, start: usize, most: usize) -> Option<FieldEnd> {
        // Of the blocks before the one that is looked at.
        let mut any = false;
        loop {
            if self.end_mask != 0 {
                let bit = self.end_mask.trailing_zeros();
                let before = (1 << bit) - 1;
                let mask = self.inner_mask & before;
                self.inner_mask &= !before;
                self.end_mask &= self.end_mask - 1;
                let base = self.base;
                let inside = match mask {
                    _ if any => Inside::Unknown,
                    0 => Inside::Plain,
                    mask => Inside::Known(Positions { base, mask }),
                };
                let at = base + bit as usize;
                return Some(FieldEnd { at, inside });
            }
            any |= self.inner_mask != 0;
            if self.next >= self.bytes.len() {
                self.inner_mask = 0;
                let at = self.bytes.len();
                let inside = if any { Inside::Unknown } else { Inside::Plain };
                return Some(FieldEnd { at, inside });
            }
            if self.next - start > most {
                return None;
            }
            self.load();
        }
    }

    #[inline(always)]
    fn load(&mut self) {
        let rest = &self.bytes[self.next..];
        let (ends, inner) = match rest.first_chunk::<BLOCK>() {
            Some(block) => (self.ends.block(block), self.inner.block(block)),
            None => self.load_last(rest),
        };
        self.end_mask = ends;
        self.inner_mask = inner & !ends;
        self.base = self.next;
        self.next += BLOCK;
    }

    #[cold]
    #[inline(never)]
    fn load_last(&self, rest: &[u8]) -> (u64, u64) {
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        let within = (1 << rest.len()) - 1;
        (
            self.ends.block(&block) & within,
            self.inner.block(&block) & within,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_end_where_a_plain_loop_finds_it(
            bytes in prop::collection::vec(prop::sample::select(&b"||^&abcdefgh\r"[..]), 0..300),
            most in 0usize..400,
            from in 0usize..300,
        ) {
            let start = from.min(bytes.len());
            let mut fields = Fields::new(&bytes, Needles::new(b'|', [b'\r']), Needles::new(b'^', [b'&']).control());
            fields.seek(start);
            let mut at = start;
            while let Some(end) = fields.next_end(at, most) {
                let rest = &bytes[at..];
                let length = rest.iter().position(|b| matches!(b, b'|' | b'\r')).unwrap_or(rest.len());
                let inside: Vec<usize> = (at..at + length).filter(|at| b"^&".contains(&bytes[*at])).collect();
                prop_assert_eq!(end.at, at + length);
                match end.inside {
                    Inside::Plain => prop_assert!(inside.is_empty()),
                    Inside::Known(positions) => prop_assert_eq!(positions.collect::<Vec<_>>(), inside),
                    Inside::Unknown => prop_assert!(!inside.is_empty()),
                }
                if end.at == bytes.len() {
                    return Ok(());
                }
                at = end.at + 1;
            }
            // Given up on: the field is longer than was asked for.
            prop_assert!(bytes[at..].iter().take(most).all(|b| !matches!(b, b'|' | b'\r')));
        }
    }

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
