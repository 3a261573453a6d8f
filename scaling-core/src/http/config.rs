//! The settings of a client: [`HttpConfig`].

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::request::{Header, header_setters};
use super::{Auth, HttpResponse, Retry};
use crate::trace_context::trace_headers;

/// W3C trace context of the request that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Value of `traceparent`.
    pub traceparent: String,
    /// Value of `tracestate`; none if empty.
    pub tracestate: String,
}

impl TraceContext {
    /// That of the current span, if it is traced.
    fn of_span() -> Option<Self> {
        let mut headers = trace_headers();
        let mut taken = |name: &str| {
            let place = headers.iter().position(|(header, _)| header.eq_ignore_ascii_case(name))?;
            Some(headers.swap_remove(place).1)
        };
        let traceparent = taken("traceparent")?;
        Some(Self { traceparent, tracestate: taken("tracestate").unwrap_or_default() })
    }
}

/// Tells in which trace a request is sent; asked before each attempt.
pub(super) type TraceHook = Arc<dyn Fn() -> Option<TraceContext> + Send + Sync>;

/// Tells whether an answer that is no success is worth another attempt, if it knows.
pub(super) type RetryHook = Arc<dyn Fn(&HttpResponse) -> Option<bool> + Send + Sync>;

/// Settings of an [`HttpClient`](super::HttpClient). `Debug` shows no secret.
#[derive(Clone)]
pub struct HttpConfig {
    pub(super) timeout: Duration,
    pub(super) attempt_timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) body_limit: usize,
    pub(super) retry: Retry,
    pub(super) retry_if: Option<RetryHook>,
    pub(super) reset_header: Option<String>,
    pub(super) seed: u64,
    pub(super) auth: Auth,
    pub(super) headers: Vec<Header>,
    pub(super) authority: Option<Vec<u8>>,
    pub(super) proxy: bool,
    pub(super) user_agent: String,
    pub(super) trace: Option<TraceHook>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            body_limit: 64 << 20,
            retry: Retry::default(),
            retry_if: None,
            reset_header: None,
            // The one source of chance that the standard library has: each has its own keys.
            seed: RandomState::new().hash_one(0),
            auth: Auth::None,
            headers: Vec::new(),
            authority: None,
            proxy: false,
            user_agent: concat!("scaling-core/", env!("CARGO_PKG_VERSION")).into(),
            trace: Some(Arc::new(TraceContext::of_span)),
        }
    }
}

impl HttpConfig {
    /// Sets the deadline over all attempts, their waits and the body. Default 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the deadline of one attempt, its body included. Default 10 s; beyond [`timeout`](Self::timeout) it has no effect.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Sets the time for a connection to be there, TLS included. Default 3 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the longest body that is read, in bytes after decompression. Default 64 MiB.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Sets how often and how soon to try again.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Lets `hook` say of each answer that is no success whether another attempt may change it: for services whose body or headers tell
    /// more than the status, such as a 429 of an account that is spent. `None` leaves it to the status; see [`Retry`]. A request
    /// that is not [repeatable](super::HttpRequest::repeatable) is sent again after 429 and 503 alone, whatever the hook says.
    #[must_use]
    pub fn retry_if(mut self, hook: impl Fn(&HttpResponse) -> Option<bool> + Send + Sync + 'static) -> Self {
        self.retry_if = Some(Arc::new(hook));
        self
    }

    /// Heeds a header of answers 429 that says in how many seconds the limit of requests is reset, where the server sends no
    /// `Retry-After`. Its name differs from service to service, and some write an instant into it: this is for seconds.
    #[must_use]
    pub fn reset_header(mut self, name: impl Into<String>) -> Self {
        self.reset_header = Some(name.into());
        self
    }

    /// Sets the seed of the jitter. By default each client draws its own.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the credentials of every request.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    header_setters! {
        /// Adds a header to every request: a tenant, say. `Host`, `Content-Length`, `Transfer-Encoding` and `Authorization` are refused:
        /// the client sets them.
        header,
        /// Adds a header whose value is a secret, such as an API key, to every request.
        secret_header
    }

    /// Trusts the certificate authorities in a PEM text, and not those of the platform.
    #[must_use]
    pub fn certificate_authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authority = Some(pem.into());
        self
    }

    /// Uses the proxy that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name. By default none is used, whatever the environment says.
    /// With it, credentials are sent over https only, to loopback as well.
    #[must_use]
    pub fn proxy_from_environment(mut self) -> Self {
        self.proxy = true;
        self
    }

    /// Sets the `User-Agent`. Default: the name and version of this crate.
    #[must_use]
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.user_agent = name.into();
        self
    }

    /// Sends the `traceparent` and `tracestate` that `hook` tells, which is asked before each attempt. By default those of the current
    /// span, where the feature `otlp` is built in and its layer traces; a hook that tells `None` sends none.
    #[must_use]
    pub fn trace_context(mut self, hook: impl Fn() -> Option<TraceContext> + Send + Sync + 'static) -> Self {
        self.trace = Some(Arc::new(hook));
        self
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConfig")
            .field("timeout", &self.timeout)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("body_limit", &self.body_limit)
            .field("retry", &self.retry)
            .field("auth", &self.auth)
            .field("headers", &self.headers)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}
