//! Every suite on every implementation, wrappers included, and what each wrapper adds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use scaling_core::backtest::{Arrivals, Cluster, ClusterModel, ClusterSetup, Control, SampleTime, Trace};
use scaling_core::baseline::{HpaEngine, KpaConfig, KpaEngine};
use scaling_core::conformance::{self, engine::steady};
use scaling_core::guard::{BudgetShare, FleetFreeze, Sight};
use scaling_core::hpa::{ControllerConfig, CrossVersionObjectReference, HpaBehavior, HpaSpec, MetricSpec, Quantity};
use scaling_core::source::SampleError;
use scaling_core::{
    AbsenceGuard, Bounds, Breaker, BreakerConfig, ConfidenceGate, Cooldown, DecisionEngine, DecisionRecord,
    EngineError, EngineExt, Ensemble, Fallback, Floor, FloorSource, Forecast, Freshness, Guard, HardLimitsGuard,
    JsonLinesRecorder, LoadForecast, MemoryApplier, MemoryRecorder, MemorySource, MetricsHistory, MetricsSource,
    NoForecast, Observation, Reason, Recorder, RemovalBudget, ResourceChange, ResourceLimits, RuleBasedEngine,
    RuleConfig, ScalingAction, ScalingDecision, ScalingMetrics, Shadow, ShadowOutcome, SignalKind, SourceError,
    StepLimit, Target, Tee, WorkloadFacts,
};

fn target() -> Target {
    Target::deployment("shop", "checkout").with_hpa("checkout-hpa")
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

/// Wants this many pods, and says that it asked for them.
#[derive(Clone, Debug)]
struct Wants(&'static str, u32, Option<ResourceChange>);

impl Wants {
    fn pods(name: &'static str, desired: u32) -> Self {
        Self(name, desired, None)
    }
}

#[async_trait]
impl DecisionEngine for Wants {
    fn name(&self) -> &'static str {
        self.0
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let pods = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let decision = ScalingDecision::replicas(self.0, observation.current.timestamp, pods, self.1);
        Ok(decision.with_confidence(0.9).with_resources(self.2))
    }
}

/// Has no answer.
#[derive(Debug)]
struct Fails(&'static str);

#[async_trait]
impl DecisionEngine for Fails {
    fn name(&self) -> &'static str {
        self.0
    }
    async fn decide(&self, _: &Observation) -> Result<ScalingDecision, EngineError> {
        Err(EngineError::InvalidAnswer { engine: self.0.into(), detail: "lost the thread".into() })
    }
}

/// Fails as long as `failing` is above 0, and counts how often it is asked.
#[derive(Debug, Default)]
struct Moody {
    failing: AtomicUsize,
    asked: AtomicUsize,
}

#[async_trait]
impl DecisionEngine for Moody {
    fn name(&self) -> &'static str {
        "moody"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.failing.load(Ordering::Relaxed) > 0 {
            self.failing.fetch_sub(1, Ordering::Relaxed);
            return Fails("moody").decide(observation).await;
        }
        Wants::pods("moody", 5).decide(observation).await
    }
}

// ---- engines

#[test]
fn rule_engine_keeps_the_promises() {
    block_on(conformance::engine(RuleBasedEngine::default));
}

#[test]
fn hpa_engine_keeps_the_promises() {
    for behavior in [None, Some(HpaBehavior::default())] {
        for metrics in [
            None,
            Some(vec![MetricSpec::utilization("cpu", 1), MetricSpec::utilization("memory", 90)]),
            Some(vec![
                MetricSpec::external("rps", Quantity::from_milli(1)),
                MetricSpec::external("nowhere", Quantity::from_milli(1)),
            ]),
        ] {
            let reference = CrossVersionObjectReference::deployment("checkout");
            let mut spec = HpaSpec::new(reference, Bounds::new(1, 1_000_000).unwrap());
            (spec.metrics, spec.behavior) = (metrics, behavior.clone());
            block_on(conformance::engine(|| HpaEngine::new(&spec).unwrap()));
        }
    }
}

#[test]
fn kpa_engine_keeps_the_promises() {
    block_on(conformance::engine(KpaEngine::default));
    let odd = KpaConfig {
        target: Some(f64::NAN),
        target_utilization: 0.0,
        stable_window: Duration::MAX,
        panic_window: f64::INFINITY,
        panic_threshold: 0.0,
        max_scale_up: 0.0,
        max_scale_down: f64::NAN,
    };
    block_on(conformance::engine(|| KpaEngine::new(odd.clone())));
}

#[test]
fn rule_engine_with_other_thresholds_keeps_the_promises() {
    block_on(conformance::engine(|| {
        let config = RuleConfig {
            shrink_below: 1.0,
            grow_tolerance: 0.0,
            shrink_min_samples: 0,
            shrink_window: Duration::ZERO,
            learn_window: Duration::ZERO,
            slope_window: Duration::ZERO,
            ..RuleConfig::default()
        };
        RuleBasedEngine::new(config).unwrap()
    }));
}

#[test]
fn rule_engine_without_rules_keeps_the_promises() {
    block_on(conformance::engine(|| {
        ["demand", "cpu", "memory", "overload", "trend", "event"]
            .into_iter()
            .fold(RuleBasedEngine::default(), RuleBasedEngine::without_rule)
    }));
}

#[test]
fn boxed_and_shared_engines_keep_the_promises() {
    block_on(async {
        conformance::engine(|| Box::new(RuleBasedEngine::default())).await;
        conformance::engine(|| Box::new(RuleBasedEngine::default()) as Box<dyn DecisionEngine>).await;
        conformance::engine(|| Arc::new(RuleBasedEngine::default()) as Arc<dyn DecisionEngine>).await;
    });
}

#[test]
fn fallback_keeps_the_promises() {
    block_on(async {
        conformance::engine(|| Fallback::new(Fails("model"), RuleBasedEngine::default())).await;
        conformance::engine(|| RuleBasedEngine::default().or_else(RuleBasedEngine::default())).await;
    });
}

#[test]
fn breaker_keeps_the_promises() {
    block_on(conformance::engine(|| RuleBasedEngine::default().breaker(BreakerConfig::default())));
    let extreme = BreakerConfig { failures: 0, cool_off: Duration::MAX };
    block_on(conformance::engine(|| Breaker::new(RuleBasedEngine::default(), extreme)));
    block_on(conformance::engine(|| Breaker::new(Fails("model"), extreme)));
}

#[test]
fn ensemble_keeps_the_promises() {
    block_on(async {
        conformance::engine(|| Ensemble::of(RuleBasedEngine::default())).await;
        conformance::engine(|| Ensemble::of(RuleBasedEngine::default()).with(Fails("model"))).await;
        let eager = || {
            let config = RuleConfig { target_cpu_percent: 40.0, ..RuleConfig::default() };
            RuleBasedEngine::new(config).unwrap()
        };
        conformance::engine(|| Ensemble::of(RuleBasedEngine::default()).with(eager())).await;
    });
}

#[test]
fn shadow_keeps_the_promises() {
    block_on(async {
        conformance::engine(|| RuleBasedEngine::default().shadow(Wants::pods("candidate", 9))).await;
        conformance::engine(|| Shadow::new(RuleBasedEngine::default(), Fails("model"))).await;
    });
}

/// Two pods by day, and five at the instant of a full hour.
struct Hourly;

impl FloorSource for Hourly {
    fn name(&self) -> &'static str {
        "hourly"
    }
    fn floor(&self, _: &Target, now: DateTime<Utc>) -> Option<Floor> {
        let replicas = if now.timestamp() % 3600 == 0 { 5 } else { 2 };
        Some(Floor::new(replicas, Reason::Schedule { window: "hourly".into(), replicas }))
    }
}

#[test]
fn floored_keeps_the_promises() {
    block_on(async {
        conformance::engine(|| RuleBasedEngine::default().floored(Hourly)).await;
        conformance::engine(|| RuleBasedEngine::default().floored(Arc::new(Hourly) as Arc<dyn FloorSource>)).await;
        conformance::engine(|| Fails("model").floored(Hourly)).await;
        conformance::engine(|| RuleBasedEngine::default().floored(Hourly).floored(Hourly)).await;
    });
}

/// Expects the load to become so many times what it is.
struct Times(f64);

impl Forecast for Times {
    fn name(&self) -> &'static str {
        "times"
    }
    fn forecast(&self, observation: &Observation) -> Result<LoadForecast, NoForecast> {
        let signal = SignalKind::RequestRate;
        let observed = observation.current.value(signal).ok_or(NoForecast::NoLoad { signal })?;
        let ahead_s = observation.facts.look_ahead().as_secs_f64();
        Ok(LoadForecast { signal, observed, expected: self.0 * observed, quantile: 0.95, ahead_s })
    }
}

#[test]
fn forecasting_keeps_the_promises() {
    block_on(async {
        for times in [0.0, 0.5, 1.0, 3.0, 1e300, f64::NAN, f64::INFINITY, -1.0] {
            conformance::engine(|| RuleBasedEngine::default().forecasting(Times(times))).await;
        }
        let shared = || Arc::new(Times(2.0)) as Arc<dyn Forecast>;
        conformance::engine(|| RuleBasedEngine::default().forecasting(shared())).await;
        conformance::engine(|| Fails("model").forecasting(Times(2.0))).await;
    });
}

#[test]
fn wrappers_of_wrappers_keep_the_promises() {
    block_on(conformance::engine(|| {
        let rules = RuleBasedEngine::default().forecasting(Times(2.0)).floored(Hourly);
        let model = Fails("model").breaker(BreakerConfig::default()).or_else(rules);
        Ensemble::of(model).with(RuleBasedEngine::default().shadow(Wants::pods("candidate", 9)))
    }));
}

// ---- what each wrapper adds

#[test]
fn every_wrapper_passes_the_floor_on() {
    let floored = || Fails("model").floored(Hourly);
    let wrapped: [Box<dyn DecisionEngine>; 10] = [
        Box::new(floored()),
        Box::new(Box::new(floored()) as Box<dyn DecisionEngine>),
        Box::new(Arc::new(floored())),
        Box::new(floored().breaker(BreakerConfig::default())),
        Box::new(floored().or_else(RuleBasedEngine::default())),
        Box::new(RuleBasedEngine::default().or_else(floored())),
        Box::new(floored().shadow(RuleBasedEngine::default())),
        Box::new(floored().forecasting(Times(1.0))),
        Box::new(floored().floored(Hourly)),
        Box::new(Ensemble::of(RuleBasedEngine::default()).with(floored())),
    ];
    for engine in wrapped {
        for (now, replicas) in [(DateTime::UNIX_EPOCH, 5), (start(), 2)] {
            let floor = engine.floor(&target(), now);
            assert_eq!(floor.map(|floor| floor.replicas), Some(replicas), "{} at {now}", engine.name());
        }
    }
    let looks_on = RuleBasedEngine::default().shadow(floored());
    assert_eq!(looks_on.floor(&target(), start()), None, "a candidate's floor is not held");
}

#[test]
fn floored_holds_the_floor_by_the_time_of_the_tick_and_leaves_the_request() {
    let observation = steady(3, 10);
    let full_hour = DateTime::from_timestamp(1_700_002_800, 0).unwrap();
    let alone = block_on(Wants::pods("rules", 4).decide(&observation)).unwrap();
    let floored = block_on(Wants::pods("rules", 4).floored(Hourly).decide(&observation.clone().at(full_hour))).unwrap();
    assert_eq!((floored.desired_replicas, floored.wanted(), floored.action()), (4, 5, alone.action()));
    assert_eq!(ScalingDecision { floor: None, ..floored }, alone);
}

#[test]
fn forecasting_tells_the_engine_what_is_expected_or_why_it_is_not_known() {
    /// Says in its reasons what it was told.
    struct Repeats;
    #[async_trait]
    impl DecisionEngine for Repeats {
        fn name(&self) -> &'static str {
            "repeats"
        }
        async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
            let text = match &observation.forecast {
                None => "nothing".to_owned(),
                Some(Ok(forecast)) => forecast.to_string(),
                Some(Err(error)) => error.to_string(),
            };
            let pods = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
            let decision = ScalingDecision::replicas("repeats", observation.current.timestamp, pods, pods);
            Ok(decision.because(Reason::Custom { rule: "repeats".into(), text: text.into() }))
        }
    }
    let told = |observation: &Observation| {
        let decision = block_on(Repeats.forecasting(Times(2.0)).decide(observation)).unwrap();
        decision.reasons[0].to_string()
    };
    let mut observation = steady(3, 10);
    observation.current = observation.current.with(SignalKind::RequestRate, 300.0);
    assert!(told(&observation).contains("600"), "{}", told(&observation));
    observation.current = observation.current.with(SignalKind::RequestRate, f64::NAN);
    assert!(told(&observation).contains("not measured"), "{}", told(&observation));
}

#[test]
fn fallback_answers_first_with_the_first() {
    let observation = steady(3, 10);
    let alone = block_on(Wants::pods("first", 5).decide(&observation)).unwrap();
    let wrapped = block_on(Fallback::new(Wants::pods("first", 5), Fails("second")).decide(&observation)).unwrap();
    assert_eq!(alone, wrapped);
}

#[test]
fn fallback_says_who_failed_and_why() {
    let engine = Fails("model").or_else(Wants::pods("rules", 5));
    assert!(engine.name().contains("model") && engine.name().contains("rules"), "{}", engine.name());
    let decision = block_on(engine.decide(&steady(3, 10))).unwrap();
    assert_eq!(decision.engine, "rules");
    let named = decision.reasons.iter().any(|reason| {
        matches!(reason, Reason::FellBack { engine, error } if engine == "model" && error.contains("lost the thread"))
    });
    assert!(named, "{:?}", decision.reasons);
}

#[test]
fn fallback_of_fallbacks_names_each_that_failed() {
    let engine = Fails("one").or_else(Fails("two")).or_else(Wants::pods("rules", 5));
    let decision = block_on(engine.decide(&steady(3, 10))).unwrap();
    let text = format!("{:?}", decision.reasons);
    assert!(text.contains("one") && text.contains("two"), "a failure went unsaid: {text}");
}

#[test]
fn fallback_without_any_answer_names_both() {
    let error = block_on(Fails("one").or_else(Fails("two")).decide(&steady(3, 10))).unwrap_err().to_string();
    assert!(error.contains("one") && error.contains("two"), "a failure went unsaid: {error}");
}

fn at(seconds: i64) -> Observation {
    Observation::new(target(), ScalingMetrics::new(start() + TimeDelta::seconds(seconds), 3))
}

#[test]
fn breaker_opens_after_the_failures_it_was_told_and_lets_one_through_after_the_cool_off() {
    let moody = Arc::new(Moody { failing: AtomicUsize::new(4), ..Moody::default() });
    let config = BreakerConfig { failures: 3, cool_off: Duration::from_secs(60) };
    let breaker = Breaker::new(Arc::clone(&moody), config);
    let ask = |seconds| block_on(breaker.decide(&at(seconds)));
    let asked = || moody.asked.load(Ordering::Relaxed);

    for second in 0..3 {
        assert!(matches!(ask(second), Err(EngineError::InvalidAnswer { .. })), "failure {second} comes through");
    }
    assert_eq!(asked(), 3);
    for second in [3, 30, 61] {
        match ask(second) {
            Err(error @ EngineError::Open { .. }) => {
                assert!(error.is_transient() && error.to_string().contains("moody"), "{error}");
                let EngineError::Open { failures, until, .. } = error else { unreachable!() };
                assert_eq!((failures, until), (3, start() + TimeDelta::seconds(2 + 60)));
            }
            other => panic!("open at {second} s: {other:?}"),
        }
    }
    assert_eq!(asked(), 3, "an open breaker does not ask");
    assert!(matches!(ask(62), Err(EngineError::InvalidAnswer { .. })), "one attempt after the cool-off");
    assert_eq!(asked(), 4);
    assert!(matches!(ask(63), Err(EngineError::Open { .. })), "it failed: open again");
    assert!(ask(122).is_ok(), "the next attempt succeeds");
    assert!(ask(122).is_ok() && ask(123).is_ok(), "closed");
    assert_eq!(asked(), 7);
}

#[test]
fn breaker_counts_only_failures_in_a_row() {
    let moody = Arc::new(Moody::default());
    let breaker = Breaker::new(Arc::clone(&moody), BreakerConfig { failures: 2, cool_off: Duration::from_secs(60) });
    for round in 0..5 {
        moody.failing.store(1, Ordering::Relaxed);
        assert!(matches!(block_on(breaker.decide(&at(round))), Err(EngineError::InvalidAnswer { .. })));
        assert!(block_on(breaker.decide(&at(round))).is_ok(), "round {round}");
    }
}

#[test]
fn breaker_asked_once_more_while_half_open_refuses() {
    use futures::future::{FutureExt, poll_fn};
    use std::task::Poll;

    /// Fails at first; the third question is never answered.
    struct Hangs(AtomicUsize);
    #[async_trait]
    impl DecisionEngine for Hangs {
        fn name(&self) -> &'static str {
            "hangs"
        }
        async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
            if self.0.fetch_add(1, Ordering::Relaxed) < 1 {
                return Fails("hangs").decide(observation).await;
            }
            poll_fn(|_| Poll::<()>::Pending).await;
            unreachable!()
        }
    }
    let breaker =
        Breaker::new(Hangs(AtomicUsize::new(0)), BreakerConfig { failures: 1, cool_off: Duration::from_secs(60) });
    assert!(block_on(breaker.decide(&at(0))).is_err());
    let late = at(61);
    let mut attempt = breaker.decide(&late);
    assert!((&mut attempt).now_or_never().is_none(), "the attempt is under way");
    assert!(matches!(block_on(breaker.decide(&at(62))), Err(EngineError::Open { .. })), "others are refused meanwhile");
    drop(attempt);
    assert!(
        matches!(block_on(breaker.decide(&at(120))), Err(EngineError::Open { .. })),
        "an attempt given up is no success"
    );
    assert!(breaker.decide(&at(121)).now_or_never().is_none(), "the next attempt after another cool-off");
}

fn ensemble(members: Vec<Box<dyn DecisionEngine>>) -> ScalingDecision {
    let mut members = members.into_iter();
    let first = Ensemble::of(members.next().unwrap());
    let ensemble = members.fold(first, Ensemble::with);
    block_on(ensemble.decide(&steady(5, 10))).unwrap()
}

#[test]
fn ensemble_grows_when_one_member_wants_it() {
    for wishes in [[8, 5, 2], [2, 8, 5], [5, 2, 8]] {
        let members = wishes.map(|pods| Box::new(Wants::pods("member", pods)) as Box<dyn DecisionEngine>);
        let decision = ensemble(members.into());
        assert_eq!((decision.desired_replicas, decision.action()), (8, ScalingAction::ScaleUpHorizontal), "{wishes:?}");
    }
}

#[test]
fn ensemble_shrinks_only_when_all_members_want_it_and_then_the_least() {
    let of = |pods: u32| Box::new(Wants::pods("member", pods)) as Box<dyn DecisionEngine>;
    assert_eq!(ensemble(vec![of(2), of(5), of(1)]).action(), ScalingAction::Maintain);
    let all = ensemble(vec![of(2), of(4), of(1)]);
    assert_eq!((all.desired_replicas, all.action()), (4, ScalingAction::ScaleDownHorizontal));
}

#[test]
fn ensemble_grows_without_a_failed_member() {
    let decision = ensemble(vec![Box::new(Fails("model")), Box::new(Wants::pods("rules", 9))]);
    assert_eq!(decision.desired_replicas, 9);
}

#[test]
fn ensemble_does_not_shrink_without_a_failed_member() {
    for first in [true, false] {
        let (fails, wants): (Box<dyn DecisionEngine>, Box<dyn DecisionEngine>) =
            (Box::new(Fails("model")), Box::new(Wants::pods("rules", 2)));
        let decision = ensemble(if first { vec![fails, wants] } else { vec![wants, fails] });
        assert_eq!((decision.desired_replicas, decision.action()), (5, ScalingAction::Maintain));
    }
}

#[test]
fn ensemble_names_a_failed_member() {
    for pods in [2, 5, 9] {
        let decision = ensemble(vec![Box::new(Fails("model")), Box::new(Wants::pods("rules", pods))]);
        let reasons: Vec<_> = decision.reasons.iter().map(ToString::to_string).collect();
        assert!(
            reasons.iter().any(|reason| reason.contains("model") && reason.contains("lost the thread")),
            "{pods} wanted: who failed, and why, is not said: {reasons:?}"
        );
    }
}

#[test]
fn ensemble_without_any_answer_is_an_error_that_says_how_many_were_asked() {
    let ensemble = Ensemble::of(Fails("one")).with(Fails("two"));
    match block_on(ensemble.decide(&steady(5, 10))) {
        Err(EngineError::NoneAnswered { asked: 2, last }) => assert!(last.contains("two"), "{last}"),
        other => panic!("{other:?}"),
    }
}

const BIGGER: ResourceChange = ResourceChange { cpu_percent: 0, memory_percent: 25 };
const MUCH_BIGGER: ResourceChange = ResourceChange { cpu_percent: 0, memory_percent: 75 };
const SMALLER: ResourceChange = ResourceChange { cpu_percent: 0, memory_percent: -50 };

#[test]
fn ensemble_of_maintain_and_bigger_pods_is_a_vertical_growth() {
    for first in [true, false] {
        let (level, bigger): (Box<dyn DecisionEngine>, Box<dyn DecisionEngine>) =
            (Box::new(Wants::pods("level", 5)), Box::new(Wants("bigger", 5, Some(BIGGER))));
        let decision = ensemble(if first { vec![level, bigger] } else { vec![bigger, level] });
        assert_eq!(decision.resources, Some(BIGGER));
        assert_eq!(decision.action(), ScalingAction::ScaleUpVertical, "maintain changes nothing, this would");
    }
}

#[test]
fn ensemble_takes_the_largest_wish_for_resources_too() {
    let wishes = [(5, BIGGER, 5, MUCH_BIGGER), (5, BIGGER, 8, MUCH_BIGGER), (8, BIGGER, 5, MUCH_BIGGER)];
    for (a, small, b, large) in wishes {
        let decision = ensemble(vec![Box::new(Wants("a", a, Some(small))), Box::new(Wants("b", b, Some(large)))]);
        assert_eq!(decision.resources, Some(large), "{a} and {b} pods");
        let decision = ensemble(vec![Box::new(Wants("b", b, Some(large))), Box::new(Wants("a", a, Some(small)))]);
        assert_eq!(decision.resources, Some(large), "{b} and {a} pods");
    }
}

#[test]
fn ensemble_makes_pods_smaller_only_when_all_members_want_it() {
    let decision = ensemble(vec![Box::new(Wants("small", 5, Some(SMALLER))), Box::new(Wants::pods("level", 5))]);
    assert_eq!(decision.resources, None, "one member alone makes pods smaller");
    let decision = ensemble(vec![Box::new(Wants("small", 5, Some(SMALLER))), Box::new(Fails("model"))]);
    assert_eq!(decision.resources, None, "pods become smaller without the answer of a member");
    let decision =
        ensemble(vec![Box::new(Wants("small", 5, Some(SMALLER))), Box::new(Wants("large", 5, Some(BIGGER)))]);
    assert_eq!(decision.resources, Some(BIGGER), "smaller wins over bigger");
}

#[test]
fn ensemble_that_holds_pods_for_a_failed_member_keeps_the_wish_for_bigger_ones() {
    let decision = ensemble(vec![Box::new(Wants("rules", 2, Some(BIGGER))), Box::new(Fails("model"))]);
    assert_eq!(decision.desired_replicas, 5);
    assert_eq!(decision.resources, Some(BIGGER), "growth needs one member");
}

/// Everything but the shadow.
fn without_shadow(decision: &ScalingDecision) -> String {
    serde_json::to_string(&ScalingDecision { shadow: None, ..decision.clone() }).unwrap()
}

#[test]
fn shadow_leaves_the_primary_byte_identical_and_records_the_candidate() {
    for (case, observation) in conformance::engine::observations() {
        let alone = block_on(RuleBasedEngine::default().decide(&observation));
        let shadowed = block_on(RuleBasedEngine::default().shadow(Wants::pods("candidate", 9)).decide(&observation));
        match (alone, shadowed) {
            (Ok(alone), Ok(shadowed)) => {
                assert_eq!(without_shadow(&alone), without_shadow(&shadowed), "{case}");
                let look = shadowed.shadow.unwrap();
                assert_eq!(look.engine, "candidate");
                assert!(matches!(look.outcome, ShadowOutcome::Decided(answer) if answer.desired_replicas == 9));
            }
            (Err(alone), Err(shadowed)) => assert_eq!(alone.to_string(), shadowed.to_string(), "{case}"),
            (alone, shadowed) => panic!("{case}: {alone:?} and {shadowed:?}"),
        }
    }
}

#[test]
fn shadow_records_a_candidate_that_fails() {
    let observation = steady(3, 10);
    let alone = block_on(Wants::pods("primary", 5).decide(&observation)).unwrap();
    let shadowed = block_on(Wants::pods("primary", 5).shadow(Fails("candidate")).decide(&observation)).unwrap();
    assert_eq!(without_shadow(&alone), without_shadow(&shadowed));
    let look = shadowed.shadow.unwrap();
    assert_eq!(look.engine, "candidate");
    assert!(matches!(look.outcome, ShadowOutcome::Failed(error) if error.contains("lost the thread")));
}

#[test]
fn shadow_over_shadow_loses_neither_candidate() {
    let engine = Wants::pods("primary", 5).shadow(Wants::pods("one", 6)).shadow(Wants::pods("two", 7));
    let text = serde_json::to_string(&block_on(engine.decide(&steady(3, 10))).unwrap()).unwrap();
    assert!(text.contains("\"one\"") && text.contains("\"two\""), "a candidate is gone: {text}");
}

// ---- sources

#[test]
fn memory_source_keeps_the_promises() {
    let now = steady(3, 60).current.timestamp;
    let make = || {
        let source = MemorySource::new();
        source.put(target(), steady(3, 60));
        source
    };
    block_on(conformance::source(make, &target(), now));
    block_on(conformance::source(|| Arc::new(make()) as Arc<dyn MetricsSource>, &target(), now));
    block_on(conformance::source(|| Box::new(make()) as Box<dyn MetricsSource>, &target(), now));
}

#[test]
fn memory_source_that_was_advanced_keeps_the_promises() {
    let observation = steady(3, 60);
    let now = observation.current.timestamp;
    let make = || {
        let source = MemorySource::new();
        for sample in observation.history.iter().chain([observation.current.clone()]) {
            source.advance(&target(), sample, now).unwrap();
        }
        source
    };
    block_on(conformance::source(make, &target(), now));
    assert_eq!(block_on(make().observe(&target(), now)).unwrap().history.len(), 60);
}

#[test]
fn memory_source_says_absent_for_what_nobody_put_in() {
    let make = || {
        let source = MemorySource::new();
        source.put(
            target(),
            Observation::new(target(), ScalingMetrics::new(start(), 3).with(SignalKind::CpuUtilization, 0.0)),
        );
        source
    };
    let missing: Vec<_> = SignalKind::ALL.into_iter().filter(|kind| *kind != SignalKind::CpuUtilization).collect();
    block_on(conformance::source::what_is_missing_is_absent(&make, &target(), start(), &missing));
}

#[test]
fn memory_source_hands_out_no_history_from_the_future() {
    let now = steady(3, 60).current.timestamp;
    let make = || {
        let source = MemorySource::new();
        let mut observation = steady(3, 60);
        observation.current.timestamp = now - TimeDelta::minutes(20);
        source.put(target(), observation);
        source
    };
    block_on(conformance::source::nothing_is_later_than_now(&make, &target(), now - TimeDelta::minutes(10)));
}

#[test]
fn memory_source_is_not_stuck_after_two_samples_within_a_millisecond() {
    let source = MemorySource::new();
    let at = |micros| start() + TimeDelta::microseconds(micros);
    let advance = |micros| source.advance(&target(), ScalingMetrics::new(at(micros), 3), at(micros));
    advance(100).unwrap();
    assert!(matches!(advance(500), Err(SampleError::Duplicate { .. })));
    advance(60_000_000).unwrap();
    advance(120_000_000).unwrap();
}

#[test]
fn memory_source_refuses_to_go_back_and_stays_as_it_was() {
    let source = MemorySource::new();
    let sample = |seconds| ScalingMetrics::new(start() + TimeDelta::seconds(seconds), 3);
    source.advance(&target(), sample(60), start() + TimeDelta::seconds(60)).unwrap();
    for seconds in [60, 0] {
        assert!(source.advance(&target(), sample(seconds), start() + TimeDelta::seconds(75)).is_err());
    }
    let seen = block_on(source.observe(&target(), start() + TimeDelta::seconds(90))).unwrap();
    assert_eq!((seen.current, seen.history.len()), (sample(60), 0));
}

/// Knows its whole past, and answers for any instant of it.
struct Recorded(Observation);

#[async_trait]
impl MetricsSource for Recorded {
    async fn observe(&self, asked: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        if *asked != target() {
            return Err(SourceError::UnknownTarget { target: Box::new(asked.clone()) });
        }
        let whole = self.0.history.iter().chain([self.0.current.clone()]);
        let mut past: Vec<_> = whole.take_while(|sample| sample.timestamp <= now).collect();
        let current = past.pop().ok_or_else(|| SourceError::NoData { target: Box::new(asked.clone()), at: now })?;
        Ok(Observation::new(target(), current).with_history(MetricsHistory::from_unordered(past).0))
    }
}

#[test]
fn recorded_source_keeps_the_promises() {
    block_on(conformance::source(|| Recorded(steady(3, 60)), &target(), steady(3, 60).current.timestamp));
}

/// A recording replayed for half an hour in a simulated cluster.
fn replayed(control: Control) -> Cluster {
    let seen = steady(3, 60);
    let recording = seen.history.iter().chain([seen.current.clone()]).collect();
    let trace = Trace::from_samples("steady", recording, SampleTime::Ends).unwrap();
    let model = ClusterModel { pod_capacity: trace.pod_capacity().unwrap(), ..ClusterModel::default() };
    let arrivals = Arrivals::new(&trace, &model).unwrap();
    let setup = ClusterSetup {
        target: target(),
        counted: arrivals.counted(0, 0, 0),
        arrivals: Arc::new(arrivals),
        model,
        trace: Arc::new(trace),
        first_step: 0,
        control,
        facts: WorkloadFacts::default(),
        events: Arc::new([]),
        history: Arc::default(),
    };
    let cluster = Cluster::new(setup).unwrap();
    for minute in 1..=30 {
        cluster.advance(start() + TimeDelta::minutes(minute));
    }
    cluster
}

fn with_hpa(bounds: Bounds) -> Control {
    let spec = HpaSpec::new(CrossVersionObjectReference::deployment("checkout"), bounds);
    Control::Hpa { spec: Box::new(spec), controller: ControllerConfig::default() }
}

#[test]
fn simulated_cluster_keeps_the_promises_of_a_source() {
    let bounds = Bounds::new(1, 10).unwrap();
    for control in [with_hpa(bounds), Control::Direct { bounds }] {
        let make = || replayed(control.clone());
        block_on(conformance::source(make, &target(), start() + TimeDelta::minutes(30)));
    }
}

#[test]
fn simulated_cluster_keeps_the_promises_of_an_applier() {
    block_on(conformance::applier(async |bounds| (replayed(with_hpa(bounds)), target())));
    block_on(conformance::applier(async |bounds| (replayed(Control::Direct { bounds }), target())));
    let exactly = |replicas| Bounds::exactly(replicas).unwrap();
    block_on(conformance::direct_applier(async |replicas| {
        (replayed(Control::Direct { bounds: exactly(replicas) }), target())
    }));
}

// ---- appliers

#[test]
fn memory_applier_keeps_the_promises() {
    block_on(conformance::applier(async |bounds| (MemoryApplier::new().with(target(), bounds), target())));
    block_on(conformance::direct_applier(async |replicas| {
        (MemoryApplier::new().with(target(), Bounds::exactly(replicas).unwrap()), target())
    }));
}

#[test]
fn boxed_and_shared_appliers_keep_the_promises() {
    use scaling_core::HpaApplier;
    block_on(async {
        conformance::applier(async |bounds| {
            (Box::new(MemoryApplier::new().with(target(), bounds)) as Box<dyn HpaApplier>, target())
        })
        .await;
        conformance::applier(async |bounds| {
            (Arc::new(MemoryApplier::new().with(target(), bounds)) as Arc<dyn HpaApplier>, target())
        })
        .await;
    });
}

#[test]
fn one_applier_over_many_workloads_keeps_the_promises() {
    let applier = Arc::new(MemoryApplier::new());
    let number = AtomicUsize::new(0);
    block_on(conformance::applier(async |bounds| {
        let nth = number.fetch_add(1, Ordering::Relaxed);
        let target = Target::deployment("shop", format!("workload-{nth}")).with_hpa(format!("hpa-{nth}"));
        applier.put(&target, bounds);
        (Arc::clone(&applier), target)
    }));
}

// ---- guards

fn check_guard<G: Guard + Clone + 'static>(guard: G) {
    conformance::guard(move || guard.clone());
}

#[test]
fn hard_limits_guard_keeps_the_promises() {
    check_guard(HardLimitsGuard);
}

#[test]
fn freshness_keeps_the_promises() {
    check_guard(Freshness::default());
    check_guard(Freshness { max_age: Duration::MAX, max_skew: Duration::MAX });
    check_guard(Freshness { max_age: Duration::ZERO, max_skew: Duration::ZERO });
}

#[test]
fn absence_guard_keeps_the_promises() {
    check_guard(AbsenceGuard);
    let (freeze, frozen) = (FleetFreeze::default(), FleetFreeze::default());
    let fleet: Vec<Target> = (0..9).map(|nth| Target::deployment("shop", format!("web-{nth}"))).collect();
    for sight in [Sight::Whole, Sight::Lost] {
        frozen.saw(fleet.iter().map(|target| (target, sight)), DateTime::UNIX_EPOCH);
    }
    assert!(frozen.frozen().is_some());
    check_guard(freeze);
    check_guard(frozen);
}

#[test]
fn confidence_gate_keeps_the_promises() {
    for min in [0.75, 0.0, 1.0, 2.0, -1.0, f64::NAN, f64::INFINITY] {
        check_guard(ConfidenceGate { min });
    }
}

#[test]
fn cooldown_keeps_the_promises() {
    check_guard(Cooldown::default());
    let (never, always) = (Duration::ZERO, Duration::MAX);
    check_guard(Cooldown { down: always, down_foreseen: never, resize: always, ..Cooldown::default() });
    check_guard(Cooldown { down: never, down_foreseen: always, slight: f64::NAN, down_idle: never, resize: never });
}

#[test]
fn step_limit_keeps_the_promises() {
    check_guard(StepLimit::default());
}

#[test]
fn step_limit_of_silly_numbers_keeps_the_promises() {
    let silly = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 0.5, 1.0, 1e300];
    for up in silly {
        for down in silly {
            check_guard(StepLimit { up, down });
        }
    }
}

#[test]
fn removal_budget_keeps_the_promises() {
    check_guard(RemovalBudget::default());
    let share = BudgetShare::new(RemovalBudget::default(), 4);
    share.hold([1, 2], DateTime::UNIX_EPOCH);
    check_guard(share);
    check_guard(BudgetShare::new(RemovalBudget::default(), 1));
    for pods in [0, 1, u32::MAX] {
        for window in [Duration::ZERO, Duration::from_secs(600), RemovalBudget::LONGEST_WINDOW] {
            check_guard(RemovalBudget::new(pods, window).unwrap());
        }
    }
}

#[test]
fn resource_limits_keep_the_promises() {
    check_guard(ResourceLimits::default());
    for percent in [0, 1, 100, u32::MAX] {
        check_guard(ResourceLimits { up_percent: percent, down_percent: percent, headroom_percent: percent });
    }
}

// ---- recorders

fn read_lines(bytes: &[u8]) -> Vec<DecisionRecord> {
    std::str::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn memory_recorder_keeps_the_promises() {
    conformance::recorder(MemoryRecorder::new, |recorder| recorder.records());
    conformance::recorder(|| Arc::new(MemoryRecorder::new()), |recorder| recorder.records());
    conformance::recorder(|| Box::new(MemoryRecorder::new()), |recorder| recorder.records());
}

#[test]
fn json_lines_recorder_keeps_the_promises() {
    conformance::recorder(|| JsonLinesRecorder::new(Vec::new()), |recorder| read_lines(&recorder.finish().unwrap()));
    conformance::recorder(
        || JsonLinesRecorder::new(std::io::BufWriter::new(Vec::new())),
        |recorder| read_lines(&recorder.finish().unwrap().into_inner().unwrap()),
    );
}

/// A tee, and what one of its recorders kept.
struct Teed(Tee, Arc<MemoryRecorder>);

impl Recorder for Teed {
    fn record(&self, record: &DecisionRecord) -> Result<(), scaling_core::RecordError> {
        self.0.record(record)
    }
}

#[test]
fn tee_keeps_the_promises_of_a_recorder_with_each_of_its_own() {
    let make = || {
        let kept = Arc::new(MemoryRecorder::new());
        Teed(Tee::new().with(Arc::clone(&kept)).with(MemoryRecorder::new()), kept)
    };
    conformance::recorder(make, |teed| teed.1.records());
}

/// Takes `room` bytes, then fails once, then takes everything.
struct Stumbles {
    room: Option<usize>,
    kept: Vec<u8>,
}

impl std::io::Write for Stumbles {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.room == Some(0) {
            self.room = None;
            return Err(std::io::Error::other("disk full"));
        }
        let taken = self.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        self.room = self.room.map(|room| room - taken);
        self.kept.extend(&bytes[..taken]);
        Ok(taken)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_record_that_was_half_written_does_not_spoil_the_next() {
    let records = conformance::recorder::records();
    let recorder = JsonLinesRecorder::new(Stumbles { room: Some(40), kept: Vec::new() });
    assert!(recorder.record(&records[0]).is_err(), "the disk was full");
    recorder.record(&records[1]).unwrap();
    recorder.record(&records[2]).unwrap();
    let kept = recorder.finish().unwrap().kept;
    let whole: Vec<DecisionRecord> =
        std::str::from_utf8(&kept).unwrap().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(whole, records[1..3], "what was answered as kept is kept whole");
}
