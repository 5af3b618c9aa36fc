//! TLS towards a destination: who is trusted, who is not, and certificates that change.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;

use super::server::block;
use super::support::pki::{Authority, Leaf};
use super::*;

/// A server's side; with `clients` it wants a certificate from there.
fn server_config(leaf: &Leaf, clients: Option<&Authority>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

fn positive(message: &[u8]) -> server::Answer {
    Some(block(&ack("AA", &control_id(message))))
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// A bridge whose destination has this `tls`; files are in the folder.
fn bridge(server: &Server, folder: &Path, tls: &str) -> Bridge {
    let tls = tls.replace('@', &folder.display().to_string());
    Bridge::start(&format!(
        "listeners: [{{bind: '127.0.0.1:0'}}]\nlog: {{format: json}}\noutbound: {{bind: '127.0.0.1:0'}}\n\
         destinations:\n- {{name: ehr, address: '{}', connect: {{idle_timeout: 1ms, timeout: 3s, retry: {{initial: 1ms, max: 1ms}}}}, tls: {tls}}}\n",
        server.address
    ))
}

/// Whoever serves: configuration that can be changed.
fn serving(config: Arc<ServerConfig>) -> (Server, Arc<Mutex<Arc<ServerConfig>>>) {
    let config = Arc::new(Mutex::new(config));
    (Server::with(Some(Arc::clone(&config)), positive), config)
}

/// What a message gets whose destination cannot be reached: the first of two, since the second may be told of the wait only.
#[track_caller]
fn refusal(bridge: &Bridge) -> String {
    let api = api::address(bridge);
    let started = std::time::Instant::now();
    loop {
        let answer = post(api, &message("1", ""));
        answer.expect_problem(503, "unreachable", false);
        let detail = answer.body["detail"].as_str().unwrap().to_owned();
        if !detail.contains("tried again") {
            return detail;
        }
        assert!(
            started.elapsed() < support::PATIENCE,
            "never tried: {detail}"
        );
    }
}

#[test]
fn a_server_with_a_trusted_certificate_gets_the_message() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    write(folder.path(), "ca.pem", &authority.pem());
    let (server, _) = serving(server_config(&authority.leaf("127.0.0.1", 2090), None));
    let bridge = bridge(&server, folder.path(), "{ca_file: @/ca.pem}");
    let api = api::address(&bridge);
    for control_id in ["1", "2", "3"] {
        post(api, &message(control_id, "")).expect_code("AA");
    }
    assert_eq!(
        server.messages(),
        ["1", "2", "3"].map(|id| message(id, "").into_bytes())
    );
    bridge.stop();
}

#[test]
fn a_server_that_is_not_trusted_gets_nothing_and_the_error_names_who_can_mend_it() {
    let (authority, other) = (Authority::new(), Authority::named("another authority"));
    let (folder, namesake) = (TempDir::new().unwrap(), Authority::new());
    write(folder.path(), "ca.pem", &authority.pem());
    for (what, leaf, tls, expected) in [
        (
            "another authority",
            other.leaf("127.0.0.1", 2090),
            "{ca_file: @/ca.pem}",
            "not trusted here",
        ),
        (
            "an authority of the same name",
            namesake.leaf("127.0.0.1", 2090),
            "{ca_file: @/ca.pem}",
            "another key",
        ),
        (
            "another name",
            authority.leaf("elsewhere.example", 2090),
            "{ca_file: @/ca.pem}",
            "is for another name",
        ),
        (
            "expired",
            authority.leaf("127.0.0.1", 2021),
            "{ca_file: @/ca.pem}",
            "has expired",
        ),
        (
            "a name that it should have",
            authority.leaf("127.0.0.1", 2090),
            "{ca_file: @/ca.pem, server_name: ehr.example}",
            "is for another name",
        ),
    ] {
        let (server, _) = serving(server_config(&leaf, None));
        let bridge = bridge(&server, folder.path(), tls);
        let detail = refusal(&bridge);
        assert!(detail.contains(expected), "{what}: {detail}");
        assert!(server.messages().is_empty(), "{what}: it got a message");
        bridge.stop();
    }
}

#[test]
fn another_name_is_fine_where_it_is_configured() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    write(folder.path(), "ca.pem", &authority.pem());
    let (server, _) = serving(server_config(&authority.leaf("ehr.example", 2090), None));
    let bridge = bridge(
        &server,
        folder.path(),
        "{ca_file: @/ca.pem, server_name: ehr.example, min_version: '1.3'}",
    );
    post(api::address(&bridge), &message("1", "")).expect_code("AA");
    bridge.stop();
}

#[test]
fn with_mutual_tls_the_bridge_shows_its_certificate() {
    let [authority, clients, strangers] = ["servers", "clients", "strangers"].map(Authority::named);
    let folder = TempDir::new().unwrap();
    write(folder.path(), "ca.pem", &authority.pem());
    for (name, leaf) in [
        ("own", clients.leaf("bridge", 2090)),
        ("strange", strangers.leaf("bridge", 2090)),
    ] {
        write(folder.path(), &format!("{name}.pem"), &leaf.certificate);
        write(folder.path(), &format!("{name}.key"), &leaf.key);
    }
    let config = server_config(&authority.leaf("127.0.0.1", 2090), Some(&clients));
    let (server, _) = serving(Arc::clone(&config));
    let own = bridge(
        &server,
        folder.path(),
        "{ca_file: @/ca.pem, cert_file: @/own.pem, key_file: @/own.key}",
    );
    post(api::address(&own), &message("1", "")).expect_code("AA");
    own.stop();

    // TLS 1.3 lets the bridge send before it hears that it is not admitted: nobody has read that.
    let (server, _) = serving(config);
    for (tls, expected) in [
        ("{ca_file: @/ca.pem}", "wants a certificate of the bridge"),
        (
            "{ca_file: @/ca.pem, cert_file: @/strange.pem, key_file: @/strange.key}",
            "does not take the bridge's certificate",
        ),
    ] {
        let bridge = bridge(&server, folder.path(), tls);
        let detail = refusal(&bridge);
        assert!(detail.contains(expected), "{tls}: {detail}");
        bridge.stop();
    }
    assert!(server.messages().is_empty());
}

#[test]
fn tls_to_a_port_without_it_and_the_other_way_round() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    write(folder.path(), "ca.pem", &authority.pem());
    let plain = Server::start(positive);
    let with_tls = bridge(&plain, folder.path(), "{ca_file: @/ca.pem}");
    // The server waits for the end of a block that is none: nothing comes back.
    let detail = refusal(&with_tls);
    assert!(
        detail.contains("did not finish the TLS handshake"),
        "{detail}"
    );
    with_tls.stop();

    let (server, _) = serving(server_config(&authority.leaf("127.0.0.1", 2090), None));
    let bridge = Bridge::start(&format!(
        "listeners: [{{bind: '127.0.0.1:0'}}]\nlog: {{format: json}}\noutbound: {{bind: '127.0.0.1:0'}}\n\
         destinations: [{{name: ehr, address: '{}'}}]\n",
        server.address
    ));
    let answer = post(api::address(&bridge), &message("1", ""));
    assert_eq!(answer.status, 502, "{}", answer.body);
    assert!(server.messages().is_empty());
    bridge.stop();
}

#[test]
fn certificates_that_change_are_used_without_a_restart_and_broken_ones_are_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let folder = TempDir::new().unwrap();
    write(folder.path(), "ca.pem", &old.pem());
    let (server, config) = serving(server_config(&old.leaf("127.0.0.1", 2090), None));
    let bridge = bridge(&server, folder.path(), "{ca_file: @/ca.pem}");
    let api = api::address(&bridge);
    post(api, &message("1", "")).expect_code("AA");

    write(
        folder.path(),
        "ca.pem",
        "-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n",
    );
    bridge.wait_for_metric(
        "mllp_bridge_destination_connections_closed_total",
        &[("reason", "idle_timeout")],
        1.0,
    );
    post(api, &message("2", "")).expect_code("AA");
    bridge.wait_for_log("changed certificates are not used: those before stay in force");

    write(folder.path(), "ca.pem", &new.pem());
    *config.lock().unwrap() = server_config(&new.leaf("127.0.0.1", 2090), None);
    bridge.wait_for_metric(
        "mllp_bridge_destination_connections_closed_total",
        &[("reason", "idle_timeout")],
        2.0,
    );
    post(api, &message("3", "")).expect_code("AA");
    bridge.wait_for_log("certificates towards a destination were read again");
    assert_eq!(server.messages().len(), 3);
    bridge.stop();
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    write(folder.path(), "ca.pem", &authority.pem());
    write(folder.path(), "empty.pem", "");
    let [one, two] = ["bridge", "other"].map(|name| authority.leaf(name, 2090));
    write(folder.path(), "one.pem", &one.certificate);
    write(folder.path(), "two.key", &two.key);
    let (server, _) = serving(server_config(&one, None));
    for (tls, expected) in [
        ("{ca_file: @/missing.pem}", "missing.pem: No such file"),
        (
            "{ca_file: @/empty.pem}",
            "empty.pem cannot be used: it holds no certificate in PEM",
        ),
        (
            "{ca_file: @/ca.pem, cert_file: @/one.pem, key_file: @/two.key}",
            "one.pem and ",
        ),
        (
            "{ca_file: @/ca.pem, cert_file: @/one.pem, key_file: @/one.pem}",
            "it holds no private key in PEM",
        ),
    ] {
        let bridge = bridge(&server, folder.path(), tls);
        let detail = refusal(&bridge);
        assert!(detail.contains(expected), "{tls}: {detail}");
        bridge.stop();
    }
}

#[test]
fn send_and_check_speak_tls_as_well() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    write(folder.path(), "ca.pem", &authority.pem());
    write(folder.path(), "message.hl7", &message("1", ""));
    let (server, _) = serving(server_config(&authority.leaf("127.0.0.1", 2090), None));
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mllp-bridge"))
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), text.concat())
    };
    let address = server.address.to_string();
    let (code, text) = run(&["send", &address, "message.hl7", "--ca", "ca.pem"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&["send", &address, "message.hl7", "--tls"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("not trusted here"), "{text}");
    let (code, text) = run(&["send", &address, "message.hl7", "--ca", "missing.pem"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("missing.pem"), "{text}");

    let config = |tls: &str| {
        let config = format!(
            "listeners: [{{}}]\ndestinations: [{{name: ehr, address: '{address}', tls: {tls}}}]\n"
        );
        write(folder.path(), "bridge.yaml", &config);
        run(&["check", "--config", "bridge.yaml", "--connect"])
    };
    let (code, text) = config("{ca_file: ca.pem}");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("TLSv1_3"), "{text}");
    let (code, text) = config("{}");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("not trusted here"), "{text}");
    assert_eq!(server.messages().len(), 1, "check sends nothing");
}
