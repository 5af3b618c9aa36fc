//! TLS with OpenSSL on the other side: Python's server, of one version of TLS each, with and without certificates of clients.

use tempfile::TempDir;

use crate::peers::Peer;
use crate::servers::{MRN, Server, message};
use crate::support::api::{self, Client};
use crate::support::bridge::Bridge;
use crate::support::pki::{Authority, Leaf};

/// What the server is, what the destination has for `tls`, and what comes of a message: `AA`, or why not.
pub(crate) const CASES: [(&str, &str, &str); 8] = [
    ("TLS 1.2", "", "AA"),
    ("TLS 1.3", "", "AA"),
    ("TLS 1.3", "`min_version: \"1.3\"`", "AA"),
    ("TLS 1.2", "`min_version: \"1.3\"`", "there is no TLS"),
    (
        "TLS 1.2, wants a certificate",
        "`cert_file`, `key_file`",
        "AA",
    ),
    (
        "TLS 1.3, wants a certificate",
        "`cert_file`, `key_file`",
        "AA",
    ),
    ("TLS 1.2, wants a certificate", "", "there is no TLS"),
    ("TLS 1.3, wants a certificate", "", "the connection ends"),
];

/// The problem's status, and what its detail says. The server ends the connection without the alert that TLS has for it; in TLS 1.3 a client
/// without a certificate hears of that only behind its message.
pub(crate) fn problem(expected: &str) -> (u16, &str) {
    match expected {
        "the connection ends" => (502, "closed"),
        _ => (503, "ended the connection during the TLS handshake"),
    }
}

fn write(folder: &TempDir, name: &str, leaf: &Leaf) {
    for (end, text) in [("pem", &leaf.certificate), ("key", &leaf.key)] {
        std::fs::write(folder.path().join(format!("{name}.{end}")), text).unwrap();
    }
}

#[test]
fn openssl_servers_of_each_version_with_and_without_certificates_of_clients() {
    if !Peer::AsyncioServer.is_installed() {
        return;
    }
    let [servers, clients] = ["servers", "clients"].map(Authority::named);
    let own = TempDir::new().unwrap();
    std::fs::write(own.path().join("ca.pem"), servers.pem()).unwrap();
    write(&own, "bridge", &clients.leaf("bridge", 2090));
    for (at, (what, tls, expected)) in CASES.into_iter().enumerate() {
        let folder = TempDir::new().unwrap();
        write(&folder, "server", &servers.leaf("127.0.0.1", 2090));
        if what.contains("wants a certificate") {
            std::fs::write(folder.path().join("clients.pem"), clients.pem()).unwrap();
        }
        let version = if what.starts_with("TLS 1.2") {
            "TLSv1_2"
        } else {
            "TLSv1_3"
        };
        let server = Server::start_in(folder, Peer::AsyncioServer, &["utf-8", version]);
        let own = own.path().display();
        let tls = match tls {
            "" => String::new(),
            "`cert_file`, `key_file`" => {
                format!(", cert_file: {own}/bridge.pem, key_file: {own}/bridge.key")
            }
            keys => format!(", {}", keys.trim_matches('`')),
        };
        let bridge = Bridge::start(&format!(
            "listeners: [{{bind: '127.0.0.1:0'}}]\nlog: {{format: json}}\noutbound: {{bind: '127.0.0.1:0'}}\n\
             destinations: [{{name: ehr, address: '127.0.0.1:{}', tls: {{ca_file: {own}/ca.pem{tls}}}}}]\n",
            server.port
        ));
        let id = format!("T{at}");
        let mut client = Client::connect(api::address(&bridge));
        let mut post = || client.post(message(&id, "", "MUSTER", MRN));
        let mut answer = post();
        // It connects by itself as well: then the message is told only that it must wait. In TLS 1.3 the server refuses when the message is under
        // way already, and closes with it unread: the kernel's reset may then overtake the alert, which another message sees.
        let mut resets = 0;
        loop {
            let detail = answer.body["detail"].to_string();
            let reset = detail.contains("reset by peer") && resets < 50;
            resets += usize::from(reset);
            if !reset && !detail.contains("tried again") {
                break;
            }
            answer = post();
        }
        if expected == "AA" {
            answer.expect_code("AA");
            assert_eq!(server.told()["id"], *id, "{what}");
        } else {
            let said = answer.body["detail"].to_string();
            let (status, detail) = problem(expected);
            let right = answer.status == status && said.contains(detail);
            assert!(right, "{what}: {}", answer.body);
        }
        bridge.stop();
    }
}
