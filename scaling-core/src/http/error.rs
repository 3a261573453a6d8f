//! What can go wrong with a request: [`HttpError`].

use std::time::Duration;

use super::retry::passing;

/// A request without a usable answer. No variant holds a secret, a query string, or more of a body than a short excerpt, from which
/// secrets were cut out; so it can be shown, stored and compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No answer in time, over all attempts.
    #[error("{url}: no answer within {} s ({attempts} {}{})", after.as_secs_f64(), if *attempts == 1 { "attempt" } else { "attempts" }, last.as_deref().map(|last| format!("; before: {last}")).unwrap_or_default())]
    Timeout {
        /// The endpoint, without its query.
        url: String,
        /// The deadline, from the first attempt on.
        after: Duration,
        /// Attempts that were begun.
        attempts: u32,
        /// What had gone wrong with the attempt before.
        last: Option<Box<HttpError>>,
    },
    /// No connection: the name is not known, the port refused, or TLS failed. Nothing was sent.
    #[error("{url}: cannot connect: {cause}")]
    Connect {
        /// The endpoint, without its query.
        url: String,
        /// Cause.
        cause: String,
    },
    /// The connection ended before the answer did.
    #[error("{url}: the connection broke before the answer was complete: {cause}")]
    Interrupted {
        /// The endpoint, without its query.
        url: String,
        /// Cause.
        cause: String,
    },
    /// The server answered with another status than 2xx.
    #[error("{url}: status {status}{}", if excerpt.is_empty() { String::new() } else { format!(": {excerpt}") })]
    Status {
        /// The endpoint, without its query.
        url: String,
        /// Status code.
        status: u16,
        /// Start of the body, at most 200 characters on one line, without secrets.
        excerpt: String,
        /// Time after which the server asks to be tried again.
        retry_after: Option<Duration>,
    },
    /// The server sent the client elsewhere. Redirects are not followed: credentials would go along.
    #[error("{url}: redirected ({status}) to {to}; redirects are not followed: configure the final address")]
    Redirected {
        /// The endpoint, without its query.
        url: String,
        /// Status code.
        status: u16,
        /// Scheme and host of the new place.
        to: String,
    },
    /// The body is longer than allowed, after decompression.
    #[error("{url}: the answer is longer than {limit} bytes")]
    TooLarge {
        /// The endpoint, without its query.
        url: String,
        /// Bytes allowed.
        limit: usize,
    },
    /// The body's encoding is broken, or it is not what it should be.
    #[error("{url}: the answer cannot be decoded: {cause}")]
    Decode {
        /// The endpoint, without its query.
        url: String,
        /// Cause.
        cause: String,
    },
    /// Credentials that cannot be had, or cannot be written into a header.
    #[error("credentials: {what}")]
    Credentials {
        /// What is wrong, without the credentials.
        what: String,
    },
    /// Credentials would travel without encryption. Nothing was sent.
    #[error("{url}: credentials are sent over https only, or to loopback")]
    Unencrypted {
        /// The endpoint, without its query.
        url: String,
    },
    /// The request itself cannot be sent: a header that is none.
    #[error("{url}: invalid request: {cause}")]
    Request {
        /// The endpoint, without its query.
        url: String,
        /// Cause.
        cause: String,
    },
}

impl HttpError {
    /// Returns true if asking again later can help.
    ///
    /// A refused connection counts: servers restart. So does 401, since tokens are renewed; 400, 403 and 404 need a person.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Connect { .. } | Self::Interrupted { .. } | Self::Credentials { .. } => true,
            Self::Status { status, .. } => *status == 401 || passing(*status),
            Self::Redirected { .. }
            | Self::TooLarge { .. }
            | Self::Decode { .. }
            | Self::Unencrypted { .. }
            | Self::Request { .. } => false,
        }
    }

    /// Status code of the answer, if there was one that says what went wrong.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } | Self::Redirected { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// A client that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpConfigError {
    /// The certificates of the authority are no PEM, or hold none.
    #[error("certificate authority: {0}")]
    Authority(String),
    /// A header's name or value cannot be sent, or is one that the client sets itself.
    #[error("header {name:?}: {what}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The HTTP stack refused to start.
    #[error("HTTP client: {0}")]
    Client(String),
}
