//! What nobody sends in good faith, and what breaks off.

use super::*;
use proptest::prelude::*;

const OPEN: &str = "<A xmlns=\"urn:hl7-org:v3\"><id root=\"7\"/>";

#[track_caller]
fn flaw_of(text: &str) -> Option<Flaw> {
    match Message::read(text.as_bytes()) {
        Ok(message) => message.flaw,
        Err(flaw) => Some(flaw),
    }
}

#[test]
fn nothing_is_expanded() {
    let bomb = "<!DOCTYPE A [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>\
                <A xmlns=\"urn:hl7-org:v3\"><id root=\"&b;\"/></A>";
    assert_eq!(flaw_of(bomb), Some(Flaw::Doctype));
    let external = "<!DOCTYPE A SYSTEM \"file:///etc/passwd\"><A xmlns=\"urn:hl7-org:v3\"/>";
    assert_eq!(flaw_of(external), Some(Flaw::Doctype));
    assert_eq!(
        flaw_of(&format!("{OPEN}<!DOCTYPE x></A>")),
        Some(Flaw::Doctype)
    );
    assert_eq!(flaw_of(&format!("{OPEN}&lol;</A>")), Some(Flaw::Entity));
    assert_eq!(flaw_of(&format!("{OPEN}&nbsp;</A>")), Some(Flaw::Entity));
    assert_eq!(
        flaw_of(&format!("{OPEN}<x y=\"&lol;\"/></A>")),
        Some(Flaw::Entity)
    );
    let plain = "<x y=\"&lt;&amp;&quot;&#1234;\">&gt;&apos;&#x1F600;<![CDATA[<&]]></x><!-- & -->";
    assert_eq!(flaw_of(&format!("{OPEN}{plain}</A>")), None);
}

/// However it is broken: what came before that is enough to answer.
#[test]
fn what_is_not_well_formed_is_known_by_its_id() {
    for broken in [
        "",
        "<x>",
        "<x></y></A>",
        "</A></A>",
        "</A><A xmlns=\"urn:hl7-org:v3\"/>",
        "</A>text",
        "</A>&#65;",
        "</A><![CDATA[ ]]>",
        "&</A>",
        "&amp</A>",
        "&#0;</A>",
        "&#1;</A>",
        "&#xD800;</A>",
        "\u{1}</A>",
        "]]></A>",
        "<x y=\"<\"/></A>",
        "<x y=\"1\" y=\"2\"/></A>",
        "<x y/></A>",
        "<x y=1/></A>",
        "<1/></A>",
        "<p:x/></A>",
        "<!-- -- --></A>",
        "<?xml version=\"1.0\"?></A>",
        "<![CDATA[</A>",
    ] {
        let text = format!("{OPEN}{broken}");
        let message =
            Message::read(text.as_bytes()).unwrap_or_else(|flaw| panic!("{broken}: {flaw:?}"));
        assert_eq!(message.flaw, Some(Flaw::Malformed), "{broken}");
        assert_eq!(message.control_id(), "7", "{broken}");
    }
    // Half of an ID is another message's.
    let cut = Message::read(b"<A xmlns='urn:hl7-org:v2xml'><MSH><MSH.10>123").unwrap();
    assert_eq!(cut.control_id(), "");
}

#[test]
fn everything_has_a_bound() {
    let deep = |depth: usize| format!("{OPEN}{}{}</A>", "<x>".repeat(depth), "</x>".repeat(depth));
    assert_eq!(flaw_of(&deep(199)), None);
    assert_eq!(flaw_of(&deep(200)), Some(Flaw::Bounds));
    assert_eq!(
        flaw_of(&format!("{OPEN}{}", "<x>".repeat(1_000_000))),
        Some(Flaw::Bounds)
    );
    let attributes = |count: usize| {
        let all: String = (0..count).map(|n| format!(" a{n}=\"\"")).collect();
        format!("{OPEN}<x{all}/></A>")
    };
    assert_eq!(flaw_of(&attributes(100)), None);
    assert_eq!(flaw_of(&attributes(101)), Some(Flaw::Bounds));
    assert_eq!(flaw_of(&attributes(100_000)), Some(Flaw::Bounds));
    let name = "x".repeat(257);
    assert_eq!(flaw_of(&format!("{OPEN}<{name}/></A>")), Some(Flaw::Bounds));
    let header = format!("{OPEN}<sender>{}</sender></A>", "<x/>".repeat(5000));
    assert_eq!(flaw_of(&header), Some(Flaw::Bounds));
    let text = format!("{OPEN}<sender>{}</sender></A>", "x".repeat(300_000));
    assert_eq!(flaw_of(&text), Some(Flaw::Bounds));
    let content = format!(
        "{OPEN}<controlActProcess>{}</controlActProcess></A>",
        "<x>y</x>".repeat(100_000)
    );
    assert_eq!(flaw_of(&content), None, "the content is the app's");
    // What counts once is not looked for again and again, and not kept.
    for again in [
        "<controlActProcess/>",
        "<acknowledgement/>",
        "<id/>",
        "<o:id xmlns:o=\"u\"/>",
    ] {
        let many = format!("{OPEN}{}</A>", again.repeat(200_000));
        assert_eq!(flaw_of(&many), None, "{again}");
    }
}

#[test]
fn what_is_no_hl7() {
    for text in [
        "<A/>",
        "<A xmlns=\"urn:other\"/>",
        "<html><body/></html>",
        "<p:A xmlns=\"urn:hl7-org:v3\" xmlns:p=\"urn:other\"/>",
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><A xmlns=\"urn:hl7-org:v3\"/></s:Envelope>",
        "<Ä xmlns=\"urn:hl7-org:v3\"/>",
    ] {
        assert_eq!(
            Message::read(text.as_bytes()).unwrap_err(),
            Flaw::NotHl7,
            "{text}"
        );
    }
    assert_eq!(Message::read(b"<").unwrap_err(), Flaw::Malformed);
    assert_eq!(Message::read(b"").unwrap_err(), Flaw::Malformed);
}

/// Elements of other namespaces that are called the same say nothing.
#[test]
fn a_header_is_of_the_roots_namespace() {
    let text = "<A xmlns='urn:hl7-org:v3' xmlns:o='urn:other'><o:id root='6'/><x><id root='5'/></x><id root='7'/></A>";
    assert_eq!(Message::read(text.as_bytes()).unwrap().control_id(), "7");
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>",
        "<A xmlns=\"urn:hl7-org:v3\">",
        "<A xmlns=\"urn:hl7-org:v2xml\">",
        "</A>",
        "<MSH>",
        "</MSH>",
        "<MSH.10>1</MSH.10>",
        "<MSH.3><HD.1>",
        "</HD.1></MSH.3>",
        "<id root=\"1\" extension='2'/>",
        "<sender><device><id root=\"1\"/></device></sender>",
        "<acknowledgement>",
        "</acknowledgement>",
        "&amp;",
        "&#x41;",
        "&x;",
        "<![CDATA[x]]>",
        "<!-- x -->",
        "<!DOCTYPE x>",
        "<",
        ">",
        "\"",
        "é",
        " ",
        "x=\"1\"",
    ]);
    let piece = prop_oneof![
        9 => piece.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn any_acks(bytes: &[u8]) {
    let Ok(message) = Message::read(bytes) else {
        return;
    };
    for verdict in [Verdict::Accepted, Verdict::Error, Verdict::Rejected] {
        let ack = write(&message, Kind::Original, verdict, &faults(), Some("x"));
        assert!(
            !ack.iter().any(u8::is_ascii_control),
            "{}",
            ack.escape_ascii()
        );
        if message.dialect == Dialect::Cda {
            continue;
        }
        let read = Message::read(&ack).unwrap();
        assert_eq!(read.flaw, None, "{}", ack.escape_ascii());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        any_acks(&[b"<".as_slice(), &bytes].concat());
    }

    #[test]
    fn any_pieces_make_well_formed_answers(bytes in pieces()) {
        any_acks(&bytes);
        any_acks(&[b"<A xmlns=\"urn:hl7-org:v2xml\">".as_slice(), &bytes].concat());
    }

    /// Cut anywhere, a document has its whole ID or none.
    #[test]
    fn a_cut_document_has_its_own_id_or_none(cut in 0usize..2000) {
        for (name, id) in [
            ("v2-5-adt.xml", "MSG <1> é"),
            ("v3-pix-feed.xml", "1.2.840.114350.1.13.0.1.7.1.1^35423"),
            ("cda.xml", "1.2.3.999.4^doc-7"),
        ] {
            let whole = bytes(name);
            let cut = &whole[..cut.min(whole.len())];
            if let Ok(message) = Message::read(cut) {
                prop_assert!(["", id].contains(&message.control_id()), "{}", message.control_id());
                let complete = cut.trim_ascii_end() == whole.trim_ascii_end();
                prop_assert_eq!(message.flaw.is_none(), complete);
            }
        }
    }
}
