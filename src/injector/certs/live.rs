//! The live webhook configuration: what it trusts, and the one field of it that is ours.

use super::x509::{self, Certificate};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The webhooks of the configuration that lead here; a foreign one in it is left alone.
const DOMAIN: &str = ".mllp-bridge.io";

/// What was read of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Live {
    /// What all of its webhooks trust.
    pub bundle: Vec<Certificate>,
    /// Whether any of them has a bundle: without one the API server trusts what its own machine does.
    pub has_bundle: bool,
    webhooks: Vec<String>,
    version: Value,
}

impl Live {
    /// Reads a MutatingWebhookConfiguration.
    ///
    /// # Errors
    /// If it has no webhook that leads here.
    pub fn read(configuration: &Value) -> Result<Self, String> {
        let all = configuration["webhooks"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let ours = all.iter().filter_map(|webhook| {
            let name = webhook["name"].as_str()?;
            let bundle = webhook["clientConfig"]["caBundle"]
                .as_str()
                .unwrap_or_default();
            name.ends_with(DOMAIN).then_some((name.to_owned(), bundle))
        });
        let (webhooks, texts): (Vec<_>, Vec<_>) = ours.unzip();
        if webhooks.is_empty() {
            return Err(format!("it has no webhook whose name ends in {DOMAIN}"));
        }
        let mut bundles = texts.iter().map(|text| decode(text));
        let mut bundle = bundles.next().unwrap_or_default();
        for other in bundles {
            bundle.retain(|certificate| other.contains(certificate));
        }
        Ok(Self {
            bundle,
            has_bundle: texts.iter().any(|text| !text.is_empty()),
            webhooks,
            version: configuration["metadata"]["resourceVersion"].clone(),
        })
    }

    /// The body of a server-side apply that makes `bundle` the live one, if nobody has written meanwhile.
    pub fn patch(&self, name: &str, bundle: &[Certificate]) -> Value {
        let bundle = STANDARD.encode(x509::pem(bundle));
        let webhooks = self.webhooks.iter();
        let webhooks =
            webhooks.map(|name| json!({"name": name, "clientConfig": {"caBundle": bundle}}));
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name, "resourceVersion": self.version},
            "webhooks": webhooks.collect::<Vec<_>>(),
        })
    }
}

/// What cannot be read trusts nothing: it will be written anew.
fn decode(text: &str) -> Vec<Certificate> {
    let pem = STANDARD.decode(text).unwrap_or_default();
    x509::bundle(&pem).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::x509::Authority;
    use super::*;

    fn configuration(bundles: &[(&str, &[Certificate])]) -> Value {
        let webhooks = bundles.iter().map(|(name, bundle)| {
            json!({
                "name": name,
                "clientConfig": {"service": {"name": "i"}, "caBundle": STANDARD.encode(x509::pem(*bundle))},
            })
        });
        json!({"metadata": {"name": "i", "resourceVersion": "9"}, "webhooks": webhooks.collect::<Vec<_>>()})
    }

    #[test]
    fn what_all_webhooks_trust_and_a_patch_that_holds_nothing_else() {
        let made: Vec<_> = (1..4)
            .map(|n| {
                Authority::make(1_795_000_000, 1_795_000_000 + n)
                    .unwrap()
                    .certificate
            })
            .collect();
        let read = Live::read(&configuration(&[
            ("inject.mllp-bridge.io", &made[..2]),
            ("foreign.example.org", &[]),
            ("inject-namespace.mllp-bridge.io", &made[1..]),
        ]))
        .unwrap();
        assert_eq!(read.bundle, made[1..2]);
        let bundle = STANDARD.encode(x509::pem(&made));
        assert_eq!(
            read.patch("i", &made),
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "MutatingWebhookConfiguration",
                "metadata": {"name": "i", "resourceVersion": "9"},
                "webhooks": [
                    {"name": "inject.mllp-bridge.io", "clientConfig": {"caBundle": bundle}},
                    {"name": "inject-namespace.mllp-bridge.io", "clientConfig": {"caBundle": bundle}},
                ],
            })
        );
    }

    #[test]
    fn a_configuration_without_our_webhook_is_an_error_and_one_without_a_bundle_is_none() {
        assert!(Live::read(&json!({"webhooks": []})).is_err());
        assert!(Live::read(&configuration(&[("foreign.example.org", &[])])).is_err());
        let mut bare = configuration(&[("inject.mllp-bridge.io", &[])]);
        let read = Live::read(&bare).unwrap();
        assert!(read.bundle.is_empty() && !read.has_bundle);
        bare["webhooks"][0]["clientConfig"]["caBundle"] = "bm8gUEVN".into();
        let read = Live::read(&bare).unwrap();
        assert!(read.bundle.is_empty() && read.has_bundle);
    }
}
