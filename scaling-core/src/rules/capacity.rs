//! The load that one pod carries.
//!
//! Load per pod against CPU utilization, over the healthy part of the history: under overload both are censored (CPU ends at its
//! limit, throughput at what the pods manage), so saturated, failing and slow samples teach nothing about the slope. They teach
//! where it ends: between the largest load seen healthy and the smallest seen unhealthy. Without CPU utilization their
//! geometric mean is the safe load of a pod.

use super::RuleConfig;
use super::health::was_healthy;
use super::samples::{Buffer, Samples};
use crate::decision::CapacityModel;

/// Below this share of the capacity believed, what pods carry is another capacity rather than noise. The spread of single samples
/// around a capacity that stays is within a tenth in the labelled scenarios, with their noise of 5 % doubled by the division.
const CLEARLY_LESS: f64 = 0.8;
/// Utilization that tells of capacity: below, the part that does not come from load (garbage collection, probes) weighs too much.
const BUSY_CPU_PERCENT: f64 = 50.0;
/// Samples from which a capacity is well learnt, if they spread no further than this. With ten the quantile believed is no longer
/// the smallest of them.
const WELL_LEARNT: usize = 10;
const WELL_LEARNT_SPREAD: f64 = 0.25;

/// The load that one pod carries. All loads in the unit of the load signal.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Source of the knowledge.
    pub model: CapacityModel,
    /// Load of one pod at full utilization; NaN if unknown.
    pub per_pod: f64,
    /// Load of one pod to aim for; NaN if unknown.
    pub safe_per_pod: f64,
    /// Samples behind it.
    pub samples: usize,
    /// Distance of the capacity believed below the median of the samples, relative; 0 for one sample.
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

        if seen.len() > 0 {
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

    /// This capacity, or less if busy pods have carried clearly less than that for two metrics windows.
    ///
    /// Pods can become slower: a new version, a slow neighbour, a cold cache. At 100 % CPU the load that is served hides it, and
    /// the quantile of a week would notice after a day.
    pub(super) fn no_more_than_seen(self, samples: &Samples<'_>, target: f64, config: &RuleConfig) -> Self {
        // The steps below are a pass over the last minutes; most moments need not take it.
        let now = Self::ratio(samples, target);
        // False also where a number is absent.
        let less = now.per_pod < self.per_pod * CLEARLY_LESS;
        if !less || samples.load.is_none() {
            return self;
        }
        // Metrics lag behind the pods: a growth halves the load of a pod at once, its utilization a minute later.
        let (pods, _) = samples.pods_over(samples.steady_ms);
        let Some(steady) = samples.steady() else { return self };
        let (mut most, mut number) = (0.0_f64, 0);
        for sample in steady {
            let per_pod = sample.load / pods / sample.cpu * 100.0;
            // What works off a queue has utilization without arrivals.
            let drains = sample.queue > config.severe_queue_seconds * sample.rate;
            if drains || !(sample.cpu >= BUSY_CPU_PERCENT && per_pod.is_finite()) {
                return self;
            }
            most = most.max(per_pod);
            number += 1;
        }
        if most > 0.0 && most < self.per_pod * CLEARLY_LESS {
            let spread = 1.0 - now.per_pod / most;
            Self {
                model: CapacityModel::Recent,
                per_pod: most,
                safe_per_pod: most * target,
                samples: number,
                spread: spread.abs(),
            }
        } else {
            self
        }
    }

    /// True if one sample does not overrule it.
    pub(super) fn is_well_known(&self) -> bool {
        match self.model {
            CapacityModel::Declared => true,
            CapacityModel::Learnt => self.samples >= WELL_LEARNT && self.spread <= WELL_LEARNT_SPREAD,
            _ => false,
        }
    }

    /// Load that one pod carries if the present utilization is proportional to the present load.
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
