//! The part that both back ends share: keys, addresses, and the way of a request to its answer.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use scaling_core::http::{
    Auth, Endpoint, ExposeSecret, HttpClient, HttpConfig, HttpError, HttpRequest, HttpResponse, Retry, SecretString,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::failure::is_spent;
use super::{Completion, ModelError, SetupError};
use crate::text::one_line;

/// Longest answer that is read, in bytes after decompression: far more than any answer, thinking included.
pub(super) const BODY_LIMIT: usize = 1 << 20;

/// Longest time for which a server is left alone because it asked for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

/// Longest name that is kept of what a server calls its model or a request, in characters.
const NAME: usize = 128;

/// Key of an account at a provider. `Debug` does not show it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum ApiKey {
    /// None: local servers often want none.
    #[default]
    None,
    /// A key that stays the same.
    Value(SecretString),
    /// The key in a file, as Kubernetes mounts a Secret. It is read at the first question, and again when the server refuses the one
    /// that was read before.
    File(PathBuf),
}

impl ApiKey {
    /// Returns a key that stays the same. White space around it is dropped.
    pub fn new(key: impl AsRef<str>) -> Self {
        Self::Value(key.as_ref().trim().into())
    }

    /// Returns the key in a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }

    fn check(&self) -> Result<(), SetupError> {
        match self {
            Self::Value(key) if key.expose_secret().is_empty() => Err(SetupError::Key { what: "is empty" }),
            Self::Value(key) if !key.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err(SetupError::Key { what: "holds characters that no key has" })
            }
            _ => Ok(()),
        }
    }
}

/// A server, and how it is spoken to.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) base: String,
    pub(super) key: ApiKey,
    /// Header of the key; `Authorization: Bearer` without one.
    pub(super) key_header: Option<String>,
    pub(super) plain_http: bool,
    pub(super) http: HttpConfig,
}

/// An address without what may be a secret: all before an `@`, and the query.
pub(super) fn shown_base(base: &str) -> &str {
    let host = base.rsplit_once('@').map_or(base, |(_, rest)| rest);
    host.split(['?', '#']).next().unwrap_or_default()
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Server");
        shown.field("base", &shown_base(&self.base)).field("key", &self.key).field("key_header", &self.key_header);
        shown.field("plain_http", &self.plain_http).field("http", &self.http).finish()
    }
}

impl Server {
    pub(super) fn new(base: impl Into<String>, key: ApiKey) -> Self {
        // Two more attempts, as the SDKs of both providers make.
        let retry = Retry { attempts: 3, initial: Duration::from_millis(500), max: Duration::from_secs(8) };
        let http = HttpConfig::default()
            .body_limit(BODY_LIMIT)
            .retry(retry)
            .user_agent(concat!("scaling-llm/", env!("CARGO_PKG_VERSION")));
        Self { base: base.into(), key, key_header: None, plain_http: false, http: timed(http, Duration::from_secs(30)) }
    }

    pub(super) fn timeout(&mut self, timeout: Duration) {
        self.http = timed(self.http.clone(), timeout);
    }

    /// Returns the address with `path` behind it, of which the address may have the beginning or the whole already.
    pub(super) fn endpoint(&self, path: &[&str]) -> Result<Endpoint, SetupError> {
        let endpoint = Endpoint::parse(self.base.trim().trim_end_matches('/'))?;
        if !endpoint.is_encrypted() && !endpoint.is_loopback() && !self.plain_http {
            return Err(SetupError::Unencrypted { address: endpoint.to_string() });
        }
        let text = endpoint.to_string();
        let own: Vec<_> = text.splitn(4, '/').nth(3).unwrap_or_default().split('/').filter(|s| !s.is_empty()).collect();
        let there = (0..=path.len()).rev().find(|begun| own.ends_with(path.get(..*begun).unwrap_or_default()));
        let missing = path.get(there.unwrap_or_default()..).unwrap_or_default();
        Ok(if missing.is_empty() { endpoint } else { endpoint.join(&missing.join("/")) })
    }

    pub(super) fn backend(self, endpoint: Endpoint, query: Vec<(&'static str, String)>) -> Result<Backend, SetupError> {
        self.key.check()?;
        let http = self.http.header("accept", "application/json").retry_if(retries);
        let http = match (self.key, self.key_header) {
            (ApiKey::None, _) => http,
            (ApiKey::Value(key), None) => http.auth(Auth::Bearer(key)),
            (ApiKey::Value(key), Some(name)) => http.secret_header(name, key),
            (ApiKey::File(path), None) => http.auth(Auth::bearer_file(path)),
            (ApiKey::File(path), Some(name)) => http.auth(Auth::header_file(name, path)),
        };
        Ok(Backend { client: HttpClient::new(http)?, endpoint, query, paused: Mutex::default() })
    }
}

/// One attempt may take the whole time: a model that thinks is slow, and one that hangs is no better the second time.
fn timed(http: HttpConfig, timeout: Duration) -> HttpConfig {
    http.timeout(timeout).attempt_timeout(timeout)
}

/// Tells of a failed answer whether another attempt may change it: what the SDKs of both providers do, but that they also ask
/// accounts that are spent again.
fn retries(response: &HttpResponse) -> Option<bool> {
    if is_spent(response.body()) {
        return Some(false);
    }
    match (response.header("x-should-retry"), response.status()) {
        (Some("true"), _) => Some(true),
        (Some("false"), _) | (_, 402) => Some(false),
        // Another request was in the way of this one; or the server failed, or one of the many in front of it.
        (_, 409 | 500..=599) => Some(true),
        _ => None,
    }
}

/// Sends requests, at most when the server wants to be asked.
#[derive(Debug)]
pub(super) struct Backend {
    client: HttpClient,
    endpoint: Endpoint,
    query: Vec<(&'static str, String)>,
    /// The server asked to be left alone until then.
    paused: Mutex<Option<Instant>>,
}

impl Backend {
    /// Sends a body and reads the answer with `read`. Secrets that the server repeats are cut out.
    pub(super) async fn ask(
        &self,
        body: Vec<u8>,
        read: impl Fn(u16, &[u8]) -> Result<Completion, ModelError>,
    ) -> Result<Completion, ModelError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(ModelError::Unavailable("there is no tokio runtime to ask from".into()));
        }
        if let Some(left) = self.pause_left() {
            let left = left.as_secs().saturating_add(1);
            return Err(ModelError::Unavailable(format!("the server asked not to be asked for another {left} s")));
        }
        // A question changes nothing at the server: asked twice, it costs twice.
        let mut request = HttpRequest::post_json(self.endpoint.clone(), body).repeatable(true);
        for (name, value) in &self.query {
            request = request.query(*name, value);
        }
        let response = self.client.exchange(&request).await.map_err(|error| unanswered(&error))?;
        self.heed(&response);
        // Of a failure, the client has cut them out already.
        let text = std::str::from_utf8(response.body()).ok().filter(|_| response.is_success());
        let answer = match text.map(|text| response.redacted(text)) {
            Some(text) => read(response.status(), text.as_bytes()),
            None => read(response.status(), response.body()),
        };
        cleaned(answer, &response)
    }

    fn pause_left(&self) -> Option<Duration> {
        let until = *self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        until?.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    fn heed(&self, response: &HttpResponse) {
        let asked = response.retry_after().filter(|_| matches!(response.status(), 429 | 503 | 529));
        if let Some(until) = asked.and_then(|wait| Instant::now().checked_add(wait.min(LONGEST_PAUSE))) {
            // The longest counts: questions that were on their way together come back in any order.
            let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
            *paused = (*paused).max(Some(until));
        }
    }
}

/// Error of a question that got no answer to read.
fn unanswered(error: &HttpError) -> ModelError {
    let text = one_line(&error.to_string(), 300);
    match error {
        HttpError::Timeout { .. } => ModelError::Late,
        // A person has to mend the address or the key.
        HttpError::Redirected { .. } | HttpError::Credentials { .. } | HttpError::Unencrypted { .. } => {
            ModelError::Denied(text)
        }
        HttpError::Request { .. } => ModelError::Rejected(text),
        _ => ModelError::Unavailable(text),
    }
}

/// Adds the request's id, and takes out what nobody is to see of what a stranger wrote.
fn cleaned(answer: Result<Completion, ModelError>, response: &HttpResponse) -> Result<Completion, ModelError> {
    let redacted = |text: String| response.redacted(&text);
    let name = |text: &str| Some(one_line(&response.redacted(text), NAME)).filter(|name| !name.is_empty());
    match answer {
        Ok(answer) => {
            let headers = ["request-id", "x-request-id", "apim-request-id"];
            Ok(Completion {
                request_id: headers.iter().find_map(|header| response.header(header)).and_then(name),
                model: answer.model.as_deref().and_then(name),
                text: redacted(answer.text),
                usage: answer.usage,
            })
        }
        Err(ModelError::Unavailable(text)) => Err(ModelError::Unavailable(redacted(text))),
        Err(ModelError::Rejected(text)) => Err(ModelError::Rejected(redacted(text))),
        Err(ModelError::Denied(text)) => Err(ModelError::Denied(redacted(text))),
        Err(ModelError::Spent(text)) => Err(ModelError::Spent(redacted(text))),
        Err(other) => Err(other),
    }
}

/// A part of an answer that is read if it is an object of the right kind, and else counts as absent: no answer fails by its counts.
pub(super) fn part<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    let object = raw.map(RawValue::get).filter(|raw| raw.starts_with('{'));
    object.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default()
}

/// A count of tokens; 0 for what is none.
pub(super) fn tokens(value: Option<&RawValue>) -> u64 {
    value.and_then(|value| value.get().parse().ok()).unwrap_or_default()
}

/// The body of a success as text that begins an object. What is read of it is read without building what is not: a megabyte of
/// `[0,0,…` must not become sixteen.
pub(super) fn object(body: &[u8]) -> Result<&str, ModelError> {
    let text = std::str::from_utf8(body).map_err(unusable)?;
    // A struct would also read from an array.
    if text.trim_start().starts_with('{') { Ok(text) } else { Err(unusable("it is no JSON object")) }
}

/// An answer that is none.
pub(super) fn unusable(what: impl fmt::Display) -> ModelError {
    ModelError::Unavailable(format!("the answer cannot be used: {}", one_line(&what.to_string(), 160)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_appended_exactly_once() {
        let at = |base: &str, path: &[&str]| Server::new(base, ApiKey::None).endpoint(path).unwrap().to_string();
        for (base, whole) in [
            ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
            ("https://api.anthropic.com/", "https://api.anthropic.com/v1/messages"),
            ("https://api.anthropic.com/v1", "https://api.anthropic.com/v1/messages"),
            (" https://api.anthropic.com/v1/messages/ ", "https://api.anthropic.com/v1/messages"),
            ("https://gateway.example.com/anthropic", "https://gateway.example.com/anthropic/v1/messages"),
            ("https://v1", "https://v1/v1/messages"),
            ("https://h/av1", "https://h/av1/v1/messages"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/messages"),
        ] {
            assert_eq!(at(base, &["v1", "messages"]), whole);
        }
        for (base, whole) in [
            ("https://api.openai.com/v1/", "https://api.openai.com/v1/chat/completions"),
            ("https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1/chat/completions"),
            ("https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
            ("https://gateway.example.com", "https://gateway.example.com/chat/completions"),
        ] {
            assert_eq!(at(base, &["chat", "completions"]), whole);
        }
    }

    #[test]
    fn a_question_in_the_clear_is_refused_unless_that_is_said() {
        let mut server = Server::new("http://vllm.models.svc:8000/v1", ApiKey::None);
        let error = server.endpoint(&["chat", "completions"]).unwrap_err();
        assert!(matches!(error, SetupError::Unencrypted { .. }), "{error}");
        server.plain_http = true;
        assert!(server.endpoint(&["chat", "completions"]).is_ok());
    }
}
