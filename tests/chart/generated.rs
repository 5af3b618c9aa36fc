//! What is made from the chart and kept beside it: its README, the part of its schema that is the configuration's, the
//! manifests. These tests fail where a kept file is not what would be made now, and write it where `UPDATE_DOCS=1` is set
//! (`make manifests`).

use std::fs;

use serde_json::{Value, json};

use crate::helm::{CHART, parse, read, root, run, template, tool};
use crate::objects::{kind, list, name, only, title};
use crate::readme;

const MONITORING: &str = "monitoring: { podMonitor: { enabled: true }, serviceMonitor: { enabled: true }, \
    rules: { enabled: true }, dashboards: { enabled: true } }";

fn compare(path: &str, made: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(&file, made).unwrap_or_else(|error| panic!("{path}: {error}"));
        return;
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let same = kept
        .lines()
        .zip(made.lines())
        .take_while(|(a, b)| a == b)
        .count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(nothing)").to_owned();
    assert!(
        kept == made,
        "{path} is not what would be made; run `make manifests` and commit the result.\nfirst difference, line {}:\n  \
         kept: {}\n  made: {}",
        same + 1,
        line(&kept),
        line(made)
    );
}

/// What helm 4 renders, without the tests, and without the labels that would say that helm owns it.
fn plain(values: &str, keep: impl Fn(&str) -> bool) -> Option<String> {
    let helm = tool("helm4")?;
    let text =
        template(&helm, values, &["--skip-tests", "--kube-version", "1.33.0"]).expect("rendered");
    let documents = text
        .split("\n---\n")
        .map(|one| one.trim_start_matches("---\n").trim());
    let documents: Vec<String> = documents
        .filter(|one| !one.is_empty() && keep(one))
        .map(|one| {
            let lines = one.lines().filter(|line| {
                let line = line.trim_start();
                !line.starts_with("helm.sh/chart:")
                    && !line.starts_with("app.kubernetes.io/managed-by:")
            });
            lines.map(str::trim_end).collect::<Vec<_>>().join("\n")
        })
        .collect();
    Some(documents.join("\n---\n") + "\n")
}

const NOTE: &str = "# Generated from charts/mllp-bridge by `make manifests`.\n";

fn of_monitoring(document: &str) -> bool {
    document.contains("app.kubernetes.io/component: monitoring\n")
}

#[test]
fn generated_readme() {
    compare(&format!("{CHART}/README.md"), &readme::page());
}

/// The gateway's settings are the bridge's, so their schema is taken over from it.
#[test]
fn generated_schema() {
    let path = format!("{CHART}/values.schema.json");
    let mut schema: Value = serde_json::from_str(&read(&path)).expect("JSON");
    let bridge: Value = serde_json::from_str(&read("docs/config.schema.json")).expect("JSON");
    for (key, definition) in bridge["$defs"].as_object().expect("definitions") {
        schema["$defs"][key] = definition.clone();
    }
    schema["properties"]["gateway"]["properties"]["settings"]["properties"]["threads"] =
        bridge["properties"]["threads"].clone();
    compare(
        &path,
        &(serde_json::to_string_pretty(&schema).expect("JSON") + "\n"),
    );
}

#[test]
fn generated_install() {
    if let Some(text) = plain("", |_| true) {
        compare("manifests/injector/install.yaml", &format!("{NOTE}{text}"));
    }
}

#[test]
fn generated_monitoring() {
    if let Some(text) = plain(MONITORING, of_monitoring) {
        compare(
            "manifests/monitoring/monitoring.yaml",
            &format!("{NOTE}{text}"),
        );
        let rule = parse(&text);
        let groups = json!({ "groups": only(&rule, "PrometheusRule")["spec"]["groups"] });
        // JSON is YAML, and needs no writer for it.
        let rules = serde_json::to_string_pretty(&groups).expect("JSON");
        compare(
            "manifests/prometheus/rules.yaml",
            &format!("{NOTE}{rules}\n"),
        );
    }
}

#[test]
fn generated_app() {
    let app = read("examples/python/app.py");
    for folder in ["example-app", "example-sidecar"] {
        compare(&format!("manifests/{folder}/app.py"), &app);
    }
}

/// What `kubectl apply -k` would apply.
fn kustomized(folder: &str) -> Option<Vec<Value>> {
    let kubectl = tool("kubectl")?;
    let output = run(&kubectl, &["kustomize", folder]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{folder}: {said}");
    assert!(!said.contains("deprecated"), "{said}");
    Some(parse(&String::from_utf8(output.stdout).expect("UTF-8")))
}

/// An object as helm renders it, without the labels that only helm sets.
fn without_helm(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            map.remove("helm.sh/chart");
            map.remove("app.kubernetes.io/managed-by");
            for one in map.values_mut() {
                *one = without_helm(one.take());
            }
        }
        Value::Array(all) => {
            for one in all {
                *one = without_helm(one.take());
            }
        }
        _ => {}
    }
    value
}

#[test]
fn kustomize_applies_what_helm_installs() {
    let Some(helm) = tool("helm3") else { return };
    for (folder, values, monitoring) in [
        ("manifests/injector", "", false),
        ("manifests/monitoring", MONITORING, true),
    ] {
        let Some(applied) = kustomized(folder) else {
            return;
        };
        let text = template(&helm, values, &["--skip-tests", "--kube-version", "1.33.0"])
            .expect("rendered");
        let is_wanted = |one: &Value| {
            let component = one.pointer("/metadata/labels/app.kubernetes.io~1component");
            !monitoring || component == Some(&json!("monitoring"))
        };
        let installed = parse(&text).into_iter().filter(is_wanted).map(without_helm);
        let mut installed: Vec<_> = installed.collect();
        let mut applied: Vec<_> = applied
            .into_iter()
            .filter(|one| kind(one) != "Namespace")
            .collect();
        installed.sort_by_key(title);
        applied.sort_by_key(title);
        assert!(installed.len() > 3);
        assert_eq!(applied, installed, "{folder}");
    }
}

#[test]
fn the_examples_are_what_the_injector_and_the_pages_say() {
    for (folder, by_hand) in [
        ("manifests/example-app", false),
        ("manifests/example-sidecar", true),
    ] {
        let Some(all) = kustomized(folder) else {
            return;
        };
        let deployment = only(&all, "Deployment");
        let pod = &deployment["spec"]["template"];
        let label = pod.pointer("/metadata/labels/mllp-bridge.io~1inject");
        assert_eq!(label.is_some(), !by_hand, "{folder}");
        let map = only(&all, "ConfigMap");
        assert!(
            name(map).starts_with("hl7-app-"),
            "a hash, so that a changed app restarts the pods"
        );
        let sidecars = list(pod, "/spec/initContainers");
        assert_eq!(sidecars.len(), usize::from(by_hand), "{folder}");
        for sidecar in sidecars {
            assert_eq!(sidecar["name"], "mllp-bridge");
            assert_eq!(sidecar["restartPolicy"], "Always");
            assert_eq!(sidecar["startupProbe"]["httpGet"]["path"], "/livez");
            assert_eq!(
                sidecar["lifecycle"]["preStop"]["exec"]["command"],
                json!(["/mllp-bridge", "drain"])
            );
        }
        assert_eq!(
            pod["spec"]["automountServiceAccountToken"],
            json!(false),
            "{folder}"
        );
    }
}
