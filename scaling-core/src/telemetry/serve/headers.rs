//! What a request may be, and the headers of every answer.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Headers that no route changes. See the OWASP list of secure headers for REST and pages.
const ALWAYS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Policy of an answer that sets none: it loads nothing, is framed by nobody and sends nothing anywhere.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Adds the headers that keep a browser from doing more with an answer than showing it.
pub(in crate::telemetry) async fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NOTHING));
    // What runs in a cluster belongs into no cache.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets reading through, and nothing else.
pub(super) async fn read_only(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let allowed = [(ALLOW, HeaderValue::from_static("GET, HEAD"))];
    (StatusCode::METHOD_NOT_ALLOWED, allowed, "only GET and HEAD are answered\n").into_response()
}

/// Names by which a server may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostNames {
    /// `localhost` and addresses: nobody else can make a browser call a server on loopback by these.
    Loopback,
    /// Any: behind a service or a proxy it has names of its own.
    Any,
}

impl HostNames {
    pub(super) fn for_address(address: SocketAddr) -> Self {
        if address.ip().is_loopback() { Self::Loopback } else { Self::Any }
    }

    fn allow(self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        let local = name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost");
        self == Self::Any || local || name.parse::<IpAddr>().is_ok()
    }
}

/// Refuses a request to a name that is not the server's own.
pub(super) async fn own_name_only(State(names): State<HostNames>, request: Request, next: Next) -> Response {
    // Without the header it is HTTP/1.0, which no browser speaks.
    let is_own = |host: &HeaderValue| host.to_str().is_ok_and(|host| names.allow(host));
    if request.headers().get(HOST).is_none_or(is_own) {
        return next.run(request).await;
    }
    (StatusCode::MISDIRECTED_REQUEST, "this server is called localhost or by its address\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_only_names_that_nobody_else_can_point_here_are_its_own() {
        for host in ["localhost", "LocalHost:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]", "a.localhost", "10.0.0.1"]
        {
            assert!(HostNames::Loopback.allow(host), "{host}");
        }
        for host in
            ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io:8000", "", "[", ":8000"]
        {
            assert!(!HostNames::Loopback.allow(host), "{host}");
            assert!(HostNames::Any.allow(host), "{host}");
        }
    }
}
