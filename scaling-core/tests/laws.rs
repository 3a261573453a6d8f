//! The laws of the design, each as a property of arbitrary observations, decisions, guards, limits and policies.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use scaling_core::conformance::engine::{losses, steady};
use scaling_core::{
    Absence, AbsenceGuard, Applied, ApplyError, ApplyMode, Approved, Autoscaler, Bounds, BoundsPolicy, Ceiling, Change,
    Confidence, ConfidenceGate, Cooldown, Currency, DecisionEngine, DecisionRecord, EngineError, EngineExt, Ensemble,
    Floor, Freshness, Guard, GuardContext, Guards, HardLimits, HpaApplier, HpaPlan, HpaState, LastChanges, Limit,
    LoadForecast, MAX_REPLICAS, MemoryApplier, MemorySource, MetricsHistory, MetricsSource, NoForecast, Observation,
    Outcome, PlannedEvent, Price, Proposal, Reason, RemovalBudget, ResourceChange, ResourceLimits, RuleBasedEngine,
    RuleConfig, ScalingAction, ScalingDecision, ScalingMetrics, Signal, SignalKind, SignalSet, SourceError, Step,
    StepLimit, Target, Timing, Unchanged, Urgency, Verdict, WorkloadFacts,
};

/// The same cases every time, unless the environment asks for others.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(0x5ca1_ab1e);
    }
    config
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn target() -> Target {
    Target::deployment("shop", "checkout").with_hpa("checkout-hpa")
}

// ---- arbitrary input

const ODD: [f64; 12] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    -1.0,
    -0.0,
    0.0,
    f64::MIN_POSITIVE,
    1e-300,
    101.0,
    1e6,
    1e12,
    f64::MAX,
];

/// A workload that behaves: its size, the level of each signal, and the time between two samples.
#[derive(Clone, Debug)]
struct Shape {
    pods: u32,
    levels: [f64; 7],
    spacing_s: u32,
    drift: f64,
    wild: bool,
}

fn shape() -> impl Strategy<Value = Shape> {
    let pods = prop_oneof![4 => 1_u32..40, 1 => Just(0), 1 => Just(1), 1 => 0_u32..=1_000_000];
    let cpu = prop_oneof![2 => 1.0..40.0, 2 => 40.0..85.0, 1 => 85.0..130.0];
    let memory = prop_oneof![3 => 5.0..70.0, 1 => 70.0..110.0];
    let rate = prop_oneof![4 => 1.0..5000.0, 1 => 0.0..1e9];
    let errors = prop_oneof![3 => 0.0..0.9, 1 => 0.0..100.0];
    let queue = prop_oneof![3 => 0.0..5.0, 1 => 0.0..1e6];
    let levels = (cpu, memory, rate, 1.0..500.0, errors, 0.0..5000.0, queue);
    (pods, levels, 1_u32..4000, 0.3..3.0, prop::bool::weighted(0.25)).prop_map(|(pods, l, spacing_s, drift, wild)| {
        Shape { pods, levels: [l.0, l.1, l.2, l.3, l.4, l.5, l.6], spacing_s, drift, wild }
    })
}

/// Codes are cheap to draw and to shrink: 0 is the level itself.
fn sample(shape: &Shape, part: f64, at: DateTime<Utc>, codes: [u16; 8]) -> ScalingMetrics {
    let mut metrics = ScalingMetrics::new(at, shape.pods);
    if codes[7] % 32 == 31 {
        metrics.current_pod_count = None;
    } else if shape.wild && codes[7] % 4 == 3 {
        metrics.current_pod_count = Some(u32::from(codes[7]) * 15);
    }
    for (kind, (level, code)) in SignalKind::ALL.into_iter().zip(shape.levels.into_iter().zip(codes)) {
        let moved = if kind.is_extensive() { level * (1.0 + (shape.drift - 1.0) * part) } else { level };
        let noisy = moved * (1.0 + 0.1 * f64::from(code % 1000) / 1000.0);
        metrics = match code % 29 {
            27 if shape.wild => metrics.with(kind, ODD[usize::from(code) / 29 % ODD.len()]),
            28 => metrics.without(kind, Absence::NotMeasured),
            _ => metrics.with(kind, noisy),
        };
    }
    metrics
}

fn facts() -> impl Strategy<Value = WorkloadFacts> {
    let capacity = prop_oneof![5 => Just(None), 1 => (0.1..500.0).prop_map(Some), 1 => prop::sample::select(&ODD[..]).prop_map(Some)];
    (0_u64..900, 0_u64..120, capacity, -43_200_i32..43_200, prop::option::of(1_u64..100_000)).prop_map(
        |(start_up, lag, capacity, offset, request)| {
            let mut facts = WorkloadFacts::default();
            facts.start_up = Duration::from_secs(start_up);
            facts.metrics_lag = Duration::from_secs(lag);
            facts.pod_capacity = capacity;
            facts.utc_offset_seconds = offset;
            facts.cpu_request_millicores = request;
            facts
        },
    )
}

/// What is expected of the load, or why it is not known, or nothing.
fn forecast() -> impl Strategy<Value = Option<Result<LoadForecast, NoForecast>>> {
    let load = prop_oneof![4 => 0.0..1e5, 1 => prop::sample::select(&ODD[..])];
    let some = load.prop_map(|expected| {
        Ok(LoadForecast { signal: SignalKind::RequestRate, observed: 1.0, expected, quantile: 0.95, ahead_s: 105.0 })
    });
    prop_oneof![4 => Just(None), 1 => some.prop_map(Some), 1 => Just(Some(Err(NoForecast::TooShort)))]
}

/// What the source declares: nothing, everything, or some.
fn declared() -> impl Strategy<Value = Option<SignalSet>> {
    let some = any::<[bool; 7]>().prop_map(|chosen| {
        Some(SignalKind::ALL.into_iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(kind, _)| kind).collect())
    });
    prop_oneof![3 => Just(None), 1 => Just(Some(SignalSet::ALL)), 1 => some]
}

fn event() -> impl Strategy<Value = PlannedEvent> {
    (-7200_i64..7200, 1_i64..7200, 0.01..5.0).prop_map(|(from, length, factor)| {
        let begin = start() + TimeDelta::seconds(from);
        PlannedEvent::new("sale", begin, begin + TimeDelta::seconds(length), factor).unwrap()
    })
}

/// Up to 200 samples of the past in any order, some twice, some later than the present; the present is at [`start`].
fn observation() -> impl Strategy<Value = Observation> {
    let past = prop::collection::vec((0_u32..220, any::<[u16; 8]>()), 0..200);
    let asked = prop_oneof![3 => Just(None), 1 => (0_u32..80).prop_map(Some)];
    let more = (facts(), prop::collection::vec(event(), 0..2), forecast(), declared());
    (shape(), past, any::<[u16; 8]>(), asked, more).prop_map(
        |(shape, past, present, asked, (facts, events, forecast, declared))| {
            let samples = past.iter().map(|(slot, codes)| {
                let back = i64::from(*slot) - 10;
                let at = start() - TimeDelta::seconds(back * i64::from(shape.spacing_s));
                sample(&shape, 1.0 - f64::from(*slot) / 220.0, at, *codes)
            });
            let (history, _) = MetricsHistory::from_unordered(samples.collect());
            let mut present = sample(&shape, 1.0, start(), present);
            // The case without a pod count has a test of its own.
            present.desired_pod_count = asked;
            if asked.is_none() {
                present.current_pod_count = present.current_pod_count.or(Some(shape.pods));
            }
            let seen = Observation::new(target(), present).with_history(history).with_facts(facts).with_events(events);
            Observation { forecast, declared, ..seen }
        },
    )
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let size = || prop_oneof![4 => 0_u32..50, 1 => 0_u32..=1_000_000, 1 => Just(MAX_REPLICAS)];
    (size(), size()).prop_map(|(a, b)| Bounds::new(a.min(b), a.max(b).max(1)).unwrap())
}

fn limits() -> impl Strategy<Value = HardLimits> {
    prop_oneof![
        2 => Just(HardLimits::default()),
        1 => Just(HardLimits::new(0, MAX_REPLICAS).unwrap()),
        3 => bounds().prop_map(|bounds| HardLimits::new(bounds.min(), bounds.max()).unwrap()),
    ]
}

/// Hard limits, and an HPA that lies within them more often than not.
fn world() -> impl Strategy<Value = (HardLimits, Bounds)> {
    (limits(), bounds(), prop::bool::weighted(0.8)).prop_map(|(limits, bounds, inside)| {
        let hard = limits.bounds();
        let within = Bounds::new(hard.clamp(bounds.min()), hard.clamp(bounds.max()));
        (limits, if inside { within.unwrap_or(bounds) } else { bounds })
    })
}

/// An HPA within the limits, and bounds of its owner that we have raised, or left as they were.
fn raised() -> impl Strategy<Value = (HardLimits, HpaState)> {
    (world(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |((limits, bounds), min, max, raised)| {
            let below = |index: prop::sample::Index, bound: u32| {
                u32::try_from(index.index(usize::try_from(bound).unwrap() + 1)).unwrap()
            };
            let min = below(min, bounds.min());
            let resting = Bounds::new(min, min + below(max, bounds.max() - min)).unwrap_or(bounds);
            (limits, HpaState::new(bounds).with_resting(if raised { resting } else { bounds }))
        },
    )
}

fn floor() -> impl Strategy<Value = Option<Floor>> {
    let size = prop_oneof![4 => 0_u32..60, 1 => any::<u32>()];
    let until = prop::option::of(-600_i64..600);
    let floor = (size, until).prop_map(|(replicas, until)| {
        let floor = Floor::new(replicas, Reason::Schedule { window: "day".into(), replicas });
        match until {
            Some(seconds) => floor.until(start() + TimeDelta::seconds(seconds)),
            None => floor,
        }
    });
    prop::option::weighted(0.3, floor)
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![3 => 0.0..4.0, 1 => prop::sample::select(&ODD[..])]
}

fn policy() -> impl Strategy<Value = BoundsPolicy> {
    let ceiling = prop::sample::select(&[Ceiling::Rest, Ceiling::Follow][..]);
    let silly = (number(), prop_oneof![0_u32..20, any::<u32>()], number(), ceiling, prop::bool::weighted(0.2))
        .prop_map(|(floor_share, headroom_pods, headroom_share, ceiling, floors_only)| BoundsPolicy {
            floor_share,
            headroom_pods,
            headroom_share,
            ceiling,
            exact: false,
            floors_only,
        });
    prop_oneof![Just(BoundsPolicy::default()), silly]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![4 => (0_u64..7200).prop_map(Duration::from_secs), 1 => Just(Duration::ZERO), 1 => Just(Duration::MAX)]
}

/// A guard of a host that does not keep the promise: it answers with anything.
struct Any(Limit);

impl Guard for Any {
    fn name(&self) -> &'static str {
        "any"
    }
    fn check(&self, _: &Change<'_>, _: &GuardContext<'_>) -> Verdict {
        Verdict::Limit { limit: self.0, why: "no reason".into() }
    }
}

/// The parts of a chain, so that the same chain can be built twice.
#[derive(Clone, Debug)]
struct Chain {
    silly: bool,
    up: f64,
    down: f64,
    min: f64,
    durations: [Duration; 4],
    budget: u32,
    any: Option<Limit>,
}

impl Chain {
    fn guards(&self) -> Guards {
        let guards = if self.silly {
            let [age, skew, resize, down] = self.durations;
            Guards::only_hard_limits()
                .with(StepLimit { up: self.up, down: self.down })
                .with(AbsenceGuard)
                .with(ConfidenceGate { min: self.min })
                .with(Cooldown { down, down_foreseen: resize, slight: self.min, down_idle: skew, resize })
                .with(Freshness { max_age: age, max_skew: skew })
                .with(ResourceLimits { up_percent: self.budget, ..ResourceLimits::default() })
                .with(RemovalBudget::new(self.budget, down.min(RemovalBudget::LONGEST_WINDOW)).unwrap())
        } else {
            Guards::default().with(ConfidenceGate { min: 0.0 })
        };
        match self.any {
            Some(limit) => guards.with(Any(limit)),
            None => guards,
        }
    }
}

fn chain() -> impl Strategy<Value = Chain> {
    let size = || prop_oneof![1 => 0_u32..60, 1 => any::<u32>()];
    let percent = (any::<i32>(), any::<i32>());
    let liar = prop_oneof![
        8 => Just(None),
        1 => size().prop_map(|pods| Some(Limit::Replicas(pods))),
        1 => size().prop_map(|pods| Some(Limit::Released(pods))),
        1 => percent.prop_map(|(cpu_percent, memory_percent)| {
            Some(Limit::Resources(ResourceChange { cpu_percent, memory_percent }))
        }),
    ];
    (any::<bool>(), number(), number(), number(), [duration(), duration(), duration(), duration()], 0_u32..200, liar)
        .prop_map(|(silly, up, down, min, durations, budget, any)| Chain {
            silly,
            up,
            down,
            min,
            durations,
            budget,
            any,
        })
}

/// What an engine without manners may say: the counts need not agree with the world.
#[derive(Clone, Debug)]
struct Says {
    current: Option<u32>,
    desired: u32,
    foreseen: bool,
    floor: Option<Floor>,
    resources: Option<ResourceChange>,
    timing: Timing,
    urgency: Urgency,
    confidence: f64,
}

#[async_trait]
impl DecisionEngine for Says {
    fn name(&self) -> &'static str {
        "says"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let pods = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        Ok(self.decision(self.current.unwrap_or(pods), observation.current.timestamp))
    }
}

impl Says {
    fn pods(desired: u32, confidence: f64) -> Self {
        Self {
            current: None,
            desired,
            foreseen: false,
            floor: None,
            resources: None,
            timing: Timing::Now,
            urgency: Urgency::Normal,
            confidence,
        }
    }

    fn decision(&self, current: u32, at: DateTime<Utc>) -> ScalingDecision {
        ScalingDecision {
            foreseen: self.foreseen,
            floor: self.floor.clone(),
            resources: self.resources,
            timing: self.timing,
            urgency: self.urgency,
            confidence: Confidence::new(self.confidence),
            ..ScalingDecision::replicas("says", at, current, self.desired)
        }
    }
}

/// Any answer about the pods that are there; a plain one asks for pods and for nothing else.
fn says(plain: bool) -> impl Strategy<Value = Says> {
    let size = prop_oneof![4 => 0_u32..60, 1 => 0_u32..=1_000_000, 1 => any::<u32>()];
    let percent = || prop_oneof![2 => -60_i32..100, 1 => any::<i32>()];
    let change =
        (percent(), percent()).prop_map(|(cpu_percent, memory_percent)| ResourceChange { cpu_percent, memory_percent });
    (
        (size, prop::bool::weighted(0.2), floor()),
        prop::option::weighted(0.2, change),
        prop::sample::select(&[Timing::Now, Timing::Scheduled, Timing::Event][..]),
        prop::sample::select(&[Urgency::Low, Urgency::Normal, Urgency::High, Urgency::Critical][..]),
        prop_oneof![3 => 0.7..1.0, 1 => number()],
    )
        .prop_map(move |((desired, foreseen, floor), resources, timing, urgency, confidence)| Says {
            current: None,
            desired,
            foreseen: foreseen && !plain,
            floor: floor.filter(|_| !plain),
            resources: resources.filter(|_| !plain),
            timing,
            urgency,
            confidence,
        })
}

// ---- the path

struct World<'a> {
    target: &'a Target,
    observation: &'a Observation,
    limits: HardLimits,
    state: HpaState,
    policy: &'a BoundsPolicy,
}

impl World<'_> {
    fn approve(&self, guards: &Guards, decision: ScalingDecision) -> Approved {
        let context = GuardContext {
            target: self.target,
            now: start(),
            observation: Some(self.observation),
            state: self.state,
            limits: self.limits,
            policy: self.policy,
            min_without_floor: None,
            last: LastChanges::default(),
            released: &[],
        };
        guards.approve(Proposal::decided(decision), &context)
    }
}

/// An HPA in memory, what its owner set, and what it was asked to do.
struct Spy {
    hpas: MemoryApplier,
    resting: Bounds,
    asked: Mutex<Vec<(HpaPlan, ApplyMode)>>,
}

#[async_trait]
impl HpaApplier for Spy {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        Ok(self.hpas.current(target).await?.with_resting(self.resting))
    }
    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        self.asked.lock().unwrap().push((plan.clone(), mode));
        self.hpas.apply(plan, mode).await
    }
}

struct Tick {
    record: DecisionRecord,
    after: Bounds,
    asked: Vec<(HpaPlan, ApplyMode)>,
}

struct Setup {
    guards: Guards,
    policy: BoundsPolicy,
    limits: HardLimits,
    state: HpaState,
    mode: ApplyMode,
}

impl Setup {
    fn new((limits, state): (HardLimits, HpaState)) -> Self {
        let guards = Guards::default().with(ConfidenceGate { min: 0.0 });
        Self { guards, policy: BoundsPolicy::default(), limits, state, mode: ApplyMode::Apply }
    }

    fn tick(self, engine: impl DecisionEngine + 'static, observation: &Observation) -> Tick {
        let source = MemorySource::new();
        source.put(target(), observation.clone());
        self.tick_from(source, engine)
    }

    fn tick_from(self, source: impl MetricsSource + 'static, engine: impl DecisionEngine + 'static) -> Tick {
        let hpas = MemoryApplier::new().with(target(), self.state.bounds);
        let spy = Arc::new(Spy { hpas, resting: self.state.resting, asked: Mutex::default() });
        let autoscaler = Autoscaler::builder()
            .source(source)
            .engine(engine)
            .guards(self.guards)
            .policy(self.policy)
            .limits(self.limits)
            .applier(Arc::clone(&spy))
            .mode(self.mode)
            .build();
        let record = block_on(autoscaler.tick(&target(), start())).unwrap();
        let after = spy.hpas.bounds(&target()).unwrap();
        let asked = spy.asked.lock().unwrap().clone();
        Tick { record, after, asked }
    }
}

fn inside(limits: HardLimits, bounds: Bounds) -> bool {
    limits.bounds().contains(bounds) && bounds.min() <= bounds.max() && bounds.max() >= 1
}

fn lowers(old: Bounds, new: Bounds) -> bool {
    new.min() < old.min() || new.max() < old.max()
}

fn raises(old: Bounds, new: Bounds) -> bool {
    new.min() > old.min() || new.max() > old.max()
}

// ---- is the input worth the name?

#[test]
fn the_arbitrary_observations_reach_every_kind_of_decision() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::new(config());
    let mut counts = [0; 4];
    for _ in 0..512 {
        let observation = observation().new_tree(&mut runner).unwrap().current();
        match RuleBasedEngine::default().evaluate(&observation).unwrap().action() {
            ScalingAction::Maintain => counts[0] += 1,
            ScalingAction::ScaleUpHorizontal => counts[1] += 1,
            ScalingAction::ScaleDownHorizontal => counts[2] += 1,
            ScalingAction::ScaleUpVertical | ScalingAction::ScaleDownVertical => counts[3] += 1,
        }
    }
    assert!(counts.into_iter().all(|count| count >= 5), "maintain, up, down, vertical: {counts:?}");
}

proptest! {
    #![proptest_config(config())]

    // ---- law 1: bounds

    #[test]
    fn law_1_bounds_of_every_plan_lie_within_the_hard_limits(
        seen in observation(), world in raised(), chain in chain(), policy in policy(), says in says(false),
    ) {
        let target = target();
        let world = World { target: &target, observation: &seen, limits: world.0, state: world.1, policy: &policy };
        let decision = says.decision(seen.current.replicas().unwrap(), start());
        let plan = HpaPlan::of(&world.approve(&chain.guards(), decision));
        prop_assert_eq!((plan.target(), plan.old_bounds()), (&target, world.state.bounds));
        if plan.new_bounds() != plan.old_bounds() {
            prop_assert!(inside(world.limits, plan.new_bounds()), "{} beyond {}", plan.new_bounds(), world.limits);
        }
    }

    #[test]
    fn law_1_bounds_of_every_tick_lie_within_the_hard_limits(
        seen in observation(), world in raised(), chain in chain(), policy in policy(), says in says(false), rules in any::<bool>(),
    ) {
        let setup = Setup { guards: chain.guards(), policy, ..Setup::new(world) };
        let tick = if rules { setup.tick(RuleBasedEngine::default(), &seen) } else { setup.tick(says, &seen) };
        if tick.after != world.1.bounds {
            prop_assert!(inside(world.0, tick.after), "{} beyond {}", tick.after, world.0);
        }
        if let Some(change) = tick.record.change {
            prop_assert!(change.new == change.old || inside(world.0, change.new));
        }
    }

    // ---- law 2: absence never shrinks

    #[test]
    fn law_2_absence_never_shrinks_the_wish_of_the_rules(seen in observation()) {
        let engine = RuleBasedEngine::default();
        let before = engine.evaluate(&seen).unwrap();
        let least = before.desired_replicas.min(before.current_replicas);
        for (kind, absence) in losses(&seen) {
            let mut blind = seen.clone().declaring(seen.declared().with(kind));
            blind.current.set(kind, Signal::Absent(absence));
            let after = engine.evaluate(&blind).unwrap();
            prop_assert!(after.desired_replicas >= least, "{} {}: {} of {}, before {}",
                kind, absence, after.desired_replicas, after.current_replicas, before.desired_replicas);
        }
    }

    #[test]
    fn law_2_absence_of_several_signals_at_once_never_shrinks(seen in observation(), which in any::<[bool; 7]>()) {
        let engine = RuleBasedEngine::default();
        let before = engine.evaluate(&seen).unwrap();
        let mut blind = seen.clone().declaring(SignalSet::ALL);
        for (kind, lost) in SignalKind::ALL.into_iter().zip(which) {
            if lost {
                blind.current.set(kind, Signal::Absent(Absence::NotFinite));
            }
        }
        let after = engine.evaluate(&blind).unwrap();
        prop_assert!(after.desired_replicas >= before.desired_replicas.min(before.current_replicas));
    }

    #[test]
    fn law_2_absence_lowers_no_bound_whoever_decides(
        seen in observation(), world in raised(), policy in policy(), says in says(false), rules in any::<bool>(), nth in any::<prop::sample::Index>(),
    ) {
        let lost = losses(&seen);
        let (kind, absence) = lost[nth.index(lost.len())];
        let mut blind = seen.clone().declaring(seen.declared().with(kind));
        blind.current.set(kind, Signal::Absent(absence));
        prop_assume!(blind.absences().next().is_some());
        let setup = Setup { policy, ..Setup::new(world) };
        let tick = if rules { setup.tick(RuleBasedEngine::default(), &blind) } else { setup.tick(says, &blind) };
        let old = world.1.bounds;
        prop_assert!(!lowers(old, tick.after), "{} {}: {} became {}, {:?}", kind, absence, old, tick.after, tick.record);
    }

    #[test]
    fn law_2_a_lost_pod_count_leaves_the_workload_alone(seen in observation(), world in raised()) {
        let mut blind = seen;
        (blind.current.current_pod_count, blind.current.desired_pod_count) = (None, None);
        let tick = Setup::new(world).tick(RuleBasedEngine::default(), &blind);
        prop_assert_eq!(tick.after, world.1.bounds);
        let alone = matches!(tick.record.outcome, Outcome::Failed { step: Step::Decide, .. });
        prop_assert!(alone, "{:?}", tick.record.outcome);
        prop_assert!(tick.asked.is_empty());
    }

    // ---- law 3: dry run is dry

    #[test]
    fn law_3_dry_runs_change_neither_the_cluster_nor_the_plan(
        seen in observation(), world in raised(), policy in policy(), says in says(false), server in any::<bool>(),
    ) {
        let mode = if server { ApplyMode::ServerDryRun } else { ApplyMode::Plan };
        let wet = Setup { policy, ..Setup::new(world) }.tick(says.clone(), &seen);
        let dry = Setup { policy, mode, ..Setup::new(world) }.tick(says, &seen);
        prop_assert_eq!(dry.after, world.1.bounds);
        prop_assert_eq!(dry.record.change, wet.record.change, "a dry run shows what would be done");
        for (plan, asked) in dry.asked {
            prop_assert_eq!(asked, ApplyMode::ServerDryRun, "a plan leaves the process only for the server's dry run");
            prop_assert!(server);
            let applier = MemoryApplier::new().with(target(), world.1.bounds);
            let copy = plan.clone();
            for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun] {
                block_on(applier.apply(&plan, mode)).unwrap();
                prop_assert_eq!(applier.bounds(&target()), Some(world.1.bounds));
                prop_assert!(applier.resources(&target()).is_empty());
            }
            prop_assert_eq!(plan, copy);
        }
    }

    // ---- law 4: only the approved is applied

    #[test]
    fn law_4_what_is_applied_is_what_the_guards_left_of_the_wish(
        seen in observation(), world in raised(), chain in chain(), policy in policy(), says in says(false),
    ) {
        let tick = Setup { guards: chain.guards(), policy, ..Setup::new(world) }.tick(says, &seen);
        match &tick.record.outcome {
            Outcome::Refused { .. } | Outcome::Unchanged { .. } => {
                prop_assert!(tick.asked.is_empty(), "refused, and yet sent to the applier");
                prop_assert_eq!(tick.after, world.1.bounds);
            }
            _ => {
                prop_assert_eq!(tick.asked.len(), 1);
                for (plan, _) in &tick.asked {
                    prop_assert_eq!(Some(plan.change()), tick.record.change);
                    prop_assert_eq!(plan.target(), &target());
                }
            }
        }
    }

    #[test]
    fn law_4_no_engine_gets_round_the_step_limit_by_misstating_the_pods(
        mut says in says(false), claimed in 1_u32..50, minutes in 0_u32..30, bounds in (1_u32..100, 100_u32..200),
    ) {
        let pods = 100;
        says.current = Some(claimed);
        let (old, resting) = (Bounds::new(bounds.0, bounds.1).unwrap(), Bounds::new(1, 1).unwrap());
        says.floor = None;
        let state = HpaState::new(old).with_resting(resting);
        let tick = Setup::new((HardLimits::default(), state)).tick(says, &steady(pods, minutes).with_now());
        prop_assert_eq!(tick.after, old, "an engine that claims {} of {} pods moved the bounds", claimed, pods);
    }

    // ---- law 5: same input, same bytes

    #[test]
    fn law_5_same_input_same_bytes_for_a_whole_tick(
        seen in observation(), world in raised(), chain in chain(), policy in policy(), says in says(false), rules in any::<bool>(),
    ) {
        let run = || {
            let setup = Setup { guards: chain.guards(), policy, ..Setup::new(world) };
            let tick = if rules { setup.tick(RuleBasedEngine::default(), &seen) } else { setup.tick(says.clone(), &seen) };
            serde_json::to_string(&tick.record).unwrap()
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn law_5_a_record_reads_back_byte_for_byte(
        seen in observation(), world in raised(), chain in chain(), policy in policy(), says in says(false), rules in any::<bool>(), wet in any::<bool>(),
    ) {
        let mode = if wet { ApplyMode::Apply } else { ApplyMode::Plan };
        let setup = Setup { guards: chain.guards(), policy, mode, ..Setup::new(world) };
        let tick = if rules {
            setup.tick(RuleBasedEngine::default().shadow(says), &seen)
        } else {
            setup.tick(says, &seen)
        };
        let text = serde_json::to_string(&tick.record).unwrap();
        let read = serde_json::from_str::<DecisionRecord>(&text);
        prop_assert!(read.is_ok(), "{}: {}", read.unwrap_err(), text);
        prop_assert_eq!(serde_json::to_string(&read.unwrap()).unwrap(), text);
    }

    #[test]
    fn law_5_history_in_any_order_gives_the_same_decision(
        seen in observation(), order in any::<prop::sample::Index>(),
    ) {
        let mut samples: Vec<_> = seen.history.iter().collect();
        if !samples.is_empty() {
            let turn = order.index(samples.len());
            samples.rotate_left(turn);
            samples.reverse();
        }
        let (history, _) = MetricsHistory::from_unordered(samples);
        let turned = seen.clone().with_history(history);
        let decide = |seen: &Observation| serde_json::to_string(&RuleBasedEngine::default().evaluate(seen).unwrap()).unwrap();
        prop_assert_eq!(decide(&seen), decide(&turned));
    }

    // ---- law 6: direction

    #[test]
    fn law_6_direction_follows_the_request_whatever_the_guards_make_of_it(
        seen in observation(), world in raised(), chain in chain(), policy in policy(), says in says(true), vertical in any::<bool>(),
    ) {
        let target = target();
        let world = World { target: &target, observation: &seen, limits: world.0, state: world.1, policy: &policy };
        let pods = seen.current.replicas().unwrap();
        let says = if vertical { Says { desired: pods, ..says } } else { says };
        let approved = world.approve(&chain.guards(), says.decision(pods, start()));
        let change = approved.change();
        match says.desired.cmp(&pods) {
            // A refused growth is no growth: what a floor raised before is given back without it.
            std::cmp::Ordering::Greater => prop_assert!(
                approved.refusal().is_some() || !lowers(change.old, change.new), "{} became {}", change.old, change.new),
            // What is wanted no longer is given back; nothing is raised.
            std::cmp::Ordering::Less | std::cmp::Ordering::Equal =>
                prop_assert!(!raises(change.old, change.new), "{} became {}", change.old, change.new),
        }
    }

    #[test]
    fn law_6_a_floor_moves_the_min_alone(
        seen in observation(), world in raised(), policy in policy(), says in says(true), floor in floor(),
    ) {
        let target = target();
        let world = World { target: &target, observation: &seen, limits: world.0, state: world.1, policy: &policy };
        let decision = says.decision(seen.current.replicas().unwrap(), start());
        let without = world.approve(&Guards::default(), decision.clone()).change();
        let with = match floor {
            Some(floor) => world.approve(&Guards::default(), decision.with_floor(floor)).change(),
            None => without,
        };
        // Unless the min would pass it.
        prop_assert_eq!(with.new.max(), without.new.max().max(with.new.min()));
        prop_assert!(with.new.min() >= without.new.min());
    }

    #[test]
    fn law_6_what_is_asked_for_once_more_changes_nothing_more(
        seen in observation(), world in raised(), policy in policy(), says in says(false),
    ) {
        let target = target();
        let pods = seen.current.replicas().unwrap();
        let once = World { target: &target, observation: &seen, limits: world.0, state: world.1, policy: &policy };
        let guards = Guards::only_hard_limits();
        let first = once.approve(&guards, says.decision(pods, start())).change();
        let state = HpaState::new(first.new).with_resting(world.1.resting);
        let twice = World { state, ..once };
        prop_assert_eq!(twice.approve(&guards, says.decision(pods, start())).change().new, first.new);
    }

    #[test]
    fn law_6_no_bound_is_lowered_below_what_its_owner_set_unless_the_host_wants_a_tight_ceiling(
        seen in observation(), world in raised(), chain in chain(), policy in policy(), says in says(false),
    ) {
        let target = target();
        let policy = BoundsPolicy { ceiling: Ceiling::Rest, ..policy };
        let world = World { target: &target, observation: &seen, limits: world.0, state: world.1, policy: &policy };
        let decision = says.decision(seen.current.replicas().unwrap(), start());
        let change = world.approve(&chain.guards(), decision).change();
        let resting = world.state.resting;
        prop_assert!(change.new.min() >= resting.min().min(change.old.min()), "{} became {}", change.old, change.new);
        prop_assert!(change.new.max() >= resting.max().min(change.old.max()), "{} became {}", change.old, change.new);
    }

    // ---- law 11: we permit, the HPA removes

    #[test]
    fn law_11_the_max_is_never_set_below_the_pods_that_run(
        seen in observation(), world in raised(), chain in chain(), policy in policy(), says in says(false),
    ) {
        let target = target();
        let world = World { target: &target, observation: &seen, limits: world.0, state: world.1, policy: &policy };
        let pods = seen.current.replicas().unwrap();
        let change = world.approve(&chain.guards(), says.decision(pods, start())).change();
        prop_assert!(change.new.max() >= pods.min(change.old.max()), "{} pods: {} became {}", pods, change.old, change.new);
    }

    #[test]
    fn law_11_the_min_lets_no_more_pods_go_than_the_guards_say(
        seen in observation(), world in raised(), budget in 0_u32..40, policy in policy(), says in says(false),
    ) {
        let target = target();
        let world = World { target: &target, observation: &seen, limits: world.0, state: world.1, policy: &policy };
        let guards = Guards::only_hard_limits().with(RemovalBudget::new(budget, Duration::from_secs(600)).unwrap());
        let pods = seen.current.replicas().unwrap();
        let change = world.approve(&guards, says.decision(pods, start())).change();
        let held = change.old.min().min(pods);
        prop_assert!(held.saturating_sub(change.new.min()) <= budget, "{} pods: {} became {}", pods, change.old, change.new);
        prop_assert!(change.released >= held.saturating_sub(change.new.min()), "not all that is let go is counted");
    }

    #[test]
    fn law_6_applying_a_plan_twice_equals_once(
        seen in observation(), world in raised(), policy in policy(), says in says(false),
    ) {
        let tick = Setup { policy, guards: Guards::only_hard_limits(), ..Setup::new(world) }.tick(says, &seen);
        for (plan, _) in tick.asked {
            let applier = MemoryApplier::new().with(target(), plan.old_bounds());
            let first = block_on(applier.apply(&plan, ApplyMode::Apply)).unwrap();
            prop_assert!(first.changed);
            let once = (applier.bounds(&target()), applier.resources(&target()));
            let second = block_on(applier.apply(&plan, ApplyMode::Apply)).unwrap();
            prop_assert!(!second.changed, "the second time of {:?} says that something changed", plan);
            prop_assert_eq!(once, (applier.bounds(&target()), applier.resources(&target())));
        }
    }

    // ---- law 7: a forecast or schedule only raises the floor

    #[test]
    fn law_7_a_foreseen_growth_holds_the_whole_request(seen in observation(), bounds in bounds(), more in 1_u32..100) {
        let target = target();
        let limits = HardLimits::new(0, MAX_REPLICAS).unwrap();
        let policy = BoundsPolicy::default();
        let world = World { target: &target, observation: &seen, limits, state: HpaState::new(bounds), policy: &policy };
        let pods = seen.current.replicas().unwrap();
        let decision = ScalingDecision::replicas("foresees", start(), pods, pods + more).with_foresight();
        let new = world.approve(&Guards::only_hard_limits(), decision).change().new;
        prop_assert!(new.min() >= pods + more, "{new}");
        prop_assert!(new.max() >= bounds.max());
    }

    #[test]
    fn law_7_a_floor_that_is_due_is_held_whatever_the_engine_says_and_the_guards_refuse(
        seen in observation(), world in raised(), chain in chain(), policy in policy(), says in says(false), replicas in 0_u32..100,
    ) {
        let target = target();
        let world = World { target: &target, observation: &seen, limits: world.0, state: world.1, policy: &policy };
        let hard = world.limits.bounds();
        prop_assume!(hard.contains(world.state.bounds));
        let floor = Floor::new(replicas, Reason::Schedule { window: "day".into(), replicas });
        let decision = says.decision(seen.current.replicas().unwrap(), start()).with_floor(floor);
        let new = world.approve(&chain.guards(), decision).change().new;
        let due = if policy.floors_only { replicas.min(world.state.bounds.max()) } else { replicas };
        prop_assert!(new.min() >= hard.clamp(due), "{new}");
    }

    #[test]
    fn law_7_where_floors_alone_are_held_the_min_follows_them_and_nothing_is_raised_besides(
        seen in observation(), world in raised(), chain in chain(), policy in policy(), says in says(false),
    ) {
        let (target, policy) = (target(), BoundsPolicy { floors_only: true, ..policy });
        let world = World { target: &target, observation: &seen, limits: world.0, state: world.1, policy: &policy };
        let (old, resting) = (world.state.bounds, world.state.resting);
        let decision = says.decision(seen.current.replicas().unwrap(), start());
        let due = decision.floor.as_ref().map_or(0, |floor| floor.replicas);
        let approved = world.approve(&chain.guards(), decision);
        let new = approved.change().new;
        prop_assert!(new.max() <= old.max(), "{old} became {new}");
        prop_assert!(new.max() >= resting.max().min(old.max()), "{old} became {new}, below what the owner set");
        prop_assert!(new.min() <= old.min().max(due), "{old} became {new}");
        prop_assert_eq!(approved.change().resources, None);
        if world.state.resting == old {
            prop_assert_eq!(new.max(), old.max(), "what is the owner's is not touched");
            let hard = world.limits.bounds();
            let held = if hard.contains(old) { old.min().max(due.min(old.max())) } else { old.min() };
            prop_assert_eq!(new.min(), held);
        }
    }

    #[test]
    fn law_7_a_forecast_only_raises_the_wish(seen in observation(), load in any::<f64>(), more in 0.0..1e12_f64) {
        let engine = RuleBasedEngine::new(RuleConfig::tracking()).unwrap();
        let wanted = |forecast: Option<f64>| {
            let forecast = forecast.map(|expected| {
                Ok(LoadForecast { signal: SignalKind::RequestRate, observed: 1.0, expected, quantile: 0.95, ahead_s: 105.0 })
            });
            engine.evaluate(&Observation { forecast, ..seen.clone() }).unwrap().desired_replicas
        };
        if load.is_finite() {
            prop_assert!(wanted(Some(load)) >= wanted(Some(0.0)), "{} instead of {}", wanted(Some(load)), wanted(Some(0.0)));
            prop_assert!(wanted(Some(load.max(0.0) + more)) >= wanted(Some(load)));
        } else {
            prop_assert_eq!(wanted(Some(load)), wanted(None), "no load is no forecast");
        }
    }

    #[test]
    fn law_7_a_declared_event_never_lowers_the_wish(seen in observation(), event in event()) {
        let engine = RuleBasedEngine::default();
        let without = engine.evaluate(&seen.clone().with_events([])).unwrap();
        let with = engine.evaluate(&seen.with_events([event.clone()])).unwrap();
        prop_assert!(with.desired_replicas >= without.desired_replicas,
            "{event:?}: {} instead of {}", with.desired_replicas, without.desired_replicas);
    }

    #[test]
    fn law_7_a_scale_down_must_be_agreed_by_all(seen in observation(), a in says(true), b in says(true)) {
        let pods = seen.current.replicas().unwrap();
        let decision = block_on(Ensemble::of(a.clone()).with(b.clone()).decide(&seen)).unwrap();
        prop_assert_eq!(decision.desired_replicas, a.desired.max(b.desired));
        prop_assert_eq!(decision.shrinks(), a.desired < pods && b.desired < pods);
    }

    // ---- law 9: own little

    #[test]
    fn law_9_only_the_target_is_touched(seen in observation(), world in raised(), says in says(false), others in prop::collection::vec(bounds(), 3)) {
        let neighbours = [
            Target::deployment("shop", "checkout").with_hpa("another-hpa"),
            Target::deployment("shop", "cart").with_hpa("checkout-hpa"),
            target().in_cluster("eu-1"),
        ];
        let mut applier = MemoryApplier::new().with(target(), world.1.bounds);
        for (neighbour, bounds) in neighbours.iter().zip(&others) {
            applier = applier.with(neighbour.clone(), *bounds);
        }
        let tick = Setup::new(world).tick(says, &seen);
        for (plan, _) in tick.asked {
            let _ = block_on(applier.apply(&plan, ApplyMode::Apply));
        }
        for (neighbour, bounds) in neighbours.iter().zip(others) {
            prop_assert_eq!(applier.bounds(neighbour), Some(bounds));
            prop_assert!(applier.resources(neighbour).is_empty());
        }
    }

    // ---- law 10: say why

    #[test]
    fn law_10_every_record_says_what_was_seen_wanted_and_why_it_ended_so(
        seen in observation(), world in raised(), chain in chain(), policy in policy(), says in says(false), rules in any::<bool>(),
    ) {
        let guards = chain.guards();
        let names = format!("{guards:?}");
        let setup = Setup { guards, policy, ..Setup::new(world) };
        let tick = if rules { setup.tick(RuleBasedEngine::default(), &seen) } else { setup.tick(says, &seen) };
        let record = tick.record;
        prop_assert_eq!(record.metrics.as_ref(), Some(&seen.current), "the metrics");
        prop_assert_eq!(record.declared, Some(seen.declared()), "the signals that should be there");
        prop_assert_eq!(record.bounds, Some(world.1.bounds), "the bounds before");
        prop_assert_eq!(record.resting.unwrap_or(world.1.bounds), world.1.resting, "the owner's bounds");
        let decision = record.decision.unwrap();
        if rules {
            prop_assert!(!decision.reasons.is_empty(), "a decision without a reason");
        }
        // The limits on the request are a chain without a gap, from the wish to what was allowed.
        let mut left = decision.desired_replicas;
        for clamp in &record.clamps {
            if let Limit::Replicas(from) = clamp.from {
                prop_assert_eq!(from, left);
            }
            if let Limit::Replicas(to) = clamp.to {
                left = to;
            }
            prop_assert!(names.contains(&*clamp.guard), "{} is no guard of {}", clamp.guard, names);
            prop_assert!(!clamp.why.is_empty());
        }
        let said = |outcome: &Option<Outcome>| match outcome {
            None => true,
            Some(Outcome::Refused { guard, why }) => !guard.is_empty() && !why.is_empty(),
            Some(_) => false,
        };
        prop_assert!(said(&record.withheld), "{:?}", record.withheld);
        match record.outcome {
            Outcome::Refused { .. } => {
                prop_assert!(said(&Some(record.outcome)));
                prop_assert_eq!(record.change, None);
            }
            // The reason names the bounds as they stand, and where the size that was left of the request lies.
            Outcome::Unchanged { why } => {
                prop_assert_eq!(record.change, None);
                let bounds = world.1.bounds;
                match why {
                    Unchanged::Allowed { bounds: said, replicas } => {
                        prop_assert_eq!((said, replicas), (bounds, left));
                        prop_assert!((bounds.min()..=bounds.max()).contains(&replicas));
                    }
                    Unchanged::MinHeld { bounds: said, replicas, .. } => {
                        prop_assert_eq!((said, replicas), (bounds, left));
                        prop_assert!(replicas < bounds.min());
                    }
                    Unchanged::AboveMax { bounds: said, replicas } => {
                        prop_assert_eq!((said, replicas), (bounds, left));
                        prop_assert!(replicas > bounds.max());
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            Outcome::Applied => {
                let change = record.change.unwrap();
                prop_assert_eq!((change.old, change.new), (world.1.bounds, tick.after));
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn law_10_the_history_counted_is_the_history_before_the_metrics(seen in observation(), world in raised()) {
        let before = seen.history.iter().filter(|sample| sample.timestamp < seen.current.timestamp).count();
        prop_assert_eq!(Setup::new(world).tick(RuleBasedEngine::default(), &seen).record.history_len, before);
    }

    #[test]
    fn law_10_every_lost_signal_is_named(seen in observation(), nth in any::<prop::sample::Index>()) {
        let lost = losses(&seen);
        let (kind, absence) = lost[nth.index(lost.len())];
        let mut blind = seen.clone().declaring(seen.declared().with(kind));
        blind.current.set(kind, Signal::Absent(absence));
        prop_assume!(blind.absences().any(|(absent, _)| absent == kind));
        let absence = blind.current.signal(kind).absence().unwrap();
        // Where no pod is asked for, nothing is measured that could be lost.
        prop_assume!(blind.current.replicas() != Some(0));
        let decision = RuleBasedEngine::default().evaluate(&blind).unwrap();
        prop_assert!(decision.reasons.contains(&Reason::SignalAbsent { signal: kind, absence }), "{:?}", decision.reasons);
    }
}

/// The steady workload of the conformance suite, moved so that its present is now.
trait WithNow {
    fn with_now(self) -> Observation;
}

impl WithNow for Observation {
    fn with_now(self) -> Observation {
        let shift = start() - self.current.timestamp;
        let past = self.history.iter().map(|mut sample| {
            sample.timestamp += shift;
            sample
        });
        let (history, _) = MetricsHistory::from_unordered(past.collect());
        let mut moved = self.with_history(history);
        moved.current.timestamp = start();
        moved.at(start())
    }
}

// ---- single cases that a random search would seldom find

/// A source that fails in a way of its own.
struct Broken(fn() -> SourceError);

#[async_trait]
impl MetricsSource for Broken {
    async fn observe(&self, _: &Target, _: DateTime<Utc>) -> Result<Observation, SourceError> {
        Err(self.0())
    }
}

#[test]
fn law_2_a_failing_source_leaves_the_workload_alone_and_the_record_says_so() {
    let cases: [(fn() -> SourceError, bool); 4] = [
        (|| SourceError::UnknownTarget { target: Box::new(target()) }, false),
        (|| SourceError::NoData { target: Box::new(target()), at: start() }, true),
        (|| SourceError::Backend { target: Box::new(target()), transient: true, source: "timed out".into() }, true),
        (|| SourceError::Backend { target: Box::new(target()), transient: false, source: "forbidden".into() }, false),
    ];
    for (error, transient) in cases {
        let world = (HardLimits::default(), HpaState::new(Bounds::new(2, 6).unwrap()));
        let tick = Setup::new(world).tick_from(Broken(error), RuleBasedEngine::default());
        assert_eq!(tick.after, world.1.bounds);
        assert!(tick.asked.is_empty());
        let error = error().to_string();
        let may_have_happened = false;
        assert_eq!(tick.record.outcome, Outcome::Failed { step: Step::Observe, error, transient, may_have_happened });
        assert_eq!((tick.record.metrics, tick.record.decision, tick.record.change), (None, None, None));
    }
}

fn approve_with(guards: &Guards, limits: HardLimits, state: HpaState, pods: u32, desired: u32) -> HpaPlan {
    let (target, observation) = (target(), Observation::new(target(), ScalingMetrics::new(start(), pods)));
    let policy = BoundsPolicy::default();
    let world = World { target: &target, observation: &observation, limits, state, policy: &policy };
    let decision = ScalingDecision::replicas("test", start(), pods, desired).with_confidence(1.0);
    HpaPlan::of(&world.approve(guards, decision))
}

#[test]
fn law_1_a_guard_of_the_same_name_does_not_replace_the_hard_limits() {
    struct Namesake;
    impl Guard for Namesake {
        fn name(&self) -> &'static str {
            "hard_limits"
        }
        fn check(&self, _: &Change<'_>, _: &GuardContext<'_>) -> Verdict {
            Verdict::Pass
        }
    }
    let limits = HardLimits::new(1, 10).unwrap();
    let state = HpaState::new(Bounds::new(5, 50).unwrap());
    let plan = approve_with(&Guards::only_hard_limits().with(Namesake), limits, state, 30, 60);
    assert!(plan.is_empty(), "{}", plan.new_bounds());
}

#[test]
fn law_6_a_scale_down_below_the_hard_minimum_raises_no_bound() {
    // Five pods are ready of at least ten: the workload is still coming up.
    let limits = HardLimits::new(10, 100).unwrap();
    let old = Bounds::new(10, 12).unwrap();
    let plan = approve_with(&Guards::only_hard_limits(), limits, HpaState::new(old), 5, 3);
    assert!(!raises(old, plan.new_bounds()), "a scale-down from 5 to 3 made {} of {old}", plan.new_bounds());
}

#[test]
fn law_6_a_scale_up_above_the_hard_maximum_lowers_no_bound() {
    // Five pods run although four are the most allowed: the limit was lowered a moment ago.
    let limits = HardLimits::new(1, 4).unwrap();
    let old = Bounds::new(3, 4).unwrap();
    let state = HpaState::new(old).with_resting(Bounds::new(1, 2).unwrap());
    let plan = approve_with(&Guards::only_hard_limits(), limits, state, 5, 30);
    assert!(!lowers(old, plan.new_bounds()), "a scale-up from 5 to 30 made {} of {old}", plan.new_bounds());
}

#[test]
fn law_7_an_event_on_a_quiet_weekend_does_not_take_the_headroom_away() {
    // Sunday noon, six hours of level load that needs just 5 pods, 9 there.
    let sunday = DateTime::from_timestamp(1_700_395_200, 0).unwrap();
    let sample = |minutes: i64| {
        ScalingMetrics::new(sunday - TimeDelta::minutes(minutes), 9)
            .with(SignalKind::CpuUtilization, 35.0)
            .with(SignalKind::MemoryUtilization, 20.0)
            .with(SignalKind::RequestRate, 315.0)
            .with(SignalKind::ResponseTime, 40.0)
            .with(SignalKind::ErrorRate, 0.1)
            .with(SignalKind::QueueDepth, 0.0)
    };
    let (history, _) = MetricsHistory::from_unordered((1..=72).map(|step| sample(step * 5)).collect());
    let quiet = Observation::new(target(), sample(0)).with_history(history);
    let event = PlannedEvent::new("small sale", sunday, sunday + TimeDelta::hours(1), 1.0).unwrap();
    let engine = RuleBasedEngine::default();
    let without = engine.evaluate(&quiet).unwrap();
    let with = engine.evaluate(&quiet.with_events([event])).unwrap();
    assert!(without.shrinks(), "the case is what it should be: {without:?}");
    assert!(
        with.desired_replicas >= without.desired_replicas,
        "an event lowers the wish from {} to {}",
        without.desired_replicas,
        with.desired_replicas
    );
}

/// One extreme of a record at a time, so that one fault does not hide another.
fn reads_back(record: &DecisionRecord) {
    let text = serde_json::to_string(record).unwrap();
    match serde_json::from_str::<DecisionRecord>(&text) {
        Ok(read) => assert_eq!(serde_json::to_string(&read).unwrap(), text),
        Err(error) => panic!("{error}: {text}"),
    }
}

fn record_of(observation: &Observation) -> DecisionRecord {
    let world = (HardLimits::default(), HpaState::new(Bounds::new(2, 6).unwrap()));
    Setup::new(world).tick(RuleBasedEngine::default(), observation).record
}

#[test]
fn law_5_an_endless_need_reads_back() {
    let mut facts = WorkloadFacts::default();
    facts.pod_capacity = Some(1e-300);
    let mut flooded = steady(3, 10).with_now().with_facts(facts);
    flooded.current = flooded.current.with(SignalKind::RequestRate, 1e12);
    reads_back(&record_of(&flooded));
}

#[test]
fn law_5_a_trend_from_next_to_nothing_reads_back() {
    let steady = steady(3, 60).with_now();
    let past = steady.history.iter().enumerate().map(|(nth, sample)| {
        let rate = if nth < 25 { 1e-308 } else { 1e10 * f64::from(u32::try_from(nth).unwrap()) };
        sample.with(SignalKind::RequestRate, rate)
    });
    let (history, _) = MetricsHistory::from_unordered(past.collect());
    let mut rising = steady.with_history(history);
    rising.current = rising.current.with(SignalKind::RequestRate, 1e12);
    reads_back(&record_of(&rising));
}

#[test]
fn law_5_response_times_from_next_to_nothing_read_back() {
    let steady = steady(3, 60).with_now();
    let past = steady.history.iter().map(|sample| sample.with(SignalKind::ResponseTime, 1e-300));
    let (history, _) = MetricsHistory::from_unordered(past.collect());
    let mut slow = steady.with_history(history);
    slow.current = slow.current.with(SignalKind::ResponseTime, 1e12);
    reads_back(&record_of(&slow));
}

#[test]
fn law_5_a_quantile_that_is_no_number_reads_back() {
    for quantile in [f64::NAN, f64::INFINITY, 0.95, 7.0] {
        let mut odd = steady(3, 10).with_now();
        odd.current.response_time_quantile = Some(quantile);
        reads_back(&record_of(&odd));
    }
}

#[test]
fn law_5_more_pods_than_kubernetes_can_store_read_back() {
    let mut many = steady(3, 10).with_now();
    many.current.current_pod_count = Some(u32::MAX);
    let world = (HardLimits::default(), HpaState::new(Bounds::new(2, 6).unwrap()));
    let setup = Setup { guards: Guards::only_hard_limits(), ..Setup::new(world) };
    reads_back(&setup.tick(RuleBasedEngine::default(), &many).record);
}

#[test]
fn law_5_records_at_the_ends_of_time_read_back() {
    for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        let mut observation = steady(3, 10);
        observation.current.timestamp = at;
        reads_back(&DecisionRecord { at, ..record_of(&observation) });
    }
}

#[test]
fn law_5_the_highest_prices_read_back() {
    let source = MemorySource::new();
    source.put(target(), steady(1, 10).with_now());
    let price = Price::per_pod_hour(1e12, Currency::EUR).unwrap();
    let wants = Says::pods(50, 1.0);
    let autoscaler = Autoscaler::builder()
        .source(source)
        .engine(wants)
        .applier(MemoryApplier::new().with(target(), Bounds::new(2, 6).unwrap()))
        .price(price)
        .build();
    reads_back(&block_on(autoscaler.tick(&target(), start())).unwrap());
}

#[test]
fn law_10_no_guard_is_skipped_in_silence() {
    // Each default guard refuses or limits once, and the record names it.
    let now = steady(8, 60).with_now();
    let wants = Says::pods;
    let mut stale = now.clone();
    stale.current.timestamp -= TimeDelta::minutes(6);
    let mut blind = now.clone();
    blind.current = blind.current.without(SignalKind::CpuUtilization, Absence::NotMeasured);
    let raised = HpaState::new(Bounds::new(8, 20).unwrap()).with_resting(Bounds::new(1, 20).unwrap());
    let named = |guards: Guards, limits: HardLimits, says: Says, seen: &Observation| {
        let tick = Setup { guards, ..Setup::new((limits, raised)) }.tick(says, seen);
        let refused = match &tick.record.outcome {
            Outcome::Refused { guard, why } => format!("{guard} ({why})"),
            _ => String::new(),
        };
        format!("{refused} {:?}", tick.record.clamps)
    };
    let halved = Some(ResourceChange { cpu_percent: -90, memory_percent: 0 });
    let (usual, narrow) = (HardLimits::default(), HardLimits::new(5, 10).unwrap());
    let cases = [
        ("hard_limits", named(Guards::default(), narrow, wants(9, 1.0), &now)),
        ("hard_limits", named(Guards::default(), HardLimits::new(1, 20).unwrap(), wants(21, 1.0), &now)),
        ("freshness", named(Guards::default(), usual, wants(9, 1.0), &stale)),
        ("absence", named(Guards::default(), usual, wants(7, 1.0), &blind)),
        ("confidence", named(Guards::default(), usual, wants(9, 0.5), &now)),
        ("step", named(Guards::default(), usual, wants(17, 1.0), &now)),
        ("step", named(Guards::default(), usual, wants(1, 1.0), &now)),
        ("resources", named(Guards::default(), usual, Says { resources: halved, ..wants(8, 1.0) }, &now)),
        (
            "removal_budget",
            named(
                Guards::default().with(RemovalBudget::new(1, Duration::from_secs(600)).unwrap()),
                usual,
                wants(5, 1.0),
                &now,
            ),
        ),
        (
            "removal_budget",
            named(
                Guards::default().with(RemovalBudget::new(0, Duration::from_secs(600)).unwrap()),
                usual,
                wants(5, 1.0),
                &now,
            ),
        ),
    ];
    for (guard, said) in cases {
        assert!(said.contains(guard), "{guard} is not named: {said}");
    }
}
