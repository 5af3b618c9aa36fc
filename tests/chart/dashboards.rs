//! Grafana's dashboards, against its model as far as one can without Grafana.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::helm::{CHART, helms, objects, root, run, tool};
use crate::objects::{list, of_kind, text};
use crate::promql;

fn dashboards() -> Vec<(String, Value)> {
    let folder = root().join(CHART).join("dashboards");
    let mut all: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let text = fs::read_to_string(&path).expect("UTF-8");
            let name = path.file_stem().expect("a name").display().to_string();
            (name, serde_json::from_str(&text).expect("JSON"))
        })
        .collect();
    all.sort_by(|one: &(String, Value), other| one.0.cmp(&other.0));
    all
}

/// What is wrong with a dashboard.
fn faults(dashboard: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut say = |fault: String| faults.push(fault);
    for key in ["uid", "title", "description"] {
        if text(dashboard, &format!("/{key}")).is_empty() {
            say(format!("no {key}"));
        }
    }
    if dashboard.get("id").is_some() {
        say("an id of somebody's database".into());
    }
    if dashboard["schemaVersion"]
        .as_u64()
        .is_none_or(|version| version < 36)
    {
        say("schemaVersion".into());
    }
    let variables: BTreeSet<_> = list(dashboard, "/templating/list")
        .iter()
        .map(|variable| text(variable, "/name"))
        .collect();
    if !variables.contains("datasource") {
        say("no variable for the data source".into());
    }
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    let panels = list(dashboard, "/panels");
    let mut ids = BTreeSet::new();
    let mut taken: Vec<(String, [u64; 4])> = Vec::new();
    for panel in panels {
        let title = text(panel, "/title").to_owned();
        if !panel["id"].as_u64().is_some_and(|id| ids.insert(id)) {
            say(format!("{title}: its id is missing, or another's"));
        }
        let position = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap_or(99));
        let [x, y, w, h] = position;
        if x + w > 24 || w == 0 || h == 0 {
            say(format!("{title}: outside of the grid"));
        }
        for (other, [ox, oy, ow, oh]) in &taken {
            if x < ox + ow && *ox < x + w && y < oy + oh && *oy < y + h {
                say(format!("{title}: over {other}"));
            }
        }
        taken.push((title.clone(), position));
        if text(panel, "/type") == "row" {
            continue;
        }
        if !["timeseries", "stat", "table"].contains(&text(panel, "/type")) {
            say(format!("{title}: type"));
        }
        if panel["datasource"] != source || text(panel, "/fieldConfig/defaults/unit").is_empty() {
            say(format!("{title}: data source or unit"));
        }
        let targets = list(panel, "/targets");
        let references: BTreeSet<_> = targets.iter().map(|one| text(one, "/refId")).collect();
        if targets.is_empty() || references.len() != targets.len() || references.contains("") {
            say(format!("{title}: targets"));
        }
        for target in targets {
            let expression = text(target, "/expr");
            if target["datasource"] != source {
                say(format!("{title}: a target's data source"));
            }
            for variable in expression.split('$').skip(1) {
                let name = variable
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap_or_default();
                if name != "__rate_interval" && !variables.contains(name) {
                    say(format!("{title}: ${name}"));
                }
            }
        }
    }
    faults
}

/// Every query of a dashboard, with Grafana's variables filled in.
fn queries(dashboard: &Value) -> Vec<String> {
    let targets = list(dashboard, "/panels")
        .iter()
        .flat_map(|panel| list(panel, "/targets"));
    let mut all: Vec<String> = targets
        .map(|target| text(target, "/expr").to_owned())
        .collect();
    for variable in list(dashboard, "/templating/list") {
        let query = text(variable, "/definition");
        if let Some(rest) = query.strip_prefix("label_values(") {
            all.push(rest.rsplit_once(',').expect("a label").0.to_owned());
        }
    }
    for query in &mut all {
        for (variable, value) in [
            ("$__rate_interval", "5m"),
            ("$namespace", "n"),
            ("$listener", "l"),
            ("$pod", "p"),
        ] {
            *query = query.replace(variable, value);
        }
    }
    all
}

#[test]
fn they_are_well_formed() {
    let all = dashboards();
    let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["destinations", "listener", "overview", "pod"]);
    let uids: BTreeSet<_> = all.iter().map(|(_, one)| text(one, "/uid")).collect();
    assert_eq!(uids.len(), all.len());
    for (name, dashboard) in &all {
        assert_eq!(faults(dashboard), [""; 0], "{name}");
    }
}

#[test]
fn what_is_wrong_is_found() {
    let (_, mut dashboard) = dashboards().remove(0);
    dashboard["panels"][1]["id"] = dashboard["panels"][0]["id"].clone();
    dashboard["panels"][1]["gridPos"] = dashboard["panels"][0]["gridPos"].clone();
    dashboard["panels"][2]["targets"][0]["expr"] = json!("x{a=\"$colour\"}");
    let found = faults(&dashboard);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn every_query_asks_for_what_there_is() {
    let known = promql::known();
    for (name, dashboard) in dashboards() {
        let queries = queries(&dashboard);
        assert!(queries.len() > 10, "{name}");
        for query in queries {
            assert_eq!(promql::fault(&query, &known), None, "{name}");
        }
    }
}

/// promtool reads rules, so each query becomes one.
#[test]
fn every_query_is_promql() {
    let Some(promtool) = tool("promtool") else {
        return;
    };
    for (name, dashboard) in dashboards() {
        let rules: Vec<_> = queries(&dashboard)
            .iter()
            .enumerate()
            .map(|(number, query)| json!({ "record": format!("query_{number}"), "expr": query }))
            .collect();
        let file = tempfile::Builder::new()
            .suffix(".json")
            .tempfile()
            .expect("a file");
        let groups = json!({ "groups": [{ "name": name, "rules": rules }] });
        fs::write(file.path(), groups.to_string()).expect("written");
        let output = run(
            &promtool,
            &["check", "rules", &file.path().display().to_string()],
        );
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
    }
}

#[test]
fn each_is_in_a_config_map_as_it_is() {
    for helm in helms() {
        let all = objects(&helm, "monitoring: { dashboards: { enabled: true } }");
        let maps = of_kind(&all, "ConfigMap");
        for (name, dashboard) in dashboards() {
            let key = format!("/data/mllp-bridge-{name}.json");
            let map = maps
                .iter()
                .find(|map| map.pointer(&key).is_some())
                .expect("its ConfigMap");
            let kept: Value = serde_json::from_str(text(map, &key)).expect("JSON");
            assert_eq!(kept, dashboard);
            assert_eq!(text(map, "/metadata/labels/grafana_dashboard"), "1");
        }
    }
}
