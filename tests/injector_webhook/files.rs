//! Mode `files`: a directory as the kubelet mounts a Secret, with `..data` as a symlink that is swapped.

use std::os::unix::fs::symlink;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mllp_bridge::injector::certs::x509::{self, Authority};
use support::api_server::CONFIGURATION;
use support::tls_client::SERVER_NAME;
use tempfile::TempDir;

use super::*;

/// A CA outside the injector, such as cert-manager's.
struct Issuer(Authority);

impl Issuer {
    fn new() -> Self {
        Self(Authority::make(now(), now() + 3600).unwrap())
    }

    fn pem(&self) -> String {
        x509::pem([&self.0.certificate])
    }

    /// `tls.crt` and `tls.key`.
    fn issue(&self) -> (String, String) {
        let ca = rcgen::KeyPair::from_pem(self.0.key.pem()).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "mllp-bridge injector CA");
        let issuer = rcgen::Issuer::new(params, ca);
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new([SERVER_NAME.to_owned()]).unwrap();
        (
            params.signed_by(&key, &issuer).unwrap().pem(),
            key.serialize_pem(),
        )
    }
}

fn now() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

/// Puts these files in as the kubelet does: a new directory, and one rename.
fn mount(folder: &Path, generation: u32, files: &[(&str, &str)]) {
    let data = folder.join(format!("..{generation}"));
    std::fs::create_dir(&data).unwrap();
    for (name, text) in files {
        std::fs::write(data.join(name), text).unwrap();
        if !folder.join(name).exists() {
            let _ = symlink(Path::new("..data").join(name), folder.join(name));
        }
    }
    symlink(format!("..{generation}"), folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

fn files(folder: &TempDir, api: Option<&ApiServer>) -> String {
    let directory = folder.path().display();
    let rest =
        "sidecar: {image: 'example.com/mllp-bridge:0.1.0'}\nshutdown: {linger: 0s, deadline: 5s}\n";
    let compare = if api.is_some() {
        ", webhook_configuration: mllp-bridge-injector"
    } else {
        ""
    };
    let access = api.map(ApiServer::access).unwrap_or_default();
    format!(
        "webhook: {{bind: 127.0.0.1:0}}\nadmin: {{bind: 127.0.0.1:0}}\n\
         certificates: {{mode: files, directory: '{directory}', check_interval: 50ms{compare}}}\n{rest}{access}"
    )
}

#[test]
fn a_swapped_symlink_is_noticed_and_a_bad_pair_changes_nothing() {
    let (issuer, folder) = (Issuer::new(), TempDir::new().unwrap());
    let replica = Bridge::injector(&files(&folder, None), "a").start();
    wait_for_readiness(&replica, |status, body| {
        status == 503 && body.contains("tls.crt: No such file")
    });

    let first = issuer.issue();
    mount(
        folder.path(),
        1,
        &[("tls.crt", &first.0), ("tls.key", &first.1)],
    );
    wait_until_ready(&replica);
    let shown = || {
        TlsClient::connect(replica.address(), &issuer.pem())
            .unwrap()
            .certificate()
    };
    let served = shown();

    // The key of another certificate; then no certificate at all.
    let second = issuer.issue();
    let failures = || {
        replica.metric_sum(
            "mllp_bridge_injector_certificate_failures_total",
            &[("reason", "files")],
        )
    };
    let before = failures();
    mount(
        folder.path(),
        2,
        &[("tls.crt", &second.0), ("tls.key", &first.1)],
    );
    replica.wait_for_log("cannot use the mounted certificate");
    replica.wait_for_metric(
        "mllp_bridge_injector_certificate_failures_total",
        &[("reason", "files")],
        before + 1.0,
    );
    mount(
        folder.path(),
        3,
        &[("tls.crt", "nothing"), ("tls.key", &second.1)],
    );
    replica.wait_for_metric(
        "mllp_bridge_injector_certificate_failures_total",
        &[("reason", "files")],
        before + 2.0,
    );
    assert_eq!(shown(), served);
    assert_eq!(replica.get("/readyz").status, 200);

    mount(
        folder.path(),
        4,
        &[("tls.crt", &second.0), ("tls.key", &second.1)],
    );
    replica.wait_for_metric(
        "mllp_bridge_injector_rotations_total",
        &[("what", "leaf")],
        1.0,
    );
    assert_ne!(shown(), served);
    assert_eq!(failures(), before + 2.0, "each bad pair is counted once");
    replica.assert_not_logged("PRIVATE");
    replica.stop();
}

#[test]
fn the_live_bundle_is_compared_with_what_is_served() {
    let (api, issuer, folder) = (ApiServer::start(), Issuer::new(), TempDir::new().unwrap());
    let pair = issuer.issue();
    let ca = issuer.pem();
    mount(
        folder.path(),
        1,
        &[("tls.crt", &pair.0), ("tls.key", &pair.1), ("ca.crt", &ca)],
    );
    let replica = Bridge::injector(&files(&folder, Some(&api)), "a").start();
    wait_for_readiness(&replica, |status, body| {
        status == 503 && body.contains("does not trust what is served here")
    });
    assert_eq!(
        replica.metric_sum("mllp_bridge_injector_bundle_matches", &[]),
        0.0
    );
    let publish = |pem: &str| {
        api.edit(CONFIGURATION, |configuration| {
            for webhook in configuration["webhooks"].as_array_mut().unwrap() {
                webhook["clientConfig"]["caBundle"] = STANDARD.encode(pem).into();
            }
        });
    };
    publish(&ca);
    wait_until_ready(&replica);
    assert_eq!(
        replica.metric_sum("mllp_bridge_injector_bundle_matches", &[]),
        1.0
    );
    publish(&Issuer::new().pem());
    wait_for_readiness(&replica, |status, _| status == 503);
    let expiry = |certificate| {
        let labels = [("certificate", certificate)];
        replica.metric_sum(
            "mllp_bridge_injector_certificate_expiry_timestamp_seconds",
            &labels,
        )
    };
    assert!(
        expiry("ca") > now() as f64
            && expiry("bundle") > now() as f64
            && expiry("leaf") > now() as f64
    );
    let objects = api.lock();
    assert_eq!(
        objects.verbs.iter().collect::<Vec<_>>(),
        ["get mutatingwebhookconfigurations"]
    );
}

#[test]
fn without_a_private_ca_and_without_a_bundle_the_api_servers_own_trust_decides() {
    let (api, issuer, folder) = (ApiServer::start(), Issuer::new(), TempDir::new().unwrap());
    let pair = issuer.issue();
    mount(
        folder.path(),
        1,
        &[("tls.crt", &pair.0), ("tls.key", &pair.1)],
    );
    let replica = Bridge::injector(&files(&folder, Some(&api)), "a").start();
    wait_until_ready(&replica);
}

#[test]
fn a_comparison_that_is_not_allowed_holds_nothing_up() {
    let (api, issuer, folder) = (ApiServer::start(), Issuer::new(), TempDir::new().unwrap());
    api.refuse(CONFIGURATION, axum::http::StatusCode::FORBIDDEN);
    let pair = issuer.issue();
    mount(
        folder.path(),
        1,
        &[("tls.crt", &pair.0), ("tls.key", &pair.1)],
    );
    let replica = Bridge::injector(&files(&folder, Some(&api)), "a").start();
    wait_until_ready(&replica);
    replica.wait_for_log("cannot compare the live bundle");
}
