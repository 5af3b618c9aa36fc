//! `mllp-bridge drain`, which a pod's preStop runs.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};

use super::*;

/// How the command ended.
#[derive(Debug)]
pub(crate) struct Drained {
    pub(crate) code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn spawn(admin: SocketAddr, flags: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
        .args(["drain", "--admin", &admin.to_string()])
        .args(flags)
        // A proxy must not be asked for what is on this machine.
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("http_proxy", "http://127.0.0.1:9")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start drain")
}

fn finish(child: Child) -> Drained {
    let output = child.wait_with_output().expect("wait for drain");
    Drained {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the command to its end.
pub(crate) fn drain(admin: SocketAddr, flags: &[&str]) -> Drained {
    finish(spawn(admin, flags))
}

#[test]
fn drain_blocks_until_all_is_answered_and_leaves_the_process_alive_and_not_ready() {
    let app = TestApp::start();
    app.always(Reply::ok().hold());
    let mut bridge = Bridge::start(&config(&app.url(), "15s"));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    app.wait_for(1, PATIENCE);

    let mut child = spawn(bridge.admin(), &[]);
    bridge.wait_for_log("draining");
    wait_until_refused(&bridge);
    assert!(
        child.try_wait().unwrap().is_none(),
        "drain ended before MSG1 was answered"
    );
    app.release();
    peer.ack().expect("AA", "MSG1");
    let drained = finish(child);
    assert_eq!(drained.code, Some(0), "{drained:?}");

    assert_eq!(bridge.get("/livez").status, 200);
    let ready = bridge.get("/readyz");
    assert_eq!(
        (ready.status, ready.body.contains("draining")),
        (503, true),
        "{}",
        ready.body
    );
    assert_eq!(
        bridge.metric_sum("mllp_bridge_acks_total", &[("code", "AA")]),
        1.0
    );
    assert!(RawPeer::try_connect(bridge.address()).is_err());

    // Once more: done already.
    let again = drain(bridge.admin(), &[]);
    assert_eq!(again.code, Some(0), "{again:?}");

    let begun = Instant::now();
    bridge.terminate();
    assert_eq!(bridge.wait_exit(2 * SECOND).code(), Some(0));
    assert!(begun.elapsed() < SECOND, "took {:?}", begun.elapsed());
}

#[test]
fn sigterm_during_a_drain_lets_it_finish_and_tells_it_so() {
    let app = TestApp::start();
    app.always(Reply::ok().hold());
    let mut bridge = Bridge::start(&config(&app.url(), "15s"));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    app.wait_for(1, PATIENCE);
    let child = spawn(bridge.admin(), &[]);
    bridge.wait_for_log("draining");
    bridge.terminate();
    wait_until_refused(&bridge);
    app.release();
    peer.ack().expect("AA", "MSG1");
    assert_eq!(bridge.wait_exit(5 * SECOND).code(), Some(0));
    let drained = finish(child);
    assert_eq!(drained.code, Some(0), "{drained:?}");
}

#[test]
fn drain_ends_at_the_bridges_deadline_if_an_app_hangs() {
    let app = TestApp::start();
    app.always(Reply::hang());
    let bridge = Bridge::start(&config(&app.url(), "300ms"));
    let mut peer = RawPeer::connect(bridge.address());
    peer.send(frame(messages::adt("MSG1")));
    app.wait_for(1, PATIENCE);
    let begun = Instant::now();
    let drained = drain(bridge.admin(), &[]);
    assert_eq!(drained.code, Some(0), "{drained:?}");
    assert!(begun.elapsed() < 3 * SECOND, "took {:?}", begun.elapsed());
    bridge.wait_for_metric(
        "mllp_bridge_connections_closed_total",
        &[("reason", "forced")],
        1.0,
    );
    let metrics = bridge.metrics();
    assert_eq!(
        metrics.sum("mllp_bridge_messages_total", &[("outcome", "failed")]),
        1.0
    );
    assert_eq!(metrics.sum("mllp_bridge_acks_total", &[]), 0.0);
    bridge.stop();
}

#[test]
fn drain_gives_up_after_its_own_timeout_and_fails() {
    let app = TestApp::start();
    app.always(Reply::hang());
    let bridge = Bridge::start(&config(&app.url(), "15s"));
    RawPeer::connect(bridge.address()).send(frame(messages::adt("MSG1")));
    app.wait_for(1, PATIENCE);
    let drained = drain(bridge.admin(), &["--timeout", "0.2"]);
    assert_eq!(drained.code, Some(1), "{drained:?}");
    assert!(!drained.stderr.trim().is_empty(), "{drained:?}");
    assert!(
        !drained.stderr.contains("no bridge answers"),
        "a bridge does answer; it is not done: {drained:?}"
    );
}

#[test]
fn drain_without_a_bridge_fails_and_says_so() {
    let down = TestApp::down();
    let admin = SocketAddr::from(([127, 0, 0, 1], down.port()));
    let drained = drain(admin, &[]);
    assert_eq!(drained.code, Some(1), "{drained:?}");
    assert!(
        drained
            .stderr
            .contains(&format!("no bridge answers at {admin}")),
        "{drained:?}"
    );
    assert_eq!(drained.stdout, "");
}

/// An address of this machine other than loopback; asking for the way there sends nothing.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// The rule itself has a unit test; here it is met on a socket, where this machine has another address.
#[test]
fn drain_from_another_address_than_loopback_is_refused() {
    let Some(address) = own_address() else {
        return;
    };
    let app = TestApp::start();
    let bridge = Bridge::builder()
        .config(&config(&app.url(), "15s"))
        .flags(&["--admin", "0.0.0.0:0"])
        .start();
    let admin = SocketAddr::new(address, bridge.admin().port());
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.write_all(b"POST /drain HTTP/1.0\r\nHost: x\r\nX-Forwarded-For: 127.0.0.1\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 403"), "{answer}");
    let port = bridge.admin().port();
    let refused = drain(SocketAddr::new(address, port), &[]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    // It serves on.
    RawPeer::connect(bridge.address())
        .exchange(messages::adt("MSG1"))
        .expect("AA", "MSG1");
}

#[test]
fn a_get_does_not_drain() {
    let app = TestApp::start();
    let bridge = Bridge::start(&config(&app.url(), "15s"));
    assert_eq!(bridge.get("/drain").status, 405);
    RawPeer::connect(bridge.address())
        .exchange(messages::adt("MSG1"))
        .expect("AA", "MSG1");
}
