//! Schemathesis makes requests of `/openapi.json`, good ones and broken ones, and holds every response against it, with all of its
//! checks on. `schemathesis/hooks.py` makes messages of the bodies that are meant to be taken, and holds what they get against the
//! row of their destination.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpListener;
use std::panic::catch_unwind;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
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
    /// What its server does with a message.
    acts: fn(&Asked) -> Vec<Act>,
    /// The same in words.
    pub(crate) server: &'static str,
    /// What comes of it: the status, and the acknowledgement's code if there is one.
    pub(crate) response: &'static str,
}

impl Row {
    /// The response as `hooks.py` holds each against it.
    fn expected(&self) -> Value {
        let (status, rest) = self.response.split_at(3);
        let status: u16 = status.parse().expect("a status");
        match rest {
            "" => json!([status, null]),
            _ => json!([status, rest.trim_matches([',', ' ', '`'])]),
        }
    }
}

/// Each of them accepts.
pub(crate) const WILLING: [Row; 3] = [
    Row {
        name: "plain",
        acts: |asked| answer(asked, "AA"),
        server: "accepts",
        response: "200, `AA`",
    },
    Row {
        name: "filled",
        acts: |asked| answer(asked, "AA"),
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
        acts: |asked| answer(asked, "AE"),
        server: "finds an error",
        response: "422, `AE`",
    },
    Row {
        name: "rejecting",
        acts: |asked| answer(asked, "AR"),
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
        acts: |asked| answer(&asked.with("another"), "AA"),
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

/// How a message is written.
#[derive(Clone, Copy)]
enum Form {
    Er7,
    V2,
    V3,
}

/// What an acknowledgement needs of a message that `hooks.py` makes.
struct Asked {
    form: Form,
    control_id: String,
}

impl Asked {
    fn of(message: &[u8]) -> Self {
        let text = match message {
            [0xFE, 0xFF, units @ ..] => {
                let units = units.chunks_exact(2);
                let units = units.map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
                String::from_utf16(&units.collect::<Vec<_>>()).expect("UTF-16")
            }
            bytes => String::from_utf8_lossy(bytes).into_owned(),
        };
        let (form, before, end) = if text.contains("urn:hl7-org:v3") {
            (Form::V3, "extension=\"", '"')
        } else if text.contains("urn:hl7-org:v2xml") {
            (Form::V2, "<MSH.10>", '<')
        } else {
            let separator = text.chars().nth(3).expect("MSH-1");
            let control_id = text.split(separator).nth(9).unwrap_or_default().to_owned();
            let form = Form::Er7;
            return Self { form, control_id };
        };
        let (_, rest) = text.split_once(before).expect("a control ID");
        let control_id = rest.split(end).next().unwrap_or_default().to_owned();
        Self { form, control_id }
    }

    fn with(&self, control_id: &str) -> Self {
        let control_id = control_id.to_owned();
        Self {
            control_id,
            ..*self
        }
    }
}

/// The acknowledgement, written as the message is.
fn answer(Asked { form, control_id }: &Asked, code: &str) -> Vec<Act> {
    let text = match form {
        Form::Er7 => {
            let msh = "MSH|^~\\&|EHR|THERE|TEST|HERE|20261122101501+0000||ACK^A08^ACK|A|P|2.5.1";
            format!(
                "{msh}\rMSA|{code}|{control_id}\rERR||PID^1^3|101^Required field missing^HL70357|E||||a text\r"
            )
        }
        Form::V2 => format!(
            "<ACK xmlns=\"urn:hl7-org:v2xml\"><MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.9><MSG.1>ACK</MSG.1></MSH.9>\
             <MSH.10>A</MSH.10><MSH.11><PT.1>P</PT.1></MSH.11><MSH.12><VID.1>2.5.1</VID.1></MSH.12></MSH>\
             <MSA><MSA.1>{code}</MSA.1><MSA.2>{control_id}</MSA.2></MSA></ACK>"
        ),
        Form::V3 => format!(
            "<MCCI_IN000002UV01 xmlns=\"urn:hl7-org:v3\"><acknowledgement><typeCode code=\"{code}\"/><targetMessage>\
             <id root=\"1.2.3\" extension=\"{control_id}\"/></targetMessage></acknowledgement></MCCI_IN000002UV01>"
        ),
    };
    vec![Act::Write(block(&text))]
}

/// An acknowledgement with a byte that is no UTF-8.
fn latin1(asked: &Asked) -> Vec<Act> {
    let mut acts = answer(asked, "AA");
    for act in &mut acts {
        if let (Act::Write(bytes), Form::Er7) = (act, asked.form) {
            let place = bytes.windows(6).position(|part| part == b"a text");
            bytes[place.expect("the text")] = 0xE4;
        }
    }
    acts
}

/// A bridge with such destinations, their servers, and how many messages these did not understand.
fn bridge(rows: &[Row]) -> (Bridge, Vec<Server>, Arc<AtomicUsize>) {
    let mut servers = Vec::new();
    let panics = Arc::new(AtomicUsize::new(0));
    let mut destinations = String::new();
    for Row { name, acts, .. } in rows {
        let acts = *acts;
        let counter = Arc::clone(&panics);
        // A panic would end the connection, which for some rows is what is expected.
        let server = Server::acting(move |message| {
            catch_unwind(|| acts(&Asked::of(message))).unwrap_or_else(|_| {
                counter.fetch_add(1, Ordering::Relaxed);
                vec![Act::Close]
            })
        });
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
    (bridge, servers, panics)
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
    let (bridge, servers, panics) = bridge(rows);
    let (found_nothing, report) = run(requests(&bridge, rows, config, EXAMPLES));
    assert!(found_nothing, "Schemathesis found something:\n{report}");
    assert!(report.contains("4 selected / 4 total"), "{report}");
    for (Row { name, .. }, server) in rows.iter().zip(&servers) {
        let came = server.messages().len();
        assert!(
            *name == AWAY || came > 10,
            "{came} messages came to {name}:\n{report}"
        );
    }
    let panics = panics.load(Ordering::Relaxed);
    assert_eq!(panics, 0, "the servers did not understand:\n{report}");
    bridge.stop();
}

/// The command that makes requests of a bridge with these destinations.
fn requests(bridge: &Bridge, rows: &[Row], config: Option<&str>, examples: &str) -> Command {
    let address = api::address(bridge);
    let expected = rows.iter().map(|row| (row.name, row.expected()));
    let expected: BTreeMap<_, _> = expected.collect();
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
            examples,
        ])
        .args(["--seed", &seed, "--generation-database", "none"])
        .args([
            "--continue-on-failure",
            "--output-sanitize",
            "false",
            "--no-color",
        ])
        .env("EXPECTED", json!(expected).to_string())
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", source("schemathesis"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "127.0.0.1");
    command
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

/// The same check with an expectation that is wrong: in the status, and in the code alone.
#[test]
fn another_answer_than_the_row_has_is_found() {
    if !Peer::Schemathesis.is_installed() {
        return;
    }
    for (acts, response, got) in [
        ("AE", "200, `AA`", "[422, 'AE']"),
        ("AA", "200, `CA`", "[200, 'AA']"),
    ] {
        let acts: fn(&Asked) -> Vec<Act> = match acts {
            "AE" => |asked| answer(asked, "AE"),
            _ => |asked| answer(asked, "AA"),
        };
        let row = Row {
            name: "mutated",
            acts,
            server: "",
            response,
        };
        let rows = [row];
        let (bridge, _servers, _) = bridge(&rows);
        let config = Some("schemathesis/unwilling.toml");
        let (found_nothing, report) = run(requests(&bridge, &rows, config, "2"));
        assert!(!found_nothing, "{report}");
        for expected in [got, "never answered as expected: mutated"] {
            assert!(report.contains(expected), "no {expected}:\n{report}");
        }
        bridge.stop();
    }
}
