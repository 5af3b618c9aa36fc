//! `send` as the sender: against the real bridge, and against servers that refuse, keep silent, or do not keep to the protocol.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::blocks::{ACK, Check, NAK, hllp, open};
use crate::lab::Lab;
use crate::support::app::{Reply, TestApp};
use crate::support::bridge::Bridge;
use crate::support::messages::{CR, FS, adt, adt_enhanced, adt_of_size, adt_without_pid3, frame};

/// Sends these messages; the JSON report.
#[track_caller]
fn send(address: SocketAddr, args: &[&str], messages: &[String]) -> Value {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("messages.hl7");
    std::fs::write(&file, messages.concat()).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
        .args([
            "send",
            &address.to_string(),
            "--output",
            "json",
            "--verbose",
        ])
        .args(args)
        .arg(&file)
        .output()
        .expect("send runs");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A server that plays a part on each of its connections, which are numbered from 0; what has been read, a block each.
fn server(
    play: impl Fn(usize, &mut Part) + Send + Sync + 'static,
) -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let read = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&read);
    let play = Arc::new(play);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            let (play, read) = (Arc::clone(&play), Arc::clone(&shared));
            thread::spawn(move || play(number, &mut Part { stream, read }));
        }
    });
    (address, read)
}

struct Part {
    stream: TcpStream,
    read: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Part {
    /// The next block, without VT, FS and CR; `None` at the end.
    fn block(&mut self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(&[FS, CR]) {
            match self.stream.read(&mut byte) {
                Ok(1) => bytes.push(byte[0]),
                _ => return None,
            }
        }
        let block = bytes[1..bytes.len() - 2].to_vec();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.push(block.clone());
        Some(block)
    }

    fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()); // a sender that has had enough closes
    }

    /// Until the end of the connection.
    fn listen(&mut self) {
        while self.block().is_some() {}
    }
}

fn blocks(read: &Mutex<Vec<Vec<u8>>>) -> Vec<String> {
    let read = read.lock().unwrap_or_else(PoisonError::into_inner);
    let shown = read.iter().map(|block| match &block[..] {
        [0x06] => "ACK".to_owned(),
        [b'N', _, _, _, letter, ..] => format!("N {}", char::from(*letter)),
        block => {
            let text = String::from_utf8_lossy(block);
            text.split('|').nth(9).unwrap_or("?").to_owned()
        }
    });
    shown.collect()
}

/// An acknowledgement, in no block.
fn ack(id: &str) -> String {
    format!("MSH|^~\\&|C|D|A|B|2026||ACK|1|P|2.5\rMSA|AA|{id}\r")
}

const KINDS: [(&str, &[&str]); 5] = [
    ("kind: mllp", &["--framing", "mllp"]),
    ("kind: mllp2", &["--framing", "mllp2"]),
    ("kind: hllp", &["--framing", "hllp"]),
    (
        "kind: hllp, hllp: { checksum: sum }",
        &["--framing", "hllp", "--checksum", "sum"],
    ),
    (
        "kind: hllp, hllp: { checksum: none }",
        &["--framing", "hllp", "--checksum", "none"],
    ),
];

#[test]
fn send_and_the_bridge_understand_each_other_in_every_kind() {
    for (key, args) in KINDS {
        let lab = Lab::with(&format!("framing: {{ {key} }}"));
        lab.app.respond(|request| {
            let valid = !request.json()["data"]["raw"].to_string().contains("|BAD|");
            Reply::status(if valid { 204 } else { 422 })
        });
        let mut messages: Vec<String> = (0..20).map(|n| adt(&format!("M{n}"))).collect();
        messages.push(adt_without_pid3("BAD"));
        messages.push(adt_enhanced("CA", "AL", "NE"));
        messages.push(adt_enhanced("BOTH", "AL", "AL"));
        messages.push(adt_of_size("LONG", 90_000));
        let found = send(
            lab.bridge.address(),
            &[args, &["-c", "3", "-r", "3"]].concat(),
            &messages,
        );
        assert_eq!(found["answers"]["AA"], 22 * 3, "{key}: {found}");
        assert_eq!(found["answers"]["CA"], 3, "{key}: {found}");
        assert_eq!(found["answers"]["AE"], 3, "{key}: {found}");
        assert_eq!(lab.app.requests().len(), 24 * 3, "{key}");
        assert!(lab.deviations().is_empty(), "{key}: {:?}", lab.deviations());
    }
}

/// Its timer runs out several times while the app is at work. The app gets the message once, and the next one is answered by its own.
#[test]
fn an_impatient_sender_makes_no_second_delivery() {
    let lab = Lab::with("framing: { kind: mllp2 }");
    let slow = Duration::from_millis(700);
    lab.app.script([Reply::ok().delay(slow)]);
    let args = ["--framing", "mllp2", "--timeout", "0.2", "--resends", "50"];
    let found = send(lab.bridge.address(), &args, &[adt("A1"), adt("A2")]);
    assert_eq!(found["answers"]["AA"], 2, "{found}");
    lab.assert_received(&[adt("A1"), adt("A2")]);
    // After a resend a connection is not used for another message.
    assert_eq!(found["connections"]["reopened"], 1, "{found}");
    assert!(lab.deviations().contains_key("resent"));
}

/// The app comes up while the sender resends what was not committed.
#[test]
fn what_was_not_committed_is_delivered_when_the_app_is_there() {
    let app = TestApp::down();
    let bridge = Bridge::start(&format!(
        "listeners:\n  - name: adt\n    bind: 127.0.0.1:0\n    deliver: {{ url: '{}' }}\n    \
         ack: {{ deadline: 100ms }}\n    framing: {{ kind: mllp2 }}\n",
        app.url()
    ));
    let address = bridge.address();
    let sender = thread::spawn(move || {
        let args = ["--framing", "mllp2", "--resends", "100"];
        send(address, &args, &[adt("A1")])
    });
    bridge.wait_for_metric("mllp_bridge_acks_total", &[("code", "NAK")], 2.0);
    let app = app.up();
    let found = sender.join().expect("the sender");
    assert_eq!(found["answers"]["AA"], 1, "{found}");
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn a_message_that_is_not_committed_is_sent_again() {
    let (address, read) = server(|_, part| {
        part.block();
        part.say(NAK);
        part.block();
        part.say(ACK);
        part.say(frame(ack("A1")));
        part.block();
        part.listen();
    });
    let found = send(address, &["--framing", "mllp2"], &[adt("A1")]);
    assert_eq!(found["answers"]["AA"], 1, "{found}");
    assert_eq!(blocks(&read), ["A1", "A1", "ACK"]);
}

#[test]
fn a_message_that_is_refused_each_time_is_given_up() {
    let (address, read) = server(|_, part| {
        while part.block().is_some() {
            part.say(NAK);
        }
    });
    let args = ["--framing", "mllp2", "--resends", "2"];
    let found = send(address, &args, &[adt("A1")]);
    assert_eq!(found["failures"]["refused"], 1, "{found}");
    assert_eq!(
        found["not_accepted"][0]["detail"],
        "the server refused the message 3 times (NAK)"
    );
    assert_eq!(blocks(&read), ["A1", "A1", "A1"]);
}

#[test]
fn a_server_that_never_commits_is_given_up() {
    let (address, read) = server(|_, part| part.listen());
    let args = ["--framing", "mllp2", "--resends", "1", "--timeout", "0.2"];
    let found = send(address, &args, &[adt("A1")]);
    assert_eq!(found["failures"]["timeout"], 1, "{found}");
    assert_eq!(
        found["not_accepted"][0]["detail"],
        "the server did not commit the message in 200ms, 2 times"
    );
    assert_eq!(blocks(&read), ["A1", "A1"]);
}

/// The timer ran out, and so the message was sent twice: the server commits both. Its second ACK must not commit the next message.
#[test]
fn a_second_commit_block_does_not_commit_the_next_message() {
    let (address, read) = server(|connection, part| {
        part.block();
        if connection > 0 {
            // It never takes this one.
            return part.listen();
        }
        part.block();
        part.say(ACK);
        part.say(ACK);
        part.listen();
    });
    let silent = |id| adt_enhanced(id, "NE", "NE");
    let args = ["--framing", "mllp2", "--resends", "1", "--timeout", "0.3"];
    let found = send(address, &args, &[silent("A1"), silent("A2")]);
    assert_eq!(found["messages"]["no_answer_wanted"], 1, "{found}");
    assert_eq!(found["failures"]["timeout"], 1, "{found}");
    assert_eq!(found["connections"]["opened"], 1, "{found}");
    assert_eq!(found["connections"]["reopened"], 1, "{found}");
    assert_eq!(blocks(&read), ["A1", "A1", "A2", "A2"]);
}

/// Each of these would be taken for an answer by a sender that is less strict.
#[test]
fn what_does_not_keep_to_release_2_is_an_error() {
    let cases: [(Vec<Vec<u8>>, &str); 5] = [
        (
            vec![frame(ack("A1"))],
            "the server answered before it committed the message: is it MLLP Release 1?",
        ),
        (
            vec![ACK.to_vec(), frame(ack("OTHER"))],
            "the server answered another message: MSA-2 is \"OTHER\", sent was \"A1\"",
        ),
        (
            vec![ACK.to_vec(), ACK.to_vec()],
            "the server answered with an MLLP Release 2 commit block (ACK) and not with HL7",
        ),
        (
            vec![ACK.to_vec(), NAK.to_vec()],
            "the server answered with an MLLP Release 2 commit block (NAK) and not with HL7",
        ),
        (
            vec![ACK.to_vec(), frame(b"M\0S\0H\0")],
            "the server's answer cannot be used: it is in UTF-16 or UTF-32",
        ),
    ];
    for (answers, expected) in cases {
        let (address, read) = server(move |_, part| {
            part.block();
            part.say(answers.concat());
            part.listen();
        });
        let found = send(address, &["--framing", "mllp2"], &[adt("A1")]);
        assert_eq!(found["not_accepted"][0]["detail"], expected, "{found}");
        assert_eq!(blocks(&read), ["A1"], "{expected}: nothing was committed");
    }
}

/// As a server that waited too long for our commit block does. It answers both copies, and nothing is sent for the second.
#[test]
fn an_answer_that_comes_twice_is_committed_once() {
    let (address, read) = server(|_, part| {
        part.block();
        let accept = ack("A1").replace("MSA|AA", "MSA|CA");
        part.say([ACK.to_vec(), frame(&accept), frame(&accept)].concat());
        part.block();
        part.say(frame(ack("A1")));
        part.listen();
    });
    let message = adt_enhanced("A1", "AL", "AL");
    let found = send(address, &["--framing", "mllp2"], &[message]);
    assert_eq!(found["answers"]["AA"], 1, "{found}");
    assert_eq!(blocks(&read), ["A1", "ACK", "ACK"]);
}

#[test]
fn hllp_sends_again_what_is_refused_and_refuses_what_is_damaged() {
    let (address, read) = server(|_, part| {
        part.block();
        part.say(hllp('N', "X", Check::Xor));
        let message = part.block().unwrap_or_default();
        open(b'D', &message, Check::Xor);
        // The wrong checksum, then the wrong count, then as it should be.
        let answer = hllp('D', ack("A1"), Check::Xor);
        part.say(hllp('D', ack("A1"), Check::Sum));
        part.block();
        let mut short = answer.clone();
        short.remove(10);
        part.say(short);
        part.block();
        part.say(answer);
        part.listen();
    });
    let found = send(address, &["--framing", "hllp"], &[adt("A1")]);
    assert_eq!(found["answers"]["AA"], 1, "{found}");
    assert_eq!(blocks(&read), ["A1", "A1", "N X", "N C"]);
}

#[test]
fn hllp_gives_up_after_so_many_refusals_of_either_side() {
    let (address, read) = server(|_, part| {
        while part.block().is_some() {
            part.say(hllp('N', "B", Check::Xor));
        }
    });
    let args = ["--framing", "hllp", "--resends", "1"];
    let found = send(address, &args, &[adt("A1")]);
    assert_eq!(
        found["not_accepted"][0]["detail"],
        "the server refused the message 2 times (it is too long)"
    );
    assert_eq!(blocks(&read), ["A1", "A1"]);

    let (address, read) = server(|_, part| {
        while part.block().is_some() {
            part.say(hllp('D', ack("A1"), Check::Sum));
        }
    });
    let found = send(address, &args, &[adt("A1")]);
    assert_eq!(
        found["not_accepted"][0]["detail"],
        "the server's answer cannot be used: its checksum is wrong"
    );
    assert_eq!(found["failures"]["bad_answer"], 1);
    assert_eq!(blocks(&read), ["A1", "N X"]);
}

#[test]
fn what_hllp_cannot_count_is_not_sent() {
    let lab = Lab::with("framing: { kind: hllp }");
    let messages = [adt_of_size("L1", 99_995), adt("L2")];
    let found = send(lab.bridge.address(), &["--framing", "hllp"], &messages);
    assert_eq!(found["failures"]["unframable"], 1, "{found}");
    assert_eq!(found["answers"]["AA"], 1, "{found}");
    assert_eq!(
        found["not_accepted"][0]["detail"],
        "the message cannot be framed: the message has 99995 bytes, and HLLP carries 99994 at most"
    );
}

/// The two ends have not agreed. Nobody takes anything for what it is not, and each side says what is the matter.
#[test]
fn two_kinds_do_not_understand_each_other() {
    let lab = Lab::with("framing: { kind: hllp, hllp: { checksum: sum } }");
    let found = send(lab.bridge.address(), &["--framing", "hllp"], &[adt("A1")]);
    assert_eq!(
        found["not_accepted"][0]["detail"],
        "the server's answer cannot be used: it is a refusal and damaged: do both ends use the same checksum?"
    );
    let short = ["--timeout", "1", "--resends", "1"];
    for (listener, args, kind) in [
        ("mllp", ["--framing", "mllp2"], "bad_answer"),
        ("mllp2", ["--framing", "mllp"], "bad_answer"),
        ("hllp", ["--framing", "mllp"], "bad_answer"),
        ("hllp", ["--framing", "mllp2"], "bad_answer"),
        ("mllp", ["--framing", "hllp"], "closed"),
        ("mllp2", ["--framing", "hllp"], "bad_answer"),
    ] {
        let lab = Lab::with(&format!("framing: {{ kind: {listener} }}"));
        let args = [&args[..], &short].concat();
        let found = send(lab.bridge.address(), &args, &[adt("A1")]);
        assert_eq!(found["failures"][kind], 1, "{listener} {args:?}: {found}");
        assert_eq!(found["accepted"], false, "{listener} {args:?}");
    }
}
