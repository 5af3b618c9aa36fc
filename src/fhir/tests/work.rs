//! What a message costs grows with its size and no faster. Work is counted, not timed: steps of the engine's loops and bytes read
//! or written. `cargo bench --bench fhir` has the times, of longer messages.

use super::super::work;
use super::{Converted, MSH, Options, convert_with, refused_with};
use crate::fhir::NotCovered;

/// How much work a message is, its ledger and the trace of its values included.
fn work_of(message: &str) -> usize {
    let options = Options {
        explain: true,
        ledger: true,
        count: true,
        ..Options::default()
    };
    let _ = work::steps();
    let Converted {
        bundle,
        explained,
        ledger,
        ..
    } = convert_with(message, options);
    let told = explained.iter().map(|one| one.path.len() + one.rows.len());
    let lost = ledger.lost.iter().map(|one| one.path.len());
    let written = bundle.len() + told.sum::<usize>() + lost.sum::<usize>();
    usize::try_from(work::steps()).unwrap() + written
}

/// Four times as many may cost four times as much, and a little for longer numbers.
#[track_caller]
fn grows_with_the_message(what: &str, message: impl Fn(usize) -> String) {
    let [few, more, many] = [128, 512, 2_048].map(|count| work_of(&message(count)));
    // What does not depend on the number falls out of the differences.
    let (first, second) = (more - few, many - more);
    assert!(second <= first * 5, "{what}: {few}, {more}, {many} steps");
}

fn header(event: &str) -> String {
    MSH.replace("ADT^A01^ADT_A01", event)
}

const PATIENT: &str = "PID|1||77^^^H^MR||DOE^JANE\n";

/// A start, and this for each number.
fn repeated(start: &str, count: usize, one: impl Fn(usize) -> String) -> String {
    let all: String = (1..=count).map(one).collect();
    format!("{start}{all}")
}

#[test]
fn many_results() {
    let start = format!("{}{PATIENT}", header("ORU^R01^ORU_R01"));
    let order = "OBR|1|P1|F1|24323-8^Panel^LN|||20260301\n";
    grows_with_the_message("OBX of one OBR", |count| {
        repeated(&format!("{start}{order}"), count, |n| {
            format!("OBX|{n}|NM|T{n}^Test^L|{n}|{n}.5|mg/dL|||||F|||20260301||{n}^TECH\n")
        })
    });
    grows_with_the_message("OBR with one OBX", |count| {
        repeated(&start, count / 2, |n| {
            format!("OBR|{n}||R{n}^LAB|T{n}^Test^L\nOBX|1|ST|X||a\n")
        })
    });
    grows_with_the_message("NTE of one OBX", |count| {
        let start = format!("{start}{order}OBX|1|ST|X||a\n");
        repeated(&start, count, |n| format!("NTE|{n}|L|note {n}\n"))
    });
    grows_with_the_message("NTE of one OBR, the same text in each", |count| {
        repeated(&format!("{start}{order}"), count, |_| {
            "NTE|1|L|note\n".to_owned()
        })
    });
    grows_with_the_message("OBX that no report of theirs has", |count| {
        repeated(&start, count, |n| format!("OBX|{n}|ST|X{n}||a\n"))
    });
}

/// A long value that each of many segments, or repetitions, has to have.
#[test]
fn a_short_message_that_would_become_a_very_long_bundle_is_refused() {
    let repetitions = |one: &str| vec![one; 1_500].join("~");
    let numbered = |count: usize, one: &str| {
        let all = (0..count).map(|n| one.replace("{n}", &n.to_string()));
        all.collect::<Vec<_>>().join("~")
    };
    let results: String = (0..2_000)
        .map(|n| format!("OBX|{n}|NM|T^Test^L||5|mmol/L|||||F\n"))
        .collect();
    let long = "7".repeat(100_000);
    let result = header("ORU^R01^ORU_R01");
    let order = |filler: &str| format!("OBR|1||{filler}|T^Test^L\n");
    let sender =
        |event: &str| header(event).replace("|CLINIC|", &format!("|{}|", "%".repeat(100_000)));
    for (what, message) in [
        (
            "a filler number",
            format!("{result}{PATIENT}{}{results}", order(&long)),
        ),
        (
            "a patient's number",
            format!("{result}PID|1||{long}^^^H^MR\n{}{results}", order("F1")),
        ),
        (
            "a sender",
            format!(
                "{}{PATIENT}{}{results}",
                sender("ORU^R01^ORU_R01"),
                order("F1")
            ),
        ),
        (
            "a sender whose names are many",
            format!(
                "{}PID|1||{}\n",
                sender("ADT^A01^ADT_A01"),
                numbered(1_500, "{n}^^^MR^MR")
            ),
        ),
        (
            "a list in each of a list",
            format!(
                "{MSH}{PATIENT}PV1|1|I\nIN1|1|P^Plan^L|C|{}|{}\n",
                numbered(1_000, "COMPANY {n}"),
                numbered(1_000, "{n} ST^^TOWN"),
            ),
        ),
    ] {
        let refused = refused_with(&message);
        assert_eq!(refused, Some(NotCovered::TooMuch), "{what}");
    }
    // A document is no matter: it stands there once.
    let document = format!(
        "OBX|1|ED|D^Document^L||^application^pdf^Base64^{}|||||F\n",
        "QUJD".repeat(1 << 20)
    );
    let message = format!("{result}{PATIENT}{}{document}", order("F1"));
    assert_eq!(refused_with(&message), None);
    assert_eq!(
        refused_with(&format!("{MSH}PID|1||{}\n", repetitions("7^^^H^MR"))),
        None
    );
}

/// Which rows are for a segment may depend on a code of another segment, and that may be a book: it is looked through for delimiters, and
/// not read.
#[test]
fn many_that_a_long_value_decides_of() {
    let book = "a\\T\\".repeat(20_000);
    let start = format!(
        "{}SCH|1||||||R^Routine||||^^30^20260301100000\n{PATIENT}RGS|1|{book}\n",
        header("SIU^S12^SIU_S12")
    );
    let work = |count| {
        work_of(&repeated(&start, count, |n| {
            format!("AIS|{n}|A|S{n}^X^L\n")
        }))
    };
    let each = (work(72) - work(8)) / 64;
    assert!(each < 3 * book.len() + 4_000, "{each} steps for a segment");
}

#[test]
fn many_of_what_a_patient_has() {
    for (id, fields) in [
        ("AL1", "|DA|{n}^Drug^L|MO|Rash"),
        ("AL1", "|DA|1^Drug^L|MO|Rash {n}"),
        ("DG1", "||I{n}^Illness^I10||20260301|A"),
        ("NK1", "|KIN{n}^MADE UP|SPO|{n} ST^^TOWN|^PRN^PH^^1^216^{n}"),
        ("IN1", "|P{n}^Plan^L|C{n}|COMPANY {n}|{n} ST^^TOWN"),
        ("PR1", "||P{n}^Procedure^L||20260301"),
        // No relation, and so no resource.
        ("ZZZ", "|{n}"),
    ] {
        grows_with_the_message(&format!("{id}{fields}"), |count| {
            repeated(&format!("{MSH}{PATIENT}PV1|1|I\n"), count, |n| {
                format!("{id}|{n}{}\n", fields.replace("{n}", &n.to_string()))
            })
        });
    }
}

#[test]
fn many_of_a_schedule() {
    grows_with_the_message("AIP", |count| {
        let start = format!(
            "{}SCH|1||||||R^Routine||||^^30^20260301100000\n{PATIENT}RGS|1\n",
            header("SIU^S12^SIU_S12")
        );
        repeated(&start, count, |n| {
            format!("AIP|{n}|A|{n}^DOC^TOR|D^Doctor^L\n")
        })
    });
}

#[test]
fn many_repetitions() {
    let repetitions = |count: usize, one: &str| {
        let all = (1..=count).map(|n| one.replace("{n}", &n.to_string()));
        all.collect::<Vec<_>>().join("~")
    };
    for (what, before, one, behind) in [
        ("identifiers", "PID|1||", "{n}^^^H{n}^MR", "||DOE"),
        ("the same identifier", "PID|1||", "1^^^H^MR", "||DOE"),
        ("names", "PID|1||77||", "DOE^J{n}", ""),
        ("addresses", "PID|1||77||DOE||||||", "{n} ST^^TOWN", ""),
        (
            "numbers",
            "PID|1||77||DOE||||||||",
            "^PRN^PH^^1^216^{n}",
            "",
        ),
        (
            "doctors",
            "PID|1||77||DOE\nPV1|1|I|||||",
            "{n}^DOC^T{n}^^^^^^H{n}",
            "",
        ),
        (
            "one doctor of many names",
            "PID|1||77||DOE\nPV1|1|I|||||",
            "1^DOC^T{n}^^^^^^NPI",
            "",
        ),
        (
            "values",
            "PID|1||77||DOE\nOBX|1|CWE|T||",
            "{n}^Value {n}^L",
            "||||||F",
        ),
        (
            "texts",
            "PID|1||77||DOE\nOBX|1|TX|T||",
            "line {n}",
            "||||||F",
        ),
    ] {
        grows_with_the_message(what, |count| {
            format!("{MSH}{before}{}{behind}\n", repetitions(count, one))
        });
    }
    grows_with_the_message("identifiers and what is the patient's by them", |count| {
        let start = format!(
            "{MSH}PID|1||{}||DOE\n",
            repetitions(count / 2, "{n}^^^H{n}^MR")
        );
        repeated(&start, count / 2, |n| format!("AL1|{n}|DA|{n}^Drug^L\n"))
    });
}

#[test]
fn long_values() {
    for (what, before, part) in [
        ("components", "PID|1||77||DOE", "^x"),
        ("empty components", "PID|1||77||DOE", "^"),
        ("subcomponents", "PID|1||77||DOE", "&x"),
        ("components of a text", "PID|1||77\nOBX|1|TX|T||a", "^x"),
        ("escapes", "PID|1||77\nOBX|1|TX|T||a", "\\T\\"),
        ("digits", "PID|1||77\nOBX|1|TX|T||a", "\\X41\\"),
        (
            "escapes that nothing closes",
            "PID|1||77\nOBX|1|TX|T||a",
            "\\",
        ),
        ("fields", "PID|1||77||DOE", "|x"),
    ] {
        grows_with_the_message(what, |count| {
            format!("{MSH}{before}{}\n", part.repeat(count))
        });
    }
}
