//! What goes over the wire, and what each answer becomes. No server needed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/vertical.rs"]
mod vertical;

use std::time::Duration;

use futures::future::join;
use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use scaling_core::conformance::applier::plan as plan_of;
use scaling_core::{Applied, ApplyError, ApplyMode, Bounds, HpaApplier, HpaPlan, Target};
use scaling_k8s::KubeHpaApplier;
use scaling_k8s::resting::{ANNOTATION, RestingBounds};
use serde_json::{Value, json};
use tower_test::mock::{Handle, pair};

type Server = Handle<Request<Body>, Response<Body>>;

const PATH: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/checkout-hpa";

fn mocked() -> (KubeHpaApplier, Server) {
    let (service, server) = pair::<Request<Body>, Response<Body>>();
    (KubeHpaApplier::new(Client::new(service, "other")), server)
}

fn target() -> Target {
    Target::deployment("shop", "checkout").with_hpa("checkout-hpa")
}

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

/// From 2..6 to 3..11.
fn plan() -> HpaPlan {
    let plan = plan_of(&target(), bounds(2, 6), 3, 6);
    assert_eq!(plan.new_bounds(), bounds(3, 11));
    plan
}

fn hpa(spec: &Value) -> Value {
    let mut all = json!({ "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout" } });
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": all,
        "metadata": { "name": "checkout-hpa", "namespace": "shop", "resourceVersion": "7", "uid": "u-1" },
    })
}

fn with(min: u32, max: u32) -> Value {
    hpa(&json!({ "minReplicas": min, "maxReplicas": max }))
}

/// As it stands after an apply of the plan, or would.
fn written(min: u32, max: u32) -> Value {
    let mut hpa = with(min, max);
    hpa["metadata"]["annotations"] = json!({ ANNOTATION: kept() });
    hpa
}

fn kept() -> String {
    let uid = Some("u-1".to_owned());
    RestingBounds { resting: bounds(2, 6), written: bounds(3, 11), uid, former: vec![] }.encode()
}

fn status(code: u16, reason: &str, message: &str, causes: &Value) -> (u16, Value) {
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
        "details": { "causes": causes },
    });
    (code, body)
}

/// Answers the next request, and gives its method, path with query, content type and body.
async fn answer(server: &mut Server, code: u16, body: impl Into<Vec<u8>>) -> (String, String, String, Value) {
    let (request, responder) = server.next_request().await.unwrap();
    let (parts, sent) = request.into_parts();
    let response = Response::builder().status(StatusCode::from_u16(code).unwrap()).body(Body::from(body.into()));
    responder.send_response(response.unwrap());
    let sent = sent.collect_bytes().await.unwrap();
    let content = parts.headers.get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let sent = serde_json::from_slice(&sent).unwrap_or(Value::Null);
    (parts.method.to_string(), parts.uri.to_string(), content.unwrap_or_default(), sent)
}

/// The same, once the rehearsal is done that precedes the first write.
async fn answer_all(server: &mut Server, mode: ApplyMode, answers: &[(u16, Value)]) {
    let mut rehearsals = usize::from(mode == ApplyMode::Apply);
    for (code, body) in answers {
        let (request, responder) = server.next_request().await.unwrap();
        let mut respond = Some((request, responder));
        if rehearsals > 0 && respond.as_ref().is_some_and(|(request, _)| is_rehearsal(request)) {
            rehearsals -= 1;
            let (_, responder) = respond.take().unwrap();
            responder.send_response(Response::new(Body::from(written(3, 11).to_string().into_bytes())));
        }
        let (_, responder) = match respond {
            Some(first) => first,
            None => server.next_request().await.unwrap(),
        };
        let response = Response::builder().status(StatusCode::from_u16(*code).unwrap());
        responder.send_response(response.body(Body::from(body.to_string().into_bytes())).unwrap());
    }
}

fn is_rehearsal(request: &Request<Body>) -> bool {
    request.uri().query().is_some_and(|query| query.contains("dryRun=All"))
}

/// Applies against a server that gives these answers in turn, besides that to the rehearsal, and none to what comes then.
async fn apply(mode: ApplyMode, answers: &[(u16, Value)]) -> Result<Applied, ApplyError> {
    let (applier, mut server) = mocked();
    let plan = plan();
    let serve = async {
        answer_all(&mut server, mode, answers).await;
        server
    };
    // The clock of the tests is a paused one.
    tokio::time::timeout(Duration::from_secs(300), join(applier.apply(&plan, mode), serve)).await.unwrap().0
}

#[tokio::test]
async fn reading_gets_that_one_hpa() {
    let (applier, mut server) = mocked();
    let (read, sent) =
        join(async { applier.current(&target()).await }, answer(&mut server, 200, with(2, 6).to_string())).await;
    assert_eq!(read.unwrap().bounds, bounds(2, 6));
    assert_eq!((sent.0.as_str(), sent.1.as_str()), ("GET", PATH));
}

#[tokio::test(start_paused = true)]
async fn without_min_replicas_the_min_is_1() {
    let (applier, mut server) = mocked();
    let body = hpa(&json!({ "maxReplicas": 6 })).to_string();
    let (read, _) = join(async { applier.current(&target()).await }, answer(&mut server, 200, body)).await;
    assert_eq!(read.unwrap().bounds, bounds(1, 6));
}

#[tokio::test(start_paused = true)]
async fn the_pods_that_the_status_counts_are_read_and_none_where_it_counts_none() {
    for (status, pods) in [
        (json!({ "currentReplicas": 5, "desiredReplicas": 9 }), Some(9)),
        (json!({ "currentReplicas": 9, "desiredReplicas": 5 }), Some(9)),
        (json!({ "desiredReplicas": 0 }), Some(0)),
        (Value::Null, None),
    ] {
        let (applier, mut server) = mocked();
        let mut body = with(2, 6);
        body["status"] = status;
        let read = join(async { applier.current(&target()).await }, answer(&mut server, 200, body.to_string())).await.0;
        assert_eq!(read.unwrap().pods, pods, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn applying_sends_the_bounds_and_the_resting_ones_and_nothing_else() {
    let (dry, real) = ("?&dryRun=All&fieldManager=kube-scaling", "?&fieldManager=kube-scaling");
    for (mode, queries) in [(ApplyMode::Apply, vec![dry, real]), (ApplyMode::ServerDryRun, vec![dry])] {
        let (applier, mut server) = mocked();
        let plan = plan();
        let serve = async {
            answer(&mut server, 200, with(2, 6).to_string()).await;
            let mut sent = Vec::new();
            for _ in &queries {
                sent.push(answer(&mut server, 200, written(3, 11).to_string()).await);
            }
            sent
        };
        let (done, sent) = join(applier.apply(&plan, mode), serve).await;
        assert_eq!(done.unwrap(), Applied { mode, changed: true });
        for ((method, path, content, body), query) in sent.into_iter().zip(queries) {
            assert_eq!((method.as_str(), path), ("PATCH", format!("{PATH}{query}")));
            assert_eq!(content, "application/apply-patch+yaml");
            let expected = json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": { "name": "checkout-hpa", "namespace": "shop", "resourceVersion": "7", "uid": "u-1",
                    "annotations": { ANNOTATION: kept() } },
                "spec": { "minReplicas": 3, "maxReplicas": 11 },
            });
            assert_eq!(body, expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn manager_and_force_are_what_the_host_says() {
    let (applier, mut server) = mocked();
    let applier = applier.field_manager("my operator").force();
    let plan = plan();
    let serve = async {
        answer(&mut server, 200, with(2, 6).to_string()).await;
        answer(&mut server, 200, written(3, 11).to_string()).await;
        answer(&mut server, 200, written(3, 11).to_string()).await
    };
    let (done, (_, path, _, _)) = join(applier.apply(&plan, ApplyMode::Apply), serve).await;
    assert!(done.unwrap().changed);
    assert_eq!(path, format!("{PATH}?&force=true&fieldManager=my+operator"));
}

#[tokio::test(start_paused = true)]
async fn plan_mode_sends_nothing() {
    let applied = apply(ApplyMode::Plan, &[]).await.unwrap();
    assert_eq!(applied, Applied { mode: ApplyMode::Plan, changed: true });
}

#[tokio::test(start_paused = true)]
async fn what_is_there_already_is_not_written_again() {
    let applied = apply(ApplyMode::Apply, &[(200, with(3, 11))]).await.unwrap();
    assert!(!applied.changed);
}

#[tokio::test(start_paused = true)]
async fn other_bounds_than_planned_for_are_left_alone() {
    let error = apply(ApplyMode::Apply, &[(200, with(2, 7))]).await.unwrap_err();
    assert!(
        matches!(error, ApplyError::Changed { expected, found, .. } if (expected, found) == (bounds(2, 6), bounds(2, 7)))
    );
}

#[tokio::test(start_paused = true)]
async fn a_conflict_names_fields_and_owners() {
    let causes = json!([
        { "reason": "FieldManagerConflict", "message": "conflict with \"kubectl-edit\" using autoscaling/v2", "field": ".spec.minReplicas" },
        { "reason": "FieldManagerConflict", "message": "conflict with \"argocd\"", "field": ".spec.maxReplicas" },
    ]);
    let conflict = status(409, "Conflict", "Apply failed with 2 conflicts", &causes);
    let error = apply(ApplyMode::Apply, &[(200, with(2, 6)), conflict]).await.unwrap_err();
    let ApplyError::Conflict { field, owner, .. } = &error else { panic!("{error:?}") };
    assert_eq!((field.as_str(), owner.as_str()), ("spec.maxReplicas and spec.minReplicas", "argocd and kubectl-edit"));
    assert!(error.to_string().starts_with("shop/Deployment/checkout: "), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_with_the_same_bounds_is_tried_again() {
    let outdated = status(409, "Conflict", "the object has been modified", &json!([]));
    let answers = [(200, with(2, 6)), outdated.clone(), (200, with(2, 6)), (200, written(3, 11))];
    assert!(apply(ApplyMode::Apply, &answers).await.unwrap().changed);

    let answers = [(200, with(2, 6)), outdated.clone(), (200, with(5, 6))];
    assert!(matches!(apply(ApplyMode::Apply, &answers).await.unwrap_err(), ApplyError::Changed { .. }));

    let restless: Vec<_> = (0..5).flat_map(|_| [(200, with(2, 6)), outdated.clone()]).collect();
    let last = |there| [restless.clone(), vec![there]].concat();
    let error = apply(ApplyMode::Apply, &last((200, with(2, 6)))).await.unwrap_err();
    assert!(matches!(error, ApplyError::Unapplied { transient: true, .. }), "{error:?}");
    assert!(error.to_string().contains("others wrote to the HPA in between"), "{error}");
    assert!(error.to_string().ends_with("409: the object has been modified"), "{error}");
    // Not outdated but stored, and asked again by the client.
    assert!(!apply(ApplyMode::Apply, &last((200, with(3, 11)))).await.unwrap().changed);
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_other_bounds_than_sent_is_reported() {
    let error = apply(ApplyMode::Apply, &[(200, with(2, 6)), (200, with(3, 9))]).await.unwrap_err();
    assert!(matches!(error, ApplyError::Backend { transient: false, .. }));
    assert!(
        error.to_string().contains("took 3..11 and made it 3..9, as an admission webhook may; that is stored now"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_hpa_of_another_workload_is_left_alone() {
    let mut other = with(2, 6);
    other["spec"]["scaleTargetRef"]["name"] = "cart".into();
    let error = apply(ApplyMode::Apply, &[(200, other)]).await.unwrap_err();
    assert!(matches!(error, ApplyError::Refused { .. }));
    assert!(error.to_string().contains("scales Deployment/cart, not Deployment/checkout"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_apart() {
    let none = json!([]);
    let not_found = apply(ApplyMode::Apply, &[status(404, "NotFound", "not found", &none)]).await.unwrap_err();
    assert!(matches!(not_found, ApplyError::NotFound { .. }));
    for (code, reason) in [(400, "BadRequest"), (401, "Unauthorized"), (403, "Forbidden"), (422, "Invalid")] {
        let error = apply(ApplyMode::Apply, &[(200, with(2, 6)), status(code, reason, "no, because", &none)])
            .await
            .unwrap_err();
        assert!(matches!(error, ApplyError::Refused { .. }), "{code}: {error:?}");
        assert!(error.to_string().ends_with("refused: no, because"), "{error}");
    }
    for code in [408, 500, 502, 503, 504] {
        let error =
            apply(ApplyMode::Apply, &[(200, with(2, 6)), status(code, "Oops", "down", &none)]).await.unwrap_err();
        assert!(matches!(error, ApplyError::Backend { transient: true, .. }), "{code}: {error:?}");
        assert!(error.to_string().starts_with("shop/Deployment/checkout: "), "{error}");
    }
}

/// Gives these answers in turn, and then hangs up: no answer to the next request, and no connection for later ones.
async fn apply_and_hang_up(mode: ApplyMode, answers: &[(u16, Value)]) -> Result<Applied, ApplyError> {
    let (applier, mut server) = mocked();
    let plan = plan();
    let serve = async move {
        answer_all(&mut server, mode, answers).await;
        let (mut next, mut respond) = server.next_request().await.unwrap();
        if mode == ApplyMode::Apply && answers.len() == 1 {
            assert!(is_rehearsal(&next));
            respond.send_response(Response::new(Body::from(written(3, 11).to_string().into_bytes())));
            (next, respond) = server.next_request().await.unwrap();
        }
        drop((next, respond));
    };
    join(applier.apply(&plan, mode), serve).await.0
}

#[tokio::test(start_paused = true)]
async fn law_12_each_error_says_whether_the_change_may_have_happened() {
    let none = json!([]);
    let read = (200, with(2, 6));
    let failed = |code, reason| status(code, reason, "no", &none);
    let owned = json!([{ "reason": "FieldManagerConflict", "message": "conflict with \"argocd\"", "field": ".spec.maxReplicas" }]);
    let outdated = status(409, "Conflict", "the object has been modified", &none);
    let proxy = |code| (code, json!({ "error": "bad gateway" }));
    let later = |code| {
        let (code, mut body) = failed(code, "TooManyRequests");
        body["details"]["retryAfterSeconds"] = 60.into();
        (code, body)
    };
    let cases = [
        // Before anything was sent.
        ("read: not found", vec![failed(404, "NotFound")], false),
        ("read: refused", vec![failed(403, "Forbidden")], false),
        ("read: down", vec![failed(503, "ServiceUnavailable")], false),
        ("read: no HPA", vec![(200, json!({}))], false),
        ("read: other bounds", vec![(200, with(2, 7))], false),
        // Answered with a no.
        ("write: not found", vec![read.clone(), failed(404, "NotFound")], false),
        ("write: no such path", vec![read.clone(), failed(404, "")], false),
        ("write: bad request", vec![read.clone(), failed(400, "BadRequest")], false),
        ("write: forbidden", vec![read.clone(), failed(403, "Forbidden")], false),
        ("write: invalid", vec![read.clone(), failed(422, "Invalid")], false),
        ("write: too many requests", vec![read.clone(), later(429)], false),
        ("write: a conflict", vec![read.clone(), status(409, "Conflict", "conflict", &owned)], false),
        ("write: outdated, then changed", vec![read.clone(), outdated.clone(), (200, with(5, 6))], false),
        // Sent, and without a yes or a no.
        ("write: slow", vec![read.clone(), failed(408, "Timeout")], true),
        ("write: down for longer", vec![read.clone(), later(503)], true),
        (
            "write: down, and then none knows",
            vec![read.clone(), failed(503, "ServiceUnavailable"), failed(401, "Unauthorized")],
            true,
        ),
        ("write: internal error", vec![read.clone(), failed(500, "InternalError")], true),
        ("write: gateway timeout", vec![read.clone(), failed(504, "Timeout")], true),
        ("write: a proxy", vec![read.clone(), proxy(502)], true),
        ("write: no HPA", vec![read.clone(), (200, json!({}))], true),
        ("write: other bounds", vec![read.clone(), (200, with(3, 9))], true),
        ("write: outdated, then down", vec![read.clone(), outdated.clone(), failed(503, "ServiceUnavailable")], true),
        ("write: outdated, then refused", vec![read.clone(), outdated.clone(), failed(401, "Unauthorized")], true),
    ];
    for (case, answers, may_have_happened) in cases {
        let error = apply(ApplyMode::Apply, &answers).await.unwrap_err();
        assert_eq!(error.may_have_happened(), may_have_happened, "{case}: {error:?}");
        let error = apply(ApplyMode::ServerDryRun, &answers).await.unwrap_err();
        assert!(!error.may_have_happened(), "law 3, {case}: {error:?}");
    }
    // A read says that the first write was not stored.
    let busy = failed(503, "ServiceUnavailable");
    let answers = [read.clone(), busy, read.clone(), failed(403, "Forbidden")];
    let error = apply(ApplyMode::Apply, &answers).await.unwrap_err();
    assert!(matches!(error, ApplyError::Refused { .. }), "{error:?}");
    for (case, answers, may_have_happened) in
        [("read", vec![], false), ("write", vec![read.clone()], true), ("reread", vec![read, outdated], true)]
    {
        let error = apply_and_hang_up(ApplyMode::Apply, &answers).await.unwrap_err();
        assert_eq!(error.may_have_happened(), may_have_happened, "hung up on a {case}: {error:?}");
        assert!(error.is_transient(), "{case}: {error:?}");
        let error = apply_and_hang_up(ApplyMode::ServerDryRun, &answers).await.unwrap_err();
        assert!(!error.may_have_happened() && error.is_transient(), "law 3, hung up on a {case}: {error:?}");
    }
}

/// Answers one read and one rehearsal on a real port. The next connection is refused or, with `accept`, takes the request and breaks.
fn serve_twice(accept: bool) -> u16 {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut listener = Some(listener);
        for (body, is_last) in [(with(2, 6), false), (written(3, 11), true)] {
            let (mut stream, _) = listener.as_ref().unwrap().accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            if is_last && !accept {
                listener = None;
            }
            let body = body.to_string();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
            write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
        if let Some(listener) = listener {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    port
}

#[tokio::test]
async fn a_connection_that_is_refused_has_carried_nothing_and_one_that_breaks_may_have() {
    for breaks in [false, true] {
        let config = kube::Config::new(format!("http://127.0.0.1:{}", serve_twice(breaks)).parse().unwrap());
        let applier = KubeHpaApplier::new(Client::try_from(config).unwrap());
        let error = applier.apply(&plan(), ApplyMode::Apply).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert_eq!(error.may_have_happened(), breaks, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_none_are_failures() {
    let cases: [(u16, &[u8], bool); 9] = [
        (200, b"garbage", false),
        (200, b"", false),
        (200, b"\xff\xfe\x00", true),
        (200, b"{}", false),
        (200, br#"{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{},"spec":{"maxReplicas":-1}}"#, false),
        (404, b"404 page not found", false),
        (418, b"teapot", false),
        (500, b"\xff", true),
        (502, br#"{"error":"bad gateway"}"#, true),
    ];
    for (code, body, expected) in cases {
        let (applier, mut server) = mocked();
        let (read, _) = join(async { applier.current(&target()).await }, answer(&mut server, code, body)).await;
        let error = read.unwrap_err();
        match error {
            ApplyError::Unapplied { transient, .. } => assert_eq!(transient, expected, "{code} {error}"),
            // Whatever it scales, it is not the workload of the target.
            ApplyError::Refused { .. } if code == 200 => {}
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_transient() {
    let (applier, server) = mocked();
    drop(server);
    let error = applier.current(&target()).await.unwrap_err();
    assert!(matches!(error, ApplyError::Unapplied { transient: true, .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_costs_the_timeout() {
    let (applier, mut server) = mocked();
    let start = tokio::time::Instant::now();
    let error = applier.current(&target()).await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(matches!(error, ApplyError::Unapplied { transient: true, .. }));
    assert!(error.to_string().contains("no answer within 10 s"), "{error}");
    drop(server.next_request().await);

    drop(server.next_request().await);

    // The write has a time of its own.
    let applier = applier.timeout(Duration::from_secs(3));
    let plan = plan();
    let read = [(200, with(2, 6))];
    for (mode, rehearsals) in [(ApplyMode::Apply, 1), (ApplyMode::ServerDryRun, 0)] {
        let serve = async {
            answer_all(&mut server, ApplyMode::ServerDryRun, &read).await;
            for _ in 0..rehearsals {
                answer(&mut server, 200, written(3, 11).to_string()).await;
            }
            server.next_request().await
        };
        let (done, _silent) = join(applier.apply(&plan, mode), serve).await;
        let error = done.unwrap_err();
        assert_eq!((error.may_have_happened(), error.is_transient()), (mode == ApplyMode::Apply, true), "{error:?}");
    }
}

#[tokio::test]
async fn names_that_would_lead_elsewhere_are_not_sent() {
    let (applier, _server) = mocked();
    for (namespace, name) in
        [("shop", "../x"), ("a/b", "x"), ("", "x"), ("shop", ""), ("shop", "x?force=true"), ("shop", "x/scale")]
    {
        let target = Target::deployment(namespace, "checkout").with_hpa(name);
        let answer = tokio::time::timeout(Duration::from_secs(1), applier.current(&target)).await.unwrap();
        assert!(matches!(answer, Err(ApplyError::Refused { .. })), "{namespace}/{name}");
    }
}

#[tokio::test]
async fn a_change_of_requests_is_refused_in_every_mode() {
    let (applier, _server) = mocked();
    let plan = vertical::plan(&target(), bounds(2, 6), &vertical::facts(), 25, 0);
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun, ApplyMode::Apply] {
        let answer = tokio::time::timeout(Duration::from_secs(1), applier.apply(&plan, mode)).await.unwrap();
        let error = answer.unwrap_err();
        assert!(matches!(error, ApplyError::Refused { .. }));
        assert!(error.to_string().contains("writes bounds alone"), "{error}");
    }
}

#[test]
fn an_applier_can_be_shared() {
    fn shared<T: Send + Sync + Clone + std::fmt::Debug + 'static>() {}
    shared::<KubeHpaApplier>();
}

#[tokio::test(start_paused = true)]
async fn what_is_transient_is_tried_again_after_the_pause_that_the_server_asks_for() {
    let busy = |code: u16, seconds: u32| {
        let (code, mut body) = status(code, "Busy", "later", &json!([]));
        body["details"]["retryAfterSeconds"] = seconds.into();
        (code, body)
    };
    let (read, yes) = ((200, with(2, 6)), (200, written(3, 11)));
    let cases = [
        ("a read", vec![busy(429, 2), busy(503, 3), read.clone(), yes.clone()], 5),
        ("a read that took too long", vec![busy(504, 0), busy(408, 0), read.clone(), yes.clone()], 0),
        ("a write", vec![read.clone(), busy(429, 4), yes.clone()], 4),
        ("a write of which a read tells", vec![read.clone(), busy(503, 4), read.clone(), yes.clone()], 4),
    ];
    for (case, answers, seconds) in cases {
        let start = tokio::time::Instant::now();
        assert!(apply(ApplyMode::Apply, &answers).await.unwrap().changed, "{case}");
        assert_eq!(start.elapsed().as_secs(), seconds, "{case}");
    }
    // Stored although the answer said no.
    let answers = [read.clone(), busy(503, 1), yes.clone()];
    assert!(!apply(ApplyMode::Apply, &answers).await.unwrap().changed);
    // In a dry run, too.
    let answers = [read, busy(429, 1), busy(503, 1), yes];
    assert!(apply(ApplyMode::ServerDryRun, &answers).await.unwrap().changed);

    // As often as five times, and for no longer than the deadline.
    let error = apply(ApplyMode::Apply, &vec![busy(503, 0); 5]).await.unwrap_err();
    assert!(matches!(error, ApplyError::Unapplied { transient: true, .. }), "{error:?}");
    let start = tokio::time::Instant::now();
    let error = apply(ApplyMode::Apply, &[busy(429, 6), busy(429, 6)]).await.unwrap_err();
    assert_eq!((start.elapsed().as_secs(), error.is_transient()), (6, true), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_precedes_the_first_write_to_each_hpa_and_stops_it() {
    let (applier, mut server) = mocked();
    let plan = plan();
    // Refused, taken otherwise, or without the annotation: nothing is stored.
    let (code, no) = status(422, "Invalid", "denied by policy", &json!([]));
    let without = with(3, 11);
    for (code, answered, said) in [
        (code, no, "denied by policy"),
        (200, written(3, 9), "would be stored"),
        (200, without, "did not keep annotation"),
    ] {
        let serve = async {
            answer(&mut server, 200, with(2, 6).to_string()).await;
            answer(&mut server, code, answered.to_string()).await.1
        };
        let (done, path) = join(applier.apply(&plan, ApplyMode::Apply), serve).await;
        let error = done.unwrap_err();
        assert!(path.contains("dryRun=All"), "{path}");
        assert!(!error.may_have_happened() && error.to_string().contains(said), "{error}");
    }
    // Once it was taken, the next write needs none; neither does that of a clone. Another object of the same name does.
    for (uid, queries) in
        [("u-1", vec!["dryRun", "Manager"]), ("u-1", vec!["Manager"]), ("u-2", vec!["dryRun", "Manager"])]
    {
        let of = |mut hpa: Value| {
            hpa["metadata"]["uid"] = uid.into();
            if let Some(kept) = hpa["metadata"]["annotations"].get_mut(ANNOTATION) {
                *kept = kept.as_str().unwrap().replace("u-1", uid).into();
            }
            hpa.to_string()
        };
        let mut there = with(2, 6);
        there["metadata"]["annotations"] = json!({});
        let serve = async {
            answer(&mut server, 200, of(there)).await;
            for query in queries {
                let path = answer(&mut server, 200, of(written(3, 11))).await.1;
                assert!(path.contains(query), "{path}");
            }
        };
        let applier = applier.clone();
        assert!(join(applier.apply(&plan, ApplyMode::Apply), serve).await.0.unwrap().changed);
    }
}
