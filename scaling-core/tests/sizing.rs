//! From a decision to bounds, the memory rule, and the name of the capacity model.
#![allow(clippy::unwrap_used, clippy::float_cmp, missing_docs)]

use chrono::{DateTime, TimeDelta, Utc};
use scaling_core::conformance::engine::steady;
use scaling_core::{
    Bounds, BoundsPolicy, CapacityModel, Ceiling, Floor, GuardContext, Guards, HardLimits, HpaPlan, HpaState,
    LastChanges, MetricsHistory, Observation, Proposal, Reason, ResourceChange, RuleBasedEngine, ScalingAction,
    ScalingDecision, ScalingMetrics, Signal, SignalKind, Target, WorkloadFacts,
};

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn target() -> Target {
    Target::deployment("shop", "checkout").with_hpa("checkout-hpa")
}

// ---- bounds

#[derive(Default)]
struct Case {
    policy: BoundsPolicy,
    limits: Option<(u32, u32)>,
    resting: Option<(u32, u32)>,
    min_without_floor: Option<u32>,
    foreseen: bool,
    floor: u32,
    resources: Option<ResourceChange>,
    facts: WorkloadFacts,
}

fn bounds((min, max): (u32, u32)) -> Bounds {
    Bounds::new(min, max).unwrap()
}

impl Case {
    fn foreseen() -> Self {
        Self { foreseen: true, ..Self::default() }
    }

    fn resting(min: u32, max: u32) -> Self {
        Self { resting: Some((min, max)), ..Self::default() }
    }

    fn context<'a>(&'a self, target: &'a Target, observation: &'a Observation, old: (u32, u32)) -> GuardContext<'a> {
        let (least, most) = self.limits.unwrap_or((1, 1000));
        GuardContext {
            target,
            now: start(),
            observation: Some(observation),
            state: HpaState::new(bounds(old)).with_resting(bounds(self.resting.unwrap_or(old))),
            limits: HardLimits::new(least, most).unwrap(),
            policy: &self.policy,
            min_without_floor: self.min_without_floor,
            last: LastChanges::default(),
            released: &[],
        }
    }

    fn plan(&self, old: (u32, u32), pods: u32, wanted: u32) -> HpaPlan {
        let target = target();
        let metrics = ScalingMetrics::new(start(), pods);
        let observation = Observation::new(target.clone(), metrics).with_facts(self.facts.clone());
        let decision =
            ScalingDecision { foreseen: self.foreseen, ..ScalingDecision::replicas("test", start(), pods, wanted) };
        let window = Reason::Schedule { window: "day".into(), replicas: self.floor };
        let floor = Some(Floor::new(self.floor, window)).filter(|floor| floor.replicas > 0);
        let proposal = Proposal::decided(decision.with_resources(self.resources)).with_floor(floor);
        let context = self.context(&target, &observation, old);
        HpaPlan::of(&Guards::only_hard_limits().approve(proposal, &context))
    }

    fn bounds(&self, old: (u32, u32), pods: u32, wanted: u32) -> (u32, u32) {
        let plan = self.plan(old, pods, wanted);
        (plan.new_bounds().min(), plan.new_bounds().max())
    }
}

#[test]
fn scaling_up_from_3_to_6_within_2_to_6_gives_3_to_11() {
    assert_eq!(Case::default().bounds((2, 6), 3, 6), (3, 11));
}

#[test]
fn a_foreseen_request_holds_the_whole_floor() {
    assert_eq!(Case::foreseen().bounds((2, 6), 3, 6), (6, 11));
    assert_eq!(
        Case::foreseen().bounds((2, 20), 8, 6),
        (6, 20),
        "nobody who reacts can know that it is 6 and not fewer"
    );
    assert_eq!(Case::foreseen().bounds((2, 20), 6, 6), (6, 20));
}

#[test]
fn scaling_up_lowers_neither_a_higher_min_nor_a_higher_max() {
    for resting in [(5, 50), (1, 10)] {
        let case = Case::resting(resting.0, resting.1);
        assert_eq!(case.bounds((5, 50), 6, 8), (5, 50));
        assert!(case.plan((5, 50), 6, 8).is_empty());
    }
}

#[test]
fn scaling_down_gives_back_what_was_raised_and_raises_nothing() {
    let case = Case::resting(2, 6);
    assert_eq!(case.bounds((15, 40), 20, 10), (5, 20), "no pod leaves for the sake of the max");
    assert_eq!(case.bounds((15, 40), 12, 10), (5, 15), "room above what is wanted");
    assert_eq!(case.bounds((8, 12), 11, 10), (5, 12));
    assert_eq!(case.bounds((3, 40), 20, 10), (3, 20));
    assert_eq!(case.bounds((2, 40), 1, 0), (2, 6), "and no further than to the bounds of the owner");
    assert_eq!(Case { foreseen: true, ..Case::resting(2, 6) }.bounds((15, 40), 20, 10), (10, 20));
}

#[test]
fn bounds_at_rest_are_left_alone() {
    for (pods, wanted) in [(20, 10), (11, 10), (1, 0), (4, 4)] {
        assert!(Case::default().plan((2, 40), pods, wanted).is_empty(), "{pods} to {wanted}");
    }
}

#[test]
fn a_tight_ceiling_follows_the_request_below_the_bounds_of_the_owner() {
    let case = Case { policy: BoundsPolicy { ceiling: Ceiling::Follow, ..BoundsPolicy::default() }, ..Case::default() };
    assert_eq!(case.bounds((2, 40), 12, 10), (2, 15));
    assert_eq!(case.bounds((2, 40), 20, 10), (2, 20));
    assert_eq!(case.bounds((2, 15), 12, 20), (10, 25));
    assert_eq!(case.bounds((2, 40), 12, 20), (10, 40), "growth lowers nothing");
}

#[test]
fn exact_bounds_are_the_number_wanted() {
    let case = Case { policy: BoundsPolicy::exact(), ..Case::resting(2, 40) };
    for (old, pods, wanted) in [((2, 40), 8, 12), ((12, 12), 12, 5), ((5, 5), 5, 5)] {
        assert_eq!(case.bounds(old, pods, wanted), (wanted, wanted), "{pods} to {wanted}");
    }
    assert_eq!(Case { floor: 9, policy: BoundsPolicy::exact(), ..Case::default() }.bounds((5, 5), 5, 3), (9, 9));
}

#[test]
fn headroom_is_five_pods_or_a_quarter_whichever_is_more() {
    let case = Case::default();
    for (wanted, max) in [(2, 7), (19, 24), (20, 25), (21, 27), (40, 50), (100, 125)] {
        assert_eq!(case.bounds((1, 2), 1, wanted).1, max, "{wanted} wanted");
    }
}

#[test]
fn half_a_pod_of_floor_is_rounded_up() {
    assert_eq!(Case::default().bounds((1, 2), 1, 7).0, 4);
    assert_eq!(Case::resting(1, 20).bounds((9, 20), 10, 7).0, 4);
}

#[test]
fn maintaining_raises_nothing() {
    let plan = Case::default().plan((2, 6), 4, 4);
    assert!(plan.is_empty() && plan.new_bounds() == plan.old_bounds() && plan.to_string().is_empty());
    assert_eq!(Case::resting(1, 3).bounds((2, 6), 4, 4), (2, 6));
    assert_eq!(Case::resting(1, 3).bounds((4, 30), 4, 4), (2, 9), "what was raised and is not needed is given back");
}

#[test]
fn a_floor_moves_the_min_alone_and_is_given_back_to_what_it_was_without() {
    let floored = Case { floor: 8, ..Case::default() };
    let plan = floored.plan((2, 20), 5, 5);
    assert_eq!((plan.new_bounds(), plan.change().min_without_floor), (bounds((8, 20)), Some(2)));
    assert_eq!(floored.bounds((2, 6), 5, 5), (8, 8), "the max only where the min would pass it");
    assert_eq!(floored.plan((2, 20), 5, 9).change().min_without_floor, Some(5), "half of what was asked for");
    for (without, min) in [(2, 2), (4, 4), (6, 4)] {
        let ended = Case { min_without_floor: Some(without), ..Case::resting(2, 20) };
        assert_eq!(ended.bounds((8, 20), 8, 8), (min, 20), "{without} without the floor, half of 8 is needed");
        assert_eq!(ended.plan((8, 20), 8, 8).change().released, 8 - min);
        assert_eq!(ended.bounds((8, 20), 8, 9).0, 8, "not while more is wanted");
    }
}

#[test]
fn everything_is_clamped_to_the_hard_limits() {
    let mut case = Case { limits: Some((4, 9)), ..Case::default() };
    assert_eq!(case.bounds((4, 6), 5, 8), (4, 9));
    case = Case { limits: Some((6, 30)), ..Case::resting(1, 4) };
    assert_eq!(case.bounds((10, 30), 12, 8), (6, 13));
    case.limits = Some((0, 30));
    assert_eq!(case.bounds((1, 30), 3, 0), (1, 5));
    case.resting = Some((0, 4));
    assert_eq!(case.bounds((1, 30), 3, 0), (0, 5), "a host that allows none gets none");
}

#[test]
fn silly_policies_still_give_bounds() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 2.0, 1e300] {
        let mut case = Case::default();
        case.policy.floor_share = number;
        let (min, max) = case.bounds((2, 6), 3, 6);
        assert!((2..=6).contains(&min) && max == 11, "floor share {number}: {min}..{max}");
        case.resting = Some((1, 6));
        let (min, max) = case.bounds((10, 40), 12, 10);
        assert!((1..=10).contains(&min) && max == 15, "floor share {number}: {min}..{max}");
        let mut case = Case::default();
        case.policy.headroom_share = number;
        let (min, max) = case.bounds((2, 6), 3, 6);
        assert!(min == 3 && (11..=1000).contains(&max), "headroom {number}: {min}..{max}");
        case.policy.headroom_pods = u32::MAX;
        assert_eq!(case.bounds((2, 6), 3, 6), (3, 1000));
    }
}

#[test]
fn a_plan_reads_as_a_diff() {
    let resources = Some(ResourceChange { cpu_percent: 0, memory_percent: 25 });
    let plan = Case { resources, ..Case::default() }.plan((2, 6), 3, 6);
    assert_eq!(plan.to_string(), "minReplicas: 2 -> 3\nmaxReplicas: 6 -> 11\nrequests.memory: +25 %");
    assert_eq!(plan.to_string(), plan.change().to_string());
    assert_eq!(plan.target().hpa, "checkout-hpa");
}

#[test]
fn requests_change_by_percent_and_only_where_they_are_known() {
    let mut case = Case::default();
    case.facts.memory_request_bytes = Some(512 << 20);
    for (percent, bytes) in [(25, 640 << 20), (-50, 256 << 20), (-100, 0), (i32::MIN, 0), (0, 512 << 20)] {
        case.resources = Some(ResourceChange { cpu_percent: 10, memory_percent: percent });
        let (old, new) = case.plan((2, 6), 3, 3).requests().unwrap();
        assert_eq!((old.memory_bytes, new.memory_bytes), (Some(512 << 20), Some(bytes)), "{percent} %");
        assert_eq!((old.cpu_millicores, new.cpu_millicores), (None, None));
    }
    case.facts.memory_request_bytes = Some(u64::MAX);
    case.resources = Some(ResourceChange { cpu_percent: 0, memory_percent: i32::MAX });
    assert_eq!(case.plan((2, 6), 3, 3).requests().unwrap().1.memory_bytes, Some(u64::MAX), "no overflow");
    case.resources = None;
    assert_eq!(case.plan((2, 6), 3, 6).requests(), None);
}

// ---- the memory rule

fn decide(observation: &Observation) -> ScalingDecision {
    RuleBasedEngine::default().evaluate(observation).unwrap()
}

/// An hour of these values, the request rate multiplied by `growth` from its beginning to its end.
fn hour(pods: u32, cpu: Option<f64>, memory: f64, growth: f64, minutes: i64) -> Observation {
    let sample = |minute: i64| {
        let share = f64::from(u32::try_from(minute).unwrap()) / 60.0;
        let metrics = ScalingMetrics::new(start() - TimeDelta::minutes(minute), pods)
            .with(SignalKind::MemoryUtilization, memory)
            .with(SignalKind::RequestRate, f64::from(pods) * 100.0 * (growth - (growth - 1.0) * share))
            .with(SignalKind::ResponseTime, 40.0)
            .with(SignalKind::ErrorRate, 0.0);
        match cpu {
            Some(cpu) => metrics.with(SignalKind::CpuUtilization, cpu),
            None => metrics,
        }
    };
    let (history, _) = MetricsHistory::from_unordered((1..=minutes).map(sample).collect());
    Observation::new(target(), sample(0)).with_history(history)
}

#[test]
fn memory_under_pressure_with_flat_load_asks_for_bigger_pods() {
    for (memory, percent) in [(85.0, 25), (87.5, 25), (88.0, 50), (92.0, 50), (105.0, 50), (105.1, 75)] {
        for minutes in [0, 60] {
            let decision = decide(&hour(4, Some(40.0), memory, 1.0, minutes));
            let resources = decision.resources.map(|change| (change.cpu_percent, change.memory_percent));
            assert_eq!(resources, Some((0, percent)), "{memory} % for {minutes} minutes: {decision:?}");
            assert_eq!((decision.action(), decision.desired_replicas), (ScalingAction::ScaleUpVertical, 4));
            assert!(decision.reasons.iter().any(|reason| matches!(reason, Reason::MemoryPressure { .. })));
        }
    }
}

#[test]
fn memory_below_pressure_asks_for_nothing() {
    for memory in [70.0, 80.0, 84.9] {
        let decision = decide(&hour(4, Some(60.0), memory, 1.0, 60));
        assert_eq!((decision.action(), decision.resources), (ScalingAction::Maintain, None), "{memory} %");
    }
}

#[test]
fn memory_that_rises_with_load_asks_for_more_pods() {
    let mut observation = hour(4, Some(60.0), 95.0, 3.0, 60);
    let past = observation.history.iter().map(|sample| {
        let rate = sample.value(SignalKind::RequestRate).unwrap();
        sample.with(SignalKind::MemoryUtilization, 95.0 * rate / 1200.0)
    });
    observation = observation.clone().with_history(MetricsHistory::from_unordered(past.collect()).0);
    let decision = decide(&observation);
    assert_eq!((decision.action(), decision.resources), (ScalingAction::ScaleUpHorizontal, None), "{decision:?}");
    // 95 % of 4 pods at no more than 80 % each.
    assert!(decision.desired_replicas >= 5);
}

#[test]
fn memory_that_stays_while_load_rises_asks_for_bigger_pods_whatever_the_load_asks_for() {
    let decision = decide(&hour(4, Some(60.0), 95.0, 3.0, 60));
    assert_eq!(decision.resources.map(|change| change.memory_percent), Some(50), "{decision:?}");
    assert!(decision.grows(), "the load has tripled");
}

#[test]
fn memory_under_pressure_with_full_cpu_asks_for_more_pods() {
    let decision = decide(&hour(4, Some(90.0), 95.0, 1.0, 60));
    assert_eq!((decision.action(), decision.resources), (ScalingAction::ScaleUpHorizontal, None), "{decision:?}");
}

#[test]
fn memory_holds_a_shrink_at_its_ceiling() {
    // CPU would do with one pod; memory of 6 pods at 40 % needs 3 at no more than 80 %.
    let decision = decide(&hour(6, Some(6.0), 40.0, 1.0, 120));
    assert_eq!((decision.action(), decision.desired_replicas), (ScalingAction::ScaleDownHorizontal, 3), "{decision:?}");
}

// ---- the name of the capacity model

#[derive(Debug, PartialEq)]
struct Capacity(CapacityModel, Option<SignalKind>, Option<f64>, u32);

fn capacity(observation: &Observation) -> Capacity {
    let decision = decide(observation);
    let found = decision.reasons.iter().filter_map(|reason| match reason {
        Reason::Capacity { model, load, per_pod, samples, .. } => Some(Capacity(*model, *load, *per_pod, *samples)),
        _ => None,
    });
    let mut found: Vec<_> = found.collect();
    assert_eq!(found.len(), 1, "every decision names one capacity model: {:?}", decision.reasons);
    found.remove(0)
}

fn declared(mut observation: Observation, per_pod: f64) -> Observation {
    observation.facts.pod_capacity = Some(per_pod);
    observation
}

/// Without a signal, now and ever.
fn without(observation: &Observation, kinds: &[SignalKind]) -> Observation {
    let strip = |mut sample: ScalingMetrics| {
        for kind in kinds {
            sample.set(*kind, Signal::NOT_MEASURED);
        }
        sample
    };
    let past = observation.history.iter().map(strip).collect();
    let mut stripped = observation.clone().with_history(MetricsHistory::from_unordered(past).0);
    stripped.current = strip(stripped.current);
    stripped
}

const RATE: Option<SignalKind> = Some(SignalKind::RequestRate);
const CONNECTIONS: Option<SignalKind> = Some(SignalKind::ActiveConnections);

#[test]
fn capacity_with_history_is_learnt() {
    let Capacity(model, load, per_pod, samples) = capacity(&steady(3, 60));
    assert_eq!((model, load), (CapacityModel::Learnt, RATE));
    assert!((190.0..210.0).contains(&per_pod.unwrap()) && samples > 30, "{per_pod:?} from {samples}");
}

#[test]
fn capacity_without_history_is_not_called_learnt_from_history() {
    // 303 requests a second on 3 pods at 47 %.
    let mut alone = steady(3, 0);
    alone.current = alone.current.with(SignalKind::RequestRate, 300.0).with(SignalKind::CpuUtilization, 50.0);
    assert_eq!(capacity(&alone), Capacity(CapacityModel::UtilizationRatio, RATE, Some(200.0), 1));
}

#[test]
fn capacity_without_history_of_an_overloaded_moment_is_its_ratio() {
    let mut full = steady(3, 0);
    full.current = full.current.with(SignalKind::RequestRate, 285.0).with(SignalKind::CpuUtilization, 95.0);
    let Capacity(model, load, per_pod, samples) = capacity(&full);
    assert_eq!((model, load, samples), (CapacityModel::UtilizationRatio, RATE, 1));
    assert!((per_pod.unwrap() - 100.0).abs() < 1e-9);
}

#[test]
fn capacity_that_the_host_declares_is_declared() {
    for minutes in [0, 60] {
        let found = capacity(&declared(steady(3, minutes), 150.0));
        assert_eq!(found, Capacity(CapacityModel::Declared, RATE, Some(150.0), 0));
    }
}

#[test]
fn capacity_that_cannot_be_is_not_taken_from_the_host() {
    for odd in [f64::NAN, f64::INFINITY, 0.0, -0.0, -5.0] {
        assert_eq!(capacity(&declared(steady(3, 60), odd)).0, CapacityModel::Learnt, "{odd}");
    }
}

#[test]
fn capacity_declared_for_requests_does_not_count_for_connections() {
    let only = without(&steady(3, 60), &[SignalKind::RequestRate]);
    let Capacity(model, load, per_pod, _) = capacity(&declared(only, 150.0));
    assert_eq!((model, load), (CapacityModel::Learnt, CONNECTIONS));
    assert!(per_pod.unwrap() < 60.0, "20 connections a pod at 50 %: {per_pod:?}");
}

#[test]
fn capacity_of_connections_only_is_learnt_from_them() {
    let kinds = [SignalKind::RequestRate, SignalKind::ResponseTime, SignalKind::QueueDepth, SignalKind::ErrorRate];
    let Capacity(model, load, per_pod, _) = capacity(&without(&steady(3, 60), &kinds));
    assert_eq!((model, load), (CapacityModel::Learnt, CONNECTIONS));
    assert!((25.0..60.0).contains(&per_pod.unwrap()), "{per_pod:?}");
}

#[test]
fn capacity_without_any_load_signal_is_unknown() {
    let kinds = [SignalKind::RequestRate, SignalKind::ActiveConnections];
    for minutes in [0, 60] {
        let found = capacity(&declared(without(&steady(3, minutes), &kinds), 150.0));
        assert_eq!(found, Capacity(CapacityModel::Unknown, None, None, 0));
    }
    assert_eq!(capacity(&Observation::new(target(), ScalingMetrics::new(start(), 3))).0, CapacityModel::Unknown);
}

#[test]
fn capacity_without_cpu_lies_between_the_healthy_and_the_unhealthy_load() {
    // 100 requests a second and pod went well; 400 failed.
    let sample = |minute: i64| {
        let (rate, errors) = if minute == 0 { (1200.0, 8.0) } else { (300.0, 0.0) };
        ScalingMetrics::new(start() - TimeDelta::minutes(minute), 3)
            .with(SignalKind::RequestRate, rate)
            .with(SignalKind::ErrorRate, errors)
    };
    let (history, _) = MetricsHistory::from_unordered((1..30).map(sample).collect());
    let Capacity(model, load, per_pod, _) = capacity(&Observation::new(target(), sample(0)).with_history(history));
    assert_eq!((model, load), (CapacityModel::HealthLimit, RATE));
    assert!((per_pod.unwrap() - 200.0 / 0.7).abs() < 1e-9, "the geometric mean is what 70 % carries: {per_pod:?}");
}

#[test]
fn capacity_without_cpu_and_without_trouble_is_unknown() {
    let calm = without(&steady(3, 60), &[SignalKind::CpuUtilization]);
    assert_eq!(capacity(&calm), Capacity(CapacityModel::Unknown, RATE, None, 0));
}
