//! Every status of the default table in both modes and in every version: MSA-1, and ERR in the form of the version.

use super::{Bridge, RawPeer, Reply, TestApp, config, messages};

/// Status, what MSA-1 is behind its `A` or `C`, and the condition. By docs/http-status.md, and not by the code.
const ROWS: [(u16, char, &str); 14] = [
    (200, 'A', ""),
    (204, 'A', ""),
    (400, 'E', "102"),
    (422, 'E', "102"),
    (409, 'E', "205"),
    (404, 'R', "200"),
    (405, 'R', "200"),
    (415, 'R', "200"),
    (501, 'R', "200"),
    (401, 'R', "207"),
    (403, 'R', "207"),
    (413, 'R', "104"),
    (500, 'E', "207"),
    (503, 'E', "207"),
];

const VERSIONS: [(&str, bool); 13] = [
    ("2.1", false),
    ("2.2", false),
    ("2.3", false),
    ("2.3.1", false),
    ("2.4", false),
    ("2.5", true),
    ("2.5.1", true),
    ("2.6", true),
    ("2.7", true),
    ("2.7.1", true),
    ("2.8", true),
    ("2.8.1", true),
    ("2.8.2", true),
];

#[test]
fn every_status_in_every_mode_and_version() {
    for (status, letter, condition) in ROWS {
        let app = TestApp::start();
        app.always(Reply::status(status));
        let bridge =
            Bridge::start(&config(&app.url(), "", "").replace("deadline: 10s", "deadline: 60ms"));
        let mut peer = RawPeer::connect(bridge.address());
        for (version, since_2_5) in VERSIONS {
            for (mode, conditions) in [('A', ""), ('C', "|||AL|NE"), ('A', "|||NE|AL")] {
                let id = format!("{status}-{version}-{}", conditions.len());
                let message = messages::adt_version(version, &id).replacen(
                    &format!("|P|{version}\r"),
                    &format!("|P|{version}{conditions}\r"),
                    1,
                );
                let ack = peer.exchange(message);
                ack.expect(&format!("{mode}{letter}"), &id);
                assert_eq!(ack.msh(12), version, "{ack}");
                let kind = if since_2_5 { "ACK^A01^ACK" } else { "ACK^A01" };
                assert_eq!(ack.msh(9), kind, "{ack}");
                let err = ack.err();
                if condition.is_empty() {
                    assert!(err.is_empty(), "{ack}");
                    continue;
                }
                assert_eq!(err.len(), 1, "{ack}");
                if since_2_5 {
                    assert_eq!(err[0].component(3, 1), condition, "{ack}");
                    assert_eq!(err[0].field(4), "E", "{ack}");
                    assert_eq!(ack.msa3(), "", "{ack}");
                } else {
                    let fourth = err[0].component(1, 4);
                    assert_eq!(fourth.split('&').next(), Some(condition), "{ack}");
                    assert_ne!(ack.msa3(), "", "{ack}");
                }
            }
        }
    }
}
