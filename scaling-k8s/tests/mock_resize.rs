//! Requests and limits over a mocked API server: faults between the pods, clusters that cannot resize, answers that are none.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "mock_resize/kinds.rs"]
mod kinds;
#[path = "mock_resize/looped.rs"]
mod looped;
#[path = "mock_resize/owned.rs"]
mod owned;
#[path = "support/vertical.rs"]
mod vertical;
#[path = "mock_resize/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, select};
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use scaling_core::{ApplyError, ApplyMode, Bounds, HpaPlan, Target};
use scaling_k8s::vertical::Usage;
use scaling_k8s::{InUse, ResizeApplier, ResizeWay, Resized};
use serde_json::json;
use tower_test::mock::pair;
use world::{Fault, World, serve, status};

fn plan() -> HpaPlan {
    let target = Target::deployment("shop", "web");
    vertical::plan(&target, Bounds::new(2, 6).unwrap(), &vertical::facts(), 50, 0)
}

/// Applies against such a server, and returns what is left of it.
async fn apply(
    world: World,
    mode: ApplyMode,
    of: impl FnOnce(ResizeApplier) -> ResizeApplier,
) -> (Result<Resized, ApplyError>, World) {
    let used = InUse { container: Usage { cpu_millicores: Some(100), memory_bytes: None }, ..InUse::default() };
    apply_plan(world, mode, &plan(), &used, of).await
}

async fn apply_plan(
    world: World,
    mode: ApplyMode,
    plan: &HpaPlan,
    used: &InUse,
    of: impl FnOnce(ResizeApplier) -> ResizeApplier,
) -> (Result<Resized, ApplyError>, World) {
    let (service, handle) = pair::<Request<Body>, Response<Body>>();
    let applier = of(ResizeApplier::new(Client::new(service, "other")));
    let world = Arc::new(Mutex::new(world));
    let answer = {
        let applying = Box::pin(applier.apply(plan, "app", used, mode));
        match select(applying, Box::pin(serve(handle, Arc::clone(&world)))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => panic!("the server does not end"),
        }
    };
    let left = world.lock().unwrap().clone();
    (answer, left)
}

const OLD: &str = "250m";
const NEW: &str = "375m";

#[tokio::test(start_paused = true)]
async fn every_pod_is_rehearsed_before_the_first_is_written() {
    let (answer, left) = apply(World::new(), ApplyMode::Apply, |applier| applier).await;
    assert!(answer.unwrap().changed);
    assert_eq!(left.cpu(), [OLD, NEW, NEW, NEW], "the template stays");
    let writes: Vec<bool> =
        left.log.iter().filter(|asked| asked.starts_with("PATCH")).map(|asked| asked.contains("dryRun=All")).collect();
    assert_eq!(writes, [true, true, true, false, false, false]);

    let (answer, left) = apply(
        World::with(&[("PATCH /api/v1/namespaces/shop/pods/web-c", 422, status(422, "Invalid"), false)]),
        ApplyMode::Apply,
        |applier| applier,
    )
    .await;
    assert!(matches!(answer, Err(ApplyError::Refused { .. })), "{answer:?}");
    assert_eq!(left.cpu(), [OLD; 4], "the last one's refusal stops them all");
    let (answer, left) = apply(World::new(), ApplyMode::ServerDryRun, |applier| applier).await;
    assert!(answer.unwrap().changed && left.cpu() == [OLD; 4]);
}

#[tokio::test(start_paused = true)]
async fn law_12_what_was_sent_may_have_happened_and_is_finished_by_the_next_call() {
    let lost = |carried_out| [("web-b/resize?&fieldManager", 500, status(500, "InternalError"), carried_out)];
    for carried_out in [false, true] {
        let (answer, left) = apply(World::with(&lost(carried_out)), ApplyMode::Apply, |applier| applier).await;
        let error = answer.unwrap_err();
        assert!(error.may_have_happened() && error.is_transient(), "{error:?}");
        assert_eq!(left.cpu(), [OLD, NEW, if carried_out { NEW } else { OLD }, OLD]);
        let (answer, left) = apply(left, ApplyMode::Apply, |applier| applier).await;
        assert!(answer.unwrap().changed);
        assert_eq!(left.cpu(), [OLD, NEW, NEW, NEW]);
    }
    // Refused after another pod was changed: something has happened, whatever the answer to this one says.
    let late = [("web-b/resize?&fieldManager", 403, status(403, "Forbidden"), false)];
    let (answer, _) = apply(World::with(&late), ApplyMode::Apply, |applier| applier).await;
    assert!(answer.unwrap_err().may_have_happened());
    for fault in ["GET /api/v1/namespaces/shop/limitranges", "web-b/resize?&dryRun", "GET /apis/apps/v1"] {
        let (answer, left) =
            apply(World::with(&[(fault, 500, status(500, "InternalError"), false)]), ApplyMode::Apply, |applier| {
                applier
            })
            .await;
        let error = answer.unwrap_err();
        assert!(!error.may_have_happened() && error.is_transient(), "{fault}: {error:?}");
        assert_eq!(left.cpu(), [OLD; 4]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_a_busy_server_and_a_pod_that_is_gone_are_looked_at_again() {
    for (fault, code) in [
        ("web-b/resize?&fieldManager", 409),
        ("web-b/resize?&dryRun", 409),
        ("web-b/resize?&fieldManager", 429),
        ("web-b/resize?&fieldManager", 503),
        ("web-b/resize?&dryRun", 404),
        ("web-b/resize?&fieldManager", 404),
    ] {
        let body = status(code, if code == 404 { "NotFound" } else { "Busy" });
        let (answer, left) =
            apply(World::with(&[(fault, code, body, false)]), ApplyMode::Apply, |applier| applier).await;
        let done = answer.unwrap_or_else(|error| panic!("{fault} {code}: {error}"));
        assert!(done.changed && done.preview.checked.is_some());
        // A pod that was gone for one request is left out, although it is there in this world.
        let named: &[&str] = if code == 404 { &["web-a", "web-c"] } else { &["web-a", "web-b", "web-c"] };
        assert_eq!(done.preview.pods, named, "the pods of all rounds: {fault} {code}");
        assert_eq!(left.cpu(), [OLD, NEW, NEW, NEW], "{fault} {code}");
    }
    let restless: Vec<Fault> =
        (0..20).map(|_| ("web-b/resize?&fieldManager", 409, status(409, "Conflict"), false)).collect();
    let (answer, left) = apply(World::with(&restless), ApplyMode::Apply, |applier| applier).await;
    let error = answer.unwrap_err();
    assert!(error.may_have_happened() && error.is_transient(), "{error:?}");
    assert_eq!(left.cpu(), [OLD, NEW, OLD, OLD]);
}

#[tokio::test(start_paused = true)]
async fn many_pods_that_change_often_are_all_done_by_one_call() {
    let mut many = World { slow: Duration::from_millis(100), ..World::new() };
    for nth in 0..200 {
        let size = many.objects["web-a"].clone();
        many.objects.insert(format!("web-p{nth:03}"), size);
    }
    for name in (0..200).step_by(10).map(|nth| format!("web-p{nth:03}")) {
        for what in ["dryRun", "fieldManager"] {
            let part: &'static str = format!("{name}/resize?&{what}").leak();
            many.faults.push((part, 409, status(409, "Conflict"), false));
        }
    }
    for mode in [ApplyMode::ServerDryRun, ApplyMode::Apply] {
        let (answer, left) = apply(many.clone(), mode, |applier| applier).await;
        assert!(answer.unwrap_or_else(|error| panic!("{mode}: {error}")).changed);
        let done = if mode == ApplyMode::Apply { NEW } else { OLD };
        assert!(left.cpu().iter().skip(1).all(|cpu| *cpu == done), "{mode}");
        let rehearsed = left.log.iter().filter(|asked| asked.contains("dryRun=All")).count();
        assert_eq!(rehearsed, 203 + 20, "each once, and once more where it had changed");
    }
}

#[tokio::test(start_paused = true)]
async fn pods_of_others_with_the_same_labels_are_left_alone() {
    for other in [
        json!({ "kind": "Job", "name": "web", "uid": "u-job", "controller": true }),
        json!({ "kind": "ReplicaSet", "name": "canary-1", "uid": "u-canary-1", "controller": true }),
        json!({ "kind": "ReplicaSet", "name": "web-1", "uid": "u-web-1", "controller": false }),
        json!({ "kind": "ReplicaSet", "name": "web-1", "uid": "u-of-another-life", "controller": true }),
        json!({ "kind": "Deployment", "name": "web", "uid": "u-web", "controller": true }),
        json!(3),
    ] {
        let world = World { controllers: BTreeMap::from([("web-b", other.clone())]), ..World::new() };
        let (answer, left) = apply(world, ApplyMode::Apply, |applier| applier).await;
        assert_eq!(answer.unwrap().preview.pods, ["web-a", "web-c"], "{other}");
        assert_eq!(left.cpu(), [OLD, NEW, OLD, NEW], "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_cannot_resize_rolls_out_or_refuses() {
    let old = || World { resizes: false, ..World::new() };
    let (answer, left) = apply(old(), ApplyMode::Apply, |applier| applier).await;
    assert_eq!(answer.unwrap().preview.way, ResizeWay::Rollout);
    assert_eq!(left.cpu(), [NEW, OLD, OLD, OLD]);
    let (answer, left) = apply(left, ApplyMode::Apply, |applier| applier).await;
    assert!(!answer.unwrap().changed, "twice equals once");
    assert_eq!(left.log.iter().filter(|asked| asked.starts_with("PATCH")).count(), 2, "a rehearsal and a write in all");
    let (answer, _) = apply(old(), ApplyMode::Apply, |applier| applier.way(ResizeWay::InPlace)).await;
    assert!(answer.unwrap_err().to_string().contains("does not serve pods/resize"));
    let mut none = World::new();
    none.objects.retain(|name, _| name == "web");
    let (answer, left) = apply(none, ApplyMode::Apply, |applier| applier).await;
    assert_eq!(
        (answer.unwrap().preview.way, left.cpu()),
        (ResizeWay::Rollout, vec![NEW]),
        "without pods there is only the template"
    );
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_none_change_nothing() {
    let web = "GET /apis/apps/v1/namespaces/shop/deployments/web";
    for body in [
        json!([]),
        json!("text"),
        json!({}),
        json!({ "spec": { "selector": {} } }),
        json!({ "spec": { "selector": { "matchLabels": 3 } } }),
    ] {
        let (answer, left) =
            apply(World::with(&[(web, 200, body.clone(), false)]), ApplyMode::Apply, |applier| applier).await;
        assert!(matches!(answer, Err(ApplyError::Refused { .. })), "{body}: {answer:?}");
        assert_eq!(left.cpu(), [OLD; 4]);
    }
    let size = json!({ "requests": { "cpu": "400m", "memory": "512Mi" } });
    let (answer, left) =
        apply(World { webhook: Some(size), ..World::new() }, ApplyMode::Apply, |applier| applier).await;
    let error = answer.unwrap_err();
    assert!(
        error.to_string().contains("web-a did not get the size that was sent") && !error.may_have_happened(),
        "{error}"
    );
    assert_eq!(left.cpu(), [OLD; 4], "the rehearsal has found it out");
}

#[tokio::test]
async fn what_cannot_be_resized_is_refused_before_anything_is_sent() {
    let (service, _handle) = pair::<Request<Body>, Response<Body>>();
    let applier = ResizeApplier::new(Client::new(service, "other"));
    for target in [
        Target::deployment("shop", "../x"),
        Target::deployment("shop", "web").with_hpa("a/b"),
        Target::deployment("shop", "web").of_kind("DaemonSet"),
    ] {
        let plan = vertical::plan(&target, Bounds::new(2, 6).unwrap(), &vertical::facts(), 50, 0);
        let answer = applier.preview(&plan, "app", &InUse::default()).now_or_never().unwrap();
        assert!(matches!(answer, Err(ApplyError::Refused { .. })), "{answer:?}");
    }
}
