//! Values with a unit or a spelling of their own: durations, sizes, bytes, addresses, names.
//!
//! Each type reads one scalar, says in words what it expects, and writes itself the way the
//! documentation shows it. The JSON Schema of each is beside its parser, so that an editor and the
//! bridge agree.
//!
//! Must not do: ranges that depend on the key; those are in `check`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::json;

use super::error::shown;
use crate::config::{AppUrl, Charset, TraceParent};

/// A value that is written as one scalar.
pub trait Scalar: Sized + fmt::Display {
    /// What is expected, to follow "expected ".
    const EXPECTED: &'static str;

    /// Reads text. The error completes the sentence "*value*: …".
    fn read(text: &str) -> Result<Self, String>;

    /// Reads a number, given in decimal.
    fn read_number(text: &str) -> Result<Self, String> {
        Self::read(text)
    }

    /// What `false` means, if anything. YAML 1.1 tools, Helm among them, turn an unquoted `off`
    /// into `false` before the bridge sees it.
    fn read_false() -> Option<Self> {
        None
    }

    /// Its JSON Schema.
    fn schema() -> Schema;
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<T: Scalar> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::read(text).map_err(|why| E::custom(format_args!("{}: {why}", shown(text))))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        read_number(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        read_number(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        read_number(&number.to_string())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<T, E> {
        let unexpected = || E::invalid_type(de::Unexpected::Bool(value), &self);
        if value {
            Err(unexpected())
        } else {
            T::read_false().ok_or_else(unexpected)
        }
    }
}

fn read_number<T: Scalar, E: de::Error>(number: &str) -> Result<T, E> {
    T::read_number(number).map_err(|why| E::custom(format_args!("{number}: {why}")))
}

/// serde and schemars for [`Scalar`] types: what a blanket implementation would be, were it allowed.
macro_rules! scalar {
    ($name:ident $(<$param:ident>)?) => {
        impl<'de $(, $param: Scalar)?> Deserialize<'de> for $name $(<$param>)? {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ScalarVisitor(PhantomData))
            }
        }

        impl $(<$param: Scalar>)? Serialize for $name $(<$param>)? {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl $(<$param: Scalar>)? JsonSchema for $name $(<$param>)? {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                <Self as Scalar>::schema()
            }
        }
    };
}

/// A duration: `250ms`, `10s`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

/// A number of bytes: `16MiB`, `900KiB`, `1MB`, `65536`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub usize);

/// One byte: `11` or `0x0B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlByte(pub u8);

/// IP address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

/// Text, which may look like a number (`2.5`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub String);

/// A character set by any of its usual names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CharsetName(pub Charset);

/// The URL of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url(pub AppUrl);

/// A value, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrOff<T> {
    /// Turned off.
    Off,
    /// The value.
    On(T),
}

scalar!(Period);
scalar!(ByteSize);
scalar!(ControlByte);
scalar!(Address);
scalar!(Text);
scalar!(CharsetName);
scalar!(Url);
scalar!(OrOff<T>);

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

impl Scalar for Address {
    const EXPECTED: &'static str = "an IP address and a port such as 0.0.0.0:2575 or [::]:2575";

    fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        let hint = match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
            Ok(port) => format!("; did you mean 0.0.0.0:{port}?"),
            Err(_) => match text.strip_prefix("localhost:").map(str::parse::<u16>) {
                Some(Ok(port)) => format!("; did you mean 127.0.0.1:{port}?"),
                _ => String::new(),
            },
        };
        Err(format!("expected {}{hint}", Self::EXPECTED))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^.+:[0-9]{1,5}$", "x-type": "address" })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Scalar for Text {
    const EXPECTED: &'static str = "text";

    fn read(text: &str) -> Result<Self, String> {
        Ok(Self(text.into()))
    }

    fn schema() -> Schema {
        json_schema!({ "type": ["string", "number"], "x-type": "text" })
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CharsetName {
    /// Lower-case names; the first of each character set is the one that is written.
    const NAMES: [(&'static str, Charset); 12] = [
        ("utf-8", Charset::Utf8),
        ("utf8", Charset::Utf8),
        ("unicode utf-8", Charset::Utf8),
        ("iso-8859-1", Charset::Latin1),
        ("iso8859-1", Charset::Latin1),
        ("iso_8859-1", Charset::Latin1),
        ("8859/1", Charset::Latin1),
        ("latin1", Charset::Latin1),
        ("ascii", Charset::Ascii),
        ("us-ascii", Charset::Ascii),
        ("usascii", Charset::Ascii),
        ("iso ir6", Charset::Ascii),
    ];
}

impl Scalar for CharsetName {
    const EXPECTED: &'static str = "a character set: utf-8, iso-8859-1 or ascii";

    fn read(text: &str) -> Result<Self, String> {
        let name = text.trim().to_ascii_lowercase();
        let known = Self::NAMES.iter().find(|known| known.0 == name);
        known
            .map(|known| Self(known.1))
            .ok_or_else(|| format!("expected {}", Self::EXPECTED))
    }

    fn schema() -> Schema {
        // Case does not matter to the bridge; an editor need only offer one spelling of each.
        let names: Vec<_> = Self::NAMES.iter().map(|known| json!(known.0)).collect();
        json_schema!({
            "type": "string",
            "anyOf": [{ "enum": names }, { "pattern": "[A-Z]" }],
            "x-type": "`utf-8`, `iso-8859-1` or `ascii`"
        })
    }
}

impl fmt::Display for CharsetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::NAMES.iter().find(|known| known.1 == self.0);
        f.write_str(known.map_or("utf-8", |known| known.0))
    }
}

impl Default for Url {
    /// The app next door.
    fn default() -> Self {
        let transport = crate::config::Transport::Http {
            host: "127.0.0.1".into(),
            port: 8080,
        };
        Self(AppUrl {
            transport,
            authority: "127.0.0.1:8080".into(),
            path: "/".into(),
            basic_auth: None,
        })
    }
}

impl Scalar for Url {
    const EXPECTED: &'static str = "a URL such as http://127.0.0.1:8080/ or unix:/run/app.sock";

    fn read(text: &str) -> Result<Self, String> {
        super::url::parse(text).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^(https?://|unix:/)", "x-type": "URL" })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> OrOff<T> {
    /// `None` for off.
    pub fn on(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

impl<T: Scalar> Scalar for OrOff<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(text: &str) -> Result<Self, String> {
        if text.trim().eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        T::read(text)
            .map(Self::On)
            .map_err(|why| format!("{why}, or off"))
    }

    fn read_number(text: &str) -> Result<Self, String> {
        T::read_number(text)
            .map(Self::On)
            .map_err(|why| format!("{why}, or off"))
    }

    fn read_false() -> Option<Self> {
        Some(Self::Off)
    }

    fn schema() -> Schema {
        let value = T::schema();
        let kind = value
            .get("x-type")
            .and_then(|kind| kind.as_str())
            .unwrap_or("text");
        let kind = format!("{kind} or `off`");
        json_schema!({ "anyOf": [value, { "enum": ["off", false] }], "x-type": kind })
    }
}

impl<T: fmt::Display> fmt::Display for OrOff<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On(value) => value.fmt(f),
        }
    }
}

/// Reads a [`TraceParent`], with `false` as `off`; see [`Scalar::read_false`].
pub(crate) fn false_as_off<'de, D: Deserializer<'de>>(from: D) -> Result<TraceParent, D::Error> {
    struct OffVisitor;

    impl Visitor<'_> for OffVisitor {
        type Value = TraceParent;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("sampled, unsampled or off")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<TraceParent, E> {
            TraceParent::deserialize(text.into_deserializer())
        }

        fn visit_bool<E: de::Error>(self, value: bool) -> Result<TraceParent, E> {
            if value {
                return Err(E::invalid_type(de::Unexpected::Bool(true), &self));
            }
            Ok(TraceParent::Off)
        }
    }

    from.deserialize_any(OffVisitor)
}

/// The same for the schema.
pub(crate) fn false_is_off(schema: &mut Schema) {
    let choices = schema
        .get_mut("oneOf")
        .and_then(|choices| choices.as_array_mut());
    if let Some(choices) = choices {
        choices.push(json!({ "const": false, "description": "The same as `off`." }));
    }
}
