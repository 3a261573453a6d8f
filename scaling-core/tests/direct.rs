//! Workloads that are driven directly: `BoundsPolicy::exact`, and the laws of it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use proptest::prelude::*;
use scaling_core::conformance::engine::steady;
use scaling_core::{
    Absence, Applied, ApplyError, ApplyMode, Approved, Autoscaler, Bounds, BoundsPolicy, DecisionEngine, EngineError,
    Floor, GuardContext, Guards, HardLimits, HpaApplier, HpaPlan, HpaState, LastChanges, MemoryApplier, MemorySource,
    Observation, Proposal, Reason, RemovalBudget, ScalingDecision, SignalKind, StepLimit, Target,
};

fn start() -> DateTime<Utc> {
    steady(1, 0).current.timestamp
}

fn exactly(replicas: u32) -> Bounds {
    Bounds::exactly(replicas).unwrap()
}

/// One tick of a workload that is driven directly.
#[derive(Clone, Debug)]
struct Case {
    old: Bounds,
    /// Pods that the metrics show: the past, maybe.
    seen: u32,
    wanted: Option<u32>,
    floor: u32,
    min_without_floor: Option<u32>,
    foreseen: bool,
    limits: HardLimits,
    lost: bool,
    released: Vec<(DateTime<Utc>, u32)>,
}

impl Case {
    fn new(old: Bounds, seen: u32, wanted: u32) -> Self {
        Self {
            old,
            seen,
            wanted: Some(wanted),
            floor: 0,
            min_without_floor: None,
            foreseen: false,
            limits: HardLimits::default(),
            lost: false,
            released: Vec::new(),
        }
    }

    fn approved(&self, guards: &Guards) -> Approved {
        let target = Target::deployment("shop", "checkout");
        let mut seen = steady(self.seen, 5);
        if self.lost {
            seen.current = seen.current.without(SignalKind::CpuUtilization, Absence::NotMeasured);
        }
        let at = seen.current.timestamp;
        let floor = Floor::new(self.floor, Reason::Schedule { window: "day".into(), replicas: self.floor });
        let proposal = match self.wanted {
            Some(wanted) => Proposal::decided(
                ScalingDecision { foreseen: self.foreseen, ..ScalingDecision::replicas("test", at, self.seen, wanted) }
                    .with_confidence(1.0),
            ),
            None => Proposal::floor(None),
        };
        let context = GuardContext {
            target: &target,
            now: at,
            observation: Some(&seen),
            state: HpaState::new(self.old).with_resting(self.old),
            limits: self.limits,
            policy: &BoundsPolicy::exact(),
            min_without_floor: self.min_without_floor,
            last: LastChanges::default(),
            released: &self.released,
        };
        guards.approve(proposal.with_floor(Some(floor).filter(|floor| floor.replicas > 0)), &context)
    }

    fn new_bounds(&self) -> Bounds {
        self.approved(&Guards::only_hard_limits()).change().new
    }
}

fn case() -> impl Strategy<Value = Case> {
    let pods = || prop_oneof![4 => 0_u32..60, 1 => Just(0), 1 => 0_u32..100_000];
    let floor = prop_oneof![3 => Just(0_u32), 1 => 0_u32..80, 1 => any::<u32>()];
    let limits = (0_u32..8, 8_u32..2000);
    let released = prop::collection::vec((0_i64..1200, 0_u32..90), 0..4);
    (
        pods(),
        pods(),
        prop::option::weighted(0.8, pods()),
        floor,
        prop::option::of(pods()),
        any::<[bool; 2]>(),
        limits,
        released,
    )
        .prop_map(|(old, seen, wanted, floor, without, [foreseen, lost], (least, most), released)| {
            let limits = HardLimits::new(least, most).unwrap();
            let at = steady(1, 5).current.timestamp;
            Case {
                old: exactly(limits.bounds().clamp(old)),
                seen,
                wanted,
                floor,
                min_without_floor: without,
                foreseen,
                limits,
                lost,
                released: released.into_iter().map(|(ago, pods)| (at - TimeDelta::seconds(ago), pods)).collect(),
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn law_1_a_number_stays_a_number_within_the_hard_limits(case in case()) {
        for guards in [Guards::only_hard_limits(), Guards::default()] {
            let change = case.approved(&guards).change();
            prop_assert!(change.new.number().is_some(), "{change:?}");
            prop_assert!(case.limits.bounds().contains(change.new) || change.new == change.old, "{change:?}");
        }
    }

    #[test]
    fn every_pod_that_leaves_is_counted_and_steps_and_budgets_hold(case in case()) {
        let (budget, window) = (RemovalBudget::new(40, Duration::from_secs(600)).unwrap(), TimeDelta::seconds(600));
        let guards = Guards::only_hard_limits().with(StepLimit::default()).with(budget);
        let approved = case.approved(&guards);
        let change = approved.change();
        let (old, new) = (change.old.min(), change.new.min());
        prop_assert_eq!(change.released, old.saturating_sub(new));
        let at = steady(1, 5).current.timestamp;
        let spent: u32 = case.released.iter().filter(|(when, _)| at - *when < window).map(|(_, pods)| pods).sum();
        prop_assert!(change.released <= 40_u32.saturating_sub(spent), "{change:?} after {spent}");
        prop_assert!(change.released <= case.seen / 2, "at most half at once: {change:?}");
        let most = old.max(case.floor).max(case.seen.saturating_mul(2)).max(1);
        prop_assert!(new <= most, "at most double at once, but for a floor: {change:?}");
    }

    #[test]
    fn law_2_absence_never_shrinks(case in case()) {
        let case = Case { lost: true, ..case };
        let change = case.approved(&Guards::default()).change();
        prop_assert!(change.new.min() >= change.old.min(), "{change:?}");
    }

    #[test]
    fn law_6_a_request_moves_the_number_its_own_way(case in case()) {
        let case = Case { floor: 0, min_without_floor: None, ..case };
        let change = case.approved(&Guards::only_hard_limits()).change();
        let (old, new) = (change.old.min(), change.new.min());
        match case.wanted {
            Some(wanted) if wanted < case.seen => prop_assert!(new <= old, "{change:?}"),
            Some(wanted) if wanted > case.seen => prop_assert!(new >= old, "{change:?}"),
            _ => prop_assert_eq!(new, old, "{:?}", change),
        }
        let again = Case { old: change.new, ..case };
        prop_assert_eq!(again.approved(&Guards::only_hard_limits()).change().new, change.new, "once is enough");
    }

    #[test]
    fn pods_of_an_hpa_that_shall_not_react_any_more_are_counted_as_they_leave(
        min in 0_u32..40, room in 1_u32..60, seen in 0_u32..120, wanted in 0_u32..120,
    ) {
        let old = Bounds::new(min, min + room).unwrap();
        let guards = Guards::only_hard_limits().with(StepLimit::default());
        let limits = HardLimits::new(0, 1000).unwrap();
        let change = Case { limits, ..Case::new(old, seen, wanted) }.approved(&guards).change();
        let leave = seen.min(old.max()).saturating_sub(change.new.max());
        prop_assert!(leave <= change.released && leave <= seen / 2, "{change:?}");
    }
}

#[test]
fn metrics_that_lag_behind_the_number_do_not_take_it_back() {
    assert_eq!(Case::new(exactly(10), 5, 5).new_bounds(), exactly(10), "grown a moment ago, and not seen yet");
    assert_eq!(Case::new(exactly(5), 10, 10).new_bounds(), exactly(5), "shrunk a moment ago, and not seen yet");
    assert_eq!(Case::new(exactly(5), 10, 8).new_bounds(), exactly(5));
    assert_eq!(Case::new(exactly(10), 5, 8).new_bounds(), exactly(10));
    assert_eq!(Case::new(exactly(10), 5, 12).new_bounds(), exactly(12));
}

#[test]
fn a_floor_that_ends_is_given_back_and_the_request_stays() {
    let held = Case { floor: 9, ..Case::new(exactly(5), 5, 5) };
    let change = held.approved(&Guards::only_hard_limits()).change();
    assert_eq!((change.new, change.min_without_floor), (exactly(9), Some(5)));
    let ended = Case { min_without_floor: Some(5), wanted: None, ..Case::new(exactly(9), 9, 9) };
    assert_eq!(ended.new_bounds(), exactly(5), "without a decision, too");
    let asked = Case { min_without_floor: Some(5), ..Case::new(exactly(9), 9, 9) };
    assert_eq!(asked.new_bounds(), exactly(9), "the engine asks for all of them by now");
}

#[test]
fn none_at_all_is_a_number() {
    let limits = HardLimits::new(0, 10).unwrap();
    assert_eq!(Case { limits, ..Case::new(exactly(1), 1, 0) }.new_bounds(), Bounds::new(0, 1).unwrap());
    assert_eq!(Case { limits, ..Case::new(exactly(0), 0, 0) }.new_bounds(), exactly(0));
    assert_eq!(Case { limits, ..Case::new(exactly(0), 0, 3) }.new_bounds(), exactly(3));
    assert_eq!(Case::new(exactly(1), 1, 0).new_bounds(), exactly(1), "the hard limits start at 1 otherwise");
}

/// Asks for half of what is there.
struct Halves;

#[async_trait]
impl DecisionEngine for Halves {
    fn name(&self) -> &'static str {
        "halves"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let pods = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let decision = ScalingDecision::replicas("halves", observation.current.timestamp, pods, pods / 2);
        Ok(decision.with_confidence(1.0))
    }
}

/// Carries every write out, and loses the answer.
struct Loses(MemoryApplier);

#[async_trait]
impl HpaApplier for Loses {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        self.0.current(target).await
    }
    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        self.0.apply(plan, mode).await?;
        let (target, source) = (plan.target().clone(), "connection reset".into());
        Err(ApplyError::Backend { target, transient: true, source })
    }
}

#[test]
fn law_12_a_write_whose_answer_is_lost_counts_for_the_budget() {
    let targets: Vec<_> = (0..6).map(|nth| Target::deployment("shop", format!("w{nth}"))).collect();
    let (source, mut applier) = (MemorySource::new(), MemoryApplier::new());
    for target in &targets {
        source.advance(target, steady(20, 0).current, start()).unwrap();
        applier = applier.with(target.clone(), exactly(20));
    }
    let applier = std::sync::Arc::new(Loses(applier));
    let autoscaler = Autoscaler::builder()
        .source(source)
        .engine(Halves)
        .applier(std::sync::Arc::clone(&applier))
        .policy(BoundsPolicy::exact())
        .guards(Guards::only_hard_limits().with(RemovalBudget::new(25, Duration::from_secs(600)).unwrap()))
        .mode(ApplyMode::Apply)
        .build();
    for target in &targets {
        block_on(autoscaler.tick(target, start())).unwrap();
    }
    let left: Vec<u32> = targets.iter().map(|target| applier.0.bounds(target).unwrap().min()).collect();
    assert_eq!(left, [10, 10, 15, 20, 20, 20], "of a budget of 25");
}
