//! A feed: a bridge in front of the real server, a peer that sends, and a token endpoint that the bridge asks.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::parts;
use crate::parts::server::server;
use crate::parts::token::TokenEndpoint;
use crate::support::bridge::Bridge;
use crate::support::peer::RawPeer;

const SECRET: &str = "a secret";

/// One listener of format `fhir`; each request to the server shows a token.
pub(crate) struct Feed {
    pub(crate) bridge: Bridge,
    pub(crate) peer: RawPeer,
    pub(crate) tokens: TokenEndpoint,
    /// Of the bridge's files.
    _folder: TempDir,
}

impl Feed {
    /// `fhir` holds members of `deliver.fhir`. `None` where there is no server: it has been said then.
    pub(crate) fn start(fhir: &str) -> Option<Self> {
        Self::through(server_base()?, fhir, "")
    }

    /// The same by another way to the server; `deliver` holds further members of that mapping.
    pub(crate) fn through(url: &str, fhir: &str, deliver: &str) -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let secret = folder.path().join("secret");
        std::fs::write(&secret, SECRET).expect("file written");
        let tokens = TokenEndpoint::start("bridge", SECRET, Duration::from_secs(3600));
        // Every message goes to the server, resends too.
        let bridge = Bridge::start(&format!(
            "listeners:\n- bind: 127.0.0.1:0\n  duplicates: {{window: off}}\n  ack: {{deadline: 60s}}\n  deliver:\n    \
             url: {url}\n    format: fhir\n    fhir: {{{fhir}}}\n    timeout: 50s\n{deliver}    \
             auth: {{oauth2: {{token_url: '{}', client_id: bridge, client_secret_file: '{}'}}}}\n",
            tokens.url(),
            secret.display()
        ));
        let peer = RawPeer::connect(bridge.address());
        Some(Self {
            bridge,
            peer,
            tokens,
            _folder: folder,
        })
    }
}

/// Where the server is; `None` where there is none.
pub(crate) fn server_base() -> Option<&'static str> {
    if !parts::installed() {
        return None;
    }
    // Its first transaction takes it some seconds.
    let warm = json!({"resourceType": "Bundle", "type": "transaction"});
    server().post("", &warm);
    Some(server().base())
}

/// An admission or an update of a patient and a visit of this number.
pub(crate) fn adt(event: &str, control_id: &str, number: &str, family: &str) -> String {
    [
        format!("MSH|^~\\&|REGADT|GENHOSP|BRIDGE|CLOUD|20261122101500+0100||ADT^{event}^ADT_A01|{control_id}|P|2.5.1").as_str(),
        &format!("EVN|{event}|20261122101500+0100"),
        &format!("PID|1||P{number}^^^GENHOSP^MR||{family}^ANNA||19700131|F"),
        &format!("PV1|1|I|WARD1^101^1^GENHOSP{}V{number}^^^GENHOSP^VN", "|".repeat(16)),
    ]
    .join("\r")
        + "\r"
}

/// The patients and the visits of this number.
pub(crate) fn found(number: &str) -> [Vec<Value>; 2] {
    [("Patient", 'P'), ("Encounter", 'V')]
        .map(|(kind, letter)| server().search(&format!("{kind}?identifier={letter}{number}")))
}
