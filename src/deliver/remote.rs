//! HTTPS, by reqwest: trust stores, TLS sessions and pooling matter more than microseconds where the app is not next door.

use super::response::{BEGINNING, Content, Response, retry_after};
use crate::config::AppUrl;
use crate::telemetry::labels::Attempt;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A pooled client; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
}

impl Client {
    /// A client with these bounds.
    ///
    /// # Errors
    /// If the system's trust store cannot be used.
    pub fn new(
        connect: Duration,
        idle: Duration,
        tls: Option<rustls::ClientConfig>,
    ) -> reqwest::Result<Self> {
        let builder = match tls {
            Some(tls) => reqwest::Client::builder().tls_backend_preconfigured(tls),
            None => reqwest::Client::builder(),
        };
        let inner = builder
            .connect_timeout(connect)
            .pool_idle_timeout(idle)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            // The app is where the configuration says, whatever the environment says of proxies.
            .no_proxy()
            .http1_only()
            .build()?;
        Ok(Self { inner })
    }

    /// One request and its answer. `head` is the text of an HTTP/1.1 head; `response` holds the answer's body after.
    ///
    /// # Errors
    /// Why nothing was settled.
    pub async fn exchange(
        &self,
        url: &AppUrl,
        head: &[u8],
        body: Vec<u8>,
        deadline: Instant,
        max_response: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<Response, Attempt> {
        let exchange = async {
            let request = self
                .inner
                .post(url.to_string())
                .headers(headers(head))
                .body(body);
            let mut answer = request.send().await.map_err(|error| classify(&error))?;
            let header = |name| answer.headers().get(name).map(HeaderValue::as_bytes);
            let mut response = Response {
                status: answer.status().as_u16(),
                content: header(CONTENT_TYPE).map_or(Content::Other, Content::of),
                retry_after: header(RETRY_AFTER).and_then(retry_after),
                reusable: true,
                cut: false,
            };
            while let Some(chunk) = answer.chunk().await.map_err(|error| classify(&error))? {
                if buffer.len() + chunk.len() > max_response {
                    buffer.extend_from_slice(&chunk[..chunk.len().min(BEGINNING)]);
                    buffer.truncate(BEGINNING);
                    response.cut = true;
                    break;
                }
                buffer.extend_from_slice(&chunk);
            }
            Ok(response)
        };
        timeout_at(deadline, exchange)
            .await
            .unwrap_or(Err(Attempt::Timeout))
    }
}

/// The head's lines, without those that the client writes itself.
fn headers(head: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"host") || name.eq_ignore_ascii_case(b"content-length") {
            continue;
        }
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            map.append(name, value);
        }
    }
    map
}

fn classify(error: &reqwest::Error) -> Attempt {
    use std::io::ErrorKind;
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = source {
        if inner.is::<rustls::Error>() {
            return Attempt::Tls;
        }
        let io = inner.downcast_ref::<std::io::Error>();
        match io.map(std::io::Error::kind) {
            Some(ErrorKind::ConnectionRefused) => return Attempt::Refused,
            Some(ErrorKind::ConnectionReset) => return Attempt::Reset,
            // The connection is there: what ended is the handshake.
            Some(ErrorKind::UnexpectedEof) if error.is_connect() => return Attempt::Tls,
            _ => {}
        }
        // An I/O error's source is not what it wraps, but the source of that; and TLS errors are wrapped twice.
        source = match io.and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => inner.source(),
        };
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => Attempt::ConnectTimeout,
        (true, false) => Attempt::Dns,
        (false, true) => Attempt::Timeout,
        (false, false) => Attempt::Reset,
    }
}
