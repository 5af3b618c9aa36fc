//! Small parts that the stations of the line share: a timer that costs nothing, the drain signal, buffers and their bounds, control
//! IDs, and the clock.
//!
//! Must not know: MLLP, HL7, HTTP.

pub mod alarm;
pub mod backoff;
pub mod buffers;
pub mod clock;
pub mod control_ids;
pub mod drain;

pub use alarm::{Alarm, Elapsed};
pub use buffers::{Budget, Buffers, Reserved, Scratch};
pub use clock::Clock;
pub use control_ids::ControlIds;
pub use drain::{Drain, Phase};
