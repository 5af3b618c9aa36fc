//! Names and addresses.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::{Scalar, ScalarVisitor};
use crate::config::{AppUrl, Charset, Transport};

/// IP address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

/// A machine and a port: `ehr.example:6661`, `10.1.0.10:6661`, `[fd00::1]:6661`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort(pub String);

/// An IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpText(pub IpAddr);

/// Text, which may look like a number (`2.5`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub String);

/// A character set by any of its usual names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CharsetName(pub Charset);

/// The URL of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url(pub AppUrl);

scalar!(Address);
scalar!(HostPort);
scalar!(IpText);
scalar!(Text);
scalar!(CharsetName);
scalar!(Url);

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

impl Scalar for HostPort {
    const EXPECTED: &'static str = "a name or an IP address and a port, such as ehr.example:6661";

    fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let split = text.rsplit_once(':');
        let parts = split.filter(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
        let is_host = |host: &str| match host.strip_prefix('[') {
            Some(rest) => rest
                .strip_suffix(']')
                .is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok()),
            None => is_host_name(host),
        };
        match parts {
            Some((host, _)) if is_host(host) => Ok(Self(text.to_owned())),
            _ => Err(format!("expected {}", Self::EXPECTED)),
        }
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^.+:[0-9]{1,5}$", "x-type": "host and port" })
    }
}

/// Letters, digits, hyphens, dots and underscores, as names in DNS and addresses of IPv4 are written.
fn is_host_name(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(allowed)
        && !host.starts_with(['.', '-'])
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for IpText {
    const EXPECTED: &'static str = "an IP address such as 10.1.0.5";

    fn read(text: &str) -> Result<Self, String> {
        let read = text.trim().parse().map(Self);
        read.map_err(|_| format!("expected {}", Self::EXPECTED))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "x-type": "IP address" })
    }
}

impl fmt::Display for IpText {
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
    /// As it is written: in lower case.
    fn written(charset: Charset) -> String {
        charset.name().to_ascii_lowercase()
    }
}

impl Scalar for CharsetName {
    const EXPECTED: &'static str =
        "a character set, like utf-8, iso-8859-1 or big5 (docs/charsets.md has them all)";

    fn read(text: &str) -> Result<Self, String> {
        Charset::by_name(text)
            .map(|(charset, _)| Self(charset))
            .ok_or_else(|| format!("expected {}", Self::EXPECTED))
    }

    fn schema() -> Schema {
        // Case does not matter to the bridge; an editor need only offer one spelling of each.
        let names: Vec<_> = Charset::all().map(Self::written).collect();
        json_schema!({
            "type": "string",
            "anyOf": [{ "enum": names }, { "pattern": "[A-Z/ _]|^[a-z]*[0-9]+$" }],
            "x-type": "`utf-8`, `iso-8859-1` …, [each of these](charsets.md)"
        })
    }
}

impl fmt::Display for CharsetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::written(self.0))
    }
}

impl Default for Url {
    /// The app next door.
    fn default() -> Self {
        let transport = Transport::Http {
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
        super::super::url::parse(text).map(Self)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in ["0.0.0.0:2575", "[::]:2575", "127.0.0.1:0"] {
            assert_eq!(
                Address::read(text).map(|address| address.to_string()),
                Ok(text.into())
            );
        }
        for (text, why) in [
            (":2575", "did you mean 0.0.0.0:2575?"),
            ("2575", "did you mean 0.0.0.0:2575?"),
            ("localhost:2575", "did you mean 127.0.0.1:2575?"),
            ("0.0.0.0", "expected an IP address and a port"),
            ("::1:2575x", "expected an IP address and a port"),
            ("0.0.0.0:99999", "expected an IP address and a port"),
            ("", "expected an IP address and a port"),
        ] {
            let message = Address::read(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
    }

    #[test]
    fn character_sets() {
        for (text, expected, written) in [
            ("utf-8", Charset::Utf8, "utf-8"),
            ("UNICODE UTF-8", Charset::Utf8, "utf-8"),
            ("ISO-8859-1", Charset::Latin1, "iso-8859-1"),
            ("8859/1", Charset::Latin1, "iso-8859-1"),
            ("ASCII", Charset::Ascii, "ascii"),
        ] {
            let name = CharsetName::read(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(name.0, expected, "{text}");
            assert_eq!(name.to_string(), written, "{text}");
        }
        assert!(CharsetName::read("ebcdic").is_err());
    }
}
