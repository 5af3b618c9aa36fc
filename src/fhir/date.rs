//! Dates and times of HL7 v2 (DT, DTM, TS, TM) as FHIR writes them.
//!
//! A value keeps its own precision: a year stays a year. FHIR has no time without a zone and none without seconds, so a time
//! gets the zone that it states, else the one that MSH-7 states (chapter 2 makes that the message's), else the configured
//! one; and minutes and seconds that are not given are zero.

pub use crate::config::Zone;
use std::fmt::Write;

/// A point in time with the precision that it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment<'t> {
    year: &'t str,
    month: Option<&'t str>,
    day: Option<&'t str>,
    hour: Option<&'t str>,
    minute: Option<&'t str>,
    second: Option<&'t str>,
    /// Digits behind the decimal point.
    fraction: Option<&'t str>,
    /// As stated.
    pub zone: Option<Zone>,
}

/// `YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]`; `None` for anything else, and for days and times that do not exist.
pub fn parse(text: &str) -> Option<Moment<'_>> {
    let (time, zone) = match text.find(['+', '-']) {
        Some(at) => (text.get(..at)?, Some(Zone::parse(text.get(at..)?)?)),
        None => (text, None),
    };
    let (digits, fraction) = match time.split_once('.') {
        Some((digits, fraction)) => (digits, Some(fraction)),
        None => (time, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = matches!(digits.len(), 4 | 6 | 8 | 10 | 12 | 14);
    if !whole || !all_digits(digits) {
        return None;
    }
    let fraction_fits = fraction.is_none_or(|fraction| {
        digits.len() == 14 && (1..=9).contains(&fraction.len()) && all_digits(fraction)
    });
    let moment = Moment {
        year: digits.get(..4)?,
        month: digits.get(4..6),
        day: digits.get(6..8),
        hour: digits.get(8..10),
        minute: digits.get(10..12),
        second: digits.get(12..14),
        fraction,
        zone,
    };
    (fraction_fits && moment.exists()).then_some(moment)
}

fn within(part: Option<&str>, range: std::ops::RangeInclusive<u32>) -> bool {
    part.is_none_or(|part| part.parse().is_ok_and(|number| range.contains(&number)))
}

impl Moment<'_> {
    fn exists(&self) -> bool {
        let year: u32 = self.year.parse().unwrap_or_default();
        let month: u32 = self.month.and_then(|m| m.parse().ok()).unwrap_or(1);
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        year > 0
            && within(self.month, 1..=12)
            && within(self.day, 1..=days)
            && within(self.hour, 0..=23)
            && within(self.minute, 0..=59)
            && within(self.second, 0..=59)
    }

    /// FHIR `date`: never more than the day.
    pub fn date(&self) -> String {
        let mut out = self.year.to_owned();
        for part in [self.month, self.day].into_iter().flatten() {
            out.push('-');
            out.push_str(part);
        }
        out
    }

    /// FHIR `dateTime`.
    pub fn date_time(&self, default: Zone) -> String {
        let mut out = self.date();
        if self.hour.is_some() {
            let _ = write!(out, "T{}{}", self.time(), self.zone.unwrap_or(default));
        }
        out
    }

    /// FHIR `instant`, which needs a time.
    pub fn instant(&self, default: Zone) -> Option<String> {
        self.hour.map(|_| self.date_time(default))
    }

    fn time(&self) -> String {
        let or_zero = |part: Option<&str>| part.unwrap_or("00").to_owned();
        let mut out = format!(
            "{}:{}:{}",
            or_zero(self.hour),
            or_zero(self.minute),
            or_zero(self.second)
        );
        if let Some(fraction) = self.fraction {
            out.push('.');
            out.push_str(fraction);
        }
        out
    }
}

/// A FHIR instant some minutes later, in the same zone.
pub fn later(instant: &str, minutes: i64) -> Option<String> {
    let (time, zone) = instant.split_at_checked("2000-01-01T00:00:00".len())?;
    let time: jiff::civil::DateTime = time.parse().ok()?;
    let later = time
        .checked_add(jiff::Span::new().try_minutes(minutes).ok()?)
        .ok()?;
    Some(format!("{}{zone}", later.strftime("%Y-%m-%dT%H:%M:%S")))
}

/// Whether a period may have these as start and end. FHIR refuses one of which that cannot be told: a day, and a time of that
/// day.
pub fn in_order(start: &str, end: &str) -> bool {
    if let (Some(start), Some(end)) = (seconds(start), seconds(end)) {
        return start <= end;
    }
    let length = start.len().min(end.len()).min("2000-01-01".len());
    let (one, other) = (start.get(..length), end.get(..length));
    one < other || (one == other && start.len() == end.len())
}

/// Since some day, of a value with a time.
fn seconds(text: &str) -> Option<f64> {
    let zone = text.rfind(['+', '-']).filter(|at| *at > 10)?;
    let (time, zone) = text.split_at_checked(zone)?;
    let minutes = Zone::parse(zone)?.0;
    let time: jiff::civil::DateTime = time.parse().ok()?;
    let first = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
    let since = time.duration_since(first).as_secs_f64();
    Some(since - f64::from(minutes) * 60.0)
}

/// FHIR `time` from TM: `HH[MM[SS[.S…]]]`. A zone is left out, since FHIR's has none.
pub fn time(text: &str) -> Option<String> {
    let text = text.split(['+', '-']).next().unwrap_or_default();
    let day = format!("20000101{text}");
    let moment = parse(&day)?;
    moment.hour.map(|_| moment.time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_precision_stays_what_it_is() {
        for (v2, date, date_time) in [
            ("1985", "1985", "1985"),
            ("198502", "1985-02", "1985-02"),
            ("19850228", "1985-02-28", "1985-02-28"),
            ("1985022814", "1985-02-28", "1985-02-28T14:00:00+01:00"),
            ("198502281405", "1985-02-28", "1985-02-28T14:05:00+01:00"),
            ("19850228140506", "1985-02-28", "1985-02-28T14:05:06+01:00"),
            (
                "19850228140506.1234-0530",
                "1985-02-28",
                "1985-02-28T14:05:06.1234-05:30",
            ),
            ("20240229", "2024-02-29", "2024-02-29"),
        ] {
            let moment = parse(v2).unwrap();
            assert_eq!(moment.date(), date, "{v2}");
            assert_eq!(moment.date_time(Zone(60)), date_time, "{v2}");
        }
        assert_eq!(parse("1985").unwrap().instant(Zone(0)), None);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for bad in [
            "",
            "85",
            "19851",
            "19851301",
            "19850230",
            "20230229",
            "00000101",
            "1985022824",
            "198502281460",
            "19850228140560",
            "1985-02-28",
            "unknown",
            "19850228.5",
            "19850228140506+1",
            "19850228140506+2500",
            "１９８５",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn some_minutes_later() {
        for (start, minutes, end) in [
            (
                "2026-03-01T23:45:00+01:00",
                30,
                Some("2026-03-02T00:15:00+01:00"),
            ),
            (
                "2026-03-01T23:45:00.25-05:00",
                1,
                Some("2026-03-01T23:46:00.25-05:00"),
            ),
            ("9999-12-31T23:59:00+00:00", 2, None),
            ("2026", 2, None),
        ] {
            assert_eq!(later(start, minutes).as_deref(), end, "{start}");
        }
    }

    #[test]
    fn times_and_zones() {
        assert_eq!(time("1405").as_deref(), Some("14:05:00"));
        assert_eq!(time("140506.25+0100").as_deref(), Some("14:05:06.25"));
        assert_eq!(time(""), None);
        assert_eq!(time("2560"), None);
        assert_eq!(Zone::parse("-05:30"), Some(Zone(-330)));
        assert_eq!(Zone(-330).to_string(), "-05:30");
        assert_eq!(Zone::parse("Z"), Some(Zone(0)));
        for bad in ["", "01:00", "+1500", "+0160", "+aaaa"] {
            assert_eq!(Zone::parse(bad), None, "{bad}");
        }
    }
}
