//! The alerts: what promtool says of them, what fires when, and that each is explained.

use serde_json::Value;

use crate::helm::{helms, objects, parse, read, run, tool};
use crate::objects::{list, only, text};
use crate::promql;

const RULES: &str = "manifests/prometheus/rules.yaml";

fn alerts() -> Vec<Value> {
    let file = parse(&read(RULES)).remove(0);
    let groups = list(&file, "/groups").iter();
    groups
        .flat_map(|group| list(group, "/rules").to_vec())
        .collect()
}

#[test]
fn promtool_takes_them_and_they_fire_when_they_should() {
    let Some(promtool) = tool("promtool") else {
        return;
    };
    for args in [
        ["check", "rules", RULES],
        ["test", "rules", "tests/chart/alerts.yaml"],
    ] {
        let output = run(&promtool, &args);
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&said)
        );
    }
}

#[test]
fn every_alert_is_tested_and_explained() {
    let (tests, page) = (read("tests/chart/alerts.yaml"), read("docs/monitoring.md"));
    let all = alerts();
    assert!(all.len() > 12, "only {}", all.len());
    for alert in all {
        let name = text(&alert, "/alert");
        assert!(
            tests.contains(&format!("alertname: {name}\n")),
            "{name} has no test"
        );
        assert!(
            page.contains(&format!("`{name}`")),
            "{name} is not in docs/monitoring.md"
        );
        assert!(
            ["info", "warning", "critical"].contains(&text(&alert, "/labels/severity")),
            "{name}"
        );
        assert!(!text(&alert, "/annotations/summary").is_empty(), "{name}");
    }
}

#[test]
fn they_ask_for_what_there_is() {
    let known = promql::known();
    for alert in alerts() {
        assert_eq!(promql::fault(text(&alert, "/expr"), &known), None);
    }
}

#[test]
fn thresholds_labels_and_omissions_are_values() {
    for helm in helms() {
        let all = objects(
            &helm,
            "monitoring: { rules: { enabled: true, silentSeconds: 60, nakRatio: 0.5, slowSeconds: 2.5, labels: { team: a }, \
             disabled: [MllpBridgeAppAway] } }",
        );
        let rule = only(&all, "PrometheusRule");
        let mine: Vec<_> = list(rule, "/spec/groups")
            .iter()
            .flat_map(|group| list(group, "/rules"))
            .collect();
        let find = |name: &str| mine.iter().find(|one| one["alert"] == name);
        assert!(text(find("MllpBridgeSilent").expect("there"), "/expr").contains("> 60\n"));
        assert!(text(find("MllpBridgeNaks").expect("there"), "/expr").ends_with("> 0.5"));
        assert!(text(find("MllpBridgeSlow").expect("there"), "/expr").ends_with("> 2.5"));
        assert!(find("MllpBridgeAppAway").is_none());
        assert!(mine.iter().all(|one| one["labels"]["team"] == "a"));

        let gateway = "mode: gateway\ngateway: { listeners: [{ name: a, port: 2575, url: 'http://a' }] }\nmonitoring: { rules: { enabled: true } }";
        let all = objects(&helm, gateway);
        let groups = list(only(&all, "PrometheusRule"), "/spec/groups");
        assert_eq!(groups.len(), 1, "no injector, no alerts on it");
    }
}
