//! [`SteppedDemand`]: the demand of a trace in equal steps. Nothing is invented: time that was not recorded is a gap.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Point, Trace};

/// Most steps of a replay, 30 years of minutes: more come from a wrong timestamp.
pub(in crate::backtest) const MOST_STEPS: i64 = 16_000_000;

/// Demand in equal steps.
#[derive(Clone, Debug, PartialEq)]
pub struct SteppedDemand {
    start_ms: i64,
    step_ms: i64,
    demand: Vec<f64>,
    censored: Vec<bool>,
}

impl SteppedDemand {
    /// Returns its first instant.
    pub fn start(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.start_ms).unwrap_or_default()
    }

    /// Returns the length of a step.
    pub fn step(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.step_ms)
    }

    /// Returns the requests per second (or pods' worth of work) of each step; NaN in a gap.
    pub fn demand(&self) -> &[f64] {
        &self.demand
    }

    /// Returns of each step whether demand may have been higher than what was recorded.
    pub fn censored(&self) -> &[bool] {
        &self.censored
    }
}

impl Trace {
    /// Cuts the demand into steps of this length (at least a millisecond).
    ///
    /// Each step has the demand at its centre: on the line between the centres of neighbouring samples, level in the outer half of a
    /// sample at the edge of a gap, and NaN inside gaps. Of several samples whose centres lie in one step, the step has the mean, so
    /// that none is lost. The end of a trace of more than 16 million steps is left out; a replay refuses such a trace.
    pub fn resample(&self, step: Duration) -> SteppedDemand {
        let (start_ms, _) = self.span_ms();
        let step_ms = step_ms(step);
        let steps = self.steps(step).clamp(1, MOST_STEPS);
        let centre = |index: usize| self.points.get(index).map(|point| (point.centre_ms(), *point));
        let count = usize::try_from(steps).unwrap_or(0);
        let (mut demand, mut censored) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let holds = |at: f64, neighbour: Option<(f64, Point)>| neighbour.filter(|(_, point)| point.holds(at));
        // The first sample whose centre is not before the step, and the first behind the step's centre.
        let (mut inside, mut after) = (0, 0);
        for step in 0..steps {
            let begin = start_ms as f64 + step as f64 * step_ms as f64;
            let at = begin + 0.5 * step_ms as f64;
            let first = inside;
            while centre(inside).is_some_and(|(centre, _)| centre < begin + step_ms as f64) {
                inside += 1;
            }
            while centre(after).is_some_and(|(centre, _)| centre <= at) {
                after += 1;
            }
            if let Some(several) = self.points.get(first..inside).filter(|several| several.len() > 1) {
                demand.push(several.iter().map(|point| point.demand / several.len() as f64).sum());
                censored.push(several.iter().any(|point| point.censored));
                continue;
            }
            let left = after.checked_sub(1).and_then(centre);
            let right = centre(after);
            let value = match (left, right) {
                (Some((a, left)), Some((b, right))) if left.interval.joined => {
                    Some(left.demand + (right.demand - left.demand) * (at - a) / (b - a))
                }
                _ => holds(at, left).or(holds(at, right)).map(|(_, point)| point.demand),
            };
            demand.push(value.unwrap_or(f64::NAN));
            let closest = match (holds(at, left), holds(at, right)) {
                (Some(left), Some(right)) => Some(if at - left.0 <= right.0 - at { left } else { right }),
                (left, right) => left.or(right),
            };
            censored.push(value.is_some() && closest.is_some_and(|(_, point)| point.censored));
        }
        SteppedDemand { start_ms, step_ms, demand, censored }
    }

    /// Returns the number of whole steps of this length.
    pub(in crate::backtest) fn steps(&self, step: Duration) -> i64 {
        let (start_ms, end_ms) = self.span_ms();
        (end_ms - start_ms) / step_ms(step)
    }

    /// Returns the beginning of the first sample and the end of the last.
    pub(super) fn span_ms(&self) -> (i64, i64) {
        let first = self.points.first().map_or(0, |point| point.interval.begin_ms);
        let last = self.points.last().map_or(0, |point| point.interval.end_ms);
        (first, last)
    }
}

impl Point {
    fn centre_ms(&self) -> f64 {
        0.5 * (self.interval.begin_ms as f64 + self.interval.end_ms as f64)
    }

    fn holds(&self, at_ms: f64) -> bool {
        (self.interval.begin_ms as f64..=self.interval.end_ms as f64).contains(&at_ms)
    }
}

fn step_ms(step: Duration) -> i64 {
    i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1)
}
