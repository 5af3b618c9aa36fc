//! What a listener remembers of the messages that were accepted: their answers, and their sequence numbers.
//!
//! ```text
//! enter ─┬─ Deliver(claim) ── accepted ─► remember: stored, where there is a store; then known to others; then acknowledged
//!        │                └── otherwise ► the claim ends, and nothing has happened
//!        └─ Again, Unasked: answered without the app
//! ```

use super::answered::Answered;
use super::duplicates::{self, Recall, Ticket, Window, recall};
use super::numbers::{Numbers, Turn, partner};
use crate::config::{Framing, Session};
use crate::deliver::in_time;
use crate::envelope::{EventId, Head, Source, Warning};
use crate::hl7::charset::Reading;
use crate::hl7::sequence::{Sequence, Step, has_content, msa4};
use crate::runtime::{Alarm, Drain};
use crate::state::window::Bounds;
use crate::state::{Save, Store};
use crate::telemetry::ListenerMetrics;
use crate::telemetry::labels::Refusal;
use std::sync::Arc;
use tokio::time::Instant;

/// One listener's memory.
#[derive(Debug)]
pub struct Memory {
    /// Messages that may come again.
    pub window: Window,
    numbers: Numbers,
    store: Option<Store>,
    listener: Arc<str>,
    metrics: ListenerMetrics,
}

/// A message that has come. Without `Debug`: its bytes are in it.
pub struct Arrival<'a> {
    /// What it is known by, with its framing, if it comes again.
    pub id: EventId<'a>,
    /// Its bytes.
    pub message: &'a [u8],
    /// Its header.
    pub head: &'a Head<'a>,
    /// Settings.
    pub session: &'a Session,
    /// The connection's block characters: those of an answer.
    pub framing: Framing,
    /// The peer's IP address.
    pub peer: &'a str,
    /// When its last byte had come.
    pub started: Instant,
}

impl<'a> Arrival<'a> {
    /// What its envelope is made of.
    pub fn source(
        &self,
        bytes: &'a [u8],
        reading: Reading,
        listener: &'a str,
        received: &'a str,
        warnings: &'a [Warning],
    ) -> Source<'a> {
        Source {
            bytes,
            message: self.message,
            header: self.head,
            reading,
            id: self.id,
            received,
            listener,
            peer: self.peer,
            warnings,
        }
    }

    /// No wait and no attempt outlives this.
    pub fn deadline(&self) -> Instant {
        self.started + self.session.ack.deadline
    }
}

/// What is to be done with a message.
#[derive(Debug)]
pub enum Entry<'m> {
    /// It goes to the app.
    Deliver(Claim<'m>),
    /// It was answered so before.
    Again(Arc<Answered>),
    /// The app is not asked.
    Unasked(Unasked),
}

/// Why the app is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unasked {
    /// The same message, or another one of its partner, is still with the app, and its time is up.
    StillThere,
    /// It was about the link and no message: answered with this MSA-4.
    Link(i64),
    /// It is not taken, and this number is expected, if one is.
    Refused(Refusal, Option<i64>),
}

/// The right to deliver a message, and to be remembered.
#[derive(Debug, Default)]
pub struct Claim<'m> {
    ticket: Option<Ticket<'m>>,
    turn: Option<(Turn, u64)>,
}

impl Claim<'_> {
    /// MSA-4 of the answer.
    pub fn number(&self) -> Option<i64> {
        self.turn.as_ref().map(|(_, number)| msa4(*number))
    }
}

impl Memory {
    /// With what the store has of this listener. Blocks, where there is one.
    pub fn new(
        listener: &Arc<str>,
        session: &Session,
        store: Option<Store>,
        metrics: ListenerMetrics,
    ) -> Self {
        let kept = store.clone().map(|store| (store, Arc::clone(listener)));
        let (window, loaded) = Window::new(session.duplicates.map(Bounds::from), kept);
        if let Err(error) = loaded {
            tracing::error!(%listener, %error, "stored duplicates cannot be read: begun without them");
        }
        Self {
            window,
            numbers: Numbers::new(listener, store.as_ref()),
            store,
            listener: Arc::clone(listener),
            metrics,
        }
    }

    /// Puts other settings in force. Numbers stay: they are the link's.
    pub fn reload(&self, session: &Session) {
        self.window.reload(session.duplicates.map(Bounds::from));
    }

    /// What is to be done with a message. Waits while the same one, or another one of its partner, is with the app.
    pub async fn enter(
        &self,
        arrival: &Arrival<'_>,
        drain: &Drain,
        alarm: &mut Alarm,
    ) -> Entry<'_> {
        let key = duplicates::key(arrival.id.hash(), arrival.framing);
        let recall = recall(&self.window, key, alarm, arrival.deadline(), drain);
        let ticket = match recall.await {
            Some(Recall::Again(answered)) => return Entry::Again(answered),
            Some(Recall::Deliver(ticket)) => ticket,
            None => return Entry::Unasked(Unasked::StillThere),
        };
        if !arrival.session.ack.sequence_numbers {
            return Entry::Deliver(Claim { ticket, turn: None });
        }
        match self.turn(arrival, drain, alarm).await {
            Ok(turn) => Entry::Deliver(Claim { ticket, turn }),
            Err(why) => Entry::Unasked(why),
        }
    }

    /// A message's turn among those of its partner, and its number, if it has one.
    async fn turn(
        &self,
        arrival: &Arrival<'_>,
        drain: &Drain,
        alarm: &mut Alarm,
    ) -> Result<Option<(Turn, u64)>, Unasked> {
        let bad = Unasked::Refused(Refusal::BadSequence, None);
        let header = match arrival.head {
            Head::Er7(header) => header,
            // Of ER7 alone: nobody is known to number messages in XML, and who does is not to be left without the protection.
            Head::Xml(message) if message.is_numbered() => return Err(bad),
            Head::Xml(_) => return Ok(None),
        };
        let sequence = match Sequence::of(header).ok_or(bad)? {
            Sequence::Absent => return Ok(None),
            // Some senders fill MSH-13 with zeros: what has content is never answered as if it had none.
            Sequence::Start | Sequence::Resync if has_content(arrival.message, header) => {
                return Err(bad);
            }
            sequence => sequence,
        };
        let deadline = arrival.deadline();
        let turn = self.numbers.turn(partner(header));
        let turn = alarm.race(Some(deadline), turn).await;
        let (mut turn, forgotten) = turn.map_err(|_| Unasked::StillThere)?;
        if let Some(partner) = forgotten {
            tracing::warn!(listener = %self.listener, "too many partners with sequence numbers: one is forgotten");
            self.store_number((partner, None), alarm).await;
        }
        match sequence.step(*turn.last) {
            Step::Unnumbered => Ok(None),
            Step::Take(_) if turn.waited && !in_time(Instant::now(), deadline, drain.phase()) => {
                Err(Unasked::StillThere)
            }
            Step::Take(number) => Ok(Some((turn, number))),
            Step::Tell(expected) => Err(Unasked::Link(expected)),
            Step::Forget => {
                self.store_number((turn.partner, None), alarm).await;
                *turn.last = None;
                Err(Unasked::Link(-1))
            }
            Step::OutOfOrder(expected) => {
                let expected = Some(msa4(expected));
                Err(Unasked::Refused(Refusal::Sequence, expected))
            }
        }
    }

    async fn store_number(&self, number: (u128, Option<u64>), alarm: &mut Alarm) {
        let save = Save {
            listener: Arc::clone(&self.listener),
            record: None,
            below: 0,
            number: Some(number),
        };
        self.save(save, alarm).await;
    }

    async fn save(&self, save: Save, alarm: &mut Alarm) {
        if let Some(store) = &self.store
            && !store.save(save, alarm).await
        {
            self.metrics.state_unsaved.inc();
        }
    }

    /// Remembers an accepted message and how it is answered; its acknowledgement is to be written only afterwards. What cannot be stored
    /// is remembered all the same, as long as the process lives, and counted.
    pub async fn remember(
        &self,
        claim: Claim<'_>,
        answered: impl FnOnce() -> Answered,
        alarm: &mut Alarm,
    ) {
        let Claim { ticket, turn } = claim;
        let held = ticket.and_then(|ticket| ticket.hold(answered()));
        if held.is_none() && turn.is_none() {
            return;
        }
        if self.store.is_some() {
            let save = Save {
                listener: Arc::clone(&self.listener),
                record: held.as_ref().map(|held| held.record()),
                below: held.as_ref().map_or(0, |held| held.below()),
                number: turn
                    .as_ref()
                    .map(|(turn, number)| (turn.partner, Some(*number))),
            };
            self.save(save, alarm).await;
        }
        if let Some(held) = held {
            held.settle();
        }
        if let Some((mut turn, number)) = turn {
            *turn.last = Some(number);
        }
    }
}
