//! The Secret that all replicas share, as JSON.
//!
//! | key | |
//! | --- | --- |
//! | `ca.crt`, `ca.key` | the CA that signs |
//! | `next.crt`, `next.key` | the one that will, during a rotation |
//! | `previous.crt`, `previous.until` | what is still trusted, and until when (RFC 3339) |
//!
//! Other keys and everything else in the Secret stay as they are.

use super::plan::Authorities;
use super::x509::{self, Authority, Certificate, Unix};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const KEYS: [&str; 6] = [
    "ca.crt",
    "ca.key",
    "next.crt",
    "next.key",
    "previous.crt",
    "previous.until",
];

/// What the Secret holds, and what of it cannot be used. That counts as missing, so that it is made anew.
pub fn read(secret: &Value) -> (Authorities, Vec<String>) {
    let data = &secret["data"];
    let mut faults = Vec::new();
    let mut authorities = Authorities {
        current: authority(data, "ca", &mut faults),
        next: authority(data, "next", &mut faults),
        ..Authorities::default()
    };
    if let Some((previous, until)) = previous(data, &mut faults) {
        (authorities.previous, authorities.previous_until) = (previous, until);
    }
    (authorities, faults)
}

fn authority(data: &Value, name: &str, faults: &mut Vec<String>) -> Option<Authority> {
    let certificate = entry(data, &format!("{name}.crt"))?;
    let key = entry(data, &format!("{name}.key")).unwrap_or_default();
    let key = String::from_utf8(key).unwrap_or_default();
    match Authority::read(&certificate, &key) {
        Ok(authority) => Some(authority),
        Err(error) => {
            faults.push(format!("{name}.crt and {name}.key: {error}"));
            None
        }
    }
}

fn previous(data: &Value, faults: &mut Vec<String>) -> Option<(Vec<Certificate>, Unix)> {
    let pem = entry(data, "previous.crt")?;
    let until = entry(data, "previous.until").unwrap_or_default();
    let until = std::str::from_utf8(&until)
        .unwrap_or_default()
        .trim()
        .parse();
    match (x509::bundle(&pem), until) {
        (Ok(previous), Ok(until)) => {
            let until: jiff::Timestamp = until;
            Some((previous, until.as_second()))
        }
        (Err(error), _) => {
            faults.push(format!("previous.crt: {error}"));
            None
        }
        (_, Err(_)) => {
            faults.push("previous.until: not a time".into());
            None
        }
    }
}

/// One decoded value; empty ones count as missing.
fn entry(data: &Value, key: &str) -> Option<Vec<u8>> {
    let decoded = STANDARD.decode(data[key].as_str()?).ok()?;
    (!decoded.is_empty()).then_some(decoded)
}

/// The Secret with these in it.
pub fn write(secret: &Value, authorities: &Authorities) -> Value {
    let mut secret = secret.clone();
    if !secret["data"].is_object() {
        secret["data"] = json!({});
    }
    let mut values: [Option<String>; KEYS.len()] = Default::default();
    for (at, authority) in [&authorities.current, &authorities.next]
        .into_iter()
        .enumerate()
    {
        if let Some(authority) = authority {
            values[2 * at] = Some(x509::pem([&authority.certificate]));
            values[2 * at + 1] = Some(authority.key.pem().to_owned());
        }
    }
    if !authorities.previous.is_empty() {
        values[4] = Some(x509::pem(&authorities.previous));
        let until = jiff::Timestamp::from_second(authorities.previous_until);
        values[5] = until.ok().map(|until| until.to_string());
    }
    if let Some(data) = secret["data"].as_object_mut() {
        for (key, value) in KEYS.into_iter().zip(values) {
            match value {
                Some(value) => data.insert(key.into(), STANDARD.encode(value).into()),
                None => data.shift_remove(key),
            };
        }
    }
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Unix = 1_795_000_000;

    fn made() -> Authorities {
        Authorities {
            current: Some(Authority::make(NOW, NOW + 100).unwrap()),
            next: Some(Authority::make(NOW, NOW + 200).unwrap()),
            previous: vec![
                Authority::make(NOW, NOW + 50).unwrap().certificate,
                Authority::make(NOW, NOW + 60).unwrap().certificate,
            ],
            previous_until: NOW + 42,
        }
    }

    #[test]
    fn there_and_back() {
        let empty = json!({"metadata": {"name": "ca", "resourceVersion": "7"}, "type": "Opaque"});
        assert_eq!(read(&empty), (Authorities::default(), vec![]));
        let full = write(&empty, &made());
        let (read_back, faults) = read(&full);
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(read_back.previous_until, NOW + 42);
        assert_eq!(read_back.previous.len(), 2);
        assert_eq!(write(&full, &read_back), full);
        assert_eq!(full["metadata"], empty["metadata"]);
        let emptied = write(&full, &Authorities::default());
        assert_eq!(emptied["data"], json!({}));
    }

    #[test]
    fn foreign_keys_stay() {
        let foreign = json!({"data": {"tls.crt": "AAAA"}});
        let full = write(&foreign, &made());
        assert_eq!(full["data"]["tls.crt"], "AAAA");
        assert_eq!(write(&full, &Authorities::default()), foreign);
    }

    #[test]
    fn what_cannot_be_used_is_named_and_counts_as_missing() {
        let full = write(&json!({}), &made());
        for (key, value, expected) in [
            (
                "ca.key",
                json!(full["data"]["next.key"]),
                "ca.crt and ca.key",
            ),
            ("ca.key", json!(null), "ca.crt and ca.key"),
            ("next.crt", json!("AAAA"), "next.crt and next.key"),
            ("previous.until", json!("AAAA"), "previous.until"),
            ("previous.until", json!(null), "previous.until"),
        ] {
            let mut broken = full.clone();
            broken["data"][key] = value;
            let (authorities, faults) = read(&broken);
            assert_eq!(faults.len(), 1, "{key}: {faults:?}");
            assert!(faults[0].starts_with(expected), "{key}: {faults:?}");
            assert!(!faults[0].contains("PRIVATE"), "{faults:?}");
            match key {
                "ca.key" => assert!(authorities.current.is_none()),
                "next.crt" => assert!(authorities.next.is_none()),
                _ => assert!(authorities.previous.is_empty()),
            }
        }
    }
}
