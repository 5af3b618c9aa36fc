//! What the bridge tells about itself: every metric name and label, log set-up, and the record of one exchange.
//!
//! Must not know: sockets, HTTP, what a message says. No text from a message can get in here: labels are the enums of
//! [`labels`] and names from the configuration, and payloads are never arguments of a log line.

pub mod injector;
pub mod labels;
pub mod log;
pub mod metrics;
pub mod record;

pub use injector::InjectorMetrics;
pub use labels::Label;
pub use metrics::{Counters, DestinationMetrics, ListenerMetrics, Metrics, Raised, StateMetrics};
pub use record::ExchangeRecord;
