//! Directories that cannot be used, and disks that fail.

use std::fs;
use std::process::{Command, Output, Stdio};

use super::*;

/// `run` to its end.
fn run(lab: &Lab, config: &str) -> Output {
    let file = lab.path().join("bridge.yaml");
    fs::write(&file, config).unwrap();
    Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
        .env_remove("MLLP_BRIDGE_TEST_CORPUS") // a key that the bridge does not know
        .args(["run", "--admin", "127.0.0.1:0", "--config"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .expect("run the bridge")
}

#[track_caller]
fn assert_refused(lab: &Lab, config: &str, code: i32, words: &str) {
    let output = run(lab, config);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{words:?} is not in:\n{said}");
    assert!(!said.contains("listening"), "a port was bound:\n{said}");
}

#[test]
fn a_directory_that_cannot_be_used_is_named_before_a_port_is_bound() {
    let lab = Lab::new("process");
    let config = lab.config();
    let path = lab.path().display().to_string();
    let with = |other: &str| config.replace(&format!("'{path}'"), other);
    let nowhere = format!("{path}/nowhere");
    let words = format!("state.directory: cannot use {nowhere}: there is no such directory");
    assert_refused(&lab, &with(&nowhere), 1, &words);
    let file = format!("{path}/bridge.yaml");
    assert_refused(&lab, &with(&file), 1, "this is not a directory");
    assert_refused(&lab, &with("/proc"), 1, "cannot read and write there: ");
    let words = "state.directory: expected an absolute path";
    assert_refused(&lab, &with("here"), 64, words);
    let words = "state.durability";
    let config = config.replace("durability: process", "durability: perhaps");
    assert_refused(&lab, &config, 64, words);
}

#[test]
fn two_processes_do_not_share_a_directory() {
    let lab = Lab::new("process");
    let bridge = lab.start();
    let words = format!(
        "state.directory: cannot use {}: another process uses this directory: it holds state.lock",
        lab.path().display()
    );
    assert_refused(&lab, &lab.config(), 1, &words);
    exchange(&bridge, &adt("ONE"));
    kill(bridge);
    let bridge = lab.start();
    exchange(&bridge, &adt("ONE"));
    assert_eq!(lab.asked(), ["ONE"], "the other has changed nothing");
    bridge.stop();
}

#[test]
fn a_damaged_file_is_moved_aside_and_said() {
    let lab = Lab::new("power-loss");
    let bridge = lab.start();
    exchange(&bridge, &adt("ONE"));
    bridge.stop();
    let file = lab.path().join("state.redb");
    let length = file.metadata().unwrap().len();
    fs::write(&file, vec![0xA5; length as usize]).unwrap();
    let bridge = lab.start();
    let line = bridge.wait_for_log("the state file is damaged: begun anew");
    let aside = lab.path().join("state.redb.damaged");
    assert_eq!(line.text_field("moved_to"), aside.to_str());
    assert!(aside.exists());
    exchange(&bridge, &adt("ONE"));
    exchange(&bridge, &adt("ONE"));
    assert_eq!(lab.asked(), ["ONE", "ONE"], "forgotten, and known again");
    bridge.stop();
}

/// A limit on the size of files stands for a disk that is full: it needs no privileges, and the kernel refuses writes in the same way.
#[test]
fn on_a_full_disk_messages_are_acknowledged_and_counted() {
    let lab = Lab::new("power-loss");
    let limited = "trap '' XFSZ; ulimit -f 6000; exec \"$0\" \"$@\"";
    let program = env!("CARGO_BIN_EXE_mllp-bridge");
    let bridge = lab
        .builder()
        .program(&["sh", "-c", limited, program, "run"])
        .start();
    let own = |id: &str| {
        let large = "x".repeat(100_000);
        format!("MSH|^~\\&|B|C|R|G|2026||RSP^K22|OWN|P|2.5.1\rMSA|AA|{id}\rNTE|1||{large}\r")
    };
    lab.app.respond(move |request| {
        let id = request.header("X-HL7-Control-Id").unwrap();
        let reply = Reply::ok().header("Content-Type", "application/hl7-v2");
        reply.body(own(id))
    });
    let mut answers = Vec::new();
    for message in 0..60 {
        let id = format!("M{message}");
        let ack = exchange(&bridge, &adt(&id));
        assert!(
            ack.contains(&format!("MSA|AA|{id}\r")),
            "{} bytes",
            ack.len()
        );
        answers.push((id, ack));
    }
    bridge.wait_for_log("state cannot be stored: messages are acknowledged all the same");
    let unsaved = bridge.metric_sum("mllp_bridge_state_unsaved_total", &[]);
    assert!((1.0..60.0).contains(&unsaved), "{unsaved} not stored");
    assert_eq!(bridge.metric_sum("mllp_bridge_state_failing", &[]), 1.0);
    assert_eq!(bridge.get("/readyz").status, 200, "it works");
    // In memory all is as it should be.
    let (id, last) = answers.last().unwrap();
    assert_eq!(exchange(&bridge, &adt(id)), *last);
    assert_eq!(lab.asked().len(), 60);
    kill(bridge);

    // With room again, what was stored is there.
    let bridge = lab.start();
    let (id, first) = &answers[0];
    assert_eq!(exchange(&bridge, &adt(id)), *first);
    assert_eq!(lab.asked().len(), 60);
    bridge.wait_for_metric("mllp_bridge_state_commit_duration_seconds_count", &[], 1.0);
    assert_eq!(bridge.metric_sum("mllp_bridge_state_failing", &[]), 0.0);
    bridge.stop();
}

/// As it was before there was a store.
#[test]
fn without_a_directory_a_restart_forgets() {
    let lab = Lab::new("process");
    let config = lab.config();
    let (_, config) = config.split_once('\n').unwrap();
    for _ in 0..2 {
        let bridge = Bridge::start(config);
        exchange(&bridge, &adt("ONE"));
        exchange(&bridge, &adt("ONE"));
        kill(bridge);
    }
    assert_eq!(lab.asked(), ["ONE", "ONE"]);
    assert_eq!(fs::read_dir(lab.path()).unwrap().count(), 0);
}

#[test]
fn sequence_numbers_need_a_directory() {
    let lab = Lab::with("ack: {sequence_numbers: true}");
    let config = lab.config();
    let (_, config) = config.split_once('\n').unwrap();
    let words = "listeners[0].ack.sequence_numbers: true needs state.directory";
    assert_refused(&lab, config, 64, words);
}
