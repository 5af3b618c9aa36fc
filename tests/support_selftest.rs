//! The test tools under test: a tool that passes everything would let everything pass.

#![allow(
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "helpers of tests, on blocking threads"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use support::PATIENCE;
use support::app::{Reply, TestApp};
use support::bridge::{Bridge, Builder, Metrics};
use support::messages::{self, frame};
use support::peer::{Ack, Ending, NoFrame, RawPeer};

mod support;

const SHORT: Duration = Duration::from_millis(50);

/// The message that this fails with.
fn failure<T>(test: impl FnOnce() -> T) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(test)) else {
        panic!("expected it to fail")
    };
    panic.downcast_ref::<String>().cloned().expect("a message")
}

// Messages.

#[test]
fn messages_are_of_their_version() {
    assert!(messages::adt_version("2.3", "1").starts_with(r"MSH|^~\&|REGADT|"));
    assert!(messages::adt_version("2.7", "1").starts_with(r"MSH|^~\&#|REGADT|"));
    assert!(messages::adt_version("2.8.2", "1").starts_with(r"MSH|^~\&#|"));
    let adt = Ack::parse(messages::adt("MSG1").into_bytes());
    assert_eq!(
        (adt.msh(9), adt.msh(10), adt.msh(12)),
        ("ADT^A01^ADT_A01", "MSG1", "2.5.1")
    );
    assert_eq!(adt.segment("PID").component(3, 1), "4711");
    let without = Ack::parse(messages::adt_without_pid3("MSG2").into_bytes());
    assert_eq!(
        (
            without.segment("PID").field(3),
            without.segment("PID").component(5, 2)
        ),
        ("", "ERIKA")
    );
    let enhanced = Ack::parse(messages::adt_enhanced("MSG3", "AL", "NE").into_bytes());
    assert_eq!((enhanced.msh(15), enhanced.msh(16)), ("AL", "NE"));
    assert_eq!(
        Ack::parse(messages::oru("MSG4").into_bytes()).msh(9),
        "ORU^R01^ORU_R01"
    );
    assert_eq!(messages::adt_of_size("MSG5", 10_000).len(), 10_000);
}

// The sender, against a server that does what each test says.

/// Runs one connection of a server in a thread.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    thread::spawn(move || serve(listener.accept().expect("accept").0));
    address
}

const ACK: &str = "MSH|^~\\&|BRIDGE|CLOUD|REGADT|GENHOSP|20261122||ACK^A01^ACK|A1|P|2.5.1\rMSA|AE|MSG1\rERR||PID^1^3|101^Required field missing^HL70357|E||||no patient\r";

#[test]
fn a_peer_reads_frames_one_by_one_and_their_fields() {
    let mut peer = RawPeer::connect(server(|mut stream| {
        let mut got = vec![0; frame("x").len()];
        stream.read_exact(&mut got).expect("read");
        stream
            .write_all(&[frame(ACK), frame("second")].concat())
            .expect("write");
        stream.read_exact(&mut got).expect_err("the peer closes");
    }));
    peer.send(frame("x"));
    let ack = peer.ack();
    ack.expect("AE", "MSG1");
    assert_eq!(ack.names(), ["MSH", "MSA", "ERR"]);
    assert_eq!(
        (ack.msh(1), ack.msh(2), ack.msh(3)),
        ("|", "^~\\&", "BRIDGE")
    );
    let err = ack.err();
    assert_eq!(
        (err[0].field(2), err[0].component(3, 1), err[0].field(99)),
        ("PID^1^3", "101", "")
    );
    assert!(failure(|| ack.expect("AA", "MSG1")).contains("MSA|AE|MSG1"));

    assert_eq!(peer.read_frame_timed().expect("a frame").data, b"second");
    peer.expect_silence(SHORT);
}

#[test]
fn a_peer_counts_the_reads_of_a_frame() {
    let (one, many) = (frame("whole"), frame("in pieces"));
    let mut peer = RawPeer::connect(server(move |mut stream| {
        stream.write_all(&one).expect("write");
        stream.read_exact(&mut [0]).expect("go on");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        for byte in &many {
            stream.write_all(&[*byte]).expect("write");
            thread::sleep(Duration::from_millis(2));
        }
    }));
    assert_eq!(peer.read_frame_timed().expect("a frame").reads, 1);
    peer.send("x");
    let pieces = peer.read_frame_timed().expect("a frame");
    assert!(pieces.reads > 1, "{pieces:?}");
}

#[test]
fn a_peer_sends_chunks_in_segments_of_their_own() {
    let (tell, told) = std::sync::mpsc::sync_channel(64);
    let address = server(move |mut stream| {
        let mut bytes = [0; 64];
        while let Ok(read @ 1..) = stream.read(&mut bytes) {
            tell.send(bytes[..read].to_vec()).expect("tell");
        }
    });
    let mut peer = RawPeer::connect(address);
    peer.send_chunks("abcdefgh", &[1, 3]);
    peer.half_close();
    let chunks: Vec<Vec<u8>> = told.iter().collect();
    assert_eq!(
        chunks,
        [
            b"a".to_vec(),
            b"bcd".to_vec(),
            b"efg".to_vec(),
            b"h".to_vec()
        ]
    );
}

#[test]
fn a_peer_tells_why_there_is_no_frame() {
    let mut peer = RawPeer::connect(server(|mut stream| {
        stream.write_all(b"\x0bwhole\x1c\r\x0bMSH").expect("write");
        let _ = stream.read(&mut [0]);
    }));
    assert_eq!(peer.read_frame().expect("a frame"), b"whole");
    let half = peer.read_frame_within(SHORT);
    assert!(
        matches!(&half, Err(NoFrame::Timeout { got, .. }) if got == b"\x0bMSH"),
        "{half:?}"
    );
    let no_frame = |serve: fn(TcpStream)| RawPeer::connect(server(serve)).read_frame();
    let closed = no_frame(|mut stream| stream.write_all(b"\x0bMSH").expect("write"));
    assert!(
        matches!(&closed, Err(NoFrame::Closed { got }) if got == b"\x0bMSH"),
        "{closed:?}"
    );
    let junk = no_frame(|mut stream| {
        stream.write_all(&frame("x")[1..]).expect("write");
        let _ = stream.read(&mut [0]);
    });
    assert!(
        matches!(&junk, Err(NoFrame::NotAFrame { got }) if got == b"x\x1c\r"),
        "{junk:?}"
    );
    let reset = no_frame(|stream| {
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .expect("SO_LINGER");
    });
    assert!(matches!(&reset, Err(NoFrame::Reset { .. })), "{reset:?}");
    assert_eq!(
        NoFrame::Closed {
            got: b"\x0bM".to_vec()
        }
        .to_string(),
        r#"closed by the bridge; got 2 bytes "\x0bM""#
    );
}

#[test]
fn a_peer_expects_closes_and_silence() {
    assert_eq!(
        RawPeer::connect(server(drop)).expect_close(),
        Ending::Closed
    );
    let talks = |mut stream: TcpStream| {
        stream.write_all(b"hello").expect("write");
        let _ = stream.read(&mut [0]);
    };
    let silent = |mut stream: TcpStream| drop(stream.read(&mut [0]));
    assert!(
        failure(|| RawPeer::connect(server(talks)).expect_close())
            .contains("5 bytes \"hello\" came")
    );
    assert!(
        failure(|| RawPeer::connect(server(silent)).expect_close_within(SHORT))
            .contains("still open")
    );
    assert!(
        failure(|| RawPeer::connect(server(talks)).expect_silence(PATIENCE))
            .contains("\"hello\" came")
    );
    assert!(
        failure(|| RawPeer::connect(server(drop)).expect_silence(PATIENCE))
            .contains("ended: Closed")
    );
}

#[test]
fn a_peer_resets_and_half_closes() {
    let (tell, told) = std::sync::mpsc::sync_channel(2);
    let listen = || {
        let tell = tell.clone();
        server(move |mut stream| {
            tell.send(stream.read(&mut [0]).map_err(|error| error.kind()))
                .expect("tell")
        })
    };
    let peer = RawPeer::connect(listen());
    peer.half_close();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Ok(0)));
    RawPeer::connect(listen()).reset();
    assert_eq!(
        told.recv_timeout(PATIENCE),
        Ok(Err(std::io::ErrorKind::ConnectionReset))
    );
}

// The app, against a client that shows the bytes.

fn post(body: &str) -> String {
    format!(
        "POST /hl7 HTTP/1.1\r\nHost: app\r\nX-Hl7-Control-Id: MSG1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn dial(app: &TestApp) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", app.port())).expect("connect to the app");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("SO_RCVTIMEO");
    stream
}

/// Sends one request on a connection of its own, and reads to the end. The error's kind, if it ends with one.
fn ask(app: &TestApp) -> (String, Option<std::io::ErrorKind>) {
    let mut stream = dial(app);
    stream.write_all(post("{}").as_bytes()).expect("write");
    let mut got = Vec::new();
    let end = stream.read_to_end(&mut got).err().map(|error| error.kind());
    (String::from_utf8_lossy(&got).into_owned(), end)
}

/// Reads as many bytes as expected, and compares.
#[track_caller]
fn expect_answer(stream: &mut impl Read, expected: &str) {
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&got), expected);
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn an_app_follows_its_script_and_keeps_a_record() {
    let app = TestApp::start();
    app.script([
        Reply::status(503).header("Retry-After", "1"),
        Reply::problem(422, &serde_json::json!({"detail": "no"})),
        Reply::status(204),
    ]);
    let mut stream = dial(&app);
    for expected in [
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 422 Unprocessable Content\r\nContent-Type: application/problem+json\r\nContent-Length: 15\r\n\r\n{\"detail\":\"no\"}",
        "HTTP/1.1 204 No Content\r\n\r\n",
        OK,
    ] {
        stream
            .write_all(post(r#"{"a":1}"#).as_bytes())
            .expect("write");
        expect_answer(&mut stream, expected);
    }
    let requests = app.wait_for(4, PATIENCE);
    assert_eq!(requests.len(), 4);
    let first = &requests[0];
    assert_eq!(
        (
            first.method.as_str(),
            first.path.as_str(),
            first.version.as_str()
        ),
        ("POST", "/hl7", "HTTP/1.1")
    );
    assert_eq!(
        (first.header("x-hl7-control-id"), first.header("absent")),
        (Some("MSG1"), None)
    );
    assert_eq!((first.json()["a"].as_u64(), first.connection), (Some(1), 0));
    assert!(requests[3].arrived >= first.arrived);
    assert_eq!((app.connections(), app.open_connections()), (1, 1));
    drop(stream);
    app.wait_for_open_connections(0, PATIENCE);
    let missing = failure(|| app.wait_for(5, SHORT));
    assert!(
        missing.contains("4 of 5 requests") && missing.contains("#0 POST /hl7 7 bytes"),
        "{missing}"
    );
}

#[test]
fn an_app_reads_pipelined_and_chunked_requests() {
    let app = TestApp::start();
    let mut stream = dial(&app);
    let chunked =
        "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
    stream
        .write_all(format!("{}{chunked}", post("first")).as_bytes())
        .expect("write");
    expect_answer(&mut stream, &OK.repeat(2));
    let bodies: Vec<Vec<u8>> = app
        .wait_for(2, PATIENCE)
        .into_iter()
        .map(|request| request.body)
        .collect();
    assert_eq!(bodies, [b"first".to_vec(), b"abcd".to_vec()]);
}

#[test]
fn an_app_fails_the_test_on_a_request_that_is_not_http() {
    for bytes in [
        "MSH|^~\\&|A\r\n\r\n",
        "POST /hl7 HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "GET / HTTP/1.1\r\nno header\r\n\r\n",
    ] {
        let app = TestApp::start();
        let mut stream = dial(&app);
        stream.write_all(bytes.as_bytes()).expect("write");
        assert_eq!(stream.read(&mut [0]).ok(), Some(0), "{bytes:?} was taken");
        assert!(failure(|| drop(app)).contains("requests that were not HTTP"));
    }
}

#[test]
fn an_app_frames_its_answers_in_many_ways() {
    let app = TestApp::start();
    app.script([
        Reply::ok().body("abcde").chunked(3).close(),
        Reply::ok().body("abc").http10(),
        Reply::ok().body("abc").without_length(),
        Reply::ok().continue_first().close_silently(),
        Reply::ok().huge_body(1_000_000).close(),
        Reply::garbage("SSH-2.0-OpenSSH\r\n"),
        Reply::ok()
            .byte_by_byte(Duration::from_micros(10))
            .close_silently(),
    ]);
    assert_eq!(
        ask(&app).0,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    );
    assert_eq!(ask(&app).0, "HTTP/1.0 200 OK\r\n\r\nabc");
    assert_eq!(ask(&app).0, "HTTP/1.1 200 OK\r\n\r\nabc");
    assert_eq!(ask(&app).0, format!("HTTP/1.1 100 Continue\r\n\r\n{OK}"));
    assert_eq!(
        ask(&app).0.len(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n".len() + 1_000_000
    );
    assert_eq!(ask(&app).0, "SSH-2.0-OpenSSH\r\n");
    assert_eq!(ask(&app), (OK.to_owned(), None));
}

#[test]
fn an_app_breaks_off_in_many_ways() {
    let app = TestApp::start();
    app.script([
        Reply::reset(),
        Reply::ok().reset_after(8),
        Reply::close_unanswered(),
        Reply::ok().close_after(8),
    ]);
    let reset = Some(std::io::ErrorKind::ConnectionReset);
    assert_eq!(ask(&app), (String::new(), reset));
    assert_eq!(ask(&app).1, reset); // a reset may overtake the bytes before it
    assert_eq!(ask(&app), (String::new(), None));
    assert_eq!(ask(&app), ("HTTP/1.1".to_owned(), None));
}

#[test]
fn an_app_delays_holds_and_hangs() {
    let app = TestApp::start();
    app.script([Reply::ok().delay(SHORT), Reply::ok().hold(), Reply::hang()]);
    let mut stream = dial(&app);
    let start = Instant::now();
    stream.write_all(post("").as_bytes()).expect("write");
    expect_answer(&mut stream, OK);
    assert!(start.elapsed() >= SHORT);

    stream.write_all(post("").as_bytes()).expect("write");
    app.wait_for(2, PATIENCE);
    stream.set_read_timeout(Some(SHORT)).expect("SO_RCVTIMEO");
    assert!(
        stream.read(&mut [0]).is_err(),
        "answered before it was released"
    );
    app.release();
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("SO_RCVTIMEO");
    expect_answer(&mut stream, OK);

    stream.write_all(post("").as_bytes()).expect("write");
    app.wait_for(3, PATIENCE);
    assert_eq!(app.open_connections(), 1);
    drop(stream); // the client gives up, and the app notices
    app.wait_for_open_connections(0, PATIENCE);
}

#[test]
fn an_app_ends_at_once_whatever_it_is_at() {
    let app = TestApp::start();
    app.script([
        Reply::hang(),
        Reply::ok().hold(),
        Reply::ok().delay(Duration::from_secs(600)),
    ]);
    let mut streams = [dial(&app), dial(&app), dial(&app)];
    for stream in &mut streams {
        stream.write_all(post("").as_bytes()).expect("write");
    }
    app.wait_for(3, PATIENCE);
    let start = Instant::now();
    drop(app);
    for stream in &mut streams {
        assert_eq!(stream.read(&mut [0]).ok(), Some(0), "still open");
    }
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn an_app_goes_down_and_comes_up_on_the_same_port() {
    let down = TestApp::down();
    let port = down.port();
    let refused = || {
        TcpStream::connect(("127.0.0.1", port))
            .expect_err("nothing listens")
            .kind()
    };
    assert_eq!(refused(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(down.url(), format!("http://127.0.0.1:{port}/hl7"));
    let app = down.up();
    app.always(Reply::status(204).close());
    assert_eq!(
        (app.port(), ask(&app).0.as_str()),
        (port, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    );

    let mut open = dial(&app);
    app.wait_for_connections(2, PATIENCE);
    let down = app.go_down();
    assert_eq!(
        open.read(&mut [0]).ok(),
        Some(0),
        "an open connection is cut"
    );
    assert_eq!(refused(), std::io::ErrorKind::ConnectionRefused);
    drop(down);
    assert_eq!(TestApp::start_on(port).port(), port);
}

#[test]
fn an_app_listens_on_a_unix_socket() {
    let app = TestApp::start_unix();
    let url = app.url();
    let path = url
        .strip_prefix("unix:")
        .and_then(|url| url.strip_suffix(":/hl7"))
        .expect("a unix URL");
    let mut stream = UnixStream::connect(path).expect("connect");
    stream
        .write_all(post("over a file").as_bytes())
        .expect("write");
    expect_answer(&mut stream, OK);
    assert_eq!(app.last().body, b"over a file");
    drop(app);
    assert_eq!(stream.read(&mut [0]).ok(), Some(0));
}

// The bridge, played by a shell script.

#[test]
fn metrics_are_read_and_summed() {
    let metrics = Metrics::parse(
        "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"1\",y=\"a b}\"} 3\na_total{x=\"2\",y=\"c\"} 4 1700000000\n\
         a_total_more 9\nb 1.5\nc_bucket{le=\"+Inf\"} 2e3\n",
    );
    assert_eq!(metrics.sum("a_total", &[]), 7.0);
    assert_eq!(metrics.sum("a_total", &[("x", "1")]), 3.0);
    assert_eq!(metrics.sum("a_total", &[("x", "2"), ("y", "c")]), 4.0);
    assert_eq!(metrics.sum("a_total", &[("x", "2"), ("y", "d")]), 0.0);
    assert_eq!(metrics.get("b"), Some(1.5));
    assert_eq!(metrics.get("c_bucket{le=\"+Inf\"}"), Some(2000.0));
    assert!(failure(|| Metrics::parse("no sample")).contains("no sample"));
}

/// A stand-in for the binary that runs these shell lines, and its folder.
fn stand_in(lines: &str) -> (Builder, tempfile::TempDir) {
    let folder = tempfile::TempDir::new().expect("temporary folder");
    let script: PathBuf = folder.path().join("bridge.sh");
    std::fs::write(&script, lines).expect("write the script");
    (
        Bridge::builder().program(&["sh", &script.display().to_string()]),
        folder,
    )
}

const LISTENS: &str = r#"
trap 'echo "{\"message\":\"drained\"}" >&2; exit 0' TERM
echo 'not JSON' >&2
echo '{"level":"INFO","fields":{"message":"listening","listener":"adt","address":"127.0.0.1:2575"}}' >&2
echo '{"level":"INFO","message":"listening","listener":"lab","address":"127.0.0.1:2576"}' >&2
echo '{"level":"INFO","message":"admin listening","address":"127.0.0.1:9090"}' >&2
echo "{\"message\":\"flags\",\"flags\":\"$*\",\"env\":\"$MLLP_BRIDGE_X\"}" >&2
while :; do sleep 0.02; done
"#;

#[test]
fn a_bridge_is_started_watched_and_stopped() {
    let (builder, _folder) = stand_in(LISTENS);
    let bridge = builder
        .config("listeners: [{name: adt}, {name: lab}]")
        .env("MLLP_BRIDGE_X", "y")
        .start();
    assert_eq!(bridge.address(), SocketAddr::from(([127, 0, 0, 1], 2575)));
    assert_eq!(bridge.listener("lab").port(), 2576);
    assert_eq!(bridge.admin().port(), 9090);
    let flags = bridge.wait_for_log("flags");
    let config = bridge.config_path().display().to_string();
    assert_eq!(
        flags.text_field("flags").map(str::to_owned),
        Some(format!(
            "--log-format json --config {config} --admin 127.0.0.1:0"
        ))
    );
    assert_eq!(flags.text_field("env"), Some("y"));
    bridge.assert_not_logged("ERIKA");
    assert!(failure(|| bridge.assert_not_logged("JSON")).contains("\"JSON\" was logged: not JSON"));
    let logs = bridge.stop();
    assert_eq!(logs.last().and_then(|line| line.message()), Some("drained"));
}

#[test]
fn a_bridge_that_does_not_start_is_reported_with_its_log() {
    let (builder, _folder) = stand_in("echo 'listeners[0].bind: no such address' >&2; exit 64");
    let message = failure(|| builder.start());
    assert!(
        message.contains("ended before it listened") && message.contains("listeners[0].bind"),
        "{message}"
    );
}

#[test]
fn a_bridge_that_ends_badly_is_reported() {
    let (builder, _folder) = stand_in(&LISTENS.replace("exit 0", "exit 3"));
    let message = failure(|| builder.start().stop());
    assert!(
        message.contains("exit status: 3") && message.contains("drained"),
        "{message}"
    );
    let (builder, _folder) = stand_in(&LISTENS.replace("exit 0", ":"));
    let message = failure(|| builder.start().stop_within(SHORT * 4));
    assert!(message.contains("still running"), "{message}");
}

// All of them together, around the real binary.

#[test]
fn the_tools_meet_the_bridge() {
    for app in [TestApp::start(), TestApp::start_unix()] {
        let bridge = Bridge::for_app(&app.url());
        let mut peer = RawPeer::connect(bridge.address());
        peer.send_chunks(frame(messages::adt("MSG1")), &[1, 100]);
        peer.ack().expect("AA", "MSG1");
        let request = app.last();
        assert_eq!(request.header("X-HL7-Control-Id"), Some("MSG1"));
        assert_eq!(request.json()["hl7controlid"], "MSG1");
        assert_eq!(bridge.get("/livez").status, 200);
        assert!(!bridge.metrics().samples().is_empty());
        drop(peer);
        bridge.stop();
    }
}

#[test]
fn the_bridge_drains_when_asked() {
    let app = TestApp::start();
    let mut bridge = Bridge::for_app(&app.url());
    let answer = bridge.post("/drain");
    assert!((200..300).contains(&answer.status), "{answer:?}");
    bridge.terminate();
    assert_eq!(bridge.wait_exit(PATIENCE).code(), Some(0));
}
