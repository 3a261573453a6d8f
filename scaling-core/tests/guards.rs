//! Each guard at its edges, and the chain.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use scaling_core::conformance::engine::steady;
use scaling_core::{
    Absence, AbsenceGuard, Approved, Bounds, BoundsPolicy, Change, ConfidenceGate, Cooldown, Floor, Freshness, Guard,
    GuardContext, Guards, HardLimits, HardLimitsGuard, HpaState, LastChanges, Limit, MetricsHistory, Observation,
    Proposal, Reason, RemovalBudget, ResourceChange, ResourceLimits, ScalingDecision, Signal, SignalKind, SignalSet,
    StepLimit, Target, Urgency, Verdict,
};

/// A context that can be changed in one place, and asked.
#[derive(Clone)]
struct Case {
    target: Target,
    seen: Observation,
    source_is_down: bool,
    now: DateTime<Utc>,
    bounds: Bounds,
    resting: Bounds,
    limits: HardLimits,
    policy: BoundsPolicy,
    min_without_floor: Option<u32>,
    last: LastChanges,
    released: Vec<(DateTime<Utc>, u32)>,
    urgency: Urgency,
    confidence: f64,
    foreseen: bool,
    resources: Option<ResourceChange>,
}

impl Case {
    fn new() -> Self {
        let seen = steady(8, 90);
        Self {
            target: Target::deployment("shop", "checkout").with_hpa("checkout-hpa"),
            now: seen.current.timestamp,
            seen,
            source_is_down: false,
            bounds: Bounds::new(2, 20).unwrap(),
            resting: Bounds::new(2, 20).unwrap(),
            limits: HardLimits::new(1, 100).unwrap(),
            policy: BoundsPolicy::default(),
            min_without_floor: None,
            last: LastChanges::default(),
            released: Vec::new(),
            urgency: Urgency::Normal,
            confidence: 1.0,
            foreseen: false,
            resources: None,
        }
    }

    /// All of the 8 pods are held by a min that was raised from 1.
    fn raised() -> Self {
        Self { bounds: Bounds::new(8, 20).unwrap(), resting: Bounds::new(1, 20).unwrap(), ..Self::new() }
    }

    fn context(&self) -> GuardContext<'_> {
        GuardContext {
            target: &self.target,
            now: self.now,
            observation: Some(&self.seen).filter(|_| !self.source_is_down),
            state: HpaState::new(self.bounds).with_resting(self.resting),
            limits: self.limits,
            policy: &self.policy,
            min_without_floor: self.min_without_floor,
            last: self.last,
            released: &self.released,
        }
    }

    fn decision(&self, current: u32, desired: u32) -> ScalingDecision {
        ScalingDecision {
            urgency: self.urgency,
            foreseen: self.foreseen,
            resources: self.resources,
            ..ScalingDecision::replicas("test", self.seen.current.timestamp, current, desired)
        }
        .with_confidence(self.confidence)
    }

    /// Asks one guard about a change of so many pods to so many: a growth raises the min, a shrink lowers the min that holds them.
    fn ask(&self, guard: &impl Guard, current: u32, desired: u32) -> Answer {
        let decision = self.decision(current, desired);
        self.judge(guard, Some(&decision), current, desired)
    }

    /// The same for a floor that begins or ends.
    fn ask_of_floor(&self, guard: &impl Guard, from: u32, to: u32) -> Answer {
        self.judge(guard, None, from, to)
    }

    fn judge(&self, guard: &impl Guard, decision: Option<&ScalingDecision>, from: u32, to: u32) -> Answer {
        let (old, new) = (bounds(from, from.max(20)), bounds(to, from.max(20).max(to)));
        let change = Change {
            decision,
            current: from,
            request: decision.map_or(from, |decision| decision.desired_replicas),
            floor: 0,
            old,
            new,
            released: from.saturating_sub(to),
            resources: decision.and_then(|decision| decision.resources),
        };
        match guard.check(&change, &self.context()) {
            Verdict::Pass => Pass,
            Verdict::Limit { limit: Limit::Replicas(pods), .. } => Pods(pods),
            Verdict::Limit { limit: Limit::Released(pods), .. } => LetGo(pods),
            Verdict::Limit { limit: Limit::Resources(change), .. } => {
                Requests(change.cpu_percent, change.memory_percent)
            }
            Verdict::Refuse { .. } => Refuse,
        }
    }

    fn approve(&self, guards: &Guards, current: u32, desired: u32) -> Approved {
        guards.approve(Proposal::decided(self.decision(current, desired)), &self.context())
    }
}

/// Bounds of any size, cut to what can be.
fn bounds(min: u32, max: u32) -> Bounds {
    let most = scaling_core::MAX_REPLICAS;
    Bounds::new(min.min(most), max.clamp(1, most)).unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Pass,
    /// So many pods requested.
    Pods(u32),
    /// So many let go.
    LetGo(u32),
    /// So much more or less CPU and memory for a pod, in percent.
    Requests(i32, i32),
    Refuse,
}

use Answer::{LetGo, Pass, Pods, Refuse, Requests};

fn ago(case: &Case, pause: TimeDelta) -> DateTime<Utc> {
    case.now - pause
}

const HAIR: TimeDelta = TimeDelta::milliseconds(1);

#[test]
fn hard_limits_pass_the_limits_themselves_and_stop_one_beyond() {
    let mut case = Case::new();
    case.limits = HardLimits::new(2, 20).unwrap();
    for (desired, answer) in [(20, Pass), (21, Pods(20)), (u32::MAX, Pods(20)), (2, Pass), (1, Pods(2)), (0, Pods(2))] {
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
fn hard_limits_turn_no_request_round() {
    let mut case = Case::new();
    case.limits = HardLimits::new(10, 20).unwrap();
    case.bounds = Bounds::new(10, 20).unwrap();
    assert_eq!(case.ask(&HardLimitsGuard, 5, 3), Pods(5), "a shrink below the least does not grow");
    assert_eq!(case.ask(&HardLimitsGuard, 30, 60), Pods(30), "a growth above the most does not shrink");
    assert_eq!(case.ask(&HardLimitsGuard, 5, 12), Pass);
    assert_eq!(case.ask(&HardLimitsGuard, 30, 15), Pass);
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
fn freshness_lowers_nothing_for_a_floor_that_ended_and_lets_one_begin() {
    let mut case = Case::new();
    case.now += TimeDelta::minutes(6);
    assert_eq!(case.ask_of_floor(&Freshness::default(), 8, 4), LetGo(0));
    assert_eq!(case.ask_of_floor(&Freshness::default(), 8, 12), Pass);
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
            assert_eq!(case.ask_of_floor(&AbsenceGuard, 8, 7), LetGo(0), "{kind} {absence}: a floor that ended");
            assert_eq!(case.ask_of_floor(&AbsenceGuard, 8, 9), Pass, "{kind} {absence}: a floor that begins");
        }
    }
    assert_eq!(Case::new().ask(&AbsenceGuard, 8, 1), Pass, "nothing is missing");
}

#[test]
fn absence_lowers_nothing_while_the_source_is_down() {
    let case = Case { source_is_down: true, ..Case::new() };
    assert_eq!(case.ask_of_floor(&AbsenceGuard, 8, 7), LetGo(0));
    assert_eq!(case.ask_of_floor(&AbsenceGuard, 8, 9), Pass);
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
fn absence_misses_a_signal_for_as_long_as_it_is_lost() {
    for minutes in [1, 59, 60, 61, 89] {
        let mut case = Case::new();
        last_seen(&mut case, SignalKind::CpuUtilization, TimeDelta::minutes(minutes));
        assert_eq!(case.ask(&AbsenceGuard, 8, 7), Refuse, "last seen {minutes} minutes ago");
    }
}

#[test]
fn absence_misses_a_declared_signal_that_no_history_knows() {
    let mut case = Case::new();
    last_seen(&mut case, SignalKind::QueueDepth, TimeDelta::days(1));
    case.seen = case.seen.with_history(MetricsHistory::new()).declaring(SignalSet::ALL);
    assert_eq!(case.ask(&AbsenceGuard, 8, 7), Refuse);
    let declared = SignalKind::ALL.into_iter().filter(|kind| *kind != SignalKind::QueueDepth).collect();
    case.seen = case.seen.declaring(declared);
    assert_eq!(case.ask(&AbsenceGuard, 8, 7), Pass, "the declaration has changed");
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
fn absence_does_not_miss_what_nobody_can_measure_while_nobody_asks() {
    for kind in [SignalKind::ResponseTime, SignalKind::ErrorRate] {
        let mut case = Case::new();
        case.seen.current = case.seen.current.with(SignalKind::RequestRate, 0.0).with(kind, f64::NAN);
        assert_eq!(case.ask(&AbsenceGuard, 8, 7), Pass, "{kind}");
        case.seen.current.set(SignalKind::RequestRate, Signal::NOT_MEASURED);
        assert_eq!(case.ask(&AbsenceGuard, 8, 7), Refuse, "{kind} and the request rate");
    }
}

#[test]
fn absence_refuses_smaller_pods_too() {
    let mut case = Case::new();
    case.resources = Some(ResourceChange { cpu_percent: 0, memory_percent: -50 });
    case.seen.current.set(SignalKind::MemoryUtilization, Signal::Absent(Absence::NotFinite));
    assert_eq!(case.ask(&AbsenceGuard, 8, 8), LetGo(0), "half the memory while nobody sees how much is used");
    case.resources = Some(ResourceChange { cpu_percent: 0, memory_percent: 50 });
    assert_eq!(case.ask(&AbsenceGuard, 8, 8), Pass);
}

#[test]
fn absence_keeps_the_larger_pods_of_a_decision_whose_fewer_pods_it_refuses() {
    let mut case = Case::new();
    case.seen.current.set(SignalKind::CpuUtilization, Signal::NOT_MEASURED);
    case.resources = Some(ResourceChange { cpu_percent: 0, memory_percent: 50 });
    assert_eq!(case.ask(&AbsenceGuard, 8, 6), Pods(8));
}

#[test]
fn what_a_pod_requests_is_left_alone_where_the_applier_moves_bounds_alone() {
    let mut case = Case::new();
    case.resources = Some(ResourceChange { cpu_percent: 0, memory_percent: 50 });
    for (state, left) in [(HpaState::new(case.bounds), true), (HpaState::new(case.bounds).bounds_only(), false)] {
        let context = GuardContext { state, ..case.context() };
        let proposal = Proposal::decided(case.decision(8, 12));
        let approved = Guards::only_hard_limits().approve(proposal, &context);
        assert_eq!(approved.change().resources.is_some(), left);
        assert_eq!(approved.replicas(), 12, "the rest goes on");
        assert_eq!(approved.clamps().is_empty(), left, "it is said");
    }
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
fn confidence_is_not_asked_of_a_floor() {
    let case = Case { confidence: 0.0, ..Case::new() };
    for to in [4, 12] {
        assert_eq!(case.ask_of_floor(&ConfidenceGate::default(), 8, to), Pass, "8 to {to}");
    }
}

#[test]
fn cooldown_holds_back_no_growth() {
    let mut case = Case::new();
    case.last = LastChanges { grown: Some(case.now), shrunk: Some(case.now), resized: Some(case.now) };
    assert_eq!(case.ask(&Cooldown::default(), 8, 9), Pass);
    assert_eq!(case.ask_of_floor(&Cooldown::default(), 8, 9), Pass);
}

#[test]
fn cooldown_before_a_shrink_counts_from_the_last_change_of_any_kind() {
    let mut case = Case::new();
    for (foreseen, seconds) in [(false, 300), (true, 15)] {
        case.foreseen = foreseen;
        let pause = TimeDelta::seconds(seconds);
        for (since, answer) in
            [(pause, Pass), (pause - HAIR, LetGo(0)), (TimeDelta::zero(), LetGo(0)), (-pause, LetGo(0))]
        {
            let (at, before) = (Some(ago(&case, since)), Some(ago(&case, pause * 9)));
            for last in [
                LastChanges { grown: at, ..LastChanges::default() },
                LastChanges { shrunk: at, ..LastChanges::default() },
                LastChanges { resized: at, ..LastChanges::default() },
                LastChanges { grown: before, shrunk: at, resized: before },
            ] {
                case.last = last;
                assert_eq!(case.ask(&Cooldown::default(), 8, 5), answer, "{since} ago: {last:?}");
            }
        }
    }
    case.last = LastChanges { grown: Some(case.now), ..LastChanges::default() };
    assert_eq!(case.ask_of_floor(&Cooldown::default(), 8, 7), LetGo(0), "a floor that ended");
}

#[test]
fn cooldown_of_a_foreseen_shrink_is_short_unless_it_is_slight() {
    let foreseen = Case { foreseen: true, ..Case::new() };
    let guard = Cooldown::default();
    let (short, long) = (TimeDelta::seconds(15), TimeDelta::seconds(300));
    // From, to, and whether it waits for the long pause: 0.15 of the pods are slight, and one pod always is.
    for (from, to, slight) in [(8, 7, true), (8, 6, false), (40, 34, true), (40, 33, false), (1, 0, true)] {
        let pause = if slight { long } else { short };
        for (since, answer) in [(pause, Pass), (pause - HAIR, LetGo(0))] {
            let last = LastChanges { grown: Some(foreseen.now - since), ..LastChanges::default() };
            assert_eq!(Case { last, ..foreseen.clone() }.ask(&guard, from, to), answer, "{from} to {to}, {since} ago");
        }
    }
    let last = LastChanges { grown: Some(foreseen.now), ..LastChanges::default() };
    assert_eq!(Case { last, ..foreseen.clone() }.ask(&guard, 8, 9), Pass, "growth waits for nothing");
}

#[test]
fn cooldown_of_a_foreseen_shrink_that_lets_no_pod_go_is_long() {
    // The HPA runs 8 pods of its own accord: to lower a min of 6 to 3 removes none of them.
    let case = Case { foreseen: true, bounds: bounds(6, 20), resting: bounds(1, 20), ..Case::new() };
    let only = Guards::only_hard_limits().with(Cooldown::default());
    let min = |since: i64| {
        let last = LastChanges { shrunk: Some(case.now - TimeDelta::seconds(since)), ..LastChanges::default() };
        Case { last, ..case.clone() }.approve(&only, 8, 3).change().new.min()
    };
    assert_eq!((min(61), min(899), min(900)), (6, 6, 3));
}

#[test]
fn the_max_is_not_lowered_below_pods_that_only_the_cluster_counts() {
    // Metrics from before a growth say 8 pods; the HPA's status says 30.
    let case = Case { bounds: bounds(2, 40), resting: bounds(2, 10), ..Case::new() };
    let max = |pods: Option<u32>, desired: u32| {
        let mut context = case.context();
        context.state.pods = pods;
        let proposal = Proposal::decided(case.decision(8, desired));
        Guards::only_hard_limits().approve(proposal, &context).change().new.max()
    };
    for desired in [1, 7, 8] {
        assert_eq!(max(Some(30), desired), 30, "{desired} requested");
        assert!(max(None, desired) < 20 && max(Some(3), desired) < 20, "{desired}");
    }
    let restored = |pods| {
        let mut context = case.context();
        context.state.pods = Some(pods);
        Guards::only_hard_limits().approve(Proposal::restore(), &context).change().new.max()
    };
    assert_eq!((restored(30), restored(3)), (30, 10));
}

#[test]
fn cooldown_keeps_two_changes_of_requests_apart() {
    let mut case = Case::new();
    let pause = TimeDelta::seconds(300);
    for percent in [-20, 20] {
        case.resources = Some(ResourceChange { cpu_percent: percent, memory_percent: 0 });
        for (since, answer) in [(pause, Pass), (pause - HAIR, Requests(0, 0))] {
            case.last = LastChanges { resized: Some(ago(&case, since)), ..LastChanges::default() };
            assert_eq!(case.ask(&Cooldown::default(), 8, 8), answer, "{percent} %, {since} ago");
        }
    }
    case.last = LastChanges { grown: Some(ago(&case, HAIR)), ..LastChanges::default() };
    case.resources = Some(ResourceChange { cpu_percent: 20, memory_percent: 0 });
    assert_eq!(case.ask(&Cooldown::default(), 8, 8), Pass, "larger pods wait for no change of bounds");
    case.resources = Some(ResourceChange { cpu_percent: -20, memory_percent: 0 });
    assert_eq!(case.ask(&Cooldown::default(), 8, 8), LetGo(0), "smaller ones do");
}

#[test]
fn cooldown_is_bypassed_by_critical_growth_only() {
    let mut case = Case::new();
    case.last = LastChanges { grown: Some(case.now), shrunk: Some(case.now), resized: Some(case.now) };
    let larger = ResourceChange { cpu_percent: 20, memory_percent: 0 };
    for (urgency, resized) in [
        (Urgency::Low, Requests(0, 0)),
        (Urgency::Normal, Requests(0, 0)),
        (Urgency::High, Requests(0, 0)),
        (Urgency::Critical, Pass),
    ] {
        case.urgency = urgency;
        case.resources = None;
        assert_eq!(case.ask(&Cooldown::default(), 8, 7), LetGo(0), "{urgency:?}");
        assert_eq!(case.ask(&Cooldown::default(), 8, 9), Pass, "{urgency:?}");
        case.resources = Some(larger);
        assert_eq!(case.ask(&Cooldown::default(), 8, 8), resized, "{urgency:?}");
    }
}

#[test]
fn critical_urgency_never_bypasses_the_hard_limits() {
    let mut case = Case::new();
    case.urgency = Urgency::Critical;
    case.limits = HardLimits::new(1, 20).unwrap();
    case.seen.current.current_pod_count = Some(12);
    let approved = case.approve(&Guards::default(), 12, 500);
    assert_eq!((approved.replicas(), approved.change().new.max()), (20, 20));
}

#[test]
fn step_passes_a_double_and_a_half_and_stops_one_beyond() {
    let case = Case::new();
    let step = StepLimit::default();
    for (current, desired, answer) in [
        (8, 16, Pass),
        (8, 17, Pods(16)),
        (8, 4, Pass),
        (8, 3, LetGo(4)),
        (5, 3, Pass),
        (5, 2, LetGo(2)),
        (1, 2, Pass),
        (1, 3, Pods(2)),
        (1, 0, LetGo(0)),
        (0, 1, Pass),
        (0, 2, Pods(1)),
    ] {
        assert_eq!(case.ask(&step, current, desired), answer, "{current} to {desired}");
    }
    assert_eq!(case.ask(&StepLimit { up: 1.5, down: 0.9 }, 3, 9), Pods(4), "4.5 rounded down");
    assert_eq!(case.ask(&StepLimit { up: 1.5, down: 0.9 }, 11, 1), LetGo(1), "9.9 rounded up");
}

#[test]
fn step_limits_the_end_of_a_floor_and_not_its_beginning() {
    let case = Case::new();
    assert_eq!(case.ask_of_floor(&StepLimit::default(), 8, 3), LetGo(4));
    assert_eq!(case.ask_of_floor(&StepLimit::default(), 8, 90), Pass);
}

#[test]
fn step_without_a_limit_upwards_lets_a_workload_start_from_none() {
    let case = Case::new();
    for up in [f64::INFINITY, f64::MAX, f64::NAN, 0.0, -1.0] {
        let answer = case.ask(&StepLimit { up, down: 0.5 }, 0, 3);
        assert!(matches!(answer, Pass | Pods(1..=3)), "up {up}: from none at all, one pod is a step: {answer:?}");
    }
}

#[test]
fn step_of_silly_shares_blocks_growth_or_shrink_and_nothing_else() {
    let case = Case::new();
    for up in [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, 1.0] {
        assert_eq!(case.ask(&StepLimit { up, down: 0.5 }, 8, 16), Pods(8), "up {up}");
        assert_eq!(case.ask(&StepLimit { up, down: 0.5 }, 8, 4), Pass, "up {up}");
    }
    for down in [f64::INFINITY, 1.0, 7.0] {
        assert_eq!(case.ask(&StepLimit { up: 2.0, down }, 8, 4), LetGo(0), "down {down}");
        assert_eq!(case.ask(&StepLimit { up: 2.0, down }, 8, 16), Pass, "down {down}");
    }
    for down in [f64::NEG_INFINITY, -1.0, 0.0] {
        assert_eq!(case.ask(&StepLimit { up: 2.0, down }, 8, 0), Pass, "down {down}");
    }
}

#[test]
fn resources_stay_above_what_is_used_and_are_at_most_doubled_or_halved() {
    let mut case = Case::new();
    case.seen.current =
        case.seen.current.with(SignalKind::CpuUtilization, 50.0).with(SignalKind::MemoryUtilization, 10.0);
    let guard = ResourceLimits::default();
    for ((cpu, memory), answer) in [
        ((100, 100), Pass),
        ((101, i32::MAX), Requests(100, 100)),
        ((-40, -50), Pass),
        ((-41, -51), Requests(-40, -50)),
        ((i32::MIN, i32::MIN), Requests(-40, -50)),
        ((-10, 20), Pass),
    ] {
        case.resources = Some(ResourceChange { cpu_percent: cpu, memory_percent: memory });
        assert_eq!(case.ask(&guard, 8, 8), answer, "{cpu} % CPU, {memory} % memory");
    }
    case.seen.current.set(SignalKind::CpuUtilization, Signal::NOT_MEASURED);
    case.resources = Some(ResourceChange { cpu_percent: -10, memory_percent: 0 });
    assert_eq!(case.ask(&guard, 8, 8), Requests(0, 0), "what nobody measures may be all in use");
}

#[test]
fn removal_budget_passes_the_last_pod_and_stops_one_beyond() {
    let mut case = Case::new();
    let guard = RemovalBudget::new(10, Duration::from_secs(600)).unwrap();
    assert_eq!(case.ask(&guard, 20, 10), Pass);
    assert_eq!(case.ask(&guard, 20, 9), LetGo(10));
    case.released = vec![(case.now - TimeDelta::seconds(30), 4)];
    assert_eq!(case.ask(&guard, 20, 14), Pass);
    assert_eq!(case.ask(&guard, 20, 13), LetGo(6));
    case.released.push((case.now, 6));
    assert_eq!(case.ask(&guard, 20, 19), LetGo(0), "nothing is left");
    assert_eq!(case.ask_of_floor(&guard, 20, 19), LetGo(0), "nor for a floor that ended");
    assert_eq!(case.ask(&guard, 20, 21), Pass, "growth costs nothing");
    case.released.push((case.now, u32::MAX));
    assert_eq!(case.ask(&guard, 20, 19), LetGo(0), "no overflow");
}

#[test]
fn removal_budget_forgets_at_the_end_of_the_window() {
    let mut case = Case::new();
    let guard = RemovalBudget::new(10, Duration::from_secs(600)).unwrap();
    let window = TimeDelta::seconds(600);
    for (since, answer) in [(window, Pass), (window - HAIR, LetGo(0)), (-window, LetGo(0))] {
        case.released = vec![(case.now - since, 10)];
        assert_eq!(case.ask(&guard, 20, 15), answer, "{since} ago");
    }
}

#[test]
fn a_budget_whose_window_outlasts_the_memory_of_removals_is_refused() {
    let window = RemovalBudget::LONGEST_WINDOW;
    assert!(RemovalBudget::new(10, window).is_ok());
    let refused = RemovalBudget::new(10, window + Duration::from_nanos(1)).unwrap_err();
    assert_eq!(refused.field, "window");
    assert!(refused.to_string().contains("3600"), "{refused}");
}

// ---- the chain

#[test]
fn the_default_chain_has_the_documented_order() {
    let order =
        r#"["hard_limits", "freshness", "absence", "confidence", "cooldown", "step", "resources", "removal_budget"]"#;
    assert_eq!(format!("{:?}", Guards::default()), order);
    let replaced = Guards::default().with(ConfidenceGate { min: 0.1 }).with(Cooldown::default());
    assert_eq!(format!("{replaced:?}"), order, "one of the same name is replaced where it stands");
}

#[test]
fn a_decision_to_maintain_passes_even_where_everything_speaks_against_a_change() {
    let mut case = Case::new();
    case.confidence = 0.0;
    case.now += TimeDelta::days(1);
    case.last = LastChanges { grown: Some(case.now), shrunk: Some(case.now), resized: None };
    let approved = case.approve(&Guards::default(), 8, 8);
    assert_eq!((approved.replicas(), approved.clamps().len(), approved.refusal()), (8, 0, None));
    assert_eq!(approved.change().new, case.bounds);
}

#[test]
fn an_hpa_outside_the_hard_limits_is_not_touched_at_all() {
    let mut case = Case::new();
    case.limits = HardLimits::new(50, 60).unwrap();
    let reason = Reason::Schedule { window: "day".into(), replicas: 55 };
    for desired in [4, 8, 16] {
        let decision = case.decision(8, desired).with_floor(Floor::new(55, reason.clone()));
        let approved = Guards::default().approve(Proposal::decided(decision), &case.context());
        assert_eq!(approved.change().new, case.bounds, "8 to {desired}");
        assert_eq!(approved.refusal().map(|refusal| refusal.guard), Some("hard_limits"));
    }
}

#[test]
fn clamps_are_kept_in_order_also_when_a_later_guard_lets_nothing_go() {
    let mut case = Case::raised();
    case.limits = HardLimits::new(1, 30).unwrap();
    case.released = vec![(case.now, 200)];
    let steps = |approved: &Approved| {
        let clamps = approved.clamps().iter();
        clamps.map(|clamp| (clamp.guard.to_string(), clamp.from, clamp.to)).collect::<Vec<_>>()
    };
    let up = case.approve(&Guards::default(), 8, 40);
    assert_eq!(
        steps(&up),
        [
            ("hard_limits".to_owned(), Limit::Replicas(40), Limit::Replicas(30)),
            ("step".to_owned(), Limit::Replicas(30), Limit::Replicas(16)),
        ]
    );
    assert_eq!((up.replicas(), up.decision().unwrap().desired_replicas), (16, 40), "the decision stays as it was made");

    let down = case.approve(&Guards::default(), 8, 0);
    assert_eq!(
        steps(&down),
        [
            ("hard_limits".to_owned(), Limit::Replicas(0), Limit::Replicas(1)),
            ("step".to_owned(), Limit::Released(7), Limit::Released(4)),
            ("removal_budget".to_owned(), Limit::Released(4), Limit::Released(0)),
        ]
    );
    assert_eq!((down.refusal(), down.change().new), (None, case.bounds));
    let said = down.clamps().last().unwrap().to_string();
    assert!(said.contains("removal_budget") && said.contains("200"), "{said}");
}

#[test]
fn a_refusal_names_the_first_guard_and_holds_the_floor_all_the_same() {
    let mut case = Case::raised();
    case.confidence = 0.1;
    let reason = Reason::Schedule { window: "day".into(), replicas: 12 };
    for desired in [4, 16] {
        let decision = case.decision(8, desired).with_floor(Floor::new(12, reason.clone()));
        let approved = Guards::default().approve(Proposal::decided(decision), &case.context());
        assert_eq!(approved.refusal().unwrap().guard, "confidence");
        assert!(approved.refusal().unwrap().to_string().contains("confidence refused"));
        assert_eq!((approved.replicas(), approved.change().new.min()), (8, 12), "8 to {desired}");
    }
}

#[test]
fn a_request_that_is_refused_lowers_nothing_that_earlier_guards_would_have_held() {
    // A floor of 8 has ended; a doubtful growth, which absence lets pass, is refused after it was asked.
    let mut case = Case::raised();
    case.min_without_floor = Some(2);
    case.confidence = 0.1;
    let approved = case.approve(&Guards::default(), 8, 12);
    assert_eq!(approved.change().new.min(), 4, "given back, half at a time");
    case.seen.current.set(SignalKind::CpuUtilization, Signal::Absent(Absence::Stale { age_s: 90 }));
    let approved = case.approve(&Guards::default(), 8, 12);
    assert_eq!(approved.change().new, case.bounds, "law 2: {:?}", approved.clamps());
    assert_eq!(approved.refusal().unwrap().guard, "confidence");
}

#[test]
fn a_growth_of_which_nothing_is_left_lowers_nothing() {
    let mut case = Case::raised();
    case.min_without_floor = Some(2);
    case.bounds = Bounds::new(8, 40).unwrap();
    let approved = case.approve(&Guards::default().with(StepLimit { up: 1.0, down: 0.5 }), 8, 12);
    assert_eq!((approved.replicas(), approved.change().new), (8, case.bounds), "law 6");
}

#[test]
fn a_decision_that_misstates_the_pods_is_refused_and_is_not_the_measure_of_anything() {
    let mut case = Case::raised();
    case.min_without_floor = Some(2);
    let approved = case.approve(&Guards::default(), 1, 1);
    assert_eq!(approved.refusal().unwrap().guard, "consistency");
    // The floor that has ended is given back by half of the 8 pods that are there, not of the one that was claimed.
    assert_eq!((approved.change().new.min(), approved.change().released), (4, 4));
}

#[test]
fn pods_that_are_asked_for_and_not_ready_are_let_go_like_any_other() {
    let mut case = Case { resting: Bounds::new(2, 20).unwrap(), ..Case::raised() };
    case.seen.current.current_pod_count = Some(2);
    for (asked, released) in [(Some(8), 6), (None, 6), (Some(5), 3)] {
        case.seen.current.desired_pod_count = asked;
        let current = case.seen.current.replicas().unwrap();
        case.min_without_floor = Some(2);
        let approved = case.approve(&Guards::only_hard_limits(), current, current);
        assert_eq!((approved.change().new.min(), approved.change().released), (2, released), "asked for {asked:?}");
    }
}

#[test]
fn a_chain_keeps_the_promise_for_a_guard_that_does_not() {
    struct Liar(Limit);
    impl Guard for Liar {
        fn name(&self) -> &'static str {
            "liar"
        }
        fn check(&self, _: &Change<'_>, _: &GuardContext<'_>) -> Verdict {
            Verdict::Limit { limit: self.0, why: "because".into() }
        }
    }
    let mut case = Case::raised();
    case.resources = Some(ResourceChange { cpu_percent: 10, memory_percent: -10 });
    for desired in [10, 8, 6] {
        let honest = case.approve(&Guards::only_hard_limits(), 8, desired);
        for says in [
            Limit::Replicas(90),
            Limit::Replicas(3),
            Limit::Replicas(8),
            Limit::Released(90),
            Limit::Released(0),
            Limit::Resources(ResourceChange { cpu_percent: 90, memory_percent: 90 }),
            Limit::Resources(ResourceChange { cpu_percent: -90, memory_percent: -90 }),
        ] {
            let approved = case.approve(&Guards::only_hard_limits().with(Liar(says)), 8, desired);
            let (low, high) = (desired.min(8), desired.max(8));
            let left = approved.replicas();
            assert!((low..=high).contains(&left), "8 to {desired}: a guard that says {says} made it {left}");
            let (new, most) = (approved.change(), honest.change());
            assert!(new.released <= most.released, "8 to {desired}: a guard that says {says} lets {} go", new.released);
            assert!(new.new.max() <= most.new.max().max(case.bounds.max()), "8 to {desired}, {says}");
            let resources = new.resources.unwrap_or_default();
            assert!((0..=10).contains(&resources.cpu_percent), "{says}: {resources:?}");
            assert!((-10..=0).contains(&resources.memory_percent), "{says}: {resources:?}");
        }
    }
}
