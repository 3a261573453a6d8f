//! Requests of a StatefulSet, beside a VerticalPodAutoscaler, and in the loop of an autoscaler.

use std::sync::atomic::{AtomicU32, Ordering};

use scaling_core::{
    ApplyError, ApplyMode, Autoscaler, DecisionEngine, EngineError, Guards, HpaPlan, MemorySource, Observation,
    Outcome, ResourceChange, ScalingDecision, ScalingMetrics, SignalKind, Target, conformance,
};
use scaling_k8s::{InUse, PodUsage, ResizeApplier, ResizeWay, VerticalApplier};
use serde_json::{Value, json};

use crate::resizing::{applier, cpu, create, forced, grown, in_use, pod, pods, read, reference, workload};
use crate::vertical::{facts, plan};
use crate::world::{World, bounds};

const STATEFUL_SETS: &str = "/apis/apps/v1/namespaces/default/statefulsets";
const NEW: (&str, &str) = ("375m", "750m");

/// A StatefulSet with two pods, and nobody who would make others of them.
async fn stateful_set(world: &World, name: &str, strategy: Value) -> Target {
    let resources = json!({ "requests": { "cpu": "250m", "memory": "512Mi" }, "limits": { "cpu": "500m" } });
    let template = pod(name, name, &resources);
    let body = json!({
        "metadata": { "name": name },
        "spec": { "replicas": 2, "serviceName": name, "selector": { "matchLabels": { "app": name } }, "updateStrategy": strategy,
            "template": { "metadata": { "labels": { "app": name } }, "spec": template["spec"] } },
    });
    let set = create(world, STATEFUL_SETS, &body, "host").await;
    for nth in 0..2 {
        let mut body = pod(&format!("{name}-{nth}"), name, &resources);
        body["metadata"]["ownerReferences"] = json!([reference("StatefulSet", &set)]);
        create(world, &pods("default"), &body, "host").await;
    }
    Target::deployment("default", name).of_kind("StatefulSet")
}

fn new() -> (String, String) {
    (NEW.0.to_owned(), NEW.1.to_owned())
}

pub(crate) async fn a_stateful_set_is_resized_in_place_and_by_a_rollout(world: &World) {
    let target = stateful_set(world, "stateful", json!({ "type": "RollingUpdate" })).await;
    let plan: HpaPlan = plan(&target, bounds(2, 6), &facts(), 50, 0);
    let before = [read(world, &pods("default"), "stateful-0").await, read(world, STATEFUL_SETS, "stateful").await];
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun] {
        for applier in [applier(world), forced(world)] {
            assert!(applier.apply(&plan, "app", &in_use(), mode).await.unwrap().changed);
        }
        assert_eq!(read(world, &pods("default"), "stateful-0").await, before[0], "law 3: {mode}");
        assert_eq!(read(world, STATEFUL_SETS, "stateful").await, before[1], "law 3: {mode}");
    }
    let done = applier(world).apply(&plan, "app", &in_use(), ApplyMode::Apply).await.unwrap();
    assert_eq!((done.preview.way, done.preview.pods.len()), (ResizeWay::InPlace, 2));
    for name in ["stateful-0", "stateful-1"] {
        let pod = read(world, &pods("default"), name).await;
        assert_eq!(cpu(&pod, "/spec/containers/0/resources"), new());
    }
    assert!(!applier(world).apply(&plan, "app", &in_use(), ApplyMode::Apply).await.unwrap().changed, "law 6");

    let rollout = applier(world).way(ResizeWay::Rollout);
    let error = rollout.apply(&plan, "app", &in_use(), ApplyMode::Apply).await.unwrap_err();
    assert!(matches!(error, ApplyError::Conflict { .. }), "its template is the host's: {error}");
    let forced = forced(world);
    assert!(forced.apply(&plan, "app", &in_use(), ApplyMode::Apply).await.unwrap().changed);
    let set = read(world, STATEFUL_SETS, "stateful").await;
    assert_eq!(cpu(&set, "/spec/template/spec/containers/0/resources"), new());
    assert!(!forced.apply(&plan, "app", &in_use(), ApplyMode::Apply).await.unwrap().changed, "law 6");

    let held = stateful_set(world, "held", json!({ "type": "OnDelete" })).await;
    let plan = crate::vertical::plan(&held, bounds(2, 6), &facts(), 50, 0);
    let error = forced.apply(&plan, "app", &in_use(), ApplyMode::Apply).await.unwrap_err();
    assert!(error.to_string().contains("OnDelete"), "{error}");
}

/// The kind VerticalPodAutoscaler was defined by an earlier step.
pub(crate) async fn beside_a_vertical_pod_autoscaler_nothing_is_written(world: &World) {
    let target = workload(world, "advised").await;
    let vpa = json!({
        "apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscaler", "metadata": { "name": "advised" },
        "spec": { "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "advised" },
            "updatePolicy": { "updateMode": "Recreate" } },
    });
    let path = "/apis/autoscaling.k8s.io/v1/namespaces/default/verticalpodautoscalers";
    create(world, path, &vpa, "host").await;
    let before = read(world, &pods("default"), "advised-a").await;
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun, ApplyMode::Apply] {
        let error = applier(world).apply(&grown(&target), "app", &in_use(), mode).await.unwrap_err();
        assert!(error.to_string().contains("the VerticalPodAutoscaler advised (mode Recreate)"), "{error}");
    }
    assert_eq!(read(world, &pods("default"), "advised-a").await, before);
}

struct Measured;

impl PodUsage for Measured {
    fn in_use(&self, _: &Target, _: &str) -> InUse {
        in_use()
    }
}

/// Wants more pods, each with half as much CPU again.
struct More;

#[async_trait::async_trait]
impl DecisionEngine for More {
    fn name(&self) -> &'static str {
        "more"
    }

    async fn decide(&self, seen: &Observation) -> Result<ScalingDecision, EngineError> {
        let change = ResourceChange { cpu_percent: 50, memory_percent: 0 };
        let decision = ScalingDecision::replicas("more", seen.now, 3, 9).with_confidence(1.0);
        Ok(decision.with_resources(change.filled()))
    }
}

fn both(world: &World) -> VerticalApplier<scaling_k8s::KubeHpaApplier> {
    VerticalApplier::new(world.applier(), ResizeApplier::new(world.admin.clone()), Measured, "app")
}

pub(crate) async fn one_applier_keeps_its_promises_and_writes_both(world: &World) {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = || format!("both-{}", MADE.fetch_add(1, Ordering::Relaxed));
    conformance::applier(async |bounds| (both(world), world.create_handed_over(&name(), bounds).await)).await;

    let target = workload(world, "looped").await;
    world.create_handed_over("looped", bounds(2, 6)).await;
    let at = scaling_core::chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let tick = async |mode| {
        let source = MemorySource::new();
        let metrics = ScalingMetrics::new(at, 3).with(SignalKind::CpuUtilization, 40.0);
        source.put(target.clone(), Observation::new(target.clone(), metrics).with_facts(facts()));
        let parts = Autoscaler::builder().source(source).engine(More).guards(Guards::only_hard_limits());
        parts.applier(both(world)).mode(mode).build().tick(&target, at).await.unwrap()
    };
    let state = async || [read(world, &pods("default"), "looped-a").await, world.read("looped").await];
    let before = state().await;
    for (mode, outcome) in [(ApplyMode::Plan, Outcome::Planned), (ApplyMode::ServerDryRun, Outcome::Validated)] {
        assert_eq!(tick(mode).await.outcome, outcome);
        assert_eq!(state().await, before, "law 3: {mode}");
    }
    let record = tick(ApplyMode::Apply).await;
    assert_eq!(record.outcome, Outcome::Applied, "{record:?}");
    let (old, new_requests) = record.requests.unwrap();
    assert_eq!((old.cpu_millicores, new_requests.cpu_millicores), (Some(250), Some(375)));
    let [resized, hpa] = state().await;
    assert_eq!(cpu(&resized, "/spec/containers/0/resources"), new());
    assert_eq!(hpa["spec"]["maxReplicas"], record.change.unwrap().new.max());
    assert!(hpa["spec"]["maxReplicas"].as_u64() > Some(6));
}
