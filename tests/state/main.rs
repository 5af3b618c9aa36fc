//! State that outlives the process: killed at every point of an exchange and started again, what is sent again is answered as the first
//! time, or delivered under the same key.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_types,
    reason = "helpers of tests, on blocking threads"
)]

use std::path::Path;
use std::time::Duration;

use support::PATIENCE;
use support::app::{Recorded, Reply, TestApp};
use support::bridge::{Bridge, Builder};
use support::messages::{adt, adt_enhanced, frame};
use support::peer::RawPeer;
use tempfile::TempDir;

#[path = "../support/mod.rs"]
mod support;

mod failing;
mod killed;
mod load;
mod numbers;

/// An app, a directory, and bridges that come one after the other.
struct Lab {
    app: TestApp,
    directory: TempDir,
    durability: &'static str,
    /// Further keys of the listener.
    listener: &'static str,
}

impl Lab {
    fn new(durability: &'static str) -> Self {
        Self {
            app: TestApp::start(),
            directory: TempDir::new().unwrap(),
            durability,
            listener: "duplicates: {window: 1h}",
        }
    }

    fn with(listener: &'static str) -> Self {
        Self {
            listener,
            ..Self::new("process")
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn config(&self) -> String {
        format!(
            "state: {{directory: '{}', durability: {}}}\nlisteners:\n- name: adt\n  bind: 127.0.0.1:0\n  \
             deliver: {{url: '{}'}}\n  {}\n",
            self.path().display(),
            self.durability,
            self.app.url(),
            self.listener,
        )
    }

    fn builder(&self) -> Builder {
        Bridge::builder().config(&self.config())
    }

    #[track_caller]
    fn start(&self) -> Bridge {
        self.builder().start()
    }

    /// The control IDs of the app's requests.
    fn asked(&self) -> Vec<String> {
        let id = |request: &Recorded| request.header("X-HL7-Control-Id").unwrap().to_owned();
        self.app.requests().iter().map(id).collect()
    }
}

/// Ends it as the kernel ends a process: nothing of it runs any more.
#[track_caller]
fn kill(mut bridge: Bridge) {
    bridge.signal("KILL");
    assert_eq!(bridge.wait_exit(PATIENCE).code(), None, "killed");
}

/// The next answer's bytes.
#[track_caller]
fn answer(peer: &mut RawPeer) -> String {
    let data = peer.read_frame().unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8_lossy(&data).into_owned()
}

/// The answer to one message, on a connection of its own.
#[track_caller]
fn exchange(bridge: &Bridge, message: &str) -> String {
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(message));
    answer(&mut peer)
}
