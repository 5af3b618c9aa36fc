//! The v3 acknowledgements that the bridge makes over real sockets, each validated by HL7's own schema (`MCCI_IN000002UV01`, Normative
//! Edition 2008); and copies of them that are broken, so that it is known that the schema finds something.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::lab::Lab;
use crate::peers::{Peer, Told};
use crate::support::messages::frame;
use crate::support::peer::RawPeer;

/// A message, and what it gets.
pub(crate) struct Asked {
    /// How the page and a failure call it.
    pub(crate) what: &'static str,
    pub(crate) code: &'static str,
    /// How many `acknowledgementDetail` are in it.
    pub(crate) details: usize,
    /// Of [`Lab`].
    listener: &'static str,
    declaration: &'static str,
    interaction: &'static str,
    /// From `creationTime` to `acceptAckCode`.
    header: &'static str,
    /// Inside of `sender`'s device.
    sender: &'static str,
    subject: &'static str,
    /// Behind the document.
    behind: &'static str,
}

const PATIENT: &str =
    "<patient classCode=\"PAT\"><id root=\"1.2.3.999.7\" extension=\"4711\"/></patient>";

const PLAIN: Asked = Asked {
    what: "taken",
    code: "CA",
    details: 0,
    listener: "app",
    declaration: "",
    interaction: "PRPA_IN201301UV02",
    header: "<creationTime value=\"20261122101500\"/><versionCode code=\"V3PR1\"/><processingCode code=\"T\"/>\
             <processingModeCode code=\"T\"/>",
    sender: "<id root=\"1.2.3.999.2\" extension=\"ADT &amp; &quot;1&quot;\"/><name>Register</name><asAgent classCode=\"AGNT\">\
             <representedOrganization classCode=\"ORG\" determinerCode=\"INSTANCE\"><id root=\"1.2.3.999.3\"/></representedOrganization></asAgent>",
    subject: PATIENT,
    behind: "",
};

pub(crate) const ASKED: [Asked; 9] = [
    PLAIN,
    Asked {
        what: "taken, with a text of the app's",
        details: 1,
        subject: "<patient classCode=\"PAT\"><id root=\"1\"/></patient><note>say something</note>",
        ..PLAIN
    },
    Asked {
        what: "taken; its sender identifies nothing and leaves out what it may",
        header: "",
        sender: "",
        ..PLAIN
    },
    Asked {
        what: "refused with two errors",
        code: "CE",
        details: 2,
        subject: "",
        ..PLAIN
    },
    Asked {
        what: "refused in ISO 8859-1, with a text that is not in it",
        code: "CE",
        details: 2,
        declaration: "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>",
        subject: "<note>&#220;</note>",
        ..PLAIN
    },
    Asked {
        what: "of a kind that is not taken",
        code: "CR",
        details: 1,
        interaction: "PRSC_IN010101UV01",
        ..PLAIN
    },
    Asked {
        what: "the app is down",
        code: "CE",
        details: 1,
        listener: "down",
        ..PLAIN
    },
    Asked {
        what: "not well-formed behind its header",
        code: "CR",
        details: 1,
        behind: "<x/>",
        ..PLAIN
    },
    Asked {
        what: "in a character set that is not carried",
        code: "CR",
        details: 1,
        declaration: "<?xml version=\"1.0\" encoding=\"IBM500\"?>",
        ..PLAIN
    },
];

impl Asked {
    fn message(&self, extension: &str) -> String {
        let Self {
            declaration,
            interaction,
            header,
            sender,
            subject,
            behind,
            ..
        } = self;
        let device = |inside: &str| {
            format!("<device classCode=\"DEV\" determinerCode=\"INSTANCE\">{inside}</device>")
        };
        let receiver = device(if sender.is_empty() {
            ""
        } else {
            "<id root=\"1.2.3.999.1\"/>"
        });
        let sender = device(sender);
        format!(
            "{declaration}<{interaction} xmlns=\"urn:hl7-org:v3\" ITSVersion=\"XML_1.0\"><id root=\"1.2.3\" extension=\"{extension}\"/>\
             {header}<interactionId root=\"2.16.840.1.113883.1.6\" extension=\"{interaction}\"/><acceptAckCode code=\"AL\"/>\
             <receiver typeCode=\"RCV\">{receiver}</receiver><sender typeCode=\"SND\">{sender}</sender>\
             <controlActProcess classCode=\"CACT\" moodCode=\"EVN\"><subject typeCode=\"SUBJ\">{subject}</subject></controlActProcess>\
             </{interaction}>{behind}"
        )
    }
}

/// An acknowledgement, or a copy of one that is broken.
struct Ack {
    name: String,
    bytes: Vec<u8>,
}

fn validated(acks: &[Ack]) -> Vec<Told> {
    let line = |ack: &Ack| format!("{}\t{}\n", ack.name, STANDARD.encode(&ack.bytes));
    let told = Peer::V3Schema.run(&[], acks.iter().map(line).collect());
    let names = |told: &Told| told.case.clone();
    assert_eq!(
        told.iter().map(names).collect::<Vec<_>>(),
        acks.iter().map(|ack| ack.name.clone()).collect::<Vec<_>>(),
        "it reads them all"
    );
    told
}

/// Everything, made by a running bridge.
fn made() -> Vec<Ack> {
    let lab = Lab::new();
    let made = ASKED.iter().enumerate().map(|(number, asked)| {
        let mut peer = RawPeer::connect(lab.bridge.listener(asked.listener));
        peer.send(frame(asked.message(&format!("X{number}"))));
        let bytes = peer
            .read_frame()
            .unwrap_or_else(|error| panic!("{}: {error}", asked.what));
        let text = String::from_utf8_lossy(&bytes);
        let details = text.matches("<acknowledgementDetail ").count();
        assert_eq!(details, asked.details, "{}:\n{text}", asked.what);
        Ack {
            name: asked.what.to_owned(),
            bytes,
        }
    });
    made.collect()
}

#[test]
fn every_v3_acknowledgement_is_valid_by_hl7s_schema() {
    if !Peer::V3Schema.is_installed() {
        return;
    }
    let made = made();
    for ((number, asked), (ack, told)) in ASKED
        .iter()
        .enumerate()
        .zip(made.iter().zip(validated(&made)))
    {
        let text = String::from_utf8_lossy(&ack.bytes);
        assert_eq!(told.failed, None, "{}:\n{text}", ack.name);
        assert_eq!(told.strict, [""; 0], "{}:\n{text}", ack.name);
        let read: Vec<_> = told
            .answers
            .iter()
            .map(|answer| (&*answer.code, &*answer.id))
            .collect();
        assert_eq!(
            read,
            [(asked.code, &*format!("1.2.3^X{number}"))],
            "{}",
            ack.name
        );
    }
}

/// What is taken out or put in; each is in the first acknowledgement.
const BROKEN: [(&str, &str, &str); 7] = [
    ("without what it says", "<typeCode code=\"CA\"/>", ""),
    (
        "a code that cannot be one",
        "<typeCode code=\"CA\"/>",
        "<typeCode code=\"C A\"/>",
    ),
    (
        "without what it answers",
        "<targetMessage>",
        "<targetMessage/><targetMessage>",
    ),
    ("a device without its class", " classCode=\"DEV\"", ""),
    (
        "an ID that is no OID and no UUID",
        "root=\"1.2.3\"",
        "root=\"1.2.3 \"",
    ),
    (
        "without its own ID",
        "<acceptAckCode code=\"NE\"/>",
        "<acceptAckCode code=\"NE\"/><id root=\"1\"/>",
    ),
    (
        "an element of nobody's",
        "</acknowledgement>",
        "<x/></acknowledgement>",
    ),
];

/// The schema would not be worth much if it took everything.
#[test]
fn a_broken_copy_of_an_acknowledgement_is_not_valid() {
    if !Peer::V3Schema.is_installed() {
        return;
    }
    let lab = Lab::new();
    let mut peer = RawPeer::connect(lab.bridge.listener("app"));
    peer.send(frame(PLAIN.message("X")));
    let whole = String::from_utf8(peer.read_frame().expect("an acknowledgement")).expect("UTF-8");
    let broken = BROKEN.map(|(name, from, to)| {
        assert!(whole.contains(from), "{name}: no {from} in\n{whole}");
        Ack {
            name: name.to_owned(),
            bytes: whole.replacen(from, to, 1).into_bytes(),
        }
    });
    for told in validated(&broken) {
        assert!(!told.strict.is_empty(), "it takes {:?}", told.case);
    }
    let cut = Ack {
        name: "cut off".to_owned(),
        bytes: whole.as_bytes()[..whole.len() - 1].to_vec(),
    };
    let told = validated(&[cut]);
    assert!(told[0].failed.is_some(), "{told:?}");
}
