//! Public messages from many projects, over real sockets through the real binary: each is answered once, under its own control
//! ID, and what the app got is what was sent.
//!
//! What is expected is worked out here, by a reader of a few lines that shares no code with the bridge.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use support::app::{Recorded, TestApp};
use support::bridge::{Bridge, Metrics};
use support::corpus::{Sample, corpus};
use support::messages::{adt, adt_enhanced, adt_version, frame, oru};
use support::peer::{NoFrame, RawPeer};
use support::{PATIENCE, Shown};

mod support;

/// What a sentence in an answer means in the metrics.
const REASONS: [(&str, &str); 6] = [
    (
        "MSH-2 is not four or five different delimiters",
        "bad_delimiters",
    ),
    ("MSH-10 is empty", "no_control_id"),
    ("MSH-10 holds control characters", "bad_control_id"),
    (
        "batches and several messages in one block are not supported",
        "batch",
    ),
    (
        "the character set is not supported, or the bytes are not in it",
        "charset",
    ),
    (
        "the message is larger than this receiver takes",
        "too_large",
    ),
];

/// How a message was answered, from the sender's side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    /// MSA-1, and why if it is not positive.
    Ack { code: String, reason: &'static str },
    /// No answer, and the connection closed.
    Closed,
}

/// MSH-10 as it stands: what is between the ninth and the tenth separator of the first line. Of a batch, BHS-11.
fn control_id(message: &[u8]) -> &[u8] {
    let body = message
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(message)
        .trim_ascii_start();
    let line = body
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    let Some(separator) = line.get(3) else {
        return b"";
    };
    let place = if line.starts_with(b"MSH") { 9 } else { 10 };
    line.split(|byte| byte == separator)
        .nth(place)
        .unwrap_or_default()
}

/// A field of the acknowledgement's MSA, by number.
fn msa(ack: &[u8], field: usize) -> &[u8] {
    let separator = ack[3];
    let line = ack
        .split(|byte| *byte == b'\r')
        .find(|line| line.starts_with(b"MSA"));
    line.unwrap_or_else(|| panic!("no MSA in {}", Shown(ack)))
        .split(|byte| *byte == separator)
        .nth(field)
        .unwrap_or_default()
}

/// Sends every message of a share on connections of its own, one after another, and checks each answer.
fn send(bridge: &Bridge, share: &[&Sample]) -> Vec<Answer> {
    let mut peer = RawPeer::connect(bridge.address());
    let mut answers = Vec::new();
    for sample in share {
        peer.send(frame(&sample.bytes));
        match peer.read_frame() {
            Ok(ack) => answers.push(judge(sample, &ack)),
            Err(NoFrame::Closed { got } | NoFrame::Reset { got }) if got.is_empty() => {
                answers.push(Answer::Closed);
                peer = RawPeer::connect(bridge.address());
            }
            Err(error) => panic!("{}: {error}", sample.name),
        }
    }
    // An answer too many would come before the close.
    peer.half_close();
    peer.expect_close();
    answers
}

fn judge(sample: &Sample, ack: &[u8]) -> Answer {
    let code = String::from_utf8(msa(ack, 1).to_vec()).expect("MSA-1");
    let reason = if code == "AA" {
        ""
    } else {
        let known = REASONS
            .iter()
            .find(|(text, _)| memchr::memmem::find(ack, text.as_bytes()).is_some());
        known
            .unwrap_or_else(|| {
                panic!(
                    "{}: refused for no known reason: {}",
                    sample.name,
                    Shown(ack)
                )
            })
            .1
    };
    let expected = if reason == "bad_control_id" {
        b""
    } else {
        control_id(&sample.bytes)
    };
    assert!(
        msa(ack, 2) == expected,
        "{}: MSH-10 is {}, MSA-2 is {}",
        sample.name,
        Shown(expected),
        Shown(msa(ack, 2))
    );
    Answer::Ack { code, reason }
}

/// The message's bytes as the app can get them back from an envelope.
fn raw(request: &Recorded) -> Vec<u8> {
    let envelope = request.json();
    let data = &envelope["data"];
    if let Some(text) = data["rawbase64"].as_str() {
        return STANDARD.decode(text).expect("base64");
    }
    let text = data["raw"].as_str().expect("raw");
    match data["charset"].as_str() {
        Some("ISO-8859-1") => text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).expect("a character of ISO 8859-1"))
            .collect(),
        _ => text.as_bytes().to_vec(),
    }
}

/// Everything sent over so many connections at once, checked; the result as a table.
fn run(samples: &[Sample], connections: usize) -> String {
    let app = TestApp::start();
    let bridge = Bridge::for_app(&app.url());
    let shares: Vec<Vec<&Sample>> = (0..connections)
        .map(|share| samples.iter().skip(share).step_by(connections).collect())
        .collect();
    let answered: Vec<(&Sample, Answer)> = thread::scope(|scope| {
        let bridge = &bridge;
        let sending: Vec<_> = shares
            .iter()
            .map(|share| scope.spawn(move || send(bridge, share)))
            .collect();
        let answers = sending
            .into_iter()
            .map(|thread| thread.join().expect("a sender"));
        shares
            .iter()
            .zip(answers)
            .flat_map(|(share, answers)| {
                assert_eq!(share.len(), answers.len(), "one answer for each message");
                share.iter().copied().zip(answers).collect::<Vec<_>>()
            })
            .collect()
    });
    let accepted = Answer::Ack {
        code: "AA".into(),
        reason: "",
    };
    let mut expected: Vec<&[u8]> = answered
        .iter()
        .filter(|(_, answer)| *answer == accepted)
        .map(|(sample, _)| sample.bytes.as_slice())
        .collect();
    let mut got: Vec<Vec<u8>> = app
        .wait_for(expected.len(), PATIENCE)
        .iter()
        .map(raw)
        .collect();
    if connections > 1 {
        expected.sort_unstable();
        got.sort_unstable();
    }
    assert_eq!(
        got.len(),
        expected.len(),
        "requests at the app, and positive answers"
    );
    for (got, expected) in got.iter().zip(&expected) {
        assert!(
            got == expected,
            "sent {}, the app got {}",
            Shown(expected),
            Shown(got)
        );
    }

    bridge.wait_for_metric("mllp_bridge_messages_total", &[], samples.len() as f64);
    bridge.wait_for_metric(
        "mllp_bridge_connections_closed_total",
        &[],
        bridge.metric_sum("mllp_bridge_connections_accepted_total", &[]),
    );
    let metrics = bridge.metrics();
    let mut counts: BTreeMap<Answer, usize> = BTreeMap::new();
    for (_, answer) in &answered {
        *counts.entry(answer.clone()).or_default() += 1;
    }
    check_metrics(&metrics, &counts, samples.len());
    bridge.stop();
    table(&metrics, &counts, samples.len())
}

/// The bridge counted what the sender saw.
fn check_metrics(metrics: &Metrics, counts: &BTreeMap<Answer, usize>, sent: usize) {
    let sum = |name: &str, labels: &[(&str, &str)]| {
        metrics.sum(&format!("mllp_bridge_{name}"), labels) as usize
    };
    let count = |wanted: &dyn Fn(&Answer) -> bool| -> usize {
        counts
            .iter()
            .filter(|(answer, _)| wanted(answer))
            .map(|(_, count)| count)
            .sum()
    };
    assert_eq!(counts.values().sum::<usize>(), sent, "answers and closes");
    assert_eq!(sum("messages_total", &[]), sent);
    for code in ["AA", "AE", "AR"] {
        let seen = count(&|answer| matches!(answer, Answer::Ack { code: is, .. } if is == code));
        assert_eq!(sum("acks_total", &[("code", code)]), seen, "{code}");
    }
    let accepted = count(&|answer| matches!(answer, Answer::Ack { code, .. } if code == "AA"));
    assert_eq!(sum("messages_total", &[("outcome", "accepted")]), accepted);
    for (_, reason) in REASONS {
        let seen =
            count(&|answer| matches!(answer, Answer::Ack { reason: is, .. } if *is == reason));
        assert_eq!(
            sum("refused_total", &[("reason", reason)]),
            seen,
            "{reason}"
        );
    }
    let closed = count(&|answer| *answer == Answer::Closed);
    assert_eq!(
        sum("refused_total", &[("reason", "not_hl7")]) + sum("refused_total", &[("reason", "xml")]),
        closed
    );
    assert_eq!(
        sum("connections_closed_total", &[("reason", "not_hl7")]),
        closed
    );
    assert_eq!(
        sum("refused_total", &[]) + accepted,
        sent,
        "what the app did not get was refused for a reason"
    );
    for name in [
        "ack_unwritten_total",
        "delivery_failures_total",
        "delivery_retries_total",
        "connections_open",
        "exchanges_in_flight",
    ] {
        assert_eq!(sum(name, &[]), 0, "{name}");
    }
}

fn table(metrics: &Metrics, counts: &BTreeMap<Answer, usize>, sent: usize) -> String {
    let mut table = format!("| what | messages |\n| --- | ---: |\n| sent | {sent} |\n");
    for (answer, count) in counts {
        let _ = match answer {
            Answer::Ack { code, reason: "" } => writeln!(table, "| {code} | {count} |"),
            Answer::Ack { code, reason } => writeln!(table, "| {code}: `{reason}` | {count} |"),
            Answer::Closed => writeln!(table, "| closed without an answer: `not_hl7` | {count} |"),
        };
    }
    for (key, count) in metrics.samples() {
        let kind = key
            .strip_prefix("mllp_bridge_deviations_total{kind=\"")
            .and_then(|rest| rest.split('"').next());
        if let (Some(kind), true) = (kind, *count > 0.0) {
            let _ = writeln!(table, "| deviation: `{kind}` | {count} |");
        }
    }
    table
}

#[test]
fn the_corpus() {
    let Some(samples) = corpus() else {
        return;
    };
    let one = run(&samples, 1);
    println!("\n{one}");
    assert_eq!(one, run(&samples, 8), "over 1 connection, and over 8");
    let page = include_str!("../docs/conformance.md");
    assert!(
        page.contains(&one),
        "docs/conformance.md has another table than the one above: copy it there"
    );
}

/// The same without a corpus, with every reason in it.
#[test]
fn synthetic_messages() {
    let text = [
        adt("A1"),
        adt_version("2.3", "ID\\T\\2 "),
        adt_version("2.7", "A3"),
        adt_enhanced("A4", "AL", "NE"),
        oru("A5").replace('\r', "\n"),
        oru("A6").replace('\r', "\r\n"),
        adt(""),
        adt("A\t7"),
        adt("A8") + &adt("A9"),
        "BHS|^~\\&|A||||2026||||B1\r".to_owned() + &adt("A10"),
        "<ADT_A01 xmlns=\"urn:hl7-org:v2xml\"/>".to_owned(),
        "hello".to_owned(),
        "MSH|^~\\&|A|B|C|D|2026||ADT^A01|A11|P|2.5||||||UNICODE UTF-16\r".to_owned(),
        "\u{feff}".to_owned() + &adt("A12"),
        "MSH|^~|A|B|C|D|2026||ADT^A01|A13|P|2.5\r".to_owned(),
    ];
    let mut samples: Vec<Vec<u8>> = text.map(String::into_bytes).into();
    samples.push(
        b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|\xdc14|P|2.3||||||8859/1\rPID|1||4||M\xdcLLER\r".to_vec(),
    );
    samples.push(
        b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|15|P|2.5||||||UNICODE UTF-8\rPID|1||4||M\xdcLLER\r"
            .to_vec(),
    );
    samples.push(
        b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|16|P|2.5||||||utf-8\rPID|1||4||M\xc3\x9cLLER\r".to_vec(),
    );
    let samples: Vec<Sample> = samples
        .into_iter()
        .enumerate()
        .map(|(at, bytes)| Sample {
            name: format!("synthetic {}", at + 1),
            bytes,
        })
        .collect();
    let one = run(&samples, 1);
    insta::assert_snapshot!(one, @r##"
    | what | messages |
    | --- | ---: |
    | sent | 18 |
    | AA | 11 |
    | AE: `bad_control_id` | 1 |
    | AE: `no_control_id` | 1 |
    | AR: `batch` | 2 |
    | AR: `charset` | 1 |
    | closed without an answer: `not_hl7` | 2 |
    | deviation: `charset_alias` | 1 |
    | deviation: `charset_mismatch` | 1 |
    | deviation: `cr_lf_terminator` | 1 |
    | deviation: `enhanced_mode` | 1 |
    | deviation: `leading_bytes` | 1 |
    | deviation: `lf_terminator` | 1 |
    | deviation: `short_msh2` | 1 |
    "##);
    assert_eq!(one, run(&samples, 4));
}
