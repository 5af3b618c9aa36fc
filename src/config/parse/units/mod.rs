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

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::json;

use super::error::shown;
use crate::config::TraceParent;

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

mod name;
mod quantity;

pub use name::{Address, CharsetName, HostPort, IpText, Text, Url};
pub use quantity::{ByteSize, ControlByte, Period};

/// A value, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrOff<T> {
    /// Turned off.
    Off,
    /// The value.
    On(T),
}

scalar!(OrOff<T>);

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
