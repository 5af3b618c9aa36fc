//! An app behind `https://`, with a certificate that is trusted and with ones that are not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::*;

/// Answers every request with its control ID; keeps the bodies.
struct TlsApp {
    address: SocketAddr,
    folder: TempDir,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl TlsApp {
    /// With a self-signed certificate for this name.
    fn start(name: &str) -> Self {
        Self::asking(name, None)
    }

    /// One that asks whoever comes for this certificate.
    fn asking(name: &str, client: Option<&CertificateDer<'static>>) -> Self {
        let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certified.cert.pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
            certified.signing_key.serialize_der(),
        ));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(client.map_or_else(
                WebPkiClientVerifier::no_client_auth,
                |client| {
                    let mut roots = RootCertStore::empty();
                    roots.add(client.clone()).unwrap();
                    let provider = Arc::new(rustls::crypto::ring::default_provider());
                    let verifier =
                        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                    verifier.build().unwrap()
                },
            ))
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let bodies = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let kept = Arc::clone(&bodies);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (config, kept) = (Arc::clone(&config), Arc::clone(&kept));
                thread::spawn(move || serve(stream, config, &kept));
            }
        });
        Self {
            address,
            folder,
            bodies,
        }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/hl7", self.address.port())
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn bodies(&self) -> Vec<Vec<u8>> {
        self.bodies.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, bodies: &Mutex<Vec<Vec<u8>>>) {
    let Ok(connection) = ServerConnection::new(config) else {
        return;
    };
    let mut stream = StreamOwned::new(connection, stream);
    loop {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(1) = stream.read(&mut byte) else {
                return;
            };
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let header = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap()
                .trim()
        };
        let mut body = vec![0; header("content-length:").parse().unwrap()];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        bodies.lock().unwrap().push(body);
        let answer = raw_app::saying(header("x-hl7-control-id:"));
        if stream
            .write_all(answer.as_bytes())
            .and_then(|()| stream.flush())
            .is_err()
        {
            return;
        }
    }
}

/// A bridge that trusts what is in this file.
fn trusting(trusted: &std::path::Path, url: &str) -> Bridge {
    trusting_with(trusted, &config(url, ""))
}

fn trusting_with(trusted: &std::path::Path, yaml: &str) -> Bridge {
    Bridge::builder()
        .config(yaml)
        .env("SSL_CERT_FILE", trusted.to_str().unwrap())
        .start()
}

#[test]
fn an_app_behind_tls_with_a_trusted_certificate_is_delivered_to() {
    let app = TlsApp::start("localhost");
    let bridge = trusting(&app.certificate(), &app.url("localhost"));
    let mut peer = RawPeer::connect(bridge.address());
    let large = messages::adt_of_size("MSG2", 5 * MIB);
    for (id, message) in [
        ("msg1", messages::adt("msg1")),
        ("msg2", large.replace("MSG2", "msg2")),
    ] {
        let ack = peer.exchange(&message);
        assert_eq!(ack.expect("AA", id).msa3(), id, "{ack}");
    }
    let bodies = app.bodies();
    assert_eq!(bodies.len(), 2);
    let event: serde_json::Value = serde_json::from_slice(&bodies[1]).unwrap();
    assert!(event["data"]["raw"] == large.replace("MSG2", "msg2").as_str());
}

/// Authorities and a certificate of the listener's own: the system's are not asked.
#[test]
fn an_app_that_asks_for_a_certificate_gets_the_configured_one() {
    let own = rcgen::generate_simple_self_signed(["bridge".to_owned()]).unwrap();
    let app = TlsApp::asking("localhost", Some(own.cert.der()));
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cert, key) = (
        write("cert.pem", own.cert.pem()),
        write("key.pem", own.signing_key.serialize_pem()),
    );
    let ca = app.certificate().display().to_string();
    let url = app.url("localhost");
    let with = format!("tls: {{ca_file: '{ca}', cert_file: '{cert}', key_file: '{key}'}}");
    let bridge = Bridge::start(&config(&url, &with));
    RawPeer::connect(bridge.address())
        .exchange(messages::adt("msg1"))
        .expect("AA", "msg1");
    assert_eq!(app.bodies().len(), 1);

    let yaml = config(&url, &format!("tls: {{ca_file: '{ca}'}}")).replace("10s", "1s");
    RawPeer::connect(Bridge::start(&yaml).address())
        .exchange(messages::adt("msg2"))
        .expect("AE", "msg2");
    assert_eq!(
        app.bodies().len(),
        1,
        "without a certificate nothing is taken"
    );
}

#[test]
fn many_connections_over_tls_each_get_their_own_answers() {
    let app = TlsApp::start("localhost");
    let bridge = trusting(&app.certificate(), &app.url("localhost"));
    let address = bridge.address();
    thread::scope(|scope| {
        for connection in 0..8 {
            scope.spawn(move || {
                let mut peer = RawPeer::connect(address);
                for message in 0..20 {
                    let id = format!("c{connection}m{message}");
                    let ack = peer.exchange(messages::adt(&id));
                    assert_eq!(ack.expect("AA", &id).msa3(), id, "{ack}");
                }
            });
        }
    });
    assert_eq!(app.bodies().len(), 160);
}

/// Nothing of the message may be sent to somebody who cannot prove who he is.
#[track_caller]
fn refused(app: &TlsApp, trusted: &TlsApp, host: &str) {
    let yaml = config(&app.url(host), "").replace("10s", "1s");
    let bridge = trusting_with(&trusted.certificate(), &yaml);
    let ack = RawPeer::connect(bridge.address()).exchange(messages::adt("MSG1"));
    ack.expect("AE", "MSG1");
    assert_eq!(ack.err()[0].component(3, 1), "207", "{ack}");
    assert!(
        bridge.metric_sum("mllp_bridge_delivery_failures_total", &[("reason", "tls")]) >= 1.0,
        "a failure of reason tls"
    );
    assert!(app.bodies().is_empty(), "the message was sent");
    bridge.wait_for_line("a line that says tls", |line| {
        line.text_field("reason") == Some("tls")
    });
}

#[test]
fn an_unknown_certificate_is_refused_and_ends_in_ae_207() {
    let app = TlsApp::start("localhost");
    let other = TlsApp::start("localhost");
    refused(&app, &other, "localhost");
}

#[test]
fn a_trusted_certificate_for_another_name_is_refused_and_ends_in_ae_207() {
    let app = TlsApp::start("app.example.org");
    refused(&app, &app, "localhost");
}

#[test]
fn an_app_that_does_not_speak_tls_ends_in_ae_207() {
    let app = TestApp::down();
    let trusted = TlsApp::start("localhost");
    let plain = raw_app::RawApp::start(|mut conn| {
        conn.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    for url in [
        plain.url().replace("http://", "https://"),
        app.url().replace("http://", "https://"),
    ] {
        let yaml = config(&url, "").replace("10s", "1s");
        let bridge = trusting_with(&trusted.certificate(), &yaml);
        RawPeer::connect(bridge.address())
            .exchange(messages::adt("MSG1"))
            .expect("AE", "MSG1");
    }
}
