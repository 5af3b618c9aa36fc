//! TLS towards servers: whose certificates are trusted, which certificate the bridge shows, and reading both again when they change.
//!
//! Files are read when a connection is made, and what was made of them is kept until their content is another: a certificate that is
//! rotated needs no restart. Files that are broken leave what was read before in force. Trust cannot be turned off.
//!
//! Must not know: what is sent.

use crate::config::{ClientTls, TlsVersion};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longest file that is read: a bundle of every public authority is a quarter of it.
const LONGEST: u64 = 1 << 20;

static SINCE_1_2: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
static SINCE_1_3: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// Why no configuration of TLS could be made. The configuration, or what it points to, is at fault.
#[derive(Debug, Error)]
pub enum Unusable {
    /// A file cannot be read.
    #[error("cannot read {}", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// A file is not what it should be.
    #[error("{} cannot be used: {what}", .file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// Why not.
        what: &'static str,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("{} and {} cannot be used together", .0.display(), .1.display())]
    Identity(PathBuf, PathBuf, #[source] rustls::Error),
    /// The machine has no authorities.
    #[error("the system has no trusted authorities; tls.ca_file names some")]
    NoAuthorities,
    /// The authorities cannot be used.
    #[error("the trusted authorities cannot be used: {0}")]
    Authorities(String),
    /// The host of the address is no name that a certificate could have.
    #[error("{0} is no name that a certificate could have; tls.server_name names one")]
    Name(String),
}

/// Why there is no TLS with a server.
#[derive(Debug, Error)]
pub enum Failed {
    /// The configuration is at fault.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The server, or what is between, is at fault.
    #[error("{}", meaning(.0))]
    Handshake(#[source] io::Error),
    /// The server took the connection, and did not end the handshake in time.
    #[error(
        "the server took the connection and did not finish the TLS handshake: is its port one without TLS, or does it speak no version of TLS that is allowed here?"
    )]
    Slow,
}

/// TLS by these settings. `Debug` prints no key.
#[derive(Debug)]
pub struct Client {
    settings: ClientTls,
    made: Mutex<Option<Made>>,
    /// What was last said of files that cannot be used: it is said once.
    said: Mutex<String>,
}

/// What was made of files with this content.
struct Made {
    content: Content,
    config: Arc<ClientConfig>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Made")
    }
}

/// Authorities, certificate, key.
type Content = [Option<Vec<u8>>; 3];

impl Client {
    /// By these settings. Files are read with the first connection, or by [`check`](Self::check).
    pub fn new(settings: ClientTls) -> Self {
        Self {
            settings,
            made: Mutex::default(),
            said: Mutex::default(),
        }
    }

    /// Whether the files can be used.
    ///
    /// # Errors
    /// If not, naming the file.
    pub fn check(&self) -> Result<(), Unusable> {
        self.config().map(|_| ())
    }

    /// What the files make, for a client that makes its connections itself.
    ///
    /// # Errors
    /// If the files cannot be used, naming one.
    pub fn settings(&self) -> Result<Arc<ClientConfig>, Unusable> {
        self.config()
    }

    /// Begins TLS on a connection to `host`.
    ///
    /// # Errors
    /// If the settings cannot be used, or the server and the bridge do not agree.
    pub async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failed> {
        let config = self.config()?;
        let name = self.settings.server_name.as_deref().unwrap_or(host);
        let name =
            ServerName::try_from(name.to_owned()).map_err(|_| Unusable::Name(name.to_owned()))?;
        let connected = TlsConnector::from(config).connect(name, stream).await;
        connected.map_err(Failed::Handshake)
    }

    fn config(&self) -> Result<Arc<ClientConfig>, Unusable> {
        let read = self.read();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(made), Ok(content)) = (&*made, &read)
            && made.content == *content
        {
            self.said().clear();
            return Ok(Arc::clone(&made.config));
        }
        let new = read.and_then(|content| {
            let config = Arc::new(self.make(&content)?);
            Ok(Made { content, config })
        });
        match (new, &*made) {
            (Ok(new), before) => {
                if before.is_some() {
                    tracing::info!("certificates towards a destination were read again");
                }
                let config = Arc::clone(&new.config);
                *made = Some(new);
                Ok(config)
            }
            (Err(error), Some(before)) => {
                let reason = told(&error);
                let mut said = self.said();
                if *said != reason {
                    tracing::error!(%reason, "changed certificates are not used: those before stay in force");
                    *said = reason;
                }
                Ok(Arc::clone(&before.config))
            }
            (Err(error), None) => Err(error),
        }
    }

    fn said(&self) -> MutexGuard<'_, String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every file that the settings name.
    fn read(&self) -> Result<Content, Unusable> {
        let settings = &self.settings;
        let identity = settings.identity.as_ref();
        let paths = [
            settings.ca_file.as_ref(),
            identity.map(|(certificate, _)| certificate),
            identity.map(|(_, key)| key),
        ];
        let mut content = [None, None, None];
        for (slot, path) in content.iter_mut().zip(paths) {
            *slot = path.map(|path| read(path)).transpose()?;
        }
        Ok(content)
    }

    fn make(&self, [authorities, certificate, key]: &Content) -> Result<ClientConfig, Unusable> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = match (&self.settings.ca_file, authorities) {
            (Some(path), Some(pem)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, pem)? {
                    let added = roots.add(certificate);
                    added.map_err(|_| bad(path, "it holds what is no certificate"))?;
                }
                roots
            }
            _ => of_the_system()?,
        };
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| Unusable::Authorities(error.to_string()))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions())
            .map_err(|error| Unusable::Authorities(error.to_string()))?
            .with_webpki_verifier(verifier);
        let (Some((certificate_file, key_file)), Some(certificate), Some(key)) =
            (&self.settings.identity, certificate, key)
        else {
            return Ok(config.with_no_client_auth());
        };
        let chain = certificates(certificate_file, certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| bad(key_file, "it holds no private key in PEM"))?;
        let config = config.with_client_auth_cert(chain, key);
        config
            .map_err(|error| Unusable::Identity(certificate_file.clone(), key_file.clone(), error))
    }

    fn versions(&self) -> &'static [&'static SupportedProtocolVersion] {
        match self.settings.min_version {
            TlsVersion::Tls12 => SINCE_1_2,
            TlsVersion::Tls13 => SINCE_1_3,
        }
    }
}

fn bad(path: &Path, what: &'static str) -> Unusable {
    let file = path.to_owned();
    Unusable::Content { file, what }
}

fn read(path: &Path) -> Result<Vec<u8>, Unusable> {
    let cannot = |error| Unusable::File(path.to_owned(), error);
    let mut content = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(LONGEST + 1)
        .read_to_end(&mut content)
        .map_err(cannot)?;
    if content.len() as u64 > LONGEST {
        return Err(bad(path, "it is larger than 1 MiB"));
    }
    Ok(content)
}

/// All certificates of a file in PEM: at least one.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let read: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(bad(path, "it holds no certificate in PEM")),
        Err(_) => Err(bad(path, "its PEM cannot be read")),
    }
}

/// The authorities that the machine trusts. Single ones that cannot be read are passed over, as every program does.
fn of_the_system() -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        true => Err(Unusable::NoAuthorities),
        false => Ok(roots),
    }
}

/// An error and what caused it.
fn told(error: &Unusable) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// What a failed handshake says, and whose it is to mend.
fn meaning(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(tls) => explained(tls),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the server ended the connection during the TLS handshake: is its port one without TLS, or does it speak no version of TLS that is allowed here?"
                .into()
        }
        None => format!("the connection broke during the TLS handshake: {error}"),
    }
}

/// Whether an alert is about the certificate that the bridge showed, or did not show.
pub fn is_about_certificate(alert: rustls::AlertDescription) -> bool {
    use rustls::AlertDescription as Alert;
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::UnsupportedCertificate
            | Alert::AccessDenied
            // An authority of that name is trusted there, with another key.
            | Alert::DecryptError
    )
}

/// An error of TLS in words that name the guilty party.
pub fn explained(error: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
    let what = match error {
        Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => "the server's certificate has expired",
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet: compare the clocks"
            }
            Bad::BadSignature => {
                "the server's certificate comes from an authority that has the name of a trusted one and another key: it is not trusted here"
            }
            Bad::UnknownIssuer => {
                "the server's certificate comes from an authority that is not trusted here: tls.ca_file names those that are"
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "the server's certificate is for another name: tls.server_name says which one is expected"
            }
            Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
                "the server's certificate is not for servers"
            }
            _ => "the server's certificate is not valid",
        },
        Error::AlertReceived(alert) => match alert {
            Alert::CertificateRequired => {
                "the server wants a certificate of the bridge: tls.cert_file and tls.key_file name it"
            }
            alert if is_about_certificate(*alert) => {
                "the server does not take the bridge's certificate"
            }
            Alert::ProtocolVersion => {
                "the server does not speak a version of TLS that is allowed here"
            }
            Alert::UnrecognisedName => {
                "the server knows no such name: tls.server_name says which one is asked for"
            }
            Alert::HandshakeFailure => {
                "the server refused the TLS handshake: it may want a certificate of the bridge, or other algorithms"
            }
            _ => "the server ended TLS with an alert",
        },
        Error::InvalidMessage(_) => "the server's port does not speak TLS",
        Error::PeerIncompatible(_) => {
            "the server does not speak a version of TLS, or algorithms, that are allowed here"
        }
        _ => "TLS with the server failed",
    };
    format!("{what} ({error})")
}
