//! Kinds of workloads, and templates that reach no pod.

use scaling_core::{ApplyError, ApplyMode, Bounds, Target};
use scaling_k8s::vertical::Usage;
use scaling_k8s::{InUse, ResizeWay};
use serde_json::json;

use crate::world::World;
use crate::{NEW, OLD, apply_plan, vertical};

fn set() -> World {
    World { kind: "StatefulSet", ..World::new() }
}

fn plan_of(kind: &str) -> scaling_core::HpaPlan {
    let target = Target::deployment("shop", "web").of_kind(kind);
    vertical::plan(&target, Bounds::new(2, 6).unwrap(), &vertical::facts(), 50, 0)
}

fn used() -> InUse {
    InUse { container: Usage { cpu_millicores: Some(100), memory_bytes: None }, ..InUse::default() }
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_stateful_set_are_its_own() {
    let plan = plan_of("StatefulSet");
    let (answer, left) = apply_plan(set(), ApplyMode::ServerDryRun, &plan, &used(), |applier| applier).await;
    assert!(answer.unwrap().changed && left.cpu() == [OLD; 4], "law 3");
    let (answer, left) = apply_plan(set(), ApplyMode::Apply, &plan, &used(), |applier| applier).await;
    let done = answer.unwrap();
    assert_eq!((done.preview.way, done.preview.pods.len()), (ResizeWay::InPlace, 3));
    assert_eq!(left.cpu(), [OLD, NEW, NEW, NEW], "the template stays");
    assert!(!left.log.iter().any(|asked| asked.contains("replicasets")), "it has none");
    let (again, left) = apply_plan(left, ApplyMode::Apply, &plan, &used(), |applier| applier).await;
    assert!(!again.unwrap().changed && left.cpu() == [OLD, NEW, NEW, NEW], "twice equals once");
}

#[tokio::test(start_paused = true)]
async fn the_template_of_a_stateful_set_is_rolled_out() {
    let plan = plan_of("StatefulSet");
    let rollout = |applier: scaling_k8s::ResizeApplier| applier.way(ResizeWay::Rollout);
    let (answer, left) = apply_plan(set(), ApplyMode::ServerDryRun, &plan, &used(), rollout).await;
    assert!(answer.unwrap().changed && left.cpu() == [OLD; 4], "law 3");
    let (answer, left) = apply_plan(set(), ApplyMode::Apply, &plan, &used(), rollout).await;
    assert_eq!(answer.unwrap().preview.way, ResizeWay::Rollout);
    assert_eq!(left.cpu(), [NEW, OLD, OLD, OLD], "the pods are its controller's to replace");
    let patched = left.log.iter().filter(|asked| asked.starts_with("PATCH"));
    assert!(patched.clone().count() == 2 && patched.clone().all(|asked| asked.contains("/statefulsets/web?")));
}

#[tokio::test(start_paused = true)]
async fn a_template_that_would_reach_no_pod_is_refused() {
    for (kind, spec, why) in [
        ("StatefulSet", json!({ "updateStrategy": { "type": "OnDelete" } }), "OnDelete"),
        ("StatefulSet", json!({ "updateStrategy": { "rollingUpdate": { "partition": 2 } } }), "ends at partition 2"),
        ("Deployment", json!({ "paused": true }), "paused"),
    ] {
        let world = World { kind, spec, ..World::new() };
        let rollout = |applier: scaling_k8s::ResizeApplier| applier.way(ResizeWay::Rollout);
        let (answer, left) = apply_plan(world.clone(), ApplyMode::Apply, &plan_of(kind), &used(), rollout).await;
        let error = answer.unwrap_err();
        assert!(matches!(error, ApplyError::Refused { .. }) && error.to_string().contains(why), "{error}");
        assert_eq!(left.cpu(), [OLD; 4]);
        let (answer, left) = apply_plan(world, ApplyMode::Apply, &plan_of(kind), &used(), |applier| applier).await;
        assert!(answer.unwrap().changed && left.cpu()[1] == NEW, "in place it does not matter");
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_set_is_refused_with_the_reason() {
    let (answer, left) =
        apply_plan(World::new(), ApplyMode::Apply, &plan_of("DaemonSet"), &used(), |applier| applier).await;
    let error = answer.unwrap_err();
    assert!(matches!(error, ApplyError::Refused { .. }) && error.to_string().contains("has a pod on each node"));
    assert!(left.log.is_empty(), "nobody was asked");
}
