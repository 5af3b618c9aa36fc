//! What one connection brings to each of its exchanges.

use super::frame::Place;
use super::shared::{Live, Shared};
use crate::config::Framing;
use crate::deliver::Delivery;
use crate::runtime::Alarm;
use crate::telemetry::labels::Deviation;

/// One connection's part in its exchanges.
#[derive(Debug)]
pub struct Parts<'c, 'm> {
    /// The listener.
    pub shared: &'m Shared,
    /// Its settings, as of this message.
    pub live: &'c Live,
    /// The way to the app.
    pub delivery: &'c mut Delivery,
    /// Timer.
    pub alarm: &'c mut Alarm,
    /// The connection's framing: the one it was opened with.
    pub framing: Framing,
    /// Where the message stands in its block.
    pub place: Place,
    /// The peer's IP address.
    pub peer: &'c str,
    /// Deviations of this message; the connection counts and logs them.
    pub deviations: &'c mut Vec<Deviation>,
}

impl<'m> Parts<'_, 'm> {
    /// The same for one more exchange, which puts what is odd here.
    pub fn again<'a>(&'a mut self, deviations: &'a mut Vec<Deviation>) -> Parts<'a, 'm> {
        Parts {
            shared: self.shared,
            live: self.live,
            delivery: self.delivery,
            alarm: self.alarm,
            framing: self.framing,
            place: self.place,
            peer: self.peer,
            deviations,
        }
    }
}
