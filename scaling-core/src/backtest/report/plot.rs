//! [`Plot`]: a run in few enough points for a chart, with its peaks.

use std::ops::Range;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::backtest::{Arrivals, Run, StepSeen};

/// Points of a chart at most: five minutes each over 14 days, so that one day still fills a screen.
const POINTS: usize = 4032;

/// Load and the oracle's pods. Each point stands for the same number of steps; a gap is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// Beginning of the first point of the replay, which is the end of the history.
    pub start: DateTime<Utc>,
    /// Seconds between two points.
    pub seconds_per_point: f64,
    /// Mean requests per second before the replay, of which the last point ends at its beginning; not more points than the replay has.
    pub history: Vec<Option<f64>>,
    /// Most requests per second in any step before the replay.
    pub history_peak: Vec<Option<f64>>,
    /// Mean requests per second.
    pub load: Vec<Option<f64>>,
    /// Most requests per second in any step.
    pub load_peak: Vec<Option<f64>>,
    /// Points in which the recorded pods were full at some time, so that there may have been more to do.
    pub censored: Vec<bool>,
    /// Mean pods of the oracle's schedule without violations.
    pub oracle_pods: Vec<Option<f64>>,
}

/// Pods and queue of one candidate, point by point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CandidatePlot {
    /// Mean pods.
    pub pods: Vec<Option<f64>>,
    /// Most pods in any step.
    pub pods_peak: Vec<Option<f64>>,
    /// Most waiting requests in any step.
    pub queue: Vec<Option<f64>>,
    /// Requests that violated.
    pub violating: Vec<Option<f64>>,
}

impl Plot {
    /// Plots the steps that were replayed, with the oracle's pods in each (NaN where it has none), and those before them.
    pub(in crate::backtest) fn new(arrivals: &Arrivals, range: Range<usize>, oracle_pods: &[f64]) -> Self {
        let seconds = arrivals.step().num_milliseconds() as f64 / 1000.0;
        let rates = |range: Range<usize>| -> Vec<f64> {
            let steps = arrivals.requests().get(range).unwrap_or_default();
            steps.iter().map(|requests| requests / seconds).collect()
        };
        let start = arrivals.instant(range.start);
        let censored = arrivals.censored().get(range.clone()).unwrap_or_default();
        let per_point = per_point(range.len());
        // Whole points, the last of which ends where the replay begins.
        let before = (range.start / per_point).min(range.len().div_ceil(per_point)) * per_point;
        let (history, load) = (rates(range.start - before..range.start), rates(range));
        Self {
            start,
            seconds_per_point: per_point as f64 * seconds,
            history: means(&history, per_point),
            history_peak: peaks(&history, per_point),
            load: means(&load, per_point),
            load_peak: peaks(&load, per_point),
            censored: censored.chunks(per_point).map(|chunk| chunk.contains(&true)).collect(),
            oracle_pods: means(oracle_pods, per_point),
        }
    }
}

impl CandidatePlot {
    pub(super) fn of(run: &Run) -> Self {
        let per_point = per_point(run.steps.len());
        let column = |value: fn(&StepSeen) -> f64| -> Vec<f64> {
            let known = |step: &StepSeen| if step.arrived.is_nan() { f64::NAN } else { value(step) };
            run.steps.iter().map(known).collect()
        };
        let pods = column(|step| step.pods.into());
        Self {
            pods: means(&pods, per_point),
            pods_peak: peaks(&pods, per_point),
            queue: peaks(&column(|step| step.backlog), per_point),
            violating: points(&column(|step| step.violating), per_point, |known| known.iter().sum()),
        }
    }
}

fn per_point(steps: usize) -> usize {
    steps.div_ceil(POINTS).max(1)
}

fn means(values: &[f64], per_point: usize) -> Vec<Option<f64>> {
    points(values, per_point, |known| known.iter().sum::<f64>() / known.len() as f64)
}

fn peaks(values: &[f64], per_point: usize) -> Vec<Option<f64>> {
    points(values, per_point, |known| known.iter().copied().fold(f64::MIN, f64::max))
}

fn points(values: &[f64], per_point: usize, of: impl Fn(&[f64]) -> f64) -> Vec<Option<f64>> {
    let mut known = Vec::with_capacity(per_point);
    let point = |chunk: &[f64]| {
        known.clear();
        known.extend(chunk.iter().copied().filter(|value| !value.is_nan()));
        (!known.is_empty()).then(|| rounded(of(&known)))
    };
    values.chunks(per_point).map(point).collect()
}

/// Rounds to four digits: a chart shows no more, and a report stays small.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let digits = 3.0 - value.abs().log10().floor();
    let size = 10_f64.powf(digits.abs());
    if !(size.is_finite() && size > 0.0) {
        return value;
    }
    // Divided by a whole power of ten either way, so that it is written with those digits and no more.
    if digits >= 0.0 { (value * size).round() / size } else { (value / size).round() * size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_few_rounded_and_gaps_are_null() {
        assert_eq!((per_point(0), per_point(4032), per_point(4033)), (1, 1, 2));
        let values = [1.0, 2.0, f64::NAN, f64::NAN, f64::NAN, 4.0];
        assert_eq!(means(&values, 2), [Some(1.5), None, Some(4.0)]);
        assert_eq!(peaks(&values, 3), [Some(2.0), Some(4.0)]);
        let digits: Vec<f64> = [123_456.0, 0.012_345_6, -7.0, 0.0].map(rounded).into();
        assert_eq!(digits, [123_500.0, 0.012_35, -7.0, 0.0]);
    }
}
