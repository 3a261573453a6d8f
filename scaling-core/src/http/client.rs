//! Sending: [`HttpClient`].

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep, timeout_at};

use super::redact::Secrets;
use super::request::Header;
use super::response::ERROR_BODY_LIMIT;
use super::retry::{Jitter, passing, refused, retry_after, retry_after_ms};
use super::{Auth, HttpConfig, HttpConfigError, HttpError, HttpRequest, HttpResponse, tls};
use crate::causes::chain;

/// Sends requests by the rules of its [`HttpConfig`]; see the [module](super). Connections are kept and shared: one client for each
/// server, used by many tasks at once.
#[derive(Debug)]
pub struct HttpClient {
    client: Client,
    config: HttpConfig,
    headers: HeaderMap,
    jitter: Jitter,
}

/// The HTTP stack by a configuration: TLS, no redirects, the proxy that was chosen. For libraries that bring their own requests as well.
pub(crate) fn stack(config: &HttpConfig) -> Result<Client, HttpConfigError> {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls::config(config.authority.as_deref())?)
        .redirect(Policy::none())
        .connect_timeout(config.connect_timeout)
        .user_agent(&config.user_agent);
    let builder = if config.proxy { builder } else { builder.no_proxy() };
    builder.build().map_err(|error| HttpConfigError::Client(chain(&error.without_url())))
}

/// What became of one attempt that may be followed by another.
struct Failed {
    outcome: Result<HttpResponse, HttpError>,
    /// True if nothing can have been carried out.
    undone: bool,
}

impl HttpClient {
    /// Creates a client.
    ///
    /// # Errors
    /// [`HttpConfigError`] if a certificate or header cannot be used.
    pub fn new(config: HttpConfig) -> Result<Self, HttpConfigError> {
        let mut headers = HeaderMap::new();
        for header in &config.headers {
            let parsed = header.parsed();
            let (name, value) = parsed.map_err(|what| HttpConfigError::Header { name: header.name.clone(), what })?;
            headers.append(name, value);
        }
        if let Auth::Header { name, .. } = &config.auth {
            let parsed = Header::plain(name, "").parsed();
            parsed.map_err(|what| HttpConfigError::Header { name: name.clone(), what })?;
        }
        let client = stack(&config)?;
        let jitter = Jitter::seeded(config.seed);
        Ok(Self { client, config, headers, jitter })
    }

    /// Sends a request and returns the answer if its status is 2xx.
    ///
    /// # Errors
    /// [`HttpError`], [`HttpError::Status`] for any other status.
    pub async fn send(&self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        self.exchange(request).await?.into_success()
    }

    /// Sends a request and returns the answer, whatever its status but a redirect. What is [transient](super::Retry) is tried again
    /// first; an answer of that kind comes back if the attempts or the time ran out.
    ///
    /// # Errors
    /// [`HttpError`] if there is no complete answer.
    pub async fn exchange(&self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        let started = Instant::now();
        let deadline = later(started, self.config.timeout);
        let url = request.endpoint.to_string();
        let mut last: Option<HttpError> = None;
        let (mut attempt, mut renew, mut renewed) = (0, false, false);
        loop {
            attempt += 1;
            let until = deadline.min(later(Instant::now(), self.config.attempt_timeout));
            let failed = match timeout_at(until, self.attempt(request, &url, std::mem::take(&mut renew))).await {
                Ok(Ok(response)) if response.status == 401 && !renewed && self.renews() => {
                    // Not an attempt that failed: the token expired.
                    (renew, renewed, attempt) = (true, true, attempt - 1);
                    continue;
                }
                Ok(Ok(response)) if self.may_pass(&response) => {
                    Failed { undone: refused(response.status), outcome: Ok(response) }
                }
                Ok(Err(error @ (HttpError::Connect { .. } | HttpError::Interrupted { .. }))) => {
                    Failed { undone: matches!(error, HttpError::Connect { .. }), outcome: Err(error) }
                }
                Ok(done) => return done,
                Err(_) => {
                    let after = started.elapsed();
                    // Of several that were not answered one says it all; what went wrong before them is more than that.
                    let last = match last.take() {
                        Some(HttpError::Timeout { last, .. }) => last,
                        other => other.map(Box::new),
                    };
                    let outcome = Err(HttpError::Timeout { url: url.clone(), after, attempts: attempt, last });
                    Failed { undone: false, outcome }
                }
            };
            let asked = failed.outcome.as_ref().ok().and_then(|response| response.retry_after);
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = self.config.retry.wait(attempt, asked, left, self.jitter.next());
            match wait.filter(|_| failed.undone || request.repeatable) {
                Some(wait) => {
                    tracing::debug!(%url, attempt, ?wait, "trying again");
                    last = Some(failed.outcome.map_or_else(|error| error, |response| response.status_error()));
                    sleep(wait).await;
                }
                None => return failed.outcome,
            }
        }
    }

    fn renews(&self) -> bool {
        matches!(self.config.auth, Auth::Token(_) | Auth::Header { .. })
    }

    /// True for an answer that a later attempt may change: by its status, unless the host knows more.
    fn may_pass(&self, response: &HttpResponse) -> bool {
        let said = self.config.retry_if.as_ref().filter(|_| !response.is_success()).and_then(|hook| hook(response));
        said.unwrap_or_else(|| passing(response.status))
    }

    async fn attempt(&self, request: &HttpRequest, url: &str, renew: bool) -> Result<HttpResponse, HttpError> {
        let (built, secrets) = self.build(request, url, renew).await?;
        let has_credentials = built.headers().values().any(HeaderValue::is_sensitive);
        let stays_here = request.endpoint.is_loopback() && !self.config.proxy;
        if has_credentials && !request.endpoint.is_encrypted() && !stays_here {
            return Err(HttpError::Unencrypted { url: url.to_owned() });
        }
        let response = self.client.execute(built).await.map_err(|error| failure(error, url))?;
        if let Some(to) = redirect(&response) {
            let to = secrets.removed(&to, false).into_owned();
            return Err(HttpError::Redirected { url: url.to_owned(), status: response.status().as_u16(), to });
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let wall_clock = || std::time::SystemTime::now().into();
        let seconds = || text(RETRY_AFTER.as_str()).and_then(|value| retry_after(value, text("date"), wall_clock()));
        let asked = text("retry-after-ms").and_then(retry_after_ms).or_else(seconds);
        let reset = self.config.reset_header.as_deref().filter(|_| status == 429);
        let retry_after = asked.or_else(|| text(reset?)?.trim().parse().ok().map(Duration::from_secs));
        let is_success = response.status().is_success();
        let limit = if is_success { self.config.body_limit } else { ERROR_BODY_LIMIT };
        let (body, cut) = read(response, limit, url).await?;
        if is_success && cut {
            return Err(HttpError::TooLarge { url: url.to_owned(), limit });
        }
        let response = HttpResponse { url: url.to_owned(), status, headers, body, retry_after, secrets };
        Ok(if is_success { response } else { response.without_secrets(cut) })
    }

    /// Puts the request together, with the secrets that are in it.
    async fn build(
        &self,
        request: &HttpRequest,
        url: &str,
        renew: bool,
    ) -> Result<(reqwest::Request, Secrets), HttpError> {
        let refused = |cause: String| HttpError::Request { url: url.to_owned(), cause };
        let mut headers = self.headers.clone();
        for header in &request.headers {
            let parsed = header.parsed();
            let (name, value) = parsed.map_err(|what| refused(format!("header {:?}: {what}", header.name)))?;
            headers.insert(name, value);
        }
        if let Some(context) = self.config.trace.as_ref().and_then(|hook| hook()) {
            for (name, value) in [("traceparent", context.traceparent), ("tracestate", context.tracestate)] {
                if let Ok(value) = HeaderValue::from_str(&value)
                    && !value.is_empty()
                {
                    headers.insert(name, value);
                }
            }
        }
        let mut builder = self.client.request(request.method.clone(), request.endpoint.url().clone()).headers(headers);
        if !request.query.is_empty() {
            builder = builder.query(&request.query);
        }
        if !request.body.is_empty() {
            builder = builder.body(request.body.clone());
        }
        let mut password = None;
        builder = match &self.config.auth {
            Auth::None => builder,
            Auth::Bearer(token) => builder.bearer_auth(token.expose_secret()),
            Auth::Token(source) => builder.bearer_auth(source.token(renew).await?.expose_secret()),
            Auth::Header { name, token } => {
                let header = Header::secret(name, token.token(renew).await?).parsed();
                let (name, value) =
                    header.map_err(|what| HttpError::Credentials { what: format!("{name}: {what}") })?;
                builder.header(name, value)
            }
            Auth::Basic { user, password: secret } => {
                password = Some(secret);
                builder.basic_auth(user, Some(secret.expose_secret()))
            }
        };
        // What a builder refuses here is a token with a line break: its error does not repeat it.
        let mut built = builder.build().map_err(|_| HttpError::Credentials {
            what: "the token or password holds characters that no header can".into(),
        })?;
        // A blank as `+` is understood by readers of forms alone; as `%20` by everybody. A real plus sign is `%2B` by now.
        if let Some(query) =
            built.url().query().filter(|query| query.contains('+')).map(|query| query.replace('+', "%20"))
        {
            built.url_mut().set_query(Some(&query));
        }
        let mut secrets = Secrets::of(built.headers());
        if let Some(password) = password {
            secrets.add(password.expose_secret());
        }
        Ok((built, secrets))
    }
}

/// Reads at most `limit` bytes, and tells whether there was more. What a server says about the length is not believed.
async fn read(mut response: Response, limit: usize, url: &str) -> Result<(Vec<u8>, bool), HttpError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(error, url))? {
        if chunk.len() > limit - body.len() {
            body.extend(chunk.iter().take(limit - body.len()));
            return Ok((body, true));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body, false))
}

/// An instant that far ahead, or thirty years where there is none: no limit is a limit that nobody lives to see.
fn later(from: Instant, after: Duration) -> Instant {
    const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 86_400);
    from.checked_add(after.min(THIRTY_YEARS)).unwrap_or(from)
}

/// Scheme and host to which the answer sends, if it does.
fn redirect(response: &Response) -> Option<String> {
    if !response.status().is_redirection() {
        return None;
    }
    let to = response.headers().get(LOCATION)?.to_str().ok()?;
    let to = response.url().join(to).ok();
    Some(to.as_ref().and_then(host).unwrap_or_else(|| "an address that is none".into()))
}

fn host(url: &Url) -> Option<String> {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}", url.scheme(), url.host_str()?))
}

/// Tells failures of the stack apart. The address in them may hold a query, so it is taken out.
fn failure(error: reqwest::Error, url: &str) -> HttpError {
    let error = error.without_url();
    let (url, cause) = (url.to_owned(), chain(&error));
    if error.is_connect() {
        HttpError::Connect { url, cause }
    } else if error.is_decode() && !is_io(&error) {
        HttpError::Decode { url, cause }
    } else if error.is_builder() {
        HttpError::Request { url, cause }
    } else {
        HttpError::Interrupted { url, cause }
    }
}

/// True if the network broke: that shows as a body that cannot be decoded when it is compressed.
fn is_io(error: &reqwest::Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
            if matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof) {
                return true;
            }
        }
        let text = error.to_string();
        if text.contains("before message completed") || text.contains("error reading a body") {
            return true;
        }
        next = error.source();
    }
    false
}
