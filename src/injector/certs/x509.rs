//! Certificates as bytes: PEM in and out, the dates in a certificate, and the two kinds that are made here (a CA and a leaf).
//!
//! Must not do: I/O, or decide when anything is made ([`super::plan`]).

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;

/// Seconds since 1970.
pub type Unix = i64;

/// How long before its making a certificate is valid: an API server's clock may be late.
const BACKDATED: Unix = 3600;

/// The name of every CA. It need not differ from one to the next: verifiers go by the key's identifier.
const CA_NAME: &str = "mllp-bridge injector CA";

/// Why a certificate or a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Not PEM, or not what the PEM should hold.
    #[error("not PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// No certificate where there should be one.
    #[error("holds no certificate")]
    Empty,
    /// Not X.509.
    #[error("a certificate's dates cannot be read")]
    Dates,
    /// The key is not this certificate's, or of a kind that rustls does not sign with.
    #[error("{0}")]
    Pair(#[from] rustls::Error),
    /// rcgen could not make or read something.
    #[error("{0}")]
    Make(#[from] rcgen::Error),
}

/// A certificate and its dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The whole certificate.
    pub der: CertificateDer<'static>,
    /// Valid to this second.
    pub not_after: Unix,
}

impl Certificate {
    /// Reads the dates.
    ///
    /// # Errors
    /// If it is not X.509.
    pub fn new(der: CertificateDer<'static>) -> Result<Self, Unusable> {
        let not_after = not_after(&der).ok_or(Unusable::Dates)?;
        Ok(Self { der, not_after })
    }
}

/// A private key as PEM. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The PEM text, to be stored.
    pub fn pem(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl From<String> for Key {
    fn from(pem: String) -> Self {
        Self(pem)
    }
}

/// A CA that can sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// What verifiers trust.
    pub certificate: Certificate,
    /// What signs.
    pub key: Key,
}

impl Authority {
    /// Reads a stored CA.
    ///
    /// # Errors
    /// If either cannot be read, or the key is not the certificate's.
    pub fn read(certificate: &[u8], key: &str) -> Result<Self, Unusable> {
        let certificate = bundle(certificate)?
            .into_iter()
            .next()
            .ok_or(Unusable::Empty)?;
        pair(vec![certificate.der.clone()], key.as_bytes())?;
        KeyPair::from_pem(key)?;
        Ok(Self {
            certificate,
            key: Key(key.to_owned()),
        })
    }

    /// Makes a CA that is valid to `not_after`.
    ///
    /// # Errors
    /// If the system has no randomness, or the date cannot be written.
    pub fn make(now: Unix, not_after: Unix) -> Result<Self, Unusable> {
        let key = KeyPair::generate()?;
        let mut params = authority_params();
        (params.not_before, params.not_after) = (date(now - BACKDATED)?, date(not_after)?);
        let made = params.self_signed(&key)?;
        Ok(Self {
            certificate: Certificate::new(made.der().clone())?,
            key: Key(key.serialize_pem()),
        })
    }

    /// Signs a new key for a server of these names.
    ///
    /// # Errors
    /// If the CA's key cannot be used, or a name is not one of DNS.
    pub fn sign(
        &self,
        names: &[String],
        now: Unix,
        not_after: Unix,
    ) -> Result<CertifiedKey, Unusable> {
        let issuer = Issuer::new(authority_params(), KeyPair::from_pem(self.key.pem())?);
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = named(names.first().map_or("injector", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (date(now - BACKDATED)?, date(not_after)?);
        let made = params.signed_by(&key, &issuer)?;
        pair(vec![made.der().clone()], key.serialize_pem().as_bytes())
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(CA_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    // A common name holds 64 characters at most; verifiers of today read the alternative names.
    distinguished.push(
        DnType::CommonName,
        name.chars().take(64).collect::<String>(),
    );
    distinguished
}

fn date(at: Unix) -> Result<time::OffsetDateTime, Unusable> {
    time::OffsetDateTime::from_unix_timestamp(at).map_err(|_| Unusable::Dates)
}

/// A chain and its key, as rustls serves them.
///
/// # Errors
/// If the key is not the first certificate's.
pub fn pair(chain: Vec<CertificateDer<'static>>, key: &[u8]) -> Result<CertifiedKey, Unusable> {
    if chain.is_empty() {
        return Err(Unusable::Empty);
    }
    let key = PrivateKeyDer::from_pem_slice(key)?;
    let provider = rustls::crypto::ring::default_provider();
    Ok(CertifiedKey::from_der(chain, key, &provider)?)
}

/// Every certificate of a PEM text, in its order.
///
/// # Errors
/// If one of them cannot be read. None is no error.
pub fn bundle(pem: &[u8]) -> Result<Vec<Certificate>, Unusable> {
    CertificateDer::pem_slice_iter(pem)
        .map(|der| Certificate::new(der?))
        .collect()
}

/// As PEM.
pub fn pem<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> String {
    use base64::Engine;
    let mut text = String::new();
    for certificate in certificates {
        let body = base64::engine::general_purpose::STANDARD.encode(&certificate.der);
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = body.as_str();
        while let Some((line, tail)) = rest.split_at_checked(64.min(rest.len()))
            && !line.is_empty()
        {
            text.push_str(line);
            text.push('\n');
            rest = tail;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// `Certificate.tbsCertificate.validity.notAfter` (RFC 5280, 4.1).
fn not_after(der: &[u8]) -> Option<Unix> {
    const SEQUENCE: u8 = 0x30;
    let (tag, certificate, _) = element(der)?;
    let (inner, tbs, _) = element(certificate)?;
    let mut rest = tbs;
    if (tag, inner) != (SEQUENCE, SEQUENCE) {
        return None;
    }
    // [0] version, which is absent in version 1; then serialNumber, signature, issuer.
    if rest.first() == Some(&0xa0) {
        rest = element(rest)?.2;
    }
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, after) = element(validity)?;
    let (tag, text, _) = element(after)?;
    time_of(tag, std::str::from_utf8(text).ok()?)
}

/// One DER element: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let fold = |length, digit: &u8| (length << 8) | usize::from(*digit);
            (digits.iter().fold(0, fold), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// UTCTime `YYMMDDHHMMSSZ` or GeneralizedTime `YYYYMMDDHHMMSSZ`, which is all that RFC 5280 allows.
fn time_of(tag: u8, text: &str) -> Option<Unix> {
    let digits = text.strip_suffix('Z')?;
    let year_length = match (tag, digits.len()) {
        (0x17, 12) => 2,
        (0x18, 14) => 4,
        _ => return None,
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = digits.split_at_checked(year_length)?;
    let mut year: i16 = year.parse().ok()?;
    if year_length == 2 {
        year += if year < 50 { 2000 } else { 1900 };
    }
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let civil =
        jiff::civil::DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0)
            .ok()?;
    let at = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?;
    Some(at.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Unix = 1_795_000_000;

    #[test]
    fn what_is_made_can_be_read_again_and_signs() {
        let made = Authority::make(NOW, NOW + 1000).unwrap();
        let text = pem([&made.certificate]);
        let read = Authority::read(text.as_bytes(), made.key.pem()).unwrap();
        assert_eq!(read, made);
        assert_eq!(read.certificate.not_after, NOW + 1000);
        let leaf = read.sign(&["a.b.svc".into()], NOW, NOW + 10).unwrap();
        let leaf = Certificate::new(leaf.cert[0].clone()).unwrap();
        assert_eq!(leaf.not_after, NOW + 10);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let one = Authority::make(NOW, NOW + 1000).unwrap();
        let other = Authority::make(NOW, NOW + 1000).unwrap();
        let text = pem([&one.certificate]);
        let error = Authority::read(text.as_bytes(), other.key.pem()).unwrap_err();
        assert!(matches!(error, Unusable::Pair(_)), "{error}");
        assert!(matches!(
            Authority::read(b"", one.key.pem()),
            Err(Unusable::Empty)
        ));
        assert!(Authority::read(text.as_bytes(), "").is_err());
    }

    #[test]
    fn a_bundle_keeps_its_order() {
        let made: Vec<_> = (1..4)
            .map(|n| Authority::make(NOW, NOW + n).unwrap().certificate)
            .collect();
        assert_eq!(bundle(pem(&made).as_bytes()).unwrap(), made);
        assert!(bundle(b"no PEM at all").unwrap().is_empty());
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(bundle(broken), Err(Unusable::Dates)));
    }

    #[test]
    fn keys_are_not_shown() {
        let made = Authority::make(NOW, NOW + 1000).unwrap();
        assert!(!format!("{made:?}").contains("PRIVATE"));
    }

    #[test]
    fn both_kinds_of_time() {
        for (tag, text, expected) in [
            (0x17, "700101000000Z", Some(0)),
            (0x17, "491231235959Z", Some(2_524_607_999)),
            (0x18, "20500101000000Z", Some(2_524_608_000)),
            (0x18, "21060207062816Z", Some(4_294_967_296)),
            (0x17, "700101000000", None),
            (0x17, "701301000000Z", None),
            (0x17, "+00101000000Z", None),
            (0x18, "700101000000Z", None),
            (0x16, "700101000000Z", None),
        ] {
            assert_eq!(time_of(tag, text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = not_after(&bytes);
        }

        #[test]
        fn a_cut_certificate_is_refused_or_has_its_dates(cut in 0..400_usize) {
            let made = Authority::make(NOW, NOW + 77).unwrap().certificate;
            let cut = cut.min(made.der.len());
            prop_assert!(not_after(&made.der[..cut]).is_none() || cut == made.der.len());
        }
    }
}
