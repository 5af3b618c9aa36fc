//! App URLs: `http://`, `https://` and `unix:`.
//!
//! Stricter than a browser on purpose. What is accepted goes onto the wire as it stands, in a
//! request line and a `Host` header, so nothing is repaired, re-encoded or guessed.
//!
//! Must not do: resolve names, or quote any part of the URL in an error; the caller shows the whole
//! value with its user info masked.

use std::net::Ipv6Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::{AppUrl, Secret, Transport};

/// Room for a path in `sockaddr_un`, without its final NUL.
const LONGEST_SOCKET_PATH: usize = 107;

const SCHEMES: &str = "expected http://…, https://… or unix:/path/to.sock";

/// Reads an app URL.
pub(super) fn parse(text: &str) -> Result<AppUrl, String> {
    if text.is_empty() {
        return Err(format!("empty; {SCHEMES}"));
    }
    check_bytes(text)?;
    if text.contains('#') {
        return Err(
            "a fragment (#…) is never sent to a server; remove it, or write # as %23".into(),
        );
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(format!("no scheme; {SCHEMES}"));
    };
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "http" | "https" => {
            let rest = rest
                .strip_prefix("//")
                .ok_or("expected // after the scheme")?;
            over_tcp(rest, scheme == "https")
        }
        // unix:///path is how some other tools write it.
        "unix" => over_socket(rest.strip_prefix("//").unwrap_or(rest)),
        _ => Err(SCHEMES.into()),
    }
}

/// Refuses what must not reach a request line, whatever part of the URL it is in.
fn check_bytes(text: &str) -> Result<(), String> {
    let bad = text.chars().find(|c| !c.is_ascii_graphic());
    match bad {
        Some(' ') => Err("contains a space; write it as %20".into()),
        Some(c) if c.is_control() => Err("contains a control character".into()),
        Some(c) => {
            let mut buffer = [0; 4];
            let bytes = c.encode_utf8(&mut buffer).bytes();
            let encoded: String = bytes.map(|b| format!("%{b:02X}")).collect();
            let host = "or in a host name by its xn-- form";
            Err(format!(
                "contains {c:?}, which is not ASCII; write it as {encoded}, {host}"
            ))
        }
        None => Ok(()),
    }
}

fn over_tcp(rest: &str, tls: bool) -> Result<AppUrl, String> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if !authority.contains('@') && target.contains('@') && authority.contains(':') {
        // http://user:pa/ss@host: the path would swallow half a password.
        let (_, port) = authority.rsplit_once(':').unwrap_or_default();
        if port.parse::<u16>().is_err() {
            return Err("a password with / or ? must have them written as %2F and %3F".into());
        }
    }
    let (user_info, host_port) = match authority.rsplit_once('@') {
        Some((user_info, host_port)) => (Some(user_info), host_port),
        None => (None, authority),
    };
    let (host, port) = host_and_port(host_port)?;
    let host = host.to_owned();
    let path = request_target(target)?;
    let transport = match (tls, port) {
        (false, port) => Transport::Http {
            host,
            port: port.unwrap_or(80),
        },
        (true, port) => Transport::Https {
            host,
            port: port.unwrap_or(443),
        },
    };
    let basic_auth = user_info.map(basic_auth).transpose()?;
    Ok(AppUrl {
        transport,
        authority: host_port.into(),
        path,
        basic_auth,
    })
}

fn host_and_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or("the [ before an IPv6 address has no ]")?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err("what is in brackets is not an IPv6 address".into());
        }
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err("expected a port or a path after ]".into()),
        }
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        if port.is_some_and(|port| port.contains(':')) {
            return Err("write an IPv6 address in brackets: http://[::1]:8080/".into());
        }
        check_host(host)?;
        (host, port)
    };
    let port = port.map(|port| match port.parse::<u16>() {
        // parse would take a sign.
        Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => Ok(number),
        _ => Err("the port must be a number from 1 to 65535".to_owned()),
    });
    Ok((host, port.transpose()?))
}

fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("no host".into());
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if host.len() > 253 || !host.bytes().all(plain) {
        return Err("the host must be a name or an IP address".into());
    }
    // A name that ends in a number is an IPv4 address or nothing (WHATWG URL, host parsing).
    let last = host
        .trim_end_matches('.')
        .rsplit('.')
        .next()
        .unwrap_or_default();
    let number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    if number && host.parse::<std::net::Ipv4Addr>().is_err() {
        return Err("the host is not a valid IPv4 address".into());
    }
    Ok(())
}

/// Path and query as they will be sent, with the leading `/` that a request line needs.
fn request_target(target: &str) -> Result<String, String> {
    check_percent(target)?;
    if target.starts_with('/') {
        Ok(target.into())
    } else {
        Ok(format!("/{target}"))
    }
}

fn check_percent(text: &str) -> Result<(), String> {
    let mut pieces = text.split('%');
    pieces.next();
    for piece in pieces {
        let digits = piece.bytes().take(2).filter(u8::is_ascii_hexdigit).count();
        if digits < 2 {
            return Err("a % must be followed by two hexadecimal digits; write % as %25".into());
        }
    }
    Ok(())
}

fn basic_auth(user_info: &str) -> Result<Secret, String> {
    check_percent(user_info)?;
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let decode = |text| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let (user, password) = (decode(user), decode(password));
    if user.contains(&b':') {
        return Err("a user name cannot contain a colon (RFC 7617)".into());
    }
    let pair = [user.as_slice(), b":", password.as_slice()].concat();
    if pair.iter().any(u8::is_ascii_control) {
        return Err("user and password cannot contain control characters (RFC 7617)".into());
    }
    Ok(Secret::new(format!("Basic {}", STANDARD.encode(pair))))
}

fn over_socket(rest: &str) -> Result<AppUrl, String> {
    let (socket, path) = match rest.split_once(":/") {
        Some((socket, path)) => (socket, format!("/{path}")),
        None => (rest, "/".to_owned()),
    };
    if !socket.starts_with('/') {
        return Err("expected an absolute path: unix:/path/to.sock".into());
    }
    if socket.len() > LONGEST_SOCKET_PATH {
        return Err(format!(
            "the socket's path is longer than {LONGEST_SOCKET_PATH} bytes"
        ));
    }
    if socket.ends_with(['/', ':']) {
        return Err("the socket's path must name a file; an HTTP path follows it as :/path".into());
    }
    Ok(AppUrl {
        transport: Transport::Unix {
            socket: socket.into(),
        },
        authority: "localhost".into(),
        path: request_target(&path)?,
        basic_auth: None,
    })
}
