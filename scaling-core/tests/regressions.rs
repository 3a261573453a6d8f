//! What must never exist.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use futures::future::{join, poll_fn};
use scaling_core::conformance::engine::{observations, steady};
use scaling_core::conformance::recorder::records;
use scaling_core::rules::{Assessment, Need};
use scaling_core::{
    Absence, Applied, ApplyError, ApplyMode, Autoscaler, Bounds, BoundsPolicy, Breaker, BreakerConfig, Confidence,
    ConfidenceGate, Cooldown, CostImpact, Currency, DecisionEngine, EngineError, EngineExt, Ensemble, Freshness, Guard,
    GuardContext, Guards, HardLimits, HistoryError, HpaApplier, HpaPlan, HpaState, InvalidBounds, InvalidEvent,
    InvalidPrice, JsonLinesRecorder, LastChanges, MAX_REPLICAS, MemoryApplier, MemoryRecorder, MemorySource,
    MetricsHistory, NoRecorder, Observation, Outcome, PlannedEvent, Price, Proposal, Reason, RecordError,
    RemovalBudget, ResourceChange, Rule, RuleBasedEngine, RuleConfig, ScalingDecision, ScalingMetrics, Signal,
    SignalKind, SourceError, StepLimit, Target, TickError, WorkloadFacts,
};

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn target() -> Target {
    Target::deployment("shop", "checkout").with_hpa("checkout-hpa")
}

fn decide(observation: &Observation) -> ScalingDecision {
    RuleBasedEngine::default().evaluate(observation).unwrap()
}

/// These metrics, now and for so many minutes before.
fn level(metrics: &ScalingMetrics, minutes: u32) -> Observation {
    let past = (1..=minutes).map(|minute| {
        let mut sample = metrics.clone();
        sample.timestamp -= TimeDelta::minutes(i64::from(minute));
        sample
    });
    let (history, _) = MetricsHistory::from_unordered(past.collect());
    Observation::new(target(), metrics.clone()).with_history(history)
}

fn now(pods: u32) -> ScalingMetrics {
    ScalingMetrics::new(start(), pods)
}

// ---- a full pod

#[test]
fn one_pod_at_95_percent_cpu_never_stays_alone() {
    for minutes in [0, 10, 60] {
        let cpu = now(1).with(SignalKind::CpuUtilization, 95.0);
        let cases = [
            cpu.clone(),
            cpu.clone().with(SignalKind::MemoryUtilization, 40.0),
            cpu.clone().with(SignalKind::RequestRate, 100.0),
            cpu.clone().with(SignalKind::RequestRate, 0.0),
            cpu.clone().with(SignalKind::ErrorRate, 0.0).with(SignalKind::QueueDepth, 0.0),
        ];
        for metrics in cases {
            let decision = decide(&level(&metrics, minutes));
            assert!(decision.desired_replicas >= 2, "{minutes} minutes of {metrics:?}: {decision:?}");
        }
    }
}

fn tick(observation: Observation, bounds: Bounds) -> (Outcome, Bounds) {
    let source = MemorySource::new();
    source.put(target(), observation);
    let applier = Arc::new(MemoryApplier::new().with(target(), bounds));
    let autoscaler = Autoscaler::builder()
        .source(source)
        .engine(RuleBasedEngine::default())
        .applier(Arc::clone(&applier))
        .mode(ApplyMode::Apply)
        .build();
    let record = block_on(autoscaler.tick(&target(), start())).unwrap();
    (record.outcome, applier.bounds(&target()).unwrap())
}

#[test]
fn one_pod_at_95_percent_cpu_gets_past_the_default_guards_with_nothing_but_cpu_measured() {
    let metrics = now(1).with(SignalKind::CpuUtilization, 95.0);
    let (outcome, bounds) = tick(level(&metrics, 60), Bounds::new(1, 1).unwrap());
    assert!(bounds.max() >= 2, "an hour at 95 % CPU, and {outcome:?} at {bounds}");
}

#[test]
fn one_pod_at_95_percent_cpu_gets_past_the_default_guards_with_cpu_and_memory_measured() {
    // What the resource metrics of every cluster say, and often all there is.
    let metrics = now(1).with(SignalKind::CpuUtilization, 95.0).with(SignalKind::MemoryUtilization, 50.0);
    let (outcome, bounds) = tick(level(&metrics, 60), Bounds::new(1, 1).unwrap());
    assert!(bounds.max() >= 2, "an hour at 95 % CPU, and {outcome:?} at {bounds}");
}

// ---- a failing service

#[test]
fn half_of_all_requests_failing_with_a_million_waiting_is_never_answered_by_maintain() {
    for pods in [0, 1, 3, 100] {
        for minutes in [0, 3, 10] {
            let failing = now(pods).with(SignalKind::ErrorRate, 50.0).with(SignalKind::QueueDepth, 1e6);
            for cpu in [None, Some(0.0), Some(20.0), Some(60.0), Some(95.0)] {
                for rate in [None, Some(0.0), Some(1000.0)] {
                    for memory in [None, Some(50.0)] {
                        let with = |metrics: ScalingMetrics, kind, value: Option<f64>| match value {
                            Some(value) => metrics.with(kind, value),
                            None => metrics,
                        };
                        let metrics = with(failing.clone(), SignalKind::CpuUtilization, cpu);
                        let metrics = with(metrics, SignalKind::RequestRate, rate);
                        let metrics = with(metrics, SignalKind::MemoryUtilization, memory);
                        let decision = decide(&level(&metrics, minutes));
                        assert!(
                            decision.grows(),
                            "{pods} pods, {minutes} min, CPU {cpu:?}, rate {rate:?}: {decision:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_million_waiting_for_no_pod_at_all_is_never_answered_by_none() {
    for metrics in [
        now(0).with(SignalKind::QueueDepth, 1e6),
        now(0).with(SignalKind::QueueDepth, 1e6).with(SignalKind::RequestRate, 1000.0),
        now(0).with(SignalKind::RequestRate, 1000.0),
        now(0).with(SignalKind::ActiveConnections, 1000.0),
    ] {
        let decision = decide(&level(&metrics, 0));
        assert!(decision.desired_replicas >= 1, "{metrics:?}: {decision:?}");
    }
}

#[test]
fn a_rule_that_asks_for_endlessly_many_pods_is_not_answered_by_maintain() {
    struct Endless(f64);
    impl Rule for Endless {
        fn name(&self) -> &'static str {
            "endless"
        }
        fn evaluate(&self, _: &Assessment<'_>) -> Option<Need> {
            Some(Need::pods(self.0, Reason::Custom { rule: "endless".into(), text: "more".into() }))
        }
    }
    for need in [1e30, f64::MAX, f64::INFINITY] {
        let decision = RuleBasedEngine::default().with_rule(Endless(need)).evaluate(&steady(3, 10)).unwrap();
        assert_eq!(decision.desired_replicas, MAX_REPLICAS, "{need:e} pods asked for");
    }
    for need in [f64::NAN, f64::NEG_INFINITY, -1.0] {
        let decision = RuleBasedEngine::default().with_rule(Endless(need)).evaluate(&steady(3, 10)).unwrap();
        assert_eq!(decision.desired_replicas, decide(&steady(3, 10)).desired_replicas, "{need:e} pods asked for");
    }
}

// ---- broken numbers

#[test]
fn a_cpu_that_is_no_number_is_never_answered_with_confidence() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e9] {
        for minutes in [0, 10, 60] {
            let mut observation = steady(3, minutes);
            observation.current = observation.current.with(SignalKind::CpuUtilization, value);
            let confidence = decide(&observation).confidence.value();
            assert!(confidence <= 0.5, "{value} after {minutes} minutes: {confidence}");
        }
        let bare = now(3).with(SignalKind::CpuUtilization, value);
        assert!(decide(&level(&bare, 0)).confidence.value() <= 0.5);
    }
}

#[test]
fn an_empty_history_is_survived() {
    for pods in [0, 1, 3, 1_000_000] {
        let decision = decide(&steady(pods, 0));
        assert_eq!(decision.current_replicas, pods);
        assert!(!decision.shrinks() || decision.desired_replicas >= pods.div_ceil(2), "{decision:?}");
    }
    decide(&level(&now(3), 0));
}

#[test]
fn no_pod_and_a_million_pods_are_survived() {
    for pods in [0, 1_000_000, MAX_REPLICAS, u32::MAX] {
        for (case, mut observation) in observations() {
            (observation.current.current_pod_count, observation.current.desired_pod_count) = (Some(pods), None);
            let decision = decide(&observation);
            assert_eq!(decision.current_replicas, pods, "{case}");
            assert!(decision.desired_replicas <= MAX_REPLICAS.max(pods), "{case}: {decision:?}");
        }
    }
    let (outcome, bounds) = tick(level(&now(0).with(SignalKind::ErrorRate, 50.0), 0), Bounds::new(1, 6).unwrap());
    assert_eq!(bounds, Bounds::new(1, 6).unwrap(), "{outcome:?}");
}

#[test]
fn more_pods_than_kubernetes_can_store_break_no_tick() {
    for pods in [MAX_REPLICAS, MAX_REPLICAS + 1, u32::MAX] {
        for cpu in [1.0, 99.0] {
            let mut metrics = now(1).with(SignalKind::CpuUtilization, cpu).with(SignalKind::MemoryUtilization, 1.0);
            metrics.current_pod_count = Some(pods);
            tick(level(&metrics.with(SignalKind::RequestRate, 10.0), 30), Bounds::new(1, 6).unwrap());
        }
    }
}

#[test]
fn the_largest_rates_are_survived() {
    for kind in SignalKind::ALL {
        for value in [f64::MAX, kind.limit(), f64::MIN_POSITIVE, 5e-324] {
            for minutes in [0, 30] {
                let mut observation = steady(3, minutes);
                observation.current = observation.current.with(kind, value);
                decide(&observation);
                // The other way round: a past like that, and a normal present.
                let past = observation.history.iter().map(|sample| sample.with(kind, value)).collect();
                decide(&steady(3, minutes).with_history(MetricsHistory::from_unordered(past).0));
            }
        }
    }
}

#[test]
fn the_ends_of_time_are_survived() {
    let ends = [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::UNIX_EPOCH];
    for present in ends {
        for past in ends {
            let mut old = steady(3, 0).current;
            old.timestamp = past;
            let (history, _) = MetricsHistory::from_unordered(vec![old.clone(), old]);
            let mut observation = steady(3, 0).with_history(history);
            observation.current.timestamp = present;
            for event in ends.map(|end| PlannedEvent::new("edge", DateTime::<Utc>::MIN_UTC, end, 2.0)) {
                decide(&observation.clone().with_events(event.into_iter().collect::<Arc<[_]>>()));
            }
            for at in ends {
                let source = MemorySource::new();
                source.put(target(), observation.clone());
                let applier = MemoryApplier::new().with(target(), Bounds::new(1, 6).unwrap());
                let autoscaler =
                    Autoscaler::builder().source(source).engine(RuleBasedEngine::default()).applier(applier);
                block_on(autoscaler.build().tick(&target(), at)).unwrap();
            }
        }
    }
}

// ---- extreme configuration

#[test]
fn endless_durations_in_the_thresholds_are_survived() {
    let endless = [Duration::from_secs(u64::MAX), Duration::MAX, Duration::from_nanos(1)];
    for duration in endless {
        let changes: [fn(&mut RuleConfig, Duration); 5] = [
            |config, duration| config.shrink_window = duration,
            |config, duration| config.drain = duration,
            |config, duration| config.slope_window = duration,
            |config, duration| config.learn_window = duration,
            |config, duration| config.event_lead = duration,
        ];
        for change in changes {
            let mut config = RuleConfig::default();
            change(&mut config, duration);
            let engine = RuleBasedEngine::new(config).unwrap();
            for (_, observation) in observations() {
                let event = PlannedEvent::new("sale", start(), DateTime::<Utc>::MAX_UTC, 2.0).unwrap();
                engine.evaluate(&observation.with_events([event])).unwrap();
            }
        }
    }
}

#[test]
fn endless_start_up_and_lag_are_survived() {
    let changes: [fn(&mut WorkloadFacts); 4] = [
        |facts| facts.start_up = Duration::MAX,
        |facts| facts.metrics_lag = Duration::MAX,
        |facts| facts.sync_period = Duration::MAX,
        |facts| (facts.start_up, facts.metrics_lag) = (Duration::MAX / 2 + Duration::from_secs(1), Duration::MAX / 2),
    ];
    for change in changes {
        let mut facts = WorkloadFacts::default();
        change(&mut facts);
        decide(&steady(3, 60).with_facts(facts.clone()));
        let event = PlannedEvent::new("sale", start(), start() + TimeDelta::hours(1), 2.0).unwrap();
        decide(&steady(3, 0).with_facts(facts.clone()).with_events([event]));
        let history = &steady(3, 60).history;
        scaling_core::recommend::recommend(
            &target(),
            history,
            &facts,
            &RuleConfig::default(),
            &BoundsPolicy::default(),
            HardLimits::default(),
        )
        .unwrap();
    }
}

#[test]
fn a_written_configuration_reads_back_whatever_its_durations() {
    for duration in
        [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(u64::MAX / 4), Duration::from_secs(u64::MAX)]
    {
        let config = RuleConfig { learn_window: duration, ..RuleConfig::default() };
        let text = serde_json::to_string(&config).unwrap();
        let read: Result<RuleConfig, _> = serde_json::from_str(&text);
        assert!(read.is_ok(), "{duration:?} was written as it cannot be read: {}", read.unwrap_err());
    }
}

#[test]
fn guards_with_endless_durations_are_survived() {
    let observation = steady(8, 30);
    let target = target();
    for duration in [Duration::ZERO, Duration::from_secs(u64::MAX), Duration::MAX] {
        for at in [DateTime::<Utc>::MIN_UTC, observation.current.timestamp, DateTime::<Utc>::MAX_UTC] {
            for last in [None, Some(DateTime::<Utc>::MIN_UTC), Some(DateTime::<Utc>::MAX_UTC)] {
                let context = GuardContext {
                    target: &target,
                    now: at,
                    observation: Some(&observation),
                    state: HpaState::new(Bounds::new(8, 20).unwrap()).with_resting(Bounds::new(1, 20).unwrap()),
                    limits: HardLimits::default(),
                    policy: &BoundsPolicy::default(),
                    min_without_floor: None,
                    last: LastChanges { grown: last, shrunk: last, resized: last },
                    released: &[(DateTime::<Utc>::MIN_UTC, u32::MAX), (DateTime::<Utc>::MAX_UTC, u32::MAX)],
                };
                let guards = Guards::default()
                    .with(Cooldown {
                        down: duration,
                        down_foreseen: duration,
                        slight: f64::INFINITY,
                        down_idle: duration,
                        resize: duration,
                    })
                    .with(Freshness { max_age: duration, max_skew: duration })
                    .with(RemovalBudget::new(u32::MAX, duration.min(RemovalBudget::LONGEST_WINDOW)).unwrap());
                for desired in [0, 4, 8, 16, u32::MAX] {
                    let decision = ScalingDecision::replicas("test", at, 8, desired).with_confidence(1.0);
                    let _ = guards.approve(Proposal::decided(decision), &context);
                }
            }
        }
    }
}

// ---- acting

#[test]
fn a_dry_run_never_changes_its_argument_or_the_hpa() {
    let old = Bounds::new(2, 6).unwrap();
    let plan = scaling_core::conformance::applier::plan(&target(), old, 3, 6);
    let copy = plan.clone();
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun] {
        let applier = MemoryApplier::new().with(target(), old);
        block_on(applier.apply(&plan, mode)).unwrap();
        assert_eq!((&plan, applier.bounds(&target())), (&copy, Some(old)), "{mode}");
    }
    assert_eq!(ApplyMode::default(), ApplyMode::Plan, "who says nothing changes nothing");
}

#[test]
fn a_scale_down_never_raises_a_bound() {
    for (min, max) in [(1, 3), (1, 100), (5, 10), (10, 10), (50, 100)] {
        let old = Bounds::new(min, max).unwrap();
        for pods in [1, 2, 5, 10, 60, 1000] {
            for wanted in (0..pods).filter(|wanted| wanted % 3 == 0 || *wanted < 10) {
                let new = scaling_core::conformance::applier::plan(&target(), old, pods, wanted).new_bounds();
                assert!(new.min() <= min && new.max() <= max, "{pods} to {wanted}: {old} became {new}");
            }
        }
    }
}

#[test]
fn resources_of_a_plan_are_applied_once() {
    let (applier, plan) = vertical();
    for _ in 0..3 {
        block_on(applier.apply(&plan, ApplyMode::Apply)).unwrap();
    }
    assert_eq!(applier.resources(&target()).len(), 1, "a quarter more memory, three times over");
}

#[test]
fn resources_are_not_dropped_because_somebody_else_moved_the_bounds_alike() {
    let (applier, plan) = both(6);
    applier.put(&target(), plan.new_bounds());
    let answer = block_on(applier.apply(&plan, ApplyMode::Apply));
    let done = applier.resources(&target()).len() == 1;
    assert!(answer.is_err() || done, "{answer:?}, and the resources were skipped in silence");
}

fn vertical() -> (MemoryApplier, HpaPlan) {
    both(3)
}

/// A quarter more memory, and so many pods instead of 3.
fn both(desired: u32) -> (MemoryApplier, HpaPlan) {
    let bounds = Bounds::new(2, 6).unwrap();
    let observation = steady(3, 10);
    let target = target();
    let context = GuardContext {
        target: &target,
        now: observation.current.timestamp,
        observation: Some(&observation),
        state: HpaState::new(bounds),
        limits: HardLimits::default(),
        policy: &BoundsPolicy::default(),
        min_without_floor: None,
        last: LastChanges::default(),
        released: &[],
    };
    let resources = ResourceChange { cpu_percent: 0, memory_percent: 25 };
    let decision = ScalingDecision::replicas("test", context.now, 3, desired).with_resources(Some(resources));
    let plan = HpaPlan::of(&Guards::only_hard_limits().approve(Proposal::decided(decision), &context));
    (MemoryApplier::new().with(target, bounds), plan)
}

/// Wants so many pods, with certainty.
struct Wants(u32);

#[async_trait]
impl DecisionEngine for Wants {
    fn name(&self) -> &'static str {
        "wants"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let pods = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        Ok(ScalingDecision::replicas("wants", observation.current.timestamp, pods, self.0).with_confidence(1.0))
    }
}

/// HPAs whose owner set a min of 1.
struct Raised(Arc<MemoryApplier>);

#[async_trait]
impl HpaApplier for Raised {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        let state = self.0.current(target).await?;
        Ok(state.with_resting(Bounds::new(1, state.bounds.max()).unwrap()))
    }
    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        self.0.apply(plan, mode).await
    }
}

/// An applier that takes its time, as a server does: the other one gets its turn in between.
struct Slow(Raised);

#[async_trait]
impl HpaApplier for Slow {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        self.0.current(target).await
    }
    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        let mut waited = false;
        poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.0.apply(plan, mode).await
    }
}

fn many(names: &[&str], budget: u32, pods: u32, wanted: u32) -> (Autoscaler, Vec<Target>, Arc<MemorySource>) {
    let targets: Vec<_> = names.iter().map(|name| Target::deployment("shop", *name)).collect();
    let source = Arc::new(MemorySource::new());
    let applier = Arc::new(MemoryApplier::new());
    for target in &targets {
        source.put(target.clone(), Observation::new(target.clone(), now(pods)));
        applier.put(target, Bounds::new(pods, 200).unwrap());
    }
    let guards = Guards::only_hard_limits().with(RemovalBudget::new(budget, Duration::from_secs(600)).unwrap());
    let autoscaler = Autoscaler::builder()
        .source(Arc::clone(&source))
        .engine(Wants(wanted))
        .guards(guards)
        .policy(BoundsPolicy { floor_share: 1.0, ..BoundsPolicy::default() })
        .applier(Slow(Raised(applier)))
        .mode(ApplyMode::Apply)
        .build();
    (autoscaler, targets, source)
}

/// Pods that one tick let go.
fn removed(record: &scaling_core::DecisionRecord) -> u32 {
    let change = record.change.filter(|_| record.outcome == Outcome::Applied);
    change.map_or(0, |change| change.old.min() - change.new.min())
}

#[test]
fn two_workloads_side_by_side_do_not_spend_the_removal_budget_twice() {
    let (autoscaler, targets, _) = many(&["cart", "checkout"], 60, 100, 50);
    let (one, two) = block_on(join(autoscaler.tick(&targets[0], start()), autoscaler.tick(&targets[1], start())));
    assert_eq!((removed(&one.unwrap()), removed(&two.unwrap())), (50, 10), "of a budget of 60");
}

#[test]
fn a_tick_that_comes_late_hides_no_removal_from_the_budget() {
    let (autoscaler, targets, source) = many(&["cart", "checkout", "search", "mail"], 60, 100, 70);
    let tick = |target: &Target, seconds| {
        let at = start() + TimeDelta::seconds(seconds);
        let mut metrics = now(100);
        metrics.timestamp = at;
        source.put(target.clone(), Observation::new(target.clone(), metrics));
        removed(&block_on(autoscaler.tick(target, at)).unwrap())
    };
    // Within the ten minutes before the last one: 30, then whatever is left.
    let first = tick(&targets[0], 100);
    let _ = tick(&targets[1], 0);
    let last = tick(&targets[2], 650);
    assert_eq!(first, 30);
    assert!(first + last <= 60, "the budget allows 60 in ten minutes");
    let after = tick(&targets[3], 660);
    assert!(first + last + after <= 60, "{first}, {last} and {after} within ten minutes of a budget of 60");
}

#[test]
fn growing_vertically_needs_no_pods_and_moves_no_bound() {
    let (applier, plan) = vertical();
    block_on(applier.apply(&plan, ApplyMode::Apply)).unwrap();
    assert_eq!(applier.bounds(&target()), Some(Bounds::new(2, 6).unwrap()));
}

// ---- values that are printed

fn prints<T: Debug + Display>(value: &T) {
    assert!(!format!("{value:?}").is_empty());
    assert!(!value.to_string().trim().is_empty(), "{value:?} is displayed as nothing");
}

fn debugs<T: Debug>(value: &T) {
    assert!(!format!("{value:?} {value:#?}").is_empty());
}

const ODD: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, -0.0, 0.1];

#[test]
fn every_reason_prints_whatever_its_numbers() {
    use scaling_core::CapacityModel::{Declared, HealthLimit, Learnt, Unknown, UtilizationRatio};
    use scaling_core::NeedDriver::{Cpu, Demand, Memory, Overload};
    for n in ODD {
        for signal in SignalKind::ALL {
            prints(&signal);
            let load = Some(signal);
            for model in [Declared, Learnt, HealthLimit, UtilizationRatio, Unknown] {
                for per_pod in [None, Some(n)] {
                    prints(&Reason::Capacity { model, load, per_pod, samples: u32::MAX, spread: n });
                    prints(&Reason::Capacity { model, load: None, per_pod, samples: 0, spread: n });
                }
            }
            prints(&Reason::Load { load: signal, observed: n, demand: n });
            prints(&Reason::SignalAbsent { signal, absence: Absence::Stale { age_s: u32::MAX } });
        }
        for driver in [Demand, Cpu, Memory, Overload] {
            prints(&Reason::Need { driver, replicas: n });
        }
        for reason in [
            Reason::Backlog { requests: n },
            Reason::Errors { percent: n },
            Reason::SlowResponses { ms: n, usual_ms: n },
            Reason::Saturated { cpu_percent: n },
            Reason::MemoryPressure { percent: n, target_percent: n },
            Reason::OverProvisioned { needed: n },
            Reason::RecentDemand { replicas: u32::MAX },
            Reason::Trend { growth: n, seconds: n },
            Reason::Forecast { signal: None, observed: n, expected: n, quantile: n, ahead_s: n },
            Reason::DailyPattern { swing: n, days: n },
            Reason::Weekend,
            Reason::Event { name: String::new(), factor: n },
            Reason::HeldForAbsence { replicas: 0 },
            Reason::FellBack { engine: String::new(), error: String::new() },
            Reason::Ensemble { chosen: String::new(), answered: 0, asked: u32::MAX },
            Reason::Schedule { window: "\n".into(), replicas: 0 },
            Reason::Custom { rule: "".into(), text: "".into() },
        ] {
            prints(&reason);
        }
        prints(&CostImpact::per_hour(n, Currency::USD));
        debugs(&Confidence::new(n));
        debugs(&StepLimit { up: n, down: n });
        debugs(&ConfidenceGate { min: n });
        debugs(&Signal::Present(n));
        if let Err(error) = Price::per_pod_hour(n, Currency::USD) {
            prints(&error);
        }
        if let Err(error) = PlannedEvent::new("", start(), start() + TimeDelta::seconds(1), n) {
            prints(&error);
        }
        if let Err(error) = (RuleConfig { target_cpu_percent: n, ..RuleConfig::default() }).validate() {
            prints(&error);
        }
    }
}

#[test]
fn every_absence_target_and_bound_prints() {
    for absence in [
        Absence::NotMeasured,
        Absence::Stale { age_s: 0 },
        Absence::Partial { covered_percent: u8::MAX },
        Absence::NotFinite,
        Absence::OutOfRange,
    ] {
        prints(&absence);
        debugs(&Signal::Absent(absence));
    }
    prints(&target());
    prints(&Target::deployment("", "").in_cluster("").of_kind(""));
    prints(&Bounds::new(0, MAX_REPLICAS).unwrap());
    prints(&HardLimits::default());
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun, ApplyMode::Apply] {
        prints(&mode);
    }
    prints(&Currency::EUR);
}

#[test]
fn every_error_prints() {
    let ends = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
    let bounds = Bounds::new(1, 2).unwrap();
    prints(&InvalidBounds::MaxIsZero);
    prints(&InvalidBounds::MinAboveMax { min: 2, max: 1 });
    prints(&InvalidBounds::TooLarge { max: u32::MAX });
    prints(&HistoryError::NotAfter { newest: ends.0, got: ends.1 });
    prints(&InvalidEvent::EndsBeforeStart { name: String::new(), start: ends.0, end: ends.1 });
    prints(&InvalidPrice::Currency(String::new()));
    prints(&InvalidPrice::NoRequest(""));
    let engine = String::new;
    for error in [
        EngineError::NoPodCount,
        EngineError::Unavailable { engine: engine(), source: "".into() },
        EngineError::InvalidAnswer { engine: engine(), detail: engine() },
        EngineError::Open { engine: engine(), failures: u32::MAX, until: ends.1 },
        EngineError::NoneAnswered { asked: 0, last: engine() },
    ] {
        prints(&error);
        let _ = error.is_transient();
    }
    for error in [
        SourceError::UnknownTarget { target: Box::new(target()) },
        SourceError::NoData { target: Box::new(target()), at: ends.0 },
        SourceError::Backend { target: Box::new(target()), transient: true, source: "".into() },
    ] {
        prints(&error);
        let _ = error.is_transient();
    }
    for error in [
        ApplyError::NotFound { target: target() },
        ApplyError::Changed { target: target(), expected: bounds, found: bounds },
        ApplyError::Conflict {
            target: target(),
            field: String::new(),
            owner: String::new(),
            since: None,
            setting: None,
        },
        ApplyError::Owned { target: target(), owners: Vec::new(), source: "".into() },
        ApplyError::Refused { target: target(), detail: String::new(), denied: true },
        ApplyError::Backend { target: target(), transient: false, source: "".into() },
        ApplyError::Unapplied { target: target(), transient: true, source: "".into() },
    ] {
        prints(&error);
        let _ = error.is_transient();
    }
    let write = || RecordError::Write(std::io::Error::other("disk full"));
    prints(&write());
    prints(&TickError { record: Box::new(records().remove(0)), source: write() });
}

#[test]
fn everything_that_can_be_held_can_be_debugged() {
    let observation = observations().remove(0).1;
    debugs(&observation);
    for (_, observation) in observations() {
        let decision = decide(&observation);
        debugs(&decision);
        decision.reasons.iter().for_each(prints);
    }
    records().iter().for_each(debugs);
    let (applier, plan) = vertical();
    debugs(&plan);
    prints(&plan);
    prints(&plan.change());
    debugs(&plan.requests());
    debugs(&applier);
    debugs(&MemorySource::new());
    debugs(&MemoryRecorder::new());
    debugs(&NoRecorder);
    debugs(&JsonLinesRecorder::new(Vec::new()));
    debugs(&Guards::default());
    debugs(&RuleBasedEngine::default());
    debugs(&Breaker::new(RuleBasedEngine::default(), BreakerConfig::default()));
    debugs(&RuleBasedEngine::default().or_else(RuleBasedEngine::default()));
    debugs(&RuleBasedEngine::default().shadow(RuleBasedEngine::default()));
    debugs(&Ensemble::of(RuleBasedEngine::default()).with(RuleBasedEngine::default()));
    let builder = Autoscaler::builder().source(MemorySource::new()).engine(Wants(1)).applier(MemoryApplier::new());
    debugs(&builder);
    debugs(&builder.build());
    debugs(&BoundsPolicy::default());
    debugs(&WorkloadFacts::default());
    debugs(&HardLimits::default());
    assert!(!scaling_core::AbsenceGuard.name().is_empty());
}

// ---- the owner's bounds

/// An HPA that has lost what was kept at it: its bounds are all that is read. Keeps the resting bounds of each plan.
#[derive(Default)]
struct Forgetful(std::sync::Mutex<Vec<Bounds>>);

#[async_trait]
impl HpaApplier for Forgetful {
    async fn current(&self, _: &Target) -> Result<HpaState, ApplyError> {
        let known = self.0.lock().unwrap().is_empty();
        let state = HpaState::new(Bounds::new(2, 12).unwrap());
        Ok(if known { state.with_resting(Bounds::new(1, 4).unwrap()) } else { state })
    }
    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        self.0.lock().unwrap().push(plan.resting());
        let why = Box::from("down");
        if mode == ApplyMode::Apply {
            Err(ApplyError::Unapplied { target: plan.target().clone(), transient: true, source: why })
        } else {
            Ok(Applied { mode, changed: true })
        }
    }
}

#[test]
fn a_plan_carries_the_owners_bounds_that_the_hpa_does_not_tell_any_more() {
    let applier = Arc::new(Forgetful::default());
    let source = MemorySource::new();
    let metrics = now(10).with(SignalKind::CpuUtilization, 95.0).with(SignalKind::MemoryUtilization, 50.0);
    source.put(target(), level(&metrics, 60));
    let builder = Autoscaler::builder().source(source).engine(RuleBasedEngine::default()).applier(Arc::clone(&applier));
    let autoscaler = builder.mode(ApplyMode::Apply).build();
    for _ in 0..2 {
        block_on(autoscaler.tick(&target(), start())).unwrap();
    }
    assert_eq!(*applier.0.lock().unwrap(), [Bounds::new(1, 4).unwrap(); 2]);
}
