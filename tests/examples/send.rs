//! The programs of `examples/send`: what each makes of what can become of a message.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::server::{Server, block};
use crate::support::api;
use crate::support::bridge::Bridge;
use crate::support::messages::{adt, adt_without_pid3};
use crate::{assert_no_patient, go_build, is_here};

#[test]
fn in_shell() {
    if is_here("curl", "--version") && is_here("jq", "--version") {
        sends(&Sender::new(&["send.sh"]));
    }
}

#[test]
fn in_python() {
    if is_here("python3", "--version") {
        sends(&Sender::new(&["python3", "-B", "send.py"]));
    }
}

#[test]
fn in_node() {
    if is_here("node", "--version") {
        sends(&Sender::new(&["node", "send.mjs"]));
    }
}

#[test]
fn in_go() {
    if is_here("go", "version") {
        let mut sender = Sender::new(&[]);
        let program = go_build(&sender.folder, &Sender::examples(), "send.go");
        sender.words = vec![program.display().to_string()];
        sends(&sender);
    }
}

/// One of the programs, and a folder for its files.
struct Sender {
    words: Vec<String>,
    folder: TempDir,
}

/// How it ended, and what it said.
struct Said {
    status: Option<i32>,
    out: String,
    errors: String,
}

impl Sender {
    fn examples() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/send")
    }

    /// The last word is a file of the examples.
    fn new(words: &[&str]) -> Self {
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        if let Some(file) = words.last_mut() {
            *file = Self::examples().join(&*file).display().to_string();
        }
        let folder = TempDir::new().expect("temporary folder");
        Self { words, folder }
    }

    fn command(&self, api: SocketAddr, destination: &str, message: &str) -> Command {
        let file = self.folder.path().join("message.hl7");
        std::fs::write(&file, message).expect("a file");
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .arg(destination)
            .arg(file)
            .env("MLLP_BRIDGE", format!("http://{api}"))
            .env("ATTEMPTS", "2")
            // Is not asked for what is on this machine.
            .env("http_proxy", "http://127.0.0.1:9")
            .stdin(Stdio::null());
        command
    }

    /// Sends, and compares the exit status and what is said: the line about an acknowledgement, or a part of a complaint.
    #[track_caller]
    fn expect(&self, api: SocketAddr, destination: &str, message: &str, status: i32, says: &str) {
        let output = self.command(api, destination, message).output();
        let said = Said::of(&output.expect("run the program"));
        said.check(status, says);
    }
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            status: output.status.code(),
            out: text(&output.stdout),
            errors: text(&output.stderr),
        }
    }

    #[track_caller]
    fn check(&self, status: i32, says: &str) {
        let Self { out, errors, .. } = self;
        assert_eq!(self.status, Some(status), "{out}{errors}");
        let said = if status == 0 { out } else { errors };
        assert!(said.contains(says), "no {says:?} in {said:?}");
        assert_no_patient(&format!("{out}{errors}"));
    }
}

/// By the message's type and its PID-3: an A40 is rejected, an A08 has no answer, and without PID-3 it is an error.
fn judge(message: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(message);
    let fields: Vec<&str> = text.split('|').collect();
    let (kind, id) = (fields[8], fields[9]);
    let pid3 = text.split("\rPID|").nth(1)?.split('|').nth(2)?;
    let code = match (kind, pid3) {
        (kind, _) if kind.starts_with("ADT^A08") => return None,
        (kind, _) if kind.starts_with("ADT^A40") => "AR",
        (_, "") => "AE",
        _ => "AA",
    };
    let err = match code {
        "AA" => "",
        // As a server might: with a name in it.
        _ => "ERR||PID^1^3|101^Required field missing^HL70357|E||||no MRN of ERIKA MUSTER\r",
    };
    let msh = "MSH|^~\\&|EHR|GENHOSP|APP|CLINIC|20261122101501+0000||ACK|A1|P|2.5.1";
    Some(block(&format!("{msh}\rMSA|{code}|{id}\r{err}")))
}

/// A bridge to a server and to one that is away.
fn bridge(server: SocketAddr, away: SocketAddr) -> Bridge {
    Bridge::start(&format!(
        "listeners: [{{bind: '127.0.0.1:0'}}]\nlog: {{format: json}}\noutbound: {{bind: '127.0.0.1:0'}}\n\
         destinations: [{{name: ehr, address: '{server}'}}, {{name: away, address: '{away}'}}]\n"
    ))
}

fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}

/// Takes two requests, of which the first gets no response and the second this one; what it has read of both.
fn forgetful(second: &'static str) -> (SocketAddr, thread::JoinHandle<[String; 2]>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let taking = thread::spawn(move || {
        ["", second].map(|response| {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(adt("S9").as_bytes()) {
                let mut part = [0; 1024];
                let read = stream.read(&mut part).expect("a request");
                assert!(read > 0, "the request ended early");
                request.extend_from_slice(&part[..read]);
            }
            stream.write_all(response.as_bytes()).expect("a response");
            String::from_utf8(request).expect("UTF-8")
        })
    });
    (address, taking)
}

/// What became of a message is asked with the same key.
fn asks_again(sender: &Sender) {
    let body = r#"{"code":"AA","control_id":"S9"}"#;
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    for (second, status, says) in [(response, 0, "AA S9\n"), (String::new(), 4, "")] {
        let (api, taking) = forgetful(second.leak());
        sender.expect(api, "ehr", &adt("S9"), status, says);
        let keys = taking.join().expect("the requests").map(|request| {
            let head = request.to_ascii_lowercase();
            let key = head.split("idempotency-key: ").nth(1).expect("a key");
            key.lines().next().map(str::to_owned)
        });
        assert_eq!(keys[0], keys[1]);
    }
}

fn sends(sender: &Sender) {
    let server = Server::start(judge);
    let away = nobody();
    let bridge = bridge(server.address, away);
    let api = api::address(&bridge);

    sender.expect(api, "ehr", &adt("S1"), 0, "AA S1\n");
    assert_eq!(server.messages(), [adt("S1").into_bytes()]);
    // The key is the message's: what has an answer is not sent again.
    sender.expect(api, "ehr", &adt("S1"), 0, "AA S1\n");
    assert_eq!(server.messages().len(), 1);

    let refused = adt_without_pid3("S2");
    sender.expect(api, "ehr", &refused, 1, "PID-3: 101 Required field missing");
    let rejected = adt("S3").replace("ADT^A01", "ADT^A40");
    sender.expect(api, "ehr", &rejected, 1, "rejected");
    assert_eq!(server.messages().len(), 3);

    // It came, and nobody knows what became of it: it is not sent again.
    let unanswered = adt("S4").replace("ADT^A01", "ADT^A08");
    sender.expect(api, "ehr", &unanswered, 4, "lost");
    assert_eq!(server.messages().len(), 4);

    sender.expect(api, "ehr", "no message", 2, "not an HL7 message");
    sender.expect(api, "nowhere", &adt("S5"), 2, "No destination");
    sender.expect(api, "away", &adt("S6"), 3, "cannot be reached");
    sender.expect(nobody(), "ehr", &adt("S7"), 3, "");
    assert_eq!(server.messages().len(), 4);

    asks_again(sender);
    until_it_is_there(sender, api, away);
    bridge.stop();
}

/// The second attempt finds the server that was away at the first.
fn until_it_is_there(sender: &Sender, api: SocketAddr, away: SocketAddr) {
    let mut command = sender.command(api, "away", &adt("S8"));
    command.env("ATTEMPTS", "20");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("run the program");
    let mut errors = child.stderr.take().expect("piped");
    let mut first = [0; 64];
    let read = errors.read(&mut first).expect("a complaint");
    assert!(read > 0, "it complained of nothing");
    let server = Server::on(&away.to_string(), judge);
    let rest = thread::spawn(move || {
        let mut rest = String::new();
        let _ = errors.read_to_string(&mut rest);
        rest
    });
    let mut said = Said::of(&child.wait_with_output().expect("its end"));
    said.errors = rest.join().expect("a reader");
    said.check(0, "AA S8\n");
    assert_eq!(server.messages(), [adt("S8").into_bytes()]);
}
