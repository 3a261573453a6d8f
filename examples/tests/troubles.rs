//! What `autoscale check` and `autoscale backtest` say of servers that do not answer, do not know who asks, or allow little: a sentence
//! with the cause and what to do, within a time that a person waits.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::{Arc, Mutex};

use clap::Parser;
use examples::Failure;
use examples::live::arguments::LiveArguments;
use examples::live::{Setup, Tell, checked, fetched};
use examples::manifest::HpaArguments;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::telemetry::serve::axum;
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    live: LiveArguments,
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_571_200, 0).unwrap()
}

/// What was told, and how it ended.
async fn told(words: &[&str], backtest: bool) -> (String, Result<(), Failure>) {
    let line =
        Line::try_parse_from(["autoscale", "--target", "shop/web", "--deadline", "1"].iter().chain(words)).unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let keeps = Arc::clone(&lines);
    let tell: Tell = Arc::new(move |line| keeps.lock().unwrap().push(line.to_owned()));
    let setup = Setup {
        live: &line.live,
        hpa: None,
        hpas: &HpaArguments::default(),
        engine: "rules",
        records: None,
        events: &[],
        limits: None,
        price: examples::price(0.05, "USD").unwrap(),
    };
    let done =
        if backtest { fetched(&setup, now(), tell).await.map(|_| ()) } else { checked(&setup, now(), tell).await };
    let text = lines.lock().unwrap().join("\n");
    (text, done)
}

/// A server that takes connections and never says a word.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// An API server that answers by path, and a kubeconfig with it.
async fn cluster(answer: fn(&str) -> (u16, Value)) -> (tempfile::TempDir, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = move |request: axum::extract::Request| async move {
        let (code, body) = answer(request.uri().path());
        let response = axum::response::Response::builder().status(code).header("content-type", "application/json");
        response.body(body.to_string()).unwrap()
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await.unwrap() });
    kubeconfig(&url)
}

fn kubeconfig(url: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let config = json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{ "name": "staging", "cluster": { "server": url } }],
        "contexts": [{ "name": "staging", "context": { "cluster": "staging", "user": "ada" } }],
        "users": [{ "name": "ada", "user": { "token": "t" } }],
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (folder, file)
}

fn status(code: u16, message: &str) -> (u16, Value) {
    (code, json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message }))
}

fn is_for_people(text: &str) {
    for noise in ["Status {", "ApiError", "ServiceError", "Custom {", "Some(", "before: "] {
        assert!(!text.contains(noise), "{noise:?} is in:\n{text}");
    }
}

#[tokio::test]
async fn a_metrics_server_that_never_answers_costs_two_questions_and_is_named() {
    let (_silent, url) = silent();
    let (_folder, file) = cluster(little).await;
    let words = ["--prometheus", &url, "--context", "staging", "--kubeconfig", &file];
    let (text, done) = told(&words, false).await;
    assert!(
        text.starts_with(&format!(
            "asking Prometheus at {url} for an hour of shop/Deployment/web; 1 s at most for an answer"
        )),
        "{text}"
    );
    assert_eq!(text.matches("no answer within 1").count(), 2, "{text}");
    assert!(text.contains("not asked, as the server did not answer"), "{text}");
    assert!(matches!(done, Err(Failure::Failed(_))));
    is_for_people(&text);

    let (text, done) = told(&words, true).await;
    let Err(Failure::Failed(error)) = done else { panic!("{done:?}") };
    assert!(text.contains("for the past 14 days of shop/Deployment/web; 1 s at most"), "{text}");
    assert!(
        error.starts_with("shop/Deployment/web: nothing of its past could be fetched: ")
            && error.contains("no answer within 1"),
        "{error}"
    );
    is_for_people(&error);
}

/// Someone with the rights to one HPA and to nothing else.
fn little(path: &str) -> (u16, Value) {
    let hpa = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "web", "namespace": "shop", "resourceVersion": "1", "uid": "u" },
        "spec": { "minReplicas": 2, "maxReplicas": 9,
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" } },
    });
    if path.ends_with("/namespaces/shop/horizontalpodautoscalers/web") {
        return (200, hpa);
    }
    if path.ends_with("/selfsubjectaccessreviews") {
        return (
            201,
            json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {}, "status": { "allowed": true } }),
        );
    }
    let (group, resource) = if path.contains("batch") { ("batch", "cronjobs") } else { ("apps", "deployments") };
    status(
        403,
        &format!(
            "x is forbidden: User \"ada\" cannot list resource \"{resource}\" in API group \"{group}\" in the namespace \"shop\""
        ),
    )
}

#[tokio::test]
async fn with_least_rights_what_was_not_looked_at_is_said_with_what_to_grant_and_it_goes_on() {
    let (_folder, file) = cluster(little).await;
    let (text, _) =
        told(&["--prometheus", "http://127.0.0.1:1", "--context", "staging", "--kubeconfig", &file], false).await;
    for said in [
        "ok  HPA \"web\": 2..9 pods",
        "ok  may patch the HPA",
        "ok  nobody else is seen to set its size; what could not be looked at:",
        "cronjobs of namespace shop were not looked at: ada may not list cronjobs.batch in namespace shop (403): grant the verb list",
    ] {
        assert!(text.contains(said), "{said:?} is not in:\n{text}");
    }
    // Of all that is asked, only the metrics are bad.
    let bad: Vec<_> = text.lines().filter(|line| line.starts_with("  BAD ")).collect();
    assert!(bad.iter().all(|line| line.contains("127.0.0.1:1/") || line.contains("not asked")), "{bad:#?}");
    is_for_people(&text);
}

#[tokio::test]
async fn a_cluster_that_does_not_know_who_asks_or_fails_or_is_silent_is_named_as_such() {
    let says = |code: u16| match code {
        401 => "the API server does not know who asks (401)",
        403 => "ada may not get horizontalpodautoscalers.autoscaling in namespace shop (403): grant the verb get",
        _ => "the API server failed (503): it sleeps; try again later",
    };
    let unknown: fn(&str) -> (u16, Value) = |_| status(401, "Unauthorized");
    let forbidden: fn(&str) -> (u16, Value) = |_| {
        status(
            403,
            "x is forbidden: User \"ada\" cannot get resource \"horizontalpodautoscalers\" in API group \"autoscaling\" in the namespace \"shop\"",
        )
    };
    let failing: fn(&str) -> (u16, Value) = |_| status(503, "it sleeps");
    for (code, answer) in [(401, unknown), (403, forbidden), (503, failing)] {
        let (_folder, file) = cluster(answer).await;
        let words = ["--prometheus", "http://127.0.0.1:1", "--context", "staging", "--kubeconfig", &file];
        let (text, done) = told(&words, false).await;
        assert!(text.contains(says(code)), "{text}");
        assert!(matches!(done, Err(Failure::Failed(_))));
        is_for_people(&text);
        let Err(Failure::Failed(error)) = told(&words, true).await.1 else { panic!() };
        assert!(error.contains(says(code)), "{error}");
        is_for_people(&error);
    }
    let (silent, url) = silent();
    let (_folder, file) = kubeconfig(&url);
    let words = ["--prometheus", "http://127.0.0.1:1", "--context", "staging", "--kubeconfig", &file];
    let (text, _) = told(&words, false).await;
    assert!(text.contains("cluster \"staging\": no answer within 1 s; nothing else is asked of it"), "{text}");
    drop(silent);
    let (text, _) = told(&words, false).await;
    assert!(text.contains("nobody listens at the address of the API server"), "{text}");
    is_for_people(&text);
}

#[tokio::test]
async fn files_that_cannot_be_read_are_bad_input_at_once() {
    let (_folder, file) = kubeconfig("http://127.0.0.1:1");
    for (words, said) in [
        (["--context", "staging", "--kubeconfig", "/no/such/config"], "kubeconfig /no/such/config: "),
        (["--context", "mars", "--kubeconfig", &file], "there is no context \"mars\"; there are: staging"),
        (["--context", "staging", "--token-file", "/no/such/token"], "--token-file /no/such/token: "),
    ] {
        let (_, done) = told(&[&["--prometheus", "http://127.0.0.1:1"], &words[..]].concat(), false).await;
        let Err(Failure::Input(error)) = done else { panic!("{done:?}") };
        assert!(error.starts_with(said), "{error}");
    }
}
