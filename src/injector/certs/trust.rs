//! Whether an API server that trusts a bundle would take a chain: the same question that it asks in each handshake.

use super::x509::{Certificate, Unix};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use std::time::Duration;

/// Whether `chain` is a valid chain for `name` under `bundle` at `now`.
///
/// # Errors
/// Why not, in rustls' words.
pub fn check(
    bundle: &[Certificate],
    chain: &[CertificateDer<'static>],
    name: &str,
    now: Unix,
) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for certificate in bundle {
        // What cannot be a root cannot help either.
        let _ = roots.add(certificate.der.clone());
    }
    let (leaf, intermediates) = chain.split_first().ok_or("no certificate is served")?;
    let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|_| "the bundle holds no usable CA")?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.try_into().unwrap_or_default()));
    verifier
        .verify_server_cert(leaf, intermediates, &name, &[], now)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::x509::Authority;
    use super::*;

    const NOW: Unix = 1_795_000_000;

    #[test]
    fn only_a_chain_of_the_bundle_for_the_name_in_its_time_is_taken() {
        let one = Authority::make(NOW, NOW + 100).unwrap();
        let other = Authority::make(NOW, NOW + 100).unwrap();
        let names = ["injector.bridge.svc".to_owned()];
        let leaf = one.sign(&names, NOW, NOW + 50).unwrap().cert.clone();
        let (one, other) = (one.certificate, other.certificate);
        let both = [other.clone(), one.clone()];
        let take = |bundle: &[Certificate], name, now| check(bundle, &leaf, name, now);
        assert_eq!(take(&both, "injector.bridge.svc", NOW), Ok(()));
        // Two CAs have one name: the right one is found, wherever it stands.
        assert_eq!(
            take(&[one, other.clone()], "injector.bridge.svc", NOW),
            Ok(())
        );
        assert_eq!(
            take(&both, "injector.bridge.svc", NOW - 3000),
            Ok(()),
            "a late clock"
        );
        assert!(take(&[other], "injector.bridge.svc", NOW).is_err());
        assert!(take(&both, "elsewhere.svc", NOW).is_err());
        assert!(take(&both, "injector.bridge.svc", NOW + 51).is_err());
        assert_eq!(
            take(&[], "injector.bridge.svc", NOW),
            Err("the bundle holds no usable CA".into())
        );
        assert!(check(&both, &[], "injector.bridge.svc", NOW).is_err());
    }
}
