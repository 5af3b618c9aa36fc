//! Quantities: durations, sizes, bytes.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::{Scalar, ScalarVisitor};

/// A duration: `250ms`, `10s`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

/// A number of bytes: `16MiB`, `900KiB`, `1MB`, `65536`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub usize);

/// One byte: `11` or `0x0B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlByte(pub u8);

scalar!(Period);
scalar!(ByteSize);
scalar!(ControlByte);

impl Period {
    /// The longest that is accepted: far beyond any use, and far from overflow.
    const MAX: Duration = Duration::from_secs(366 * 24 * 3600);
    /// Units and their length in nanoseconds, longest first.
    const UNITS: [(&'static str, u128); 6] = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
    ];

    /// So many milliseconds.
    pub const fn millis(number: u64) -> Self {
        Self(Duration::from_millis(number))
    }

    /// So many seconds.
    pub const fn secs(number: u64) -> Self {
        Self(Duration::from_secs(number))
    }

    /// So many hours.
    pub const fn hours(number: u64) -> Self {
        Self(Duration::from_secs(number * 3600))
    }

    /// One or more `number unit` pairs to nanoseconds; `None` for anything else.
    fn nanos(mut rest: &str) -> Option<u128> {
        let mut total = 0_u128;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, tail) = rest.split_at_checked(digits)?;
            let letters = tail
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at_checked(letters)?;
            let length = Self::UNITS.iter().find(|known| known.0 == unit)?.1;
            let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
            // Digits only from here: what is left to refuse is a missing or a huge number.
            let places = u32::try_from(fraction.len())
                .ok()
                .filter(|places| *places <= 9)?;
            let whole = whole.parse::<u64>().ok()?;
            let fraction = fraction.parse::<u64>().ok()?;
            total = total
                .checked_add(u128::from(whole) * length)?
                .checked_add(u128::from(fraction) * length / 10_u128.pow(places))?;
            rest = tail;
        }
        Some(total)
    }
}

impl Scalar for Period {
    const EXPECTED: &'static str = "a duration such as 250ms, 10s or 1h30m";

    fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Self::read_number(text);
        }
        let nanos = Self::nanos(text).filter(|_| !text.is_empty());
        let nanos = nanos.ok_or_else(|| format!("expected {}", Self::EXPECTED))?;
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        let period = Duration::from_nanos(nanos);
        if period > Self::MAX {
            return Err("too long: at most 366d".into());
        }
        Ok(Self(period))
    }

    fn read_number(text: &str) -> Result<Self, String> {
        Err(format!(
            "a duration needs a unit: {text}s, {text}ms or {text}m"
        ))
    }

    fn schema() -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^([0-9]+(\.[0-9]+)?(d|h|ms|m|s|us))+$",
            "x-type": "duration"
        })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.write_str("0s");
        }
        // Hours are the longest unit written: people read 24h, and 36h rather than 1d12h.
        for (unit, length) in &Self::UNITS[1..] {
            if rest >= *length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl ByteSize {
    const UNITS: [(&'static str, usize); 11] = [
        ("gib", 1 << 30),
        ("mib", 1 << 20),
        ("kib", 1 << 10),
        // Kubernetes' spelling of the same.
        ("gi", 1 << 30),
        ("mi", 1 << 20),
        ("ki", 1 << 10),
        ("gb", 1_000_000_000),
        ("mb", 1_000_000),
        ("kb", 1_000),
        ("b", 1),
        ("", 1),
    ];

    /// So many mebibytes.
    pub const fn mib(number: usize) -> Self {
        Self(number << 20)
    }
}

impl Scalar for ByteSize {
    const EXPECTED: &'static str = "a size such as 16MiB, 900KiB, 1MB or a number of bytes";

    fn read(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let number = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = lower.strip_prefix(number).unwrap_or_default().trim();
        let number = number.trim_end();
        let unit = Self::UNITS.iter().find(|known| known.0 == unit);
        match unit {
            Some((_, length))
                if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) =>
            {
                let bytes = number
                    .parse::<usize>()
                    .ok()
                    .and_then(|n| n.checked_mul(*length));
                bytes.map(Self).ok_or_else(|| "too large".into())
            }
            _ => Err(format!("expected {}", Self::EXPECTED)),
        }
    }

    fn schema() -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^[0-9]+ *([kKmMgG][iI]?[bB]|[kKmMgG][iI]|[bB])?$",
            "minimum": 0,
            "x-type": "size"
        })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let unit = binary
            .iter()
            .find(|unit| self.0 != 0 && self.0.trailing_zeros() >= unit.1);
        match unit {
            Some((name, shift)) => write!(f, "{}{name}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Scalar for ControlByte {
    const EXPECTED: &'static str = "a byte such as 11 or 0x0B";

    fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let byte = match hex {
            // from_str_radix would take a sign.
            Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
                u8::from_str_radix(digits, 16).ok()
            }
            None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        byte.map(Self)
            .ok_or_else(|| format!("expected {}", Self::EXPECTED))
    }

    fn schema() -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^(0[xX][0-9a-fA-F]{1,2}|[0-9]{1,3})$",
            "minimum": 0,
            "maximum": 127,
            "x-type": "byte"
        })
    }
}

impl fmt::Display for ControlByte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02X}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ms = Duration::from_millis;
        for (text, expected, written) in [
            ("250ms", ms(250), "250ms"),
            ("10s", ms(10_000), "10s"),
            ("5m", ms(300_000), "5m"),
            ("24h", ms(86_400_000), "24h"),
            ("1h30m", ms(5_400_000), "1h30m"),
            ("1.5s", ms(1500), "1s500ms"),
            ("2d", ms(172_800_000), "48h"),
            ("500us", Duration::from_micros(500), "500us"),
            (" 1s ", ms(1000), "1s"),
            ("0s", ms(0), "0s"),
        ] {
            let period = Period::read(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(period.0, expected, "{text}");
            assert_eq!(period.to_string(), written, "{text}");
            assert_eq!(
                Period::read(written).map(|again| again.0),
                Ok(expected),
                "{written}"
            );
        }
    }

    #[test]
    fn durations_refused() {
        for (text, why) in [
            ("", "expected a duration"),
            ("10", "needs a unit: 10s, 10ms or 10m"),
            ("1.5", "needs a unit"),
            ("s", "expected a duration"),
            ("10 s", "expected a duration"),
            ("-1s", "expected a duration"),
            ("1S", "expected a duration"),
            ("1y", "expected a duration"),
            ("1..5s", "expected a duration"),
            (".s", "expected a duration"),
            ("5s3", "expected a duration"),
            ("١s", "expected a duration"),
            ("400d", "at most 366d"),
            ("99999999999999999999s", "expected a duration"),
            ("18446744073709551615d", "at most 366d"),
        ] {
            let message = Period::read(text).map(|period| period.0).unwrap_err();
            assert!(message.contains(why), "{text:?}: {message}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected, written) in [
            ("16MiB", 16 << 20, "16MiB"),
            ("900KiB", 900 << 10, "900KiB"),
            ("1GiB", 1 << 30, "1GiB"),
            ("1MB", 1_000_000, "1000000"),
            ("63kB", 63_000, "63000"),
            ("3mb", 3_000_000, "3000000"),
            ("16Mi", 16 << 20, "16MiB"),
            ("16 MiB", 16 << 20, "16MiB"),
            ("65536", 65536, "64KiB"),
            ("12b", 12, "12"),
            ("0", 0, "0"),
        ] {
            let size = ByteSize::read(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(size.0, expected, "{text}");
            assert_eq!(size.to_string(), written, "{text}");
        }
        for text in [
            "",
            "MiB",
            "1.5MiB",
            "-1",
            "16M",
            "16mebi",
            "1 2MiB",
            "MiB16",
            "16MiB16MiB",
        ] {
            assert!(ByteSize::read(text).is_err(), "{text}");
        }
        let huge = ByteSize::read("99999999999GiB").unwrap_err();
        assert_eq!(huge, "too large");
    }

    #[test]
    fn bytes() {
        for (text, expected) in [
            ("0x0B", 11),
            ("0X1c", 28),
            ("0xB", 11),
            ("11", 11),
            ("255", 255),
        ] {
            assert_eq!(ControlByte::read(text), Ok(ControlByte(expected)), "{text}");
        }
        for text in ["", "0x", "0x100", "256", "+1", "0x+1", "VT", "-1", "1.0"] {
            assert!(ControlByte::read(text).is_err(), "{text}");
        }
        assert_eq!(ControlByte(11).to_string(), "0x0B");
    }
}
