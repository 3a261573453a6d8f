//! Where to and what: [`Endpoint`] and [`HttpRequest`], plain values.

use std::fmt;
use std::net::IpAddr;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};

/// Headers that the client sets and nobody else.
const OWN_HEADERS: [&str; 4] = ["host", "content-length", "transfer-encoding", "authorization"];

/// An address that is no endpoint. The text never repeats credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("address {shown:?}: {what}")]
pub struct InvalidEndpoint {
    shown: String,
    what: String,
}

/// An http or https address without credentials and query: the base of requests.
///
/// ```
/// use scaling_core::http::Endpoint;
/// let mimir = Endpoint::parse("https://mimir.example.com/prometheus/")?;
/// assert_eq!(mimir.join("api/v1/query").to_string(), "https://mimir.example.com/prometheus/api/v1/query");
/// assert!(Endpoint::parse("https://user:secret@example.com").unwrap_err().to_string().contains("credentials"));
/// # Ok::<(), scaling_core::http::InvalidEndpoint>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Reads an address.
    ///
    /// # Errors
    /// [`InvalidEndpoint`] if it is none, has another scheme than http and https, credentials, a query or a fragment.
    pub fn parse(address: &str) -> Result<Self, InvalidEndpoint> {
        // Whatever stands before an `@` may be a password.
        let shown = address.rsplit_once('@').map_or(address, |(_, rest)| rest);
        let shown = shown.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect::<String>();
        let fault = |what: &str| InvalidEndpoint { shown: shown.clone(), what: what.to_owned() };
        let url = Url::parse(address.trim()).map_err(|error| fault(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(fault("expected http:// or https:// and a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fault("credentials do not belong into an address, which is logged: give them on their own"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(fault("a query or fragment does not belong into it"));
        }
        Ok(Self(url))
    }

    /// Returns the endpoint with a path behind its own; slashes at the seam count once.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{}", self.0.path().trim_end_matches('/'), path.trim_start_matches('/')));
        Self(url)
    }

    /// True if requests to it are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// True for `localhost` and the addresses of loopback, which do not leave the machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The setters of `headers`, which a client's settings and a request share.
macro_rules! header_setters {
    ($(#[$plain_doc:meta])* $plain:ident, $(#[$secret_doc:meta])* $secret:ident) => {
        $(#[$plain_doc])*
        #[must_use]
        pub fn $plain(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.headers.push($crate::http::request::Header::plain(name, value));
            self
        }

        $(#[$secret_doc])*
        #[must_use]
        pub fn $secret(mut self, name: impl Into<String>, value: impl Into<secrecy::SecretString>) -> Self {
            self.headers.push($crate::http::request::Header::secret(name, value));
            self
        }
    };
}
pub(super) use header_setters;

/// A header to send. `Debug` shows the name alone.
#[derive(Clone)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) value: SecretString,
    pub(super) is_secret: bool,
}

impl Header {
    pub(super) fn plain(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into().into(), is_secret: false }
    }

    pub(super) fn secret(name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        Self { name: name.into(), value: value.into(), is_secret: true }
    }

    /// Returns it as the stack sends it, or what is wrong with it.
    pub(super) fn parsed(&self) -> Result<(HeaderName, HeaderValue), &'static str> {
        let name = HeaderName::from_bytes(self.name.as_bytes()).map_err(|_| "this is no name of a header")?;
        if OWN_HEADERS.contains(&name.as_str()) {
            return Err("the client sets it itself");
        }
        let mut value = HeaderValue::from_str(self.value.expose_secret())
            .map_err(|_| "its value holds characters that no header can")?;
        value.set_sensitive(self.is_secret);
        Ok((name, value))
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// A request: a value that can be built, looked at and sent again. `Debug` shows no header values and no body.
#[derive(Clone)]
pub struct HttpRequest {
    pub(super) endpoint: Endpoint,
    pub(super) method: Method,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<Header>,
    pub(super) body: Vec<u8>,
    pub(super) repeatable: bool,
}

impl HttpRequest {
    /// Returns a request that reads.
    pub fn get(endpoint: Endpoint) -> Self {
        let (query, headers, body) = (Vec::new(), Vec::new(), Vec::new());
        Self { endpoint, method: Method::GET, query, headers, body, repeatable: true }
    }

    /// Returns a request with a body of the given content type. It is not [`repeatable`](Self::repeatable) unless that is said.
    pub fn post(endpoint: Endpoint, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let request = Self { method: Method::POST, body: body.into(), repeatable: false, ..Self::get(endpoint) };
        request.header("content-type", content_type)
    }

    /// Returns a request with a JSON text.
    pub fn post_json(endpoint: Endpoint, body: impl Into<Vec<u8>>) -> Self {
        Self::post(endpoint, "application/json", body)
    }

    /// Returns a request with the fields of a form, percent-encoded.
    pub fn post_form<'a>(endpoint: Endpoint, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut encoded = endpoint.url().clone();
        encoded.set_query(None);
        encoded.query_pairs_mut().extend_pairs(fields);
        let body = encoded.query().unwrap_or_default().to_owned();
        Self::post(endpoint, "application/x-www-form-urlencoded", body)
    }

    /// Adds a parameter to the query of the address.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    header_setters! {
        /// Adds a header; it takes the place of one of the same name that the client sends with every request.
        header,
        /// Adds a header whose value is a secret.
        secret_header
    }

    /// Says whether the server may carry it out twice without harm: true for what only reads. Default: true for `GET`.
    #[must_use]
    pub fn repeatable(mut self, repeatable: bool) -> Self {
        self.repeatable = repeatable;
        self
    }

    /// The address, without the query.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters: Vec<_> = self.query.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("endpoint", &self.endpoint.to_string())
            .field("query", &parameters)
            .field("headers", &self.headers)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_no_endpoint_is_refused_without_its_credentials() {
        for (address, what) in [
            ("", "relative URL"),
            ("prometheus:9090", "http:// or https://"),
            ("file:///etc/passwd", "http:// or https://"),
            ("https://user:hunter2@host/", "credentials"),
            ("ftp://user:hunter2@host/", "http:// or https://"),
            ("https://us er:hunter2@ho st/", "invalid"),
            ("https://host/?token=hunter2", "query"),
            ("https://host/#hunter2", "fragment"),
        ] {
            let error = Endpoint::parse(address).unwrap_err().to_string();
            assert!(error.contains(what) && !error.contains("hunter2"), "{address}: {error}");
        }
    }

    #[test]
    fn loopback_is_told_from_names_that_look_like_it() {
        for (address, loopback) in [
            ("http://localhost:9090", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:9090", true),
            ("http://2130706433/", true),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(Endpoint::parse(address).unwrap().is_loopback(), loopback, "{address}");
        }
    }

    #[test]
    fn a_form_is_percent_encoded() {
        let endpoint = Endpoint::parse("http://localhost/").unwrap();
        let request = HttpRequest::post_form(endpoint, [("query", "a{b=\"c&d\"} + 1"), ("time", "5")]);
        assert_eq!(request.body(), b"query=a%7Bb%3D%22c%26d%22%7D+%2B+1&time=5");
    }
}
