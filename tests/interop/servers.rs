//! Other people's MLLP servers: the bridge sends to them by its API, and what they read and answer is asserted.

use std::fmt::Write;
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

pub(crate) const MRN: &str = "4711^^^GENHOSP^MR";

/// A message, and what its reader must have of it.
struct Sent<'a> {
    bytes: &'a [u8],
    text: &'a str,
    /// PID-5.1.
    name: &'a str,
}

/// A server, ended with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: String,
    lines: mpsc::Receiver<String>,
    _folder: TempDir,
}

impl Server {
    fn start(peer: Peer, encoding: &str) -> Self {
        Self::start_in(TempDir::new().expect("temporary folder"), peer, &[encoding])
    }

    /// With files of its own.
    pub(crate) fn start_in(folder: TempDir, peer: Peer, arguments: &[&str]) -> Self {
        let mut child = peer
            .command()
            .arg("serve")
            .args(arguments)
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
    pub(crate) fn told(&self) -> Value {
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

pub(crate) fn message(control_id: &str, charset: &str, name: &str, pid3: &str) -> String {
    // Empty fields at the end of a segment are no more there where HAPI writes it again.
    let msh_18 = match charset {
        "" => String::new(),
        charset => format!("||||||{charset}"),
    };
    format!(
        "MSH|^~\\&|BRIDGE|CLOUD|EHR|GENHOSP|20261122101500+0100||ADT^A01^ADT_A01|{control_id}|P|2.5.1{msh_18}\r\
         EVN|A01|20261122101459\rPID|1||{pid3}||{name}^ERIKA||19700131|F\rPV1|1|I|WARD4^101^B\r"
    )
}

/// Of 1 MiB, in which no two places are the same: what is cut, or put together wrongly, is another text.
fn large(control_id: &str) -> String {
    let mut message = message(control_id, "", "MUSTER", MRN);
    // HAPI takes 32,000 characters in a field.
    for note in 1..=64 {
        write!(message, "NTE|{note}|L|").unwrap();
        for word in 0..2048 {
            write!(message, "{note:02}-{word:04} ").unwrap();
        }
        message.push_str("end\r");
    }
    message
}

/// Sends a message, and compares what came back and what the server has read.
#[track_caller]
fn exchange(server: &Server, api: SocketAddr, id: &str, sent: &Sent<'_>, expected: (u16, &str)) {
    let Sent { bytes, text, name } = sent;
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
    assert_eq!(read, (id, *name), "what the server has read");
    let whole = told["text"].as_str().unwrap_or_default();
    let same = whole.bytes().zip(text.bytes());
    let same = same.take_while(|(a, b)| a == b).count();
    assert!(
        whole == *text,
        "{id}: the server has {} bytes of {}, another text from byte {same}",
        whole.len(),
        text.len()
    );
}

fn speaks(peer: Peer) {
    if !peer.is_installed() {
        return;
    }
    let server = Server::start(peer, "utf-8");
    let (bridge, api) = bridge(&server);
    let send = |id: &str, text: &str, name: &str, expected| {
        let bytes = text.as_bytes();
        exchange(&server, api, id, &Sent { bytes, text, name }, expected);
    };
    let ok = (200, "AA");
    let plain = |id: &str| send(id, &message(id, "", "MUSTER", MRN), "MUSTER", ok);
    plain("S1");
    send(
        "S2",
        &message("S2", "UNICODE UTF-8", "MÜSTER", MRN),
        "MÜSTER",
        ok,
    );
    send("S3", &large("S3"), "MUSTER", ok);
    (10..30).for_each(|number| plain(&format!("S{number}")));
    let refused = message("S4", "", "MUSTER", "");
    send("S4", &refused, "MUSTER", (422, "AE"));
    bridge.stop();

    // The Python and the Node.js server know one encoding for all messages.
    let server = Server::start(peer, "latin-1");
    let (bridge, api) = self::bridge(&server);
    let text = message("S5", "8859/1", "MÜSTER", MRN);
    let latin1: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(c).expect("a character of ISO 8859-1"))
        .collect();
    let sent = Sent {
        bytes: &latin1,
        text: &text,
        name: "MÜSTER",
    };
    exchange(&server, api, "S5", &sent, ok);
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
