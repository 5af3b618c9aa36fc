//! The envelope: it is JSON of the published shape, nothing of the message is lost in it, and the way back is exact.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::{LazyLock, OnceLock};

use jsonschema::Validator;
use mllp_bridge::config::{self, Charset, Overrides, Session, Source as ConfigSource};
use mllp_bridge::envelope::{Envelope, EventId, Head, Shape, Source, read};
use mllp_bridge::hl7::charset::{Reading, Transcoded, as_text};
use mllp_bridge::inbound::admit::{Kind, admit, head_of, warnings};
use mllp_bridge::inbound::frame::Frame;
use proptest::prelude::*;
use serde_json::Value;

use strategies::messages;
use support::Shown;
use support::corpus::corpus;

mod snapshots;
mod strategies;
#[path = "../support/mod.rs"]
mod support;

const WHOLE: Shape = Shape {
    structured: true,
    raw: true,
    parsed: true,
};
const PARSED: Shape = Shape {
    raw: false,
    ..WHOLE
};
const RAW: Shape = Shape {
    parsed: false,
    ..WHOLE
};

/// A listener's settings when nothing is configured.
static SESSION: LazyLock<Session> = LazyLock::new(|| {
    let flags = Overrides {
        app: Some("http://127.0.0.1:8080/".into()),
        ..Overrides::default()
    };
    let config = config::load(&ConfigSource::new().flags(flags)).expect("the defaults are valid");
    (*config.listeners[0].session).clone()
});

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value =
        serde_json::from_str(include_str!("../../docs/envelope.schema.json")).expect("JSON");
    assert!(
        jsonschema::meta::is_valid(&schema),
        "docs/envelope.schema.json is not a JSON Schema"
    );
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("a schema")
});

/// A message that the bridge would deliver, as it would see it.
struct Admitted<'a> {
    bytes: &'a [u8],
    message: &'a [u8],
    header: Head<'a>,
    reading: Reading,
    warnings: Vec<mllp_bridge::envelope::Warning>,
}

impl<'a> Admitted<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        // Lives as long as the test process: there are not many, and they are small.
        let transcoded: &OnceLock<Transcoded> = Box::leak(Box::default());
        let (message, payload) = as_text(bytes, SESSION.charset, transcoded);
        let Ok((header, Kind::Message)) = head_of(message, payload) else {
            return None;
        };
        let mut deviations = Vec::new();
        let frame = Frame::Whole(0..message.len());
        let reading = admit(
            message,
            &header,
            &frame,
            Kind::Message,
            transcoded.get(),
            &SESSION,
            &mut deviations,
        )
        .ok()?;
        Some(Self {
            bytes,
            message,
            header,
            reading,
            warnings: warnings(&deviations),
        })
    }

    /// The envelope's bytes, taken in pieces of about `limit` bytes.
    fn bytes(&self, shape: Shape, limit: usize) -> Vec<u8> {
        let source = Source {
            bytes: self.bytes,
            message: self.message,
            header: &self.header,
            reading: self.reading,
            id: EventId::new(self.bytes, self.header.control_id()),
            received: "2026-11-22T10:15:00.000Z",
            listener: "adt",
            peer: "10.1.0.10",
            warnings: &self.warnings,
        };
        let mut envelope = Envelope::new(source, shape);
        let (mut all, mut piece) = (Vec::new(), Vec::new());
        while !envelope.fill(&mut piece, limit) {
            assert!(!piece.is_empty(), "no progress");
            all.append(&mut piece);
        }
        all.append(&mut piece);
        all
    }

    fn json(&self, shape: Shape) -> Value {
        let bytes = self.bytes(shape, usize::MAX);
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {}", Shown(&bytes)))
    }
}

/// Everything that must hold for any message. `Err` says what does not; `Ok(false)` if the bridge would not deliver it.
fn holds(message: &[u8], limit: usize) -> Result<bool, String> {
    let Some(admitted) = Admitted::new(message) else {
        return Ok(false);
    };
    let whole = admitted.bytes(WHOLE, usize::MAX);
    for shape in [WHOLE, PARSED, RAW] {
        let bytes = admitted.bytes(shape, usize::MAX);
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| format!("not JSON: {error}: {}", Shown(&bytes)))?;
        if let Some(error) = SCHEMA.iter_errors(&value).next() {
            return Err(format!(
                "{} breaks the schema: {error}: {value}",
                error.instance_path()
            ));
        }
        let data = admitted.bytes(
            Shape {
                structured: false,
                ..shape
            },
            usize::MAX,
        );
        if serde_json::from_slice::<Value>(&data).ok().as_ref() != value.get("data") {
            return Err("the body of binary mode is not the data of structured mode".into());
        }
    }
    if admitted.bytes(WHOLE, limit) != whole {
        return Err(format!("pieces of {limit} bytes make another envelope"));
    }

    let back = read::to_er7(&whole).map_err(|error| format!("raw does not go back: {error}"))?;
    if back != message {
        return Err(format!("raw became {}", Shown(&back)));
    }

    if let Head::Xml(_) = admitted.header {
        let parsed = &admitted.json(PARSED)["data"];
        return match parsed.get("segments").or(parsed.get("delimiters")) {
            None => Ok(true),
            Some(_) => Err("XML has no segments".into()),
        };
    }

    let parsed = admitted.json(PARSED);
    let segments = &parsed["data"]["segments"];
    let rebuilt = match read::to_er7(parsed.to_string().as_bytes()) {
        Ok(rebuilt) => rebuilt,
        Err(error) => return exception_before(&admitted, segments, &error).map(|()| true),
    };
    // A byte order mark that outranks MSH-18 stands before the first segment, and is a part of none.
    if admitted.reading.mismatch && message.starts_with(b"\xef\xbb\xbf") {
        return Ok(true);
    }
    let Some(again) = Admitted::new(&rebuilt) else {
        return Err(format!(
            "the rebuilt message is not accepted: {}",
            Shown(&rebuilt)
        ));
    };
    if &again.json(PARSED)["data"]["segments"] != segments {
        exception_after(&admitted, &again, &rebuilt, segments)?;
    }
    Ok(true)
}

/// The honest exceptions to "segments go back": the way back refuses, and says why.
fn exception_before(
    admitted: &Admitted<'_>,
    segments: &Value,
    error: &read::BadEnvelope,
) -> Result<(), String> {
    // A message whose MSH-2 names no escape character has no way to write a line end as data.
    let no_escape = match &admitted.header {
        Head::Er7(header) => header.delimiters.escape.is_none(),
        Head::Xml(_) => false,
    };
    if no_escape && leaves(segments).iter().any(|value| value.contains('\n')) {
        return Ok(());
    }
    // Some bytes of Big5 stand for characters that its tables write otherwise or not at all: the exact bytes went along.
    let read_only = matches!(error, read::BadEnvelope::Charset { .. });
    if read_only && admitted.reading.needs_bytes {
        return Ok(());
    }
    Err(format!("segments do not go back: {error}: {segments}"))
}

/// A message that does not say what its bytes are was read as ISO 8859-1, and a character that was `\X..\` in it, written as
/// a byte, makes the bytes valid UTF-8.
fn exception_after(
    admitted: &Admitted<'_>,
    again: &Admitted<'_>,
    rebuilt: &[u8],
    segments: &Value,
) -> Result<(), String> {
    let guessed =
        admitted.reading.charset == Charset::Latin1 && again.reading.charset == Charset::Utf8;
    // Bytes that were not in the set that MSH-18 names, for a control character among them that is `\X..\` now.
    let mended = admitted.reading.mismatch && !again.reading.mismatch;
    if guessed || mended {
        return Ok(());
    }
    Err(format!(
        "segments changed: {segments}\nrebuilt {}",
        Shown(rebuilt)
    ))
}

/// Every string of the tree.
fn leaves(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().flat_map(leaves).collect(),
        Value::Object(map) => map.values().flat_map(leaves).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4000, max_shrink_iters: 3000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_in_any_message(message in messages(), limit in 1usize..200) {
        if let Err(problem) = holds(&message, limit) {
            prop_assert!(false, "{}\n{problem}", Shown(&message));
        }
    }

    #[test]
    fn nothing_is_lost_in_any_bytes_behind_a_header(bytes in prop::collection::vec(any::<u8>(), 0..200), limit in 1usize..200) {
        let message = [b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5\r".as_slice(), &bytes].concat();
        if let Err(problem) = holds(&message, limit) {
            prop_assert!(false, "{}\n{problem}", Shown(&message));
        }
    }
}

#[test]
fn nothing_is_lost_in_xml() {
    for file in [
        "v2-5-adt",
        "v2-3-1-adt",
        "v2-7-enhanced",
        "v3-pix-feed",
        "cda",
    ] {
        let path = format!(
            "{}/tests/xml/messages/{file}.xml",
            env!("CARGO_MANIFEST_DIR")
        );
        let utf8 = std::fs::read(path).unwrap();
        assert_eq!(holds(&utf8, 7), Ok(true), "{file}");
        let marked = [b"\xef\xbb\xbf".as_slice(), &utf8].concat();
        assert_eq!(holds(&marked, 7), Ok(true), "{file}");
        let declared = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>";
        let text = String::from_utf8(utf8).unwrap();
        let text = text.replace("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "");
        let latin1 = [declared, &text].concat();
        let latin1: Vec<u8> = latin1.chars().map(|c| u8::try_from(c).unwrap()).collect();
        assert_eq!(holds(&latin1, 7), Ok(true), "{file}");
    }
}

#[test]
fn nothing_is_lost_in_the_corpus() {
    let Some(samples) = corpus() else {
        return;
    };
    let (mut held, mut problems) = (0, Vec::new());
    for sample in &samples {
        match holds(&sample.bytes, 7) {
            Ok(delivered) => held += usize::from(delivered),
            Err(problem) => problems.push(format!("{}: {problem}", sample.name)),
        }
        for end in [&b"\n"[..], b"\r\n"] {
            let lines: Vec<&[u8]> = sample.bytes.split(|byte| *byte == b'\r').collect();
            if let Err(problem) = holds(&lines.join(end), 7) {
                problems.push(format!(
                    "{} with {}: {problem}",
                    sample.name,
                    end.escape_ascii()
                ));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    println!(
        "{held} of {} messages would be delivered, and nothing of them is lost",
        samples.len()
    );
    assert!(
        held * 2 > samples.len(),
        "the bridge would deliver {held} of {}",
        samples.len()
    );
}

/// Exactly the cases that [`exception_before`] and [`exception_after`] allow, so that they stay the only ones.
#[test]
fn the_exceptions_are_these() {
    let no_escape = Admitted::new(b"MSH|^~|A|B|C|D|2026||ADT|7|P|2.5\rNTE|a\nb\r").unwrap();
    let error = read::to_er7(no_escape.json(PARSED).to_string().as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "segments[1].fields[\"1\"][0]: expected no delimiter and no line end in a message that has no escape character"
    );
    // Two bytes of Hong Kong's Big5 for a character that it is not written with.
    let read_only =
        Admitted::new(b"MSH|^~\\&|A|B|C|D|2026||ADT|7|P|2.5||||||BIG-5\rNTE|\x87@\r").unwrap();
    assert!(read_only.json(WHOLE)["data"]["rawbase64"].is_string());
    let error = read::to_er7(read_only.json(PARSED).to_string().as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "segments[1].fields[\"1\"][0]: holds a character that Big5 does not have"
    );
    // UTF-8 with MSH-18 for GB 18030, in which a line end cannot follow these bytes, but an escape character can.
    let mended = Admitted::new(
        b"MSH|^~\\&|A|B|C|D|2026||ADT|7|P|2.5||||||GB 18030-2000\rNTE|\xe6\xbc\xa2\n\r",
    )
    .unwrap();
    assert_eq!(mended.reading.charset, Charset::Utf8);
    let rebuilt = read::to_er7(mended.json(PARSED).to_string().as_bytes()).unwrap();
    assert_eq!(
        Admitted::new(&rebuilt).unwrap().reading.charset,
        Charset::Gb18030
    );
    // Without MSH-18: A with tilde in ISO 8859-1, then a copyright sign as hex; both as bytes are one e with acute in UTF-8.
    let guessed = Admitted::new(b"MSH|^~\\&|A|B|C|D|2026||ADT|7|P|2.5\rNTE|\xc3\\XA9\\\r").unwrap();
    let rebuilt = read::to_er7(guessed.json(PARSED).to_string().as_bytes()).unwrap();
    assert_eq!(
        guessed.json(PARSED)["data"]["segments"][1]["fields"]["1"][0]["1"],
        "Ã©"
    );
    assert_eq!(
        Admitted::new(&rebuilt).unwrap().json(PARSED)["data"]["segments"][1]["fields"]["1"][0]["1"],
        "é"
    );
}

/// Kanji behind a switch to Greek: neither is taken for the other.
#[test]
fn a_switch_before_characters_of_iso_2022_is_kept() {
    let message =
        b"MSH|^~\\&|A|B|C|D|2026||ADT|7|P|2.5||||||ISO IR87\rNTE|\\C2D46\\\x1b$B;3\x1b(B\r";
    let value = Admitted::new(message).unwrap().json(WHOLE);
    assert_eq!(
        value["data"]["segments"][1]["fields"]["1"][0]["1"],
        "\\C2D46\\\u{5c71}"
    );
    assert_eq!(holds(message, 7), Ok(true));
}

fn schema_error(change: impl FnOnce(&mut Value)) -> Option<String> {
    let message = b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|7|P|2.5\rPID|1||11^^^A&1.2~22\r";
    let mut value = Admitted::new(message).unwrap().json(WHOLE);
    change(&mut value);
    SCHEMA
        .iter_errors(&value)
        .next()
        .map(|error| error.instance_path().to_string())
}

#[test]
fn the_schema_is_strict() {
    assert_eq!(schema_error(|_| {}), None);
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 12] = [
        ("", |value| value["subject"] = "x".into()),
        ("/specversion", |value| value["specversion"] = "0.3".into()),
        ("/time", |value| value["time"] = "20261122".into()),
        ("/source", |value| {
            value["source"] = "/mllp/adt/a b/c".into()
        }),
        ("/data", |value| value["data"]["parsed"] = true.into()),
        ("/data", |value| {
            value["data"]["rawbase64"] = "TVNIfF5+XCZ8".into()
        }),
        ("/data/charset", |value| {
            value["data"]["charset"] = "UTF-32".into()
        }),
        ("/data/peer/address", |value| {
            value["data"]["peer"]["address"] = "10.1.0.10:4711".into()
        }),
        ("/data/warnings/0", |value| {
            value["data"]["warnings"] = serde_json::json!(["DOE^JOHN"])
        }),
        ("/data/segments/1/fields", |value| {
            value["data"]["segments"][1]["fields"]["0"] = serde_json::json!([{"1": "x"}])
        }),
        ("/data/segments/1/fields/1", |value| {
            value["data"]["segments"][1]["fields"]["1"] = serde_json::json!([{}])
        }),
        ("/data/segments/1/fields/1/0/1", |value| {
            value["data"]["segments"][1]["fields"]["1"][0]["1"] = serde_json::json!({"1": "x"})
        }),
    ];
    for (place, change) in changes {
        assert_eq!(schema_error(change).as_deref(), Some(place));
    }
}
