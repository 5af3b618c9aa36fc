//! `inject` as a user runs it: manifests in, the same manifests with sidecars out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use tempfile::TempDir;

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs `inject` with these words, and `input` on its standard input.
fn inject(words: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
        .arg("inject")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // It may have ended before it read anything.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

#[track_caller]
fn done(words: &[&str], input: &str) -> String {
    let ran = inject(words, input);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", ran.out);
    ran.out
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const POD: &str = "metadata: {labels: {mllp-bridge.io/inject: \"true\"}}, spec: {containers: [{name: app, image: \"app:1\"}]}";

/// An object of this kind, and where its pod is.
fn object(kind: &str) -> (String, String) {
    let (version, head, at) = match kind {
        "Pod" => {
            return (
                format!("{{apiVersion: v1, kind: Pod, {POD}}}\n"),
                String::new(),
            );
        }
        "Job" => ("batch/v1", format!("template: {{{POD}}}"), "/spec/template"),
        "CronJob" => (
            "batch/v1",
            format!("schedule: \"@daily\", jobTemplate: {{spec: {{template: {{{POD}}}}}}}"),
            "/spec/jobTemplate/spec/template",
        ),
        _ => ("apps/v1", format!("template: {{{POD}}}"), "/spec/template"),
    };
    let text = format!(
        "{{apiVersion: {version}, kind: {kind}, metadata: {{name: lab}}, spec: {{{head}}}}}\n"
    );
    (text, at.to_owned())
}

const KINDS: [&str; 7] = [
    "Pod",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
    "CronJob",
];

#[test]
fn each_kind_gets_its_sidecar_once() {
    for kind in KINDS {
        let (text, at) = object(kind);
        let out = done(&["-f", "-"], &text);
        let sidecar = format!("{at}/spec/initContainers/0");
        let value = yaml(&out);
        let sidecar = value.pointer(&sidecar).expect(kind);
        assert_eq!(sidecar["name"], "mllp-bridge", "{kind}");
        assert_eq!(sidecar["restartPolicy"], "Always", "{kind}");
        assert_eq!(done(&["-f", "-"], &out), out, "{kind}, a second time");
    }
}

#[test]
fn the_items_of_a_list_get_theirs_and_others_stay() {
    let items: Vec<Value> = KINDS.iter().map(|kind| yaml(&object(kind).0)).collect();
    let mut list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
    list["items"].as_array_mut().unwrap().push(serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lab"}, "data": {"a": "b"},
    }));
    let out: Value = serde_json::from_str(&done(&["-f", "-"], &format!("{list:#}\n")))
        .expect("JSON in, JSON out");
    for (at, kind) in KINDS.iter().enumerate() {
        let sidecar = format!("/items/{at}{}/spec/initContainers/0/name", object(kind).1);
        assert_eq!(out.pointer(&sidecar).expect(kind), "mllp-bridge");
    }
    assert_eq!(out["items"][KINDS.len()], list["items"][KINDS.len()]);
}

/// What has no pod, or does not ask, with everything that YAML allows.
const UNTOUCHED: &str = "# A service.\napiVersion: v1\nkind: Service\nmetadata: &m {name: lab}\nspec:   {selector: *m}\n---\n\n---\nkind: Deployment\napiVersion: apps/v1\nspec: {template: {metadata: {}, spec: {containers: []}}}\n...\n";

#[test]
fn what_is_not_touched_is_the_same_byte_for_byte() {
    assert_eq!(done(&["-f", "-"], UNTOUCHED), UNTOUCHED);
    let crlf = UNTOUCHED.replace('\n', "\r\n");
    assert_eq!(done(&["-f", "-"], &crlf), crlf);
    let json = "{\"kind\":\"Service\",\n\t\"apiVersion\":\"v1\"}";
    assert_eq!(done(&["-f", "-"], json), json);
}

const COMMENTED: &str = "\
# The lab's receiver.
apiVersion: apps/v1
kind: Deployment   # one of them
metadata:
    name: lab
spec:
    template:
        metadata:
            labels: {mllp-bridge.io/inject: 'true'} # asks
            annotations:
                mllp-bridge.io/mllp-port: \"2580\"
        spec:
            containers:
            - image: 'app:1'
              name: app # ours
# The end.
";

#[test]
fn comments_order_quotes_and_line_ends_stay() {
    for crlf in [false, true] {
        let text = if crlf {
            COMMENTED.replace('\n', "\r\n")
        } else {
            COMMENTED.to_owned()
        };
        let out = done(&["-f", "-"], &text);
        let mut rest = out.lines();
        for line in text.lines() {
            assert!(
                rest.any(|one| one == line),
                "{line:?} is gone, or not in its place:\n{out}"
            );
        }
        let bare = out.replace("\r\n", "").contains('\n');
        assert_eq!(bare, !crlf, "line ends are mixed: {out:?}");
        let port = yaml(&out)["spec"]["template"]["spec"]["initContainers"][0]["ports"][0].clone();
        assert_eq!(port["containerPort"], 2580);
    }
}

#[test]
fn a_diff_and_an_explanation_are_printed_instead() {
    let text = format!("{COMMENTED}---\n{UNTOUCHED}");
    let diff = done(&["-f", "-", "--diff"], &text);
    assert!(
        diff.starts_with("--- a/standard input\n+++ b/standard input\n@@"),
        "{diff}"
    );
    let removed = diff.lines().skip(2).filter(|line| line.starts_with('-'));
    assert_eq!(removed.count(), 0, "{diff}");
    let said = done(&["-f", "-", "--explain"], &text);
    for line in [
        "standard input: Deployment default/lab: gets its sidecar",
        "    adds /spec/initContainers",
        "standard input: Service lab: stays as it is: not a kind that has pods",
    ] {
        assert!(
            said.lines().any(|one| one == line),
            "{line:?} is not in:\n{said}"
        );
    }
    let said = done(&["-f", "-", "--explain", "--output", "json"], &text);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let results: Vec<&Value> = said
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["result"])
        .collect();
    assert_eq!(results, ["patched", "skipped", "skipped"]);
}

#[test]
fn a_refusal_has_every_reason_and_prints_no_manifest() {
    let wrong = COMMENTED
        .replace("\"2580\"", "\"eighty\"\n                mllp-bridge.io/formt: raw\n                mllp-bridge.io/app-port: 8080")
        .replace("- image", "- ports: [{containerPort: 9090}]\n              image");
    let ran = inject(&["-f", "-"], &format!("{UNTOUCHED}---\n{wrong}"));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    for reason in [
        "mllp-bridge.io/mllp-port: \"eighty\": expected a port, 1 to 65535",
        "mllp-bridge.io/formt: unknown annotation, did you mean format?",
        "mllp-bridge.io/app-port: 8080 is not text: write \"8080\", in quotes",
        "mllp-bridge.io/admin-port: 9090 is a port of the container app",
    ] {
        let line = format!("standard input: Deployment default/lab: {reason}");
        assert!(
            ran.err.lines().any(|one| one == line),
            "{line:?} is not in:\n{}",
            ran.err
        );
    }
    assert_eq!(ran.err.lines().count(), 4, "{}", ran.err);
}

#[test]
fn a_folder_is_its_manifests_and_a_namespace_among_them_counts() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file(
        "b.yml",
        &object("Deployment")
            .0
            .replace("labels: {mllp-bridge.io/inject: \"true\"}", ""),
    );
    file(
        "a.yaml",
        "kind: Namespace\napiVersion: v1\nmetadata:\n  name: default\n  labels: {mllp-bridge.io/inject: \"true\"}\n",
    );
    file("notes.txt", "not: [a manifest");
    let path = folder.path().to_str().unwrap();
    let out = done(&["-f", path], "");
    let (namespace, deployment) = out.split_once("---\n").expect("two documents");
    assert!(namespace.starts_with("kind: Namespace"), "{out}");
    let container =
        yaml(deployment)["spec"]["template"]["spec"]["initContainers"][0]["name"].clone();
    assert_eq!(container, "mllp-bridge");
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("injector.yaml");
    fs::write(
        &config,
        "sidecar: {image: \"registry.example/mllp-bridge:9\"}\n",
    )
    .unwrap();
    let config = config.to_str().unwrap();
    let out = done(&["-f", "-", "--config", config], &object("Pod").0);
    assert!(out.contains("registry.example/mllp-bridge:9"), "{out}");
    fs::write(config, "sidecar: {imagee: x, cpu_request: many}\n").unwrap();
    let ran = inject(&["-f", "-", "--config", config], &object("Pod").0);
    assert_eq!((ran.code, ran.out.as_str()), (Some(64), ""));
    assert!(
        ran.err.contains("sidecar.imagee") && ran.err.contains("sidecar.cpu_request"),
        "{}",
        ran.err
    );

    assert_eq!(inject(&[], "").code, Some(2));
    assert_eq!(
        inject(&["-f", "-", "--diff", "--explain"], "").code,
        Some(2)
    );
    let ran = inject(&["-f", "/nowhere/app.yaml"], "");
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("/nowhere/app.yaml"), "{}", ran.err);
    let ran = inject(&["-f", "-"], "kind: Pod\nmetadata: [\n");
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("standard input:"), "{}", ran.err);
}
