//! Reviews of pods: the pure part, its log line, and what is counted.

use super::{Reviewed, Reviewer};
use crate::injector::Settings;
use crate::injector::review::{Decision, Review, review};
use crate::telemetry::labels::ReviewResult;

/// Answers by [`review`].
#[derive(Debug)]
pub struct Pods(pub Settings);

impl Reviewer for Pods {
    fn review(&self, body: &[u8]) -> Reviewed {
        let review = match review(body, &self.0) {
            Ok(review) => review,
            Err(error) => return Reviewed::Undecodable(error.to_string()),
        };
        Reviewed::Answer {
            json: review.response.to_string().into_bytes(),
            result: match review.decision {
                Decision::Patched => ReviewResult::Patched,
                Decision::Skipped => ReviewResult::Skipped,
                Decision::Denied => ReviewResult::Denied,
            },
            log: Box::new(move || log(&review)),
        }
    }
}

/// Names and reasons, and nothing else of a pod.
fn log(review: &Review) {
    let (namespace, name, reasons) = (&review.namespace, &review.name, &review.reasons);
    match review.decision {
        Decision::Patched => {
            tracing::info!(%namespace, %name, ?reasons, "a pod gets its sidecar");
        }
        Decision::Skipped => {
            tracing::info!(%namespace, %name, ?reasons, "a pod stays as it is");
        }
        Decision::Denied => {
            tracing::warn!(%namespace, %name, ?reasons, "a pod is refused");
        }
    }
}
