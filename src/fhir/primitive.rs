//! FHIR's primitive types from v2 text: each value fits its type's rules, or is refused with a reason.

use super::date::{self, Zone};
use super::tree::Node;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// What a row's `as` can name beside data type maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Primitive {
    /// Text of the first component.
    String,
    /// Text with all its delimiters, and line breaks where the formatting commands say so.
    Text,
    /// A code: no blanks but single ones inside.
    Code,
    /// What a resource can be known by: up to 64 letters, digits, hyphens and points.
    Id,
    /// A URI.
    Uri,
    /// A date.
    Date,
    /// A date, with a time if there is one.
    DateTime,
    /// A date with a time.
    Instant,
    /// A time of day.
    Time,
    /// A number.
    Decimal,
    /// A whole number over 0.
    PositiveInt,
    /// A whole number.
    UnsignedInt,
    /// `true` or `false`, which a vocabulary made of the code.
    Boolean,
    /// Base64.
    Base64,
    /// Hexadecimal digits, which become Base64.
    Hex,
    /// Text, which becomes Base64.
    Encoded,
    /// The URI of a code system's name: `LN`, `HL70003`.
    CodeSystem,
    /// The URI of who assigned an identifier (HD).
    System,
    /// The same of an EI, whose second to fourth components are an HD.
    EntitySystem,
    /// The URI of all names that the sender uses, where a name itself is the identifier.
    Namespace,
}

/// Why a value was not used though a row reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// No date, or a day that does not exist.
    Date,
    /// A date where a time is needed.
    NoTime,
    /// No number, or one that is out of range.
    Number,
    /// Blanks where a code has none, or what an id cannot have.
    Code,
    /// No URI.
    Uri,
    /// No Base64 or hexadecimal digits.
    Encoding,
    /// Not in the vocabulary of an element that allows no other.
    Vocabulary,
    /// Not a code of the code system that it names.
    Table,
    /// The end of a period that is before its start, or may be.
    Period,
    /// FHIR allows one value, and another row or repetition has given it.
    Taken,
    /// A part that FHIR needs beside it is missing.
    Incomplete,
    /// Of what is there the message changes other elements (a status), and nothing else.
    Unchanged,
}

impl Refused {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Date => "not a date or time that exists",
            Self::NoTime => "a date without a time, where FHIR needs both",
            Self::Number => "not a number that FHIR's type allows",
            Self::Code => "not a code or an id as FHIR has them",
            Self::Uri => "not a URI",
            Self::Encoding => "not in the encoding that it names",
            Self::Vocabulary => "not in the vocabulary, and FHIR allows no other code",
            Self::Table => "not a code of the code system that it names",
            Self::Period => "not surely after the start of the period that it ends",
            Self::Taken => "FHIR has room for one value, and another was there first",
            Self::Incomplete => "without a part that FHIR needs beside it",
            Self::Unchanged => "not of what the message changes of something that is there",
        }
    }
}

impl Primitive {
    /// By the name in `as`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String,
            "text" | "markdown" => Self::Text,
            "code" => Self::Code,
            "id" => Self::Id,
            "uri" | "url" | "canonical" => Self::Uri,
            "date" => Self::Date,
            "dateTime" => Self::DateTime,
            "instant" => Self::Instant,
            "time" => Self::Time,
            "decimal" => Self::Decimal,
            "positiveInt" => Self::PositiveInt,
            "unsignedInt" => Self::UnsignedInt,
            "boolean" => Self::Boolean,
            "base64Binary" => Self::Base64,
            "base64-of-hex" => Self::Hex,
            "base64-of-text" => Self::Encoded,
            "code-system" => Self::CodeSystem,
            "system" => Self::System,
            "entity-system" => Self::EntitySystem,
            "namespace" => Self::Namespace,
            _ => return None,
        })
    }

    /// The value of `text`, which is neither empty nor has blanks around it.
    ///
    /// # Errors
    /// Why it does not fit.
    pub(super) fn of(self, text: Cow<'_, str>, zone: Zone) -> Result<Node<'_>, Refused> {
        let made = |text: String| Node::Text(Cow::Owned(text));
        match self {
            Self::String | Self::Text => Ok(Node::Text(text)),
            Self::Code if is_code(&text) => Ok(Node::Text(text)),
            Self::Id if is_id(&text) => Ok(Node::Text(text)),
            Self::Code | Self::Id => Err(Refused::Code),
            Self::Uri | Self::CodeSystem | Self::System | Self::EntitySystem | Self::Namespace => {
                match is_uri(&text) {
                    true => Ok(Node::Text(text)),
                    false => Err(Refused::Uri),
                }
            }
            Self::Date => {
                let moment = date::parse(&text).ok_or(Refused::Date)?;
                Ok(made(moment.date()))
            }
            Self::DateTime => {
                let moment = date::parse(&text).ok_or(Refused::Date)?;
                Ok(made(moment.date_time(zone)))
            }
            Self::Instant => {
                let moment = date::parse(&text).ok_or(Refused::Date)?;
                let instant = moment.instant(zone).ok_or(Refused::NoTime)?;
                Ok(made(instant))
            }
            Self::Time => date::time(&text).map(made).ok_or(Refused::Date),
            Self::Decimal => decimal(&text)
                .map(|digits| Node::Number(Cow::Owned(digits)))
                .ok_or(Refused::Number),
            Self::PositiveInt => whole(&text, 1).map(number).ok_or(Refused::Number),
            Self::UnsignedInt => whole(&text, 0).map(number).ok_or(Refused::Number),
            Self::Boolean => match &*text {
                "true" => Ok(Node::Bool(true)),
                "false" => Ok(Node::Bool(false)),
                _ => Err(Refused::Vocabulary),
            },
            Self::Base64 => base64(&text).map(made).ok_or(Refused::Encoding),
            Self::Hex => hex(&text).map(made).ok_or(Refused::Encoding),
            Self::Encoded => Ok(made(STANDARD.encode(text.as_bytes()))),
        }
    }
}

fn number<'t>(number: u32) -> Node<'t> {
    Node::Number(Cow::Owned(number.to_string()))
}

/// FHIR `code`.
pub fn is_code(text: &str) -> bool {
    let blanks = |c: char| c.is_whitespace();
    !text.is_empty()
        && !text.starts_with(blanks)
        && !text.ends_with(blanks)
        && !text.contains(|c: char| c.is_whitespace() && c != ' ')
        && !text.contains("  ")
}

/// FHIR `id`.
pub fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

/// FHIR `uri`, and one that names something: with a scheme, or at least nothing that has to be escaped.
pub fn is_uri(text: &str) -> bool {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    let scheme = text.split_once(':').is_some_and(|(scheme, rest)| {
        !rest.is_empty()
            // One letter is a drive, and capitals are no scheme to HL7's validator.
            && scheme.len() > 1
            && scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
            })
    });
    let lower = text.to_ascii_lowercase();
    // What claims to be an object identifier or a UUID has to be one, as servers see it.
    let claimed = match (
        lower.strip_prefix("urn:oid:"),
        lower.strip_prefix("urn:uuid:"),
    ) {
        (Some(oid), _) => text.starts_with("urn:oid:") && is_oid(oid),
        (_, Some(uuid)) => text == lower && is_uuid(uuid),
        _ => true,
    };
    plain && scheme && claimed
}

/// NM as FHIR's decimal: no plus sign, no leading zeros, digits on both sides of the point.
pub fn decimal(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0
        || whole.len() + fraction.len() > 18
        || !all_digits(whole)
        || !all_digits(fraction)
    {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(match fraction {
        "" => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction}"),
    })
}

fn whole(text: &str, least: u32) -> Option<u32> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let text = text.strip_suffix(".0").unwrap_or(text);
    let number: u32 = text.parse().ok()?;
    (least..=i32::MAX as u32)
        .contains(&number)
        .then_some(number)
}

fn base64(text: &str) -> Option<String> {
    let mut joined: String = text.split_ascii_whitespace().collect();
    // Some leave out the padding, which says nothing.
    while joined.len() % 4 > 1 {
        joined.push('=');
    }
    let decoded = STANDARD.decode(&joined);
    (!joined.is_empty() && decoded.is_ok()).then_some(joined)
}

fn hex(text: &str) -> Option<String> {
    let joined: String = text.split_ascii_whitespace().collect();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = joined.as_bytes().chunks(2).map(pair).collect();
    let bytes = bytes.filter(|bytes| !bytes.is_empty())?;
    Some(STANDARD.encode(bytes))
}

/// Whether a dotted number is an object identifier: an arc 0, 1 or 2, a second one that fits it, and three in all, since
/// shorter ones name nobody.
pub fn is_oid(text: &str) -> bool {
    let mut arcs = text.split('.');
    let number = |arc: Option<&str>| -> Option<u64> {
        let arc = arc?;
        let digits = !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit());
        let zeros = arc.len() > 1 && arc.starts_with('0');
        match digits && !zeros {
            true => Some(
                arc.get(..1)?
                    .parse::<u64>()
                    .ok()?
                    .max(arc.parse().unwrap_or(u64::MAX)),
            ),
            false => None,
        }
    };
    let first = number(arcs.next());
    let second = number(arcs.next());
    let fits = match (first, second) {
        (Some(0 | 1), Some(second)) => second < 40,
        (Some(2), Some(_)) => true,
        _ => false,
    };
    let rest: Vec<&str> = arcs.collect();
    // Three arcs are an organisation of the standard's examples, which validators take for a mistake.
    fits && rest.len() >= 2 && rest.into_iter().all(|arc| number(Some(arc)).is_some())
}

/// Whether it is a UUID with its hyphens.
pub fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.len() == 5
        && groups.iter().zip([8, 4, 4, 4, 12]).all(|(group, length)| {
            group.len() == length && group.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_fhirs_grammar() {
        for (v2, fhir) in [
            ("1", Some("1")),
            ("+1.50", Some("1.50")),
            ("-.5", Some("-0.5")),
            ("007", Some("7")),
            ("5.", Some("5")),
            ("0", Some("0")),
            ("1e5", None),
            (">5", None),
            (".", None),
            ("", None),
            ("1234567890123456789", None),
        ] {
            assert_eq!(decimal(v2).as_deref(), fhir, "{v2}");
        }
        assert_eq!(whole("3", 1), Some(3));
        assert_eq!(whole("0", 1), None);
        assert_eq!(whole("-1", 0), None);
        assert_eq!(whole("4294967295", 0), None);
    }

    #[test]
    fn documents_become_base64_of_one_spelling() {
        let zone = Zone(0);
        for (kind, v2, fhir) in [
            (Primitive::Base64, "aGk=", Some("aGk=")),
            (Primitive::Base64, "aGk", Some("aGk=")),
            (Primitive::Base64, "aG\nk=", Some("aGk=")),
            (Primitive::Base64, "aGk==", None),
            (Primitive::Base64, "a", None),
            (Primitive::Hex, "6869", Some("aGk=")),
            (Primitive::Hex, "4A 4b", Some("Sks=")),
            (Primitive::Hex, "686", None),
            (Primitive::Hex, "6x", None),
        ] {
            let made = kind.of(v2.into(), zone).ok();
            assert_eq!(made.as_ref().and_then(Node::as_text), fhir, "{v2}");
        }
    }

    #[test]
    fn identifiers_of_systems() {
        for good in ["2.16.840.1.113883.19.4.6", "1.2.840.10008", "0.39.1.2"] {
            assert!(is_oid(good), "{good}");
        }
        for bad in [
            "", "1.2", "1.2.3", "3.1.2.4", "1.40.1.2", "1.02.3.4", "2.16.x.1", "2.16..1",
        ] {
            assert!(!is_oid(bad), "{bad}");
        }
        assert!(is_uuid("550E8400-e29b-41d4-a716-446655440000"));
        assert!(!is_uuid("550e8400e29b41d4a716446655440000"));
        assert!(is_uri("urn:oid:1.2.3.4"));
        assert!(!is_uri("urn:oid:1.2.3"), "servers refuse short ones");
        assert!(is_uri("urn:uuid:c1bfa52f-4b3a-4b6e-9a55-6f3c3f4b7a10"));
        assert!(!is_uri("urn:uuid:C1BFA52F-4B3A-4B6E-9A55-6F3C3F4B7A10"));
        assert!(!is_uri("urn:uuid:5"));
        assert!(!is_uri("C:files"));
        assert!(!is_uri("NOTE:this"));
        assert!(!is_uri("no scheme"));
        assert!(!is_uri("x y:z"));
    }

    #[test]
    fn codes_have_no_stray_blanks() {
        assert!(is_code("A B"));
        assert!(!is_code("A  B"));
        assert!(!is_code(" A"));
        assert!(!is_code("A\tB"));
        assert!(!is_code(""));
    }
}
