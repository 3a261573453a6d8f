//! Replays in steps of 15 s: `cargo bench -p benches --bench backtest`. The HPA over a month, and a day (5,760 steps) with everything that a
//! report has; engines decide at every step.

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use futures::executor::block_on;
use scaling_core::backtest::oracle::{Oracle, OracleConfig, OracleProblem};
use scaling_core::backtest::{
    Arrivals, Candidate, Cluster, ClusterModel, ClusterSetup, Control, Report, SampleTime, Scenario, Trace, run_one,
};
use scaling_core::chrono::TimeDelta;
use scaling_core::hpa::{ControllerConfig, CrossVersionObjectReference, HpaSpec};
use scaling_core::{Bounds, MetricsHistory, ScalingMetrics, SignalKind, Target, WorkloadFacts};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const STEPS: u32 = 5760;
const MONTH: u32 = 30 * STEPS;

fn main() {
    divan::main();
}

/// Minutes of load that follows the hour, up to 40 pods.
fn trace(steps: u32) -> Option<Trace> {
    let sample = |minute: u32| {
        let hour = f64::from(minute) / 60.0;
        let rate = 1100.0 - 900.0 * (hour / 12.0 * std::f64::consts::PI).cos() + f64::from(minute * 37 % 101);
        let mut sample = ScalingMetrics::new(benches::now() + TimeDelta::minutes(minute.into()), 0);
        sample.current_pod_count = None;
        sample.with(SignalKind::RequestRate, rate)
    };
    Trace::from_samples("day", (0..steps / 4).map(sample).collect(), SampleTime::Starts).ok()
}

fn model() -> ClusterModel {
    ClusterModel { noise_seed: Some(1), ..ClusterModel::default() }
}

fn scenario() -> Option<Scenario> {
    Some(Scenario { history_share: 0.0, ..Scenario::new(trace(STEPS)?, model()) })
}

/// The simulated cluster under the HPA: 172,800 steps, each with a sync.
#[divan::bench]
fn month_of_hpa(bencher: Bencher<'_, '_>) {
    let Some((trace, bounds)) = trace(MONTH).map(Arc::new).zip(Bounds::new(1, 200).ok()) else { return };
    let model = ClusterModel { noise_seed: None, ..model() };
    let Ok(arrivals) = Arrivals::new(&trace, &model).map(Arc::new) else { return };
    let setup = ClusterSetup {
        target: Target::deployment("bench", "web"),
        first_step: 0,
        counted: arrivals.counted(0, 0, 0),
        control: Control::Hpa {
            spec: Box::new(HpaSpec::new(CrossVersionObjectReference::deployment("web"), bounds)),
            controller: ControllerConfig::default(),
        },
        facts: WorkloadFacts::default(),
        events: Arc::new([]),
        history: Arc::new(MetricsHistory::with_limit(0)),
        model,
        arrivals: Arc::clone(&arrivals),
        trace,
    };
    let end = arrivals.instant(arrivals.len());
    bencher.counter(ItemsCount::new(MONTH)).with_inputs(|| Cluster::new(setup.clone())).bench_local_values(|cluster| {
        let Ok(cluster) = cluster else { return 0 };
        cluster.advance(end);
        cluster.into_run().scale_events
    });
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
    replay(bencher, &[Candidate::rules()]);
}

/// Forms of a report.
#[derive(Clone, Copy, Debug)]
enum Form {
    Table,
    Json,
    Page,
}

/// Two weeks under six policies, written as a table, as JSON and as a page.
#[divan::bench(args = [Form::Table, Form::Json, Form::Page])]
fn report_of_two_weeks(bencher: Bencher<'_, '_>, form: Form) {
    let Some(trace) = trace(14 * STEPS) else { return };
    let scenario = Scenario { history_share: 0.0, ..Scenario::new(trace, model()) };
    let candidates = [40, 50, 60, 70, 80, 90].map(Candidate::hpa_on_cpu);
    let Ok(report) = block_on(run_one(&scenario, &candidates, &())).map(|trace| Report::new(vec![trace])) else {
        return;
    };
    bencher.bench_local(|| match form {
        Form::Table => report.to_table().len(),
        Form::Json => report.to_json().map_or(0, |text| text.len()),
        Form::Page => report.to_html().len(),
    });
}

fn replay(bencher: Bencher<'_, '_>, candidates: &[Candidate]) {
    let Some(scenario) = scenario() else { return };
    bencher
        .counter(ItemsCount::new(STEPS))
        .bench_local(|| block_on(run_one(black_box(&scenario), candidates, &())).is_ok());
}

/// The clairvoyant over a week, 40,320 steps, with no request allowed to violate and with one in a hundred.
#[divan::bench(args = [0.0, 0.01])]
fn oracle_week(bencher: Bencher<'_, '_>, share: f64) {
    let Some(trace) = trace(7 * STEPS) else { return };
    let Ok(arrivals) = Arrivals::new(&trace, &model()) else { return };
    let config = OracleConfig {
        step: model().step(),
        pod_capacity: model().pod_capacity,
        objective: model().objective,
        start_up_steps: 4,
        bounds: model().limits.bounds(),
    };
    let Ok(problem) = OracleProblem::new(arrivals.requests(), &config) else { return };
    bencher.counter(ItemsCount::new(7 * STEPS)).bench_local(|| Oracle::new(problem.clone()).cheapest(share).is_ok());
}
