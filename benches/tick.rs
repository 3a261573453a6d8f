//! A fleet in one tick: `cargo bench -p benches --bench tick`. 10,000 workloads, on one core.

use std::sync::Arc;

use divan::{AllocProfiler, Bencher, black_box};
use futures::executor::block_on;
use scaling_core::{
    ApplyMode, Autoscaler, Bounds, MemoryApplier, MemorySource, Observation, Outcome, RuleBasedEngine, Target,
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const FLEET: u32 = 10_000;

fn main() {
    divan::main();
}

/// Deciding alone, 60 samples of history each.
#[divan::bench(sample_count = 20)]
fn decide_10_000(bencher: Bencher<'_, '_>) {
    let engine = RuleBasedEngine::default();
    let fleet: Vec<Observation> = (0..FLEET).map(|_| benches::observation(60)).collect();
    bencher.bench(|| fleet.iter().filter(|observation| engine.evaluate(black_box(observation)).is_ok()).count());
}

/// The whole path: observe, read, decide, approve, plan, record; dry-run.
#[divan::bench(sample_count = 20)]
fn tick_10_000(bencher: Bencher<'_, '_>) {
    let source = Arc::new(MemorySource::new());
    let applier = MemoryApplier::new();
    let targets: Vec<Target> = (0..FLEET).map(benches::target).collect();
    for target in &targets {
        source.put(target.clone(), benches::observation(60));
        if let Ok(bounds) = Bounds::new(2, 10) {
            applier.put(target, bounds);
        }
    }
    let autoscaler = Autoscaler::builder()
        .source(source)
        .engine(RuleBasedEngine::default())
        .applier(applier)
        .mode(ApplyMode::Plan)
        .build();
    bencher.bench(|| {
        let tick = |target| block_on(autoscaler.tick(target, benches::now()));
        targets.iter().filter(|target| tick(target).is_ok_and(|record| record.outcome == Outcome::Planned)).count()
    });
}
