//! The applier and the objects it changes.

use std::sync::atomic::{AtomicU32, Ordering};

use kube::api::{Patch, PatchParams};
use scaling_core::conformance::{self, applier::plan};
use scaling_core::{ApplyError, ApplyMode, HpaApplier, Target};
use scaling_k8s::resting::ANNOTATION;
use scaling_k8s::{KubeHpaApplier, Writer};
use serde_json::{Value, json};

use crate::world::{World, bounds};

pub(crate) async fn an_applier_keeps_its_promises(world: &World) {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = || format!("promise-{}", MADE.fetch_add(1, Ordering::Relaxed));
    conformance::applier(async |bounds| (world.applier(), world.create_handed_over(&name(), bounds).await)).await;
    // Forced, on an HPA whose bounds the host owns.
    conformance::applier(async |bounds| (world.forced(), world.create(&name(), bounds.min(), bounds.max()).await))
        .await;
}

pub(crate) async fn a_dry_run_leaves_the_object_as_it_is(world: &World) {
    let target = world.create_handed_over("dry", bounds(2, 6)).await;
    let before = world.read("dry").await;
    let plan = plan(&target, bounds(2, 6), 3, 6);
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun] {
        assert!(world.applier().apply(&plan, mode).await.unwrap().changed);
        assert_eq!(world.read("dry").await, before, "law 3: {mode}, resourceVersion and managedFields too");
    }
}

pub(crate) async fn applying_changes_the_bounds_alone_and_owns_them_alone(world: &World) {
    let target = world.create("alone", 2, 6).await;
    let mut before = world.read("alone").await;
    let plan = plan(&target, bounds(2, 6), 3, 6);
    assert!(world.forced().apply(&plan, ApplyMode::Apply).await.unwrap().changed);
    let mut after = world.read("alone").await;

    let entry = managed_by(&after, "kube-scaling");
    assert_eq!(entry["operation"], "Apply");
    assert_eq!(
        entry["fieldsV1"],
        json!({
            "f:metadata": { "f:annotations": { "f:kube-scaling/resting-bounds": {} } },
            "f:spec": { "f:maxReplicas": {}, "f:minReplicas": {} },
        }),
        "law 9: own little"
    );
    let host = managed_by(&after, "host")["fieldsV1"]["f:spec"].clone();
    for kept in ["f:metrics", "f:behavior", "f:scaleTargetRef"] {
        assert!(host.get(kept).is_some(), "{kept} is still the host's");
    }

    before["spec"]["minReplicas"] = 3.into();
    before["spec"]["maxReplicas"] = 11.into();
    for object in [&mut before, &mut after] {
        for field in ["resourceVersion", "generation", "managedFields"] {
            object["metadata"].as_object_mut().unwrap().remove(field);
        }
    }
    let annotations = after["metadata"]["annotations"].as_object_mut().unwrap();
    assert!(annotations.remove(ANNOTATION).is_some());
    assert_eq!(after, before, "nothing but the bounds and the resting ones");
}

pub(crate) async fn applying_twice_writes_once(world: &World) {
    let target = world.create_handed_over("twice", bounds(2, 6)).await;
    let plan = plan(&target, bounds(2, 6), 3, 6);
    assert!(world.applier().apply(&plan, ApplyMode::Apply).await.unwrap().changed);
    let once = world.read("twice").await;
    assert!(!world.applier().apply(&plan, ApplyMode::Apply).await.unwrap().changed);
    assert_eq!(world.read("twice").await, once);
}

pub(crate) async fn a_field_of_somebody_else_is_a_conflict(world: &World) {
    let target = world.create_handed_over("theirs", bounds(2, 6)).await;
    world.apply("argocd", "theirs", json!({ "spec": { "maxReplicas": 6 } }), false).await.unwrap();
    let before = world.read("theirs").await;
    let plan = plan(&target, bounds(2, 6), 3, 6);
    for mode in [ApplyMode::ServerDryRun, ApplyMode::Apply] {
        let error = world.applier().apply(&plan, mode).await.unwrap_err();
        // The server dates no apply that changed no value, as this one; the next one is dated.
        let ApplyError::Conflict { field, owner, .. } = &error else { panic!("{error:?}") };
        assert_eq!((field.as_str(), owner.as_str()), ("spec.maxReplicas", "argocd"), "{error}");
        assert_eq!(world.read("theirs").await, before);
    }
    // Both bounds of somebody who does not apply, but edits.
    let edited = json!({ "spec": { "minReplicas": 3, "maxReplicas": 7 } });
    let params = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    world.api().patch("theirs", &params, &Patch::Merge(edited)).await.unwrap();
    let plan = self::plan(&target, bounds(3, 7), 3, 16);
    let error = world.applier().apply(&plan, ApplyMode::Apply).await.unwrap_err();
    let ApplyError::Conflict { field, owner, since, .. } = &error else { panic!("{error:?}") };
    assert_eq!((field.as_str(), owner.as_str()), ("spec.maxReplicas and spec.minReplicas", "kubectl-edit"));
    assert!(since.is_some(), "law 9 names owner, field and time: {error}");

    assert!(world.forced().apply(&plan, ApplyMode::Apply).await.unwrap().changed, "force takes it");
    assert_eq!(world.applier().current(&target).await.unwrap().bounds, plan.new_bounds());
    assert!(managed_by(&world.read("theirs").await, "argocd").is_null());
}

pub(crate) async fn an_edit_in_between_is_noticed(world: &World) {
    let target = world.create_handed_over("edited", bounds(2, 6)).await;
    let plan = plan(&target, bounds(2, 6), 3, 6);
    world
        .api()
        .patch("edited", &PatchParams::default(), &Patch::Merge(json!({ "spec": { "maxReplicas": 8 } })))
        .await
        .unwrap();
    let before = world.read("edited").await;
    for applier in [world.applier(), world.forced()] {
        let error = applier.apply(&plan, ApplyMode::Apply).await.unwrap_err();
        let ApplyError::Changed { expected, found, .. } = error else { panic!("{error:?}") };
        assert_eq!((expected, found), (bounds(2, 6), bounds(2, 8)));
    }
    assert_eq!(world.read("edited").await, before);

    // Two of us at once, from the same plan basis: one wins, the other is told so; never both, never a mixture.
    let target = world.create_handed_over("raced", bounds(2, 6)).await;
    let (one, two) = (self::plan(&target, bounds(2, 6), 3, 6), self::plan(&target, bounds(2, 6), 3, 30));
    let (first, second) = (world.applier(), world.applier());
    let results =
        futures::future::join(first.apply(&one, ApplyMode::Apply), second.apply(&two, ApplyMode::Apply)).await;
    let there = world.applier().current(&target).await.unwrap().bounds;
    match results {
        (Ok(_), Err(ApplyError::Changed { .. })) => assert_eq!(there, one.new_bounds()),
        (Err(ApplyError::Changed { .. }), Ok(_)) => assert_eq!(there, two.new_bounds()),
        other => panic!("{other:?}"),
    }
}

/// The HPA controller writes a status every few seconds, which makes a new version each time.
pub(crate) async fn a_busy_status_is_no_obstacle(world: &World) {
    let mut there = bounds(2, 6);
    let target = world.create_handed_over("busy", there).await;
    let writer = async {
        for desired in 0.. {
            let status = json!({ "status": { "desiredReplicas": desired, "currentReplicas": 1 } });
            world.api().patch_status("busy", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let applier = world.applier();
    let work = async {
        for round in 0..20 {
            let wanted = if round % 2 == 0 { 9 } else { 4 };
            let plan = plan(&target, there, 6, wanted);
            assert!(applier.apply(&plan, ApplyMode::Apply).await.unwrap().changed);
            there = plan.new_bounds();
        }
    };
    tokio::select! {
        () = writer => {}
        () = work => {}
    }
}

/// The same manager for the whole object and for the bounds: the server would take the second apply for a wish to remove the rest.
pub(crate) async fn a_manager_that_applied_the_rest_is_refused(world: &World) {
    let target = world.create("whole", 2, 6).await;
    let before = world.read("whole").await;
    let applier = KubeHpaApplier::new(Writer::new(world.admin.clone()).field_manager("host"));
    let error = applier.apply(&plan(&target, bounds(2, 6), 3, 6), ApplyMode::Apply).await.unwrap_err();
    assert!(matches!(error, ApplyError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("spec.metrics"), "{error}");
    assert_eq!(world.read("whole").await, before);

    // That it is so: the metrics are gone, and the server's default is there instead.
    let scaled = before["spec"]["scaleTargetRef"].clone();
    let bare = json!({ "spec": { "minReplicas": 3, "maxReplicas": 11, "scaleTargetRef": scaled } });
    world.apply("host", "whole", bare, false).await.unwrap();
    assert_eq!(world.read("whole").await["spec"]["metrics"].as_array().unwrap().len(), 1);
}

pub(crate) async fn without_min_replicas_the_min_is_1(world: &World) {
    let spec = json!({ "maxReplicas": 4, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "bare" } });
    world.apply("host", "bare", json!({ "spec": spec }), false).await.unwrap();
    let target = Target::deployment("default", "bare");
    assert_eq!(world.applier().current(&target).await.unwrap().bounds, bounds(1, 4));
}

pub(crate) async fn what_is_missing_is_not_created(world: &World) {
    for namespace in ["default", "nowhere"] {
        let target = Target::deployment(namespace, "gone");
        let plan = plan(&target, bounds(2, 6), 3, 6);
        assert!(matches!(world.applier().current(&target).await, Err(ApplyError::NotFound { .. })));
        for mode in [ApplyMode::ServerDryRun, ApplyMode::Apply] {
            let answer = world.applier().apply(&plan, mode).await;
            assert!(matches!(answer, Err(ApplyError::NotFound { .. })), "{answer:?}");
        }
    }
    assert!(world.api().get_opt("gone").await.unwrap().is_none());
}

pub(crate) async fn without_rights_it_is_refused(world: &World) {
    let target = world.create_handed_over("guarded", bounds(2, 6)).await;
    let applier = KubeHpaApplier::new(world.plain.clone());
    let error = applier.current(&target).await.unwrap_err();
    assert!(matches!(error, ApplyError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("may not get horizontalpodautoscalers.autoscaling"), "{error}");
    let error = applier.apply(&plan(&target, bounds(2, 6), 3, 6), ApplyMode::Apply).await.unwrap_err();
    assert!(matches!(error, ApplyError::Refused { .. }), "{error:?}");
}

fn managed_by(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries.iter().find(|entry| entry["manager"] == manager).cloned().unwrap_or_default()
}
