//! One request: bounds, decoding, the answer, and what is counted.

use crate::runtime::Drain;
use crate::telemetry::InjectorMetrics;
use crate::telemetry::labels::ReviewResult;
use crate::telemetry::log::Throttle;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// The largest review. An object in etcd has 1.5 MiB at most, and an update's review holds two.
pub const MAX_BODY: usize = 10 << 20;

/// Bodies up to this size are bounded by the number of connections alone: almost every pod, and no large body that is slow
/// to come holds it up.
const SMALL: usize = 64 << 10;

/// How much of larger bodies is held at once, in KiB: one of the largest.
const HELD: usize = (MAX_BODY >> 10) + 1;

/// What a reviewer makes of a body.
pub enum Reviewed {
    /// An AdmissionReview with its response.
    Answer {
        /// As JSON.
        json: Vec<u8>,
        /// For the metrics.
        result: ReviewResult,
        /// Tells of it, when the answer is on its way: a pod need not wait for a log to be written.
        log: Box<dyn FnOnce() + Send>,
    },
    /// Not a review: without its uid there is nothing to answer with.
    Undecodable(String),
}

/// AdmissionReview in, AdmissionReview out.
pub trait Reviewer: Send + Sync + 'static {
    /// Never waits.
    fn review(&self, body: &[u8]) -> Reviewed;
}

struct Parts {
    reviewer: Box<dyn Reviewer>,
    metrics: InjectorMetrics,
    drain: Drain,
    timeout: Duration,
    held: Semaphore,
    throttle: Throttle,
}

/// The webhook's paths. A request ends after `timeout`, whatever its client does.
pub fn router(
    reviewer: Box<dyn Reviewer>,
    metrics: InjectorMetrics,
    drain: Drain,
    timeout: Duration,
) -> Router {
    let parts = Parts {
        reviewer,
        metrics,
        drain,
        timeout,
        held: Semaphore::new(HELD),
        throttle: Throttle::default(),
    };
    Router::new()
        .route("/inject", post(inject))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::new(parts))
}

async fn inject(State(parts): State<Arc<Parts>>, request: Request) -> Response {
    let start = Instant::now();
    let (result, mut response) = match answer(&parts, start, request).await {
        Ok((result, json)) => {
            let json = ([(CONTENT_TYPE, "application/json")], json);
            (result, json.into_response())
        }
        Err((status, text)) => {
            if let Some(suppressed) = parts.throttle.pass(start) {
                tracing::warn!(status = status.as_u16(), reason = %text, suppressed, "a request that is no review");
            }
            let result = match status.is_server_error() {
                true => ReviewResult::Error,
                false => ReviewResult::Invalid,
            };
            (result, (status, format!("{text}\n")).into_response())
        }
    };
    parts.metrics.reviewed(result);
    parts
        .metrics
        .review_duration
        .observe(start.elapsed().as_secs_f64());
    if parts.drain.is_draining() {
        // The client's next connection goes to another replica.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

async fn answer(
    parts: &Parts,
    start: Instant,
    request: Request,
) -> Result<(ReviewResult, Vec<u8>), (StatusCode, String)> {
    let refuse = |status: StatusCode, text: &str| Err((status, text.to_owned()));
    if !is_json(request.headers()) {
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Type must be application/json",
        );
    }
    let length = length(request.headers());
    if length.is_some_and(|length| length > MAX_BODY) {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "a review has 10 MiB at most");
    }
    // A body that does not say how long it is may become the largest.
    let weight = match length.unwrap_or(MAX_BODY) {
        ..=SMALL => 0,
        large => (large >> 10) as u32 + 1,
    };
    let deadline = start + parts.timeout;
    let Ok(Ok(_held)) = timeout_at(deadline, parts.held.acquire_many(weight)).await else {
        return refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many large reviews at once",
        );
    };
    let body = match timeout_at(deadline, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => return Err((rejection.status(), rejection.body_text())),
        Err(_) => return refuse(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    match parts.reviewer.review(&body) {
        Reviewed::Answer { json, result, log } => {
            // A task of its own is polled after this one, whose next step is to write the answer.
            tokio::spawn(async move { log() });
            Ok((result, json))
        }
        Reviewed::Undecodable(why) => Err((StatusCode::BAD_REQUEST, why)),
    }
}

/// `application/json`, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
