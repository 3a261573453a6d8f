//! The page of metrics: what each record does to it, and that it stays bounded.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp, missing_docs)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::executor::block_on;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::telemetry::Metrics;
use scaling_core::{
    Absence, ApplyMode, Autoscaler, Bounds, BoundsChange, BreakerConfig, Clamp, Currency, DecisionEngine,
    DecisionRecord, EngineError, EngineExt, Floor, Limit, MemoryApplier, MemorySource, NoForecast, Observation,
    Outcome, Price, Reason, Recorder, RuleBasedEngine, ScalingDecision, ScalingMetrics, SignalKind, SignalSet, Step,
    Target, Unchanged,
};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_600_000 + second, 0).unwrap()
}

fn target() -> Target {
    Target::deployment("shop", "web")
}

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

fn record(second: i64) -> DecisionRecord {
    DecisionRecord::new(target(), at(second), ApplyMode::Apply)
}

/// Samples of a page by their series.
fn samples(metrics: &Metrics) -> BTreeMap<String, f64> {
    let page = metrics.render().unwrap();
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').map(|(series, value)| (series.to_owned(), value.parse().unwrap())).unwrap())
        .collect()
}

const WORKLOAD: &str = "target_namespace=\"shop\",target_kind=\"Deployment\",target_name=\"web\"";

/// The gauge of the workload.
fn gauge(metrics: &Metrics, name: &str) -> Option<f64> {
    samples(metrics).get(&format!("ai_scaling_{name}{{{WORKLOAD}}}")).copied()
}

fn count(metrics: &Metrics, series: &str) -> f64 {
    let samples = samples(metrics);
    *samples.get(&format!("ai_scaling_{series}")).unwrap_or_else(|| panic!("no {series} in {samples:#?}"))
}

#[test]
fn the_table_of_the_docs_names_every_metric_and_no_other() {
    let docs = include_str!("../src/telemetry.rs");
    let documented: BTreeSet<String> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `ai_scaling_"))
        .flat_map(|line| {
            format!("`ai_scaling_{line}")
                .split(" | ")
                .next()
                .unwrap()
                .split(", ")
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .map(|name| name.trim_matches('`').to_owned())
        // Written by the crate of the models, where a test holds them against the same table.
        .filter(|name| !name.starts_with("ai_scaling_llm_"))
        .collect();
    let page = Metrics::new().render().unwrap();
    let shown: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total"),
            (name, _) => name.to_owned(),
        })
        .collect();
    assert!(shown.len() > 20, "{page}");
    assert_eq!(documented, shown);
}

#[test]
fn decisions_are_counted_by_type_and_level_of_confidence() {
    let metrics = Metrics::new();
    for confidence in [0.81, 0.8, 0.51, 0.5, 0.0, f64::NAN] {
        let decision = ScalingDecision::replicas("rules", at(0), 4, 6).with_confidence(confidence);
        metrics.record(&DecisionRecord { decision: Some(decision), ..record(0) }).unwrap();
    }
    let counted = |level| {
        count(
            &metrics,
            &format!("decisions_total{{decision_type=\"scale_up_horizontal\",confidence_level=\"{level}\"}}"),
        )
    };
    assert_eq!((counted("high"), counted("medium"), counted("low")), (1.0, 2.0, 3.0));
    assert_eq!(count(&metrics, "decisions_total{decision_type=\"maintain\",confidence_level=\"high\"}"), 0.0);
}

#[test]
fn a_tick_that_held_a_floor_without_a_source_counts_both_ends() {
    let metrics = Metrics::new();
    let failed =
        |step, may_have_happened| Outcome::Failed { step, error: "x".into(), transient: true, may_have_happened };
    let refused = Outcome::Refused { guard: "cooldown".into(), why: "x".into() };
    let ends = [
        (Outcome::Applied, Some(failed(Step::Observe, false))),
        (Outcome::Applied, Some(refused.clone())),
        (refused, None),
        (failed(Step::Apply, true), Some(failed(Step::Decide, false))),
        (failed(Step::Apply, false), None),
        (Outcome::Unchanged { why: Unchanged::AlreadyThere { bounds: bounds(2, 6) } }, None),
    ];
    for (outcome, withheld) in ends {
        metrics.record(&DecisionRecord { outcome, withheld, ..record(0) }).unwrap();
    }
    let expected = [
        ("ticks_total{outcome=\"applied\"}", 2.0),
        ("ticks_total{outcome=\"failed\"}", 2.0),
        ("ticks_total{outcome=\"refused\"}", 1.0),
        ("failures_total{step=\"observe\"}", 1.0),
        ("failures_total{step=\"decide\"}", 1.0),
        ("failures_total{step=\"apply\"}", 2.0),
        ("failures_total{step=\"read\"}", 0.0),
        ("refusals_total{guard=\"cooldown\"}", 2.0),
        ("applies_total{outcome=\"applied\"}", 2.0),
        ("applies_total{outcome=\"unknown\"}", 1.0),
        ("applies_total{outcome=\"failed\"}", 1.0),
        ("applies_total{outcome=\"already_there\"}", 1.0),
        ("unchanged_total{reason=\"already_there\"}", 1.0),
    ];
    for (series, value) in expected {
        assert_eq!(count(&metrics, series), value, "{series}");
    }
}

#[test]
fn gauges_show_what_the_newest_record_knows_and_nothing_else() {
    let metrics = Metrics::new();
    let price = Price::per_pod_hour(0.5, Currency::EUR).unwrap();
    let mut decision = ScalingDecision::replicas("rules", at(0), 8, 6);
    decision.cost = Some(price.pods(8, 6));
    let change =
        BoundsChange { old: bounds(4, 20), new: bounds(3, 20), released: 1, min_without_floor: None, resources: None };
    let full = DecisionRecord {
        metrics: Some(ScalingMetrics::new(at(-20), 7)),
        bounds: Some(bounds(4, 20)),
        resting: Some(bounds(2, 10)),
        decision: Some(decision),
        floor: Some(Floor::new(3, Reason::Schedule { window: "day".into(), replicas: 3 })),
        change: Some(change),
        outcome: Outcome::Applied,
        ..record(0)
    };
    metrics.record(&full).unwrap();
    let shown = [
        ("source_up", 1.0),
        ("source_age_seconds", 20.0),
        ("current_replicas", 7.0),
        ("wanted_replicas", 6.0),
        ("floor_replicas", 3.0),
        ("min_replicas", 3.0),
        ("max_replicas", 20.0),
        ("resting_min_replicas", 2.0),
        ("resting_max_replicas", 10.0),
        ("last_tick_timestamp_seconds", 1_767_600_000.0),
    ];
    for (name, value) in shown {
        assert_eq!(gauge(&metrics, name), Some(value), "{name}");
    }
    let savings = format!("ai_scaling_estimated_savings_per_hour{{{WORKLOAD},currency=\"EUR\"}}");
    assert_eq!(samples(&metrics).get(&savings), Some(&1.0));

    // The source and the API server are lost: what is not known is not shown, and the age of what was seen last grows.
    metrics.record(&record(60)).unwrap();
    assert_eq!((gauge(&metrics, "source_up"), gauge(&metrics, "source_age_seconds")), (Some(0.0), Some(80.0)));
    for name in [
        "current_replicas",
        "wanted_replicas",
        "floor_replicas",
        "min_replicas",
        "max_replicas",
        "resting_min_replicas",
    ] {
        assert_eq!(gauge(&metrics, name), None, "{name}");
    }
    assert!(!samples(&metrics).contains_key(&savings));
}

#[test]
fn a_change_that_was_only_planned_moves_no_bounds() {
    let metrics = Metrics::new();
    let change =
        BoundsChange { old: bounds(2, 6), new: bounds(4, 9), released: 0, min_without_floor: None, resources: None };
    let failed = Outcome::Failed { step: Step::Apply, error: "x".into(), transient: true, may_have_happened: true };
    for outcome in [Outcome::Planned, Outcome::Validated, failed] {
        let change = Some(change);
        metrics.record(&DecisionRecord { bounds: Some(bounds(2, 6)), change, outcome, ..record(0) }).unwrap();
        assert_eq!(gauge(&metrics, "min_replicas"), Some(2.0));
    }
}

#[test]
fn absent_signals_are_told_from_those_nobody_declared_and_stay_absent_while_the_source_is_down() {
    let metrics = Metrics::new();
    let declared = SignalSet::of([SignalKind::CpuUtilization, SignalKind::ErrorRate, SignalKind::RequestRate]);
    let absent = |signal: SignalKind| {
        let series = format!("ai_scaling_signal_absent{{{WORKLOAD},signal=\"{}\"}}", signal.field());
        samples(&metrics).get(&series).copied()
    };
    // Idle: there is no error rate to measure.
    let seen = ScalingMetrics::new(at(0), 3)
        .without(SignalKind::CpuUtilization, Absence::Stale { age_s: 90 })
        .with(SignalKind::RequestRate, 0.0);
    metrics.record(&DecisionRecord { metrics: Some(seen), declared: Some(declared), ..record(0) }).unwrap();
    assert_eq!(absent(SignalKind::CpuUtilization), Some(1.0));
    assert_eq!((absent(SignalKind::RequestRate), absent(SignalKind::ErrorRate)), (Some(0.0), Some(0.0)));
    assert_eq!(absent(SignalKind::QueueDepth), None);
    metrics.record(&record(60)).unwrap();
    assert_eq!((absent(SignalKind::RequestRate), absent(SignalKind::QueueDepth)), (Some(1.0), None));
}

fn forecast(second: i64, observed: f64, expected: f64) -> DecisionRecord {
    let decision = ScalingDecision::replicas("rules", at(second), 4, 4)
        .because(Reason::Forecast { signal: None, observed, expected, quantile: 0.9, ahead_s: 105.0 })
        .because(Reason::Load { load: SignalKind::RequestRate, observed, demand: observed });
    DecisionRecord { metrics: Some(ScalingMetrics::new(at(second), 4)), decision: Some(decision), ..record(second) }
}

#[test]
fn each_forecast_is_judged_once_by_the_load_that_came() {
    let metrics = Metrics::new();
    // Of the load at 0, 60 and 120, what is due by 120 is judged by the load then; 105 s after 60 nothing is measured.
    for (second, observed, expected) in [(0, 100.0, 150.0), (60, 100.0, 110.0), (120, 150.0, 160.0)] {
        metrics.record(&forecast(second, observed, expected)).unwrap();
    }
    let result = |result: &str| count(&metrics, &format!("forecasts_total{{result=\"{result}\"}}"));
    assert_eq!((result("held"), result("exceeded"), result("unmeasured")), (1.0, 0.0, 0.0));
    assert_eq!(gauge(&metrics, "forecast_quantile"), Some(0.9));
    metrics.record(&record(180)).unwrap();
    assert_eq!((result("held"), result("exceeded"), result("unmeasured")), (1.0, 0.0, 1.0));
    metrics.record(&forecast(240, 161.0, 170.0)).unwrap();
    // The same metrics asked about again forecast the same.
    metrics.record(&forecast(240, 161.0, 170.0)).unwrap();
    assert_eq!((result("held"), result("exceeded"), result("unmeasured")), (1.0, 1.0, 1.0));
    metrics.record(&forecast(360, 161.0, 170.0)).unwrap();
    assert_eq!((result("held"), result("exceeded"), result("unmeasured")), (2.0, 1.0, 1.0));
}

#[test]
fn a_forecast_with_hostile_numbers_is_neither_kept_nor_a_panic() {
    let metrics = Metrics::new();
    for ahead_s in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        let mut record = forecast(0, 1.0, 2.0);
        if let Some(Reason::Forecast { ahead_s: place, .. }) =
            &mut record.decision.as_mut().unwrap().reasons.first_mut()
        {
            *place = ahead_s;
        }
        metrics.record(&record).unwrap();
    }
    metrics.record(&record(1_000_000)).unwrap();
    assert_eq!(count(&metrics, "forecasts_total{result=\"unmeasured\"}"), 0.0);
    let none = Reason::NoForecast { cause: NoForecast::TooShort };
    let decision = ScalingDecision::replicas("rules", at(0), 4, 4).because(none);
    metrics.record(&DecisionRecord { decision: Some(decision), ..record(0) }).unwrap();
    assert_eq!(count(&metrics, "forecasts_missing_total{reason=\"too_short\"}"), 1.0);
}

#[test]
fn workloads_beyond_the_limit_are_counted_and_one_that_is_forgotten_leaves_its_place() {
    let metrics = Metrics::new().with_target_limit(2);
    let named = |name: &str| DecisionRecord::new(Target::deployment("shop", name), at(0), ApplyMode::Plan);
    for name in ["a", "b", "c", "c", "a"] {
        metrics.record(&named(name)).unwrap();
    }
    let shown = |name: &str| metrics.render().unwrap().contains(&format!("target_name=\"{name}\""));
    assert!(shown("a") && shown("b") && !shown("c"));
    assert_eq!((count(&metrics, "targets"), count(&metrics, "unlisted_records_total")), (2.0, 2.0));
    assert_eq!(count(&metrics, "ticks_total{outcome=\"unchanged\"}"), 5.0, "totals are over all workloads");
    metrics.forget(&Target::deployment("shop", "a"));
    assert!(!shown("a"));
    metrics.record(&named("c")).unwrap();
    assert!(shown("c") && !shown("a"));
}

#[test]
fn names_of_guards_that_are_not_ours_are_shown_up_to_a_limit() {
    let metrics = Metrics::new();
    let refuse = |guard: String| {
        let clamp = Clamp {
            guard: Cow::Owned(guard.clone()),
            from: Limit::Replicas(3),
            to: Limit::Replicas(2),
            why: Cow::Borrowed("x"),
        };
        let outcome = Outcome::Refused { guard, why: "x".into() };
        metrics.record(&DecisionRecord { outcome, clamps: vec![clamp], ..record(0) }).unwrap();
    };
    for number in 0..1000 {
        refuse(format!("guard_{number}"));
    }
    refuse("guard_0".into());
    refuse("cooldown".into());
    refuse("x".repeat(64));
    let shown = |counter: &str| samples(&metrics).keys().filter(|series| series.starts_with(counter)).count();
    // Nine of ours, 32 others, and the rest together.
    assert_eq!((shown("ai_scaling_refusals_total"), shown("ai_scaling_clamps_total")), (42, 42));
    assert_eq!(count(&metrics, "refusals_total{guard=\"guard_0\"}"), 2.0);
    assert_eq!(count(&metrics, "refusals_total{guard=\"cooldown\"}"), 1.0);
    assert_eq!(count(&metrics, "refusals_total{guard=\"other\"}"), 969.0);
}

#[test]
fn names_of_workloads_cannot_break_the_page() {
    let metrics = Metrics::new();
    let hostile = "a\"} 1\nai_scaling_fake{x=\"\\";
    let target = Target::deployment(hostile, hostile).in_cluster(hostile);
    metrics.record(&DecisionRecord::new(target, at(0), ApplyMode::Plan)).unwrap();
    let page = metrics.render().unwrap();
    assert!(!page.lines().any(|line| line.starts_with("ai_scaling_fake")), "{page}");
    assert!(page.contains("target_cluster=\"a\\\"} 1\\nai_scaling_fake{x=\\\"\\\\\""), "{page}");
}

struct Failing;

#[async_trait]
impl DecisionEngine for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }
    async fn decide(&self, _: &Observation) -> Result<ScalingDecision, EngineError> {
        Err(EngineError::NoPodCount)
    }
}

#[test]
fn the_breaker_inside_an_engine_and_the_latency_are_seen_beside_real_ticks() {
    let breaker = Failing.breaker(BreakerConfig { failures: 2, cool_off: Duration::from_secs(100) });
    let metrics = Metrics::new().with_breaker("failing", breaker.watch());
    // A clock that moves by a second whenever it is read.
    let clock = Arc::new(AtomicU64::new(0));
    let engine = metrics.timed(breaker.or_else(RuleBasedEngine::default()), move || {
        Duration::from_secs(clock.fetch_add(1, Ordering::Relaxed))
    });
    let metrics = Arc::new(metrics);
    let source = Arc::new(MemorySource::new());
    let autoscaler = Autoscaler::builder()
        .source(Arc::clone(&source))
        .engine(engine)
        .applier(MemoryApplier::new().with(target(), bounds(2, 6)))
        .recorder(Arc::clone(&metrics))
        .build();
    let breaker = || {
        let engine = |name| count(&metrics, &format!("breaker_{name}_targets{{engine=\"failing\"}}"));
        (engine("failing"), engine("open"))
    };
    for (second, expected) in [(0, (1.0, 0.0)), (60, (1.0, 1.0)), (120, (1.0, 1.0)), (300, (1.0, 1.0))] {
        let seen = ScalingMetrics::new(at(second), 3).with(SignalKind::CpuUtilization, 60.0);
        source.advance(&target(), seen, at(second)).unwrap();
        block_on(autoscaler.tick(&target(), at(second))).unwrap();
        assert_eq!(breaker(), expected, "at {second} s");
    }
    assert_eq!(count(&metrics, "analysis_latency_seconds_count"), 4.0);
    assert_eq!(count(&metrics, "analysis_latency_seconds_sum"), 4.0);
    assert_eq!(gauge(&metrics, "current_replicas"), Some(3.0));
}

#[test]
fn missed_ticks_are_counted_as_the_loop_says() {
    let metrics = Metrics::new();
    assert_eq!(count(&metrics, "ticks_missed_total"), 0.0);
    metrics.missed_ticks(3);
    metrics.missed_ticks(u64::MAX);
    assert!(count(&metrics, "ticks_missed_total") > 1e19, "it holds at its end, and does not begin again");
}
