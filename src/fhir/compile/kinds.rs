//! FHIR's primitive types: which constants are of them, and which of ours become them.

use crate::fhir::primitive::{Primitive, is_code, is_id};
use serde_json::Value;

/// Whether a constant is what JSON has for a primitive.
pub(super) fn is_of(kind: &str, value: &Value) -> bool {
    match (kind, value) {
        ("boolean", value) => value.is_boolean(),
        ("integer", value) => value.is_i64(),
        ("unsignedInt", value) => value.is_u64(),
        ("positiveInt", value) => value.as_u64().is_some_and(|number| number > 0),
        ("decimal", value) => value.is_number(),
        ("code", Value::String(text)) => is_code(text),
        ("id", Value::String(text)) => is_id(text),
        // One may be relative: the type of a reference is.
        ("uri" | "url" | "canonical" | "oid" | "uuid", Value::String(text)) => {
            !text.contains(char::is_whitespace)
        }
        (_, value) => value.is_string(),
    }
}

/// Whether each value of a primitive of ours is one of FHIR's.
pub(super) fn makes(made: Primitive, kind: &str) -> bool {
    let fits: &[&str] = match made {
        Primitive::String | Primitive::Text => &["string", "markdown"],
        Primitive::Code => &["code", "string", "markdown"],
        Primitive::Id => &["id", "code", "string", "markdown"],
        Primitive::Uri
        | Primitive::CodeSystem
        | Primitive::System
        | Primitive::EntitySystem
        | Primitive::Namespace => &["uri", "url", "canonical", "string", "markdown"],
        Primitive::Date => &["date", "dateTime", "string"],
        Primitive::DateTime => &["dateTime", "string"],
        Primitive::Instant => &["instant", "dateTime", "string"],
        Primitive::Time => &["time", "string"],
        Primitive::Decimal => &["decimal"],
        Primitive::PositiveInt => &["positiveInt", "unsignedInt", "integer", "decimal"],
        Primitive::UnsignedInt => &["unsignedInt", "integer", "decimal"],
        Primitive::Boolean => &["boolean"],
        Primitive::Base64 | Primitive::Hex | Primitive::Encoded => &["base64Binary"],
    };
    fits.contains(&kind)
}
