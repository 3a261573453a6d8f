//! A proxy in front of the API server that remembers what went through, and mistreats it if asked to.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::{Bytes, Incoming};
use kube::{Client, Config};
use scaling_core::chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::watch;

use super::local::{Answer, Body, Server, status};

/// Request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Instant at which the request was there.
    pub(crate) asked: DateTime<Utc>,
    /// Instant at which the answer was there.
    pub(crate) answered: DateTime<Utc>,
    pub(crate) sent: Value,
    /// Status code of the API server's answer, whatever the client was told.
    pub(crate) code: u16,
    pub(crate) got: Value,
    pub(crate) treatment: Treatment,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Treatment {
    #[default]
    Pass,
    /// The proxy answers with this code, and the API server never sees the request.
    Refuse(u16),
    /// The API server never sees it, and the connection is cut.
    LoseRequest,
    /// The API server carries it out, and the connection is cut instead of the answer.
    LoseAnswer,
    /// The API server gets it that much later, even if nobody waits for the answer any more.
    Delay(Duration),
    /// The API server carries it out, and the answer is that much later.
    DelayAnswer(Duration),
}

/// Decides by method and query.
type Rule = Box<dyn FnMut(&str, &str) -> Treatment + Send>;

struct Shared {
    /// Where requests go.
    upstream: Client,
    /// By namespace.
    log: Mutex<HashMap<String, Vec<Exchange>>>,
    /// Number of exchanges in the log.
    length: watch::Sender<usize>,
    /// By the last part of the path.
    rules: Mutex<HashMap<String, Rule>>,
    /// Number of requests that are not answered yet.
    underway: watch::Sender<usize>,
    /// Number of times that watches were cut.
    cuts: watch::Sender<usize>,
    /// Number of watches that the API server has ended with 410.
    gone: AtomicUsize,
    remembers: fn(&str) -> bool,
}

pub(crate) struct Proxy {
    shared: Arc<Shared>,
    server: Server,
}

impl Proxy {
    /// Starts in front of a server; what has a path that `remembers` says yes to is kept.
    pub(crate) async fn start(mut config: Config, remembers: fn(&str) -> bool) -> Self {
        // What the API server says is passed on as it is.
        config.default_retry = false;
        let upstream = Client::try_from(config).unwrap();
        let shared = Arc::new(Shared {
            upstream,
            log: Mutex::default(),
            length: watch::Sender::new(0),
            rules: Mutex::default(),
            underway: watch::Sender::new(0),
            cuts: watch::Sender::new(0),
            gone: AtomicUsize::new(0),
            remembers,
        });
        let of_handler = shared.clone();
        let handler = move |request| {
            // A task of its own goes on after the client has hung up, as a server would.
            let forwarded = tokio::spawn(forward(of_handler.clone(), request));
            async move { forwarded.await.map_err(io::Error::other)? }
        };
        let server = Server::start(None, handler).await;
        Self { shared, server }
    }

    /// Address, without TLS and without a need for credentials.
    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port)
    }

    /// A client that talks to the API server through it.
    pub(crate) fn client(&self) -> Client {
        Client::try_from(Config::new(self.address().parse().unwrap())).unwrap()
    }

    /// Treats requests for objects of this name by a rule from now on.
    pub(crate) fn treat(&self, name: &str, rule: impl FnMut(&str, &str) -> Treatment + Send + 'static) {
        self.shared.rules.lock().unwrap().insert(name.to_owned(), Box::new(rule));
    }

    /// Waits until every request is answered, those too that nobody waits for.
    pub(crate) async fn idle(&self) {
        let _ = self.shared.underway.subscribe().wait_for(|underway| *underway == 0).await.unwrap();
    }

    /// Cuts all watches that are under way.
    pub(crate) fn cut_watches(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Number of watches that the API server has ended since the version is gone that they went on from.
    pub(crate) fn gone(&self) -> usize {
        self.shared.gone.load(Ordering::SeqCst)
    }

    /// What was remembered of a namespace, in the order of the answers.
    pub(crate) fn log(&self, namespace: &str) -> Vec<Exchange> {
        self.shared.log.lock().unwrap().get(namespace).cloned().unwrap_or_default()
    }

    /// Waits until what was remembered of a namespace is enough.
    pub(crate) async fn until(&self, namespace: &str, mut is_enough: impl FnMut(&[Exchange]) -> bool) {
        let mut length = self.shared.length.subscribe();
        loop {
            if is_enough(self.shared.log.lock().unwrap().get(namespace).map_or(&[], Vec::as_slice)) {
                return;
            }
            length.changed().await.unwrap();
        }
    }
}

/// A request that is underway, for as long as it lives.
struct Underway(Arc<Shared>);

impl Underway {
    fn new(shared: Arc<Shared>) -> Self {
        shared.underway.send_modify(|underway| *underway += 1);
        Self(shared)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.underway.send_modify(|underway| *underway -= 1);
    }
}

async fn forward(shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    let asked = now();
    let _underway = Underway::new(shared.clone());
    let (mut parts, body) = request.into_parts();
    let sent = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let target = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let name = parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let rule = |rule: &mut Rule| rule(parts.method.as_str(), parts.uri.query().unwrap_or_default());
    let treatment = shared.rules.lock().unwrap().get_mut(&name).map(rule).unwrap_or_default();
    match treatment {
        Treatment::Pass | Treatment::LoseAnswer | Treatment::DelayAnswer(_) => {}
        Treatment::Refuse(code) => return Ok(status(code, reason(code), "the test says so")),
        Treatment::LoseRequest => return Err(io::ErrorKind::ConnectionReset.into()),
        Treatment::Delay(by) => tokio::time::sleep(by).await,
    }
    remove_hop_by_hop(&mut parts.headers);
    parts.headers.remove("authorization");
    let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
    let query = parts.uri.query().unwrap_or_default().to_owned();
    parts.uri = target.parse().map_err(io::Error::other)?;
    let upstream = Request::from_parts(parts, kube::client::Body::from(sent.clone()));
    let answer = shared.upstream.send(upstream).await.map_err(io::Error::other)?;
    let (mut head, body) = answer.into_parts();
    remove_hop_by_hop(&mut head.headers);
    if query.contains("watch=true") || query.contains("watch=1") {
        return Ok(Response::from_parts(head, watched(&shared, body.map_err(Into::into))));
    }
    let got = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if (shared.remembers)(&path) {
        let json = |bytes: &Bytes| serde_json::from_slice(bytes).unwrap_or(Value::Null);
        let exchange = Exchange {
            method,
            path,
            query,
            asked,
            answered: now(),
            sent: json(&sent),
            code: head.status.as_u16(),
            got: json(&got),
            treatment,
        };
        shared.log.lock().unwrap().entry(namespace_of(&exchange.path)).or_default().push(exchange);
        shared.length.send_modify(|length| *length += 1);
    }
    match treatment {
        Treatment::LoseAnswer => return Err(io::ErrorKind::ConnectionReset.into()),
        Treatment::DelayAnswer(by) => tokio::time::sleep(by).await,
        _ => {}
    }
    let body: Body = Full::from(got).map_err(|never| match never {}).boxed_unsync();
    Ok(Response::from_parts(head, body))
}

/// A watch, until it is cut.
fn watched(
    shared: &Arc<Shared>,
    body: impl hyper::body::Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
) -> Body {
    let mut cuts = shared.cuts.subscribe();
    let cut = async move {
        // The sender outlives every watch.
        let _ = cuts.changed().await;
    };
    let of_frames = Arc::clone(shared);
    let frames = BodyStream::new(body).inspect_ok(move |frame| {
        let text = frame.data_ref().map_or("", |data| std::str::from_utf8(data).unwrap_or_default());
        if text.contains("\"type\":\"ERROR\"") && text.contains("\"code\":410") {
            of_frames.gone.fetch_add(1, Ordering::SeqCst);
        }
    });
    let broken = futures::stream::once(async { Err(io::Error::from(io::ErrorKind::ConnectionReset).into()) });
    let frames = frames.boxed().take_until(Box::pin(cut));
    let ended = futures::stream::unfold((frames, Some(broken)), |(mut frames, broken)| async move {
        if let Some(frame) = frames.next().await {
            return Some((frame, (frames, broken)));
        }
        // The server's own end is no cut.
        let broken = broken.filter(|_| frames.take_result().is_some())?;
        let error = Box::pin(broken).next().await?;
        Some((error, (frames, None)))
    });
    StreamBody::new(ended).boxed_unsync()
}

/// The API server's word for a code.
fn reason(code: u16) -> &'static str {
    match code {
        409 => "Conflict",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    }
}

pub(crate) fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// Namespace of a path; empty if there is none.
fn namespace_of(path: &str) -> String {
    let mut parts = path.split('/').skip_while(|part| *part != "namespaces");
    parts.nth(1).unwrap_or_default().to_owned()
}

/// Headers that are between two neighbours only.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}
