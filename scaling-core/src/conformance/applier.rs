//! Promises of every [`HpaApplier`].
//!
//! # Law 4
//!
//! An applier is given an [`HpaPlan`], and this is the only way to one:
//!
//! ```
//! # use scaling_core::{Approved, GuardContext, Guards, HpaPlan, Proposal, ScalingDecision};
//! fn plan(decision: ScalingDecision, context: &GuardContext<'_>) -> HpaPlan {
//!     let approved: Approved = Guards::default().approve(Proposal::decided(decision), context);
//!     HpaPlan::of(&approved)
//! }
//! ```
//!
//! None of these compiles. A decision is no plan, and neither is an approval:
//!
//! ```compile_fail
//! # use scaling_core::{ApplyMode, HpaApplier, MemoryApplier, ScalingDecision};
//! async fn sneak(applier: &MemoryApplier, decision: &ScalingDecision) {
//!     let _ = applier.apply(decision, ApplyMode::Apply).await;
//! }
//! ```
//!
//! ```compile_fail
//! # use scaling_core::{Approved, ApplyMode, HpaApplier, MemoryApplier};
//! async fn sneak(applier: &MemoryApplier, approved: &Approved) {
//!     let _ = applier.apply(approved, ApplyMode::Apply).await;
//! }
//! ```
//!
//! A plan is neither built nor changed by hand:
//!
//! ```compile_fail
//! # use scaling_core::{BoundsChange, HpaPlan, Target};
//! fn sneak(target: Target, change: BoundsChange) -> HpaPlan {
//!     HpaPlan { target, change, requests: None }
//! }
//! ```
//!
//! ```compile_fail
//! # use scaling_core::{Bounds, HpaPlan};
//! fn sneak(plan: &mut HpaPlan) {
//!     plan.change.new = Bounds::new(1, 500).unwrap();
//! }
//! ```
//!
//! An approval is neither read from text, nor made by default, nor changed:
//!
//! ```compile_fail
//! let approved: scaling_core::Approved = serde_json::from_str("{}").unwrap();
//! ```
//!
//! ```compile_fail
//! let approved = scaling_core::Approved::default();
//! ```
//!
//! ```compile_fail
//! # use scaling_core::{Approved, ScalingDecision};
//! fn sneak(approved: Approved, decision: ScalingDecision) -> Approved {
//!     Approved { decision, ..approved }
//! }
//! ```
//!
//! ```compile_fail
//! fn sneak(approved: &mut scaling_core::Approved) {
//!     approved.replicas = 500;
//! }
//! ```
//!
//! Bounds and hard limits cannot be built unchecked:
//!
//! ```compile_fail
//! let bounds = scaling_core::Bounds { min: 9, max: 3 };
//! ```
//!
//! ```compile_fail
//! fn sneak(bounds: scaling_core::Bounds) -> scaling_core::HardLimits {
//!     scaling_core::HardLimits(bounds)
//! }
//! ```

use super::some_time;
use crate::{
    Applied, ApplyError, ApplyMode, Bounds, BoundsPolicy, GuardContext, Guards, HardLimits, HpaApplier, HpaPlan,
    HpaState, LastChanges, MAX_REPLICAS, Observation, Proposal, ScalingDecision, ScalingMetrics, Target,
};

/// Runs every promise of an applier.
///
/// `make` prepares an HPA with the given bounds, a fresh one each time, and gives an applier that reaches it and the workload it
/// belongs to. It may wait: for a server, that is where the object is created.
///
/// ```
/// use scaling_core::{MemoryApplier, Target, conformance};
/// let make = async |bounds| {
///     let target = Target::deployment("shop", "checkout");
///     (MemoryApplier::new().with(target.clone(), bounds), target)
/// };
/// futures::executor::block_on(conformance::applier(make));
/// ```
pub async fn all<A: HpaApplier>(make: impl AsyncFn(Bounds) -> (A, Target)) {
    reads_what_is_there(&make).await;
    dry_runs_change_nothing(&make).await;
    applies_exactly_the_plan(&make).await;
    an_empty_plan_changes_nothing(&make).await;
    twice_equals_once(&make).await;
    refuses_a_plan_for_other_bounds(&make).await;
    unknown_targets_are_not_found(&make).await;
}

pub(super) fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap_or_else(|error| panic!("{error}"))
}

/// Plans of every shape: growing, shrinking, moving one bound only.
fn examples() -> [(Bounds, u32, u32); 4] {
    [(bounds(2, 6), 3, 6), (bounds(4, 40), 20, 10), (bounds(2, 100), 10, 20), (bounds(1, 3), 3, 4)]
}

/// A plan that the hard limits alone approved, for a workload of `pods` that should have `wanted`.
///
/// # Panics
/// If the bounds or counts cannot be.
pub fn plan(target: &Target, old: Bounds, pods: u32, wanted: u32) -> HpaPlan {
    // Resting bounds below the old ones: there is something to give back.
    let resting = bounds(old.min().min(1), old.max().min(4));
    plan_by(target, old, resting, pods, wanted, &BoundsPolicy::default())
}

pub(super) fn plan_by(
    target: &Target,
    old: Bounds,
    resting: Bounds,
    pods: u32,
    wanted: u32,
    policy: &BoundsPolicy,
) -> HpaPlan {
    let at = some_time();
    let observation = Observation::new(target.clone(), ScalingMetrics::new(at, pods));
    let decision = ScalingDecision::replicas("conformance", at, pods, wanted).with_confidence(1.0);
    let context = GuardContext {
        target,
        now: at,
        observation: Some(&observation),
        state: HpaState::new(old).with_resting(resting),
        limits: HardLimits::new(0, MAX_REPLICAS).unwrap_or_else(|error| panic!("{error}")),
        policy,
        min_without_floor: None,
        last: LastChanges::default(),
        released: &[],
    };
    HpaPlan::of(&Guards::only_hard_limits().approve(Proposal::decided(decision), &context))
}

pub(super) async fn read<A: HpaApplier>(applier: &A, target: &Target) -> Bounds {
    match applier.current(target).await {
        Ok(state) => state.bounds,
        Err(error) => panic!("an applier reads the HPA of a workload it knows: {error}"),
    }
}

pub(super) async fn apply<A: HpaApplier>(promise: &str, applier: &A, plan: &HpaPlan, mode: ApplyMode) -> Applied {
    match applier.apply(plan, mode).await {
        Ok(done) => {
            assert_eq!(done.mode, mode, "{promise}: it says how far it went");
            done
        }
        Err(error) => panic!("{promise}: {mode} failed: {error}"),
    }
}

/// It reads the state that is there.
pub async fn reads_what_is_there<A: HpaApplier>(make: &impl AsyncFn(Bounds) -> (A, Target)) {
    for there in [bounds(1, 1), bounds(2, 6), bounds(1, 1000)] {
        let (applier, target) = make(there).await;
        assert_eq!(read(&applier, &target).await, there, "an applier reads the bounds that are there");
    }
}

/// Law 3: with [`ApplyMode::Plan`] and [`ApplyMode::ServerDryRun`] nothing changes; the answer says that something would.
pub async fn dry_runs_change_nothing<A: HpaApplier>(make: &impl AsyncFn(Bounds) -> (A, Target)) {
    const PROMISE: &str = "law 3, dry run is dry";
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun] {
        for (old, pods, wanted) in examples() {
            let (applier, target) = make(old).await;
            let plan = plan(&target, old, pods, wanted);
            let copy = plan.clone();
            for _ in 0..2 {
                let done = apply(PROMISE, &applier, &plan, mode).await;
                assert!(done.changed, "{PROMISE}: {mode} of {plan} says that something would change");
                assert_eq!(read(&applier, &target).await, old, "{PROMISE}: {mode} of {plan}");
            }
            assert_eq!(plan, copy, "{PROMISE}: the plan itself");
        }
    }
}

/// [`ApplyMode::Apply`] brings the bounds to exactly what the plan says, after a dry run as well as without.
pub async fn applies_exactly_the_plan<A: HpaApplier>(make: &impl AsyncFn(Bounds) -> (A, Target)) {
    const PROMISE: &str = "apply changes exactly to the plan's bounds";
    for (old, pods, wanted) in examples() {
        for rehearsed in [false, true] {
            let (applier, target) = make(old).await;
            let plan = plan(&target, old, pods, wanted);
            if rehearsed {
                apply(PROMISE, &applier, &plan, ApplyMode::ServerDryRun).await;
            }
            let done = apply(PROMISE, &applier, &plan, ApplyMode::Apply).await;
            assert!(done.changed, "{PROMISE}: {plan} is a change");
            assert_eq!(read(&applier, &target).await, plan.new_bounds(), "{PROMISE}: {plan}");
        }
    }
}

/// A plan without a change is carried out by doing nothing, and says so.
pub async fn an_empty_plan_changes_nothing<A: HpaApplier>(make: &impl AsyncFn(Bounds) -> (A, Target)) {
    const PROMISE: &str = "a plan without a change changes nothing";
    let old = bounds(1, 9);
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun, ApplyMode::Apply] {
        let (applier, target) = make(old).await;
        let plan = plan(&target, old, 4, 4);
        assert!(plan.is_empty(), "{PROMISE}: the case is what it should be: {plan}");
        assert!(!apply(PROMISE, &applier, &plan, mode).await.changed, "{PROMISE}: {mode} says that something changed");
        assert_eq!(read(&applier, &target).await, old, "{PROMISE}: {mode}");
    }
}

/// Law 6: applying a plan twice equals once, and the second time says that nothing changed.
pub async fn twice_equals_once<A: HpaApplier>(make: &impl AsyncFn(Bounds) -> (A, Target)) {
    const PROMISE: &str = "law 6, applying a plan twice equals once";
    for (old, pods, wanted) in examples() {
        let (applier, target) = make(old).await;
        let plan = plan(&target, old, pods, wanted);
        apply(PROMISE, &applier, &plan, ApplyMode::Apply).await;
        let again = apply(PROMISE, &applier, &plan, ApplyMode::Apply).await;
        assert!(!again.changed, "{PROMISE}: the second time of {plan} says that something changed");
        assert_eq!(read(&applier, &target).await, plan.new_bounds(), "{PROMISE}: {plan}");
    }
}

/// A plan that was made for other bounds than those that are there is refused as [`ApplyError::Changed`], and changes nothing.
pub async fn refuses_a_plan_for_other_bounds<A: HpaApplier>(make: &impl AsyncFn(Bounds) -> (A, Target)) {
    const PROMISE: &str = "a plan made for other bounds is refused as changed";
    let (old, now) = (bounds(2, 6), bounds(3, 12));
    let (applier, target) = make(now).await;
    let late = plan(&target, old, 3, 6);
    match applier.apply(&late, ApplyMode::Apply).await {
        Err(error @ ApplyError::Changed { expected, found, .. }) => {
            assert_eq!((expected, found), (old, now), "{PROMISE}, with both bounds");
            assert!(error.is_transient(), "{PROMISE}, and planning again helps");
        }
        other => panic!("{PROMISE}: {other:?}"),
    }
    assert_eq!(read(&applier, &target).await, now, "{PROMISE}: nothing changes");

    // The same when another plan came first.
    let (applier, target) = make(old).await;
    let (first, second) = (plan(&target, old, 3, 6), plan(&target, old, 3, 30));
    apply(PROMISE, &applier, &first, ApplyMode::Apply).await;
    match applier.apply(&second, ApplyMode::Apply).await {
        Err(ApplyError::Changed { .. }) => {}
        other => panic!("{PROMISE}, after another plan: {other:?}"),
    }
    assert_eq!(read(&applier, &target).await, first.new_bounds(), "{PROMISE}: the first plan stands");
}

/// A workload whose HPA does not exist is [`ApplyError::NotFound`]; none is created.
pub async fn unknown_targets_are_not_found<A: HpaApplier>(make: &impl AsyncFn(Bounds) -> (A, Target)) {
    let old = bounds(2, 6);
    let (applier, target) = make(old).await;
    is_not_found(&applier, &target, |unknown| plan(unknown, old, 3, 6)).await;
    assert_eq!(read(&applier, &target).await, old, "the other one stays as it is");
}

pub(super) async fn is_not_found<A: HpaApplier>(applier: &A, target: &Target, plan: impl Fn(&Target) -> HpaPlan) {
    const PROMISE: &str = "what does not exist is not found";
    let unknown = Target {
        name: format!("{}-nobody-knows", target.name),
        hpa: format!("{}-nobody-knows", target.hpa),
        ..target.clone()
    };
    let plan = plan(&unknown);
    for mode in [None, Some(ApplyMode::ServerDryRun), Some(ApplyMode::Apply), None] {
        let answer = match mode {
            None => applier.current(&unknown).await.map(|state| format!("{state:?}")),
            Some(mode) => applier.apply(&plan, mode).await.map(|done| format!("{done:?}")),
        };
        match answer {
            Err(ApplyError::NotFound { target }) => assert_eq!(target, unknown, "{PROMISE}, and is named"),
            other => panic!("{PROMISE}: {mode:?} gave {other:?}"),
        }
    }
}
