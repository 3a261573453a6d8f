//! Workloads to measure with.

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{MetricsHistory, Observation, ScalingMetrics, SignalKind, Target};

/// The instant of the newest sample.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_614_400, 0).unwrap_or_default()
}

/// A busy workload with all signals, `samples` of history 15 s apart.
pub fn observation(samples: u32) -> Observation {
    let sample = |back: u32| {
        let phase = f64::from(back) * 0.7;
        let rate = 400.0 + 60.0 * phase.sin() - f64::from(back % 240);
        ScalingMetrics::new(now() - TimeDelta::seconds(15 * i64::from(back)), 8)
            .with(SignalKind::CpuUtilization, rate / 6.0)
            .with(SignalKind::MemoryUtilization, 55.0 + phase.cos())
            .with(SignalKind::RequestRate, rate)
            .with(SignalKind::ResponseTime, 80.0 + 5.0 * phase.cos())
            .with(SignalKind::ErrorRate, 0.2)
            .with(SignalKind::ActiveConnections, rate * 3.0)
            .with(SignalKind::QueueDepth, 2.0)
    };
    let mut history = MetricsHistory::new();
    for back in (1..=samples).rev() {
        // Each is newer than the one before.
        let _ = history.push(&sample(back));
    }
    Observation::new(target(0), sample(0)).with_history(history)
}

/// One of many workloads.
pub fn target(number: u32) -> Target {
    Target::deployment("fleet", format!("workload-{number}"))
}
