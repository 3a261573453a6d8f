//! What came back: [`HttpResponse`].

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderMap;

use super::HttpError;
use super::redact::{Secrets, excerpt};

/// Bytes read of the body of an answer that is no success: enough for any message.
pub(super) const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// An answer, whatever its status. In the body of one that is no success, secrets of the request are cut out.
#[derive(Clone)]
pub struct HttpResponse {
    pub(super) url: String,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) retry_after: Option<Duration>,
    pub(super) secrets: Secrets,
}

impl HttpResponse {
    /// Status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// True for 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header as text, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, decompressed.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body, decompressed.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// Time after which the server asks to be tried again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Start of the body on one line, at most 200 characters.
    pub fn excerpt(&self) -> String {
        excerpt(&String::from_utf8_lossy(&self.body))
    }

    /// Returns a text without the secrets of the request: for what a success says in words and a caller passes on.
    pub fn redacted(&self, text: &str) -> String {
        self.secrets.removed(text, false).into_owned()
    }

    /// Returns the answer if it is a success.
    ///
    /// # Errors
    /// [`HttpError::Status`] otherwise.
    pub fn into_success(self) -> Result<Self, HttpError> {
        if self.is_success() { Ok(self) } else { Err(self.status_error()) }
    }

    /// Returns what went wrong with the body, for a caller that decodes it.
    pub fn decode_error(&self, cause: impl Into<String>) -> HttpError {
        HttpError::Decode { url: self.url.clone(), cause: cause.into() }
    }

    pub(super) fn status_error(&self) -> HttpError {
        let (url, excerpt) = (self.url.clone(), self.excerpt());
        HttpError::Status { url, status: self.status, excerpt, retry_after: self.retry_after }
    }

    pub(super) fn without_secrets(mut self, cut: bool) -> Self {
        let text = String::from_utf8_lossy(&self.body);
        self.body = self.secrets.removed(&text, cut).into_owned().into_bytes();
        self
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("url", &self.url)
            .field("status", &self.status)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}
