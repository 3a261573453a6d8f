//! The pause that a server asks for, where only a header says it.
//!
//! The client passes on the body of a refusal and drops its headers. Priority and fairness of the API server, and what stands before it, answer
//! with plain text and `Retry-After`; such an answer gets a body that says the same.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use kube::client::DynBody;
use serde_json::json;
use tower::BoxError;

/// Longest pause that is passed on, in seconds. A call has given up long before.
const LONGEST: u32 = 3600;

/// The answer with its pause in its body.
pub(super) fn told(response: Response<Box<DynBody>>) -> Response<Box<DynBody>> {
    let code = response.status();
    let is_busy = matches!(code, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    // A Status of the API server has it in its body already.
    let is_status = header(CONTENT_TYPE).is_some_and(|kind| kind.contains("json"));
    let seconds = header(RETRY_AFTER).and_then(|text| text.trim().parse::<u32>().ok());
    let Some(seconds) = seconds.filter(|_| is_busy && !is_status) else { return response };
    let reason = code.canonical_reason().unwrap_or_default();
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code.as_u16(),
        "reason": reason.replace(' ', ""), "message": reason,
        "details": { "retryAfterSeconds": seconds.min(LONGEST) },
    });
    let body = Full::from(status.to_string()).map_err(|never| -> BoxError { match never {} });
    response.map(|_| Box::new(body) as Box<DynBody>)
}
