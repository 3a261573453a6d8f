//! An HTTP client that is careful with deadlines, bodies and secrets: what the REST sources of metrics send their queries with.
//!
//! | what goes wrong | what happens |
//! | --- | --- |
//! | the server hangs, or trickles | one deadline over all attempts ([`HttpConfig::timeout`]) and one for each ([`HttpConfig::attempt_timeout`]) |
//! | it is busy or fails for a moment | tried again with exponential backoff and jitter, `Retry-After` heeded ([`Retry`]) |
//! | its answer never ends, or unpacks to gigabytes | reading stops at [`HttpConfig::body_limit`], counted after decompression |
//! | it sends the client elsewhere | no redirect is followed, so credentials go to the host that was named and no other |
//! | credentials would travel in the clear | refused before anything is sent, unless the host is loopback |
//! | it repeats a secret in its answer | cut out before anybody sees it; secrets are in no `Debug` and no error either |
//! | the process has no TLS provider installed | nothing is needed: *ring* is handed over, and nothing is installed for others |
//!
//! Time is tokio's. Answers of any status come back from [`HttpClient::exchange`]; [`HttpClient::send`] makes an error of all but 2xx.
//!
//! ```no_run
//! use std::time::Duration;
//! use scaling_core::http::{Auth, Endpoint, HttpClient, HttpConfig, HttpRequest};
//!
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! let client = HttpClient::new(
//!     HttpConfig::default()
//!         .timeout(Duration::from_secs(10))
//!         .auth(Auth::bearer_file("/var/run/secrets/metrics/token"))
//!         .header("x-scope-orgid", "team-a"),
//! )?;
//! let endpoint = Endpoint::parse("https://mimir.example.com/prometheus")?;
//! let request = HttpRequest::get(endpoint.join("api/v1/query")).query("query", "up");
//! let response = client.send(&request).await?;
//! println!("{} bytes", response.body().len());
//! # Ok(())
//! # }
//! ```

mod auth;
mod client;
mod config;
mod error;
mod redact;
mod request;
mod response;
mod retry;
mod tls;

pub use auth::{Auth, TokenFile, TokenSource};
pub use client::HttpClient;
pub use config::{HttpConfig, TraceContext};
pub use error::{HttpConfigError, HttpError};
pub use request::{Endpoint, HttpRequest, InvalidEndpoint};
pub use response::HttpResponse;
pub use retry::Retry;
pub use secrecy::{ExposeSecret, SecretString};
