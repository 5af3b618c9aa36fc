//! The few requests to the Kubernetes API that certificates need: read an object, replace it, apply to it. Untyped JSON, so
//! that what this program does not know stays as it is ([ADR 0009](../../../docs/adr/0009-kubernetes-api-by-reqwest.md)).

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Certificate, Client, Method, StatusCode};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Who wrote what, in `metadata.managedFields`.
pub const FIELD_MANAGER: &str = "mllp-bridge-injector";

/// A request that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer that is read. The objects are small; etcd holds none over 1.5 MiB.
const MAX_ANSWER: usize = 4 << 20;

/// Why a request did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Somebody else has written since it was read.
    #[error("it was changed by somebody else meanwhile")]
    Conflict,
    /// There is no such object.
    #[error("it does not exist")]
    Missing,
    /// The service account may not.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// Another status than success.
    #[error("the API server answered {0}: {1}")]
    Status(StatusCode, String),
    /// No answer.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// An answer that is not JSON, or far too long.
    #[error("the API server's answer cannot be read")]
    Answer,
    /// The token of the service account.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Token(PathBuf, std::io::Error),
}

/// Where the API server is, and how to be known there.
#[derive(Debug, Clone)]
pub struct Access {
    /// `https://10.96.0.1:443`.
    pub url: String,
    /// The service account's token; the kubelet renews it, so it is read for each request.
    pub token: PathBuf,
    /// The cluster's CA.
    pub ca: PathBuf,
}

/// A client of the API server.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    access: Access,
}

impl Api {
    /// Reads the cluster's CA.
    ///
    /// # Errors
    /// If it cannot be read, naming the file.
    pub fn new(access: Access) -> Result<Self, String> {
        let blame = |error: String| format!("{}: {error}", access.ca.display());
        let pem = std::fs::read(&access.ca).map_err(|error| blame(error.to_string()))?;
        let roots = Certificate::from_pem_bundle(&pem).map_err(|error| blame(error.to_string()))?;
        let client = Client::builder()
            .tls_certs_only(roots)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .build()
            .map_err(|error| blame(error.to_string()))?;
        Ok(Self { client, access })
    }

    /// Reads an object.
    ///
    /// # Errors
    /// As all requests.
    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.request(Method::GET, path, None).await
    }

    /// Writes an object, if it still has the resourceVersion that is in it.
    ///
    /// # Errors
    /// [`ApiError::Conflict`] if it has not.
    pub async fn replace(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        let path = format!("{path}?fieldManager={FIELD_MANAGER}");
        let body = (object, "application/json");
        self.request(Method::PUT, &path, Some(body)).await
    }

    /// Server-side apply: takes the fields that are in `object`, and no other.
    ///
    /// # Errors
    /// [`ApiError::Conflict`] if `object` has another resourceVersion than the stored one.
    pub async fn apply(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        // Forced: whoever else wrote this field, the certificates that are served are ours.
        let path = format!("{path}?fieldManager={FIELD_MANAGER}&force=true");
        let body = (object, "application/apply-patch+yaml");
        self.request(Method::PATCH, &path, Some(body)).await
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<(&Value, &str)>,
    ) -> Result<Value, ApiError> {
        let token = std::fs::read_to_string(&self.access.token)
            .map_err(|error| ApiError::Token(self.access.token.clone(), error))?;
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.access.url))
            .header(AUTHORIZATION, format!("Bearer {}", token.trim()));
        if let Some((object, kind)) = body {
            // JSON is YAML.
            request = request.header(CONTENT_TYPE, kind).body(object.to_string());
        }
        let mut answer = request.send().await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(&error))? {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                return Err(ApiError::Answer);
            }
            bytes.extend_from_slice(&chunk);
        }
        let json = serde_json::from_slice::<Value>(&bytes);
        if status.is_success() {
            return json.map_err(|_| ApiError::Answer);
        }
        let message = json
            .ok()
            .and_then(|json| Some(json["message"].as_str()?.to_owned()));
        let message = message.unwrap_or_default();
        Err(match status {
            StatusCode::CONFLICT => ApiError::Conflict,
            StatusCode::NOT_FOUND => ApiError::Missing,
            StatusCode::FORBIDDEN => ApiError::Forbidden(message),
            _ => ApiError::Status(status, message),
        })
    }
}

/// The innermost cause: reqwest's own text is the URL, which says nothing new.
fn unreachable(error: &reqwest::Error) -> ApiError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    ApiError::Unreachable(cause.to_string())
}
