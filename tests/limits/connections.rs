//! How many connections, and how many messages on one.

use std::time::Duration;

use crate::support::PATIENCE;
use crate::support::app::{Reply, TestApp};
use crate::support::messages::{adt, frame};
use crate::{bridge, peer};

const OPEN: &str = "mllp_bridge_connections_open";

#[test]
fn a_connection_over_max_connections_waits_and_is_served_when_one_leaves() {
    let app = TestApp::start();
    let bridge = bridge(&app, "max_connections: 3", "", "");
    let mut served: Vec<_> = (0..3).map(|_| peer(&bridge)).collect();
    for peer in &mut served {
        peer.exchange(adt("IN")).expect("AA", "IN");
    }
    let mut waiting = peer(&bridge);
    waiting.send(frame(adt("WAITS")));
    waiting.expect_silence(Duration::from_millis(200));
    assert_eq!(bridge.metric_sum(OPEN, &[]), 3.0);
    assert_eq!(app.requests().len(), 3);
    // Those that are in are not disturbed.
    served[1].exchange(adt("IN")).expect("AA", "IN");
    drop(served.pop());
    waiting.ack().expect("AA", "WAITS");
    assert_eq!(bridge.metric_sum(OPEN, &[]), 3.0);
    let accepted = bridge.metric_sum("mllp_bridge_connections_accepted_total", &[]);
    assert_eq!(accepted, 4.0);
}

#[test]
fn connections_that_come_and_go_at_max_connections_leak_no_place() {
    // connect#3569
    let app = TestApp::start();
    let bridge = bridge(&app, "max_connections: 2, max_message_bytes: 1KiB", "", "");
    for round in 0..60 {
        let mut peer = peer(&bridge);
        match round % 6 {
            0 => peer.send(frame(adt("LEAK"))),
            1 => peer.send(b"GET / HTTP/1.1\r\n\r\n"),
            2 => peer.send(&frame(adt("LEAK"))[..50]),
            3 => peer.reset(),
            4 => peer.send(frame("not HL7")),
            _ => peer.half_close(),
        }
    }
    peer(&bridge).exchange(adt("LAST")).expect("AA", "LAST");
    bridge.wait_for_metric("mllp_bridge_connections_closed_total", &[], 61.0);
    assert_eq!(bridge.metric_sum(OPEN, &[]), 0.0);
}

/// As many connections as the open files that both ends may have allow, up to this many.
fn affordable(most: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .and_then(|line| line.split_whitespace().nth(3)?.parse::<usize>().ok());
    files.map_or(most, |files| most.min(files.saturating_sub(200) / 2))
}

#[test]
fn a_thousand_connections_are_open_at_once_and_each_is_served() {
    let app = TestApp::start();
    let bridge = bridge(&app, "max_connections: 2000", "idle_timeout: 200ms", "");
    let count = affordable(1000);
    let mut peers: Vec<_> = (0..count).map(|_| peer(&bridge)).collect();
    bridge.wait_for_metric(OPEN, &[], count as f64);
    for (number, peer) in peers.iter_mut().enumerate() {
        let id = format!("N{number}");
        peer.exchange(adt(&id)).expect("AA", &id);
    }
    assert_eq!(bridge.metric_sum(OPEN, &[]), count as f64);
    let accepted = [("outcome", "accepted")];
    bridge.wait_for_metric("mllp_bridge_messages_total", &accepted, count as f64);
    drop(peers);
    let closed = [("reason", "peer")];
    bridge.wait_for_metric(
        "mllp_bridge_connections_closed_total",
        &closed,
        count as f64,
    );
    assert_eq!(bridge.metric_sum(OPEN, &[]), 0.0);
    app.wait_for_open_connections(0, PATIENCE);
}

#[test]
fn a_thousand_frames_in_one_write_are_answered_in_order() {
    let app = TestApp::start();
    app.script([Reply::ok().delay(Duration::from_millis(200))]);
    let bridge = bridge(&app, "", "", "");
    let mut peer = peer(&bridge);
    let ids: Vec<String> = (0..1000).map(|number| format!("F{number}")).collect();
    peer.send(
        ids.iter()
            .flat_map(|id| frame(adt(id)))
            .collect::<Vec<u8>>(),
    );
    for id in &ids {
        peer.ack().expect("AA", id);
    }
    let requests = app.requests();
    let delivered = requests
        .iter()
        .map(|request| request.header("X-HL7-Control-Id"));
    assert!(delivered.eq(ids.iter().map(|id| Some(id.as_str()))));
}

#[test]
fn one_slow_message_does_not_hold_up_other_connections() {
    let app = TestApp::start();
    app.script([Reply::ok().hold()]);
    let bridge = bridge(&app, "", "", "");
    let mut slow = peer(&bridge);
    slow.send(frame(adt("SLOW")));
    app.wait_for(1, PATIENCE);
    for _ in 0..20 {
        peer(&bridge).exchange(adt("QUICK")).expect("AA", "QUICK");
    }
    app.release();
    slow.ack().expect("AA", "SLOW");
}
