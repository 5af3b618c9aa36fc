//! The programs of `examples/send`: what each makes of what can become of a message.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::server::{Server, block};
use crate::support::PATIENCE;
use crate::support::api;
use crate::support::bridge::Bridge;
use crate::support::messages::{adt, adt_without_pid3};
use crate::{assert_no_patient, is_here};

#[test]
fn in_shell() {
    if is_here("curl", "--version") && is_here("jq", "--version") {
        let sender = Sender::new("send.sh");
        sends(&sender);
        without_sha256sum(&sender);
        leaves_nothing(&sender);
    }
}

#[test]
fn in_python() {
    if is_here("python3", "--version") {
        sends(&Sender::new("send.py"));
    }
}

#[test]
fn in_node() {
    if is_here("node", "--version") {
        sends(&Sender::new("send.mjs"));
    }
}

#[test]
fn in_go() {
    if is_here("go", "version") {
        sends(&Sender::new("send.go"));
    }
}

/// One of the programs, as the README beside them has it, and a folder for its files.
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
    /// The row of README's table that names this file: its last command sends, those before it are run now.
    fn new(file: &str) -> Self {
        let folder = TempDir::new().expect("temporary folder");
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let readme = std::fs::read_to_string(examples.join("send/README.md")).expect("README.md");
        symlink(examples, folder.path().join("examples")).expect("a link");
        let mut rows = readme.lines().filter(|line| line.starts_with("| `"));
        let row = rows.find(|row| row.contains(&format!("/{file}")));
        let cell = row.and_then(|row| row.split('|').nth(1)).expect("a row");
        let mut commands: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        let send = commands.pop().expect("a command");
        for before in commands {
            let mut shell = Command::new("sh");
            shell.args(["-c", before]).current_dir(&folder);
            // What is installed, and no version control of the folder around.
            shell
                .env("GOTOOLCHAIN", "local")
                .env("GOFLAGS", "-buildvcs=false");
            let done = shell.output().expect("run sh");
            let errors = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{before}: {errors}");
        }
        let words = send.strip_suffix(" DESTINATION FILE").expect("arguments");
        let words = words.split(' ').map(str::to_owned).collect();
        Self { words, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("message.hl7")
    }

    fn command(&self, api: SocketAddr, destination: &str, message: &str) -> Command {
        std::fs::write(self.file(), message).expect("a file");
        // What is a path is one from this folder.
        let mut words = self.words.iter().map(|word| match word.contains('/') {
            true => self.folder.path().join(word),
            false => PathBuf::from(word),
        });
        let mut command = Command::new(words.next().expect("a program"));
        command
            .args(words)
            .arg(destination)
            .arg(self.file())
            .current_dir(&self.folder)
            .env("MLLP_BRIDGE", format!("http://{api}"))
            .env("ATTEMPTS", "2")
            .env_remove("KEY")
            // Is not asked for what is on this machine.
            .env("http_proxy", "http://127.0.0.1:9")
            .stdin(Stdio::null());
        command
    }

    /// Sends, and compares the exit status and what is said: the line about an acknowledgement, or a part of a complaint.
    #[track_caller]
    fn expect(&self, api: SocketAddr, destination: &str, message: &str, status: i32, says: &str) {
        run(&mut self.command(api, destination, message)).check(status, says);
    }

    /// The same with this key.
    #[track_caller]
    fn keyed(&self, api: SocketAddr, key: &str, message: &str, status: i32, says: &str) -> Said {
        let said = run(self.command(api, "filled", message).env("KEY", key));
        said.check(status, says);
        said
    }
}

fn run(command: &mut Command) -> Said {
    Said::of(&command.output().expect("run the program"))
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
        // As a server might: with a name in each place that can have one.
        _ => {
            "ERR||PID^1^3|101^ERIKA MUSTER has no MRN^HL70357|E||||no MRN of ERIKA MUSTER\r\
             ERR||MUSTER|^MUSTER ERIKA is nobody|E\r"
        }
    };
    let msh = "MSH|^~\\&|EHR|GENHOSP|APP|CLINIC|20261122101501+0000||ACK|A1|P|2.5.1";
    Some(block(&format!("{msh}\rMSA|{code}|{id}\r{err}")))
}

/// A bridge to a server and to one that is away.
fn bridge(server: SocketAddr, away: SocketAddr) -> Bridge {
    Bridge::start(&format!(
        "listeners: [{{bind: '127.0.0.1:0'}}]\nlog: {{format: json}}\noutbound: {{bind: '127.0.0.1:0'}}\n\
         destinations: [{{name: ehr, address: '{server}'}}, {{name: away, address: '{away}'}}, \
         {{name: filled, address: '{server}', fill: {{control_id: true, time: true}}}}]\n"
    ))
}

fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}

const EARLIER: &str = "an earlier attempt's answer";

/// Takes as many requests as there are responses, each on its own connection; an empty response is none. `between` is called after
/// each request. What it has read of each.
fn fake(
    responses: Vec<String>,
    between: impl Fn() + Send + 'static,
) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let taking = thread::spawn(move || {
        let one = |response: String| {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(adt("S9").as_bytes()) {
                let mut part = [0; 1024];
                let read = stream.read(&mut part).expect("a request");
                assert!(read > 0, "early end: {}", String::from_utf8_lossy(&request));
                request.extend_from_slice(&part[..read]);
            }
            between();
            stream.write_all(response.as_bytes()).expect("a response");
            String::from_utf8(request).expect("UTF-8")
        };
        responses.into_iter().map(one).collect()
    });
    (address, taking)
}

fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    )
}

/// What became of a message is asked with the same key and the same bytes, whatever becomes of the file.
fn asks_again(sender: &Sender) {
    let accepted = response("200 OK", "", r#"{"code":"AA","control_id":"S9"}"#);
    for (second, status, says) in [(accepted, 0, "AA S9\n"), (String::new(), 4, "")] {
        let file = sender.file();
        let (api, taking) = fake(vec![String::new(), second], move || {
            std::fs::write(&file, "another").expect("a file");
        });
        sender.expect(api, "ehr", &adt("S9"), status, says);
        let requests = taking.join().expect("the requests").into_iter();
        let keys = requests.map(|request| {
            let head = request.to_ascii_lowercase();
            let key = head.split("idempotency-key: ").nth(1).expect("a key");
            key.lines().next().map(str::to_owned)
        });
        let keys: Vec<_> = keys.collect();
        assert_eq!(keys[0], keys[1]);
    }
}

/// What is not in the bridge's words is no verdict, and no other attempt is made.
fn foreign_responses(sender: &Sender) {
    let later = r#"{"title":"T","detail":"D","may_have_arrived":false}"#;
    let text = r#"{"title":"T","detail":"D","may_have_arrived":"false"}"#;
    let when = "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n";
    for (status, headers, body, expected) in [
        ("504 Gateway Timeout", "", r#"{"message":"MUSTER"}"#, 4),
        ("503 Service Unavailable", "", r#"{"message":"MUSTER"}"#, 4),
        ("429 Too Many Requests", "", r#"{"message":"MUSTER"}"#, 4),
        ("404 Not Found", "", "<html>MUSTER</html>", 4),
        ("500 Internal Server Error", "", "[]", 4),
        ("400 Bad Request", "", "null", 4),
        ("400 Bad Request", "", text, 4),
        ("200 OK", "", r#"{"ok":true}"#, 4),
        ("200 OK", "", r#"{"control_id":"S9"}"#, 4),
        ("200 OK", "", r#"{"code":"AA","control_id":9}"#, 4),
        ("200 OK", "", "", 4),
        ("200 OK", "", r#"{"code":null,"control_id":"S9"}"#, 0),
        ("503 Service Unavailable", when, later, 3),
        ("400 Bad Request", "", later, 2),
    ] {
        let (api, taking) = fake(vec![response(status, headers, body)], || ());
        let mut command = sender.command(api, "ehr", &adt("S9"));
        if expected == 3 {
            command.env("ATTEMPTS", "1");
        }
        let said = run(&mut command);
        println!("{status} {body}");
        said.check(expected, "");
        taking.join().expect("one request");
    }
    // It is not even HTTP.
    let (api, taking) = fake(vec!["MUSTER\r\n".to_owned()], || ());
    let mut command = sender.command(api, "ehr", &adt("S9"));
    run(command.env("ATTEMPTS", "1")).check(4, "");
    taking.join().expect("one request");
}

/// The first attempt may have arrived: that the second did not says nothing about it.
fn lost_before(sender: &Sender) {
    let no = r#"{"title":"T","detail":"D","may_have_arrived":false}"#;
    for status in [
        "404 Not Found",
        "409 Conflict",
        "400 Bad Request",
        "413 Content Too Large",
    ] {
        let (api, taking) = fake(vec![String::new(), response(status, "", no)], || ());
        println!("{status}");
        sender.expect(api, "ehr", &adt("S9"), 4, "T: D");
        taking.join().expect("two requests");
    }
}

/// The same bytes are another message where the bridge is to fill in what tells them apart.
fn names(sender: &Sender, api: SocketAddr, server: &Server) {
    let before = server.messages().len();
    let nameless = adt("S5")
        .replace("|S5|", "||")
        .replace("20261122101500+0000", "");
    sender.expect(api, "filled", &nameless, 2, "set KEY");
    assert_eq!(server.messages().len(), before);
    for key in ["bed-5", "bed-6", "bed-5-again"] {
        let said = sender.keyed(api, key, &nameless, 0, "AA ");
        assert!(!said.errors.contains(EARLIER), "{}", said.errors);
    }
    assert_eq!(server.messages().len(), before + 3);
    let said = sender.keyed(api, "bed-6", &nameless, 0, "AA ");
    assert!(said.errors.contains(EARLIER), "{}", said.errors);
    assert_eq!(server.messages().len(), before + 3);
    let long = "k".repeat(256);
    for key in ["a b", "a\nb", "\u{e9}", &long] {
        sender.keyed(api, key, &nameless, 2, "KEY must be");
    }
    assert_eq!(server.messages().len(), before + 3);
}

/// The program was called wrongly, which is no verdict on the message.
fn wrong_settings(sender: &Sender, api: SocketAddr) {
    for attempts in ["many", "0", "-1", "1.5"] {
        let mut command = sender.command(api, "ehr", &adt("S10"));
        run(command.env("ATTEMPTS", attempts)).check(2, "ATTEMPTS");
    }
    for bridge in ["MUSTER:ERIKA@", "MUSTER@"] {
        for scheme in ["http://", ""] {
            let mut command = sender.command(api, "ehr", &adt("S10"));
            command.env("MLLP_BRIDGE", format!("{scheme}{bridge}{api}"));
            run(&mut command).check(2, "MLLP_BRIDGE");
        }
    }
    let mut command = sender.command(api, "ehr", &adt("S10"));
    std::fs::remove_file(sender.file()).expect("the file");
    run(&mut command).check(2, "");
}

/// Without what makes the key nothing is sent, unless a key is given.
fn without_sha256sum(sender: &Sender) {
    let tools = TempDir::new().expect("temporary folder");
    for tool in [
        "sh", "curl", "jq", "mktemp", "rm", "cat", "tr", "head", "cut",
    ] {
        let path = std::env::var_os("PATH").expect("PATH");
        let mut all = std::env::split_paths(&path).map(|folder| folder.join(tool));
        let found = all.find(|path| path.is_file()).expect(tool);
        symlink(found, tools.path().join(tool)).expect("a link");
    }
    let server = Server::start(judge);
    let bridge = bridge(server.address, nobody());
    let api = api::address(&bridge);
    let mut command = sender.command(api, "ehr", &adt("S11"));
    run(command.env("PATH", tools.path())).check(2, "sha256sum");
    assert_eq!(server.messages().len(), 0);
    run(command.env("KEY", "k")).check(0, "AA S11\n");
    bridge.stop();
}

/// Whether this process, and so what it starts, ignores a signal.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// The copy of the message is not left behind, at an end of its own or by a signal.
fn leaves_nothing(sender: &Sender) {
    for (signal, number) in [("", 0), ("HUP", 1), ("INT", 2), ("TERM", 15)] {
        // What is ignored when a shell starts (nohup), it can never trap: it goes on as without a signal.
        let heard = number > 0 && !is_ignored(number);
        let status = if heard { 128 + number } else { 4 };
        let folder = TempDir::new().expect("temporary folder");
        let (asked, came) = std::sync::mpsc::sync_channel(1);
        let (go, gone) = std::sync::mpsc::sync_channel::<()>(1);
        let (api, taking) = fake(vec![String::new()], move || {
            asked.send(()).expect("the test");
            let _ = gone.recv(); // until the test has sent the signal
        });
        let mut command = sender.command(api, "ehr", &adt("S9"));
        command
            .env("TMPDIR", folder.path())
            .env("ATTEMPTS", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().expect("run the program");
        came.recv_timeout(PATIENCE).expect("a request");
        let files = |folder: &TempDir| folder.path().read_dir().expect("a folder").count();
        assert_eq!(files(&folder), 1, "the copy is elsewhere");
        if !signal.is_empty() {
            let pid = child.id().to_string();
            let killed = Command::new("kill").args(["-s", signal, &pid]).status();
            assert!(killed.expect("run kill").success());
        }
        drop(go);
        let said = Said::of(&child.wait_with_output().expect("its end"));
        said.check(status, "");
        assert_eq!(files(&folder), 0, "{signal}");
        taking.join().expect("one request");
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
    let again = run(&mut sender.command(api, "ehr", &adt("S1")));
    assert!(again.errors.contains(EARLIER), "{}", again.errors);

    let refused = adt_without_pid3("S2");
    sender.expect(api, "ehr", &refused, 1, "PID-3: 101\n  ?: ?\n");
    let rejected = adt("S3").replace("ADT^A01", "ADT^A40");
    sender.expect(api, "ehr", &rejected, 1, "rejected");
    sender.expect(api, "ehr", &rejected, 1, EARLIER);
    assert_eq!(server.messages().len(), 3);

    // It came, and nobody knows what became of it: it is not sent again.
    let unanswered = adt("S4").replace("ADT^A01", "ADT^A08");
    sender.expect(api, "ehr", &unanswered, 4, "lost");
    assert_eq!(server.messages().len(), 4);

    let mut command = sender.command(api, "ehr", "no message");
    run(command.env("KEY", "none")).check(2, "not an HL7 message");
    sender.expect(api, "nowhere", &adt("S5"), 2, "No destination");
    sender.expect(api, "away", &adt("S6"), 3, "cannot be reached");
    sender.expect(nobody(), "ehr", &adt("S7"), 3, "");
    assert_eq!(server.messages().len(), 4);

    names(sender, api, &server);
    wrong_settings(sender, api);
    asks_again(sender);
    foreign_responses(sender);
    lost_before(sender);
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
