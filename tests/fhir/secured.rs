//! The real server behind mutual TLS: what stands before it lets nobody in without a certificate of the hospital's authority.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::feed::{Feed, adt, found, server_base};
use crate::support::pki::{Authority, Leaf};

/// Ends TLS and passes on what comes, for as long as the test runs.
fn front(authority: &Authority, to: SocketAddr) -> SocketAddr {
    let leaf = authority.leaf("127.0.0.1", 2100);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    let mut server = TcpStream::connect(to).await?;
                    tokio::io::copy_bidirectional(&mut stream, &mut server).await
                });
            }
        });
    });
    address
}

fn write(folder: &Path, leaf: &Leaf) {
    for (name, pem) in [("tls.crt", &leaf.certificate), ("tls.key", &leaf.key)] {
        std::fs::write(folder.join(name), pem).unwrap();
    }
}

#[test]
fn a_server_behind_mutual_tls_lets_in_who_shows_the_right_certificate_and_a_new_one_is_taken_up() {
    let Some(base) = server_base() else {
        return;
    };
    let (authority, strangers) = (Authority::new(), Authority::named("somebody else's"));
    let to = base.trim_start_matches("http://").trim_end_matches("/fhir");
    let url = format!("https://{}/fhir", front(&authority, to.parse().unwrap()));
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
    write(folder.path(), &strangers.leaf("bridge", 2100));
    let path = |name: &str| folder.path().join(name).display().to_string();
    let tls = format!(
        "    tls: {{ca_file: '{}', cert_file: '{}', key_file: '{}'}}\n    retry: {{initial: 100ms, max: 500ms}}\n",
        path("ca.crt"),
        path("tls.crt"),
        path("tls.key")
    );
    let Some(mut feed) = Feed::through(&url, "", &tls) else {
        return;
    };
    // Nobody knows who signed it, and the message waits.
    feed.peer.send(crate::support::messages::frame(adt(
        "A01", "S1", "7301", "MUSTER",
    )));
    feed.bridge
        .wait_for_metric("mllp_bridge_delivery_failures_total", &[], 1.0);
    assert!(found("7301").iter().all(Vec::is_empty));
    write(folder.path(), &authority.leaf("bridge", 2100));
    let applied = [("result", "applied")];
    feed.bridge
        .wait_for_metric("mllp_bridge_config_reloads_total", &applied, 1.0);
    feed.peer = crate::support::peer::RawPeer::connect(feed.bridge.address());
    feed.peer
        .exchange(adt("A01", "S2", "7302", "MUSTER"))
        .expect("AA", "S2");
    let [patients, visits] = found("7302");
    assert_eq!((patients.len(), visits.len()), (1, 1));
}
