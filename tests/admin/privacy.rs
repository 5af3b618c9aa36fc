//! Nothing of a message reaches a log line or a metric, whatever is wrong with it and whatever the level.

use std::collections::BTreeSet;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::*;

const MARK: &str = "XMARKERX";

/// Messages and other bytes, each with the marker wherever a sender could put it.
fn marked() -> Vec<Vec<u8>> {
    let plain = messages::adt("MSG1");
    let mut all: Vec<Vec<u8>> = [
        plain.replace("MUSTER", MARK),
        plain.replace("|MSG1|", &format!("|{MARK}|")),
        plain.replace("REGADT", MARK).replace("GENHOSP", MARK),
        plain.replace("ADT^A01^ADT_A01", &format!("{MARK}^{MARK}^{MARK}")),
        plain.replace("|P|2.5.1", &format!("|{MARK}|{MARK}")),
        plain.replace("|MSG1|", "||").replace("MUSTER", MARK),
        plain.replace("|MSG1|", &format!("|{MARK}\n|")),
        plain
            .replace("|P|2.5.1", &format!("|P|2.5.1||||||{MARK}"))
            .replace("ERIKA", "ÉRIKA"),
        plain.replace('\r', "\n").replace("MUSTER", MARK),
        plain
            .replace("MSH|^~\\&|", "MSH|^|")
            .replace("MUSTER", MARK),
        format!("{plain}{}", plain.replace("MUSTER", MARK)),
        format!("FHS|^~\\&|{MARK}\r{plain}"),
        format!("BHS|^~\\&|{MARK}\r{plain}"),
        format!("<ADT_A01 xmlns=\"urn:hl7-org:v2xml\">{MARK}</ADT_A01>"),
        format!("<ADT_A01 xmlns=\"urn:hl7-org:v2xml\"><MSH><MSH.10>7</MSH.10></MSH><PID>{MARK}</PID></ADT_A01>"),
        format!("<ADT_A01 xmlns=\"urn:hl7-org:v2xml\"><MSH><MSH.10>7</MSH.10></MSH><PID>{MARK}</PID>&{MARK};</ADT_A01>"),
        format!("<A xmlns=\"urn:hl7-org:v3\"><id root=\"{MARK}\"/><sender>{MARK}</sender></A>"),
        format!("<ClinicalDocument xmlns=\"urn:hl7-org:v3\"><id root=\"{MARK}\"/><{MARK}></ClinicalDocument>"),
        format!("{MARK} is no HL7"),
        format!("MSH{MARK}"),
        format!("{plain}NTE|1||{}\r", MARK.repeat(300)),
    ]
    .into_iter()
    .map(|message| frame(&message))
    .collect();
    all.extend([
        format!("{MARK}\r\n{MARK}").into_bytes(),
        format!("\x0B{}", plain.replace("MUSTER", MARK)).into_bytes(),
        format!("\x0B{MARK}\x0B{plain}\x1C\r").into_bytes(),
        format!("\x0B{}\x1C\n", plain.replace("MUSTER", MARK)).into_bytes(),
        format!("GET /{MARK} HTTP/1.1\r\nHost: {MARK}\r\n\r\n").into_bytes(),
        format!("PROXY TCP4 {MARK}\r\n").into_bytes(),
        MARK.repeat(10_000).into_bytes(),
    ]);
    all
}

fn replies() -> Vec<Reply> {
    let own = format!("MSH|^~\\&|{MARK}|B|C|D|2026||ACK|1|P|2.5\rMSA|AE|MSG1|{MARK}\r");
    vec![
        Reply::ok(),
        Reply::ok().body(MARK),
        Reply::ok()
            .header("Content-Type", "application/hl7-v2")
            .body(own),
        Reply::problem(
            422,
            &serde_json::json!({"detail": MARK, "errors": [{"detail": MARK, "location": MARK}]}),
        ),
        Reply::status(500).header(MARK, MARK).body(MARK),
        Reply::status(503).header("Retry-After", MARK).body(MARK),
        Reply::status(302).header("Location", &format!("http://{MARK}/")),
        Reply::garbage(MARK),
    ]
}

/// Sends everything, under each of the app's answers.
fn send_everything(bridge: &Bridge, app: &TestApp) {
    for reply in replies() {
        app.always(reply);
        for bytes in marked() {
            let mut peer = RawPeer::connect(bridge.address());
            peer.send(&bytes);
            peer.half_close();
            // An answer, a close or a reset: each is fine here.
            while peer.read_frame().is_ok() {}
        }
    }
}

fn yaml(app: &TestApp) -> String {
    format!(
        "{}  ack: {{deadline: 20ms}}\n  limits: {{max_message_bytes: 2KiB}}\n",
        config(&app.url(), "", "")
    )
}

#[test]
fn at_trace_no_log_line_and_no_metric_holds_a_byte_of_a_message_or_of_an_answer() {
    let app = TestApp::start();
    let bridge = Bridge::builder()
        .config(&yaml(&app))
        .flags(&["--log-level", "trace"])
        .start();
    send_everything(&bridge, &app);
    let metrics = bridge.get("/metrics").body;
    assert!(!metrics.contains(MARK), "{metrics}");
    let refused = bridge.metric_sum("mllp_bridge_refused_total", &[]);
    assert!(
        refused > 10.0,
        "the messages were to be refused for many reasons: {refused}"
    );
    let log = bridge.stop();
    assert!(log.len() > 50, "{} lines: is this trace?", log.len());
    for line in log {
        for text in [MARK, "MUSTER", "ERIKA", "4711^", "MSG1", "PENICILLIN"] {
            assert!(
                !line.text.contains(text),
                "{text} was logged: {}",
                line.text
            );
        }
    }
}

#[test]
fn in_text_format_neither() {
    let app = TestApp::start();
    // The tools read JSON lines, so this one is watched by hand.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridge.yaml");
    std::fs::write(
        &path,
        yaml(&app).replace("bind: 127.0.0.1:0", &format!("bind: '{address}'")),
    )
    .unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
        .env_remove("MLLP_BRIDGE_TEST_CORPUS") // a key that the bridge does not know
        .args([
            "run",
            "--log-level",
            "trace",
            "--log-format",
            "text",
            "--config",
        ])
        .arg(&path)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while RawPeer::try_connect(address).is_err() {
        assert!(start.elapsed() < PATIENCE, "does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    app.always(Reply::problem(422, &serde_json::json!({ "detail": MARK })));
    for bytes in marked() {
        let mut peer = RawPeer::connect(address);
        peer.send(&bytes);
        peer.half_close();
        while peer.read_frame().is_ok() {}
    }
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("refused"), "{log}");
    assert!(!log.contains(MARK) && !log.contains("MUSTER"), "{log}");
}

#[test]
fn every_log_line_is_one_json_object_without_a_key_twice() {
    let app = TestApp::start();
    let bridge = Bridge::builder()
        .config(&yaml(&app))
        .flags(&["--log-level", "trace"])
        .start();
    send_everything(&bridge, &app);
    for line in bridge.stop() {
        let keys: Keys = serde_json::from_str(&line.text)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", line.text));
        let unique: BTreeSet<&String> = keys.0.iter().collect();
        assert_eq!(
            unique.len(),
            keys.0.len(),
            "a key twice, of which a reader sees one: {}",
            line.text
        );
        for key in ["timestamp", "level", "message"] {
            assert!(unique.contains(&key.to_owned()), "no {key}: {}", line.text);
        }
    }
}

/// All keys of an object, doubled ones too.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Keys;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, serde_json::Value>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Read)
    }
}
