//! HPA configuration from history: bounds and utilization targets for a workload, with the reasons.
//!
//! [`recommend()`] sizes every sample of the history with the capacity model of the rule engine. The quietest twentieth gives the
//! min, the busiest moment with headroom the max. The CPU target leaves room for the growth of load while a pod starts.
//!
//! That is the target of an HPA that is left alone. Beneath the floors of an engine a higher one is cheaper; `TargetSearch` (feature
//! `backtest`) finds it by replaying the workload's own past.

#[cfg(feature = "backtest")]
mod target;

use std::fmt;

use serde::{Deserialize, Serialize};

#[cfg(feature = "backtest")]
pub use target::{
    ChosenTarget, TargetAdvice, TargetError, TargetRecommendation, TargetSearch, TargetSetting, TargetVerdict,
    TriedTarget,
};

use crate::bounds::HardLimits;
use crate::decision::CapacityModel;
use crate::hpa::api::{CrossVersionObjectReference, HpaSpec, MetricSpec, stored};
use crate::metrics::{MetricsHistory, Observation, ScalingMetrics, SignalKind, WorkloadFacts};
use crate::policy::BoundsPolicy;
use crate::rules::{Assessment, RuleConfig};
use crate::stats::{quantile, whole_pods};
use crate::target::Target;

/// Fewest samples to recommend from: below it the quantiles are those of single samples.
const MIN_SAMPLES: usize = 10;
/// Lowest and highest CPU target, in percent. Below 40 most of what is paid for idles; at 80 the HPA's tolerance of 10 % lets
/// utilization reach 88 % before it grows.
const CPU_TARGETS: (f64, f64) = (40.0, 80.0);

/// Error of a history that nothing can be recommended from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecommendError {
    /// The history has too few samples.
    #[error("{samples} samples are too few to recommend from; at least {MIN_SAMPLES} are needed")]
    TooFewSamples {
        /// Number of samples.
        samples: usize,
    },
    /// The history has neither CPU utilization with pod counts nor a load with a known capacity per pod.
    #[error("the history has neither CPU utilization with pod counts nor a request rate with a known capacity per pod")]
    NothingToSizeBy,
}

/// Recommended HPA configuration, with the reasons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HpaRecommendation {
    /// Fewest replicas: enough for the quietest twentieth of the time.
    pub min_replicas: u32,
    /// Most replicas: enough for the busiest moment, with headroom.
    pub max_replicas: u32,
    /// CPU target in percent of the request.
    pub cpu_target_percent: i32,
    /// Memory target in percent of the request; none unless memory follows load.
    pub memory_target_percent: Option<i32>,
    /// Reasons, in the order of the fields.
    pub reasons: Vec<RecommendReason>,
}

/// Reason for one field of a recommendation, with its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecommendReason {
    /// Reason for `min_replicas`.
    Quiet {
        /// Pods that were enough for the quietest twentieth of the time.
        pods: f64,
    },
    /// Reason for `max_replicas`.
    Peak {
        /// Pods that the busiest moment needed.
        pods: f64,
        /// Headroom above the peak, in pods.
        headroom: u32,
    },
    /// `max_replicas` was cut to the hard limit of the host.
    HardLimit {
        /// Hard limit, in replicas.
        max: u32,
    },
    /// Reason for `cpu_target_percent`.
    Growth {
        /// Growth of load while a pod starts, as a factor: the quantile 0.99.
        factor: f64,
        /// Time from a change in load until a pod started for it serves, in seconds.
        seconds: f64,
    },
    /// Reason for `memory_target_percent`: memory in use follows load.
    MemoryFollowsLoad {
        /// Correlation of memory in use with load.
        correlation: f64,
    },
    /// Reason for no `memory_target_percent`: memory in use does not follow load, so more pods would not relieve it.
    MemoryIndependent {
        /// Correlation of memory in use with load.
        correlation: f64,
    },
}

impl fmt::Display for RecommendReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quiet { pods } => write!(f, "min: {pods:.1} pods were enough for the quietest twentieth of the time"),
            Self::Peak { pods, headroom } => {
                write!(f, "max: the busiest moment needed {pods:.1} pods, and {headroom} more are headroom")
            }
            Self::HardLimit { max } => write!(f, "max: cut to the hard limit of {max}"),
            Self::Growth { factor, seconds } => {
                write!(f, "CPU target: in the {seconds:.0} s until a new pod serves, load rose up to {factor:.2}-fold")
            }
            Self::MemoryFollowsLoad { correlation } => {
                write!(f, "memory target: memory in use follows load (correlation {correlation:.2})")
            }
            Self::MemoryIndependent { correlation } => {
                write!(f, "no memory target: memory in use does not follow load (correlation {correlation:.2})")
            }
        }
    }
}

impl HpaRecommendation {
    /// Returns the configuration as a spec for a scale target, with the default `behavior`.
    pub fn to_spec(&self, scale_target_ref: CrossVersionObjectReference) -> HpaSpec {
        let mut metrics = vec![MetricSpec::utilization("cpu", self.cpu_target_percent)];
        metrics.extend(self.memory_target_percent.map(|percent| MetricSpec::utilization("memory", percent)));
        HpaSpec {
            scale_target_ref,
            min_replicas: Some(stored(self.min_replicas)),
            max_replicas: stored(self.max_replicas),
            metrics: Some(metrics),
            behavior: None,
        }
    }
}

/// Recommends bounds and utilization targets for a workload.
///
/// `config` and `facts` say how a sample is sized, `policy` how much headroom the max gets, and `limits` cut both bounds.
///
/// # Errors
/// [`RecommendError`] if the history is too short, or nothing in it tells how many pods were needed.
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta};
/// use scaling_core::hpa::CrossVersionObjectReference;
/// use scaling_core::recommend::recommend;
/// use scaling_core::{
///     BoundsPolicy, HardLimits, MetricsHistory, RuleConfig, ScalingMetrics, SignalKind, Target, WorkloadFacts,
/// };
///
/// // An hour at 10 pods whose CPU utilization rises from 20 % to 79 %.
/// let mut history = MetricsHistory::new();
/// for minute in 0..60 {
///     let at = DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
///     history.push(&ScalingMetrics::new(at, 10).with(SignalKind::CpuUtilization, 20.0 + minute as f64))?;
/// }
/// let (facts, config, policy) = (WorkloadFacts::default(), RuleConfig::default(), BoundsPolicy::default());
/// let target = Target::deployment("shop", "web");
/// let found = recommend(&target, &history, &facts, &config, &policy, HardLimits::new(2, 40)?)?;
/// assert!(found.min_replicas < 10 && found.max_replicas > 10);
/// for reason in &found.reasons {
///     println!("{reason}");
/// }
/// assert!(found.to_spec(CrossVersionObjectReference::deployment("web")).validate().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // all casts are of numbers clamped to a small range
pub fn recommend(
    target: &Target,
    history: &MetricsHistory,
    facts: &WorkloadFacts,
    config: &RuleConfig,
    policy: &BoundsPolicy,
    limits: HardLimits,
) -> Result<HpaRecommendation, RecommendError> {
    let samples = history.len();
    let too_few = RecommendError::TooFewSamples { samples };
    if samples < MIN_SAMPLES {
        return Err(too_few);
    }
    let newest = history.sample(samples - 1).ok_or(too_few)?;
    let pods = newest.replicas().unwrap_or(1);
    let observation = Observation::new(target.clone(), newest).with_history(history.clone()).with_facts(facts.clone());
    let assessment = Assessment::new(&observation, pods, config);

    let mut needs: Vec<f64> = history.iter().filter_map(|sample| need(&assessment, &sample)).collect();
    if needs.is_empty() {
        return Err(RecommendError::NothingToSizeBy);
    }
    let peak = needs.iter().copied().fold(0.0, f64::max);
    let quiet = quantile(&mut needs, 0.05).unwrap_or(peak);
    let hard = limits.bounds();
    let headroom = policy.headroom_pods.max(whole_pods(peak * policy.headroom_share));
    let wanted_max = whole_pods(peak).max(1).saturating_add(headroom);
    let max_replicas = hard.clamp(wanted_max);
    let min_replicas = hard.clamp(whole_pods(quiet).max(1)).min(max_replicas);

    let mut reasons = vec![RecommendReason::Quiet { pods: quiet }, RecommendReason::Peak { pods: peak, headroom }];
    if max_replicas < wanted_max {
        reasons.push(RecommendReason::HardLimit { max: hard.max() });
    }
    let ahead = facts.look_ahead().as_secs_f64();
    let factor = growth(history, ahead);
    reasons.push(RecommendReason::Growth { factor, seconds: ahead });
    // Aims below 90 % by the growth while pods start: at the end of it utilization is 90 %, just before queues build up.
    let cpu_target_percent = (90.0 / factor).clamp(CPU_TARGETS.0, CPU_TARGETS.1).floor() as i32;

    let memory_target_percent = memory_correlation(history).and_then(|correlation| {
        // A correlation of 0.7 explains half of the variance: below it, load is not the main reason for memory in use.
        let follows = correlation >= 0.7;
        reasons.push(if follows {
            RecommendReason::MemoryFollowsLoad { correlation }
        } else {
            RecommendReason::MemoryIndependent { correlation }
        });
        follows.then_some(config.memory_ceiling_percent.clamp(1.0, 100.0) as i32)
    });
    Ok(HpaRecommendation { min_replicas, max_replicas, cpu_target_percent, memory_target_percent, reasons })
}

/// Returns the pods that a sample needed: the larger of the needs by load and by CPU.
fn need(assessment: &Assessment<'_>, sample: &ScalingMetrics) -> Option<f64> {
    let by_load = match (assessment.capacity.model, assessment.load) {
        (CapacityModel::Unknown, _) | (_, None) => None,
        (_, Some(kind)) => sample.value(kind).map(|load| assessment.pods_for(load)),
    };
    let by_cpu = sample
        .value(SignalKind::CpuUtilization)
        .zip(sample.current_pod_count)
        .map(|(cpu, pods)| assessment.pods_for_cpu(cpu, f64::from(pods)));
    match (by_load, by_cpu) {
        (Some(load), Some(cpu)) => Some(load.max(cpu)),
        (load, cpu) => load.or(cpu),
    }
    .filter(|need| need.is_finite())
}

/// Returns the factor by which load rises within `ahead_s` seconds: the quantile 0.99, at least 1.
///
/// Of samples further apart, the share of their rise that falls into that time counts.
fn growth(history: &MetricsHistory, ahead_s: f64) -> f64 {
    let load = |sample: &ScalingMetrics| {
        let cpu = sample.value(SignalKind::CpuUtilization).zip(sample.current_pod_count);
        sample.value(SignalKind::RequestRate).or(cpu.map(|(cpu, pods)| cpu * f64::from(pods)))
    };
    let loads: Vec<(f64, f64)> = history
        .iter()
        .filter_map(|sample| Some((sample.timestamp.timestamp_millis() as f64 / 1000.0, load(&sample)?)))
        .collect();
    let mut rises = Vec::with_capacity(loads.len());
    let mut later = 0;
    for (index, (at, level)) in loads.iter().enumerate() {
        later = later.max(index + 1);
        while loads.get(later).is_some_and(|(next, _)| next - at < ahead_s) {
            later += 1;
        }
        let Some((next, rise)) = loads.get(later).map(|(next, then)| (next, then / level)) else { break };
        if rise.is_finite() && rise > 0.0 {
            rises.push(rise.powf((ahead_s / (next - at)).min(1.0)));
        }
    }
    quantile(&mut rises, 0.99).map_or(1.0, |factor| factor.max(1.0))
}

/// Returns Pearson's correlation of memory in use (utilization × pods) with the request rate.
///
/// None without enough samples of both, or if either is constant.
fn memory_correlation(history: &MetricsHistory) -> Option<f64> {
    let pairs: Vec<(f64, f64)> = history
        .iter()
        .filter_map(|sample| {
            let memory = sample.value(SignalKind::MemoryUtilization)? * f64::from(sample.current_pod_count?);
            Some((memory, sample.value(SignalKind::RequestRate)?))
        })
        .collect();
    if pairs.len() < MIN_SAMPLES {
        return None;
    }
    let number = pairs.len() as f64;
    let (sum_a, sum_b) = pairs.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    let (mean_a, mean_b) = (sum_a / number, sum_b / number);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in &pairs {
        ab += (a - mean_a) * (b - mean_b);
        aa += (a - mean_a).powi(2);
        bb += (b - mean_b).powi(2);
    }
    let correlation = ab / (aa * bb).sqrt();
    correlation.is_finite().then_some(correlation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta};

    /// Two days at 5 minutes, load from 100 to 900 and back each day, memory with the load or still.
    fn history(memory_follows: bool) -> MetricsHistory {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let mut history = MetricsHistory::new();
        for step in 0..576 {
            let hour = f64::from(step) / 12.0;
            let rate = 500.0 - 400.0 * (hour / 24.0 * std::f64::consts::TAU).cos();
            let memory = if memory_follows { rate / 12.0 } else { 60.0 };
            let sample = ScalingMetrics::new(start + TimeDelta::minutes(5 * i64::from(step)), 10)
                .with(SignalKind::RequestRate, rate)
                .with(SignalKind::CpuUtilization, rate / 10.0)
                .with(SignalKind::MemoryUtilization, memory);
            history.push(&sample).unwrap();
        }
        history
    }

    fn recommended(history: &MetricsHistory, limits: HardLimits) -> Result<HpaRecommendation, RecommendError> {
        let facts = WorkloadFacts::default();
        recommend(
            &Target::deployment("shop", "web"),
            history,
            &facts,
            &RuleConfig::default(),
            &BoundsPolicy::default(),
            limits,
        )
    }

    #[test]
    fn bounds_span_from_the_quiet_hours_to_the_peak_with_headroom() {
        let found = recommended(&history(false), HardLimits::default()).unwrap();
        // 100 req/s a pod at 100 %, 70 wanted: 100/70 and 900/70 pods.
        assert_eq!((found.min_replicas, found.max_replicas), (2, 13 + 5), "{found:?}");
        assert_eq!(found.memory_target_percent, None);
        assert_eq!(found.cpu_target_percent, 80, "load grows slowly");
        assert!(found.reasons.iter().all(|reason| !reason.to_string().is_empty()));
        assert_eq!(found.to_spec(CrossVersionObjectReference::deployment("web")).validate(), Ok(()));
    }

    #[test]
    fn memory_is_a_target_only_where_it_follows_load() {
        let found = recommended(&history(true), HardLimits::default()).unwrap();
        assert_eq!(found.memory_target_percent, Some(80));
    }

    #[test]
    fn hard_limits_hold_and_are_named() {
        let found = recommended(&history(false), HardLimits::new(3, 9).unwrap()).unwrap();
        assert_eq!((found.min_replicas, found.max_replicas), (3, 9));
        assert!(found.reasons.contains(&RecommendReason::HardLimit { max: 9 }));
    }

    #[test]
    fn too_little_is_an_error() {
        let empty = MetricsHistory::new();
        assert_eq!(recommended(&empty, HardLimits::default()), Err(RecommendError::TooFewSamples { samples: 0 }));
        let start = DateTime::from_timestamp(0, 0).unwrap();
        let blind = (0..20).map(|step| ScalingMetrics::new(start + TimeDelta::minutes(step), 3)).collect();
        let (blind, _) = MetricsHistory::from_unordered(blind);
        assert_eq!(recommended(&blind, HardLimits::default()), Err(RecommendError::NothingToSizeBy));
    }
}
