//! Pods that a sample needed: the input of the compiler.

use scaling_core::{ScalingMetrics, SignalKind};

/// Returns the pods that would have run at `target_percent` of CPU utilization: utilization × pods / target, as the HPA has it.
/// `None` for a sample without CPU utilization or without a number of pods.
///
/// ```
/// use scaling_core::{ScalingMetrics, SignalKind};
/// use scaling_schedule::need_by_cpu;
///
/// let sample = ScalingMetrics::new("2026-11-16T00:00:00Z".parse()?, 4).with(SignalKind::CpuUtilization, 90.0);
/// assert_eq!(need_by_cpu(60.0)(&sample), Some(6.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn need_by_cpu(target_percent: f64) -> impl Fn(&ScalingMetrics) -> Option<f64> {
    move |sample| {
        let pods = f64::from(sample.current_pod_count?);
        Some(sample.value(SignalKind::CpuUtilization)? * pods / target_percent)
    }
}

/// Returns the pods that carry the value of a signal, each `load_per_pod` of it. `None` for a sample without that signal.
///
/// ```
/// use scaling_core::{ScalingMetrics, SignalKind};
/// use scaling_schedule::need_by_load;
///
/// let sample = ScalingMetrics::new("2026-11-16T00:00:00Z".parse()?, 4).with(SignalKind::RequestRate, 300.0);
/// assert_eq!(need_by_load(SignalKind::RequestRate, 50.0)(&sample), Some(6.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn need_by_load(kind: SignalKind, load_per_pod: f64) -> impl Fn(&ScalingMetrics) -> Option<f64> {
    move |sample| Some(sample.value(kind)? / load_per_pod)
}
