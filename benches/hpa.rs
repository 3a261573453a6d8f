//! The HPA's algorithm: `cargo bench --bench hpa`. Time and allocations for one sync.

use divan::{AllocProfiler, Bencher, black_box};
use scaling_core::Bounds;
use scaling_core::chrono::TimeDelta;
use scaling_core::hpa::{
    ConditionStatus, Container, CrossVersionObjectReference, Hpa, HpaBehavior, HpaController, HpaEngine, HpaMemory,
    HpaSpec, KpaEngine, Pod, PodUsage, Ready, Reported, Resources, SampleTime, Samples, Scale, Selector,
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
    let cpu = |milli: i64| Resources::from([("cpu".to_owned(), milli)]);
    let long_ago = benches::now() - TimeDelta::hours(2);
    let pod = |nth: i32| Pod {
        name: format!("web-{nth}"),
        ready: Some(Ready { status: ConditionStatus::True, since: Some(long_ago) }),
        started: Some(long_ago),
        containers: vec![Container { name: "app".into(), requests: cpu(500), restart_always: false }],
        ..Pod::default()
    };
    let usage = |nth: i32| PodUsage {
        pod: format!("web-{nth}"),
        time: SampleTime { at: benches::now(), window_s: 60 },
        containers: vec![("app".into(), cpu(300 + i64::from(nth % 90)))],
    };
    Reported {
        scale: Some(Scale { spec_replicas: pods, status_replicas: pods }),
        selector: Selector::Usable,
        pods: (0..pods).map(pod).collect(),
        samples: vec![Samples::PodUsage((0..pods).map(usage).collect())],
        writable: true,
    }
}

/// One sync over lists of pods, with `behavior`.
#[divan::bench(args = [10, 100, 1000])]
fn sync(bencher: Bencher<'_, '_>, pods: i32) {
    let Some(hpa) = spec(true).and_then(|spec| Hpa::try_from(&spec).ok()) else { return };
    let controller = HpaController::default();
    let mut seen = reported(pods);
    bencher.bench_local(|| controller.sync(&hpa, &mut HpaMemory::default(), black_box(&mut seen), benches::now()));
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
