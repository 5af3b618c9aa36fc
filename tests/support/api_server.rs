//! A Kubernetes API server as small as the injector's needs: HTTPS, a token, objects with resourceVersions, and server-side
//! apply of what the injector may apply. It refuses what it does not know, so that a test sees every verb that is used.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::PATIENCE;

pub const NAMESPACE: &str = "bridge";
pub const NAME: &str = "mllp-bridge-injector";
pub const SECRET: &str = "/api/v1/namespaces/bridge/secrets/mllp-bridge-injector-ca";
pub const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/bridge/leases/mllp-bridge-injector";
pub const CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/mllp-bridge-injector";

const TOKEN: &str = "a-token-of-the-test";

/// Runs until it is dropped.
pub struct ApiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    folder: TempDir,
    _end: tokio::sync::oneshot::Sender<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<Objects>,
    changed: Condvar,
}

/// What is stored, and what was asked.
#[derive(Default)]
pub struct Objects {
    stored: BTreeMap<String, Value>,
    version: u64,
    /// `get secrets`, `patch leases`: what RBAC would have to allow.
    pub verbs: BTreeSet<String>,
    /// Bodies of server-side applies to the webhook configuration, in their order.
    pub applied: Vec<Value>,
    /// Answers that are given instead, by path.
    refused: BTreeMap<String, StatusCode>,
}

impl Objects {
    pub fn get(&self, path: &str) -> Option<&Value> {
        self.stored.get(path)
    }

    /// The bundle that both webhooks have, as PEM; empty without one.
    pub fn bundle(&self) -> String {
        let configuration = self.get(CONFIGURATION).unwrap_or(&Value::Null);
        let of = |at: usize| {
            let text = configuration["webhooks"][at]["clientConfig"]["caBundle"].as_str();
            String::from_utf8(STANDARD.decode(text.unwrap_or_default()).unwrap()).unwrap()
        };
        assert_eq!(of(0), of(1), "the webhooks have one bundle");
        of(0)
    }

    /// How many certificates the bundle has.
    pub fn trusted(&self) -> usize {
        self.bundle().matches("BEGIN CERTIFICATE").count()
    }

    /// One decoded value of the Secret.
    pub fn secret(&self, key: &str) -> Option<String> {
        let text = self.get(SECRET)?["data"][key].as_str()?;
        Some(String::from_utf8(STANDARD.decode(text).unwrap()).unwrap())
    }

    pub fn leader(&self) -> String {
        let lease = self.get(LEASE).unwrap_or(&Value::Null);
        lease["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.stored.insert(path.to_owned(), object.clone());
        object
    }
}

impl ApiServer {
    /// With what the chart makes: an empty Secret, an empty Lease, a configuration with two webhooks and no bundle.
    pub fn start() -> Self {
        let api = Self::start_empty();
        api.put(SECRET, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mllp-bridge-injector-ca", "labels": {"kept": "yes"}}, "type": "Opaque"}));
        api.put(LEASE, json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}}));
        api.install_configuration();
        api
    }

    /// With nothing.
    pub fn start_empty() -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.crt"), certified.cert.pem()).unwrap();
        std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
            certified.signing_key.serialize_der(),
        ));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, tls, router) => {}
                    _ = ended => {}
                }
            });
        });
        Self {
            address,
            shared,
            folder,
            _end: end,
        }
    }

    pub fn install_configuration(&self) {
        let webhook = |name: &str| {
            json!({
                "name": name,
                "clientConfig": {"service": {"name": NAME, "namespace": NAMESPACE, "path": "/inject", "port": 443}},
                "failurePolicy": "Fail",
            })
        };
        self.put(
            CONFIGURATION,
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "MutatingWebhookConfiguration",
                "metadata": {"name": NAME, "labels": {"kept": "yes"}},
                "webhooks": [webhook("inject.mllp-bridge.io"), webhook("inject-namespace.mllp-bridge.io")],
            }),
        );
    }

    /// The injector's `kubernetes` section.
    pub fn access(&self) -> String {
        let folder = self.folder.path().display();
        format!(
            "kubernetes: {{url: 'https://localhost:{}', token_file: {folder}/token, ca_file: {folder}/ca.crt}}\n",
            self.address.port()
        )
    }

    pub fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// Stores an object, whoever has written it before.
    pub fn put(&self, path: &str, object: Value) {
        self.lock().store(path, object);
        self.shared.changed.notify_all();
    }

    /// Changes an object.
    pub fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) {
        let mut state = self.lock();
        let mut object = state.stored[path].clone();
        edit(&mut object);
        state.store(path, object);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// From now on requests for this path are answered so.
    pub fn refuse(&self, path: &str, status: StatusCode) {
        self.lock().refused.insert(path.to_owned(), status);
    }

    pub fn allow(&self, path: &str) {
        self.lock().refused.remove(path);
    }

    pub fn lock(&self) -> MutexGuard<'_, Objects> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until what is stored is as wanted.
    #[track_caller]
    pub fn wait_until(&self, what: &str, wanted: impl Fn(&Objects) -> bool) {
        let start = Instant::now();
        let mut state = self.lock();
        while !wanted(&state) {
            let left = PATIENCE.checked_sub(start.elapsed());
            let left = left.unwrap_or_else(|| {
                panic!(
                    "not within {PATIENCE:?}: {what}; stored: {:#?}",
                    state.stored
                )
            });
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

async fn serve(listener: std::net::TcpListener, tls: rustls::ServerConfig, router: Router) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, router) = (tls.clone(), router.clone());
        connections.spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let service = hyper_util::service::TowerToHyperService::new(router);
            let io = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(io, service)
                .await;
        });
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let text = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let token = format!("Bearer {TOKEN}");
    let response = if text(header::AUTHORIZATION) != token {
        status(StatusCode::UNAUTHORIZED, "who is it")
    } else {
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let query = parts.uri.query().unwrap_or_default();
        state.answer(
            &parts.method,
            parts.uri.path(),
            query,
            text(header::CONTENT_TYPE),
            &body,
        )
    };
    shared.changed.notify_all();
    response
}

impl Objects {
    fn answer(
        &mut self,
        method: &Method,
        path: &str,
        query: &str,
        kind: &str,
        body: &[u8],
    ) -> Response {
        let resource = path.rsplit('/').nth(1).unwrap_or_default();
        let verb = match *method {
            Method::GET => "get",
            Method::PUT => "update",
            Method::PATCH => "patch",
            _ => "another",
        };
        self.verbs.insert(format!("{verb} {resource}"));
        if let Some(refused) = self.refused.get(path) {
            return status(*refused, "the test refuses it");
        }
        let stored = self.get(path).cloned();
        if *method == Method::GET {
            return stored.map_or_else(
                || status(StatusCode::NOT_FOUND, "no such object"),
                |stored| Json(stored).into_response(),
            );
        }
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return status(StatusCode::BAD_REQUEST, "not JSON");
        };
        let named = &body["metadata"]["resourceVersion"];
        if let Some(stored) = &stored
            && !named.is_null()
            && *named != stored["metadata"]["resourceVersion"]
        {
            return status(StatusCode::CONFLICT, "the object has been modified");
        }
        match (verb, stored) {
            ("update", Some(_))
                if kind == "application/json" && query == "fieldManager=mllp-bridge-injector" =>
            {
                Json(self.store(path, body)).into_response()
            }
            ("patch", stored)
                if kind == "application/apply-patch+yaml"
                    && query == "fieldManager=mllp-bridge-injector&force=true" =>
            {
                match stored {
                    Some(stored) if path == CONFIGURATION => self.apply(stored, body),
                    Some(_) => status(
                        StatusCode::METHOD_NOT_ALLOWED,
                        "only the configuration is applied to",
                    ),
                    None if path == CONFIGURATION => {
                        status(StatusCode::FORBIDDEN, "may not create")
                    }
                    None => {
                        self.verbs.insert(format!("create {resource}"));
                        Json(self.store(path, body)).into_response()
                    }
                }
            }
            _ => status(StatusCode::METHOD_NOT_ALLOWED, "not known here"),
        }
    }

    /// Takes `caBundle` by the webhook's name, and refuses everything else.
    fn apply(&mut self, mut stored: Value, body: Value) -> Response {
        let keys = |value: &Value| {
            value
                .as_object()
                .map(|map| map.keys().cloned().collect::<Vec<_>>())
                .unwrap_or_default()
        };
        let webhooks = body["webhooks"].as_array().cloned().unwrap_or_default();
        let plain = keys(&body) == ["apiVersion", "kind", "metadata", "webhooks"]
            && keys(&body["metadata"]) == ["name", "resourceVersion"]
            && webhooks.iter().all(|webhook| {
                keys(webhook) == ["name", "clientConfig"]
                    && keys(&webhook["clientConfig"]) == ["caBundle"]
            });
        if !plain {
            return status(
                StatusCode::UNPROCESSABLE_ENTITY,
                "more than the bundle was applied",
            );
        }
        for webhook in webhooks {
            let all = stored["webhooks"].as_array_mut().unwrap();
            let Some(found) = all
                .iter_mut()
                .find(|found| found["name"] == webhook["name"])
            else {
                return status(StatusCode::UNPROCESSABLE_ENTITY, "no such webhook");
            };
            found["clientConfig"]["caBundle"] = webhook["clientConfig"]["caBundle"].clone();
        }
        self.applied.push(body);
        Json(self.store(CONFIGURATION, stored)).into_response()
    }
}

fn status(code: StatusCode, message: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code.as_u16()});
    (code, Json(body)).into_response()
}
