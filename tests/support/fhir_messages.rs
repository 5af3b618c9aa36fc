//! Messages for the FHIR maps, made of the maps themselves: every event that they name, every segment that a structure has, in its
//! groups and out of them. What stands in the fields is what senders put there, and what they should not.

use fastrand::Rng;
use mllp_bridge::fhir::embedded::FILES;
use serde_json::Value;

/// A structure's events, and its body as the map has it.
struct Structure {
    events: Vec<String>,
    body: Value,
}

fn structures() -> Vec<Structure> {
    let files = FILES.iter().filter(|file| file.0.starts_with("messages/"));
    files
        .flat_map(|(name, text)| {
            let file: Value = serde_saphyr::from_str(text).expect(name);
            let maps = file.as_object().expect(name).clone();
            maps.into_iter().map(|(name, map)| Structure {
                events: map["events"]
                    .as_array()
                    .expect(&name)
                    .iter()
                    .map(|event| event.as_str().expect(&name).to_owned())
                    .collect(),
                body: map["body"].clone(),
            })
        })
        .collect()
}

/// Every event that a map covers.
pub fn events() -> Vec<String> {
    structures()
        .into_iter()
        .flat_map(|structure| structure.events)
        .collect()
}

/// Every segment of a structure but MSH, once.
pub fn segments() -> Vec<String> {
    fn walk(body: &Value, found: &mut Vec<String>) {
        for member in body.as_array().into_iter().flatten() {
            match member["segment"].as_str() {
                Some("MSH") => {}
                Some(id) => found.push(id.to_owned()),
                None => walk(&member["body"], found),
            }
        }
    }
    let mut found = Vec::new();
    for structure in structures() {
        walk(&structure.body, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

/// What fields hold.
const VALUES: &[&str] = &[
    "20260301",
    "20260301101500",
    "20260228235959+0200",
    "2026",
    "202613",
    "20269999",
    "1015",
    "F",
    "M",
    "U",
    "I",
    "O",
    "P",
    "N",
    "Y",
    "D",
    "A",
    "C",
    "X",
    "R",
    "NM",
    "SN",
    "NR",
    "CWE",
    "CE",
    "ST",
    "TX",
    "ED",
    "RP",
    "DT",
    "TM",
    "DR",
    "DTM",
    "1",
    "0",
    "-3",
    "1.50",
    "<2.5",
    "007",
    "1e3",
    "LN",
    "SCT",
    "I10",
    "HL70001",
    "HL79999",
    "UCUM",
    "mg",
    "mmol/L",
    "d",
    "min",
    "ISO",
    "1.2.3",
    "2.16.840.1.113883.19",
    "UUID",
    "c1bfa52f-4b3a-4b6e-9a55-6f3c3f4b7a10",
    "DNS",
    "\"\"",
    "Base64",
    "base64",
    "aGk=",
    "aGk",
    "A",
    "final",
    "NW",
    "CA",
    "DC",
    "SC",
    "CM",
    "RE",
    "OP",
    "AP",
    "PP",
    "SEL",
    "MTH",
    "CG",
    "AD",
    "DE",
    "EUR",
    "<",
    ">=",
    "<>",
    "-",
    ":",
    "\\.br\\",
    "\\T\\",
    "\\X41\\",
    "x y",
    "<b>bold</b>",
    "{\"a\": 1}",
    "urn:oid:1.2.3",
    "urn:uuid:5",
    "http://example.org/a b",
    "NPI",
    "MR",
    "VN",
    "SS",
    "en",
    "English",
    "application/pdf",
    "text/plain",
    "WPN",
    "PRN",
    "PH",
    "CP",
    "Internet",
    "5551234",
    "\u{feff}",
    "\u{e9}t\u{e9}",
    "\u{200b}",
    "a|b",
];

fn leaf(rng: &mut Rng) -> String {
    match rng.u8(..10) {
        0..=3 => String::new(),
        4..=8 => VALUES[rng.usize(..VALUES.len())].replace('|', "\\F\\"),
        // Not with a blank at its end: behind the last one of a file nobody can tell whether it is the message's.
        _ => {
            let count = rng.usize(1..12);
            let all = (0..count).map(|_| rng.char(' '..='~'));
            let text: String = all.filter(|c| !"|^~&\\".contains(*c)).collect();
            text.trim().to_owned()
        }
    }
}

fn joined(rng: &mut Rng, most: usize, between: &str, part: impl Fn(&mut Rng) -> String) -> String {
    let count = if rng.u8(..3) > 0 {
        1
    } else {
        rng.usize(1..=most)
    };
    let parts: Vec<String> = (0..count).map(|_| part(rng)).collect();
    parts.join(between)
}

fn field(rng: &mut Rng) -> String {
    joined(rng, 3, "~", |rng| {
        joined(rng, 10, "^", |rng| joined(rng, 3, "&", leaf))
    })
}

fn segment(id: &str, rng: &mut Rng) -> String {
    // What decides about an OBX is there more often than chance would have it.
    const KINDS: [&str; 10] = ["NM", "SN", "NR", "CWE", "ST", "TX", "ED", "RP", "DT", "DR"];
    let count = rng.usize(1..45);
    let fields: Vec<String> = (1..=count)
        .map(|number| match (id, number) {
            ("OBX", 2) => KINDS[rng.usize(..KINDS.len())].to_owned(),
            ("PID", 3) => format!("{}^^^{}", rng.u16(..), leaf(rng)),
            _ => field(rng),
        })
        .collect();
    format!("{id}|{}\r", fields.join("|"))
}

fn walk(body: &Value, rng: &mut Rng, message: &mut String) {
    for member in body.as_array().into_iter().flatten() {
        let id = member["segment"].as_str();
        let repeats = id.is_none() || member["repeats"] == true;
        let count = match (id, rng.u8(..4)) {
            (Some("MSH"), _) => 0,
            (Some("PID"), _) => 1,
            (_, 0) => 0,
            (_, 1) if repeats => rng.usize(1..4),
            _ => 1,
        };
        for _ in 0..count {
            match id {
                Some(id) => message.push_str(&segment(id, rng)),
                None => walk(&member["body"], rng, message),
            }
        }
    }
}

/// A message of each event `rounds` times, each with its seed in MSH-10: the same ones each time.
pub fn messages(rounds: u64) -> Vec<String> {
    let mut made = Vec::new();
    for structure in structures() {
        for event in &structure.events {
            for _ in 0..rounds {
                let seed = made.len() as u64;
                let mut rng = Rng::with_seed(seed);
                let mut message = format!(
                    "MSH|^~\\&|{}|{}|R||20260301101500||{event}|seed-{seed}|P|2.5.1\r",
                    leaf(&mut rng),
                    leaf(&mut rng),
                );
                walk(&structure.body, &mut rng, &mut message);
                // Some come where nobody expects them.
                if rng.u8(..4) == 0 {
                    message.push_str(&segment("OBX", &mut rng));
                    message.push_str(&segment("ZZZ", &mut rng));
                }
                made.push(message);
            }
        }
    }
    made
}
