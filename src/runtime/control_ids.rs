//! Control IDs of what the bridge writes itself, MSH-10: 20 characters, which is as long as the standard allows before 2.7.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// Makes control IDs that no other start of the bridge has made.
#[derive(Debug)]
pub struct ControlIds {
    /// Start time (seconds) and random bits, so that neither two restarts nor two pods agree.
    prefix: [u8; 11],
    next: AtomicU64,
}

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

fn base32(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = DIGITS[(value & 31) as usize];
        value >>= 5;
    }
}

impl Default for ControlIds {
    fn default() -> Self {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let mut prefix = [0; 11];
        base32(&mut prefix[..7], seconds);
        base32(&mut prefix[7..], fastrand::u64(..));
        Self {
            prefix,
            next: AtomicU64::new(0),
        }
    }
}

impl ControlIds {
    /// The next one.
    pub fn next(&self) -> [u8; 20] {
        let mut id = [0; 20];
        id[..11].copy_from_slice(&self.prefix);
        base32(&mut id[11..], self.next.fetch_add(1, Relaxed));
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same() {
        let (one, two) = (ControlIds::default(), ControlIds::default());
        let mut all: Vec<[u8; 20]> = (0..100).flat_map(|_| [one.next(), two.next()]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 200);
        assert!(all.iter().flatten().all(u8::is_ascii_alphanumeric));
    }
}
