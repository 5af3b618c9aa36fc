//! Files in, files out.

use super::*;
use serde_json::json;

const CONTAINER: &str = "mllp-bridge.io/inject: \"true\"";

fn injected(text: &str) -> Injected {
    run(text, &Target::default(), &Settings::default())
        .unwrap_or_else(|why| panic!("{why}\n{text}"))
}

/// Lines that are not in the original, and lines that are gone.
fn difference(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
    let mut rest: Vec<&str> = before.lines().collect();
    let mut added = Vec::new();
    for line in after.lines() {
        match rest.iter().position(|other| *other == line) {
            Some(at) => {
                rest.remove(at);
            }
            None => added.push(line.to_owned()),
        }
    }
    (added, rest.into_iter().map(str::to_owned).collect())
}

const DEPLOYMENT: &str = "\
# The app of the admission desk.
apiVersion: apps/v1
kind: Deployment
metadata: {name: desk}   # short
spec:
  replicas: 2
  template:
    metadata:
      labels:
        app: 'desk'
        mllp-bridge.io/inject: \"true\"
    spec:
      containers:
        # the app
        - name: desk
          image: desk:1   # pinned
          env:
            - name: MOTTO
              value: |
                one

                two
            # no more variables

# the end
";

#[test]
fn what_is_there_stays_line_for_line() {
    let out = injected(DEPLOYMENT);
    assert!(!out.reports[0].rewritten);
    let (added, gone) = difference(DEPLOYMENT, &out.text);
    assert_eq!(gone, [""; 0]);
    assert!(
        added.iter().any(|line| line == "      initContainers:"),
        "{}",
        out.text
    );
    assert!(
        added
            .iter()
            .any(|line| line == "        - name: mllp-bridge"),
        "{}",
        out.text
    );
    assert!(out.text.ends_with("\n# the end\n"), "{}", out.text);
    assert!(out.text.starts_with("# The app of"), "{}", out.text);
    let again = injected(&out.text);
    assert_eq!(again.text, out.text);
    assert_eq!(
        again.reports[0].outcome,
        Outcome::Skip("already injected".into())
    );
}

#[test]
fn documents_that_are_not_touched_stay_byte_for_byte() {
    let other = "\n\n---\n# nothing\n---\r\nkind:   ConfigMap\r\ndata: {a: \"b\"}\n...\n--- # three\nkind: Pod\napiVersion: v1\n\n\n";
    assert_eq!(injected(other).text, other);
    let both = format!("{other}---\n{DEPLOYMENT}");
    let out = injected(&both).text;
    assert!(out.starts_with(other), "{out}");
    assert_ne!(out, both);
}

#[test]
fn every_way_to_write_it_can_be_edited() {
    for (name, text) in [
        ("flush lists", format!("apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    {CONTAINER}\nspec:\n  containers:\n  - name: app\n  initContainers:\n  - name: first\n  volumes:\n  - name: v\n    emptyDir: {{}}\n")),
        ("no last line feed", format!("apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {{{CONTAINER}}}\nspec:\n  containers: [{{name: app}}]")),
        ("empty and null collections", format!("apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:   # none\n  labels:\n    {CONTAINER}\nspec:\n  initContainers: []  # none yet\n  volumes: null\n  containers:\n    - name: app\n")),
        ("flow", format!("{{apiVersion: v1, kind: Pod, metadata: {{labels: {{{CONTAINER}}}, annotations: {{}}}}, spec: {{containers: [{{name: app}}], volumes: [{{name: v, emptyDir: {{}}}},]}}}}\n")),
        ("JSON", format!("{:#}\n", json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"mllp-bridge.io/inject": "true"}, "annotations": {"a": "b"}}, "spec": {"containers": [{"name": "app"}]}}))),
        ("JSON on one line", json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"mllp-bridge.io/inject": "true"}}, "spec": {"initContainers": [{"name": "first"}], "containers": []}}).to_string()),
        ("carriage returns", DEPLOYMENT.replace('\n', "\r\n")),
        ("quoted keys", format!("\"apiVersion\": v1\n'kind': Pod\nmetadata:\n  labels:\n    {CONTAINER}\n\"spec\":\n  'containers':\n    - name: app\n")),
        ("a stale status", format!("apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n    mllp-bridge.io/status: '{{}}'  # old\n    z: y\n  labels:\n    {CONTAINER}\nspec:\n  containers:\n    - name: app\n")),
        ("a kept block scalar at the end", format!("apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    {CONTAINER}\nspec:\n  containers:\n    - name: app\n      args:\n        - |-\n          a\n          b\n")),
        ("app containers that sleep", format!("apiVersion: v1\nkind: Pod\nmetadata:\n  annotations: {{mllp-bridge.io/app-prestop-sleep: 2s}}\n  labels:\n    {CONTAINER}\nspec:\n  containers:\n    - name: app\n    - name: two\n      lifecycle:\n        postStart: {{exec: {{command: [x]}}}}\n    - {{name: three, lifecycle: {{}}}}\n")),
        ("a list", format!("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    labels:\n      {CONTAINER}\n  spec:\n    containers:\n    - name: app\n- apiVersion: v1\n  kind: Pod\n  metadata: {{name: two, labels: {{{CONTAINER}}}}}\n  spec:\n    containers:\n    - name: app\n")),
    ] {
        let out = injected(&text);
        for report in &out.reports {
            let patched = matches!(report.outcome, Outcome::Patch { .. });
            assert!(patched && !report.rewritten, "{name}: {report:?}\n{}", out.text);
        }
        assert_eq!(injected(&out.text).text, out.text, "{name}");
        assert_eq!(out.text.contains("\r\n"), text.contains("\r\n"), "{name}");
    }
}

#[test]
fn what_stands_behind_an_alias_is_written_anew_and_said_so() {
    let text = format!(
        "apiVersion: v1\nkind: Pod\nx: &spec\n  containers:\n    - name: app # gone\nmetadata:\n  labels:\n    {CONTAINER}\nspec: *spec\n"
    );
    let out = injected(&text);
    assert!(out.reports[0].rewritten);
    let value = read(&out.text).unwrap();
    assert_eq!(value["spec"]["initContainers"][0]["name"], "mllp-bridge");
    assert_eq!(
        value["x"]["initContainers"],
        Value::Null,
        "the other use of it stays"
    );
}

#[test]
fn what_is_no_yaml_is_named_by_its_place() {
    let error = run(
        "a: b\n---\nb: [\n",
        &Target::default(),
        &Settings::default(),
    );
    let error = error.unwrap_err();
    assert!(
        error.starts_with("3:") || error.starts_with("4:"),
        "{error}"
    );
}

#[test]
fn a_namespace_among_the_documents_is_listened_to() {
    let pod =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: adt}\nspec: {containers: []}\n";
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: adt, labels: {mllp-bridge.io/inject: \"true\"}}\n";
    let mut target = Target::default();
    target.learn(&format!("{namespace}---\n{pod}"));
    let out = run(pod, &target, &Settings::default()).unwrap();
    assert!(matches!(out.reports[0].outcome, Outcome::Patch { .. }));
    assert_eq!(out.reports[0].namespace, "adt");
    assert!(matches!(injected(pod).reports[0].outcome, Outcome::Skip(_)));
}

#[test]
fn only_kinds_with_pods_are_looked_at() {
    for (version, kind, path) in [
        ("v1", "Pod", ""),
        ("apps/v1", "Deployment", "/spec/template"),
        ("apps/v1", "StatefulSet", "/spec/template"),
        ("apps/v1", "DaemonSet", "/spec/template"),
        ("apps/v1", "ReplicaSet", "/spec/template"),
        ("v1", "ReplicationController", "/spec/template"),
        ("batch/v1", "Job", "/spec/template"),
        ("batch/v1", "CronJob", "/spec/jobTemplate/spec/template"),
    ] {
        let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}});
        let mut pod = json!({"metadata": {"labels": {"mllp-bridge.io/inject": "true"}}, "spec": {"containers": []}});
        for step in path.rsplit('/').filter(|step| !step.is_empty()) {
            pod = json!({ step: pod });
        }
        for (key, value) in pod.as_object().unwrap() {
            object[key] = value.clone();
        }
        let out = injected(&object.to_string());
        let value = read(&out.text).unwrap();
        let sidecar = format!("{path}/spec/initContainers/0/name");
        assert_eq!(
            value.pointer(&sidecar),
            Some(&json!("mllp-bridge")),
            "{kind}"
        );
    }
    let other =
        json!({"apiVersion": "example.io/v1", "kind": "Deployment", "spec": {"template": {}}});
    assert!(
        matches!(&injected(&other.to_string()).reports[0].outcome, Outcome::Skip(why) if why == "not a kind that has pods")
    );
}

/// Any text is read or refused, and never breaks the editor.
mod any {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_is_read_or_refused(text in "[ \\-:#{}\\[\\],&*|>'\"a-z\n.%!~]{0,80}") {
            let _ = run(&text, &Target::default(), &Settings::default());
        }

        #[test]
        fn a_comment_anywhere_stays(line in 0_usize..20, indent in 0_usize..20) {
            let mut lines: Vec<String> = DEPLOYMENT.lines().map(str::to_owned).collect();
            lines.insert(line.min(lines.len()), format!("{}# a comment", " ".repeat(indent)));
            let text = lines.join("\n") + "\n";
            // It may have landed in the block scalar and broken it.
            if let Ok(out) = run(&text, &Target::default(), &Settings::default()) {
                prop_assert!(!out.reports[0].rewritten);
                prop_assert!(out.text.contains("# a comment"));
            }
        }
    }
}
