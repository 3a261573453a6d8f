//! One proof of a proposal: `cargo bench -p benches --bench proof`. Time and allocations for two sizes over the past.

use divan::{AllocProfiler, Bencher, black_box};
use scaling_core::chrono::TimeDelta;
use scaling_core::{MetricsHistory, Observation, ScalingDecision, ScalingMetrics, SignalKind};
use scaling_llm::{Proof, ProofConfig};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Seven days at 15 s, in which load that grows by up to `swing` of itself follows every moment.
fn week(swing: f64) -> Observation {
    let sample = |back: u32| {
        let rate = 400.0 * (1.0 + swing * f64::from(back.wrapping_mul(2_654_435_761) >> 16) / 65_536.0);
        ScalingMetrics::new(benches::now() - TimeDelta::seconds(15 * i64::from(back)), 12)
            .with(SignalKind::CpuUtilization, rate / 6.0)
            .with(SignalKind::RequestRate, rate)
            .with(SignalKind::QueueDepth, 0.0)
    };
    let mut history = MetricsHistory::new();
    for back in (1..=7 * 5760).rev() {
        // Each is newer than the one before.
        let _ = history.push(&sample(back));
    }
    let mut observation = Observation::new(benches::target(0), sample(0)).with_history(history);
    observation.facts.pod_capacity = Some(50.0);
    observation
}

/// A calm week, in which nobody waits with either size, and a rough one, in which every moment has to be replayed.
#[divan::bench(args = [0.05, 0.9])]
fn seven_days(bencher: Bencher<'_, '_>, swing: f64) {
    let observation = week(swing);
    let baseline = ScalingDecision::replicas("rules", benches::now(), 12, 12);
    let Ok(proof) = Proof::new(ProofConfig::default()) else { return };
    bencher.bench(|| proof.prove(black_box(&observation), &baseline, 9));
}

/// As above with pods that take a quarter of an hour to start: longer paths.
#[divan::bench]
fn seven_days_slow_start(bencher: Bencher<'_, '_>) {
    let mut observation = week(0.9);
    observation.facts.start_up = std::time::Duration::from_secs(900);
    let baseline = ScalingDecision::replicas("rules", benches::now(), 12, 12);
    let Ok(proof) = Proof::new(ProofConfig::default()) else { return };
    bencher.bench(|| proof.prove(black_box(&observation), &baseline, 9));
}
