//! `/metrics` and `/livez`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

/// A bridge that has seen something of everything.
fn busy() -> (TestApp, Bridge, RawPeer) {
    let app = TestApp::start();
    let bridge = Bridge::start(&config(&app.url(), "", ""));
    let mut peer = RawPeer::connect(bridge.address());
    app.script([
        Reply::ok(),
        Reply::status(422),
        Reply::status(404),
        Reply::status(503),
    ]);
    for id in ["MSG1", "MSG2", "MSG3", "MSG4"] {
        peer.exchange(messages::adt(id));
    }
    bridge.wait_for_metric("mllp_bridge_acks_total", &[], 4.0);
    (app, bridge, peer)
}

#[test]
fn every_family_has_a_help_a_type_a_prefix_and_a_name_that_fits_its_type() {
    let (_app, bridge, _peer) = busy();
    let text = bridge.get("/metrics").body;
    let mut types = BTreeMap::new();
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "HELP", name, help] => {
                assert!(helped.insert(*name), "HELP twice: {name}");
                assert!(help.len() > 5, "{line}");
            }
            ["#", "TYPE", name, kind] => {
                assert!(types.insert(*name, *kind).is_none(), "TYPE twice: {name}");
            }
            [sample, value] => {
                let name = sample.split('{').next().unwrap();
                let family = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| {
                    name.strip_suffix(end)
                        .filter(|family| types.get(family) == Some(&"histogram"))
                });
                assert!(
                    types.contains_key(family.unwrap_or(name)),
                    "a sample without TYPE: {line}"
                );
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
            _ => {
                // A label's value may hold a space.
                assert!(
                    line.contains("} "),
                    "neither a comment nor a sample: {line:?}"
                );
            }
        }
    }
    assert!(types.len() > 15, "{types:?}");
    for (name, kind) in &types {
        assert!(helped.contains(name), "no HELP: {name}");
        assert!(name.starts_with("mllp_bridge_"), "{name}");
        assert_eq!(
            *kind == "counter",
            name.ends_with("_total"),
            "{name} is a {kind}"
        );
        if *kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name}");
        }
    }
}

#[test]
fn promtool_has_nothing_to_say_against_the_metrics() {
    let (_app, bridge, _peer) = busy();
    let text = bridge.get("/metrics").body;
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        return; // not on this machine
    };
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_counts_add_up() {
    let (app, bridge, _peer) = busy();
    let metrics = bridge.metrics();
    let sum =
        |name: &str, labels: &[(&str, &str)]| metrics.sum(&format!("mllp_bridge_{name}"), labels);
    let adt = ("listener", "adt");
    assert_eq!(sum("messages_total", &[adt, ("outcome", "accepted")]), 2.0);
    assert_eq!(sum("messages_total", &[adt, ("outcome", "rejected")]), 2.0);
    assert_eq!(sum("acks_total", &[adt, ("code", "AA")]), 2.0);
    assert_eq!(sum("acks_total", &[adt, ("code", "AE")]), 1.0);
    assert_eq!(sum("acks_total", &[adt, ("code", "AR")]), 1.0);
    assert_eq!(
        sum("delivery_failures_total", &[adt, ("reason", "status")]),
        1.0
    );
    assert_eq!(sum("delivery_retries_total", &[adt]), 1.0);
    assert_eq!(sum("exchange_duration_seconds_count", &[adt]), 4.0);
    assert_eq!(
        sum("delivery_duration_seconds_count", &[adt]),
        app.requests().len() as f64
    );
    assert_eq!(sum("connections_accepted_total", &[adt]), 1.0);
    assert_eq!(sum("connections_open", &[adt]), 1.0);
    assert_eq!(sum("app_up", &[adt]), 1.0);
    let sent: usize = ["MSG1", "MSG2", "MSG3", "MSG4"]
        .iter()
        .map(|id| frame(messages::adt(id)).len())
        .sum();
    assert_eq!(sum("received_bytes_total", &[adt]), sent as f64);
    assert!(sum("sent_bytes_total", &[adt]) > 300.0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    assert!((now - sum("last_message_timestamp_seconds", &[adt])).abs() < 60.0);
    assert_eq!(
        sum("build_info", &[("version", env!("CARGO_PKG_VERSION"))]),
        1.0
    );
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    let (_app, bridge, _peer) = busy();
    assert_eq!(bridge.get("/").status, 404);
    assert_eq!(bridge.get("/metrics/x").status, 404);
    assert_eq!(bridge.post("/metrics").status, 405);
    assert_eq!(bridge.post("/livez").status, 405);
    assert_eq!(bridge.get("/livez").status, 200);
}

/// Probes and scrapes answer while the only thread has much to do.
#[test]
fn probes_answer_under_load() {
    let app = TestApp::start();
    let bridge = Bridge::start(&config(&app.url(), "", ""));
    let address = bridge.address();
    thread::scope(|scope| {
        for connection in 0..8 {
            scope.spawn(move || {
                let mut peer = RawPeer::connect(address);
                for message in 0..100 {
                    peer.exchange(messages::adt(&format!("C{connection}M{message}")));
                }
            });
        }
        for _ in 0..20 {
            let begun = Instant::now();
            assert_eq!(bridge.get("/livez").status, 200);
            assert_eq!(bridge.get("/metrics").status, 200);
            assert!(begun.elapsed() < 5 * SECOND, "took {:?}", begun.elapsed());
        }
    });
}
