//! A whole HPA configuration from history.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::spec::stored;
use super::{CrossVersionObjectReference, HpaSpec, MetricSpec};
use crate::rules::Assessment;
use crate::stats::{quantile, whole_pods};
use crate::{
    BoundsPolicy, CapacityModel, HardLimits, MetricsHistory, Observation, RuleConfig, SignalKind, WorkloadFacts,
};

/// Samples needed before anything is recommended.
const MIN_SAMPLES: usize = 10;
/// Utilization targets recommended at the least and at the most, in percent.
const CPU_TARGETS: (f64, f64) = (40.0, 80.0);

/// Why nothing can be recommended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecommendError {
    /// Too short a past.
    #[error("{samples} samples are too few to recommend from; at least {MIN_SAMPLES} are needed")]
    TooFewSamples {
        /// How many there are.
        samples: usize,
    },
    /// Neither CPU utilization with pod counts nor a load with a known capacity.
    #[error("the history has neither CPU utilization with pod counts nor a request rate with a known capacity per pod")]
    NothingToSizeBy,
}

/// An HPA configuration, with what speaks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HpaRecommendation {
    /// Min replicas: what the quiet hours need.
    pub min_replicas: u32,
    /// Max replicas: what the busiest moment needed, with headroom.
    pub max_replicas: u32,
    /// CPU utilization to aim for, percent.
    pub cpu_target_percent: i32,
    /// Memory utilization to aim for, percent; only where memory follows load.
    pub memory_target_percent: Option<i32>,
    /// Why, in the order of the fields.
    pub reasons: Vec<RecommendReason>,
}

/// What speaks for one part of a recommendation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecommendReason {
    /// `min_replicas`.
    Quiet {
        /// Pods that were enough for the quietest twentieth of the time.
        pods: f64,
    },
    /// `max_replicas`.
    Peak {
        /// Pods that the busiest moment needed.
        pods: f64,
        /// Headroom above, in pods.
        headroom: u32,
    },
    /// `max_replicas` was cut to what the host allows.
    HardLimit {
        /// The limit.
        max: u32,
    },
    /// `cpu_target_percent`.
    Growth {
        /// Factor by which load rose at most, but for one time in a hundred, while a pod starts.
        factor: f64,
        /// The start-up time and lag, in seconds.
        seconds: f64,
    },
    /// `memory_target_percent`: memory follows load.
    MemoryFollowsLoad {
        /// Correlation of memory in use with load.
        correlation: f64,
    },
    /// No memory target: memory does not follow load, more pods would not relieve it.
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
    /// The configuration for a scale target.
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

/// Recommends bounds and targets for a workload with this past.
///
/// # Errors
/// [`RecommendError`] if the past is too short or says nothing about size.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // all casts are of numbers clamped to a small range
pub fn recommend(
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
    let observation = Observation::new(newest).with_history(history.clone()).with_facts(facts.clone());
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
    // What is left of 90 % after load has grown while pods start.
    let cpu_target_percent = (90.0 / factor).clamp(CPU_TARGETS.0, CPU_TARGETS.1).floor() as i32;

    let memory_target_percent = memory_correlation(history).and_then(|correlation| {
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

fn need(assessment: &Assessment<'_>, sample: &crate::ScalingMetrics) -> Option<f64> {
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

/// The factor by which load rises within `ahead_s` at most, but for one time in a hundred; from samples further apart, the share
/// of their rise that falls into that time.
fn growth(history: &MetricsHistory, ahead_s: f64) -> f64 {
    let load = |sample: &crate::ScalingMetrics| {
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

/// Pearson's correlation of memory in use (utilization × pods) with the request rate; none without both, or if either is still.
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
    use crate::ScalingMetrics;
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
        recommend(history, &facts, &RuleConfig::default(), &BoundsPolicy::default(), limits)
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
