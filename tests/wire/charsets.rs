//! MSH-18 and the bytes: what text the app gets, and that no byte of the sender's is ever lost.

use serde_json::{Value, json};

use crate::lab::{Lab, raw_bytes};
use crate::support::app::Reply;
use crate::support::messages::{adt, frame};
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
        ("UNICODE UTF-32", &b"plain"[..]),
        ("EBCDIC", b"plain"),
        ("CNS 11643-1992", b"plain"),
        ("8859/11", b"\xa1"),
        // JIS X 0212.
        ("~ISO IR87~ISO IR159", b"\x1b$(D\x22\x2f\x1b(B"),
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

/// The same name in each set, with letters that other sets have elsewhere; its bytes come back in the answer.
#[test]
fn every_set_of_table_0211_is_text_for_the_app_and_bytes_for_the_sender() {
    for (msh18, charset, bytes, name) in [
        ("8859/2", "ISO-8859-2", &b"\xa3ukasz-\xbc"[..], "Łukasz-ź"),
        ("8859/3", "ISO-8859-3", b"\xa1al", "Ħal"),
        ("8859/4", "ISO-8859-4", b"J\xe0nis", "Jānis"),
        ("8859/5", "ISO-8859-5", b"\xb8\xd2\xd0\xdd", "Иван"),
        ("8859/6", "ISO-8859-6", b"\xe5\xcd\xe5\xcf", "محمد"),
        ("8859/7", "ISO-8859-7", b"\xcd\xdf\xea\xef\xf2", "Νίκος"),
        ("8859/8", "ISO-8859-8", b"\xe3\xe5\xe3", "דוד"),
        ("8859/9", "ISO-8859-9", b"\xdeahin\x85", "Şahin\u{85}"),
        ("8859/15", "ISO-8859-15", b"B\xbduf-\xa4", "Bœuf-€"),
        (
            "GB 18030-2000",
            "GB18030",
            b"\xcd\xf5\x81\x30\x81\x30",
            "王\u{80}",
        ),
        // Second bytes that look like an escape character and a field separator.
        ("BIG-5", "Big5", b"\xb3\x5c\xa5\x5c\xa4\x7c", "許功弋"),
        ("KS X 1001", "EUC-KR", b"\xb1\xe8", "김"),
        ("ISO IR87", "ISO-2022-JP", b"\x1b$B;3ED\x1b(B", "山田"),
        ("~ISO IR87", "ISO-2022-JP", b"\x1b$B;3ED\x1b(B", "山田"),
    ] {
        let sent = message("CS", msh18, bytes);
        let (envelope, ack) = accepted("", &sent, &[]);
        assert_eq!(envelope["data"]["charset"], charset, "MSH-18 {msh18:?}");
        assert_eq!(family_name(&envelope), name, "MSH-18 {msh18:?}");
        assert_eq!(
            envelope["data"]["rawbase64"],
            Value::Null,
            "MSH-18 {msh18:?}"
        );
        assert_eq!(ack.msh(18), msh18, "{ack}");
    }
}

#[test]
fn names_that_the_table_does_not_have() {
    for (msh18, bytes, name) in [
        ("windows-1252", &b"\x80-Ren\xe9"[..], "€-René"),
        ("cp1250", b"\xa3ukasz-\x9f", "Łukasz-ź"),
        ("WINDOWS-1251", b"\xc8\xe2\xe0\xed", "Иван"),
        ("iso_8859-15", b"\xa4", "€"),
        ("Shift_JIS", b"\x8eR\x93c", "山田"),
        ("EUC-JP", b"\xbb\xb3\xc5\xc4", "山田"),
    ] {
        let sent = message("CS", msh18, bytes);
        let (envelope, _) = accepted("", &sent, &[("charset_alias", 1)]);
        assert_eq!(family_name(&envelope), name, "MSH-18 {msh18:?}");
    }
}

/// What the application says of a message goes back in the message's own set.
#[test]
fn the_answer_is_in_the_messages_set() {
    let lab = Lab::new();
    let problem = json!({"title": "Отказано", "status": 422, "detail": "Иван — 山"});
    lab.app.script([Reply::problem(422, &problem)]);
    let mut sent = message("CS", "8859/5", b"\xb8\xd2\xd0\xdd");
    // MSH-4 comes back as MSH-6.
    let at = sent
        .windows(8)
        .position(|window| window == b"GENHOSP|")
        .expect("MSH-4");
    sent[at] = 0xB8;
    let mut peer = lab.peer();
    peer.send(frame(&sent));
    let ack = peer.read_frame().expect("an answer");
    assert!(
        ack.windows(8).any(|window| window == b"\xb8ENHOSP|"),
        "{}",
        ack.escape_ascii()
    );
    // A dash and a mountain are not in 8859/5.
    let said = b"\xb8\xd2\xd0\xdd ? ?";
    assert!(
        ack.windows(said.len()).any(|window| window == said),
        "{}",
        ack.escape_ascii()
    );
}

#[test]
fn utf_16_is_answered_in_utf_16() {
    let text = String::from_utf8(message("WIDE", "UNICODE UTF-16", "Müller-日本".as_bytes()))
        .expect("text");
    let high: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let low: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (sent, mark) in [
        ([b"\xfe\xff", &high[..]].concat(), &b"\xfe\xff\0M"[..]),
        ([b"\xff\xfe", &low[..]].concat(), b"\xff\xfeM\0"),
        (low, b"M\0S\0"),
    ] {
        let lab = Lab::new();
        let mut peer = lab.peer();
        peer.send(frame(&sent));
        let ack = peer.read_frame().expect("an answer");
        assert!(ack.starts_with(mark), "{}", ack.escape_ascii());
        let units = |bytes: &[u8]| -> Vec<u16> {
            let pairs = bytes.chunks(2).map(|pair| [pair[0], pair[1]]);
            pairs
                .map(if mark.starts_with(b"\xfe") {
                    u16::from_be_bytes
                } else {
                    u16::from_le_bytes
                })
                .collect()
        };
        let ack = String::from_utf16(&units(&ack)).expect("UTF-16");
        assert!(ack.contains("MSA|AA|WIDE\r"), "{ack}");
        assert!(ack.contains("|UNICODE UTF-16\r"), "{ack}");
        let envelope = lab.app.last().json();
        assert_eq!(envelope["data"]["charset"], "UTF-16");
        assert_eq!(family_name(&envelope), "Müller-日本");
        assert_eq!(
            raw_bytes(&envelope),
            sent,
            "the bytes that the app received"
        );
    }
}

/// The bytes of a letter end the block: what came before is not taken for the message.
#[test]
fn a_utf_16_message_that_a_letter_cuts_off_is_never_accepted() {
    for letter in ["\u{d1c}", "\u{a1c}"] {
        let name = format!("MUSTER{letter}");
        let text =
            String::from_utf8(message("CUT", "UNICODE UTF-16", name.as_bytes())).expect("text");
        let low: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let lab = Lab::new();
        let mut peer = lab.peer();
        peer.send(frame([b"\xff\xfe", &low[..]].concat()));
        let ack = peer.read_frame().expect("an answer");
        let ack: Vec<u8> = ack.into_iter().filter(|byte| *byte != 0).collect();
        let ack = String::from_utf8_lossy(&ack);
        assert!(ack.contains("MSA|AR|CUT"), "{ack}");
        lab.assert_received::<&[u8]>(&[]);
    }
}

/// A value that names another set for a part of itself.
#[test]
fn switches_inside_a_value_are_read() {
    for (msh18, bytes, name) in [
        (
            "8859/1",
            &b"\\C2D4C\\\xb8\xd2\xd0\xdd\\C2842\\ Ren\xe9"[..],
            "Иван René",
        ),
        ("UNICODE UTF-8", b"\\M2442\\\\X3B334544\\\\C2842\\", "山田"),
    ] {
        let (envelope, _) = accepted("", &message("CS", msh18, bytes), &[]);
        assert_eq!(family_name(&envelope), name);
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
