//! MSH-18 and the bytes: what text the app gets, and that no byte of the sender's is ever lost.

use serde_json::{Value, json};

use crate::lab::{Lab, raw_bytes};
use crate::support::messages::adt;
use crate::support::peer::Ack;

/// An ADT with this MSH-18 and a name in these bytes.
fn message(id: &str, msh18: &str, name: &[u8]) -> Vec<u8> {
    let text = adt(id).replacen("|P|2.5.1\r", &format!("|P|2.5.1||||||{msh18}\r"), 1);
    let (before, after) = text.split_once("MUSTER^ERIKA").expect("the name");
    [before.as_bytes(), name, b"^ERIKA", after.as_bytes()].concat()
}

/// Exchanges one message that must be accepted; its envelope, and the answer.
#[track_caller]
fn accepted(listener: &str, message: &[u8], deviations: &[(&str, u64)]) -> (Value, Ack) {
    let lab = Lab::with(listener);
    let mut peer = lab.peer();
    let ack = peer.exchange(message);
    ack.expect("AA", "CS");
    drop(peer);
    let envelope = lab.app.last().json();
    assert_eq!(
        raw_bytes(&envelope).escape_ascii().to_string(),
        message.escape_ascii().to_string(),
        "the bytes that the app received"
    );
    lab.assert_ended(&[("peer", 1)], deviations);
    (envelope, ack)
}

fn family_name(envelope: &Value) -> &Value {
    &envelope["data"]["segments"][2]["fields"]["5"][0]["1"]
}

#[test]
fn utf_8_is_text_as_it_is() {
    for (msh18, deviations) in [
        ("UNICODE UTF-8", &[][..]),
        ("UTF-8", &[("charset_alias", 1)]),
        ("utf8", &[("charset_alias", 1)]),
        ("UTF-8~UNICODE", &[("charset_alias", 1)]),
        ("", &[]),
    ] {
        let sent = message("CS", msh18, "Müller-日本".as_bytes());
        let (envelope, ack) = accepted("", &sent, deviations);
        assert_eq!(family_name(&envelope), "Müller-日本", "MSH-18 {msh18:?}");
        assert_eq!(envelope["data"]["charset"], "UTF-8");
        assert_eq!(envelope["data"]["rawbase64"], Value::Null);
        assert_eq!(ack.msh(18), msh18, "{ack}");
    }
}

#[test]
fn high_bytes_of_8859_1_are_the_characters_of_the_same_number() {
    for (msh18, deviations) in [
        ("8859/1", &[][..]),
        ("8859/1  ", &[]),
        ("iso-8859-1", &[("charset_alias", 1)]),
        ("", &[]),
    ] {
        // 0x80 and 0x9f are control characters there, and not windows-1252's euro sign.
        let sent = message("CS", msh18, b"Ren\xe9\x80\x9f\xff");
        let (envelope, ack) = accepted("", &sent, deviations);
        assert_eq!(
            family_name(&envelope),
            "René\u{80}\u{9f}ÿ",
            "MSH-18 {msh18:?}"
        );
        assert_eq!(envelope["data"]["charset"], "ISO-8859-1");
        assert_eq!(ack.msh(18), msh18, "{ack}");
    }
}

#[test]
fn bytes_that_are_not_what_msh_18_says_go_as_rawbase64_with_a_warning() {
    for msh18 in ["UNICODE UTF-8", "ASCII"] {
        let sent = message("CS", msh18, b"Ren\xe9");
        let (envelope, _) = accepted("", &sent, &[("charset_mismatch", 1)]);
        let data = &envelope["data"];
        assert_eq!(data["raw"], Value::Null, "MSH-18 {msh18:?}");
        assert!(data["rawbase64"].is_string(), "MSH-18 {msh18:?}");
        assert_eq!(
            data["warnings"],
            json!(["the bytes are not in the character set that MSH-18 names"])
        );
    }
}

#[test]
fn a_byte_order_mark_outranks_msh_18() {
    let mut sent = b"\xef\xbb\xbf".to_vec();
    sent.extend(message("CS", "8859/1", "René".as_bytes()));
    let deviations = [("charset_mismatch", 1), ("leading_bytes", 1)];
    let (envelope, _) = accepted("", &sent, &deviations);
    assert_eq!(family_name(&envelope), "René");
    assert_eq!(envelope["data"]["charset"], "UTF-8");
}

#[test]
fn the_listener_outranks_msh_18() {
    let sent = message("CS", "UNICODE UTF-8", b"Ren\xe9");
    let (envelope, _) = accepted("charset: { force: 8859/1 }", &sent, &[]);
    assert_eq!(family_name(&envelope), "René");
}

#[test]
fn a_character_set_that_is_not_carried_is_refused_ar_103() {
    for (msh18, name) in [
        ("UNICODE UTF-16", &b"plain"[..]),
        ("ISO IR87", b"plain"),
        ("EBCDIC", b"plain"),
        ("8859/15", b"Ren\xe9"),
        ("GB 18030-2000", b"\xd6\xd0"),
    ] {
        let lab = Lab::new();
        let mut peer = lab.peer();
        let ack = peer.exchange(message("CS", msh18, name));
        ack.expect("AR", "CS");
        assert_eq!(ack.err()[0].component(3, 1), "103", "{ack}");
        assert_eq!(ack.err()[0].field(2), "MSH^1^18", "{ack}");
        peer.exchange(adt("NEXT")).expect("AA", "NEXT");
        lab.assert_received(&[adt("NEXT")]);
        lab.assert_refused(&[("charset", 1)]);
    }
}

#[test]
fn a_listener_that_must_not_guess_refuses_bytes_that_are_not_utf_8() {
    let lab = Lab::with("charset: { fallback: UTF-8 }");
    for msh18 in ["", "UNICODE UTF-8"] {
        let ack = lab.peer().exchange(message("CS", msh18, b"Ren\xe9"));
        ack.expect("AR", "CS");
        assert_eq!(ack.err()[0].component(3, 1), "103", "{ack}");
    }
    lab.assert_received::<&[u8]>(&[]);
}

#[test]
fn every_byte_value_reaches_the_app() {
    // But for the block characters and CR, which end something.
    let all: Vec<u8> = (0..=255)
        .filter(|byte| !b"\x0b\x1c\r\n|^~\\&".contains(byte))
        .collect();
    for msh18 in ["8859/1", "UNICODE UTF-8", ""] {
        let sent = message("CS", msh18, &all);
        let mismatch = [("charset_mismatch", 1)];
        let deviations = if msh18 == "UNICODE UTF-8" {
            &mismatch[..]
        } else {
            &[]
        };
        accepted("", &sent, deviations);
    }
}
