//! HL7 in XML: what is read of it, what is refused, and the acknowledgements, whole: `messages/` holds what comes in, `acks/` what goes
//! back (`MLLP_BRIDGE_UPDATE=1` writes the latter anew).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use mllp_bridge::config::Charset;
use mllp_bridge::hl7::Mode;
use mllp_bridge::hl7::ack::{Fault, Kind, Severity, Verdict};
use mllp_bridge::hl7::mode::Condition;
use mllp_bridge::xml::{Ack, Dialect, Flaw, Message, own_ack};
use std::fs;
use std::path::{Path, PathBuf};

mod hostile;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/xml")
        .join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(folder("messages").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn message(name: &str) -> Message {
    Message::read(&bytes(name)).unwrap_or_else(|flaw| panic!("{name}: {flaw:?}"))
}

fn write(
    message: &Message,
    kind: Kind,
    verdict: Verdict,
    faults: &[Fault],
    text: Option<&str>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let ack = Ack {
        message,
        kind,
        verdict,
        faults,
        text,
        time: "20261122101501.123+0100",
        control_id: "0123456789ABCDEFGHJK",
        default_version: "2.5",
    };
    ack.write(&mut out);
    out
}

/// Without the UUID, which is another each time.
fn without_uuid(ack: &[u8]) -> String {
    let text = String::from_utf8(ack.to_vec()).expect("UTF-8");
    let Some((before, rest)) = text.split_once("<id root=\"") else {
        return text;
    };
    let (uuid, after) = rest
        .split_once("\"/><creationTime")
        .expect("an ID before creationTime");
    let shape: String = uuid
        .chars()
        .map(|c| {
            if c.is_ascii_digit() || ('A'..='F').contains(&c) {
                'X'
            } else {
                c
            }
        })
        .collect();
    assert_eq!(shape, "XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX", "{uuid}");
    let digit = |at: usize| uuid.chars().nth(at).expect("36 characters");
    assert_eq!(digit(14), '4', "{uuid}: version");
    assert!("89AB".contains(digit(19)), "{uuid}: variant");
    format!("{before}<id root=\"00000000-0000-4000-8000-000000000000\"/><creationTime{after}")
}

#[track_caller]
fn assert_golden(name: &str, ack: &[u8]) {
    let ack = without_uuid(ack);
    let path = folder("acks").join(name);
    if std::env::var_os("MLLP_BRIDGE_UPDATE").is_some() {
        fs::write(&path, &ack).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(ack, expected, "{name}");
}

/// One of each kind of fault: with a place and without, in the app's words, with what must be escaped.
fn faults() -> [Fault; 2] {
    [
        Fault {
            location: "PID-3.1".parse().ok(),
            condition: 101,
            text: "no <identifier> & \"none\" – \u{1F600}\x1c\r".to_owned(),
            app_code: "X<1>".to_owned(),
            severity: Severity::Error,
        },
        Fault {
            condition: 207,
            text: "later".to_owned(),
            severity: Severity::Warning,
            ..Fault::default()
        },
    ]
}

#[test]
fn acknowledgements_of_v2() {
    let adt = message("v2-5-adt.xml");
    assert_golden(
        "v2-5-aa.xml",
        &write(&adt, Kind::Original, Verdict::Accepted, &[], Some("stored")),
    );
    assert_golden(
        "v2-5-ae.xml",
        &write(&adt, Kind::Original, Verdict::Error, &faults(), None),
    );
    let old = message("v2-3-1-adt.xml");
    assert_golden(
        "v2-3-1-aa.xml",
        &write(&old, Kind::Original, Verdict::Accepted, &[], None),
    );
    assert_golden(
        "v2-3-1-ar.xml",
        &write(&old, Kind::Original, Verdict::Rejected, &faults(), None),
    );
    let enhanced = message("v2-7-enhanced.xml");
    assert_golden(
        "v2-7-ca.xml",
        &write(&enhanced, Kind::Accept, Verdict::Accepted, &[], None),
    );
    assert_golden(
        "v2-7-aa.xml",
        &write(&enhanced, Kind::Application, Verdict::Accepted, &[], None),
    );
}

#[test]
fn acknowledgements_of_v3() {
    let feed = message("v3-pix-feed.xml");
    assert_golden(
        "v3-ca.xml",
        &write(&feed, Kind::Accept, Verdict::Accepted, &[], None),
    );
    assert_golden(
        "v3-ce.xml",
        &write(&feed, Kind::Accept, Verdict::Error, &faults(), None),
    );
    assert_golden(
        "v3-aa.xml",
        &write(
            &feed,
            Kind::Original,
            Verdict::Accepted,
            &[],
            Some("stored"),
        ),
    );
    let locked = Fault {
        condition: 206,
        app_code: "L7".to_owned(),
        ..Fault::default()
    };
    let silent = Fault {
        condition: 103,
        ..Fault::default()
    };
    assert_golden(
        "v3-ce-words.xml",
        &write(&feed, Kind::Accept, Verdict::Error, &[locked, silent], None),
    );
    let bare = b"<X_IN1 xmlns='urn:hl7-org:v3'><id extension='7'/></X_IN1>";
    let bare = Message::read(bare).unwrap();
    assert_golden(
        "v3-cr-bare.xml",
        &write(&bare, Kind::Accept, Verdict::Rejected, &faults()[1..], None),
    );
}

/// What is written is read again as the answer to its message, whatever it had to escape.
#[test]
fn every_acknowledgement_is_this_messages() {
    for name in [
        "v2-5-adt.xml",
        "v2-3-1-adt.xml",
        "v2-7-enhanced.xml",
        "v3-pix-feed.xml",
    ] {
        let asked = message(name);
        for (kind, verdict, code) in [
            (Kind::Original, Verdict::Accepted, "AA"),
            (Kind::Application, Verdict::Error, "AE"),
            (Kind::Accept, Verdict::Rejected, "CR"),
        ] {
            let ack = write(&asked, kind, verdict, &faults(), None);
            assert!(!ack.iter().any(u8::is_ascii_control), "{name}: {ack:?}");
            let read = Message::read(&ack).unwrap();
            assert_eq!(read.flaw, None, "{name} {code}");
            assert_eq!(read.dialect, asked.dialect, "{name} {code}");
            let said = own_ack::acknowledged(&read);
            assert_eq!(said, Some((code, asked.control_id().to_owned())), "{name}");
            let checked = own_ack::check(&ack, &read, &asked, 0x0B, 0x1C).unwrap();
            assert_eq!(checked.0, verdict, "{name} {code}");
        }
    }
}

#[test]
fn what_a_document_says_of_itself() {
    let adt = message("v2-5-adt.xml");
    assert_eq!((adt.dialect, adt.charset), (Dialect::V2, Charset::Utf8));
    assert_eq!(adt.control_id(), "MSG <1> é");
    assert_eq!(adt.kind(), ["ADT", "A01"]);
    assert_eq!(adt.sender(), ["REGADT", "St. Älbert & Sons"]);
    assert_eq!((adt.version(), adt.structure()), ("2.5.1", "ADT_A01"));
    assert_eq!(adt.mode(), (Mode::Original, None));

    let enhanced = message("v2-7-enhanced.xml");
    let both = Mode::Enhanced {
        accept: Condition::Always,
        application: Condition::Always,
    };
    assert_eq!(enhanced.mode(), (both, None), "whatever the prefix");

    let feed = message("v3-pix-feed.xml");
    assert_eq!(feed.dialect, Dialect::V3);
    assert_eq!(feed.control_id(), "1.2.840.114350.1.13.0.1.7.1.1^35423");
    assert_eq!(feed.kind(), ["PRPA_IN201301UV02", ""]);
    assert_eq!(feed.sender(), ["1.2.3.999.2^ADT\"1\"", "1.2.3.999.3"]);
    assert_eq!(feed.version(), "V3PR1");
    assert_eq!(feed.mode(), (Mode::Once(Condition::Always), None));
    assert!(!feed.is_accept_ack());

    let cda = message("cda.xml");
    assert_eq!(cda.dialect, Dialect::Cda);
    assert_eq!(cda.control_id(), "1.2.3.999.4^doc-7");
    assert_eq!(cda.kind(), ["ClinicalDocument", ""]);
    assert_eq!(cda.mode(), (Mode::Once(Condition::Never), None));
    let mut nothing = Vec::new();
    nothing.extend(write(&cda, Kind::Original, Verdict::Accepted, &[], None));
    assert_eq!(nothing, b"", "it has no acknowledgement");
}

#[test]
fn when_v3_wants_an_accept_acknowledgement() {
    for (code, expected) in [
        ("<acceptAckCode code='AL'/>", Condition::Always),
        ("<acceptAckCode code='ER'/>", Condition::OnError),
        ("<acceptAckCode code='NE'/>", Condition::Never),
        ("<acceptAckCode code='?'/>", Condition::Always),
        ("", Condition::Always),
    ] {
        let text = format!("<A xmlns='urn:hl7-org:v3'><id root='1'/>{code}</A>");
        let message = Message::read(text.as_bytes()).unwrap();
        assert_eq!(message.mode(), (Mode::Once(expected), None), "{code}");
    }
}

#[test]
fn acknowledgements_are_known() {
    let is = |text: &str| Message::read(text.as_bytes()).unwrap().is_accept_ack();
    let v3 = |root: &str, inner: &str| format!("<{root} xmlns='urn:hl7-org:v3'>{inner}</{root}>");
    assert!(is(&v3("MCCI_IN000002UV01", "<id root='1'/>")));
    let said = "<acknowledgement typeCode='CA'/>";
    assert!(is(&v3("MCCI_IN000004UV01", said)));
    assert!(
        !is(&v3(
            "PRPA_IN201306UV02",
            &format!("{said}<controlActProcess/>")
        )),
        "a response"
    );
    let v2 = |kind: &str, code: &str| {
        format!(
            "<ACK xmlns='urn:hl7-org:v2xml'><MSH><MSH.9><MSG.1>{kind}</MSG.1></MSH.9></MSH>\
             <MSA><MSA.1>{code}</MSA.1></MSA></ACK>"
        )
    };
    assert!(is(&v2("ACK", "CA")));
    assert!(!is(&v2("ACK", "AA")));
    assert!(!is(&v2("ADT", "CA")));
}

#[test]
fn the_code_of_an_answer_in_either_edition_of_v3() {
    for said in [
        "<acknowledgement typeCode='AE'><targetMessage><id root='1' extension='2'/></targetMessage></acknowledgement>",
        "<acknowledgement><typeCode code='AE'/><targetMessage><id root='1' extension='2'/></targetMessage></acknowledgement>",
    ] {
        let text = format!("<R xmlns='urn:hl7-org:v3'>{said}</R>");
        let answer = Message::read(text.as_bytes()).unwrap();
        assert_eq!(
            own_ack::acknowledged(&answer),
            Some(("AE", "1^2".to_owned())),
            "{said}"
        );
    }
}

#[test]
fn only_an_acknowledgement_of_this_message_passes() {
    use own_ack::BadAck;
    let asked = message("v3-pix-feed.xml");
    let check = |text: &str| {
        let answer = Message::read(text.as_bytes()).map_err(|_| BadAck::Flawed)?;
        own_ack::check(text.as_bytes(), &answer, &asked, 0x0B, b'~')
    };
    let v3 = |inner: &str| format!("<R xmlns='urn:hl7-org:v3'>{inner}</R>");
    let said = |code: &str, extension: &str| {
        v3(&format!(
            "<acknowledgement typeCode='{code}'><targetMessage><id root='1.2.840.114350.1.13.0.1.7.1.1' \
             extension='{extension}'/></targetMessage></acknowledgement>"
        ))
    };
    assert_eq!(
        check(&said("AA", "35423")),
        Ok((Verdict::Accepted, Kind::Application))
    );
    assert_eq!(
        check(&said("CR", "35423")),
        Ok((Verdict::Rejected, Kind::Accept))
    );
    assert_eq!(check(&said("AA", "3542")), Err(BadAck::OtherMessage));
    assert_eq!(check(&said("OK", "35423")), Err(BadAck::Code));
    assert_eq!(check(&said("A~", "35423")), Err(BadAck::Unframable));
    assert_eq!(check(&v3("")), Err(BadAck::Nothing));
    assert_eq!(
        check(&said("AA", "35423").replace("</R>", "")),
        Err(BadAck::Flawed)
    );
    let v2 =
        "<ACK xmlns='urn:hl7-org:v2xml'><MSA><MSA.1>AA</MSA.1><MSA.2>35423</MSA.2></MSA></ACK>";
    assert_eq!(check(v2), Err(BadAck::OtherKind));
}

#[test]
fn character_sets() {
    let with = |prolog: &str, id: &[u8]| {
        let head = format!("{prolog}<A xmlns=\"urn:hl7-org:v3\"><id root=\"");
        [head.as_bytes(), id, b"\"/></A>"].concat()
    };
    let declared = |name: &str| format!("<?xml version=\"1.0\" encoding=\"{name}\"?>");
    for (prolog, id, expected, read) in [
        (String::new(), "é".as_bytes(), Charset::Utf8, "é"),
        ("\u{feff}".to_owned(), "é".as_bytes(), Charset::Utf8, "é"),
        (declared("utf-8"), "é".as_bytes(), Charset::Utf8, "é"),
        (
            "\u{feff}".to_owned() + &declared("UTF-8"),
            b"1",
            Charset::Utf8,
            "1",
        ),
        (
            declared("ISO-8859-1"),
            b"\xe9\x80",
            Charset::Latin1,
            "é\u{80}",
        ),
        (declared("US-ASCII"), b"&#xe9;", Charset::Ascii, "é"),
    ] {
        let message = Message::read(&with(&prolog, id)).unwrap();
        let found = (message.charset, message.flaw, message.control_id());
        assert_eq!(found, (expected, None, read), "{prolog}");
    }
    // Refused, but answered where the ID is beyond doubt.
    for (prolog, id, known) in [
        (declared("windows-1252"), &b"7"[..], "7"),
        (declared("UTF-16"), b"7", "7"),
        (declared("UTF-16"), b"\xe9", ""),
        (String::new(), b"7\xe9", ""),
        (declared("US-ASCII"), "é".as_bytes(), ""),
        ("\u{feff}".to_owned() + &declared("ISO-8859-1"), b"7", "7"),
    ] {
        let message = Message::read(&with(&prolog, id)).unwrap();
        let found = (message.flaw, message.control_id());
        assert_eq!(found, (Some(Flaw::Encoding), known), "{prolog}");
    }
}

/// One that was cut off, as what is too large is, in the middle of a character.
#[test]
fn a_document_that_breaks_off_in_a_character_is_known_by_its_id() {
    let text = "<A xmlns='urn:hl7-org:v3'><id root='é'/><x>é";
    let cut = &text.as_bytes()[..text.len() - 1];
    let message = Message::read(cut).unwrap();
    let found = (message.control_id(), message.charset, message.flaw);
    assert_eq!(found, ("é", Charset::Utf8, Some(Flaw::Encoding)));
    let whole = b"<A xmlns='urn:hl7-org:v3'><id root='1'/></A>\xc3";
    assert_eq!(
        Message::read(whole).unwrap().flaw,
        Some(Flaw::Encoding),
        "not delivered"
    );
}

/// What the message's character set does not have is written by number.
#[test]
fn an_answer_is_in_the_character_set_of_its_message() {
    for (name, expected) in [
        ("ISO-8859-1", &b"\xe9 &#8364;"[..]),
        ("US-ASCII", b"&#233; &#8364;"),
        ("UTF-8", "é €".as_bytes()),
    ] {
        let text = format!(
            "<?xml version='1.0' encoding='{name}'?><A xmlns='urn:hl7-org:v3'><id root='&#233; &#8364;'/></A>"
        );
        let asked = Message::read(text.as_bytes()).unwrap();
        let ack = write(&asked, Kind::Accept, Verdict::Accepted, &[], None);
        let begin = format!("<?xml version=\"1.0\" encoding=\"{name}\"?><MCCI");
        assert!(ack.starts_with(begin.as_bytes()), "{}", ack.escape_ascii());
        let id = [b"<targetMessage><id root=\"", expected, b"\"/>"].concat();
        let found = ack.windows(id.len()).any(|window| window == id);
        assert!(found, "{}", ack.escape_ascii());
    }
}
