//! Our index against `hl7-parser` 0.3, segment by segment down to subcomponents: wherever they differ, the difference is one of a
//! named kind, and each kind has an example here. Why the bridge has an index of its own: ADR 0002.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use hl7_parser::message::Message;
use mllp_bridge::hl7::{Payload, peek};
use proptest::prelude::*;

use compare::{Kinds, compare};
use support::Shown;
use support::corpus::corpus;
use support::messages::{adt, adt_version, oru};

mod compare;
#[path = "../support/mod.rs"]
mod support;

/// What `hl7-parser` does otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Cannot be asked: it reads `&str`, and the message is not UTF-8.
    NotUtf8,
    /// Refuses a message behind a byte order mark or white space.
    LeadingBytes,
    /// Takes four characters for MSH-2 where there are fewer, the field separator among them.
    ShortMsh2,
    /// Takes the fifth character of MSH-2 for MSH-3, and so moves every further field of MSH by one.
    FifthCharacter,
    /// Adds an empty MSH-3 to an MSH that ends after MSH-2.
    AddedField,
    /// Numbers the fields of a BHS or FHS further on as if its separator were not field 1.
    HeaderFurtherOn,
    /// Silently drops a line that is not three letters or digits and a separator, an empty one included, and all lines after it.
    RestDropped,
    /// Counts a segment's name in bytes and cuts it in characters, so that two letters of three bytes swallow what follows.
    NameBeyondAscii,
    /// Ends a segment at a bare LF in a message whose segments end in CR LF.
    LineFeed,
    /// Prints components with the repetition separator between them.
    PrintsComponents,
    /// Prints two field separators too many in MSH.
    PrintsHeader,
    /// Drops characters when it unescapes: of unknown sequences, of `\X..\`, and all after an escape character that nothing closes.
    UnescapeLoses,
    /// Panics when it unescapes a value with a character beyond ASCII before the sequence.
    UnescapePanics,
}

/// A header, and behind it these segments.
fn message(segments: &str) -> Vec<u8> {
    format!("MSH|^~\\&|A|B|C|D|2026||ADT|7|P|2.5\r{segments}").into_bytes()
}

#[test]
fn each_kind_has_an_example() {
    let bom = "\u{feff}MSH|^~\\&|A|B|C|D|2026||ADT|7|P|2.5\r";
    let examples: [(Kind, Vec<u8>); 13] = [
        (
            Kind::NotUtf8,
            [message("PID|1||4||M"), b"\xdcLLER\r".to_vec()].concat(),
        ),
        (Kind::LeadingBytes, bom.into()),
        (
            Kind::ShortMsh2,
            b"MSH|^~|A|B|C|D|2026||ADT|7|P|2.5\r".to_vec(),
        ),
        (
            Kind::FifthCharacter,
            b"MSH|^~\\&#|A|B|C|D|2026||ADT|7|P|2.7\r".to_vec(),
        ),
        (Kind::AddedField, b"MSH|^~\\&\rPID|1\r".to_vec()),
        (Kind::HeaderFurtherOn, message("BHS|^~\\&|A\r")),
        (Kind::RestDropped, message("EVN|A01\rZZ|x\rPID|1||4711\r")),
        (Kind::NameBeyondAscii, message("ZÄ||y\r")),
        (
            Kind::LineFeed,
            b"MSH|^~\\&|A|B|C|D|2026||ADT|7|P|2.5\r\nNTE|1||two\nlines\r\nPID|1\r\n".to_vec(),
        ),
        (Kind::PrintsComponents, message("PID|1||4711^^^HOSP\r")),
        (Kind::PrintsHeader, message("PID|1\r")),
        (Kind::UnescapeLoses, message("NTE|1||C:\\temp and more\r")),
        (Kind::UnescapePanics, message("NTE|1||ÄÖ\\T\\ more\r")),
    ];
    for (kind, message) in examples {
        let mut expected = Kinds::from([kind]);
        if !matches!(kind, Kind::NotUtf8 | Kind::ShortMsh2) {
            expected.insert(Kind::PrintsHeader);
        }
        if kind == Kind::HeaderFurtherOn {
            // Its encoding characters are read as a value.
            expected.extend([Kind::PrintsComponents, Kind::UnescapeLoses]);
        }
        assert_eq!(compare(&message), Ok(expected), "{}", Shown(&message));
    }
}

/// What the kinds mean for whoever asks, spelled out.
#[test]
fn what_the_differences_do() {
    let parse = |message: &'static str| Message::parse(message).unwrap();
    let fifth = parse("MSH|^~\\&#|A|B|C|D|2026||ADT|7|P|2.7\r");
    assert_eq!(
        fifth.segment("MSH").unwrap().field(10).unwrap().raw_value(),
        "ADT",
        "the control ID is 7"
    );
    let dropped = parse("MSH|^~\\&|A|B|C|D|2026||ADT|7|P|2.5\rEVN|A01\rZZ|x\rPID|1||4711\r");
    assert!(
        dropped.segment("PID").is_none(),
        "the patient is lost, and nothing says so"
    );
    let printed = parse("MSH|^~\\&|A|B\rPID|1||4711^^^HOSP~99^^^CITY\r");
    assert_eq!(
        printed
            .segment("PID")
            .unwrap()
            .display(&printed.separators)
            .to_string(),
        "PID|1||4711~~~HOSP~99~~~CITY"
    );
    let separators = printed.separators;
    for (escaped, theirs) in [
        ("C:\\temp", "C:"),
        ("\\X41\\", "X41"),
        ("5 \\H\\mg\\N\\", "5 HmgN"),
        ("a\\.br\\b", "a\rb"),
    ] {
        assert_eq!(separators.decode(escaped).to_string(), theirs);
    }
    assert!(Message::parse("\u{feff}MSH|^~\\&|A\r").is_err());
}

#[test]
fn synthetic_messages_are_read_alike() {
    for message in [adt("A1"), adt_version("2.3", "A2"), oru("A3")] {
        for end in ["\r", "\n", "\r\n"] {
            let message = message.replace('\r', end);
            let kinds = compare(message.as_bytes())
                .unwrap_or_else(|what| panic!("{what}: {}", Shown(message.as_bytes())));
            let printing = Kinds::from([
                Kind::PrintsComponents,
                Kind::PrintsHeader,
                Kind::UnescapeLoses,
            ]);
            assert!(kinds.is_subset(&printing), "{kinds:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3000, max_shrink_iters: 3000, ..ProptestConfig::default() })]

    #[test]
    fn every_difference_is_of_a_known_kind(
        body in prop::collection::vec(prop::sample::select(vec!["|", "|", "^", "~", "&", "\\", "\r", "\r", "\n", "\r\n", "\rPID|", "\rNTE|1|", "\rBHS|", "a", "B1", "é", "#", "\\T\\", "\\X41\\", " "]), 0..40),
        end in prop::sample::select(vec!["\r", "\n", "\r\n"]),
        msh2 in prop::sample::select(vec!["^~\\&", "^~\\&#", "^~\\", "&~\\^"]),
    ) {
        let message = format!("MSH|{msh2}|A|B|C|D|2026||ADT|7|P|2.5{end}{}", body.concat());
        if let Err(what) = compare(message.as_bytes()) {
            prop_assert!(false, "{what}\n{}", Shown(message.as_bytes()));
        }
    }
}

#[test]
fn every_difference_in_the_corpus_is_of_a_known_kind() {
    let Some(samples) = corpus() else {
        return;
    };
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    let (mut read, mut alike, mut problems) = (0, 0, Vec::new());
    for sample in &samples {
        // Without a header there is nothing to index.
        if !matches!(peek(&sample.bytes), Payload::V2(_)) {
            continue;
        }
        read += 1;
        match compare(&sample.bytes) {
            Ok(kinds) => {
                alike += usize::from(kinds.iter().all(|kind| *kind >= Kind::PrintsComponents));
                kinds
                    .into_iter()
                    .for_each(|kind| *counts.entry(kind).or_default() += 1);
            }
            Err(what) => problems.push(format!("{}: {what}", sample.name)),
        }
        for end in [&b"\n"[..], b"\r\n"] {
            let message: Vec<u8> = sample
                .bytes
                .split(|byte| *byte == b'\r')
                .collect::<Vec<_>>()
                .join(end);
            if let Err(what) = compare(&message) {
                problems.push(format!(
                    "{} with {}: {what}",
                    sample.name,
                    end.escape_ascii()
                ));
            }
        }
    }
    println!(
        "{} messages, {read} with a header, {alike} read alike",
        samples.len()
    );
    for (kind, count) in &counts {
        println!("{count:>5} {kind:?}");
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
