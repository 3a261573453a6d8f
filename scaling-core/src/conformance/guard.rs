//! What every [`Guard`] promises.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::engine::steady;
use super::some_time;
use crate::{
    Absence, Bounds, Guard, Guards, HardLimits, HpaState, LastChanges, MAX_REPLICAS, Observation, ScalingDecision,
    SignalKind, Situation, Target, Urgency, Verdict,
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
    leaves_maintain_alone(&make);
    survives_any_situation(&make);
}

/// The name is not empty and always the same.
pub fn names_itself<G: Guard>(make: &impl Fn() -> G) {
    let guard = make();
    assert!(!guard.name().trim().is_empty(), "a guard has a non-empty name");
    cases(false, |decision, replicas, situation| {
        let _ = guard.check(decision, replicas, situation);
        assert_eq!(guard.name(), make().name(), "a guard has one constant name");
    });
}

/// A pure answer: the same question twice gives the same, from the same guard and from one made alike, whatever was asked between.
pub fn answers_alike_twice<G: Guard>(make: &impl Fn() -> G) {
    const PROMISE: &str = "a guard answers the same question alike";
    let guard = make();
    cases(false, |decision, replicas, situation| {
        let first = guard.check(decision, replicas, situation);
        assert_eq!(first, guard.check(decision, replicas, situation), "{PROMISE}: twice, {decision:?}");
        assert_eq!(first, make().check(decision, replicas, situation), "{PROMISE}: made alike, {decision:?}");
    });
}

/// A limit lies between the present size and the number given, both included: it neither turns a change round nor makes it larger.
/// [`HardLimitsGuard`](crate::HardLimitsGuard) alone may go beyond, to the hard limits and no further. Every limit and refusal
/// says why.
pub fn only_makes_a_change_smaller<G: Guard>(make: &impl Fn() -> G) {
    const PROMISE: &str = "a guard only makes a change smaller, and says why";
    let guard = make();
    let hard = guard.name() == crate::HardLimitsGuard.name();
    cases(false, |decision, replicas, situation| match guard.check(decision, replicas, situation) {
        Verdict::Pass => {}
        Verdict::Refuse { why } => assert!(!why.trim().is_empty(), "{PROMISE}: refused {decision:?} without a reason"),
        Verdict::Limit { replicas: to, why } => {
            assert!(!why.trim().is_empty(), "{PROMISE}: limited {decision:?} to {to} without a reason");
            assert_ne!(to, replicas, "{PROMISE}: a limit to the number given is no limit, {decision:?}");
            let current = decision.current_replicas;
            let limits = situation.limits.bounds();
            let between = (current.min(replicas)..=current.max(replicas)).contains(&to);
            let allowed = between || (hard && to == limits.clamp(to));
            assert!(allowed, "{PROMISE}: {current} pods, {replicas} given, limited to {to}");
        }
    });
}

/// A decision to maintain passes a chain with this guard as it is, in every situation.
pub fn leaves_maintain_alone<G: Guard + 'static>(make: &impl Fn() -> G) {
    const PROMISE: &str = "a decision to maintain passes as it is";
    let guards = Guards::only_hard_limits().with(make());
    cases(false, |decision, _, situation| {
        let pods = decision.current_replicas;
        let maintain = ScalingDecision {
            urgency: decision.urgency,
            confidence: decision.confidence,
            ..ScalingDecision::replicas("conformance", decision.at, pods, pods)
        };
        match guards.approve(maintain.clone(), situation) {
            Ok(approved) => {
                assert_eq!(approved.decision(), &maintain, "{PROMISE}");
                assert_eq!(approved.replicas(), pods, "{PROMISE}");
                assert!(approved.clamps().is_empty(), "{PROMISE}: {:?}", approved.clamps());
            }
            Err(refusal) => panic!("{PROMISE}: {refusal}"),
        }
    });
}

/// No panic whatever the counts and instants.
pub fn survives_any_situation<G: Guard>(make: &impl Fn() -> G) {
    let guard = make();
    cases(true, |decision, replicas, situation| {
        let answer = catch_unwind(AssertUnwindSafe(|| guard.check(decision, replicas, situation)));
        assert!(
            answer.is_ok(),
            "a guard does not panic: {} of {} pods at {}, last changes {:?}",
            replicas,
            decision.current_replicas,
            situation.now,
            situation.last
        );
    });
}

fn hard(min: u32, max: u32) -> HardLimits {
    HardLimits::new(min, max).unwrap_or_else(|error| panic!("{error}"))
}

/// Decisions in situations: every combination of sizes, limits, urgencies, confidences, pasts and metrics of a small grid.
fn cases(extreme: bool, mut visit: impl FnMut(&ScalingDecision, u32, &Situation<'_>)) {
    let target = Target::deployment("shop", "checkout", "checkout");
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
        LastChanges { grown: Some(now), shrunk: None },
        LastChanges { grown: None, shrunk: Some(now - TimeDelta::seconds(90)) },
        LastChanges { grown: Some(DateTime::<Utc>::MAX_UTC), shrunk: Some(DateTime::<Utc>::MIN_UTC) },
    ];
    let removals = [(now - TimeDelta::minutes(50), 70), (now - TimeDelta::seconds(30), 60), (now, 35)];
    let worlds =
        [(hard(1, 1000), 2, 20), (hard(3, 9), 3, 9), (hard(3, 9), 1, 20), (hard(0, MAX_REPLICAS), 0, MAX_REPLICAS)];
    let moods = [(Urgency::Normal, 1.0), (Urgency::Critical, 0.9), (Urgency::Low, 0.1)];

    for (nth, (current, desired)) in
        sizes.iter().flat_map(|current| sizes.iter().map(move |desired| (*current, *desired))).enumerate()
    {
        for (limits, min, max) in worlds {
            for last in lately {
                for (urgency, confidence) in moods {
                    for removed in [0, 1, 3] {
                        let at = instants.iter().cycle().nth(nth).copied().unwrap_or(now);
                        let observation = seen.into_iter().cycle().nth(nth / 3).unwrap_or(&all_there);
                        let mut observation = observation.clone();
                        observation.current.current_pod_count = Some(current);
                        let decision = ScalingDecision {
                            urgency,
                            ..ScalingDecision::replicas("conformance", observation.current.timestamp, current, desired)
                        }
                        .with_confidence(confidence);
                        let situation = Situation {
                            target: &target,
                            now: at,
                            observation: &observation,
                            state: HpaState::new(Bounds::new(min, max).unwrap_or_else(|error| panic!("{error}"))),
                            limits,
                            last,
                            removals: removals.get(removals.len() - removed..).unwrap_or_default(),
                        };
                        let half = current.midpoint(desired);
                        visit(&decision, desired, &situation);
                        visit(&decision, half, &situation);
                    }
                }
            }
        }
    }
}
