//! Pods that a sample needed: the input of the compiler.

use scaling_core::metrics::Columns;
use scaling_core::{InvalidSetting, MAX_REPLICAS, ScalingMetrics, SignalKind};

/// The pods that a sample needed, not rounded: [`need_by_cpu`] or [`need_by_load`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need(By);

#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Cpu { target_percent: f64 },
    Load { kind: SignalKind, load_per_pod: f64 },
}

/// The pods that would have run at `target_percent` of CPU utilization: utilization × pods / target, as the HPA has it. A sample
/// without CPU utilization or without a number of pods does not tell.
///
/// ```
/// use scaling_core::{ScalingMetrics, SignalKind};
/// use scaling_schedule::need_by_cpu;
///
/// let sample = ScalingMetrics::new("2026-11-16T00:00:00Z".parse()?, 4).with(SignalKind::CpuUtilization, 90.0);
/// assert_eq!(need_by_cpu(60.0).of(&sample), Some(6.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn need_by_cpu(target_percent: f64) -> Need {
    Need(By::Cpu { target_percent })
}

/// The pods that carry the value of a signal, each `load_per_pod` of it. A sample without that signal does not tell.
///
/// ```
/// use scaling_core::{ScalingMetrics, SignalKind};
/// use scaling_schedule::need_by_load;
///
/// let sample = ScalingMetrics::new("2026-11-16T00:00:00Z".parse()?, 4).with(SignalKind::RequestRate, 300.0);
/// assert_eq!(need_by_load(SignalKind::RequestRate, 50.0).of(&sample), Some(6.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn need_by_load(kind: SignalKind, load_per_pod: f64) -> Need {
    Need(By::Load { kind, load_per_pod })
}

impl Need {
    /// Returns the pods that a sample needed; `None` where it does not tell, or tells what cannot be.
    pub fn of(&self, sample: &ScalingMetrics) -> Option<f64> {
        let need = match self.0 {
            By::Cpu { target_percent } => {
                sample.value(SignalKind::CpuUtilization)? * f64::from(sample.current_pod_count?) / target_percent
            }
            By::Load { kind, load_per_pod } => sample.value(kind)? / load_per_pod,
        };
        is_need(need).then_some(need)
    }

    /// Checks what a pod carries.
    ///
    /// # Errors
    /// [`InvalidSetting`] unless it is a number above 0.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let (field, value) = match self.0 {
            By::Cpu { target_percent } => ("target_percent", target_percent),
            By::Load { load_per_pod, .. } => ("load_per_pod", load_per_pod),
        };
        if value > 0.0 && value.is_finite() {
            Ok(())
        } else {
            Err(InvalidSetting { field, value, must: "a finite number above 0" })
        }
    }

    /// The needs of a history, one for each of its samples; one that [`is_need`] refuses does not tell.
    pub(crate) fn column(self, columns: Columns<'_>) -> impl Iterator<Item = f64> {
        let (values, factor, by_pods) = match self.0 {
            By::Cpu { target_percent } => (columns.column(SignalKind::CpuUtilization), 1.0 / target_percent, true),
            By::Load { kind, load_per_pod } => (columns.column(kind), 1.0 / load_per_pod, false),
        };
        let pods = columns.pods();
        values.iter().zip(pods).map(move |(value, pods)| value * if by_pods { pods * factor } else { factor })
    }
}

/// Returns true for a number of pods, be it a fraction; not for NaN, a negative number, or more than Kubernetes can express.
pub(crate) fn is_need(need: f64) -> bool {
    (0.0..=f64::from(MAX_REPLICAS)).contains(&need)
}
