//! The loop to copy: metrics in, a decision with its reasons out, the bounds of an HPA moved.
//!
//!     cargo run --release --example quickstart
//!
//! In memory, without a cluster: a source and an applier of one's own go where `MemorySource` and `MemoryApplier` stand.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use futures::executor::block_on; // or the runtime you have
use scaling_core::chrono::{DateTime, TimeDelta};
use scaling_core::{ApplyMode, Autoscaler, Bounds, MemoryApplier, MemorySource, ScalingMetrics, SignalKind, Target};
use scaling_schedule::{PredictiveConfig, PredictiveEngine};

fn main() -> std::process::ExitCode {
    examples::no_arguments("quickstart", "The loop to copy: metrics in, a decision with its reasons out");
    examples::exit(run(&mut examples::MayClose(std::io::stdout())).map_err(examples::Failure::failed))
}

fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let target = Target::deployment("shop", "checkout");
    let source = Arc::new(MemorySource::new()); // or any `MetricsSource`
    let hpa = Bounds::new(2, 6)?;
    let applier = Arc::new(MemoryApplier::new().with(target.clone(), hpa)); // or `scaling_k8s::KubeHpaApplier`
    let autoscaler = Autoscaler::builder()
        .source(source.clone())
        .engine(PredictiveEngine::new(PredictiveConfig::default())?)
        .applier(applier.clone())
        .mode(ApplyMode::Apply) // the default is `Plan`: nothing leaves the process
        .build();

    // Once a minute; in a cluster every 15 seconds, with a timer of yours.
    let mut now = DateTime::from_timestamp(1_767_600_000, 0).ok_or("no such instant")?;
    for rate in [200.0, 205.0, 210.0, 350.0, 430.0, 470.0] {
        let metrics = ScalingMetrics::new(now, 3)
            .with(SignalKind::RequestRate, rate)
            .with(SignalKind::CpuUtilization, rate / 5.0);
        source.advance(&target, metrics, now)?;
        let record = block_on(autoscaler.tick(&target, now))?;
        let bounds = applier.bounds(&target).ok_or("the HPA is gone")?;
        writeln!(out, "{} {rate} requests/s, 3 pods: HPA {bounds}, {}", now.format("%H:%M"), record.outcome)?;
        for reason in record.decision.iter().flat_map(|decision| &decision.reasons) {
            writeln!(out, "      {reason}")?;
        }
        now += TimeDelta::minutes(1);
    }
    Ok(())
}

#[test]
fn the_rise_is_met_before_it_is_over() {
    let mut out = Vec::new();
    run(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(["HPA 2..6, ", ", applied\n", "capacity of a pod"].iter().all(|said| text.contains(said)), "{text}");
}
