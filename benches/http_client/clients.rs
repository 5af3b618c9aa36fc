//! The clients that are compared: each POSTs in a loop on one connection, or on one pool for all.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;

use anyhow::{Context, Result, anyhow, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const BODY_BYTES: usize = 2500;
/// What the bridge sends along with an envelope.
const HEADERS: [(&str, &str); 5] = [
    ("content-type", "application/cloudevents+json"),
    (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    ("x-hl7-control-id", "MSG00001"),
    ("x-forwarded-for", "10.1.0.10"),
    ("idempotency-key", "MSG00001-9f2c41d8a07b6e35"),
];

/// What a client's connections share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) answered: AtomicU64,
    pub(crate) stop: AtomicBool,
}

impl Shared {
    /// Counts an answer; false when it is time to end.
    fn go_on(&self) -> bool {
        self.answered.fetch_add(1, Ordering::Relaxed);
        !self.stop.load(Ordering::Relaxed)
    }
}

fn body() -> Bytes {
    Bytes::from(vec![b'x'; BODY_BYTES])
}

pub(crate) async fn with_reqwest(
    client: reqwest::Client,
    app: SocketAddr,
    shared: Arc<Shared>,
) -> Result<()> {
    let (url, body) = (format!("http://{app}/hl7"), body());
    loop {
        let mut request = client.post(&url).body(body.clone());
        for (name, value) in HEADERS {
            request = request.header(name, value);
        }
        let response = request.send().await?;
        ensure!(response.status() == 200, "{}", response.status());
        response.bytes().await?;
        if !shared.go_on() {
            return Ok(());
        }
    }
}

fn hyper_request(app: &str, body: &Bytes) -> Result<hyper::Request<Full<Bytes>>> {
    let mut request = hyper::Request::post("/hl7").header("host", app);
    for (name, value) in HEADERS {
        request = request.header(name, value);
    }
    Ok(request.body(Full::new(body.clone()))?)
}

async fn connect(app: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(app).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(crate) async fn with_hyper_spawned(app: SocketAddr, shared: Arc<Shared>) -> Result<()> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(connect(app).await?)).await?;
    tokio::spawn(connection);
    let (host, body) = (app.to_string(), body());
    loop {
        sender.ready().await?;
        let response = sender.send_request(hyper_request(&host, &body)?).await?;
        ensure!(response.status() == 200, "{}", response.status());
        response.into_body().collect().await?;
        if !shared.go_on() {
            return Ok(());
        }
    }
}

pub(crate) async fn with_hyper_inline(app: SocketAddr, shared: Arc<Shared>) -> Result<()> {
    let (mut sender, mut connection) = http1::handshake(TokioIo::new(connect(app).await?)).await?;
    let (host, body) = (app.to_string(), body());
    loop {
        let request = hyper_request(&host, &body)?;
        let exchange = async {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            ensure!(response.status() == 200, "{}", response.status());
            response.into_body().collect().await?;
            Ok(())
        };
        alongside(&mut connection, exchange).await?;
        if !shared.go_on() {
            return Ok(());
        }
    }
}

/// Polls `exchange` and the connection that carries it in one task, without a wake-up between them.
async fn alongside(
    connection: &mut (impl Future<Output = hyper::Result<()>> + Unpin),
    exchange: impl Future<Output = Result<()>>,
) -> Result<()> {
    let mut exchange = pin!(exchange);
    poll_fn(|context| {
        // The exchange hands over the request, the connection writes it or reads the answer, and
        // the exchange takes that: all in one poll.
        if let Poll::Ready(result) = exchange.as_mut().poll(context) {
            return Poll::Ready(result);
        }
        if let Poll::Ready(ended) = Pin::new(&mut *connection).poll(context) {
            ended?;
            return Poll::Ready(Err(anyhow!("the app closed the connection")));
        }
        exchange.as_mut().poll(context)
    })
    .await
}

pub(crate) async fn by_hand(app: SocketAddr, shared: Arc<Shared>) -> Result<()> {
    let mut stream = connect(app).await?;
    let (host, body) = (app.to_string(), body());
    let (mut request, mut answer) = (Vec::new(), vec![0; 8 * 1024]);
    loop {
        // Rendered anew each time, as the headers of a real message would be.
        request.clear();
        request.extend_from_slice(b"POST /hl7 HTTP/1.1\r\nhost: ");
        request.extend_from_slice(host.as_bytes());
        for (name, value) in HEADERS {
            request.extend_from_slice(b"\r\n");
            request.extend_from_slice(name.as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value.as_bytes());
        }
        request.extend_from_slice(b"\r\ncontent-length: ");
        request.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
        request.extend_from_slice(b"\r\n\r\n");
        request.extend_from_slice(&body);
        stream.write_all(&request).await?;

        let mut filled = 0;
        while !answered_ok(&answer[..filled])? {
            let read = stream.read(&mut answer[filled..]).await?;
            ensure!(read > 0, "the app closed the connection");
            filled += read;
        }
        if !shared.go_on() {
            return Ok(());
        }
    }
}

/// True for a whole answer with status 200, false for the start of one.
fn answered_ok(answer: &[u8]) -> Result<bool> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(answer)? else {
        return Ok(false);
    };
    ensure!(response.code == Some(200), "{:?}", response.code);
    let mut headers = response.headers.iter();
    let length = headers
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .context("an answer without a length")?;
    let length: usize = std::str::from_utf8(length.value)?.parse()?;
    Ok(answer.len() >= head + length)
}
