//! Resting bounds at an HPA of a real API server.

use kube::api::{Patch, PatchParams};
use scaling_core::Bounds;
use scaling_k8s::resting::{ANNOTATION, Memory, Release, Seen, release};
use serde_json::{Value, json};

use crate::world::{World, bounds};

const US: &str = "kube-scaling";

async fn apply(world: &World, name: &str, body: &Value) {
    let params = PatchParams { force: true, ..PatchParams::apply(US) };
    world.api().patch(name, &params, &Patch::Apply(body)).await.unwrap();
}

async fn write(world: &World, name: &str, new: Bounds) {
    let body = Seen::of(&world.read(name).await, US).unwrap().apply_body(new);
    apply(world, name, &body).await;
}

async fn released(world: &World, name: &str) {
    for _ in 0..4 {
        match release(&world.read(name).await, US).unwrap() {
            Release::Done => return,
            Release::Restore { body, .. } => apply(world, name, &body).await,
            Release::Disown { patch } => {
                let path = format!(
                    "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/{name}?fieldManager={US}&fieldValidation=Strict"
                );
                let request = http::Request::patch(path).header("content-type", "application/json-patch+json");
                let request = request.body(serde_json::to_vec(&patch).unwrap()).unwrap();
                world.admin.request::<Value>(request).await.unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("{name} is not released: {}", world.read(name).await);
}

/// What an owner sees, without the versions and times that every write moves.
fn seen_by_the_owner(mut hpa: Value) -> Value {
    for field in ["resourceVersion", "generation"] {
        hpa["metadata"].as_object_mut().unwrap().remove(field);
    }
    for entry in hpa["metadata"]["managedFields"].as_array_mut().unwrap() {
        entry.as_object_mut().unwrap().remove("time");
    }
    hpa
}

/// An HPA on CPU that `host` owns.
async fn create(world: &World, name: &str, min: u32, max: u32) {
    let cpu = json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 65 } } });
    let spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
        "minReplicas": min, "maxReplicas": max, "metrics": [cpu],
    });
    let metadata = json!({ "name": name, "annotations": { "example.com/owner": "shop" } });
    world.apply("host", name, json!({ "metadata": metadata, "spec": spec }), false).await.unwrap();
}

pub(crate) async fn a_release_leaves_no_trace(world: &World) {
    create(world, "rest", 2, 6).await;
    let before = seen_by_the_owner(world.read("rest").await);
    for new in [bounds(4, 9), bounds(3, 12)] {
        write(world, "rest", new).await;
        let seen = Seen::of(&world.read("rest").await, US).unwrap();
        assert_eq!((seen.state.bounds, seen.state.resting, seen.memory), (new, bounds(2, 6), Memory::Kept));
    }
    released(world, "rest").await;
    assert_eq!(seen_by_the_owner(world.read("rest").await), before);
}

pub(crate) async fn the_owners_change_becomes_the_resting_bounds(world: &World) {
    create(world, "rest-changed", 2, 6).await;
    write(world, "rest-changed", bounds(4, 9)).await;
    let edit = Patch::Merge(json!({ "spec": { "minReplicas": 3 } }));
    let params = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
    world.api().patch("rest-changed", &params, &edit).await.unwrap();
    assert_eq!(Seen::of(&world.read("rest-changed").await, US).unwrap().state.resting, bounds(3, 6));
    write(world, "rest-changed", bounds(5, 9)).await;
    released(world, "rest-changed").await;
    let hpa = world.read("rest-changed").await;
    assert_eq!((&hpa["spec"]["minReplicas"], &hpa["spec"]["maxReplicas"]), (&3.into(), &6.into()));
    assert_eq!(hpa["metadata"]["annotations"].get(ANNOTATION), None);
    let managers = hpa["metadata"]["managedFields"].as_array().unwrap().iter().map(|entry| &entry["manager"]);
    assert!(managers.into_iter().all(|manager| manager != US));
}
