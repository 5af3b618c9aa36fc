//! `demo`, the real binary: what a newcomer runs first must work on any machine, and must say so only if it did.

#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::process::{Command, Output, Stdio};

fn demo(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mllp-bridge"));
    command.arg("demo").args(args).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[track_caller]
fn assert_right(output: &Output) -> String {
    let out = text(&output.stdout);
    assert!(
        output.status.success(),
        "{}\n{out}\n{}",
        output.status,
        text(&output.stderr)
    );
    assert_eq!(out.lines().next_back(), Some("5 of 5 as expected"), "{out}");
    assert!(!out.contains('✗'), "{out}");
    out
}

#[test]
fn five_of_five() {
    let output = demo(&[]).output().expect("the demo runs");
    let out = assert_right(&output);
    for line in [
        "\n1  An admission, and the app takes it\n",
        "frame    <VT>MSH|^~\\&|REGADT|HOSP|APP|CLOUD|20261122101500||ADT^A01^ADT_A01|DEMO-1|P|2.5.1<CR>\n",
        "envelope POST /hl7  application/cloudevents+json",
        "\"type\": \"org.hl7.v2.ADT.A01\",\n",
        "\"3\": [{\"1\":\"4711\",\"4\":\"HOSP\",\"5\":\"MR\"}],\n",
        "app      HTTP 200 OK\n",
        " MSA|AA|DEMO-1<CR><FS><CR>\n",
        "app      HTTP 422 Unprocessable Entity\n",
        " MSA|AE|DEMO-2<CR>\n",
        " ERR||PID^1^3|101^Required field missing^HL70357|E||||PID-3 is empty<CR><FS><CR>\n",
        " MSA|AE|DEMO-3|PID-3 is empty<CR>\n",
        " ERR|PID^1^3^101&Required field missing&HL70357<CR><FS><CR>\n",
        " MSA|AE|DEMO-4<CR>\n",
        " MSA|AA|DEMO-4<CR><FS><CR>\n",
        " MSA|AA|DEMO-5<CR>\n",
        " MSA|AA|DEMO-6<CR>\n",
        " mllp_bridge_deviations_total{kind=\"end_without_cr\",listener=\"demo\"} 1\n",
    ] {
        assert!(out.contains(line), "no {line:?} in\n{out}");
    }
    let lines: Vec<_> = out.lines().collect();
    assert!(lines.len() <= 120, "{} lines", lines.len());
    let long = lines.iter().find(|line| line.chars().count() > 100);
    assert_eq!(long, None, "fits a terminal");
    assert!(!out.contains('\x1b'), "no colours in a pipe: {out}");
    assert_eq!(
        text(&output.stderr),
        "",
        "the bridge's log is for --verbose"
    );
}

#[test]
fn several_at_once() {
    let started: Vec<_> = (0..3)
        .map(|_| {
            let mut command = demo(&[]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("the demo starts")
        })
        .collect();
    for child in started {
        assert_right(&child.wait_with_output().expect("the demo ends"));
    }
}

#[test]
fn the_bridges_log_without_names_of_patients() {
    let output = demo(&["--verbose"]).output().expect("the demo runs");
    assert_right(&output);
    let log = text(&output.stderr);
    assert!(log.contains("DEBUG"), "{log}");
    assert!(!log.contains("MUSTER") && !log.contains("ERIKA"), "{log}");
}
