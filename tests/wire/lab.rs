//! An app, a bridge with one listener in front of it, and what a test asks of both.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mllp_bridge::config::Charset;
use mllp_bridge::hl7::encoding;
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::app::TestApp;
use crate::support::bridge::Bridge;
use crate::support::peer::{Ack, RawPeer};

/// Waited for where a test shows that something does *not* come.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

pub(crate) struct Lab {
    pub(crate) app: TestApp,
    pub(crate) bridge: Bridge,
}

impl Lab {
    /// Defaults, but an `end_idle` that no busy machine reaches by accident.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::with("framing: { end_idle: 10s }")
    }

    /// With these keys of the listener beside `deliver`, one a line.
    #[track_caller]
    pub(crate) fn with(listener: &str) -> Self {
        Self::with_deliver(listener, "")
    }

    /// As [`with`](Self::with), and with further keys of `deliver`.
    #[track_caller]
    pub(crate) fn with_deliver(listener: &str, deliver: &str) -> Self {
        let app = TestApp::start();
        let keys: String = listener
            .lines()
            .map(|key| format!("    {}\n", key.trim()))
            .collect();
        let config = format!(
            "listeners:\n  - name: adt\n    bind: 127.0.0.1:0\n    deliver: {{ url: '{}'{}{deliver} }}\n{keys}",
            app.url(),
            if deliver.is_empty() { "" } else { ", " },
        );
        let bridge = Bridge::start(&config);
        Self { app, bridge }
    }

    #[track_caller]
    pub(crate) fn peer(&self) -> RawPeer {
        RawPeer::connect(self.bridge.address())
    }

    /// The messages that the app received, byte for byte and in order.
    #[track_caller]
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        let requests = self.app.requests();
        requests
            .iter()
            .map(|request| raw_bytes(&request.json()))
            .collect()
    }

    /// Fails unless the app received exactly these messages, in this order.
    #[track_caller]
    pub(crate) fn assert_received<M: AsRef<[u8]>>(&self, messages: &[M]) {
        let show = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let received: Vec<String> = self.received().iter().map(|bytes| show(bytes)).collect();
        let expected: Vec<String> = messages.iter().map(|bytes| show(bytes.as_ref())).collect();
        assert_eq!(received, expected, "what the app received");
    }

    /// Every deviation that was counted, by kind.
    #[track_caller]
    pub(crate) fn deviations(&self) -> BTreeMap<String, u64> {
        self.by_label("mllp_bridge_deviations_total", "kind")
    }

    /// Samples of a counter that are not 0, by the value of one label.
    #[track_caller]
    fn by_label(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        let label = format!("{label}=\"");
        let metrics = self.bridge.metrics();
        let of_name = metrics
            .samples()
            .iter()
            .filter(|(key, value)| key.split('{').next() == Some(name) && **value > 0.0);
        of_name
            .map(|(key, value)| {
                let (_, rest) = key.split_once(&label).expect("the label");
                let (value_of_label, _) = rest.split_once('"').expect("a quote");
                (value_of_label.to_owned(), *value as u64)
            })
            .collect()
    }

    /// Fails unless exactly these connections have ended, by reason, and exactly these deviations were counted by then:
    /// a connection's deviations are counted before its end is.
    #[track_caller]
    pub(crate) fn assert_ended(&self, closed: &[(&str, u64)], deviations: &[(&str, u64)]) {
        let start = Instant::now();
        let wanted: u64 = closed.iter().map(|(_, count)| count).sum();
        let found = loop {
            let found = self.by_label("mllp_bridge_connections_closed_total", "reason");
            if found.values().sum::<u64>() >= wanted || start.elapsed() > PATIENCE {
                break found;
            }
            thread::sleep(Duration::from_millis(5)); // a counter raises no event
        };
        assert_eq!(found, map(closed), "connections_closed_total{{reason}}");
        assert_eq!(
            self.deviations(),
            map(deviations),
            "deviations_total{{kind}}"
        );
    }

    /// Refusals by reason, exactly.
    #[track_caller]
    pub(crate) fn assert_refused(&self, refused: &[(&str, u64)]) {
        for (reason, count) in refused {
            let labels = [("reason", *reason)];
            self.bridge
                .wait_for_metric("mllp_bridge_refused_total", &labels, *count as f64);
        }
        assert_eq!(
            self.by_label("mllp_bridge_refused_total", "reason"),
            map(refused),
            "refused_total{{reason}}"
        );
    }

    /// Exchanges one message on a connection of its own, which must be accepted.
    #[track_caller]
    pub(crate) fn assert_still_serves(&self) {
        let message = crate::support::messages::adt("STILL");
        self.peer().exchange(&message).expect("AA", "STILL");
        assert_eq!(
            self.received().last().map(Vec::as_slice),
            Some(message.as_bytes())
        );
    }
}

fn map(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs
        .iter()
        .map(|(key, count)| ((*key).to_owned(), *count))
        .collect()
}

/// The message in an envelope, as the bytes that were sent.
#[track_caller]
pub(crate) fn raw_bytes(envelope: &Value) -> Vec<u8> {
    let data = &envelope["data"];
    if let Some(encoded) = data["rawbase64"].as_str() {
        return STANDARD.decode(encoded).expect("base64");
    }
    let text = data["raw"]
        .as_str()
        .unwrap_or_else(|| panic!("no raw in {envelope}"));
    let named = data["charset"].as_str().expect("a charset");
    let (charset, _) = Charset::by_name(named).expect("a charset that is known");
    let mut bytes = Vec::new();
    if charset == Charset::Utf16 {
        bytes.extend_from_slice(encoding::UTF16_MARK);
    }
    let all = encoding::encode_into(&mut bytes, charset, text);
    assert!(all, "{text:?} is not in {named}");
    bytes
}

/// Fails unless the next answers have these codes and control IDs, in this order.
#[track_caller]
pub(crate) fn expect_acks(peer: &mut RawPeer, expected: &[(&str, &str)]) -> Vec<Ack> {
    let acks: Vec<Ack> = expected
        .iter()
        .enumerate()
        .map(|(number, (code, id))| match peer.read_frame() {
            Ok(data) => Ack::parse(data),
            Err(error) => panic!("answer {number}, to {id:?}, which should be {code}: {error}"),
        })
        .collect();
    let found: Vec<(&str, &str)> = acks.iter().map(|ack| (ack.msa1(), ack.msa2())).collect();
    assert_eq!(found, expected, "the answers in order");
    acks
}

/// Sends many small segments without waiting for each to be read. The bridge meets them one by one or a few at a time.
#[track_caller]
pub(crate) fn send_segments(peer: &mut RawPeer, bytes: &[u8], sizes: &[usize]) {
    let mut sizes = sizes.iter().copied().cycle();
    let mut rest = bytes;
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(1).clamp(1, rest.len());
        peer.send(&rest[..size]);
        rest = &rest[size..];
        thread::sleep(Duration::from_micros(50)); // time for the bridge to read: no event tells of it
    }
}

/// Several pieces in a row.
pub(crate) fn join(pieces: &[&[u8]]) -> Vec<u8> {
    pieces.concat()
}
