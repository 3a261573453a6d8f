//! Giving an HPA back, request by request.

use futures::future::join;
use http::{Response, StatusCode};
use kube::client::Body;
use scaling_core::{ApplyError, Target};
use scaling_k8s::Released;
use scaling_k8s::resting::{ANNOTATION, FormerOwner, RestingBounds};
use serde_json::{Value, json};

use crate::{answer, bounds, mocked, status, target, with};

/// An HPA that the host made with 2..6, while it has these bounds.
fn ours(min: u32, max: u32) -> Value {
    let former: FormerOwner =
        serde_json::from_value(json!({ "manager": "host", "operation": "apply", "bounds": ["min", "max"] })).unwrap();
    let uid = Some("u-1".to_owned());
    let kept = RestingBounds { resting: bounds(2, 6), written: bounds(min, max), uid, former: vec![former] };
    let mut hpa = with(min, max);
    hpa["metadata"]["annotations"] = json!({ ANNOTATION: kept.encode() });
    let annotation = format!("f:{ANNOTATION}");
    hpa["metadata"]["managedFields"] = json!([
        { "manager": "host", "operation": "Apply", "apiVersion": "autoscaling/v2", "fieldsType": "FieldsV1",
            "fieldsV1": { "f:spec": { "f:scaleTargetRef": {} } } },
        { "manager": "kube-scaling", "operation": "Apply", "apiVersion": "autoscaling/v2", "fieldsType": "FieldsV1",
            "fieldsV1": { "f:metadata": { "f:annotations": { annotation: {} } }, "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {} } } },
    ]);
    hpa
}

fn theirs() -> Value {
    let mut hpa = with(2, 6);
    hpa["metadata"]["managedFields"] = json!([{ "manager": "host", "operation": "Apply", "fieldsType": "FieldsV1",
        "fieldsV1": { "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {}, "f:scaleTargetRef": {} } } }]);
    hpa
}

async fn release(answers: &[(u16, Value)]) -> (Result<Released, ApplyError>, Vec<(String, String, String, Value)>) {
    let (applier, mut server) = mocked();
    let serve = async move {
        let mut sent = Vec::new();
        for (code, body) in answers {
            sent.push(answer(&mut server, *code, body.to_string()).await);
        }
        // Whatever is asked from here on has no answer.
        (sent, server)
    };
    let (done, (sent, _server)) = join(applier.release(&target()), serve).await;
    (done, sent)
}

#[tokio::test(start_paused = true)]
async fn the_bounds_go_back_first_and_then_all_that_is_ours() {
    let outdated = status(422, "Invalid", "the server rejected our request due to an error in our request", &json!([]));
    let answers = [
        (200, ours(3, 11)),
        (200, ours(2, 6)),
        (200, ours(2, 6)),
        (200, ours(2, 6)),
        outdated,
        (200, ours(2, 6)),
        (200, theirs()),
        (200, theirs()),
    ];
    let (done, sent) = release(&answers).await;
    assert_eq!(done.unwrap(), Released::Done { changed: true, bounds: bounds(2, 6) });
    let asked: Vec<(&str, bool, &str)> = sent
        .iter()
        .map(|(method, path, content, _)| (method.as_str(), path.contains("dryRun=All"), content.as_str()))
        .collect();
    let (apply, patch) = ("application/apply-patch+yaml", "application/json-patch+json");
    let read = ("GET", false, "");
    let expected = [
        read,
        ("PATCH", true, apply),
        ("PATCH", false, apply),
        read,
        ("PATCH", false, patch),
        read,
        ("PATCH", false, patch),
        read,
    ];
    assert_eq!(asked, expected);
    assert_eq!(sent[2].3["spec"], json!({ "minReplicas": 2, "maxReplicas": 6 }));
    assert_eq!(sent[6].3[0], json!({ "op": "test", "path": "/metadata/resourceVersion", "value": "7" }));
}

#[tokio::test(start_paused = true)]
async fn what_was_never_ours_is_read_once() {
    let (done, sent) = release(&[(200, theirs())]).await;
    assert_eq!((done.unwrap(), sent.len()), (Released::Done { changed: false, bounds: bounds(2, 6) }, 1));
    // Nor is an HPA of another workload touched.
    let (applier, mut server) = mocked();
    let other = Target::deployment("shop", "cart").with_hpa("checkout-hpa");
    let (done, _) = join(applier.release(&other), answer(&mut server, 200, ours(3, 11).to_string())).await;
    assert!(matches!(done, Err(ApplyError::Refused { .. })));
}

#[tokio::test(start_paused = true)]
async fn law_12_a_release_that_fails_says_whether_something_may_have_changed() {
    let no = |code| status(code, "No", "no", &json!([]));
    let (raised, restored) = ((200, ours(3, 11)), (200, ours(2, 6)));
    let cases = [
        ("the read", vec![no(403)], false),
        ("the rehearsal", vec![raised.clone(), no(403)], false),
        ("the write: a no", vec![raised.clone(), restored.clone(), no(403)], false),
        ("the write: no answer", vec![raised.clone(), restored.clone()], true),
        ("the read after it", vec![raised.clone(), restored.clone(), restored.clone(), no(403)], true),
        ("the patch", vec![raised, restored.clone(), restored.clone(), restored, no(403)], true),
    ];
    for (case, answers, may_have_happened) in cases {
        let error = release(&answers).await.0.unwrap_err();
        assert_eq!(error.may_have_happened(), may_have_happened, "{case}: {error:?}");
    }
    // A webhook that puts everything back does not keep it busy for ever.
    let (applier, mut server) = mocked();
    let serve = async {
        loop {
            let (_, respond) = server.next_request().await.unwrap();
            let response =
                Response::builder().status(StatusCode::OK).body(Body::from(ours(2, 6).to_string().into_bytes()));
            respond.send_response(response.unwrap());
        }
    };
    tokio::select! {
        done = async { applier.release(&target()).await } => assert!(done.unwrap_err().to_string().contains("still something to give back")),
        () = serve => {}
    }
}
