//! `/metrics`, `/healthz` and `/readyz` over HTTP, read only: [`Server`].
//!
//! | path | answer |
//! | --- | --- |
//! | `/metrics` | [`Metrics`], in the OpenMetrics text format |
//! | `/healthz` | 200 while the process is alive; 503 once ticks have stopped coming ([`Health::stalled_after`]) |
//! | `/readyz` | 200 while the loop does its work, otherwise 503 with the reason ([`Readiness`](super::Readiness)) |
//!
//! It listens on the loopback interface unless it is told otherwise, takes `GET` and `HEAD` alone, and sends headers that keep a browser
//! from doing anything with an answer but showing it. On loopback a request that names another host is refused: a page elsewhere
//! could otherwise read the answers by letting its own name point here (DNS rebinding).

mod connection;
mod headers;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

pub use axum;
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

pub(super) use headers::secure;

use super::{Health, Metrics};
use connection::Limited;

/// Address of a [`Server`] that is told none: port 8000 of the loopback interface.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);

/// Time that requests under way are given to end once the server is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Reasons why nothing is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The listener failed.
    #[error("the server on {address} failed: {source}")]
    Serve {
        /// The address.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// Serves metrics and health over HTTP.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use scaling_core::telemetry::{Health, Metrics, serve::Server};
///
/// let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::new()));
/// let stop = async { /* when the loop has ended */ };
/// Server::new(metrics, health).serve(stop).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is served before `serve` or `bind`"]
pub struct Server {
    address: SocketAddr,
    state: Shared,
    more: Router,
}

#[derive(Clone, Debug)]
struct Shared {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Server {
    /// Creates a server on [`DEFAULT_ADDRESS`].
    pub fn new(metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        Self { address: DEFAULT_ADDRESS, state: Shared { metrics, health }, more: Router::new().fallback(nothing) }
    }

    /// Sets the address; port 0 takes any free one. An address beyond loopback shows what is served to everybody who reaches it.
    pub fn on(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Sets the routes for everything but the server's own three paths, which stay its own. The limits and headers of this module hold
    /// for them too; only a `Content-Security-Policy` or `Cache-Control` of their own is kept.
    pub fn with_routes(mut self, routes: Router) -> Self {
        self.more = routes;
        self
    }

    /// All of it as a router, for a host that has a server of its own.
    pub fn into_router(self) -> Router {
        let names = headers::HostNames::for_address(self.address);
        Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .with_state(self.state)
            .fallback_service(self.more)
            .layer(middleware::from_fn(headers::read_only))
            .layer(middleware::from_fn_with_state(names, headers::own_name_only))
            .layer(middleware::map_response(headers::secure))
    }

    /// Begins to listen. Requests are answered once [`Listening::serve`] runs.
    ///
    /// # Errors
    /// [`ServeError::Bind`] if the address cannot be listened on.
    pub async fn bind(self) -> Result<Listening, ServeError> {
        let address = self.address;
        let failed = |source| ServeError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Listening { address, listener, router: self.into_router() })
    }

    /// Listens and serves until `stop` is done.
    ///
    /// # Errors
    /// [`ServeError`] if the address cannot be listened on, or the listener fails.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        self.bind().await?.serve(stop).await
    }
}

/// A server that listens, and answers once it [serves](Self::serve).
#[derive(Debug)]
#[must_use = "nothing is answered before `serve`"]
pub struct Listening {
    address: SocketAddr,
    listener: TcpListener,
    router: Router,
}

impl Listening {
    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is done; requests that are under way then are given 5 s.
    ///
    /// # Errors
    /// [`ServeError::Serve`] if the listener fails.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let Self { address, listener, router } = self;
        let (told, stopped) = tokio::sync::oneshot::channel::<()>();
        let stop = async move {
            stop.await;
            drop(told);
        };
        let served = axum::serve(Limited::new(listener), router).with_graceful_shutdown(stop);
        let grace = async {
            // An error says that the sender was dropped: the server was told to stop.
            stopped.await.ok();
            tokio::time::sleep(GRACE).await;
        };
        let (mut served, mut grace) = (pin!(served.into_future()), pin!(grace));
        let either = |cx: &mut Context<'_>| match served.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => grace.as_mut().poll(cx).map(Ok),
        };
        std::future::poll_fn(either).await.map_err(|source| ServeError::Serve { address, source })
    }
}

/// The content type that makes Prometheus read OpenMetrics.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

async fn metrics(State(shared): State<Shared>) -> Response {
    match shared.metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}\n")).into_response()
        }
    }
}

async fn healthz(State(shared): State<Shared>) -> (StatusCode, String) {
    if shared.health.is_alive() {
        (StatusCode::OK, "alive\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", shared.health.readiness()))
    }
}

async fn readyz(State(shared): State<Shared>) -> (StatusCode, String) {
    match shared.health.why_not_ready() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn nothing() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "not found; there are /metrics, /healthz and /readyz\n")
}
