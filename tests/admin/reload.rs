//! A changed file comes into force while connections stay open.

use std::fs;
use std::path::Path;

use super::*;

fn reloads(result: &str) -> [(&str, &str); 1] {
    [("result", result)]
}

const RELOADS: &str = "mllp_bridge_config_reloads_total";

/// Puts a new file in the place of the old one, as an editor or a mounted ConfigMap does: never a half one.
fn replace(path: &Path, yaml: &str) {
    let new = path.with_extension("new");
    fs::write(&new, yaml).unwrap();
    fs::rename(&new, path).unwrap();
}

/// Changes the file, tells the bridge so, and waits until it has seen it.
#[track_caller]
fn reload(bridge: &Bridge, yaml: &str, result: &str) {
    let before = bridge.metric_sum(RELOADS, &reloads(result));
    replace(&bridge.config_path(), yaml);
    bridge.signal("HUP");
    bridge.wait_for_metric(RELOADS, &reloads(result), before + 1.0);
}

#[test]
fn a_changed_file_is_seen_by_itself_and_the_format_changes_on_an_open_connection() {
    let app = TestApp::start();
    let bridge = Bridge::start(&config(&app.url(), "", ""));
    let mut peer = RawPeer::connect(bridge.address());
    let message = messages::adt("MSG1");
    peer.exchange(&message).expect("AA", "MSG1");
    replace(
        &bridge.config_path(),
        &config(&app.url(), "", "format: raw"),
    );
    bridge.wait_for_log("configuration reloaded");
    peer.exchange(&message).expect("AA", "MSG1");
    let requests = app.requests();
    assert!(requests[0].body.starts_with(b"{"));
    assert!(
        requests[1].body == message.as_bytes(),
        "the same connection, the new format"
    );
    let metrics = bridge.metrics();
    assert_eq!(
        metrics.sum("mllp_bridge_connections_accepted_total", &[]),
        1.0
    );
    assert_eq!(
        metrics.sum(RELOADS, &reloads("applied")),
        1.0,
        "one change, one reload"
    );
}

#[test]
fn sighup_reloads_a_status_override_without_dropping_a_connection_or_a_message() {
    let app = TestApp::start();
    app.always(Reply::status(409).hold());
    let bridge = Bridge::start(&config(&app.url(), "", ""));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    app.wait_for(1, PATIENCE);
    reload(
        &bridge,
        &config(&app.url(), "", "status: {'409': {answer: accept}}"),
        "applied",
    );
    app.release();
    peer.ack().expect("AE", "MSG1"); // begun under the old table
    app.always(Reply::status(409));
    peer.exchange(messages::adt("MSG2")).expect("AA", "MSG2");
}

#[test]
fn another_app_gets_the_next_message_of_an_open_connection() {
    let (old, new) = (TestApp::start(), TestApp::start());
    let bridge = Bridge::start(&config(&old.url(), "", ""));
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    reload(&bridge, &config(&new.url(), "", ""), "applied");
    peer.exchange(messages::adt("MSG2")).expect("AA", "MSG2");
    assert_eq!(
        (old.requests().len(), new.requests().len()),
        (1, 1),
        "requests of the old app and of the new"
    );
}

#[test]
fn a_broken_file_keeps_the_old_settings_is_counted_and_every_error_is_logged() {
    let app = TestApp::start();
    app.always(Reply::status(409));
    let good = config(&app.url(), "", "status: {'409': {answer: accept}}");
    // With a listener in the environment an empty file would do.
    let good = good + "  duplicates: {window: off}\n";
    let bridge = Bridge::start(&good);
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    for (at, broken) in [
        "listeners: [",
        "",
        "listeners:\n- {bind: 127.0.0.1:0, deliver: {url: 'ftp://x', timeout: 0s, formatt: raw}}\n",
    ]
    .into_iter()
    .enumerate()
    {
        reload(&bridge, broken, "failed");
        peer.exchange(messages::adt("MSG2")).expect("AA", "MSG2");
        assert_eq!(
            bridge.metric_sum(RELOADS, &reloads("failed")),
            (at + 1) as f64
        );
    }
    for key in ["deliver.url", "deliver.timeout", "formatt"] {
        bridge.wait_for_line(&format!("a line that names {key}"), |line| {
            line.message() == Some("the configuration was not reloaded") && line.text.contains(key)
        });
    }
    reload(&bridge, &config(&app.url(), "", ""), "applied");
    peer.exchange(messages::adt("MSG3")).expect("AE", "MSG3");
}

#[test]
fn a_changed_bind_needs_a_restart_is_named_and_the_rest_comes_into_force() {
    let app = TestApp::start();
    let bridge = Bridge::start(&config(&app.url(), "", ""));
    let mut peer = RawPeer::connect(bridge.address());
    let changed =
        config(&app.url(), "", "format: raw").replace("  bind: 127.0.0.1:0", "  bind: 127.0.0.1:1");
    reload(&bridge, &changed, "needs_restart");
    let line = bridge.wait_for_line("a line with needs_restart", |line| {
        line.text_field("needs_restart").is_some()
    });
    assert_eq!(line.text_field("needs_restart"), Some("listeners[0].bind"));
    peer.exchange(messages::adt("MSG1")).expect("AA", "MSG1");
    assert!(app.last().body.starts_with(b"MSH"), "format: raw");
    RawPeer::connect(bridge.address())
        .exchange(messages::adt("MSG2"))
        .expect("AA", "MSG2");
}

#[test]
fn readiness_and_the_probes_interval_are_reloaded() {
    let app = TestApp::start();
    let bridge = Bridge::start(&config(&app.url(), "app_probe_interval: 1h", ""));
    wait_for_readyz(&bridge, 200);
    reload(
        &bridge,
        &config(&app.url(), "app_probe_interval: 100ms", ""),
        "applied",
    );
    let down = app.go_down();
    // Only a probe can find out: there are no messages.
    wait_for_readyz(&bridge, 503);
    reload(
        &bridge,
        &config(&down.url(), "ready_needs_app: false", ""),
        "applied",
    );
    assert_eq!(bridge.get("/readyz").status, 200);
}

#[test]
fn the_log_level_is_reloaded() {
    let app = TestApp::start();
    let bridge = Bridge::start(&config(&app.url(), "", ""));
    let mut peer = RawPeer::connect(bridge.address());
    peer.exchange(messages::adt("MSG1"));
    assert!(
        bridge
            .logs()
            .iter()
            .all(|line| line.message() != Some("accepted"))
    );
    reload(
        &bridge,
        &format!("log: {{level: debug}}\n{}", config(&app.url(), "", "")),
        "applied",
    );
    peer.exchange(messages::adt("MSG2"));
    bridge.wait_for_log("accepted");
}

#[test]
fn sighup_before_anything_else_and_without_a_file_does_not_end_the_bridge() {
    let app = TestApp::start();
    let bridge = Bridge::for_app(&app.url());
    bridge.signal("HUP");
    bridge.wait_for_metric(RELOADS, &reloads("applied"), 1.0);
    RawPeer::connect(bridge.address())
        .exchange(messages::adt("MSG1"))
        .expect("AA", "MSG1");
    bridge.stop();
}
