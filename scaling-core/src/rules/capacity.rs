//! How much load one pod carries.
//!
//! Load per pod against CPU utilization, over the healthy part of the history: under overload both are censored (CPU ends at its
//! limit, throughput at what the pods manage), so saturated, failing and slow samples teach nothing about the slope. What they do
//! teach is where it ends: between the largest load seen healthy and the smallest seen unhealthy. Without CPU utilization their
//! geometric mean is the safe load of a pod.

use super::RuleConfig;
use super::health::was_healthy;
use super::samples::{Buffer, Samples};
use crate::CapacityModel;

/// What one pod carries. All loads in the unit of the load signal.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Where it is known from.
    pub model: CapacityModel,
    /// Load of one pod at full utilization; NaN if unknown.
    pub per_pod: f64,
    /// Load of one pod to aim for; NaN if unknown.
    pub safe_per_pod: f64,
    /// Samples behind it.
    pub samples: usize,
    /// How far the capacity believed lies below the median of the samples, relative; 0 for one sample.
    pub spread: f64,
}

impl Capacity {
    const UNKNOWN: Self =
        Self { model: CapacityModel::Unknown, per_pod: f64::NAN, safe_per_pod: f64::NAN, samples: 0, spread: 0.0 };

    pub(super) fn learn(
        samples: &Samples<'_>,
        usual_ms: f64,
        declared: Option<f64>,
        target: f64,
        config: &RuleConfig,
    ) -> Self {
        if let Some(per_pod) = declared {
            return Self {
                model: CapacityModel::Declared,
                per_pod,
                safe_per_pod: per_pod * target,
                samples: 0,
                spread: 0.0,
            };
        }
        if samples.load.is_none() {
            return Self::UNKNOWN;
        }
        let ratio = Self::ratio(samples, target);
        if samples.history_len() == 0 {
            return ratio;
        }
        let mut seen = Buffer::new();
        let (mut healthy_max, mut unhealthy_min) = (0.0_f64, f64::INFINITY);
        for sample in samples.iter() {
            let load = sample.load / sample.pods;
            // False also where a number is absent.
            if !(load > 0.0 && sample.pods >= 1.0) {
                continue;
            }
            if was_healthy(&sample, usual_ms, config) {
                healthy_max = healthy_max.max(load);
                if sample.cpu >= config.learn_min_cpu_percent {
                    seen.push(load / sample.cpu * 100.0);
                }
            } else {
                unhealthy_min = unhealthy_min.min(load);
            }
        }
        // Overlap means that load is not what makes it unhealthy.
        let limit = (healthy_max > 0.0 && unhealthy_min.is_finite() && healthy_max < unhealthy_min)
            .then(|| (healthy_max * unhealthy_min).sqrt());

        if samples.current().cpu.is_finite() && seen.len() > 0 {
            let per_pod = seen.quantile(config.capacity_quantile);
            let spread = 1.0 - per_pod / seen.quantile(0.5);
            return Self {
                model: CapacityModel::Learnt,
                per_pod,
                // One sample is as good as its own error; where the health limit is known, the two are averaged.
                safe_per_pod: match limit {
                    Some(limit) if seen.len() == 1 => (per_pod * target * limit).sqrt(),
                    _ => per_pod * target,
                },
                samples: seen.len(),
                spread,
            };
        }
        if let Some(limit) = limit {
            return Self {
                model: CapacityModel::HealthLimit,
                per_pod: limit / target,
                safe_per_pod: limit,
                samples: 2,
                spread: ((unhealthy_min - healthy_max) / (unhealthy_min + healthy_max)).abs(),
            };
        }
        ratio
    }

    /// What one pod carries if the present utilization is proportional to the present load.
    fn ratio(samples: &Samples<'_>, target: f64) -> Self {
        let now = samples.current();
        let per_pod = now.load / now.pods / now.cpu * 100.0;
        if !(per_pod.is_finite() && per_pod > 0.0) {
            return Self::UNKNOWN;
        }
        Self {
            model: CapacityModel::UtilizationRatio,
            per_pod,
            safe_per_pod: per_pod * target,
            samples: 1,
            spread: 0.0,
        }
    }
}
