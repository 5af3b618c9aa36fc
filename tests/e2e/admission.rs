//! The webhook and the policy at the API server: what they refuse and in which words, what they may do themselves, and what
//! happens while certificates change and replicas go.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{Cluster, Needs, eventually, root};
use crate::namespace::Namespace;
use crate::pods;
use crate::pressure::Pressure;
use crate::release::{INJECTOR, Release, admitted, labelled_deployment, labelled_pod, sidecar_of};

fn example(cluster: Cluster) -> Value {
    pods::python(cluster, "app", &["app.py", "8080"])
}

#[test]
fn wrong_annotations_are_refused_on_the_deployment_and_on_the_pod_with_every_error() {
    let Some(cluster) = Cluster::get(Needs::Api) else {
        return;
    };
    let _release = Release::install(cluster);
    let namespace = Namespace::new(cluster, "refused");
    let wrong = json!({
        "mllp-bridge.io/app-prot": "8080", "mllp-bridge.io/mllp-port": "99999", "mllp-bridge.io/ack-deadline": "soon",
        "mllp-bridge.io/format": "xml",
    });
    let names: Vec<&String> = wrong.as_object().expect("an object").keys().collect();
    let all_named = |refusal: &str| names.iter().all(|name| refusal.contains(name.as_str()));

    // The policy's variables are compiled some time after the policy is there.
    let deployment = labelled_deployment("wrong", 1, &wrong, &[example(cluster)]);
    let refusal = eventually("the Deployment is refused", || {
        match cluster.try_apply(&namespace.name, std::slice::from_ref(&deployment)) {
            Ok(_) => {
                namespace.kubectl(&["delete", "deployment", "wrong"]);
                Err("it was taken".to_owned())
            }
            Err(refusal) => Ok(refusal),
        }
    });
    assert!(
        refusal.contains("ValidatingAdmissionPolicy") && all_named(&refusal),
        "{refusal}"
    );

    let refusal = admitted(
        &namespace,
        &labelled_pod("wrong", &wrong, &[example(cluster)]),
    );
    let refusal = refusal.expect_err("the pod is refused");
    assert!(
        refusal.contains("inject.mllp-bridge.io") && all_named(&refusal),
        "{refusal}"
    );
    assert!(
        refusal.contains("app-port"),
        "nothing is proposed for app-prot: {refusal}"
    );

    // What is right is not in the way.
    namespace.apply(&[labelled_deployment(
        "right",
        1,
        &json!({ "mllp-bridge.io/app-path": "/hl7" }),
        &[example(cluster)],
    )]);
    namespace.rolled_out("right");
}

#[test]
fn neither_injector_nor_sidecar_may_do_more_than_is_documented() {
    let Some(cluster) = Cluster::get(Needs::Api) else {
        return;
    };
    let release = Release::install(cluster);
    let namespace = Namespace::new(cluster, "rights");
    // As the injector's account, beyond what every account may.
    let list = |account: &str| -> Vec<String> {
        let account = format!(
            "--as=system:serviceaccount:{}:{account}",
            release.namespace.name
        );
        let groups = [
            "--as-group=system:serviceaccounts",
            "--as-group=system:authenticated",
        ];
        let mut arguments = vec!["auth", "can-i", "--list", "--no-headers", &account];
        arguments.extend(groups);
        let list = release.namespace.kubectl(&arguments);
        list.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    };
    let nobody = list("nobody");
    let mut more: Vec<String> = list(INJECTOR)
        .into_iter()
        .filter(|line| !nobody.contains(line))
        .collect();
    more.sort();
    let documented = [
        format!("leases.coordination.k8s.io [] [{INJECTOR}] [get create update patch]"),
        format!(
            "mutatingwebhookconfigurations.admissionregistration.k8s.io [] [{INJECTOR}] [get list watch patch]"
        ),
        format!("secrets [] [{INJECTOR}-ca] [get create update patch]"),
    ];
    assert_eq!(more, documented);
    let page = std::fs::read_to_string(root().join("docs/install.md")).expect("the page");
    for row in [
        "| Secret `mllp-bridge-injector-ca` | get, create, update, patch |",
        "| Lease `mllp-bridge-injector` | get, create, update, patch |",
        "| MutatingWebhookConfiguration `mllp-bridge-injector` | get, list, watch, patch |",
    ] {
        assert!(page.contains(row), "docs/install.md does not say {row}");
    }

    // The app wants its token; the sidecar must not have it.
    let mut pod = labelled_pod("hl7", &json!({}), &[example(cluster)]);
    pod["spec"]["automountServiceAccountToken"] = json!(true);
    namespace.apply(&[pod]);
    namespace.wait_for("condition=Ready", "pod/hl7");
    let pod = namespace.get("pod", "hl7");
    let mounts = |container: &Value| container["volumeMounts"].to_string();
    assert!(
        mounts(&pod["spec"]["containers"][0]).contains("kube-api-access"),
        "the app has none: {pod}"
    );
    let sidecar = sidecar_of(&pod).unwrap_or_else(|| panic!("no sidecar: {pod}"));
    let readable = namespace.try_kubectl(&[
        "exec",
        "hl7",
        "-c",
        "mllp-bridge",
        "--",
        "/mllp-bridge",
        "check",
        "--config",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
    ]);
    let error = readable.expect_err("a token is no configuration");
    assert!(
        !mounts(sidecar).contains("kube-api-access") && error.contains("no such file"),
        "the sidecar has a token: {sidecar}\n{error}"
    );
}

#[test]
fn while_the_webhook_is_down_only_labelled_pods_wait() {
    let Some(cluster) = Cluster::get(Needs::Api) else {
        return;
    };
    let release = Release::install(cluster);
    let namespace = Namespace::new(cluster, "down");
    release
        .namespace
        .kubectl(&["scale", "deployment", INJECTOR, "--replicas=0"]);
    eventually("the webhook's end", || match release.pods().len() {
        0 => Ok(()),
        some => Err(format!("{some} pods")),
    });
    namespace.apply(&[labelled_deployment(
        "labelled",
        1,
        &json!({}),
        &[example(cluster)],
    )]);
    namespace.apply(&[pods::deployment(
        "plain",
        1,
        &pods::spec(&[], &[example(cluster)]),
    )]);
    namespace.rolled_out("plain");
    let reason = eventually("the reason why it waits", || {
        let deployment = namespace
            .get("replicasets", "--selector=app=labelled")
            .to_string();
        if deployment.contains("failed calling webhook") {
            Ok(deployment)
        } else {
            Err(deployment)
        }
    });
    assert!(reason.contains("inject.mllp-bridge.io"), "{reason}");
    assert!(
        namespace.list("pods", "app=labelled").is_empty(),
        "a labelled pod has started bare"
    );

    release
        .namespace
        .kubectl(&["scale", "deployment", INJECTOR, "--replicas=2"]);
    release.namespace.rolled_out(INJECTOR);
    namespace.rolled_out("labelled");
    let pods = namespace.list("pods", "app=labelled");
    assert!(sidecar_of(&pods[0]).is_some(), "{pods:?}");
}

#[test]
fn certificates_change_and_replicas_restart_without_a_refused_pod_and_a_killed_leader_is_replaced()
{
    let Some(cluster) = Cluster::get(Needs::Api) else {
        return;
    };
    let release = Release::prepare(cluster, "helm4");
    release.helm(
        &["install"],
        &[
            "certificates.leafValidity=15s",
            "certificates.caValidity=60s",
            "certificates.checkInterval=1s",
        ],
    );
    let namespace = Namespace::new(cluster, "rotation");
    let pod = labelled_pod("dry", &json!({}), &[example(cluster)]);

    // A CA lives for a minute, so the next one comes within it.
    let before = release
        .metric("mllp_bridge_injector_rotations_total", "what=\"ca\"")
        .expect("metrics");
    let pressure = Pressure::start(&namespace, &pod);
    eventually("another CA", || {
        let now = release.metric("mllp_bridge_injector_rotations_total", "what=\"ca\"")?;
        if now >= before + 1.0 {
            Ok(())
        } else {
            Err(format!("{now} rotations after {before}"))
        }
    });
    thread::sleep(Duration::from_secs(30)); // until the last leaf of the old one has expired
    let rotated = pressure.stop();
    assert!(
        rotated.refused.is_empty() && rotated.bare == 0,
        "while certificates changed: {rotated:?}"
    );

    let pressure = Pressure::start(&namespace, &pod);
    release
        .namespace
        .kubectl(&["rollout", "restart", &format!("deployment/{INJECTOR}")]);
    release.namespace.rolled_out(INJECTOR);
    eventually("the end of the old replicas", || {
        let all = release
            .namespace
            .list("pods", "app.kubernetes.io/component=injector");
        if all.len() == 2 {
            Ok(())
        } else {
            Err(format!("{} pods", all.len()))
        }
    });
    let restarted = pressure.stop();
    assert!(
        restarted.refused.is_empty() && restarted.bare == 0,
        "while replicas restarted: {restarted:?}"
    );

    // Without a word: a pod can be refused until the API server no longer asks the dead one.
    let leader = release.leader();
    let pressure = Pressure::start(&namespace, &pod);
    let name = leader.split('_').next().expect("a name").to_owned();
    release
        .namespace
        .kubectl(&["delete", "pod", &name, "--grace-period=0", "--force"]);
    eventually("another leader", || {
        let now = release.leader();
        if now == leader { Err(now) } else { Ok(()) }
    });
    release.namespace.rolled_out(INJECTOR);
    let killed = pressure.stop();
    assert_eq!(killed.bare, 0, "{killed:?}");
    println!(
        "admissions while a CA and its leaves changed: {} admitted, 0 refused, longest gap {:.0} ms; while both replicas \
         restarted: {}, 0, {:.0} ms; while the leader was killed: {}, {} refused, {:.0} ms",
        rotated.admitted,
        rotated.gap * 1e3,
        restarted.admitted,
        restarted.gap * 1e3,
        killed.admitted,
        killed.refused.len(),
        killed.gap * 1e3
    );
    let bundle = cluster.get_json(&["mutatingwebhookconfiguration", INJECTOR]);
    assert!(
        bundle["webhooks"][0]["clientConfig"]["caBundle"].is_string(),
        "{bundle}"
    );
}
