//! Means over windows brought back to means over one interval: [`Points`].

use serde::{Deserialize, Serialize};

/// A window that holds more intervals than this is taken as it is: each of its intervals has hardly any weight in the mean.
const OVERLAP_AT_MOST: f64 = 16.0;
/// Relative difference up to which two times count as equal: the jitter of a scrape.
const JITTER: f64 = 0.02;
/// Steps of a disentangled series may be this many times as large as its steps over a whole window. Real loads have less, noise
/// in the measurements has much more.
const ROUGHEST: f64 = 1.5;
/// A load is believed up to this multiple of the mean that it is part of: a true threefold step gives as much, and one wrong sample
/// would otherwise count as often as a window has intervals.
const JUMP_AT_MOST: f64 = 2.0;
/// A load below minus this share of the mean shows that the samples are not means over a sliding window.
const NEGATIVE: f64 = 0.25;
/// Windows after which an even series is disentangled: before, the unknown start is not known well enough.
const WINDOWS_FIRST: usize = 8;
/// Share of what is known of the unknown start that remains after one sample: half after two hours of 15 s, as errors of
/// measurement add up.
const KEPT: f64 = 1.0 - 1.0 / 700.0;

/// Turns samples into the load at instants, one sample at a time.
///
/// A rate is usually the mean over a window that is longer than the interval between two samples. Neighbouring windows share all
/// but their ends, so their difference says how the load that came in differs from the load that went out, one window earlier.
/// With that the means are brought back to means over one interval, which are known half a window earlier: the difference between
/// a forecast for 105 s and one for 128 s.
///
/// From one window to the next, load i − m leaves and load i comes, m being the number of intervals in a window; that gives each
/// load but the first m. Those are chosen so that the load moves as little as possible from one interval to the next, relative to
/// its level (weighted least squares): one unknown mean step for each place in the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Points {
    /// The newest sample: ms since the epoch and load.
    newest: Option<(f64, f64)>,
    /// Loads of the newest window, by place, relative to the first window's; empty where windows do not overlap evenly.
    loads: Vec<f64>,
    /// Sum and weight of the steps to each place from the one before.
    steps: Vec<(f64, f64)>,
    place: usize,
    even: usize,
    /// Sums of the sizes of steps: of windows, and of what comes out.
    window_moved: f64,
    moved: f64,
    before: f64,
}

impl Points {
    /// True if points that were read back can be used.
    pub(super) fn is_sound(&self) -> bool {
        let steps = self.steps.iter().flat_map(|(sum, weight)| [sum, weight]);
        let sums = [self.window_moved, self.moved, self.before];
        self.loads.len() == self.steps.len()
            && self.loads.len() <= 16
            && self.place <= 16
            && self.loads.iter().chain(steps).chain(&sums).all(|number| number.is_finite())
    }

    /// Adds a sample and returns the instant that its load is known for, the middle of an interval, and that load. `None` for one
    /// that is not later than the newest.
    pub(super) fn push(&mut self, at_ms: f64, load: f64, window_ms: f64, log_offset: f64) -> Option<(f64, f64)> {
        let centre = (at_ms - window_ms / 2.0, load);
        let Some((before_ms, before)) = self.newest else {
            self.newest = Some((at_ms, load));
            return Some(centre);
        };
        if at_ms <= before_ms {
            return None;
        }
        self.newest = Some((at_ms, load));
        let overlap = overlap(at_ms - before_ms, window_ms);
        if overlap != self.loads.len() {
            *self = Self { newest: self.newest, loads: vec![0.0; overlap], ..Self::default() };
            self.steps = vec![(0.0, 0.0); overlap];
        }
        if overlap == 0 {
            return Some(centre);
        }
        match self.disentangle(load, load - before, log_offset) {
            Some(own) => Some((at_ms - window_ms / overlap as f64 / 2.0, own)),
            None => Some(centre),
        }
    }

    fn disentangle(&mut self, mean: f64, change: f64, log_offset: f64) -> Option<f64> {
        let overlap = self.loads.len();
        let last = *self.loads.get((self.place % overlap + overlap - 1) % overlap)?;
        let gone = self.loads.get_mut(self.place)?;
        *gone += overlap as f64 * change;
        let step = *gone - last;
        let weight = 1.0 / ((mean + log_offset) * (mean + log_offset));
        let (sum, weights) = self.steps.get_mut(self.place)?;
        (*sum, *weights) = (KEPT * *sum + weight * step, KEPT * *weights + weight);
        self.even += 1;

        // The mean step to each place, less the drift of them all, added up from the place after the newest.
        let means = |place: usize| {
            self.steps.get(place).map_or(0.0, |(sum, weights)| if *weights > 0.0 { sum / weights } else { 0.0 })
        };
        let drift = (0..overlap).map(means).sum::<f64>() / overlap as f64;
        let (mut offset, mut sum) = (0.0, 0.0);
        for next in 1..=overlap {
            let place = (self.place + next) % overlap;
            offset -= means(place) - drift;
            sum += self.loads.get(place)? + offset;
        }
        let own = self.loads.get(self.place)? + offset - (sum / overlap as f64 - mean);
        self.place = (self.place + 1) % overlap;
        self.window_moved = KEPT * self.window_moved + overlap as f64 * change.abs();
        self.moved = KEPT * self.moved + (own - self.before).abs();
        self.before = own;
        if !own.is_finite() || own < -(NEGATIVE * mean + log_offset) {
            *self = Self { newest: self.newest, ..Self::default() };
            return None;
        }
        if self.even == WINDOWS_FIRST * overlap {
            // What came before was not settled.
            (self.window_moved, self.moved) = (0.0, 0.0);
        }
        let settled = self.even > WINDOWS_FIRST * overlap;
        (settled && self.moved <= ROUGHEST * self.window_moved + log_offset)
            .then_some(own.clamp(0.0, JUMP_AT_MOST * mean))
    }
}

/// Number of intervals that make a window; 0 if they do not overlap evenly.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most `OVERLAP_AT_MOST`
pub(super) fn overlap(interval_ms: f64, window_ms: f64) -> usize {
    let intervals = window_ms / interval_ms;
    let whole = intervals.round();
    let even = (2.0..=OVERLAP_AT_MOST).contains(&whole) && (intervals - whole).abs() <= JITTER * whole;
    if even { whole as usize } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Result of means over a minute of a load known for each quarter of one, with an error of up to `error` of each.
    fn points(load: impl Fn(u32) -> f64, number: u32, error: f64) -> Vec<(f64, f64)> {
        let mut points = Points::default();
        let sample = |k: u32| {
            let mean = (k..k + 4).map(&load).sum::<f64>() / 4.0 * (1.0 + error * scattered(k));
            points.push(15_000.0 * f64::from(k + 4), mean, 60_000.0, 10.0)
        };
        (0..number).filter_map(sample).collect()
    }

    /// Noise within ±1, the same for the same place.
    fn scattered(k: u32) -> f64 {
        let mut bits = (k + 10).wrapping_mul(0x9E37_79B9);
        bits = (bits ^ (bits >> 15)).wrapping_mul(0x85EB_CA6B);
        f64::from(bits ^ (bits >> 13)) / f64::from(u32::MAX) * 2.0 - 1.0
    }

    #[test]
    fn overlapping_means_are_disentangled() {
        let load = |k: u32| 500.0 + 30.0 * scattered(k) + if k > 250 { 400.0 } else { 0.0 };
        let points = points(load, 400, 0.0);
        assert_eq!(points.len(), 400);
        for (k, (at_ms, rate)) in (3..).zip(points).skip(200) {
            assert!((at_ms - (15_000.0 * f64::from(k) + 7_500.0)).abs() < 1.0, "{k}: {at_ms}");
            assert!((rate - load(k)).abs() < 15.0, "{k}: {rate} for {}", load(k));
        }
    }

    #[test]
    fn means_with_errors_of_measurement_are_left_as_they_are() {
        let points = points(|k| 500.0 + scattered(k), 400, 0.05);
        assert_eq!(points.last().map(|(at_ms, _)| *at_ms), Some(15_000.0 * 403.0 - 30_000.0));
    }

    #[test]
    fn a_sample_that_is_not_later_is_passed_over() {
        let mut points = Points::default();
        assert!(points.push(60_000.0, 5.0, 60_000.0, 1.0).is_some());
        assert_eq!(points.push(60_000.0, 7.0, 60_000.0, 1.0), None);
        assert_eq!(points.push(30_000.0, 7.0, 60_000.0, 1.0), None);
    }
}
