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

#[cfg(test)]
mod tests {
    use super::*;

    fn http(host: &str, port: u16) -> Transport {
        Transport::Http {
            host: host.into(),
            port,
        }
    }

    fn https(host: &str, port: u16) -> Transport {
        Transport::Https {
            host: host.into(),
            port,
        }
    }

    fn unix(socket: &str) -> Transport {
        Transport::Unix {
            socket: socket.into(),
        }
    }

    #[test]
    fn accepted() {
        for (text, transport, authority, path) in [
            (
                "http://127.0.0.1:8080/",
                http("127.0.0.1", 8080),
                "127.0.0.1:8080",
                "/",
            ),
            ("http://app", http("app", 80), "app", "/"),
            (
                "HTTP://App_1.local./x",
                http("App_1.local.", 80),
                "App_1.local.",
                "/x",
            ),
            (
                "http://app?q=1&r=%20",
                http("app", 80),
                "app",
                "/?q=1&r=%20",
            ),
            (
                "http://app/a/../b?c/d",
                http("app", 80),
                "app",
                "/a/../b?c/d",
            ),
            ("http://app/mail@x", http("app", 80), "app", "/mail@x"),
            (
                "http://app:8080/mail@x",
                http("app", 8080),
                "app:8080",
                "/mail@x",
            ),
            ("http://[::1]:81/", http("::1", 81), "[::1]:81", "/"),
            ("http://[fd00::1]", http("fd00::1", 80), "[fd00::1]", "/"),
            ("https://app:8443/x", https("app", 8443), "app:8443", "/x"),
            ("https://app", https("app", 443), "app", "/"),
            (
                "unix:/run/app.sock",
                unix("/run/app.sock"),
                "localhost",
                "/",
            ),
            (
                "unix:///run/app.sock",
                unix("/run/app.sock"),
                "localhost",
                "/",
            ),
            (
                "unix:/run/app.sock:/hl7?x=1",
                unix("/run/app.sock"),
                "localhost",
                "/hl7?x=1",
            ),
            (
                "unix:/run/a:b.sock:/",
                unix("/run/a:b.sock"),
                "localhost",
                "/",
            ),
        ] {
            let url = parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(url.transport, transport, "{text}");
            assert_eq!(url.authority, authority, "{text}");
            assert_eq!(url.path, path, "{text}");
            assert_eq!(url.basic_auth, None, "{text}");
        }
    }

    #[test]
    fn user_info_becomes_basic_authentication() {
        for (text, pair) in [
            ("http://bob:secret@app/x", "bob:secret"),
            ("http://bob@app/x", "bob:"),
            ("http://bob:a:b@app/x", "bob:a:b"),
            ("http://bob:p%40%2F%C3%A9@app/x", "bob:p@/é"),
            ("http://bob:p@q@app/x", "bob:p@q"),
        ] {
            let url = parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            let header = url.basic_auth.expect("authentication");
            assert_eq!(
                header.expose(),
                format!("Basic {}", STANDARD.encode(pair)),
                "{text}"
            );
            assert_eq!(
                url.authority, "app",
                "{text}: the Host header has no user info"
            );
        }
    }

    #[test]
    fn refused() {
        let long = format!("unix:/{}", "x".repeat(LONGEST_SOCKET_PATH));
        for (text, why) in [
            ("", "empty"),
            ("app", "no scheme"),
            ("127.0.0.1:8080", "expected http://"),
            ("localhost:8080", "expected http://"),
            ("ftp://app/", "expected http://"),
            ("tcp://app:1/", "expected http://"),
            ("http:app", "expected //"),
            ("http://", "no host"),
            ("http://:80/", "no host"),
            ("http:///x", "no host"),
            ("http://app:0/", "1 to 65535"),
            ("http://app:65536/", "1 to 65535"),
            ("http://app:/", "1 to 65535"),
            ("http://app:+80/", "1 to 65535"),
            ("http://app:8o/", "1 to 65535"),
            ("http://::1/", "in brackets"),
            ("http://[::1/", "has no ]"),
            ("http://[::g]/", "not an IPv6 address"),
            ("http://[fe80::1%25eth0]/", "not an IPv6 address"),
            ("http://[::1]80/", "after ]"),
            ("http://a,b/", "a name or an IP address"),
            ("http://a%2Fb/", "a name or an IP address"),
            ("http://300.1.1.1/", "not a valid IPv4"),
            ("http://127.1/", "not a valid IPv4"),
            ("http://app/x y", "%20"),
            ("http://app/x\r\nHost: evil", "control character"),
            ("http://app/\0", "control character"),
            ("http://app/é", "%C3%A9"),
            ("http://käse/", "xn--"),
            ("http://app/x#part", "fragment"),
            ("http://app/100%", "%25"),
            ("http://app/%zz", "%25"),
            ("http://bob:100%@app/", "%25"),
            ("http://bob:a/b@app/", "%2F"),
            ("http://bo%3Ab:x@app/", "colon"),
            ("http://bob:%0A@app/", "control characters"),
            ("unix:run/app.sock", "absolute path"),
            ("unix:", "absolute path"),
            ("unix:/", "name a file"),
            ("unix:/run/", "name a file"),
            (&long, "longer than 107"),
        ] {
            match parse(text) {
                Ok(url) => panic!("{text} was read as {url:?}"),
                Err(message) => assert!(message.contains(why), "{text}: {message}"),
            }
        }
    }
}
