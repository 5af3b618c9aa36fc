//! Other people's MLLP servers: the bridge sends to them by its API, and what they read and answer is asserted.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::peers::Peer;
use crate::support::api::{self, Client};
use crate::support::bridge::Bridge;

/// For one message to be read.
const LIMIT: Duration = Duration::from_secs(60);

/// In the order of the columns.
pub(crate) const SERVERS: [Peer; 3] = [Peer::HapiServer, Peer::AsyncioServer, Peer::NodeServer];

/// What is sent, for the page; and what comes of it.
pub(crate) const SENT: [(&str, &str); 6] = [
    ("a message", "200, `AA`"),
    ("one in UTF-8, with umlauts", "200, `AA`"),
    ("one in ISO 8859-1, with umlauts", "200, `AA`"),
    ("one of 1 MB", "200, `AA`"),
    ("20, one after the other", "20 × 200, `AA`, in order"),
    ("one that the server's application refuses", "422, `AE`"),
];

/// A server, ended with the test.
struct Server {
    child: Child,
    port: String,
    lines: mpsc::Receiver<String>,
    _folder: TempDir,
}

impl Server {
    fn start(peer: Peer, encoding: &str) -> Self {
        let folder = TempDir::new().expect("temporary folder");
        let mut child = peer
            .command()
            .args(["serve", encoding])
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {peer:?}: {error}"));
        let stdout = child.stdout.take().expect("piped");
        let (tell, lines) = mpsc::sync_channel(1000);
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.for_each(|line| drop(tell.send(line)));
        });
        let mut server = Self {
            child,
            port: String::new(),
            lines,
            _folder: folder,
        };
        server.port = server.told()["port"].to_string();
        server
    }

    /// What it tells next: its port, or a message that it has read.
    #[track_caller]
    fn told(&self) -> Value {
        let line = self.lines.recv_timeout(LIMIT);
        let line = line.unwrap_or_else(|error| panic!("the server told nothing: {error}"));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bridge(server: &Server) -> (Bridge, SocketAddr) {
    let bridge = Bridge::start(&format!(
        "listeners: [{{bind: '127.0.0.1:0'}}]\nlog: {{format: json}}\noutbound: {{bind: '127.0.0.1:0'}}\n\
         destinations: [{{name: ehr, address: '127.0.0.1:{}'}}]\n",
        server.port
    ));
    let address = api::address(&bridge);
    (bridge, address)
}

fn message(control_id: &str, charset: &str, name: &str, pid3: &str) -> String {
    format!(
        "MSH|^~\\&|BRIDGE|CLOUD|EHR|GENHOSP|20261122101500+0100||ADT^A01^ADT_A01|{control_id}|P|2.5.1||||||{charset}\r\
         EVN|A01|20261122101459\rPID|1||{pid3}||{name}^ERIKA||19700131|F\rPV1|1|I|WARD4^101^B\r"
    )
}

/// Sends a message, and compares what came back and what the server has read.
#[track_caller]
fn exchange(
    server: &Server,
    api: SocketAddr,
    id: &str,
    bytes: &[u8],
    name: &str,
    expected: (u16, &str),
) {
    let answer = Client::connect(api).post(bytes);
    let (status, body) = (answer.status, answer.body);
    let code = body["code"].as_str().unwrap_or_default();
    assert_eq!((status, code), expected, "{id}: {body}");
    assert_eq!(body["control_id"], id);
    let told = server.told();
    let read = (
        told["id"].as_str().unwrap_or_default(),
        told["name"].as_str().unwrap_or_default(),
    );
    assert_eq!(read, (id, name), "what the server has read");
}

fn speaks(peer: Peer) {
    if !peer.is_installed() {
        return;
    }
    const MRN: &str = "4711^^^GENHOSP^MR";
    let server = Server::start(peer, "utf-8");
    let (bridge, api) = bridge(&server);
    let ok = (200, "AA");
    exchange(
        &server,
        api,
        "S1",
        message("S1", "", "MUSTER", MRN).as_bytes(),
        "MUSTER",
        ok,
    );
    let utf8 = message("S2", "UNICODE UTF-8", "MÜSTER", MRN);
    exchange(&server, api, "S2", utf8.as_bytes(), "MÜSTER", ok);
    // HAPI takes 32,000 characters in a field.
    let notes: String = (1..=64)
        .map(|number| format!("NTE|{number}|L|{}\r", "x".repeat(16 << 10)))
        .collect();
    let big = message("S3", "", "MUSTER", MRN) + &notes;
    exchange(&server, api, "S3", big.as_bytes(), "MUSTER", ok);
    for number in 10..30 {
        let id = format!("S{number}");
        exchange(
            &server,
            api,
            &id,
            message(&id, "", "MUSTER", MRN).as_bytes(),
            "MUSTER",
            ok,
        );
    }
    let refused = message("S4", "", "MUSTER", "");
    exchange(
        &server,
        api,
        "S4",
        refused.as_bytes(),
        "MUSTER",
        (422, "AE"),
    );
    bridge.stop();

    // The Python and the Node.js server know one encoding for all messages.
    let server = Server::start(peer, "latin-1");
    let (bridge, api) = self::bridge(&server);
    let text = message("S5", "8859/1", "M?STER", MRN);
    let latin1: Vec<u8> = text
        .bytes()
        .map(|byte| if byte == b'?' { 0xDC } else { byte })
        .collect();
    exchange(&server, api, "S5", &latin1, "MÜSTER", ok);
    bridge.stop();
}

#[test]
fn hapi_hl7v2() {
    speaks(Peer::HapiServer);
}

#[test]
fn simple_hl7() {
    speaks(Peer::NodeServer);
}

#[test]
fn python_asyncio() {
    speaks(Peer::AsyncioServer);
}
