//! [`routes`]: the status page and its JSON, read-only, for a server of the host's or [`Server`](crate::telemetry::serve::Server::with_routes).
//!
//! | path | answer |
//! | --- | --- |
//! | `/` | the page; one workload's address is behind `#/` |
//! | `/page.css`, `/page.js` | its style and its script |
//! | `/api/targets?limit=…&after=…` | all workloads, or a page of them, in a stable order |
//! | `/api/targets/{namespace}/{name}` | one workload; `kind`, `hpa` and `cluster` tell those of one name apart |
//! | `/api/targets/{namespace}/{name}/savings` | the pods as they ran against the HPA alone |
//!
//! Every answer has an `ETag`, and `If-None-Match` gets a 304. The page asks nobody but its own server, which the
//! `Content-Security-Policy` enforces; text from a cluster becomes text nodes and nothing else. Links are relative, so that the page
//! works behind a proxy's prefix.

mod answer;
mod snapshot;

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use self::answer::{Answer, Form, failure};
pub use self::snapshot::snapshot;
use super::board::Board;
use super::serve::secure;
use crate::target::Target;

const HTML: &str = include_str!("page/page.html");
/// Palette, shared with the report of a backtest, and style.
static STYLE: LazyLock<String> = LazyLock::new(|| [crate::web::PALETTE, include_str!("page/page.css")].concat());
/// One script in parts, in this order.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let parts = [
        "\"use strict\";\n",
        include_str!("../web/numbers.js"),
        include_str!("page/dom.js"),
        include_str!("page/list.js"),
        include_str!("page/chart.js"),
        include_str!("page/charts.js"),
        include_str!("page/target.js"),
        include_str!("page/page.js"),
    ];
    parts.concat()
});

/// Rows of a page of the list at most, where a limit is asked for.
const MOST_ROWS: usize = 10_000;

/// What the page may do: ask its own server, and nothing else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

/// Creates the routes of the page over a board.
///
/// ```
/// use std::sync::Arc;
/// use scaling_core::telemetry::{Board, page};
///
/// let board = Arc::new(Board::new());
/// let router: axum::Router = page::routes(board);
/// # let _ = router;
/// ```
pub fn routes(board: Arc<Board>) -> Router {
    Router::new()
        .route("/", get(async |headers: HeaderMap| Answer::of(Form::Html, HTML).response(&headers)))
        .route("/page.css", get(async |headers: HeaderMap| Answer::of(Form::Css, STYLE.as_str()).response(&headers)))
        .route("/page.js", get(async |headers: HeaderMap| Answer::of(Form::Script, SCRIPT.as_str()).response(&headers)))
        .route("/api/targets", get(list))
        .route("/api/targets/{namespace}/{name}", get(one))
        .route("/api/targets/{namespace}/{name}/savings", get(savings))
        .layer(middleware::map_response(secured))
        .with_state(Arc::new(Page { board, list: Mutex::default() }))
}

/// What the routes share.
struct Page {
    board: Arc<Board>,
    /// The whole list as it was last written, and the version of the board that it shows: many viewers ask for the same.
    list: Mutex<Option<(u64, Answer)>>,
}

/// The headers of the server, also where a host serves the routes by one of its own.
async fn secured(mut response: Response) -> Response {
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    secure(response).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paging {
    limit: Option<usize>,
    /// The target of the last row of the page before, as JSON.
    after: Option<String>,
}

async fn list(State(page): State<Arc<Page>>, headers: HeaderMap, paging: Query<Paging>) -> Response {
    let Query(Paging { limit, after }) = paging;
    if limit.is_none() && after.is_none() {
        return page.whole_list().response(&headers);
    }
    let after = match after.as_deref().map(serde_json::from_str::<Target>).transpose() {
        Ok(after) => after,
        Err(error) => {
            return failure(StatusCode::BAD_REQUEST, &format!("after is no target as the list has it: {error}"));
        }
    };
    let most = limit.unwrap_or(MOST_ROWS).clamp(1, MOST_ROWS);
    Answer::json(&page.board.overview_after(after.as_ref(), most)).response(&headers)
}

impl Page {
    fn whole_list(&self) -> Answer {
        let version = self.board.version();
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answer)) = list.as_ref().filter(|(written, _)| *written == version) {
            return answer.clone();
        }
        let overview = self.board.overview();
        let answer = Answer::json(&overview);
        *list = Some((overview.version, answer.clone()));
        answer
    }

    /// Finds the workload that is meant.
    #[allow(clippy::result_large_err)] // an answer is made once
    fn find(&self, namespace: &str, name: &str, which: &Which) -> Result<Target, Response> {
        let usual = Target {
            cluster: which.cluster.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            kind: which.kind.clone().unwrap_or_else(|| "Deployment".to_owned()),
            hpa: which.hpa.clone().unwrap_or_else(|| name.to_owned()),
        };
        let mut named = self.board.named(namespace, name);
        if let Some(place) = named.iter().position(|target| *target == usual) {
            return Ok(named.swap_remove(place));
        }
        named.retain(|target| {
            which.cluster.as_ref().is_none_or(|cluster| target.cluster.as_ref() == Some(cluster))
                && which.kind.as_ref().is_none_or(|kind| target.kind == *kind)
                && which.hpa.as_ref().is_none_or(|hpa| target.hpa == *hpa)
        });
        match named.len() {
            0 => Err(failure(StatusCode::NOT_FOUND, "no tick of such a workload was recorded")),
            1 => Ok(named.swap_remove(0)),
            several => Err(failure(
                StatusCode::CONFLICT,
                &format!("{several} workloads have this name: say which by kind, hpa and cluster"),
            )),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    cluster: Option<String>,
    kind: Option<String>,
    hpa: Option<String>,
}

async fn one(
    State(page): State<Arc<Page>>,
    Path((namespace, name)): Path<(String, String)>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Response {
    let target = match page.find(&namespace, &name, &which) {
        Ok(target) => target,
        Err(response) => return response,
    };
    match page.board.target(&target) {
        Some(view) => Answer::json(&view).response(&headers),
        None => failure(StatusCode::NOT_FOUND, "the workload was dropped"),
    }
}

async fn savings(
    State(page): State<Arc<Page>>,
    Path((namespace, name)): Path<(String, String)>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Response {
    let target = match page.find(&namespace, &name, &which) {
        Ok(target) => target,
        Err(response) => return response,
    };
    // A replay is work for a thread that may block.
    let board = Arc::clone(&page.board);
    match tokio::task::spawn_blocking(move || compared(&board, &target)).await {
        Ok(answer) => Answer::json(&answer).response(&headers),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, &format!("the comparison ended early: {error}")),
    }
}

/// The comparison with the HPA alone, or `none` with the reason why there is no figure.
#[cfg(feature = "backtest")]
fn compared(board: &Board, target: &Target) -> serde_json::Value {
    use super::board::NoSavings;
    match board.savings(target) {
        Ok(savings) => serde_json::json!(savings),
        Err(none) => serde_json::json!({ "none": none.to_string(), "busy": none == NoSavings::Busy }),
    }
}

#[cfg(not(feature = "backtest"))]
fn compared(_: &Board, _: &Target) -> serde_json::Value {
    serde_json::json!({ "none": "this program was built without the backtest", "busy": false })
}
