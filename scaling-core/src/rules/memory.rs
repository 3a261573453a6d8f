//! The memory of a pod: a part that every pod has, and a part that load brings.

use super::RuleConfig;
use super::samples::{Sample, Samples};

/// Samples from which the two parts are told apart.
const LEAST_SAMPLES: f64 = 12.0;
/// Least movement of the load of a pod, standard deviation over mean: within the noise of a steady load a line through the
/// samples means nothing. The steady scenarios of the labelled dataset move by 5 %, their noise adds as much.
const LEAST_SPREAD: f64 = 0.12;
/// Standard errors by which the part of load is taken for larger than learnt: for a shrink the safe side.
const STANDARD_ERRORS: f64 = 3.0;
/// Percentage points of memory that load must bring for pods to be held because of it.
const LEAST_PART: f64 = 5.0;
/// Growth that memory asks for at most: just under the ceiling the formula asks for endlessly many pods, and what is left to be
/// relieved by more than twice as many is too little.
const MOST_GROWTH: f64 = 2.0;

/// Line through memory utilization against the load of a pod.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    /// Percent of the request for each unit of load.
    pub(crate) slope: f64,
    /// Standard error of the slope.
    error: f64,
}

/// Fits a line through pairs of load per pod and memory utilization by least squares; `None` for too few pairs, or loads too close
/// together to tell. Pairs with a number absent, or with memory at its limit, which hides what it would be, are left out.
pub(crate) fn fit(pairs: impl Iterator<Item = (f64, f64)>) -> Option<Line> {
    // Around the first pair, so that the differences of squares below keep their digits.
    let (mut number, mut x0, mut y0) = (0.0, 0.0, 0.0);
    let (mut x, mut y, mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (load, memory) in pairs.filter(|(load, memory)| load.is_finite() && *memory < 100.0) {
        if number == 0.0 {
            (x0, y0) = (load, memory);
        }
        let (dx, dy) = (load - x0, memory - y0);
        number += 1.0;
        x += dx;
        y += dy;
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    let mean = x0 + x / number;
    let (sxx, sxy, syy) = (xx - x * x / number, xy - x * y / number, yy - y * y / number);
    let spread = (sxx / number).sqrt() / mean;
    let slope = sxy / sxx;
    let error = ((syy - slope * sxy).max(0.0) / (number - 2.0) / sxx).sqrt();
    (number >= LEAST_SAMPLES && spread >= LEAST_SPREAD && (slope + error).is_finite()).then_some(Line { slope, error })
}

/// Memory utilization against the load of a pod, learnt from history: percent of the request for each unit of load.
///
/// Without enough history all of the memory is taken to follow the load. Pods are then held where they may not be needed, which
/// is the safe error: the other one ends in pods killed for lack of memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryModel {
    slope: f64,
}

impl MemoryModel {
    pub(super) fn learn(samples: &Samples<'_>) -> Self {
        let line = if samples.current().memory.is_nan() || (samples.history_len() as f64) + 1.0 < LEAST_SAMPLES {
            None
        } else {
            fit(samples.memory_by_load())
        };
        Self { slope: line.map_or(f64::INFINITY, |line| (line.slope + STANDARD_ERRORS * line.error).max(0.0)) }
    }

    /// Memory that a pod has without load, percent of its request; NaN if that is not known.
    pub(super) fn base(&self, sample: &Sample) -> f64 {
        if self.slope.is_finite() { sample.memory - self.slope * sample.load / sample.pods } else { f64::NAN }
    }

    /// Pods that keep memory under its ceiling at the load of a sample; NaN if that is not known, or pods do not move it.
    pub(super) fn pods(&self, sample: &Sample, config: &RuleConfig) -> f64 {
        let (memory, pods, ceiling) = (sample.memory, sample.pods, config.memory_ceiling_percent);
        let part = self.slope * sample.load / sample.pods;
        // NaN, as infinity times a load of zero, is no knowledge either.
        if !(part < memory) {
            return memory * pods / ceiling;
        }
        let room = ceiling - (memory - part);
        if room > 0.0 {
            (part * pods / room).min(pods * MOST_GROWTH)
        } else if part >= LEAST_PART {
            // More pods would not bring it under the ceiling; fewer would make it worse.
            pods
        } else {
            f64::NAN
        }
    }
}
