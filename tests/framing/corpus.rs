//! The same messages under every kind of framing: the answers are the same, and the app gets the same. What MLLP Release 1 can only
//! close on, the others refuse; what HLLP cannot count, it refuses.

use std::collections::BTreeMap;
use std::thread;

use crate::blocks::{ACK, Check, hllp, open};
use crate::lab::Lab;
use crate::support::Shown;
use crate::support::corpus::{Sample, corpus};
use crate::support::messages::{adt, adt_enhanced, adt_of_size, adt_version, frame, oru};
use crate::support::peer::{NoFrame, RawPeer};

/// MSH-10 of the message that is sent behind each, to know that all of its answers have come.
const END: &str = "END OF ANSWERS";
/// The longest that HLLP can count.
const MOST: usize = 99_994;
const CONNECTIONS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mllp,
    Mllp2,
    Hllp,
}

/// How a message was answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// MSA-1 and MSA-2 of each answer, in order.
    Answers(Vec<(String, Vec<u8>)>),
    /// Not committed, or the letter of an HLLP refusal.
    Refused(char),
    Closed,
}

/// MSA-1 and MSA-2.
fn msa(ack: &[u8]) -> (String, Vec<u8>) {
    let separator = ack[3];
    let mut lines = ack.split(|byte| *byte == b'\r');
    let line = lines
        .find(|line| line.starts_with(b"MSA"))
        .unwrap_or_else(|| panic!("no MSA in {}", Shown(ack)));
    let mut fields = line.split(|byte| *byte == separator).skip(1);
    let code = String::from_utf8_lossy(fields.next().unwrap_or_default()).into_owned();
    (code, fields.next().unwrap_or_default().to_vec())
}

/// Sends a message and then the one at the end, and reads to the latter's answer.
#[track_caller]
fn exchange(lab: &Lab, peer: &mut RawPeer, kind: Kind, sample: &Sample) -> Outcome {
    let end = adt(END);
    match kind {
        Kind::Mllp => peer.send([frame(&sample.bytes), frame(&end)].concat()),
        Kind::Hllp => {
            let [sample, end] =
                [&sample.bytes[..], end.as_bytes()].map(|data| hllp('D', data, Check::Xor));
            peer.send([sample, end].concat());
        }
        Kind::Mllp2 => {
            peer.send(frame(&sample.bytes));
            let commit = peer
                .read_frame()
                .unwrap_or_else(|error| panic!("{}: {error}", sample.name));
            assert!(
                matches!(commit[..], [0x06 | 0x15]),
                "{}: {}",
                sample.name,
                Shown(&commit)
            );
            peer.send(frame(&end));
            if commit == [0x15] {
                let end = answer_release2(peer, &sample.name);
                assert_eq!(
                    end.map(|end| end.1),
                    Some(END.into()),
                    "{}: behind a NAK",
                    sample.name
                );
                return Outcome::Refused('-');
            }
        }
    }
    let mut answers = Vec::new();
    let mut refused = None;
    loop {
        let block = match kind {
            Kind::Mllp2 => answer_release2(peer, &sample.name),
            Kind::Mllp | Kind::Hllp => match peer.read_frame() {
                Ok(block) if kind == Kind::Mllp => Some(msa(&block)),
                Ok(block) if block.starts_with(b"N") => {
                    let letter = open(b'N', &block, Check::Xor)[0];
                    refused = Some(char::from(letter));
                    continue;
                }
                Ok(block) => Some(msa(&open(b'D', &block, Check::Xor))),
                Err(NoFrame::Closed { .. } | NoFrame::Reset { .. }) if kind == Kind::Mllp => None,
                Err(error) => panic!("{kind:?} {}: {error}", sample.name),
            },
        };
        match block {
            None => {
                *peer = lab.peer();
                return Outcome::Closed;
            }
            Some((_, id)) if id == END.as_bytes() => break,
            Some(answer) => answers.push(answer),
        }
    }
    match refused {
        None => Outcome::Answers(answers),
        Some(letter) => {
            assert!(answers.is_empty(), "{}: refused and answered", sample.name);
            Outcome::Refused(letter)
        }
    }
}

/// The next content block, committed.
#[track_caller]
fn answer_release2(peer: &mut RawPeer, name: &str) -> Option<(String, Vec<u8>)> {
    loop {
        match peer.read_frame() {
            // Of the message at the end.
            Ok(block) if block == [0x06] => {}
            Ok(block) => {
                peer.send(ACK);
                return Some(msa(&block));
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// What became of each message, and what the app got, with the number of times.
fn run(kind: Kind, samples: &[Sample]) -> (Vec<Outcome>, BTreeMap<Vec<u8>, usize>) {
    let name = format!("{kind:?}").to_lowercase();
    let lab = Lab::with(&format!("framing: {{ kind: {name}, end_idle: 10s }}"));
    let mut outcomes: Vec<(usize, Outcome)> = thread::scope(|scope| {
        let lab = &lab;
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|share| {
                scope.spawn(move || {
                    let mut peer = lab.peer();
                    let share = samples.iter().enumerate().skip(share).step_by(CONNECTIONS);
                    let found: Vec<_> = share
                        .map(|(at, sample)| (at, exchange(lab, &mut peer, kind, sample)))
                        .collect();
                    // An answer too many would come before the close.
                    peer.half_close();
                    peer.expect_close();
                    found
                })
            })
            .collect();
        let found = senders
            .into_iter()
            .map(|sender| sender.join().expect("a sender"));
        found.flatten().collect()
    });
    outcomes.sort_by_key(|(at, _)| *at);
    let mut got = BTreeMap::new();
    for message in lab.received() {
        *got.entry(message).or_default() += 1;
    }
    got.remove(adt(END).as_bytes());
    let unwritten = lab
        .bridge
        .metric_sum("mllp_bridge_ack_unwritten_total", &[]);
    assert_eq!(unwritten, 0.0, "{kind:?}");
    (
        outcomes.into_iter().map(|(_, outcome)| outcome).collect(),
        got,
    )
}

/// Every kind against MLLP Release 1.
fn compare(samples: &[Sample]) {
    let (plain, got) = run(Kind::Mllp, samples);
    for kind in [Kind::Mllp2, Kind::Hllp] {
        let mut got = got.clone();
        let (outcomes, got_here) = run(kind, samples);
        assert_eq!(outcomes.len(), samples.len());
        for ((sample, plain), outcome) in samples.iter().zip(&plain).zip(&outcomes) {
            let too_long = kind == Kind::Hllp && sample.bytes.len() > MOST;
            if too_long {
                got.remove(&sample.bytes);
            }
            let expected = match (kind, plain) {
                (Kind::Hllp, _) if too_long => Outcome::Refused('B'),
                (Kind::Hllp, Outcome::Closed) => Outcome::Refused('G'),
                (Kind::Mllp2, Outcome::Closed) => Outcome::Refused('-'),
                (Kind::Mllp2, Outcome::Answers(answers))
                    if answers.is_empty() && *outcome == Outcome::Refused('-') =>
                {
                    // A lone commit block would have been a yes.
                    assert!(!got.contains_key(&sample.bytes), "{}", sample.name);
                    outcome.clone()
                }
                (_, plain) => plain.clone(),
            };
            assert_eq!(*outcome, expected, "{kind:?} {}", sample.name);
        }
        for (message, count) in &got {
            let here = got_here.get(message).copied().unwrap_or_default();
            assert_eq!(
                here,
                *count,
                "{kind:?}: how often the app got {}",
                Shown(message)
            );
        }
        assert_eq!(got_here.len(), got.len(), "{kind:?}");
    }
}

#[test]
fn the_corpus_is_answered_alike_in_every_kind() {
    if let Some(samples) = corpus() {
        compare(&samples);
    }
}

/// The same without a corpus.
#[test]
fn messages_are_answered_alike_in_every_kind() {
    let texts = [
        adt("A1"),
        adt_version("2.3", "ID\\T\\2 "),
        adt_enhanced("A4", "AL", "NE"),
        adt_enhanced("A41", "AL", "AL"),
        adt_enhanced("A42", "NE", "SU"),
        adt_enhanced("A43", "NE", "ER"),
        adt_enhanced("A44", "NE", "NE"),
        adt_enhanced("", "AL", "AL"),
        // Refused, and nobody wants to know.
        adt_enhanced("", "NE", "NE"),
        "MSH|^~\\&|A|B|C|D|2026||ACK|A46|P|2.5\rMSA|CA|X1\r".to_owned(),
        oru("A5").replace('\r', "\n"),
        adt(""),
        adt("A\t7"),
        "hello".to_owned(),
        String::new(),
        "\x06MSH|^~\\&|A".to_owned(),
        adt_of_size("A8", MOST),
        adt_of_size("A9", MOST + 1),
        adt_of_size("A10", 300_000),
        "\u{feff}".to_owned() + &adt("A12"),
        "MSH|^~|A|B|C|D|2026||ADT^A01|A13|P|2.5\r".to_owned(),
    ];
    let samples: Vec<Sample> = texts
        .into_iter()
        .enumerate()
        .map(|(at, text)| Sample {
            name: format!("synthetic {}", at + 1),
            bytes: text.into_bytes(),
        })
        .collect();
    compare(&samples);
}
