//! The rules of format `fhir`, and of what an app is shown.

use std::path::PathBuf;

use super::Keys;
use crate::config::parse::error::{Problems, shown};
use crate::config::parse::units::{Text, Url};
use crate::config::{AppTls, AppUrl, Auth, ClientCredentials, Fhir, Format, Transport, Zone, raw};

/// There for format `fhir`, and for no other.
pub(super) fn fhir(
    keys: &Keys,
    format: Format,
    raw: raw::Fhir,
    problems: &mut Problems,
) -> Option<Fhir> {
    if format != Format::Fhir {
        if raw != raw::Fhir::default() {
            let message = "for format fhir only; set deliver.format, or remove it";
            problems.add(&keys.of("deliver.fhir"), message);
        }
        return None;
    }
    let Text(zone) = raw.zone;
    let read = Zone::parse(&zone);
    if read.is_none() {
        let message = format!("{}: expected +01:00, -0500 or Z", shown(&zone));
        problems.add(&keys.of("deliver.fhir.zone"), message);
    }
    Some(Fhir {
        bundle: raw.bundle,
        zone: read.unwrap_or_default(),
        mappings: raw.mappings.map(path),
    })
}

pub(super) fn auth(
    keys: &Keys,
    url: &AppUrl,
    raw: raw::Auth,
    problems: &mut Problems,
) -> Option<Auth> {
    let oauth2 = Some(raw.oauth2).filter(|given| *given != raw::OAuth2::default());
    let auth = match (raw.bearer_file, oauth2) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            let message = "a token comes from bearer_file or from oauth2; remove one";
            problems.add(&keys.of("deliver.auth"), message);
            return None;
        }
        (Some(file), None) => Some(Auth::BearerFile(path(file))),
        (None, Some(raw)) => client_credentials(keys, raw, problems).map(Auth::ClientCredentials),
    };
    if url.basic_auth.is_some() {
        let message = "the URL has a user and a password already; a request carries one of the two";
        problems.add(&keys.of("deliver.auth"), message);
    }
    auth
}

fn client_credentials(
    keys: &Keys,
    raw: raw::OAuth2,
    problems: &mut Problems,
) -> Option<ClientCredentials> {
    for (key, missing) in [
        ("token_url", raw.token_url.is_none()),
        ("client_id", raw.client_id.is_none()),
        ("client_secret_file", raw.client_secret_file.is_none()),
    ] {
        let key = keys.of(&format!("deliver.auth.oauth2.{key}"));
        if missing && problems.is_clean(&key) {
            problems.add(&key, "required for oauth2");
        }
    }
    let Url(token_url) = raw.token_url?;
    let key = keys.of("deliver.auth.oauth2.token_url");
    if matches!(token_url.transport, Transport::Unix { .. }) {
        problems.add(&key, "expected https://… or http://…");
    }
    if token_url.basic_auth.is_some() {
        problems.add(&key, "the client's name and secret have keys of their own");
    }
    Some(ClientCredentials {
        token_url,
        client_id: raw.client_id?.0,
        client_secret_file: path(raw.client_secret_file?),
        scope: raw.scope.map(|Text(scope)| scope),
    })
}

/// Whether the files can be used is found out when they are read.
pub(super) fn tls(
    keys: &Keys,
    raw: raw::AppTls,
    url: &AppUrl,
    auth: Option<&Auth>,
    problems: &mut Problems,
) -> AppTls {
    let is_https = |url: &AppUrl| matches!(url.transport, Transport::Https { .. });
    let token = match auth {
        Some(Auth::ClientCredentials(client)) => is_https(&client.token_url),
        Some(Auth::BearerFile(_)) | None => false,
    };
    if raw != raw::AppTls::default() && !is_https(url) && !token {
        let message = "for https:// only, and neither deliver.url nor a token_url is that";
        problems.add(&keys.of("deliver.tls"), message);
    }
    let identity = match (raw.cert_file, raw.key_file) {
        (Some(certificate), Some(key)) => Some((path(certificate), path(key))),
        (Some(_), None) => {
            problems.add(
                &keys.of("deliver.tls.key_file"),
                "required with tls.cert_file",
            );
            None
        }
        (None, Some(_)) => {
            problems.add(
                &keys.of("deliver.tls.cert_file"),
                "required with tls.key_file",
            );
            None
        }
        (None, None) => None,
    };
    AppTls {
        ca_file: raw.ca_file.map(path),
        identity,
    }
}

fn path(Text(path): Text) -> PathBuf {
    PathBuf::from(path)
}
