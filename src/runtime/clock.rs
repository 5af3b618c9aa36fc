//! The time of day as HL7 and RFC 3339 write it, formatted once a second.

use jiff::Timestamp;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// The last time asked for, as text. UTC.
#[derive(Debug)]
pub struct Clock {
    second: u64,
    hl7: String,
    rfc3339: String,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            second: u64::MAX,
            hl7: String::new(),
            rfc3339: String::new(),
        }
    }
}

/// Length of `2026-11-22T10:15:00.`
const UP_TO_MILLIS: usize = 20;

impl Clock {
    /// Takes the time from the system.
    pub fn tick(&mut self) -> f64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.set(now.as_secs(), now.subsec_millis());
        now.as_secs_f64()
    }

    fn set(&mut self, second: u64, millis: u32) {
        if second != self.second {
            self.second = second;
            let at = Timestamp::from_second(second as i64).unwrap_or(Timestamp::UNIX_EPOCH);
            let civil = jiff::tz::Offset::UTC.to_datetime(at);
            self.hl7.clear();
            self.rfc3339.clear();
            // Writing to a String does not fail.
            let _ = write!(
                self.hl7,
                "{:04}{:02}{:02}{:02}{:02}{:02}+0000",
                civil.year(),
                civil.month(),
                civil.day(),
                civil.hour(),
                civil.minute(),
                civil.second(),
            );
            let _ = write!(
                self.rfc3339,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.",
                civil.year(),
                civil.month(),
                civil.day(),
                civil.hour(),
                civil.minute(),
                civil.second(),
            );
        }
        self.rfc3339.truncate(UP_TO_MILLIS);
        for digit in [millis / 100, millis / 10 % 10, millis % 10] {
            self.rfc3339.push(char::from(b'0' + digit as u8));
        }
        self.rfc3339.push('Z');
    }

    /// `20261122101500+0000` (HL7 data type DTM).
    pub fn hl7(&self) -> &str {
        &self.hl7
    }

    /// `2026-11-22T10:15:00.123Z`.
    pub fn rfc3339(&self) -> &str {
        &self.rfc3339
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations() {
        let mut clock = Clock::default();
        clock.set(1_795_342_500, 7);
        assert_eq!(
            (clock.hl7(), clock.rfc3339()),
            ("20261122101500+0000", "2026-11-22T10:15:00.007Z")
        );
        clock.set(1_795_342_500, 999);
        assert_eq!(clock.rfc3339(), "2026-11-22T10:15:00.999Z");
        clock.set(0, 0);
        assert_eq!(
            (clock.hl7(), clock.rfc3339()),
            ("19700101000000+0000", "1970-01-01T00:00:00.000Z")
        );
    }
}
