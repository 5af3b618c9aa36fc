//! Every row of the table that turns the app's HTTP answer into an acknowledgement, on real sockets: a test for
//! each row, named after it.
//!
//! ```text
//! RawPeer ──MLLP──► bridge ──HTTP──► TestApp
//!         ◄──ACK───        ◄─status─
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "helpers of tests, on blocking threads"
)]

use std::time::Duration;

use support::app::{Reply, TestApp};
use support::bridge::Bridge;
use support::messages;
use support::peer::{Ack, RawPeer};

#[path = "../support/mod.rs"]
mod support;

mod cells;
mod hl7_body;
mod json_body;
mod overrides;
mod retried;
mod rows;

/// One listener in front of this app, with quick retries; `deliver` and `ack` are further members of those mappings.
fn config(url: &str, deliver: &str, ack: &str) -> String {
    format!(
        "listeners:\n- name: adt\n  bind: 127.0.0.1:0\n  \
         deliver: {{url: '{url}', retry: {{initial: 5ms, max: 40ms}}, {deliver}}}\n  \
         ack: {{deadline: 10s, {ack}}}\n"
    )
}

/// A bridge in front of an app that gives one answer, and that answer's acknowledgement.
struct Exchange {
    app: TestApp,
    bridge: Bridge,
    ack: Ack,
}

impl Exchange {
    /// Sends an ADT of 2.5.1 with control ID `MSG1`.
    #[track_caller]
    fn of(reply: Reply) -> Self {
        Self::with(reply, &messages::adt("MSG1"), "")
    }

    /// Sends a message whose control ID is `MSG1`.
    #[track_caller]
    fn with(reply: Reply, message: &str, deliver: &str) -> Self {
        let app = TestApp::start();
        app.always(reply);
        let bridge = Bridge::start(&config(&app.url(), deliver, ""));
        let ack = RawPeer::connect(bridge.address()).exchange(message);
        assert_eq!(ack.msa2(), "MSG1", "MSA-2 of {ack}");
        Self { app, bridge, ack }
    }

    /// Fails unless the answer is this code with one ERR segment that says this condition.
    #[track_caller]
    fn expect(&self, code: &str, condition: &str) -> &Self {
        self.ack.expect(code, "MSG1");
        let errors = self.ack.err();
        assert_eq!(errors.len(), 1, "ERR segments of {}", self.ack);
        assert_eq!(
            (errors[0].component(3, 1), errors[0].component(3, 3)),
            (condition, "HL70357"),
            "ERR-3 of {}",
            self.ack
        );
        self
    }

    /// Fails unless the app was asked just once.
    #[track_caller]
    fn expect_one_request(&self) -> &Self {
        assert_eq!(self.app.requests().len(), 1, "requests, for {}", self.ack);
        self
    }

    /// Fails unless the message counts as this outcome, and its acknowledgement under this code.
    #[track_caller]
    fn expect_counted(&self, outcome: &str, code: &str) -> &Self {
        self.bridge
            .wait_for_metric("mllp_bridge_acks_total", &[("code", code)], 1.0);
        let metrics = self.bridge.metrics();
        assert_eq!(
            metrics.sum("mllp_bridge_messages_total", &[("outcome", outcome)]),
            1.0,
            "messages of outcome {outcome}"
        );
        assert_eq!(
            metrics.sum("mllp_bridge_messages_total", &[]),
            1.0,
            "messages"
        );
        assert_eq!(metrics.sum("mllp_bridge_acks_total", &[]), 1.0, "acks");
        self
    }
}

/// A positive acknowledgement that an app wrote itself, of message `MSG1`.
fn own_ack(code: &str) -> String {
    format!(
        "MSH|^~\\&|BRIDGE|CLOUD|REGADT|GENHOSP|20261122101501||ACK^A01^ACK|APP-1|P|2.5.1\rMSA|{code}|MSG1|by the app\r"
    )
}

const SECOND: Duration = Duration::from_secs(1);
