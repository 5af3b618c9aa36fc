//! `convert` as a user runs it: files and pipes in, envelopes, values and messages out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use support::messages::{adt, adt_of_size, adt_version, frame, oru};

mod support;

/// What came out.
struct Ran {
    code: Option<i32>,
    out: Vec<u8>,
    err: String,
}

impl Ran {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("UTF-8")
    }

    fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line is a JSON document"))
            .collect()
    }

    /// Fails unless it ended well and had nothing to complain of.
    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""));
        self
    }
}

fn convert(args: &[&str], input: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
        .arg("convert")
        .args(args)
        // It must not matter to a command that has no configuration.
        .env("MLLP_BRIDGE_LISTENERS__0__CHARSET__FALLBACK", "nonsense")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = thread::spawn(move || {
        // Fails where the command does not read it.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("wait");
    writer.join().expect("the writer");
    Ran {
        code: output.status.code(),
        out: output.stdout,
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

#[test]
fn a_message_becomes_what_the_app_would_be_sent() {
    let ran = convert(&["-"], adt("A1").as_bytes()).ok();
    let [envelope] = ran.lines().try_into().expect("one line");
    assert_eq!(envelope["source"], "/mllp/convert/REGADT/GENHOSP");
    assert_eq!(envelope["data"]["peer"], json!({"address": "127.0.0.1"}));
    assert_eq!(envelope["hl7controlid"], "A1");
    assert_eq!(envelope["data"]["raw"], adt("A1"));
    assert_eq!(
        envelope["data"]["segments"][2]["fields"]["5"][0]["1"],
        "MUSTER"
    );
}

#[test]
fn several_messages_and_files_make_a_line_each() {
    let folder = TempDir::new().unwrap();
    let (two, blocks) = (
        folder.path().join("two.hl7"),
        folder.path().join("capture.bin"),
    );
    std::fs::write(&two, adt("A1") + "\n" + &oru("A2")).unwrap();
    std::fs::write(
        &blocks,
        [frame(adt("A3")), frame(adt_version("2.7", "A4"))].concat(),
    )
    .unwrap();
    let ran = convert(&[two.to_str().unwrap(), blocks.to_str().unwrap()], b"").ok();
    let ids: Vec<Value> = ran
        .lines()
        .iter()
        .map(|envelope| envelope["hl7controlid"].clone())
        .collect();
    assert_eq!(ids, ["A1", "A2", "A3", "A4"]);
}

#[test]
fn the_messages_of_a_batch_make_a_line_each() {
    let batch = "BHS|^~\\&|A||||2026||||B1\r".to_owned() + &adt("A1") + &oru("A2") + "BTS|2\r";
    let ran = convert(&["-"], batch.as_bytes()).ok();
    let raw: Vec<_> = ran
        .lines()
        .iter()
        .map(|envelope| envelope["data"]["raw"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(raw, [adt("A1"), oru("A2")]);
}

#[test]
fn either_half_can_be_left_out_and_the_rest_indented() {
    let data = |args: &[&str]| convert(args, adt("A1").as_bytes()).ok().lines()[0]["data"].clone();
    let raw = data(&["--no-parsed", "-"]);
    assert!(raw.get("raw").is_some() && raw.get("segments").is_none());
    let parsed = data(&["--no-raw", "-"]);
    assert!(parsed.get("raw").is_none() && parsed.get("segments").is_some());
    let pretty = convert(&["--pretty", "--no-raw", "-"], adt("A1").as_bytes()).ok();
    assert!(
        pretty.text().contains("\n    \"segments\": [\n"),
        "{}",
        pretty.text()
    );
    assert_eq!(
        serde_json::from_str::<Value>(pretty.text()).unwrap()["data"],
        parsed
    );
}

#[test]
fn there_and_back_again() {
    let latin1 =
        b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|L1|P|2.3||||||8859/1\nPID|1||4||M\xdcLLER\n".to_vec();
    let mislabelled =
        b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|L2|P|2.5||||||UNICODE UTF-8\rPID|1||4||M\xdcLLER"
            .to_vec();
    for messages in [
        adt("A1").into_bytes(),
        latin1.clone(),
        mislabelled,
        [adt("A1").into_bytes(), latin1].concat(),
    ] {
        for args in [&["-"][..], &["--pretty", "-"]] {
            let envelopes = convert(args, &messages).ok();
            let back = convert(&["--to", "er7", "-"], &envelopes.out).ok();
            assert_eq!(back.out, messages, "{}", envelopes.text());
        }
    }
    let parsed = convert(&["--no-raw", "-"], adt("A1").as_bytes()).ok();
    let back = convert(&["--to", "er7", "-"], &parsed.out).ok();
    assert_eq!(
        convert(&["--no-raw", "-"], &back.out).ok().lines()[0]["data"],
        parsed.lines()[0]["data"]
    );
}

#[test]
fn a_last_segment_without_end_does_not_run_into_the_next_message() {
    let one = adt("A1").trim_end().to_owned();
    let envelopes = [
        convert(&["-"], one.as_bytes()).ok().out,
        convert(&["-"], oru("A2").as_bytes()).ok().out,
    ]
    .concat();
    let back = convert(&["--to", "er7", "-"], &envelopes).ok();
    assert_eq!(back.text(), one + "\r" + &oru("A2"));
}

#[test]
fn values_at_a_place() {
    let input = adt("A1") + &oru("A2");
    for (path, expected) in [
        ("PID-5.1", "MUSTER\nMUSTER\n"),
        ("PID.3[2]", "99-12^^^CITY^PI\n\n"),
        ("OBX[2]-3.2", "\nCreatinine\n"),
        ("OBX-5", "seen in A\\T\\E, 2\\S\\3 days\n95\n"),
        ("MSH-2", "^~\\&\n^~\\&\n"),
    ] {
        assert_eq!(
            convert(&["--get", path, "-"], input.as_bytes()).ok().text(),
            expected,
            "{path}"
        );
    }
}

#[test]
fn a_bad_place_is_bad_usage() {
    let ran = convert(&["--get", "patient name", "-"], adt("A1").as_bytes());
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.err,
        "mllp-bridge: --get patient name: not a place in a message; write one as PID-3, PID-3.1 or PID.3[2].4.1\n"
    );
    assert_eq!(
        convert(&["--get", "PID-3", "--to", "er7", "-"], b"").code,
        Some(2)
    );
    assert_eq!(convert(&[], b"").code, Some(2));
}

#[test]
fn what_cannot_be_converted_is_named_and_the_others_go_on() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("mixed.hl7");
    let name = file.to_str().unwrap();
    std::fs::write(&file, adt("A1") + &adt("") + &oru("A2")).unwrap();
    let ran = convert(&[name], b"");
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.lines().len(), 2);
    assert_eq!(
        ran.err,
        format!("{name}: message 2: MSH-10 is empty (no_control_id); the bridge would answer AE\n")
    );

    for (input, problem) in [
        (&b"hello"[..], "message 1: not an HL7 message (not_hl7)"),
        (
            b"<ADT_A01/>",
            "message 1: not well-formed XML of HL7's, or with what is not read: a DTD, entities, too deep (xml)",
        ),
        (
            b"<A xmlns='urn:hl7-org:v3'><id root='7'/>",
            "message 1: not well-formed XML of HL7's, or with what is not read: a DTD, entities, too deep (xml); the bridge would answer AR",
        ),
        (
            b"BHS|^~\\&|A||||2026||||B1\rNTE|1\rMSH|^~\\&|A\r",
            "message 1: several messages in one block that are not a batch as chapter 2 has it (batch); the bridge would answer AR",
        ),
        (
            b"MSH|^~\\&|A|B|C|D|2026||ADT|7|P|2.5||||||UNICODE UTF-32\r",
            "message 1: the character set is not supported, or the bytes are not in it (charset); the bridge would answer AR",
        ),
        (b" \r\n", "holds no message"),
    ] {
        let ran = convert(&["-"], input);
        assert_eq!(
            (ran.code, ran.err),
            (Some(1), format!("standard input: {problem}\n"))
        );
        assert!(ran.out.is_empty());
    }
    let large = convert(&["-"], adt_of_size("A1", (16 << 20) + 1).as_bytes());
    assert_eq!(large.code, Some(1));
    assert_eq!(
        large.err,
        "standard input: message 1: the message is larger than this receiver takes (too_large); the bridge would answer AR\n"
    );

    let missing = convert(&["/nonexistent/x.hl7", name], b"");
    assert_eq!((missing.code, missing.lines().len()), (Some(1), 2));
    assert!(
        missing.err.starts_with("/nonexistent/x.hl7: No such file"),
        "{}",
        missing.err
    );
}

#[test]
fn xml_makes_an_envelope_and_comes_back() {
    let text = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<ADT_A01 xmlns=\"urn:hl7-org:v2xml\"><MSH>\
                <MSH.9><MSG.1>ADT</MSG.1><MSG.2>A01</MSG.2></MSH.9><MSH.10>&#8364;</MSH.10></MSH><NTE>\u{fc}</NTE></ADT_A01>";
    let message: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let made = convert(&["-"], &message).ok().out;
    let event: Value = serde_json::from_slice(&made).unwrap();
    assert_eq!(event["type"], "org.hl7.v2.ADT.A01");
    assert_eq!(
        event["hl7controlid"], "\u{20ac}",
        "whatever the document's bytes are"
    );
    assert_eq!(event["data"]["encoding"], "v2.xml");
    assert_eq!(event["data"]["charset"], "ISO-8859-1");
    assert_eq!(event["data"]["raw"], text);
    assert_eq!(convert(&["--to", "er7", "-"], &made).ok().out, message);
    let place = convert(&["--get", "MSH-10", "-"], &message);
    assert_eq!(
        place.err,
        "standard input: message 1: XML: --get reads ER7 only\n"
    );
}

#[test]
fn what_is_not_an_envelope_is_named() {
    let good = convert(&["-"], adt("A1").as_bytes()).ok().out;
    let bad = br#"{"data": {"segments": [{"id": "PID", "fields": {"3": "x"}}]}}"#;
    let ran = convert(
        &["--to", "er7", "-"],
        &[&good, bad.as_slice(), b"\n", &good, b"{oops"].concat(),
    );
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.text(), adt("A1") + &adt("A1"));
    assert_eq!(
        ran.err,
        "standard input: message 2: segments[0].fields[\"3\"]: expected a list of repetitions\n\
         standard input: message 4: not JSON: line 4, column 2\n"
    );
    assert_eq!(
        convert(&["--to", "er7", "-"], b" ").err,
        "standard input: holds no envelope\n"
    );
}

#[test]
fn a_message_becomes_a_fhir_bundle() {
    let message = adt("A1");
    let ran = convert(&["--to", "fhir", "-"], message.as_bytes()).ok();
    let [bundle] = ran.lines().try_into().expect("one line");
    assert_eq!(bundle["resourceType"], "Bundle");
    assert_eq!(bundle["type"], "transaction");
    assert_eq!(bundle["identifier"]["value"], "A1");
    let entries = bundle["entry"].as_array().unwrap();
    let patient = entries
        .iter()
        .find(|entry| entry["resource"]["resourceType"] == "Patient")
        .expect("a patient");
    assert_eq!(patient["resource"]["name"][0]["family"], "MUSTER");
    assert_eq!(patient["request"]["method"], "PUT");
    assert_eq!(
        convert(&["--to", "fhir", "-"], message.as_bytes()).out,
        ran.out,
        "the same again"
    );
    let args = ["--to", "fhir", "--bundle-type", "message", "--pretty", "-"];
    let pretty = convert(&args, message.as_bytes()).ok();
    assert!(
        pretty
            .text()
            .starts_with("{\n  \"resourceType\": \"Bundle\"")
    );
    let bundle: Value = serde_json::from_slice(&pretty.out).unwrap();
    assert_eq!(bundle["type"], "message");
    assert_eq!(
        bundle["entry"][0]["resource"]["resourceType"],
        "MessageHeader"
    );
}

#[test]
fn several_messages_make_a_bundle_each_and_what_is_not_covered_is_named() {
    let other = adt("A2").replace("ADT^A01", "MFN^M02");
    let input = format!("{}{other}{}", adt("A1"), oru("O1"));
    let ran = convert(&["--to", "fhir", "-"], input.as_bytes());
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.lines().len(), 2);
    assert_eq!(
        ran.err,
        "standard input: message 2: there is no FHIR map for MFN^M02; docs/fhir.md lists what is covered\n\
         1 file, 3 messages, 2 bundles, 1 refused\n"
    );
    let ran = convert(&["--to", "fhir", "--quiet", "-"], input.as_bytes());
    assert_eq!(ran.err.lines().count(), 1, "no summary: {}", ran.err);
    let ran = convert(
        &["--to", "fhir", "-"],
        b"<ADT_A01 xmlns='urn:hl7-org:v2xml'><MSH><MSH.9><MSG.1>ADT</MSG.1></MSH.9><MSH.10>1</MSH.10></MSH></ADT_A01>",
    );
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("FHIR bundles are made of ER7 only"),
        "{}",
        ran.err
    );
}

#[test]
fn the_ledger_and_the_rows_are_printed_in_place_of_the_bundle() {
    let message = format!("{}ZPI|1|kept^nowhere\r", adt("A1"));
    let lost = convert(&["--to", "fhir", "--ledger", "-"], message.as_bytes());
    assert_eq!(lost.code, Some(0));
    let lines = lost.text().lines().count();
    let summary = lost
        .err
        .strip_prefix("1 file, 1 message, 1 bundle, 0 refused, ");
    let share = summary.unwrap().strip_suffix(" values used\n").unwrap();
    let (share, values) = share.split_once(" % of ").unwrap();
    let (share, values) = (
        share.parse::<f64>().unwrap(),
        values.parse::<f64>().unwrap(),
    );
    let used = (values - lines as f64) / values * 100.0;
    assert!((share - used).abs() < 0.051, "{lines} lines: {}", lost.err);
    let lines: Vec<&str> = lost.text().lines().collect();
    assert!(lines.contains(&"ZPI-2.2\tno row reads it"), "{lines:?}");
    let explained = convert(&["--to", "fhir", "--explain", "-"], message.as_bytes()).ok();
    let line = explained
        .text()
        .lines()
        .find(|line| line.starts_with("PID-5.1\t"))
        .expect("the family name");
    let [_, element, rows] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(element, "Patient.name.family");
    assert!(rows.starts_with("segments/PID.yaml:"), "{rows}");
}

/// Whatever order the disk has them in.
#[test]
fn a_directory_is_converted_file_by_file_in_the_order_of_their_paths() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("b/deep")).unwrap();
    std::fs::create_dir(path(".git")).unwrap();
    std::fs::write(path("c.hl7"), adt("C1")).unwrap();
    std::fs::write(path("b/deep/z.hl7"), adt("B2") + &oru("B3")).unwrap();
    std::fs::write(path("b/a.hl7"), adt("B1")).unwrap();
    std::fs::write(path("a.hl7"), adt("A1").replace("ADT^A01", "MFN^M02")).unwrap();
    std::fs::write(path("d.txt"), "").unwrap();
    std::fs::write(path(".git/config"), adt("G1")).unwrap();
    // It would be walked for ever, or waited for.
    std::os::unix::fs::symlink(folder.path(), path("b/up")).unwrap();
    let made = Command::new("mkfifo").arg(path("e.hl7")).status().unwrap();
    assert!(made.success());
    let all = folder.path().to_str().unwrap();

    let ran = convert(&["--to", "fhir", all], b"");
    assert_eq!(ran.code, Some(1));
    let ids: Vec<Value> = ran
        .lines()
        .iter()
        .map(|bundle| bundle["identifier"]["value"].clone())
        .collect();
    assert_eq!(ids, ["B1", "B2", "B3", "C1"]);
    let expected = format!(
        "{all}/e.hl7: it is not a file\n\
         {all}/a.hl7: message 1: there is no FHIR map for MFN^M02; docs/fhir.md lists what is covered\n\
         {all}/d.txt: holds no message\n\
         5 files, 5 messages, 4 bundles, 1 refused\n"
    );
    assert_eq!(ran.err, expected);

    let ran = convert(&["--quiet", &format!("{all}/b")], b"").ok();
    assert_eq!(ran.lines().len(), 3);
    let ran = convert(&[&format!("{all}/b")], b"");
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.err, "2 files, 3 messages, 3 envelopes, 0 refused\n");
    let nothing = path("f");
    std::fs::create_dir(&nothing).unwrap();
    let ran = convert(&["--quiet", nothing.to_str().unwrap()], b"");
    assert_eq!(
        (ran.code, ran.err),
        (Some(1), format!("{all}/f: holds no file\n"))
    );
}

#[test]
fn a_zone_is_taken_or_is_bad_usage() {
    let message = adt("A1").replace("+0100", "");
    let ran = convert(
        &["--to", "fhir", "--zone", "-05:00", "-"],
        message.as_bytes(),
    )
    .ok();
    assert!(ran.text().contains("-05:00\""), "{}", ran.text());
    let ran = convert(
        &["--to", "fhir", "--zone", "Paris", "-"],
        message.as_bytes(),
    );
    assert_eq!(ran.code, Some(2));
    assert_eq!(ran.err, "mllp-bridge: --zone Paris: write one as +01:00\n");
}
