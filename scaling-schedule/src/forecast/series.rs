//! Load on an even grid, from metrics as they were measured.

use scaling_core::{Observation, SignalKind};

/// Spacing of the grid, in seconds: the HPA's sync period, and the shortest sensible interval of metrics.
pub(crate) const STEP_S: f64 = 15.0;
pub(crate) const STEP_MS: f64 = STEP_S * 1000.0;

/// Samples that are disentangled together: two hours of 15 s. Errors of measurement add up along a chunk.
const CHUNK: usize = 480;
/// A window that holds more intervals than this is taken as it is: each of its intervals has hardly any weight in the mean.
const OVERLAP_AT_MOST: f64 = 16.0;
/// Relative difference up to which two times count as equal: the jitter of a scrape.
const JITTER: f64 = 0.02;
/// Steps of a disentangled series may be this many times as large as its steps over a whole window. Real loads have less, noise
/// in the measurements has much more.
const ROUGHEST: f64 = 1.5;

/// The load at instants: each the mean over some time around its instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Points {
    /// Milliseconds since the epoch and requests per second, oldest first.
    points: Vec<(f64, f64)>,
    newest_sample: Option<f64>,
}

impl Points {
    /// The request rate from `from_ms` to `until_ms`, both included, of what the observation may know.
    ///
    /// A rate is usually the mean over a window that is longer than the interval between two samples. Neighbouring windows share
    /// all but their ends, so their difference says how the load that came in differs from the load that went out, one window
    /// earlier. With that the means are brought back to means over one interval, which are known half a window earlier: the
    /// difference between a forecast for 105 s and one for 128 s.
    pub(crate) fn of(observation: &Observation, from_ms: f64, until_ms: i64, log_offset: f64) -> Self {
        let now_ms = observation.current.timestamp.timestamp_millis();
        let before = observation.history.before(now_ms.min(until_ms.saturating_add(1)));
        let (times, rates) = (before.times(), before.column(SignalKind::RequestRate));
        let first = times.partition_point(|time| (*time as f64) < from_ms);
        let past = times.iter().zip(rates).skip(first).map(|(time, rate)| (*time as f64, *rate));
        let present = observation.current.value(SignalKind::RequestRate).filter(|_| now_ms <= until_ms);
        let mut samples = Vec::with_capacity(times.len().saturating_sub(first) + 1);
        samples.extend(past.filter(|(_, rate)| !rate.is_nan()));
        samples.extend(present.map(|rate| (now_ms as f64, rate)));

        let window_ms = observation.facts.metrics_window.as_secs_f64() * 1000.0;
        let newest_sample = samples.last().map(|(time, _)| *time);
        let mut result = Self { points: Vec::with_capacity(samples.len()), newest_sample };
        let mut rest = samples.as_slice();
        while !rest.is_empty() {
            let (run, overlap) = even_run(rest, window_ms);
            let (taken, later) = rest.split_at(run.max(1).min(rest.len()));
            // Chunks count from the newest end, so that a decision and a training sample see the newest values alike.
            for chunk in taken.rchunks(CHUNK).rev() {
                result.add(chunk, window_ms, overlap, log_offset);
            }
            rest = later;
        }
        result
    }

    fn add(&mut self, chunk: &[(f64, f64)], window_ms: f64, overlap: usize, log_offset: f64) {
        let step = window_ms / overlap as f64;
        if let Some(rates) = (overlap > 1).then(|| disentangled(chunk, overlap, log_offset)).flatten() {
            self.points.extend(chunk.iter().zip(rates).map(|((time, _), rate)| (time - step / 2.0, rate)));
        } else {
            let centres = chunk.iter().map(|(time, rate)| (time - window_ms / 2.0, *rate));
            // What was disentangled before it may reach beyond the first centres.
            let newest = self.newest().unwrap_or(f64::NEG_INFINITY);
            self.points.extend(centres.skip_while(|(time, _)| *time <= newest));
        }
    }

    /// Instant of the newest sample, the end of its window.
    pub(crate) fn newest_sample(&self) -> Option<f64> {
        self.newest_sample
    }

    /// Instant of the newest point.
    pub(crate) fn newest(&self) -> Option<f64> {
        self.points.last().map(|(time, _)| *time)
    }

    /// The load on the grid whose last instant is `anchor_ms`, oldest first, at most `steps` long. It begins with the first
    /// point; beyond the last one it goes on level.
    pub(crate) fn grid(&self, anchor_ms: f64, steps: usize) -> Vec<f64> {
        let mut walk = self.points.iter().rev().copied();
        let Some(mut later) = walk.next() else { return Vec::new() };
        let mut earlier = walk.next();
        let mut rates = Vec::with_capacity(steps);
        for step in 0..steps {
            let place = anchor_ms - step as f64 * STEP_MS;
            while let Some(point) = earlier.filter(|point| point.0 >= place) {
                later = point;
                earlier = walk.next();
            }
            let value = match earlier {
                _ if later.0 <= place => later.1,
                Some(before) => before.1 + (later.1 - before.1) * (place - before.0) / (later.0 - before.0),
                None => break,
            };
            rates.push(value);
        }
        rates.reverse();
        rates
    }
}

/// Number of samples from the first on that follow one another evenly, and number of their intervals that make a window; 1 if
/// they do not overlap evenly.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most `OVERLAP_AT_MOST`
fn even_run(samples: &[(f64, f64)], window_ms: f64) -> (usize, usize) {
    let overlap = |from: f64, to: f64| {
        let intervals = window_ms / (to - from);
        let whole = intervals.round();
        let even = (2.0..=OVERLAP_AT_MOST).contains(&whole) && (intervals - whole).abs() <= JITTER * whole;
        if even { whole as usize } else { 1 }
    };
    let mut overlaps = samples.windows(2).map(|pair| match pair {
        [from, to] => overlap(from.0, to.0),
        _ => 1,
    });
    let Some(first) = overlaps.next() else { return (samples.len(), 1) };
    (2 + overlaps.take_while(|next| *next == first).count(), first)
}

/// Means over one interval from means over `overlap` of them, for each sample; `None` if there are too few, or if what comes out
/// is too rough to be true.
///
/// From one window to the next, load i − `overlap` leaves and load i comes, which gives each load but the first `overlap`. Those
/// are chosen so that the load moves as little as possible from one interval to the next, relative to its level (weighted least
/// squares). As the sum of the first ones is known, and each error repeats every `overlap` intervals, that is one unknown mean
/// step for each place in the window.
fn disentangled(chunk: &[(f64, f64)], overlap: usize, log_offset: f64) -> Option<Vec<f64>> {
    if chunk.len() < 8 * overlap {
        return None;
    }
    let intervals = overlap as f64;
    // Relative to the first loads, which come first and are zero here. The first window ends at place `overlap` − 1.
    let mut loads = Vec::with_capacity(overlap + chunk.len());
    loads.resize(overlap, 0.0);
    let mut window_steps = 0.0;
    for pair in chunk.windows(2) {
        let [(_, before), (_, now)] = pair else { continue };
        let gone = loads.get(loads.len() - overlap)?;
        let step = intervals * (now - before);
        loads.push(gone + step);
        window_steps += step.abs();
    }

    // The mean step to each place of the window from the one before.
    let mut sums = vec![(0.0, 0.0); overlap];
    let steps = loads.windows(2).skip(overlap - 1).zip(chunk.iter().skip(1));
    for (nth, (pair, (_, rate))) in steps.enumerate() {
        let [before, now] = pair else { continue };
        let weight = 1.0 / ((rate + log_offset) * (rate + log_offset));
        let (sum, weights) = sums.get_mut(nth % overlap)?;
        *sum += weight * (now - before);
        *weights += weight;
    }
    let means: Vec<f64> = sums.iter().map(|(sum, weights)| sum / weights).collect();
    let drift = means.iter().sum::<f64>() / intervals;
    let mut offsets = Vec::with_capacity(overlap);
    let mut offset = 0.0;
    for mean in means {
        offset -= mean - drift;
        offsets.push(offset);
    }
    let first_mean = chunk.first()?.1;
    let surplus = offsets.iter().sum::<f64>() / intervals - first_mean;

    let mut result = Vec::with_capacity(chunk.len());
    let (mut steps, mut before) = (0.0, f64::NAN);
    for (load, offset) in loads.iter().zip(offsets.iter().cycle()).skip(overlap - 1) {
        let load = load + offset - surplus;
        if !load.is_finite() {
            return None;
        }
        if !before.is_nan() {
            steps += (load - before).abs();
        }
        before = load;
        result.push(load.max(0.0));
    }
    (steps <= ROUGHEST * window_steps + log_offset).then_some(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use scaling_core::chrono::{DateTime, TimeDelta};
    use scaling_core::{MetricsHistory, ScalingMetrics};

    /// Means over a minute of a load known for each quarter of one, with an error of up to `error` of each.
    fn observed(load: impl Fn(i32) -> f64, number: i32, error: f64) -> Observation {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let sample = |k: i32| {
            let mean = (k - 3..=k).map(&load).sum::<f64>() / 4.0;
            let wrong = 1.0 + error * scattered(k);
            ScalingMetrics::new(start + TimeDelta::seconds(15 * i64::from(k)), 4)
                .with(SignalKind::RequestRate, mean * wrong)
        };
        let (history, _) = MetricsHistory::from_unordered((0..number).map(sample).collect());
        Observation::new(scaling_core::Target::deployment("shop", "web"), sample(number)).with_history(history)
    }

    fn points(observation: &Observation) -> Points {
        Points::of(observation, 0.0, observation.current.timestamp.timestamp_millis(), 10.0)
    }

    /// Noise within ±1, the same for the same place.
    fn scattered(k: i32) -> f64 {
        let mut bits = u32::try_from(k + 10).unwrap().wrapping_mul(0x9E37_79B9);
        bits = (bits ^ (bits >> 15)).wrapping_mul(0x85EB_CA6B);
        f64::from(bits ^ (bits >> 13)) / f64::from(u32::MAX) * 2.0 - 1.0
    }

    #[test]
    fn overlapping_means_are_disentangled() {
        let load = |k: i32| 500.0 + 30.0 * scattered(k) + if k > 250 { 400.0 } else { 0.0 };
        let observation = observed(load, 300, 0.0);
        let points = points(&observation);
        let now_ms = observation.current.timestamp.timestamp_millis() as f64;
        assert_eq!(points.newest(), Some(now_ms - STEP_MS / 2.0));
        for (back, (time, rate)) in points.points.iter().rev().enumerate() {
            let k = 300 - i32::try_from(back).unwrap();
            assert!((time - (now_ms - STEP_MS / 2.0 - f64::from(300 - k) * STEP_MS)).abs() < 1.0);
            assert!((rate - load(k)).abs() < 12.0, "{k}: {rate} for {}", load(k));
        }
    }

    #[test]
    fn means_with_errors_of_measurement_are_left_as_they_are() {
        let observation = observed(|k| 500.0 + scattered(k), 300, 0.05);
        let now_ms = observation.current.timestamp.timestamp_millis() as f64;
        assert_eq!(points(&observation).newest(), Some(now_ms - 30_000.0));
    }

    #[test]
    fn the_grid_is_linear_between_points_and_ends_with_the_past() {
        let points = Points { points: vec![(0.0, 10.0), (60_000.0, 50.0)], newest_sample: None };
        assert_eq!(points.grid(75_000.0, 10), [10.0, 20.0, 30.0, 40.0, 50.0, 50.0]);
        assert_eq!(points.grid(60_000.0, 2), [40.0, 50.0]);
        assert!(Points::default().grid(0.0, 3).is_empty());
    }
}
