//! Promises of every [`Guard`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::engine::steady;
use super::{some_target, some_time};
use crate::{
    Absence, Bounds, BoundsPolicy, Change, Guard, GuardContext, Guards, HardLimits, HpaState, LastChanges, Limit,
    MAX_REPLICAS, Observation, Proposal, ResourceChange, ScalingDecision, SignalKind, Urgency, Verdict,
};

/// Runs every promise of a guard. `make` gives a fresh one each time, always the same.
///
/// ```
/// use scaling_core::{StepLimit, conformance};
/// conformance::guard(|| StepLimit { up: 3.0, down: 0.8 });
/// ```
pub fn all<G: Guard + 'static>(make: impl Fn() -> G) {
    names_itself(&make);
    answers_alike_twice(&make);
    only_makes_a_change_smaller(&make);
    leaves_nothing_alone(&make);
    lets_floors_rise(&make);
    survives_any_context(&make);
}

/// The name is not empty and always the same.
pub fn names_itself<G: Guard>(make: &impl Fn() -> G) {
    let guard = make();
    assert!(!guard.name().trim().is_empty(), "a guard has a non-empty name");
    cases(false, |change, context| {
        let _ = guard.check(change, context);
        assert_eq!(guard.name(), make().name(), "a guard has one constant name");
    });
}

/// A pure answer: the same question twice gives the same, from the same guard and from one made alike, whatever was asked between.
pub fn answers_alike_twice<G: Guard>(make: &impl Fn() -> G) {
    const PROMISE: &str = "a guard answers the same question alike";
    let guard = make();
    cases(false, |change, context| {
        let first = guard.check(change, context);
        assert_eq!(first, guard.check(change, context), "{PROMISE}: twice, {change:?}");
        assert_eq!(first, make().check(change, context), "{PROMISE}: made alike, {change:?}");
    });
}

/// A limit on the request lies between the present size and the request, both included: it neither turns a change round nor makes
/// it larger. No more pods are let go, and no request of a pod changes by more. Every limit and refusal says why.
pub fn only_makes_a_change_smaller<G: Guard>(make: &impl Fn() -> G) {
    const PROMISE: &str = "a guard only makes a change smaller, and says why";
    let guard = make();
    cases(false, |change, context| match guard.check(change, context) {
        Verdict::Pass => {}
        Verdict::Refuse { why } => assert!(!why.trim().is_empty(), "{PROMISE}: refused {change:?} without a reason"),
        Verdict::Limit { limit, why } => {
            assert!(!why.trim().is_empty(), "{PROMISE}: limited {change:?} to {limit} without a reason");
            match limit {
                Limit::Replicas(to) => {
                    let (current, request) = (change.current, change.request);
                    assert_ne!(to, request, "{PROMISE}: a limit to the number given is no limit, {change:?}");
                    let between = (current.min(request)..=current.max(request)).contains(&to);
                    assert!(between, "{PROMISE}: {current} pods, {request} given, limited to {to}");
                }
                Limit::Released(pods) => assert!(pods == 0 || pods < change.released, "{PROMISE}: {change:?}, {limit}"),
                Limit::Resources(to) => {
                    let from = change.resources.unwrap_or_default();
                    let nearer = |from: i32, to: i32| (from.min(0)..=from.max(0)).contains(&to);
                    let smaller =
                        nearer(from.cpu_percent, to.cpu_percent) && nearer(from.memory_percent, to.memory_percent);
                    assert!(smaller, "{PROMISE}: {from:?} became {to:?}");
                }
            }
        }
    });
}

/// A change that changes nothing passes a chain with this guard as it is, in every context.
pub fn leaves_nothing_alone<G: Guard + 'static>(make: &impl Fn() -> G) {
    const PROMISE: &str = "what changes nothing passes as it is";
    let guards = Guards::only_hard_limits().with(make());
    cases(false, |change, context| {
        let Some(decision) = change.decision else { return };
        let pods = change.current;
        let maintain = ScalingDecision::replicas("conformance", decision.at, pods, pods)
            .with_urgency(decision.urgency)
            .with_confidence(decision.confidence.value());
        // At rest, with a policy that has nothing to give back.
        let (state, policy) = (HpaState::new(context.state.bounds), BoundsPolicy::default());
        let context = GuardContext { state, policy: &policy, ..*context };
        if !context.limits.bounds().contains(state.bounds) {
            return;
        }
        let approved = guards.approve(Proposal::decided(maintain.clone()), &context);
        assert_eq!(approved.decision(), Some(&maintain), "{PROMISE}");
        assert_eq!((approved.replicas(), approved.change().new), (pods, state.bounds), "{PROMISE}");
        assert!(approved.clamps().is_empty(), "{PROMISE}: {:?}", approved.clamps());
        assert!(approved.refusal().is_none(), "{PROMISE}: {:?}", approved.refusal());
    });
}

/// A floor that is due is held whatever the guard says of the engine's decision.
pub fn lets_floors_rise<G: Guard + 'static>(make: &impl Fn() -> G) {
    const PROMISE: &str = "law 7, a floor that is due is held";
    let guards = Guards::only_hard_limits().with(make());
    cases(false, |change, context| {
        let hard = context.limits.bounds();
        let Some(decision) = change.decision.filter(|_| hard.contains(context.state.bounds)) else { return };
        let reason = crate::Reason::Schedule { window: "conformance".into(), replicas: 7 };
        let floored = decision.clone().with_floor(crate::Floor::new(7, reason));
        let approved = guards.approve(Proposal::decided(floored), context);
        let min = approved.change().new.min();
        assert!(min >= hard.clamp(7), "{PROMISE}: the min is {min}, {change:?}, {approved:?}");
    });
}

/// No panic whatever the counts and instants.
pub fn survives_any_context<G: Guard>(make: &impl Fn() -> G) {
    let guard = make();
    cases(true, |change, context| {
        let answer = catch_unwind(AssertUnwindSafe(|| guard.check(change, context)));
        assert!(
            answer.is_ok(),
            "a guard does not panic: {} of {} pods at {}, last changes {:?}",
            change.request,
            change.current,
            context.now,
            context.last
        );
    });
}

fn hard(min: u32, max: u32) -> HardLimits {
    HardLimits::new(min, max).unwrap_or_else(|error| panic!("{error}"))
}

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap_or_else(|error| panic!("{error}"))
}

/// Changes in contexts: every combination of sizes, limits, urgencies, confidences, pasts and metrics of a small grid.
fn cases(extreme: bool, mut visit: impl FnMut(&Change<'_>, &GuardContext<'_>)) {
    let target = some_target();
    let now = some_time() + TimeDelta::minutes(60);
    let all_there = steady(8, 60);
    let mut blind = all_there.clone();
    blind.current = blind.current.without(SignalKind::CpuUtilization, Absence::Stale { age_s: 300 });
    let mut unmeasured = all_there.clone();
    unmeasured.history = Arc::default();
    unmeasured.current = unmeasured.current.without(SignalKind::QueueDepth, Absence::NotMeasured);
    let seen: [&Observation; 3] = [&all_there, &blind, &unmeasured];

    let sizes: &[u32] = if extreme { &[0, 1, 8, MAX_REPLICAS, u32::MAX] } else { &[0, 1, 2, 8, 9, 1000, 1_000_000] };
    let instants: &[DateTime<Utc>] = if extreme {
        &[now, DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC]
    } else {
        &[now, now + TimeDelta::seconds(299), now + TimeDelta::seconds(301), now - TimeDelta::hours(2)]
    };
    let lately = [
        LastChanges::default(),
        LastChanges { grown: Some(now), ..LastChanges::default() },
        LastChanges { shrunk: Some(now - TimeDelta::seconds(90)), ..LastChanges::default() },
        LastChanges {
            grown: Some(DateTime::<Utc>::MAX_UTC),
            shrunk: Some(DateTime::<Utc>::MIN_UTC),
            resized: Some(now),
        },
    ];
    let released = [(now - TimeDelta::minutes(50), 70), (now - TimeDelta::seconds(30), 60), (now, 35)];
    let worlds =
        [(hard(1, 1000), 2, 20), (hard(3, 9), 3, 9), (hard(3, 9), 1, 20), (hard(0, MAX_REPLICAS), 0, MAX_REPLICAS)];
    let moods = [(Urgency::Normal, 1.0), (Urgency::Critical, 0.9), (Urgency::Low, 0.1)];
    let sizes_of_pods = [
        None,
        Some(ResourceChange { cpu_percent: -100, memory_percent: i32::MAX }),
        Some(ResourceChange { cpu_percent: 30, memory_percent: i32::MIN }),
    ];
    let policies = [BoundsPolicy::default(), BoundsPolicy::exact()];

    for (nth, (current, desired)) in
        sizes.iter().flat_map(|current| sizes.iter().map(move |desired| (*current, *desired))).enumerate()
    {
        for (limits, min, max) in worlds {
            for last in lately {
                for (urgency, confidence) in moods {
                    for gone in [0, 1, 3] {
                        let at = instants.iter().cycle().nth(nth).copied().unwrap_or(now);
                        let observation = seen.into_iter().cycle().nth(nth / 3).unwrap_or(&all_there);
                        let mut observation = observation.clone();
                        observation.current.current_pod_count = Some(current);
                        let resources = sizes_of_pods.iter().cycle().nth(nth / 2).copied().flatten();
                        let policy = policies.iter().cycle().nth(nth / 5).unwrap_or(&policies[0]);
                        let decision =
                            ScalingDecision::replicas("conformance", observation.current.timestamp, current, desired)
                                .with_urgency(urgency)
                                .with_resources(resources)
                                .with_confidence(confidence);
                        let (old, aim) = (bounds(min, max), desired.clamp(min, max));
                        let context = GuardContext {
                            target: &target,
                            now: at,
                            observation: Some(&observation).filter(|_| nth % 11 != 10),
                            state: HpaState::new(old).with_resting(bounds(min / 2, max)),
                            limits,
                            policy,
                            min_without_floor: Some(min).filter(|_| nth % 2 == 0),
                            last,
                            released: released.get(released.len() - gone..).unwrap_or_default(),
                        };
                        for request in [desired, current.midpoint(desired)] {
                            let change = Change {
                                decision: Some(&decision).filter(|_| context.observation.is_some()),
                                current,
                                request,
                                floor: 0,
                                old,
                                new: if request < current { bounds(min / 2, max) } else { bounds(aim, max) },
                                released: if request < current { min.min(current) - (min / 2).min(current) } else { 0 },
                                resources,
                            };
                            visit(&change, &context);
                        }
                    }
                }
            }
        }
    }
}
