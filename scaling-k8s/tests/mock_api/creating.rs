//! Creating a whole HPA, request by request.

use futures::future::join;
use scaling_core::{Applied, ApplyMode};
use scaling_k8s::resting::ANNOTATION;
use scaling_k8s::{CreateError, HpaManifest};
use serde_json::{Value, json};

use crate::{answer, bounds, mocked, status, with};

fn manifest() -> HpaManifest {
    let mut hpa = with(2, 6);
    hpa["metadata"]["annotations"] = json!({ ANNOTATION: "{}", "example.com/owner": "shop" });
    HpaManifest::from_yaml(&hpa.to_string()).unwrap()
}

fn list(items: &[Value], next: &str) -> (u16, Value) {
    let metadata = json!({ "resourceVersion": "9", "continue": next });
    (
        200,
        json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscalerList", "metadata": metadata, "items": items }),
    )
}

/// An HPA of another name that scales the same workload.
fn rival() -> Value {
    let mut hpa = with(1, 3);
    hpa["metadata"]["name"] = "by-hand".into();
    hpa
}

fn made_by(manager: &str) -> Value {
    let mut hpa = with(2, 6);
    hpa["metadata"]["managedFields"] = json!([{ "manager": manager, "operation": "Update", "fieldsType": "FieldsV1",
        "fieldsV1": { "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {}, "f:scaleTargetRef": {} } } }]);
    hpa
}

type Sent = Vec<(String, String, String, Value)>;

async fn create(mode: ApplyMode, answers: &[(u16, Value)]) -> (Result<Applied, CreateError>, Sent) {
    let (applier, mut server) = mocked();
    let serve = async move {
        let mut sent = Vec::new();
        for (code, body) in answers {
            sent.push(answer(&mut server, *code, body.to_string()).await);
        }
        // Whatever is asked from here on has no answer.
        (sent, server)
    };
    let manifest = manifest();
    let (done, (sent, _server)) = join(applier.create(&manifest, mode), serve).await;
    (done, sent)
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_precedes_the_create_and_stands_alone_where_it_is_all() {
    let (all, made) = (list(&[], ""), (201, with(2, 6)));
    let (done, sent) = create(ApplyMode::Apply, &[all.clone(), made.clone(), made.clone()]).await;
    assert_eq!(done.unwrap(), Applied { mode: ApplyMode::Apply, changed: true });
    let asked: Vec<(&str, bool)> =
        sent.iter().map(|(method, path, _, _)| (method.as_str(), path.contains("dryRun=All"))).collect();
    assert_eq!(asked, [("GET", false), ("POST", true), ("POST", false)]);
    let (_, path, _, body) = &sent[2];
    assert!(path.contains("fieldManager=kube-scaling-create"), "{path}");
    assert_eq!(body["metadata"]["annotations"], json!({ "example.com/owner": "shop" }), "no memory of another HPA");
    assert_eq!(body["metadata"].get("resourceVersion").or(body["metadata"].get("uid")), None);

    let (done, sent) = create(ApplyMode::ServerDryRun, &[all, made]).await;
    assert!(done.unwrap().changed && sent.len() == 2, "law 3");
    let (done, sent) = create(ApplyMode::Plan, &[]).await;
    assert!(done.unwrap().changed && sent.is_empty(), "law 3");
}

#[tokio::test(start_paused = true)]
async fn what_is_there_or_scaled_by_another_is_a_refusal_with_its_name() {
    let (done, _) = create(ApplyMode::Apply, &[list(&[with(3, 9)], "")]).await;
    let error = done.unwrap_err();
    assert!(matches!(error, CreateError::Exists { bounds: there, .. } if there == bounds(3, 9)), "{error}");
    // On the second page.
    let mut other = rival();
    (other["metadata"]["name"], other["spec"]["scaleTargetRef"]["name"]) = ("cart".into(), "cart".into());
    let (done, sent) = create(ApplyMode::Apply, &[list(&[other.clone()], "next"), list(&[rival()], "")]).await;
    let error = done.unwrap_err();
    assert_eq!(error.to_string(), "shop/Deployment/checkout is scaled already, by HPA by-hand");
    assert!(sent[1].1.contains("continue=next"), "{}", sent[1].1);
    // Others than these are none of its business.
    let made = (201, with(2, 6));
    assert!(create(ApplyMode::Apply, &[list(&[other], ""), made.clone(), made.clone()]).await.0.is_ok());
    // Somebody was faster.
    let (code, exists) = status(409, "AlreadyExists", "exists", &json!([]));
    let answers = [list(&[], ""), made, (code, exists), list(&[made_by("kubectl")], "")];
    assert!(matches!(create(ApplyMode::Apply, &answers).await.0, Err(CreateError::Exists { .. })));
    // What Kubernetes would not take is not sent.
    let (applier, _server) = mocked();
    let mut invalid = manifest();
    invalid.spec.max_replicas = 0;
    assert!(matches!(applier.create(&invalid, ApplyMode::Apply).await, Err(CreateError::Invalid(_))));
}

#[tokio::test(start_paused = true)]
async fn law_12_an_answer_that_was_none_is_settled_by_the_next_list() {
    let (none, made) = (list(&[], ""), (201, with(2, 6)));
    let busy = status(503, "Busy", "later", &json!([]));
    let no = status(403, "Forbidden", "no", &json!([]));
    let sent = [none.clone(), made.clone(), busy.clone()];
    let after = |there: &[Value]| [sent.to_vec(), vec![list(there, "")]].concat();
    assert!(create(ApplyMode::Apply, &after(&[made_by("kube-scaling-create")])).await.0.unwrap().changed);
    let stranger = create(ApplyMode::Apply, &after(&[made_by("kubectl")])).await.0;
    assert!(matches!(stranger, Err(CreateError::Exists { .. })));
    let again = [after(&[]), vec![made.clone(), made.clone()]].concat();
    assert!(create(ApplyMode::Apply, &again).await.0.unwrap().changed);
    let unknown = create(ApplyMode::Apply, &[sent.to_vec(), vec![no.clone()]].concat()).await.0.unwrap_err();
    assert!(unknown.may_have_happened(), "{unknown:?}");
    for (case, answers, may_have_happened) in [
        ("the list", vec![no.clone()], false),
        ("the dry run", vec![none.clone(), no.clone()], false),
        ("the dry run: other bounds", vec![none.clone(), (201, with(2, 7))], false),
        ("a no", vec![none.clone(), made.clone(), no.clone()], false),
        ("no answer", vec![none.clone(), made.clone()], true),
        ("other bounds", vec![none.clone(), made.clone(), (201, with(2, 7))], true),
        ("a no to the second dry run", [after(&[]), vec![no.clone()]].concat(), true),
        ("a no to the second create", [after(&[]), vec![made.clone(), no.clone()]].concat(), true),
    ] {
        let error = create(ApplyMode::Apply, &answers).await.0.unwrap_err();
        assert_eq!(error.may_have_happened(), may_have_happened, "{case}: {error:?}");
    }
}
