//! Resting bounds at an HPA of a real API server, kept and given back by the applier.

use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::conformance::applier::plan;
use scaling_core::{
    ApplyMode, Autoscaler, Bounds, DecisionRecord, EngineExt, Floor, FloorSource, HpaApplier, MemorySource, Reason,
    RuleBasedEngine, ScalingMetrics, SignalKind, Target,
};
use scaling_k8s::Released;
use scaling_k8s::resting::{ANNOTATION, RestingBounds};
use serde_json::{Value, json};

use crate::world::{World, bounds};

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
async fn create(world: &World, name: &str, min: u32, max: u32) -> Target {
    let cpu = json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 65 } } });
    let spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
        "minReplicas": min, "maxReplicas": max, "metrics": [cpu],
    });
    let metadata = json!({ "name": name, "annotations": { "example.com/owner": "shop" } });
    world.apply("host", name, json!({ "metadata": metadata, "spec": spec }), false).await.unwrap();
    Target::deployment("default", name)
}

/// Applies a plan from `old` by a process that has just started.
async fn change(world: &World, target: &Target, old: Bounds, pods: u32, wanted: u32) -> Bounds {
    let plan = plan(target, old, pods, wanted);
    assert!(world.forced().apply(&plan, ApplyMode::Apply).await.unwrap().changed);
    plan.new_bounds()
}

async fn edit(world: &World, name: &str, spec: Value) {
    let params = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
    world.api().patch(name, &params, &Patch::Merge(json!({ "spec": spec }))).await.unwrap();
}

/// Bounds and resting bounds, as a process that has just started reads them.
async fn read(world: &World, target: &Target) -> (Bounds, Bounds) {
    let state = world.applier().current(target).await.unwrap();
    assert!(state.resting_is_known);
    (state.bounds, state.resting)
}

pub(crate) async fn the_first_change_keeps_the_resting_bounds(world: &World) {
    let target = create(world, "rest-kept", 2, 6).await;
    assert_eq!(read(world, &target).await, (bounds(2, 6), bounds(2, 6)));
    let before = world.read("rest-kept").await;
    let planned = plan(&target, bounds(2, 6), 3, 6);
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun] {
        assert!(world.forced().apply(&planned, mode).await.unwrap().changed);
        assert_eq!(world.read("rest-kept").await, before, "law 3: {mode}, resourceVersion and annotation too");
    }

    let applier = world.forced();
    assert!(applier.apply(&planned, ApplyMode::Apply).await.unwrap().changed);
    let once = world.read("rest-kept").await;
    let kept = RestingBounds::decode(once["metadata"]["annotations"][ANNOTATION].as_str().unwrap()).unwrap();
    assert_eq!((kept.resting, kept.written), (bounds(2, 6), planned.new_bounds()));
    assert_eq!(kept.former[0].manager, "host");
    assert_eq!(read(world, &target).await, (planned.new_bounds(), bounds(2, 6)));
    for applier in [applier, world.applier()] {
        assert!(!applier.apply(&planned, ApplyMode::Apply).await.unwrap().changed, "law 6");
        assert_eq!(world.read("rest-kept").await, once, "nothing is written");
    }
    let new = change(world, &target, planned.new_bounds(), 6, 20).await;
    assert_eq!(read(world, &target).await, (new, bounds(2, 6)), "they outlive a second change, and the process");
}

pub(crate) async fn a_release_leaves_no_trace(world: &World) {
    let target = create(world, "rest", 2, 6).await;
    let untouched = world.read("rest").await;
    assert_eq!(
        world.applier().release(&target).await.unwrap(),
        Released::Done { changed: false, bounds: bounds(2, 6) }
    );
    assert_eq!(world.read("rest").await, untouched);

    let new = change(world, &target, bounds(2, 6), 3, 6).await;
    change(world, &target, new, 6, 20).await;
    let done = world.applier().release(&target).await.unwrap();
    assert_eq!(done, Released::Done { changed: true, bounds: bounds(2, 6) });
    let after = world.read("rest").await;
    assert_eq!(seen_by_the_owner(after.clone()), seen_by_the_owner(untouched));
    let again = world.applier().release(&target).await.unwrap();
    assert_eq!(again, Released::Done { changed: false, bounds: bounds(2, 6) });
    assert_eq!(world.read("rest").await, after, "released twice equals once");
}

pub(crate) async fn pods_above_the_owners_max_hold_a_release(world: &World) {
    let target = create(world, "rest-held", 2, 6).await;
    change(world, &target, bounds(2, 6), 6, 12).await;
    let status = |pods: u32| Patch::Merge(json!({ "status": { "desiredReplicas": pods, "currentReplicas": pods } }));
    world.api().patch_status("rest-held", &PatchParams::default(), &status(9)).await.unwrap();
    let before = world.read("rest-held").await;
    assert_eq!(world.applier().release(&target).await.unwrap(), Released::Held { pods: 9, max: 6 }, "law 11");
    assert_eq!(world.read("rest-held").await, before);
    world.api().patch_status("rest-held", &PatchParams::default(), &status(6)).await.unwrap();
    let done = world.applier().release(&target).await.unwrap();
    assert_eq!(done, Released::Done { changed: true, bounds: bounds(2, 6) });
}

pub(crate) async fn the_owners_change_becomes_the_resting_bounds(world: &World) {
    let target = create(world, "rest-changed", 2, 6).await;
    let new = change(world, &target, bounds(2, 6), 3, 6).await;
    edit(world, "rest-changed", json!({ "minReplicas": 4 })).await;
    let (there, resting) = read(world, &target).await;
    assert_eq!((there, resting), (bounds(4, new.max()), bounds(4, 6)));

    let new = change(world, &target, there, 6, 12).await;
    assert!(new.min() > 4, "{new}");
    assert_eq!(read(world, &target).await, (new, bounds(4, 6)));
    let done = world.applier().release(&target).await.unwrap();
    assert_eq!(done, Released::Done { changed: true, bounds: bounds(4, 6) });
    let hpa = world.read("rest-changed").await;
    assert_eq!((&hpa["spec"]["minReplicas"], &hpa["spec"]["maxReplicas"]), (&4.into(), &6.into()));
    assert_eq!(hpa["metadata"]["annotations"].get(ANNOTATION), None);
    let managers: Vec<&Value> =
        hpa["metadata"]["managedFields"].as_array().unwrap().iter().map(|entry| &entry["manager"]).collect();
    assert_eq!(managers, ["host", "kubectl-edit"]);
}

/// An annotation that came with a copied manifest is somebody else's: it tells nothing, and is not taken from them.
pub(crate) async fn a_copied_annotation_tells_nothing(world: &World) {
    create(world, "rest-copied", 2, 6).await;
    let copied = RestingBounds { resting: bounds(1, 3), written: bounds(2, 6), uid: None, former: vec![] }.encode();
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { ANNOTATION: copied } } }));
    let params = PatchParams { field_manager: Some("copier".to_owned()), ..PatchParams::default() };
    world.api().patch("rest-copied", &params, &patch).await.unwrap();
    let target = Target::deployment("default", "rest-copied");
    let state = world.applier().current(&target).await.unwrap();
    assert_eq!((state.resting, state.resting_is_known), (bounds(2, 6), false));
    let before = world.read("rest-copied").await;
    let error = world.applier().apply(&plan(&target, bounds(2, 6), 3, 6), ApplyMode::Apply).await.unwrap_err();
    assert!(error.to_string().contains(ANNOTATION) && error.to_string().contains("copier"), "law 9: {error}");
    assert_eq!(world.read("rest-copied").await, before);
    change(world, &target, bounds(2, 6), 3, 6).await;
    assert_eq!(read(world, &target).await.1, bounds(1, 4), "those that the plan was approved with");
}

/// What is kept at an HPA is removed while our bounds stand, and the change log knows better.
pub(crate) async fn a_lost_annotation_is_kept_anew(world: &World) {
    let target = create(world, "rest-lost", 1, 4).await;
    let raised = change(world, &target, bounds(1, 4), 3, 6).await;
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { ANNOTATION: null } } }));
    world.api().patch("rest-lost", &PatchParams::default(), &patch).await.unwrap();
    let state = world.applier().current(&target).await.unwrap();
    assert_eq!((state.resting, state.resting_is_known), (raised, false));
    change(world, &target, raised, 6, 9).await;
    assert_eq!(read(world, &target).await.1, bounds(1, 4));
    let released = world.applier().release(&target).await.unwrap();
    assert_eq!(released, Released::Done { changed: true, bounds: bounds(1, 4) });
}

/// Five pods until an instant.
struct Event(DateTime<Utc>);

impl FloorSource for Event {
    fn name(&self) -> &'static str {
        "event"
    }
    fn floor(&self, _: &Target, now: DateTime<Utc>) -> Option<Floor> {
        let reason = Reason::Schedule { window: "event".into(), replicas: 5 };
        (now < self.0).then(|| Floor::new(5, reason).until(self.0))
    }
}

pub(crate) async fn a_floor_is_given_back_by_the_next_process(world: &World) {
    let target = create(world, "rest-floor", 2, 6).await;
    let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let end = start + TimeDelta::hours(1);
    let raised = tick(world, &target, start + TimeDelta::minutes(10), end).await;
    assert_eq!(read(world, &target).await, (bounds(5, 6), bounds(2, 6)), "{raised:?}");
    let held = tick(world, &target, end - TimeDelta::minutes(5), end).await;
    assert_eq!(read(world, &target).await, (bounds(5, 6), bounds(2, 6)), "{held:?}");
    // As far at once as the guards let pods go.
    for minutes in [10, 20, 30] {
        tick(world, &target, end + TimeDelta::minutes(minutes), end).await;
    }
    assert_eq!(read(world, &target).await, (bounds(2, 6), bounds(2, 6)), "law 7");
}

/// One tick of a process that knows nothing but the cluster and ten quiet minutes.
async fn tick(world: &World, target: &Target, now: DateTime<Utc>, end: DateTime<Utc>) -> DecisionRecord {
    let source = Arc::new(MemorySource::new());
    for minute in (0..10).rev() {
        let at = now - TimeDelta::minutes(minute);
        let metrics = ScalingMetrics::new(at, 3)
            .with(SignalKind::CpuUtilization, 50.0)
            .with(SignalKind::MemoryUtilization, 40.0)
            .with(SignalKind::RequestRate, 200.0);
        source.advance(target, metrics, at).unwrap();
    }
    let engine = RuleBasedEngine::default().floored(Event(end));
    let parts = Autoscaler::builder().source(source).engine(engine).applier(world.forced());
    parts.mode(ApplyMode::Apply).build().tick(target, now).await.unwrap()
}
