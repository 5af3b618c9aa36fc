//! Every acknowledgement that the bridge makes, in every version of the standard, and what other people's parsers say of
//! each with their validation on.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::lab::Lab;
use crate::peers::{Peer, Told};
use crate::support::messages::frame;
use crate::support::peer::RawPeer;

/// In the order of the columns.
pub(crate) const PARSERS: [Peer; 2] = [Peer::HapiParser, Peer::Hl7apy];

pub(crate) const VERSIONS: [&str; 13] = [
    "2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1",
    "2.8.2",
];

/// A message, and the codes of the acknowledgements that it gets.
pub(crate) struct Asked {
    /// How the page and a failure call it.
    what: &'static str,
    codes: &'static [&'static str],
    /// The version that introduced what it uses.
    since: &'static str,
    /// Of [`Lab`].
    listener: &'static str,
    kind: &'static str,
    pid3: &'static str,
    /// What follows MSH-12.
    fields: &'static str,
    name: &'static str,
}

const PLAIN: Asked = Asked {
    what: "taken",
    codes: &["AA"],
    since: "2.1",
    listener: "app",
    kind: "ADT^A01",
    pid3: "4711^^^GENHOSP",
    fields: "",
    name: "MUSTER^ERIKA",
};

pub(crate) const ASKED: [Asked; 9] = [
    PLAIN,
    Asked {
        what: "refused with two errors",
        codes: &["AE"],
        pid3: "",
        ..PLAIN
    },
    Asked {
        what: "of a kind that is not taken",
        codes: &["AR"],
        kind: "SIU^S12",
        ..PLAIN
    },
    Asked {
        what: "the app is down",
        codes: &["AE"],
        listener: "down",
        ..PLAIN
    },
    Asked {
        what: "taken, both acknowledgements wanted",
        codes: &["CA", "AA"],
        since: "2.2",
        fields: "|||AL|AL",
        ..PLAIN
    },
    Asked {
        what: "refused, both wanted",
        codes: &["CE"],
        since: "2.2",
        fields: "|||AL|AL",
        pid3: "",
        ..PLAIN
    },
    Asked {
        what: "not taken, both wanted",
        codes: &["CR"],
        since: "2.2",
        fields: "|||AL|AL",
        kind: "SIU^S12",
        ..PLAIN
    },
    Asked {
        what: "refused, the application's wanted",
        codes: &["AE"],
        since: "2.2",
        fields: "|||NE|AL",
        pid3: "",
        ..PLAIN
    },
    Asked {
        what: "refused in UTF-8",
        codes: &["AE"],
        since: "2.3.1", // in 2.3 MSH-18 is too short for it
        fields: "||||||UNICODE UTF-8",
        pid3: "",
        name: "MÜSTER^ERIKA",
        ..PLAIN
    },
];

impl Asked {
    pub(crate) fn is_of(&self, version: &str) -> bool {
        // As text: each version has one digit between its dots.
        version >= self.since
    }

    /// How many acknowledgements it gets.
    pub(crate) fn answers(&self) -> usize {
        self.codes.len()
    }

    /// For the page.
    pub(crate) fn made(&self) -> String {
        let codes = self.codes.iter().map(|code| format!("`{code}`"));
        let since = if self.since == VERSIONS[0] {
            String::new()
        } else {
            format!(", from {}", self.since)
        };
        format!(
            "{}: {}{since}",
            self.what,
            codes.collect::<Vec<_>>().join(", then ")
        )
    }

    fn message(&self, version: &str, id: &str) -> String {
        let structure = match self.kind.split_once('^') {
            Some((code, event)) if version >= "2.3.1" => format!("^{code}_{event}"),
            _ => String::new(),
        };
        let encoding = if version >= "2.7" { r"^~\&#" } else { r"^~\&" };
        let Self {
            kind,
            pid3,
            fields,
            name,
            ..
        } = self;
        format!(
            "MSH|{encoding}|REGADT|GENHOSP|BRIDGE|CLOUD|20261122101500||{kind}{structure}|{id}|P|{version}{fields}\r\
             EVN|A01|20261122101459\rPID|1||{pid3}||{name}||19700131|F\r"
        )
    }
}

/// Where a parser says something other than yes.
pub(crate) struct Doubt {
    parser: Peer,
    versions: &'static [&'static str],
    /// Only of acknowledgements with an ERR segment.
    only_err: bool,
    /// How its exception begins.
    fails: Option<&'static str>,
    /// What it finds beyond its validation: one or more of these, and nothing else.
    finds: &'static [&'static str],
    /// For the page's table.
    pub(crate) cell: &'static str,
    pub(crate) why: &'static str,
}

const UNKNOWN_ELEMENT: &str =
    "OperationNotAllowed: Cannot instantiate an unknown Element with strict validation";

pub(crate) const DOUBTS: &[Doubt] = &[
    Doubt {
        parser: Peer::HapiParser,
        versions: &["2.1"],
        only_err: true,
        fails: None,
        finds: &["ERR-1 has more components than it may", "ERR-1 is required"],
        cell: "valid, but for ERR-1",
        why: "its classes have ERR-1 of 2.1 as one code without components; the bridge writes the place and the code, in the form of \
              2.2. HAPI's validation takes it",
    },
    Doubt {
        parser: Peer::HapiParser,
        versions: &["2.7.1"],
        only_err: false,
        fails: None,
        finds: &["parsed as a generic message"],
        cell: "parsed",
        why: "it has no classes for 2.7.1, so that it takes every message of it for a generic one and has nothing to check it by",
    },
    Doubt {
        parser: Peer::HapiParser,
        versions: &["2.8.2"],
        only_err: false,
        fails: Some("HL7Exception: The HL7 version 2.8.2 is not recognized"),
        finds: &[],
        cell: "unknown version",
        why: "it ends with 2.8.1, and refuses every message of a later one",
    },
    Doubt {
        parser: Peer::Hl7apy,
        versions: &["2.1"],
        only_err: false,
        fails: Some(UNKNOWN_ELEMENT),
        finds: &[
            "ValidationError: Missing required child MSH_7.TS_2",
            "MaxChildLimitReached: Cannot add <SubComponent ID>: max limit (1) reached for <Component ID (None) of type ID>",
        ],
        cell: "no",
        why: "its tables of 2.1 require a second component of every time and allow none in ERR-1, so that no message with a time passes",
    },
    Doubt {
        parser: Peer::Hl7apy,
        versions: &["2.2", "2.3", "2.3.1", "2.4"],
        only_err: false,
        fails: Some(UNKNOWN_ELEMENT),
        finds: &[],
        cell: "valid, once it is told that it is an ACK",
        why: "it takes `ACK^A01` in MSH-9, which these versions allow, for a structure `ACK_A01`; by the structure ACK it validates \
              the acknowledgement, unchanged",
    },
    Doubt {
        parser: Peer::Hl7apy,
        versions: &["2.7.1"],
        only_err: false,
        fails: Some("UnsupportedVersion: The version 2.7.1 is not supported"),
        finds: &["UnsupportedVersion: The version 2.7.1 is not supported"],
        cell: "unknown version",
        why: "it has no tables for 2.7.1, and refuses every message of it",
    },
];

impl Doubt {
    pub(crate) fn is_of(&self, parser: Peer, version: &str) -> bool {
        self.parser == parser && self.versions.contains(&version)
    }
}

/// An acknowledgement as the bridge made it.
struct Made {
    name: String,
    version: &'static str,
    code: &'static str,
    id: String,
    text: String,
}

/// Everything, made by a running bridge.
fn made() -> Vec<Made> {
    let lab = Lab::new();
    let mut made = Vec::new();
    for version in VERSIONS {
        for (number, asked) in ASKED
            .iter()
            .enumerate()
            .filter(|(_, asked)| asked.is_of(version))
        {
            let id = format!("{version}-{number}");
            let mut peer = RawPeer::connect(lab.bridge.listener(asked.listener));
            peer.send(frame(asked.message(version, &id)));
            for code in asked.codes {
                let text = peer
                    .read_frame()
                    .unwrap_or_else(|error| panic!("{version}, {}: {error}", asked.what));
                made.push(Made {
                    name: format!("{version} {code}, {}", asked.what),
                    version,
                    code,
                    id: id.clone(),
                    text: String::from_utf8(text).expect("UTF-8"),
                });
            }
        }
    }
    made
}

#[test]
fn hapi_hl7v2_parses_and_validates_every_acknowledgement() {
    parses_every_acknowledgement(Peer::HapiParser);
}

#[test]
fn hl7apy_parses_and_validates_every_acknowledgement() {
    parses_every_acknowledgement(Peer::Hl7apy);
}

/// In v2.xml, of each version whose data types are called otherwise.
#[test]
fn hapi_hl7v2_parses_every_acknowledgement_in_xml() {
    let parser = Peer::HapiParser;
    if !parser.is_installed() {
        return;
    }
    let lab = Lab::new();
    let mut made = Vec::new();
    for version in ["2.3.1", "2.4", "2.5.1", "2.6", "2.7"] {
        const PID: &str = "<PID><PID.3><CX.1>4711</CX.1></PID.3></PID>";
        const BOTH: &str = "<MSH.15>AL</MSH.15><MSH.16>AL</MSH.16>";
        for (listener, conditions, pid, codes) in [
            ("app", "", PID, &["AA"][..]),
            ("app", "", "", &["AE"]),
            ("down", "", PID, &["AE"]),
            ("app", BOTH, PID, &["CA", "AA"]),
            ("app", BOTH, "", &["CE"]),
        ] {
            let id = format!("X{version}-{}", made.len());
            let time = match version {
                "2.6" | "2.7" => "20261122101500".to_owned(),
                _ => "<TS.1>20261122101500</TS.1>".to_owned(),
            };
            let message = format!(
                "<ADT_A01 xmlns=\"urn:hl7-org:v2xml\"><MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.3><HD.1>REG &amp; CO</HD.1></MSH.3>\
                 <MSH.4><HD.1>GENHOSP</HD.1><HD.2>1.2.3</HD.2><HD.3>ISO</HD.3></MSH.4><MSH.5><HD.1>BRIDGE</HD.1></MSH.5><MSH.6><HD.1>CLOUD</HD.1></MSH.6>\
                 <MSH.7>{time}</MSH.7><MSH.9><MSG.1>ADT</MSG.1><MSG.2>A01</MSG.2><MSG.3>ADT_A01</MSG.3></MSH.9><MSH.10>{id}</MSH.10>\
                 <MSH.11><PT.1>P</PT.1></MSH.11><MSH.12><VID.1>{version}</VID.1></MSH.12>{conditions}</MSH>{pid}</ADT_A01>"
            );
            let mut peer = RawPeer::connect(lab.bridge.listener(listener));
            peer.send(frame(message));
            for code in codes {
                let text = peer
                    .read_frame()
                    .unwrap_or_else(|error| panic!("{version} {code}: {error}"));
                made.push(Made {
                    name: format!("{version} {code} in XML"),
                    version,
                    code,
                    id: id.clone(),
                    text: String::from_utf8(text).expect("UTF-8"),
                });
            }
        }
    }
    let line = |ack: &Made| format!("{}\t{}\n", ack.name, STANDARD.encode(&ack.text));
    let told = parser.run(&["parse-xml"], made.iter().map(line).collect());
    assert_eq!(told.len(), made.len(), "{parser:?} reads them all");
    for (ack, told) in made.iter().zip(&told) {
        assert_eq!(told.failed, None, "{}:\n{}", ack.name, ack.text);
        assert_eq!(told.strict, [""; 0], "{}:\n{}", ack.name, ack.text);
        let read: Vec<_> = told
            .answers
            .iter()
            .map(|answer| (answer.code.as_str(), answer.id.as_str()))
            .collect();
        assert_eq!(read, [(ack.code, ack.id.as_str())], "{}", ack.name);
    }
}

fn parses_every_acknowledgement(parser: Peer) {
    if !parser.is_installed() {
        return;
    }
    let made = made();
    let line = |ack: &Made| format!("{}\t{}\n", ack.name, STANDARD.encode(&ack.text));
    let told = parser.run(&["parse"], made.iter().map(line).collect());
    assert_eq!(told.len(), made.len(), "{parser:?} reads them all");
    let mut wrong = String::new();
    for (ack, told) in made.iter().zip(&told) {
        if let Err(what) = judged(parser, ack, told) {
            let text = ack.text.replace('\r', "\n  ");
            writeln!(wrong, "{}: {what}\n  {text}\n  {told:?}", ack.name).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{parser:?}:\n{wrong}");
}

/// Whether the parser says of it what is expected.
fn judged(parser: Peer, ack: &Made, told: &Told) -> Result<(), String> {
    if told.case != ack.name {
        return Err(format!("told of {:?}", told.case));
    }
    let has_err = ack.text.contains("\rERR");
    let doubt = DOUBTS
        .iter()
        .find(|doubt| doubt.is_of(parser, ack.version) && (has_err || !doubt.only_err));
    let (fails, finds) = doubt.map_or((None, &[][..]), |doubt| (doubt.fails, doubt.finds));
    match (fails, &told.failed) {
        (None, None) => {}
        (Some(expected), Some(failed)) if failed.starts_with(expected) => {}
        (expected, failed) => return Err(format!("fails with {failed:?}, not {expected:?}")),
    }
    let known = told
        .strict
        .iter()
        .all(|found| finds.contains(&found.as_str()));
    if !known || told.strict.is_empty() != finds.is_empty() {
        return Err(format!("finds {:?}, not of {finds:?}", told.strict));
    }
    // Nothing was read where it failed, unless its second try was better.
    let reads = fails.is_none() || finds.is_empty() && parser == Peer::Hl7apy;
    let read: Vec<_> = told
        .answers
        .iter()
        .map(|answer| (answer.code.as_str(), answer.id.as_str()))
        .collect();
    let expected: &[_] = if reads {
        &[(ack.code, ack.id.as_str())]
    } else {
        &[]
    };
    if read != expected {
        return Err(format!("reads {read:?}, not {expected:?}"));
    }
    Ok(())
}

#[test]
fn a_parsers_word_is_compared_whole() {
    let ack = |version, text: &str| Made {
        name: "x".to_owned(),
        version,
        code: "AE",
        id: "7".to_owned(),
        text: text.to_owned(),
    };
    let judge = |parser, ack: &Made, json: &str| {
        let told: Told = serde_json::from_str(&format!(r#"{{"case":"x",{json}}}"#)).unwrap();
        judged(parser, ack, &told)
    };
    let read = r#""answers":[{"code":"AE","id":"7"}]"#;
    let new = ack("2.5", "MSH|\rMSA|AE|7\rERR||\r");
    judge(Peer::HapiParser, &new, read).unwrap();
    judge(
        Peer::HapiParser,
        &new,
        r#""answers":[{"code":"AA","id":"7"}]"#,
    )
    .unwrap_err();
    judge(
        Peer::HapiParser,
        &new,
        r#""answers":[{"code":"AE","id":"8"}]"#,
    )
    .unwrap_err();
    judge(Peer::HapiParser, &new, r#""answers":[]"#).unwrap_err();
    judge(
        Peer::HapiParser,
        &new,
        &format!(r#"{read},"strict":["odd"]"#),
    )
    .unwrap_err();
    judge(Peer::HapiParser, &new, r#""failed":"no""#).unwrap_err();
    // A doubt that has gone is to be taken out of the table.
    let old = ack("2.1", "MSH|\rMSA|AE|7\rERR|PID^1^3\r");
    judge(
        Peer::HapiParser,
        &old,
        &format!(r#"{read},"strict":["ERR-1 is required"]"#),
    )
    .unwrap();
    judge(Peer::HapiParser, &old, read).unwrap_err();
    judge(Peer::HapiParser, &ack("2.1", "MSH|\rMSA|AE|7\r"), read).unwrap();
    judge(
        Peer::Hl7apy,
        &ack("2.4", ""),
        &format!(r#""failed":"{UNKNOWN_ELEMENT}",{read}"#),
    )
    .unwrap();
    judge(Peer::Hl7apy, &ack("2.4", ""), read).unwrap_err();
}
