//! Foresight: `cargo bench -p benches --bench schedule`. A predictive decision, what learning takes, and a schedule from history.

use divan::{AllocProfiler, Bencher, black_box};
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{Bounds, MetricsHistory, Observation, ScalingMetrics, SignalKind, WorkloadFacts};
use scaling_schedule::{
    AnalyzeConfig, CompileConfig, HpaBeneath, Load, PredictiveConfig, PredictiveEngine, Tz, analyze, compile,
    compile_over_hpa, need_by_load,
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A busy workload with a daily season, at 15 s, and a present five minutes after the last full two hours.
fn observation(days: u32) -> Observation {
    let now: DateTime<Utc> = benches::now() + TimeDelta::seconds(300);
    let sample = |back: u32| {
        let step = f64::from(back);
        let rate = 300.0 + 150.0 * (step / 5760.0 * std::f64::consts::TAU).sin() + 20.0 * (step * 12.9898).sin();
        ScalingMetrics::new(now - TimeDelta::seconds(15 * i64::from(back)), 8)
            .with(SignalKind::RequestRate, rate)
            .with(SignalKind::CpuUtilization, rate / 6.0)
            .with(SignalKind::MemoryUtilization, 55.0)
    };
    let (history, _) = MetricsHistory::from_unordered((1..=days * 5760).map(sample).collect());
    let mut observation = Observation::new(benches::target(0), sample(0)).with_history(history);
    observation.facts.pod_capacity = Some(50.0);
    observation
}

/// A decision about what was decided before, by days of history: nothing new to learn.
#[divan::bench(args = [0, 1, 14, 60])]
fn predictive(bencher: Bencher<'_, '_>, days: u32) {
    let engine = PredictiveEngine::new(PredictiveConfig::default()).ok();
    let observation = observation(days);
    bencher.bench(|| engine.as_ref().map(|engine| engine.evaluate(black_box(&observation))));
}

/// The first decision of a target, by days of history.
#[divan::bench(args = [1, 7, 14, 60], sample_count = 10)]
fn learn(bencher: Bencher<'_, '_>, days: u32) {
    let observation = observation(days);
    bencher
        .with_inputs(|| PredictiveEngine::new(PredictiveConfig::default()).ok())
        .bench_values(|engine| engine.map(|engine| engine.evaluate(black_box(&observation))));
}

/// One hour of a workload: 240 decisions at 15 s, each with what it learns, after a day of history.
#[divan::bench(sample_count = 20)]
fn an_hour(bencher: Bencher<'_, '_>) {
    let all = observation(2);
    let hour: Vec<Observation> = (5760..6000)
        .filter_map(|place| {
            let mut seen = all.clone();
            seen.current = all.history.sample(place)?;
            Some(seen)
        })
        .collect();
    bencher
        .with_inputs(|| {
            let engine = PredictiveEngine::new(PredictiveConfig::default()).ok();
            if let (Some(engine), Some(first)) = (&engine, hour.first()) {
                let _ = engine.evaluate(first);
            }
            engine
        })
        .bench_values(|engine| {
            engine.map(|engine| hour.iter().skip(1).filter_map(|seen| engine.evaluate(seen).ok()).count())
        });
}

/// A month of a sample a minute, 43,200, with a day's course and a quiet weekend.
fn month() -> MetricsHistory {
    let start = benches::now();
    let sample = |minute: u32| {
        let at = start + TimeDelta::minutes(i64::from(minute));
        let step = f64::from(minute);
        let course = 1.0 - (step / 1440.0 * std::f64::consts::TAU).cos();
        let weekend = if minute / 1440 % 7 >= 5 { 0.4 } else { 1.0 };
        let rate = 80.0 + weekend * 400.0 * course + 20.0 * (step * 12.9898).sin();
        ScalingMetrics::new(at, 8).with(SignalKind::RequestRate, rate)
    };
    MetricsHistory::from_unordered((0..43_200).map(sample).collect()).0
}

/// Windows from a month, with their proof on held-out days.
#[divan::bench(sample_count = 100)]
fn compile_a_month(bencher: Bencher<'_, '_>) {
    let history = month();
    let config = CompileConfig { time_zone: Tz::Europe__Berlin, ..CompileConfig::default() };
    bencher.bench(|| compile(black_box(&history), &need_by_load(SignalKind::RequestRate, 50.0), &config));
}

/// Windows over an HPA from eight days of a sample a minute.
#[divan::bench(sample_count = 3)]
fn compile_over_an_hpa(bencher: Bencher<'_, '_>) {
    let start = benches::now();
    let sample = |minute: u32| {
        let at = start + TimeDelta::minutes(i64::from(minute));
        let rate = if minute % 1440 < 40 { 1600.0 } else { 80.0 };
        ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, rate)
    };
    let history = MetricsHistory::from_unordered((0..8 * 1440).map(sample).collect()).0;
    let need = need_by_load(SignalKind::RequestRate, 50.0);
    let Ok(bounds) = Bounds::new(1, 200) else { return };
    let hpa = HpaBeneath::new(70.0, bounds, &WorkloadFacts::default());
    bencher.bench(|| compile_over_hpa(black_box(&history), &need, &hpa, &CompileConfig::default()));
}

/// Patterns of a month.
#[divan::bench]
fn patterns(bencher: Bencher<'_, '_>) {
    let history = month();
    let config = AnalyzeConfig::in_zone(Tz::Europe__Berlin);
    bencher.bench(|| analyze(black_box(&history), Load::RequestRate, &config));
}

/// Patterns of a month, and windows from it.
#[divan::bench(sample_count = 20)]
fn patterns_and_schedule(bencher: Bencher<'_, '_>) {
    let history = month();
    let (patterns, schedule) = (AnalyzeConfig::in_zone(Tz::Europe__Berlin), CompileConfig::default());
    bencher.bench(|| {
        let found = analyze(black_box(&history), Load::RequestRate, &patterns);
        (found, compile(black_box(&history), &need_by_load(SignalKind::RequestRate, 50.0), &schedule))
    });
}
