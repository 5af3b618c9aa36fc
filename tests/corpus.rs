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
const REASONS: [(&str, &str); 7] = [
    (
        "MSH-2 is not four or five different delimiters",
        "bad_delimiters",
    ),
    ("MSH-10 is empty", "no_control_id"),
    (
        "MSH-10 holds characters that cannot be sent back",
        "bad_control_id",
    ),
    (
        "several messages in one block that are not a batch as chapter 2 has it",
        "batch",
    ),
    (
        "BTS-1 is not the number of messages in the batch",
        "message_count",
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
    /// Each MSA-1 in order, and why if it is not positive.
    Acks { codes: String, reason: &'static str },
    /// None, because MSH-15 and MSH-16 want none.
    Unwanted,
    /// None, because it is an accept acknowledgement itself.
    Ignored,
    /// No answer, and the connection closed.
    Closed,
}

/// MSH-10 of the message of original mode that is sent behind one of which it is not known how many answers it gets.
const END: &str = "END OF ANSWERS";

/// The first line between its separators: of `MSH`, field 10 is at place 9.
fn first_line(message: &[u8]) -> Vec<&[u8]> {
    let body = message
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(message)
        .trim_ascii_start();
    let line = body
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    match line.get(3) {
        Some(separator) => line.split(|byte| byte == separator).collect(),
        None => vec![line],
    }
}

/// MSH-10 as it stands; of a batch, BHS-11.
fn control_id(message: &[u8]) -> &[u8] {
    let line = first_line(message);
    let place = if line[0] == b"MSH" { 9 } else { 10 };
    line.get(place).copied().unwrap_or_default()
}

/// MSH-15 and MSH-16, each empty where it is not of table 0155.
fn conditions(message: &[u8]) -> [String; 2] {
    let line = first_line(message);
    [14, 15].map(|place| {
        let field = line.get(place).copied().unwrap_or_default();
        let field = String::from_utf8_lossy(field).trim().to_uppercase();
        let known = ["AL", "NE", "ER", "SU"].contains(&field.as_str());
        field.chars().filter(|_| known).collect()
    })
}

/// `ACK` with CA, CE or CR in its MSA-1.
fn is_accept_ack(message: &[u8]) -> bool {
    let line = first_line(message);
    let kind = line.get(8).copied().unwrap_or_default();
    let ends = [b'\r', b'\n'];
    let msa = message
        .split(|byte| ends.contains(byte))
        .find(|line| line.starts_with(b"MSA"));
    let code = msa.map(|msa| msa.get(4..6).unwrap_or_default());
    kind.starts_with(b"ACK") && matches!(code, Some(b"CA" | b"CE" | b"CR"))
}

/// How many answers it gets depends on what becomes of it.
fn is_open_ended(message: &[u8]) -> bool {
    conditions(message).iter().any(|field| !field.is_empty()) || is_accept_ack(message)
}

/// The table of docs/acknowledgements.md, for one outcome.
fn expected_codes(message: &[u8], positive: bool, word: &str) -> String {
    let [accept, application] = conditions(message);
    if accept.is_empty() && application.is_empty() {
        return format!("A{word}");
    }
    let wanted =
        |condition: &str| condition == "AL" || condition == if positive { "SU" } else { "ER" };
    match (wanted(&accept), wanted(&application)) {
        (true, true) if positive => format!("C{word} A{word}"),
        (true, _) => format!("C{word}"),
        (false, true) => format!("A{word}"),
        (false, false) => String::new(),
    }
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
        let mut sent = frame(&sample.bytes);
        let open_ended = is_open_ended(&sample.bytes);
        if open_ended {
            sent.extend(frame(adt(END)));
        }
        peer.send(sent);
        let mut acks = Vec::new();
        let answer = loop {
            match peer.read_frame() {
                Ok(ack) if open_ended && msa(&ack, 2) == END.as_bytes() => {
                    break judge(sample, &acks);
                }
                Ok(ack) => acks.push(ack),
                Err(NoFrame::Closed { got } | NoFrame::Reset { got }) if got.is_empty() => {
                    assert!(!open_ended, "{}: closed", sample.name);
                    peer = RawPeer::connect(bridge.address());
                    break Answer::Closed;
                }
                Err(error) => panic!("{}: {error}", sample.name),
            }
            if !open_ended {
                break judge(sample, &acks);
            }
        };
        answers.push(answer);
    }
    // An answer too many would come before the close.
    peer.half_close();
    peer.expect_close();
    answers
}

fn judge(sample: &Sample, acks: &[Vec<u8>]) -> Answer {
    let Some(first) = acks.first() else {
        return if is_accept_ack(&sample.bytes) {
            Answer::Ignored
        } else {
            // The app accepts everything that it gets.
            let taken = !control_id(&sample.bytes).is_empty();
            let expected = expected_codes(&sample.bytes, taken, "?");
            assert_eq!(expected, "", "{}: no answer", sample.name);
            Answer::Unwanted
        };
    };
    let code = String::from_utf8(msa(first, 1).to_vec()).expect("MSA-1");
    let positive = code.ends_with('A');
    let known = REASONS
        .iter()
        .find(|(text, _)| memchr::memmem::find(first, text.as_bytes()).is_some());
    let reason = match known {
        _ if positive => "",
        Some((_, reason)) => reason,
        None => panic!(
            "{}: refused for no known reason: {}",
            sample.name,
            Shown(first)
        ),
    };
    let id = match reason {
        "bad_control_id" => b"",
        _ => control_id(&sample.bytes),
    };
    let mut codes = Vec::new();
    for ack in acks {
        assert!(
            msa(ack, 2) == id,
            "{}: MSH-10 is {}, MSA-2 is {}",
            sample.name,
            Shown(id),
            Shown(msa(ack, 2))
        );
        codes.push(String::from_utf8_lossy(msa(ack, 1)));
    }
    let codes = codes.join(" ");
    let word = match reason {
        "" => "A",
        "no_control_id" | "bad_control_id" | "message_count" => "E",
        _ => "R",
    };
    let expected = expected_codes(&sample.bytes, positive, word);
    assert_eq!(codes, expected, "{}", sample.name);
    Answer::Acks { codes, reason }
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
    let end = adt(END);
    let mut expected: Vec<&[u8]> = Vec::new();
    for (sample, answer) in &answered {
        let taken = match answer {
            Answer::Acks { reason, .. } => reason.is_empty(),
            Answer::Unwanted => !control_id(&sample.bytes).is_empty(),
            Answer::Ignored | Answer::Closed => false,
        };
        expected.extend(taken.then_some(sample.bytes.as_slice()));
        expected.extend(is_open_ended(&sample.bytes).then_some(end.as_bytes()));
    }
    let ends = samples.iter().filter(|sample| is_open_ended(&sample.bytes));
    let ends = ends.count();
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

    let ignored = answered
        .iter()
        .filter(|(_, answer)| *answer == Answer::Ignored);
    let messages = samples.len() + ends - ignored.count();
    bridge.wait_for_metric("mllp_bridge_messages_total", &[], messages as f64);
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
    assert_eq!(counts.values().sum::<usize>(), samples.len());
    assert_eq!(
        metrics.sum("mllp_bridge_messages_total", &[("outcome", "accepted")]) as usize,
        got.len(),
        "messages that count as accepted, and requests at the app"
    );
    check_metrics(&metrics, &counts, messages, ends);
    bridge.stop();
    table(&metrics, &counts, samples.len())
}

/// The bridge counted what the sender saw, and the messages at the end of answers, which it has accepted.
fn check_metrics(
    metrics: &Metrics,
    counts: &BTreeMap<Answer, usize>,
    messages: usize,
    ends: usize,
) {
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
    assert_eq!(sum("messages_total", &[]), messages);
    for code in ["AA", "AE", "AR", "CA", "CE", "CR"] {
        let mut seen = count(&|answer| match answer {
            Answer::Acks { codes, .. } => codes.split(' ').any(|is| is == code),
            _ => false,
        });
        if code == "AA" {
            seen += ends;
        }
        assert_eq!(sum("acks_total", &[("code", code)]), seen, "{code}");
    }
    let unwanted = count(&|answer| *answer == Answer::Unwanted);
    assert_eq!(sum("acks_total", &[("code", "unwanted")]), unwanted);
    assert_eq!(sum("acks_total", &[("code", "suppressed")]), 0);
    let ignored = count(&|answer| *answer == Answer::Ignored);
    assert_eq!(sum("deviations_total", &[("kind", "accept_ack")]), ignored);
    let refused = sum("refused_total", &[]);
    let accepted = sum("messages_total", &[("outcome", "accepted")]);
    assert_eq!(
        refused + accepted,
        messages,
        "what the app did not get was refused for a reason"
    );
    for (_, reason) in REASONS {
        let seen =
            count(&|answer| matches!(answer, Answer::Acks { reason: is, .. } if *is == reason));
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
            Answer::Acks { codes, reason: "" } => {
                writeln!(table, "| {} | {count} |", codes.replace(' ', ", then "))
            }
            Answer::Acks { codes, reason } => writeln!(table, "| {codes}: `{reason}` | {count} |"),
            Answer::Unwanted => writeln!(table, "| no answer wanted | {count} |"),
            Answer::Ignored => writeln!(table, "| an accept acknowledgement | {count} |"),
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
        adt_enhanced("A41", "AL", "AL"),
        adt_enhanced("A42", "NE", "SU"),
        adt_enhanced("A43", "NE", "ER"),
        adt_enhanced("", "AL", "AL"),
        adt_enhanced("A44", "AL", ""),
        adt_enhanced("A45", "NO", ""),
        "MSH|^~\\&|A|B|C|D|2026||ACK|A46|P|2.5\rMSA|CA|X1\r".to_owned(),
        oru("A5").replace('\r', "\n"),
        oru("A6").replace('\r', "\r\n"),
        adt(""),
        adt("A\t7"),
        "BHS|^~\\&|A||||2026||||B0\r".to_owned() + &adt("A8") + &adt("A9") + "BTS|3\r",
        "BHS|^~\\&|A||||2026||||B1\rNTE|1\r".to_owned() + &adt("A10"),
        "<ADT_A01 xmlns=\"urn:hl7-org:v2xml\"/>".to_owned(),
        "hello".to_owned(),
        "MSH|^~\\&|A|B|C|D|2026||ADT^A01|A11|P|2.5||||||UNICODE UTF-32\r".to_owned(),
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
    | sent | 25 |
    | AA | 12 |
    | AE: `bad_control_id` | 1 |
    | AE: `message_count` | 1 |
    | AE: `no_control_id` | 1 |
    | AR: `batch` | 1 |
    | AR: `charset` | 1 |
    | CA | 2 |
    | CA, then AA | 1 |
    | CE: `no_control_id` | 1 |
    | no answer wanted | 1 |
    | an accept acknowledgement | 1 |
    | closed without an answer: `not_hl7` | 2 |
    | deviation: `accept_ack` | 1 |
    | deviation: `ack_condition` | 1 |
    | deviation: `charset_alias` | 1 |
    | deviation: `charset_mismatch` | 1 |
    | deviation: `cr_lf_terminator` | 1 |
    | deviation: `half_enhanced` | 1 |
    | deviation: `leading_bytes` | 1 |
    | deviation: `lf_terminator` | 1 |
    | deviation: `short_msh2` | 1 |
    "##);
    assert_eq!(one, run(&samples, 4));
}
