//! The HPA's algorithm: `cargo bench -p benches --bench hpa`. Time and allocations for one sync.

use divan::{AllocProfiler, Bencher, black_box};
use scaling_core::Bounds;
use scaling_core::baseline::{HpaEngine, KpaEngine};
use scaling_core::chrono::TimeDelta;
use scaling_core::hpa::{
    Calculator, ConditionStatus, Container, CrossVersionObjectReference, Hpa, HpaBehavior, HpaController, HpaMemory,
    HpaSpec, MetricSamples, Pod, PodUsage, Ready, Reported, Resources, SampleTime, Scale, Selector,
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn spec(behavior: bool) -> Option<HpaSpec> {
    let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(1, 10_000).ok()?);
    spec.behavior = behavior.then(HpaBehavior::default);
    Some(spec)
}

/// A workload of so many pods with a CPU sample each, as the API server and the metrics server list them.
fn reported(pods: i32) -> Reported {
    let cpu = |milli: i64| Resources::from([("cpu", milli)]);
    let long_ago = benches::now() - TimeDelta::hours(2);
    let pod = |nth: i32| Pod {
        name: format!("web-{nth:04}"),
        ready: Some(Ready { status: ConditionStatus::True, since: Some(long_ago) }),
        started: Some(long_ago),
        containers: vec![Container { name: "app".into(), requests: cpu(500), restart_always: false }],
        ..Pod::default()
    };
    let usage = |nth: i32| PodUsage {
        pod: format!("web-{nth:04}"),
        time: SampleTime { at: benches::now(), window_s: 60 },
        containers: vec![("app".into(), cpu(300 + i64::from(nth % 90)))],
    };
    Reported {
        scale: Some(Scale { spec_replicas: pods, status_replicas: pods }),
        selector: Selector::Usable,
        pods: (0..pods).map(pod).collect(),
        samples: vec![MetricSamples::PodUsage((0..pods).map(usage).collect())],
        writable: true,
    }
}

/// What CPU utilization asks for: the replica calculator alone.
#[divan::bench(args = [10, 100, 1000], sample_size = 100)]
fn calculator(bencher: Bencher<'_, '_>, pods: i32) {
    let Some(hpa) = spec(true).and_then(|spec| Hpa::try_from(&spec).ok()) else { return };
    let controller = HpaController::default();
    let seen = reported(pods);
    let (Some(metric), Some(samples), Some(scale)) = (hpa.metrics.first(), seen.samples.first(), seen.scale) else {
        return;
    };
    let tolerances = controller.tolerances(hpa.behavior.as_ref());
    let calculator = Calculator { config: &controller.config, tolerances, scale, now: benches::now() };
    bencher.bench_local(|| calculator.propose(metric, black_box(&seen.pods), samples));
}

/// One sync over lists of pods, with `behavior`, of a controller that has run for an hour.
#[divan::bench(args = [10, 100, 1000], sample_size = 100)]
fn sync(bencher: Bencher<'_, '_>, pods: i32) {
    let Some(hpa) = spec(true).and_then(|spec| Hpa::try_from(&spec).ok()) else { return };
    let controller = HpaController::default();
    let mut seen = reported(pods);
    let (mut memory, mut now) = (HpaMemory::default(), benches::now());
    let mut next = |seen: &mut Reported| {
        now += TimeDelta::seconds(15);
        controller.sync(&hpa, &mut memory, seen, now)
    };
    for _ in 0..240 {
        next(&mut seen);
    }
    bencher.bench_local(|| next(black_box(&mut seen)));
}

/// One decision from an observation.
#[divan::bench(args = [false, true])]
fn engine(bencher: Bencher<'_, '_>, behavior: bool) {
    let Some(engine) = spec(behavior).and_then(|spec| HpaEngine::new(&spec).ok()) else { return };
    let observation = benches::observation(60);
    bencher.bench(|| engine.evaluate(black_box(&observation)));
}

/// One decision of Knative's autoscaler, with an hour of history.
#[divan::bench]
fn kpa(bencher: Bencher<'_, '_>) {
    let engine = KpaEngine::default();
    let observation = benches::observation(240);
    bencher.bench(|| engine.evaluate(black_box(&observation)));
}
