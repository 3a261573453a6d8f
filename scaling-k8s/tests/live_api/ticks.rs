//! The whole path, with the API server at its end.

use std::sync::Arc;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{
    ApplyMode, Autoscaler, DecisionRecord, MemorySource, Outcome, RuleBasedEngine, ScalingMetrics, SignalKind, Target,
};

use crate::world::{World, bounds};

pub(crate) async fn every_mode_of_the_autoscaler(world: &World) {
    let target = world.create_handed_over("ticked", bounds(2, 6)).await;
    let before = world.read("ticked").await;
    assert_eq!(tick(world, &target, ApplyMode::Plan).await.outcome, Outcome::Planned);
    assert_eq!(world.read("ticked").await, before);
    assert_eq!(tick(world, &target, ApplyMode::ServerDryRun).await.outcome, Outcome::Validated);
    assert_eq!(world.read("ticked").await, before);

    let record = tick(world, &target, ApplyMode::Apply).await;
    assert_eq!(record.outcome, Outcome::Applied, "{record:?}");
    let new = record.change.unwrap().new;
    assert!(new.max() > 6);
    let after = world.read("ticked").await;
    assert_eq!((&after["spec"]["minReplicas"], &after["spec"]["maxReplicas"]), (&new.min().into(), &new.max().into()));
    assert_eq!(after["spec"]["metrics"], before["spec"]["metrics"]);
}

/// Six minutes in which load more than doubles, and the decision at their end.
pub(crate) async fn tick(world: &World, target: &Target, mode: ApplyMode) -> DecisionRecord {
    let (source, now) = loaded(target);
    let parts = Autoscaler::builder().source(source).engine(RuleBasedEngine::default()).applier(world.applier());
    parts.mode(mode).build().tick(target, now).await.unwrap()
}

fn loaded(target: &Target) -> (Arc<MemorySource>, DateTime<Utc>) {
    let source = Arc::new(MemorySource::new());
    let start: DateTime<Utc> = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let load = [(40.0, 200.0), (41.0, 205.0), (39.0, 196.0), (70.0, 350.0), (84.0, 430.0), (93.0, 470.0)];
    let mut now = start;
    for (cpu, rate) in load {
        now += TimeDelta::minutes(1);
        let metrics = ScalingMetrics::new(now, 3)
            .with(SignalKind::CpuUtilization, cpu)
            .with(SignalKind::MemoryUtilization, 50.0)
            .with(SignalKind::RequestRate, rate);
        source.advance(target, metrics, now).unwrap();
    }
    (source, now)
}

/// Without an HPA: the same path drives the replicas.
pub(crate) async fn every_mode_of_a_workload_that_is_driven_directly(world: &World) {
    let target = crate::scaling::create_handed_over(world, "Deployment", "driven", 3).await;
    let replicas = async || crate::scaling::read(world, "Deployment", "driven").await["spec"]["replicas"].clone();
    for (mode, outcome) in [(ApplyMode::Plan, Outcome::Planned), (ApplyMode::ServerDryRun, Outcome::Validated)] {
        assert_eq!(drive(world, &target, mode).await.outcome, outcome);
        assert_eq!(replicas().await, 3);
    }
    let record = drive(world, &target, ApplyMode::Apply).await;
    assert_eq!(record.outcome, Outcome::Applied, "{record:?}");
    let new = record.change.unwrap().new.number().unwrap();
    assert!((4..=6).contains(&new), "a step at most doubles: {new}");
    assert_eq!(replicas().await, new);
}

async fn drive(world: &World, target: &Target, mode: ApplyMode) -> DecisionRecord {
    let (source, now) = loaded(target);
    let parts = Autoscaler::builder().source(source).engine(RuleBasedEngine::default());
    let applier = scaling_k8s::ScaleApplier::new(world.admin.clone());
    let parts = parts.applier(applier).policy(scaling_core::BoundsPolicy::exact());
    parts.mode(mode).build().tick(target, now).await.unwrap()
}
