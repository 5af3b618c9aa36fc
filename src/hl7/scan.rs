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

    /// Of fewer bytes than a block.
    #[inline(always)]
    fn part(&self, bytes: &[u8]) -> u64 {
        let (whole, rest) = bytes.as_chunks::<LANES>();
        let mut mask = 0;
        for (at, lanes) in whole.iter().enumerate() {
            mask |= self.lanes(*lanes) << (at * LANES);
        }
        if !rest.is_empty() {
            let mut lanes = [0; LANES];
            lanes[..rest.len()].copy_from_slice(rest);
            mask |= self.lanes(lanes) << (whole.len() * LANES);
        }
        mask & ((1 << bytes.len()) - 1)
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
        self.needles.part(rest)
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
    /// It is the separator: another field follows in this segment.
    pub more: bool,
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
    separator: Needles<1>,
    terminators: Needles<2>,
    inner: Needles<6>,
    base: usize,
    /// Separators and terminators that are still to come in this block; separators alone; what is inside fields.
    end_mask: u64,
    separator_mask: u64,
    inner_mask: u64,
    next: usize,
}

impl<'a> Fields<'a> {
    /// Scans from the start of `bytes`: fields end at the separator, and at each of the terminators, which end segments.
    pub fn new(bytes: &'a [u8], separator: u8, terminators: Needles<2>, inner: Needles<6>) -> Self {
        Self {
            bytes,
            separator: Needles::new(separator, []),
            terminators,
            inner,
            base: 0,
            end_mask: 0,
            separator_mask: 0,
            inner_mask: 0,
            next: 0,
        }
    }

    /// Goes on at `at`, which must be the start of a field or its end.
    pub fn seek(&mut self, at: usize) {
        self.base = at;
        self.end_mask = 0;
        self.separator_mask = 0;
        self.inner_mask = 0;
        self.next = at;
    }

    /// How many fields that are empty and have another one behind them begin at `start`, which comes after the last end: those of one
    /// block, for most empty fields stand in a row.
    #[inline(always)]
    pub fn skip_empty(&mut self, start: usize) -> usize {
        // Before the block: what began there is not empty, or not looked at yet.
        let bit = start.wrapping_sub(self.base);
        if bit >= BLOCK {
            return 0;
        }
        let empty = (self.separator_mask >> bit).trailing_ones();
        if empty > 0 {
            let behind = u64::MAX.checked_shl(bit as u32 + empty).unwrap_or(0);
            self.end_mask &= behind;
        }
        empty as usize
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
                let more = self.separator_mask & (1 << bit) != 0;
                return Some(FieldEnd { at, more, inside });
            }
            any |= self.inner_mask != 0;
            if self.next >= self.bytes.len() {
                self.inner_mask = 0;
                self.separator_mask = 0;
                let at = self.bytes.len();
                let inside = if any { Inside::Unknown } else { Inside::Plain };
                let more = false;
                return Some(FieldEnd { at, more, inside });
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
        let (separators, terminators, inner) = match rest.first_chunk::<BLOCK>() {
            Some(block) => (
                self.separator.block(block),
                self.terminators.block(block),
                self.inner.block(block),
            ),
            None => self.load_last(rest),
        };
        self.separator_mask = separators;
        self.end_mask = separators | terminators;
        self.inner_mask = inner & !self.end_mask;
        self.base = self.next;
        self.next += BLOCK;
    }

    #[cold]
    #[inline(never)]
    fn load_last(&self, rest: &[u8]) -> (u64, u64, u64) {
        (
            self.separator.part(rest),
            self.terminators.part(rest),
            self.inner.part(rest),
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
            let mut fields = Fields::new(&bytes, b'|', Needles::new(b'\r', []), Needles::new(b'^', [b'&']).control());
            fields.seek(start);
            let mut at = start;
            loop {
                let empty = fields.skip_empty(at);
                prop_assert!(bytes[at..at + empty].iter().all(|b| *b == b'|'));
                at += empty;
                let Some(end) = fields.next_end(at, most) else { break };
                let rest = &bytes[at..];
                let length = rest.iter().position(|b| matches!(b, b'|' | b'\r')).unwrap_or(rest.len());
                let inside: Vec<usize> = (at..at + length).filter(|at| b"^&".contains(&bytes[*at])).collect();
                prop_assert_eq!(end.at, at + length);
                prop_assert_eq!(end.more, bytes.get(end.at) == Some(&b'|'));
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
