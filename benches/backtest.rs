//! A day in steps of 15 s: `cargo bench --bench backtest`. 5,760 steps, of which each engine decides at every one.

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use futures::executor::block_on;
use scaling_core::backtest::oracle::{Oracle, OracleConfig, OracleProblem};
use scaling_core::backtest::{Arrivals, Candidate, ClusterModel, SampleTime, Scenario, Trace, run_one};
use scaling_core::chrono::TimeDelta;
use scaling_core::{ScalingMetrics, SignalKind};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const STEPS: u32 = 5760;

fn main() {
    divan::main();
}

/// Minutes of load that follows the hour, up to 40 pods.
fn trace() -> Option<Trace> {
    let sample = |minute: u32| {
        let hour = f64::from(minute) / 60.0;
        let rate = 1100.0 - 900.0 * (hour / 12.0 * std::f64::consts::PI).cos() + f64::from(minute * 37 % 101);
        let mut sample = ScalingMetrics::new(benches::now() + TimeDelta::minutes(minute.into()), 0);
        sample.current_pod_count = None;
        sample.with(SignalKind::RequestRate, rate)
    };
    Trace::from_samples("day", (0..STEPS / 4).map(sample).collect(), SampleTime::Starts).ok()
}

fn model() -> ClusterModel {
    ClusterModel { noise_seed: Some(1), ..ClusterModel::default() }
}

fn scenario() -> Option<Scenario> {
    Some(Scenario { history_share: 0.0, ..Scenario::new(trace()?, model()) })
}

/// The oracle, which every replay comes with, and nobody else.
#[divan::bench]
fn nobody(bencher: Bencher<'_, '_>) {
    replay(bencher, &[]);
}

/// The HPA alone, in the cluster.
#[divan::bench]
fn hpa(bencher: Bencher<'_, '_>) {
    replay(bencher, &[Candidate::hpa_on_cpu(70)]);
}

/// Knative's autoscaler over the whole path that runs live.
#[divan::bench]
fn kpa(bencher: Bencher<'_, '_>) {
    replay(bencher, &[Candidate::kpa(0.7)]);
}

/// The rule engine over the whole path that runs live, learning each hour.
#[divan::bench]
fn rules(bencher: Bencher<'_, '_>) {
    if let Ok(rules) = Candidate::rules(0.95) {
        replay(bencher, &[rules]);
    }
}

fn replay(bencher: Bencher<'_, '_>, candidates: &[Candidate]) {
    let Some(scenario) = scenario() else { return };
    bencher
        .counter(ItemsCount::new(STEPS))
        .bench_local(|| block_on(run_one(black_box(&scenario), candidates, &())).is_ok());
}

/// The clairvoyant, with one request in a hundred allowed to violate.
#[divan::bench]
fn oracle_one_percent(bencher: Bencher<'_, '_>) {
    let Some(trace) = trace() else { return };
    let Ok(arrivals) = Arrivals::new(&trace, &model()) else { return };
    let config = OracleConfig {
        step: model().step(),
        pod_capacity: model().pod_capacity,
        objective: model().objective,
        start_up_steps: 4,
        bounds: model().limits.bounds(),
    };
    let Ok(problem) = OracleProblem::new(arrivals.requests(), &config) else { return };
    bencher.counter(ItemsCount::new(STEPS)).bench_local(|| Oracle::new(problem.clone()).cheapest(0.01).is_ok());
}
