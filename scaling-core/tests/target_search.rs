//! The recommended target of an HPA beneath an engine's floors, on small made-up histories.
#![cfg(feature = "backtest")]
#![allow(clippy::unwrap_used, clippy::float_cmp, missing_docs)]

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::executor::block_on;
use scaling_core::backtest::{BacktestError, ClusterModel, Driver, SampleTime, Scenario, Trace};
use scaling_core::hpa::{CrossVersionObjectReference, HpaSpec, MetricSpec};
use scaling_core::recommend::{TargetError, TargetRecommendation, TargetSearch, TargetSetting, TargetVerdict};
use scaling_core::{Bounds, DecisionEngine, EngineError, Observation, ScalingDecision, ScalingMetrics, SignalKind};

const SAMPLE_S: i64 = 300;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
}

/// Load of a shop that opens at eight and closes at twenty.
fn rate(second: i64) -> f64 {
    if (8 * 3600..20 * 3600).contains(&second.rem_euclid(86_400)) { 400.0 } else { 100.0 }
}

fn scenario_of(days: i64, rate: impl Fn(i64) -> f64) -> Scenario {
    let samples = (0..days * 86_400 / SAMPLE_S).map(|nth| {
        let second = nth * SAMPLE_S;
        ScalingMetrics::new(at(second), 1).with(SignalKind::RequestRate, rate(second))
    });
    let trace = Trace::from_samples("shop", samples.collect(), SampleTime::Starts).unwrap();
    Scenario::new(trace, ClusterModel { pod_capacity: 50.0, ..ClusterModel::default() })
}

fn hpa(percent: i32) -> HpaSpec {
    let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("shop"), Bounds::new(1, 20).unwrap());
    spec.metrics = Some(vec![MetricSpec::utilization("cpu", percent)]);
    spec
}

/// Knows the load of the next ten minutes, and asks for `factor` times the pods that it takes.
struct Knows(f64);

#[async_trait]
impl DecisionEngine for Knows {
    fn name(&self) -> &'static str {
        "knows"
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a few pods
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let now = observation.now.timestamp();
        let coming =
            [now - SAMPLE_S, now, now + SAMPLE_S, now + 2 * SAMPLE_S].map(rate).into_iter().fold(0.0, f64::max);
        let wanted = (coming / 50.0 * self.0).ceil() as u32;
        let current = observation.current.replicas().unwrap();
        let decision = ScalingDecision::replicas("knows", observation.current.timestamp, current, wanted);
        Ok(ScalingDecision { foreseen: true, ..decision }.with_confidence(1.0))
    }
}

fn search(share: f64, factor: f64, current: &HpaSpec) -> Result<TargetRecommendation, TargetError> {
    let search = TargetSearch { wanted_share: share, ..TargetSearch::default() };
    block_on(search.run(&scenario_of(4, rate), current, move |_| Ok(Driver::bounds(Knows(factor))), &()))
}

#[test]
fn beneath_floors_that_hold_what_comes_the_highest_target_is_recommended() {
    let current = hpa(70);
    let found = search(0.01, 1.0, &current).unwrap();
    assert_eq!(
        found.setting,
        TargetSetting { cpu_target_percent: 95, window_seconds: Some(60), scale_down_tolerance: None }
    );
    assert_eq!((found.verdict, found.tried.len()), (TargetVerdict::Change, 1), "the first keeps the share: {found}");
    assert!(found.after.violating_share <= 0.01 && found.pod_hours_change() < -0.08, "{found}");
    let least = found.oracle_pod_hours.unwrap();
    assert!(least > 0.0 && least <= found.after.pod_hours, "{found}");
    // Judged on the second half, after the settling hour.
    assert_eq!(found.judged, (at(2 * 86_400 + 3600), at(4 * 86_400)));
    // At 95 % nothing is left for surprises once our floors stop.
    assert!(found.if_we_stop.violating_share > found.after.violating_share, "{found}");

    let changed = found.applied_to(&current);
    assert_eq!(
        (changed.validate(), changed.cpu_target_percent(), changed.bounds()),
        (Ok(()), Some(95), current.bounds())
    );
    assert_eq!(changed.behavior.as_ref().unwrap().scale_up, None, "nothing but the window");
    assert_eq!(found, search(0.01, 1.0, &current).unwrap(), "law 5");
    let said = found.to_string();
    for part in [
        "CPU at 95 %, scale-down stabilization 60 s",
        "the HPA as it stands",
        "a clairvoyant",
        "from hour 49.0 to hour 96.0",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
}

#[test]
fn where_the_engine_costs_more_than_it_saves_the_hpa_is_kept() {
    let current = hpa(80);
    let found = search(0.5, 3.0, &current).unwrap();
    assert_eq!(found.verdict, TargetVerdict::Keep, "three times the pods: {found}");
    assert_eq!(found.applied_to(&current), current);
    assert!(found.to_string().starts_with("keep the HPA as it is"), "{found}");
}

#[test]
fn where_no_setting_keeps_the_share_the_safest_is_judged_and_nothing_is_promised() {
    // Floors of a fifth of what is needed: the HPA does the work.
    let current = hpa(75);
    let found = search(1e-9, 0.2, &current).unwrap();
    assert!(found.tried.len() <= 5, "{:?}", found.tried);
    let least = found.tried.iter().map(|tried| tried.score.violating_share).fold(f64::INFINITY, f64::min);
    let chosen = found.tried.iter().find(|tried| tried.setting == found.setting).unwrap();
    assert!(least > 1e-9 && chosen.score.violating_share == least, "{found}");
    assert!(matches!(found.verdict, TargetVerdict::KeepForLackOfBetter | TargetVerdict::ChangeBelowHope), "{found}");
    let fewer = 1.0 - (found.after.violating_share - 1e-9) / (found.before.violating_share - 1e-9);
    assert_eq!(found.verdict.changes(), fewer > 0.0 && fewer > found.pod_hours_change(), "{found}");
    assert!(found.applied_to(&current).validate().is_ok());
}

#[test]
fn what_is_recommended_keeps_the_share_where_it_was_chosen_and_is_the_cheapest_tried_that_does() {
    for (share, factor) in [(0.05, 0.8), (0.01, 0.9)] {
        let found = search(share, factor, &hpa(60)).unwrap();
        let kept = |score: &scaling_core::backtest::Score| score.violating_share <= share;
        let chosen = found.tried.iter().find(|tried| tried.setting == found.setting).unwrap();
        for tried in found.tried.iter().filter(|tried| kept(&tried.score)) {
            assert!(kept(&chosen.score) && chosen.score.pod_hours <= tried.score.pod_hours, "{:?}", found.tried);
        }
        assert!(found.setting.applied_to(&hpa(60)).validate().is_ok());
    }
}

#[test]
fn what_nothing_can_be_told_from_is_refused_with_its_reason() {
    let run = |search: TargetSearch, scenario: &Scenario, current: &HpaSpec| {
        block_on(search.run(scenario, current, |_| Ok(Driver::bounds(Knows(1.0))), &())).unwrap_err()
    };
    let default = TargetSearch::default;
    let four_days = scenario_of(4, rate);
    let error = run(default(), &scenario_of(3, rate), &hpa(70));
    assert!(
        matches!(&error, TargetError::TooShort { hours, needed, .. } if *hours < 73.0 && *needed == 96.0),
        "{error}"
    );
    assert!(error.to_string().contains("at least 96 h"), "{error}");
    let empty = scenario_of(4, |second| if second < 2 * 86_400 { 100.0 } else { 0.0 });
    let error = run(default(), &empty, &hpa(70));
    assert!(matches!(error, TargetError::NothingAsked { part: "judged", .. }), "{error}");
    let empty = scenario_of(4, |second| if second < 2 * 86_400 + SAMPLE_S { 0.0 } else { 100.0 });
    let error = run(default(), &empty, &hpa(70));
    assert!(matches!(error, TargetError::NothingAsked { part: "chosen", .. }), "{error}");

    let mut queue = hpa(70);
    queue.metrics = Some(vec![MetricSpec::external("queue_depth", "5".parse().unwrap())]);
    assert!(matches!(run(default(), &four_days, &queue), TargetError::NoCpuTarget));
    let mut invalid = hpa(70);
    invalid.max_replicas = 0;
    assert!(matches!(run(default(), &four_days, &invalid), TargetError::Hpa(_)));
    let mut beyond = hpa(70);
    beyond.max_replicas = 1_000_000;
    let error = run(default(), &four_days, &beyond);
    assert!(matches!(error, TargetError::Backtest(BacktestError::OutOfLimits { .. })), "{error}");

    for (field, search) in [
        ("wanted_share", TargetSearch { wanted_share: 0.0, ..default() }),
        ("wanted_share", TargetSearch { wanted_share: f64::NAN, ..default() }),
        ("targets", TargetSearch { targets: vec![95, 0], ..default() }),
        ("targets", TargetSearch { targets: vec![101], ..default() }),
        ("windows_seconds", TargetSearch { windows_seconds: vec![3601], ..default() }),
    ] {
        let error = run(search, &four_days, &hpa(70));
        assert!(matches!(&error, TargetError::Setting(setting) if setting.field == field), "{error}");
    }
    let all_history = Scenario { history_share: 1.0, ..four_days.clone() };
    assert!(matches!(run(default(), &all_history, &hpa(70)), TargetError::Setting(_)));
}

#[test]
fn without_a_request_rate_an_engine_that_needs_one_is_refused_by_name() {
    let mut scenario = scenario_of(4, rate);
    scenario.model = scenario.model.without(SignalKind::RequestRate);
    let engine = |training: &scaling_core::backtest::TrainingPeriod<'_>| {
        training.needs_rate()?;
        Ok(Driver::bounds(Knows(1.0)))
    };
    let error = block_on(TargetSearch::default().run(&scenario, &hpa(70), engine, &())).unwrap_err();
    assert!(error.to_string().contains("the request rate is not measured"), "{error}");
}
