//! The server of metrics and health, over real sockets on loopback.
#![allow(clippy::unwrap_used, missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::telemetry::serve::axum::Router;
use scaling_core::telemetry::serve::axum::routing::{any, get};
use scaling_core::telemetry::serve::{ServeError, Server};
use scaling_core::telemetry::{Health, Metrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    health: Arc<Health>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

async fn running(routes: Option<Router>) -> Running {
    let health = Arc::new(Health::new());
    let mut server = Server::new(Arc::new(Metrics::new()), Arc::clone(&health)).on("127.0.0.1:0".parse().unwrap());
    if let Some(routes) = routes {
        server = server.with_routes(routes);
    }
    let listening = server.bind().await.unwrap();
    let address = listening.address();
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(listening.serve(async {
        if stopped.await.is_err() {
            // The test has let go of the sender: it tells nobody to stop.
            std::future::pending::<()>().await;
        }
    }));
    Running { address, health, stop, served: server }
}

/// Status line, headers and body of one request on a connection of its own.
async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn get_path(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")).await
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_600_000, 0).unwrap() + TimeDelta::seconds(second)
}

#[tokio::test]
async fn readiness_follows_the_loop_and_liveness_does_not() {
    let Running { address, health, .. } = running(None).await;
    let answer = get_path(address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("no tick is complete yet\n"), "{answer}");
    health.ticked(at(0), true);
    assert!(get_path(address, "/readyz").await.starts_with("HTTP/1.1 200 "));
    health.ticked(at(60), false);
    health.ticked(at(360), false);
    let answer = get_path(address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("the source has failed since 20"), "{answer}");
    assert!(get_path(address, "/healthz").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn metrics_are_open_metrics_and_every_answer_has_the_headers() {
    let Running { address, .. } = running(None).await;
    let answer = get_path(address, "/metrics").await;
    assert!(
        answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("# EOF\n"), "{answer}");
    for path in ["/metrics", "/healthz", "/readyz", "/", "/../etc/passwd"] {
        let answer = get_path(address, path).await;
        for header in [
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "content-security-policy: default-src 'none'; frame-ancestors 'none'",
            "cache-control: no-store",
        ] {
            assert!(answer.contains(header), "{path}: no {header} in {answer}");
        }
    }
    assert!(get_path(address, "/").await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn it_is_read_only_for_routes_of_others_too() {
    let routes = Router::new().route("/", get(|| async { "page" })).route("/write", any(|| async { "written" }));
    let Running { address, .. } = running(Some(routes)).await;
    for path in ["/metrics", "/", "/write", "/nothing"] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let answer = ask(address, &request).await;
            assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD"), "{method}: {answer}");
        }
    }
    let answer = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn routes_of_others_keep_their_policy_and_cannot_take_ours() {
    let policy = "default-src 'self'";
    let page = move || async move { ([("content-security-policy", policy), ("x-frame-options", "ALLOWALL")], "page") };
    let routes = Router::new().route("/", get(page)).route("/metrics", get(|| async { "taken" }));
    let Running { address, .. } = running(Some(routes)).await;
    let answer = get_path(address, "/").await;
    assert!(answer.contains("content-security-policy: default-src 'self'\r\n"), "{answer}");
    assert!(answer.contains("x-frame-options: DENY\r\n") && !answer.contains("ALLOWALL"), "{answer}");
    assert!(get_path(address, "/metrics").await.ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_name_that_somebody_points_here_is_refused() {
    let Running { address, .. } = running(None).await;
    let named = |host: &str| format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = ask(address, &named("evil.example")).await;
    assert!(answer.starts_with("HTTP/1.1 421 ") && !answer.contains("EOF"), "{answer}");
    assert!(ask(address, &named("localhost")).await.starts_with("HTTP/1.1 200 "));
    assert!(
        ask(address, "GET /metrics HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.1 200 ".replace("1.1", "1.0").as_str())
    );
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_next_one_is_answered() {
    let Running { address, .. } = running(None).await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20));
    for garbage in ["\r\n\r\n\0\0\0", "GET\r\n\r\n", "GET /\u{1} HTTP/9.9\r\n\r\n", &long] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(garbage.as_bytes()).await.ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok();
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(get_path(address, "/healthz").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn told_to_stop_it_ends_and_a_request_under_way_is_answered() {
    let (entered, mut is_entered) = tokio::sync::mpsc::channel(1);
    let (finish, finished) = oneshot::channel::<()>();
    let finished = Arc::new(tokio::sync::Mutex::new(Some(finished)));
    let slow = move || {
        let (entered, finished) = (entered.clone(), Arc::clone(&finished));
        async move {
            entered.send(()).await.ok();
            let finished = finished.lock().await.take();
            finished.unwrap().await.ok();
            "at last"
        }
    };
    let Running { address, stop, served, .. } = running(Some(Router::new().route("/slow", get(slow)))).await;
    let asked = tokio::spawn(get_path_owned(address));
    is_entered.recv().await.unwrap();
    stop.send(()).unwrap();
    // The port is closed at once, while the answer is still under way.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    finish.send(()).unwrap();
    assert!(asked.await.unwrap().ends_with("at last"));
    served.await.unwrap().unwrap();
}

async fn get_path_owned(address: SocketAddr) -> String {
    get_path(address, "/slow").await
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_ends_does_not_keep_the_server() {
    let (entered, mut is_entered) = tokio::sync::mpsc::channel(1);
    let forever = move || {
        let entered = entered.clone();
        async move {
            entered.send(()).await.ok();
            std::future::pending::<&str>().await
        }
    };
    let Running { address, stop, served, .. } = running(Some(Router::new().route("/slow", get(forever)))).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    is_entered.recv().await.unwrap();
    let before = tokio::time::Instant::now();
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(before.elapsed().as_secs(), Duration::from_secs(5).as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_closed() {
    let Running { address, .. } = running(None).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HT").await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains("200"), "{rest:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_said() {
    let Running { address, .. } = running(None).await;
    let second = Server::new(Arc::default(), Arc::default()).on(address).bind().await;
    assert!(second.unwrap_err().to_string().starts_with(&format!("cannot listen on {address}: ")));
}
