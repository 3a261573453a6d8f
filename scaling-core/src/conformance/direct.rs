//! Promises of every [`HpaApplier`] that drives workloads directly: its bounds are a number of replicas
//! ([`Bounds::number`]), and its plans those of [`BoundsPolicy::exact`].

use super::applier::{apply, bounds, plan_by, read};
use crate::{ApplyError, ApplyMode, Bounds, BoundsPolicy, HpaApplier, HpaPlan, Target};

/// Plans of either direction: old size, and the size that is wanted.
const EXAMPLES: [(u32, u32); 4] = [(3, 6), (20, 10), (10, 20), (2, 1)];

/// Runs every promise of an applier that drives workloads directly.
///
/// `make` prepares a workload of so many replicas, a fresh one each time, and gives an applier that reaches it. It may wait.
///
/// ```
/// use scaling_core::{Bounds, MemoryApplier, Target, conformance};
/// let make = async |replicas| {
///     let target = Target::deployment("shop", "checkout");
///     (MemoryApplier::new().with(target.clone(), Bounds::exactly(replicas).unwrap()), target)
/// };
/// futures::executor::block_on(conformance::direct_applier(make));
/// ```
pub async fn all<A: HpaApplier>(make: impl AsyncFn(u32) -> (A, Target)) {
    reads_what_is_there(&make).await;
    dry_runs_change_nothing(&make).await;
    applies_exactly_the_plan(&make).await;
    an_empty_plan_changes_nothing(&make).await;
    refuses_a_plan_for_another_size(&make).await;
    unknown_targets_are_not_found(&make).await;
}

/// A plan that the hard limits alone approved, for a workload of `pods` that is driven directly and should have `wanted`.
///
/// # Panics
/// If the counts cannot be.
pub fn plan(target: &Target, pods: u32, wanted: u32) -> HpaPlan {
    let old = exactly(pods);
    plan_by(target, old, old, pods, wanted, &BoundsPolicy::exact())
}

fn exactly(replicas: u32) -> Bounds {
    Bounds::exactly(replicas).unwrap_or_else(|error| panic!("{error}"))
}

/// It reads the replicas that are there, as min and max.
pub async fn reads_what_is_there<A: HpaApplier>(make: &impl AsyncFn(u32) -> (A, Target)) {
    for there in [1, 2, 1000] {
        let (applier, target) = make(there).await;
        assert_eq!(read(&applier, &target).await, bounds(there, there), "an applier reads the replicas that are there");
    }
}

/// Law 3: with [`ApplyMode::Plan`] and [`ApplyMode::ServerDryRun`] nothing changes; the answer says that something would.
pub async fn dry_runs_change_nothing<A: HpaApplier>(make: &impl AsyncFn(u32) -> (A, Target)) {
    const PROMISE: &str = "law 3, dry run is dry";
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun] {
        for (pods, wanted) in EXAMPLES {
            let (applier, target) = make(pods).await;
            let plan = plan(&target, pods, wanted);
            for _ in 0..2 {
                let done = apply(PROMISE, &applier, &plan, mode).await;
                assert!(done.changed, "{PROMISE}: {mode} of {plan} says that something would change");
                assert_eq!(read(&applier, &target).await, exactly(pods), "{PROMISE}: {mode} of {plan}");
            }
        }
    }
}

/// [`ApplyMode::Apply`] brings the replicas to exactly what the plan says, after a dry run as well as without. Law 6: twice equals
/// once, and the second time says that nothing changed.
pub async fn applies_exactly_the_plan<A: HpaApplier>(make: &impl AsyncFn(u32) -> (A, Target)) {
    const PROMISE: &str = "apply changes exactly to the plan's number, once";
    for (pods, wanted) in EXAMPLES {
        for rehearsed in [false, true] {
            let (applier, target) = make(pods).await;
            let plan = plan(&target, pods, wanted);
            if rehearsed {
                apply(PROMISE, &applier, &plan, ApplyMode::ServerDryRun).await;
            }
            for first in [true, false] {
                let done = apply(PROMISE, &applier, &plan, ApplyMode::Apply).await;
                assert_eq!(done.changed, first, "{PROMISE}: {plan}");
                assert_eq!(read(&applier, &target).await, exactly(wanted), "{PROMISE}: {plan}");
            }
        }
    }
}

/// A plan without a change is carried out by doing nothing, and says so.
pub async fn an_empty_plan_changes_nothing<A: HpaApplier>(make: &impl AsyncFn(u32) -> (A, Target)) {
    const PROMISE: &str = "a plan without a change changes nothing";
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun, ApplyMode::Apply] {
        let (applier, target) = make(4).await;
        let plan = plan(&target, 4, 4);
        assert!(plan.is_empty(), "{PROMISE}: the case is what it should be: {plan}");
        assert!(!apply(PROMISE, &applier, &plan, mode).await.changed, "{PROMISE}: {mode} says that something changed");
        assert_eq!(read(&applier, &target).await, exactly(4), "{PROMISE}: {mode}");
    }
}

/// A plan that was made for another size is refused as [`ApplyError::Changed`], and changes nothing.
pub async fn refuses_a_plan_for_another_size<A: HpaApplier>(make: &impl AsyncFn(u32) -> (A, Target)) {
    const PROMISE: &str = "a plan made for another size is refused as changed";
    let (applier, target) = make(5).await;
    match applier.apply(&plan(&target, 3, 6), ApplyMode::Apply).await {
        Err(error @ ApplyError::Changed { expected, found, .. }) => {
            assert_eq!((expected, found), (exactly(3), exactly(5)), "{PROMISE}, with both sizes");
            assert!(error.is_transient(), "{PROMISE}, and planning again helps");
        }
        other => panic!("{PROMISE}: {other:?}"),
    }
    assert_eq!(read(&applier, &target).await, exactly(5), "{PROMISE}: nothing changes");

    // The same when another plan came first.
    let (applier, target) = make(3).await;
    apply(PROMISE, &applier, &plan(&target, 3, 6), ApplyMode::Apply).await;
    match applier.apply(&plan(&target, 3, 30), ApplyMode::Apply).await {
        Err(ApplyError::Changed { .. }) => {}
        other => panic!("{PROMISE}, after another plan: {other:?}"),
    }
    assert_eq!(read(&applier, &target).await, exactly(6), "{PROMISE}: the first plan stands");
}

/// A workload that does not exist is [`ApplyError::NotFound`]; none is created.
pub async fn unknown_targets_are_not_found<A: HpaApplier>(make: &impl AsyncFn(u32) -> (A, Target)) {
    let (applier, target) = make(3).await;
    super::applier::is_not_found(&applier, &target, |unknown| plan(unknown, 3, 6)).await;
    assert_eq!(read(&applier, &target).await, exactly(3), "the other one stays as it is");
}
