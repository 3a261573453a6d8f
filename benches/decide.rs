//! One rule decision: `cargo bench -p benches --bench decide`. Time and allocations per decision.

use divan::{AllocProfiler, Bencher, black_box};
use scaling_core::{LoadForecast, RuleBasedEngine, RuleConfig, SignalKind};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Without history, an hour at a minute or a quarter of an hour at 15 s (60), a day at 15 s.
#[divan::bench(args = [0, 10, 60, 240, 5760])]
fn rules(bencher: Bencher<'_, '_>, samples: u32) {
    let engine = RuleBasedEngine::default();
    let observation = benches::observation(samples);
    bencher.bench(|| engine.evaluate(black_box(&observation)));
}

/// With a forecast of the load, following demand closely.
#[divan::bench(args = [60, 5760])]
fn tracking(bencher: Bencher<'_, '_>, samples: u32) {
    let engine = RuleBasedEngine::new(RuleConfig::tracking()).unwrap_or_default();
    let mut observation = benches::observation(samples);
    observation.facts.pod_capacity = Some(75.0);
    let signal = SignalKind::RequestRate;
    let forecast = LoadForecast { signal, observed: 400.0, expected: 480.0, quantile: 0.97, ahead_s: 105.0 };
    let observation = observation.with_forecast(Ok(forecast));
    bencher.bench(|| engine.evaluate(black_box(&observation)));
}

/// Prose, which is rendered only when asked for.
#[divan::bench]
fn render_reasons(bencher: Bencher<'_, '_>) {
    let observation = benches::observation(60);
    let Ok(decision) = RuleBasedEngine::default().evaluate(&observation) else { return };
    bencher.bench(|| black_box(&decision).reasons.iter().map(ToString::to_string).collect::<Vec<_>>());
}
