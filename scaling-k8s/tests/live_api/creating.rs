//! Whole HPAs, created by the applier.

use kube::api::{Patch, PatchParams};
use scaling_core::conformance::applier::plan;
use scaling_core::{ApplyMode, HpaApplier};
use scaling_k8s::{CreateError, HpaManifest, Released};
use serde_json::json;

use crate::world::{World, bounds, checkout};

fn manifest(name: &str, workload: &str) -> HpaManifest {
    let mut manifest = checkout().with_bounds(bounds(2, 6));
    manifest.metadata.name = Some(name.into());
    manifest.spec.scale_target_ref.name = workload.into();
    manifest
}

pub(crate) async fn an_hpa_is_created_once_and_then_moved_without_force(world: &World) {
    let (applier, manifest) = (world.applier(), manifest("made", "made"));
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun] {
        assert!(applier.create(&manifest, mode).await.unwrap().changed);
        assert!(world.api().get_opt("made").await.unwrap().is_none(), "law 3: {mode}");
    }
    assert!(applier.create(&manifest, ApplyMode::Apply).await.unwrap().changed);
    let made = world.read("made").await;
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "kube-scaling-create");
    let again = applier.create(&manifest, ApplyMode::Apply).await;
    assert!(matches!(again, Err(CreateError::Exists { .. })), "{again:?}");
    assert_eq!(world.read("made").await, made);

    // The bounds of the manifest are the resting bounds, and ours to move.
    let target = manifest.target();
    let first = plan(&target, bounds(2, 6), 3, 6);
    assert!(applier.apply(&first, ApplyMode::Apply).await.unwrap().changed);
    let state = applier.current(&target).await.unwrap();
    assert_eq!((state.bounds, state.resting, state.resting_is_known), (first.new_bounds(), bounds(2, 6), true));
    assert!(applier.apply(&plan(&target, first.new_bounds(), 6, 20), ApplyMode::Apply).await.unwrap().changed);
    let released = applier.release(&target).await.unwrap();
    assert_eq!(released, Released::Done { changed: true, bounds: bounds(2, 6) });
    // What somebody has set by hand since is theirs.
    let params = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    world.api().patch("made", &params, &Patch::Merge(json!({ "spec": { "maxReplicas": 7 } }))).await.unwrap();
    let conflict = applier.apply(&plan(&target, bounds(2, 7), 3, 16), ApplyMode::Apply).await.unwrap_err();
    assert!(conflict.to_string().contains("kubectl-edit"), "{conflict}");
}

pub(crate) async fn what_is_there_or_scaled_by_another_is_not_created(world: &World) {
    let target = world.create("first", 2, 6).await;
    let error = world.applier().create(&manifest("second", "first"), ApplyMode::Apply).await.unwrap_err();
    assert!(matches!(&error, CreateError::Scaled { hpas, .. } if hpas == &["first"]), "{error}");
    assert!(world.api().get_opt("second").await.unwrap().is_none());
    // The server's own refusal: there is no such namespace.
    let mut elsewhere = manifest("third", "third");
    elsewhere.metadata.namespace = Some("nowhere".into());
    let error = world.applier().create(&elsewhere, ApplyMode::Apply).await.unwrap_err();
    assert!(!error.may_have_happened(), "{error:?}");
    assert_eq!(world.applier().current(&target).await.unwrap().bounds, bounds(2, 6));
}
