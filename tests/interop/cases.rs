//! What each client sends, and what it is expected to see: the table behind docs/interop.md.
//!
//! What a client sees is written as its codes: `AA`, `CA, AA`, `200 × AA`; with what its parser finds in the first ERR,
//! `AE: PID^1^3, 101, no patient identifier`; with an answer that it gave to nobody, `CA (AA ignored)`.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::lab::Lab;
use crate::peers::{Answer, Peer, Told};

/// What becomes of a batch (BHS) in one block. `BATCH_SEEN` is what a client sees; then, as endings of BHS-11, the control IDs
/// that the answers name and those of the requests that the app has.
const BATCH_SEEN: &str = "2 × AA";
const BATCH_ANSWERED: &[&str] = &["-1", "-2"];
const BATCH_DELIVERED: &[&str] = &["-1", "-2"];

/// In the order of the columns.
pub(crate) const CLIENTS: [Peer; 4] = [Peer::HapiClient, Peer::MllpSend, Peer::Asyncio, Peer::Node];

pub(crate) struct Case {
    /// As the peers call it.
    pub(crate) name: &'static str,
    /// What is sent, for the page.
    pub(crate) what: &'static str,
    /// What a client sees; one of them, where the standard leaves more than one thing to chance.
    pub(crate) sees: &'static [&'static str],
    /// Who sees something else, or cannot send it (`sees` is empty), and why.
    pub(crate) but: &'static [But],
}

pub(crate) struct But {
    pub(crate) client: Peer,
    pub(crate) sees: &'static [&'static str],
    pub(crate) why: &'static str,
}

const fn but(client: Peer, sees: &'static [&'static str], why: &'static str) -> But {
    But { client, sees, why }
}

const REFUSED: &str = "AE: PID^1^3, 101, no patient identifier";
const UMLAUTS: &str = "AE: PID^1^3, 101, Kennung fehlt für PID";
const ONE_READ: &str = "it sends a message and reads once, whatever has come by then";
const HAPI_BATCH: &str = "its initiator sends no batches; this is its MLLP writer and reader";

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "original",
        what: "a message without MSH-15 and MSH-16",
        sees: &["AA"],
        but: &[],
    },
    Case {
        name: "al-ne",
        what: "MSH-15 `AL`, MSH-16 `NE`",
        sees: &["CA"],
        but: &[],
    },
    Case {
        name: "ne-al",
        what: "MSH-15 `NE`, MSH-16 `AL`",
        sees: &["AA"],
        but: &[],
    },
    Case {
        name: "al-al",
        what: "MSH-15 `AL`, MSH-16 `AL`: two acknowledgements, each a block and a write",
        sees: &["CA, AA"],
        but: &[
            but(
                Peer::HapiClient,
                &["CA (AA ignored)", "CA", "AA"],
                "its initiator knows original mode only: it gives back the first answer and logs the second as unexpected, or gives \
                 back the second, if that has come before the waiting thread is awake; the next message gets its own answer all \
                 the same",
            ),
            but(
                Peer::MllpSend,
                &["CA, AA", "CA"],
                "it reads once, and would take what comes later for the answer to the next message: use it for one message a \
                 connection in this mode",
            ),
        ],
    },
    Case {
        name: "many",
        what: "200 messages on one connection, each after the answer to the one before",
        sees: &["200 × AA"],
        but: &[],
    },
    Case {
        name: "four",
        what: "four connections at once, 50 messages on each",
        sees: &["200 × AA"],
        but: &[],
    },
    Case {
        name: "ahead",
        what: "200 messages on one connection, sent before the answers to earlier ones have come",
        sees: &["200 × AA"],
        but: &[
            but(Peer::MllpSend, &[], ONE_READ),
            but(
                Peer::Node,
                &[],
                "it takes answers that come together for one message, and a message sent before the answer to the last opens a \
                 second connection",
            ),
        ],
    },
    Case {
        name: "large",
        what: "a message of 1 MiB",
        sees: &["AA"],
        but: &[],
    },
    Case {
        name: "422",
        what: "PID-3 is empty: the app answers 422 with problem+json",
        sees: &[REFUSED],
        but: &[],
    },
    Case {
        name: "422-enhanced",
        what: "the same with MSH-15 `AL`, MSH-16 `AL`: nothing after `CE`",
        sees: &["CE: PID^1^3, 101, no patient identifier"],
        but: &[],
    },
    Case {
        name: "415",
        what: "SIU^S12: the app answers 415",
        sees: &["AR: , 200, no appointments here"],
        but: &[],
    },
    Case {
        name: "after-422",
        what: "one that is refused between two that are taken, on one connection",
        sees: &["AA, AE: PID^1^3, 101, no patient identifier, AA"],
        but: &[],
    },
    Case {
        name: "down",
        what: "the app is down",
        sees: &["AE: , 207, the application is not listening"],
        but: &[],
    },
    Case {
        name: "utf-8",
        what: "MSH-18 `UNICODE UTF-8`, umlauts both ways",
        sees: &[UMLAUTS],
        but: &[],
    },
    Case {
        name: "latin-1",
        what: "MSH-18 `8859/1`, umlauts both ways",
        sees: &[UMLAUTS],
        but: &[but(
            Peer::Node,
            &["AE: PID^1^3, 101, Kennung fehlt f\u{FFFD}r PID"],
            "its `encoding` is for what it sends: it reads every answer as UTF-8",
        )],
    },
    Case {
        name: "resend",
        what: "the same bytes again on another connection: delivered once",
        sees: &["2 × AA"],
        but: &[],
    },
    Case {
        name: "batch",
        what: "a batch (BHS) of two messages in one block",
        sees: &[BATCH_SEEN],
        but: &[but(Peer::HapiClient, &[BATCH_SEEN], HAPI_BATCH)],
    },
    Case {
        name: "split",
        what: "a file of messages that the client itself takes apart",
        sees: &[],
        but: &[
            but(
                Peer::HapiClient,
                &["2 × AA"],
                "a batch, by `Hl7InputStreamMessageIterator`",
            ),
            but(
                Peer::MllpSend,
                &["3 × AA"],
                "lines that end in LF, by `--loose`",
            ),
            but(Peer::Asyncio, &[], "it reads no files"),
            but(Peer::Node, &[], "it reads no files"),
        ],
    },
];

impl Case {
    /// What this client is expected to see; nothing where it has no such case.
    pub(crate) fn seen_by(&self, client: Peer) -> &'static [&'static str] {
        let other = self.but.iter().find(|but| but.client == client);
        other.map_or(self.sees, |but| but.sees)
    }
}

#[test]
fn hapi_hl7v2() {
    converse(Peer::HapiClient, &["send"]);
}

#[test]
fn python_hl7_mllp_send() {
    converse(Peer::MllpSend, &["mllp_send"]);
}

#[test]
fn python_hl7_asyncio() {
    converse(Peer::Asyncio, &["asyncio"]);
}

#[test]
fn node_hl7_client() {
    converse(Peer::Node, &[]);
}

fn converse(client: Peer, mode: &[&str]) {
    if !client.is_installed() {
        return;
    }
    let lab = Lab::new();
    let ports = lab.ports();
    let arguments: Vec<&str> = mode
        .iter()
        .copied()
        .chain(ports.iter().map(String::as_str))
        .collect();
    let told = client.run(&arguments, String::new());

    let ran: BTreeSet<&str> = told.iter().map(|told| told.case.as_str()).collect();
    let expected: BTreeSet<&str> = CASES
        .iter()
        .filter(|case| !case.seen_by(client).is_empty())
        .map(|case| case.name)
        .collect();
    assert_eq!(ran, expected, "the cases of {client:?}");
    assert_eq!(told.len(), ran.len(), "a case ran twice: {client:?}");

    let mut wrong = String::new();
    for told in &told {
        let case = CASES.iter().find(|case| case.name == told.case).unwrap();
        let seen = seen(told);
        if !case.seen_by(client).contains(&seen.as_str()) {
            let expected = case.seen_by(client);
            writeln!(wrong, "{}: it saw {seen:?}, not {expected:?}", case.name).unwrap();
        }
        let (named, sent) = (answered(told), expected_ids(told));
        if named != sent {
            writeln!(wrong, "{}: MSA-2 {named:?} for {sent:?}", case.name).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{client:?}:\n{wrong}");
    assert_delivered(&lab.delivered(), &told);
}

/// The app had each message once, whatever the client made of the answer, and nothing of a batch that was refused.
fn assert_delivered(delivered: &[String], told: &[Told]) {
    let once: BTreeSet<&String> = delivered.iter().collect();
    assert_eq!(
        once.len(),
        delivered.len(),
        "delivered twice: {delivered:?}"
    );
    for told in told {
        let expected: BTreeSet<String> = match told.case.as_str() {
            "down" => BTreeSet::new(),
            "batch" => endings(&told.sent[0], BATCH_DELIVERED),
            _ => told.sent.iter().cloned().collect(),
        };
        let inside = format!("{}-", told.sent[0]);
        let of_case = |id: &&String| {
            told.sent.contains(id) || told.case == "batch" && id.starts_with(&inside)
        };
        let found: BTreeSet<String> = delivered.iter().filter(of_case).cloned().collect();
        assert_eq!(found, expected, "what the app had of {}", told.case);
    }
}

fn endings(batch: &str, endings: &[&str]) -> BTreeSet<String> {
    endings.iter().map(|end| format!("{batch}{end}")).collect()
}

/// The control IDs that the answers name, in order, several answers to one message as one.
fn answered(told: &Told) -> Vec<String> {
    let mut ids: Vec<String> = told
        .answers
        .iter()
        .map(|answer| answer.id.clone())
        .collect();
    ids.dedup();
    ids
}

fn expected_ids(told: &Told) -> Vec<String> {
    if told.case == "batch" {
        return BATCH_ANSWERED
            .iter()
            .map(|end| format!("{}{end}", told.sent[0]))
            .collect();
    }
    let mut ids = told.sent.clone();
    ids.dedup();
    ids
}

/// In the words of the table.
fn seen(told: &Told) -> String {
    if let Some(failed) = &told.failed {
        return failed.clone();
    }
    let answers: Vec<String> = told.answers.iter().map(shown).collect();
    let mut runs: Vec<String> = answers
        .chunk_by(|a, b| a == b)
        .map(|run| match run {
            [one] => one.clone(),
            many => format!("{} × {}", many.len(), many[0]),
        })
        .collect();
    if !told.ignored.is_empty() {
        let last = runs
            .last_mut()
            .expect("an answer before one that is ignored");
        write!(last, " ({} ignored)", told.ignored.join(", ")).unwrap();
    }
    runs.join(", ")
}

fn shown(answer: &Answer) -> String {
    let Some([place, condition, text]) = &answer.err else {
        return answer.code.clone();
    };
    let condition = condition.split('^').next().unwrap_or_default();
    format!("{}: {place}, {condition}, {text}", answer.code)
}

#[test]
fn what_a_client_tells_is_compared_whole() {
    let told = |json: &str| serde_json::from_str::<Told>(json).unwrap();
    let two = told(
        r#"{"case":"al-al","sent":["1"],"answers":[{"code":"CA","id":"1"},{"code":"AA","id":"1"}],"ignored":["AA"]}"#,
    );
    assert_eq!(seen(&two), "CA, AA (AA ignored)");
    assert_eq!(answered(&two), expected_ids(&two));
    let crossed = told(
        r#"{"case":"many","sent":["1","2"],"answers":[{"code":"AA","id":"2"},{"code":"AA","id":"1"}]}"#,
    );
    assert_eq!(seen(&crossed), "2 × AA");
    assert_ne!(answered(&crossed), expected_ids(&crossed));
    let failed = told(r#"{"case":"422","sent":["1"],"failed":"ValueError: no"}"#);
    assert_eq!(seen(&failed), "ValueError: no");
    assert_ne!(answered(&failed), expected_ids(&failed));
}
