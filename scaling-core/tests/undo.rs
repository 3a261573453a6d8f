//! Undoing in place of a decision, and giving back: through the guards, with the log, as any other change.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::executor::block_on;
use scaling_core::autoscaler::{Review, Undo};
use scaling_core::{
    AbsenceGuard, ApplyMode, Autoscaler, AutoscalerBuilder, Bounds, Cooldown, DecisionEngine, DecisionRecord,
    EngineError, Floor, Guards, HardLimits, HpaApplier, HpaState, MemoryApplier, MemoryRecorder, MemorySource,
    MetricsSource, Observation, Outcome, Reason, RemovalBudget, ScalingDecision, ScalingMetrics, SignalKind, StepLimit,
    Target,
};

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

fn target() -> Target {
    Target::deployment("shop", "web")
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

/// Asks for so many pods, counts how often it was asked, and holds a floor.
#[derive(Clone, Default)]
struct Asks {
    pods: u32,
    floor: Option<u32>,
    times: Arc<AtomicU32>,
}

#[async_trait]
impl DecisionEngine for Asks {
    fn name(&self) -> &'static str {
        "asks"
    }

    fn floor(&self, _: &Target, _: DateTime<Utc>) -> Option<Floor> {
        self.floor.map(|pods| Floor::new(pods, Reason::Custom { rule: "test".into(), text: "due".into() }))
    }

    async fn decide(&self, seen: &Observation) -> Result<ScalingDecision, EngineError> {
        self.times.fetch_add(1, Ordering::SeqCst);
        let now = seen.current.replicas().ok_or(EngineError::NoPodCount)?;
        Ok(ScalingDecision::replicas("asks", seen.current.timestamp, now, self.pods).with_confidence(1.0))
    }
}

/// Answers with a fixed way back.
struct Back(Bounds);

impl Review for Back {
    fn review(&self, _: &Target, state: HpaState, _: Option<&Observation>, _: DateTime<Utc>) -> Option<Undo> {
        let why = "change #1 is undone: 5 % fail".to_owned();
        (state.bounds != self.0).then_some(Undo { to: self.0, resting: bounds(2, 12), why })
    }
}

struct Panics;

impl Review for Panics {
    fn review(&self, _: &Target, _: HpaState, _: Option<&Observation>, _: DateTime<Utc>) -> Option<Undo> {
        panic!("out of its mind")
    }
}

fn observed(pods: u32) -> MemorySource {
    let source = MemorySource::new();
    let metrics = ScalingMetrics::new(at(0), pods).with(SignalKind::CpuUtilization, 50.0);
    source.advance(&target(), metrics, at(0)).unwrap();
    source
}

type Builder = AutoscalerBuilder<Box<dyn MetricsSource>, Box<dyn DecisionEngine>, Box<dyn HpaApplier>>;

fn scaling(
    source: impl MetricsSource + 'static,
    engine: Asks,
    now: Bounds,
) -> (Builder, Arc<MemoryApplier>, Arc<MemoryRecorder>) {
    let (applier, recorder) = (Arc::new(MemoryApplier::new().with(target(), now)), Arc::new(MemoryRecorder::new()));
    let builder = Autoscaler::builder().source(source).engine(engine).applier(Arc::clone(&applier));
    (builder.recorder(Arc::clone(&recorder)).mode(ApplyMode::Apply), applier, recorder)
}

fn tick(autoscaler: &Autoscaler, seconds: i64) -> DecisionRecord {
    block_on(autoscaler.tick(&target(), at(seconds))).unwrap()
}

#[test]
fn an_undo_takes_the_place_of_the_decision_and_counts_as_a_change() {
    let engine = Asks { pods: 2, ..Asks::default() };
    let (builder, applier, recorder) = scaling(observed(4), engine.clone(), bounds(2, 12));
    let autoscaler = builder.review(Back(bounds(6, 12))).build();
    let record = tick(&autoscaler, 0);
    assert_eq!((&record.outcome, applier.bounds(&target())), (&Outcome::Applied, Some(bounds(6, 12))));
    assert_eq!(record.undo.as_ref().unwrap().to_string(), "change #1 is undone: 5 % fail");
    assert!(record.is_undo());
    assert_eq!((record.decision.is_none(), engine.times.load(Ordering::SeqCst)), (true, 0));
    assert!(record.explain().contains("5 % fail"), "{}", record.explain());
    assert_eq!(recorder.records(), [record]);
    // Back there, the engine decides again, and the cooldown counts from the undo.
    let next = tick(&autoscaler, 30);
    assert_eq!((engine.times.load(Ordering::SeqCst), next.undo.clone()), (1, None));
    assert!(next.clamps.iter().any(|clamp| clamp.guard == "cooldown"), "{:?}", next.clamps);
    assert_eq!(applier.bounds(&target()), Some(bounds(6, 12)));
}

#[test]
fn what_guards_hold_back_of_an_undo_leaves_the_tick_to_the_engine_and_is_said() {
    let engine = Asks { pods: 9, ..Asks::default() };
    let (builder, applier, _) = scaling(observed(6), engine.clone(), bounds(6, 12));
    let guards = Guards::only_hard_limits().with(Cooldown::default());
    let autoscaler = builder.guards(guards).review(Back(bounds(2, 12))).build();
    autoscaler.count_as_changed(&target(), at(0));
    let record = tick(&autoscaler, 1);
    let said = record.undo.as_ref().unwrap().to_string();
    assert!(said.contains("5 % fail; not now, cooldown holds it back: ") && !record.is_undo(), "{said}");
    // Growth is not held up by what is to be undone.
    assert_eq!(engine.times.load(Ordering::SeqCst), 1);
    assert_eq!(applier.bounds(&target()).unwrap().max(), 14);
}

#[test]
fn law_7_a_floor_that_is_due_is_held_through_an_undo() {
    let engine = Asks { pods: 6, floor: Some(5), ..Asks::default() };
    let (builder, applier, _) = scaling(observed(6), engine, bounds(6, 12));
    let autoscaler = builder.guards(Guards::only_hard_limits()).review(Back(bounds(2, 12))).build();
    let record = tick(&autoscaler, 0);
    assert_eq!((record.outcome, applier.bounds(&target())), (Outcome::Applied, Some(bounds(5, 12))));
}

#[test]
fn law_2_without_metrics_an_undo_raises_and_lowers_nothing() {
    let guards = || Guards::only_hard_limits().with(AbsenceGuard);
    let (builder, applier, _) = scaling(MemorySource::new(), Asks::default(), bounds(2, 12));
    let record = tick(&builder.guards(guards()).review(Back(bounds(6, 12))).build(), 0);
    assert_eq!((&record.outcome, applier.bounds(&target())), (&Outcome::Applied, Some(bounds(6, 12))));
    assert!(record.withheld.is_some() && record.metrics.is_none(), "{record:?}");
    let (builder, applier, _) = scaling(MemorySource::new(), Asks::default(), bounds(6, 12));
    let record = tick(&builder.guards(guards()).review(Back(bounds(2, 12))).build(), 0);
    assert!(record.undo.unwrap().to_string().contains("absence holds it back"), "{:?}", record.outcome);
    assert_eq!(applier.bounds(&target()), Some(bounds(6, 12)));
}

#[test]
fn a_review_that_panics_costs_no_tick() {
    let engine = Asks { pods: 9, ..Asks::default() };
    let (builder, applier, _) = scaling(observed(6), engine, bounds(2, 8));
    let record = tick(&builder.guards(Guards::only_hard_limits()).review(Panics).build(), 0);
    assert_eq!(record.outcome, Outcome::Applied);
    assert!(record.undo.unwrap().to_string().ends_with("it panicked: out of its mind"));
    assert_eq!(applier.bounds(&target()).unwrap().max(), 14);
}

#[test]
fn giving_back_ends_floors_asks_no_metrics_and_keeps_the_budget_of_all() {
    let engine = Asks { pods: 6, floor: Some(9), ..Asks::default() };
    let (builder, applier, recorder) = scaling(observed(9), engine, bounds(2, 6));
    let autoscaler = builder.build();
    assert_eq!(tick(&autoscaler, 0).outcome, Outcome::Applied);
    assert_eq!(applier.bounds(&target()).unwrap().min(), 9);
    let budget = RemovalBudget::new(4, std::time::Duration::from_secs(600)).unwrap();
    let guards = Guards::only_hard_limits().with(StepLimit::default()).with(budget);
    let limits = HardLimits::default();
    let back = |seconds| {
        block_on(autoscaler.give_back(&target(), "it is no target any more", (&guards, limits), at(seconds))).unwrap()
    };
    let record = back(10);
    assert_eq!(record.outcome, Outcome::Applied, "{record:?}");
    assert_eq!((record.undo.unwrap().why.as_str(), record.change.unwrap().released), ("it is no target any more", 4));
    assert_eq!(applier.bounds(&target()).unwrap().min(), 5, "the budget holds the rest");
    assert!(matches!(back(20).outcome, Outcome::Refused { .. } | Outcome::Unchanged { .. }));
    for (seconds, min) in [(700, 3), (1400, 2)] {
        assert_eq!(back(seconds).outcome, Outcome::Applied);
        assert_eq!(applier.bounds(&target()), Some(bounds(min, 6)), "at most half of them at once");
    }
    assert!(matches!(back(2100).outcome, Outcome::Unchanged { .. }), "given back twice equals once");
    assert_eq!(recorder.records().len(), 6);
}
