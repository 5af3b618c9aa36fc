//! The messages that are sent. Synthetic: every name, number and address in them is made up.
//!
//! Each is rendered once. What changes per message is its control ID (MSH-10), digits of a fixed
//! width that are overwritten in place, so that no two messages are the same and a bridge that
//! recognises duplicates takes each for a new one.

use std::net::SocketAddr;

use anyhow::{Context, Result};

/// Digits of a control ID; HL7 allows 20 characters.
pub(crate) const CONTROL_ID_DIGITS: usize = 12;
const CONTROL_ID: &str = "000000000000";

/// Start and end of an MLLP block.
pub(crate) const VT: u8 = 0x0b;
pub(crate) const FS: u8 = 0x1c;
pub(crate) const CR: u8 = 0x0d;

/// Where the bridge takes messages for the MLLP server of the harness.
const API: &str = "/v1/destinations/ehr/messages";

/// A message and what the report calls it.
#[derive(Debug)]
pub(crate) struct Message {
    /// Short name, for `--only` and the tables.
    pub(crate) name: &'static str,
    /// HL7 in ER7 encoding, without a frame.
    pub(crate) text: Vec<u8>,
}

/// How a message travels to the process under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// In an MLLP block; the answer is an HL7 acknowledgement.
    Mllp,
    /// As the body of a POST; the answer is a status.
    Http,
    /// As the body of a POST to the bridge's API; the answer is JSON about an acknowledgement.
    Api,
}

/// A message ready to be written to a socket, but for its control ID.
#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    pub(crate) wire: Wire,
    pub(crate) bytes: Vec<u8>,
    control_id_at: usize,
}

impl Rendered {
    pub(crate) fn new(message: &Message, wire: Wire, target: SocketAddr) -> Result<Self> {
        let mut bytes = Vec::with_capacity(message.text.len() + 256);
        match wire {
            Wire::Mllp => {
                bytes.push(VT);
                bytes.extend_from_slice(&message.text);
                bytes.extend_from_slice(&[FS, CR]);
            }
            Wire::Http | Wire::Api => {
                let path = if wire == Wire::Api { API } else { "/hl7" };
                let head = format!(
                    "POST {path} HTTP/1.1\r\nHost: {target}\r\nContent-Type: application/hl7-v2\r\n\
                     Content-Length: {}\r\n\r\n",
                    message.text.len()
                );
                bytes.extend_from_slice(head.as_bytes());
                bytes.extend_from_slice(&message.text);
            }
        }
        let control_id_at = memchr::memmem::find(&bytes, CONTROL_ID.as_bytes())
            .context("the message has no control ID to overwrite")?;
        Ok(Self {
            wire,
            bytes,
            control_id_at,
        })
    }

    pub(crate) fn set_control_id(&mut self, mut number: u64) {
        for digit in self.control_id_mut().iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }

    pub(crate) fn control_id(&self) -> &[u8] {
        &self.bytes[self.control_id_at..self.control_id_at + CONTROL_ID_DIGITS]
    }

    fn control_id_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.control_id_at..self.control_id_at + CONTROL_ID_DIGITS]
    }
}

/// The four messages of the throughput tables, smallest first.
pub(crate) fn all() -> Vec<Message> {
    vec![
        adt(),
        oru_results("oru-4k", 4_000),
        oru_document("oru-1m-document", 1_000_000),
        oru_results("oru-1m-lines", 1_000_000),
    ]
}

/// About 900 bytes: an admission, the most common message of all.
pub(crate) fn adt() -> Message {
    let text = [
        &header("ADT^A01^ADT_A01"),
        "EVN|A01|20260114093000|||4711^PINTER^HAROLD^^^^^^NORTHSIDE\r",
        "PID|1||80012345^^^NORTHSIDE^MR~556677889^^^REGISTRY^NI||QUILLFEATHER^AMBROSE^T^^MR||\
         19610423|M|||12 LANTERN ROW^FLAT 3^LITTLE MARROW^^ZZ1 4QQ^GBR^H||(0100)555-0142^PRN^PH\
         |(0100)555-0143^WPN^PH|EN|M|CHR|90017788^^^NORTHSIDE^VN|||||||||||N\r",
        "NK1|1|QUILLFEATHER^MIRABEL^^^MRS|SPO|12 LANTERN ROW^FLAT 3^LITTLE MARROW^^ZZ1 4QQ|\
         (0100)555-0144\r",
        "PV1|1|I|WARD7^BAY2^4^NORTHSIDE||||2201^HAZELWICK^ORSON^^^DR|2202^TANSY^PRUDENCE^^^DR||\
         MED||||1|||2201^HAZELWICK^ORSON^^^DR|IP|90017788^^^NORTHSIDE^VN||||||||||||||||||||\
         NORTHSIDE|||||20260114091500\r",
        "NK1|2|QUILLFEATHER^JUNIPER^^^MS|DAU|4 WICKET LANE^^LITTLE MARROW^^ZZ1 5RR\r",
        "PV2|||CHEST PAIN^OBSERVATION OVER NIGHT||||||20260115\r",
        "AL1|1|DA|PENI^PENICILLIN^LOCAL|SV|RASH\r",
        "DG1|1||R07.4^CHEST PAIN, UNSPECIFIED^I10||20260114091500|A\r",
    ]
    .concat();
    Message {
        name: "adt-900",
        text: text.into_bytes(),
    }
}

/// Results, one line of about 95 bytes each, until the message is about `size` bytes long.
pub(crate) fn oru_results(name: &'static str, size: usize) -> Message {
    let mut text = oru_head();
    let tests = [
        ("2345-7", "GLUCOSE", "mmol/L", "3.9-5.8"),
        ("718-7", "HAEMOGLOBIN", "g/dL", "13.0-17.0"),
        ("2160-0", "CREATININE", "umol/L", "62-106"),
        ("2951-2", "SODIUM", "mmol/L", "135-145"),
        ("6690-2", "LEUKOCYTES", "10*9/L", "4.0-10.0"),
    ];
    for number in 1.. {
        let (code, label, unit, range) = tests[number % tests.len()];
        let line = format!(
            "OBX|{number}|NM|{code}^{label}^LN||{}.{}|{unit}|{range}|N|||F|||20260114084500||7788^LAB\r",
            number % 90 + 4,
            number % 10,
        );
        if text.len() + line.len() > size {
            break;
        }
        text.push_str(&line);
    }
    pad(text, name, size)
}

/// A report as one value: a document in base64, as it comes from radiology or pathology.
pub(crate) fn oru_document(name: &'static str, size: usize) -> Message {
    let mut text = oru_head();
    text.push_str("OBX|1|ED|PDF^REPORT^LOCAL||LAB^AP^PDF^Base64^");
    let end = "||||||F\r";
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // A linear congruential generator: text without a pattern, the same in every run.
    let mut state = 0x2545_f491_u32;
    while text.len() + end.len() < size {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push(char::from(alphabet[(state >> 26) as usize]));
    }
    text.push_str(end);
    Message {
        name,
        text: text.into_bytes(),
    }
}

/// Brings a message to exactly `size` bytes with a note, if one fits.
fn pad(mut text: String, name: &'static str, size: usize) -> Message {
    let (start, end) = ("NTE|1||", "\r");
    if let Some(length) = size.checked_sub(text.len() + start.len() + end.len()) {
        text.push_str(start);
        text.extend(std::iter::repeat_n('x', length));
        text.push_str(end);
    }
    Message {
        name,
        text: text.into_bytes(),
    }
}

fn oru_head() -> String {
    [
        &header("ORU^R01^ORU_R01"),
        "PID|1||80012345^^^NORTHSIDE^MR||QUILLFEATHER^AMBROSE^T^^MR||19610423|M\r",
        "PV1|1|I|WARD7^BAY2^4^NORTHSIDE||||2201^HAZELWICK^ORSON^^^DR\r",
        "ORC|RE|P55501^WARD|F88801^LAB||CM\r",
        "OBR|1|P55501^WARD|F88801^LAB|CHEM^CHEMISTRY PANEL^LOCAL|||20260114081500|||||||\
         20260114082000||2201^HAZELWICK^ORSON^^^DR||||||20260114085000||LAB|F\r",
    ]
    .concat()
}

fn header(message_type: &str) -> String {
    format!(
        "MSH|^~\\&|WARDSYS|NORTHSIDE|BRIDGE|APP|20260114093001||{message_type}|{CONTROL_ID}|P|2.5.1|||||GBR\r"
    )
}
