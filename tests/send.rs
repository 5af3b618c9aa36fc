//! `send`, the real binary, against the real bridge and against servers that misbehave.

#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use support::app::{Reply, TestApp};
use support::bridge::Bridge;
use support::messages::{CR, FS, adt, adt_without_pid3, frame, oru};

mod support;

/// What one run of `send` left behind.
#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn send(address: SocketAddr, args: &[&str], stdin: &[u8]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
        .arg("send")
        .arg(address.to_string())
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("send starts");
    let mut input = child.stdin.take().expect("stdin");
    // A run that does not read it has closed it.
    let _ = input.write_all(stdin);
    drop(input);
    let output = child.wait_with_output().expect("send ends");
    Run {
        code: output.status.code().expect("an exit code"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Sends these messages, one under the other, from standard input.
fn send_text(address: SocketAddr, args: &[&str], messages: &[String]) -> Run {
    send(
        address,
        &[args, &["-"]].concat(),
        messages.concat().as_bytes(),
    )
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

fn path(folder: &TempDir, name: &str) -> String {
    let path: PathBuf = folder.path().join(name);
    path.display().to_string()
}

/// A server that handles each of its connections, which are numbered from 0, by the function.
fn server(handle: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            let handle = Arc::clone(&handle);
            thread::spawn(move || handle(number, stream));
        }
    });
    address
}

/// Reads one block; its MSH-10, or `None` at the end of the connection.
fn read_block(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(&[FS, CR]) {
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => return None,
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split('|').nth(9).map(str::to_owned)
}

fn ack(code: &str, control_id: &str) -> Vec<u8> {
    frame(format!(
        "MSH|^~\\&|B|C|R|G|20261122||ACK|1|P|2.5\rMSA|{code}|{control_id}\r"
    ))
}

// The bridge.

#[test]
fn all_accepted() {
    let app = TestApp::start();
    let bridge = Bridge::for_app(&app.url());
    let two = adt("ONE") + &oru("TWO");
    let folder = folder(&[
        ("a.hl7", &two),
        ("b.txt", &adt("THREE")),
        ("notes.md", "# none"),
    ]);
    let args = [&path(&folder, ""), "--connections", "3", "--repeat", "20"];
    let run = send(bridge.address(), &args, b"");
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("  AA  accepted"), "{}", run.out);
    assert!(run.out.contains("60  100.0 %"), "{}", run.out);
    assert!(
        run.out.contains("all 60 messages were accepted"),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("3 messages from 2 files, 20 times"),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("1 file without a message left out"),
        "{}",
        run.out
    );
    assert!(
        !run.out.contains('\x1b'),
        "no colours in a pipe: {}",
        run.out
    );
    assert_eq!(run.err, "", "no progress bar in a pipe");
    assert_eq!(app.requests().len(), 60);
    bridge.stop();
}

#[test]
fn a_refused_message_is_named_with_its_place() {
    let app = TestApp::start();
    let problem =
        json!({"errors": [{"location": "PID-3", "condition": 101, "detail": "no identifier"}]});
    app.script([Reply::ok(), Reply::problem(422, &problem), Reply::ok()]);
    let bridge = Bridge::for_app(&app.url());
    let folder = folder(&[(
        "a.hl7",
        &(adt("ONE") + &adt_without_pid3("TWO") + &oru("THREE")),
    )]);
    let run = send(bridge.address(), &[&path(&folder, "a.hl7")], b"");
    assert_eq!(run.code, 1, "{run:?}");
    let listed = run.out.lines().find(|line| line.contains("TWO"));
    let listed = listed.expect("the refused message");
    for part in [
        "#2",
        "AE",
        "PID-3: 101 Required field missing: no identifier",
    ] {
        assert!(listed.contains(part), "{part}: {}", run.out);
    }
    assert!(
        run.out.contains("2 of 3 messages were accepted"),
        "{}",
        run.out
    );
    assert!(
        !run.out.contains("MUSTER"),
        "names of patients are not printed"
    );
    bridge.stop();
}

#[test]
fn one_document_and_one_line_for_each() {
    let app = TestApp::start();
    app.script([Reply::ok(), Reply::status(404)]);
    let bridge = Bridge::for_app(&app.url());
    let messages = [adt("ONE"), adt("TWO")];
    let run = send_text(bridge.address(), &["--output", "json", "-v"], &messages);
    let found = run.json();
    assert_eq!(run.code, 1);
    assert_eq!(found["answers"]["AA"], 1, "{found:#}");
    assert_eq!(found["answers"]["AR"], 1, "{found:#}");
    assert_eq!(found["accepted"], false);
    assert_eq!(found["each"][0]["control_id"], "ONE");
    assert_eq!(found["not_accepted"][0]["message"], 2);
    assert!(found["latency_ms"]["p50"].as_f64() > Some(0.0), "{found:#}");

    let run = send_text(bridge.address(), &["--verbose"], &messages);
    assert_eq!(run.code, 0, "{run:?}");
    let lines: Vec<_> = run.out.lines().take(2).collect();
    assert!(
        lines[0].starts_with("stdin #1  ONE ") && lines[0].contains(" AA "),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("stdin #2  TWO "), "{lines:?}");
    bridge.stop();
}

#[test]
fn what_is_not_hl7_is_closed_without_an_answer_and_the_rest_goes_on() {
    let app = TestApp::start();
    let bridge = Bridge::for_app(&app.url());
    let folder = folder(&[("1.hl7", "no HL7"), ("2.hl7", &adt("TWO"))]);
    let args = [&path(&folder, ""), "--output", "json"];
    let run = send(bridge.address(), &args, b"");
    let found = run.json();
    assert_eq!(run.code, 1);
    assert_eq!(
        (&found["failures"]["closed"], &found["answers"]["AA"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(found["connections"], json!({"opened": 1, "reopened": 1}));
    let detail = &found["not_accepted"][0]["detail"];
    assert_eq!(detail, "the server closed the connection without an answer");
    bridge.stop();
}

#[test]
fn block_characters_in_a_message_are_refused_before_they_are_sent() {
    let app = TestApp::start();
    let bridge = Bridge::for_app(&app.url());
    let broken = adt("ONE").replace("Free text", "Free \x0b text");
    let run = send_text(
        bridge.address(),
        &["--output", "json"],
        &[broken, adt("TWO")],
    );
    let found = run.json();
    assert_eq!(run.code, 1);
    assert_eq!(
        (&found["failures"]["unframable"], &found["answers"]["AA"]),
        (&json!(1), &json!(1))
    );
    let detail = found["not_accepted"][0]["detail"].as_str().expect("text");
    assert!(
        detail.starts_with("the message cannot be framed: byte "),
        "{detail}"
    );
    assert_eq!(app.requests().len(), 1);
    bridge.stop();
}

#[test]
fn the_rate_is_kept() {
    let app = TestApp::start();
    let bridge = Bridge::for_app(&app.url());
    let args = [
        "--rate", "50", "--repeat", "26", "-c", "4", "--output", "json",
    ];
    let found = send_text(bridge.address(), &args, &[adt("ONE")]).json();
    assert_eq!(found["answers"]["AA"], 26);
    let seconds = found["seconds"].as_f64().expect("a number");
    assert!(seconds >= 0.45, "26 messages at 50/s in {seconds} s");
    bridge.stop();
}

// Servers that misbehave.

/// The first connection's answer to the first message is this function's, all others are right. Two messages, ONE and TWO.
#[track_caller]
fn first_answer(handle: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> (i32, Value) {
    let address = server(move |number, mut stream| {
        let mut first = number == 0;
        while let Some(id) = read_block(&mut stream) {
            if first {
                handle(&mut stream);
                first = false;
            } else if stream.write_all(&ack("AA", &id)).is_err() {
                return;
            }
        }
    });
    let args = ["--timeout", "1", "--output", "json"];
    let run = send_text(address, &args, &[adt("ONE"), adt("TWO")]);
    (run.code, run.json())
}

/// The first message failed in this way, and the second was accepted on a connection of its own.
#[track_caller]
fn assert_first_failed((code, found): &(i32, Value), kind: &str, detail: &str) {
    assert_eq!(*code, 1, "{found:#}");
    assert_eq!(found["failures"][kind], 1, "{found:#}");
    assert_eq!(found["not_accepted"][0]["control_id"], "ONE", "{found:#}");
    let said = found["not_accepted"][0]["detail"].as_str().expect("text");
    assert!(said.contains(detail), "{said:?} should hold {detail:?}");
    assert_eq!(found["answers"]["AA"], 1, "{found:#}");
    assert_eq!(found["connections"]["reopened"], 1, "{found:#}");
}

#[test]
fn an_answer_to_another_message() {
    let run = first_answer(|stream| {
        let _ = stream.write_all(&ack("AA", "OTHER"));
    });
    assert_first_failed(&run, "mismatch", "MSA-2 is \"OTHER\", sent was \"ONE\"");
}

#[test]
fn a_late_answer_never_answers_the_next_message() {
    let run = first_answer(|stream| {
        thread::sleep(Duration::from_millis(1500));
        // Refused by then: the connection is closed.
        let _ = stream.write_all(&ack("AE", "ONE"));
    });
    assert_first_failed(&run, "timeout", "the server did not answer in 1s");
}

#[test]
fn half_an_answer_and_then_the_end() {
    let run = first_answer(|stream| {
        let whole = ack("AA", "ONE");
        let _ = stream.write_all(&whole[..whole.len() / 2]);
        let _ = stream.shutdown(Shutdown::Both);
    });
    assert_first_failed(&run, "closed", "bytes that are no whole answer");
}

#[test]
fn half_an_answer_and_then_nothing() {
    let run = first_answer(|stream| {
        let whole = ack("AA", "ONE");
        let _ = stream.write_all(&whole[..whole.len() / 2]);
    });
    assert_first_failed(&run, "timeout", "began an answer and did not end it");
}

#[test]
fn a_commit_block_where_hl7_was_expected() {
    let run = first_answer(|stream| {
        let _ = stream.write_all(&frame([0x15]));
    });
    assert_first_failed(&run, "bad_answer", "MLLP Release 2 commit block (NAK)");
}

#[test]
fn not_an_mllp_server() {
    let run = first_answer(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    assert_first_failed(&run, "bad_answer", "does not speak MLLP but HTTP");
}

#[test]
fn a_code_that_is_none() {
    let run = first_answer(|stream| {
        let _ = stream.write_all(&ack("OK", "ONE"));
    });
    assert_first_failed(&run, "bad_answer", "MSA-1 of the server's answer, \"OK\"");
}

#[test]
fn a_negative_answer_keeps_the_connection() {
    let (code, found) = first_answer(|stream| {
        let _ = stream.write_all(&ack("CR", "ONE"));
    });
    assert_eq!(code, 1);
    assert_eq!(
        (&found["answers"]["CR"], &found["answers"]["AA"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(found["connections"], json!({"opened": 1, "reopened": 0}));
}

#[test]
fn an_answer_too_many_is_not_taken_for_the_next() {
    let (code, found) = first_answer(|stream| {
        // In one write: the second one lies there before the next message is sent.
        let _ = stream.write_all(&[ack("AA", "ONE"), ack("AE", "TWO")].concat());
    });
    assert_eq!(code, 0, "{found:#}");
    assert_eq!(found["unasked_answers"], 1, "{found:#}");
    assert_eq!(found["connections"]["reopened"], 1, "{found:#}");
}

#[test]
fn a_server_that_closes_after_every_answer_loses_nothing() {
    let address = server(|_, mut stream| {
        if let Some(id) = read_block(&mut stream) {
            let _ = stream.write_all(&ack("AA", &id));
        }
    });
    let messages = [adt("ONE"), adt("TWO"), adt("THREE")];
    // Slowly, so that each close arrives before the next message is sent: then nothing of it can get lost.
    let args = ["--rate", "5", "--output", "json"];
    let run = send_text(address, &args, &messages);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(
        run.json()["connections"],
        json!({"opened": 1, "reopened": 2})
    );
}

#[test]
fn answers_in_sloppy_blocks_are_taken_and_told() {
    let address = server(|_, mut stream| {
        while let Some(id) = read_block(&mut stream) {
            let mut answer = ack("AA", &id);
            answer.push(b'\n');
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    });
    let run = send_text(address, &[], &[adt("ONE"), adt("TWO")]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.out
            .contains("the server's answers deviate: end_cr_lf ("),
        "{}",
        run.out
    );
}

#[test]
fn nobody_there() {
    let reserved = TestApp::down();
    let address = SocketAddr::from(([127, 0, 0, 1], reserved.port()));
    let run = send_text(address, &["--output", "json"], &[adt("ONE"), adt("TWO")]);
    let found = run.json();
    assert_eq!(run.code, 1);
    assert_eq!(found["failures"]["unreachable"], 1, "{found:#}");
    assert_eq!(found["failures"]["not_sent"], 1, "{found:#}");
    let reason = found["ended_early"].as_str().expect("a reason");
    assert!(
        reason.starts_with(&format!("cannot connect to {address}: ")),
        "{reason}"
    );
}

#[test]
fn what_cannot_be_sent_at_all() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let run = send(nowhere, &["/does/not/exist.hl7"], b"");
    assert_eq!(run.code, 1);
    assert!(
        run.err.contains("cannot read /does/not/exist.hl7"),
        "{}",
        run.err
    );
    let run = send(nowhere, &["-"], b"\n\n");
    assert_eq!(run.code, 1);
    assert!(run.err.contains("there is no message in -"), "{}", run.err);
    for bad in [["--rate", "0"], ["--timeout", "-1"], ["--connections", "0"]] {
        assert_eq!(
            send(nowhere, &[&bad[..], &["-"]].concat(), b"").code,
            2,
            "{bad:?}"
        );
    }
}

#[test]
fn documents_are_sent_and_their_answers_known() {
    let app = TestApp::start();
    let bridge = Bridge::for_app(&app.url());
    let v2 = |id: &str| {
        format!(
            "<ADT_A01 xmlns='urn:hl7-org:v2xml'><MSH><MSH.10>{id}</MSH.10><MSH.12><VID.1>2.5</VID.1></MSH.12></MSH></ADT_A01>"
        )
    };
    let v3 = |accept: &str| {
        format!(
            "<PRPA_IN201301UV02 xmlns='urn:hl7-org:v3'><id root='1.2.3' extension='{accept}'/><acceptAckCode code='{accept}'/>\
             <controlActProcess/></PRPA_IN201301UV02>"
        )
    };
    let files = folder(&[
        ("1.xml", &v2("D1")),
        ("2.xml", &v3("AL")),
        ("3.xml", &v3("ER")),
        (
            "4.xml",
            "<ClinicalDocument xmlns='urn:hl7-org:v3'><id root='9'/></ClinicalDocument>",
        ),
        ("5.xml", "<html/>"),
    ]);
    let path = files.path().display().to_string();
    let run = send(bridge.address(), &["--output", "json", &path], b"");
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(app.requests().len(), 4, "{run:?}");

    app.always(Reply::status(415));
    let path = files.path().join("2.xml").display().to_string();
    let run = send(bridge.address(), &[&path], b"");
    assert_ne!(run.code, 0, "{run:?}");
    assert!(run.out.contains("CR") || run.err.contains("CR"), "{run:?}");
    let path = files.path().join("4.xml").display().to_string();
    let run = send(bridge.address(), &[&path], b"");
    assert_ne!(run.code, 0, "the connection was closed: {run:?}");
}
