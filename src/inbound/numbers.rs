//! Sequence numbers: the last one that was accepted from each partner, who is known by MSH-3 and MSH-4.
//!
//! A partner's messages take turns, on however many connections they come: a number is looked at, delivered and stored before the
//! next one is looked at. So one number is never taken twice.

use crate::hl7::Header;
use crate::state::Store;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as Turns, OwnedMutexGuard};
use twox_hash::XxHash3_128;

/// Of one listener. A feed has one partner or a few; this bounds what a sender can fill by changing its name.
const MOST: usize = 1024;

/// The partners of one listener.
#[derive(Debug, Default)]
pub struct Numbers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    partners: HashMap<u128, Partner>,
    turns: u64,
}

#[derive(Debug, Default)]
struct Partner {
    last: Arc<Turns<Option<u64>>>,
    /// When it had its latest turn.
    used: u64,
}

/// A partner's turn: nobody else looks at its number meanwhile.
#[derive(Debug)]
pub struct Turn {
    /// Who it is, in the store.
    pub partner: u128,
    /// Its last number.
    pub last: OwnedMutexGuard<Option<u64>>,
    /// It was another message's turn first.
    pub waited: bool,
}

/// Who a message is from. A hash: names have no bound.
pub fn partner(header: &Header<'_>) -> u128 {
    // No field holds a CR.
    XxHash3_128::oneshot(&[header.field(3), b"\r", header.field(4)].concat())
}

impl Numbers {
    /// With what the store has of this listener, if there is a store. Blocks.
    pub fn new(listener: &Arc<str>, store: Option<&Store>) -> Self {
        let mut state = State::default();
        if let Some(store) = store {
            match store.numbers(listener, MOST) {
                Ok(numbers) => state
                    .partners
                    .extend(numbers.into_iter().map(|(partner, last)| {
                        let last = Arc::new(Turns::new(Some(last)));
                        (partner, Partner { last, used: 0 })
                    })),
                Err(error) => {
                    tracing::error!(%listener, %error, "stored sequence numbers cannot be read: begun without them");
                }
            }
        }
        Self {
            state: Mutex::new(state),
        }
    }

    /// Waits for this partner's turn. With it comes a partner that is forgotten for it, where there are too many.
    pub async fn turn(&self, partner: u128) -> (Turn, Option<u128>) {
        let (last, forgotten) = self.find(partner);
        let (last, waited) = match Arc::clone(&last).try_lock_owned() {
            Ok(last) => (last, false),
            Err(_) => (last.lock_owned().await, true),
        };
        let turn = Turn {
            partner,
            last,
            waited,
        };
        (turn, forgotten)
    }

    fn find(&self, partner: u128) -> (Arc<Turns<Option<u64>>>, Option<u128>) {
        let mut state = self.lock();
        state.turns += 1;
        let used = state.turns;
        let mut forgotten = None;
        if state.partners.len() >= MOST && !state.partners.contains_key(&partner) {
            // Not one whose turn it is.
            let idle = |partner: &Partner| Arc::strong_count(&partner.last) == 1;
            let partners = state.partners.iter();
            let oldest = partners
                .filter(|(_, partner)| idle(partner))
                .min_by_key(|(_, partner)| partner.used);
            forgotten = oldest.map(|(partner, _)| *partner);
            if let Some(forgotten) = forgotten {
                state.partners.remove(&forgotten);
            }
        }
        let entry = state.partners.entry(partner).or_default();
        entry.used = used;
        (Arc::clone(&entry.last), forgotten)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_partner_has_one_turn_at_a_time_and_others_do_not_wait() {
        let numbers = Numbers::default();
        let (mut first, _) = numbers.turn(1).await;
        let second = tokio::time::timeout(Duration::from_secs(9), numbers.turn(1));
        assert!(second.await.is_err(), "it is another's turn");
        let (other, _) = numbers.turn(2).await;
        assert_eq!(*other.last, None);
        *first.last = Some(7);
        drop(first);
        assert_eq!(*numbers.turn(1).await.0.last, Some(7));
    }

    #[tokio::test]
    async fn partners_are_bounded_and_the_one_that_was_silent_longest_goes() {
        let numbers = Numbers::default();
        let busy = numbers.turn(0).await;
        for partner in 1..MOST as u128 {
            assert_eq!(numbers.turn(partner).await.1, None);
        }
        *numbers.turn(1).await.0.last = Some(7);
        assert_eq!(
            numbers.turn(5000).await.1,
            Some(2),
            "0 has its turn, 1 had it lately"
        );
        assert_eq!(*numbers.turn(1).await.0.last, Some(7));
        assert_eq!(numbers.lock().partners.len(), MOST);
        drop(busy);
    }

    #[test]
    fn a_partner_is_application_and_facility() {
        let of = |msh: &str| {
            let text = format!("MSH|^~\\&|{msh}|R|G|2026||ADT^A01|7|P|2.5\r");
            let crate::hl7::Payload::V2(header) = crate::hl7::peek(text.as_bytes()) else {
                panic!()
            };
            partner(&header)
        };
        assert_eq!(of("APP|FAC"), of("APP|FAC"));
        for other in ["APP|", "|APP", "APP|FAC2", "APPF|AC", "APP^1|FAC"] {
            assert_ne!(of("APP|FAC"), of(other), "{other}");
        }
    }
}
