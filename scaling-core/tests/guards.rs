//! Each guard at its edges, and the chain.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use scaling_core::conformance::engine::steady;
use scaling_core::{
    Absence, AbsenceGuard, Bounds, ConfidenceGate, Cooldown, Freshness, Guard, Guards, HardLimits, HardLimitsGuard,
    HpaState, LastChanges, MetricsHistory, Observation, RemovalBudget, ResourceChange, ScalingAction, ScalingDecision,
    Signal, SignalKind, Situation, StepLimit, Target, Urgency, Verdict,
};

/// A situation that can be changed in one place, and asked.
struct Case {
    target: Target,
    seen: Observation,
    now: DateTime<Utc>,
    bounds: Bounds,
    limits: HardLimits,
    last: LastChanges,
    removals: Vec<(DateTime<Utc>, u32)>,
    urgency: Urgency,
    confidence: f64,
    resources: Option<ResourceChange>,
}

impl Case {
    fn new() -> Self {
        let seen = steady(8, 90);
        Self {
            target: Target::deployment("shop", "checkout", "checkout-hpa"),
            now: seen.current.timestamp,
            seen,
            bounds: Bounds::new(2, 20).unwrap(),
            limits: HardLimits::new(1, 100).unwrap(),
            last: LastChanges::default(),
            removals: Vec::new(),
            urgency: Urgency::Normal,
            confidence: 1.0,
            resources: None,
        }
    }

    fn situation(&self) -> Situation<'_> {
        Situation {
            target: &self.target,
            now: self.now,
            observation: &self.seen,
            state: HpaState::new(self.bounds),
            limits: self.limits,
            last: self.last,
            removals: &self.removals,
        }
    }

    fn decision(&self, current: u32, desired: u32) -> ScalingDecision {
        let mut decision = ScalingDecision {
            urgency: self.urgency,
            resources: self.resources,
            ..ScalingDecision::replicas("test", self.seen.current.timestamp, current, desired)
        }
        .with_confidence(self.confidence);
        if self.resources.is_some() && current == desired {
            decision.action = ScalingAction::ScaleDownVertical;
        }
        decision
    }

    fn ask(&self, guard: &impl Guard, current: u32, desired: u32) -> Answer {
        match guard.check(&self.decision(current, desired), desired, &self.situation()) {
            Verdict::Pass => Answer::Pass,
            Verdict::Limit { replicas, .. } => Answer::Limit(replicas),
            Verdict::Refuse { .. } => Answer::Refuse,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Pass,
    Limit(u32),
    Refuse,
}

use Answer::{Limit, Pass, Refuse};

fn ago(case: &Case, pause: TimeDelta) -> DateTime<Utc> {
    case.now - pause
}

const HAIR: TimeDelta = TimeDelta::milliseconds(1);

#[test]
fn hard_limits_pass_the_limits_themselves_and_stop_one_beyond() {
    let mut case = Case::new();
    case.limits = HardLimits::new(2, 20).unwrap();
    for (desired, answer) in
        [(20, Pass), (21, Limit(20)), (u32::MAX, Limit(20)), (2, Pass), (1, Limit(2)), (0, Limit(2))]
    {
        assert_eq!(case.ask(&HardLimitsGuard, 8, desired), answer, "{desired}");
    }
}

#[test]
fn hard_limits_refuse_an_hpa_that_lies_one_beyond_them() {
    let mut case = Case::new();
    case.limits = HardLimits::new(2, 20).unwrap();
    for ((min, max), answer) in
        [((2, 20), Pass), ((3, 19), Pass), ((1, 20), Refuse), ((2, 21), Refuse), ((30, 40), Refuse)]
    {
        case.bounds = Bounds::new(min, max).unwrap();
        assert_eq!(case.ask(&HardLimitsGuard, 8, 9), answer, "{min}..{max}");
    }
}

#[test]
fn freshness_passes_the_oldest_allowed_and_refuses_a_hair_more() {
    let mut case = Case::new();
    let seen = case.now;
    let guard = Freshness::default();
    let (age, skew) = (TimeDelta::seconds(300), TimeDelta::seconds(60));
    for (now, answer) in [
        (seen, Pass),
        (seen + age, Pass),
        (seen + age + HAIR, Refuse),
        (seen - skew, Pass),
        (seen - skew - HAIR, Refuse),
        (DateTime::<Utc>::MAX_UTC, Refuse),
        (DateTime::<Utc>::MIN_UTC, Refuse),
    ] {
        case.now = now;
        for desired in [4, 16] {
            assert_eq!(case.ask(&guard, 8, desired), answer, "at {now} to {desired}");
        }
    }
}

#[test]
fn absence_refuses_to_shrink_on_every_loss_and_lets_growth_pass() {
    for kind in SignalKind::ALL {
        for absence in [
            Absence::NotMeasured,
            Absence::Stale { age_s: 1 },
            Absence::Partial { covered_percent: 99 },
            Absence::NotFinite,
            Absence::OutOfRange,
        ] {
            let mut case = Case::new();
            case.seen.current.set(kind, Signal::Absent(absence));
            assert_eq!(case.ask(&AbsenceGuard, 8, 7), Refuse, "{kind} {absence}");
            assert_eq!(case.ask(&AbsenceGuard, 8, 9), Pass, "{kind} {absence}");
        }
    }
    assert_eq!(Case::new().ask(&AbsenceGuard, 8, 1), Pass, "nothing is missing");
}

fn last_seen(case: &mut Case, kind: SignalKind, ago: TimeDelta) {
    let since = case.now - ago;
    let mut past: Vec<_> = case.seen.history.iter().collect();
    for sample in &mut past {
        if sample.timestamp > since {
            sample.set(kind, Signal::NOT_MEASURED);
        }
    }
    case.seen = case.seen.clone().with_history(MetricsHistory::from_unordered(past).0);
    case.seen.current.set(kind, Signal::NOT_MEASURED);
}

#[test]
fn absence_misses_a_signal_for_an_hour_after_it_was_last_seen() {
    for (minutes, answer) in [(1, Refuse), (59, Refuse), (60, Refuse), (61, Pass)] {
        let mut case = Case::new();
        last_seen(&mut case, SignalKind::CpuUtilization, TimeDelta::minutes(minutes));
        assert_eq!(case.ask(&AbsenceGuard, 8, 7), answer, "last seen {minutes} minutes ago");
    }
}

#[test]
fn absence_does_not_miss_what_nobody_ever_measured() {
    let mut case = Case::new();
    last_seen(&mut case, SignalKind::QueueDepth, TimeDelta::days(1));
    assert_eq!(case.ask(&AbsenceGuard, 8, 7), Pass);
    case.seen = case.seen.clone().with_history(MetricsHistory::new());
    assert_eq!(case.ask(&AbsenceGuard, 8, 7), Pass);
}

#[test]
fn absence_refuses_smaller_pods_too() {
    let mut case = Case::new();
    case.resources = Some(ResourceChange { cpu_percent: 0, memory_percent: -50 });
    case.seen.current.set(SignalKind::MemoryUtilization, Signal::Absent(Absence::NotFinite));
    assert_eq!(case.ask(&AbsenceGuard, 8, 8), Refuse, "half the memory while nobody sees how much is used");
    case.resources = Some(ResourceChange { cpu_percent: 0, memory_percent: 50 });
    assert_eq!(case.ask(&AbsenceGuard, 8, 8), Pass);
}

#[test]
fn confidence_passes_the_least_and_refuses_a_hair_less() {
    let mut case = Case::new();
    for (confidence, answer) in [(0.75, Pass), (0.749_999_999, Refuse), (1.0, Pass), (0.0, Refuse), (f64::NAN, Refuse)]
    {
        case.confidence = confidence;
        assert_eq!(case.ask(&ConfidenceGate::default(), 8, 9), answer, "{confidence}");
    }
    case.confidence = 0.0;
    assert_eq!(case.ask(&ConfidenceGate { min: 0.0 }, 8, 9), Pass);
}

#[test]
fn cooldown_between_two_growths_ends_on_the_second() {
    let mut case = Case::new();
    let pause = TimeDelta::seconds(60);
    for (since, answer) in [(pause, Pass), (pause - HAIR, Refuse), (TimeDelta::zero(), Refuse), (-pause, Refuse)] {
        case.last = LastChanges { grown: Some(ago(&case, since)), shrunk: None };
        assert_eq!(case.ask(&Cooldown::default(), 8, 9), answer, "{since}");
    }
    case.last = LastChanges { grown: None, shrunk: Some(ago(&case, HAIR)) };
    assert_eq!(case.ask(&Cooldown::default(), 8, 9), Pass, "growing after a shrink waits for nothing");
}

#[test]
fn cooldown_before_a_shrink_counts_from_the_last_change_either_way() {
    let mut case = Case::new();
    let pause = TimeDelta::seconds(300);
    for (since, answer) in [(pause, Pass), (pause - HAIR, Refuse)] {
        case.last = LastChanges { grown: Some(ago(&case, since)), shrunk: None };
        assert_eq!(case.ask(&Cooldown::default(), 8, 7), answer, "grown {since} ago");
        case.last = LastChanges { grown: None, shrunk: Some(ago(&case, since)) };
        assert_eq!(case.ask(&Cooldown::default(), 8, 7), answer, "shrunk {since} ago");
        case.last = LastChanges { grown: Some(ago(&case, pause * 9)), shrunk: Some(ago(&case, since)) };
        assert_eq!(case.ask(&Cooldown::default(), 8, 7), answer, "the later one counts");
    }
}

#[test]
fn cooldown_is_bypassed_by_critical_urgency_only() {
    let mut case = Case::new();
    case.last = LastChanges { grown: Some(case.now), shrunk: Some(case.now) };
    for (urgency, answer) in
        [(Urgency::Low, Refuse), (Urgency::Normal, Refuse), (Urgency::High, Refuse), (Urgency::Critical, Pass)]
    {
        case.urgency = urgency;
        assert_eq!(case.ask(&Cooldown::default(), 8, 9), answer, "{urgency:?}");
    }
}

#[test]
fn critical_urgency_never_bypasses_the_hard_limits() {
    let mut case = Case::new();
    case.urgency = Urgency::Critical;
    case.limits = HardLimits::new(1, 20).unwrap();
    case.seen.current.current_pod_count = Some(12);
    let guards = Guards::default();
    let approved = guards.approve(case.decision(12, 500), &case.situation()).unwrap();
    assert_eq!(approved.replicas(), 20);
}

#[test]
fn step_passes_a_double_and_a_half_and_stops_one_beyond() {
    let case = Case::new();
    let step = StepLimit::default();
    for (current, desired, answer) in [
        (8, 16, Pass),
        (8, 17, Limit(16)),
        (8, 4, Pass),
        (8, 3, Limit(4)),
        (5, 3, Pass),
        (5, 2, Limit(3)),
        (1, 2, Pass),
        (1, 3, Limit(2)),
        (1, 0, Limit(1)),
        (0, 1, Pass),
        (0, 2, Limit(1)),
    ] {
        assert_eq!(case.ask(&step, current, desired), answer, "{current} to {desired}");
    }
    assert_eq!(case.ask(&StepLimit { up: 1.5, down: 0.9 }, 3, 9), Limit(4), "4.5 rounded down");
    assert_eq!(case.ask(&StepLimit { up: 1.5, down: 0.9 }, 11, 1), Limit(10), "9.9 rounded up");
}

#[test]
fn step_without_a_limit_upwards_lets_a_workload_start_from_none() {
    let case = Case::new();
    for up in [f64::INFINITY, f64::MAX, f64::NAN, 0.0, -1.0] {
        let answer = case.ask(&StepLimit { up, down: 0.5 }, 0, 3);
        assert!(matches!(answer, Pass | Limit(1..=3)), "up {up}: from none at all, one pod is a step: {answer:?}");
    }
}

#[test]
fn step_of_silly_shares_blocks_growth_or_shrink_and_nothing_else() {
    let case = Case::new();
    for up in [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, 1.0] {
        assert_eq!(case.ask(&StepLimit { up, down: 0.5 }, 8, 16), Limit(8), "up {up}");
        assert_eq!(case.ask(&StepLimit { up, down: 0.5 }, 8, 4), Pass, "up {up}");
    }
    for down in [f64::INFINITY, 1.0, 7.0] {
        assert_eq!(case.ask(&StepLimit { up: 2.0, down }, 8, 4), Limit(8), "down {down}");
        assert_eq!(case.ask(&StepLimit { up: 2.0, down }, 8, 16), Pass, "down {down}");
    }
    for down in [f64::NEG_INFINITY, -1.0, 0.0] {
        assert_eq!(case.ask(&StepLimit { up: 2.0, down }, 8, 0), Pass, "down {down}");
    }
}

#[test]
fn removal_budget_passes_the_last_pod_and_stops_one_beyond() {
    let mut case = Case::new();
    let guard = RemovalBudget { pods: 10, window: Duration::from_secs(600) };
    assert_eq!(case.ask(&guard, 20, 10), Pass);
    assert_eq!(case.ask(&guard, 20, 9), Limit(10));
    case.removals = vec![(case.now - TimeDelta::seconds(30), 4)];
    assert_eq!(case.ask(&guard, 20, 14), Pass);
    assert_eq!(case.ask(&guard, 20, 13), Limit(14));
    case.removals.push((case.now, 6));
    assert_eq!(case.ask(&guard, 20, 19), Refuse, "nothing is left");
    assert_eq!(case.ask(&guard, 20, 21), Pass, "growth costs nothing");
    case.removals.push((case.now, u32::MAX));
    assert_eq!(case.ask(&guard, 20, 19), Refuse, "no overflow");
}

#[test]
fn removal_budget_forgets_at_the_end_of_the_window() {
    let mut case = Case::new();
    let guard = RemovalBudget { pods: 10, window: Duration::from_secs(600) };
    let window = TimeDelta::seconds(600);
    for (since, answer) in [(window, Pass), (window - HAIR, Refuse)] {
        case.removals = vec![(case.now - since, 10)];
        assert_eq!(case.ask(&guard, 20, 15), answer, "{since} ago");
    }
}

// ---- the chain

#[test]
fn the_default_chain_has_the_documented_order() {
    let order = r#"["hard_limits", "freshness", "absence", "confidence", "cooldown", "step", "removal_budget"]"#;
    assert_eq!(format!("{:?}", Guards::default()), order);
    let replaced = Guards::default().with(ConfidenceGate { min: 0.1 }).with(Cooldown::default());
    assert_eq!(format!("{replaced:?}"), order, "one of the same name is replaced where it stands");
}

#[test]
fn a_decision_to_maintain_passes_even_where_everything_speaks_against_a_change() {
    let mut case = Case::new();
    case.limits = HardLimits::new(50, 60).unwrap();
    case.confidence = 0.0;
    case.now += TimeDelta::days(1);
    case.last = LastChanges { grown: Some(case.now), shrunk: Some(case.now) };
    let approved = Guards::default().approve(case.decision(8, 8), &case.situation()).unwrap();
    assert_eq!((approved.replicas(), approved.clamps().len()), (8, 0));
}

#[test]
fn clamps_are_kept_in_order_also_when_a_later_guard_refuses() {
    let mut case = Case::new();
    case.limits = HardLimits::new(1, 30).unwrap();
    case.removals = vec![(case.now, 200)];
    let up = Guards::default().approve(case.decision(8, 40), &case.situation()).unwrap();
    let steps: Vec<_> = up.clamps().iter().map(|clamp| (&*clamp.guard, clamp.from, clamp.to)).collect();
    assert_eq!(steps, [("hard_limits", 40, 30), ("step", 30, 16)]);
    assert_eq!((up.replicas(), up.decision().desired_replicas), (16, 40), "the decision stays as it was made");

    let down = Guards::default().approve(case.decision(8, 0), &case.situation()).unwrap_err();
    let steps: Vec<_> = down.clamps.iter().map(|clamp| (&*clamp.guard, clamp.from, clamp.to)).collect();
    assert_eq!(steps, [("hard_limits", 0, 1), ("step", 1, 4)]);
    assert_eq!((down.guard, down.decision.desired_replicas), ("removal_budget", 0));
    assert!(down.to_string().contains("removal_budget") && down.to_string().contains("200"), "{down}");
}

#[test]
fn a_chain_keeps_the_promise_for_a_guard_that_does_not() {
    struct Liar(u32);
    impl Guard for Liar {
        fn name(&self) -> &'static str {
            "liar"
        }
        fn check(&self, _: &ScalingDecision, _: u32, _: &Situation<'_>) -> Verdict {
            Verdict::Limit { replicas: self.0, why: "because".into() }
        }
    }
    let case = Case::new();
    for (desired, says) in [(10, 90), (10, 3), (6, 20), (6, 1)] {
        let guards = Guards::only_hard_limits().with(Liar(says));
        let Ok(approved) = guards.approve(case.decision(8, desired), &case.situation()) else { continue };
        let (low, high) = (desired.min(8), desired.max(8));
        let left = approved.replicas();
        assert!((low..=high).contains(&left), "8 to {desired}: a guard that says {says} made it {left}");
    }
}
