//! What goes over the wire, and what each answer becomes. No server needed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "mock_api/creating.rs"]
mod creating;
#[path = "mock_api/failures.rs"]
mod failures;
#[path = "mock_api/owners.rs"]
mod owners;
#[path = "mock_api/releasing.rs"]
mod releasing;
#[path = "mock_api/telling.rs"]
mod telling;
#[path = "mock_api/transient.rs"]
mod transient;
#[path = "support/vertical.rs"]
mod vertical;

use std::time::Duration;

use futures::future::join;
use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use scaling_core::conformance::applier::plan as plan_of;
use scaling_core::{Applied, ApplyError, ApplyMode, Bounds, HpaApplier, HpaPlan, Target};
use scaling_k8s::ownership::OwnershipPolicy;
use scaling_k8s::resting::{ANNOTATION, RestingBounds};
use scaling_k8s::{KubeHpaApplier, Writer};
use serde_json::{Value, json};
use tower_test::mock::{Handle, pair};

type Server = Handle<Request<Body>, Response<Body>>;

const PATH: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/checkout-hpa";

fn mocked() -> (KubeHpaApplier, Server) {
    mocked_with(|writer| writer)
}

fn mocked_with(settings: impl FnOnce(Writer) -> Writer) -> (KubeHpaApplier, Server) {
    let (service, server) = pair::<Request<Body>, Response<Body>>();
    let writer = settings(Writer::new(Client::new(service, "other")));
    let applier = KubeHpaApplier::new(writer).ownership(OwnershipPolicy::Take);
    (applier, server)
}

fn target() -> Target {
    Target::deployment("shop", "checkout").with_hpa("checkout-hpa")
}

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

/// From 2..6 to 3..11, where the owner had set 1..4.
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
    RestingBounds { resting: bounds(1, 4), written: bounds(3, 11), uid, former: vec![] }.encode()
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

/// A plan is made of what the change log knows; the HPA may have lost it since our last write.
#[tokio::test(start_paused = true)]
async fn the_resting_bounds_of_the_plan_are_kept_where_the_hpa_does_not_tell() {
    let ours = json!([{ "manager": "kube-scaling", "operation": "Apply", "fieldsType": "FieldsV1",
        "fieldsV1": { "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {} } } }]);
    let theirs = json!([{ "manager": "host", "operation": "Apply", "fieldsType": "FieldsV1",
        "fieldsV1": { "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {} } } }]);
    for (fields, resting) in [(ours, bounds(1, 4)), (theirs, bounds(2, 6))] {
        let (applier, mut server) = mocked();
        let plan = plan();
        let mut there = with(2, 6);
        there["metadata"]["managedFields"] = fields;
        let serve = async {
            answer(&mut server, 200, there.to_string()).await;
            answer(&mut server, 403, "{}").await.3
        };
        let (_, body) = join(applier.apply(&plan, ApplyMode::Apply), serve).await;
        let kept = body["metadata"]["annotations"][ANNOTATION].as_str().unwrap();
        assert_eq!(RestingBounds::decode(kept).unwrap().resting, resting);
    }
}

#[tokio::test(start_paused = true)]
async fn manager_and_force_are_what_the_host_says() {
    let (applier, mut server) = mocked_with(|writer| writer.field_manager("my operator").force());
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
async fn an_hpa_of_another_workload_is_left_alone() {
    let mut other = with(2, 6);
    other["spec"]["scaleTargetRef"]["name"] = "cart".into();
    let error = apply(ApplyMode::Apply, &[(200, other)]).await.unwrap_err();
    assert!(matches!(error, ApplyError::Refused { .. }));
    assert!(error.to_string().contains("scales Deployment/cart, not Deployment/checkout"), "{error}");
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
