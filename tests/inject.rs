//! `inject` as a user runs it: manifests in, manifests out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// What came out.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// Fails unless it ended well and had nothing to complain of.
    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""));
        self
    }

    /// The documents that were printed.
    fn documents(&self) -> Vec<Value> {
        serde_saphyr::from_multiple(&self.out)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.out))
    }
}

fn inject_in(folder: &Path, args: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
        .arg("inject")
        .args(args)
        .current_dir(folder)
        // It must not matter: this is about other processes' configuration.
        .env("MLLP_BRIDGE_LOG__LEVEL", "nonsense")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start");
    // Fails where the command does not read it.
    let _ = child
        .stdin
        .take()
        .expect("piped")
        .write_all(input.as_bytes());
    let output = child.wait_with_output().expect("wait");
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

fn inject(args: &[&str], input: &str) -> Ran {
    let folder = TempDir::new().expect("a folder");
    inject_in(folder.path(), args, input)
}

/// A Deployment whose comments and quoting are somebody's.
const DEPLOYMENT: &str = "\
# Admission desk.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: desk   # as in the wiki
spec:
  template:
    metadata:
      labels: { app: 'desk', mllp-bridge.io/inject: \"true\" }
    spec:
      containers:
        - name: desk
          image: \"desk:1\"   # pinned
";

const SERVICE: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: desk}   # odd   spacing\n\n\n";

fn object(version: &str, kind: &str, path: &[&str]) -> String {
    let mut pod = json!({
        "metadata": {"labels": {"mllp-bridge.io/inject": "true"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "desk:1"}]},
    });
    for step in path.iter().rev() {
        pod = json!({ *step: pod });
    }
    pod["apiVersion"] = version.into();
    pod["kind"] = kind.into();
    pod["metadata"]["name"] = "desk".into();
    format!("{pod:#}\n")
}

#[test]
fn every_kind_that_has_pods() {
    let template: &[&str] = &["spec", "template"];
    let cron: &[&str] = &["spec", "jobTemplate", "spec", "template"];
    for (version, kind, path) in [
        ("v1", "Pod", &[] as &[&str]),
        ("apps/v1", "Deployment", template),
        ("apps/v1", "StatefulSet", template),
        ("apps/v1", "DaemonSet", template),
        ("apps/v1", "ReplicaSet", template),
        ("batch/v1", "Job", template),
        ("batch/v1", "CronJob", cron),
    ] {
        let ran = inject(&["-f", "-"], &object(version, kind, path)).ok();
        let [document] = ran.documents().try_into().expect("one document");
        let pod = path
            .iter()
            .fold(&document, |node: &Value, step| &node[*step]);
        let sidecar = &pod["spec"]["initContainers"][0];
        assert_eq!(sidecar["name"], "mllp-bridge", "{kind}");
        assert!(
            pod["metadata"]["annotations"]["mllp-bridge.io/status"].is_string(),
            "{kind}"
        );
        assert_eq!(pod["spec"]["containers"][0]["name"], "app", "{kind}");
        let again = inject(&["-f", "-"], &ran.out).ok();
        assert_eq!(again.out, ran.out, "{kind}");
    }
}

#[test]
fn a_list_is_its_items() {
    let items = [
        object("v1", "Pod", &[]),
        object("apps/v1", "Deployment", &["spec", "template"]),
    ];
    let list = format!(
        "{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{}]}}\n",
        items.join(",")
    );
    let ran = inject(&["-f", "-"], &list).ok();
    let document = &ran.documents()[0];
    for pod in [
        &document["items"][0],
        &document["items"][1]["spec"]["template"],
    ] {
        assert_eq!(pod["spec"]["initContainers"][0]["name"], "mllp-bridge");
    }
}

#[test]
fn what_is_not_touched_is_printed_byte_for_byte() {
    assert_eq!(inject(&["-f", "-"], SERVICE).ok().out, SERVICE);
    let both = format!("{SERVICE}---\n{DEPLOYMENT}---\n{SERVICE}");
    let out = inject(&["-f", "-"], &both).ok().out;
    assert!(
        out.starts_with(SERVICE) && out.ends_with(&format!("---\n{SERVICE}")),
        "{out}"
    );
    // And of what is touched, each line.
    let mut lines = out.lines();
    for line in both.lines() {
        assert!(
            lines.any(|other| other == line),
            "{line:?} is gone or moved:\n{out}"
        );
    }
}

#[test]
fn the_sidecar_of_a_file_is_the_webhooks() {
    let ran = inject(
        &["-f", "-", "--image", "registry.example/bridge:2"],
        &object("v1", "Pod", &[]),
    )
    .ok();
    let before: Value = serde_json::from_str(&object("v1", "Pod", &[])).unwrap();
    let mut settings = mllp_bridge::injector::Settings::default();
    settings.sidecar.image = "registry.example/bridge:2".into();
    let namespace = mllp_bridge::injector::Namespace::default();
    let outcome = mllp_bridge::injector::inject(&before, &namespace, &settings);
    let mllp_bridge::injector::Outcome::Patch { ops, .. } = outcome else {
        panic!("{outcome:?}")
    };
    let mut after = before;
    mllp_bridge::injector::patch::apply(&mut after, &ops).unwrap();
    assert_eq!(ran.documents(), [after]);
}

#[test]
fn files_and_directories_become_one_stream() {
    let folder = TempDir::new().unwrap();
    let deploy = folder.path().join("deploy");
    fs::create_dir_all(deploy.join("inner")).unwrap();
    fs::write(deploy.join("b.yaml"), DEPLOYMENT).unwrap();
    fs::write(deploy.join("a.yml"), SERVICE.trim_end()).unwrap();
    fs::write(deploy.join("c.json"), object("v1", "Pod", &[])).unwrap();
    fs::write(deploy.join("README.md"), "not [yaml").unwrap();
    fs::write(deploy.join("inner/d.yaml"), "not: [yaml").unwrap();
    let ran = inject_in(folder.path(), &["-f", "deploy", "-f", "deploy/a.yml"], "").ok();
    let kinds: Vec<Value> = ran
        .documents()
        .iter()
        .map(|one| one["kind"].clone())
        .collect();
    assert_eq!(kinds, ["Service", "Deployment", "Pod", "Service"]);
}

#[test]
fn nothing_is_printed_where_one_is_refused() {
    let wrong = DEPLOYMENT.replace(
        "      labels:",
        "      annotations: { mllp-bridge.io/app-prot: \"1\", mllp-bridge.io/log-level: loud }\n      labels:",
    );
    let ran = inject(&["-f", "-"], &format!("{SERVICE}---\n{wrong}"));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert_eq!(
        ran.err.lines().collect::<Vec<_>>(),
        [
            "standard input: Deployment default/desk: mllp-bridge.io/app-prot: unknown annotation, did you mean app-port?",
            "standard input: Deployment default/desk: mllp-bridge.io/log-level: \"loud\": unknown value, expected one of \
             error, warn, info, debug, trace",
        ]
    );
    let told = inject(&["-f", "-", "--explain", "--output", "json"], &wrong);
    assert_eq!(told.code, Some(1));
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(told[0]["result"], "denied");
    assert_eq!(told[0]["errors"][0]["field"], "mllp-bridge.io/app-prot");
}

#[test]
fn explain_says_what_and_why() {
    let text = format!(
        "{SERVICE}---\n{DEPLOYMENT}---\n{}",
        object("v1", "Pod", &[]).replace("\"true\"", "\"false\"")
    );
    let ran = inject(&["-f", "-", "--explain", "--namespace", "lab"], &text).ok();
    assert_eq!(
        ran.out.lines().collect::<Vec<_>>(),
        [
            "standard input: Service desk: stays as it is: not a kind that has pods",
            "standard input: Deployment lab/desk: gets its sidecar",
            "    adds /spec/initContainers",
            "    adds /spec/volumes",
            "    adds /metadata/annotations",
            "standard input: Pod lab/desk: stays as it is: its label mllp-bridge.io/inject is false",
        ]
    );
    let ran = inject(&["-f", "-", "--explain", "--output", "json"], &text).ok();
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(told[1]["result"], "patched");
    assert_eq!(told[1]["patch"][0]["path"], "/spec/initContainers");
    assert_eq!(told[2]["result"], "skipped");
}

#[test]
fn diff_shows_only_what_is_added() {
    let ran = inject(&["-f", "-", "--diff"], DEPLOYMENT).ok();
    assert!(
        ran.out
            .starts_with("--- a/standard input\n+++ b/standard input\n@@ "),
        "{}",
        ran.out
    );
    let gone = ran.out.lines().skip(2).filter(|line| line.starts_with('-'));
    assert_eq!(gone.count(), 0, "{}", ran.out);
    assert!(
        ran.out.contains("+        - name: mllp-bridge\n"),
        "{}",
        ran.out
    );
    assert_eq!(inject(&["-f", "-", "--diff"], SERVICE).ok().out, "");
}

#[test]
fn namespaces_are_listened_to() {
    let pod = object("v1", "Pod", &[]).replace("mllp-bridge.io/inject", "other");
    let explain = |args: &[&str], text: &str| {
        let args = [&["-f", "-", "--explain"], args].concat();
        inject(&args, text).ok().out
    };
    assert!(explain(&[], &pod).contains("neither it nor its namespace has the label"));
    let label = ["--namespace-label", "mllp-bridge.io/inject=true"];
    assert!(explain(&label, &pod).contains("gets its sidecar"));
    let namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: lab\n  labels: {mllp-bridge.io/inject: \"true\"}\n";
    assert!(
        explain(&["-n", "lab"], &format!("{pod}{namespace}"))
            .contains("Pod lab/desk: gets its sidecar")
    );
    let excluded = explain(&["-n", "kube-system"], &object("v1", "Pod", &[]));
    assert!(
        excluded.contains("the namespace kube-system is excluded"),
        "{excluded}"
    );
}

#[test]
fn the_injectors_file_gives_the_defaults_and_its_errors_are_64() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("app.yaml"), DEPLOYMENT).unwrap();
    fs::write(
        folder.path().join("injector.yaml"),
        "sidecar:\n  image: registry.example/bridge:3\n  defaults: { log-format: json }\n",
    )
    .unwrap();
    let ran = inject_in(
        folder.path(),
        &["-f", "app.yaml", "--config", "injector.yaml"],
        "",
    )
    .ok();
    assert!(
        ran.out.contains("image: registry.example/bridge:3\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("- name: MLLP_BRIDGE_LOG__FORMAT\n"),
        "{}",
        ran.out
    );
    fs::write(
        folder.path().join("injector.yaml"),
        "sidecar: { imgae: x }\nlgo: {}\n",
    )
    .unwrap();
    let ran = inject_in(
        folder.path(),
        &["-f", "app.yaml", "--config", "injector.yaml"],
        "",
    );
    assert_eq!((ran.code, ran.out.as_str()), (Some(64), ""));
    assert_eq!(ran.err.lines().count(), 2, "{}", ran.err);
}

#[test]
fn warnings_do_not_get_into_the_manifests() {
    let text = DEPLOYMENT.replace(
        "      labels:",
        "      annotations: { mllp-bridge.io/drain-deadline: 10s }\n      labels:",
    );
    let ran = inject(&["-f", "-"], &text);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.err
            .contains("warning: mllp-bridge.io/ack-deadline, 25s, is longer"),
        "{}",
        ran.err
    );
    assert_eq!(ran.documents().len(), 1);
}

#[test]
fn a_document_that_is_written_anew_says_so() {
    let text = "apiVersion: v1\nkind: Pod\nx-spec: &spec { containers: [] }\nmetadata: { labels: { mllp-bridge.io/inject: \"true\" } }\nspec: *spec # gone\n";
    let ran = inject(&["-f", "-"], text);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.err.contains("written anew, without comments"),
        "{}",
        ran.err
    );
    assert_eq!(
        ran.documents()[0]["spec"]["initContainers"][0]["name"],
        "mllp-bridge"
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    for (args, input, code, told) in [
        (vec!["-f", "-"], "a: [\n", 1, "standard input:1:"),
        (
            vec!["-f", "-"],
            "a: b\n---\n{{ .Values.x }}: [\n",
            1,
            "standard input:3:",
        ),
        (vec!["-f", "gone.yaml"], "", 1, "gone.yaml"),
        (vec!["-f", "."], "", 1, "no .yaml, .yml or .json files"),
        (vec![], "", 2, "--filename"),
        (vec!["-f", "-", "--output", "json"], "", 2, "--explain"),
        (
            vec!["-f", "-", "--namespace-label", "x"],
            "",
            2,
            "KEY=VALUE",
        ),
    ] {
        let ran = inject(&args, input);
        assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{args:?}");
        assert!(ran.err.contains(told), "{args:?}: {}", ran.err);
    }
}
