//! A bridge with two listeners: before an app that judges each message, and before one that is not there.

use serde_json::{Value, json};

use crate::support::app::{DownApp, Recorded, Reply, TestApp};
use crate::support::bridge::Bridge;

pub(crate) struct Lab {
    pub(crate) app: TestApp,
    pub(crate) bridge: Bridge,
    _down: DownApp,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let app = TestApp::start();
        app.respond(judge);
        let down = TestApp::down();
        // `duplicates` is written out because the tests' tools turn it off where it is not.
        let config = format!(
            "listeners:\n  - name: app\n    bind: 127.0.0.1:0\n    duplicates: {{ window: 5m }}\n    deliver: {{ url: '{}' }}\n  \
             - name: down\n    bind: 127.0.0.1:0\n    ack: {{ deadline: 300ms }}\n    deliver: {{ url: '{}' }}\n",
            app.url(),
            down.url(),
        );
        let bridge = Bridge::start(&config);
        Self {
            app,
            bridge,
            _down: down,
        }
    }

    /// The ports of both listeners, as the peers take them.
    pub(crate) fn ports(&self) -> [String; 2] {
        ["app", "down"].map(|name| self.bridge.listener(name).port().to_string())
    }

    /// The control IDs of the requests that the app had, in order.
    pub(crate) fn delivered(&self) -> Vec<String> {
        let id = |request: &Recorded| {
            let id = request.json()["hl7controlid"].as_str().map(str::to_owned);
            id.expect("an envelope with a control ID")
        };
        self.app.requests().iter().map(id).collect()
    }
}

/// The app: no patient identifier is a 422 with two errors, an appointment is not taken here, all else is.
fn judge(request: &Recorded) -> Reply {
    let envelope = request.json();
    let raw = envelope["data"]["raw"].as_str().unwrap_or_default();
    if envelope["type"].as_str().is_some_and(|kind| {
        kind.starts_with("org.hl7.v2.SIU") || kind.starts_with("org.hl7.v3.PRSC")
    }) {
        return Reply::problem(415, &json!({ "detail": "no appointments here" }));
    }
    let pid = raw.split('\r').find(|segment| segment.starts_with("PID|"));
    let identified = match envelope["data"]["encoding"].is_string() {
        true => raw.contains("<PID.3>") || raw.contains("<patient "),
        false => pid.is_some_and(|pid| pid.split('|').nth(3).is_some_and(|id| !id.is_empty())),
    };
    if raw.contains("say something") {
        return Reply::ok()
            .json(&json!({ "ack": { "code": "AA", "text": "stored, with „quotation marks“" } }));
    }
    if identified {
        return Reply::ok();
    }
    // In the words of who sent umlauts.
    let detail = if raw.contains('Ü') || raw.contains("&#220;") {
        "Kennung fehlt für PID"
    } else {
        "no patient identifier"
    };
    Reply::problem(422, &problem(detail))
}

fn problem(detail: &str) -> Value {
    json!({
        "title": "Invalid",
        "errors": [
            { "location": "PID-3", "detail": detail, "condition": 101, "code": "E77" },
            { "detail": "nothing was stored", "severity": "information" },
        ],
    })
}
