//! [`Answer`]: a body with its tag.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What a body is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Html,
    Css,
    Script,
    Json,
}

impl Form {
    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Css => "text/css; charset=utf-8",
            Self::Script => "text/javascript; charset=utf-8",
            Self::Json => "application/json",
        })
    }

    /// The page itself is kept by a browser, and asked about each time; what runs in a cluster belongs into no cache.
    fn cache_control(self) -> HeaderValue {
        HeaderValue::from_static(if matches!(self, Self::Json) { "no-store" } else { "no-cache" })
    }
}

/// A body whose tag follows from its bytes, so that it holds over a restart.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    form: Form,
    body: Bytes,
    tag: String,
    status: StatusCode,
}

impl Answer {
    pub(super) fn of(form: Form, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        Self { form, tag: format!("\"{:016x}\"", hasher.finish()), body, status: StatusCode::OK }
    }

    pub(super) fn json(body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(json) => Self::of(Form::Json, json),
            // Plain numbers and texts always have a JSON form.
            Err(_) => Self { status: StatusCode::INTERNAL_SERVER_ERROR, ..Self::of(Form::Json, "{}") },
        }
    }

    /// The answer to a request with these headers: a 304 without a body where the asker has it already.
    pub(super) fn response(&self, headers: &HeaderMap) -> Response {
        let held = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let is_ours = |tag: &str| tag == "*" || tag.trim_start_matches("W/") == self.tag;
        let is_held = held.flat_map(|tags| tags.split(',')).any(|tag| is_ours(tag.trim()));
        let mut response = if is_held && self.status == StatusCode::OK {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            (self.status, Body::from(self.body.clone())).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.form.content_type());
        headers.insert(CACHE_CONTROL, self.form.cache_control());
        if let Ok(tag) = self.tag.parse() {
            headers.insert(ETAG, tag);
        }
        response
    }
}

/// An error with its reason.
pub(super) fn failure(status: StatusCode, error: &str) -> Response {
    Answer { status, ..Answer::json(&serde_json::json!({ "error": error })) }.response(&HeaderMap::new())
}
