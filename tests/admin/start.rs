//! Starts that fail: with the right exit code, and with words that help.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use super::*;

/// `run` with this configuration, to its end.
fn run(yaml: &str, flags: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridge.yaml");
    std::fs::write(&path, yaml).unwrap();
    Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
        .env_remove("MLLP_BRIDGE_TEST_CORPUS") // a key that the bridge does not know
        .arg("run")
        .arg("--config")
        .arg(&path)
        .args(flags)
        .stdin(Stdio::null())
        .output()
        .expect("run the bridge")
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A port that is taken, so that binding it would be seen.
fn taken() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[test]
fn config_errors_exit_64_before_a_port_is_bound_and_are_all_listed() {
    let (_taken, address) = taken();
    let yaml = format!(
        "threads: 0
admin: {{bind: '127.0.0.1:0', app_probe_interval: 1ms}}
shutdown: {{deadline: soon}}
listeners:
- name: adt
  bind: '{address}'
  deliver:
    url: 'ftp://example.org'
    timeout: 0s
    formatt: raw
    status: {{'700': {{answer: accept}}, '409': {{answer: perhaps}}}}
- bind: '127.0.0.1:0'
  ack: {{deadline: -1s}}
"
    );
    let output = run(&yaml, &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(64), "{said}");
    for key in [
        "threads",
        "admin.app_probe_interval",
        "shutdown.deadline",
        "listeners[0].deliver.url",
        "listeners[0].deliver.timeout",
        "formatt",
        "700",
        "409",
        "listeners[1].name",
        "listeners[1].ack.deadline",
    ] {
        assert!(said.contains(key), "{key} is not among the errors:\n{said}");
    }
    assert!(!said.contains("cannot listen"), "a port was bound:\n{said}");
}

#[test]
fn a_file_that_is_not_there_exits_64_and_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
        .env_remove("MLLP_BRIDGE_TEST_CORPUS") // a key that the bridge does not know
        .args(["run", "--config", "/nowhere/bridge.yaml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", text(&output));
    assert!(
        text(&output).contains("/nowhere/bridge.yaml"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_port_in_use_exits_1_and_names_the_key_and_the_address() {
    let (_taken, address) = taken();
    for (yaml, flags, key) in [
        (
            format!("admin: {{bind: off}}\nlisteners: [{{bind: '{address}'}}]"),
            vec![],
            "listeners[0].bind",
        ),
        (
            format!(
                "admin: {{bind: off}}\nlisteners: [{{name: a, bind: '127.0.0.1:0'}}, {{name: b, bind: '{address}'}}]"
            ),
            vec![],
            "listeners[1].bind",
        ),
        (
            format!("admin: {{bind: '{address}'}}\nlisteners: [{{bind: '127.0.0.1:0'}}]"),
            vec![],
            "admin.bind",
        ),
        (
            "listeners: [{bind: '127.0.0.1:0'}]".to_owned(),
            vec!["--admin", address.as_str()],
            "admin.bind",
        ),
        (
            "listeners: [{bind: '192.0.2.1:0'}]\nadmin: {bind: off}".to_owned(),
            vec![],
            "listeners[0].bind",
        ),
    ] {
        let output = run(&yaml, &flags);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{yaml}: {said}");
        assert!(said.contains(key), "{key} is not named: {said}");
        let place = if key == "listeners[0].bind" && yaml.contains("192.0.2.1") {
            "192.0.2.1:0"
        } else {
            &address
        };
        assert!(said.contains(place), "{place} is not named: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn an_app_behind_tls_without_a_usable_trust_store_is_not_blamed_on_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridge.yaml");
    std::fs::write(&path, "admin: {bind: off}\nlisteners: [{bind: '127.0.0.1:0', deliver: {url: 'https://localhost:1/'}}]").unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
        .env_remove("MLLP_BRIDGE_TEST_CORPUS") // a key that the bridge does not know
        .args(["run", "--config", path.to_str().unwrap()])
        .env("SSL_CERT_FILE", &empty)
        .env("SSL_CERT_DIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It either starts (and refuses each certificate) or says what is wrong.
    let start = Instant::now();
    while start.elapsed() < SECOND && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(10));
    }
    let started = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    let said = text(&output);
    if !started {
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(!said.contains("cannot listen"), "{said}");
        assert!(said.contains("listeners[0].deliver.url"), "{said}");
    }
}
