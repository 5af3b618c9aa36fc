//! The app's answer: reading an HTTP/1.1 response from a stream, up to a bound.

use super::chunked::Chunked;
use crate::telemetry::labels::Attempt;
use socket2::SockRef;
use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncReadExt};

/// More headers than this, or a longer head, is not an answer of an app.
const MAX_HEADERS: usize = 100;
/// What is kept of a body that is too long: enough to tell HL7 and JSON from anything else.
pub const BEGINNING: usize = 64;
const MAX_HEAD: usize = 64 * 1024;

/// One answer. Its body is what the buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// What the body is.
    pub content: Content,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The connection can carry another request.
    pub reusable: bool,
    /// The body was longer than the bound; only its [beginning](BEGINNING) is there.
    pub cut: bool,
}

/// Content types that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// `application/problem+json`, `application/json`, `application/fhir+json` …
    Json,
    /// `application/hl7-v2` and its relatives.
    Hl7,
    /// Anything else, or nothing said.
    Other,
}

impl Content {
    /// Of a `Content-Type` value.
    pub fn of(value: &[u8]) -> Self {
        let essence = value
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        let essence = essence.to_ascii_lowercase();
        match essence.as_slice() {
            b"application/hl7-v2"
            | b"x-application/hl7-v2+er7"
            | b"application/hl7-v2+er7"
            | b"text/hl7v2"
            | b"application/hl7-v2+xml"
            | b"application/hl7-v3+xml" => Self::Hl7,
            other if other == b"application/json" || other.ends_with(b"+json") => Self::Json,
            _ => Self::Other,
        }
    }
}

/// Where an answer comes from.
pub trait Source: AsyncRead + Unpin {
    /// Acknowledges what has come at once.
    ///
    /// Many apps write an answer's head and its body one by one. Their kernel holds the second back until the first is
    /// acknowledged (Nagle), and ours waits 40 ms with that in the hope of data to send along.
    fn hurry(&self) {}
}

impl Source for &[u8] {}

impl Source for tokio::net::tcp::ReadHalf<'_> {
    fn hurry(&self) {
        // Where it fails, the answer is slower, and nothing else.
        let _ = SockRef::from(self.as_ref()).set_tcp_quickack(true);
    }
}

impl Source for tokio::net::unix::ReadHalf<'_> {}

/// Where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    /// With the connection.
    Close,
}

struct Head {
    response: Response,
    framing: Framing,
    bytes: usize,
}

/// Reads one response. `buffer` is empty before and holds the body after.
///
/// # Errors
/// `Reset` if the connection ends early, `Garbage` if it is not HTTP.
pub async fn read<S: Source>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    max_body: usize,
) -> Result<Response, Attempt> {
    let head = loop {
        match parse_head(buffer)? {
            // 1xx: the answer is still to come.
            Some(head) if head.response.status < 200 && head.response.status != 101 => {
                buffer.drain(..head.bytes);
            }
            Some(head) => break head,
            None if buffer.len() > MAX_HEAD => return Err(Attempt::Garbage),
            None => fill(stream, buffer, true).await?,
        }
    };
    buffer.drain(..head.bytes);
    let mut response = head.response;
    match head.framing {
        Framing::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > max_body {
                return Ok(cut(response, buffer));
            }
            if buffer.len() < length {
                stream.hurry();
            }
            while buffer.len() < length {
                fill(stream, buffer, true).await?;
            }
            // Bytes that nobody asked for could be taken for the next answer.
            response.reusable &= buffer.len() == length;
            buffer.truncate(length);
        }
        Framing::Chunked => {
            let mut chunked = Chunked::default();
            loop {
                let used = chunked.decode(buffer).map_err(|_| Attempt::Garbage)?;
                if chunked.body_len() > max_body {
                    return Ok(cut(response, buffer));
                }
                if let Some(rest) = used {
                    response.reusable &= rest == 0;
                    break;
                }
                stream.hurry();
                fill(stream, buffer, true).await?;
            }
        }
        Framing::Close => {
            response.reusable = false;
            let mut before = buffer.len();
            loop {
                if buffer.len() > max_body {
                    return Ok(cut(response, buffer));
                }
                fill(stream, buffer, false).await?;
                if buffer.len() == before {
                    break;
                }
                before = buffer.len();
            }
        }
    }
    Ok(response)
}

fn cut(response: Response, buffer: &mut Vec<u8>) -> Response {
    buffer.truncate(BEGINNING);
    Response {
        reusable: false,
        cut: true,
        ..response
    }
}

/// One read. Its end is an error where more must come.
async fn fill<S: Source>(stream: &mut S, buffer: &mut Vec<u8>, must: bool) -> Result<(), Attempt> {
    if buffer.capacity() - buffer.len() < 1024 {
        buffer.reserve(4096);
    }
    match stream.read_buf(buffer).await {
        Ok(0) if must => Err(Attempt::Reset),
        Ok(_) => Ok(()),
        Err(_) => Err(Attempt::Reset),
    }
}

fn parse_head(buffer: &[u8]) -> Result<Option<Head>, Attempt> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        buffer,
        &mut headers,
    );
    let bytes = match status {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Attempt::Garbage),
    };
    let status = parsed.code.ok_or(Attempt::Garbage)?;
    let mut response = Response {
        status,
        content: Content::Other,
        retry_after: None,
        reusable: parsed.version == Some(1),
        cut: false,
    };
    let mut length = None;
    let mut chunked = false;
    for header in parsed.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let value = header.value.trim_ascii();
        // By length first: this runs for every header of every answer.
        match header.name.len() {
            14 if is("content-length") => {
                let this = parse_length(value)?;
                if length.replace(this).is_some_and(|other| other != this) {
                    return Err(Attempt::Garbage);
                }
            }
            17 if is("transfer-encoding") => {
                chunked = value.to_ascii_lowercase().ends_with(b"chunked");
                if !chunked {
                    return Err(Attempt::Garbage);
                }
            }
            10 if is("connection") => {
                let value = value.to_ascii_lowercase();
                let mut tokens = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                match response.reusable {
                    true => response.reusable = !tokens.any(|token| token == b"close"),
                    false => response.reusable = tokens.any(|token| token == b"keep-alive"),
                }
            }
            12 if is("content-type") => response.content = Content::of(value),
            11 if is("retry-after") => response.retry_after = retry_after(value),
            _ => {}
        }
    }
    // After 101 it speaks something else, and two lengths are two opinions of where the answer ends.
    response.reusable &= status != 101 && !(chunked && length.is_some());
    let framing = match (status, chunked, length) {
        (204 | 304, _, _) | (100..200, _, _) => Framing::Length(0),
        (_, true, _) => Framing::Chunked,
        (_, false, Some(length)) => Framing::Length(length),
        (_, false, None) => Framing::Close,
    };
    Ok(Some(Head {
        response,
        framing,
        bytes,
    }))
}

fn parse_length(value: &[u8]) -> Result<u64, Attempt> {
    let digits = value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits);
    text.and_then(|text| text.parse().ok())
        .ok_or(Attempt::Garbage)
}

/// Seconds, or a date.
pub fn retry_after(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn response(wire: &[u8], max: usize) -> Result<(Response, String), Attempt> {
        let mut buffer = Vec::new();
        let response = read(&mut &wire[..], &mut buffer, max).await?;
        Ok((response, String::from_utf8_lossy(&buffer).into_owned()))
    }

    #[tokio::test]
    async fn bodies_end_where_http_says() {
        for (wire, status, body, reusable, cut) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                200,
                "ok",
                true,
                false,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true, false),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n",
                200,
                "",
                true,
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1;x=y\r\n!\r\n0\r\nA: b\r\n\r\n",
                200,
                "ok!",
                true,
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
                200,
                "ok",
                false,
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\nuntil the end",
                200,
                "until the end",
                false,
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                200,
                "",
                false,
                false,
            ),
            (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
                101,
                "",
                false,
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
                200,
                "ok",
                false,
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
                200,
                "ok",
                true,
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
                200,
                "ok",
                false,
                false,
            ),
            (
                "HTTP/1.1 503 No\r\nContent-Length: 99\r\n\r\n",
                503,
                "",
                false,
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n",
                200,
                "",
                false,
                true,
            ),
        ] {
            let (found, text) = response(wire.as_bytes(), 20)
                .await
                .unwrap_or_else(|e| panic!("{e:?}: {wire:?}"));
            assert_eq!(
                (found.status, text.as_str(), found.reusable, found.cut),
                (status, body, reusable, cut),
                "{wire:?}"
            );
        }
        for (wire, error) in [
            ("", Attempt::Reset),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
                Attempt::Reset,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
                Attempt::Garbage,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                Attempt::Garbage,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                Attempt::Garbage,
            ),
            ("SSH-2.0-OpenSSH_9.2\r\n", Attempt::Garbage),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                Attempt::Garbage,
            ),
        ] {
            assert_eq!(response(wire.as_bytes(), 20).await, Err(error), "{wire:?}");
        }
    }

    #[tokio::test]
    async fn headers_that_matter() {
        let wire = "HTTP/1.1 503 x\r\ncontent-length: 0\r\nRETRY-AFTER: 7\r\nContent-Type: application/problem+json; charset=utf-8\r\n\r\n";
        let (found, _) = response(wire.as_bytes(), 9).await.unwrap();
        assert_eq!(
            (found.retry_after, found.content),
            (Some(Duration::from_secs(7)), Content::Json)
        );
        assert_eq!(
            retry_after(b"Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::ZERO),
            "a date that is past"
        );
        assert_eq!(retry_after(b"soon"), None);
        assert_eq!(
            Content::of(b"x-application/hl7-v2+er7; charset=utf-8"),
            Content::Hl7
        );
    }
}
