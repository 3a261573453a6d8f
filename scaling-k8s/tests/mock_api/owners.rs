//! Owners are looked for before the first write to an HPA.

use std::sync::{Arc, Mutex};

use super::*;

/// A cluster with these objects in each of its lists, where a number is a status instead; it takes every write.
fn cluster(listed: Value) -> (KubeHpaApplier, Arc<Mutex<Vec<String>>>) {
    let (service, mut server) = pair::<Request<Body>, Response<Body>>();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut stored = with(2, 6);
        while let Some((request, responder)) = server.next_request().await {
            let path = request.uri().path().to_owned();
            seen.lock().unwrap().push(format!("{} {path}", request.method()));
            let (code, body) = match (path.as_str(), &listed) {
                (PATH, _) if request.method() == "PATCH" => {
                    if !is_rehearsal(&request) {
                        stored = written(3, 11);
                    }
                    (200, written(3, 11))
                }
                (PATH, _) => (200, stored.clone()),
                (_, Value::Number(code)) => {
                    let code = u16::try_from(code.as_u64().unwrap()).unwrap();
                    status(code, "Forbidden", "no right", &json!([]))
                }
                ("/apis", _) => (200, json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] })),
                (path, items) if path.ends_with('s') => {
                    (200, json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": items }))
                }
                _ => status(404, "NotFound", "gone", &json!([])),
            };
            let body = Body::from(body.to_string().into_bytes());
            responder.send_response(Response::builder().status(code).body(body).unwrap());
        }
    });
    (KubeHpaApplier::new(Client::new(service, "other")), asked)
}

fn second() -> Value {
    let mut second = with(1, 3);
    second["metadata"]["name"] = "second".into();
    json!([second])
}

#[tokio::test]
async fn what_somebody_else_owns_is_refused_with_the_owner_and_not_written() {
    let (applier, asked) = cluster(second());
    for mode in [ApplyMode::ServerDryRun, ApplyMode::Apply] {
        let error = applier.apply(&plan(), mode).await.unwrap_err();
        let ApplyError::Owned { owners, source, .. } = &error else { panic!("{error:?}") };
        let said: Vec<String> = owners.iter().map(|owner| format!("{owner}: {}", owner.advice)).collect();
        assert_eq!(said, ["another HPA, second sets the size of the same workload: delete one of the two HPAs"]);
        assert_eq!(error.size_owners(), *owners);
        assert_eq!(
            source.to_string(),
            "shop/Deployment/checkout is owned: another HPA, second, sets the size of the same workload"
        );
    }
    assert!(asked.lock().unwrap().iter().all(|request| request.starts_with("GET ")));
    let (applier, asked) = cluster(second());
    let applier = applier.ownership(OwnershipPolicy::Take);
    assert!(applier.apply(&plan(), ApplyMode::Apply).await.unwrap().changed);
    assert_eq!(asked.lock().unwrap().len(), 3, "the host has decided, and nobody is looked for");
}

#[tokio::test(start_paused = true)]
async fn they_are_looked_for_once_an_hour() {
    let (applier, asked) = cluster(json!([]));
    let plan = plan();
    let dry_run = || applier.apply(&plan, ApplyMode::ServerDryRun);
    let requests = || std::mem::take(&mut *asked.lock().unwrap()).len();
    dry_run().await.unwrap();
    assert_eq!(requests(), 6, "the HPA, two lists, the groups, the workload, and the write");
    dry_run().await.unwrap();
    assert_eq!(requests(), 2);
    tokio::time::advance(Duration::from_secs(3600)).await;
    dry_run().await.unwrap();
    assert_eq!(requests(), 6);
}

#[tokio::test]
async fn few_rights_are_enough_to_write() {
    let (applier, _) = cluster(json!(403));
    assert!(applier.apply(&plan(), ApplyMode::Apply).await.unwrap().changed);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_looked_at_for_now_is_looked_at_again_after_a_minute() {
    for (code, asked_again) in [(500, 6), (429, 6), (403, 2)] {
        let (applier, asked) = cluster(json!(code));
        let plan = plan();
        let dry_run = || applier.apply(&plan, ApplyMode::ServerDryRun);
        let requests = || std::mem::take(&mut *asked.lock().unwrap()).len();
        dry_run().await.unwrap();
        assert_eq!(requests(), 6, "{code}: the HPA, two lists, the groups, the workload, and the write");
        dry_run().await.unwrap();
        assert_eq!(requests(), 2, "{code}");
        tokio::time::advance(Duration::from_secs(60)).await;
        dry_run().await.unwrap();
        assert_eq!(requests(), asked_again, "{code}");
    }
}
