//! Schemathesis makes requests of `/openapi.json`, good ones and broken ones, and holds every response against it, with all of its
//! checks on. `schemathesis/hooks.py` makes messages of the bodies that are meant to be taken.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::peers::{Peer, source};
use crate::server::{Act, Server, block};
use crate::support::api;
use crate::support::bridge::Bridge;

/// For a run. It takes a quarter of a minute.
const LIMIT: Duration = Duration::from_secs(180);

/// Requests for each operation and phase; the phase that covers each boundary once makes as many as there are.
const EXAMPLES: &str = "50";

/// A destination.
pub(crate) struct Row {
    name: &'static str,
    /// What its server does with a message, by the control ID.
    acts: fn(&str) -> Vec<Act>,
    /// The same in words.
    pub(crate) server: &'static str,
    /// What comes of it.
    pub(crate) response: &'static str,
}

/// Each of them accepts.
pub(crate) const WILLING: [Row; 3] = [
    Row {
        name: "plain",
        acts: |id| answer(id, "AA"),
        server: "accepts",
        response: "200, `AA`",
    },
    Row {
        name: "filled",
        acts: |id| answer(id, "AA"),
        server: "accepts, and the bridge fills in MSH-7 and MSH-10",
        response: "200, `AA`",
    },
    Row {
        name: "latin1",
        acts: latin1,
        server: "accepts, in bytes that are not UTF-8",
        response: "200, `AA`",
    },
];

/// And none of these.
pub(crate) const UNWILLING: [Row; 6] = [
    Row {
        name: "error",
        acts: |id| answer(id, "AE"),
        server: "finds an error",
        response: "422, `AE`",
    },
    Row {
        name: "rejecting",
        acts: |id| answer(id, "AR"),
        server: "rejects",
        response: "502, `AR`",
    },
    Row {
        name: "silent",
        acts: |_| Vec::new(),
        server: "does not answer",
        response: "504",
    },
    Row {
        name: "foreign",
        acts: |_| answer("another", "AA"),
        server: "acknowledges another message",
        response: "502",
    },
    Row {
        name: "closing",
        acts: |_| vec![Act::Close],
        server: "ends the connection",
        response: "502",
    },
    Row {
        name: AWAY,
        acts: |_| Vec::new(),
        server: "is away",
        response: "503",
    },
];

const AWAY: &str = "away";

/// The acknowledgement, in the message's own encoding.
fn answer(id: &str, code: &str) -> Vec<Act> {
    // An ID in XML keeps its mark, so that one function suffices.
    let text = match id.strip_prefix('<') {
        Some(id) => format!(
            "<ACK xmlns=\"urn:hl7-org:v2xml\"><MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.9><MSG.1>ACK</MSG.1></MSH.9>\
             <MSH.10>A</MSH.10><MSH.11><PT.1>P</PT.1></MSH.11><MSH.12><VID.1>2.5.1</VID.1></MSH.12></MSH>\
             <MSA><MSA.1>{code}</MSA.1><MSA.2>{id}</MSA.2></MSA></ACK>"
        ),
        None => er7(id, code),
    };
    vec![Act::Write(block(&text))]
}

fn er7(id: &str, code: &str) -> String {
    let msh = "MSH|^~\\&|EHR|THERE|TEST|HERE|20261122101501+0000||ACK^A08^ACK|A|P|2.5.1";
    format!("{msh}\rMSA|{code}|{id}\rERR||PID^1^3|101^Required field missing^HL70357|E||||a text\r")
}

fn latin1(id: &str) -> Vec<Act> {
    if id.starts_with('<') {
        return answer(id, "AA");
    }
    let text = er7(id, "AA").replace("a text", "gr?n");
    let bytes = block(&text).into_iter();
    let bytes = bytes.map(|byte| if byte == b'?' { 0xFC } else { byte });
    vec![Act::Write(bytes.collect())]
}

/// MSH-10 of what `hooks.py` makes; behind a `<` where that is XML.
fn control_id(message: &[u8]) -> String {
    let text = match message {
        [0xFE, 0xFF, units @ ..] => {
            let units = units
                .chunks_exact(2)
                .map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
            String::from_utf16(&units.collect::<Vec<_>>()).unwrap()
        }
        bytes => String::from_utf8_lossy(bytes).into_owned(),
    };
    if let Some((_, rest)) = text.split_once("<MSH.10>") {
        return format!("<{}", rest.split('<').next().unwrap_or_default());
    }
    let separator = text.chars().nth(3).expect("MSH-1");
    text.split(separator).nth(9).unwrap_or_default().to_owned()
}

/// A bridge with such destinations.
fn bridge(rows: &[Row]) -> (Bridge, Vec<Server>) {
    let mut servers = Vec::new();
    let mut destinations = String::new();
    for Row { name, acts, .. } in rows {
        let acts = *acts;
        let server = Server::acting(move |message| acts(&control_id(message)));
        let address = match *name {
            AWAY => nobody(),
            _ => server.address.to_string(),
        };
        let more = match *name {
            "filled" => ", fill: {control_id: true, time: true}",
            "silent" => ", ack: {timeout: 50ms}",
            _ => "",
        };
        destinations += &format!("  - {{name: {name}, address: '{address}'{more}}}\n");
        servers.push(server);
    }
    let bridge = Bridge::start(&format!(
        "listeners: [{{bind: '127.0.0.1:0'}}]\nlog: {{format: json}}\noutbound: {{bind: '127.0.0.1:0'}}\ndestinations:\n{destinations}"
    ));
    (bridge, servers)
}

fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").to_string()
}

/// Fails with Schemathesis' own report, unless it finds nothing.
fn finds_nothing(rows: &[Row], config: Option<&str>) {
    if !Peer::Schemathesis.is_installed() {
        return;
    }
    let (bridge, servers) = bridge(rows);
    let address = api::address(&bridge);
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let seed = std::env::var("SCHEMATHESIS_SEED").unwrap_or_else(|_| "1".to_owned());
    let mut command = Peer::Schemathesis.command();
    if let Some(config) = config {
        command.arg("--config-file").arg(source(config));
    }
    command
        .arg("run")
        .arg(format!("http://{address}/openapi.json"))
        // The operation that gives the document is left out unless it is asked for.
        .args(["--include-path-regex", "."])
        .args([
            "--checks",
            "all",
            "--mode",
            "all",
            "--max-examples",
            EXAMPLES,
        ])
        .args(["--seed", &seed, "--generation-database", "none"])
        .args([
            "--continue-on-failure",
            "--output-sanitize",
            "false",
            "--no-color",
        ])
        .env("DESTINATIONS", names.join(","))
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", source("schemathesis"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "127.0.0.1");
    let (found_nothing, report) = run(command);
    assert!(found_nothing, "Schemathesis found something:\n{report}");
    assert!(report.contains("4 selected / 4 total"), "{report}");
    for (name, server) in names.iter().zip(&servers) {
        let came = server.messages().len();
        assert!(
            *name == AWAY || came > 10,
            "{came} messages came to {name}:\n{report}"
        );
    }
    bridge.stop();
}

/// Whether it was well, and all that it said.
fn run(mut command: Command) -> (bool, String) {
    let folder = TempDir::new().expect("temporary folder");
    let (mut output, end) = std::io::pipe().expect("a pipe");
    command
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(end.try_clone().expect("the pipe's end"))
        .stderr(end);
    let mut child = command.spawn().expect("start Schemathesis");
    drop(command); // and with it our copies of the pipe's end
    let (tell, told) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = output.read_to_end(&mut bytes); // what came until it was killed
        let _ = tell.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    let Ok(report) = told.recv_timeout(LIMIT) else {
        child.kill().expect("end it");
        child.wait().expect("its end");
        let report = told.recv().unwrap_or_default();
        panic!("it did not end within {LIMIT:?}:\n{report}");
    };
    (child.wait().expect("its end").success(), report)
}

#[test]
fn with_servers_that_accept() {
    finds_nothing(&WILLING, None);
}

#[test]
fn with_servers_that_do_not() {
    finds_nothing(&UNWILLING, Some("schemathesis/unwilling.toml"));
}
