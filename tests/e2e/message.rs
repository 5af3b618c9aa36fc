//! One message, from the hospital's network to the app and back; what Prometheus sees of it; what a namespace that
//! enforces `restricted` lets in.

use serde_json::{Value, json};

use crate::cluster::{Cluster, Needs, eventually, run};
use crate::hospital::{Account, Hospital, Store};
use crate::namespace::Namespace;
use crate::pods;
use crate::prometheus::Prometheus;

#[test]
fn a_message_from_the_hospital_to_a_pods_own_address_is_taken_by_the_app_and_acknowledged() {
    let Some(cluster) = Cluster::get(Needs::Api) else {
        return;
    };
    let namespace = Namespace::new(cluster, "message");
    let store = Store::start(&namespace);
    let spec = pods::spec(
        &[pods::sidecar(cluster)],
        &[pods::recorder(cluster, &store.url)],
    );
    namespace.apply(&[pods::pod("hl7", &spec)]);
    let address = format!("{}:2575", namespace.address_of("hl7"));

    let report = Hospital::send(&namespace, &address, "M", 20);
    assert_eq!(report.answers.get("AA"), Some(&20), "{report:?}");
    assert!(report.breaks.is_empty(), "{report:?}");
    let records = store.records();
    let account = Account::of(&report, &records);
    assert_eq!(account.recognisable_duplicates, 0, "{account:?}");
    assert_eq!(records.len(), 20);
    assert!(
        records
            .iter()
            .all(|record| record.key.as_deref() == Some(record.id.as_str())),
        "{records:?}"
    );

    // What the pod says of itself, asked as a kubelet's neighbour would.
    let metrics = namespace.ask_pod("hl7", 9090, "/metrics").expect("metrics");
    assert!(
        metrics.contains("mllp_bridge_acks_total{code=\"AA\",listener=\"default\"} 20"),
        "{metrics}"
    );
}

#[test]
fn the_example_app_answers_the_projects_own_client_through_the_pods_address() {
    let Some(cluster) = Cluster::get(Needs::Node) else {
        return;
    };
    let namespace = Namespace::new(cluster, "example");
    let example = pods::python(cluster, "app", &["app.py", "8080"]);
    namespace.apply(&[pods::pod(
        "hl7",
        &pods::spec(&[pods::sidecar(cluster)], &[example]),
    )]);
    let address = format!("{}:2575", namespace.address_of("hl7"));
    let message = "MSH|^~\\&|REGADT|GENHOSP|BRIDGE|CLOUD|20261122101500||ADT^A01^ADT_A01|EX1|P|2.5.1\r\
                   PID|1||4711^^^GENHOSP^MR||MUSTER^ERIKA\r";
    let mut send = cluster.hospital(env!("CARGO_BIN_EXE_mllp-bridge"));
    send.args(["send", &address, "-", "--output", "json"]);
    let output = run(send, Some(message)).unwrap_or_else(|error| panic!("{error}"));
    assert!(output.contains("\"AA\""), "{output}");
    let log = namespace.kubectl(&["logs", "hl7", "--container", "app"]);
    assert!(log.contains("taken org.hl7.v2.ADT.A01 EX1"), "{log}");
}

#[test]
fn prometheus_finds_the_sidecar_by_itself_and_shows_the_messages() {
    let Some(cluster) = Cluster::get(Needs::Node) else {
        return;
    };
    let namespace = Namespace::new(cluster, "prometheus");
    let prometheus = Prometheus::start(cluster);
    let store = Store::start(&namespace);
    let spec = pods::spec(
        &[pods::sidecar(cluster)],
        &[pods::recorder(cluster, &store.url)],
    );
    namespace.apply(&[pods::pod("hl7", &spec)]);
    let address = format!("{}:2575", namespace.address_of("hl7"));
    let accepted = format!(
        "mllp_bridge_messages_total{{outcome=\"accepted\",pod=\"hl7\",namespace=\"{}\"}}",
        namespace.name
    );
    prometheus.shows(&accepted, 0.0);
    Hospital::send(&namespace, &address, "P", 7);
    prometheus.shows(&accepted, 7.0);
}

#[test]
fn restricted_is_enforced_and_the_sidecar_has_no_service_account_token() {
    let Some(cluster) = Cluster::get(Needs::Api) else {
        return;
    };
    let namespace = Namespace::new(cluster, "restricted");
    let example = || pods::python(cluster, "app", &["app.py", "8080"]);

    // The fence is up: without the fields on the sidecar the pod is refused, and the refusal names it.
    let mut bare = pods::sidecar(cluster);
    bare["securityContext"] = json!({});
    let refused = cluster.try_apply(
        &namespace.name,
        &[pods::pod("bare", &pods::spec(&[bare], &[example()]))],
    );
    let refusal = refused.expect_err("a pod without the fields is refused");
    assert!(
        refusal.contains("violates PodSecurity") && refusal.contains("mllp-bridge"),
        "{refusal}"
    );

    namespace.apply(&[pods::pod(
        "hl7",
        &pods::spec(&[pods::sidecar(cluster)], &[example()]),
    )]);
    namespace.wait_for("condition=Ready", "pod/hl7");
    let pod = namespace.get("pod", "hl7");
    let mounts = &pod["spec"]["initContainers"][0]["volumeMounts"];
    assert!(mounts.as_array().is_none_or(Vec::is_empty), "{mounts}");
}

#[test]
fn a_job_with_a_native_sidecar_completes() {
    let Some(cluster) = Cluster::get(Needs::Api) else {
        return;
    };
    let namespace = Namespace::new(cluster, "job");
    let mut spec = pods::spec(
        &[pods::sidecar(cluster)],
        &[pods::python(cluster, "work", &["-c", "print('worked')"])],
    );
    spec["restartPolicy"] = json!("Never");
    namespace.apply(&[json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "job" },
        "spec": { "backoffLimit": 0, "template": { "metadata": { "labels": { "app": "job" } }, "spec": spec } },
    })]);
    namespace.wait_for("condition=Complete", "job/job");
    let ended = eventually("the sidecar's end", || {
        let pods = namespace.list("pods", "app=job");
        let ended = &pods[0]["status"]["initContainerStatuses"][0]["state"]["terminated"];
        if ended.is_null() {
            Err(format!("{pods:?}"))
        } else {
            Ok(ended.clone())
        }
    });
    assert_eq!(ended["exitCode"], Value::from(0), "{ended}");
}
